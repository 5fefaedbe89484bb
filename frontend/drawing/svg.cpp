// See svg.h. Colours stand in attributes; for readers of dark pages a style sheet overrides them, which
// programs that know no such pages ignore.
#include "frontend/drawing/svg.h"

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "frontend/drawing/legend.h"
#include "frontend/drawing/paper.h"
#include "frontend/drawing/text_width.h"
#include "runtime/base/markup.h"

namespace heed::drawing {
namespace {

constexpr double kMargin = 10, kHeading = 24, kGap = 40, kLeastWidth = 360;
constexpr double kLegendRow = 17, kSample = 22;

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

std::string At(Point point) { return Number(point.x) + " " + Number(point.y); }

/// An entry of the legend in its place.
struct PlacedEntry {
  LegendEntry entry;
  std::string text;
  Point at;
  bool sample = false;  ///< has one; false for further lines of a long text
};

struct PlacedLegend {
  std::vector<PlacedEntry> entries;
  double height = 0;
};

/// In rows of a width; long texts go on in the next row.
PlacedLegend PlaceLegend(const std::vector<LegendEntry>& legend, double width) {
  PlacedLegend placed;
  Point at{0, kLegendRow};
  for (const LegendEntry& entry : legend) {
    const bool sample = entry.box || entry.wire;
    std::istringstream words(entry.text);
    std::string line, word;
    const double indent = sample ? kSample + 4 : 0;
    const double whole = indent + TextWidth(entry.text, kSmallLetters);
    if (at.x > 0 && at.x + whole > width) at = {0, at.y + kLegendRow};
    const auto flush = [&](bool more) {
      placed.entries.push_back({entry, line, at, sample});
      at.x += indent + TextWidth(line, kSmallLetters) + 16;
      if (more) at = {0, at.y + kLegendRow};
      line.clear();
    };
    while (words >> word) {
      if (!line.empty() && indent + TextWidth(line + " " + word, kSmallLetters) > width) flush(true);
      line += (line.empty() ? "" : " ") + word;
    }
    flush(false);
  }
  placed.height = legend.empty() ? 0 : at.y + 6;
  return placed;
}

class Writer {
 public:
  explicit Writer(Theme theme) : theme_(theme) {}

  std::string Write(const std::vector<Drawing>& drawings) {
    std::vector<std::vector<LegendEntry>> legends;
    for (const Drawing& drawing : drawings) legends.push_back(LegendOf(drawing.model));
    const SharedLegend split = ShareLegends(legends);
    std::vector<PlacedLegend> own;
    std::vector<Point> sizes;
    for (size_t i = 0; i < drawings.size(); ++i) {
      const Layout& layout = drawings[i].layout;
      const double across = std::max(layout.width, kLeastWidth);
      own.push_back(PlaceLegend(split.own[i], across));
      sizes.push_back({across, kHeading + layout.height + own.back().height});
    }
    double width = 0, height = kMargin;
    size_t next = 0;
    for (const size_t count : RowsOnPaper(sizes, kGap)) {
      double x = kMargin, tallest = 0;
      for (const size_t end = next + count; next < end; ++next) {
        Body(drawings[next], own[next], {x, height});
        tallest = std::max(tallest, sizes[next].y);
        x += sizes[next].x + kGap;
      }
      width = std::max(width, x - kGap + kMargin);
      height += tallest + kGap;
    }
    height += kMargin - kGap;
    if (!split.shared.empty()) {
      const PlacedLegend shared = PlaceLegend(split.shared, width - 2 * kMargin);
      WriteLegend(shared, {kMargin, height});
      height += shared.height + kMargin;
    }
    std::string title;
    for (const Drawing& drawing : drawings) title += (title.empty() ? "" : "; ") + drawing.model.title;
    const std::string size = Number(width) + "\" height=\"" + Number(height);
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + size + "\" viewBox=\"0 0 " + Number(width) +
           " " + Number(height) +
           "\" font-family=\"Helvetica, Arial, 'Liberation Sans', sans-serif\">\n<title>" +
           EscapeMarkup(title) + "</title>\n" + Style() + Markers() + "<rect class=\"page\" width=\"" + size +
           "\"" + Fill("page") + "/>\n" + out_ + "</svg>\n";
  }

 private:
  std::string Value(std::string_view role) const {
    const Colour& colour = ColourOf(role);
    return std::string(theme_ == Theme::Dark ? colour.dark : colour.light);
  }
  std::string Fill(std::string_view role) const { return " fill=\"" + Value(role) + "\""; }
  std::string Stroke(std::string_view role) const { return " stroke=\"" + Value(role) + "\""; }

  std::string Style() const {
    if (theme_ != Theme::Auto) return "";
    std::string style = "<style>@media (prefers-color-scheme: dark) {\n";
    for (const Colour& colour : Colours()) {
      const std::string role(colour.role), dark(colour.dark);
      style += "." + role + " { fill: " + dark + " } .on-" + role + " { stroke: " + dark + " }\n";
    }
    return style + "}</style>\n";
  }

  std::string Markers() const {
    std::string markers = "<defs>";
    for (std::string_view role : {"line", "gradient", "saved"})
      markers += "<marker id=\"tip-" + std::string(role) +
                 "\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" markerWidth=\"6\" markerHeight=\"6\" "
                 "orient=\"auto\"><path class=\"" +
                 std::string(role) + "\" d=\"M0 0.5L8 4L0 7.5z\"" + Fill(role) + "/></marker>";
    return markers + "</defs>\n";
  }

  /// `classes`: the first is the colour.
  void Text(Point at, const std::string& text, double size, std::string_view classes,
            const std::string& more = "") {
    const std::string_view role = classes.substr(0, classes.find(' '));
    out_ += "<text class=\"" + std::string(classes) + "\" x=\"" + Number(at.x) + "\" y=\"" + Number(at.y) +
            "\" font-size=\"" + Number(size) + "\"" + Fill(role) + more + ">" + EscapeMarkup(text) +
            "</text>\n";
  }

  void Body(const Drawing& drawing, const PlacedLegend& legend, Point corner) {
    const auto& [model, layout] = drawing;
    out_ += "<g class=\"drawing\" transform=\"translate(" + At(corner) + ")\">\n";
    Text({0, 14}, model.title, kLetters, "ink", " font-weight=\"bold\"");
    const double left = std::max(0.0, (kLeastWidth - layout.width) / 2);
    out_ += "<g transform=\"translate(" + At({left, kHeading}) + ")\">\n";
    for (size_t i = 1; i < model.modules.size(); ++i) WriteFrame(model.modules[i], layout.modules[i]);
    for (const Line& line : layout.lines) WriteLine(model, line);
    for (size_t i = 1; i < model.modules.size(); ++i)
      WriteTitle(model, static_cast<int>(i), layout.modules[i]);
    for (size_t i = 0; i < model.boxes.size(); ++i) WriteBox(model, model.boxes[i], layout.boxes[i]);
    out_ += "</g>\n";
    WriteLegend(legend, {0, kHeading + layout.height});
    out_ += "</g>\n";
  }

  void WriteLegend(const PlacedLegend& legend, Point corner) {
    out_ += "<g class=\"legend\" transform=\"translate(" + At(corner) + ")\">\n";
    for (const PlacedEntry& entry : legend.entries) WriteEntry(entry);
    out_ += "</g>\n";
  }

  void WriteFrame(const Module& module, const Rectangle& at) {
    const auto outline = [&](double x, double y) {
      out_ += "<rect class=\"open on-line\" x=\"" + Number(at.x + x) + "\" y=\"" + Number(at.y + y) +
              "\" width=\"" + Number(at.width) + "\" height=\"" + Number(at.height) + "\" rx=\"8\"" +
              Fill("open") + Stroke("line") + "/>\n";
    };
    if (module.count > 1) outline(4, -4);
    outline(0, 0);
  }

  /// With a halo, since a wire may pass behind it.
  void WriteTitle(const Model& model, int index, const Rectangle& at) {
    const Module& module = model.modules[index];
    std::string tip = module.path;
    if (!module.layers.empty()) tip += ", layers " + module.layers;
    if (module.parameters != 0) tip += ", " + LongNumber(module.parameters) + " numbers in parameters";
    if (model.scale) tip += "\n" + WorkText(WorkIn(model, index), *model.scale);
    if (!module.place.empty()) tip += "\n" + module.place;
    out_ += "<g class=\"module\"><title>" + EscapeMarkup(tip) + "</title>";
    Text({at.x + 8, at.y + 14}, TitleOf(model, index), kLetters, "ink on-open",
         " font-weight=\"bold\" paint-order=\"stroke\" stroke-width=\"4\"" + Stroke("open"));
    out_ += "</g>\n";
  }

  static std::string_view LineRole(Wire::Kind kind) {
    return kind == Wire::Kind::Gradient ? "gradient" : kind == Wire::Kind::Saved ? "saved" : "line";
  }

  std::string Path(const std::string& d, Wire::Kind kind, bool tip) const {
    const std::string role(LineRole(kind));
    const char* const dashes = kind == Wire::Kind::Saved     ? " stroke-dasharray=\"2 3\""
                               : kind == Wire::Kind::Carried ? " stroke-dasharray=\"6 4\""
                                                             : "";
    return "<path class=\"on-" + role + "\" d=\"" + d + "\" fill=\"none\"" + Stroke(role) + dashes +
           (tip ? " marker-end=\"url(#tip-" + role + ")\"" : "");
  }

  void WriteLine(const Model& model, const Line& line) {
    const Wire& wire = model.wires[line.wire];
    std::string d = "M" + At(line.points[0]) + (line.straight ? "L" : "C");
    for (size_t i = 1; i < line.points.size(); ++i) d += (i > 1 ? " " : "") + At(line.points[i]);
    const Box& from = model.boxes[wire.from];
    const std::string tip = from.label + (from.tip.empty() ? "" : "\n" + from.tip);
    out_ += Path(d, wire.kind, line.to >= 0) + "><title>" + EscapeMarkup(tip) + "</title></path>\n";
  }

  /// The outline of a box: what it is can be seen without colours.
  std::string Shape(Kind kind, const Rectangle& at, const std::string& rest) const {
    const double right = at.x + at.width, bottom = at.y + at.height;
    if (kind == Kind::Parameter) {  // a note with a corner turned down
      const double fold = 6;
      return "<path d=\"M" + At({at.x, at.y}) + "L" + At({right - fold, at.y}) + "L" +
             At({right, at.y + fold}) + "L" + At({right, bottom}) + "L" + At({at.x, bottom}) + "ZM" +
             At({right - fold, at.y}) + "L" + At({right - fold, at.y + fold}) + "L" +
             At({right, at.y + fold}) + "\"" + rest + "/>";
    }
    if (kind == Kind::Cache) {  // a cylinder
      const std::string arc = "A" + At({at.width / 2, 4}) + " 0 0 ";
      const double top = at.y + 3, low = bottom - 3;
      return "<path d=\"M" + At({at.x, top}) + arc + "1 " + At({right, top}) + "L" + At({right, low}) + arc +
             "1 " + At({at.x, low}) + "ZM" + At({at.x, top}) + arc + "0 " + At({right, top}) + "\"" + rest +
             "/>";
    }
    const bool end = kind == Kind::Input || kind == Kind::Output || kind == Kind::Sum;
    return "<rect x=\"" + Number(at.x) + "\" y=\"" + Number(at.y) + "\" width=\"" + Number(at.width) +
           "\" height=\"" + Number(at.height) + "\" rx=\"" + (end ? "11" : "4") + "\"" + rest + "/>";
  }

  std::string Outline(std::string_view role, bool gradient, bool dashed) const {
    const std::string inside(role), line = gradient ? "gradient" : "line";
    return " class=\"" + inside + " on-" + line + "\"" + Fill(inside) + Stroke(line) +
           (dashed ? " stroke-dasharray=\"4 3\"" : "");
  }

  void WriteBox(const Model& model, const Box& box, const Rectangle& at) {
    std::string tip = box.label;
    const std::string work = model.scale ? WorkText(box.work, *model.scale) : "";
    for (const std::string& more : {work, box.tip, box.place})
      if (!more.empty()) tip += "\n" + more;
    out_ +=
        "<g class=\"box\"><title>" + EscapeMarkup(tip) + "</title>" +
        Shape(box.kind, at, Outline(RoleOf(model, box), box.gradient, box.reference || !box.only.empty())) +
        "\n";
    double y = at.y + 2;
    for (const TextLine& line : LinesOf(model, box)) {
      y += line.size + 3;
      const bool plain = line.size == kLetters || model.scale;  // pale letters are lost on hot boxes
      Text({at.x + at.width / 2, y - 2}, line.text, line.size, plain ? "ink" : "soft",
           " text-anchor=\"middle\"");
    }
    out_ += "</g>\n";
  }

  void WriteEntry(const PlacedEntry& placed) {
    const LegendEntry& entry = placed.entry;
    const Rectangle sample{placed.at.x + 1, placed.at.y - 11, kSample - 2, 13};
    if (placed.sample && entry.box)
      out_ += Shape(*entry.box, sample, Outline(entry.role, false, entry.reference)) + "\n";
    if (placed.sample && entry.wire) {
      const double y = placed.at.y - 4;
      out_ +=
          Path("M" + At({sample.x, y}) + "L" + At({sample.x + sample.width, y}), *entry.wire, true) + "/>\n";
    }
    Text({placed.at.x + (placed.sample ? kSample + 4 : 0), placed.at.y}, placed.text, kSmallLetters, "soft");
  }

  const Theme theme_;
  std::string out_;
};

}  // namespace

std::string Svg(const std::vector<Drawing>& drawings, Theme theme) { return Writer(theme).Write(drawings); }

}  // namespace heed::drawing
