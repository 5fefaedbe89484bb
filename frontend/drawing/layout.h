// Places for everything in a model: each module is laid out by itself, innermost first, and is a box of known
// size in its parent.
//
// Wires of a gradient are ranked against their direction, so that forward and gradient share one order: the
// forward part reads upwards, its gradient downwards beside it. Units are points (1/72 inch), y grows
// downwards.
#pragma once

#include <string>
#include <vector>

#include "frontend/drawing/model.h"
#include "runtime/base/result.h"

namespace heed::drawing {

struct Point {
  double x = 0, y = 0;
};

struct Rectangle {
  double x = 0, y = 0, width = 0, height = 0;
};

/// A stretch of a wire within one module; stretches meet on the modules' borders.
struct Line {
  int wire = 0;               ///< in Model::wires: the first of those that share the stretch
  int from = -1, to = -1;     ///< boxes that it leaves or ends at; -1: a border
  bool straight = false;      ///< corners instead of a curve
  std::vector<Point> points;  ///< of a curve: a start, then three for each cubic
};

struct Layout {
  double width = 0, height = 0;
  std::vector<Rectangle> boxes;    ///< as Model::boxes
  std::vector<Rectangle> modules;  ///< as Model::modules; the first is all of the drawing
  std::vector<Line> lines;
  std::vector<std::string> remarks;  ///< what could not be done, for people
};

// Letters, in points.
inline constexpr double kLetters = 12, kSmallLetters = 11;

/// The lines that a box shows, with their sizes.
struct TextLine {
  std::string text;
  double size = kLetters;
};
std::vector<TextLine> LinesOf(const Model& model, const Box& box);
/// What stands above an open module: "h  Block × 12, 7.1 M each".
/// and if it was measured, its share of the time.
std::string TitleOf(const Model& model, int module);

/// Runs Graphviz once for each depth of nesting, for at most `seconds` in all. Modules that are too large for
/// that are closed in `model`, and a remark says so. An error if Graphviz is missing or the outermost module
/// is too large.
Result<Layout> LayOut(Model& model, int seconds = 18);

}  // namespace heed::drawing
