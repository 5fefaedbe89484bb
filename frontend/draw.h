// Pictures of graphs: Graphviz's `dot` makes them of its source (ir/text.h).
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace heed::frontend {

/// Has `dot` write `output` in a format such as "svg".
Status RunGraphviz(const std::string& dot, const std::string& format, const std::string& output);

}  // namespace heed::frontend
