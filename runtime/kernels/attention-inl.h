// Attention, forward: one pass over the keys with an online softmax (Milakov and Gimelshein 2018; Dao et al.
// 2022). The score, its mask and the weights are holes, static functions of a `Holes` type (see
// heed_kernels.h for what each must give): Score, Mask, Weight, Tile.
//
// Keys are taken in tiles of kKeyTile at absolute positions. For each row and tile: scores, the running
// maximum, the factor that rescales what was added so far, then probabilities and their product with v, term
// by term in the order of keys. A tile of which nothing is there changes no bit (factor 1, terms left out or
// 0), so skipping it is free to depend on the neighbours; a row's result is not.
//
// The softmax runs in base 2: probabilities are 2^(score * log2 e - maximum), the maximum rounded to a whole
// number. So one rounding gives both parts of the exponent, and rescaling is exact.
#if defined(HEED_RUNTIME_KERNELS_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_ATTENTION_INL_H_
#undef HEED_RUNTIME_KERNELS_ATTENTION_INL_H_
#else
#define HEED_RUNTIME_KERNELS_ATTENTION_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/attention_common-inl.h"
#include "runtime/kernels/attention_terms-inl.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/lines-inl.h"
#include "runtime/kernels/math-inl.h"
#include "runtime/kernels/pack-inl.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr int64_t kKeyTile = kHeedKeyTile;
constexpr int64_t kKeyTileVectors = kKeyTile / kLanes;
constexpr int64_t kQueryBlock = 8 * kTileRows;  // rows that share a tile of keys while it is in the cache
constexpr float kLargestExact = 2097152;  // 2^21: of the maxima from which scores are subtracted exactly
constexpr int kRowPanels =
    4;  // panels of keys that a single row takes at once: hides the latency of additions

/// One call's scratch memory and the loop element it is at.
struct AttentionState {
  const HeedAttention* attention;
  int64_t dots_padded, values_padded;
  bool few;           // queries: keys and values are read where they are, if they lie well
  bool k_in_place;    // keys adjacent: only the last panel, if it is not full, is packed
  bool v_in_place;    // values adjacent
  float* packed_k;    // panels [dots][kPanel]
  float* packed_v;    // [keys][values_padded], unless in place
  uint8_t* v_finite;  // for each tile of keys
  float* q_rows;      // [kQueryBlock][dots_padded]
  float* out;         // [kQueryBlock][values_padded], to be divided by the sum
  float* row_sum;     // [kQueryBlock][kLanes]
  float* row_max;     // [kQueryBlock], base 2, whole
  float* inverse;     // [kQueryBlock]
  float* scores;      // [kTileRows][kKeyTile]
  float* tile_max;    // [kLanes][kLanes], of the rows of a tile
  // Of the current loop element:
  int64_t loop;
  const float* q;
  const float* k;
  const float* v;
  int64_t v_stride;  // between keys
};

HWY_INLINE AttentionState MakeAttentionState(const HeedAttention& attention, void* scratch, int64_t& bytes) {
  AttentionState state;
  Pieces pieces{static_cast<uint8_t*>(scratch)};
  state.attention = &attention;
  state.dots_padded = RoundUp(attention.dots, kLanes);
  state.values_padded = RoundUp(attention.values, kLanes);
  state.few = attention.queries <= kTileRows;
  state.k_in_place = state.few && attention.k_key == 1;
  state.v_in_place = attention.v_value == 1 && attention.values == state.values_padded &&
                     (state.few || attention.v_key == attention.values);
  const int64_t block = Min(kQueryBlock, attention.queries + kTileRows);
  state.packed_k =
      pieces.Take<float>((state.k_in_place ? kPanel : RoundUp(attention.keys, kPanel)) * attention.dots);
  state.packed_v = pieces.Take<float>(state.v_in_place ? 0 : attention.keys * state.values_padded);
  state.v_finite = pieces.Take<uint8_t>((attention.keys + kKeyTile - 1) / kKeyTile);
  state.q_rows = pieces.Take<float>(block * state.dots_padded);
  state.out = pieces.Take<float>(block * state.values_padded);
  state.row_sum = pieces.Take<float>(block * kLanes);
  state.row_max = pieces.Take<float>(block + kLanes);
  state.inverse = pieces.Take<float>(block + kLanes);
  state.scores = pieces.Take<float>(kTileRows * kKeyTile);
  state.tile_max = pieces.Take<float>(kLanes * kLanes);
  bytes = pieces.used;
  return state;
}

HWY_INLINE int64_t AttentionScratch(const HeedAttention& attention) {
  return ScratchBytes<MakeAttentionState>(attention);
}

/// A panel of keys as the right operand of a product with the queries.
struct KeyPanel {
  const float* at;
  int64_t term_stride;
};
HWY_INLINE KeyPanel PanelOf(const AttentionState& state, int64_t key) {
  const HeedAttention& attention = *state.attention;
  if (!state.k_in_place) return {state.packed_k + key * attention.dots, kPanel};
  if (key + kPanel <= attention.keys) return {state.k + key, attention.k_dot};
  return {state.packed_k, kPanel};
}

/// Scores of whole panels of keys, of which everything is there, while their products are in registers:
/// kPanels panels, adjacent in memory or kPanel * dots apart. Updates the rows' maxima.
template <class Holes, int kRows, int kPanels>
HWY_NOINLINE void ScoreTile(const AttentionState& state, RowsOf q, KeyPanel panel, float* HWY_RESTRICT scores,
                            int64_t query, int64_t key) {
  const FloatTag d;
  const HeedAttention& attention = *state.attention;
  const int64_t apart = state.k_in_place ? kPanel : kPanel * attention.dots;
  constexpr int kVectors = kPanels * kPanelVectors;
  Floats sum[kRows][kVectors];
  Unroll<kRows>([&](auto i)
                    HWY_ATTR { Unroll<kVectors>([&](auto j) HWY_ATTR { sum[i][j] = hn::Zero(d); }); });
  MultiplyAdd(
      attention.dots, q, panel.at, panel.term_stride,
      [&](int64_t j) HWY_ATTR { return j / kPanelVectors * apart + j % kPanelVectors * kLanes; }, sum);
  Unroll<kRows>([&](auto i) HWY_ATTR {
    Floats highest = hn::Load(d, state.tile_max + i * kLanes);
    Unroll<kVectors>([&](auto j) HWY_ATTR {
      const Floats score = Wrap(
          Holes::Score(sum[i][j].raw, state.loop, query + i, key + j * kLanes, kLanes, attention.context));
      hn::Store(score, d, scores + i * kKeyTile + j * kLanes);
      highest = hn::Max(highest, score);
    });
    hn::Store(highest, d, state.tile_max + i * kLanes);
  });
}

/// The score of a vector of keys, `lanes` of them, in place of the products.
template <class Holes, bool kMixed>
HWY_INLINE Floats ScoreVector(const AttentionState& state, float* HWY_RESTRICT at, int64_t query, int64_t key,
                              int64_t lanes) {
  const FloatTag d;
  const void* const context = state.attention->context;
  Floats score = Wrap(Holes::Score(hn::Load(d, at).raw, state.loop, query, key, lanes, context));
  if constexpr (kMixed) score = Wrap(Holes::Mask(score.raw, state.loop, query, key, lanes, context));
  if (HWY_UNLIKELY(lanes < kLanes))
    score = hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(lanes)), score, hn::Neg(hn::Inf(d)));
  hn::Store(score, d, at);
  return score;
}

/// Scores of `vectors` vectors of keys, in place of the products; updates the rows' maxima. `stride`: between
/// rows of scores; `count`: keys from the first vector on.
template <class Holes, bool kMixed>
HWY_NOINLINE void ScoreVectorsOf(const AttentionState& state, float* HWY_RESTRICT scores, int64_t stride,
                                 int64_t query, int64_t rows, int64_t key, int64_t vectors, int64_t count) {
  const FloatTag d;
  if (HWY_LIKELY(vectors == kPanelVectors && count >= kPanel)) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < rows; ++i) {
      Floats highest = hn::Load(d, state.tile_max + i * kLanes);
      Unroll<kPanelVectors>([&](auto v) HWY_ATTR {
        highest = hn::Max(highest, ScoreVector<Holes, kMixed>(state, scores + i * stride + v * kLanes,
                                                              query + i, key + v * kLanes, kLanes));
      });
      hn::Store(highest, d, state.tile_max + i * kLanes);
    }
    return;
  }
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    Floats highest = hn::Load(d, state.tile_max + i * kLanes);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < vectors * kLanes; j += kLanes) {
      highest = hn::Max(highest, ScoreVector<Holes, kMixed>(state, scores + i * stride + j, query + i,
                                                            key + j, Min(kLanes, count - j)));
    }
    hn::Store(highest, d, state.tile_max + i * kLanes);
  }
}

template <class Holes>
HWY_INLINE void ScoreVectors(const AttentionState& state, float* HWY_RESTRICT scores, int64_t stride,
                             int64_t query, int64_t rows, int64_t key, int64_t vectors, int64_t count,
                             bool mixed) {
  if (mixed) {
    ScoreVectorsOf<Holes, true>(state, scores, stride, query, rows, key, vectors, count);
  } else {
    ScoreVectorsOf<Holes, false>(state, scores, stride, query, rows, key, vectors, count);
  }
}

/// Scores of a tile and the maxima of its rows.
template <class Holes, int kRows>
HWY_INLINE void ScoreRows(const AttentionState& state, const uint8_t* HWY_RESTRICT classes, int64_t query,
                          int64_t rows, int64_t slot, int64_t key, int64_t count) {
  const FloatTag d;
  const HeedAttention& attention = *state.attention;
  const RowsOf q = {state.q_rows + slot * state.dots_padded, state.dots_padded};
  const int64_t tile_vectors = (count + kLanes - 1) / kLanes;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) hn::Store(hn::Neg(hn::Inf(d)), d, state.tile_max + i * kLanes);
  const auto short_panel = [&](int64_t first) HWY_ATTR {
    const PanelVectors vectors = VectorsOf(classes, first / kLanes, tile_vectors);
    return first + kPanel <= count && vectors.count == kPanelVectors && !vectors.mixed;
  };
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t first = 0; first < count; first += kPanel) {
    const PanelVectors vectors = VectorsOf(classes, first / kLanes, tile_vectors);
    if (vectors.count == 0) continue;
    const KeyPanel panel = PanelOf(state, key + first);
    const bool is_short = Holes::ScoreIsShort() && !Holes::IsTerm() && rows == kRows && short_panel(first);
    if constexpr (kRows == 1) {
      if (is_short && first + kRowPanels * kPanel <= count && short_panel(first + kPanel) &&
          short_panel(first + 2 * kPanel) && short_panel(first + 3 * kPanel)) {
        ScoreTile<Holes, 1, kRowPanels>(state, q, panel, state.scores + first, query, key + first);
        first += (kRowPanels - 1) * kPanel;
        continue;
      }
    }
    if (is_short) {
      ScoreTile<Holes, kRows, 1>(state, q, panel, state.scores + first, query, key + first);
      continue;
    }
    const int64_t at = vectors.first * kLanes;
    float* const scores = state.scores + first + at;
    if (Holes::IsTerm()) {
      SumTerms<Holes>(attention, state.loop, q, rows, panel.at + at, panel.term_stride, vectors.count, scores,
                      kKeyTile);
    } else if (vectors.count == 1) {
      ProductTile<kRows, 1, Start::kZero>(attention.dots, q, panel.at + at, panel.term_stride, scores,
                                          kKeyTile, nullptr);
    } else {
      ProductTile<kRows, kPanelVectors, Start::kZero>(attention.dots, q, panel.at, panel.term_stride, scores,
                                                      kKeyTile, nullptr);
    }
    ScoreVectors<Holes>(state, scores, kKeyTile, query, rows, key + first + at, vectors.count,
                        count - first - at, vectors.mixed);
  }
}

/// A row's probabilities, from scores and the row's maximum: calls body(probability), where
/// probability(scores) are 2^(score log2 e - maximum).
template <class Body>
HWY_INLINE void WithProbability(float maximum, const Body& body) {
  const FloatTag d;
  if (HWY_LIKELY(maximum >= -kLargestExact && maximum <= kLargestExact)) {
    const Floats shift = hn::Set(d, kExponentShift - maximum);
    body([&](Floats score) HWY_ATTR { return Exp2OfDifference(score, kLog2E, shift); });
  } else {  // rounded as the maximum was: at most 0, however large the score is
    body([&](Floats score)
             HWY_ATTR { return Exp2(hn::Sub(hn::Mul(score, hn::Set(d, kLog2E)), hn::Set(d, maximum))); });
  }
}

/// Probabilities p, times the weights of the pairs.
template <class Holes>
HWY_INLINE Floats Weighted(const AttentionState& state, int64_t query, int64_t key, int64_t lanes, bool mixed,
                           Floats p) {
  const FloatTag d;
  const Floats weighted =
      hn::Mul(p, Wrap(Holes::Weight(state.loop, query, key, lanes, state.attention->context)));
  // Whatever the weight of a masked pair is, NaN included.
  return mixed ? hn::IfThenZeroElse(hn::Eq(p, hn::Zero(d)), weighted) : weighted;
}

/// Turns the scores of a tile into weighted probabilities and adds the latter's sums; `factors` are the rows'
/// rescalings.
template <class Holes>
HWY_NOINLINE void SoftmaxRows(const AttentionState& state, const uint8_t* HWY_RESTRICT classes, int64_t query,
                              int64_t rows, int64_t key, int64_t count, const float* HWY_RESTRICT row_max,
                              float* HWY_RESTRICT row_sum, const float* HWY_RESTRICT factors) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    float* const row = state.scores + i * kKeyTile;
    WithProbability(row_max[i], [&](const auto& probability) HWY_ATTR {
      Floats sum[kPanelVectors];
      sum[0] = hn::Mul(hn::Load(d, row_sum + i * kLanes), hn::Set(d, factors[i]));
      sum[1] = hn::Zero(d);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t first = 0; first < count; first += kPanel) {
        Unroll<kPanelVectors>([&](auto v) HWY_ATTR {
          const int64_t j = first + v * kLanes, lanes = Min(kLanes, count - j);
          if (lanes <= 0 || classes[j / kLanes] == kNone) return;
          const Floats p = probability(hn::Load(d, row + j));
          sum[v] = hn::Add(sum[v], p);
          hn::Store(Weighted<Holes>(state, query + i, key + j, lanes, classes[j / kLanes] == kMixed, p), d,
                    row + j);
        });
      }
      hn::Store(hn::Add(sum[0], sum[1]), d, row_sum + i * kLanes);
    });
  }
}

/// The largest lane of each of `rows` <= kLanes vectors; of the others nothing is said.
HWY_INLINE Floats MaxOfRows(const float* HWY_RESTRICT vectors, int64_t rows) {
  const FloatTag d;
  if (rows == 1) return hn::MaxOfLanes(d, hn::Load(d, vectors));
  Floats row[kLanes];
  Unroll<kLanes>([&](auto i) HWY_ATTR { row[i] = hn::Load(d, vectors + i * kLanes); });
  Transpose(row);
  Floats highest = row[0];
  Unroll<kLanes - 1>([&](auto i) HWY_ATTR { highest = hn::Max(highest, row[i + 1]); });
  return highest;
}

/// New maxima of `rows` <= kLanes rows, and the factors for what was added under the old ones.
HWY_INLINE void RaiseMaxima(const float* HWY_RESTRICT tile_max, int64_t rows, float* HWY_RESTRICT row_max,
                            float* HWY_RESTRICT factors) {
  const FloatTag d;
  const Floats old = hn::LoadU(d, row_max);
  const Floats highest = hn::Round(hn::Mul(MaxOfRows(tile_max, rows), hn::Set(d, kLog2E)));
  const Floats now = hn::IfThenElse(hn::Gt(highest, old), highest, old);
  StoreFirst(now, row_max, rows);
  hn::Store(Exp2(hn::Sub(old, now)), d, factors);
}

/// One tile of rows against one tile of keys. `slot`: place of the first row in the block's buffers.
template <class Holes, int kRows>
HWY_NOINLINE void AttentionTile(const AttentionState& state, int64_t query, int64_t rows, int64_t slot,
                                int64_t key, int64_t count) {
  const HeedAttention& attention = *state.attention;
  const void* const context = attention.context;
  const int64_t last = query + rows - 1;
  const int64_t whole = Holes::Tile(state.loop, query, last, key, key + count - 1, context);
  if (whole == kNone) return;
  uint8_t classes[kKeyTileVectors];
  const Classes found = Classify<Holes>(whole, state.loop, query, last, key, count, context, classes);
  if (!found.any) return;
  ScoreRows<Holes, kRows>(state, classes, query, rows, slot, key, count);

  HWY_ALIGN float factors[kLanes];
  float* const row_max = state.row_max + slot;
  RaiseMaxima(state.tile_max, rows, row_max, factors);
  SoftmaxRows<Holes>(state, classes, query, rows, key, count, row_max, state.row_sum + slot * kLanes,
                     factors);

  float* const out = state.out + slot * state.values_padded;
  // Terms that are not there have the factor 0, which leaves out finite ones by itself. Whether they are is
  // not worth finding out for few rows.
  uint8_t* const known = state.v_finite + key / kKeyTile;
  const bool finite = !found.mixed || (state.few && *known == kUnknown
                                           ? false
                                           : IsFinite(state.v + key * state.v_stride, count, state.v_stride,
                                                      state.values_padded, known));
  const float* scale = factors;
  ForRanges(classes, count, !finite, [&](int64_t begin, int64_t keys, bool selected) HWY_ATTR {
    const float* const v = state.v + (key + begin) * state.v_stride;
    const RowsOf p = {state.scores + begin, kKeyTile};
    if (HWY_UNLIKELY(selected && !finite)) {
      SelectedProductRows(rows, keys, p, v, state.v_stride, state.values_padded, out, state.values_padded,
                          scale);
    } else if (scale) {
      ProductRows<kRows, Start::kScaled>(keys, p, v, state.v_stride, state.values_padded, out,
                                         state.values_padded, scale);
    } else {
      ProductRows<kRows, Start::kOld>(keys, p, v, state.v_stride, state.values_padded, out,
                                      state.values_padded, nullptr);
    }
    scale = nullptr;
  });
}

/// Nothing yet: no sums, no outputs.
HWY_INLINE void StartBlock(const AttentionState& state, int64_t rows) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    state.row_max[i] = kLowest;
    hn::Store(hn::Zero(d), d, state.row_sum + i * kLanes);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t e = 0; e < state.values_padded; e += kLanes) {
      hn::Store(hn::Zero(d), d, state.out + i * state.values_padded + e);
    }
  }
}

/// Divides a block's outputs by their sums and stores them, and the log-sum-exps, for kLanes rows at a time.
HWY_NOINLINE inline void FinishBlock(const AttentionState& state, int64_t first, int64_t rows,
                                     float* HWY_RESTRICT o, float* HWY_RESTRICT lse) {
  const FloatTag d;
  const HeedAttention& attention = *state.attention;
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
      hn::Store(hn::IfThenElse(empty, hn::Neg(hn::Inf(d)), logarithm), d, lanes);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t lane = 0; lane < count; ++lane)
        lse[(first + i + lane) * attention.lse_query] = lanes[lane];
    }
    hn::Store(hn::IfThenZeroElse(empty, hn::Div(hn::Set(d, 1.0f), sum)), d, state.inverse + i);
  }
  StoreRows(state.out, state.values_padded, rows, attention.values, state.inverse,
            o + first * attention.o_query, attention.o_query, attention.o_value, false);
}

/// Queries [first, end) of the current loop element, at most kQueryBlock of them.
template <class Holes>
HWY_NOINLINE void AttentionBlock(const AttentionState& state, int64_t first, int64_t end,
                                 float* HWY_RESTRICT o, float* HWY_RESTRICT lse) {
  const HeedAttention& attention = *state.attention;
  const int64_t rows = end - first;
  const bool only = rows == 1;
  CopyRows(state.q + first * attention.q_query, attention.q_query, attention.q_dot, rows, attention.dots,
           state.q_rows, state.dots_padded);
  StartBlock(state, rows);

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
  FinishBlock(state, first, rows, o, lse);
}

/// Makes the keys of a loop element readable panel by panel.
HWY_NOINLINE inline void PackKeys(const AttentionState& state) {
  const HeedAttention& attention = *state.attention;
  const Line key_line = StrideLine(attention.k_key), dot_line = StrideLine(attention.k_dot);
  const int64_t whole = attention.keys / kPanel * kPanel;
  if (state.k_in_place) {
    if (whole < attention.keys)
      PackColumns(state.k, key_line, dot_line, whole, attention.keys - whole, 0, attention.dots, kPanel,
                  state.packed_k);
    return;
  }
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t key = 0; key < attention.keys; key += kPanel) {
    const int64_t count = Min(kPanel, attention.keys - key);
    if (attention.k_dot == 1)
      FetchRows(state.k + (key + count) * attention.k_key, attention.k_key,
                Min(kPanel, attention.keys - key - count), attention.dots);
    PackColumns(state.k, key_line, dot_line, key, count, 0, attention.dots, kPanel,
                state.packed_k + key * attention.dots);
  }
}

/// Makes the values of a loop element readable as rows of whole vectors.
HWY_NOINLINE inline void PackValues(AttentionState& state, const float* v) {
  const HeedAttention& attention = *state.attention;
  state.v = state.v_in_place ? v : state.packed_v;
  state.v_stride = state.v_in_place ? attention.v_key : state.values_padded;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t key = 0; key < attention.keys; key += kKeyTile) {
    uint8_t* const known = state.v_finite + key / kKeyTile;
    *known = kUnknown;
    if (state.v_in_place) continue;
    if (CopyRows(v + key * attention.v_key, attention.v_key, attention.v_value,
                 Min(kKeyTile, attention.keys - key), attention.values,
                 state.packed_v + key * state.values_padded, state.values_padded)) {
      *known = kFinite;
    }
  }
}

/// A part's share of the work: loop elements when there are enough of them, else blocks of queries, dealt out
/// in turn because under a causal mask later ones cost more.
struct AttentionShare {
  int64_t loop_first, loop_end, block_first, block_step, block;  // the last three in rows
};
HWY_INLINE AttentionShare ShareOf(const HeedAttention& attention, int64_t loops, int64_t part, int64_t parts,
                                  int64_t tile_rows, int64_t block_rows) {
  const int64_t tiles = (attention.queries + tile_rows - 1) / tile_rows;
  if (parts == 1 || loops % parts == 0 || loops >= 4 * parts || tiles < parts)
    return {loops * part / parts, loops * (part + 1) / parts, 0, block_rows, block_rows};
  const int64_t block = Min(block_rows, Max(tiles / (4 * parts), 1) * tile_rows);
  return {0, loops, part * block, parts * block, block};
}

/// A part's loop elements and blocks of queries: keys(k, v) where an element's keys or values are others than
/// the one's before (null: the same, since heads may share them), then block(first, end, o, lse) for each
/// block.
template <class State, class Keys, class Block>
HWY_INLINE void WalkAttention(const HeedAttention& attention, State& state, int64_t part, int64_t parts,
                              int64_t tile_rows, int64_t block_rows, const Keys& keys, const Block& block) {
  using Axis = HeedAttentionLoop;
  const int64_t loops = NestSize(attention.loop, attention.loops);
  if (loops == 0 || attention.queries == 0) return;
  const AttentionShare share = ShareOf(attention, loops, part, parts, tile_rows, block_rows);
  static constexpr int64_t Axis::* kStrides[] = {&Axis::q, &Axis::k, &Axis::v, &Axis::o, &Axis::lse};
  LoopWalk<Axis, 5> walk;
  walk.Start(attention.loop, attention.loops, kStrides, share.loop_first);
  int64_t k = -1, v = -1;  // offsets
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t loop = share.loop_first; loop < share.loop_end; ++loop) {
    state.loop = loop;
    state.q = attention.q + walk.offset[0];
    const bool first = loop == share.loop_first;
    const bool new_k = first || k != walk.offset[1], new_v = first || v != walk.offset[2];
    k = walk.offset[1];
    v = walk.offset[2];
    if (new_k || new_v) keys(new_k ? attention.k + k : nullptr, new_v ? attention.v + v : nullptr);
    float* const o = attention.o + walk.offset[3];
    float* const lse = attention.lse ? attention.lse + walk.offset[4] : nullptr;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t row = share.block_first; row < attention.queries; row += share.block_step)
      block(row, Min(row + share.block, attention.queries), o, lse);
    walk.Next();
  }
}

template <class Holes>
HWY_INLINE void Attention(const HeedAttention& attention, int64_t part, int64_t parts, void* scratch) {
  int64_t bytes = 0;
  AttentionState state = MakeAttentionState(attention, scratch, bytes);
  WalkAttention(
      attention, state, part, parts, kTileRows, kQueryBlock,
      [&](const float* k, const float* v) HWY_ATTR {
        if (k) {
          state.k = k;
          PackKeys(state);
        }
        if (v) PackValues(state, v);
      },
      [&](int64_t first, int64_t end, float* o, float* lse)
          HWY_ATTR { AttentionBlock<Holes>(state, first, end, o, lse); });
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
