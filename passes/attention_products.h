// Scores that add several products of query and key (one of contents and one of rotated positions, say) as
// scores of one product.
#pragma once

#include <functional>

#include "passes/context.h"

namespace heed::passes {

/// A copy of the graph in which `q @a k + r @b l`, of which the scores of a softmax or log-sum-exp are a
/// function, is one product over an axis `a+b` that has the elements of both. Factors of single products go
/// to the query's side; what else the sum adds is added to the product. `joins` says of which softmaxes and
/// log-sum-exps.
Graph JoinProducts(const Graph& graph, const std::function<bool(const Node&)>& joins);

}  // namespace heed::passes
