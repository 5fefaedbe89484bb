// Progress on stderr. Nothing here measures; callers format their own line.
#include "runtime/base/progress.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>

namespace heed {

Progress::Progress(bool quiet)
    : quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1), last_(std::chrono::steady_clock::now()) {}

Progress::~Progress() { Finish(); }

bool Progress::Due() const {
  if (quiet_) return false;
  return std::chrono::steady_clock::now() - last_ >= std::chrono::milliseconds(terminal_ ? 1000 : 10000);
}

void Progress::Clear() {
  if (open_) std::fputs("\r\033[K", stderr);
  open_ = false;
}

void Progress::Update(const std::string& line) {
  if (quiet_) return;
  last_ = std::chrono::steady_clock::now();
  Clear();
  std::fputs(line.c_str(), stderr);
  if (terminal_) {
    open_ = true;
  } else {
    std::fputc('\n', stderr);
  }
  std::fflush(stderr);
}

void Progress::Print(const std::string& line) {
  if (quiet_) return;
  Clear();
  std::fprintf(stderr, "%s\n", line.c_str());
}

void Progress::Finish() {
  if (open_) std::fputc('\n', stderr);
  open_ = false;
}

std::string DurationText(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  const long whole = std::lround(seconds);
  char text[64];
  if (whole < 60) {
    std::snprintf(text, sizeof text, "%ld s", whole);
  } else if (whole < 3600) {
    std::snprintf(text, sizeof text, "%ld min %02ld s", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%ld h %02ld min", whole / 3600, whole / 60 % 60);
  }
  return text;
}

}  // namespace heed
