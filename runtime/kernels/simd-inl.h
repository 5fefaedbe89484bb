// The vector vocabulary shared by the kernels: tags, compile-time unrolling, partial loads and stores,
// transposes in registers. Everything is full vectors of float of the target being compiled (Highway's static
// dispatch or foreach_target). The few raw intrinsics of the project live here. No memory management, no
// library calls.
#if defined(HEED_RUNTIME_KERNELS_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_SIMD_INL_H_
#undef HEED_RUNTIME_KERNELS_SIMD_INL_H_
#else
#define HEED_RUNTIME_KERNELS_SIMD_INL_H_
#endif

#include <stdint.h>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::RebindToSigned<FloatTag>;
using UintTag = hn::RebindToUnsigned<FloatTag>;
using Floats = hn::Vec<FloatTag>;
using Ints = hn::Vec<IntTag>;
using Uints = hn::Vec<UintTag>;

constexpr int64_t kLanes = hn::MaxLanes(FloatTag());

/// What crosses the boundary to generated code: LLVM sees <kLanes x float> and <kLanes x i32>.
using RawFloats = decltype(Floats().raw);
typedef int32_t RawInts __attribute__((vector_size(kLanes * 4)));

HWY_INLINE Floats Wrap(RawFloats raw) { return Floats{raw}; }
HWY_INLINE Ints Wrap(RawInts raw) { return Ints{(decltype(Ints().raw))raw}; }

constexpr int64_t Min(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t Max(int64_t a, int64_t b) { return a > b ? a : b; }
constexpr int64_t RoundUp(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }

template <int kValue>
struct Index {
  constexpr operator int() const { return kValue; }
};

/// body(Index<0>()), ..., body(Index<kCount - 1>()): unrolled whatever the optimizer thinks of it. Lambdas
/// given to it need HWY_ATTR.
template <int kCount, class Body>
HWY_INLINE void Unroll(const Body& body) {
  if constexpr (kCount > 0) {
    Unroll<kCount - 1>(body);
    body(Index<kCount - 1>());
  }
}

/// The first `count` <= kLanes floats at `from`, zeros after them; reads nothing behind them.
HWY_INLINE Floats LoadFirst(const float* HWY_RESTRICT from, int64_t count) {
  const FloatTag d;
#if HWY_TARGET <= HWY_AVX2
  return hn::MaskedLoad(hn::FirstN(d, static_cast<size_t>(count)), d, from);
#else
  HWY_ALIGN float lanes[kLanes] = {};
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < count; ++i) lanes[i] = from[i];
  return hn::Load(d, lanes);
#endif
}

/// Stores the first `count` <= kLanes lanes and touches nothing behind them.
HWY_INLINE void StoreFirst(Floats value, float* HWY_RESTRICT to, int64_t count) {
  const FloatTag d;
#if HWY_TARGET <= HWY_AVX2
  hn::BlendedStore(value, hn::FirstN(d, static_cast<size_t>(count)), d, to);
#else
  HWY_ALIGN float lanes[kLanes];
  hn::Store(value, d, lanes);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < count; ++i) to[i] = lanes[i];
#endif
}

/// rows[i] lane j becomes rows[j] lane i.
HWY_INLINE void Transpose(Floats (&rows)[kLanes]) {
  const FloatTag d;
  const hn::Repartition<double, FloatTag> pairs;
  Floats mixed[kLanes];
  Unroll<kLanes / 2>([&](auto i) HWY_ATTR {
    mixed[2 * i] = hn::InterleaveLower(d, rows[2 * i], rows[2 * i + 1]);
    mixed[2 * i + 1] = hn::InterleaveUpper(d, rows[2 * i], rows[2 * i + 1]);
  });
  // Afterwards rows[4 g + c] holds, in its 128-bit block b, column 4 b + c of rows 4 g ... 4 g + 3.
  Unroll<kLanes / 4>([&](auto g) HWY_ATTR {
    const auto a0 = hn::BitCast(pairs, mixed[4 * g]), a1 = hn::BitCast(pairs, mixed[4 * g + 1]);
    const auto b0 = hn::BitCast(pairs, mixed[4 * g + 2]), b1 = hn::BitCast(pairs, mixed[4 * g + 3]);
    rows[4 * g] = hn::BitCast(d, hn::InterleaveLower(pairs, a0, b0));
    rows[4 * g + 1] = hn::BitCast(d, hn::InterleaveUpper(pairs, a0, b0));
    rows[4 * g + 2] = hn::BitCast(d, hn::InterleaveLower(pairs, a1, b1));
    rows[4 * g + 3] = hn::BitCast(d, hn::InterleaveUpper(pairs, a1, b1));
  });
#if HWY_TARGET <= HWY_AVX3
  Unroll<4>([&](auto c) HWY_ATTR {
    const __m512 x0 = rows[c].raw, x1 = rows[4 + c].raw, x2 = rows[8 + c].raw, x3 = rows[12 + c].raw;
    const __m512 even01 = _mm512_shuffle_f32x4(x0, x1, 0x88), odd01 = _mm512_shuffle_f32x4(x0, x1, 0xdd);
    const __m512 even23 = _mm512_shuffle_f32x4(x2, x3, 0x88), odd23 = _mm512_shuffle_f32x4(x2, x3, 0xdd);
    rows[c].raw = _mm512_shuffle_f32x4(even01, even23, 0x88);
    rows[4 + c].raw = _mm512_shuffle_f32x4(odd01, odd23, 0x88);
    rows[8 + c].raw = _mm512_shuffle_f32x4(even01, even23, 0xdd);
    rows[12 + c].raw = _mm512_shuffle_f32x4(odd01, odd23, 0xdd);
  });
#elif HWY_TARGET <= HWY_AVX2
  Unroll<4>([&](auto c) HWY_ATTR {
    const Floats low = rows[c], high = rows[4 + c];
    rows[c] = hn::ConcatLowerLower(d, high, low);
    rows[4 + c] = hn::ConcatUpperUpper(d, high, low);
  });
#else
  static_assert(kLanes == 4, "write the exchange of blocks for this target");
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
