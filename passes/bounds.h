// Reads past an end, y[t + 1]: proved to be out of sight or refused.
#pragma once

#include <vector>

#include "passes/pass.h"

namespace heed::passes {

/// Complaints of kind "PastTheEnd", one a read, about one example's graph.
std::vector<Complaint> ReadsPastTheEnd(const ir::Graph& graph);

}  // namespace heed::passes
