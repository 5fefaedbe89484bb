// Scratch memory of a kernel: how much it wants, handed out piece by piece, set to zero.
#if defined(HEED_RUNTIME_KERNELS_SCRATCH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_SCRATCH_INL_H_
#undef HEED_RUNTIME_KERNELS_SCRATCH_INL_H_
#else
#define HEED_RUNTIME_KERNELS_SCRATCH_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

/// Hands out 64-byte aligned pieces of the scratch memory; with base null it only counts.
struct Pieces {
  uint8_t* base;
  int64_t used = 0;

  template <class T>
  HWY_INLINE T* Take(int64_t count) {
    T* const piece = base ? reinterpret_cast<T*>(base + used) : nullptr;
    used += RoundUp(count * static_cast<int64_t>(sizeof(T)), 64);
    return piece;
  }
};

/// Bytes of scratch memory that a state wants, given the function that lays it out.
template <auto kMake, class Descriptor>
HWY_INLINE int64_t ScratchBytes(const Descriptor& descriptor) {
  int64_t bytes = 0;
  kMake(descriptor, nullptr, bytes);
  return Max(RoundUp(bytes, 64), 64);
}

HWY_INLINE void ZeroFloats(float* HWY_RESTRICT to, int64_t count) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < count; i += kLanes) hn::Store(hn::Zero(d), d, to + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
