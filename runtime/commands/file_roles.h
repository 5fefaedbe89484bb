// Which files a command reads and which it writes: no output may be an input, or another output, by whatever
// name or link. Asked before anything is touched.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace heed {

class FileRoles {
 public:
  /// Options that were not given (empty paths) have no role.
  void Reads(const std::string& option, const std::string& path);
  /// A checkpoint: a file, or an index or a folder with its files; and what is read beside it.
  void ReadsWeights(const std::string& option, const std::string& path);
  /// A file or folder, and what is read beside it; the name of a kind of tokenizer is no file.
  void ReadsTokenizer(const std::string& option, const std::string& path);
  /// `replaces`: an input that this output may take the place of, because it is its next state.
  void Writes(const std::string& option, const std::string& path, const std::string& replaces = "");
  /// A usage error that names both options.
  Status Check() const;

 private:
  struct Role {
    std::string option, path, replaces;
  };
  std::vector<Role> read_, written_;
};

}  // namespace heed
