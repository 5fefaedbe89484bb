// Which values are used only under a condition: in a branch that may not be taken, or under a mask.
//
// What is not needed may be anything, infinite or no number; a cotangent that is 0 for that reason must stay
// 0 whatever it is multiplied by. Values that are always needed, nearly all of a Transformer's, take no
// guard. Padding does not count: sums over ragged axes are masked by construction. Keys of an attention count
// as needed if its mask lets some query see each of them.
#pragma once

#include <span>
#include <vector>

#include "ir/graph.h"

namespace heed::passes {

struct Use {
  enum class Kind {
    Never,
    When,     ///< at most where `condition` holds, whose axes the value has
    Unknown,  ///< under a condition that varies along other axes too
    Always,
  } kind = Kind::Never;
  ir::NodeId condition = {};
};

/// By number of the nodes that `graph` has now: how `roots` use each. Adds nodes for conditions.
std::vector<Use> UsesOf(ir::Graph& graph, std::span<const ir::NodeId> roots);

}  // namespace heed::passes
