// The textual form of graphs (.hir), which round-trips, and drawings of them.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "runtime/base/result.h"

namespace heed::ir {

/// One line a node in Order(), regions nested; axes table first, outputs last.
std::string Print(const Graph& graph);

/// What Print gives, back; an error names its line.
Result<std::shared_ptr<Graph>> ParseGraph(std::string_view text);

struct DrawOptions {
  bool unroll = false;  ///< false: equal layers folded into one cluster marked "x 6"
  std::string title = {};
};
/// Graphviz source: modules as nested clusters, axes on the edges, constants folded into their users' labels.
std::string Dot(const Graph& graph, const DrawOptions& options);

struct Picture {
  std::shared_ptr<const Graph> graph;
  std::string title;
};
/// Several graphs in one picture, each a cluster with its title; one alone is drawn as above.
std::string Dot(const std::vector<Picture>& pictures, bool unroll);

}  // namespace heed::ir
