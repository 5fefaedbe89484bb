// The line on stderr that says how a long run is getting on: rewritten in place on a terminal, a plain line
// now and then elsewhere.
#pragma once

#include <chrono>
#include <string>

namespace heed {

class Progress {
 public:
  /// Shows nothing if `quiet`.
  explicit Progress(bool quiet);
  ~Progress();
  /// True about once a second on a terminal and every ten elsewhere; asks for an Update.
  bool Due() const;
  void Update(const std::string& line);
  /// A line that stays.
  void Print(const std::string& line);
  /// Ends the rewritten line, before others write to stderr.
  void Finish();

 private:
  void Clear();
  bool quiet_, terminal_;
  bool open_ = false;  // a line without its newline is on the screen
  std::chrono::steady_clock::time_point last_;
};

/// "4 s", "2 min 05 s", "3 h 07 min".
std::string DurationText(double seconds);

}  // namespace heed
