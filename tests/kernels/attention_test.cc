// The attention kernels on every Highway target this machine runs, against a reference in double: scores of
// several kinds, masks, weights, odd sizes, strided layouts, shared keys, gradients of biases of every shape.
// And the laws, bit for bit: a row's result depends neither on parts, nor on which other rows are computed,
// nor on how tiles are classified, nor on what padding holds.
#include "tests/support/kernel_attention.h"

namespace heed {
namespace {

TEST(KernelsAttention, SizesOfHeadsAndSequences) {
  uint32_t seed = 1;
  for (int64_t head : {1, 6, 16, 24, 64, 80, 128}) {
    for (auto [queries, keys] :
         {std::pair<int64_t, int64_t>(1, 1), {1, 40}, {2, 300}, {20, 20}, {33, 70}, {75, 129}}) {
      TestScore test;
      test.scale = 1 / std::sqrt(static_cast<float>(head));
      Check({1, 2, 1, queries, keys, head, head}, test, seed++);
      if (HasFatalFailure()) return;
    }
  }
  Check({1, 1, 1, 40, 50, 8, 20}, Causal(0.3f), seed++);
  Check({1, 1, 1, 40, 50, 33, 5}, Causal(0.2f), seed++);
}

TEST(KernelsAttention, LongSequences) {
  Check({1, 1, 1, 300, 300, 64, 64}, Causal(0.125f), 50);
  Check({1, 2, 1, 520, 600, 16, 16}, TestScore{.scale = 0.25f}, 51);
}

// Tiles of keys and of queries are left behind, and needed again.
TEST(KernelsAttention, WindowsOfLongSequences) {
  TestScore test = Causal(0.2f);
  test.window = 100;
  Check({1, 2, 1, 1100, 1100, 20, 24}, test, 52);
  test.resume = 700;
  Check({1, 1, 2, 1100, 1100, 20, 24}, test, 53);
}

TEST(KernelsAttention, ScoresMasksAndWeights) {
  const std::vector<int64_t> key_lengths = {17, 90, 0, 100, 33, 1}, query_lengths = {17, 90, 3, 95, 0, 1};
  TestScore causal = Causal(0.2f);
  TestScore window = causal;
  window.window = 9;
  TestScore alibi = causal;
  alibi.slope = 0.1f;
  TestScore capped = causal;
  capped.scale = 1;
  capped.cap = 3;
  TestScore padded;
  padded.scale = 0.2f;
  padded.key_lengths = key_lengths.data();
  TestScore ragged = causal;
  ragged.key_lengths = key_lengths.data();
  ragged.query_lengths = query_lengths.data();
  TestScore dropped = ragged;
  dropped.drop = 0.3f;
  uint32_t seed = 60;
  for (const TestScore& test : {causal, window, alibi, capped, padded, ragged, dropped}) {
    for (bool interleaved : {false, true}) {
      Check({3, 2, 1, 100, 100, 20, 24, interleaved, !interleaved}, test, seed++);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(KernelsAttention, QueryHeadsThatShareKeys) {
  Check({2, 2, 3, 30, 40, 16, 16, true}, Causal(0.25f), 80);
  Check({1, 1, 4, 20, 150, 32, 16}, TestScore{.scale = 0.2f}, 81);
}

/// Gradients of what the score reads beside the product, for several numbers of parts, bit for bit the same.
void CheckCaptures(const Shape& shape, TestScore test, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  const int64_t n = shape.queries;
  ASSERT_EQ(n, shape.keys);
  std::vector<float> biases[4];
  const int64_t sizes[] = {n, n, 2 * n, n * n};
  for (int i = 0; i < 4; ++i) {
    biases[i].resize(sizes[i]);
    for (float& value : biases[i]) value = normal(random);
  }
  test.queries = test.keys = n;
  test.query_bias = biases[0].data();
  test.key_bias = biases[1].data();
  test.difference_bias = biases[2].data();
  test.pair_bias = biases[3].data();
  Problem p = Build(shape, seed);
  const Reference reference = Compute(p, test);
  const int64_t loops = p.loops();
  for (const NativeKernels* kernels : AllNativeKernels()) {
    std::vector<float> first[5];
    for (int64_t parts : {1, 2, 3}) {
      std::vector<float> to[5];
      const int64_t gradient_sizes[] = {loops, loops * n, loops * n, loops * 2 * n, n * n};
      HeedAttention& at = p.attention;
      at.gradients = 5;
      for (int64_t i = 0; i < 5; ++i) {
        to[i].assign(gradient_sizes[i], kUntouched);
        HeedAttentionGradient& gradient = at.gradient[i];
        gradient = {};
        gradient.to = to[i].data();
        gradient.along = i;
        gradient.query = i == 4 ? n : 1;
        gradient.key = 1;
        int64_t stride = gradient_sizes[i] / loops;
        for (int64_t axis = at.loops; i < 4 && axis-- > 0;) {
          gradient.loop[axis] = stride;
          stride *= at.loop[axis].extent;
        }
      }
      RunParts(*kernels, p, test, parts);
      at.gradients = 0;
      if (testing::Test::HasFatalFailure()) return;
      const std::string what = std::string(kernels->target) + " seed " + std::to_string(seed);
      const double size = static_cast<double>(n);
      ExpectClose(reference.o, p.o, 3e-6, what + " o");
      ExpectClose(reference.dq, p.dq, 2e-5, what + " dq");
      ExpectClose(reference.slope, to[0], 4e-6 * size * size, what + " slope");
      ExpectClose(reference.query, to[1], 2e-5, what + " query");
      ExpectClose(reference.key, to[2], 2e-5, what + " key");
      ExpectClose(reference.difference, to[3], 2e-5, what + " difference");
      ExpectClose(reference.pair, to[4], 1e-5 * static_cast<double>(loops), what + " pair");
      for (int i = 0; i < 5; ++i) {
        if (parts == 1)
          first[i] = to[i];
        else
          ExpectSame(first[i], to[i], what + " gradient " + std::to_string(i));
      }
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(KernelsAttention, GradientsOfBiasesOfEveryShape) {
  const std::vector<int64_t> lengths = {17, 65, 0, 64, 33, 1};
  TestScore ragged = Causal(0.2f);
  ragged.key_lengths = ragged.query_lengths = lengths.data();
  TestScore window = Causal(0.3f);
  window.window = 11;
  window.drop = 0.2f;
  TestScore open;
  open.scale = 0.2f;
  open.cap = 4;
  uint32_t seed = 100;
  for (const TestScore& test : {ragged, window, open}) {
    CheckCaptures({3, 2, 1, 65, 65, 20, 24}, test, seed++);
    CheckCaptures({2, 1, 3, 140, 140, 16, 16, true}, Causal(0.25f), seed++);
    CheckCaptures({1, 1, 1, 1, 1, 3, 5}, Causal(0.25f), seed++);
    if (HasFatalFailure()) return;
  }
}

TEST(KernelsAttention, ScoresThatAreSumsOfTerms) {
  const std::vector<int64_t> lengths = {70, 33, 0, 1};
  uint32_t seed = 120;
  for (const auto& [queries, keys, dots] : {std::tuple<int64_t, int64_t, int64_t>(1, 1, 1),
                                            {1, 40, 7},
                                            {33, 70, 16},
                                            {70, 70, 19},
                                            {20, 300, 5}}) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    std::vector<float> factors(dots);
    for (float& factor : factors) factor = normal(random);
    TestScore test = Causal(0.7f);
    test.factors = factors.data();
    test.key_offset = keys - queries;
    if (queries == keys) test.key_lengths = test.query_lengths = lengths.data();
    for (bool transposed : {false, true}) {
      Problem p = Build({2, 2, 1, queries, keys, dots, 12, !transposed, transposed}, seed++);
      const Reference reference = Compute(p, test);
      for (const NativeKernels* kernels : AllNativeKernels()) {
        const std::string what = std::string(kernels->target) + " seed " + std::to_string(seed);
        std::vector<float> first;
        for (int64_t parts : {1, 3}) {
          std::vector<float> to(p.loops() * dots, kUntouched);
          HeedAttention& at = p.attention;
          at.gradients = 1;
          at.gradient[0] = {};
          at.gradient[0].to = to.data();
          at.gradient[0].along = kHeedAlongDot;
          at.gradient[0].key = 1;
          at.gradient[0].loop[0] = 2 * dots;
          at.gradient[0].loop[1] = dots;
          RunParts(*kernels, p, test, parts);
          at.gradients = 0;
          ExpectClose(reference.o, p.o, 3e-6, what + " o");
          ExpectClose(reference.dq, p.dq, 2e-5, what + " dq");
          ExpectClose(reference.dk, p.dk, 2e-5, what + " dk");
          ExpectClose(reference.dv, p.dv, 2e-5, what + " dv");
          ExpectClose(reference.factors, to, 1e-4, what + " factors");
          if (parts == 1)
            first = to;
          else
            ExpectSame(first, to, what + " factors");
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

TEST(KernelsAttention, GradientsNotWantedAreLeftOut) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    Problem p = Build({2, 2, 2, 40, 50, 16, 32}, 85);
    const TestScore test = Causal(0.2f);
    RunParts(*kernels, p, test, 1);
    const Problem all = p;
    for (int outputs = 0; outputs < 7; ++outputs) {
      RunParts(*kernels, p, test, 2, outputs);
      Problem expected = all;
      if (!(outputs & 1)) expected.dq.assign(p.dq.size(), kUntouched);
      if (!(outputs & 2)) expected.dk.assign(p.dk.size(), kUntouched);
      if (!(outputs & 4)) expected.dv.assign(p.dv.size(), kUntouched);
      ExpectSame(expected, p, kernels->target);
      if (HasFatalFailure()) return;
    }
  }
}

TEST(KernelsAttention, NoCotangentOfTheLogSumExpIsOneOfZeros) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    Problem zeros = Build({2, 2, 2, 40, 150, 16, 32}, 86);
    zeros.d_lse.assign(zeros.d_lse.size(), 0);
    Problem none = zeros;
    none.d_lse.clear();
    RunParts(*kernels, zeros, Causal(0.2f), 1);
    RunParts(*kernels, none, Causal(0.2f), 1);
    ExpectSame(zeros, none, kernels->target);
  }
}

TEST(KernelsAttention, OneRowAloneEqualsTheRowAmongOthers) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    const Shape shape = {1, 2, 1, 290, 290, 24, 20, true};
    Problem p = Build(shape, 90);
    TestScore test = Causal(0.2f);
    test.drop = 0.1f;
    RunParts(*kernels, p, test, 1, 0);
    for (int64_t row : {0, 1, 13, 14, 100, 255, 256, 289}) {
      for (int64_t rows : {1, 3}) {
        if (row + rows > shape.queries) continue;
        // Keys after the last row don't exist yet.
        Problem alone = Build(shape, 90);
        alone.attention.queries = rows;
        alone.attention.keys = row + rows;
        TestScore shifted = test;
        shifted.key_offset = row;
        alone.o.assign(p.o.size(), kUntouched);
        alone.Point();
        alone.attention.context = &shifted;
        alone.attention.q += row * alone.attention.q_query;
        void* const scratch = aligned_alloc(64, kernels->attention_scratch(&alone.attention));
        kernels->attention(&alone.attention, 0, 1, scratch);
        free(scratch);
        for (int64_t loop = 0; loop < p.loops(); ++loop) {
          for (int64_t i = 0; i < rows; ++i) {
            for (int64_t e = 0; e < shape.values; ++e) {
              ASSERT_EQ(alone.o[alone.O(loop, i, e)], p.o[p.O(loop, row + i, e)])
                  << kernels->target << " row " << row;
            }
            ASSERT_EQ(alone.lse[alone.L(loop, i)], p.lse[p.L(loop, row + i)])
                << kernels->target << " row " << row;
          }
        }
      }
    }
  }
}

TEST(KernelsAttention, PaddingMayHoldAnything) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    for (bool causal : {false, true}) {
      const Shape shape = {3, 2, 1, 150, 150, 20, 24};
      const std::vector<int64_t> lengths = {150, 150, 41, 41, 3, 3};
      TestScore test;
      test.scale = 0.2f;
      test.causal = causal;
      test.cap = 5;
      test.key_lengths = lengths.data();
      test.query_lengths = lengths.data();
      Problem clean = Build(shape, 95), dirty = Build(shape, 95);
      for (int64_t loop = 0; loop < clean.loops(); ++loop) {
        for (int64_t i = lengths[loop]; i < shape.queries; ++i) {
          for (int64_t d = 0; d < shape.dots; ++d) {
            dirty.q[dirty.Q(loop, i, d)] = dirty.k[dirty.K(loop, i, d)] = kNan;
          }
          for (int64_t e = 0; e < shape.values; ++e) {
            dirty.v[dirty.V(loop, i, e)] = i % 2 ? std::numeric_limits<float>::infinity() : kNan;
            dirty.d_o[dirty.O(loop, i, e)] = kNan;
          }
        }
      }
      for (bool classes : {true, false}) {
        test.classes = classes;
        RunParts(*kernels, clean, test, 1);
        RunParts(*kernels, dirty, test, 2);
        ExpectSame(clean, dirty, std::string(kernels->target) + (classes ? "" : " without classes"));
        if (HasFatalFailure()) return;
      }
      // Alone, and shorter: the same rows.
      Problem shorter = clean;
      shorter.attention.queries = shorter.attention.keys = 41;
      const std::vector<float> dk = clean.dk;
      RunParts(*kernels, clean, test, 1);
      const Problem whole = clean;
      RunParts(*kernels, shorter, test, 1);
      for (int64_t loop = 2; loop < 6; ++loop) {
        for (int64_t i = 0; i < 41; ++i) {
          for (int64_t d = 0; d < shape.dots; ++d) {
            ASSERT_EQ(whole.dq[whole.Q(loop, i, d)], shorter.dq[whole.Q(loop, i, d)]) << kernels->target;
            ASSERT_EQ(whole.dk[whole.K(loop, i, d)], shorter.dk[whole.K(loop, i, d)]) << kernels->target;
          }
          for (int64_t e = 0; e < shape.values; ++e) {
            ASSERT_EQ(whole.o[whole.O(loop, i, e)], shorter.o[whole.O(loop, i, e)]) << kernels->target;
            ASSERT_EQ(whole.dv[whole.V(loop, i, e)], shorter.dv[whole.V(loop, i, e)]) << kernels->target;
          }
        }
      }
    }
  }
}

TEST(KernelsAttention, NanOfAPresentKeyShows) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    Problem p = Build({1, 1, 1, 40, 40, 8, 8}, 97);
    const TestScore test = Causal(0.3f);
    p.k[p.K(0, 20, 3)] = kNan;
    RunParts(*kernels, p, test, 1, 0);
    for (int64_t i = 0; i < 40; ++i) {
      EXPECT_EQ(std::isnan(p.o[p.O(0, i, 0)]), i >= 20) << kernels->target << " row " << i;
      EXPECT_EQ(std::isnan(p.lse[p.L(0, i)]), i >= 20) << kernels->target << " row " << i;
    }
  }
}

TEST(KernelsAttention, LargeScoresStayAccurate) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    Problem p = Build({1, 2, 1, 60, 300, 32, 16}, 98);
    TestScore test;
    test.scale = 20;  // scores of some hundreds
    const Reference reference = Compute(p, test);
    RunParts(*kernels, p, test, 1, 0);
    ExpectClose(reference.o, p.o, 5e-4, kernels->target);  // an ulp of a score of 500 is 3e-5
    for (float lse : p.lse) EXPECT_TRUE(std::isfinite(lse));
  }
}

TEST(KernelsAttention, EnormousScoresPickTheLargest) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    for (float scale : {1e6f, 1e8f, 1e20f, 1e36f}) {
      Problem p = Build({1, 1, 1, 40, 300, 16, 16}, 100);
      TestScore test;
      test.scale = scale;
      const Reference reference = Compute(p, test);
      RunParts(*kernels, p, test, 1, 0);
      ExpectClose(reference.o, p.o, 1e-6, kernels->target + std::string(" scale ") + std::to_string(scale));
      if (HasFatalFailure()) return;
    }
  }
}

TEST(KernelsAttention, PlainHolesGiveTheSame) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    Problem p = Build({1, 2, 1, 130, 130, 64, 64, true}, 99);
    const TestScore test = Causal(0.125f);
    RunParts(*kernels, p, test, 1);
    const Problem general = p;
    RunParts(*kernels, p, test, 2, 7, true);
    ExpectSame(general, p, kernels->target);
  }
}

}  // namespace
}  // namespace heed
