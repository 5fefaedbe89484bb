// What a drawing says of an attention: along which axis it looks, in how many heads, and its mask.
#pragma once

#include <optional>
#include <string>

#include "frontend/drawing/words.h"

namespace heed::drawing {

/// Of a softmax over positions or a fused attention; nothing for every other node and for gradients. `label`:
/// the box's, whose predicate is taken where the program's words are not known.
std::optional<AttentionWords> AttentionWordsOf(const ir::Graph& graph, ir::NodeId id,
                                               const frontend::ProgramWords* words, const AxisWriter& axes,
                                               const std::string& label);

}  // namespace heed::drawing
