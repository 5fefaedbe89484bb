// Dot products of small whole numbers: each 32-bit lane of weights holds four bytes (or eight nibbles) of one
// column, multiplied by four whole numbers of a row that all lanes share. Exact, in 32 bits. The raw
// intrinsics of all CPU levels are here: VNNI where there is, else products of bytes added in pairs.
#if defined(HEED_RUNTIME_KERNELS_DOT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_DOT_INL_H_
#undef HEED_RUNTIME_KERNELS_DOT_INL_H_
#else
#define HEED_RUNTIME_KERNELS_DOT_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/simd-inl.h"

// HEED_VNNI: sum + dot product of unsigned and signed bytes in one instruction. Highway's targets differ in
// it (AVX3_DL has it); CPU levels say so by their flags.
#undef HEED_VNNI
#if HWY_TARGET <= HWY_AVX3_DL || (HWY_TARGET == HWY_AVX3 && defined(__AVX512VNNI__))
#define HEED_VNNI(sum, weights, row) _mm512_dpbusd_epi32(sum, weights, row)
#elif HWY_TARGET == HWY_AVX2 && defined(__AVXVNNI__)
#define HEED_VNNI(sum, weights, row) _mm256_dpbusd_avx_epi32(sum, weights, row)
#endif

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

/// Pairs of neighbouring 16-bit numbers added to 32 bits.
HWY_INLINE Ints AddPairs(Ints words) {
#if HWY_TARGET <= HWY_AVX3
  return Ints{_mm512_madd_epi16(words.raw, _mm512_set1_epi16(1))};
#elif HWY_TARGET <= HWY_AVX2
  return Ints{_mm256_madd_epi16(words.raw, _mm256_set1_epi16(1))};
#else
  return Ints{_mm_madd_epi16(words.raw, _mm_set1_epi16(1))};
#endif
}

/// Products of unsigned and signed bytes, added in pairs to 16 bits (which they must not leave).
HWY_INLINE Ints MultiplyBytes(Ints bytes, Ints signed_bytes) {
#if HWY_TARGET <= HWY_AVX3
  return Ints{_mm512_maddubs_epi16(bytes.raw, signed_bytes.raw)};
#elif HWY_TARGET <= HWY_AVX2
  return Ints{_mm256_maddubs_epi16(bytes.raw, signed_bytes.raw)};
#else
  return Ints{_mm_maddubs_epi16(bytes.raw, signed_bytes.raw)};
#endif
}

/// Sums of 16-bit numbers.
HWY_INLINE Ints AddWords(Ints a, Ints b) {
#if HWY_TARGET <= HWY_AVX3
  return Ints{_mm512_add_epi16(a.raw, b.raw)};
#elif HWY_TARGET <= HWY_AVX2
  return Ints{_mm256_add_epi16(a.raw, b.raw)};
#else
  return Ints{_mm_add_epi16(a.raw, b.raw)};
#endif
}

/// Magnitudes of bytes.
HWY_INLINE Ints Magnitudes(Ints bytes) {
#if HWY_TARGET <= HWY_AVX3
  return Ints{_mm512_abs_epi8(bytes.raw)};
#elif HWY_TARGET <= HWY_AVX2
  return Ints{_mm256_abs_epi8(bytes.raw)};
#else
  return Ints{_mm_abs_epi8(bytes.raw)};
#endif
}

/// Bytes with the signs of others multiplied in (where those are 0, anything).
HWY_INLINE Ints WithSigns(Ints bytes, Ints signs) {
#if HWY_TARGET <= HWY_AVX3
  return Ints{
      _mm512_mask_sub_epi8(bytes.raw, _mm512_movepi8_mask(signs.raw), _mm512_setzero_si512(), bytes.raw)};
#elif HWY_TARGET <= HWY_AVX2
  return Ints{_mm256_sign_epi8(bytes.raw, signs.raw)};
#else
  return Ints{_mm_sign_epi8(bytes.raw, signs.raw)};
#endif
}

#if defined(HEED_VNNI)
constexpr bool kHasVnni = true;
#else
constexpr bool kHasVnni = false;
#endif

// Both kinds of sums have the same steps: a sum starts from `start`, which is -kOffset times the sum of the
// row's numbers; dot products are added; Complete gives the sum. Weights are stored plus kOffset.

/// Weights in [-127, 127] times numbers in [-127, 127].
struct ByteDots {
#if defined(HEED_VNNI)
  static constexpr int32_t kOffset = 128;
  static HWY_INLINE Ints Start(Ints start) { return start; }
  static HWY_INLINE Ints Add(Ints sum, Ints weights, Ints row) {
    return Ints{HEED_VNNI(sum.raw, weights.raw, row.raw)};
  }
#else
  static constexpr int32_t kOffset = 0;
  static HWY_INLINE Ints Start(Ints) { return hn::Zero(IntTag()); }
  static HWY_INLINE Ints Add(Ints sum, Ints weights, Ints row) {
    return hn::Add(sum, AddPairs(MultiplyBytes(Magnitudes(row), WithSigns(weights, row))));
  }
#endif
  static HWY_INLINE Ints Complete(Ints sum, Ints) { return sum; }
};

/// Weights in [-8, 7] times numbers in [-127, 127]: at most 8 dot products in a sum.
struct NibbleDots {
  static constexpr int32_t kOffset = 8;
#if defined(HEED_VNNI)
  static HWY_INLINE Ints Start(Ints start) { return start; }
  static HWY_INLINE Ints Add(Ints sum, Ints weights, Ints row) {
    return Ints{HEED_VNNI(sum.raw, weights.raw, row.raw)};
  }
  static HWY_INLINE Ints Complete(Ints sum, Ints) { return sum; }
#else
  // In 16 bits: 8 * 2 * 15 * 127 < 2^15.
  static HWY_INLINE Ints Start(Ints) { return hn::Zero(IntTag()); }
  static HWY_INLINE Ints Add(Ints sum, Ints weights, Ints row) {
    return AddWords(sum, MultiplyBytes(weights, row));
  }
  static HWY_INLINE Ints Complete(Ints sum, Ints start) { return hn::Add(AddPairs(sum), start); }
#endif
};

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
