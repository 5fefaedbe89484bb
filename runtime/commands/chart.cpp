// See chart.h. A long series is thinned to two points a pixel, the smallest and the largest that fall there.
#include "runtime/commands/chart.h"

#include <algorithm>
#include <cmath>

#include "runtime/commands/svg.h"

namespace heed {
namespace {

constexpr double kLeft = 62, kRight = 20, kTop = 30, kBottom = 40;

/// Where steps and values lie within the <g>.
struct Frame {
  Scale steps, values;
  double left = kLeft, right = 0, top = kTop, bottom = 0;

  double X(double step) const { return left + steps.At(step) * (right - left); }
  /// A little beyond the frame at most, so that no coordinate is out of reach.
  double Y(double value) const { return bottom - std::clamp(values.At(value), -0.5, 1.5) * (bottom - top); }
};

/// The range that is shown. Of a noisy series what one step in five hundred reaches is cut off: the first
/// steps and single outliers would leave the rest flat.
class Range {
 public:
  explicit Range(bool logarithmic) : logarithmic_(logarithmic) {}

  void Add(const ChartCurve& curve) {
    if (curve.kind == CurveKind::Noisy) {
      for (const double mean : RunningMean(*curve.series)) Add(mean);
      std::vector<double> sorted = curve.series->values;
      std::ranges::sort(sorted);
      const size_t cut = sorted.size() / 500;
      if (!sorted.empty()) Add(sorted[cut]), Add(sorted[sorted.size() - 1 - cut]);
    } else {
      for (const double value : curve.series->values) Add(value);
    }
  }
  Scale Of(const Chart& chart, int ticks) const {
    if (!(low_ <= high_)) return LinearScale(0, 1, ticks);
    if (chart.logarithmic) return LogarithmicScale(low_, high_, ticks);
    const bool zero = low_ >= 0 && (chart.from_zero || low_ < 0.4 * high_);
    return LinearScale(zero ? 0 : low_, high_, ticks);
  }

 private:
  void Add(double value) {
    if (logarithmic_ && !(value > 0)) return;
    low_ = std::min(low_, value);
    high_ = std::max(high_, value);
  }
  bool logarithmic_;
  double low_ = HUGE_VAL, high_ = -HUGE_VAL;
};

Frame FrameOf(const Chart& chart, ChartSize size) {
  Frame frame;
  frame.right = size.width - kRight;
  frame.bottom = size.height - kBottom;
  Range range(chart.logarithmic);
  for (const ChartCurve& curve : chart.curves) range.Add(curve);
  frame.steps = StepScale(chart.first_step, chart.last_step, static_cast<int>(size.width / 90));
  frame.values = range.Of(chart, static_cast<int>(size.height / 45));
  return frame;
}

/// A line through points; one that is not above 0 on a logarithmic axis makes a gap.
class PathWriter {
 public:
  explicit PathWriter(const Frame& frame) : frame_(frame) {}
  void Add(double step, double value) {
    if (frame_.values.logarithmic && !(value > 0)) {
      open_ = false;
      return;
    }
    const std::string point = Pixels(frame_.X(step)) + " " + Pixels(frame_.Y(value));
    if (open_ && point == last_) return;
    path_ += (open_ ? "L" : "M") + point;
    open_ = true;
    last_ = point;
  }
  /// Through the least and the greatest of each pixel.
  void AddAll(const std::vector<double>& steps, const std::vector<double>& values) {
    for (size_t i = 0; i < steps.size();) {
      const double pixel = std::floor(frame_.X(steps[i]));
      size_t end = i, low = i, high = i;
      for (; end < steps.size() && std::floor(frame_.X(steps[end])) == pixel; ++end) {
        if (values[end] < values[low]) low = end;
        if (values[end] > values[high]) high = end;
      }
      Add(steps[std::min(low, high)], values[std::min(low, high)]);
      if (low != high) Add(steps[std::max(low, high)], values[std::max(low, high)]);
      i = end;
    }
  }
  std::string Element(const std::string& classes) const {
    return path_.empty() ? "" : "<path class=\"" + classes + "\" d=\"" + path_ + "\"/>\n";
  }

 private:
  const Frame& frame_;
  std::string path_, last_;
  bool open_ = false;
};

std::string DrawPoints(const Series& series, const Frame& frame, const std::string& colour) {
  std::string out;
  for (size_t i = 0; i < series.steps.size(); ++i) {
    if (frame.values.logarithmic && !(series.values[i] > 0)) continue;
    out += "<circle class=\"point" + colour + "\" cx=\"" + Pixels(frame.X(series.steps[i])) + "\" cy=\"" +
           Pixels(frame.Y(series.values[i])) + "\" r=\"2.5\"/>\n";
  }
  return out;
}

std::string DrawCurve(const ChartCurve& curve, const Frame& frame) {
  constexpr size_t kMostPoints = 200;
  const std::string colour = " c" + std::to_string(curve.colour);
  const Series& series = *curve.series;
  if (series.steps.size() == 1) return DrawPoints(series, frame, colour);
  PathWriter all(frame);
  all.AddAll(series.steps, series.values);
  if (curve.kind == CurveKind::Line) return all.Element("curve" + colour);
  if (curve.kind == CurveKind::Noisy) {
    PathWriter mean(frame);
    mean.AddAll(series.steps, RunningMean(series));
    return all.Element("faint" + colour) + mean.Element("curve" + colour);
  }
  return all.Element("dashed" + colour) +
         (series.steps.size() <= kMostPoints ? DrawPoints(series, frame, colour) : "");
}

std::string DrawAxes(const Chart& chart, const Frame& frame) {
  std::string out = TextAt(0, 14, chart.title, " class=\"title\"");
  for (const Tick& tick : frame.values.ticks) {
    const double y = frame.Y(tick.value);
    out += "<path class=\"grid\" d=\"M" + Pixels(frame.left) + " " + Pixels(y) + "H" + Pixels(frame.right) +
           "\"/>\n" + TextAt(frame.left - 8, y + 4, tick.label, " class=\"tick\" text-anchor=\"end\"");
  }
  for (const Tick& tick : frame.steps.ticks) {
    const double x = frame.X(tick.value);
    out += "<path class=\"axis\" d=\"M" + Pixels(x) + " " + Pixels(frame.bottom) + "v4\"/>\n" +
           TextAt(x, frame.bottom + 17, tick.label, " class=\"tick\" text-anchor=\"middle\"");
  }
  return out +
         TextAt((frame.left + frame.right) / 2, frame.bottom + 33, "step",
                " class=\"tick\" text-anchor=\"middle\"") +
         "<path class=\"axis\" d=\"M" + Pixels(frame.left) + " " + Pixels(frame.bottom) + "H" +
         Pixels(frame.right) + "\"/>\n";
}

std::string Attribute(const char* name, double value) {
  char text[96];
  std::snprintf(text, sizeof text, " data-%s=\"%.17g\"", name, value);
  return text;
}

}  // namespace

size_t MeanSteps(const Series& series) { return std::max<size_t>(1, series.values.size() / 50) | 1; }

std::vector<double> RunningMean(const Series& series) {
  const size_t count = series.values.size(), half = MeanSteps(series) / 2;
  std::vector<double> sums(count + 1), means(count);
  for (size_t i = 0; i < count; ++i) sums[i + 1] = sums[i] + series.values[i];
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i - std::min(half, i), end = std::min(i + half + 1, count);
    means[i] = (sums[end] - sums[begin]) / static_cast<double>(end - begin);
  }
  return means;
}

std::string DrawChart(const Chart& chart, double x, double y, ChartSize size) {
  const Frame frame = FrameOf(chart, size);
  std::string out = "<g class=\"chart\" transform=\"translate(" + Pixels(x) + "," + Pixels(y) + ")\"" +
                    Attribute("left", frame.left) + Attribute("right", frame.right) +
                    Attribute("first", frame.steps.low) + Attribute("last", frame.steps.high) +
                    Attribute("top", frame.top) + Attribute("bottom", frame.bottom) + ">\n" +
                    DrawAxes(chart, frame);
  // What outliers reach beyond the frame is cut at its edge.
  out += "<svg x=\"" + Pixels(frame.left - 3) + "\" y=\"" + Pixels(frame.top - 3) + "\" width=\"" +
         Pixels(frame.right - frame.left + 6) + "\" height=\"" + Pixels(frame.bottom - frame.top + 6) +
         "\" viewBox=\"" + Pixels(frame.left - 3) + " " + Pixels(frame.top - 3) + " " +
         Pixels(frame.right - frame.left + 6) + " " + Pixels(frame.bottom - frame.top + 6) + "\">\n";
  for (const ChartCurve& curve : chart.curves) out += DrawCurve(curve, frame);
  return out + "</svg>\n</g>\n";
}

}  // namespace heed
