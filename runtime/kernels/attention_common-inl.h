// What attention's forward and backward kernels share: register tiles, the class of a tile of pairs (nothing,
// everything or some of it there), rows copied from and to strided memory, and the slow product that never
// touches terms which are not there.
//
// Why the slow product: a masked pair has probability 0, and 0 times a finite value adds nothing. But padding
// may hold anything, and 0 times infinity or NaN is NaN. So where a tile is mixed and its other operand is
// not all finite, terms are selected instead. Both ways give the same bits for everything that is there.
#if defined(HEED_RUNTIME_KERNELS_ATTENTION_COMMON_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_ATTENTION_COMMON_INL_H_
#undef HEED_RUNTIME_KERNELS_ATTENTION_COMMON_INL_H_
#else
#define HEED_RUNTIME_KERNELS_ATTENTION_COMMON_INL_H_
#endif

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/lines-inl.h"
#include "runtime/kernels/math-inl.h"
#include "runtime/kernels/pack-inl.h"
#include "runtime/kernels/scratch-inl.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr float kLog2E = 1.44269504088896341f;
constexpr float kLn2 = 0.69314718055994531f;
constexpr float kLowest = -3.40282347e+38f;
constexpr int64_t kTermsAhead = 8;  // terms of a product whose right operand is fetched ahead
constexpr int64_t kRowsAhead = 32;  // rows of strided memory fetched ahead

/// Answers of the tile hole.
constexpr int64_t kNone = 0, kAll = 1, kMixed = 2;

/// Are the values known to be finite? Found out when it first matters.
constexpr uint8_t kUnknown = 0, kFinite = 1, kNotFinite = 2;

HWY_INLINE Line StrideLine(int64_t stride) { return Line{nullptr, stride, stride == 1 ? kWhole : 1}; }

/// Height of the row tile that starts with `left` rows to go, the last one padded; `only`: there is a single
/// row in all.
HWY_INLINE int64_t AttentionTileHeight(int64_t left, bool only) {
  if (only) return 1;
  return left > kMiddleTileRows ? kTileRows : kMiddleTileRows;
}

/// The left operand of a register tile: its rows at one term, term after term.
struct RowsOf {  // of a row-major buffer
  const float* at;
  int64_t stride;
  HWY_INLINE float Row(int64_t i) const { return at[i * stride]; }
  HWY_INLINE void Next() { ++at; }
};
struct ColumnsOf {  // the transpose of a row-major buffer
  const float* at;
  int64_t stride;
  HWY_INLINE float Row(int64_t i) const { return at[i]; }
  HWY_INLINE void Next() { at += stride; }
};

/// sum[i][j] += over k < depth: a[i, k] * b[k * b_stride + j]; `vector(j)` is the offset of column vector j.
template <int kRows, int kVectors, class Left, class Vector>
HWY_INLINE void MultiplyAdd(int64_t depth, Left a, const float* HWY_RESTRICT b, int64_t b_stride,
                            const Vector& vector, Floats (&sum)[kRows][kVectors]) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t k = 0; k < depth; ++k) {
    Floats column[kVectors];
    Unroll<kVectors>([&](auto j) HWY_ATTR {
      column[j] = hn::LoadU(d, b + vector(j));
      hwy::Prefetch(b + kTermsAhead * b_stride + vector(j));
    });
    Unroll<kRows>([&](auto i) HWY_ATTR {
      const Floats row = hn::Set(d, a.Row(i));
      Unroll<kVectors>([&](auto j) HWY_ATTR { sum[i][j] = hn::MulAdd(row, column[j], sum[i][j]); });
    });
    a.Next();
    b += b_stride;
  }
}

/// What a product is added to.
enum class Start { kZero, kOld, kScaled };

/// c[i][j] = start + sum over k < depth of a[i, k] * b[k * b_stride + j], for kRows x (kVectors * kLanes)
/// elements; kScaled: c[i][j] * scale[i].
template <int kRows, int kVectors, Start kStart, class Left>
HWY_NOINLINE void ProductTile(int64_t depth, Left a, const float* HWY_RESTRICT b, int64_t b_stride,
                              float* HWY_RESTRICT c, int64_t c_stride, const float* HWY_RESTRICT scale) {
  const FloatTag d;
  Floats sum[kRows][kVectors];
  Unroll<kRows>([&](auto i) HWY_ATTR {
    Unroll<kVectors>([&](auto j) HWY_ATTR {
      sum[i][j] = kStart == Start::kZero ? hn::Zero(d) : hn::LoadU(d, c + i * c_stride + j * kLanes);
      if constexpr (kStart == Start::kScaled) sum[i][j] = hn::Mul(hn::Set(d, scale[i]), sum[i][j]);
    });
  });
  MultiplyAdd(depth, a, b, b_stride, [](int64_t j) HWY_ATTR { return j * kLanes; }, sum);
  Unroll<kRows>([&](auto i) HWY_ATTR {
    Unroll<kVectors>([&](auto j) HWY_ATTR { hn::StoreU(sum[i][j], d, c + i * c_stride + j * kLanes); });
  });
}

/// ProductTile over `columns` columns, a multiple of kLanes. A single row takes many vectors at a time:
/// enough independent sums to hide the latency of additions.
template <int kRows, Start kStart, class Left>
HWY_INLINE void ProductRows(int64_t depth, Left a, const float* b, int64_t b_stride, int64_t columns,
                            float* c, int64_t c_stride, const float* scale) {
  constexpr int kWide = kRows == 1 ? 8 : kPanelVectors;
  int64_t j = 0;
#pragma clang loop unroll(disable) vectorize(disable)
  for (; j + kWide * kLanes <= columns; j += kWide * kLanes)
    ProductTile<kRows, kWide, kStart>(depth, a, b + j, b_stride, c + j, c_stride, scale);
  if constexpr (kRows == 1) {
    if (j + 4 * kLanes <= columns) {
      ProductTile<1, 4, kStart>(depth, a, b + j, b_stride, c + j, c_stride, scale);
      j += 4 * kLanes;
    }
  }
#pragma clang loop unroll(disable) vectorize(disable)
  for (; j < columns; j += kLanes)
    ProductTile<kRows, 1, kStart>(depth, a, b + j, b_stride, c + j, c_stride, scale);
}

/// ProductRows for any number of rows, leaving out the terms whose factor is 0; scale null: none.
template <class Left>
HWY_NOINLINE void SelectedProductRows(int64_t rows, int64_t depth, Left left, const float* HWY_RESTRICT b,
                                      int64_t b_stride, int64_t columns, float* HWY_RESTRICT c,
                                      int64_t c_stride, const float* HWY_RESTRICT scale) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < columns; j += kLanes) {
      Floats sum = hn::LoadU(d, c + i * c_stride + j);
      if (scale) sum = hn::Mul(hn::Set(d, scale[i]), sum);
      Left a = left;
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t k = 0; k < depth; ++k, a.Next()) {
        const float factor = a.Row(i);
        if (factor == 0) continue;
        sum = hn::MulAdd(hn::Set(d, factor), hn::LoadU(d, b + k * b_stride + j), sum);
      }
      hn::StoreU(sum, d, c + i * c_stride + j);
    }
  }
}

/// Are all of rows x columns (a multiple of kLanes) finite? Remembered in *known.
HWY_NOINLINE inline bool IsFinite(const float* HWY_RESTRICT values, int64_t rows, int64_t stride,
                                  int64_t columns, uint8_t* known) {
  if (*known == kUnknown) {
    const FloatTag d;
    Floats bad = hn::Zero(d);  // becomes NaN: infinity * 0 and NaN * 0 are
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < rows; ++i) {
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t j = 0; j < columns; j += kLanes) {
        bad = hn::MulAdd(hn::LoadU(d, values + i * stride + j), hn::Zero(d), bad);
      }
    }
    *known = hn::AllTrue(d, hn::Eq(bad, bad)) ? kFinite : kNotFinite;
  }
  return *known == kFinite;
}

/// Classes of the vectors of keys from `key` on, `count` keys, against queries [query, last]; `whole` is that
/// of all together. Also says whether there is anything, and anything mixed.
struct Classes {
  bool any = false, mixed = false;
};
template <class Holes>
HWY_INLINE Classes Classify(int64_t whole, int64_t loop, int64_t query, int64_t last, int64_t key,
                            int64_t count, const void* context, uint8_t* HWY_RESTRICT classes) {
  Classes result;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t first = 0; first < count; first += kPanel) {
    const int64_t end = Min(first + kPanel, count);
    const int64_t panel =
        whole != kMixed ? whole : Holes::Tile(loop, query, last, key + first, key + end - 1, context);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t at = first; at < end; at += kLanes) {
      const int64_t answer = panel != kMixed ? panel
                                             : Holes::Tile(loop, query, last, key + at,
                                                           key + Min(at + kLanes, end) - 1, context);
      classes[at / kLanes] = static_cast<uint8_t>(answer);
      result.any |= answer != kNone;
      result.mixed |= answer == kMixed;
    }
  }
  return result;
}

/// The vectors of a panel of keys that are there.
struct PanelVectors {
  int64_t first = 0, count = 0;
  bool mixed = false;
};
HWY_INLINE PanelVectors VectorsOf(const uint8_t* classes, int64_t vector, int64_t vectors) {
  PanelVectors result;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t v = 0; v < kPanelVectors && vector + v < vectors; ++v) {
    if (classes[vector + v] == kNone) continue;
    if (result.count == 0) result.first = v;
    result.count = v + 1 - result.first;
    result.mixed |= classes[vector + v] == kMixed;
  }
  return result;
}

/// Keys [0, count) of the vectors `classes` in ascending order, skipping those of class none: calls
/// body(first key, keys, mixed?) for each maximal range; `split`: for each maximal range of one class.
template <class Body>
HWY_INLINE void ForRanges(const uint8_t* classes, int64_t count, bool split, const Body& body) {
  const int64_t vectors = (count + kLanes - 1) / kLanes;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t v = 0; v < vectors;) {
    if (classes[v] == kNone) {
      ++v;
      continue;
    }
    const int64_t begin = v;
    bool mixed = false;
#pragma clang loop unroll(disable) vectorize(disable)
    for (; v < vectors && classes[v] != kNone && !(split && classes[v] != classes[begin]); ++v)
      mixed |= classes[v] == kMixed;
    body(begin * kLanes, Min(v * kLanes, count) - begin * kLanes, mixed);
  }
}

/// Asks for rows of adjacent floats that will be read soon.
HWY_INLINE void FetchRows(const float* from, int64_t stride, int64_t rows, int64_t columns) {
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < columns; j += 16) hwy::Prefetch(from + i * stride + j);
  }
}

/// rows x columns of strided memory as dense rows of `to_stride` floats, a multiple of kLanes, with zeros
/// behind the columns; `to` is aligned. Strided rows are fetched some rows ahead: the hardware does not guess
/// that. True if everything is known to be finite.
HWY_NOINLINE inline bool CopyRows(const float* HWY_RESTRICT from, int64_t row_stride, int64_t column_stride,
                                  int64_t rows, int64_t columns, float* HWY_RESTRICT to, int64_t to_stride) {
  const FloatTag d;
  if (column_stride != 1) {
    PackColumns(from, StrideLine(column_stride), StrideLine(row_stride), 0, columns, 0, rows, to_stride, to);
    return false;
  }
  Floats bad = hn::Zero(d);  // becomes NaN: infinity * 0 and NaN * 0 are
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    const float* const row = from + i * row_stride;
    const float* const ahead = row + kRowsAhead * row_stride;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < to_stride; j += kLanes) {
      hwy::Prefetch(ahead + Min(j, columns - 1));
      const int64_t count = Max(Min(kLanes, columns - j), 0);
      const Floats value = HWY_LIKELY(count == kLanes) ? hn::LoadU(d, row + j) : LoadFirst(row + j, count);
      hn::Store(value, d, to + i * to_stride + j);
      bad = hn::MulAdd(value, hn::Zero(d), bad);
    }
  }
  return hn::AllTrue(d, hn::Eq(bad, bad));
}

/// Writes dense rows of `from_stride` floats to strided memory, or adds them there; scale null: as they are,
/// else times scale[i].
HWY_NOINLINE inline void StoreRows(const float* HWY_RESTRICT from, int64_t from_stride, int64_t rows,
                                   int64_t columns, const float* HWY_RESTRICT scale, float* HWY_RESTRICT to,
                                   int64_t row_stride, int64_t column_stride, bool add) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    const float* const source = from + i * from_stride;
    float* const target = to + i * row_stride;
    const float factor = scale ? scale[i] : 1.0f;
    if (column_stride == 1) {
      FetchRows(target + Min(kRowsAhead, rows - 1 - i) * row_stride, 0, 1, columns);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t j = 0; j < columns; j += kLanes) {
        const int64_t count = Min(kLanes, columns - j);
        Floats value = hn::Mul(hn::LoadU(d, source + j), hn::Set(d, factor));
        if (HWY_LIKELY(count == kLanes)) {
          if (add) value = hn::Add(hn::LoadU(d, target + j), value);
          hn::StoreU(value, d, target + j);
        } else {
          if (add) value = hn::Add(LoadFirst(target + j, count), value);
          StoreFirst(value, target + j, count);
        }
      }
    } else {
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t j = 0; j < columns; ++j) {
        const float value = factor * source[j];
        float& element = target[j * column_stride];
        element = add ? element + value : value;
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
