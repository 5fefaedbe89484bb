// Offsets along a row-major nest of strided axes, as the kernels meet them: a single stride where the nest
// collapses, else a table; and a walk over the elements of a loop nest. Only arithmetic on descriptors, no
// vectors.
#if defined(HEED_RUNTIME_KERNELS_LINES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_LINES_INL_H_
#undef HEED_RUNTIME_KERNELS_LINES_INL_H_
#else
#define HEED_RUNTIME_KERNELS_LINES_INL_H_
#endif

#include <stdint.h>

#include "hwy/highway.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr int64_t kWhole = INT64_MAX;

/// Where the elements of a nest lie in one operand.
struct Line {
  const int64_t* table = nullptr;  // null: element i at i * stride
  int64_t stride = 0;
  int64_t run = kWhole;  // elements [i, i + n) are adjacent if they don't cross a multiple of run

  HWY_INLINE int64_t At(int64_t i) const { return table ? table[i] : i * stride; }
  /// Are elements [first, first + count) adjacent in memory?
  HWY_INLINE bool Adjacent(int64_t first, int64_t count) const {
    return run == kWhole || (run > 1 ? first % run + count <= run : count <= 1);
  }
  /// Are all [i, i + count) for i a multiple of count adjacent?
  HWY_INLINE bool AdjacentBlocks(int64_t count) const { return run == kWhole || run % count == 0; }
};

/// Number of elements of a nest.
template <class Axis>
HWY_INLINE int64_t NestSize(const Axis* axes, int64_t count) {
  int64_t size = 1;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < count; ++i) size *= axes[i].extent;
  return size;
}

/// The line of a nest in the operand whose strides are at `stride`, collapsed from the innermost axis
/// outwards; *collapses says whether that covered the whole nest, else a table is missing.
template <class Axis>
HWY_INLINE Line CollapseLine(const Axis* axes, int64_t count, int64_t Axis::* stride, bool* collapses) {
  Line line;
  int64_t inner = 1;  // elements of the collapsed part
  int64_t i = count - 1;
  bool any = false;
#pragma clang loop unroll(disable) vectorize(disable)
  for (; i >= 0; --i) {
    if (axes[i].extent == 1) continue;
    if (!any) {
      line.stride = axes[i].*stride;
      any = true;
    } else if (axes[i].*stride != line.stride * inner) {
      break;
    }
    inner *= axes[i].extent;
  }
  *collapses = i < 0;
  if (!any) return line;  // a single element
  if (line.stride != 1) {
    line.run = 1;
  } else if (i >= 0) {
    line.run = inner;
  }
  return line;
}

/// The same, with a table written at `tables` where the nest does not collapse, and `tables` moved behind it.
template <class Axis>
HWY_INLINE Line MakeLine(const Axis* axes, int64_t count, int64_t Axis::* stride, int64_t*& tables) {
  bool collapses;
  Line line = CollapseLine(axes, count, stride, &collapses);
  const int64_t size = NestSize(axes, count);
  if (collapses || size == 0) return line;
  line.table = tables;
  // Row-major: the entries of the axes done so far are repeated for every value of the next one. They live at
  // the end of the table, so that expanding forwards never overwrites what is still to be read.
  int64_t filled = 1;
  int64_t* const end = tables + size;
  end[-1] = 0;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t axis = 0; axis < count; ++axis) {
    const int64_t extent = axes[axis].extent;
    const int64_t* from = end - filled;
    int64_t* to = end - filled * extent;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < filled; ++j) {
      const int64_t base = from[j];
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t k = 0; k < extent; ++k) *to++ = base + k * (axes[axis].*stride);
    }
    filled *= extent;
  }
  tables = end;
  return line;
}

/// Reads the lines of a descriptor; without memory for tables only counts their entries.
template <class Axis>
struct LineReader {
  int64_t* tables;  // behind those written
  int64_t entries = 0;

  HWY_INLINE Line operator()(const Axis* axes, int64_t count, int64_t Axis::* stride) {
    if (tables) return MakeLine(axes, count, stride, tables);
    bool collapses;
    const Line collapsed = CollapseLine(axes, count, stride, &collapses);
    if (!collapses) entries += NestSize(axes, count);
    return collapsed;
  }
};

/// Walks the elements of a loop nest in row-major order, keeping the offsets of kCount operands.
template <class Axis, int kCount>
struct LoopWalk {
  const Axis* axes;
  int64_t count;
  const int64_t Axis::* const* strides;
  int64_t position[kHeedMaxAxes];
  int64_t offset[kCount];

  HWY_INLINE void Start(const Axis* loop_axes, int64_t loop_count,
                        const int64_t Axis::* const (&which)[kCount], int64_t element) {
    axes = loop_axes;
    count = loop_count;
    strides = which;
    Unroll<kCount>([&](auto s) HWY_ATTR { offset[s] = 0; });
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = count - 1; i >= 0; --i) {
      const int64_t extent = axes[i].extent;
      position[i] = element % extent;
      element /= extent;
      Unroll<kCount>([&](auto s) HWY_ATTR { offset[s] += position[i] * (axes[i].*strides[s]); });
    }
  }
  HWY_INLINE void Next() {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = count - 1; i >= 0; --i) {
      Unroll<kCount>([&](auto s) HWY_ATTR { offset[s] += (axes[i].*strides[s]); });
      if (++position[i] < axes[i].extent) return;
      Unroll<kCount>([&](auto s) HWY_ATTR { offset[s] -= axes[i].extent * (axes[i].*strides[s]); });
      position[i] = 0;
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
