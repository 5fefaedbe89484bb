// A checkpoint in several files: the index that says which tensor is in which file, and folders as they are
// published. Every file is read by safetensors.cpp; here they become one set of tensors.
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>

#include "runtime/base/json_input.h"
#include "runtime/base/names.h"
#include "runtime/base/whole_file.h"
#include "runtime/weights/safetensors.h"

namespace heed {
namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr int64_t kLargestIndex = 64'000'000;

bool IsFolder(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}
bool Exists(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0;
}

// What a user may have meant in a folder without the usual names.
std::string Candidates(const std::string& folder) {
  std::vector<std::string> names;
  if (DIR* open = opendir(folder.c_str())) {
    while (const dirent* entry = readdir(open)) {
      const std::string name = entry->d_name;
      if (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json")) names.push_back(name);
      if (name.ends_with(".bin") || name.ends_with(".pth"))
        names.push_back(name + " (PyTorch's format: not read here)");
    }
    closedir(open);
  }
  std::sort(names.begin(), names.end());
  return names.empty() ? "" : "; it has " + ListNames(names, 4) + ": name a file itself";
}

}  // namespace

std::string CheckpointFolder(const std::string& path) {
  if (IsFolder(path)) return path.ends_with('/') ? path : path + "/";
  return path.substr(0, path.rfind('/') + 1);
}

Result<SafetensorsFile> SafetensorsFile::OpenCheckpoint(const std::string& path) {
  if (!IsFolder(path)) return path.ends_with(".json") ? OpenIndex(path) : Open(path);
  const std::string folder = CheckpointFolder(path);
  if (Exists(folder + kSingle)) return Open(folder + kSingle);
  if (Exists(folder + kIndex)) return OpenIndex(folder + kIndex);
  return Error{"the folder " + path + " has neither " + kSingle + " nor " + kIndex + Candidates(path)};
}

Result<SafetensorsFile> SafetensorsFile::OpenIndex(const std::string& path) {
  const auto fail = [&](const std::string& why) {
    return Error{path + " is not a usable index of safetensors files: " + why};
  };
  const Result<std::string> bytes = ReadWholeFile(path, kLargestIndex);
  if (!bytes) return bytes.error();
  const JsonInput input = ParseJson(*bytes, 2);
  const nlohmann::json& index = input.json;
  if (index.is_discarded()) return fail("it is not JSON (cut short?)");
  if (!input.twice.empty()) return fail("it has `" + input.twice + "` twice");
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return fail("it has no object weight_map");
  }
  SafetensorsFile all;
  std::map<std::string, std::vector<std::string>> names;  // of the tensors in each file
  for (const auto& [name, file] : index["weight_map"].items()) {
    const std::string shard =
        file.is_string() ? file.get<std::string>() : std::string("a ") + file.type_name();
    const auto refuse = [&](const char* why) { all.absent_[name] = {shard, why}; };
    if (!file.is_string()) {
      refuse("is not a string, so it names no file");
    } else if (shard.find('/') != std::string::npos || shard.find('\0') != std::string::npos) {
      refuse("is elsewhere; the files must lie beside the index");
    } else if (!shard.ends_with(".safetensors")) {
      refuse("is no safetensors file");
    } else {
      names[shard].push_back(name);
    }
  }
  if (names.empty() && all.absent_.empty()) return fail("its weight_map is empty");

  std::vector<std::string> missing;  // files
  for (const auto& [shard, wanted] : names) {
    const auto refuse = [&](const std::string& why) {
      for (const std::string& name : wanted) all.absent_[name] = {shard, why};
    };
    if (!Exists(CheckpointFolder(path) + shard)) {
      missing.push_back(shard);
      refuse("is not there");
      continue;
    }
    Result<SafetensorsFile> file = Open(CheckpointFolder(path) + shard);
    if (!file) {
      refuse("cannot be read: " + file.error().message);
      continue;
    }
    for (const std::string& name : wanted) {
      const auto found = file->tensors_.find(name);
      if (found == file->tensors_.end()) {
        all.absent_[name] = {shard, "does not have it"};
      } else {
        all.tensors_[name] = std::move(found->second);
      }
    }
    all.mappings_.insert(all.mappings_.end(), file->mappings_.begin(), file->mappings_.end());
    all.metadata_.merge(file->metadata_);
  }
  if (!all.tensors_.empty()) return all;
  if (!missing.empty()) {
    return Error{path + " names " + std::to_string(names.size()) + " files, of which " +
                 std::to_string(missing.size()) + (missing.size() == 1 ? " is" : " are") +
                 " not there: " + ListNames(missing, 4)};
  }
  const auto& [name, absent] = *all.absent_.begin();
  return fail("it puts tensor `" + name + "` into " + absent.file + ", which " + absent.why);
}

}  // namespace heed
