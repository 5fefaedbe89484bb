// A tokenizer as it is published with a model: tokens that are found in the text before anything else, a
// chain of stages that rewrites and cuts what lies between them, merges, and a chain of stages back to text.
// What a tokenizer.json says is tokenizer_json.cpp's business.
#pragma once

#include <map>

#include "runtime/text_stages.h"
#include "runtime/tokenizer.h"
#include "runtime/tokenizer_merges.h"

namespace heed {

/// A token that is found in the text as it is.
struct AddedToken {
  std::string text;
  int32_t id = 0;
  bool special = false;     ///< gives no text
  bool normalized = false;  ///< found in rewritten text
  bool single_word = false, left_spaces = false, right_spaces = false;
};

/// Which of a set of texts starts where: the longest, as the leftmost is looked for.
class TextFinder {
 public:
  /// Texts that are empty are never found.
  void Add(std::string_view text, int32_t value);
  bool empty() const { return children_.empty(); }
  /// The longest of the texts at `at`: its length, or 0, and its value.
  std::pair<size_t, int32_t> At(std::string_view text, size_t at) const;

 private:
  std::map<std::pair<int32_t, char>, int32_t> children_;  // (node, byte) -> node; the root is 0
  std::vector<int32_t> values_{-1};                       // of each node; -1: no text ends there
  std::vector<bool> starts_ = std::vector<bool>(256);     // bytes that some text starts with
};

struct PublishedModel {
  MergeModel merges;
  std::vector<AddedToken> added;
  std::vector<stage::Normalizer> normalizers;
  std::vector<stage::PreTokenizer> pre_tokenizers;
  std::vector<stage::PieceDecoder> decoders;
  bool spaced_pieces = false;          ///< no decoder: pieces are separated by spaces
  bool visible_bytes = false;          ///< pieces are bytes in GPT-2's alphabet
  std::vector<int32_t> before, after;  ///< what the model expects around a text
  int32_t bos = -1, eos = -1;
  std::string file;  ///< the tokenizer.json to restore it from
};

class PublishedTokenizer final : public Tokenizer {
 public:
  explicit PublishedTokenizer(PublishedModel model);
  std::vector<int32_t> Encode(std::string_view text) const override;
  std::string Decode(std::span<const int32_t> ids) const override;
  std::string Show(int32_t id) const override;
  int64_t size() const override { return size_; }
  std::string_view kind() const override { return "bpe"; }
  std::string Serialize() const override { return "tokenizer.json\n" + model_.file; }

 private:
  class Encoder;
  const AddedToken* AddedWith(int32_t id) const;

  PublishedModel model_;
  std::map<int32_t, const AddedToken*> added_;
  TextFinder raw_, normalized_;  // values are indices into model_.added
  int64_t size_ = 0;
};

}  // namespace heed
