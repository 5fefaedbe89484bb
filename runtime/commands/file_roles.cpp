// See file_roles.h.
#include "runtime/commands/file_roles.h"

#include <algorithm>

#include "runtime/base/places.h"
#include "runtime/weights/safetensors.h"

namespace heed {
namespace {

// What is read beside weights or a tokenizer where it is published.
constexpr const char* kBeside[] = {
    "config.json", "generation_config.json", "tokenizer.json",          "vocab.json", "tokenizer_config.json",
    "merges.txt",  "encoder.json",           "special_tokens_map.json", "vocab.bpe",  "tokenizer.model"};

}  // namespace

void FileRoles::Reads(const std::string& option, const std::string& path) {
  if (!path.empty()) read_.push_back({option, path, ""});
}

void FileRoles::ReadsWeights(const std::string& option, const std::string& path) {
  if (path.empty()) return;
  Reads(option, path);
  for (const char* name : kBeside) Reads(option, CheckpointFolder(path) + name);
  const Result<SafetensorsFile> file = SafetensorsFile::OpenCheckpoint(path);
  if (!file) return;  // whoever reads it says why
  for (const std::string& part : file->Paths()) Reads(option, part);
}

void FileRoles::ReadsTokenizer(const std::string& option, const std::string& path) {
  if (path.empty() || path == "bpe" || path == "chars" || path == "bytes") return;
  Reads(option, path);
  for (const char* name : kBeside) Reads(option, CheckpointFolder(path) + name);
}

void FileRoles::Writes(const std::string& option, const std::string& path, const std::string& replaces) {
  if (!path.empty()) written_.push_back({option, path, replaces});
}

Status FileRoles::Check() const {
  for (size_t i = 0; i < written_.size(); ++i) {
    const Role& written = written_[i];
    for (size_t other = 0; other < i; ++other) {
      if (!SameFile(written.path, written_[other].path)) continue;
      return UsageError(written_[other].option + " and " + written.option + " are the same file, " +
                        written.path);
    }
    if (!written.replaces.empty() && SameFile(written.path, written.replaces)) continue;
    const auto overwritten = std::find_if(
        read_.begin(), read_.end(), [&](const Role& read) { return SameFile(written.path, read.path); });
    if (overwritten == read_.end()) continue;
    return UsageError(written.option + " " + written.path + " would overwrite what " + overwritten->option +
                      " reads; name another file");
  }
  return Done{};
}

}  // namespace heed
