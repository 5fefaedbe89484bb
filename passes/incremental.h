// What decoding by steps needs of a generate entry, and what it cannot do.
#pragma once

#include <vector>

#include "passes/pass.h"

namespace heed::passes {

/// Of one example's graph that is causal: values that a step could not compute from one row a position. Kind
/// "NotCausal".
std::vector<Complaint> NotIncremental(const ir::Graph& graph);

}  // namespace heed::passes
