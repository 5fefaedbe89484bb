// The hidden axis of examples. Programs are written for one example and speak of `batch` only in losses that
// see the whole batch; there, before the pass `batch`, it is a dynamic axis like any other, and every example
// is the same one. The pass makes it what it stands for.
#pragma once

#include "ir/axis.h"

namespace heed::ir {

inline Axis BatchAxis() { return Axis("batch"); }
/// What proofs about whole numbers may assume.
inline constexpr int64_t kMostExamples = 1 << 20;

}  // namespace heed::ir
