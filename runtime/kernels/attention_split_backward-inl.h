// Attention, backward, on matrix tiles: what attention_backward-inl.h computes, with products of split
// operands (split-inl.h). Keys and values are split block by block, queries when a block first needs them
// (slots-inl.h); pairs are taken 64 x 64 at a time. Gradients of k and v are summed transposed, because pairs
// become right operands without being moved.
//
// Operands that are not finite count as 0 where pairs that are not there would meet them, and are added apart
// (attention_split-inl.h).
#if defined(HEED_RUNTIME_KERNELS_ATTENTION_SPLIT_BACKWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_ATTENTION_SPLIT_BACKWARD_INL_H_
#undef HEED_RUNTIME_KERNELS_ATTENTION_SPLIT_BACKWARD_INL_H_
#else
#define HEED_RUNTIME_KERNELS_ATTENTION_SPLIT_BACKWARD_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/attention_backward-inl.h"
#include "runtime/kernels/attention_split-inl.h"
#include "runtime/kernels/slots-inl.h"
#include "runtime/kernels/split-inl.h"

#if HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr int64_t kSplitPairs = 64;          // queries, and keys, of a block of pairs
constexpr int64_t kSplitGradientKeys = 256;  // keys of a block
constexpr int64_t kPairStride = kSplitPairs + kLanes;
constexpr int64_t kKeyStride = kSplitGradientKeys + kLanes;
constexpr int64_t kPairChunks = kSplitPairs / kDepth, kPairTiles = kSplitPairs / kSide;

struct GradientSplitState : GradientState {
  int64_t dot_chunks, dot_tiles, value_chunks, value_tiles;
  // Of the loop element:
  Slots queries;        // for each kSplitPairs queries
  uint8_t* q_left;      // slots of [tiles of 16 queries][dot_chunks]
  uint8_t* d_o_left;    // slots of [tiles of 16 queries][value_chunks]
  uint8_t* q_across;    // transposed, cleaned: slots of [chunks of 32 queries][dot_tiles]
  uint8_t* d_o_across;  // slots of [chunks of 32 queries][value_tiles]
  const float *raw_q, *raw_d_o;
  // Of the block of keys:
  uint8_t* k_right;  // [tiles of 16 keys][dot_chunks]
  uint8_t* v_right;  // [tiles of 16 keys][value_chunks]
  uint8_t* k_below;  // keys as terms, cleaned: [chunks of 32 keys][dot_tiles]
  const float* raw_k;
  // dk, dv: transposed, rows of kKeyStride
  // Of the block of pairs; s and dp become p and ds, rows of kPairStride:
  uint8_t* p_right;   // [tiles of 16 keys][kPairChunks]
  uint8_t* ds_right;  // [tiles of 16 keys][kPairChunks]
  uint8_t* ds_left;   // [tiles of 16 queries][kPairChunks]
  float* dense;       // [kSplitGradientKeys][dots or values, whole chunks]
  float* dense_o;     // [kDepth][values]
};

HWY_INLINE GradientSplitState MakeGradientSplitState(const HeedAttention& attention, void* scratch,
                                                     int64_t& bytes) {
  GradientSplitState state = {};
  Pieces pieces{static_cast<uint8_t*>(scratch)};
  const auto tiles = [&](int64_t count) { return pieces.Take<uint8_t>(count * kSplitBytes); };
  state.attention = &attention;
  state.dot_chunks = (attention.dots + kDepth - 1) / kDepth;
  state.value_chunks = (attention.values + kDepth - 1) / kDepth;
  state.dot_tiles = (attention.dots + kSide - 1) / kSide;
  state.value_tiles = (attention.values + kSide - 1) / kSide;
  state.dots_padded = state.dot_tiles * kSide;
  state.values_padded = state.value_tiles * kSide;
  const int64_t queries = RoundUp(attention.queries, kSplitPairs), blocks = queries / kSplitPairs;
  const int64_t keys = Min(kSplitGradientKeys, RoundUp(attention.keys, kDepth));
  const int64_t wide = kDepth * Max(state.dot_chunks, state.value_chunks);
  state.queries.Place(blocks, pieces);
  state.q_left = tiles(queries / kSide * state.dot_chunks);
  state.d_o_left = tiles(queries / kSide * state.value_chunks);
  state.q_across = tiles(queries / kDepth * state.dot_tiles);
  state.d_o_across = tiles(queries / kDepth * state.value_tiles);
  state.k_right = tiles(keys / kSide * state.dot_chunks);
  state.v_right = tiles(keys / kSide * state.value_chunks);
  state.k_below = tiles(keys / kDepth * state.dot_tiles);
  state.p_right = tiles(kPairTiles * kPairChunks);
  state.ds_right = tiles(kPairTiles * kPairChunks);
  state.ds_left = tiles(kPairTiles * kPairChunks);
  state.dq = pieces.Take<float>(queries * state.dots_padded);
  state.lse = pieces.Take<float>(queries);
  state.dot_o = pieces.Take<float>(queries);
  state.q_finite = pieces.Take<uint8_t>(blocks);
  state.d_o_finite = pieces.Take<uint8_t>(blocks);
  state.captures.Place(attention, pieces);
  state.dk = pieces.Take<float>(state.dots_padded * kKeyStride);
  state.dv = pieces.Take<float>(state.values_padded * kKeyStride);
  state.s = pieces.Take<float>(kSplitPairs * kPairStride);
  state.dp = pieces.Take<float>(kSplitPairs * kPairStride);
  state.dense = pieces.Take<float>(kSplitGradientKeys * wide);
  state.dense_o = pieces.Take<float>(kDepth * wide);
  bytes = pieces.used;
  return state;
}

HWY_INLINE int64_t AttentionBackwardSplitScratch(const HeedAttention& attention) {
  return ScratchBytes<MakeGradientSplitState>(attention);
}

/// Splits 32 rows both ways: as left tiles, and transposed and cleaned. False if something is not finite.
HWY_NOINLINE inline bool SplitBothWays(const float* from, int64_t row_stride, int64_t column_stride,
                                       int64_t rows, int64_t columns, float* HWY_RESTRICT dense,
                                       uint8_t* HWY_RESTRICT left, uint8_t* HWY_RESTRICT across) {
  const int64_t whole = RoundUp(columns, kDepth);
  const bool finite = DenseRows(from, row_stride, column_stride, rows, columns, kDepth, whole, dense);
  SplitLeftRows(dense, kDepth, whole, left);
  if (HWY_UNLIKELY(!finite)) CleanRows(dense, kDepth * whole);
  SplitLeftColumns(dense, whole, RoundUp(columns, kSide), across);
  return finite;
}

/// Splits q and d_o of up to kSplitPairs queries into a slot, computes D.
HWY_NOINLINE inline void GradientSplitQueries(const GradientSplitState& state, const GradientElement& element,
                                              int64_t query, int64_t count, int64_t slot) {
  const FloatTag d;
  const HeedAttention& attention = *state.attention;
  const int64_t values = state.value_chunks * kDepth, block = query / kSplitPairs;
  state.q_finite[block] = state.d_o_finite[block] = kFinite;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t first = 0; first < count; first += kDepth) {
    const int64_t i = query + first, rows = Min(kDepth, count - first), at = slot * kSplitPairs + first;
    const float* const q = element.q + i * attention.q_query;
    const float* const o = element.o + i * attention.o_query;
    const float* const d_o = element.d_o + i * attention.o_query;
    const bool q_finite =
        SplitBothWays(q, attention.q_query, attention.q_dot, rows, attention.dots, state.dense,
                      state.q_left + at / kSide * state.dot_chunks * kSplitBytes,
                      state.q_across + at / kDepth * state.dot_tiles * kSplitBytes);
    const bool d_o_finite =
        SplitBothWays(d_o, attention.o_query, attention.o_value, rows, attention.values, state.dense,
                      state.d_o_left + at / kSide * state.value_chunks * kSplitBytes,
                      state.d_o_across + at / kDepth * state.value_tiles * kSplitBytes);
    if (!q_finite) state.q_finite[block] = kNotFinite;
    if (!d_o_finite) state.d_o_finite[block] = kNotFinite;
    if (!d_o_finite) {
      DenseRows(d_o, attention.o_query, attention.o_value, rows, attention.values, kDepth, values,
                state.dense);
    }
    CopyRows(o, attention.o_query, attention.o_value, rows, attention.values, state.dense_o, values);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t row = 0; row < rows; ++row) {
      Floats sum = hn::Zero(d);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t e = row * values; e < (row + 1) * values; e += kLanes)
        sum = hn::MulAdd(hn::Load(d, state.dense + e), hn::Load(d, state.dense_o + e), sum);
      GradientRow(state, element, i + row, hn::GetLane(hn::SumOfLanes(d, sum)));
    }
  }
}

/// Splits a block of keys and values.
HWY_NOINLINE inline void GradientSplitKeys(GradientSplitState& state, const float* k, const float* v,
                                           int64_t count) {
  const HeedAttention& attention = *state.attention;
  const int64_t dots = state.dot_chunks * kDepth, values = state.value_chunks * kDepth;
  const int64_t keys = RoundUp(count, kDepth);
  state.raw_k = k;
  DenseRows(v, attention.v_key, attention.v_value, count, attention.values, keys, values, state.dense);
  SplitRightColumns(state.dense, keys, values, state.v_right);
  state.k_finite =
      DenseRows(k, attention.k_key, attention.k_dot, count, attention.dots, keys, dots, state.dense);
  SplitRightColumns(state.dense, keys, dots, state.k_right);
  if (HWY_UNLIKELY(!state.k_finite)) CleanRows(state.dense, keys * dots);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < keys; i += kDepth) {
    SplitRight(state.dense + i * dots, dots, state.dots_padded,
               state.k_below + i / kDepth * state.dot_tiles * kSplitBytes);
  }
}

/// Splits p and ds of 32 rows: as right operands, queries being terms, and ds as left one too.
HWY_NOINLINE inline void SplitPairs(const GradientSplitState& state, int64_t row) {
  const FloatTag d;
  const int64_t half = row / kDepth;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < kDepth; i += 2) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < kSplitPairs; j += kDepth) {
      const int64_t at = (row + i) * kPairStride + j;
      uint8_t* const left =
          state.ds_left + ((row + i) / kSide * kPairChunks + j / kDepth) * kSplitBytes + i % kSide * 64;
      Parts ds[2][2];
      Unroll<2>([&](auto v) HWY_ATTR {
        const int64_t right = ((j / kSide + v) * kPairChunks + half) * kSplitBytes + i / 2 * 64;
        const float* const p = state.s + at + v * kLanes;
        StoreRight(Split(hn::Load(d, p)), Split(hn::Load(d, p + kPairStride)), state.p_right + right);
        ds[0][v] = Split(hn::Load(d, state.dp + at + v * kLanes));
        ds[1][v] = Split(hn::Load(d, state.dp + at + v * kLanes + kPairStride));
        StoreRight(ds[0][v], ds[1][v], state.ds_right + right);
      });
      StoreLeft(ds[0][0], ds[0][1], left);
      StoreLeft(ds[1][0], ds[1][1], left + 64);
    }
  }
}

/// p and ds of up to 32 rows of a block of pairs, 0 where nothing is there, split. False if nothing is.
/// `split`: where the row is among the split queries.
template <class Holes>
HWY_NOINLINE bool GradientSplitRows(const GradientSplitState& state, int64_t whole, int64_t query,
                                    int64_t split, int64_t row, int64_t rows, int64_t key, int64_t at,
                                    int64_t count, uint8_t* HWY_RESTRICT classes) {
  const FloatTag d;
  const HeedAttention& attention = *state.attention;
  const int64_t row_tiles = (rows + kSide - 1) / kSide;
  const Classes found =
      Classify<Holes>(whole, state.loop, query, query + rows - 1, key, count, attention.context, classes);
  if (!found.any) return false;
  const int64_t across_dots = state.dot_chunks * kSplitBytes,
                across_values = state.value_chunks * kSplitBytes;
  const SplitTiles q = {state.q_left + split / kSide * across_dots, across_dots, kSplitBytes};
  const SplitTiles d_o = {state.d_o_left + split / kSide * across_values, across_values, kSplitBytes};
  float* const s = state.s + row * kPairStride;
  float* const dp = state.dp + row * kPairStride;
  ForRanges(classes, count, false, [&](int64_t begin, int64_t keys, bool) HWY_ATTR {
    const int64_t tile = (at + begin) / kSide, vectors = (keys + kLanes - 1) / kLanes;
    TileProducts<false>(row_tiles, vectors, state.dot_chunks, q,
                        {state.k_right + tile * across_dots, across_dots, kSplitBytes}, s + begin,
                        kPairStride);
    TileProducts<false>(row_tiles, vectors, state.value_chunks, d_o,
                        {state.v_right + tile * across_values, across_values, kSplitBytes}, dp + begin,
                        kPairStride);
  });
  ForRanges(classes, count, true, [&](int64_t begin, int64_t keys, bool mixed) HWY_ATTR {
    GradientPairs<Holes>(state, {s + begin, dp + begin, kPairStride, s + begin, dp + begin, kPairStride},
                         query, rows, key + begin, (keys + kLanes - 1) / kLanes, keys, mixed);
  });
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t j = 0; j < kSplitPairs; j += kLanes) {
    const int64_t first = j < count && classes[j / kLanes] != kNone ? rows : 0;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = first; i < kDepth; ++i) {
      hn::Store(hn::Zero(d), d, s + i * kPairStride + j);
      hn::Store(hn::Zero(d), d, dp + i * kPairStride + j);
    }
  }
  SplitPairs(state, row);
  return true;
}

/// Vectors of keys between the first and the last that have something.
struct VectorRange {
  int64_t first = 0, end = 0;
};
HWY_INLINE VectorRange RangeOf(const uint8_t* classes, int64_t vectors) {
  VectorRange range;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t v = 0; v < vectors; ++v) {
    if (classes[v] == kNone) continue;
    if (range.end == 0) range.first = v;
    range.end = v + 1;
  }
  return range;
}

/// Which rows of a block of pairs a panel of keys wants, in halves.
struct Halves {
  int64_t first = 0, count = 0;
};
HWY_INLINE Halves HalvesOf(const uint8_t (&classes)[kPairChunks][kSplitPairs / kLanes], int64_t halves,
                           int64_t panel, int64_t vectors) {
  Halves result;
  Unroll<kPairChunks>([&](auto half) HWY_ATTR {
    if (half >= halves || VectorsOf(classes[half], panel * kPanelVectors, vectors).count == 0) return;
    if (result.count == 0) result.first = half;
    result.count = half + 1 - result.first;
  });
  return result;
}

/// Adds rows of `across` times `pairs` to the transposed gradient of keys or values.
HWY_INLINE void GradientSplitColumns(const uint8_t* across, int64_t tiles, const uint8_t* pairs,
                                     const Halves (&halves)[kSplitPairs / kPanel], int64_t vectors,
                                     float* HWY_RESTRICT gradient) {
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t tile = 0; tile < tiles; tile += 2) {
    Unroll<kSplitPairs / kPanel>([&](auto panel) HWY_ATTR {
      const int64_t first = panel * kPanelVectors, columns = Min(kPanelVectors, vectors - first);
      const Halves rows = halves[panel];
      if (rows.count == 0) return;
      TileProducts<true>(
          Min(2, tiles - tile), columns, rows.count,
          {across + (rows.first * tiles + tile) * kSplitBytes, kSplitBytes, tiles * kSplitBytes},
          {pairs + (first * kPairChunks + rows.first) * kSplitBytes, kPairChunks * kSplitBytes, kSplitBytes},
          gradient + tile * kSide * kKeyStride + panel * kPanel, kKeyStride);
    });
  }
}

/// One block of pairs. `slot`: where its queries are split; `at`: offset of its first key in the block of
/// keys.
template <class Holes>
HWY_NOINLINE void GradientSplitPairs(const GradientSplitState& state, int64_t query, int64_t rows,
                                     int64_t slot, int64_t key, int64_t at, int64_t count) {
  const HeedAttention& attention = *state.attention;
  const int64_t whole =
      Holes::Tile(state.loop, query, query + rows - 1, key, key + count - 1, attention.context);
  if (whole == kNone) return;
  const int64_t vectors = (count + kLanes - 1) / kLanes, block = query / kSplitPairs;
  uint8_t classes[kPairChunks][kSplitPairs / kLanes];
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t row = 0; row < rows; row += kDepth) {
    const int64_t half = row / kDepth, left = Min(kDepth, rows - row);
    if (!GradientSplitRows<Holes>(state, whole, query + row, slot * kSplitPairs + row, row, left, key, at,
                                  count, classes[half])) {
      continue;
    }
    if (attention.dv && HWY_UNLIKELY(state.d_o_finite[block] != kFinite)) {
      AddNotFinite(count, left, attention.values, {state.s + row * kPairStride, 1, kPairStride},
                   {state.raw_d_o + (query + row) * attention.o_query, attention.o_query, attention.o_value},
                   {state.dv + at, 1, kKeyStride});
    }
    if (attention.dk && HWY_UNLIKELY(state.q_finite[block] != kFinite)) {
      AddNotFinite(count, left, attention.dots, {state.dp + row * kPairStride, 1, kPairStride},
                   {state.raw_q + (query + row) * attention.q_query, attention.q_query, attention.q_dot},
                   {state.dk + at, 1, kKeyStride});
    }
    if (!attention.dq) continue;
    const VectorRange there = RangeOf(classes[half], vectors);
    float* const dq = state.dq + (query + row) * state.dots_padded;
    const int64_t first = there.first * kLanes / kDepth,
                  chunks = (there.end * kLanes + kDepth - 1) / kDepth - first;
    TileProducts<true>((left + kSide - 1) / kSide, state.dot_tiles, chunks,
                       {state.ds_left + (row / kSide * kPairChunks + first) * kSplitBytes,
                        kPairChunks * kSplitBytes, kSplitBytes},
                       {state.k_below + (at / kDepth + first) * state.dot_tiles * kSplitBytes, kSplitBytes,
                        state.dot_tiles * kSplitBytes},
                       dq, state.dots_padded);
    if (HWY_UNLIKELY(!state.k_finite)) {
      AddNotFinite(left, count, attention.dots, {state.dp + row * kPairStride, kPairStride, 1},
                   {state.raw_k + at * attention.k_key, attention.k_key, attention.k_dot},
                   {dq, state.dots_padded, 1});
    }
  }
  Halves halves[kSplitPairs / kPanel];
  Unroll<kSplitPairs / kPanel>([&](auto panel) HWY_ATTR {
    halves[panel] = HalvesOf(classes, (rows + kDepth - 1) / kDepth, panel, vectors);
  });
  if (attention.dv) {
    GradientSplitColumns(state.d_o_across + slot * kPairChunks * state.value_tiles * kSplitBytes,
                         state.value_tiles, state.p_right, halves, vectors, state.dv + at);
  }
  if (attention.dk) {
    GradientSplitColumns(state.q_across + slot * kPairChunks * state.dot_tiles * kSplitBytes, state.dot_tiles,
                         state.ds_right, halves, vectors, state.dk + at);
  }
}

/// Stores the transposed gradient of a block of keys or values, [columns][kKeyStride].
HWY_INLINE void StoreTransposed(const GradientSplitState& state, const float* gradient, int64_t keys,
                                int64_t columns, float* to, int64_t key_stride, int64_t column_stride,
                                bool add) {
  const int64_t padded = RoundUp(columns, kLanes);
  PackColumns(gradient, StrideLine(kKeyStride), StrideLine(1), 0, columns, 0, keys, padded, state.dense);
  StoreRows(state.dense, padded, keys, columns, nullptr, to, key_stride, column_stride, add);
}

template <class Holes>
HWY_INLINE void AttentionBackwardSplit(const HeedAttention& attention, int64_t part, int64_t parts,
                                       void* scratch) {
  int64_t bytes = 0;
  GradientSplitState whole = MakeGradientSplitState(attention, scratch, bytes);
  BeginTiles();
  WalkGradients(
      attention, whole, part, parts, [&](GradientSplitState& state, const GradientElement& element) HWY_ATTR {
        state.raw_q = element.q;
        state.raw_d_o = element.d_o;
        state.queries.Clear();
        if (element.dq) ZeroFloats(state.dq, RoundUp(attention.queries, kSide) * state.dots_padded);
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t key = 0; key < attention.keys; key += kSplitGradientKeys) {
          const int64_t keys = Min(kSplitGradientKeys, attention.keys - key);
          GradientSplitKeys(state, element.k + key * attention.k_key, element.v + key * attention.v_key,
                            keys);
          ZeroFloats(state.dk, state.dots_padded * kKeyStride);
          ZeroFloats(state.dv, state.values_padded * kKeyStride);
          const auto needed = [&](int64_t tile) HWY_ATTR {
            const int64_t query = tile * kSplitPairs, last = Min(query + kSplitPairs, attention.queries) - 1;
            return Holes::Tile(state.loop, query, last, key, key + keys - 1, attention.context) != kNone;
          };
          state.queries.Keep(needed);
#pragma clang loop unroll(disable) vectorize(disable)
          for (int64_t query = 0; query < attention.queries; query += kSplitPairs) {
            if (!needed(query / kSplitPairs)) continue;
            const int64_t rows = Min(kSplitPairs, attention.queries - query);
            const int64_t slot = state.queries.Find(query / kSplitPairs, [&](int64_t free) HWY_ATTR {
              GradientSplitQueries(state, element, query, rows, free);
            });
#pragma clang loop unroll(disable) vectorize(disable)
            for (int64_t at = 0; at < keys; at += kSplitPairs) {
              GradientSplitPairs<Holes>(state, query, rows, slot, key + at, at, Min(kSplitPairs, keys - at));
            }
          }
          if (element.dk) {
            StoreTransposed(state, state.dk, keys, attention.dots, element.dk + key * attention.k_key,
                            attention.k_key, attention.k_dot, element.add_k);
          }
          if (element.dv) {
            StoreTransposed(state, state.dv, keys, attention.values, element.dv + key * attention.v_key,
                            attention.v_key, attention.v_value, element.add_v);
          }
        }
        if (element.dq) {
          StoreRows(state.dq, state.dots_padded, attention.queries, attention.dots, nullptr, element.dq,
                    attention.q_query, attention.q_dot, element.add_q);
        }
      });
  EndTiles();
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
#endif
