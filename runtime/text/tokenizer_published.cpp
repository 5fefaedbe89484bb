// See tokenizer_published.h. Words repeat, so an encoding remembers what the short ones gave.
#include "runtime/text/tokenizer_published.h"

#include <algorithm>

#include "runtime/base/utf8.h"
#include "runtime/text/unicode.h"

namespace heed {
namespace {

constexpr size_t kLongestRemembered = 48;  // bytes of a word
constexpr size_t kMostRemembered = 1 << 16;

// The character that ends before `end`, which is not 0, and where it starts.
std::pair<char32_t, size_t> CharacterBefore(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && end - at < 4 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return {DecodeUtf8(text, at).value, at};
}

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

}  // namespace

PublishedTokenizer::PublishedTokenizer(PublishedModel model) : model_(std::move(model)) {
  unk_ = model_.merges.rules().unknown;
  bos_ = model_.bos;
  eos_ = model_.eos;
  before_ = model_.before;
  after_ = model_.after;
  size_ = static_cast<int64_t>(model_.merges.pieces().size());
  for (size_t i = 0; i < model_.added.size(); ++i) {
    const AddedToken& token = model_.added[i];
    added_[token.id] = &token;
    size_ = std::max<int64_t>(size_, int64_t{token.id} + 1);
    if (token.normalized) {
      normalized_.Add(stage::Normalize(model_.normalizers, token.text), static_cast<int32_t>(i));
    } else {
      raw_.Add(token.text, static_cast<int32_t>(i));
    }
  }
}

const AddedToken* PublishedTokenizer::AddedWith(int32_t id) const {
  const auto found = added_.find(id);
  return found == added_.end() ? nullptr : found->second;
}

/// One call of Encode.
class PublishedTokenizer::Encoder {
 public:
  explicit Encoder(const PublishedTokenizer& tokenizer) : tokenizer_(tokenizer), model_(tokenizer.model_) {}

  std::vector<int32_t> Run(std::string_view text) {
    Find(tokenizer_.raw_, text, [&](std::string_view part) {
      const std::string rewritten = stage::Normalize(model_.normalizers, part);
      const bool starts = part.data() == text.data();
      Find(tokenizer_.normalized_, rewritten, [&](std::string_view rest) {
        stage::PreTokenize(model_.pre_tokenizers, rest, starts && rest.data() == rewritten.data(),
                           [&](std::string_view word) { Encode(word); });
      });
    });
    return std::move(ids_);
  }

 private:
  // Ids of added tokens where they are, and `rest` for the text between them.
  void Find(const TextFinder& finder, std::string_view text,
            const std::function<void(std::string_view)>& rest) {
    size_t begin = 0;  // of what lies before the next token
    for (size_t at = 0; at < text.size() && !finder.empty();) {
      const auto [length, index] = finder.At(text, at);
      if (length == 0) {
        ++at;
        continue;
      }
      const AddedToken& token = model_.added[static_cast<size_t>(index)];
      size_t from = at, to = at + length;
      at = to;
      if (token.single_word && !StandsAlone(text, from, to)) continue;
      while (token.left_spaces && from > begin) {
        const auto [c, start] = CharacterBefore(text, from);
        if (!IsWhiteSpace(c) || start < begin) break;
        from = start;
      }
      if (token.left_spaces) from = std::max(from, begin);
      while (token.right_spaces && to < text.size()) {
        const CodePoint c = DecodeUtf8(text, to);
        if (!IsWhiteSpace(c.value)) break;
        to += static_cast<size_t>(std::max(c.length, 1));
      }
      if (from > begin) rest(text.substr(begin, from - begin));
      if (from < to) ids_.push_back(token.id);  // else the token before has taken it for a space
      begin = to;
    }
    if (begin < text.size()) rest(text.substr(begin));
  }

  static bool StandsAlone(std::string_view text, size_t from, size_t to) {
    return (from == 0 || !IsWordCharacter(CharacterBefore(text, from).first)) &&
           (to == text.size() || !IsWordCharacter(DecodeUtf8(text, to).value));
  }

  void Encode(std::string_view word) {
    if (word.size() > kLongestRemembered) return model_.merges.Encode(word, ids_);
    if (const auto found = remembered_.find(word); found != remembered_.end()) {
      ids_.insert(ids_.end(), found->second.begin(), found->second.end());
      return;
    }
    const size_t before = ids_.size();
    model_.merges.Encode(word, ids_);
    if (remembered_.size() < kMostRemembered) {
      remembered_.emplace(word, std::vector(ids_.begin() + static_cast<std::ptrdiff_t>(before), ids_.end()));
    }
  }

  const PublishedTokenizer& tokenizer_;
  const PublishedModel& model_;
  std::vector<int32_t> ids_;
  std::unordered_map<std::string, std::vector<int32_t>, TextHash, std::equal_to<>> remembered_;
};

std::vector<int32_t> PublishedTokenizer::Encode(std::string_view text) const {
  return Encoder(*this).Run(text);
}

bool PublishedTokenizer::Has(int32_t id) const {
  const std::vector<std::string>& known = model_.merges.pieces();
  return AddedWith(id) != nullptr ||
         (id >= 0 && static_cast<size_t>(id) < known.size() && !known[static_cast<size_t>(id)].empty());
}

std::string PublishedTokenizer::Decode(std::span<const int32_t> ids) const {
  std::vector<stage::Piece> pieces;
  for (const int32_t id : ids) {
    if (id == bos_ || id == eos_ || !Has(id)) continue;
    const AddedToken* token = AddedWith(id);
    if (token != nullptr && token->special) continue;
    pieces.push_back({token != nullptr ? token->text : model_.merges.pieces()[static_cast<size_t>(id)],
                      token != nullptr && IsLiteral(*token)});
  }
  std::string text;
  for (const stage::Piece& piece : stage::DecodePieces(model_.decoders, std::move(pieces))) {
    if (model_.spaced_pieces && !text.empty()) text += ' ';
    text += piece.text;
  }
  return FindInvalidUtf8(text) ? LossyUtf8(text) : text;
}

bool PublishedTokenizer::IsLiteral(const AddedToken& token) const {
  const std::vector<std::string>& known = model_.merges.pieces();
  const auto id = static_cast<size_t>(token.id);
  return model_.visible_bytes || id >= known.size() || known[id] != token.text;
}

std::string PublishedTokenizer::Show(int32_t id) const {
  if (!Has(id)) return "<" + std::to_string(id) + ">";
  if (const AddedToken* token = AddedWith(id)) return Visible(token->text);
  const std::string& piece = model_.merges.pieces()[static_cast<size_t>(id)];
  std::string bytes;
  return Visible(model_.visible_bytes && stage::AppendBytesOfVisible(bytes, piece) ? bytes : piece);
}

}  // namespace heed
