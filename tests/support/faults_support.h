// For tests of faults: a process whose descriptors, limits and rights are set, that can be sent signals and
// that is given up after a time; and safetensors files damaged on purpose.
#pragma once

#include <grp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "tests/support/process.h"

namespace heed::test {

inline constexpr const char* kClosed = "closed";  ///< in place of a path: the descriptor is closed

struct ChildSetting {
  std::string input;                   ///< bytes of standard input
  std::string input_path;              ///< or a path, or kClosed
  std::string output_path;             ///< of standard output: a path, or kClosed; else it is kept
  int64_t largest_file = -1;           ///< bytes a file may have (RLIMIT_FSIZE)
  int64_t stack = -1;                  ///< bytes of the stack (RLIMIT_STACK)
  int64_t memory = -1;                 ///< bytes of the address space (RLIMIT_AS)
  bool nobody = false;                 ///< without root's rights
  std::vector<std::string> variables;  ///< "NAME=value"
};

/// A running command. Ends with the object.
class Child {
 public:
  explicit Child(const std::vector<std::string>& command, const ChildSetting& setting = {})
      : name_(command[0]) {
    WriteBytes(folder_ / "in", setting.input);
    std::vector<char*> arguments;
    for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    const std::string in = setting.input_path.empty() ? folder_ / "in" : setting.input_path;
    const std::string out = setting.output_path.empty() ? folder_ / "out" : setting.output_path;
    int ends[2];  // of a pipe, because limits of files do not count there
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    errors_ = ends[0];
    fcntl(errors_, F_SETFL, O_NONBLOCK);
    pid_ = fork();
    if (pid_ != 0) {
      close(ends[1]);
      return;
    }
    dup2(ends[1], STDERR_FILENO);
    Redirect(STDIN_FILENO, in, O_RDONLY);
    Redirect(STDOUT_FILENO, out, O_WRONLY | O_CREAT);
    for (const std::string& variable : setting.variables) putenv(const_cast<char*>(variable.c_str()));
    Limit(RLIMIT_FSIZE, setting.largest_file);
    Limit(RLIMIT_STACK, setting.stack);
    Limit(RLIMIT_AS, setting.memory);
    constexpr gid_t kNobody = 65534;
    if (setting.nobody && (setgroups(0, nullptr) != 0 || setgid(kNobody) != 0 || setuid(kNobody) != 0))
      _exit(126);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  ~Child() {
    close(errors_);
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void Signal(int number) const { kill(pid_, number); }
  pid_t pid() const { return pid_; }
  bool Runs() {
    if (pid_ > 0 && waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = 0;
    char bytes[4096];
    for (ssize_t count; (count = read(errors_, bytes, sizeof bytes)) > 0;)
      err_.append(bytes, static_cast<size_t>(count));
    return pid_ > 0;
  }
  /// Its end. A failure of the test, and status -1, if it takes longer: nothing may hang.
  ProcessResult Wait(double seconds = 60) {
    const auto start = std::chrono::steady_clock::now();
    while (Runs() &&
           std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ProcessResult result;
    result.out = FileBytes(folder_ / "out");
    result.err = err_;
    if (pid_ > 0) {
      ADD_FAILURE() << name_ << " hangs; so far: " << result.err;
    } else {
      result.status = WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
    }
    return result;
  }

 private:
  static void Limit(int what, int64_t bytes) {
    if (bytes < 0) return;
    const struct rlimit limits{static_cast<rlim_t>(bytes), static_cast<rlim_t>(bytes)};
    setrlimit(static_cast<__rlimit_resource>(what), &limits);
  }
  static void Redirect(int descriptor, const std::string& path, int flags) {
    close(descriptor);
    if (path == kClosed) return;
    const int opened = open(path.c_str(), flags, 0666);
    if (opened < 0 || (opened != descriptor && dup2(opened, descriptor) < 0)) _exit(125);
    if (opened != descriptor) close(opened);
  }

  TemporaryFolder folder_;
  std::string name_, err_;
  int errors_ = -1;
  pid_t pid_ = -1;
  int status_ = 0;
};

/// Waits for `condition`; false after `seconds`.
inline bool WaitFor(const std::function<bool()>& condition, double seconds = 60) {
  const auto start = std::chrono::steady_clock::now();
  while (!condition()) {
    if (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() > seconds)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// The names in a folder, in order, with a blank after each.
inline std::string Names(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(folder))
    names.push_back(file.path().filename());
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) text += name + " ";
  return text;
}

/// A safetensors file in parts, to be damaged: what is written need not be one.
struct Parts {
  nlohmann::ordered_json header;
  std::string data;

  static Parts Of(const std::string& file) {
    uint64_t length = 0;
    std::memcpy(&length, file.data(), 8);
    return {nlohmann::ordered_json::parse(file.substr(8, length)), file.substr(8 + length)};
  }
  std::string Bytes() const {
    const std::string text = header.dump();
    const uint64_t length = text.size();
    return std::string(reinterpret_cast<const char*>(&length), 8) + text + data;
  }
  /// Appends a tensor.
  template <typename T>
  Parts& Add(const std::string& name, const char* dtype, std::vector<int64_t> shape,
             const std::vector<T>& values) {
    const size_t bytes = values.size() * sizeof(T);
    header[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + bytes}}};
    data.append(reinterpret_cast<const char*>(values.data()), bytes);
    return *this;
  }
  /// Without these tensors.
  Parts Without(const std::function<bool(const std::string&)>& unwanted) const {
    Parts parts;
    for (const auto& [name, value] : header.items()) {
      if (name == "__metadata__") {
        parts.header[name] = value;
      } else if (!unwanted(name)) {
        const size_t from = value["data_offsets"][0], to = value["data_offsets"][1];
        parts.header[name] = value;
        parts.header[name]["data_offsets"] = {parts.data.size(), parts.data.size() + to - from};
        parts.data += data.substr(from, to - from);
      }
    }
    return parts;
  }
};

}  // namespace heed::test
