// Every Highway target of this build that the machine runs, one after the other: for tables of kernels that
// tests and benchmarks call.
#ifndef HEED_RUNTIME_KERNELS_EACH_TARGET_H_
#define HEED_RUNTIME_KERNELS_EACH_TARGET_H_

#include <cstdint>

#include "hwy/targets.h"

namespace heed {

/// Calls `visit` with each target chosen for dynamic dispatch, the best first.
template <class Visit>
void ForEachTarget(const Visit& visit) {
  const int64_t supported = hwy::SupportedTargets() & HWY_TARGETS;
  for (int64_t bit = 1; bit <= supported && bit > 0; bit <<= 1) {  // lower bits are better
    if ((supported & bit) == 0) continue;
    hwy::SetSupportedTargetsForTest(bit);
    hwy::GetChosenTarget().Update(bit);
    visit();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(supported);
}

}  // namespace heed

#endif  // HEED_RUNTIME_KERNELS_EACH_TARGET_H_
