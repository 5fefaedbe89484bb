// A tokenizer as it is published with a model: tokens that are found in the text before anything else, a
// chain of stages that rewrites and cuts what lies between them, merges, and a chain of stages back to text.
// What a tokenizer.json says is tokenizer_json.cpp's business.
#pragma once

#include <map>

#include "runtime/text/finder.h"
#include "runtime/text/stages.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/tokenizer_merges.h"

namespace heed {

/// A token that is found in the text as it is.
struct AddedToken {
  std::string text;
  int32_t id = 0;
  bool special = false;     ///< gives no text
  bool normalized = false;  ///< found in rewritten text
  bool single_word = false, left_spaces = false, right_spaces = false;
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
  bool Has(int32_t id) const override;
  std::string Show(int32_t id) const override;
  int64_t size() const override { return size_; }
  std::string_view kind() const override { return "bpe"; }
  std::string Serialize() const override { return "tokenizer.json\n" + model_.file; }

 private:
  class Encoder;
  const AddedToken* AddedWith(int32_t id) const;
  /// Whether the token's text is nothing but itself. A piece that merges can make as well (a run of marks for
  /// spaces) stands for what pieces stand for; of bytes as characters that is another text.
  bool IsLiteral(const AddedToken& token) const;

  PublishedModel model_;
  std::map<int32_t, const AddedToken*> added_;
  TextFinder raw_, normalized_;  // values are indices into model_.added
  int64_t size_ = 0;
};

}  // namespace heed
