// See attention_svg.h. Sizes are in pixels. Cells and lines of (nearly) equal strength are one path, so that
// a picture of many heads stays small; 50 strengths are more than an eye tells apart. What is pointed at says
// its weight, in pictures that are not too large for it. Widths of names are guessed from their characters:
// no font is read.
#include "runtime/commands/attention_svg.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "runtime/commands/svg.h"
#include "runtime/text/labels.h"

namespace heed {
namespace {

constexpr int kStrengths = 50;
constexpr double kPageWidth = 1500, kMargin = 16, kBetween = 28, kTitle = 26;
constexpr int64_t kNameWidth = 18;  // columns
constexpr float kFaintestLine = 0.01f;
constexpr size_t kMostValues = 10'000;  // to be pointed at; some 100 bytes each

std::vector<std::string> Shown(const std::vector<std::string>& names) {
  std::vector<std::string> shown;
  for (const std::string& name : names) shown.push_back(Shortened(name, kNameWidth));
  return shown;
}

double NamesWidth(const std::vector<std::string>& names, double font) {
  int64_t widest = 0;
  for (const std::string& name : names) widest = std::max(widest, DisplayWidth(name));
  return static_cast<double>(widest) * font * 0.6;
}

/// 1 ... kStrengths for what is there, 0 for what is not.
int StrengthOf(float weight) {
  if (!(weight > 0)) return 0;
  return std::clamp(static_cast<int>(std::ceil(static_cast<double>(weight) * kStrengths)), 1, kStrengths);
}

/// One map as it will be drawn.
class Panel {
 public:
  Panel(const AttentionMap& map, AttentionStyle style) : map_(map), style_(style) {
    rows_ = Shown(map.rows);
    columns_ = Shown(map.columns);
    const size_t most = std::max(rows_.size(), columns_.size());
    pitch_ = most <= 16 ? 20 : most <= 32 ? 16 : most <= 64 ? 12 : std::max(4.0, 768.0 / double(most));
    font_ = std::min(12.0, pitch_ - 1);
    left_ = std::ceil(NamesWidth(rows_, font_) + 8);
    if (style == AttentionStyle::Heat) {
      const double names = NamesWidth(columns_, font_);
      top_ = std::ceil(kTitle + names * 0.87 + 10);  // turned by 60 degrees
      width_ = left_ + double(columns_.size()) * pitch_ + names * 0.5 + 8;
      height_ = top_ + double(rows_.size()) * pitch_ + 4;
    } else {
      top_ = kTitle + 4;
      span_ = std::clamp(6 * pitch_, 80.0, 130.0);
      width_ = left_ + span_ + NamesWidth(columns_, font_) + 8;
      height_ = top_ + double(most) * pitch_ + 4;
    }
    FitTitle();
  }
  /// Makes room for the names of others, so that maps stand in line.
  void Align(double left, double top) {
    width_ += left - left_;
    height_ += top - top_;
    left_ = left;
    top_ = top;
    FitTitle();
  }
  double left() const { return left_; }
  double top() const { return top_; }
  size_t count() const { return map_.weights.size(); }

  void FitTitle() {
    const double title = static_cast<double>(DisplayWidth(map_.title) + DisplayWidth(Axes())) * 7.4 + 16;
    width_ = std::max(width_, title);
  }
  double width() const { return width_; }
  double height() const { return height_; }
  const AttentionMap& map() const { return map_; }

  /// `values`: what is pointed at says its weight.
  std::string Draw(double x, double y, bool values) const {
    std::string out = "<g transform=\"translate(" + Pixels(x) + "," + Pixels(y) + ")\" font-size=\"" +
                      Pixels(font_) + "\">\n";
    out += "<text class=\"title\" x=\"0\" y=\"13\">" + Escaped(map_.title) +
           "<tspan class=\"dim\" dx=\"8\">" + Escaped(Axes()) + "</tspan></text>\n";
    out += style_ == AttentionStyle::Heat ? Heat() : Lines();
    if (values) out += Values();
    return out + "</g>\n";
  }

 private:
  std::string Axes() const {
    return map_.query.empty() ? map_.key : map_.query + " \xE2\x86\x92 " + map_.key;
  }
  float Weight(size_t row, size_t column) const { return map_.weights[row * columns_.size() + column]; }
  double RowMiddle(size_t row) const { return top_ + (static_cast<double>(row) + 0.5) * pitch_; }

  std::string RowNames(const std::vector<std::string>& names, double x, const char* anchor) const {
    std::string out;
    for (size_t i = 0; i < names.size(); ++i) out += TextAt(x, RowMiddle(i) + font_ * 0.35, names[i], anchor);
    return out;
  }

  std::string Cell(size_t r, size_t c) const {
    return "M" + Pixels(left_ + static_cast<double>(c) * pitch_) + " " +
           Pixels(top_ + static_cast<double>(r) * pitch_) + "h" + Pixels(pitch_) + "v" + Pixels(pitch_) +
           "h-" + Pixels(pitch_) + "z";
  }
  std::string Line(size_t r, size_t c) const {
    return "M" + Pixels(left_) + " " + Pixels(RowMiddle(r)) + "L" + Pixels(left_ + span_) + " " +
           Pixels(RowMiddle(c));
  }

  /// Unseen, above the others.
  std::string Values() const {
    const bool heat = style_ == AttentionStyle::Heat;
    std::string out;
    for (size_t r = 0; r < rows_.size(); ++r) {
      for (size_t c = 0; c < columns_.size(); ++c) {
        const float weight = Weight(r, c);
        if (!(weight > 0) || (!heat && weight < kFaintestLine)) continue;
        char number[32];
        std::snprintf(number, sizeof number, ": %.3g", static_cast<double>(weight));
        out +=
            std::string("<path class=\"") + (heat ? "cell-value" : "line-value") + "\" d=\"" +
            (heat ? Cell(r, c) : Line(r, c)) + "\"><title>" +
            Escaped(map_.rows[r] + (map_.query.empty() ? "" : " \xE2\x86\x92 ") + map_.columns[c] + number) +
            "</title></path>\n";
      }
    }
    return out;
  }

  std::string Heat() const {
    std::string out = RowNames(rows_, left_ - 5, " text-anchor=\"end\"");
    for (size_t c = 0; c < columns_.size(); ++c) {
      const double x = left_ + (static_cast<double>(c) + 0.5) * pitch_ + font_ * 0.3, y = top_ - 5;
      out += TextAt(x, y, columns_[c], " transform=\"rotate(-60 " + Pixels(x) + " " + Pixels(y) + ")\"");
    }
    std::vector<std::string> paths(kStrengths + 1);
    for (size_t r = 0; r < rows_.size(); ++r) {
      for (size_t c = 0; c < columns_.size(); ++c) {
        const int strength = StrengthOf(Weight(r, c));
        if (strength == 0) continue;
        paths[static_cast<size_t>(strength)] += Cell(r, c);
      }
    }
    out += Paths(paths, "cell", "fill-opacity", false);
    return out + "<rect class=\"frame\" x=\"" + Pixels(left_) + "\" y=\"" + Pixels(top_) + "\" width=\"" +
           Pixels(static_cast<double>(columns_.size()) * pitch_) + "\" height=\"" +
           Pixels(static_cast<double>(rows_.size()) * pitch_) + "\"/>\n";
  }

  std::string Lines() const {
    std::string out =
        RowNames(rows_, left_ - 5, " text-anchor=\"end\"") + RowNames(columns_, left_ + span_ + 5, "");
    std::vector<std::string> paths(kStrengths + 1);
    for (size_t r = 0; r < rows_.size(); ++r) {
      for (size_t c = 0; c < columns_.size(); ++c) {
        if (!(Weight(r, c) >= kFaintestLine)) continue;
        paths[static_cast<size_t>(StrengthOf(Weight(r, c)))] += Line(r, c);
      }
    }
    return out + Paths(paths, "line", "stroke-opacity", true);
  }

  static std::string Paths(const std::vector<std::string>& paths, const char* kind, const char* opacity,
                           bool widths) {
    std::string out;
    for (size_t s = 1; s < paths.size(); ++s) {
      if (paths[s].empty()) continue;
      const double strength = static_cast<double>(s) / kStrengths;
      char text[96];
      std::snprintf(text, sizeof text, "<path class=\"%s\" %s=\"%.2f\"", kind, opacity, strength);
      out += text;
      if (widths) out += " stroke-width=\"" + Pixels(0.6 + 2.4 * strength) + "\"";
      out += " d=\"" + paths[s] + "\"/>\n";
    }
    return out;
  }

  const AttentionMap& map_;
  AttentionStyle style_;
  std::vector<std::string> rows_, columns_;
  double pitch_ = 0, font_ = 0, left_ = 0, top_ = 0, span_ = 0, width_ = 0, height_ = 0;
};

constexpr const char* kLook = R"(<style>
text { font-family: system-ui, "Noto Sans", sans-serif; fill: #1c2128; white-space: pre }
.title { font-size: 13px; font-weight: 600 } .dim { font-weight: 400; fill: #6a737d }
.page { fill: #ffffff } .cell { fill: #0b5cad; shape-rendering: crispEdges } .line { stroke: #0b5cad; fill: none }
.frame { fill: none; stroke: #b4bcc6 } .scale { font-size: 12px } .strong { stop-color: #0b5cad }
.cell-value { fill: none; pointer-events: all } .cell-value:hover { stroke: #c2571a; stroke-width: 1.5 }
.line-value { fill: none; stroke-width: 5; pointer-events: stroke } .line-value:hover { stroke: #c2571a; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #dfe4ea } .dim { fill: #929ba6 }
  .page { fill: #14171b } .cell { fill: #79b8ff } .line { stroke: #79b8ff } .frame { stroke: #4a525c } .strong { stop-color: #79b8ff }
}
</style>
)";

/// Panels in rows and columns: a row ends where the page is full and, so that heads can be compared, before
/// and after a site that has several.
class Grid {
 public:
  Grid(std::span<const AttentionMap> maps, std::vector<Panel>& panels) : maps_(maps), panels_(panels) {
    double left = 0, top = 0;
    for (const Panel& panel : panels_) {
      left = std::max(left, panel.left());
      top = std::max(top, panel.top());
    }
    for (Panel& panel : panels_) panel.Align(left, top);
    constexpr size_t kMostColumns = 40;
    for (size_t columns = std::min(kMostColumns, panels_.size()); columns > 0; --columns) {
      Place(columns);
      if (width() <= kPageWidth) break;
    }
  }
  double width() const {
    double width = 2 * kMargin - kBetween;
    for (const double column : widths_) width += column + kBetween;
    return width;
  }
  /// The panels; `y` moves below them.
  std::string Draw(double& y, bool values) const {
    std::string out;
    double lowest = y;
    for (size_t i = 0; i < panels_.size(); ++i) {
      if (i > 0 && columns_[i] == 0) y = lowest + kBetween;
      double x = kMargin;
      for (size_t column = 0; column < columns_[i]; ++column) x += widths_[column] + kBetween;
      out += panels_[i].Draw(x, y, values);
      lowest = std::max(lowest, y + panels_[i].height());
    }
    y = lowest;
    return out;
  }

 private:
  void Place(size_t most) {
    columns_.assign(panels_.size(), 0);
    widths_.clear();
    const auto several = [&](size_t i) {
      const auto same = [&](size_t j) { return j < maps_.size() && maps_[j].site == maps_[i].site; };
      return same(i + 1) || (i > 0 && same(i - 1));
    };
    for (size_t i = 0; i < panels_.size(); ++i) {
      if (i > 0) {
        const bool parts = maps_[i].site != maps_[i - 1].site && (several(i) || several(i - 1));
        columns_[i] = parts || columns_[i - 1] + 1 == most ? 0 : columns_[i - 1] + 1;
      }
      widths_.resize(std::max(widths_.size(), columns_[i] + 1));
      widths_[columns_[i]] = std::max(widths_[columns_[i]], panels_[i].width());
    }
  }

  std::span<const AttentionMap> maps_;
  std::vector<Panel>& panels_;
  std::vector<size_t> columns_;  // of each panel
  std::vector<double> widths_;   // of each column
};

/// What the strength of the colour means.
std::string ColourScale(double y) {
  constexpr double kLength = 160, kHeight = 10;
  std::string out =
      "<defs><linearGradient id=\"weights\"><stop class=\"strong\" offset=\"0\" stop-opacity=\"0\"/>"
      "<stop class=\"strong\" offset=\"1\"/></linearGradient></defs>\n"
      "<rect class=\"frame\" style=\"fill: url(#weights)\" x=\"" +
      Pixels(kMargin) + "\" y=\"" + Pixels(y) + "\" width=\"" + Pixels(kLength) + "\" height=\"" +
      Pixels(kHeight) + "\"/>\n";
  for (const char* mark : {"0", "0.25", "0.5", "0.75", "1"})
    out += TextAt(kMargin + std::atof(mark) * kLength, y + kHeight + 14, mark,
                  " class=\"scale dim\" text-anchor=\"middle\"");
  return out + TextAt(kMargin + kLength + 12, y + 9, "weight", " class=\"scale dim\"");
}

}  // namespace

std::string AttentionSvg(std::span<const AttentionMap> maps, AttentionStyle style) {
  constexpr double kScaleHeight = 44;
  std::vector<Panel> panels;
  size_t values = 0;
  for (const AttentionMap& map : maps) {
    panels.emplace_back(map, style);
    values += panels.back().count();
  }
  const Grid grid(maps, panels);
  double y = kMargin + kScaleHeight;
  const std::string body = ColourScale(kMargin) + grid.Draw(y, values <= kMostValues);
  const std::string width = Pixels(std::max(grid.width(), 300.0)), height = Pixels(y + kMargin);
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
         width + "\" height=\"" + height + "\" viewBox=\"0 0 " + width + " " + height + "\">\n" + kLook +
         "<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n" + body + "</svg>\n";
}

}  // namespace heed
