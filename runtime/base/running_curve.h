// A curve of numbers that come one by one, in a few lines of text: dots of braille, four rows and two columns
// to a character. However many come, memory is bounded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace heed {

class RunningCurve {
 public:
  void Add(double value);  ///< what is not finite is left out
  /// `rows` lines of at most `columns` characters, greatest value above, with labels for the ends; none while
  /// there are too few numbers.
  std::vector<std::string> Lines(int64_t columns, int64_t rows) const;

 private:
  int64_t each_ = 1, open_count_ = 0;  // numbers in a mean; in the last, which is not full
  double open_sum_ = 0;
  std::vector<double> means_;
};

}  // namespace heed
