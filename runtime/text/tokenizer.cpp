// The character and byte tokenizers, and the door to all kinds: restoring from a checkpoint. Files are
// tokenizer_files.cpp's business.
#include "runtime/text/tokenizer.h"

#include <set>
#include <unordered_map>

#include "runtime/base/utf8.h"
#include "runtime/text/tokenizer_json.h"
#include "runtime/text/tokenizer_piece.h"
#include "runtime/text/unicode.h"

namespace heed {
namespace {
constexpr int32_t kFirstId = 3;
constexpr std::string_view kUnknownSurface = "\xE2\x81\x87";  // U+2047
const char* const kSpecialNames[] = {"<unk>", "<s>", "</s>"};

class ByteTokenizer final : public Tokenizer {
 public:
  std::vector<int32_t> Encode(std::string_view text) const override {
    std::vector<int32_t> ids;
    ids.reserve(text.size());
    for (char c : text) ids.push_back(static_cast<unsigned char>(c) + kFirstId);
    return ids;
  }
  std::string Decode(std::span<const int32_t> ids) const override {
    std::string out;
    for (int32_t id : ids) {
      if (id >= kFirstId && id < size()) {
        out.push_back(static_cast<char>(id - kFirstId));
      } else if (id == unk_) {
        out += kUnknownSurface;
      }
    }
    return RepairUtf8(out);
  }
  std::string Show(int32_t id) const override {
    if (id >= 0 && id < kFirstId) return kSpecialNames[id];
    if (id < 0 || id >= size()) return "<" + std::to_string(id) + ">";
    const char byte = static_cast<char>(id - kFirstId);
    return Visible(std::string_view(&byte, 1));
  }
  int64_t size() const override { return kFirstId + 256; }
  std::string_view kind() const override { return "bytes"; }
  std::string Serialize() const override { return "bytes\n"; }
};

class CharacterTokenizer final : public Tokenizer {
 public:
  explicit CharacterTokenizer(std::vector<std::string> characters) : characters_(std::move(characters)) {
    for (size_t i = 0; i < characters_.size(); ++i)
      ids_.emplace(characters_[i], kFirstId + static_cast<int32_t>(i));
  }
  std::vector<int32_t> Encode(std::string_view text) const override {
    std::vector<int32_t> ids;
    ids.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
      const size_t length = static_cast<size_t>(std::max(DecodeUtf8(text, at).length, 1));
      const auto found = ids_.find(text.substr(at, length));
      ids.push_back(found == ids_.end() ? unk_ : found->second);
      at += length;
    }
    return ids;
  }
  std::string Decode(std::span<const int32_t> ids) const override {
    std::string out;
    for (int32_t id : ids) {
      if (id >= kFirstId && id < size()) {
        out += characters_[static_cast<size_t>(id - kFirstId)];
      } else if (id == unk_) {
        out += kUnknownSurface;
      }
    }
    return out;
  }
  std::string Show(int32_t id) const override {
    if (id >= 0 && id < kFirstId) return kSpecialNames[id];
    if (id < 0 || id >= size()) return "<" + std::to_string(id) + ">";
    return Visible(characters_[static_cast<size_t>(id - kFirstId)]);
  }
  int64_t size() const override { return kFirstId + static_cast<int64_t>(characters_.size()); }
  std::string_view kind() const override { return "chars"; }
  std::string Serialize() const override {
    std::string out = "chars\n";
    for (const std::string& c : characters_) out += c;
    return out;
  }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::vector<std::string> characters_;
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> ids_;
};

TokenizerPtr CharactersOf(const std::set<char32_t>& characters) {
  std::vector<std::string> list;
  for (char32_t c : characters) AppendUtf8(list.emplace_back(), c);
  return std::make_shared<CharacterTokenizer>(std::move(list));
}

}  // namespace

std::vector<int32_t> EncodeFromStart(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids = tokenizer.Encode(text);
  const std::span<const int32_t> before = tokenizer.before();
  if (ids.size() < before.size() || !std::equal(before.begin(), before.end(), ids.begin()))
    ids.insert(ids.begin(), before.begin(), before.end());
  return ids;
}

TokenizerPtr MakeByteTokenizer() { return std::make_shared<ByteTokenizer>(); }

TokenizerPtr MakeCharacterTokenizer(std::span<const std::string_view> texts) {
  std::set<char32_t> characters;
  std::vector<bool> seen(0x110000);  // most characters repeat: ask the set once for each
  for (std::string_view text : texts) {
    for (size_t at = 0; at < text.size();) {
      const CodePoint c = DecodeUtf8(text, at);
      if (c.length > 0 && !seen[c.value]) {
        seen[c.value] = true;
        characters.insert(c.value);
      }
      at += static_cast<size_t>(std::max(c.length, 1));
    }
  }
  return CharactersOf(characters);
}

Result<TokenizerPtr> DeserializeTokenizer(std::string_view bytes) {
  const Error damaged{"the tokenizer in the checkpoint is damaged"};
  const size_t line = bytes.find('\n');
  if (line == std::string_view::npos) return damaged;
  const std::string_view kind = bytes.substr(0, line), rest = bytes.substr(line + 1);
  if (kind == "bytes") return MakeByteTokenizer();
  if (kind == "chars") {
    if (FindInvalidUtf8(rest)) return damaged;
    return MakeCharacterTokenizer(std::span(&rest, 1));
  }
  if (kind == "sentencepiece") {
    Result<PieceModel> model = ParseSentencePiece(rest, "the tokenizer in the checkpoint");
    if (!model) return model.error();
    return TokenizerPtr(std::make_shared<PieceTokenizer>(std::move(*model)));
  }
  if (kind == "tokenizer.json") return ParseTokenizerJson(rest, "the tokenizer in the checkpoint", {});
  return Error{"the checkpoint's tokenizer is of a kind this program does not know: `" +
               RepairUtf8(kind.substr(0, 40)) + "`"};
}

}  // namespace heed
