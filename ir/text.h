// The textual form of graphs (.hir), which round-trips.
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

}  // namespace heed::ir
