// See child.h. Input and output go through pipes at the same time, so that neither side waits for the other.
#include "runtime/base/child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "runtime/base/unfinished.h"

namespace heed {
namespace {

/// Both ends of a pipe, closed at the end.
struct Pipe {
  int ends[2] = {-1, -1};
  ~Pipe() { Close(0), Close(1); }
  bool Make() { return pipe2(ends, O_CLOEXEC) == 0; }
  void Close(int end) {
    if (ends[end] >= 0) close(ends[end]);
    ends[end] = -1;
  }
};

/// Starts the program; an errno. Signals are as a program finds them that a shell starts.
int Start(const std::vector<std::string>& command, const Pipe& in, const Pipe& out, bool errors,
          const sigset_t& mask, pid_t* child) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.ends[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out.ends[1], STDOUT_FILENO);
  if (errors) posix_spawn_file_actions_adddup2(&actions, out.ends[1], STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setsigmask(&attributes, &mask);
  sigset_t defaults;
  sigemptyset(&defaults);
  for (const int number : {SIGPIPE, SIGXFSZ}) sigaddset(&defaults, number);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const int failure = posix_spawnp(child, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return failure;
}

/// Writes to a pipe; where nobody reads it any more EPIPE, without the signal that ends a process.
ssize_t WriteQuietly(int descriptor, const char* data, size_t size) {
  sigset_t pipe, before, pending;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  sigpending(&pending);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  const ssize_t count = write(descriptor, data, size);
  const int failure = errno;
  if (count < 0 && failure == EPIPE && !sigismember(&pending, SIGPIPE)) {
    const timespec now{};
    sigtimedwait(&pipe, nullptr, &now);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = failure;
  return count;
}

using Clock = std::chrono::steady_clock;

/// Milliseconds that are left, as poll takes them; -1: any number.
int Left(const std::optional<Clock::time_point>& end) {
  if (!end) return -1;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(*end - Clock::now()).count();
  return static_cast<int>(std::max<int64_t>(left, 0));
}

/// Feeds `input` and collects the output until the program has closed it; false if `until` came first.
bool Exchange(Pipe& in, Pipe& out, std::string_view input, const std::optional<Clock::time_point>& until,
              std::string* output) {
  fcntl(in.ends[1], F_SETFL, O_NONBLOCK);
  for (;;) {
    if (input.empty()) in.Close(1);
    pollfd ready[2] = {{out.ends[0], POLLIN, 0}, {in.ends[1], POLLOUT, 0}};
    const int found = poll(ready, 2, Left(until));
    if (until && Clock::now() >= *until) return false;
    if (found < 0 && errno != EINTR) return true;
    if (found <= 0) continue;
    if (ready[1].revents != 0) {
      const ssize_t count = WriteQuietly(in.ends[1], input.data(), input.size());
      if (count >= 0) input.remove_prefix(static_cast<size_t>(count));
      if (count < 0 && errno != EAGAIN && errno != EINTR) input = {};  // it does not want more
    }
    if (ready[0].revents == 0) continue;
    char block[1 << 14];
    const ssize_t count = read(out.ends[0], block, sizeof block);
    if (count == 0 || (count < 0 && errno != EINTR)) return true;
    if (count > 0) output->append(block, static_cast<size_t>(count));
  }
}

}  // namespace

Result<ChildEnd> RunChild(const std::vector<std::string>& command, std::string_view input, bool errors,
                          std::optional<int> seconds) {
  Pipe in, out;
  const auto fail = [&](int code) { return Error{"cannot run " + command[0] + ": " + std::strerror(code)}; };
  if (!in.Make() || !out.Make()) return fail(errno);
  pid_t child = -1;
  Unfinished note;
  {
    const SignalsWait signals;
    if (const int failure = Start(command, in, out, errors, signals.before(), &child)) return fail(failure);
    note = Unfinished::Child(child);
  }
  in.Close(0);
  out.Close(1);
  ChildEnd end;
  std::optional<Clock::time_point> until;
  if (seconds) until = Clock::now() + std::chrono::seconds(*seconds);
  end.too_slow = !Exchange(in, out, input, until, &end.output);
  if (end.too_slow) kill(-child, SIGKILL);
  in.Close(1);
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return fail(errno);
  end.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return end;
}

std::string OnPath(const std::string& program) {
  const char* const path = std::getenv("PATH");
  const std::string folders = path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin";
  for (size_t begin = 0; begin <= folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string full = folders.substr(begin, end - begin) + "/" + program;
    if (access(full.c_str(), X_OK) == 0) return full;
    begin = end + 1;
  }
  return "";
}

}  // namespace heed
