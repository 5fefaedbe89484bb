// How much a graph may ask for at once.
#pragma once

#include <cstddef>

namespace heed::ir {

/// Axes that one operation walks, for one example: of its result and of what it reads. Kernels take one more.
inline constexpr size_t kMostAxes = 11;

}  // namespace heed::ir
