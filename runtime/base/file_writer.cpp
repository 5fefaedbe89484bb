// See file_writer.h. A writer holds a lock on its temporary file: the kernel drops it when the process is
// gone, however it went, so a file of that pattern without a lock and without a process is nobody's.
#include "runtime/base/file_writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>

#include "runtime/base/places.h"

namespace heed {
namespace {

constexpr std::string_view kEnding = ".heed-tmp";
constexpr size_t kLongestName = 200;  // of a file's name in that of its temporary file, which may have 255
constexpr int kAttempts = 1000;

/// ".NAME.", with which the names of temporary files of a target begin; a process and a number follow.
std::string Beginning(const std::string& target) {
  return "." + target.substr(target.rfind('/') + 1).substr(0, kLongestName) + ".";
}

/// The process in "PID-NUMBER"; 0 for other text.
pid_t ProcessIn(std::string_view text) {
  pid_t process = 0;
  int number = 0;
  const char* const end = text.data() + text.size();
  const auto [dash, code] = std::from_chars(text.data(), end, process);
  if (code != std::errc() || dash == end || *dash != '-' || process <= 0) return 0;
  const auto [last, other] = std::from_chars(dash + 1, end, number);
  return other == std::errc() && last == end ? process : 0;
}

/// Removes temporary files of `target` whose writers are gone.
void RemoveAbandoned(const std::string& target) {
  DIR* const folder = opendir(FolderOf(target).c_str());
  if (folder == nullptr) return;
  const std::string beginning = Beginning(target);
  while (const dirent* entry = readdir(folder)) {
    std::string_view name = entry->d_name;
    if (!name.starts_with(beginning) || !name.ends_with(kEnding) ||
        name.size() < beginning.size() + kEnding.size())
      continue;
    name.remove_prefix(beginning.size());
    name.remove_suffix(kEnding.size());
    const pid_t writer = ProcessIn(name);
    if (writer == 0 || kill(writer, 0) == 0 || errno != ESRCH) continue;
    const int file =
        openat(dirfd(folder), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (file < 0) continue;
    struct stat status;
    if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
        flock(file, LOCK_EX | LOCK_NB) == 0)
      unlinkat(dirfd(folder), entry->d_name, 0);
    close(file);
  }
  closedir(folder);
}

int DescriptorCopy(int descriptor) { return fcntl(descriptor, F_DUPFD_CLOEXEC, 0); }

}  // namespace

FileWriter::FileWriter(std::string path, FileKind kind) : path_(std::move(path)), kind_(kind) {}
FileWriter::~FileWriter() {
  if (file_ >= 0) close(file_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

Status FileWriter::Open() {
  const Result<Place> place = PlaceOf(path_);
  if (!place) return Error{"cannot write " + place.error().message};
  target_ = place->path;
  if (place->descriptor >= 0) {
    direct_ = true;
    file_ = DescriptorCopy(place->descriptor);
    return file_ < 0 ? Fail(std::strerror(errno)) : Status(Done{});
  }
  struct stat status;
  const bool exists = stat(target_.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) return Fail("it is a folder");
  if (exists && !S_ISREG(status.st_mode)) {
    direct_ = true;
    file_ = open(target_.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return file_ < 0 ? Fail(std::strerror(errno)) : Status(Done{});
  }
  // A file that its owner has closed to writing is not replaced either.
  if (exists && access(target_.c_str(), W_OK) != 0) return Fail(std::strerror(errno));
  RemoveAbandoned(target_);
  return OpenTemporary(exists && kind_.keeps_mode ? status.st_mode & 07777 : kind_.mode,
                       exists && kind_.keeps_mode);
}

Status FileWriter::OpenTemporary(mode_t mode, bool exists) {
  const std::string folder = FolderOf(target_);
  const std::string beginning = folder + "/" + Beginning(target_) + std::to_string(getpid()) + "-";
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::string name = beginning + std::to_string(attempt) + std::string(kEnding);
    const SignalsWait signals;
    file_ = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (file_ >= 0) {
      temporary_ = name;
      note_ = Unfinished::File(name);
      flock(file_, LOCK_EX | LOCK_NB);
      // The umask does not count for a file that was there.
      if (exists && fchmod(file_, mode) != 0) errno = 0;
      return Done{};
    }
    if (errno == EEXIST) continue;
    return Fail(errno == ENOENT ? "there is no folder " + folder : std::strerror(errno));
  }
  return Fail("no free temporary name in " + folder);
}

Status FileWriter::Write(const void* data, int64_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = write(file_, at, static_cast<size_t>(std::min<int64_t>(bytes, 1 << 30)));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return FailWriting(written < 0 ? errno : ENOSPC);
    at += written;
    bytes -= written;
  }
  return Done{};
}

Status FileWriter::Finish() {
  if (!direct_ && kind_.synced && fsync(file_) != 0) return FailWriting(errno);
  const int file = file_;
  file_ = -1;
  if (close(file) != 0) return FailWriting(errno);
  if (direct_) return Done{};
  if (rename(temporary_.c_str(), target_.c_str()) != 0) return FailWriting(errno);
  note_.Forget();
  temporary_.clear();
  if (!kind_.synced) return Done{};
  // The name, too, must survive a power cut. Some file systems cannot sync a folder; the data are safe then.
  const int folder = open(FolderOf(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    close(folder);
  }
  return Done{};
}

Error FileWriter::Fail(const std::string& why) const { return Error{"cannot write " + path_ + ": " + why}; }
Error FileWriter::FailWriting(int code) const {
  std::string why = std::strerror(code);
  if (code == ENOSPC) why = "no space left on the device";
  if (code == EFBIG) why = "the file would be larger than the limit";
  return Fail(why + (direct_ ? "" : "; what was there before is unchanged"));
}

Status WriteWholeFile(const std::string& path, std::string_view bytes, FileKind kind) {
  FileWriter writer(path, kind);
  if (Status status = writer.Open(); !status) return status;
  if (Status status = writer.Write(bytes.data(), static_cast<int64_t>(bytes.size())); !status) return status;
  return writer.Finish();
}

Status CheckCanWrite(const std::string& path) {
  const Result<Place> place = PlaceOf(path);
  struct stat status;
  // Whoever reads a pipe would take a look at it for its end.
  if (place && stat(place->path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode)) return Done{};
  return FileWriter(path).Open();
}

Result<int> OpenToAppend(const std::string& path) {
  const Result<Place> place = PlaceOf(path);
  if (!place) return Error{"cannot write " + place.error().message};
  const int file = place->descriptor >= 0
                       ? DescriptorCopy(place->descriptor)
                       : open(place->path.c_str(),
                              O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0666);
  if (file < 0) return Error{"cannot write " + path + ": " + std::strerror(errno)};
  return file;
}

}  // namespace heed
