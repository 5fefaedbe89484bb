// Included by every kernel that becomes bitcode: checks that the compiler flags of the CPU level really
// select the Highway target they are meant to select (Highway falls back silently when a feature is missing),
// and says what only levels with matrix tiles do.
#ifndef HEED_RUNTIME_KERNELS_LEVEL_H_
#define HEED_RUNTIME_KERNELS_LEVEL_H_

#include "hwy/highway.h"

#if !defined(HEED_LEVEL_LANES)
#error "HEED_LEVEL_LANES comes from backend/target/target.def by way of CMake"
#endif
#if defined(__x86_64__)
static_assert(HWY_STATIC_TARGET == (HEED_LEVEL_LANES == 16 ? HWY_AVX3 : HWY_AVX2),
              "the clang flags of this level in backend/target/target.def select another Highway target");
#endif
static_assert(hwy::HWY_NAMESPACE::MaxLanes(hwy::HWY_NAMESPACE::ScalableTag<float>()) == HEED_LEVEL_LANES,
              "lanes of this level in backend/target/target.def");

/// Returns `call` where the descriptor asks for split operands; levels without matrix tiles have no use for
/// it.
#ifdef __AMX_BF16__
#define HEED_IF_SPLIT(descriptor, call) \
  if ((descriptor)->split) return call
#else
#define HEED_IF_SPLIT(descriptor, call)
#endif

#endif  // HEED_RUNTIME_KERNELS_LEVEL_H_
