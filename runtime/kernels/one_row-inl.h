// Sums of one row of a against a matrix that is read once, from memory rather than from a cache: all that
// counts is that it is read in the order in which it lies. Terms are added as everywhere, one by one in their
// order from 0, so that a single row gives what it gives among others.
#if defined(HEED_RUNTIME_KERNELS_ONE_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_ONE_ROW_INL_H_
#undef HEED_RUNTIME_KERNELS_ONE_ROW_INL_H_
#else
#define HEED_RUNTIME_KERNELS_ONE_ROW_INL_H_
#endif

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "runtime/kernels/lines-inl.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr int64_t kRowColumns = 2048;  // columns whose sums stay in the first-level cache

/// kTerms terms of the sums of `columns` columns; kFirst: the first ones.
template <int kTerms, bool kFirst>
HWY_INLINE void AddRows(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b, int64_t b_stride,
                        int64_t columns, float* HWY_RESTRICT sums) {
  const FloatTag d;
  Floats factor[kTerms];
  Unroll<kTerms>([&](auto t) HWY_ATTR { factor[t] = hn::Set(d, a[t]); });
  int64_t j = 0;
#pragma clang loop unroll(disable) vectorize(disable)
  for (; j + kLanes <= columns; j += kLanes) {
    Floats sum = kFirst ? hn::Zero(d) : hn::Load(d, sums + j);
    Unroll<kTerms>([&](auto t)
                       HWY_ATTR { sum = hn::MulAdd(factor[t], hn::LoadU(d, b + t * b_stride + j), sum); });
    hn::Store(sum, d, sums + j);
  }
  if (j < columns) {
    Floats sum = kFirst ? hn::Zero(d) : hn::Load(d, sums + j);
    Unroll<kTerms>([&](auto t) HWY_ATTR {
      sum = hn::MulAdd(factor[t], LoadFirst(b + t * b_stride + j, columns - j), sum);
    });
    hn::Store(sum, d, sums + j);
  }
}

/// sums[j] = sum over term < depth of a[term] * b[term * b_stride + j] for j < columns. `sums` is aligned,
/// its capacity whole vectors.
HWY_NOINLINE inline void RowTimesRows(int64_t depth, const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                                      int64_t b_stride, int64_t columns, float* HWY_RESTRICT sums) {
  const FloatTag d;
  if (depth < 2) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; depth == 0 && j < columns; j += kLanes) hn::Store(hn::Zero(d), d, sums + j);
    if (depth == 1) AddRows<1, true>(a, b, b_stride, columns, sums);
    return;
  }
  AddRows<2, true>(a, b, b_stride, columns, sums);
  int64_t term = 2;
#pragma clang loop unroll(disable) vectorize(disable)
  for (; term + 2 <= depth; term += 2)
    AddRows<2, false>(a + term, b + term * b_stride, b_stride, columns, sums);
  if (term < depth) AddRows<1, false>(a + term, b + term * b_stride, b_stride, columns, sums);
}

/// sums[j] = sum over term < depth of a[term] * b[j * b_stride + term] for j < columns <= kLanes. Blocks are
/// turned in registers; the columns are as many streams, which need help to be fetched in time.
HWY_NOINLINE inline void RowTimesColumns(int64_t depth, const float* HWY_RESTRICT a,
                                         const float* HWY_RESTRICT b, int64_t b_stride, int64_t columns,
                                         float* HWY_RESTRICT sums) {
  const FloatTag d;
  constexpr int64_t kAhead = 64;  // floats
  Floats sum = hn::Zero(d);
  int64_t term = 0;
  if (HWY_LIKELY(columns == kLanes)) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (; term + kLanes <= depth; term += kLanes) {
      Floats block[kLanes];
      Unroll<kLanes>([&](auto j) HWY_ATTR {
        const float* const at = b + j * b_stride + term;
        block[j] = hn::LoadU(d, at);
        hwy::Prefetch(at + kAhead);
      });
      Transpose(block);
      Unroll<kLanes>([&](auto t) HWY_ATTR { sum = hn::MulAdd(hn::Set(d, a[term + t]), block[t], sum); });
    }
  }
#pragma clang loop unroll(disable) vectorize(disable)
  for (; term < depth; term += kLanes) {
    const int64_t terms = Min(kLanes, depth - term);
    Floats block[kLanes];
    Unroll<kLanes>([&](auto j) HWY_ATTR {
      block[j] = j < columns ? LoadFirst(b + j * b_stride + term, terms) : hn::Zero(d);
    });
    Transpose(block);
    Unroll<kLanes>([&](auto t) HWY_ATTR {
      if (t < terms) sum = hn::MulAdd(hn::Set(d, a[term + t]), block[t], sum);
    });
  }
  hn::Store(sum, d, sums);
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
