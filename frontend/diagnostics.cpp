// Collects and draws messages:
//
//   gpt2.heed:19:34: error: argument `k` of `attention` needs axis `seq'` [MissingAxis]
//      19 |   c_proj(attention[seq', key](q, k, v, seq' <= seq))
//         |                    ^~~~          ^ has [heads, key, seq]
//         |                    `pos` is seq' in this call
//         = q [heads, key, seq]   k [heads, key, seq]
//
// Columns of the drawing are columns of a terminal: tabs are widened, wide and combining characters counted
// as such, bytes that are no text (or would steer a terminal) shown as U+FFFD. Columns of the header are
// bytes.
#include "frontend/diagnostics.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace heed::frontend {
namespace {

constexpr int kMaxErrors = 20;
constexpr int kMaxColumns = 140;  // longer lines are drawn as a window around what they are shown for
constexpr int kTab = 4;

struct KindInfo {
  std::string_view name;
  Severity severity;
  std::string_view doc;
};
constexpr KindInfo kKinds[] = {
#define HEED_DIAG(Kind, Severity_, doc) {#Kind, Severity::Severity_, doc},
#include "frontend/diagnostics.def"
#undef HEED_DIAG
};

struct Decoded {
  uint32_t code = 0xFFFD;
  int bytes = 1;
};
Decoded Decode(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0u; };
  const uint32_t lead = byte(at);
  if (lead < 0x80) return {lead < 0x20 || lead == 0x7F ? 0xFFFD : lead, 1};
  const int count = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 1;
  if (count == 1 || lead > 0xF4) return {};
  uint32_t code = lead & (0xFFu >> (count + 1));
  for (int i = 1; i < count; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(at + i) & 0x3F);
  }
  if (code >= 0x80 && code < 0xA0) code = 0xFFFD;  // control characters
  return {code, count};
}

int Width(uint32_t c) {
  const auto in = [&](uint32_t first, uint32_t last) { return c >= first && c <= last; };
  if (in(0x300, 0x36F) || in(0x200B, 0x200F) || in(0x202A, 0x202E) || in(0x2066, 0x2069) ||
      in(0x20D0, 0x20FF) || in(0xFE00, 0xFE0F)) {
    return 0;
  }
  const bool wide = in(0x1100, 0x115F) || in(0x2E80, 0xA4CF) || in(0xAC00, 0xD7A3) || in(0xF900, 0xFAFF) ||
                    in(0xFE30, 0xFE6F) || in(0xFF00, 0xFF60) || in(0xFFE0, 0xFFE6) || in(0x1F300, 0x1F64F) ||
                    in(0x1F900, 0x1F9FF) || in(0x20000, 0x3FFFD);
  return wide ? 2 : 1;
}

/// A source line as drawn, and the terminal column of every byte of it.
struct DrawnLine {
  std::string text;
  std::vector<int> column_of_byte;             // one more than bytes
  std::vector<std::pair<int, size_t>> starts;  // terminal column -> offset in `text`, one a character
};
DrawnLine Draw(std::string_view line) {
  DrawnLine drawn;
  int column = 0;
  for (size_t i = 0; i < line.size();) {
    drawn.starts.emplace_back(column, drawn.text.size());
    if (line[i] == '\t') {
      drawn.column_of_byte.push_back(column);
      drawn.text.append(kTab, ' ');
      column += kTab;
      ++i;
      continue;
    }
    const Decoded c = Decode(line, i);
    for (int b = 0; b < c.bytes; ++b) drawn.column_of_byte.push_back(column);
    if (c.code == 0xFFFD) {
      drawn.text += "\xEF\xBF\xBD";
    } else if (!(c.code >= 0x202A && c.code <= 0x202E) && !(c.code >= 0x2066 && c.code <= 0x2069)) {
      drawn.text += line.substr(i, c.bytes);  // text direction overrides would scramble the drawing
    }
    column += Width(c.code);
    i += c.bytes;
  }
  drawn.column_of_byte.push_back(column);
  drawn.starts.emplace_back(column, drawn.text.size());
  return drawn;
}

struct Mark {
  int begin, end;  // terminal columns
  std::string text;
  bool primary;
};

struct Colors {
  std::string_view bold, error, warning, mark, gutter, reset;
};
constexpr Colors kPlain = {"", "", "", "", "", ""};
constexpr Colors kAnsi = {"\x1b[1m", "\x1b[1;31m", "\x1b[1;35m", "\x1b[1;32m", "\x1b[1;34m", "\x1b[0m"};

class Renderer {
 public:
  explicit Renderer(bool color) : colors_(color ? kAnsi : kPlain) {}

  void Add(const Diagnostic& diagnostic) {
    const bool error = SeverityOf(diagnostic.kind) == Severity::Error;
    if (diagnostic.loc.file != nullptr) {
      out_ += Paint(colors_.bold, diagnostic.loc.Text() + ":") + " ";
    }
    out_ += Paint(error ? colors_.error : colors_.warning, error ? "error:" : "warning:");
    out_ +=
        " " + Paint(colors_.bold, diagnostic.message) + " [" + std::string(KindName(diagnostic.kind)) + "]\n";
    Snippets(diagnostic);
    for (const std::string& note : diagnostic.notes) {
      std::string_view rest = note;
      std::string_view lead = "= ";
      while (true) {  // a note of several lines stays one note
        const size_t end = rest.find('\n');
        out_ += "      " + Paint(colors_.gutter, lead) + std::string(rest.substr(0, end)) + "\n";
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
        lead = "  ";
      }
    }
  }
  void Text(std::string_view text) { out_ += text; }
  std::string Take() { return std::move(out_); }

 private:
  std::string Paint(std::string_view color, std::string_view text) const {
    return std::string(color) + std::string(text) + std::string(color.empty() ? "" : colors_.reset);
  }

  struct Place {
    const SourceFile* file;
    int line;
    std::vector<std::pair<Loc, Label>> marks;  // Label::text; first of the first place is the primary
  };

  void Snippets(const Diagnostic& diagnostic) {
    std::vector<Place> places;
    const auto add = [&](const Loc& loc, const std::string& text) {
      if (loc.file == nullptr) return;
      const int line = loc.file->PositionOf(loc.offset).line;
      for (Place& place : places) {
        if (place.file != loc.file || place.line != line) continue;
        for (auto& [known, label] : place.marks) {
          if (known.offset != loc.offset || known.length != loc.length) continue;
          if (text.empty() || label.text == text) return;
          if (label.text.empty()) {
            label.text = text;
            return;
          }
        }
        place.marks.push_back({loc, {loc, text}});
        return;
      }
      places.push_back({loc.file, line, {{loc, {loc, text}}}});
    };
    add(diagnostic.loc, "");
    for (const Label& label : diagnostic.labels) add(label.loc, label.text);
    for (const Place& place : places) Snippet(place, diagnostic.loc.file, diagnostic.loc);
  }

  void Snippet(const Place& place, const SourceFile* main_file, const Loc& primary) {
    const std::string_view line = place.file->Line(place.line);
    const DrawnLine drawn = Draw(line);
    const uint32_t start =
        place.marks[0].first.offset -
        static_cast<uint32_t>(place.file->PositionOf(place.marks[0].first.offset).column - 1);
    std::vector<Mark> marks;
    for (const auto& [loc, label] : place.marks) {
      const size_t first = std::min<size_t>(loc.offset - start, line.size());
      const size_t last = std::min<size_t>(first + std::max<uint32_t>(loc.length, 1), line.size());
      const int begin = drawn.column_of_byte[first];
      const int end = std::max(drawn.column_of_byte[last], begin + 1);
      marks.push_back(
          {begin, end, label.text,
           loc.file == primary.file && loc.offset == primary.offset && loc.length == primary.length});
    }
    std::string number = std::to_string(place.line);
    number.insert(0, number.size() < 5 ? 5 - number.size() : 0, ' ');
    std::string lead = number + " | ";
    std::string blank = std::string(number.size(), ' ') + " | ";
    if (place.file != main_file && main_file != nullptr) {
      lead = number + " (" + place.file->short_name() + ") ";
      blank = std::string(number.size(), ' ') + " | ";
      blank.append(lead.size() > blank.size() ? lead.size() - blank.size() : 0, ' ');
    }
    std::string text = drawn.text;
    if (drawn.column_of_byte.back() > kMaxColumns) {
      // Marks too far from the first one for the same window get a drawing of their own.
      const int from = std::max(0, marks[0].begin - kMaxColumns / 3);
      const int to = from + kMaxColumns;
      Place rest{place.file, place.line, {}};
      std::vector<Mark> kept;
      for (size_t i = 0; i < marks.size(); ++i) {
        if (i > 0 && (marks[i].begin < from || marks[i].begin >= to)) {
          rest.marks.push_back(place.marks[i]);
        } else {
          kept.push_back(marks[i]);
        }
      }
      const auto offset_at = [&](int column) {
        auto it =
            std::lower_bound(drawn.starts.begin(), drawn.starts.end(), std::pair<int, size_t>(column, 0));
        return it == drawn.starts.end() ? std::pair<int, size_t>(drawn.starts.back()) : *it;
      };
      const auto [first_column, first_offset] = offset_at(from);
      const auto [last_column, last_offset] = offset_at(to);
      text = text.substr(first_offset, last_offset - first_offset);
      const int dots = from > 0 ? 3 : 0;
      if (dots > 0) text.insert(0, "...");
      if (last_offset < drawn.text.size()) text += "...";
      for (Mark& mark : kept) {
        mark.begin = std::max(mark.begin - first_column, 0) + dots;
        mark.end = std::max(std::min(mark.end, last_column) - first_column + dots, mark.begin + 1);
      }
      Lines(lead, blank, text, kept);
      if (!rest.marks.empty()) Snippet(rest, main_file, primary);
      return;
    }
    Lines(lead, blank, text, marks);
  }

  void Lines(const std::string& lead, const std::string& blank, const std::string& text,
             const std::vector<Mark>& marks) {
    out_ += Paint(colors_.gutter, lead) + text + "\n";
    // Long marks first, so that shorter ones inside them stay visible.
    std::vector<const Mark*> by_length;
    int width = 0;
    for (const Mark& mark : marks) {
      by_length.push_back(&mark);
      width = std::max(width, mark.end);
    }
    std::sort(by_length.begin(), by_length.end(), [](const Mark* a, const Mark* b) {
      return std::pair(b->end - b->begin, a) < std::pair(a->end - a->begin, b);
    });
    std::string underline(width, ' ');
    for (const Mark* mark : by_length) {
      for (int i = mark->begin; i < mark->end; ++i) underline[i] = i == mark->begin ? '^' : '~';
    }
    std::vector<const Mark*> texts;
    for (const Mark& mark : marks) {
      if (!mark.text.empty()) texts.push_back(&mark);
    }
    std::sort(texts.begin(), texts.end(),
              [](const Mark* a, const Mark* b) { return std::pair(b->begin, a) < std::pair(a->begin, b); });
    // The text of the last mark goes behind it, the others below their marks from right to left.
    size_t next = 0;
    std::string after;
    if (!texts.empty() && texts[0]->end == width && texts[0]->text.find('\n') == std::string::npos) {
      after = " " + texts[0]->text;
      next = 1;
    }
    out_ += Paint(colors_.gutter, blank) + Paint(colors_.mark, underline) + after + "\n";
    for (; next < texts.size(); ++next) {
      std::string indent(texts[next]->begin, ' ');
      for (size_t later = next + 1; later < texts.size(); ++later) {
        if (texts[later]->begin < texts[next]->begin) indent[texts[later]->begin] = '|';
      }
      out_ += Paint(colors_.gutter, blank) + Paint(colors_.mark, indent) + texts[next]->text + "\n";
    }
  }

  Colors colors_;
  std::string out_;
};

}  // namespace

std::string_view KindName(DiagnosticKind kind) { return kKinds[static_cast<size_t>(kind)].name; }
std::string_view KindDoc(DiagnosticKind kind) { return kKinds[static_cast<size_t>(kind)].doc; }
Severity SeverityOf(DiagnosticKind kind) { return kKinds[static_cast<size_t>(kind)].severity; }

const std::vector<DiagnosticKind>& AllKinds() {
  static const std::vector<DiagnosticKind> kinds = {
#define HEED_DIAG(Kind, Severity_, doc) DiagnosticKind::Kind,
#include "frontend/diagnostics.def"
#undef HEED_DIAG
  };
  return kinds;
}

Diagnostic& Diagnostics::Report(DiagnosticKind kind, Loc loc, std::string message) {
  for (const Diagnostic& known : all_) {
    if (known.kind == kind && known.loc.file == loc.file && known.loc.offset == loc.offset &&
        known.message == message) {
      return dropped_ = {kind, loc, "", {}, {}};
    }
  }
  if (SeverityOf(kind) == Severity::Error && ++errors_ > kMaxErrors)
    return dropped_ = {kind, loc, "", {}, {}};
  all_.push_back({kind, loc, std::move(message), {}, {}});
  return all_.back();
}

std::string Diagnostics::Render(bool color) const {
  std::map<const SourceFile*, size_t> file_order;
  for (const Diagnostic& diagnostic : all_) file_order.emplace(diagnostic.loc.file, file_order.size());
  std::vector<const Diagnostic*> sorted;
  for (const Diagnostic& diagnostic : all_) sorted.push_back(&diagnostic);
  std::sort(sorted.begin(), sorted.end(), [&](const Diagnostic* a, const Diagnostic* b) {
    return std::tuple(file_order.at(a->loc.file), a->loc.offset, a) <
           std::tuple(file_order.at(b->loc.file), b->loc.offset, b);
  });
  Renderer renderer(color);
  for (const Diagnostic* diagnostic : sorted) renderer.Add(*diagnostic);
  if (errors_ > kMaxErrors) renderer.Text(std::to_string(errors_ - kMaxErrors) + " more errors\n");
  return renderer.Take();
}

}  // namespace heed::frontend
