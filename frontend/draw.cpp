// Runs `dot` on the source and keeps what it writes.
#include "frontend/draw.h"

#include "frontend/files.h"
#include "runtime/base/child.h"

namespace heed::frontend {

Status RunGraphviz(const std::string& dot, const std::string& format, const std::string& output) {
  const std::string program = OnPath("dot");
  if (program.empty()) {
    return Error{"drawing " + format +
                 " needs Graphviz (its command `dot` was not found); install it, or write a .dot file"};
  }
  const Result<ChildEnd> end = RunChild({program, "-T" + format}, dot, /*errors=*/false);
  if (!end) return end.error();
  if (end->status != 0) return Error{"dot failed on the drawing; write a .dot file to look at its source"};
  return WriteText(output, end->output);
}

}  // namespace heed::frontend
