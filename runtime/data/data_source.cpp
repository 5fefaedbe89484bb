// Which kind of source a path is; see data_source.h.
#include "runtime/data/data_source.h"

#include <glob.h>

#include <algorithm>
#include <filesystem>

namespace heed {
namespace {

bool IsPattern(const std::string& path) { return path.find_first_of("*?[") != std::string::npos; }

/// The files that a path stands for.
Result<std::vector<std::string>> FilesOf(const std::string& path) {
  std::error_code ignored;
  if (!IsPattern(path) || std::filesystem::exists(path, ignored)) return std::vector{path};
  glob_t found{};
  const int failed = glob(path.c_str(), 0, nullptr, &found);
  std::vector<std::string> files(found.gl_pathv, found.gl_pathv + (failed == 0 ? found.gl_pathc : 0));
  globfree(&found);
  if (files.empty()) return Error{"no file is called " + path};
  return files;
}

std::string EndingOf(const std::string& path) { return std::filesystem::path(path).extension().string(); }

}  // namespace

Result<DataSourcePtr> OpenData(const std::string& path, bool skip_invalid) {
  const Result<std::vector<std::string>> files = FilesOf(path);
  if (!files) return files.error();
  const std::string ending = EndingOf((*files)[0]);
  for (const std::string& file : *files) {
    if (EndingOf(file) != ending)
      return Error{path + " stands for files of several formats: " + (*files)[0] + " and " + file};
  }
  if (ending == ".jsonl" || ending == ".tsv") return OpenRecords(*files, skip_invalid);
  std::error_code ignored;
  if (ending == ".safetensors" || ending == ".npz" || std::filesystem::is_directory((*files)[0], ignored))
    return OpenTensors(*files);
  if (!std::filesystem::exists((*files)[0], ignored))
    return Error{"cannot open " + path + ": there is no such file"};
  return Error{
      path +
      ": data must be a file of records (.jsonl, .tsv), of tensors (.safetensors, .npz), or a folder " +
      "of .npy"};
}

Result<DataSourcePtr> OpenArgument(const std::string& argument, const std::string& path, bool skip_invalid) {
  if (path.ends_with(".npy")) return OpenArray(argument, path);
  return OpenLines(argument, path == "-" ? "/dev/stdin" : path, skip_invalid);
}

}  // namespace heed
