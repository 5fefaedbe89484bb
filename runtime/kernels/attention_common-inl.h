// What attention's forward and backward kernels share: the register tile, the walk over keys in tiles at
// absolute positions, the class of a tile (nothing, everything or some of it there), and the slow product
// that never touches terms which are not there.
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

#include "hwy/highway.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/lines-inl.h"
#include "runtime/kernels/math-inl.h"
#include "runtime/kernels/pack-inl.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr float kLog2E = 1.44269504088896341f;
constexpr float kLn2 = 0.69314718055994531f;
constexpr float kLowest = -3.40282347e+38f;

/// Answers of the tile hole.
constexpr int64_t kNone = 0, kAll = 1, kMixed = 2;

/// Are the values known to be finite? Found out when it first matters.
constexpr uint8_t kUnknown = 0, kFinite = 1, kNotFinite = 2;

HWY_INLINE Line StrideLine(int64_t stride) { return Line{nullptr, stride, stride == 1 ? kWhole : 1}; }

/// Hands out 64-byte aligned pieces of the scratch memory; with base null it only counts.
struct Pieces {
  uint8_t* base;
  int64_t used = 0;

  template <class T>
  HWY_INLINE T* Take(int64_t count) {
    T* const piece = base ? reinterpret_cast<T*>(base + used) : nullptr;
    used += RoundUp(count * static_cast<int64_t>(sizeof(T)), 64);
    return piece;
  }
};

/// Height of the row tile that starts with `left` rows to go, the last one padded; `only`: there is a single
/// row in all.
HWY_INLINE int64_t AttentionTileHeight(int64_t left, bool only) {
  if (only) return 1;
  return left > kMiddleTileRows ? kTileRows : kMiddleTileRows;
}

/// c[i][j] = (scale ? scale[i] * c[i][j] : 0) + sum over k < depth of a[i * kRowStride + k * kTermStride] *
/// b[k * b_stride + j], for kRows x (kVectors * kLanes) elements.
template <int kRows, int kVectors, int kRowStride, int kTermStride>
HWY_NOINLINE void ProductTile(int64_t depth, const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                              int64_t b_stride, float* HWY_RESTRICT c, int64_t c_stride,
                              const float* HWY_RESTRICT scale) {
  const FloatTag d;
  Floats sum[kRows][kVectors];
  if (scale) {
    Unroll<kRows>([&](auto i) HWY_ATTR {
      const Floats factor = hn::Set(d, scale[i]);
      Unroll<kVectors>(
          [&](auto j) HWY_ATTR { sum[i][j] = hn::Mul(factor, hn::LoadU(d, c + i * c_stride + j * kLanes)); });
    });
  } else {
    Unroll<kRows>([&](auto i)
                      HWY_ATTR { Unroll<kVectors>([&](auto j) HWY_ATTR { sum[i][j] = hn::Zero(d); }); });
  }
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t k = 0; k < depth; ++k) {
    Floats column[kVectors];
    Unroll<kVectors>([&](auto j) HWY_ATTR { column[j] = hn::LoadU(d, b + j * kLanes); });
    Unroll<kRows>([&](auto i) HWY_ATTR {
      const Floats row = hn::Set(d, a[i * kRowStride]);
      Unroll<kVectors>([&](auto j) HWY_ATTR { sum[i][j] = hn::MulAdd(row, column[j], sum[i][j]); });
    });
    a += kTermStride;
    b += b_stride;
  }
  Unroll<kRows>([&](auto i) HWY_ATTR {
    Unroll<kVectors>([&](auto j) HWY_ATTR { hn::StoreU(sum[i][j], d, c + i * c_stride + j * kLanes); });
  });
}

/// ProductTile over `columns` columns, a multiple of kLanes, in place in c.
template <int kRows, int kRowStride, int kTermStride>
HWY_INLINE void ProductRows(int64_t depth, const float* a, const float* b, int64_t b_stride, int64_t columns,
                            float* c, int64_t c_stride, const float* scale) {
  int64_t j = 0;
#pragma clang loop unroll(disable) vectorize(disable)
  for (; j + kPanel <= columns; j += kPanel) {
    ProductTile<kRows, kPanelVectors, kRowStride, kTermStride>(depth, a, b + j, b_stride, c + j, c_stride,
                                                               scale);
  }
  if (j < columns) {
    ProductTile<kRows, 1, kRowStride, kTermStride>(depth, a, b + j, b_stride, c + j, c_stride, scale);
  }
}

/// The same for any strides of a, leaving out the terms whose factor is 0.
HWY_NOINLINE inline void SelectedProductRows(int64_t rows, int64_t depth, const float* HWY_RESTRICT a,
                                             int64_t row_stride, int64_t term_stride,
                                             const float* HWY_RESTRICT b, int64_t b_stride, int64_t columns,
                                             float* HWY_RESTRICT c, int64_t c_stride,
                                             const float* HWY_RESTRICT scale) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < columns; j += kLanes) {
      Floats sum = hn::Mul(hn::Set(d, scale[i]), hn::LoadU(d, c + i * c_stride + j));
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t k = 0; k < depth; ++k) {
        const float factor = a[i * row_stride + k * term_stride];
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

/// Keys [first, first + count) of the panels `classes` in ascending order, skipping those of class none:
/// calls body(first key, keys, first range?, any mixed?) for each maximal range.
template <class Body>
HWY_INLINE void ForRanges(const uint8_t* classes, int64_t panels, int64_t count, const Body& body) {
  bool first = true;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t p = 0; p < panels;) {
    if (classes[p] == kNone) {
      ++p;
      continue;
    }
    const int64_t begin = p;
    bool mixed = false;
#pragma clang loop unroll(disable) vectorize(disable)
    for (; p < panels && classes[p] != kNone; ++p) mixed |= classes[p] == kMixed;
    body(begin * kPanel, Min(p * kPanel, count) - begin * kPanel, first, mixed);
    first = false;
  }
}

/// Writes a padded row-major buffer to strided memory, or adds it there.
HWY_NOINLINE inline void StoreRows(const float* HWY_RESTRICT from, int64_t from_stride, int64_t rows,
                                   int64_t columns, float* HWY_RESTRICT to, int64_t row_stride,
                                   int64_t column_stride, bool add) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
    const float* const source = from + i * from_stride;
    float* const target = to + i * row_stride;
    if (column_stride == 1) {
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t j = 0; j < columns; j += kLanes) {
        const int64_t count = Min(kLanes, columns - j);
        Floats value = hn::LoadU(d, source + j);
        if (count == kLanes) {
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
        float& element = target[j * column_stride];
        element = add ? element + source[j] : source[j];
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
