// Reverse-mode differentiation of graphs.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace heed::passes {

/// Adds to `graph` the cotangents of `wrt` given those of the seeds (value, cotangent); absent where none
/// arrives. `total`: every cotangent is summed and broadcast to the axes of its value. Without it cotangents
/// keep the axes they come with, for expressions whose sums are taken elsewhere (the score of a fused
/// attention). A value's cotangents are added in one fixed order: that of its users, the last first.
std::map<ir::NodeId, ir::NodeId> Backward(ir::Graph& graph,
                                          const std::vector<std::pair<ir::NodeId, ir::NodeId>>& seeds,
                                          const std::vector<ir::NodeId>& wrt, bool total);

}  // namespace heed::passes
