// Attention, forward, on matrix tiles: what attention-inl.h computes, with products of split operands
// (split-inl.h), and tiles of 32 rows. Keys and values are split tile by tile when they are first needed
// (slots-inl.h), so those that a mask rules out are never touched.
//
// Values that are not finite count as 0 in the product and are added apart to the rows that have them, so
// that what is masked may hold anything.
#if defined(HEED_RUNTIME_KERNELS_ATTENTION_SPLIT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_ATTENTION_SPLIT_INL_H_
#undef HEED_RUNTIME_KERNELS_ATTENTION_SPLIT_INL_H_
#else
#define HEED_RUNTIME_KERNELS_ATTENTION_SPLIT_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/attention-inl.h"
#include "runtime/kernels/slots-inl.h"
#include "runtime/kernels/split-inl.h"

#if HWY_TARGET == HWY_AVX3

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr int64_t kSplitRows = 2 * kSide;        // of a tile of pairs
constexpr int64_t kSplitBlock = 8 * kSplitRows;  // rows that share a tile of keys while it is in the cache
constexpr int64_t kSplitKeys = kHeedKeyTile;     // of a tile
constexpr int64_t kScoreStride = kSplitKeys + kLanes;  // of rows: a power of two makes stores wait
constexpr int64_t kGroup = 2 * kDepth;  // keys whose probabilities are computed while others are multiplied
constexpr int64_t kGroupChunks = kGroup / kDepth;

struct AttentionSplitState : AttentionState {
  int64_t dot_chunks, value_tiles;
  Slots keys;        // for each tile of keys
  uint8_t* split_q;  // [tiles of 16 queries of a block][dot_chunks]
  uint8_t* split_k;  // slots of [tiles of 16 keys][dot_chunks]
  uint8_t* split_v;  // slots of [chunks of 32 keys][value_tiles]
  uint8_t* split_p;  // [2 groups][2 tiles of rows][kGroupChunks]
  float* dense;      // [kDepth][dots or values, whole chunks]
};

HWY_INLINE AttentionSplitState MakeAttentionSplitState(const HeedAttention& attention, void* scratch,
                                                       int64_t& bytes) {
  AttentionSplitState state = {};
  Pieces pieces{static_cast<uint8_t*>(scratch)};
  state.attention = &attention;
  state.values_padded = RoundUp(attention.values, kSide);
  state.dot_chunks = (attention.dots + kDepth - 1) / kDepth;
  state.value_tiles = state.values_padded / kSide;
  const int64_t block = Min(kSplitBlock, RoundUp(attention.queries, kSplitRows));
  const int64_t tiles = (attention.keys + kSplitKeys - 1) / kSplitKeys;
  const int64_t keys = tiles * kSplitKeys;
  state.split_q = pieces.Take<uint8_t>(block / kSide * state.dot_chunks * kSplitBytes);
  state.split_k = pieces.Take<uint8_t>(keys / kSide * state.dot_chunks * kSplitBytes);
  state.split_v = pieces.Take<uint8_t>(keys / kDepth * state.value_tiles * kSplitBytes);
  state.split_p = pieces.Take<uint8_t>(2 * 2 * kGroupChunks * kSplitBytes);
  state.keys.Place(tiles, pieces);
  state.v_finite = pieces.Take<uint8_t>(tiles);
  state.dense = pieces.Take<float>(kDepth * Max(state.dot_chunks * kDepth, state.values_padded));
  state.out = pieces.Take<float>(block * state.values_padded);
  state.row_sum = pieces.Take<float>(block * kLanes);
  state.row_max = pieces.Take<float>(block);
  state.inverse = pieces.Take<float>(block);
  state.scores = pieces.Take<float>(kSplitRows * kScoreStride);
  state.tile_max = pieces.Take<float>(kSplitRows * kLanes);
  bytes = pieces.used;
  return state;
}

HWY_INLINE int64_t AttentionSplitScratch(const HeedAttention& attention) {
  return ScratchBytes<MakeAttentionSplitState>(attention);
}

/// Copies strided rows to dense ones, with zeros up to `all_rows` and `columns_padded`. True if all is
/// finite.
HWY_INLINE bool DenseRows(const float* from, int64_t row_stride, int64_t column_stride, int64_t rows,
                          int64_t columns, int64_t all_rows, int64_t columns_padded, float* HWY_RESTRICT to) {
  const FloatTag d;
  uint8_t known =
      CopyRows(from, row_stride, column_stride, rows, columns, to, columns_padded) ? kFinite : kUnknown;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = rows * columns_padded; i < all_rows * columns_padded; i += kLanes)
    hn::Store(hn::Zero(d), d, to + i);
  return IsFinite(to, rows, columns_padded, columns_padded, &known);
}

/// What is not finite becomes 0.
HWY_NOINLINE inline void CleanRows(float* HWY_RESTRICT rows, int64_t size) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < size; i += kLanes) {
    const Floats value = hn::Load(d, rows + i);
    const auto finite = hn::Eq(hn::Mul(value, hn::Zero(d)), hn::Zero(d));
    hn::Store(hn::IfThenElseZero(finite, value), d, rows + i);
  }
}

/// A matrix in memory, by its strides.
template <class T>
struct Strided {
  T* at;
  int64_t row, column;
};

/// Adds to `to` [rows][columns] what values [terms][columns] that are not finite give, where their factor
/// [rows][terms] is not 0. Rare, so simple.
HWY_NOINLINE inline void AddNotFinite(int64_t rows, int64_t terms, int64_t columns,
                                      Strided<const float> factors, Strided<const float> values,
                                      Strided<float> to) {
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t k = 0; k < terms; ++k) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < columns; ++j) {
      const float value = values.at[k * values.row + j * values.column];
      if (value * 0 == 0) continue;
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t i = 0; i < rows; ++i) {
        const float factor = factors.at[i * factors.row + k * factors.column];
        if (factor != 0) to.at[i * to.row + j * to.column] += factor * value;
      }
    }
  }
}

/// Splits a tile of keys and its values into a slot.
HWY_NOINLINE inline void SplitKeys(AttentionSplitState& state, int64_t key, int64_t count, int64_t slot) {
  const HeedAttention& attention = *state.attention;
  const int64_t dots = state.dot_chunks * kDepth;
  bool finite = true;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t first = 0; first < count; first += kDepth) {
    const int64_t rows = Min(kDepth, count - first), at = slot * kSplitKeys + first;
    const float* const k = state.k + (key + first) * attention.k_key;
    const float* const v = state.v + (key + first) * attention.v_key;
    DenseRows(k, attention.k_key, attention.k_dot, rows, attention.dots, kDepth, dots, state.dense);
    SplitRightColumns(state.dense, kDepth, dots, state.split_k + at / kSide * state.dot_chunks * kSplitBytes);
    if (!DenseRows(v, attention.v_key, attention.v_value, rows, attention.values, kDepth, state.values_padded,
                   state.dense)) {
      finite = false;
      CleanRows(state.dense, kDepth * state.values_padded);
    }
    SplitRight(state.dense, state.values_padded, state.values_padded,
               state.split_v + at / kDepth * state.value_tiles * kSplitBytes);
  }
  state.v_finite[key / kSplitKeys] = finite ? kFinite : kNotFinite;
}

/// The split probabilities of the chunk of keys that starts at `at` in its tile.
HWY_INLINE uint8_t* GroupOf(const AttentionSplitState& state, int64_t at) {
  const int64_t chunk = at % kGroup / kDepth;
  return state.split_p + (at / kGroup % 2 * 2 * kGroupChunks + chunk) * kSplitBytes;
}

/// Turns scores of up to kGroup keys into split, weighted probabilities, of which those that are not there
/// are 0, and adds the probabilities' sums. `classes` and `at`, the offset in the tile, are of the first key;
/// `keep`: leaves the probabilities in place of the scores too.
template <class Holes>
HWY_NOINLINE void SplitSoftmax(const AttentionSplitState& state, const uint8_t* HWY_RESTRICT classes,
                               int64_t query, int64_t rows, int64_t key, int64_t at, int64_t count,
                               const float* HWY_RESTRICT row_max, float* HWY_RESTRICT row_sum, bool keep) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    float* const row = state.scores + i * kScoreStride + at;
    uint8_t* const to = GroupOf(state, at) + i / kSide * kGroupChunks * kSplitBytes + i % kSide * 64;
    WithProbability(row_max[i], [&](const auto& probability) HWY_ATTR {
      Floats sum[2];
      sum[0] = hn::Load(d, row_sum + i * kLanes);
      sum[1] = hn::Zero(d);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t first = 0; first < count; first += kDepth) {
        Parts parts[2];
        Unroll<2>([&](auto v) HWY_ATTR {
          const int64_t j = first + v * kLanes, lanes = Min(kLanes, count - j);
          Floats weighted = hn::Zero(d);
          if (lanes > 0 && classes[j / kLanes] != kNone) {
            const Floats p = probability(hn::Load(d, row + j));
            sum[v] = hn::Add(sum[v], p);
            weighted = Weighted<Holes>(state, query + i, key + j, lanes, classes[j / kLanes] == kMixed, p);
            if (HWY_UNLIKELY(lanes < kLanes))
              weighted = hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(lanes)), weighted);
            if (HWY_UNLIKELY(keep)) hn::Store(weighted, d, row + j);
          }
          parts[v] = Split(weighted);
        });
        StoreLeft(parts[0], parts[1], to + first / kDepth * kSplitBytes);
      }
      hn::Store(hn::Add(sum[0], sum[1]), d, row_sum + i * kLanes);
    });
  }
}

/// Scores of a tile and the maxima of its rows. Products run a panel ahead of what vectors do with them: both
/// at once. `split_k`: the tile's keys.
template <class Holes>
HWY_INLINE void SplitScores(const AttentionSplitState& state, const uint8_t* HWY_RESTRICT classes,
                            int64_t query, int64_t rows, int64_t slot, int64_t key, int64_t count,
                            const uint8_t* split_k) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) hn::Store(hn::Neg(hn::Inf(d)), d, state.tile_max + i * kLanes);
  const int64_t across = state.dot_chunks * kSplitBytes, vectors = (count + kLanes - 1) / kLanes;
  const SplitTiles q = {state.split_q + slot / kSide * across, across, kSplitBytes};
  const auto score = [&](int64_t first) HWY_ATTR {
    const PanelVectors there = VectorsOf(classes, first / kLanes, vectors);
    const int64_t at = first + there.first * kLanes;
    ScoreVectors<Holes>(state, state.scores + at, kScoreStride, query, rows, key + at, there.count,
                        count - at, there.mixed);
  };
  int64_t before = -1;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t first = 0; first < count; first += kPanel) {
    const PanelVectors there = VectorsOf(classes, first / kLanes, vectors);
    if (there.count == 0) continue;
    const int64_t at = first + there.first * kLanes;
    TileProducts<false>((rows + kSide - 1) / kSide, there.count, state.dot_chunks, q,
                        {split_k + at / kSide * across, across, kSplitBytes}, state.scores + at,
                        kScoreStride);
    if (before >= 0) score(before);
    before = first;
  }
  score(before);
}

/// Raises the maxima of a tile's rows, and rescales what was added under the old ones: seldom, since maxima
/// are whole numbers.
HWY_INLINE void SplitRescale(const AttentionSplitState& state, int64_t rows, int64_t slot) {
  const FloatTag d;
  HWY_ALIGN float factors[kSplitRows];
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; i += kLanes) {
    RaiseMaxima(state.tile_max + i * kLanes, Min(kLanes, rows - i), state.row_max + slot + i, factors + i);
  }
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    if (factors[i] == 1) continue;
    const auto scale = [&](float* at)
                           HWY_ATTR { hn::Store(hn::Mul(hn::Load(d, at), hn::Set(d, factors[i])), d, at); };
    scale(state.row_sum + (slot + i) * kLanes);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t e = 0; e < state.values_padded; e += kLanes)
      scale(state.out + (slot + i) * state.values_padded + e);
  }
}

/// Adds a tile's probabilities and their products with the values, which are a group of keys behind.
/// `split_v`: the tile's values.
template <class Holes>
HWY_INLINE void SplitOutputs(const AttentionSplitState& state, const uint8_t* HWY_RESTRICT classes,
                             int64_t query, int64_t rows, int64_t slot, int64_t key, int64_t count,
                             const uint8_t* split_v) {
  float* const out = state.out + slot * state.values_padded;
  const bool finite = state.v_finite[key / kSplitKeys] == kFinite;
  const int64_t deeper = state.value_tiles * kSplitBytes;
  // Of a group only the chunks between the first and the last that have something.
  struct Chunks {
    int64_t first, end;  // keys of the tile
  };
  const auto multiply = [&](Chunks group) HWY_ATTR {
    TileProducts<true>(
        (rows + kSide - 1) / kSide, state.value_tiles, (group.end - group.first + kDepth - 1) / kDepth,
        {GroupOf(state, group.first), kGroupChunks * kSplitBytes, kSplitBytes},
        {split_v + group.first / kDepth * deeper, kSplitBytes, deeper}, out, state.values_padded);
  };
  Chunks before = {0, 0};
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t at = 0; at < count; at += kGroup) {
    Chunks group = {-1, 0};
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = at; j < Min(at + kGroup, count); j += kLanes) {
      if (classes[j / kLanes] == kNone) continue;
      if (group.first < 0) group.first = j / kDepth * kDepth;
      group.end = Min(RoundUp(j + 1, kDepth), count);
    }
    if (group.first < 0) continue;
    SplitSoftmax<Holes>(state, classes + group.first / kLanes, query, rows, key + group.first, group.first,
                        group.end - group.first, state.row_max + slot, state.row_sum + slot * kLanes,
                        !finite);
    if (before.end > 0) multiply(before);
    before = group;
  }
  multiply(before);
  if (HWY_LIKELY(finite)) return;
  ForRanges(classes, count, false, [&](int64_t begin, int64_t keys, bool) HWY_ATTR {
    const HeedAttention& attention = *state.attention;
    AddNotFinite(rows, keys, attention.values, {state.scores + begin, kScoreStride, 1},
                 {state.v + (key + begin) * attention.v_key, attention.v_key, attention.v_value},
                 {out, state.values_padded, 1});
  });
}

/// One tile of rows against one tile of keys. `slot`: place of the first row in the block's buffers.
template <class Holes>
HWY_NOINLINE void AttentionSplitTile(AttentionSplitState& state, int64_t query, int64_t rows, int64_t slot,
                                     int64_t key, int64_t count) {
  const void* const context = state.attention->context;
  const int64_t last = query + rows - 1;
  const int64_t whole = Holes::Tile(state.loop, query, last, key, key + count - 1, context);
  if (whole == kNone) return;
  uint8_t classes[kSplitKeys / kLanes];
  if (!Classify<Holes>(whole, state.loop, query, last, key, count, context, classes).any) return;
  const int64_t at = kSplitKeys * state.keys.Find(key / kSplitKeys, [&](int64_t free) HWY_ATTR {
    SplitKeys(state, key, count, free);
  });
  SplitScores<Holes>(state, classes, query, rows, slot, key, count,
                     state.split_k + at / kSide * state.dot_chunks * kSplitBytes);
  SplitRescale(state, rows, slot);
  SplitOutputs<Holes>(state, classes, query, rows, slot, key, count,
                      state.split_v + at / kDepth * state.value_tiles * kSplitBytes);
}

/// Queries [first, end) of the current loop element, at most kSplitBlock of them.
template <class Holes>
HWY_NOINLINE void AttentionSplitBlock(AttentionSplitState& state, int64_t first, int64_t end,
                                      float* HWY_RESTRICT o, float* HWY_RESTRICT lse) {
  const HeedAttention& attention = *state.attention;
  const int64_t rows = end - first, dots = state.dot_chunks * kDepth;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; i += kSide) {
    const float* const q = state.q + (first + i) * attention.q_query;
    DenseRows(q, attention.q_query, attention.q_dot, Min(kSide, rows - i), attention.dots, kSide, dots,
              state.dense);
    SplitLeft(state.dense, dots, dots, state.split_q + i / kSide * state.dot_chunks * kSplitBytes);
  }
  StartBlock(state, RoundUp(rows, kSide));
  state.keys.Keep([&](int64_t tile) HWY_ATTR {
    const int64_t key = tile * kSplitKeys, last = Min(key + kSplitKeys, attention.keys) - 1;
    return Holes::Tile(state.loop, first, end - 1, key, last, attention.context) != kNone;
  });
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t key = 0; key < attention.keys; key += kSplitKeys) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < rows; i += kSplitRows) {
      AttentionSplitTile<Holes>(state, first + i, Min(kSplitRows, rows - i), i, key,
                                Min(kSplitKeys, attention.keys - key));
    }
  }
  FinishBlock(state, first, rows, o, lse);
}

template <class Holes>
HWY_INLINE void AttentionSplit(const HeedAttention& attention, int64_t part, int64_t parts, void* scratch) {
  int64_t bytes = 0;
  AttentionSplitState state = MakeAttentionSplitState(attention, scratch, bytes);
  BeginTiles();
  WalkAttention(
      attention, state, part, parts, kSplitRows, kSplitBlock,
      [&](const float* k, const float* v) HWY_ATTR {
        if (k) state.k = k;
        if (v) state.v = v;
        state.keys.Clear();
      },
      [&](int64_t first, int64_t end, float* o, float* lse)
          HWY_ATTR { AttentionSplitBlock<Holes>(state, first, end, o, lse); });
  EndTiles();
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
#endif
