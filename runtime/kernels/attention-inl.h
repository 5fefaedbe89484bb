// Attention, forward: one pass over the keys with an online softmax (Milakov and Gimelshein 2018; Dao et al.
// 2022). The score, its mask and the weights are holes, static functions of a `Holes` type (see
// heed_kernels.h for what each must give): Score, ScoreUnmasked, Weight, Tile.
//
// Keys are taken in tiles of kKeyTile at absolute positions. For each row and tile: scores, the running
// maximum, the factor that rescales what was added so far, then probabilities and their product with v, term
// by term in the order of keys. A tile of which nothing is there changes no bit (factor 1, terms left out or
// 0), so skipping it is free to depend on the neighbours; a row's result is not.
//
// The softmax runs in base 2: probabilities are 2^(score * log2 e - maximum).
#if defined(HEED_RUNTIME_KERNELS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_ATTENTION_INL_H_
#undef HEED_RUNTIME_KERNELS_ATTENTION_INL_H_
#else
#define HEED_RUNTIME_KERNELS_ATTENTION_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/attention_common-inl.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/lines-inl.h"
#include "runtime/kernels/math-inl.h"
#include "runtime/kernels/pack-inl.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr int64_t kKeyTile = 256;  // part of the results
constexpr int64_t kKeyTilePanels = kKeyTile / kPanel;
constexpr int64_t kQueryBlock = 8 * kTileRows;  // rows that share a tile of keys while it is in the cache

/// One call's scratch memory and the loop element it is at.
struct AttentionState {
  const HeedAttention* attention;
  int64_t values_padded;
  bool v_in_place;
  float* packed_k;    // panels [dots][kPanel]
  float* packed_v;    // [keys][values_padded], unless in place
  uint8_t* v_finite;  // for each tile of keys
  float* packed_q;    // tiles [dots][rows]
  float* out;         // [kQueryBlock][values_padded], to be divided by the sum
  float* row_sum;     // [kQueryBlock][kLanes]
  float* row_max;     // [kQueryBlock], base 2
  float* scores;      // [kTileRows][kKeyTile]
  float* tile_max;    // [kTileRows][kLanes]
  // Of the current loop element:
  int64_t loop;
  const float* q;
  const float* v;
  int64_t v_stride;  // between keys
};

HWY_INLINE AttentionState MakeAttentionState(const HeedAttention& attention, void* scratch, int64_t& bytes) {
  AttentionState state;
  Pieces pieces{static_cast<uint8_t*>(scratch)};
  state.attention = &attention;
  state.values_padded = RoundUp(attention.values, kLanes);
  state.v_in_place = attention.v_value == 1 && attention.values == state.values_padded;
  const int64_t block = Min(kQueryBlock, attention.queries + kTileRows);
  state.packed_k = pieces.Take<float>(RoundUp(attention.keys, kPanel) * attention.dots);
  state.packed_v = pieces.Take<float>(state.v_in_place ? 0 : attention.keys * state.values_padded);
  state.v_finite = pieces.Take<uint8_t>((attention.keys + kKeyTile - 1) / kKeyTile);
  state.packed_q = pieces.Take<float>(block * attention.dots + kLanes);
  state.out = pieces.Take<float>(block * state.values_padded);
  state.row_sum = pieces.Take<float>(block * kLanes);
  state.row_max = pieces.Take<float>(block);
  state.scores = pieces.Take<float>(kTileRows * kKeyTile);
  state.tile_max = pieces.Take<float>(kTileRows * kLanes);
  bytes = pieces.used;
  return state;
}

HWY_INLINE int64_t AttentionScratch(const HeedAttention& attention) {
  int64_t bytes = 0;
  MakeAttentionState(attention, nullptr, bytes);
  return Max(bytes, 64);
}

/// Scores of one panel of keys, in place of the products; updates the rows' maxima. `count`: keys of the
/// panel.
template <class Holes>
HWY_NOINLINE void ScorePanel(const AttentionState& state, float* HWY_RESTRICT scores, int64_t query,
                             int64_t rows, int64_t key, int64_t count, bool mixed) {
  const FloatTag d;
  const void* const context = state.attention->context;
  const Floats nothing = hn::Neg(hn::Inf(d));
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    float* const row = scores + i * kKeyTile;
    Floats highest = hn::Load(d, state.tile_max + i * kLanes);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < kPanel; j += kLanes) {
      const int64_t lanes = Min(kLanes, count - j);
      Floats score = nothing;
      if (HWY_LIKELY(lanes > 0)) {
        const RawFloats s = hn::Load(d, row + j).raw;
        score = Wrap(mixed ? Holes::Score(s, state.loop, query + i, key + j, lanes, context)
                           : Holes::ScoreUnmasked(s, state.loop, query + i, key + j, lanes, context));
        if (HWY_UNLIKELY(lanes < kLanes)) {
          score = hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(lanes)), score, nothing);
        }
      }
      hn::Store(score, d, row + j);
      highest = hn::Max(highest, score);
    }
    hn::Store(highest, d, state.tile_max + i * kLanes);
  }
}

/// Turns the scores of a tile into weighted probabilities and adds the latter's sums; `factors` are the rows'
/// rescalings.
template <class Holes>
HWY_NOINLINE void SoftmaxRows(const AttentionState& state, const uint8_t* HWY_RESTRICT classes,
                              int64_t panels, int64_t query, int64_t rows, int64_t key, int64_t count,
                              const float* HWY_RESTRICT row_max, float* HWY_RESTRICT row_sum,
                              const float* HWY_RESTRICT factors) {
  const FloatTag d;
  const void* const context = state.attention->context;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    float* const row = state.scores + i * kKeyTile;
    const Floats maximum = hn::Set(d, row_max[i]);
    Floats sum[kPanelVectors];
    sum[0] = hn::Mul(hn::Load(d, row_sum + i * kLanes), hn::Set(d, factors[i]));
    sum[1] = hn::Zero(d);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t p = 0; p < panels; ++p) {
      if (classes[p] == kNone) continue;
      const bool select = classes[p] == kMixed;
      Unroll<kPanelVectors>([&](auto v) HWY_ATTR {
        const int64_t j = p * kPanel + v * kLanes;
        const Floats score = hn::Load(d, row + j);
        const Floats probability = Exp2(hn::MulSub(score, hn::Set(d, kLog2E), maximum));
        sum[v] = hn::Add(sum[v], probability);
        Floats weighted = hn::Zero(d);
        const int64_t lanes = Min(kLanes, count - j);
        if (HWY_LIKELY(lanes > 0)) {
          weighted =
              hn::Mul(probability, Wrap(Holes::Weight(state.loop, query + i, key + j, lanes, context)));
          // Whatever the weight of a masked pair is, NaN included.
          if (select) weighted = hn::IfThenZeroElse(hn::Eq(probability, hn::Zero(d)), weighted);
        }
        hn::Store(weighted, d, row + j);
      });
    }
    hn::Store(hn::Add(sum[0], sum[1]), d, row_sum + i * kLanes);
  }
}

/// One tile of rows against one tile of keys. `slot`: place of the first row in the block's buffers.
template <class Holes, int kRows>
HWY_NOINLINE void AttentionTile(const AttentionState& state, int64_t query, int64_t rows, int64_t slot,
                                int64_t key, int64_t count) {
  const FloatTag d;
  const HeedAttention& attention = *state.attention;
  const void* const context = attention.context;
  const int64_t last = query + rows - 1;
  const int64_t whole = Holes::Tile(state.loop, query, last, key, key + count - 1, context);
  if (whole == kNone) return;
  const int64_t panels = (count + kPanel - 1) / kPanel;
  uint8_t classes[kKeyTilePanels];
  bool any = false;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t p = 0; p < panels; ++p) {
    const int64_t first = p * kPanel;
    classes[p] =
        static_cast<uint8_t>(whole == kAll ? kAll
                                           : Holes::Tile(state.loop, query, last, key + first,
                                                         key + Min(first + kPanel, count) - 1, context));
    any |= classes[p] != kNone;
  }
  if (!any) return;

#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) hn::Store(hn::Neg(hn::Inf(d)), d, state.tile_max + i * kLanes);
  const float* const q = state.packed_q + slot * attention.dots;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t p = 0; p < panels; ++p) {
    if (classes[p] == kNone) continue;
    float* const scores = state.scores + p * kPanel;
    ProductTile<kRows, kPanelVectors, 1, kRows>(attention.dots, q,
                                                state.packed_k + (key + p * kPanel) * attention.dots, kPanel,
                                                scores, kKeyTile, nullptr);
    ScorePanel<Holes>(state, scores, query, rows, key + p * kPanel, Min(kPanel, count - p * kPanel),
                      classes[p] == kMixed);
  }

  // New maxima and the factors for what was added under the old ones.
  constexpr int64_t kPaddedRows = RoundUp(kRows, kLanes);
  HWY_ALIGN float factors[kPaddedRows];
  HWY_ALIGN float ones[kPaddedRows];
  float* const row_max = state.row_max + slot;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < kPaddedRows; ++i) {
    factors[i] = 0;
    ones[i] = 1;
    if (i >= rows) continue;
    const float highest = hn::GetLane(hn::MaxOfLanes(d, hn::Load(d, state.tile_max + i * kLanes))) * kLog2E;
    const float old = row_max[i];
    row_max[i] = highest > old ? highest : old;
    factors[i] = old - row_max[i];
  }
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < kPaddedRows; i += kLanes) hn::Store(Exp2(hn::Load(d, factors + i)), d, factors + i);

  SoftmaxRows<Holes>(state, classes, panels, query, rows, key, count, row_max, state.row_sum + slot * kLanes,
                     factors);

  float* const out = state.out + slot * state.values_padded;
  ForRanges(classes, panels, count, [&](int64_t begin, int64_t keys, bool first, bool mixed) HWY_ATTR {
    const float* const scale = first ? factors : ones;
    const float* const v = state.v + (key + begin) * state.v_stride;
    const float* const p = state.scores + begin;
    if (HWY_UNLIKELY(mixed && !IsFinite(state.v + key * state.v_stride, count, state.v_stride,
                                        state.values_padded, state.v_finite + key / kKeyTile))) {
      SelectedProductRows(rows, keys, p, kKeyTile, 1, v, state.v_stride, state.values_padded, out,
                          state.values_padded, scale);
    } else {
      ProductRows<kRows, kKeyTile, 1>(keys, p, v, state.v_stride, state.values_padded, out,
                                      state.values_padded, scale);
    }
  });
}

/// Queries [first, end) of the current loop element, at most kQueryBlock of them.
template <class Holes>
HWY_NOINLINE void AttentionBlock(const AttentionState& state, int64_t first, int64_t end,
                                 float* HWY_RESTRICT o, float* HWY_RESTRICT lse) {
  const FloatTag d;
  const HeedAttention& attention = *state.attention;
  const int64_t rows = end - first;
  const bool only = rows == 1;
  const Line query_line = StrideLine(attention.q_query), dot_line = StrideLine(attention.q_dot);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows;) {
    const int64_t height = AttentionTileHeight(rows - i, only);
    PackRows(state.q, query_line, dot_line, first + i, Min(height, rows - i), attention.queries, 0,
             attention.dots, height, state.packed_q + i * attention.dots);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = i; j < i + height; ++j) {
      state.row_max[j] = kLowest;
      hn::Store(hn::Zero(d), d, state.row_sum + j * kLanes);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t e = 0; e < state.values_padded; e += kLanes) {
        hn::Store(hn::Zero(d), d, state.out + j * state.values_padded + e);
      }
    }
    i += height;
  }

#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t key = 0; key < attention.keys; key += kKeyTile) {
    const int64_t count = Min(kKeyTile, attention.keys - key);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < rows;) {
      const int64_t height = AttentionTileHeight(rows - i, only);
      const int64_t tile_rows = Min(height, rows - i);
      if (height == kTileRows) {
        AttentionTile<Holes, kTileRows>(state, first + i, tile_rows, i, key, count);
      } else if (height == 1) {
        AttentionTile<Holes, 1>(state, first + i, tile_rows, i, key, count);
      } else if constexpr (kMiddleTileRows != kTileRows) {
        AttentionTile<Holes, kMiddleTileRows>(state, first + i, tile_rows, i, key, count);
      }
      i += height;
    }
  }

  // Sums, log-sum-exps and divisions of kLanes rows at a time.
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; i += kLanes) {
    const int64_t count = Min(kLanes, rows - i);
    HWY_ALIGN float sums[kLanes] = {};
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t lane = 0; lane < count; ++lane) {
      sums[lane] = hn::GetLane(hn::SumOfLanes(d, hn::Load(d, state.row_sum + (i + lane) * kLanes)));
    }
    const Floats sum = hn::Load(d, sums);
    const auto empty = hn::Eq(sum, hn::Zero(d));
    if (lse) {
      const Floats logarithm = hn::MulAdd(LoadFirst(state.row_max + i, count), hn::Set(d, kLn2), Log(sum));
      HWY_ALIGN float lanes[kLanes];
      hn::Store(hn::IfThenZeroElse(empty, logarithm), d, lanes);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t lane = 0; lane < count; ++lane)
        lse[(first + i + lane) * attention.lse_query] = lanes[lane];
    }
    hn::Store(hn::IfThenZeroElse(empty, hn::Div(hn::Set(d, 1.0f), sum)), d, sums);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t lane = 0; lane < count; ++lane) {
      const Floats inverse = hn::Set(d, sums[lane]);
      float* const out = state.out + (i + lane) * state.values_padded;
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t e = 0; e < state.values_padded; e += kLanes) {
        hn::Store(hn::Mul(hn::Load(d, out + e), inverse), d, out + e);
      }
    }
  }
  StoreRows(state.out, state.values_padded, rows, attention.values, o + first * attention.o_query,
            attention.o_query, attention.o_value, false);
}

template <class Holes>
HWY_INLINE void Attention(const HeedAttention& attention, int64_t part, int64_t parts, void* scratch) {
  using Axis = HeedAttentionLoop;
  int64_t bytes = 0;
  AttentionState state = MakeAttentionState(attention, scratch, bytes);
  const int64_t loops = NestSize(attention.loop, attention.loops);
  if (loops == 0 || attention.queries == 0) return;

  // Shares: loop elements when there are enough of them, else blocks of queries, dealt out in turn because
  // under a causal mask later ones cost more.
  const int64_t tiles = (attention.queries + kTileRows - 1) / kTileRows;
  int64_t loop_first = 0, loop_end = loops, block = kQueryBlock, block_step = 1, block_first = 0;
  if (parts > 1) {
    if (loops % parts == 0 || loops >= 4 * parts || tiles < parts) {
      loop_first = loops * part / parts;
      loop_end = loops * (part + 1) / parts;
    } else {
      block = Min(kQueryBlock, Max(tiles / (4 * parts), 1) * kTileRows);
      block_first = part;
      block_step = parts;
    }
  }

  static constexpr int64_t Axis::* kStrides[] = {&Axis::q, &Axis::k, &Axis::v, &Axis::o, &Axis::lse};
  LoopWalk<Axis, 5> walk;
  walk.Start(attention.loop, attention.loops, kStrides, loop_first);
  int64_t packed_k = -1, packed_v = -1;  // offsets of what is packed: heads may share keys
  const int64_t key_tiles = (attention.keys + kKeyTile - 1) / kKeyTile;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t loop = loop_first; loop < loop_end; ++loop) {
    state.loop = loop;
    state.q = attention.q + walk.offset[0];
    const float* const k = attention.k + walk.offset[1];
    const float* const v = attention.v + walk.offset[2];
    if (loop == loop_first || packed_k != walk.offset[1]) {
      packed_k = walk.offset[1];
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t key = 0; key < attention.keys; key += kPanel) {
        PackColumns(k, StrideLine(attention.k_key), StrideLine(attention.k_dot), key,
                    Min(kPanel, attention.keys - key), 0, attention.dots, kPanel,
                    state.packed_k + key * attention.dots);
      }
    }
    if (loop == loop_first || packed_v != walk.offset[2]) {
      packed_v = walk.offset[2];
      state.v = v;
      state.v_stride = attention.v_key;
      if (!state.v_in_place) {
        PackColumns(v, StrideLine(attention.v_value), StrideLine(attention.v_key), 0, attention.values, 0,
                    attention.keys, state.values_padded, state.packed_v);
        state.v = state.packed_v;
        state.v_stride = state.values_padded;
      }
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t tile = 0; tile < key_tiles; ++tile) state.v_finite[tile] = kUnknown;
    }
    float* const lse = attention.lse ? attention.lse + walk.offset[4] : nullptr;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t first = block_first * block; first < attention.queries; first += block_step * block) {
      AttentionBlock<Holes>(state, first, Min(first + block, attention.queries), attention.o + walk.offset[3],
                            lse);
    }
    walk.Next();
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
