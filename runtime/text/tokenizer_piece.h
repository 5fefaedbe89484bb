// A tokenizer made of scored pieces: what SentencePiece calls a model. Encodes by merging (BPE) or by the
// best path (unigram); restored from and written as SentencePiece's own file format, plus one extension field
// for newlines.
#pragma once

#include <array>
#include <unordered_map>

#include "runtime/text/finder.h"
#include "runtime/text/tokenizer.h"

namespace heed {

/// The name of SentencePiece's normalisation by default.
inline constexpr std::string_view kNmtRules = "nmt_nfkc";

/// The numbers are those of the file format.
enum class PieceKind { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 };
struct Piece {
  std::string text;
  float score = 0;
  PieceKind kind = PieceKind::Normal;
};

struct PieceModel {
  std::vector<Piece> pieces;
  bool unigram = false;
  int32_t unk = 0, bos = 1, eos = 2;
  bool add_prefix = true;       ///< a space before the first word
  bool collapse_spaces = true;  ///< and none at the ends
  bool byte_fallback = false;   ///< unknown characters become bytes
  /// Our own: every line is encoded by itself and newlines are ids. False for files that others made.
  bool lines = false;
  /// What the file calls its normalisation. Of our own kNmtRules is NmtNormalForm; with another name (older
  /// ones: "identity") all Unicode spaces are plain ones if spaces collapse.
  std::string rules = "identity";
  std::string charsmap;  ///< normalisation rules: a double-array trie and the replacements, as in the file
  std::string unknown_surface = " \xE2\x81\x87 ";
};

/// SentencePiece's normalisation rules: leftmost longest matches are replaced, bytes without a rule stay.
/// Damaged rules replace nothing.
class Charsmap {
 public:
  explicit Charsmap(std::string_view bytes);
  bool empty() const { return units_.empty(); }
  /// How many bytes at `at` are replaced, by what. Where there is no rule: none.
  std::pair<size_t, std::string_view> At(std::string_view text, size_t at) const;

 private:
  std::vector<uint32_t> units_;
  std::string replacements_;
};

class PieceTokenizer final : public Tokenizer {
 public:
  explicit PieceTokenizer(PieceModel model);
  std::vector<int32_t> Encode(std::string_view text) const override;
  std::string Decode(std::span<const int32_t> ids) const override;
  std::string Show(int32_t id) const override;
  int64_t size() const override { return static_cast<int64_t>(model_.pieces.size()); }
  std::string_view kind() const override { return model_.unigram ? "unigram" : "bpe"; }
  std::string Serialize() const override;
  const PieceModel& model() const { return model_; }

 private:
  // A symbol during merging: a piece, or (from pieces_.size() on) a character that only occurs inside pieces.
  using Symbol = int32_t;
  struct Segment {
    Symbol symbol;      // -1: unknown
    bool frozen;        // user defined: never merged
    size_t begin, end;  // in the normalised text
  };
  using Parts = std::unordered_map<Symbol, std::pair<Symbol, Symbol>>;  // of unused pieces
  std::string Normalize(std::string_view text) const;
  std::string Rewritten(std::string_view text) const;
  void EncodeNormalized(std::string_view text, std::vector<int32_t>& out) const;
  void Split(std::string_view text, std::vector<Segment>& out) const;
  void Merge(std::vector<Segment>& segments, Parts& parts) const;
  void BestPath(std::string_view text, std::vector<Segment>& out) const;
  void Emit(std::string_view text, std::span<const Segment> segments, const Parts& parts,
            std::vector<int32_t>& out) const;

  PieceModel model_;
  Charsmap charsmap_;
  std::unordered_map<std::string_view, Symbol> symbols_;  // views into model_ and characters_
  std::vector<std::unique_ptr<std::string>> characters_;
  std::unordered_map<uint64_t, Symbol> merges_;  // (left, right) -> piece
  std::array<int32_t, 256> bytes_;               // -1: no such piece
  TextFinder user_defined_;
  size_t longest_ = 1;               // piece, in bytes
  float least_ = 0, most_ = -1e30f;  // scores of normal pieces
};

/// `name` for messages.
Result<PieceModel> ParseSentencePiece(std::string_view bytes, const std::string& name);
std::string WriteSentencePiece(const PieceModel& model);

}  // namespace heed
