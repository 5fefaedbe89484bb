// Attention, backward: gradients of q, k and v from that of o, with probabilities recomputed from the saved
// log-sum-exp (Dao et al. 2022), and of other values that score and weight read. Holes: those of the forward
// kernel and ScoreGradient.
//
//   p = exp(score - lse); D = sum over e of d_o * o, less d_lse; dt = p (weight * (d_o v') - D); dw = p (d_o
//   v'); ds = gradient of the score hole; dq = ds k; dk = ds' q; dv = (p weight)' d_o.
//
// Blocks of keys outside, blocks of queries inside: keys and values are packed block by block, queries and
// their gradients lie densely for a whole loop element. A row of dq is one chain of fused multiply-adds over
// the keys in order, rows of dk and dv over the queries, whatever the blocks; pairs that are not there add
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
#include "runtime/kernels/attention_gradients-inl.h"
#include "runtime/kernels/attention_terms-inl.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/lines-inl.h"
#include "runtime/kernels/math-inl.h"
#include "runtime/kernels/pack-inl.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr int64_t kGradientKeys = 128;  // keys of a block
constexpr int64_t kGradientVectors = kGradientKeys / kLanes;
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
  int64_t dots_padded, values_padded;
  // Of the loop element; rows that a last tile reaches past the end are 0:
  float* q_rows;        // [queries and a tile][dots_padded]
  float* d_o_rows;      // [queries and a tile][values_padded]
  float* dq;            // [queries and a tile][dots_padded]
  float* lse;           // [queries], base 2
  float* dot_o;         // [queries]: D
  uint8_t* q_finite;    // for each block of queries
  uint8_t* d_o_finite;  // for each block of queries
  CaptureGradients captures;
  // Of the block of keys:
  float* packed_k;  // panels [dots][kPanel]
  float* packed_v;  // panels [values][kPanel]
  float* k_rows;    // [kGradientKeys][dots_padded]
  float* dk;        // [kGradientKeys and a tile][dots_padded]; of terms [dots][kGradientKeys]
  float* dv;        // [kGradientKeys and a tile][values_padded]
  bool k_finite;
  // Of the block of queries with it:
  float* s;   // [kTileRows][kGradientKeys]
  float* dp;  // [kTileRows][kGradientKeys]
  float* p;   // [kGradientQueries and a tile][kGradientKeys], weighted
  float* ds;  // [kGradientQueries and a tile][kGradientKeys]
  int64_t loop;
};

HWY_INLINE GradientState MakeGradientState(const HeedAttention& attention, void* scratch, int64_t& bytes) {
  GradientState state;
  Pieces pieces{static_cast<uint8_t*>(scratch)};
  state.attention = &attention;
  const int64_t dots = RoundUp(attention.dots, kLanes), values = RoundUp(attention.values, kLanes);
  const int64_t queries = attention.queries + kTileRows;
  state.dots_padded = dots;
  state.values_padded = values;
  state.q_rows = pieces.Take<float>(queries * dots);
  state.d_o_rows = pieces.Take<float>(queries * values);
  state.dq = pieces.Take<float>(queries * dots);
  state.lse = pieces.Take<float>(queries);
  state.dot_o = pieces.Take<float>(queries);
  state.q_finite = pieces.Take<uint8_t>(attention.queries / kGradientQueries + 1);
  state.d_o_finite = pieces.Take<uint8_t>(attention.queries / kGradientQueries + 1);
  state.captures.Place(attention, pieces);
  state.packed_k = pieces.Take<float>(kGradientKeys * attention.dots);
  state.packed_v = pieces.Take<float>(kGradientKeys * attention.values);
  state.k_rows = pieces.Take<float>(kGradientKeys * dots);
  state.dk = pieces.Take<float>((kGradientKeys + kTileRows) * dots);
  state.dv = pieces.Take<float>((kGradientKeys + kTileRows) * values);
  state.s = pieces.Take<float>(kTileRows * kGradientKeys);
  state.dp = pieces.Take<float>(kTileRows * kGradientKeys);
  // Read in columns by tiles of keys, the last of which may reach past the block.
  state.p = pieces.Take<float>((kGradientQueries + kTileRows) * kGradientKeys + kTileRows);
  state.ds = pieces.Take<float>((kGradientQueries + kTileRows) * kGradientKeys + kTileRows);
  bytes = pieces.used;
  return state;
}

HWY_INLINE int64_t AttentionBackwardScratch(const HeedAttention& attention) {
  return ScratchBytes<MakeGradientState>(attention);
}

/// Rows of pairs at the first query and key: products, and what becomes of them (which may lie in their
/// place).
struct PairRows {
  const float* s;
  const float* dp;
  int64_t product_stride;
  float* p;
  float* ds;
  int64_t stride;
};

/// `vectors` vectors of keys: from the products s and dp to the weighted probabilities and to ds.
template <class Holes>
HWY_NOINLINE void GradientPairs(const GradientState& state, PairRows pairs, int64_t query, int64_t rows,
                                int64_t key, int64_t vectors, int64_t count, bool mixed) {
  const FloatTag d;
  const void* const context = state.attention->context;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    const Floats lse = hn::Set(d, state.lse[query + i]), dot_o = hn::Set(d, state.dot_o[query + i]);
    const float* const s_row = pairs.s + i * pairs.product_stride;
    const float* const dp_row = pairs.dp + i * pairs.product_stride;
    float* const p_row = pairs.p + i * pairs.stride;
    float* const ds_row = pairs.ds + i * pairs.stride;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < vectors * kLanes; j += kLanes) {
      const int64_t lanes = Min(kLanes, count - j);
      const Floats s = hn::Load(d, s_row + j), dp = hn::Load(d, dp_row + j);
      Floats score = Wrap(Holes::Score(s.raw, state.loop, query + i, key + j, lanes, context));
      if (mixed) score = Wrap(Holes::Mask(score.raw, state.loop, query + i, key + j, lanes, context));
      if (HWY_UNLIKELY(lanes < kLanes)) {
        score = hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(lanes)), score, hn::Neg(hn::Inf(d)));
      }
      const Floats p = Exp2(hn::MulSub(score, hn::Set(d, kLog2E), lse));
      const Floats weight = Wrap(Holes::Weight(state.loop, query + i, key + j, lanes, context));
      Floats weighted = hn::Mul(p, weight);
      const Floats dt = hn::Mul(p, hn::MulSub(weight, dp, dot_o)), dw = hn::Mul(p, dp);
      const bool some = mixed || HWY_UNLIKELY(lanes < kLanes);
      Floats ds = Wrap(Holes::ScoreGradient(s.raw, dt.raw, dw.raw, p.raw, state.loop, query + i, key + j,
                                            lanes, some, state.captures.at, context));
      if (some) {
        const auto absent = hn::Eq(p, hn::Zero(d));
        weighted = hn::IfThenZeroElse(absent, weighted);
        ds = hn::IfThenZeroElse(absent, ds);
      }
      hn::Store(weighted, d, p_row + j);
      hn::Store(ds, d, ds_row + j);
    }
  }
}

/// Nothing there: for the products by columns, which run over panels of several rows.
HWY_INLINE void ZeroPairs(const GradientState& state, int64_t at, int64_t row, int64_t rows) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = row; i < row + rows; ++i) {
    hn::Store(hn::Zero(d), d, state.p + i * kGradientKeys + at);
    hn::Store(hn::Zero(d), d, state.ds + i * kGradientKeys + at);
  }
}

/// Pairs of one tile of rows with a block of keys, and their part of dq. `row`: first row within the block of
/// queries.
template <class Holes, int kRows>
HWY_NOINLINE void GradientRows(const GradientState& state, int64_t query, int64_t rows, int64_t row,
                               int64_t key, int64_t count, const uint8_t* classes, bool mixed) {
  const HeedAttention& attention = *state.attention;
  const int64_t block_vectors = (count + kLanes - 1) / kLanes;
  const RowsOf q = {state.q_rows + query * state.dots_padded, state.dots_padded};
  const RowsOf d_o = {state.d_o_rows + query * state.values_padded, state.values_padded};
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t first = 0; first < count; first += kPanel) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t at = first; at < Min(first + kPanel, count); at += kLanes)
      if (classes[at / kLanes] == kNone) ZeroPairs(state, at, row, rows);
    const PanelVectors vectors = VectorsOf(classes, first / kLanes, block_vectors);
    if (vectors.count == 0) continue;
    const int64_t at = first + vectors.first * kLanes;
    const float* const k = state.packed_k + first * attention.dots + vectors.first * kLanes;
    const float* const v = state.packed_v + first * attention.values + vectors.first * kLanes;
    if (Holes::IsTerm()) {
      SumTerms<Holes>(attention, state.loop, q, rows, k, kPanel, vectors.count, state.s + at, kGradientKeys);
    } else if (vectors.count == 1) {
      ProductTile<kRows, 1, Start::kZero>(attention.dots, q, k, kPanel, state.s + at, kGradientKeys, nullptr);
    } else {
      ProductTile<kRows, kPanelVectors, Start::kZero>(attention.dots, q, k, kPanel, state.s + at,
                                                      kGradientKeys, nullptr);
    }
    if (vectors.count == 1) {
      ProductTile<kRows, 1, Start::kZero>(attention.values, d_o, v, kPanel, state.dp + at, kGradientKeys,
                                          nullptr);
    } else {
      ProductTile<kRows, kPanelVectors, Start::kZero>(attention.values, d_o, v, kPanel, state.dp + at,
                                                      kGradientKeys, nullptr);
    }
    const int64_t pair = row * kGradientKeys + at;
    GradientPairs<Holes>(
        state, {state.s + at, state.dp + at, kGradientKeys, state.p + pair, state.ds + pair, kGradientKeys},
        query, rows, key + at, vectors.count, count - at, vectors.mixed);
  }
  if (Holes::IsTerm()) {
    TermGradients<Holes>(attention, state.loop, q, rows, state.packed_k, classes, count,
                         state.ds + row * kGradientKeys, kGradientKeys,
                         attention.dq ? state.dq + query * state.dots_padded : nullptr, state.dots_padded,
                         state.dk, kGradientKeys, state.captures.at);
    return;
  }
  if (!attention.dq) return;
  float* const dq = state.dq + query * state.dots_padded;
  const bool select = mixed && !state.k_finite;
  ForRanges(classes, count, select, [&](int64_t begin, int64_t keys, bool some) HWY_ATTR {
    const RowsOf ds = {state.ds + row * kGradientKeys + begin, kGradientKeys};
    const float* const k = state.k_rows + begin * state.dots_padded;
    if (HWY_UNLIKELY(select && some)) {
      SelectedProductRows(rows, keys, ds, k, state.dots_padded, state.dots_padded, dq, state.dots_padded,
                          nullptr);
    } else {
      ProductRows<kRows, Start::kOld>(keys, ds, k, state.dots_padded, state.dots_padded, dq,
                                      state.dots_padded, nullptr);
    }
  });
}

/// Rows [row, row + rows) of the block of queries added to `height` rows of dk or dv, at keys `at`... of the
/// block.
HWY_NOINLINE inline void GradientColumns(const float* pairs, const float* values, int64_t columns,
                                         float* gradient, int64_t row, int64_t rows, int64_t at,
                                         int64_t height, int64_t keys, bool select) {
  const ColumnsOf a = {pairs + row * kGradientKeys + at, kGradientKeys};
  const float* const b = values + row * columns;
  float* const c = gradient + at * columns;
  if (HWY_UNLIKELY(select)) {
    SelectedProductRows(Min(height, keys - at), rows, a, b, columns, columns, c, columns, nullptr);
  } else if (height == kTileRows) {
    ProductRows<kTileRows, Start::kOld>(rows, a, b, columns, columns, c, columns, nullptr);
  } else {
    ProductRows<kMiddleTileRows, Start::kOld>(rows, a, b, columns, columns, c, columns, nullptr);
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
  uint8_t classes[kGradientTiles][kGradientVectors];
  int64_t tiles = 0;
  bool mixed = false;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++tiles) {
    const int64_t height = AttentionTileHeight(rows - i, false);
    const int64_t tile_rows = Min(height, rows - i);
    const int64_t first = query + i, last = first + tile_rows - 1;
    const Classes found =
        Classify<Holes>(whole, state.loop, first, last, key, count, context, classes[tiles]);
    mixed |= found.mixed || whole == kMixed;
    if (found.any) {
      if (height == kTileRows) {
        GradientRows<Holes, kTileRows>(state, first, tile_rows, i, key, count, classes[tiles], found.mixed);
      } else if constexpr (kMiddleTileRows != kTileRows) {
        GradientRows<Holes, kMiddleTileRows>(state, first, tile_rows, i, key, count, classes[tiles],
                                             found.mixed);
      }
    }
    i += height;
  }
  if (!attention.dk && !attention.dv) return;

  const int64_t block = query / kGradientQueries;
  const float* const q = state.q_rows + query * state.dots_padded;
  const float* const d_o = state.d_o_rows + query * state.values_padded;
  const bool select_q = mixed && attention.dk && state.q_finite[block] != kFinite;
  const bool select_d_o = mixed && attention.dv && state.d_o_finite[block] != kFinite;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t at = 0; at < count;) {
    const int64_t height = AttentionTileHeight(count - at, false);
    const int64_t first_vector = at / kLanes, last_vector = (Min(at + height, count) - 1) / kLanes;
    // Maximal ranges of rows that have something in these vectors.
    int64_t begin = -1, row = 0;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t t = 0; t <= tiles; ++t) {
      bool any = false;
      if (t < tiles) {
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t v = first_vector; v <= last_vector; ++v) any |= classes[t][v] != kNone;
      }
      if (any && begin < 0) begin = row;
      if (!any && begin >= 0) {
        const int64_t end = Min(row, rows);
        if (attention.dv) {
          GradientColumns(state.p, d_o, state.values_padded, state.dv, begin, end - begin, at, height, count,
                          select_d_o);
        }
        if (attention.dk && !Holes::IsTerm()) {
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

/// What the pairs of query i need of its row: log-sum-exp and D, from the sum of d_o * o. Without keys the
/// former is -infinity, but then nothing is there: any number will do.
template <class State, class Element>
HWY_INLINE void GradientRow(const State& state, const Element& element, int64_t i, float dot_o) {
  const int64_t at = i * state.attention->lse_query;
  const float lse = element.lse[at];
  state.lse[i] = lse < kLowest ? 0.0f : lse * kLog2E;
  state.dot_o[i] = element.d_lse ? dot_o - element.d_lse[at] : dot_o;
}

/// Makes q and d_o of a loop element dense, computes D.
template <class Element>
HWY_NOINLINE void GradientPackQueries(const GradientState& state, const Element& element) {
  const FloatTag d;
  const HeedAttention& attention = *state.attention;
  const int64_t dots = state.dots_padded, values = state.values_padded;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < attention.queries; i += kGradientQueries) {
    const int64_t block = i / kGradientQueries, rows = Min(kGradientQueries, attention.queries - i);
    state.q_finite[block] = CopyRows(element.q + i * attention.q_query, attention.q_query, attention.q_dot,
                                     rows, attention.dots, state.q_rows + i * dots, dots)
                                ? kFinite
                                : kUnknown;
    state.d_o_finite[block] =
        CopyRows(element.d_o + i * attention.o_query, attention.o_query, attention.o_value, rows,
                 attention.values, state.d_o_rows + i * values, values)
            ? kFinite
            : kUnknown;
    // Where nobody looked, now is the time: whether to select is asked for every block of keys.
    IsFinite(state.q_rows + i * dots, rows, dots, dots, state.q_finite + block);
    IsFinite(state.d_o_rows + i * values, rows, values, values, state.d_o_finite + block);
  }
  ZeroFloats(state.q_rows + attention.queries * dots, kTileRows * dots);
  ZeroFloats(state.d_o_rows + attention.queries * values, kTileRows * values);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < attention.queries; ++i) {
    const float* const row = element.o + i * attention.o_query;
    const float* const ahead = row + Min(kRowsAhead, attention.queries - 1 - i) * attention.o_query;
    const float* const d_row = state.d_o_rows + i * values;
    Floats sum = hn::Zero(d);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t e = 0; e < values; e += kLanes) {
      const int64_t count = Min(kLanes, attention.values - e);
      Floats value;
      if (attention.o_value == 1) {
        hwy::Prefetch(ahead + e);
        value = count == kLanes ? hn::LoadU(d, row + e) : LoadFirst(row + e, count);
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
    GradientRow(state, element, i, hn::GetLane(hn::SumOfLanes(d, sum)));
  }
}

/// Packs a block of keys and values.
HWY_NOINLINE inline void GradientPackKeys(GradientState& state, const float* k, const float* v,
                                          int64_t count) {
  const HeedAttention& attention = *state.attention;
  const auto panels = [&](const float* from, int64_t key_stride, int64_t stride, int64_t depth, float* to)
                          HWY_ATTR {
#pragma clang loop unroll(disable) vectorize(disable)
                            for (int64_t key = 0; key < count; key += kPanel) {
                              PackColumns(from, StrideLine(key_stride), StrideLine(stride), key,
                                          Min(kPanel, count - key), 0, depth, kPanel, to + key * depth);
                            }
                          };
  if (attention.k_dot == 1) FetchRows(k, attention.k_key, count, attention.dots);
  if (attention.v_value == 1) FetchRows(v, attention.v_key, count, attention.values);
  panels(k, attention.k_key, attention.k_dot, attention.dots, state.packed_k);
  panels(v, attention.v_key, attention.v_value, attention.values, state.packed_v);
  if (!attention.dq) return;
  uint8_t known =
      CopyRows(k, attention.k_key, attention.k_dot, count, attention.dots, state.k_rows, state.dots_padded)
          ? kFinite
          : kUnknown;
  state.k_finite = IsFinite(state.k_rows, count, state.dots_padded, state.dots_padded, &known);
}

/// A loop element: its operands and the places of their gradients, null where not wanted. `add_`: an earlier
/// element of a shared axis that the operand lacks has left its part there.
struct GradientElement {
  const float *q, *k, *v, *o, *d_o, *lse, *d_lse;
  float *dq, *dk, *dv;
  bool add_q, add_k, add_v;
};

/// Calls element(state, operands) for each loop element of a part. Loop axes that every gradient has come
/// first and are split over the parts; the others follow.
template <class State, class Element>
HWY_INLINE void WalkGradients(const HeedAttention& attention, State& state, int64_t part, int64_t parts,
                              const Element& element) {
  using Axis = GradientLoop;
  Axis axes[kHeedMaxAxes];
  int64_t order[kHeedMaxAxes];  // numbers of the axes in the descriptor
  int64_t split = 0, count = 0;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int pass = 0; pass < 2; ++pass) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < attention.loops; ++i) {
      const HeedAttentionLoop& axis = attention.loop[i];
      const bool shared =
          axis.extent > 1 && ((attention.dq && axis.q == 0) || (attention.dk && axis.k == 0) ||
                              (attention.dv && axis.v == 0) || CaptureGradients::Shared(attention, i));
      if (shared != (pass == 1)) continue;
      int64_t number = 1;
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t inner = i + 1; inner < attention.loops; ++inner) number *= attention.loop[inner].extent;
      order[count] = i;
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
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t at = first; at < end; ++at) {
    state.loop = walk.offset[5];
    const int64_t q = walk.offset[0], k = walk.offset[1], v = walk.offset[2], o = walk.offset[3];
    GradientElement operands = {attention.q + q,
                                attention.k + k,
                                attention.v + v,
                                attention.o + o,
                                attention.d_o + o,
                                attention.lse + walk.offset[4],
                                attention.d_lse ? attention.d_lse + walk.offset[4] : nullptr,
                                attention.dq ? attention.dq + q : nullptr,
                                attention.dk ? attention.dk + k : nullptr,
                                attention.dv ? attention.dv + v : nullptr,
                                false,
                                false,
                                false};
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = split; i < count; ++i) {
      if (walk.position[i] == 0) continue;
      operands.add_q |= axes[i].q == 0;
      operands.add_k |= axes[i].k == 0;
      operands.add_v |= axes[i].v == 0;
    }
    state.captures.Begin(attention, walk.position, order);
    walk.Next();
    element(state, operands);
    state.captures.End(attention);
  }
}

template <class Holes>
HWY_INLINE void AttentionBackward(const HeedAttention& attention, int64_t part, int64_t parts,
                                  void* scratch) {
  int64_t bytes = 0;
  GradientState whole = MakeGradientState(attention, scratch, bytes);
  WalkGradients(attention, whole, part, parts, [&](GradientState& state, const GradientElement& at) HWY_ATTR {
    GradientPackQueries(state, at);
    if (at.dq) ZeroFloats(state.dq, attention.queries * state.dots_padded);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t key = 0; key < attention.keys; key += kGradientKeys) {
      const int64_t keys = Min(kGradientKeys, attention.keys - key);
      GradientPackKeys(state, at.k + key * attention.k_key, at.v + key * attention.v_key, keys);
      ZeroFloats(state.dk, kGradientKeys * state.dots_padded);
      ZeroFloats(state.dv, keys * state.values_padded);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t query = 0; query < attention.queries; query += kGradientQueries) {
        GradientBlock<Holes>(state, query, Min(kGradientQueries, attention.queries - query), key, keys);
      }
      if (at.dk && Holes::IsTerm()) {  // lies transposed
        StoreRows(state.dk, kGradientKeys, attention.dots, keys, nullptr, at.dk + key * attention.k_key,
                  attention.k_dot, attention.k_key, at.add_k);
      } else if (at.dk) {
        StoreRows(state.dk, state.dots_padded, keys, attention.dots, nullptr, at.dk + key * attention.k_key,
                  attention.k_key, attention.k_dot, at.add_k);
      }
      if (at.dv) {
        StoreRows(state.dv, state.values_padded, keys, attention.values, nullptr,
                  at.dv + key * attention.v_key, attention.v_key, attention.v_value, at.add_v);
      }
    }
    if (at.dq) {
      StoreRows(state.dq, state.dots_padded, attention.queries, attention.dots, nullptr, at.dq,
                attention.q_query, attention.q_dot, at.add_q);
    }
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
