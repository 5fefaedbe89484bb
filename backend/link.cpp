// The C++ compiler as linker: it knows where the C and C++ libraries of the system are. clang++-19 is
// preferred (the one Heed was built with), any clang++ or g++ will do. Nothing here looks into the objects.
#include "backend/link.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace heed::backend {
namespace fs = std::filesystem;
namespace {

std::string FirstThatExists(const std::vector<std::string>& paths) {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) return "";
  for (const std::string& path : paths) {
    const fs::path candidate = self.parent_path() / path;
    if (fs::exists(candidate, error)) return fs::weakly_canonical(candidate, error).string();
  }
  return "";
}

std::string OnPath(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string folders = path ? path : "/usr/local/bin:/usr/bin:/bin";
  for (size_t begin = 0; begin <= folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string full = folders.substr(begin, end - begin) + "/" + program;
    if (access(full.c_str(), X_OK) == 0) return full;
    begin = end + 1;
  }
  return "";
}

std::string TemporaryName(const std::string& path) { return path + ".tmp" + std::to_string(getpid()); }

// What a signal handler has to tidy up: plain memory, because it may not allocate.
struct Unfinished {
  std::atomic<pid_t> linker{0};  // its process group
  std::atomic<int> objects{0};   // files 0.o, 1.o ... in `folder`
  std::atomic<bool> has_folder{false}, has_output{false};
  char folder[PATH_MAX] = "", output[PATH_MAX] = "";
};
Unfinished unfinished;

void Remember(char (&place)[PATH_MAX], std::atomic<bool>& flag, const std::string& path) {
  if (path.size() >= sizeof place) return;
  std::memcpy(place, path.c_str(), path.size() + 1);
  flag = true;
}

/// Removed when it goes out of scope.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::error_code error;
    fs::path base = fs::temp_directory_path(error);
    if (error) base = "/tmp";
    std::string name = (base / "heed-XXXXXX").string();
    // No signal between making and remembering.
    sigset_t signals, before;
    sigemptyset(&signals);
    for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    if (mkdtemp(name.data())) {
      path_ = name;
      Remember(unfinished.folder, unfinished.has_folder, name);
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  ~TemporaryFolder() {
    std::error_code error;
    if (!path_.empty()) fs::remove_all(path_, error);
    unfinished.has_folder = false;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Runs a program in a process group of its own (whoever ends heed ends it through AbandonCompile, also if
/// the signal came from the terminal); its output (both streams) into `output`. Returns its exit status, -1
/// if it could not be run.
int Run(const std::vector<std::string>& arguments, std::string* output) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t child = -1;
  const int failed = posix_spawn(&child, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (!failed) unfinished.linker = child;
  close(ends[1]);
  if (failed) {
    close(ends[0]);
    *output = std::strerror(failed);
    return -1;
  }
  char buffer[4096];
  for (;;) {
    const ssize_t count = read(ends[0], buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    output->append(buffer, static_cast<size_t>(count));
  }
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return -1;
  unfinished.linker = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

std::string FindKernels() { return FirstThatExists({"kernels", "../kernels", "../lib/heed/kernels"}); }

std::string FindRuntime() {
  return FirstThatExists(
      {"runtime/libheed_runtime.a", "../runtime/libheed_runtime.a", "../lib/heed/libheed_runtime.a"});
}

std::optional<std::string> WhyNotWritable(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  if (access(folder.empty() ? "." : folder.c_str(), W_OK | X_OK) == 0) return {};
  if (errno == ENOENT) return "cannot write " + path + ": there is no folder " + folder.string();
  return "cannot write " + path + ": " + std::strerror(errno);
}

void AbandonCompile() {
  if (const pid_t linker = unfinished.linker) kill(-linker, SIGKILL);
  if (unfinished.has_output) unlink(unfinished.output);
  if (!unfinished.has_folder) return;
  char name[PATH_MAX + 32];
  const size_t length = strnlen(unfinished.folder, PATH_MAX);
  for (int i = 0; i < unfinished.objects; ++i) {
    std::memcpy(name, unfinished.folder, length);
    name[length] = '/';
    char digits[16];
    int count = 0;
    for (int rest = i; count == 0 || rest > 0; rest /= 10)
      digits[count++] = static_cast<char>('0' + rest % 10);
    size_t at = length + 1;
    while (count > 0) name[at++] = digits[--count];
    std::memcpy(name + at, ".o", 3);
    unlink(name);
  }
  rmdir(unfinished.folder);
}

namespace {
/// False, and errno, if it cannot.
bool WriteInPlace(const std::string& path, const std::string& bytes) {
  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  return !file.fail();
}
std::string CannotWrite(const std::string& path) {
  return "cannot write " + path + ": " + (errno ? std::strerror(errno) : "write error");
}
}  // namespace

std::optional<std::string> WriteFile(const std::string& path, const std::string& bytes) {
  const std::string temporary = TemporaryName(path);
  Remember(unfinished.output, unfinished.has_output, temporary);
  if (!WriteInPlace(temporary, bytes)) {
    std::string problem = CannotWrite(path);
    unlink(temporary.c_str());
    return problem;
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    std::string problem = CannotWrite(path);
    unlink(temporary.c_str());
    return problem;
  }
  unfinished.has_output = false;
  return {};
}

std::optional<std::string> Link(const std::vector<std::string>& objects, LinkKind kind,
                                const std::string& runtime, const std::string& output) {
  std::string driver;
  bool is_clang = true;
  for (const char* name : {"clang++-19", "clang++", "g++", "c++"}) {
    driver = OnPath(name);
    is_clang = std::string(name).starts_with("clang");
    if (!driver.empty()) break;
  }
  if (driver.empty())
    return "no C++ compiler to link with: looked for clang++-19, clang++, g++ and c++ on PATH";
  const TemporaryFolder folder;
  if (folder.path().empty()) return "cannot make a temporary folder for the linker";

  const std::string temporary = TemporaryName(output);
  Remember(unfinished.output, unfinished.has_output, temporary);
  std::vector<std::string> command = {driver, "-o", temporary};
  for (size_t i = 0; i < objects.size(); ++i) {
    const std::string name = folder.path() + "/" + std::to_string(i) + ".o";
    unfinished.objects = static_cast<int>(i) + 1;
    if (!WriteInPlace(name, objects[i])) return CannotWrite(name);
    command.push_back(name);
  }
  if (is_clang && (!OnPath("ld.lld-19").empty() || !OnPath("ld.lld").empty())) {
    command.push_back("-fuse-ld=lld");
    // A full disk ends a linker that maps its output without a word.
    command.push_back("-Wl,--no-mmap-output-file");
  }
  switch (kind) {
    case LinkKind::Executable:
      command.insert(command.end(),
                     {runtime, "-static-libstdc++", "-static-libgcc", "-Wl,--gc-sections", "-pthread"});
#ifdef HEED_SANITIZE
      command.push_back("-fsanitize=address,undefined");
#endif
      break;
    case LinkKind::Shared:
      command.insert(command.end(), {"-shared", "-Wl,--gc-sections", "-lm"});
      break;
    case LinkKind::Object:
      command.insert(command.end(), {"-r", "-nostdlib"});
      break;
  }
  std::string messages;
  const int status = Run(command, &messages);
  if (status != 0) {
    unlink(temporary.c_str());
    std::string line;
    for (const std::string& argument : command) line += (line.empty() ? "" : " ") + argument;
    return "cannot write " + output + ": linking failed (status " + std::to_string(status) +
           "): " + messages + "the command was\n" + line;
  }
  if (std::rename(temporary.c_str(), output.c_str()) != 0) {
    std::string problem = CannotWrite(output);
    unlink(temporary.c_str());
    return problem;
  }
  unfinished.has_output = false;
  return {};
}

}  // namespace heed::backend
