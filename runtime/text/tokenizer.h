// Text to ids and back. A Tokenizer is immutable; it knows nothing of models except that a program's
// vocabulary bounds its size. Own tokenizers have ids unk 0, bos 1, eos 2; loaded ones keep theirs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace heed {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  /// Ids of valid UTF-8 text, without begin or end tokens. Newlines are kept.
  virtual std::vector<int32_t> Encode(std::string_view text) const = 0;
  /// Text of ids; begin and end tokens and ids without a piece give nothing; always valid UTF-8.
  virtual std::string Decode(std::span<const int32_t> ids) const = 0;
  /// Whether an id stands for anything. Models may have more rows than their tokenizer has pieces, and
  /// published vocabularies have holes.
  virtual bool Has(int32_t id) const { return id >= 0 && id < size(); }
  /// One id as a reader would like to see it: "▁the", "<eos>", "<0x0A>"; "<300>" if there is no such piece.
  virtual std::string Show(int32_t id) const = 0;
  /// Ids are 0 ... size - 1.
  virtual int64_t size() const = 0;
  /// "bpe", "unigram", "chars" or "bytes".
  virtual std::string_view kind() const = 0;
  /// Everything needed to restore it, as bytes.
  virtual std::string Serialize() const = 0;
  /// -1: there is none.
  int32_t unk() const { return unk_; }
  int32_t bos() const { return bos_; }
  int32_t eos() const { return eos_; }
  /// What a model with this tokenizer expects before and after every text, if the tokenizer's file says so.
  /// Encode does not add it.
  std::span<const int32_t> before() const { return before_; }
  std::span<const int32_t> after() const { return after_; }

 protected:
  int32_t unk_ = 0, bos_ = 1, eos_ = 2;
  std::vector<int32_t> before_, after_;
};
using TokenizerPtr = std::shared_ptr<const Tokenizer>;

/// Ids of a text with what a model expects before it, unless the text starts with that itself.
std::vector<int32_t> EncodeFromStart(const Tokenizer& tokenizer, std::string_view text);

/// What Serialize gave. An error if the bytes are damaged.
Result<TokenizerPtr> DeserializeTokenizer(std::string_view bytes);

/// Ids 3 ... 258 are the bytes 0 ... 255.
TokenizerPtr MakeByteTokenizer();
/// One id for each character of the texts, by code point; unseen ones are unk.
TokenizerPtr MakeCharacterTokenizer(std::span<const std::string_view> texts);

struct BpeOptions {
  int64_t size = 8000;  ///< pieces, unk, bos and eos included
  /// Lines have NmtNormalForm; runs of spaces become one, those at the ends none.
  bool normalize = true;
};
struct BpeTraining {
  TokenizerPtr tokenizer;
  int64_t characters = 0;  ///< different ones in the texts
  int64_t left_out = 0;    ///< rarest of them, beyond the capacity
};
/// Byte-pair encoding (Sennrich et al., 2016) in SentencePiece's manner: a word starts with U+2581; pairs are
/// merged by frequency, ties by shorter, then smaller text; a piece never joins characters of different
/// classes (letters of one script, digits, punctuation), except that an apostrophe stays with the letters
/// before it. A newline is a piece of its own. Stops early when no pair occurs twice. Deterministic. Texts
/// are valid UTF-8.
BpeTraining TrainBpe(std::span<const std::string_view> texts, const BpeOptions& options);

}  // namespace heed
