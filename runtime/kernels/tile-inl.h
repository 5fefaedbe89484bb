// The register tile of products of floats: sums of a few packed rows and a panel of columns. What a product
// does with its operands before and with its sums afterwards is its own business.
#if defined(HEED_RUNTIME_KERNELS_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_TILE_INL_H_
#undef HEED_RUNTIME_KERNELS_TILE_INL_H_
#else
#define HEED_RUNTIME_KERNELS_TILE_INL_H_
#endif

#include <type_traits>

#include "hwy/highway.h"
#include "runtime/kernels/pack-inl.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

constexpr int64_t kBlockDepth = kHeedBlockDepth;  // terms between additions to c
static_assert(kBlockDepth % 16 == 0);

/// Height of the tile that starts with `left` rows to go; the last one may be padded. `tallest`: of the
/// heights there are.
HWY_INLINE int64_t TileHeight(int64_t left, bool single, int64_t tallest = kTileRows) {
  if (single) return 1;
  if (left > Max(tallest - 2, kSmallTileRows)) return tallest;
  return left > kSmallTileRows ? kMiddleTileRows : kSmallTileRows;
}

/// The vectors of columns of one term of a panel: floats, or bfloat16 in pairs (element i of the low halves,
/// kLanes + i of the high ones).
template <int kVectors>
HWY_INLINE void LoadColumns(const float* HWY_RESTRICT b, Floats (&column)[kVectors]) {
  const FloatTag d;
  Unroll<kVectors>([&](auto j) HWY_ATTR { column[j] = hn::LoadU(d, b + j * kLanes); });
}
HWY_INLINE void LoadColumns(const uint32_t* HWY_RESTRICT b, Floats (&column)[2]) {
  const FloatTag d;
  const UintTag du;
  const Uints pair = hn::LoadU(du, b);
  column[0] = hn::BitCast(d, hn::ShiftLeft<16>(pair));
  column[1] = hn::BitCast(d, hn::And(pair, hn::Set(du, 0xffff0000u)));
}

/// What a tile fetches into the cache while it computes: some bytes in every step. Operands that stream from
/// memory are read 1.2 times as fast as with what hardware prefetches alone.
struct Ahead {
  const uint8_t* at;
  int64_t step;  // bytes
  template <int64_t kBytes>
  HWY_INLINE void Fetch() {
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < kBytes; i += 64) __builtin_prefetch(at + i, 0, 2);  // to L2
    at += step;
  }
};
struct NothingAhead {
  template <int64_t kBytes>
  HWY_INLINE void Fetch() {}
};

/// Sums of kRows x (kVectors * kLanes) outputs over `depth` terms. a is packed [term][kRows]; term k of b is
/// at b + k * b_stride.
template <int kRows, int kVectors, class Columns, class Fetched = NothingAhead>
HWY_NOINLINE void MatmulTile(int64_t depth, const float* HWY_RESTRICT a, const Columns* HWY_RESTRICT b,
                             int64_t b_stride, float* HWY_RESTRICT sums, Fetched ahead = {}) {
  const FloatTag d;
  Floats sum[kRows][kVectors];
  Unroll<kRows>([&](auto i)
                    HWY_ATTR { Unroll<kVectors>([&](auto j) HWY_ATTR { sum[i][j] = hn::Zero(d); }); });
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t k = 0; k < depth; ++k) {
    ahead.template Fetch<(std::is_same_v<Columns, float> ? 4 * kVectors * kLanes : 4 * kLanes)>();
    Floats column[kVectors];
    LoadColumns(b, column);
    Unroll<kRows>([&](auto i) HWY_ATTR {
      const Floats row = hn::Set(d, a[i]);
      Unroll<kVectors>([&](auto j) HWY_ATTR { sum[i][j] = hn::MulAdd(row, column[j], sum[i][j]); });
    });
    a += kRows;
    b += b_stride;
  }
  Unroll<kRows>([&](auto i) HWY_ATTR {
    Unroll<kVectors>([&](auto j) HWY_ATTR { hn::Store(sum[i][j], d, sums + (i * kVectors + j) * kLanes); });
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
