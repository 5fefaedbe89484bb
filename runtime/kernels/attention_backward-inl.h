// Attention, backward: gradients of q, k and v from that of o, with probabilities recomputed from the saved
// log-sum-exp (Dao et al. 2022). Holes: those of the forward kernel and ScoreGradient.
//
//   p = exp(score - lse); D = sum over e of d_o * o; dt = p (weight * (d_o v') - D); ds = gradient of the
//   score hole; dq = ds k; dk = ds' q; dv = (p weight)' d_o.
//
// Blocks of keys outside, blocks of queries inside. A row of dq is one chain of fused multiply-adds over the
// keys in order, rows of dk and dv over the queries, whatever the blocks; pairs that are not there add
// nothing. A loop axis that an operand lacks is summed in order in its gradient: such axes stay within one
// part.
#if defined(HEED_RUNTIME_KERNELS_ATTENTION_BACKWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_ATTENTION_BACKWARD_INL_H_
#undef HEED_RUNTIME_KERNELS_ATTENTION_BACKWARD_INL_H_
#else
#define HEED_RUNTIME_KERNELS_ATTENTION_BACKWARD_INL_H_
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

constexpr int64_t kGradientKeys = 128;  // keys of a block
constexpr int64_t kGradientPanels = kGradientKeys / kPanel;
constexpr int64_t kGradientQueries = 4 * kTileRows;  // queries of a block
constexpr int64_t kGradientTiles =
    4 + kTileRows / kMiddleTileRows;  // row tiles of a block, small ones included
static_assert(kGradientKeys % kPanel == 0);

/// A loop axis with what the walk needs: the five offsets and the number of the loop element.
struct GradientLoop {
  int64_t extent;
  int64_t q, k, v, o, lse, number;
};

struct GradientState {
  const HeedAttention* attention;
  int64_t dots_padded, values_padded, queries_padded;
  float* packed_k;      // panels [dots][kPanel]
  float* packed_v;      // panels [values][kPanel]
  float* k_rows;        // [keys][dots_padded]
  float* q_rows;        // [queries][dots_padded]
  float* d_o_rows;      // [queries][values_padded]
  float* packed_q;      // row tiles [dots][rows]
  float* packed_d_o;    // row tiles [values][rows]
  float* lse;           // [queries], base 2
  float* dot_o;         // [queries]: D
  float* dq;            // [queries][dots_padded]
  float* dk;            // [kGradientKeys and a tile][dots_padded]
  float* dv;            // [kGradientKeys and a tile][values_padded]
  float* s;             // [kTileRows][kGradientKeys]
  float* dp;            // [kTileRows][kGradientKeys]
  float* p;             // [kGradientQueries and a tile][kGradientKeys], weighted
  float* ds;            // [kGradientQueries and a tile][kGradientKeys]
  uint8_t* k_finite;    // for each block of keys
  uint8_t* q_finite;    // for each block of queries
  uint8_t* d_o_finite;  // for each block of queries
  int64_t loop;
};

HWY_INLINE GradientState MakeGradientState(const HeedAttention& attention, void* scratch, int64_t& bytes) {
  GradientState state;
  Pieces pieces{static_cast<uint8_t*>(scratch)};
  state.attention = &attention;
  const int64_t dots = RoundUp(attention.dots, kLanes), values = RoundUp(attention.values, kLanes);
  const int64_t queries = attention.queries + kTileRows, keys = RoundUp(attention.keys, kPanel);
  state.dots_padded = dots;
  state.values_padded = values;
  state.queries_padded = queries;
  state.packed_k = pieces.Take<float>(keys * attention.dots);
  state.packed_v = pieces.Take<float>(keys * attention.values);
  state.k_rows = pieces.Take<float>(attention.keys * dots);
  state.q_rows = pieces.Take<float>(attention.queries * dots);
  state.d_o_rows = pieces.Take<float>(attention.queries * values);
  state.packed_q = pieces.Take<float>(queries * attention.dots + kLanes);
  state.packed_d_o = pieces.Take<float>(queries * attention.values + kLanes);
  state.lse = pieces.Take<float>(queries);
  state.dot_o = pieces.Take<float>(queries);
  state.dq = pieces.Take<float>(queries * dots);
  state.dk = pieces.Take<float>((kGradientKeys + kTileRows) * dots);
  state.dv = pieces.Take<float>((kGradientKeys + kTileRows) * values);
  state.s = pieces.Take<float>(kTileRows * kGradientKeys);
  state.dp = pieces.Take<float>(kTileRows * kGradientKeys);
  // Read in columns by tiles of keys, the last of which may reach past the block.
  state.p = pieces.Take<float>((kGradientQueries + kTileRows) * kGradientKeys + kTileRows);
  state.ds = pieces.Take<float>((kGradientQueries + kTileRows) * kGradientKeys + kTileRows);
  state.k_finite = pieces.Take<uint8_t>(attention.keys / kGradientKeys + 1);
  state.q_finite = pieces.Take<uint8_t>(attention.queries / kGradientQueries + 1);
  state.d_o_finite = pieces.Take<uint8_t>(attention.queries / kGradientQueries + 1);
  bytes = pieces.used;
  return state;
}

HWY_INLINE int64_t AttentionBackwardScratch(const HeedAttention& attention) {
  int64_t bytes = 0;
  MakeGradientState(attention, nullptr, bytes);
  return Max(bytes, 64);
}

/// One panel of pairs: from the products s and dp to the weighted probabilities and to ds. `out`: offset in p
/// and ds of the panel's first pair.
template <class Holes>
HWY_NOINLINE void GradientPanel(const GradientState& state, int64_t panel, int64_t out, int64_t query,
                                int64_t rows, int64_t key, int64_t count, bool mixed) {
  const FloatTag d;
  const void* const context = state.attention->context;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    const Floats lse = hn::Set(d, state.lse[query + i]), dot_o = hn::Set(d, state.dot_o[query + i]);
    const float* const s_row = state.s + i * kGradientKeys + panel;
    const float* const dp_row = state.dp + i * kGradientKeys + panel;
    float* const p_row = state.p + out + i * kGradientKeys;
    float* const ds_row = state.ds + out + i * kGradientKeys;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < kPanel; j += kLanes) {
      const int64_t lanes = Min(kLanes, count - j);
      Floats weighted = hn::Zero(d), ds = hn::Zero(d);
      if (HWY_LIKELY(lanes > 0)) {
        const Floats s = hn::Load(d, s_row + j), dp = hn::Load(d, dp_row + j);
        Floats score =
            Wrap(mixed ? Holes::Score(s.raw, state.loop, query + i, key + j, lanes, context)
                       : Holes::ScoreUnmasked(s.raw, state.loop, query + i, key + j, lanes, context));
        if (HWY_UNLIKELY(lanes < kLanes)) {
          score = hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(lanes)), score, hn::Neg(hn::Inf(d)));
        }
        const Floats p = Exp2(hn::MulSub(score, hn::Set(d, kLog2E), lse));
        const Floats weight = Wrap(Holes::Weight(state.loop, query + i, key + j, lanes, context));
        weighted = hn::Mul(p, weight);
        const Floats dt = hn::Mul(p, hn::MulSub(weight, dp, dot_o));
        ds = Wrap(Holes::ScoreGradient(s.raw, dt.raw, state.loop, query + i, key + j, lanes, context));
        if (mixed || HWY_UNLIKELY(lanes < kLanes)) {
          const auto absent = hn::Eq(p, hn::Zero(d));
          weighted = hn::IfThenZeroElse(absent, weighted);
          ds = hn::IfThenZeroElse(absent, ds);
        }
      }
      hn::Store(weighted, d, p_row + j);
      hn::Store(ds, d, ds_row + j);
    }
  }
}

HWY_INLINE void ZeroPanel(float* HWY_RESTRICT pairs, int64_t rows) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    Unroll<kPanelVectors>(
        [&](auto v) HWY_ATTR { hn::Store(hn::Zero(d), d, pairs + i * kGradientKeys + v * kLanes); });
  }
}

HWY_NOINLINE inline const float* Ones() {
  HWY_ALIGN static constexpr float kOnes[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  return kOnes;
}

/// Pairs of one tile of rows with a block of keys, and their part of dq. `row`: first row within the block of
/// queries.
template <class Holes, int kRows>
HWY_NOINLINE void GradientRows(const GradientState& state, int64_t query, int64_t rows, int64_t row,
                               int64_t key, int64_t count, const uint8_t* classes) {
  const HeedAttention& attention = *state.attention;
  const int64_t panels = (count + kPanel - 1) / kPanel;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t p = 0; p < panels; ++p) {
    const int64_t first = p * kPanel, out = row * kGradientKeys + first;
    if (classes[p] == kNone) {
      ZeroPanel(state.p + out, rows);
      ZeroPanel(state.ds + out, rows);
      continue;
    }
    ProductTile<kRows, kPanelVectors, 1, kRows>(attention.dots, state.packed_q + query * attention.dots,
                                                state.packed_k + (key + first) * attention.dots, kPanel,
                                                state.s + first, kGradientKeys, nullptr);
    ProductTile<kRows, kPanelVectors, 1, kRows>(attention.values, state.packed_d_o + query * attention.values,
                                                state.packed_v + (key + first) * attention.values, kPanel,
                                                state.dp + first, kGradientKeys, nullptr);
    GradientPanel<Holes>(state, first, out, query, rows, key + first, Min(kPanel, count - first),
                         classes[p] == kMixed);
  }
  if (!attention.dq) return;
  float* const dq = state.dq + query * state.dots_padded;
  ForRanges(classes, panels, count, [&](int64_t begin, int64_t keys, bool, bool mixed) HWY_ATTR {
    const float* const ds = state.ds + row * kGradientKeys + begin;
    const float* const k = state.k_rows + (key + begin) * state.dots_padded;
    if (HWY_UNLIKELY(mixed && !IsFinite(state.k_rows + key * state.dots_padded, count, state.dots_padded,
                                        state.dots_padded, state.k_finite + key / kGradientKeys))) {
      SelectedProductRows(rows, keys, ds, kGradientKeys, 1, k, state.dots_padded, state.dots_padded, dq,
                          state.dots_padded, Ones());
    } else {
      ProductRows<kRows, kGradientKeys, 1>(keys, ds, k, state.dots_padded, state.dots_padded, dq,
                                           state.dots_padded, Ones());
    }
  });
}

/// Rows [row, row + rows) of the block of queries added to `height` rows of dk or dv, at keys `at`... of the
/// block.
HWY_NOINLINE inline void GradientColumns(const float* pairs, const float* values, int64_t columns,
                                         float* gradient, int64_t row, int64_t rows, int64_t at,
                                         int64_t height, int64_t keys, bool select) {
  const float* const a = pairs + row * kGradientKeys + at;
  const float* const b = values + row * columns;
  float* const c = gradient + at * columns;
  if (HWY_UNLIKELY(select)) {
    SelectedProductRows(Min(height, keys - at), rows, a, 1, kGradientKeys, b, columns, columns, c, columns,
                        Ones());
  } else if (height == kTileRows) {
    ProductRows<kTileRows, 1, kGradientKeys>(rows, a, b, columns, columns, c, columns, Ones());
  } else {
    ProductRows<kMiddleTileRows, 1, kGradientKeys>(rows, a, b, columns, columns, c, columns, Ones());
  }
}

/// One block of queries against one block of keys.
template <class Holes>
HWY_NOINLINE void GradientBlock(const GradientState& state, int64_t query, int64_t rows, int64_t key,
                                int64_t count) {
  const HeedAttention& attention = *state.attention;
  const void* const context = attention.context;
  const int64_t whole = Holes::Tile(state.loop, query, query + rows - 1, key, key + count - 1, context);
  if (whole == kNone) return;
  const int64_t panels = (count + kPanel - 1) / kPanel;
  uint8_t classes[kGradientTiles][kGradientPanels];
  int64_t tiles = 0;
  bool mixed = false;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++tiles) {
    const int64_t height = AttentionTileHeight(rows - i, false);
    const int64_t tile_rows = Min(height, rows - i);
    const int64_t first = query + i, last = first + tile_rows - 1;
    bool any = false;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t p = 0; p < panels; ++p) {
      const int64_t panel = p * kPanel;
      const int64_t answer = whole == kAll ? kAll
                                           : Holes::Tile(state.loop, first, last, key + panel,
                                                         key + Min(panel + kPanel, count) - 1, context);
      classes[tiles][p] = static_cast<uint8_t>(answer);
      any |= answer != kNone;
      mixed |= answer != kAll;
    }
    if (any) {
      if (height == kTileRows) {
        GradientRows<Holes, kTileRows>(state, first, tile_rows, i, key, count, classes[tiles]);
      } else if constexpr (kMiddleTileRows != kTileRows) {
        GradientRows<Holes, kMiddleTileRows>(state, first, tile_rows, i, key, count, classes[tiles]);
      }
    }
    i += height;
  }
  if (!attention.dk && !attention.dv) return;

  const int64_t block = query / kGradientQueries;
  const float* const q = state.q_rows + query * state.dots_padded;
  const float* const d_o = state.d_o_rows + query * state.values_padded;
  const bool select_q = mixed && attention.dk &&
                        !IsFinite(q, rows, state.dots_padded, state.dots_padded, state.q_finite + block);
  const bool select_d_o =
      mixed && attention.dv &&
      !IsFinite(d_o, rows, state.values_padded, state.values_padded, state.d_o_finite + block);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t at = 0; at < count;) {
    const int64_t height = AttentionTileHeight(count - at, false);
    const int64_t first_panel = at / kPanel, last_panel = (Min(at + height, count) - 1) / kPanel;
    // Maximal ranges of rows that have something in these panels.
    int64_t begin = -1, row = 0;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t t = 0; t <= tiles; ++t) {
      bool any = false;
      if (t < tiles) {
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t p = first_panel; p <= last_panel; ++p) any |= classes[t][p] != kNone;
      }
      if (any && begin < 0) begin = row;
      if (!any && begin >= 0) {
        const int64_t end = Min(row, rows);
        if (attention.dv) {
          GradientColumns(state.p, d_o, state.values_padded, state.dv, begin, end - begin, at, height, count,
                          select_d_o);
        }
        if (attention.dk) {
          GradientColumns(state.ds, q, state.dots_padded, state.dk, begin, end - begin, at, height, count,
                          select_q);
        }
        begin = -1;
      }
      if (t < tiles) row += AttentionTileHeight(rows - row, false);
    }
    at += height;
  }
}

/// Packs one loop element's q and d_o, computes D.
HWY_NOINLINE inline void GradientPackQueries(const GradientState& state, const float* q, const float* o,
                                             const float* d_o, const float* lse) {
  const FloatTag d;
  const HeedAttention& attention = *state.attention;
  const Line query_line = StrideLine(attention.q_query), dot_line = StrideLine(attention.q_dot);
  const Line out_line = StrideLine(attention.o_query), value_line = StrideLine(attention.o_value);
  PackColumns(q, dot_line, query_line, 0, attention.dots, 0, attention.queries, state.dots_padded,
              state.q_rows);
  PackColumns(d_o, value_line, out_line, 0, attention.values, 0, attention.queries, state.values_padded,
              state.d_o_rows);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < attention.queries;) {
    // Tiles restart at every block, as in GradientBlock.
    const int64_t left = Min(attention.queries, RoundUp(i + 1, kGradientQueries)) - i;
    const int64_t height = AttentionTileHeight(left, false);
    const int64_t rows = Min(height, left);
    PackRows(q, query_line, dot_line, i, rows, attention.queries, 0, attention.dots, height,
             state.packed_q + i * attention.dots);
    PackRows(d_o, out_line, value_line, i, rows, attention.queries, 0, attention.values, height,
             state.packed_d_o + i * attention.values);
    i += height;
  }
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < attention.queries; ++i) {
    const float* const row = o + i * attention.o_query;
    const float* const d_row = state.d_o_rows + i * state.values_padded;
    Floats sum = hn::Zero(d);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t e = 0; e < state.values_padded; e += kLanes) {
      const int64_t count = Min(kLanes, attention.values - e);
      Floats value;
      if (attention.o_value == 1) {
        value = LoadFirst(row + e, count);
      } else {
        HWY_ALIGN float lanes[kLanes];
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t lane = 0; lane < kLanes; ++lane) {
          lanes[lane] = lane < count ? row[(e + lane) * attention.o_value] : 0.0f;
        }
        value = hn::Load(d, lanes);
      }
      sum = hn::MulAdd(hn::Load(d, d_row + e), value, sum);
    }
    state.dot_o[i] = hn::GetLane(hn::SumOfLanes(d, sum));
    state.lse[i] = lse[i * attention.lse_query] * kLog2E;
  }
  const int64_t blocks = attention.queries / kGradientQueries + 1;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t block = 0; block < blocks; ++block) state.q_finite[block] = state.d_o_finite[block] = kUnknown;
}

HWY_NOINLINE inline void GradientPackKeys(const GradientState& state, const float* k) {
  const HeedAttention& attention = *state.attention;
  const Line key_line = StrideLine(attention.k_key), dot_line = StrideLine(attention.k_dot);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t key = 0; key < attention.keys; key += kPanel) {
    PackColumns(k, key_line, dot_line, key, Min(kPanel, attention.keys - key), 0, attention.dots, kPanel,
                state.packed_k + key * attention.dots);
  }
  if (!attention.dq) return;
  PackColumns(k, dot_line, key_line, 0, attention.dots, 0, attention.keys, state.dots_padded, state.k_rows);
  const int64_t blocks = attention.keys / kGradientKeys + 1;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t block = 0; block < blocks; ++block) state.k_finite[block] = kUnknown;
}

HWY_NOINLINE inline void GradientPackValues(const GradientState& state, const float* v) {
  const HeedAttention& attention = *state.attention;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t key = 0; key < attention.keys; key += kPanel) {
    PackColumns(v, StrideLine(attention.v_key), StrideLine(attention.v_value), key,
                Min(kPanel, attention.keys - key), 0, attention.values, kPanel,
                state.packed_v + key * attention.values);
  }
}

HWY_INLINE void ZeroFloats(float* HWY_RESTRICT to, int64_t count) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < count; i += kLanes) hn::Store(hn::Zero(d), d, to + i);
}

template <class Holes>
HWY_INLINE void AttentionBackward(const HeedAttention& attention, int64_t part, int64_t parts,
                                  void* scratch) {
  using Axis = GradientLoop;
  int64_t bytes = 0;
  GradientState state = MakeGradientState(attention, scratch, bytes);

  // Loop axes that every gradient has come first and are split over the parts; the others follow.
  Axis axes[kHeedMaxAxes];
  int64_t split = 0, count = 0;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int pass = 0; pass < 2; ++pass) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < attention.loops; ++i) {
      const HeedAttentionLoop& axis = attention.loop[i];
      const bool shared = axis.extent > 1 && ((attention.dq && axis.q == 0) ||
                                              (attention.dk && axis.k == 0) || (attention.dv && axis.v == 0));
      if (shared != (pass == 1)) continue;
      int64_t number = 1;
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t inner = i + 1; inner < attention.loops; ++inner) number *= attention.loop[inner].extent;
      axes[count++] = Axis{axis.extent, axis.q, axis.k, axis.v, axis.o, axis.lse, number};
      if (!shared) ++split;
    }
  }
  const int64_t groups = NestSize(axes, split), group_size = NestSize(axes + split, count - split);
  const int64_t first = groups * part / parts * group_size, end = groups * (part + 1) / parts * group_size;

  static constexpr int64_t Axis::* kStrides[] = {&Axis::q, &Axis::k,   &Axis::v,
                                                 &Axis::o, &Axis::lse, &Axis::number};
  LoopWalk<Axis, 6> walk;
  if (first == end) return;
  walk.Start(axes, count, kStrides, first);
  int64_t packed_k = -1, packed_v = -1;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t element = first; element < end; ++element) {
    state.loop = walk.offset[5];
    // A gradient is added to what an earlier element of a shared axis that it lacks has left.
    bool add_q = false, add_k = false, add_v = false;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = split; i < count; ++i) {
      if (walk.position[i] == 0) continue;
      add_q |= axes[i].q == 0;
      add_k |= axes[i].k == 0;
      add_v |= axes[i].v == 0;
    }
    GradientPackQueries(state, attention.q + walk.offset[0], attention.o + walk.offset[3],
                        attention.d_o + walk.offset[3], attention.lse + walk.offset[4]);
    if (element == first || packed_k != walk.offset[1]) {
      packed_k = walk.offset[1];
      GradientPackKeys(state, attention.k + packed_k);
    }
    if (element == first || packed_v != walk.offset[2]) {
      packed_v = walk.offset[2];
      GradientPackValues(state, attention.v + packed_v);
    }
    if (attention.dq) ZeroFloats(state.dq, attention.queries * state.dots_padded);

#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t key = 0; key < attention.keys; key += kGradientKeys) {
      const int64_t keys = Min(kGradientKeys, attention.keys - key);
      ZeroFloats(state.dk, keys * state.dots_padded);
      ZeroFloats(state.dv, keys * state.values_padded);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t query = 0; query < attention.queries; query += kGradientQueries) {
        GradientBlock<Holes>(state, query, Min(kGradientQueries, attention.queries - query), key, keys);
      }
      if (attention.dk) {
        StoreRows(state.dk, state.dots_padded, keys, attention.dots,
                  attention.dk + walk.offset[1] + key * attention.k_key, attention.k_key, attention.k_dot,
                  add_k);
      }
      if (attention.dv) {
        StoreRows(state.dv, state.values_padded, keys, attention.values,
                  attention.dv + walk.offset[2] + key * attention.v_key, attention.v_key, attention.v_value,
                  add_v);
      }
    }
    if (attention.dq) {
      StoreRows(state.dq, state.dots_padded, attention.queries, attention.dots, attention.dq + walk.offset[0],
                attention.q_query, attention.q_dot, add_q);
    }
    walk.Next();
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
