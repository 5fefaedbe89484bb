// Ops that the back end has no step for, written with ops that it has: softmax and log_softmax as maxima,
// sums and exponentials; onehot and write as comparisons. The results are those of the reference interpreter
// within rounding.
#pragma once

#include "ir/graph.h"

namespace heed::backend {

ir::Graph Expand(const ir::Graph& graph);

}  // namespace heed::backend
