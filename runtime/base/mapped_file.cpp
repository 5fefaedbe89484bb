// See mapped_file.h. The list of mappings only grows, so that the handler can walk it whatever it
// interrupted.
#include "runtime/base/mapped_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "runtime/base/process.h"

namespace heed {

struct MappedFile::Mapping {
  std::string path;
  std::atomic<uint8_t*> data{nullptr};  // null: free
  std::atomic<size_t> size{0};
  Mapping* next = nullptr;
  static std::atomic<Mapping*> first;

  static Mapping* Of(const std::string& path) {
    auto* const fresh = new Mapping{path};
    fresh->next = first.load();
    while (!first.compare_exchange_weak(fresh->next, fresh)) {
    }
    return fresh;
  }
};
std::atomic<MappedFile::Mapping*> MappedFile::Mapping::first{nullptr};

void MappedFile::OnLostPage(int number, siginfo_t* info, void*) {
  const auto* const address = static_cast<const uint8_t*>(info->si_addr);
  for (Mapping* mapping = Mapping::first.load(); mapping != nullptr; mapping = mapping->next) {
    const uint8_t* const begin = mapping->data;
    if (begin == nullptr || address < begin || address >= begin + mapping->size) continue;
    EndAtOnce({"error: cannot read ", mapping->path,
               ": it was cut or overwritten while it was being read, or its disk fails; try again when it is "
               "complete\n"});
  }
  signal(number, SIG_DFL);  // none of ours: the access is made again, and ends the process
}

Result<MappedFile> MappedFile::Open(const std::string& path) {
  const auto fail = [&](const std::string& why) { return Error{"cannot read " + path + ": " + why}; };
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return fail(std::strerror(errno));
  struct stat status;
  std::string why;
  void* data = MAP_FAILED;
  if (fstat(file, &status) != 0) {
    why = std::strerror(errno);
  } else if (S_ISDIR(status.st_mode)) {
    why = "it is a folder";
  } else if (!S_ISREG(status.st_mode)) {
    why = "not a regular file";
  } else if (status.st_size == 0) {
    why = "the file is empty";
  } else {
    data = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) why = std::strerror(errno);
  }
  close(file);
  if (data == MAP_FAILED) return fail(why);
  Mapping* const mapping = Mapping::Of(path);
  mapping->size = static_cast<size_t>(status.st_size);
  mapping->data = static_cast<uint8_t*>(data);
  struct sigaction action = {};
  action.sa_sigaction = OnLostPage;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
  return MappedFile(mapping, status);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : mapping_(std::exchange(other.mapping_, nullptr)), status_(other.status_) {}
MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(status_, other.status_);
  return *this;
}
MappedFile::~MappedFile() {
  if (mapping_ != nullptr) munmap(mapping_->data.exchange(nullptr), mapping_->size);
}

const uint8_t* MappedFile::data() const { return mapping_->data; }
const std::string& MappedFile::path() const { return mapping_->path; }

Status MappedFile::CheckUnchanged() const {
  struct stat now;
  // A file that was replaced under its name, or removed, stays as it was for whoever has mapped it.
  if (stat(mapping_->path.c_str(), &now) != 0 || now.st_dev != status_.st_dev || now.st_ino != status_.st_ino)
    return Done{};
  if (now.st_size == status_.st_size && now.st_mtim.tv_sec == status_.st_mtim.tv_sec &&
      now.st_mtim.tv_nsec == status_.st_mtim.tv_nsec)
    return Done{};
  return Error{"cannot read " + mapping_->path +
               ": it was changed while it was being read; try again when it is complete"};
}

}  // namespace heed
