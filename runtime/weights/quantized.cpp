// See quantized.h.
#include "runtime/weights/quantized.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace heed {
namespace {

float FromBfloat(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

uint16_t ScaleAt(const uint8_t* scales, int64_t index) {
  uint16_t bits;  // the file need not be aligned
  std::memcpy(&bits, scales + 2 * index, 2);
  return bits;
}

int32_t NumberAt(const QuantizedForm& form, const uint8_t* numbers, int64_t element) {
  if (form.type == kHeedWeightsInt8) return static_cast<int8_t>(numbers[element]);
  return (numbers[element / 2] >> (element % 2 * 4) & 15) - 8;
}

/// Storage dimensions before, in and after the terms; false if the parts do not end where dimensions do.
bool SplitShape(const HeedParam& param, const QuantizedForm& form, int64_t* first, int64_t* end) {
  int64_t d = 0;
  const auto take = [&](int64_t wanted) {
    int64_t product = 1;
    while (product < wanted && d < param.rank) product *= param.shape[d++];
    return product == wanted;
  };
  if (!take(form.outer)) return false;
  *first = d;
  if (!take(form.terms)) return false;
  *end = d;
  return take(form.inner);
}

}  // namespace

std::optional<QuantizedForm> QuantizedFormOf(const HeedProgram& program, int64_t param,
                                             HeedWeightsType wanted) {
  if (program.packing == nullptr) return std::nullopt;
  const HeedParam& stored = program.params[param];
  for (int64_t i = 0; i < program.packing->matrix_count; ++i) {
    const HeedPackedMatrix& matrix = program.packing->matrices[i];
    const MatrixSize size = SizeOf(matrix);
    if (matrix.param != param || matrix.offset != 0 || size.columns * size.terms != stored.count) continue;
    QuantizedForm form;
    form.type = wanted;
    if (form.type != kHeedWeightsInt8 && form.type != kHeedWeightsInt4) continue;
    form.matrix = i;
    form.terms = size.terms;
    // Terms are one axis; columns what is outside and inside of it, in storage order.
    if (matrix.term_axes != 1) continue;
    form.inner = matrix.strides[matrix.column_axes];
    if (form.inner <= 0 || size.columns % form.inner != 0) continue;
    form.outer = size.columns / form.inner;
    std::vector<std::pair<int64_t, int64_t>> columns;
    if (form.outer > 1) columns.emplace_back(form.outer, form.terms * form.inner);
    if (form.inner > 1) columns.emplace_back(form.inner, 1);
    bool in_order = static_cast<int64_t>(columns.size()) == matrix.column_axes;
    for (size_t c = 0; in_order && c < columns.size(); ++c)
      in_order = columns[c] == std::pair(matrix.extents[c], matrix.strides[c]);
    int64_t first = 0, end = 0;
    if (!in_order || !SplitShape(stored, form, &first, &end)) continue;
    form.number_shape.assign(stored.shape, stored.shape + stored.rank);
    form.scale_shape.assign(stored.shape, stored.shape + first);
    form.scale_shape.push_back(form.Groups());
    form.scale_shape.insert(form.scale_shape.end(), stored.shape + end, stored.shape + stored.rank);
    if (form.type == kHeedWeightsInt4) {
      if (form.number_shape.back() % 2 == 0) {
        form.number_shape.back() /= 2;
      } else {
        form.number_shape = {(stored.count + 1) / 2};
      }
    }
    return form;
  }
  return std::nullopt;
}

void Dequantize(const QuantizedForm& form, const uint8_t* numbers, const uint8_t* scales, int64_t first,
                std::span<float> to) {
  // Runs of elements whose scales are one, or lie adjacent.
  for (size_t done = 0; done < to.size();) {
    const int64_t element = first + static_cast<int64_t>(done);
    const int64_t i = element % form.inner, row = element / form.inner;
    const int64_t t = row % form.terms, o = row / form.terms;
    const int64_t scale = (o * form.Groups() + t / form.Group()) * form.inner + i;
    const int64_t left =
        form.inner > 1 ? form.inner - i : std::min(form.Group() - t % form.Group(), form.terms - t);
    const int64_t run = std::min<int64_t>(left, static_cast<int64_t>(to.size() - done));
    const int64_t step = form.inner > 1 ? 1 : 0;
    for (int64_t r = 0; r < run; ++r) {
      to[done + static_cast<size_t>(r)] = static_cast<float>(NumberAt(form, numbers, element + r)) *
                                          FromBfloat(ScaleAt(scales, scale + r * step));
    }
    done += static_cast<size_t>(run);
  }
}

std::vector<uint16_t> ScalesByColumn(const QuantizedForm& form, const uint8_t* scales) {
  const int64_t groups = form.Groups();
  std::vector<uint16_t> by_column(static_cast<size_t>(form.outer * form.inner * groups));
  for (int64_t o = 0; o < form.outer; ++o) {
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t i = 0; i < form.inner; ++i) {
        by_column[static_cast<size_t>((o * form.inner + i) * groups + g)] =
            ScaleAt(scales, (o * groups + g) * form.inner + i);
      }
    }
  }
  return by_column;
}

std::vector<uint16_t> RoundedToBfloat(std::span<const float> values) {
  std::vector<uint16_t> rounded;
  rounded.reserve(values.size());
  for (const float value : values) {
    const auto bits = std::bit_cast<uint32_t>(value);
    rounded.push_back(std::isnan(value) ? 0x7fc0
                                        : static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16));
  }
  return rounded;
}

QuantizedData Quantized(const QuantizedForm& form, const HeedPacking& packing,
                        const HeedPackedWeights& weights) {
  QuantizedData data;
  const int64_t groups = form.Groups(), count = form.Count();
  data.numbers.resize(static_cast<size_t>(form.type == kHeedWeightsInt8 ? count : (count + 1) / 2));
  data.scales.resize(static_cast<size_t>(weights.columns * groups));
  std::vector<uint16_t> scales(data.scales.size());
  packing.scales(&weights, scales.data());
  // A few columns at a time, back as floats, which are exact multiples of their scales.
  constexpr int64_t kColumns = 64;
  std::vector<float> values(static_cast<size_t>(kColumns * form.terms));
  std::vector<int32_t> index(kColumns);
  HeedUnpack unpack = {};
  unpack.weights = &weights;
  unpack.index = index.data();
  unpack.out = values.data();
  unpack.ms = unpack.ks = 1;
  unpack.axes[1] = {form.terms, 0, 1, 0};
  for (int64_t first = 0; first < weights.columns; first += kColumns) {
    const int64_t columns = std::min(kColumns, weights.columns - first);
    unpack.axes[0] = {columns, 1, form.terms, 0};
    for (int64_t c = 0; c < columns; ++c) index[static_cast<size_t>(c)] = static_cast<int32_t>(first + c);
    std::vector<char> scratch(static_cast<size_t>(packing.unpack_scratch(&unpack)) + 63);
    char* const aligned = scratch.data() + (63 - (reinterpret_cast<uintptr_t>(scratch.data()) + 63) % 64);
    packing.unpack(&unpack, 0, 1, aligned);
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t column = first + c, o = column / form.inner, i = column % form.inner;
      for (int64_t t = 0; t < form.terms; ++t) {
        const int64_t group = t / form.Group();
        const uint16_t bits = scales[static_cast<size_t>(column * groups + group)];
        data.scales[static_cast<size_t>((o * groups + group) * form.inner + i)] = bits;
        const float scale = FromBfloat(bits);
        const float value = values[static_cast<size_t>(c * form.terms + t)];
        const int32_t number = scale == 0 ? 0 : static_cast<int32_t>(std::nearbyint(value / scale));
        const int64_t element = (o * form.terms + t) * form.inner + i;
        if (form.type == kHeedWeightsInt8) {
          data.numbers[static_cast<size_t>(element)] = static_cast<uint8_t>(number);
        } else {
          data.numbers[static_cast<size_t>(element / 2)] |=
              static_cast<uint8_t>((number + 8) << (element % 2 * 4));
        }
      }
    }
  }
  return data;
}

}  // namespace heed
