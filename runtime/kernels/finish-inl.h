// Where the sums of a product go: tiles of them are added to the result and, when they are complete, passed
// through the epilogue. Products reach this through a pointer in their descriptor, so that one product serves
// all epilogues. The sums themselves are the products' business.
#if defined(HEED_RUNTIME_KERNELS_FINISH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_FINISH_INL_H_
#undef HEED_RUNTIME_KERNELS_FINISH_INL_H_
#else
#define HEED_RUNTIME_KERNELS_FINISH_INL_H_
#endif

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/lines-inl.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

/// A result of rows and columns in memory; what `finish` of a descriptor gets.
struct FinishedSums {
  float* c;
  int64_t offset;  // of the current loop element
  Line m, n;
  bool vectors_adjacent;  // every full vector of columns at a multiple of kLanes is adjacent
  const void* context;    // of the epilogue
};
HWY_INLINE FinishedSums MakeFinishedSums(float* c, const Line& m, const Line& n, const void* context) {
  return {c, 0, m, n, n.AdjacentBlocks(kLanes), context};
}

/// Brings the place of a tile into the cache, if it is worth it.
HWY_INLINE void PrefetchResult(const FinishedSums& result, int64_t m, int64_t rows, int64_t n) {
  if (result.n.table != nullptr || result.n.stride != 1) return;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    const float* const to = result.c + result.offset + result.m.At(m + i) + n;
    hwy::Prefetch(to);
    hwy::Prefetch(to + 16);
  }
}

/// Adds a tile of sums, rows m ... and columns n ..., to c (stores it if these are the first terms), through
/// the epilogue if they are the last ones. Row i of the tile is at sums + i * stride. Kept rolled: there is
/// one copy of the epilogue.
template <class Epilogue>
HWY_INLINE void FinishTile(const FinishedSums& result, const float* HWY_RESTRICT sums, int64_t stride,
                           int64_t m, int64_t rows, int64_t n, int64_t columns, bool first, bool last) {
  const FloatTag d;
  float* const c = result.c;
  const void* const context = result.context;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t row = result.offset + result.m.At(m + i);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < columns;) {
      int64_t count = Min(kLanes, columns - j);
      const int64_t offset = row + result.n.At(n + j);
      bool adjacent = true;
      if (HWY_UNLIKELY(!result.vectors_adjacent)) {
        // Either split at the ends of runs, or lanes lie apart.
        if (result.n.run > 1) {
          count = Min(count, result.n.run - (n + j) % result.n.run);
        } else {
          adjacent = false;
        }
      }
      Floats value = hn::LoadU(d, sums + i * stride + j);
      if (HWY_LIKELY(adjacent)) {
        float* const to = c + offset;
        if (count == kLanes) {
          if (!first) value = hn::Add(hn::LoadU(d, to), value);
          if (last) value = Wrap(Epilogue::Apply(value.raw, m + i, n + j, count, offset, context));
          hn::StoreU(value, d, to);
        } else {
          if (!first) value = hn::Add(LoadFirst(to, count), value);
          if (last) value = Wrap(Epilogue::Apply(value.raw, m + i, n + j, count, offset, context));
          StoreFirst(value, to, count);
        }
      } else {
        HWY_ALIGN float lanes[kLanes];
        if (!first) {
#pragma clang loop unroll(disable) vectorize(disable)
          for (int64_t lane = 0; lane < count; ++lane) lanes[lane] = c[row + result.n.At(n + j + lane)];
#pragma clang loop unroll(disable) vectorize(disable)
          for (int64_t lane = count; lane < kLanes; ++lane) lanes[lane] = 0;
          value = hn::Add(hn::Load(d, lanes), value);
        }
        if (last) value = Wrap(Epilogue::Apply(value.raw, m + i, n + j, count, offset, context));
        hn::Store(value, d, lanes);
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t lane = 0; lane < count; ++lane) c[row + result.n.At(n + j + lane)] = lanes[lane];
      }
      j += count;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
