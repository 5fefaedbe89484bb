// See labels.h. Widths come from properties of characters, not from a font or a locale.
#include "runtime/text/labels.h"

#include "runtime/base/utf8.h"
#include "runtime/text/unicode.h"

namespace heed {
namespace {

constexpr std::string_view kWordStart = "\xE2\x96\x81";  // U+2581, as SentencePiece marks it

bool IsControl(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF || (c & 0xFFFE) == 0xFFFE;
}
}  // namespace

std::string TokenLabel(const Tokenizer& tokenizer, int32_t id) {
  std::string shown = RepairUtf8(tokenizer.Show(id));
  if (shown == "<0x0A>") return "\\n";
  if (shown.size() > kWordStart.size() && shown.starts_with(kWordStart)) shown.erase(0, kWordStart.size());
  std::string label;
  for (size_t at = 0; at < shown.size();) {
    const CodePoint c = DecodeUtf8(shown, at);
    if (c.value == U'\n') {
      label += "\\n";
    } else if (IsControl(c.value)) {
      char text[16];
      std::snprintf(text, sizeof text, "<0x%02X>", static_cast<unsigned>(c.value));
      label += text;
    } else if (IsUnicodeSpace(c.value) || std::string_view(shown).substr(at).starts_with(kWordStart)) {
      label += "\xE2\x90\xA3";  // U+2423, open box
    } else {
      label.append(shown, at, static_cast<size_t>(c.length));
    }
    at += static_cast<size_t>(c.length);
  }
  return label.empty() ? "<" + std::to_string(id) + ">" : label;
}

int64_t DisplayWidth(std::string_view text) {
  int64_t width = 0;
  for (size_t at = 0; at < text.size();) {
    const Cluster cluster = ClusterAt(text, at);
    width += cluster.columns;
    at += cluster.bytes;
  }
  return width;
}

std::string Shortened(const std::string& text, int64_t width) {
  if (DisplayWidth(text) <= width) return text;
  int64_t used = 1;  // of the "…"
  size_t at = 0;
  while (at < text.size()) {
    const Cluster cluster = ClusterAt(text, at);
    if (used + cluster.columns > width) break;
    used += cluster.columns;
    at += cluster.bytes;
  }
  return text.substr(0, at) + "\xE2\x80\xA6";
}

}  // namespace heed
