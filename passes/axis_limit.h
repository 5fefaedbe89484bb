// Operations over more axes than kernels take.
#pragma once

#include <vector>

#include "passes/pass.h"

namespace heed::passes {

/// A complaint about the first operation of `graph` that walks more than ir::kMostAxes: "TooManyAxes".
std::vector<Complaint> TooManyAxes(const ir::Graph& graph);

}  // namespace heed::passes
