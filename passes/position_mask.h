// Masks of positions alone, looked at element by element at small lengths.
#pragma once

#include <functional>

#include "ir/graph.h"

namespace heed::passes {

/// Which leaves of a graph are lengths of dynamic axes.
using IsLength = std::function<bool(ir::NodeId)>;

/// For every element along `own` there is one along the mask's other axes that the mask leaves, as every key
/// of causal attention is seen by its own query. Padding aside: conjuncts `position < length` are left out.
/// Tried at lengths up to 8; false for masks that depend on data or are too large to look at.
bool Covers(const ir::Graph& graph, ir::NodeId mask, const ir::AxisList& own, const IsLength& is_length);

}  // namespace heed::passes
