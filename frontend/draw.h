// Drawings beyond one graph's Graphviz source (ir/text.h): several in one picture, and pictures made by
// `dot`.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "runtime/base/result.h"

namespace heed::frontend {

/// (title, Graphviz source) of several graphs as one source, each a cluster with its title. One alone stays
/// as it is.
std::string JoinDrawings(const std::vector<std::pair<std::string, std::string>>& drawings);

/// Has `dot` write `output` in a format such as "svg".
Status RunGraphviz(const std::string& dot, const std::string& format, const std::string& output);

}  // namespace heed::frontend
