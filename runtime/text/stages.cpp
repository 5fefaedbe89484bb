// See stages.h. The meaning of each stage is that of the library that writes tokenizer.json files.
#include "runtime/text/stages.h"

#include <algorithm>
#include <array>

#include "runtime/base/utf8.h"
#include "runtime/text/unicode.h"

namespace heed::stage {
namespace {

template <typename... Cases>
struct Visitor : Cases... {
  using Cases::operator()...;
};

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool IsVisible(int byte) { return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD); }
// The character of each byte.
const std::array<char32_t, 256>& VisibleBytesTable() {
  static const auto kTable = [] {
    std::array<char32_t, 256> table{};
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte)
      table[static_cast<size_t>(byte)] = IsVisible(byte) ? static_cast<char32_t>(byte) : next++;
    return table;
  }();
  return kTable;
}

std::string ReplaceAll(const Replace& replace, std::string_view text) {
  std::string out;
  replace.pattern.ForEachPart(text, [&](std::string_view part, bool match) {
    out += match ? std::string_view(replace.content) : part;
  });
  return out;
}

// "<0x41>" to 0x41, or -1.
int ByteNamed(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return -1;
  int value = 0;
  for (const char c : piece.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'                 ? c - '0'
                      : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                           : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

std::vector<Piece> FromNames(const std::vector<Piece>& pieces) {
  std::vector<Piece> out;
  std::string run;
  const auto flush = [&] {
    if (run.empty()) return;
    if (!FindInvalidUtf8(run)) {
      out.push_back({run});
    } else {
      for (size_t i = 0; i < run.size(); ++i) out.push_back({std::string(kReplacement)});
    }
    run.clear();
  };
  for (const Piece& piece : pieces) {
    if (const int byte = ByteNamed(piece.text); byte >= 0 && !piece.literal) {
      run.push_back(static_cast<char>(byte));
    } else {
      flush();
      out.push_back(piece);
    }
  }
  flush();
  return out;
}

std::string FromMetaspace(const SpacesOfMetaspace& spaces, std::string_view piece, bool first) {
  std::string out;
  for (size_t at = 0; at < piece.size();) {
    const size_t found = std::min(piece.find(spaces.mark, at), piece.size());
    out += piece.substr(at, found - at);
    if (found == piece.size()) break;
    if (!first || !spaces.drop_first) out += ' ';
    at = found + spaces.mark.size();
  }
  return out;
}

std::string Stripped(const StripCharacter& strip, const Piece& piece) {
  std::string_view text = piece.text;
  for (size_t i = 0; piece.is_start && i < strip.left && text.starts_with(strip.character); ++i)
    text.remove_prefix(strip.character.size());
  for (size_t i = 0; piece.is_end && i < strip.right && text.ends_with(strip.character); ++i)
    text.remove_suffix(strip.character.size());
  return std::string(text);
}

// One text, in as many pieces as literal ones need to stay apart.
std::vector<Piece> Joined(std::vector<Piece> pieces) {
  std::vector<Piece> out;
  for (Piece& piece : pieces) {
    if (!out.empty() && !out.back().literal && !piece.literal) {
      out.back().text += piece.text;
    } else {
      out.push_back(std::move(piece));
    }
  }
  for (size_t i = 0; i < out.size(); ++i) {
    out[i].is_start = i == 0;
    out[i].is_end = i + 1 == out.size();
  }
  return out;
}

using WordVisitor = std::function<void(std::string_view)>;

class WordCutter {
 public:
  WordCutter(const std::vector<PreTokenizer>& stages, const WordVisitor& visit)
      : stages_(stages), visit_(visit) {}

  // What the stages from number `stage` on make of one part.
  void Run(size_t stage, std::string_view text, bool first) const {
    if (text.empty()) return;
    if (stage == stages_.size()) return visit_(text);
    const auto next = [&, stage](std::string_view part, bool starts) { Run(stage + 1, part, starts); };
    // Of the parts of a text, the one at its start is the first.
    const auto cut = [&](std::string_view whole, const Pattern& pattern, SplitBehavior behavior,
                         bool invert) {
      SplitBy(pattern, behavior, invert, whole,
              [&](std::string_view part) { next(part, first && part.data() == whole.data()); });
    };
    std::visit(Visitor{
                   [&](const Split& split) { cut(text, split.pattern, split.behavior, split.invert); },
                   [&](const Metaspace& metaspace) {
                     const std::string marked = Marked(metaspace, text, first);
                     if (!metaspace.split) return next(marked, first);
                     cut(marked, Pattern::Literal(metaspace.mark), SplitBehavior::MergedWithNext, false);
                   },
                   [&](const PrefixSpace&) {
                     if (text.starts_with(' ')) return next(text, first);
                     const std::string spaced = " " + std::string(text);
                     next(spaced, first);
                   },
                   [&](const VisibleBytes&) {
                     std::string visible;
                     visible.reserve(text.size() * 2);
                     for (const char c : text) AppendVisibleByte(visible, static_cast<uint8_t>(c));
                     next(visible, first);
                   },
               },
               stages_[stage]);
  }

 private:
  static std::string Marked(const Metaspace& metaspace, std::string_view text, bool first) {
    std::string marked = ReplaceAll({Pattern::Literal(" "), metaspace.mark}, text);
    const bool prepend = metaspace.prepend == Metaspace::Where::Always ||
                         (metaspace.prepend == Metaspace::Where::First && first);
    return prepend && !marked.starts_with(metaspace.mark) ? metaspace.mark + marked : marked;
  }

  const std::vector<PreTokenizer>& stages_;
  const WordVisitor& visit_;
};

}  // namespace

void AppendVisibleByte(std::string& out, uint8_t byte) { AppendUtf8(out, VisibleBytesTable()[byte]); }

bool AppendBytesOfVisible(std::string& out, std::string_view text) {
  static const auto kBytes = [] {
    std::array<int, 0x200> bytes{};
    bytes.fill(-1);
    for (size_t byte = 0; byte < 256; ++byte) bytes[VisibleBytesTable()[byte]] = static_cast<int>(byte);
    return bytes;
  }();
  const size_t before = out.size();
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeUtf8(text, at);
    const int byte = c.value < kBytes.size() ? kBytes[c.value] : -1;
    if (byte < 0 || c.length == 0) {
      out.resize(before);
      return false;
    }
    out.push_back(static_cast<char>(byte));
    at += static_cast<size_t>(c.length);
  }
  return true;
}

std::string Normalize(const std::vector<Normalizer>& stages, std::string_view text) {
  std::string out(text);
  for (const Normalizer& stage : stages) {
    out = std::visit(Visitor{
                         [&](const Prepend& prepend) { return out.empty() ? out : prepend.text + out; },
                         [&](const Replace& replace) { return ReplaceAll(replace, out); },
                         [&](const ComposedForm&) { return NormalFormC(out); },
                         [&](const DecomposedForm&) { return NormalFormD(out); },
                     },
                     stage);
  }
  return out;
}

void PreTokenize(const std::vector<PreTokenizer>& stages, std::string_view text, bool first,
                 const WordVisitor& visit) {
  WordCutter(stages, visit).Run(0, text, first);
}

std::vector<Piece> DecodePieces(const std::vector<PieceDecoder>& stages, std::vector<Piece> pieces) {
  const auto each = [&](const auto& change) {
    for (Piece& piece : pieces)
      if (!piece.literal) piece.text = change(piece);
  };
  for (const PieceDecoder& stage : stages) {
    std::visit(Visitor{
                   [&](const BytesOfVisible&) {
                     each([&](const Piece& piece) {
                       std::string bytes;
                       return AppendBytesOfVisible(bytes, piece.text) ? bytes : piece.text;
                     });
                     pieces = Joined(std::move(pieces));
                     each([&](const Piece& piece) { return LossyUtf8(piece.text); });
                   },
                   [&](const SpacesOfMetaspace& spaces) {
                     each([&](const Piece& piece) {
                       return FromMetaspace(spaces, piece.text, &piece == pieces.data());
                     });
                   },
                   [&](const BytesOfNames&) { pieces = FromNames(pieces); },
                   [&](const Join&) { pieces = Joined(std::move(pieces)); },
                   [&](const StripCharacter& strip) {
                     each([&](const Piece& piece) { return Stripped(strip, piece); });
                   },
                   [&](const Replace& replace) {
                     each([&](const Piece& piece) { return ReplaceAll(replace, piece.text); });
                   },
               },
               stage);
  }
  return pieces;
}

}  // namespace heed::stage
