// A file mapped to be read. Another program may cut or overwrite it meanwhile: touching a page that is gone
// ends the process with a message and status 1 instead of a signal, and CheckUnchanged tells whether what was
// read is one state of the file.
#pragma once

#include <sys/stat.h>

#include <csignal>
#include <cstdint>
#include <string>

#include "runtime/base/result.h"

namespace heed {

class MappedFile {
 public:
  /// An error names the path. An empty file is one.
  static Result<MappedFile> Open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const uint8_t* data() const;
  int64_t size() const { return status_.st_size; }
  const std::string& path() const;
  /// To be asked when all that is needed has been read.
  Status CheckUnchanged() const;

 private:
  struct Mapping;
  MappedFile(Mapping* mapping, const struct stat& status) : mapping_(mapping), status_(status) {}
  static void OnLostPage(int number, siginfo_t* info, void* context);

  Mapping* mapping_;
  struct stat status_;
};

}  // namespace heed
