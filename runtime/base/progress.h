// The lines on stderr that say how a long run is getting on: rewritten in place on a terminal, a plain line
// now and then elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace heed {

class Progress {
 public:
  /// Shows nothing if `quiet`.
  explicit Progress(bool quiet);
  ~Progress();
  /// True about once a second on a terminal and every ten elsewhere; asks for an Update.
  bool Due() const;
  /// One line, or several on a terminal; what is wider than it is cut off there.
  void Update(const std::string& lines);
  /// A line that stays.
  void Print(const std::string& line);
  /// Ends the rewritten line, before others write to stderr.
  void Finish();
  /// Columns for a small curve, in characters beyond ASCII; 0 where it would not be seen, or not be welcome.
  int64_t CurveColumns() const;

 private:
  void Clear();
  bool quiet_, terminal_;
  int64_t open_ = 0;  // lines on the screen, the last without its newline
  std::chrono::steady_clock::time_point last_;
};

/// "4 s", "2 min 05 s", "3 h 07 min".
std::string DurationText(double seconds);

}  // namespace heed
