// Packed matrices of every type for the kernels: made, then rounded and multiplied by a reference of its own.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/kernels/native.h"
#include "tests/kernels/native_packed.h"
#include "tests/kernels/packed_kernels.h"

namespace heed {

inline const float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kUntouched = -12345.678f;
inline constexpr int64_t kTypes[] = {kHeedWeightsF32, kHeedWeightsBF16, kHeedWeightsInt8, kHeedWeightsInt4,
                                     kHeedWeightsPlain};
inline const char* const kTypeNames[] = {"f32", "bf16", "int8", "int4", "plain"};

inline float FromBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline uint32_t Bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}
inline float RoundedToBfloat(float value) {
  if (std::isnan(value)) return value;
  const uint32_t bits = Bits(value);
  return FromBits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
}

inline int64_t GroupOf(int64_t type) {
  return type == kHeedWeightsInt8 ? kHeedInt8Group : type == kHeedWeightsInt4 ? kHeedInt4Group : 0;
}

/// Memory that ends where others begin, filled with NaN and guarded by a pattern behind it.
class Block {
 public:
  explicit Block(int64_t bytes) : bytes_(bytes) {
    data_ = static_cast<uint8_t*>(aligned_alloc(64, static_cast<size_t>(bytes + 64 + 63) / 64 * 64));
    std::memset(data_, 0xff, static_cast<size_t>(bytes + 64));
  }
  ~Block() {
    for (int64_t i = bytes_; i < bytes_ + 64; ++i) EXPECT_EQ(data_[i], 0xff) << "written behind the end";
    free(data_);
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  uint8_t* data() { return data_; }

 private:
  int64_t bytes_;
  uint8_t* data_;
};

/// A matrix of parameters in some layout, packed.
struct Matrix {
  std::vector<float> from;
  HeedPack pack = {};
  int64_t terms = 1, columns = 1;
  std::vector<int64_t> n, k;  // offsets

  Matrix(const std::vector<int64_t>& ns, const std::vector<int64_t>& ks, bool terms_adjacent, bool gaps,
         std::mt19937& random) {
    pack.ns = static_cast<int64_t>(ns.size());
    pack.ks = static_cast<int64_t>(ks.size());
    int64_t axis = 0;
    for (int64_t extent : ns) pack.axes[axis++].extent = extent, columns *= extent;
    for (int64_t extent : ks) pack.axes[axis++].extent = extent, terms *= extent;
    int64_t size = 1;
    const auto place = [&](int64_t first, int64_t count) {
      for (int64_t i = first + count; i-- > first;) {
        pack.axes[i].stride = size;
        size *= pack.axes[i].extent;
        if (gaps) size += random() % 3;
      }
    };
    if (terms_adjacent) place(pack.ns, pack.ks);
    place(0, pack.ns);
    if (!terms_adjacent) place(pack.ns, pack.ks);
    n = Offsets(0, pack.ns);
    k = Offsets(pack.ns, pack.ks);
    from.assign(static_cast<size_t>(size), kNan);
    std::normal_distribution<float> normal;
    for (int64_t offset_n : n) {
      for (int64_t offset_k : k) from[offset_n + offset_k] = normal(random);
    }
    pack.from = from.data();
  }
  float& At(int64_t term, int64_t column) { return from[n[column] + k[term]]; }

 private:
  std::vector<int64_t> Offsets(int64_t first, int64_t count) const {
    std::vector<int64_t> offsets = {0};
    for (int64_t i = first; i < first + count; ++i) {
      std::vector<int64_t> next;
      for (int64_t offset : offsets) {
        for (int64_t e = 0; e < pack.axes[i].extent; ++e) next.push_back(offset + e * pack.axes[i].stride);
      }
      offsets = std::move(next);
    }
    return offsets;
  }
};

/// What the packed form stands for: whole numbers and scales (int8, int4), or values.
struct Rounded {
  int64_t type, terms, columns, groups = 0;
  std::vector<float> values;     // [term][column]
  std::vector<int32_t> numbers;  // [term][column]
  std::vector<float> scales;     // [group][column]
};
/// `of` [terms] on a target with fused multiply-add or without.
inline float ChooseScale(const std::vector<float>& of, int64_t type, bool fused) {
  float largest = 0;
  for (float value : of) {
    if (std::abs(value) > std::abs(largest)) largest = value;
  }
  if (type == kHeedWeightsInt8) return RoundedToBfloat(std::abs(largest) / 127);
  float best = RoundedToBfloat(largest / -8), least = std::numeric_limits<float>::infinity();
  for (float range : {-7.0f, -7.5f, -8.0f, -8.5f, -9.0f}) {
    const float scale = RoundedToBfloat(largest / range);
    float error = 0;
    for (float value : of) {
      const float ratio = scale == 0 ? 0 : std::clamp(value / scale, -8.0f, 7.0f);
      const float number = std::nearbyint(ratio);
      const float difference = fused ? std::fma(-number, scale, value) : value - number * scale;
      error = fused ? std::fma(difference, difference, error) : difference * difference + error;
    }
    if (error < least) best = scale, least = error;
  }
  return best;
}

inline Rounded Round(Matrix& matrix, int64_t type, bool fused) {
  Rounded rounded{type, matrix.terms, matrix.columns, 0, {}, {}, {}};
  rounded.values.resize(matrix.terms * matrix.columns);
  rounded.numbers.resize(matrix.terms * matrix.columns);
  const int64_t group_size = GroupOf(type);
  if (group_size > 0) rounded.groups = (matrix.terms + group_size - 1) / group_size;
  rounded.scales.resize(rounded.groups * matrix.columns);
  const float low = type == kHeedWeightsInt8 ? -127 : -8, high = type == kHeedWeightsInt8 ? 127 : 7;
  for (int64_t n = 0; n < matrix.columns; ++n) {
    for (int64_t group = 0; group < rounded.groups; ++group) {
      const int64_t first = group * group_size, end = std::min(first + group_size, matrix.terms);
      std::vector<float> of;
      for (int64_t k = first; k < end; ++k) of.push_back(matrix.At(k, n));
      const float scale = ChooseScale(of, type, fused);
      rounded.scales[group * matrix.columns + n] = scale;
      for (int64_t k = first; k < end; ++k) {
        const float ratio = scale == 0 ? 0 : matrix.At(k, n) / scale;
        const int32_t number = static_cast<int32_t>(std::nearbyint(std::clamp(ratio, low, high)));
        rounded.numbers[k * matrix.columns + n] = number;
        rounded.values[k * matrix.columns + n] = static_cast<float>(number) * scale;
      }
    }
    for (int64_t k = 0; k < matrix.terms && group_size == 0; ++k) {
      const float value = matrix.At(k, n);
      rounded.values[k * matrix.columns + n] = type == kHeedWeightsBF16 ? RoundedToBfloat(value) : value;
    }
  }
  return rounded;
}

/// The packed form of a matrix on one target.
class Packed {
 public:
  Packed(const PackedKernels& kernels, Matrix& matrix, int64_t type,
         const std::vector<uint16_t>* scales = nullptr)
      : memory_(type == kHeedWeightsPlain ? 0 : kernels.bytes(type, matrix.terms, matrix.columns)) {
    if (type == kHeedWeightsPlain) {
      weights_ = {matrix.from.data(), type, matrix.terms, matrix.columns};
      return;
    }
    HeedPack pack = matrix.pack;
    pack.type = type;
    pack.to = memory_.data();
    if (scales) pack.scales = scales->data();
    Block scratch(kernels.pack_scratch(&pack));
    // In several calls, the last panels and terms first.
    const int64_t width = kernels.panel_columns(), panels = (matrix.columns + width - 1) / width;
    for (int64_t end = panels; end > 0;) {
      const int64_t first = std::max<int64_t>(0, end - 3);
      pack.end_term = matrix.terms;
      do {
        pack.first_term = std::max<int64_t>(0, pack.end_term - 1) / 256 * 256;
        kernels.pack(&pack, first, end, scratch.data());
        pack.end_term = pack.first_term;
      } while (pack.end_term > 0);
      end = first;
    }
    weights_ = {memory_.data(), type, matrix.terms, matrix.columns};
  }
  const HeedPackedWeights* weights() const { return &weights_; }

 private:
  Block memory_;
  HeedPackedWeights weights_;
};

/// Rows to multiply, and where results go.
struct Rows {
  HeedPackedMatmul packed = {};
  HeedMatmul& matmul = packed.matmul;
  std::vector<float> a, c;
  std::vector<int64_t> a_m, a_k, c_m, c_n;
  int64_t rows = 1;

  /// ns and ks as the matrix has them.
  Rows(const Matrix& matrix, const std::vector<int64_t>& ms, bool rows_adjacent, bool columns_apart,
       std::mt19937& random) {
    matmul.ms = static_cast<int64_t>(ms.size());
    matmul.ns = matrix.pack.ns;
    matmul.ks = matrix.pack.ks;
    int64_t axis = 0;
    for (int64_t extent : ms) matmul.axes[axis++].extent = extent, rows *= extent;
    for (int64_t i = 0; i < matrix.pack.ns + matrix.pack.ks; ++i) {
      matmul.axes[axis].extent = matrix.pack.axes[i].extent;
      matmul.axes[axis++].b = matrix.pack.axes[i].stride;
    }
    const int64_t n = matmul.ms, k = n + matmul.ns, end = k + matmul.ks;
    int64_t size = 1;
    const auto place = [&](int64_t first, int64_t last, int64_t HeedMatmulAxis::* stride) {
      for (int64_t i = last; i-- > first;) {
        matmul.axes[i].*stride = size;
        size *= matmul.axes[i].extent;
      }
    };
    if (rows_adjacent) place(0, n, &HeedMatmulAxis::a);
    place(k, end, &HeedMatmulAxis::a);
    if (!rows_adjacent) place(0, n, &HeedMatmulAxis::a);
    a.resize(size);
    std::normal_distribution<float> normal;
    for (float& value : a) value = normal(random);
    size = 1;
    if (columns_apart) place(0, n, &HeedMatmulAxis::c);
    place(n, k, &HeedMatmulAxis::c);
    if (!columns_apart) place(0, n, &HeedMatmulAxis::c);
    c.resize(size);
    a_m = Offsets(0, n, &HeedMatmulAxis::a);
    c_m = Offsets(0, n, &HeedMatmulAxis::c);
    c_n = Offsets(n, k, &HeedMatmulAxis::c);
    a_k = Offsets(k, end, &HeedMatmulAxis::a);
  }
  void Run(const PackedKernels& kernels, const HeedPackedWeights* weights, int64_t parts,
           const TestEpilogue* epilogue = nullptr) {
    std::fill(c.begin(), c.end(), kUntouched);
    matmul.a = a.data();
    matmul.c = c.data();
    packed.weights = weights;
    matmul.context = epilogue;
    matmul.finish = epilogue ? kernels.finish_epilogue : kernels.finish;
    Block scratch(kernels.matmul_scratch(&packed));
    for (int64_t part = parts; part-- > 0;) kernels.matmul(&packed, part, parts, scratch.data());
  }

 private:
  std::vector<int64_t> Offsets(int64_t first, int64_t end, int64_t HeedMatmulAxis::* stride) const {
    std::vector<int64_t> offsets = {0};
    for (int64_t i = first; i < end; ++i) {
      std::vector<int64_t> next;
      for (int64_t offset : offsets) {
        for (int64_t e = 0; e < matmul.axes[i].extent; ++e)
          next.push_back(offset + e * matmul.axes[i].*stride);
      }
      offsets = std::move(next);
    }
    return offsets;
  }
};

/// The sums in the promised order.
inline std::vector<float> Expected(const Rows& rows, const Rounded& w, bool fused,
                                   const TestEpilogue* epilogue) {
  std::vector<float> c(rows.c.size(), kUntouched);
  const auto add = [&](float x, float y, float sum) { return fused ? std::fma(x, y, sum) : x * y + sum; };
  for (int64_t m = 0; m < rows.rows; ++m) {
    const float* a = rows.a.data() + rows.a_m[m];
    std::vector<int32_t> numbers(w.terms);
    std::vector<float> scales(w.groups);
    for (int64_t group = 0; group < w.groups; ++group) {
      const int64_t first = group * GroupOf(w.type), end = std::min(first + GroupOf(w.type), w.terms);
      float largest = 0;
      for (int64_t k = first; k < end; ++k) largest = std::max(largest, std::abs(a[rows.a_k[k]]));
      scales[group] = largest / 127;
      const float inverse = std::min(127 / largest, std::numeric_limits<float>::max());
      for (int64_t k = first; k < end; ++k) {
        numbers[k] = static_cast<int32_t>(std::nearbyint(a[rows.a_k[k]] * inverse));
      }
    }
    for (int64_t n = 0; n < w.columns; ++n) {
      float total = 0;
      if (w.groups > 0) {
        for (int64_t group = 0; group < w.groups; ++group) {
          const int64_t first = group * GroupOf(w.type), end = std::min(first + GroupOf(w.type), w.terms);
          int32_t sum = 0;
          for (int64_t k = first; k < end; ++k) sum += numbers[k] * w.numbers[k * w.columns + n];
          total = add(static_cast<float>(sum), scales[group] * w.scales[group * w.columns + n], total);
        }
      } else {
        float sum = 0;
        for (int64_t k = 0; k < w.terms; ++k) {
          if (k % 384 == 0 && k > 0) {
            total = k == 384 ? sum : total + sum;
            sum = 0;
          }
          sum = add(a[rows.a_k[k]], w.values[k * w.columns + n], sum);
        }
        total = w.terms <= 384 ? sum : total + sum;
      }
      const int64_t offset = rows.c_m[m] + rows.c_n[n];
      if (epilogue) {
        total *= epilogue->scale;
        if (epilogue->bias) total += epilogue->bias[n];
        if (epilogue->residual) total += epilogue->residual[offset];
        total = std::max(total, 0.0f);
        total = add(epilogue->m_weight, static_cast<float>(m), total);
      }
      c[offset] = total;
    }
  }
  return c;
}

inline void ExpectSame(const std::vector<float>& expected, const std::vector<float>& got,
                       const std::string& what) {
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(Bits(expected[i]), Bits(got[i]))
        << what << ": element " << i << " is " << got[i] << ", not " << expected[i];
  }
}

/// All types on all of them.
template <class Body>
void ForAll(const Body& body) {
  for (const PackedKernels* kernels : AllPackedKernelsAndLevels()) {
    for (int64_t type : kTypes) {
      body(*kernels, type, std::string(kernels->target) + " " + kTypeNames[type]);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

inline std::vector<float> UnpackAll(const PackedKernels& kernels, const Matrix& matrix,
                                    const HeedPackedWeights* weights, int64_t parts) {
  // Every column once, last first, and one that is not there; terms as the outer axis of the result.
  const int64_t rows = weights->columns + 1;
  std::vector<int32_t> index(rows);
  for (int64_t i = 0; i < weights->columns; ++i) index[i] = static_cast<int32_t>(weights->columns - 1 - i);
  index[rows - 1] = static_cast<int32_t>(weights->columns);
  std::vector<float> out(rows * weights->terms, kUntouched);
  HeedUnpack unpack = {};
  unpack.weights = weights;
  unpack.index = index.data();
  unpack.out = out.data();
  unpack.ms = unpack.ks = 1;
  unpack.axes[0] = {rows, 1, 1, 0};
  unpack.axes[1] = {weights->terms, 0, rows, matrix.pack.axes[1].stride};
  unpack.plain_column = matrix.pack.axes[0].stride;
  Block scratch(kernels.unpack_scratch(&unpack));
  for (int64_t part = parts; part-- > 0;) kernels.unpack(&unpack, part, parts, scratch.data());
  return out;
}

}  // namespace heed
