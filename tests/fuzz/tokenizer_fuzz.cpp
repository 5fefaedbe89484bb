// Files of tokenizers: tokenizer.json (first byte `{`), GPT-2's two files (`v`, vocab.json, NUL, merges.txt),
// a SentencePiece model (anything else). What loads encodes, decodes, and is the same after it was saved.
#include <string>
#include <vector>

#include "runtime/base/utf8.h"
#include "runtime/data/tokenizer_files.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/tokenizer_json.h"
#include "tests/fuzz/fuzz_support.h"

namespace {

using namespace heed;

Result<TokenizerPtr> Load(std::string_view bytes) {
  if (bytes[0] == '{') return ParseTokenizerJson(bytes, "fuzz", {});
  if (bytes[0] != 'v') return LoadTokenizer(fuzz::WriteFile("fuzz.model", bytes));
  const auto [vocabulary, merges] = fuzz::Split(bytes.substr(1));
  return ParseVocabulary(vocabulary, "vocab.json", merges, "merges.txt", {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 65536) return -1;
  const Result<TokenizerPtr> loaded = Load(fuzz::Text(data, size));
  if (!loaded) {
    fuzz::Require(!loaded.error().message.empty(), "a refusal has a message");
    return 0;
  }
  const Tokenizer& tokenizer = **loaded;
  const Result<TokenizerPtr> restored = DeserializeTokenizer(tokenizer.Serialize());
  fuzz::Require(static_cast<bool>(restored), "what was saved loads");
  for (const char* text :
       {"", "The cat, 12 o'clock!\n", "\xC3\xA9t\xC3\xA9  \xE6\xBC\xA2\xE5\xAD\x97 \xF0\x9F\x98\x80",
        "<s>aaaaaaaaaaaaaaaa ab ba\t\n\n"}) {
    const std::vector<int32_t> ids = tokenizer.Encode(text);
    for (const int32_t id : ids) {
      fuzz::Require(id >= 0 && id < tokenizer.size(), "ids are below the size");
      fuzz::Require(!FindInvalidUtf8(tokenizer.Show(id)), "what is shown is UTF-8");
    }
    fuzz::Require(!FindInvalidUtf8(tokenizer.Decode(ids)), "decoded text is UTF-8");
    fuzz::Require((*restored)->Encode(text) == ids, "what was saved encodes the same way");
  }
  const std::vector<int32_t> strange = {-1, 0, 1, 2, 3, 2147483647};
  fuzz::Require(!FindInvalidUtf8(tokenizer.Decode(strange)), "strange ids decode to UTF-8");
  return 0;
}
