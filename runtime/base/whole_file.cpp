// See whole_file.h. System calls instead of streams, whose failures come without a reason, or as exceptions
// (reading a folder).
#include "runtime/base/whole_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace heed {

Result<std::string> ReadWholeFile(const std::string& path, int64_t at_most) {
  const auto fail = [&](const std::string& why) { return Error{"cannot read " + path + ": " + why}; };
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return Error{"cannot open " + path + ": " + std::strerror(errno)};
  struct stat status;
  std::string bytes;
  size_t used = 0;
  // One byte more than the size: the read that fills it meets the end.
  if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= at_most)
    bytes.resize(static_cast<size_t>(status.st_size) + 1);
  for (;;) {
    if (static_cast<int64_t>(used) > at_most) {
      close(file);
      return fail("it has more than " + std::to_string(at_most) + " bytes");
    }
    if (used == bytes.size()) bytes.resize(used + used / 2 + (1 << 16));
    const ssize_t count = read(file, bytes.data() + used, bytes.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const int code = errno;
      close(file);
      return fail(code == EISDIR ? "it is a folder" : std::strerror(code));
    }
    if (count == 0) break;
    used += static_cast<size_t>(count);
  }
  close(file);
  bytes.resize(used);
  return bytes;
}

}  // namespace heed
