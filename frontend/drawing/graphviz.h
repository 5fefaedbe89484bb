// Graphviz: its program `dot` gives boxes places and wires curves.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "frontend/drawing/layout.h"

namespace heed::drawing {

/// A graph as `dot` has placed it. Points, y grows downwards.
struct PlacedGraph {
  double width = 0, height = 0;
  std::map<std::string, Point> centres;      ///< of nodes, by name
  std::map<int, std::vector<Point>> curves;  ///< of edges, by the number in their colour
};

/// `color` of an edge: what finds it again in the result.
std::string EdgeColour(int number);

struct GraphvizRun {
  bool too_slow = false;
  std::vector<PlacedGraph> graphs;  ///< one for each in the source
};
/// Lays out all graphs of a source. An error if `dot` is missing or fails.
Result<GraphvizRun> RunGraphviz(const std::string& source, int seconds);

/// Has rsvg-convert make a drawing of another format ("png", "pdf") of an SVG.
Status ConvertSvg(const std::string& svg, const std::string& format, const std::string& output);

}  // namespace heed::drawing
