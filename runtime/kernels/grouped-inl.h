// Product of rows with one of several factors each (heed_kernels.h says what exactly): rows are sorted by
// factor, in order within each, and every factor that has rows is multiplied with them by the kernels of one
// product. Their sums do not depend on the number of rows, so a row gives what it gives alone.
//
// Parts share columns: however the rows are spread over the factors, each part has its share of every
// product.
#if defined(HEED_RUNTIME_KERNELS_GROUPED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_GROUPED_INL_H_
#undef HEED_RUNTIME_KERNELS_GROUPED_INL_H_
#else
#define HEED_RUNTIME_KERNELS_GROUPED_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/matmul-inl.h"
#include "runtime/kernels/packed_matmul-inl.h"
#include "runtime/kernels/scratch-inl.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

/// Offsets of rows in a and c, sorted by group; group `count` has the rows without a factor.
struct SortedRows {
  int64_t rows;
  int64_t* end;  // of each group; its rows begin where those of the one before end
  int64_t* a;
  int64_t* c;
};

/// The product without rows: one, at the start of a and c.
HWY_INLINE HeedMatmul WithoutRows(const HeedMatmul& matmul) {
  HeedMatmul one = matmul;
  one.ms = 0;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < matmul.ns + matmul.ks; ++i) one.axes[i] = matmul.axes[matmul.ms + i];
  return one;
}

/// Memory for the rows; `bytes` grows by how much.
HWY_INLINE SortedRows PlaceRows(const HeedGroupedMatmul& grouped, void* scratch, int64_t& bytes) {
  SortedRows sorted = {};
  sorted.rows = NestSize(grouped.matmul.axes, grouped.matmul.ms);
  if (scratch) {
    sorted.end = reinterpret_cast<int64_t*>(static_cast<uint8_t*>(scratch) + bytes);
    sorted.a = sorted.end + grouped.count + 1;
    sorted.c = sorted.a + sorted.rows;
  }
  bytes += RoundUp((grouped.count + 1 + 2 * sorted.rows) * 8, 64);
  return sorted;
}

/// The factor of an index; `count` for one that names none.
HWY_INLINE int64_t GroupOf(const HeedGroupedMatmul& grouped, int64_t index) {
  return index >= 0 && index < grouped.count ? index : grouped.count;
}

HWY_NOINLINE inline void SortRows(const HeedGroupedMatmul& grouped, const SortedRows& sorted) {
  using Axis = HeedMatmulAxis;
  static constexpr int64_t Axis::* kStrides[] = {&Axis::mask, &Axis::a, &Axis::c};
  LoopWalk<Axis, 3> walk;
  // Counted one group further on, so that adding up gives where each begins; filling it moves that to its
  // end.
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t g = 0; g <= grouped.count; ++g) sorted.end[g] = 0;
  walk.Start(grouped.matmul.axes, grouped.matmul.ms, kStrides, 0);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t m = 0; m < sorted.rows; ++m) {
    const int64_t group = GroupOf(grouped, grouped.index[walk.offset[0]]);
    if (group < grouped.count) ++sorted.end[group + 1];
    walk.Next();
  }
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t g = 0; g < grouped.count; ++g) sorted.end[g + 1] += sorted.end[g];
  walk.Start(grouped.matmul.axes, grouped.matmul.ms, kStrides, 0);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t m = 0; m < sorted.rows; ++m) {
    const int64_t at = sorted.end[GroupOf(grouped, grouped.index[walk.offset[0]])]++;
    sorted.a[at] = walk.offset[1];
    sorted.c[at] = walk.offset[2];
    walk.Next();
  }
}

/// Floats of operands, packed, for products of up to `rows` rows.
HWY_INLINE void PlaceOperands(MatmulState& state, int64_t rows, void* scratch, int64_t& bytes) {
  const int64_t depth = Min(state.terms, kBlockDepth);
  const int64_t flat = kTileRows * Min(state.terms, kFlatTerms);  // few rows, all terms
  const int64_t tall = (Min(rows, kBlockRows) + kTileRows) * depth;
  const int64_t a_floats = RoundUp(Max(flat, tall) + kLanes, 16);
  const int64_t panels = rows > kBlockRows ? Min(RoundUp(state.columns, kPanel), kBlockColumns) : kPanel;
  if (scratch) {
    state.packed_a = reinterpret_cast<float*>(static_cast<uint8_t*>(scratch) + bytes);
    state.packed_b = state.packed_a + a_floats;
  }
  bytes += RoundUp((a_floats + Max(panels, kSingleRowVectors * kLanes) * depth + kLanes) * 4, 64);
}

/// Bytes for products with packed weights of all types that there are, some of which may be plain.
HWY_INLINE int64_t PackedGroupBytes(const HeedGroupedMatmul& grouped) {
  int64_t most = 0;
  int64_t last = -1;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t g = 0; grouped.packed && g < grouped.count; ++g) {
    const auto* const weights = static_cast<const HeedPackedWeights*>(grouped.factors[g]);
    if (weights->type == last || weights->type == kHeedWeightsPlain) continue;
    last = weights->type;
    int64_t bytes = 0;
    ReadPackedMatmul({weights, grouped.matmul}, nullptr, bytes);
    most = Max(most, bytes);
  }
  return RoundUp(most, 64);
}

HWY_INLINE int64_t GroupedMatmulScratch(const HeedGroupedMatmul& grouped) {
  int64_t bytes = 0, lines = 0;
  const SortedRows sorted = PlaceRows(grouped, nullptr, bytes);
  MatmulState state = ReadMatmul(WithoutRows(grouped.matmul), nullptr, lines);
  int64_t floats = lines;
  PlaceOperands(state, sorted.rows, nullptr, floats);
  return bytes + Max(floats, PackedGroupBytes(grouped)) + 64;
}

/// 0 for rows without a factor.
HWY_INLINE void ZeroRows(const MatmulState& state, const Line& rows, int64_t count, int64_t n_first,
                         int64_t n_end) {
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t m = 0; m < count; ++m) {
    float* const row = state.matmul->c + rows.At(m);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t n = n_first; n < n_end; ++n) row[state.result.n.At(n)] = 0;
  }
}

HWY_INLINE void GroupedMatmul(const HeedGroupedMatmul& grouped, int64_t part, int64_t parts, void* scratch) {
  int64_t bytes = 0;
  const SortedRows sorted = PlaceRows(grouped, scratch, bytes);
  void* const rest = static_cast<uint8_t*>(scratch) + bytes;
  const HeedMatmul one = WithoutRows(grouped.matmul);
  const int64_t columns = NestSize(one.axes, one.ns);
  const int64_t panels = (columns + kPanel - 1) / kPanel;
  const int64_t n_first = Min(panels * part / parts * kPanel, columns);
  const int64_t n_end = Min(panels * (part + 1) / parts * kPanel, columns);
  if (n_first >= n_end || sorted.rows == 0) return;
  SortRows(grouped, sorted);
  int64_t first = 0;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t g = 0; g <= grouped.count; ++g) {
    const Line a_rows = {sorted.a + first, 0, 1}, c_rows = {sorted.c + first, 0, 1};
    const int64_t rows = sorted.end[g] - first;
    first = sorted.end[g];
    if (rows == 0) continue;
    const auto* const weights = grouped.packed && g < grouped.count
                                    ? static_cast<const HeedPackedWeights*>(grouped.factors[g])
                                    : nullptr;
    int64_t used = 0;
    if (weights && weights->type != kHeedWeightsPlain) {
      PackedMatmulState state = ReadPackedMatmul({weights, one}, rest, used);
      state.matmul = &one;
      state.rows = rows;
      state.a_m = a_rows;
      state.result.m = c_rows;
      PackedMatmulOfType(state, weights->type, 0, rows, n_first, n_end);
      continue;
    }
    MatmulState state = ReadMatmul(one, rest, used);
    PlaceOperands(state, sorted.rows, rest, used);
    state.rows = rows;
    state.flat = rows <= kTileRows && state.terms <= kFlatTerms;
    state.a_m = a_rows;
    state.result.m = c_rows;
    if (g == grouped.count) {
      ZeroRows(state, c_rows, rows, n_first, n_end);
      continue;
    }
    state.a = one.a;
    state.b = static_cast<const float*>(weights ? weights->data : grouped.factors[g]);
    state.a_term = state.a_k;
    state.b_term = state.b_k;
    state.present = state.terms;
    MatmulBlock(state, 0, rows, n_first, n_end);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
