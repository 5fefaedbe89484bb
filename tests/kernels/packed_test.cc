// Packed weights on every Highway target and every CPU level this machine runs (the latter as generated
// programs have them, with their dot products), at odd sizes and in odd layouts: what packing rounds to,
// products bit for bit against the sums that heed_kernels.h promises, f32 against the plain matrix product;
// independence of the number of rows and parts; NaN stays in its row and column; nothing is read or written
// outside.
#include "tests/support/kernel_packed.h"

namespace heed {
namespace {

TEST(KernelsPacked, ColumnsComeBackRounded) {
  std::mt19937 random(1);
  for (auto [terms, columns] : {std::pair<int64_t, int64_t>(1, 1),
                                {3, 5},
                                {4, 33},
                                {31, 64},
                                {33, 7},
                                {127, 40},
                                {130, 100},
                                {400, 17}}) {
    for (bool terms_adjacent : {false, true}) {
      for (bool gaps : {false, true}) {
        Matrix matrix({columns}, {terms}, terms_adjacent, gaps, random);
        if (terms > 3) matrix.At(2, 0) = 0, matrix.At(3, 0) = -0.0f;
        if (columns > 4) {
          for (int64_t k = 0; k < terms; ++k) matrix.At(k, 3) = 0, matrix.At(k, 4) *= 1e-41f;
        }
        ForAll([&](const PackedKernels& kernels, int64_t type, const std::string& what) {
          const Packed packed(kernels, matrix, type);
          const Rounded rounded = Round(matrix, type, kernels.fused);
          for (int64_t parts : {1, 3}) {
            const std::vector<float> out = UnpackAll(kernels, matrix, packed.weights(), parts);
            for (int64_t k = 0; k < terms; ++k) {
              for (int64_t n = 0; n < columns; ++n) {
                ASSERT_EQ(out[k * (columns + 1) + columns - 1 - n], rounded.values[k * columns + n])
                    << what << " term " << k << " of column " << n << ", " << terms << " x " << columns;
              }
              ASSERT_EQ(out[k * (columns + 1) + columns], 0) << what;
            }
          }
        });
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(KernelsPacked, RoundingIsWithinHalfAStep) {
  std::mt19937 random(2);
  Matrix matrix({50}, {300}, true, false, random);
  ForAll([&](const PackedKernels& kernels, int64_t type, const std::string& what) {
    const Packed packed(kernels, matrix, type);
    const std::vector<float> out = UnpackAll(kernels, matrix, packed.weights(), 1);
    double error = 0, square = 0;
    for (int64_t n = 0; n < 50; ++n) {
      for (int64_t k = 0; k < 300; ++k) {
        const double was = matrix.At(k, n), difference = out[k * 51 + 49 - n] - was;
        error += difference * difference;
        square += was * was;
      }
    }
    // Normal numbers: 2^-9 / sqrt(3) and less of bfloat16; a step of about (largest of the group) / 127 or
    // / 8.
    const double most[] = {0, 0.002, 0.008, 0.086, 0};
    EXPECT_LE(std::sqrt(error / square), most[type]) << what;
  });
}

TEST(KernelsPacked, GivenScalesGiveTheSameNumbersBack) {
  std::mt19937 random(3);
  Matrix matrix({45}, {150}, true, false, random);
  for (int64_t type : {kHeedWeightsInt8, kHeedWeightsInt4}) {
    // Multiples of scales that packing would not choose.
    const int64_t group = GroupOf(type), groups = (150 + group - 1) / group;
    std::vector<float> scales(45 * groups);
    std::vector<uint16_t> scale_bits(scales.size());
    for (size_t i = 0; i < scales.size(); ++i) {
      scales[i] = RoundedToBfloat(0.001f + static_cast<float>(random() % 1000) * 1e-3f);
      scale_bits[i] = static_cast<uint16_t>(Bits(scales[i]) >> 16);
    }
    const int32_t low = type == kHeedWeightsInt8 ? -127 : -8, span = type == kHeedWeightsInt8 ? 255 : 16;
    for (int64_t n = 0; n < 45; ++n) {
      for (int64_t k = 0; k < 150; ++k) {
        const int32_t number = low + static_cast<int32_t>(random() % span);
        matrix.At(k, n) = static_cast<float>(number) * scales[n * groups + k / group];
      }
    }
    for (const PackedKernels* kernels : AllPackedKernelsAndLevels()) {
      const Packed packed(*kernels, matrix, type, &scale_bits);
      const std::vector<float> out = UnpackAll(*kernels, matrix, packed.weights(), 1);
      for (int64_t n = 0; n < 45; ++n) {
        for (int64_t k = 0; k < 150; ++k) ASSERT_EQ(out[k * 46 + 44 - n], matrix.At(k, n)) << kernels->target;
      }
    }
  }
}

TEST(KernelsPacked, ProductsOfOddSizes) {
  std::mt19937 random(4);
  for (auto [m, n, k] : {std::tuple<int64_t, int64_t, int64_t>(1, 1, 1),
                         {1, 70, 5},
                         {1, 200, 700},
                         {2, 33, 31},
                         {4, 32, 32},
                         {5, 7, 33},
                         {8, 16, 128},
                         {9, 31, 130},
                         {13, 65, 383},
                         {14, 64, 384},
                         {15, 40, 385},
                         {16, 130, 100},
                         {29, 50, 257},
                         {61, 45, 64},
                         {150, 70, 400}}) {
    for (bool transposed : {false, true}) {
      Matrix matrix({n}, {k}, transposed, transposed, random);
      Rows rows(matrix, {m}, transposed, transposed, random);
      ForAll([&](const PackedKernels& kernels, int64_t type, const std::string& what) {
        const Packed packed(kernels, matrix, type);
        const std::vector<float> expected =
            Expected(rows, Round(matrix, type, kernels.fused), kernels.fused, nullptr);
        for (int64_t parts : {1, 2, 3, 7}) {
          rows.Run(kernels, packed.weights(), parts);
          ExpectSame(expected, rows.c,
                     what + " " + std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k));
          if (HasFatalFailure()) return;
        }
      });
      if (HasFatalFailure()) return;
    }
  }
}

TEST(KernelsPacked, NestsOfAxes) {
  std::mt19937 random(5);
  for (int round = 0; round < 25; ++round) {
    const auto nest = [&](int most) {
      std::vector<int64_t> extents;
      for (uint32_t i = random() % 4; i-- > 0;) extents.push_back(1 + random() % most);
      return extents;
    };
    Matrix matrix(nest(8), nest(8), random() % 2, random() % 2, random);
    Rows rows(matrix, nest(5), random() % 2, random() % 2, random);
    ForAll([&](const PackedKernels& kernels, int64_t type, const std::string& what) {
      const Packed packed(kernels, matrix, type);
      const std::vector<float> expected =
          Expected(rows, Round(matrix, type, kernels.fused), kernels.fused, nullptr);
      for (int64_t parts : {1, 2}) {
        rows.Run(kernels, packed.weights(), parts);
        ExpectSame(expected, rows.c, what);
      }
    });
    if (HasFatalFailure()) return;
  }
}

TEST(KernelsPacked, ManyBlocksOfRowsAndOfTerms) {
  std::mt19937 random(6);
  Matrix matrix({40}, {2000}, true, false, random);
  Rows rows(matrix, {400}, false, false, random);
  ForAll([&](const PackedKernels& kernels, int64_t type, const std::string& what) {
    const Packed packed(kernels, matrix, type);
    const std::vector<float> expected =
        Expected(rows, Round(matrix, type, kernels.fused), kernels.fused, nullptr);
    for (int64_t parts : {1, 2}) {
      rows.Run(kernels, packed.weights(), parts);
      ExpectSame(expected, rows.c, what);
    }
  });
}

TEST(KernelsPacked, FloatsAsThePlainProductBitForBit) {
  std::mt19937 random(7);
  for (auto [m, n, k] :
       {std::tuple<int64_t, int64_t, int64_t>(1, 100, 900), {3, 64, 384}, {40, 50, 1000}, {17, 33, 40}}) {
    Matrix matrix({n}, {k}, false, false, random);
    Rows rows(matrix, {m}, false, false, random);
    for (const PackedKernels* kernels : AllPackedKernelsAndLevels()) {
      const Packed packed(*kernels, matrix, kHeedWeightsF32);
      rows.Run(*kernels, packed.weights(), 2);
      for (const NativeKernels* plain : AllNativeKernels()) {
        if (!plain->exact || plain->fused != kernels->fused) continue;
        HeedMatmul matmul = {};
        std::vector<float> c(rows.c.size());
        matmul.a = rows.a.data();
        matmul.b = matrix.from.data();
        matmul.c = c.data();
        matmul.ms = matmul.ns = matmul.ks = 1;
        matmul.axes[0] = {m, k, 0, n, 0};
        matmul.axes[1] = {n, 0, 1, 1, 0};
        matmul.axes[2] = {k, 1, n, 0, 0};
        Block scratch(plain->matmul_scratch(&matmul));
        plain->matmul(&matmul, 0, 1, scratch.data());
        ExpectSame(c, rows.c, std::string(kernels->target) + " and " + plain->target);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(KernelsPacked, ARowDoesNotDependOnOthers) {
  std::mt19937 random(8);
  Matrix matrix({100}, {300}, true, false, random);
  Rows all(matrix, {37}, false, false, random), one(matrix, {1}, false, false, random);
  ForAll([&](const PackedKernels& kernels, int64_t type, const std::string& what) {
    const Packed packed(kernels, matrix, type);
    all.Run(kernels, packed.weights(), 2);
    for (int64_t m = 0; m < 37; ++m) {
      std::copy_n(all.a.begin() + 300 * m, 300, one.a.begin());
      one.Run(kernels, packed.weights(), 1);
      ExpectSame(one.c, std::vector<float>(all.c.begin() + 100 * m, all.c.begin() + 100 * (m + 1)), what);
      if (HasFatalFailure()) return;
    }
  });
}

TEST(KernelsPacked, WhatIsNotANumberStaysInItsRowAndColumn) {
  std::mt19937 random(9);
  for (float strange :
       {kNan, std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()}) {
    Matrix matrix({40}, {200}, true, false, random);
    Rows rows(matrix, {9}, false, false, random);
    matrix.At(150, 7) = strange;
    rows.a[200 * 4 + 100] = strange;
    ForAll([&](const PackedKernels& kernels, int64_t type, const std::string& what) {
      const Packed packed(kernels, matrix, type);
      rows.Run(kernels, packed.weights(), 1);
      for (int64_t m = 0; m < 9; ++m) {
        for (int64_t n = 0; n < 40; ++n) {
          ASSERT_EQ(std::isfinite(rows.c[40 * m + n]), m != 4 && n != 7) << what << " " << m << " " << n;
        }
      }
    });
    if (HasFatalFailure()) return;
  }
}

TEST(KernelsPacked, ExtremeNumbers) {
  // Rows and weights of denormal and of huge numbers, and zeros, give what the promised sums give.
  std::mt19937 random(10);
  for (float factor : {0.0f, 1e-44f, 1e-38f, 1e-30f, 1e18f, 1e25f}) {
    Matrix matrix({40}, {200}, false, false, random);
    Rows rows(matrix, {6}, false, false, random);
    for (size_t i = 0; i < rows.a.size() && factor < 1e20f; ++i) rows.a[i] *= factor;
    for (int64_t n = 20; n < 40; ++n) {
      for (int64_t k = 0; k < 200; ++k) matrix.At(k, n) *= factor;
    }
    ForAll([&](const PackedKernels& kernels, int64_t type, const std::string& what) {
      const Packed packed(kernels, matrix, type);
      rows.Run(kernels, packed.weights(), 1);
      ExpectSame(Expected(rows, Round(matrix, type, kernels.fused), kernels.fused, nullptr), rows.c, what);
    });
    if (HasFatalFailure()) return;
  }
}

TEST(KernelsPacked, EpilogueSeesEveryOutputOnce) {
  std::mt19937 random(11);
  for (auto [m, n, k] : {std::tuple<int64_t, int64_t, int64_t>(1, 150, 20), {19, 50, 500}, {40, 33, 800}}) {
    Matrix matrix({n}, {k}, true, false, random);
    Rows rows(matrix, {m}, false, false, random);
    std::normal_distribution<float> normal;
    std::vector<float> bias(n), residual(rows.c.size());
    for (float& value : bias) value = normal(random);
    for (float& value : residual) value = normal(random);
    const TestEpilogue epilogue = {0.5f, 0.25f, bias.data(), residual.data()};
    ForAll([&](const PackedKernels& kernels, int64_t type, const std::string& what) {
      const Packed packed(kernels, matrix, type);
      const std::vector<float> expected =
          Expected(rows, Round(matrix, type, kernels.fused), kernels.fused, &epilogue);
      for (int64_t parts : {1, 2, 5}) {
        rows.Run(kernels, packed.weights(), parts, &epilogue);
        ExpectSame(expected, rows.c, what);
        if (HasFatalFailure()) return;
      }
    });
    if (HasFatalFailure()) return;
  }
}

TEST(KernelsPacked, EmptyExtents) {
  std::mt19937 random(12);
  for (int empty = 0; empty < 3; ++empty) {
    const int64_t m = empty == 0 ? 0 : 5, n = empty == 1 ? 0 : 19, k = empty == 2 ? 0 : 4;
    Matrix matrix({n}, {k}, false, false, random);
    Rows rows(matrix, {m}, false, false, random);
    ForAll([&](const PackedKernels& kernels, int64_t type, const std::string& what) {
      const Packed packed(kernels, matrix, type);
      for (int64_t parts : {1, 2}) {
        rows.Run(kernels, packed.weights(), parts);
        for (size_t i = 0; i < rows.c.size() && empty == 2; ++i) ASSERT_EQ(rows.c[i], 0) << what;
      }
    });
  }
}

}  // namespace
}  // namespace heed
