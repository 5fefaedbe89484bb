// Matrix product of arbitrary nests of strided axes (heed_kernels.h says what exactly). Sums go to c, through
// the epilogue when they are complete, by way of the descriptor's `finish` (finish-inl.h).
//
// Scheme (Goto and van de Geijn 2008): blocks of kBlockDepth terms; of each, blocks of rows of a packed as
// [term][kTileRows]; panels of columns of b packed right before use; a register tile per (rows, panel). An
// output's terms are always added by fused multiply-adds in the order of k within a block of kBlockDepth, and
// blocks in order, so an output depends neither on the tile it lands in nor on the number of parts. Padding
// rows and columns of a tile are computed and thrown away; they never mix with real ones.
//
// Left alone: the choice of what is m and what is n (the caller should make the columns of c adjacent),
// threads.
#if defined(HEED_RUNTIME_KERNELS_MATMUL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_MATMUL_INL_H_
#undef HEED_RUNTIME_KERNELS_MATMUL_INL_H_
#else
#define HEED_RUNTIME_KERNELS_MATMUL_INL_H_
#endif

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "runtime/kernels/finish-inl.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/lines-inl.h"
#include "runtime/kernels/one_row-inl.h"
#include "runtime/kernels/pack-inl.h"
#include "runtime/kernels/scratch-inl.h"
#include "runtime/kernels/simd-inl.h"
#include "runtime/kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr int64_t kBlockRows = 24 * kTileRows;    // packed rows of a: 500 KB of L2 on AVX-512
constexpr int64_t kBlockColumns = 64 * kPanel;    // packed columns of b when there are several blocks of rows
constexpr int64_t kFlatTerms = 16 * kBlockDepth;  // terms of a product of few rows
constexpr int kSingleRowVectors = 8;  // panel of a one-row product: hides the latency of additions

/// A product with its descriptor read: lines, and which terms are there for the current loop element.
struct MatmulState {
  const HeedMatmul* matmul;
  int64_t rows, columns, terms;
  Line a_m, b_n, a_k, b_k, mask_k;
  FinishedSums result;
  bool flat;           // few rows: a fits packed for all terms at once
  int64_t* present_a;  // tables of the terms that are there
  int64_t* present_b;
  float* packed_a;
  float* packed_b;
  // Of the current loop element:
  const float* a;
  const float* b;
  Line a_term, b_term;
  int64_t present;
};

/// Packs rows [m_first, m_end) of a, terms [k, k + depth), in tiles one after the other; returns the end.
HWY_INLINE float* PackTiles(const MatmulState& state, int64_t m_first, int64_t m_end, int64_t k,
                            int64_t depth, bool single, float* packed) {
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t m = m_first; m < m_end;) {
    const int64_t height = TileHeight(m_end - m, single);
    PackRows(state.a, state.a_m, state.a_term, m, Min(height, m_end - m), state.rows, k, depth, height,
             packed);
    packed += height * depth;
    m += height;
  }
  return packed;
}

/// One row against a matrix in which columns, or terms, lie adjacent. False: it lies otherwise.
HWY_NOINLINE inline bool MatmulRow(const MatmulState& state, int64_t m, int64_t n_first, int64_t n_end) {
  const bool rows = state.b_n.run == kWhole && state.b_term.table == nullptr;
  const bool columns = state.b_n.table == nullptr && state.b_term.run == kWhole && state.flat;
  if (!rows && !columns) return false;
  HWY_ALIGN float sums[kRowColumns];
  float* const a = state.packed_a;
  const int64_t step = rows ? kRowColumns : kLanes;
  if (!rows) PackTiles(state, m, m + 1, 0, state.present, true, a);
  int64_t k_block = 0;
  do {  // once also without terms: the sum is 0 then
    // By rows, each block of terms is read through all columns; by columns, each column through all terms.
    const int64_t k_end = rows ? Min(k_block + kBlockDepth, state.present) : state.present;
    if (rows) PackTiles(state, m, m + 1, k_block, k_end - k_block, true, a);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t n = n_first; n < n_end; n += step) {
      const int64_t count = Min(step, n_end - n);
      const float* const b = state.b + n * state.b_n.stride;
      int64_t k = k_block;
      do {
        const int64_t depth = Min(kBlockDepth, state.present - k);
        const float* const block = b + k * state.b_term.stride;
        if (rows) {
          RowTimesRows(depth, a, block, state.b_term.stride, count, sums);
        } else {
          RowTimesColumns(depth, a + k, block, state.b_n.stride, count, sums);
        }
        state.matmul->finish(&state.result, sums, step, m, 1, n, count, k == 0, k + depth == state.present);
        k += depth;
      } while (k < k_end);
    }
    k_block = k_end;
  } while (k_block < state.present);
  return true;
}

/// The share [m_first, m_end) x [n_first, n_end) of one loop element's product.
HWY_NOINLINE inline void MatmulBlock(const MatmulState& state, int64_t m_first, int64_t m_end,
                                     int64_t n_first, int64_t n_end) {
  HWY_ALIGN float sums[kTileRows * kPanel + kSingleRowVectors * kLanes + kLanes];
  const int64_t rows = m_end - m_first;
  const bool single = rows == 1;
  if (single && MatmulRow(state, m_first, n_first, n_end)) return;
  // Few rows take all of memory's speed: b is read in the order in which it lies. By columns: all terms of a
  // panel, a of all terms having been packed before. By rows: one row takes wide panels, which also hide the
  // latency of additions.
  const bool by_columns = state.flat && state.b_n.run != kWhole;
  const int64_t panel = single && !by_columns ? kSingleRowVectors * kLanes : kPanel;
  const bool several = rows > kBlockRows;  // then panels are kept for the later blocks of rows
  const int64_t column_step = several ? kBlockColumns : by_columns ? panel : Max(n_end - n_first, 1);
  // A panel that only one tile reads is used in place if it can be.
  const bool direct =
      rows <= TileHeight(rows, single) && state.b_n.run == kWhole && state.b_term.table == nullptr;
  if (by_columns) {
    float* packed = state.packed_a;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t k = 0; k < state.present; k += kBlockDepth) {
      packed = PackTiles(state, m_first, m_end, k, Min(kBlockDepth, state.present - k), single, packed);
    }
  }
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t n_block = n_first; n_block < n_end; n_block += column_step) {
    const int64_t n_block_end = Min(n_end, n_block + column_step);
    const float* packed_flat = state.packed_a;
    int64_t k = 0;
    do {  // once also without terms: the sum is 0 then
      const int64_t depth = Min(kBlockDepth, state.present - k);
      const bool first = k == 0, last = k + depth == state.present;
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t m_block = m_first; m_block < m_end; m_block += kBlockRows) {
        const int64_t m_block_end = Min(m_end, m_block + kBlockRows);
        if (!by_columns) PackTiles(state, m_block, m_block_end, k, depth, single, state.packed_a);
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t n = n_block; n < n_block_end; n += panel) {
          const int64_t columns = Min(panel, n_block_end - n);
          const float* b;
          int64_t b_stride = panel;
          if (direct && columns == panel) {
            b = state.b + n * state.b_n.stride + k * state.b_term.stride;
            b_stride = state.b_term.stride;
          } else {
            float* const to = state.packed_b + (several ? (n - n_block) * depth : 0);
            if (m_block == m_first) {
              PackColumns(state.b, state.b_n, state.b_term, n, columns, k, depth, panel, to);
            }
            b = to;
          }
          const float* packed = by_columns ? packed_flat : state.packed_a;
#pragma clang loop unroll(disable) vectorize(disable)
          for (int64_t m = m_block; m < m_block_end;) {
            const int64_t height = TileHeight(m_block_end - m, single);
            const int64_t tile_rows = Min(height, m_block_end - m);
            if (depth >= 64) PrefetchResult(state.result, m, tile_rows, n);
            if (height == kTileRows) {
              MatmulTile<kTileRows, kPanelVectors>(depth, packed, b, b_stride, sums);
            } else if (panel != kPanel) {
              MatmulTile<1, kSingleRowVectors>(depth, packed, b, b_stride, sums);
            } else if (single) {
              MatmulTile<1, kPanelVectors>(depth, packed, b, b_stride, sums);
            } else if (height == kSmallTileRows) {
              MatmulTile<kSmallTileRows, kPanelVectors>(depth, packed, b, b_stride, sums);
            } else if constexpr (kMiddleTileRows != kSmallTileRows) {
              MatmulTile<kMiddleTileRows, kPanelVectors>(depth, packed, b, b_stride, sums);
            }
            state.matmul->finish(&state.result, sums, panel, m, tile_rows, n, columns, first, last);
            packed += height * depth;
            m += height;
          }
          if (by_columns) packed_flat = packed;
        }
      }
      k += depth;
    } while (k < state.present);
  }
}

/// Finds out which terms the mask leaves. A prefix stays a line; anything else becomes tables.
HWY_INLINE void ApplyMask(MatmulState& state, const uint8_t* mask) {
  int64_t count = 0, prefix = 0;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t k = 0; k < state.terms; ++k) {
    if (mask[state.mask_k.At(k)] == 0) continue;
    if (prefix == k) ++prefix;
    state.present_a[count] = state.a_k.At(k);
    state.present_b[count] = state.b_k.At(k);
    ++count;
  }
  state.present = count;
  state.a_term = state.a_k;
  state.b_term = state.b_k;
  if (prefix != count) {
    state.a_term = Line{state.present_a, 0, 1};
    state.b_term = Line{state.present_b, 0, 1};
  }
}

/// Reads the descriptor; lines are at the start of scratch, `bytes` gets how long they are. With null scratch
/// only that is found out.
HWY_INLINE MatmulState ReadMatmul(const HeedMatmul& matmul, void* scratch, int64_t& bytes) {
  using Axis = HeedMatmulAxis;
  MatmulState state = {};
  state.matmul = &matmul;
  const Axis* const loop = matmul.axes;
  const Axis* const m = loop + matmul.loops;
  const Axis* const n = m + matmul.ms;
  const Axis* const k = n + matmul.ns;
  state.rows = NestSize(m, matmul.ms);
  state.columns = NestSize(n, matmul.ns);
  state.terms = NestSize(k, matmul.ks);
  LineReader<Axis> line{static_cast<int64_t*>(scratch)};
  state.a_m = line(m, matmul.ms, &Axis::a);
  const Line c_m = line(m, matmul.ms, &Axis::c);
  state.b_n = line(n, matmul.ns, &Axis::b);
  const Line c_n = line(n, matmul.ns, &Axis::c);
  state.result = MakeFinishedSums(matmul.c, c_m, c_n, matmul.context);
  state.a_k = line(k, matmul.ks, &Axis::a);
  state.b_k = line(k, matmul.ks, &Axis::b);
  state.mask_k = matmul.mask ? line(k, matmul.ks, &Axis::mask) : Line();
  state.present_a = line.tables;
  state.present_b = scratch ? line.tables + state.terms : nullptr;
  if (matmul.mask) {
    line.entries += 2 * state.terms;
    if (scratch) line.tables += 2 * state.terms;
  }
  bytes = RoundUp((scratch ? line.tables - static_cast<int64_t*>(scratch) : line.entries) * 8, 64);
  return state;
}

/// The same with memory for packed operands.
HWY_INLINE MatmulState MakeMatmulState(const HeedMatmul& matmul, void* scratch, int64_t& bytes) {
  MatmulState state = ReadMatmul(matmul, scratch, bytes);
  const int64_t depth = Min(state.terms, kBlockDepth);
  // Rows of the last tile may be padded, and a part may have a single row.
  state.flat = state.rows <= kTileRows && state.terms <= kFlatTerms;
  const int64_t a_rows = state.flat ? kTileRows : Min(state.rows, kBlockRows) + kTileRows;
  const int64_t a_floats = RoundUp(a_rows * (state.flat ? state.terms : depth) + kLanes, 16);
  const int64_t panels =
      state.rows > kBlockRows ? Min(RoundUp(state.columns, kPanel), kBlockColumns) : kPanel;
  const int64_t single_panel = state.rows % kTileRows == 1 ? kSingleRowVectors * kLanes : 0;
  const int64_t b_floats = Max(single_panel, panels) * depth;
  if (scratch) {
    state.packed_a = reinterpret_cast<float*>(static_cast<uint8_t*>(scratch) + bytes);
    state.packed_b = state.packed_a + a_floats;
  }
  bytes += (a_floats + b_floats + kLanes) * 4;
  return state;
}

HWY_INLINE int64_t MatmulScratch(const HeedMatmul& matmul) { return ScratchBytes<MakeMatmulState>(matmul); }

/// A part's share of the work: whole loop elements when they divide well, else tiles of rows or panels of
/// columns of each. Calls block(m_first, m_end, n_first, n_end) for each of its elements.
template <class State, class Block>
HWY_INLINE void WalkMatmul(const HeedMatmul& matmul, State& state, int64_t part, int64_t parts,
                           int64_t tile_rows, int64_t panel, const Block& block) {
  using Axis = HeedMatmulAxis;
  const int64_t loops = NestSize(matmul.axes, matmul.loops);
  if (loops == 0 || state.rows == 0 || state.columns == 0) return;
  int64_t loop_first = 0, loop_end = loops;
  int64_t m_first = 0, m_end = state.rows, n_first = 0, n_end = state.columns;
  if (parts > 1) {
    const int64_t m_tiles = (state.rows + tile_rows - 1) / tile_rows;
    const int64_t n_panels = (state.columns + panel - 1) / panel;
    if (loops >= 8 * parts || loops % parts == 0 || (loops > 1 && Max(m_tiles, n_panels) < parts)) {
      loop_first = loops * part / parts;
      loop_end = loops * (part + 1) / parts;
    } else if (n_panels >= m_tiles) {
      n_first = Min(n_panels * part / parts * panel, state.columns);
      n_end = Min(n_panels * (part + 1) / parts * panel, state.columns);
    } else {
      m_first = Min(m_tiles * part / parts * tile_rows, state.rows);
      m_end = Min(m_tiles * (part + 1) / parts * tile_rows, state.rows);
    }
    if (loop_first == loop_end || m_first == m_end || n_first == n_end) return;
  }

  static constexpr int64_t Axis::* kStrides[] = {&Axis::a, &Axis::b, &Axis::c, &Axis::mask};
  LoopWalk<Axis, 4> walk;
  walk.Start(matmul.axes, matmul.loops, kStrides, loop_first);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t l = loop_first; l < loop_end; ++l) {
    state.a = matmul.a + walk.offset[0];
    state.b = matmul.b + walk.offset[1];
    state.result.offset = walk.offset[2];
    if (matmul.mask) {
      ApplyMask(state, matmul.mask + walk.offset[3]);
    } else {
      state.a_term = state.a_k;
      state.b_term = state.b_k;
      state.present = state.terms;
    }
    block(m_first, m_end, n_first, n_end);
    walk.Next();
  }
}

HWY_INLINE void Matmul(const HeedMatmul& matmul, int64_t part, int64_t parts, void* scratch) {
  int64_t bytes = 0;
  MatmulState state = MakeMatmulState(matmul, scratch, bytes);
  WalkMatmul(matmul, state, part, parts, kTileRows, kPanel,
             [&](int64_t m_first, int64_t m_end, int64_t n_first, int64_t n_end)
                 HWY_ATTR { MatmulBlock(state, m_first, m_end, n_first, n_end); });
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
