// Joins drawings by renaming: Graphviz knows no two graphs in a picture, so each becomes a cluster whose
// nodes and clusters carry a prefix. This leans on the form ir::Dot writes (one statement a line).
#include "frontend/draw.h"

#include <cctype>
#include <sstream>

#include "frontend/files.h"
#include "ir/graph.h"
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

std::string JoinDrawings(const std::vector<std::pair<std::string, std::string>>& drawings) {
  if (drawings.size() == 1) return drawings[0].second;
  std::string joined = "digraph heed {\n";
  const size_t direction = drawings.empty() ? std::string::npos : drawings[0].second.find("rankdir=");
  if (direction != std::string::npos) {  // counts at the outermost level only
    joined +=
        drawings[0].second.substr(direction, drawings[0].second.find('\n', direction) - direction) + "\n";
  }
  for (size_t i = 0; i < drawings.size(); ++i) {
    const std::string& source = drawings[i].second;
    const std::string prefix = "g" + std::to_string(i) + "_";
    const size_t open = source.find('{');
    const size_t close = source.rfind('}');
    if (open == std::string::npos || close == std::string::npos)
      throw ir::InternalError("no graph in a drawing");
    joined += "subgraph cluster_" + prefix + " {\n";
    // Names of nodes and clusters get a prefix: identifiers at the start of a line, after -> and after
    // subgraph.
    std::istringstream lines(source.substr(open + 1, close - open - 1));
    for (std::string line; std::getline(lines, line);) {
      std::string out;
      bool quoted = false;
      bool first = true;
      for (size_t at = 0; at < line.size();) {
        const char c = line[at];
        if (c == '"' && (at == 0 || line[at - 1] != '\\')) quoted = !quoted;
        if (quoted || !(std::isalpha(static_cast<unsigned char>(c)) || c == '_')) {
          if (!quoted && c == '[') {  // attributes: nothing to rename in the rest
            out += line.substr(at);
            break;
          }
          out += c;
          if (line.compare(at, 2, "->") == 0) first = true;
          ++at;
          continue;
        }
        size_t end = at;
        while (end < line.size() && (std::isalnum(static_cast<unsigned char>(line[end])) || line[end] == '_'))
          ++end;
        std::string word = line.substr(at, end - at);
        at = end;
        const size_t next = line.find_first_not_of(' ', at);
        const bool keyword = word == "node" || word == "edge" || word == "graph";
        if (word == "subgraph") {
          out += word;
          continue;
        }
        if (first && !keyword && (next == std::string::npos || line[next] != '=')) {
          word = word.compare(0, 7, "cluster") == 0 ? "cluster_" + prefix + word.substr(7) : prefix + word;
        } else if (first && !keyword) {  // an attribute of the graph
          out += word + line.substr(at);
          break;
        }
        first = false;
        out += word;
      }
      joined += out + "\n";
    }
    joined += "}\n";
  }
  return joined + "}\n";
}

}  // namespace heed::frontend
