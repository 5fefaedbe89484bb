// Joins drawings by renaming: Graphviz knows no two graphs in a picture, so each becomes a cluster whose
// nodes and clusters carry a prefix. This leans on the form ir::Dot writes (one statement a line). Graphviz
// is a child process that reads its source from a pipe; no shell.
#include "frontend/draw.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "frontend/files.h"
#include "ir/graph.h"

namespace heed::frontend {

namespace {
std::optional<std::string> DrawInto(const std::string& dot, const std::string& format,
                                    const std::string& output) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return std::string("cannot run dot: ") + std::strerror(errno);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
  const std::string format_option = "-T" + format, output_option = "-o" + output;
  const char* arguments[] = {"dot", format_option.c_str(), output_option.c_str(), nullptr};
  pid_t child = 0;
  const int problem =
      posix_spawnp(&child, "dot", &actions, nullptr, const_cast<char* const*>(arguments), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[0]);
  if (problem != 0) {
    close(ends[1]);
    if (problem != ENOENT) return std::string("cannot run dot: ") + std::strerror(problem);
    return "drawing " + format +
           " needs Graphviz (its command `dot` was not found); install it, or write a .dot file";
  }
  signal(SIGPIPE, SIG_IGN);
  size_t written = 0;
  while (written < dot.size()) {
    const ssize_t count = write(ends[1], dot.data() + written, dot.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    written += static_cast<size_t>(count);
  }
  close(ends[1]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) return "dot failed on the drawing; write a .dot file to look at its source";
  return std::nullopt;
}
}  // namespace

std::optional<std::string> RunGraphviz(const std::string& dot, const std::string& format,
                                       const std::string& output) {
  // Not into `output` itself: a failure half-way would leave half a drawing in place of a good one.
  std::error_code ignored;
  std::filesystem::path folder = std::filesystem::temp_directory_path(ignored);
  std::string drawing = ((ignored ? "/tmp" : folder) / "heed-XXXXXX").string();
  const int file = mkstemp(drawing.data());
  if (file < 0) return std::string("cannot make a temporary file: ") + std::strerror(errno);
  close(file);
  std::optional<std::string> problem = DrawInto(dot, format, drawing);
  if (!problem.has_value()) {
    std::ifstream in(drawing, std::ios::binary);
    problem = WriteText(output, {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()});
  }
  unlink(drawing.c_str());
  return problem;
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
