// The stages of a fused loop: which value is computed where. A value that several stages need and that is
// expensive is written to a row of scratch by the first. Private to build_loop.cpp.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "backend/plan/plan.h"

namespace heed::backend {

/// Arranges unfolded values in stages.
class Arranger {
 public:
  Arranger(std::vector<LoopValue> raw, LoopKernel& kernel, size_t inner_begin);

  /// Row-ness, stage and cost of raw values; the levels of reductions are final when their users are
  /// measured.
  void Measure(const std::vector<int>& reduction_level);
  bool IsRow(int raw) const { return row_[raw]; }
  int LevelOf(int raw) const { return level_[raw]; }

  /// The value in the finished kernel, as stage `stage` sees it.
  int Place(int raw, int stage);

 private:
  int Spilled(int raw, int stage, int value);
  size_t AxisCount() const { return inner_begin_ + kernel_.inner.size(); }

  std::vector<LoopValue> raw_;
  LoopKernel& kernel_;
  size_t inner_begin_;
  std::vector<bool> row_;
  std::vector<int> level_;
  std::vector<double> cost_;
  std::map<std::pair<int, int>, int> placed_;
  std::map<int, int> spill_;
};

}  // namespace heed::backend
