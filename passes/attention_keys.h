// Attention along several static key axes at once, such as the rows and columns of an image, as attention
// along one.
#pragma once

#include <functional>

#include "passes/context.h"

namespace heed::passes {

/// A copy of the graph in which softmaxes along several static axes, whose weights go to a sum over the same
/// axes, and log-sum-exps along such axes run along one axis `a*b`, into which keys, values, masks and biases
/// are merged. `merges` says which of them.
Graph MergeKeys(const Graph& graph, const std::function<bool(const Node&)>& merges);

}  // namespace heed::passes
