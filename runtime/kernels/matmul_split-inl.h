// Matrix product on matrix tiles: what matmul-inl.h computes, with products of split operands (split-inl.h)
// and tiles of 32 x 32 outputs. Blocks of kSplitDepth terms; of each, a block of columns of b is split and
// stays in L2, and 32 rows of a at a time meet them all.
//
// Sums are as exact as the vectors' but not the same bits, and an infinite operand makes NaN.
#if defined(HEED_RUNTIME_KERNELS_MATMUL_SPLIT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_MATMUL_SPLIT_INL_H_
#undef HEED_RUNTIME_KERNELS_MATMUL_SPLIT_INL_H_
#else
#define HEED_RUNTIME_KERNELS_MATMUL_SPLIT_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/matmul-inl.h"
#include "runtime/kernels/scratch-inl.h"
#include "runtime/kernels/split-inl.h"

#if HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr int64_t kSplitTile = 2 * kSide;            // rows, and columns, of a product
constexpr int64_t kSplitDepth = 12 * kDepth;         // terms of a block; part of the results
constexpr int64_t kSplitColumns = 512;               // of b that are split at a time: 1.2 MB
constexpr int64_t kSumStride = kSplitTile + kLanes;  // a power of two makes stores wait

struct MatmulSplitState : MatmulState {
  uint8_t* split_a;  // [2 tiles of rows][chunks of terms]
  uint8_t* split_b;  // [kSplitTile columns][chunks of terms][2 tiles]
  float* dense;      // [kSplitTile][kSplitDepth], or the other way round
  float* sums;       // [kSplitTile][kSumStride]
};

HWY_INLINE MatmulSplitState MakeMatmulSplitState(const HeedMatmul& matmul, void* scratch, int64_t& bytes) {
  MatmulSplitState state = {};
  static_cast<MatmulState&>(state) = ReadMatmul(matmul, scratch, bytes);
  const int64_t columns = Min(RoundUp(state.columns, kSplitTile), kSplitColumns);
  Pieces pieces{static_cast<uint8_t*>(scratch), bytes};
  state.split_a = pieces.Take<uint8_t>(kSplitTile / kSide * kSplitDepth / kDepth * kSplitBytes);
  state.split_b = pieces.Take<uint8_t>(columns / kSide * kSplitDepth / kDepth * kSplitBytes);
  state.dense = pieces.Take<float>(kSplitTile * kSplitDepth);
  state.sums = pieces.Take<float>(kSplitTile * kSumStride);
  bytes = pieces.used;
  return state;
}

HWY_INLINE int64_t MatmulSplitScratch(const HeedMatmul& matmul) {
  return ScratchBytes<MakeMatmulSplitState>(matmul);
}

/// Splits terms [k, k + depth) of up to kSplitTile columns of b.
HWY_NOINLINE inline void SplitColumnsOfB(const MatmulSplitState& state, int64_t n, int64_t columns, int64_t k,
                                         int64_t depth, uint8_t* HWY_RESTRICT to) {
  const int64_t terms = RoundUp(depth, kDepth);
  PackColumns(state.b, state.b_n, state.b_term, n, columns, k, depth, kSplitTile, state.dense);
  ZeroFloats(state.dense + depth * kSplitTile, (terms - depth) * kSplitTile);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t term = 0; term < terms; term += kDepth, to += kSplitTile / kSide * kSplitBytes)
    SplitRight(state.dense + term * kSplitTile, kSplitTile, kSplitTile, to);
}

/// Splits terms [k, k + depth) of up to kSplitTile rows of a.
HWY_NOINLINE inline void SplitRowsOfA(const MatmulSplitState& state, int64_t m, int64_t rows, int64_t k,
                                      int64_t depth) {
  const int64_t terms = RoundUp(depth, kDepth), whole = RoundUp(rows, kSide);
  PackColumns(state.a, state.a_term, state.a_m, k, depth, m, rows, terms, state.dense);
  ZeroFloats(state.dense + rows * terms, (whole - rows) * terms);
  SplitLeftRows(state.dense, whole, terms, state.split_a);
}

/// The share [m_first, m_end) x [n_first, n_end) of one loop element's product.
HWY_NOINLINE inline void MatmulSplitBlock(const MatmulSplitState& state, int64_t m_first, int64_t m_end,
                                          int64_t n_first, int64_t n_end) {
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t n_block = n_first; n_block < n_end; n_block += kSplitColumns) {
    const int64_t n_block_end = Min(n_end, n_block + kSplitColumns);
    int64_t k = 0;
    do {  // once also without terms: the sum is 0 then
      const int64_t depth = Min(kSplitDepth, state.present - k), chunks = (depth + kDepth - 1) / kDepth;
      const bool first = k == 0, last = k + depth == state.present;
      const auto columns_at = [&](int64_t n) HWY_ATTR {
        return state.split_b + (n - n_block) / kSide * chunks * kSplitBytes;
      };
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t n = n_block; n < n_block_end; n += kSplitTile)
        SplitColumnsOfB(state, n, Min(kSplitTile, n_block_end - n), k, depth, columns_at(n));
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t m = m_first; m < m_end; m += kSplitTile) {
        const int64_t rows = Min(kSplitTile, m_end - m);
        SplitRowsOfA(state, m, rows, k, depth);
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t n = n_block; n < n_block_end; n += kSplitTile) {
          const int64_t columns = Min(kSplitTile, n_block_end - n);
          PrefetchResult(state.result, m, rows, n);
          TileProducts<false>((rows + kSide - 1) / kSide, (columns + kSide - 1) / kSide, chunks,
                              {state.split_a, chunks * kSplitBytes, kSplitBytes},
                              {columns_at(n), kSplitBytes, kSplitTile / kSide * kSplitBytes}, state.sums,
                              kSumStride);
          state.matmul->finish(&state.result, state.sums, kSumStride, m, rows, n, columns, first, last);
        }
      }
      k += depth;
    } while (k < state.present);
  }
}

HWY_INLINE void MatmulSplit(const HeedMatmul& matmul, int64_t part, int64_t parts, void* scratch) {
  int64_t bytes = 0;
  MatmulSplitState state = MakeMatmulSplitState(matmul, scratch, bytes);
  BeginTiles();
  WalkMatmul(matmul, state, part, parts, kSplitTile, kSplitTile,
             [&](int64_t m_first, int64_t m_end, int64_t n_first, int64_t n_end)
                 HWY_ATTR { MatmulSplitBlock(state, m_first, m_end, n_first, n_end); });
  EndTiles();
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
#endif
