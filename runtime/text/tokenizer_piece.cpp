// Encoding and decoding with scored pieces: merging best pair first (BPE) and Viterbi (unigram; Kudo, 2018),
// after SentencePiece's normalisation of spaces. What a file says is in tokenizer_sentencepiece.cpp.
#include "runtime/text/tokenizer_piece.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <queue>

#include "runtime/base/utf8.h"
#include "runtime/text/unicode.h"

namespace heed {
namespace {
constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581, a space inside pieces

uint64_t PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}
size_t LengthAt(std::string_view text, size_t at) {
  const int length = DecodeUtf8(text, at).length;
  return length == 0 ? 1 : static_cast<size_t>(length);
}
/// "<0x0A>" -> 10, or -1.
int ByteOf(std::string_view piece) {
  if (piece.size() != 6 || piece.substr(0, 3) != "<0x" || piece[5] != '>') return -1;
  int value = 0;
  for (char c : piece.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}
}  // namespace

PieceTokenizer::PieceTokenizer(PieceModel model) : model_(std::move(model)), charsmap_(model_.charsmap) {
  unk_ = model_.unk;
  bos_ = model_.bos;
  eos_ = model_.eos;
  bytes_.fill(-1);
  least_ = std::numeric_limits<float>::max();
  for (size_t i = 0; i < model_.pieces.size(); ++i) {
    const Piece& piece = model_.pieces[i];
    if (piece.kind == PieceKind::Byte) {
      if (const int byte = ByteOf(piece.text); byte >= 0)
        bytes_[static_cast<size_t>(byte)] = static_cast<Symbol>(i);
      continue;
    }
    if (piece.kind == PieceKind::Control || piece.kind == PieceKind::Unknown || piece.text.empty()) continue;
    symbols_.emplace(piece.text, static_cast<Symbol>(i));
    longest_ = std::max(longest_, piece.text.size());
    if (piece.kind == PieceKind::Normal) {
      least_ = std::min(least_, piece.score);
      most_ = std::max(most_, piece.score);
    }
    if (piece.kind == PieceKind::UserDefined) user_defined_.Add(piece.text, static_cast<Symbol>(i));
  }
  if (model_.unigram) return;
  const auto real = [](const Piece& p) {
    return p.kind == PieceKind::Normal || p.kind == PieceKind::UserDefined || p.kind == PieceKind::Unused;
  };
  // Characters that occur only inside pieces take part in merging although they have no id.
  for (const Piece& piece : model_.pieces) {
    if (!real(piece)) continue;
    const std::string_view text = piece.text;
    for (size_t at = 0; at < text.size(); at += LengthAt(text, at)) {
      const std::string_view one = text.substr(at, LengthAt(text, at));
      if (symbols_.contains(one)) continue;
      characters_.push_back(std::make_unique<std::string>(one));
      symbols_.emplace(*characters_.back(),
                       static_cast<Symbol>(model_.pieces.size() + characters_.size() - 1));
    }
  }
  for (const Piece& piece : model_.pieces) {
    if (!real(piece)) continue;
    const std::string_view text = piece.text;
    const auto whole = symbols_.find(text);
    for (size_t at = LengthAt(text, 0); at < text.size(); at += LengthAt(text, at)) {
      const auto left = symbols_.find(text.substr(0, at)), right = symbols_.find(text.substr(at));
      if (left == symbols_.end() || right == symbols_.end()) continue;
      merges_.emplace(PairKey(left->second, right->second), whole->second);
    }
  }
}

// Characters in the form that pieces have. User defined ones stay as they are.
std::string PieceTokenizer::Rewritten(std::string_view text) const {
  if (model_.lines && model_.rules == kNmtRules) return NmtNormalForm(text);
  const bool plain_spaces = model_.lines && model_.collapse_spaces;
  if (charsmap_.empty() && !plain_spaces) return std::string(text);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    if (const size_t defined = user_defined_.At(text, at).first; defined > 0) {
      out.append(text.substr(at, defined));
      at += defined;
    } else if (const auto [length, replacement] = charsmap_.At(text, at); length > 0) {
      out.append(replacement);
      at += length;
    } else {
      const bool space = plain_spaces && IsUnicodeSpace(DecodeUtf8(text, at).value);
      out.append(space ? " " : text.substr(at, LengthAt(text, at)));
      at += LengthAt(text, at);
    }
  }
  return out;
}

std::string PieceTokenizer::Normalize(std::string_view text) const {
  const std::string rewritten = Rewritten(text);
  std::string out;
  bool after_space = model_.collapse_spaces;
  size_t begin = 0;
  if (model_.collapse_spaces) begin = std::min(rewritten.find_first_not_of(' '), rewritten.size());
  if (begin == rewritten.size()) return out;
  if (model_.add_prefix) out += kMark;
  for (char c : std::string_view(rewritten).substr(begin)) {
    if (c == ' ') {
      if (!after_space) out += kMark;
      after_space = model_.collapse_spaces;
    } else {
      out.push_back(c);
      after_space = false;
    }
  }
  if (model_.collapse_spaces) {
    while (out.ends_with(kMark)) out.resize(out.size() - kMark.size());
  }
  return out;
}

std::vector<int32_t> PieceTokenizer::Encode(std::string_view text) const {
  std::vector<int32_t> ids;
  if (!model_.lines) {
    EncodeNormalized(Normalize(text), ids);
    return ids;
  }
  const auto newline = symbols_.find("\n");
  const int32_t newline_id = newline == symbols_.end() ? unk_ : newline->second;
  for (size_t begin = 0;;) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    EncodeNormalized(Normalize(text.substr(begin, end - begin)), ids);
    if (end == text.size()) return ids;
    ids.push_back(newline_id);
    begin = end + 1;
  }
}

void PieceTokenizer::EncodeNormalized(std::string_view text, std::vector<int32_t>& out) const {
  if (text.empty()) return;
  std::vector<Segment> segments;
  Parts parts;
  if (model_.unigram) {
    BestPath(text, segments);
  } else {
    Split(text, segments);
    Merge(segments, parts);
  }
  Emit(text, segments, parts, out);
}

void PieceTokenizer::Split(std::string_view text, std::vector<Segment>& out) const {
  for (size_t at = 0; at < text.size();) {
    const size_t defined = user_defined_.At(text, at).first;
    const size_t length = defined > 0 ? defined : LengthAt(text, at);
    const auto found = symbols_.find(text.substr(at, length));
    out.push_back({found == symbols_.end() ? -1 : found->second, defined > 0, at, at + length});
    at += length;
  }
}

void PieceTokenizer::Merge(std::vector<Segment>& segments, Parts& parts) const {
  struct Candidate {
    float score;
    int32_t left, right;  // segments
    Symbol left_symbol, right_symbol, joined;
    bool operator<(const Candidate& other) const {
      return score < other.score || (score == other.score && left > other.left);
    }
  };
  const auto count = static_cast<int32_t>(segments.size());
  std::vector<int32_t> previous(segments.size()), next(segments.size());
  std::priority_queue<Candidate> queue;
  const auto consider = [&](int32_t left, int32_t right) {
    if (left < 0 || right >= count) return;
    const Segment &a = segments[static_cast<size_t>(left)], &b = segments[static_cast<size_t>(right)];
    if (a.symbol < 0 || b.symbol < 0 || a.frozen || b.frozen) return;
    const auto found = merges_.find(PairKey(a.symbol, b.symbol));
    if (found == merges_.end()) return;
    const Symbol joined = found->second;
    queue.push({model_.pieces[static_cast<size_t>(joined)].score, left, right, a.symbol, b.symbol, joined});
  };
  for (int32_t i = 0; i < count; ++i) {
    previous[static_cast<size_t>(i)] = i - 1;
    next[static_cast<size_t>(i)] = i + 1;
    consider(i - 1, i);
  }
  constexpr Symbol kGone = -2;
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Segment &a = segments[static_cast<size_t>(best.left)], &b = segments[static_cast<size_t>(best.right)];
    if (a.symbol != best.left_symbol || b.symbol != best.right_symbol ||
        next[static_cast<size_t>(best.left)] != best.right) {
      continue;
    }
    if (model_.pieces[static_cast<size_t>(best.joined)].kind == PieceKind::Unused) {
      parts[best.joined] = {best.left_symbol, best.right_symbol};
    }
    a.symbol = best.joined;
    a.end = b.end;
    b.symbol = kGone;
    const int32_t after = next[static_cast<size_t>(best.right)];
    next[static_cast<size_t>(best.left)] = after;
    if (after < count) previous[static_cast<size_t>(after)] = best.left;
    consider(previous[static_cast<size_t>(best.left)], best.left);
    consider(best.left, after);
  }
  std::erase_if(segments, [](const Segment& s) { return s.symbol == kGone; });
}

void PieceTokenizer::BestPath(std::string_view text, std::vector<Segment>& out) const {
  struct Node {
    float score = 0;
    Symbol symbol = -1;
    size_t begin = SIZE_MAX;  // no path ends here yet
  };
  const double unknown_score = static_cast<double>(least_ - 10.0f);
  std::vector<Node> best(text.size() + 1);
  for (size_t at = 0; at < text.size();) {
    // Candidates in double, stored as float: SentencePiece does so, and it decides ties.
    const auto so_far = static_cast<double>(best[at].score);
    const size_t one = LengthAt(text, at);
    bool single = false;
    const auto offer = [&](size_t length, Symbol symbol, double score) {
      Node& node = best[at + length];
      if (node.begin == SIZE_MAX || so_far + score > static_cast<double>(node.score)) {
        node = {static_cast<float>(so_far + score), symbol, at};
      }
    };
    for (size_t length = 1; length <= std::min(longest_, text.size() - at); ++length) {
      const auto found = symbols_.find(text.substr(at, length));
      if (found == symbols_.end()) continue;
      const Piece& piece = model_.pieces[static_cast<size_t>(found->second)];
      if (piece.kind == PieceKind::Unused) continue;
      const double score = piece.kind == PieceKind::UserDefined
                               ? static_cast<double>(static_cast<float>(length) * most_) - 0.1
                               : static_cast<double>(piece.score);
      offer(length, found->second, score);
      single = single || length == one;
    }
    if (!single) offer(one, -1, unknown_score);
    at += one;
  }
  for (size_t end = text.size(); end > 0; end = best[end].begin) {
    out.push_back({best[end].symbol, false, best[end].begin, end});
  }
  std::reverse(out.begin(), out.end());
}

void PieceTokenizer::Emit(std::string_view text, std::span<const Segment> segments, const Parts& parts,
                          std::vector<int32_t>& out) const {
  bool after_unknown = false;
  const auto unknown = [&](std::string_view surface) {
    if (model_.byte_fallback) {
      for (char c : surface) {
        const int32_t id = bytes_[static_cast<unsigned char>(c)];
        out.push_back(id >= 0 ? id : unk_);
      }
      return;
    }
    if (!after_unknown) out.push_back(unk_);
    after_unknown = true;
  };
  const auto emit = [&](auto& self, Symbol symbol, std::string_view surface) -> void {
    if (symbol < 0 || symbol >= size()) return unknown(surface);
    const Piece& piece = model_.pieces[static_cast<size_t>(symbol)];
    if (piece.kind == PieceKind::Unused) {
      if (const auto found = parts.find(symbol); found != parts.end()) {
        const auto [left, right] = found->second;
        const size_t cut =
            left < size() ? model_.pieces[static_cast<size_t>(left)].text.size() : LengthAt(surface, 0);
        self(self, left, surface.substr(0, cut));
        self(self, right, surface.substr(cut));
        return;
      }
    }
    after_unknown = false;
    out.push_back(symbol);
  };
  for (const Segment& segment : segments) {
    emit(emit, segment.symbol, text.substr(segment.begin, segment.end - segment.begin));
  }
}

std::string PieceTokenizer::Decode(std::span<const int32_t> ids) const {
  std::string out;
  bool line_start = true;
  for (int32_t id : ids) {
    if (id < 0 || id >= size()) continue;
    const Piece& piece = model_.pieces[static_cast<size_t>(id)];
    if (piece.kind == PieceKind::Control) continue;
    if (piece.kind == PieceKind::Unknown) {
      out += model_.unknown_surface;
    } else if (piece.kind == PieceKind::Byte) {
      out.push_back(static_cast<char>(ByteOf(piece.text)));
    } else {
      std::string_view text = piece.text;
      if (line_start && (model_.add_prefix || model_.collapse_spaces) && text.starts_with(kMark)) {
        text.remove_prefix(kMark.size());
      }
      for (size_t at = 0; at < text.size();) {
        if (text.substr(at).starts_with(kMark)) {
          out.push_back(' ');
          at += kMark.size();
        } else {
          out.push_back(text[at++]);
        }
      }
    }
    line_start = model_.lines && piece.text == "\n";
  }
  return RepairUtf8(out);
}

std::string PieceTokenizer::Show(int32_t id) const {
  if (id < 0 || id >= size()) return "<" + std::to_string(id) + ">";
  return Visible(model_.pieces[static_cast<size_t>(id)].text);
}

std::string PieceTokenizer::Serialize() const { return "sentencepiece\n" + WriteSentencePiece(model_); }

Charsmap::Charsmap(std::string_view bytes) {
  // Layout: trie bytes (u32), trie of u32 units, replacements separated by NUL. Units as in the double-array
  // library Darts-clone: label in bits 0-7 (bit 31 set: a value), leaf flag in bit 8, offset in bits 10-30,
  // shifted by 8 if bit 9 is set.
  uint32_t trie_bytes = 0;
  if (bytes.size() < 4) return;
  std::memcpy(&trie_bytes, bytes.data(), 4);
  if (trie_bytes % 4 != 0 || trie_bytes > bytes.size() - 4) return;
  units_.resize(trie_bytes / 4);
  std::memcpy(units_.data(), bytes.data() + 4, trie_bytes);
  replacements_ = bytes.substr(4 + trie_bytes);
}

std::pair<size_t, std::string_view> Charsmap::At(std::string_view text, size_t at) const {
  if (units_.empty()) return {};
  const auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & 1u << 9) >> 6); };
  size_t matched = 0, replacement = 0;
  size_t node = offset(units_[0]);
  for (size_t i = at; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= units_.size() || (units_[node] & (1u << 31 | 0xFF)) != byte) break;
    const uint32_t unit = units_[node];
    node ^= offset(unit);
    if (node >= units_.size()) break;
    if (unit >> 8 & 1) {
      matched = i + 1 - at;
      replacement = units_[node] & ~(1u << 31);
    }
  }
  const std::string_view all = replacements_;
  if (matched == 0 || replacement >= all.size()) return {};
  return {matched, all.substr(replacement, std::min(all.find('\0', replacement), all.size()) - replacement)};
}

}  // namespace heed
