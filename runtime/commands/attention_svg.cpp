// See attention_svg.h. Sizes are in pixels. Cells and lines of (nearly) equal strength are one path, so that
// a picture of many heads stays small; 50 strengths are more than an eye tells apart. Widths of names are
// guessed from their characters: no font is read.
#include "runtime/commands/attention_svg.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/commands/svg.h"
#include "runtime/text/labels.h"

namespace heed {
namespace {

constexpr int kStrengths = 50;
constexpr double kPageWidth = 1500, kMargin = 16, kBetween = 28, kTitle = 26;
constexpr int64_t kNameWidth = 18;  // columns
constexpr float kFaintestLine = 0.01f;

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
    const double title = static_cast<double>(DisplayWidth(map.title) + DisplayWidth(Axes())) * 7.4 + 16;
    width_ = std::max(width_, title);
  }
  double width() const { return width_; }
  double height() const { return height_; }
  const AttentionMap& map() const { return map_; }

  std::string Draw(double x, double y) const {
    std::string out = "<g transform=\"translate(" + Pixels(x) + "," + Pixels(y) + ")\" font-size=\"" +
                      Pixels(font_) + "\">\n";
    out += "<text class=\"title\" x=\"0\" y=\"13\">" + Escaped(map_.title) +
           "<tspan class=\"dim\" dx=\"8\">" + Escaped(Axes()) + "</tspan></text>\n";
    out += style_ == AttentionStyle::Heat ? Heat() : Lines();
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
        paths[static_cast<size_t>(strength)] += "M" + Pixels(left_ + static_cast<double>(c) * pitch_) + " " +
                                                Pixels(top_ + static_cast<double>(r) * pitch_) + "h" +
                                                Pixels(pitch_) + "v" + Pixels(pitch_) + "h-" +
                                                Pixels(pitch_) + "z";
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
        paths[static_cast<size_t>(StrengthOf(Weight(r, c)))] +=
            "M" + Pixels(left_) + " " + Pixels(RowMiddle(r)) + "L" + Pixels(left_ + span_) + " " +
            Pixels(RowMiddle(c));
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
.frame { fill: none; stroke: #b4bcc6 }
@media (prefers-color-scheme: dark) {
  text { fill: #dfe4ea } .dim { fill: #929ba6 }
  .page { fill: #14171b } .cell { fill: #79b8ff } .line { stroke: #79b8ff } .frame { stroke: #4a525c }
}
</style>
)";

}  // namespace

std::string AttentionSvg(std::span<const AttentionMap> maps, AttentionStyle style) {
  std::vector<Panel> panels;
  for (const AttentionMap& map : maps) panels.emplace_back(map, style);
  // Rows of panels: a new one where the page is full, and for a site that has several.
  const auto several = [&](size_t i) {
    const auto same = [&](size_t j) { return j < panels.size() && maps[j].site == maps[i].site; };
    return same(i + 1) || (i > 0 && same(i - 1));
  };
  std::string body;
  double x = kMargin, y = kMargin, lowest = kMargin, widest = 0;
  for (size_t i = 0; i < panels.size(); ++i) {
    const bool full = x > kMargin && x + panels[i].width() + kMargin > kPageWidth;
    const bool next = i > 0 && maps[i].site != maps[i - 1].site && (several(i) || several(i - 1));
    if (full || next) {
      x = kMargin;
      y = lowest + kBetween;
    }
    body += panels[i].Draw(x, y);
    x += panels[i].width() + kBetween;
    lowest = std::max(lowest, y + panels[i].height());
    widest = std::max(widest, x - kBetween + kMargin);
  }
  const std::string width = Pixels(widest), height = Pixels(lowest + kMargin);
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
         width + "\" height=\"" + height + "\" viewBox=\"0 0 " + width + " " + height + "\">\n" + kLook +
         "<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n" + body + "</svg>\n";
}

}  // namespace heed
