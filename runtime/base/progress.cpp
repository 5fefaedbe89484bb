// Progress on stderr. Nothing here measures; callers format their own line.
#include "runtime/base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "runtime/base/utf8.h"

namespace heed {
namespace {

winsize TerminalSize() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size : winsize{};
}

/// By the variables that name the character set, in their order.
bool TerminalIsUtf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string_view text = value;
    for (const char* charset : {"UTF-8", "utf-8", "UTF8", "utf8"})
      if (text.find(charset) != std::string_view::npos) return true;
    return false;
  }
  return false;
}

/// The start of a line, so many characters of one column each.
std::string Cut(std::string_view line, int64_t columns) {
  size_t at = 0;
  for (int64_t column = 0; column < columns && at < line.size(); ++column)
    at += static_cast<size_t>(std::max(1, DecodeUtf8(line, at).length));
  return std::string(line.substr(0, at));
}

}  // namespace

Progress::Progress(bool quiet)
    : quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1), last_(std::chrono::steady_clock::now()) {}

Progress::~Progress() { Finish(); }

bool Progress::Due() const {
  if (quiet_) return false;
  return std::chrono::steady_clock::now() - last_ >= std::chrono::milliseconds(terminal_ ? 1000 : 10000);
}

void Progress::Clear() {
  if (open_ > 0) std::fputs("\r\033[K", stderr);
  for (; open_ > 1; --open_) std::fputs("\033[A\033[K", stderr);
  open_ = 0;
}

void Progress::Update(const std::string& lines) {
  if (quiet_) return;
  last_ = std::chrono::steady_clock::now();
  Clear();
  if (!terminal_) {
    std::fprintf(stderr, "%s\n", lines.c_str());
  } else {
    // Whoever writes in the last column is at the start of the next line, or not: terminals differ.
    const int64_t columns = std::max<int64_t>(TerminalSize().ws_col, 1) - 1;
    for (size_t at = 0; at <= lines.size();) {
      const size_t end = std::min(lines.find('\n', at), lines.size());
      const std::string line = lines.substr(at, end - at);
      std::fprintf(stderr, "%s%s", open_ > 0 ? "\n" : "",
                   columns > 0 ? Cut(line, columns).c_str() : line.c_str());
      ++open_;
      at = end + 1;
    }
  }
  std::fflush(stderr);
}

void Progress::Print(const std::string& line) {
  if (quiet_) return;
  Clear();
  std::fprintf(stderr, "%s\n", line.c_str());
}

void Progress::Finish() {
  if (open_ > 0) std::fputc('\n', stderr);
  open_ = 0;
}

int64_t Progress::CurveColumns() const {
  constexpr int64_t kFewest = 40, kMost = 72;
  constexpr int kFewestRows = 12;
  const char* kind = std::getenv("TERM");
  if (quiet_ || !terminal_ || !TerminalIsUtf8() || kind == nullptr || std::string_view(kind) == "dumb")
    return 0;
  const winsize size = TerminalSize();
  return size.ws_col > kFewest && size.ws_row >= kFewestRows ? std::min<int64_t>(size.ws_col - 1, kMost) : 0;
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
