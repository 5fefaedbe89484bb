// A folder for files that only other programs read, as a linker does. Only its owner may look into it.
#pragma once

#include <string>

#include "runtime/base/unfinished.h"

namespace heed {

/// A fresh folder in $TMPDIR or /tmp; removed with the files in it at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  /// Empty if it could not be made.
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  Unfinished note_;
};

}  // namespace heed
