// A chart of series over the steps of training, as a part of an SVG: axes with round numbers, lines in the
// colours of their logs. Which series make a chart is curves.h's business.
#pragma once

#include <string>
#include <vector>

#include "runtime/commands/ticks.h"
#include "runtime/commands/training_log.h"

namespace heed {

/// How a series is drawn.
enum class CurveKind {
  Line,    ///< as it is
  Noisy,   ///< every step faintly, and the mean of those around it
  Points,  ///< dashes between points: what is measured now and then
};
struct ChartCurve {
  const Series* series = nullptr;
  CurveKind kind = CurveKind::Line;
  size_t colour = 0;  ///< the class c0, c1 ... of its style
};
struct Chart {
  std::string title;
  std::vector<ChartCurve> curves;
  bool logarithmic = false;  ///< of numbers above 0; others are left out
  bool from_zero = false;
  double first_step = 0, last_step = 1;  ///< of its axis
};
/// Width and height in pixels, all included.
struct ChartSize {
  double width = 0, height = 0;
};

/// A <g> whose corner is at (x, y). Its data-* attributes say where its steps lie, for a page's script.
std::string DrawChart(const Chart& chart, double x, double y, ChartSize size);

/// Steps that a mean of a noisy series is taken over: one in fifty.
size_t MeanSteps(const Series& series);
/// The mean around each element, over MeanSteps of them (fewer at the ends).
std::vector<double> RunningMean(const Series& series);

}  // namespace heed
