// Models in Graphviz's language, for its own programs: modules as nested clusters.
#pragma once

#include <string>
#include <vector>

#include "frontend/drawing/model.h"

namespace heed::drawing {

/// One statement a line. Graphviz knows no two graphs in a drawing, so each of several becomes a cluster, and
/// the names of its nodes and clusters begin with its own.
std::string Dot(const std::vector<Model>& models);

}  // namespace heed::drawing
