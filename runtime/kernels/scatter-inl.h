// Scatter with addition: the gradient of a table look-up. `out` is cleared, then every element of dy is added
// to the row its index names; equal indices add in row-major order of the summed nest. Parts own outputs: a
// range of the kept nest, or of the rows of the table when there are too few kept elements; so no sum is ever
// split.
#if defined(HEED_RUNTIME_KERNELS_SCATTER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_SCATTER_INL_H_
#undef HEED_RUNTIME_KERNELS_SCATTER_INL_H_
#else
#define HEED_RUNTIME_KERNELS_SCATTER_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/lines-inl.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

/// to[i * to_stride] += from[i * from_stride] for i < count.
HWY_INLINE void AddRow(const float* HWY_RESTRICT from, int64_t from_stride, float* HWY_RESTRICT to,
                       int64_t to_stride, int64_t count) {
  const FloatTag d;
  int64_t i = 0;
  if (from_stride == 1 && to_stride == 1) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (; i + kLanes <= count; i += kLanes) {
      hn::StoreU(hn::Add(hn::LoadU(d, to + i), hn::LoadU(d, from + i)), d, to + i);
    }
  }
#pragma clang loop unroll(disable) vectorize(disable)
  for (; i < count; ++i) to[i * to_stride] += from[i * from_stride];
}

HWY_INLINE void ScatterAdd(const HeedScatter& scatter, int64_t part, int64_t parts) {
  using Axis = HeedScatterAxis;
  static constexpr int64_t Axis::* kStrides[] = {&Axis::out, &Axis::dy, &Axis::index, &Axis::mask};
  const int64_t summed = NestSize(scatter.axes + scatter.kept, scatter.summed);
  // The innermost kept axis is a row added at once, as long as index and mask are the same all along it.
  int64_t outer_axes = scatter.kept;
  Axis row = {1, 0, 0, 0, 0};
  if (outer_axes > 0 && scatter.axes[outer_axes - 1].index == 0 && scatter.axes[outer_axes - 1].mask == 0) {
    row = scatter.axes[--outer_axes];
  }
  const int64_t outer = NestSize(scatter.axes, outer_axes);

  int64_t outer_first = 0, outer_end = outer;
  int64_t row_first = 0, row_end = row.extent;
  int64_t index_first = 0, index_end = scatter.size;
  constexpr int64_t kLine = 16;  // floats of a cache line
  const int64_t lines = (row.extent + kLine - 1) / kLine;
  if (outer >= 4 * parts || (outer % parts == 0 && outer > 0)) {
    outer_first = outer * part / parts;
    outer_end = outer * (part + 1) / parts;
  } else if (lines >= parts) {
    row_first = Min(lines * part / parts * kLine, row.extent);
    row_end = Min(lines * (part + 1) / parts * kLine, row.extent);
  } else {
    index_first = scatter.size * part / parts;
    index_end = scatter.size * (part + 1) / parts;
  }
  const int64_t row_length = row_end - row_first;
  if (row_length <= 0 || index_first >= index_end) return;

  LoopWalk<Axis, 4> outer_walk;
  outer_walk.Start(scatter.axes, outer_axes, kStrides, outer_first);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t o = outer_first; o < outer_end; ++o) {
    float* const out = scatter.out + outer_walk.offset[0] + row_first * row.out;
    const float* const dy = scatter.dy + outer_walk.offset[1] + row_first * row.dy;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t index = index_first; index < index_end; ++index) {
      float* const to = out + index * scatter.out_stride;
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t i = 0; i < row_length; ++i) to[i * row.out] = 0;
    }
    LoopWalk<Axis, 4> walk;
    walk.Start(scatter.axes + scatter.kept, scatter.summed, kStrides, 0);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t s = 0; s < summed; ++s) {
      const bool there = !scatter.mask || scatter.mask[outer_walk.offset[3] + walk.offset[3]] != 0;
      if (there) {
        const int64_t index = scatter.index[outer_walk.offset[2] + walk.offset[2]];
        if (index >= index_first && index < index_end) {
          AddRow(dy + walk.offset[1], row.dy, out + index * scatter.out_stride, row.out, row_length);
        }
      }
      walk.Next();
    }
    outer_walk.Next();
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
