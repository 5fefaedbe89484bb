// Where a path leads: through links, to descriptors of this process, to the same file as another path. Reads
// no contents.
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace heed {

/// Where writing to a path ends up.
struct Place {
  std::string path;     ///< symbolic links followed, also one that leads to nothing yet
  int descriptor = -1;  ///< of this process, where the path names one: /dev/stdout, /dev/fd/3 ...
};
/// An error if links go round in circles.
Result<Place> PlaceOf(const std::string& path);

/// True if two paths are one regular file (through links of either kind, by any spelling), or would make one.
bool SameFile(const std::string& a, const std::string& b);

/// The folder part of a path, "." if it has none.
std::string FolderOf(const std::string& path);

}  // namespace heed
