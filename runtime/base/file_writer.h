// Writing a file so that nothing is lost: under a temporary name beside it, which nobody can have made
// before, synced, then renamed. On any failure what was there is untouched and the temporary file is gone;
// what a process that was killed left of the same file is removed by the next. What the bytes mean is the
// caller's business.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/base/result.h"
#include "runtime/base/unfinished.h"

namespace heed {

/// What a file is made like.
struct FileKind {
  mode_t mode = 0666;      ///< less the umask
  bool keeps_mode = true;  ///< of a file that was there
  bool synced = true;      ///< to the disk before it is renamed: for what took long to make
};

class FileWriter {
 public:
  /// Links are written through, also ones that lead to nothing yet; devices, pipes and descriptors
  /// (/dev/stdout) are written to as they are.
  explicit FileWriter(std::string path, FileKind kind = {});
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  Status Open();
  Status Write(const void* data, int64_t bytes);
  /// Gives the file its name.
  Status Finish();

 private:
  Status OpenTemporary(mode_t mode, bool exists);
  Error Fail(const std::string& why) const;
  Error FailWriting(int code) const;

  std::string path_, target_, temporary_;
  FileKind kind_;
  int file_ = -1;
  bool direct_ = false;
  Unfinished note_;
};

Status WriteWholeFile(const std::string& path, std::string_view bytes, FileKind kind = {});

/// Whether `path` could be written now: there is a folder that takes new files, or a device. To be asked
/// before long work. Leaves nothing behind.
Status CheckCanWrite(const std::string& path);

/// A descriptor that adds to the end of `path`, which is made if it is not there; of a pipe or device the
/// open one. To be closed by the caller.
Result<int> OpenToAppend(const std::string& path);

}  // namespace heed
