// Products of floats on matrix tiles (AMX). Every float is the exact sum of three bfloat16 parts; of the nine
// products of parts the six largest are added up in float, so what is left out is below 2^-25 of a product:
// less than one rounding of a float (Henry, Tang and Heinecke, "Leveraging the bfloat16 Artificial
// Intelligence Datatype For Higher-Precision Computations", 2019). Six products of parts take less than half
// the time of one product of floats on vectors.
//
// An infinite operand (or one within a bfloat16's rounding of it) makes NaN, not infinity; parts below the
// smallest normal number count as 0. Rows and columns don't see each other, and terms are added in order, so
// results don't depend on neighbours.
#if defined(HEED_RUNTIME_KERNELS_SPLIT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_SPLIT_INL_H_
#undef HEED_RUNTIME_KERNELS_SPLIT_INL_H_
#else
#define HEED_RUNTIME_KERNELS_SPLIT_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/simd-inl.h"

#if HWY_TARGET == HWY_AVX3
#include <immintrin.h>

// Functions that use tiles say so, since targets of Highway don't have them.
#define HEED_TILES_ATTR __attribute__((target("amx-tile,amx-bf16")))

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr int64_t kSide = 16;   // rows, or columns, of a tile
constexpr int64_t kDepth = 32;  // terms of a tile
constexpr int64_t kPartBytes = 1024;
constexpr int64_t kSplitBytes = 3 * kPartBytes;  // a tile: its parts, the largest first

using WordTag = hn::Repartition<uint16_t, FloatTag>;

/// The bfloat16 parts of floats, in the high halves.
struct Parts {
  Uints part[3];
};
HWY_INLINE Parts Split(Floats x) {
  const FloatTag d;
  const UintTag du;
  const Uints half = hn::Set(du, 0x8000u), high = hn::Set(du, 0xffff0000u);
  Parts parts;
  parts.part[0] = hn::And(hn::Add(hn::BitCast(du, x), half), high);
  const Floats rest = hn::Sub(x, hn::BitCast(d, parts.part[0]));
  parts.part[1] = hn::And(hn::Add(hn::BitCast(du, rest), half), high);
  parts.part[2] = hn::BitCast(du, hn::Sub(rest, hn::BitCast(d, parts.part[1])));  // 8 bits are left
  return parts;
}

/// A row of a left tile: 32 terms.
HWY_INLINE void StoreLeft(const Parts& first, const Parts& second, uint8_t* HWY_RESTRICT to) {
  const WordTag dw;
  Unroll<3>([&](auto p) HWY_ATTR {
    const auto row = hn::ConcatOdd(dw, hn::BitCast(dw, second.part[p]), hn::BitCast(dw, first.part[p]));
    hn::Store(row, dw, reinterpret_cast<uint16_t*>(to + p * kPartBytes));
  });
}

/// A row of a right tile: two terms of 16 columns.
HWY_INLINE void StoreRight(const Parts& first, const Parts& second, uint8_t* HWY_RESTRICT to) {
  const UintTag du;
  Unroll<3>([&](auto p) HWY_ATTR {
    const Uints pair =
        hn::Or(hn::ShiftRight<16>(first.part[p]), hn::And(second.part[p], hn::Set(du, 0xffff0000u)));
    hn::Store(pair, du, reinterpret_cast<uint32_t*>(to + p * kPartBytes));
  });
}

/// Left tiles of 16 rows of `columns` floats, a multiple of 32: a tile for each 32.
HWY_NOINLINE inline void SplitLeft(const float* HWY_RESTRICT from, int64_t stride, int64_t columns,
                                   uint8_t* HWY_RESTRICT to) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t j = 0; j < columns; j += kDepth, to += kSplitBytes) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < kSide; ++i) {
      const float* const at = from + i * stride + j;
      StoreLeft(Split(hn::Load(d, at)), Split(hn::Load(d, at + kLanes)), to + i * 64);
    }
  }
}

/// Right tiles whose terms are 32 rows of `columns` floats, a multiple of 16: a tile for each 16.
HWY_NOINLINE inline void SplitRight(const float* HWY_RESTRICT from, int64_t stride, int64_t columns,
                                    uint8_t* HWY_RESTRICT to) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t j = 0; j < columns; j += kSide, to += kSplitBytes) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < kDepth / 2; ++i) {
      const float* const at = from + 2 * i * stride + j;
      StoreRight(Split(hn::Load(d, at)), Split(hn::Load(d, at + stride)), to + i * 64);
    }
  }
}

/// A left tile becomes the right one of its transpose, or the other way round.
HWY_NOINLINE inline void TransposeTile(uint8_t* tile) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t p = 0; p < 3; ++p) {
    float* const part = reinterpret_cast<float*>(tile + p * kPartBytes);
    Floats rows[kLanes];
    Unroll<kLanes>([&](auto i) HWY_ATTR { rows[i] = hn::Load(d, part + i * kLanes); });
    Transpose(rows);
    Unroll<kLanes>([&](auto i) HWY_ATTR { hn::Store(rows[i], d, part + i * kLanes); });
  }
}

/// Left tiles of dense rows: `rows` a multiple of 16, `columns` of 32.
HWY_INLINE void SplitLeftRows(const float* HWY_RESTRICT from, int64_t rows, int64_t columns,
                              uint8_t* HWY_RESTRICT to) {
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; i += kSide, to += columns / kDepth * kSplitBytes)
    SplitLeft(from + i * columns, columns, columns, to);
}

/// Right tiles whose columns are such rows.
HWY_INLINE void SplitRightColumns(const float* HWY_RESTRICT from, int64_t rows, int64_t columns,
                                  uint8_t* HWY_RESTRICT to) {
  SplitLeftRows(from, rows, columns, to);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t tile = 0; tile < rows / kSide * (columns / kDepth); ++tile)
    TransposeTile(to + tile * kSplitBytes);
}

/// Left tiles whose terms are 32 rows, and whose rows are their columns, a multiple of 16.
HWY_INLINE void SplitLeftColumns(const float* HWY_RESTRICT from, int64_t stride, int64_t columns,
                                 uint8_t* HWY_RESTRICT to) {
  SplitRight(from, stride, columns, to);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t tile = 0; tile < columns / kSide; ++tile) TransposeTile(to + tile * kSplitBytes);
}

/// Split tiles in memory: the first, and the bytes to the next of the same terms and to the next terms.
struct SplitTiles {
  const uint8_t* at;
  int64_t next, deeper;
};

/// c [rows of kRowTiles tiles][c_stride] = (kAdd: c +) left * right over `depth` tiles of terms.
template <int kRowTiles, int kColumnTiles, bool kAdd>
HEED_TILES_ATTR HWY_NOINLINE void TileProduct(int64_t depth, SplitTiles left, SplitTiles right,
                                              float* HWY_RESTRICT c, int64_t c_stride) {
  constexpr bool kTall = kRowTiles == 2, kWide = kColumnTiles == 2;
  const int64_t bytes = c_stride * 4;
  float* const lower = c + kSide * c_stride;
  if constexpr (kAdd) {
    _tile_loadd(0, c, bytes);
    if constexpr (kWide) _tile_loadd(1, c + kSide, bytes);
    if constexpr (kTall) _tile_loadd(2, lower, bytes);
    if constexpr (kTall && kWide) _tile_loadd(3, lower + kSide, bytes);
  } else {
    _tile_zero(0);
    if constexpr (kWide) _tile_zero(1);
    if constexpr (kTall) _tile_zero(2);
    if constexpr (kTall && kWide) _tile_zero(3);
  }
  // Right operands stream from L2 past what L1 holds: left ones and sums.
#define HEED_LEFT(part)                              \
  _tile_loadd(4, left.at + (part) * kPartBytes, 64); \
  if constexpr (kTall) _tile_loadd(5, left.at + left.next + (part) * kPartBytes, 64)
#define HEED_RIGHT(part)                                     \
  _tile_stream_loadd(6, right.at + (part) * kPartBytes, 64); \
  if constexpr (kWide) _tile_stream_loadd(7, right.at + right.next + (part) * kPartBytes, 64)
#define HEED_MULTIPLY()                         \
  _tile_dpbf16ps(0, 4, 6);                      \
  if constexpr (kWide) _tile_dpbf16ps(1, 4, 7); \
  if constexpr (kTall) _tile_dpbf16ps(2, 5, 6); \
  if constexpr (kTall && kWide) _tile_dpbf16ps(3, 5, 7)
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t k = 0; k < depth; ++k) {
    HEED_LEFT(0);
    HEED_RIGHT(2);
    HEED_MULTIPLY();
    HEED_RIGHT(1);
    HEED_MULTIPLY();
    HEED_LEFT(1);
    HEED_MULTIPLY();
    HEED_RIGHT(0);
    HEED_MULTIPLY();
    HEED_LEFT(2);
    HEED_MULTIPLY();
    HEED_LEFT(0);
    HEED_MULTIPLY();
    left.at += left.deeper;
    right.at += right.deeper;
  }
#undef HEED_LEFT
#undef HEED_RIGHT
#undef HEED_MULTIPLY
  _tile_stored(0, c, bytes);
  if constexpr (kWide) _tile_stored(1, c + kSide, bytes);
  if constexpr (kTall) _tile_stored(2, lower, bytes);
  if constexpr (kTall && kWide) _tile_stored(3, lower + kSide, bytes);
}

/// TileProduct for any number of tiles of columns, and one or two of rows.
template <bool kAdd>
HWY_INLINE void TileProducts(int64_t row_tiles, int64_t column_tiles, int64_t depth, SplitTiles left,
                             SplitTiles right, float* c, int64_t c_stride) {
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t j = 0; j < column_tiles; j += 2, right.at += 2 * right.next, c += 2 * kSide) {
    if (row_tiles == 2) {
      if (j + 1 < column_tiles) {
        TileProduct<2, 2, kAdd>(depth, left, right, c, c_stride);
      } else {
        TileProduct<2, 1, kAdd>(depth, left, right, c, c_stride);
      }
    } else if (j + 1 < column_tiles) {
      TileProduct<1, 2, kAdd>(depth, left, right, c, c_stride);
    } else {
      TileProduct<1, 1, kAdd>(depth, left, right, c, c_stride);
    }
  }
}

/// Tiles have their shapes between these two.
HEED_TILES_ATTR HWY_NOINLINE inline void BeginTiles() {
  struct {
    uint8_t palette = 1, first_row = 0, unused[14] = {};
    uint16_t bytes_of_rows[16] = {};
    uint8_t rows[16] = {};
  } shapes;
  static_assert(sizeof(shapes) == 64);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int i = 0; i < 8; ++i) {
    shapes.bytes_of_rows[i] = 64;
    shapes.rows[i] = kSide;
  }
  _tile_loadconfig(&shapes);
}
HEED_TILES_ATTR HWY_NOINLINE inline void EndTiles() { _tile_release(); }

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
#endif
