// Runs `dot` and reads its plain format: a line for each node and edge, lengths in inches.
#include "frontend/drawing/graphviz.h"

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "frontend/files.h"
#include "runtime/base/child.h"

namespace heed::drawing {
namespace {

constexpr double kPoints = 72;  // in an inch

double Length(std::istringstream& words) {
  std::string word;
  words >> word;
  return std::strtod(word.c_str(), nullptr) * kPoints;
}

void ReadEdge(std::istringstream& words, PlacedGraph& graph) {
  std::string tail, head, count;
  words >> tail >> head >> count;
  std::vector<Point> curve(static_cast<size_t>(std::atoi(count.c_str())));
  for (Point& point : curve) {
    point.x = Length(words);
    point.y = graph.height - Length(words);
  }
  std::string style, colour;
  words >> style >> colour;
  const size_t hash = colour.find('#');
  if (hash == colour.npos) return;
  graph.curves[static_cast<int>(std::strtol(colour.c_str() + hash + 1, nullptr, 16))] = std::move(curve);
}

std::vector<PlacedGraph> ReadPlain(const std::string& text) {
  std::vector<PlacedGraph> graphs;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string what;
    words >> what;
    if (what == "graph") {
      graphs.emplace_back();
      words >> what;  // the scale
      graphs.back().width = Length(words);
      graphs.back().height = Length(words);
    } else if (what == "node" && !graphs.empty()) {
      std::string name;
      words >> name;
      const double x = Length(words), y = Length(words);
      graphs.back().centres[name] = {x, graphs.back().height - y};
    } else if (what == "edge" && !graphs.empty()) {
      ReadEdge(words, graphs.back());
    }
  }
  return graphs;
}

}  // namespace

std::string EdgeColour(int number) {
  char text[16];
  std::snprintf(text, sizeof text, "\"#%06x\"", static_cast<unsigned>(number));
  return text;
}

Result<GraphvizRun> RunGraphviz(const std::string& source, int seconds) {
  const std::string program = OnPath("dot");
  if (program.empty()) {
    return Error{
        "drawing needs Graphviz (its command `dot` was not found); install the package graphviz, or write a "
        ".dot file"};
  }
  const Result<ChildEnd> end = RunChild({program, "-Tplain"}, source, /*errors=*/false, seconds);
  if (!end) return end.error();
  GraphvizRun run;
  run.too_slow = end->too_slow;
  if (run.too_slow) return run;
  if (end->status != 0) return Error{"dot failed on the drawing; write a .dot file to look at the graph"};
  run.graphs = ReadPlain(end->output);
  return run;
}

Status ConvertSvg(const std::string& svg, const std::string& format, const std::string& output) {
  const std::string program = OnPath("rsvg-convert");
  if (program.empty()) {
    return Error{
        "drawing " + format +
        " needs rsvg-convert, which was not found; install the package librsvg2-bin, or write an .svg "
        "file"};
  }
  std::vector<std::string> command = {program, "--format", format};
  if (format == "png") command.insert(command.end(), {"--zoom", "2"});
  const Result<ChildEnd> end = RunChild(command, svg, /*errors=*/false);
  if (!end) return end.error();
  if (end->status != 0) return Error{"rsvg-convert failed on the drawing; write an .svg file"};
  return frontend::WriteText(output, end->output);
}

}  // namespace heed::drawing
