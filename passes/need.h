// Need: which elements of a value a graph's outputs really use.
//
// An element is needed if it is an output, or a needed element uses it, except that a select needs only the
// branch it takes, `p and q` needs q only where p holds, `p or q` only where it doesn't, a reduction needs
// what its predicate leaves, a contraction only terms that neither a softmax's predicate nor a select to 0
// takes away, and a read needs what it reads. Multiplying by 0 is no guard.
//
// Conditions that chain over many elements of other values (a key needed by some query that is needed by some
// query of the next layer ...) are cut off and taken as met: more may count as needed than is, never less.
//
// What is left alone: padding (a reduction over a ragged axis is masked by construction), and fused ops,
// which need all of what they are given; so this runs before attention is fused.
#pragma once

#include <map>
#include <vector>

#include "ir/graph.h"

namespace heed::passes {

/// Conditions under which elements of one value are needed, any of which is enough. Each is a truth value of
/// the graph: along axes that the value lacks, "there is an element for which it holds". A condition that is
/// no node always holds; no condition at all: nothing is needed.
using Ways = std::vector<ir::NodeId>;

/// The ways of every value among `of` and of whatever uses them on the way to the graph's outputs. Adds nodes
/// to the graph; its outputs stay.
std::map<ir::NodeId, Ways> Needs(ir::Graph& graph, const std::vector<ir::NodeId>& of);

}  // namespace heed::passes
