// Memory as a picture: a rectangle for each buffer, as wide as it lives and as high as it is large. Sizes are
// in pixels. What is in use at the peak is strong, the rest faint; a pointer over a rectangle says what it
// is.
#include <algorithm>

#include "runtime/base/names.h"
#include "runtime/commands/memory_map.h"
#include "runtime/commands/svg.h"

namespace heed {
namespace {

constexpr double kWidth = 960, kHeight = 320, kLeft = 84, kTop = 44, kBelow = 44, kRight = 16;

constexpr const char* kLook = R"(<style>
text { font: 12px system-ui, "Noto Sans", sans-serif; fill: #1c2128 } .title { font-weight: 600 }
.page { fill: #ffffff } .frame { fill: none; stroke: #b4bcc6 } .peak { stroke: #b3261e; stroke-dasharray: 4 3 }
.piece { fill: #0b5cad; fill-opacity: 0.15; stroke: #0b5cad; stroke-opacity: 0.35; stroke-width: 0.5 }
.now { fill-opacity: 0.6; stroke-opacity: 0.9 }
@media (prefers-color-scheme: dark) {
  text { fill: #dfe4ea } .page { fill: #14171b } .frame { stroke: #4a525c } .peak { stroke: #ff8a80 }
  .piece { fill: #79b8ff; stroke: #79b8ff }
}
</style>
)";

std::string Attribute(const char* name, double value) {
  return std::string(" ") + name + "=\"" + Pixels(value) + "\"";
}
std::string Label(double x, double y, const std::string& anchor, const std::string& text,
                  const char* more = "") {
  return "<text" + Attribute("x", x) + Attribute("y", y) + " text-anchor=\"" + anchor + "\"" + more + ">" +
         Escaped(text) + "</text>\n";
}

std::string Panel(const MemoryMap& map, double top) {
  const double step = kWidth / static_cast<double>(map.steps);
  const double byte = kHeight / static_cast<double>(std::max<int64_t>(map.bytes, 1));
  const double bottom = top + kTop + kHeight;
  std::string svg =
      Label(kLeft, top + 18, "start", map.name + ": " + BytesText(map.bytes) + " of temporary memory",
            " class=\"title\"");
  svg += Label(kLeft, top + 34, "start",
               "most in use at step " + std::to_string(map.peak_step + 1) + ", " + map.peak_name + ": " +
                   BytesText(map.in_use));
  for (const MemoryPiece& piece : map.pieces) {
    const bool at_peak = piece.first <= map.peak_step && map.peak_step <= piece.last;
    svg += std::string("<rect class=\"piece") + (at_peak ? " now" : "") + "\"" +
           Attribute("x", kLeft + step * static_cast<double>(piece.first)) +
           Attribute("y", bottom - byte * static_cast<double>(piece.offset + piece.bytes)) +
           Attribute("width", std::max(0.3, step * static_cast<double>(piece.last - piece.first + 1))) +
           Attribute("height", std::max(0.3, byte * static_cast<double>(piece.bytes))) + "><title>" +
           Escaped(piece.made_by + ": " + BytesText(piece.bytes) + ", steps " +
                   std::to_string(piece.first + 1) + " to " + std::to_string(piece.last + 1)) +
           "</title></rect>\n";
  }
  svg += "<rect class=\"frame\"" + Attribute("x", kLeft) + Attribute("y", top + kTop) +
         Attribute("width", kWidth) + Attribute("height", kHeight) + "/>\n";
  const double peak = kLeft + step * (static_cast<double>(map.peak_step) + 0.5);
  svg += "<line class=\"peak\"" + Attribute("x1", peak) + Attribute("x2", peak) +
         Attribute("y1", top + kTop) + Attribute("y2", bottom) + "/>\n";
  for (int part = 0; part <= 4; ++part) {
    svg += Label(kLeft - 6, bottom - kHeight * part / 4 + 4, "end", BytesText(map.bytes * part / 4));
    svg += Label(kLeft + kWidth * part / 4, bottom + 16,
                 part == 0   ? "start"
                 : part == 4 ? "end"
                             : "middle",
                 part == 0 ? "step 1" : std::to_string(std::max<int64_t>(1, map.steps * part / 4)));
  }
  return svg;
}

}  // namespace

std::string MemorySvg(std::span<const MemoryMap> maps) {
  constexpr double kPanel = kTop + kHeight + kBelow;
  const std::string width = Pixels(kLeft + kWidth + kRight),
                    height = Pixels(kPanel * static_cast<double>(maps.size()));
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + width + "\" height=\"" + height +
                    "\" viewBox=\"0 0 " + width + " " + height + "\">\n" + kLook +
                    "<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n";
  double top = 0;
  for (const MemoryMap& map : maps) {
    svg += Panel(map, top);
    top += kPanel;
  }
  return svg + "</svg>\n";
}

}  // namespace heed
