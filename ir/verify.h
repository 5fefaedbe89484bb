// Structural invariants of a graph; run after every pass.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace heed::ir {

/// Complaints, empty if all holds: inputs precede users, types are what inference gives, no axis twice; after
/// `batch` also no `length`, and every reduction over a ragged axis carries its length mask.
std::vector<std::string> Verify(const Graph& graph);

}  // namespace heed::ir
