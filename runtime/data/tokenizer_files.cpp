// See tokenizer_files.h.
#include "runtime/data/tokenizer_files.h"

#include <sys/stat.h>

#include "runtime/base/base64.h"
#include "runtime/base/json_input.h"
#include "runtime/base/whole_file.h"
#include "runtime/text/tokenizer_json.h"
#include "runtime/text/tokenizer_piece.h"
#include "runtime/weights/safetensors.h"

namespace heed {
namespace {

using Json = nlohmann::json;

constexpr int64_t kLargestFile = 1'000'000'000;
constexpr int64_t kLargestConfig = 64'000'000;
// A vocabulary and its merges: as published by Hugging Face, and by OpenAI.
constexpr std::pair<const char*, const char*> kVocabularies[] = {{"vocab.json", "merges.txt"},
                                                                 {"encoder.json", "vocab.bpe"}};

bool IsFile(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}
bool IsFolder(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

/// What is told beside a tokenizer's file.
struct Config {
  std::string path, tokenizer_class;
  std::optional<SpecialTokens> special;
};
Config ReadConfig(const std::string& folder) {
  Config config;
  config.path = folder + "tokenizer_config.json";
  const Result<std::string> bytes = ReadWholeFile(config.path, kLargestConfig);
  if (!bytes) return config;
  const Json json = ParseJson(*bytes).json;
  if (!json.is_object()) return config;
  // A token is its text, an object with its `content`, or null.
  const auto token = [&](const char* key) -> std::string {
    if (!json.contains(key)) return "";
    const Json& value =
        json[key].is_object() && json[key].contains("content") ? json[key]["content"] : json[key];
    return value.is_string() ? value.get<std::string>() : "";
  };
  if (json.contains("bos_token") || json.contains("eos_token"))
    config.special = SpecialTokens{token("bos_token"), token("eos_token")};
  config.tokenizer_class = token("tokenizer_class");
  return config;
}

Result<TokenizerPtr> LoadVocabulary(const std::string& vocabulary, const std::string& merges) {
  const Config config = ReadConfig(CheckpointFolder(vocabulary));
  const std::string& kind = config.tokenizer_class;
  if (!kind.empty() && kind.find("GPT2") == std::string::npos) {
    return Error{config.path + " says that " + vocabulary + " belongs to a " + kind +
                 ", whose rules the file does not tell; use its tokenizer.json"};
  }
  const Result<std::string> pieces = ReadWholeFile(vocabulary, kLargestFile);
  if (!pieces) return pieces.error();
  const Result<std::string> lines = ReadWholeFile(merges, kLargestFile);
  if (!lines) return Error{lines.error().message + " (it goes with " + vocabulary + ")"};
  return ParseVocabulary(*pieces, vocabulary, *lines, merges, config.special);
}

// A tokenizer.json, or a vocabulary, whatever it is called.
Result<TokenizerPtr> LoadJson(const std::string& path) {
  const std::string folder = CheckpointFolder(path), name = path.substr(folder.size());
  for (const auto& [vocabulary, merges] : kVocabularies) {
    if (name == vocabulary) return LoadVocabulary(path, folder + merges);
  }
  const Result<std::string> bytes = ReadWholeFile(path, kLargestFile);
  if (!bytes) return bytes.error();
  return ParseTokenizerJson(*bytes, path, ReadConfig(folder).special);
}

Result<TokenizerPtr> LoadSentencePiece(const std::string& path) {
  const Result<std::string> bytes = ReadWholeFile(path, kLargestFile);
  if (!bytes) return Error{bytes.error().message + " (--tokenizer takes bpe, chars, bytes or a file)"};
  Result<PieceModel> model = ParseSentencePiece(*bytes, path);
  if (!model && bytes->starts_with("IQ== ")) {  // "!", the first byte of such lists
    return Error{path + " is a list of pieces in base64 (tiktoken's format); use the model's tokenizer.json"};
  }
  if (!model) return model.error();
  return TokenizerPtr(std::make_shared<PieceTokenizer>(std::move(*model)));
}

Result<TokenizerPtr> LoadFromCheckpoint(const std::string& path) {
  const Result<SafetensorsFile> file = SafetensorsFile::Open(path);
  if (!file) return file.error();
  const auto found = file->metadata().find("tokenizer");
  if (found == file->metadata().end()) return Error{path + " carries no tokenizer"};
  const auto bytes = DecodeBase64(found->second);
  if (!bytes) return Error{path + ": the tokenizer in the metadata is damaged"};
  return DeserializeTokenizer(*bytes);
}

}  // namespace

std::string TokenizerIn(const std::string& folder) {
  std::vector<std::string> names{"tokenizer.json"};
  for (const auto& [vocabulary, merges] : kVocabularies) {
    if (IsFile(folder + merges)) names.emplace_back(vocabulary);
  }
  names.emplace_back("tokenizer.model");
  for (const std::string& name : names) {
    if (IsFile(folder + name)) return folder + name;
  }
  return "";
}

Result<TokenizerPtr> LoadTokenizer(const std::string& path) {
  if (IsFolder(path)) {
    const std::string file = TokenizerIn(CheckpointFolder(path));
    if (!file.empty()) return LoadTokenizer(file);
    return Error{"the folder " + path +
                 " has no tokenizer.json, vocab.json with merges.txt, or tokenizer.model"};
  }
  const std::string folder = CheckpointFolder(path), name = path.substr(folder.size());
  for (const auto& [vocabulary, merges] : kVocabularies) {
    if (name == merges) return LoadVocabulary(folder + vocabulary, path);
  }
  if (name.ends_with(".json")) return LoadJson(path);
  return name.ends_with(".safetensors") ? LoadFromCheckpoint(path) : LoadSentencePiece(path);
}

}  // namespace heed
