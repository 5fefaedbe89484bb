// See svg.h.
#include "runtime/commands/svg.h"

#include <cstdio>

#include "runtime/base/markup.h"
#include "runtime/base/utf8.h"

namespace heed {

std::string Escaped(const std::string& text) {
  std::string out;
  const std::string valid = RepairUtf8(text);
  for (size_t at = 0; at < valid.size();) {
    const CodePoint c = DecodeUtf8(valid, at);
    if (c.value < 0x20 || (c.value & 0xFFFE) == 0xFFFE) {
      out += "\xEF\xBF\xBD";
    } else {
      out.append(valid, at, static_cast<size_t>(c.length));
    }
    at += static_cast<size_t>(c.length);
  }
  return EscapeMarkup(out);
}

std::string Pixels(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  std::string shown = text;
  if (shown.ends_with(".0")) shown.resize(shown.size() - 2);
  return shown == "-0" ? "0" : shown;
}

std::string TextAt(double x, double y, const std::string& text, const std::string& more) {
  return "<text x=\"" + Pixels(x) + "\" y=\"" + Pixels(y) + "\"" + more + ">" + Escaped(text) + "</text>\n";
}

}  // namespace heed
