// Closing single modules of a model: where a depth closes too few, and for pages, whose readers close them.
#pragma once

#include <vector>

#include "frontend/drawing/model.h"

namespace heed::drawing {

/// Closes every module that is not `open`, and those in it.
void CloseModules(Model& model, const std::vector<bool>& open);

/// The box that a closed module is; `gradient`: the one for its gradient.
Box ClosedBox(const Model& model, int module, bool gradient);

/// What a closed module still shows beside it: what comes from outside, and what is kept.
bool StaysOutside(const Box& box);

}  // namespace heed::drawing
