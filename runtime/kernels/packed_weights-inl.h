// Packed weights: where everything lies, packing a matrix of parameters, reading columns back. Products with
// them are packed_matmul-inl.h's business.
//
// A panel is kPanel columns (missing ones are 0), all its terms one after the other:
//   f32         [term][kPanel] floats
//   bf16        [term][kLanes] pairs of bfloat16: column i in the low half, kLanes + i in the high one
//   int8, int4  [group]{[kLanes] such pairs of scales; [step][kPanel] 32-bit words}; the last group may be
//               shorter. A step is 4 terms, one a byte (int8), or 8: terms 0-3 in the low nibbles of the
//               bytes, 4-7 in the high ones (int4). Numbers have an offset (dot-inl.h) added.
// So a product reads a panel from its beginning to its end.
#if defined(HEED_RUNTIME_KERNELS_PACKED_WEIGHTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_PACKED_WEIGHTS_INL_H_
#undef HEED_RUNTIME_KERNELS_PACKED_WEIGHTS_INL_H_
#else
#define HEED_RUNTIME_KERNELS_PACKED_WEIGHTS_INL_H_
#endif

#include <type_traits>

#include "hwy/highway.h"
#include "runtime/kernels/dot-inl.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/lines-inl.h"
#include "runtime/kernels/pack-inl.h"
#include "runtime/kernels/simd-inl.h"
#include "runtime/kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

/// What differs between the types of whole numbers.
struct Int8Form {
  using Dots = ByteDots;
  static constexpr int64_t kGroup = kHeedInt8Group, kStep = 4;  // terms
  static constexpr float kLowest = -127, kHighest = 127;
};
struct Int4Form {
  using Dots = NibbleDots;
  static constexpr int64_t kGroup = kHeedInt4Group, kStep = 8;
  static constexpr float kLowest = -8, kHighest = 7;
};

template <class Form>
constexpr int64_t Steps(int64_t terms) {
  return (terms + Form::kStep - 1) / Form::kStep;
}
/// 32-bit words of `terms` terms of a panel, from the beginning of a group on.
template <class Form>
constexpr int64_t PanelWords(int64_t terms) {
  const int64_t groups = (terms + Form::kGroup - 1) / Form::kGroup;
  return groups * kLanes + Steps<Form>(terms) * kPanel;
}
HWY_INLINE int64_t PanelBytes(int64_t type, int64_t terms) {
  switch (type) {
    case kHeedWeightsF32:
      return 4 * kPanel * terms;
    case kHeedWeightsBF16:
      return 4 * kLanes * terms;
    case kHeedWeightsInt8:
      return 4 * PanelWords<Int8Form>(terms);
    default:
      return 4 * PanelWords<Int4Form>(terms);
  }
}
HWY_INLINE int64_t PackedPanels(int64_t columns) { return (columns + kPanel - 1) / kPanel; }

/// Rounded to bfloat16, to nearest, ties to even; in the low half. NaN stays NaN.
HWY_INLINE Uints RoundToBfloat(Floats x) {
  const UintTag du;
  const Uints bits = hn::BitCast(du, x);
  const Uints odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
  const Uints rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(du, 0x7fff)), odd));
  return hn::IfThenElse(hn::RebindMask(du, hn::Eq(x, x)), rounded, hn::Set(du, 0x7fc0));
}
HWY_INLINE Uints Pair(Uints low, Uints high) { return hn::Or(low, hn::ShiftLeft<16>(high)); }
HWY_INLINE float FromBfloat(uint32_t bits) {
  const uint32_t whole = bits << 16;
  float value;
  __builtin_memcpy(&value, &whole, 4);
  return value;
}

HWY_INLINE Floats PanelRow(const float* HWY_RESTRICT from, int64_t term, int v) {
  return hn::LoadU(FloatTag(), from + term * kPanel + v * kLanes);
}

/// Nearest whole numbers in the form's range; 0 where the scale is 0.
template <class Form>
HWY_INLINE Ints Quantize(Floats value, Floats scale) {
  const FloatTag d;
  const Floats ratio = hn::Div(value, scale);
  const Floats bounded = hn::Min(hn::Max(ratio, hn::Set(d, Form::kLowest)), hn::Set(d, Form::kHighest));
  return hn::NearestInt(hn::IfThenElse(hn::Eq(scale, hn::Zero(d)), hn::Zero(d), bounded));
}

/// Scales, rounded to bfloat16, for `depth` terms of one vector of columns. int8: the largest number becomes
/// 127. int4: the largest becomes -8, or lies up to an eighth inside or outside of the range: what gives the
/// least sum of squared errors.
template <class Form>
HWY_INLINE Uints ChooseScales(const float* HWY_RESTRICT from, int64_t depth, int v) {
  const FloatTag d;
  const IntTag di;
  Ints largest = hn::Zero(di);  // magnitudes compare as whole numbers do, NaN above all
  Floats signed_largest = hn::Zero(d);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t k = 0; k < depth; ++k) {
    const Floats value = PanelRow(from, k, v);
    const Ints magnitude = hn::BitCast(di, hn::Abs(value));
    signed_largest = hn::IfThenElse(hn::RebindMask(d, hn::Gt(magnitude, largest)), value, signed_largest);
    largest = hn::Max(largest, magnitude);
  }
  if constexpr (std::is_same_v<Form, Int8Form>) {
    return RoundToBfloat(hn::Div(hn::BitCast(d, largest), hn::Set(d, Form::kHighest)));
  } else {
    Floats least = hn::Inf(d);
    Uints best = RoundToBfloat(hn::Div(signed_largest, hn::Set(d, Form::kLowest)));  // if errors overflow
#pragma clang loop unroll(disable) vectorize(disable)
    for (int candidate = 0; candidate < 5; ++candidate) {
      const Floats range = hn::Set(d, -7 - 0.5f * static_cast<float>(candidate));
      const Uints bits = RoundToBfloat(hn::Div(signed_largest, range));
      const Floats scale = hn::BitCast(d, hn::ShiftLeft<16>(bits));
      Floats error = hn::Zero(d);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t k = 0; k < depth; ++k) {
        const Floats value = PanelRow(from, k, v);
        const Floats number = hn::ConvertTo(d, Quantize<Form>(value, scale));
        const Floats difference = hn::NegMulAdd(number, scale, value);
        error = hn::MulAdd(difference, difference, error);
      }
      const auto better = hn::Lt(error, least);
      least = hn::IfThenElse(better, error, least);
      best = hn::IfThenElse(hn::RebindMask(hn::DFromV<Uints>(), better), bits, best);
    }
    // Of nothing but zeros it is 0, not -0.
    const UintTag du;
    return hn::IfThenElse(hn::Eq(hn::ShiftLeft<17>(best), hn::Zero(du)), hn::Zero(du), best);
  }
}

/// One group of a panel. `from` is [term][kPanel], with kGroup terms, those from `depth` on 0.
template <class Form>
HWY_INLINE void PackGroup(const float* HWY_RESTRICT from, int64_t depth, const uint32_t* HWY_RESTRICT scales,
                          uint32_t* HWY_RESTRICT to) {
  const FloatTag d;
  const UintTag du;
  Uints scale_bits[2];
  Unroll<2>([&](auto v) HWY_ATTR {
    scale_bits[v] = scales ? hn::LoadU(du, scales + v * kLanes) : ChooseScales<Form>(from, depth, v);
  });
  hn::StoreU(Pair(scale_bits[0], scale_bits[1]), du, to);
  to += kLanes;
  const int64_t steps = Steps<Form>(depth);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t step = 0; step < steps; ++step) {
    Unroll<2>([&](auto v) HWY_ATTR {
      const Floats scale = hn::BitCast(d, hn::ShiftLeft<16>(scale_bits[v]));
      Uints word = hn::Zero(du);
      Unroll<Form::kStep>([&](auto i) HWY_ATTR {
        const Ints number = hn::Add(Quantize<Form>(PanelRow(from, step * Form::kStep + i, v), scale),
                                    hn::Set(IntTag(), Form::Dots::kOffset));
        if constexpr (Form::kStep == 4) {
          word = hn::Or(word, hn::ShiftLeft<8 * i>(hn::And(hn::BitCast(du, number), hn::Set(du, 0xff))));
        } else {
          word = hn::Or(word, hn::ShiftLeft<8 * (i % 4) + 4 * (i / 4)>(hn::BitCast(du, number)));
        }
      });
      hn::StoreU(word, du, to + v * kLanes);
    });
    to += kPanel;
  }
}

struct PackState {
  const HeedPack* pack;
  const float* from;  // element 0, which need not be there
  int64_t terms, columns;
  Line n, k;
  float* group;      // [kGroup][kPanel]
  uint32_t* scales;  // [kPanel]
};

HWY_INLINE PackState ReadPack(const HeedPack& pack, void* scratch, int64_t& bytes) {
  using Axis = HeedPackAxis;
  PackState state;
  state.pack = &pack;
  state.from = reinterpret_cast<const float*>(reinterpret_cast<uintptr_t>(pack.from) -
                                              sizeof(float) * static_cast<uintptr_t>(pack.first));
  const Axis* const n = pack.axes;
  const Axis* const k = n + pack.ns;
  state.columns = NestSize(n, pack.ns);
  state.terms = NestSize(k, pack.ks);
  LineReader<Axis> line{static_cast<int64_t*>(scratch)};
  state.n = line(n, pack.ns, &Axis::stride);
  state.k = line(k, pack.ks, &Axis::stride);
  if (scratch) {
    const uintptr_t end = reinterpret_cast<uintptr_t>(line.tables);
    state.group = reinterpret_cast<float*>(end + (64 - end % 64) % 64);
    state.scales = reinterpret_cast<uint32_t*>(state.group + kHeedInt8Group * kPanel);
  }
  bytes = RoundUp(line.entries * 8, 64) + (kHeedInt8Group + 1) * kPanel * 4 + 64;
  return state;
}
HWY_INLINE int64_t PackScratch(const HeedPack& pack) {
  int64_t bytes = 0;
  ReadPack(pack, nullptr, bytes);
  return RoundUp(bytes, 64);
}

template <class Form>
HWY_NOINLINE void PackPanel(const PackState& state, int64_t n, int64_t columns, uint32_t* HWY_RESTRICT to) {
  const int64_t groups = (state.terms + Form::kGroup - 1) / Form::kGroup;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t k = state.pack->first_term; k < state.pack->end_term; k += Form::kGroup) {
    const int64_t group = k / Form::kGroup, depth = Min(Form::kGroup, state.terms - k);
    PackColumns(state.from, state.n, state.k, n, columns, k, depth, kPanel, state.group);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = depth * kPanel; i < Steps<Form>(depth) * Form::kStep * kPanel; ++i) state.group[i] = 0;
    if (state.pack->scales) {
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t j = 0; j < kPanel; ++j) {
        state.scales[j] = j < columns ? state.pack->scales[(n + j) * groups + group] : 0u;
      }
    }
    PackGroup<Form>(state.group, depth, state.pack->scales ? state.scales : nullptr, to);
    to += PanelWords<Form>(depth);
  }
}

HWY_NOINLINE inline void PackBfloatPanel(const PackState& state, int64_t n, int64_t columns,
                                         uint32_t* HWY_RESTRICT to) {
  const UintTag du;
  constexpr int64_t kTerms = kHeedInt8Group;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t k = state.pack->first_term; k < state.pack->end_term; k += kTerms) {
    const int64_t depth = Min(kTerms, state.pack->end_term - k);
    PackColumns(state.from, state.n, state.k, n, columns, k, depth, kPanel, state.group);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t term = 0; term < depth; ++term) {
      const Uints low = RoundToBfloat(PanelRow(state.group, term, 0));
      hn::StoreU(Pair(low, RoundToBfloat(PanelRow(state.group, term, 1))), du, to);
      to += kLanes;
    }
  }
}

HWY_INLINE void PackWeights(const HeedPack& pack, int64_t first, int64_t end, void* scratch) {
  int64_t bytes = 0;
  const PackState state = ReadPack(pack, scratch, bytes);
  const int64_t panel_bytes = PanelBytes(pack.type, state.terms);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t panel = first; panel < end; ++panel) {
    const int64_t n = panel * kPanel, columns = Min(kPanel, state.columns - n);
    void* const to =
        static_cast<uint8_t*>(pack.to) + panel * panel_bytes + PanelBytes(pack.type, pack.first_term);
    switch (pack.type) {
      case kHeedWeightsF32:
        PackColumns(state.from, state.n, state.k, n, columns, pack.first_term,
                    pack.end_term - pack.first_term, kPanel, static_cast<float*>(to));
        break;
      case kHeedWeightsBF16:
        PackBfloatPanel(state, n, columns, static_cast<uint32_t*>(to));
        break;
      case kHeedWeightsInt8:
        PackPanel<Int8Form>(state, n, columns, static_cast<uint32_t*>(to));
        break;
      default:
        PackPanel<Int4Form>(state, n, columns, static_cast<uint32_t*>(to));
        break;
    }
  }
}

/// out[k line at term] = W[term, column], for all terms.
template <class Form>
HWY_INLINE void UnpackColumn(const uint32_t* HWY_RESTRICT panel, int64_t column, int64_t terms,
                             const Line& k_line, float* HWY_RESTRICT out) {
  const int64_t half = column / kLanes, lane = column % kLanes;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t k = 0; k < terms; k += Form::kGroup) {
    const int64_t depth = Min(Form::kGroup, terms - k);
    const float scale = FromBfloat(panel[lane] >> (16 * half));
    const uint32_t* words = panel + kLanes + column;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < depth; ++i) {
      const uint32_t word = words[i / Form::kStep * kPanel];
      int32_t number;
      if constexpr (Form::kStep == 4) {
        const uint32_t byte = word >> (8 * (i % 4)) & 0xff;
        number = Form::Dots::kOffset ? static_cast<int32_t>(byte) - Form::Dots::kOffset
                                     : static_cast<int8_t>(byte);
      } else {
        number = static_cast<int32_t>(word >> (8 * (i % 4) + 4 * (i / 4 % 2)) & 0xf) - Form::Dots::kOffset;
      }
      out[k_line.At(k + i)] = static_cast<float>(number) * scale;
    }
    panel += PanelWords<Form>(depth);
  }
}

template <class Form>
HWY_INLINE void ReadScales(const HeedPackedWeights& weights, uint16_t* HWY_RESTRICT scales) {
  const uint8_t* const data = static_cast<const uint8_t*>(weights.data);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t n = 0; n < weights.columns; ++n) {
    const void* const panel = data + n / kPanel * PanelBytes(weights.type, weights.terms);
    const uint32_t* words = static_cast<const uint32_t*>(panel);
    const int64_t column = n % kPanel;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t k = 0; k < weights.terms; k += Form::kGroup) {
      *scales++ = static_cast<uint16_t>(words[column % kLanes] >> (16 * (column / kLanes)));
      words += PanelWords<Form>(Min(Form::kGroup, weights.terms - k));
    }
  }
}
HWY_INLINE void PackedScales(const HeedPackedWeights& weights, uint16_t* scales) {
  if (weights.type == kHeedWeightsInt8) ReadScales<Int8Form>(weights, scales);
  if (weights.type == kHeedWeightsInt4) ReadScales<Int4Form>(weights, scales);
}

HWY_INLINE int64_t UnpackScratch(const HeedUnpack& unpack) {
  return RoundUp((NestSize(unpack.axes, unpack.ms) * 2 + NestSize(unpack.axes + unpack.ms, unpack.ks)) * 8,
                 64);
}

HWY_INLINE void Unpack(const HeedUnpack& unpack, int64_t part, int64_t parts, void* scratch) {
  using Axis = HeedUnpackAxis;
  int64_t* tables = static_cast<int64_t*>(scratch);
  const Line index_m = MakeLine(unpack.axes, unpack.ms, &Axis::index, tables);
  const Line out_m = MakeLine(unpack.axes, unpack.ms, &Axis::out, tables);
  const Line out_k = MakeLine(unpack.axes + unpack.ms, unpack.ks, &Axis::out, tables);
  const Line plain_k = MakeLine(unpack.axes + unpack.ms, unpack.ks, &Axis::plain, tables);
  const HeedPackedWeights& weights = *unpack.weights;
  const int64_t rows = NestSize(unpack.axes, unpack.ms);
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t row = rows * part / parts; row < rows * (part + 1) / parts; ++row) {
    const int64_t n = unpack.index[index_m.At(row)];
    float* const out = unpack.out + out_m.At(row);
    if (n < 0 || n >= weights.columns) {
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t k = 0; k < weights.terms; ++k) out[out_k.At(k)] = 0;
      continue;
    }
    if (weights.type == kHeedWeightsPlain) {
      const float* const from = static_cast<const float*>(weights.data) + n * unpack.plain_column;
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t k = 0; k < weights.terms; ++k) out[out_k.At(k)] = from[plain_k.At(k)];
      continue;
    }
    const int64_t column = n % kPanel;
    const void* const panel =
        static_cast<const uint8_t*>(weights.data) + n / kPanel * PanelBytes(weights.type, weights.terms);
    const uint32_t* const words = static_cast<const uint32_t*>(panel);
    switch (weights.type) {
      case kHeedWeightsF32:
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t k = 0; k < weights.terms; ++k) {
          out[out_k.At(k)] = static_cast<const float*>(panel)[k * kPanel + column];
        }
        break;
      case kHeedWeightsBF16:
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t k = 0; k < weights.terms; ++k) {
          const uint32_t pair = words[k * kLanes + column % kLanes];
          out[out_k.At(k)] = FromBfloat(pair >> (16 * (column / kLanes)));
        }
        break;
      case kHeedWeightsInt8:
        UnpackColumn<Int8Form>(words, column, weights.terms, out_k, out);
        break;
      default:
        UnpackColumn<Int4Form>(words, column, weights.terms, out_k, out);
        break;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
