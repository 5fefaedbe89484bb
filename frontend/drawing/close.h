// Closing single modules of a model, where a depth closes too few.
#pragma once

#include <vector>

#include "frontend/drawing/model.h"

namespace heed::drawing {

/// Closes every module that is not `open`, and those in it.
void CloseModules(Model& model, const std::vector<bool>& open);

}  // namespace heed::drawing
