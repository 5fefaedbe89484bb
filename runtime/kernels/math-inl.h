// Elementary functions on full vectors of float, and the counter-based randomness of dropout and sampling.
// Errors are in ulp of the exact result, as measured by tests/kernels/math_test.cc with fused multiply-add
// (all shipped CPU levels have it). Polynomials: figures of Cephes (Moshier) and fdlibm (Sun) where named;
// the rest fitted for Heed. NaN stays NaN. No tables, no library calls, no dependence on the rounding of
// neighbouring lanes.
#if defined(HEED_RUNTIME_KERNELS_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_MATH_INL_H_
#undef HEED_RUNTIME_KERNELS_MATH_INL_H_
#else
#define HEED_RUNTIME_KERNELS_MATH_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

/// sum over i of coefficients[i] * x^i, by Horner's rule.
template <class V, int kCount, class Scalar>
HWY_INLINE V Polynomial(V x, const Scalar (&coefficients)[kCount]) {
  const hn::DFromV<V> d;
  V sum = hn::Set(d, coefficients[kCount - 1]);
  Unroll<kCount - 1>([&](auto i)
                         HWY_ATTR { sum = hn::MulAdd(sum, x, hn::Set(d, coefficients[kCount - 2 - i])); });
  return sum;
}

/// value * 2^exponent for whole exponents in [-252, 254], rounded once: two factors, so that neither over-
/// nor underflows by itself.
HWY_INLINE Floats ScaleByPowerOfTwo(Floats value, Floats exponent) {
#if HWY_TARGET <= HWY_AVX3
  return Floats{_mm512_scalef_ps(value.raw, exponent.raw)};
#else
  const FloatTag d;
  const IntTag di;
  const Ints whole = hn::ConvertTo(di, exponent);
  const Ints half = hn::ShiftRight<1>(whole);
  const Ints bias = hn::Set(di, 127);
  const Floats first = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(half, bias)));
  const Floats second = hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(hn::Sub(whole, half), bias)));
  return hn::Mul(hn::Mul(value, first), second);
#endif
}

/// e^x, 1.5 ulp, denormal results included. The order of operands of Min and Max lets NaN through.
HWY_INLINE Floats Exp(Floats x) {
  const FloatTag d;
  x = hn::Min(hn::Set(d, 89.0f), hn::Max(hn::Set(d, -104.0f), x));
  const Floats n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504088896341f)));
  Floats r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  static constexpr float kTail[] = {5.0000001201e-1f, 1.6666665459e-1f, 4.1665795894e-2f,
                                    8.3334519073e-3f, 1.3981999507e-3f, 1.9875691500e-4f};  // Cephes
  const Floats p = hn::MulAdd(Polynomial(r, kTail), hn::Mul(r, r), hn::Add(r, hn::Set(d, 1.0f)));
  return ScaleByPowerOfTwo(p, n);
}

/// 2^r on [-0.5, 0.5], minimax: relative errors 2.6e-9 and 9.2e-8, both exact at 0.
constexpr float kPowersOfTwo[] = {1.0f,
                                  6.931472150e-01f,
                                  2.402265278e-01f,
                                  5.550310551e-02f,
                                  9.617692975e-03f,
                                  1.340664391e-03f,
                                  1.559467760e-04f};
constexpr float kShortPowersOfTwo[] = {
    1.0f, 6.931470037e-01f, 2.402224243e-01f, 5.550733581e-02f, 9.671513923e-03f, 1.326472964e-03f};

/// Adding it to a float below 2^22 in magnitude rounds that to a whole number n, in the low bits of the sum;
/// with the second they are n + 127, the exponent's bits of 2^n.
constexpr float kRoundingShift = 12582912.0f;  // 1.5 * 2^23
constexpr float kExponentShift = kRoundingShift + 127;

/// 2^(n + r) for shifted = n + kExponentShift, n whole, and |r| <= 0.5; exactly 0 for n below -125 or minus
/// infinity, whatever r is.
HWY_INLINE Floats Exp2OfParts(Floats shifted, Floats r) {
  const FloatTag d;
  const UintTag du;
  const Floats power = hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(du, shifted)));
  const auto nothing = hn::Lt(shifted, hn::Set(d, kExponentShift - 125));
  return hn::IfThenZeroElse(nothing, hn::Mul(Polynomial(r, kShortPowersOfTwo), power));
}

/// 2^y for attention, 2.5 ulp, exactly 0 below y = -125.5, so that a masked score (-infinity) weighs nothing.
/// Not meant for y > 127.
HWY_INLINE Floats Exp2(Floats y) {
  const FloatTag d;
  const Floats shift = hn::Set(d, kExponentShift);
  const Floats shifted = hn::Add(y, shift);
  return Exp2OfParts(shifted, hn::Sub(y, hn::Sub(shifted, shift)));
}

/// 2^(x * scale - whole), as Exp2, rounding once; `shift` is kExponentShift - whole for a whole number of at
/// most 2^21 in magnitude.
HWY_INLINE Floats Exp2OfDifference(Floats x, float scale, Floats shift) {
  const FloatTag d;
  const Floats shifted = hn::MulAdd(x, hn::Set(d, scale), shift);
  return Exp2OfParts(shifted, hn::MulSub(x, hn::Set(d, scale), hn::Sub(shifted, shift)));
}

/// log x, 1 ulp; log 0 = -infinity, of negative numbers NaN. The scheme and figures of fdlibm's logf.
HWY_INLINE Floats Log(Floats x) {
  const FloatTag d;
  const IntTag di;
  const auto denormal = hn::Lt(x, hn::Set(d, 1.17549435e-38f));
  const Floats scaled = hn::IfThenElse(denormal, hn::Mul(x, hn::Set(d, 33554432.0f)), x);
  // The exponent that puts the rest into [sqrt(1/2), sqrt(2)).
  const Ints bits = hn::Sub(hn::BitCast(di, scaled), hn::Set(di, 0x3f3504f3));
  const Ints exponent = hn::ShiftRight<23>(bits);
  const Floats m = hn::BitCast(d, hn::Add(hn::And(bits, hn::Set(di, 0x007fffff)), hn::Set(di, 0x3f3504f3)));
  const Floats k = hn::Add(hn::ConvertTo(d, exponent), hn::IfThenElseZero(denormal, hn::Set(d, -25.0f)));
  const Floats f = hn::Sub(m, hn::Set(d, 1.0f));
  const Floats s = hn::Div(f, hn::Add(f, hn::Set(d, 2.0f)));
  const Floats z = hn::Mul(s, s);
  static constexpr float kTail[] = {0.66666662693f, 0.40000972152f, 0.28498786688f, 0.24279078841f};
  const Floats tail = hn::Mul(z, Polynomial(z, kTail));
  const Floats half_square = hn::Mul(hn::Mul(hn::Set(d, 0.5f), f), f);
  // k ln2_high - ((half_square - (s (half_square + tail) + k ln2_low)) - f)
  const Floats low = hn::MulAdd(s, hn::Add(half_square, tail), hn::Mul(k, hn::Set(d, 9.0580006145e-6f)));
  Floats y = hn::MulAdd(k, hn::Set(d, 6.9313812256e-1f), hn::Sub(f, hn::Sub(half_square, low)));
  const Floats infinity = hn::Inf(d);
  y = hn::IfThenElse(hn::Eq(x, infinity), infinity, y);
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(infinity), y);
  // Not (x >= 0): negative or NaN.
  return hn::IfThenElse(hn::Ge(x, hn::Zero(d)), y, hn::NaN(d));
}

/// tanh x, 2 ulp everywhere: an odd polynomial (Cephes) up to 0.625; beyond it 1 - 2 t / (1 + t) with t =
/// e^-2|x| <= 0.29, where the inverse is a polynomial too: a division would cost more than all the rest.
HWY_INLINE Floats Tanh(Floats x) {
  const FloatTag d;
  const UintTag du;
  const Floats one = hn::Set(d, 1.0f);
  const Floats magnitude = hn::Abs(x);
  const Floats z = hn::Mul(x, x);
  static constexpr float kOdd[] = {-3.33332819422e-1f, 1.33314422036e-1f, -5.37397155531e-2f,
                                   2.06390887954e-2f, -5.70498872745e-3f};
  const Floats near = hn::MulAdd(hn::Mul(magnitude, z), Polynomial(z, kOdd), magnitude);
  const auto is_far = hn::Ge(magnitude, hn::Set(d, 0.625f));
  if (hn::AllFalse(d, is_far)) return hn::CopySign(near, x);  // the rule where scores are capped
  // 2^y as in Exp2; beyond 10 the result is 1. NaN takes the other way.
  const Floats magic = hn::Set(d, kRoundingShift);
  const Floats y = hn::Mul(hn::Min(hn::Set(d, 10.0f), magnitude), hn::Set(d, -2.88539008f));
  const Floats rounded = hn::Add(y, magic);
  const Floats power = Polynomial(hn::Sub(y, hn::Sub(rounded, magic)), kPowersOfTwo);
  const Floats t =
      hn::BitCast(d, hn::Add(hn::BitCast(du, power), hn::ShiftLeft<23>(hn::BitCast(du, rounded))));
  static constexpr float kInverse[] = {9.999983311e-01f,  -9.998805523e-01f, 9.971514940e-01f,
                                       -9.682532549e-01f, 8.141726255e-01f,  -4.112047553e-01f};
  const Floats far = hn::NegMulAdd(hn::Add(t, t), Polynomial(t, kInverse), one);
  return hn::CopySign(hn::IfThenElse(is_far, far, near), x);
}

/// erf x, 2 ulp everywhere: x times a polynomial in x^2 up to 1, beyond it 1 - exp(-polynomial in |x|).
HWY_INLINE Floats Erf(Floats x) {
  const FloatTag d;
  const Floats one = hn::Set(d, 1.0f);
  const Floats magnitude = hn::Abs(x);
  const Floats z = hn::Mul(x, x);
  // 2 / sqrt(pi) - 1 is kept apart so that tiny x rounds once.
  static constexpr float kNear[] = {1.283791661e-01f, -3.761262667e-01f, 1.128359472e-01f, -2.685421201e-02f,
                                    5.189087423e-03f, -8.016864283e-04f, 7.875875050e-05f};
  const Floats near = hn::MulAdd(magnitude, Polynomial(z, kNear), magnitude);
  static constexpr float kFar[] = {-3.201380501e-04f, 1.130233435e+00f, 6.318260516e-01f,  1.100800830e-01f,
                                   -2.642113601e-02f, 4.759596294e-03f, -5.968056258e-04f, 4.605804271e-05f,
                                   -1.637151416e-06f};  // -log erfc on [1, 4]
  const Floats bounded = hn::Min(hn::Set(d, 4.0f), magnitude);
  const Floats far = hn::Sub(one, Exp(hn::Neg(Polynomial(bounded, kFar))));
  return hn::CopySign(hn::IfThenElse(hn::Lt(magnitude, one), near, far), x);
}

/// 1 / (1 + e^-x), 3 ulp, also where it is tiny.
HWY_INLINE Floats Sigmoid(Floats x) {
  const FloatTag d;
  const Floats one = hn::Set(d, 1.0f);
  const Floats e = Exp(hn::Neg(hn::Abs(x)));
  const Floats numerator = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), e, one);
  return hn::Div(numerator, hn::Add(one, e));
}

/// sin(x + quarter_turns * pi / 2). Cody and Waite's reduction in three steps.
HWY_INLINE Floats SinOfQuarters(Floats x, int32_t quarter_turns) {
  const FloatTag d;
  const IntTag di;
  const Floats k = hn::Round(hn::Mul(x, hn::Set(d, 0.636619772f)));
  Floats r = hn::NegMulAdd(k, hn::Set(d, 1.57079637050628662109375f), x);
  r = hn::NegMulAdd(k, hn::Set(d, -4.37113900018624283e-8f), r);
  r = hn::NegMulAdd(k, hn::Set(d, -1.71512451e-15f), r);
  const Floats z = hn::Mul(r, r);
  static constexpr float kSin[] = {-1.6666654611e-1f, 8.3321608736e-3f, -1.9515295891e-4f};  // Cephes
  static constexpr float kCos[] = {4.166664568298827e-2f, -1.388731625493765e-3f, 2.443315711809948e-5f};
  const Floats sine = hn::MulAdd(hn::Mul(r, z), Polynomial(z, kSin), r);
  const Floats half = hn::NegMulAdd(z, hn::Set(d, 0.5f), hn::Set(d, 1.0f));
  const Floats cosine = hn::MulAdd(hn::Mul(z, z), Polynomial(z, kCos), half);
  const Ints quadrant = hn::Add(hn::ConvertTo(di, k), hn::Set(di, quarter_turns));
  const auto odd = hn::RebindMask(d, hn::TestBit(quadrant, hn::Set(di, 1)));
  const Floats sign = hn::BitCast(d, hn::ShiftLeft<30>(hn::And(quadrant, hn::Set(di, 2))));
  const Floats value = hn::Xor(hn::IfThenElse(odd, cosine, sine), sign);
  return hn::Min(hn::Set(d, 1.0f), hn::Max(hn::Set(d, -1.0f), value));
}

/// sin x and cos x, 2 ulp for |x| <= 1e5 (near their zeros: 1e-11 absolute). Beyond, digits are lost as x
/// grows; from 1e9 on they are only known to lie in [-1, 1]. NaN for infinities.
HWY_INLINE Floats Sin(Floats x) { return SinOfQuarters(x, 0); }
HWY_INLINE Floats Cos(Floats x) { return SinOfQuarters(x, 1); }

/// |x|^y for half a vector in double: log2 by the series of atanh, then 2^(y log2 |x|). x may be denormal.
template <class DoubleTag, class V>
HWY_INLINE V PowOfDoubles(DoubleTag dd, V x, V y) {
  const hn::RebindToSigned<DoubleTag> di;
  // Exponent such that the rest lies in [sqrt(1/2), sqrt(2)).
  const auto offset = hn::Set(di, 0x3fe6a09e667f3bcd);
  const auto bits = hn::Sub(hn::BitCast(di, x), offset);
  const auto exponent = hn::ShiftRight<52>(bits);
  const V m = hn::BitCast(dd, hn::Add(hn::And(bits, hn::Set(di, 0x000fffffffffffff)), offset));
  // Whole numbers below 2^51 become doubles by way of a magic number: not every target converts 64-bit
  // integers.
  const V magic = hn::Set(dd, 6755399441055744.0);  // 1.5 * 2^52
  const V k = hn::Sub(hn::BitCast(dd, hn::Add(exponent, hn::BitCast(di, magic))), magic);
  const V s = hn::Div(hn::Sub(m, hn::Set(dd, 1.0)), hn::Add(m, hn::Set(dd, 1.0)));
  static constexpr double kSeries[] = {2.8853900817779268,  0.96179669392597561, 0.57707801635558536,
                                       0.41219858311113240, 0.32059889797532522, 0.26230818925253884,
                                       0.22195308321368670};  // 2 / (ln 2 (2 i + 1))
  V log2 = hn::MulAdd(s, Polynomial(hn::Mul(s, s), kSeries), k);
  const V infinity = hn::Inf(dd);
  log2 = hn::IfThenElse(hn::Eq(x, infinity), infinity, log2);
  log2 = hn::IfThenElse(hn::Eq(x, hn::Zero(dd)), hn::Neg(infinity), log2);
  log2 = hn::IfThenElse(hn::Eq(x, x), log2, x);  // NaN
  V t = hn::Mul(y, log2);
  t = hn::Min(hn::Set(dd, 300.0), hn::Max(hn::Set(dd, -300.0), t));
  const V rounded = hn::Add(t, magic);
  const V r = hn::Sub(t, hn::Sub(rounded, magic));
  static constexpr double kPowers[] = {
      9.99999999959561681e-01, 6.93147180556831888e-01, 2.40226512134983861e-01, 5.55041090632735004e-02,
      9.61802561329675419e-03, 1.33334784725821229e-03, 1.54697292186171796e-04, 1.53037009561495447e-05};
  const V p = Polynomial(r, kPowers);
  const V power = hn::BitCast(dd, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<52>(hn::BitCast(di, rounded))));
  return hn::IfThenElse(hn::Eq(t, t), power, t);
}

/// x^y, 0.6 ulp (through double), with C's special cases: x^0 = 1^y = 1, 0^y, infinities, NaN for a negative
/// base with an exponent that is not whole.
HWY_INLINE Floats Pow(Floats x, Floats y) {
  const FloatTag d;
  const IntTag di;
  const hn::Repartition<double, FloatTag> dd;
  const hn::Half<FloatTag> dh;
  const Floats magnitude = hn::Abs(x);
  const auto low = PowOfDoubles(dd, hn::PromoteTo(dd, hn::LowerHalf(dh, magnitude)),
                                hn::PromoteTo(dd, hn::LowerHalf(dh, y)));
  const auto high = PowOfDoubles(dd, hn::PromoteTo(dd, hn::UpperHalf(dh, magnitude)),
                                 hn::PromoteTo(dd, hn::UpperHalf(dh, y)));
  Floats power = hn::Combine(d, hn::DemoteTo(dh, high), hn::DemoteTo(dh, low));
  const Floats zero = hn::Zero(d), one = hn::Set(d, 1.0f), infinity = hn::Inf(d);
  const Floats y_magnitude = hn::Abs(y);
  // |x| = 1 with an infinite y gave infinity * 0.
  power = hn::IfThenElse(hn::And(hn::Eq(magnitude, one), hn::Eq(y_magnitude, infinity)), one, power);
  // From 2^24 on every float is even, from 2^23 on whole; the conversion only sees what fits.
  const auto small = hn::Lt(y_magnitude, hn::Set(d, 16777216.0f));
  const Floats fitting = hn::IfThenElseZero(small, y);
  const Ints whole_part = hn::ConvertTo(di, fitting);
  const auto whole = hn::Eq(hn::ConvertTo(d, whole_part), fitting);
  const Floats parity_sign = hn::BitCast(d, hn::ShiftLeft<31>(whole_part));
  const Floats negative_zero = hn::BitCast(d, hn::Set(di, static_cast<int32_t>(0x80000000)));
  const Floats sign = hn::And(hn::And(x, parity_sign), negative_zero);
  power = hn::IfThenElse(whole, hn::Or(power, sign), power);
  const auto undefined = hn::AndNot(whole, hn::And(hn::Lt(x, zero), hn::Gt(x, hn::Neg(infinity))));
  power = hn::IfThenElse(undefined, hn::NaN(d), power);
  return hn::IfThenElse(hn::Or(hn::Eq(y, zero), hn::Eq(x, one)), one, power);
}

/// High and low 32 bits of a * b, lane by lane.
HWY_INLINE void MulWide(Uints a, Uints b, Uints& high, Uints& low) {
  const UintTag du;
  low = hn::Mul(a, b);
  const Uints even = hn::BitCast(du, hn::MulEven(a, b));
  const hn::RepartitionToWide<UintTag> wide;
  const Uints a_odd = hn::BitCast(du, hn::ShiftRight<32>(hn::BitCast(wide, a)));
  const Uints b_odd = hn::BitCast(du, hn::ShiftRight<32>(hn::BitCast(wide, b)));
  const Uints odd = hn::BitCast(du, hn::MulEven(a_odd, b_odd));
  high = hn::OddEven(odd, hn::BitCast(du, hn::ShiftRight<32>(hn::BitCast(wide, even))));
}

/// RandomBits(key, example, site, element) of runtime/base/random.h, with key = key_low + 2^32 key_high and
/// element = element_low + 2^32 element_high.
HWY_INLINE Uints RandomWords(uint32_t key_low, uint32_t key_high, Ints example, Ints element_low,
                             Ints element_high, uint32_t site) {
  const UintTag du;
  Uints c0 = hn::BitCast(du, element_low), c1 = hn::BitCast(du, element_high), c2 = hn::BitCast(du, example);
  Uints c3 = hn::Set(du, site);
#pragma clang loop unroll(disable)
  for (int round = 0; round < 10; ++round) {
    Uints a_high, a_low, b_high, b_low;
    MulWide(hn::Set(du, 0xD2511F53u), c0, a_high, a_low);
    MulWide(hn::Set(du, 0xCD9E8D57u), c2, b_high, b_low);
    c0 = hn::Xor(hn::Xor(b_high, c1), hn::Set(du, key_low));
    c1 = b_low;
    c2 = hn::Xor(hn::Xor(a_high, c3), hn::Set(du, key_high));
    c3 = a_low;
    key_low += 0x9E3779B9u;
    key_high += 0xBB67AE85u;
  }
  return c0;
}

/// Dropout's factor, 0 or 1 / (1 - p), bit for bit what KeepFactor of runtime/base/random.h gives.
HWY_INLINE Floats Keep(uint32_t key_low, uint32_t key_high, Ints example, Ints element_low, Ints element_high,
                       uint32_t site, float p) {
  const FloatTag d;
  const IntTag di;
  const Uints bits = RandomWords(key_low, key_high, example, element_low, element_high, site);
  const Floats whole = hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<8>(bits)));
  const Floats uniform = hn::Mul(whole, hn::Set(d, 5.9604644775390625e-8f));
  return hn::IfThenElseZero(hn::Ge(uniform, hn::Set(d, p)), hn::Set(d, 1.0f / (1.0f - p)));
}

/// PlainLog of runtime/base/random.h, bit for bit: no fused multiply-adds.
HWY_INLINE Floats PlainLog(Floats x) {
  const FloatTag d;
  const IntTag di;
  const UintTag du;
  const Uints root_of_half = hn::Set(du, 0x3F3504F3u);
  Uints bits = hn::Add(hn::BitCast(du, x), hn::Sub(hn::Set(du, 0x3F800000u), root_of_half));
  const Floats exponent =
      hn::ConvertTo(d, hn::Sub(hn::BitCast(di, hn::ShiftRight<23>(bits)), hn::Set(di, 127)));
  bits = hn::Add(hn::And(bits, hn::Set(du, 0x7FFFFFu)), root_of_half);
  const Floats f = hn::Sub(hn::BitCast(d, bits), hn::Set(d, 1.0f));
  const Floats s = hn::Div(f, hn::Add(hn::Set(d, 2.0f), f));
  const Floats z = hn::Mul(s, s);
  Floats tail = hn::Mul(z, hn::Set(d, 1.0f / 9));
  tail = hn::Mul(hn::Add(tail, hn::Set(d, 1.0f / 7)), z);
  tail = hn::Mul(hn::Add(tail, hn::Set(d, 1.0f / 5)), z);
  tail = hn::Mul(hn::Add(tail, hn::Set(d, 1.0f / 3)), z);
  const Floats log_m = hn::Mul(hn::Add(s, hn::Mul(s, tail)), hn::Set(d, 2.0f));
  return hn::Add(hn::Mul(exponent, hn::Set(d, 0.693147180559945309f)), log_m);
}

/// Gumbel's noise, bit for bit what GumbelNoise of runtime/base/random.h gives.
HWY_INLINE Floats Gumbel(uint32_t key_low, uint32_t key_high, Ints example, Ints element_low,
                         Ints element_high, uint32_t site) {
  const FloatTag d;
  const IntTag di;
  const Uints bits = RandomWords(key_low, key_high, example, element_low, element_high, site);
  const Floats whole = hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<9>(bits)));
  const Floats u = hn::Mul(hn::Add(whole, hn::Set(d, 0.5f)), hn::Set(d, 1.1920928955078125e-7f));
  return hn::Neg(PlainLog(hn::Neg(PlainLog(u))));
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
