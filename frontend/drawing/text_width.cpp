// See text_width.h.
#include "frontend/drawing/text_width.h"

namespace heed::drawing {
namespace {

// Thousandths of the size, from the blank on: the widths that Helvetica has, and fonts made to replace it.
constexpr int kWidths[] = {278,  278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
                           556,  556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
                           1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
                           667,  778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
                           333,  556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
                           556,  556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584};
constexpr int kOther = 640;
constexpr double kRoom = 1.16, kBold = 1.08;

}  // namespace

double TextWidth(std::string_view text, double size, bool bold) {
  double width = 0;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 && byte < 0xc0) continue;  // the first byte of a character counts
    width += byte >= 0x20 && byte < 0x7f ? kWidths[byte - 0x20] : kOther;
  }
  return width / 1000 * size * kRoom * (bold ? kBold : 1);
}

}  // namespace heed::drawing
