// See process.h.
#include "runtime/base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/unfinished.h"

namespace heed {

void PrepareProcess(void (*on_signal)(int number)) {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGTERM, &action, nullptr);
  for (const int number : {SIGINT, SIGHUP}) {
    struct sigaction before = {};
    if (sigaction(number, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
      sigaction(number, &action, nullptr);
  }
  signal(SIGXFSZ, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  // What takes the place of a closed descriptor fails when it is used.
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(descriptor, F_GETFD) >= 0) continue;
    [[maybe_unused]] const int lowest = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

bool ReaderIsGone() {
  struct stat status;
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  return fstat(STDOUT_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode)) &&
         poll(&output, 1, 0) == 1 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

void EndAtOnce(std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    [[maybe_unused]] const ssize_t ignored = write(STDERR_FILENO, word.data(), word.size());
  }
  EndUnfinished();
  _exit(1);
}

}  // namespace heed
