// The matrix product kernel on every Highway target this machine runs: random nests of axes in random
// layouts, masks, odd sizes and epilogues, bit for bit against the order of additions that heed_kernels.h
// promises (on matrix tiles, within roundings); independence of the number of parts and of neighbouring rows
// and columns; nothing read or written outside the operands.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "tests/kernels/native.h"

namespace heed {
namespace {

const float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kUntouched = -12345.678f;
constexpr int64_t kBlock = 384;

/// A product with operands of its own. Gaps between elements hold NaN (inputs) or kUntouched (c).
struct Problem {
  HeedMatmul matmul = {};
  std::vector<float> a, b, c;
  std::vector<uint8_t> mask;
  int64_t loops = 1, rows = 1, columns = 1, terms = 1;
};

struct Nest {
  std::vector<int64_t> loops, ms, ns, ks;
};

/// How an operand lies in memory: its axes as they come, reversed, or shuffled; with or without gaps.
enum class Layout { kPlain, kReversed, kShuffled };

class Builder {
 public:
  explicit Builder(uint32_t seed) : random_(seed) {}

  Problem Build(const Nest& nest, Layout a, Layout b, Layout c, bool mask, bool gaps,
                bool broadcast_b = false) {
    Problem p;
    HeedMatmul& matmul = p.matmul;
    matmul.loops = static_cast<int64_t>(nest.loops.size());
    matmul.ms = static_cast<int64_t>(nest.ms.size());
    matmul.ns = static_cast<int64_t>(nest.ns.size());
    matmul.ks = static_cast<int64_t>(nest.ks.size());
    std::vector<char> kinds;
    int64_t count = 0;
    for (const auto& [kind, extents, size] :
         {std::tuple('l', &nest.loops, &p.loops), std::tuple('m', &nest.ms, &p.rows),
          std::tuple('n', &nest.ns, &p.columns), std::tuple('k', &nest.ks, &p.terms)}) {
      for (int64_t extent : *extents) {
        matmul.axes[count++].extent = extent;
        kinds.push_back(kind);
        *size *= extent;
      }
    }
    auto place = [&](Layout layout, const char* has, int64_t HeedMatmulAxis::* stride) {
      std::vector<int64_t> order;
      for (int64_t i = 0; i < count; ++i) {
        if (strchr(has, kinds[i])) order.push_back(i);
      }
      if (layout == Layout::kReversed) std::reverse(order.begin(), order.end());
      if (layout == Layout::kShuffled) std::shuffle(order.begin(), order.end(), random_);
      int64_t size = 1;
      for (size_t i = order.size(); i-- > 0;) {
        matmul.axes[order[i]].*stride = size;
        size *= matmul.axes[order[i]].extent;
        if (gaps && i + 1 < order.size()) size += random_() % 3;
      }
      return size;
    };
    p.a.assign(place(a, "lmk", &HeedMatmulAxis::a), kNan);
    p.b.assign(place(b, broadcast_b ? "nk" : "lnk", &HeedMatmulAxis::b), kNan);
    p.c.assign(place(c, "lmn", &HeedMatmulAxis::c), kUntouched);
    if (mask) {
      p.mask.assign(place(Layout::kPlain, "lk", &HeedMatmulAxis::mask), 0);
      for (uint8_t& there : p.mask) there = random_() % 4 != 0;
    }
    Fill(p, p.a, "lmk", kinds, &HeedMatmulAxis::a);
    Fill(p, p.b, broadcast_b ? "nk" : "lnk", kinds, &HeedMatmulAxis::b);
    Point(p);
    return p;
  }

  static void Point(Problem& p) {
    p.matmul.a = p.a.data();
    p.matmul.b = p.b.data();
    p.matmul.c = p.c.data();
    p.matmul.mask = p.mask.empty() ? nullptr : p.mask.data();
  }

  std::mt19937& random() { return random_; }

 private:
  void Fill(Problem& p, std::vector<float>& data, const char* has, const std::vector<char>& kinds,
            int64_t HeedMatmulAxis::* stride) {
    std::normal_distribution<float> normal;
    std::vector<int64_t> offsets = {0};
    for (size_t i = 0; i < kinds.size(); ++i) {
      if (!strchr(has, kinds[i])) continue;
      std::vector<int64_t> next;
      for (int64_t offset : offsets) {
        for (int64_t k = 0; k < p.matmul.axes[i].extent; ++k)
          next.push_back(offset + k * p.matmul.axes[i].*stride);
      }
      offsets = std::move(next);
    }
    for (int64_t offset : offsets) data[offset] = normal(random_);
  }

  std::mt19937 random_;
};

/// Offset of the `element`-th of a nest.
int64_t Offset(const HeedMatmulAxis* axes, int64_t count, int64_t HeedMatmulAxis::* stride, int64_t element) {
  int64_t offset = 0;
  for (int64_t i = count; i-- > 0;) {
    offset += element % axes[i].extent * axes[i].*stride;
    element /= axes[i].extent;
  }
  return offset;
}

/// What c must hold: by the promised order of additions, to the bit; or where kernels don't promise one,
/// within some roundings of the terms.
struct Reference {
  std::vector<float> c, bound;
};
Reference Expected(const Problem& p, const NativeKernels& kernels, const TestEpilogue* epilogue) {
  const HeedMatmul& matmul = p.matmul;
  const HeedMatmulAxis *l_axes = matmul.axes, *m_axes = l_axes + matmul.loops, *n_axes = m_axes + matmul.ms,
                       *k_axes = n_axes + matmul.ns;
  using Axis = HeedMatmulAxis;
  std::vector<int64_t> a_m, c_m, b_n, c_n, a_k, b_k, mask_k;
  for (int64_t m = 0; m < p.rows; ++m) {
    a_m.push_back(Offset(m_axes, matmul.ms, &Axis::a, m));
    c_m.push_back(Offset(m_axes, matmul.ms, &Axis::c, m));
  }
  for (int64_t n = 0; n < p.columns; ++n) {
    b_n.push_back(Offset(n_axes, matmul.ns, &Axis::b, n));
    c_n.push_back(Offset(n_axes, matmul.ns, &Axis::c, n));
  }
  for (int64_t k = 0; k < p.terms; ++k) {
    a_k.push_back(Offset(k_axes, matmul.ks, &Axis::a, k));
    b_k.push_back(Offset(k_axes, matmul.ks, &Axis::b, k));
    mask_k.push_back(Offset(k_axes, matmul.ks, &Axis::mask, k));
  }
  const bool fused = kernels.fused;
  Reference reference = {std::vector<float>(p.c.size(), kUntouched), std::vector<float>(p.c.size(), 0)};
  for (int64_t l = 0; l < p.loops; ++l) {
    const float* a = p.a.data() + Offset(l_axes, matmul.loops, &Axis::a, l);
    const float* b = p.b.data() + Offset(l_axes, matmul.loops, &Axis::b, l);
    const int64_t c_loop = Offset(l_axes, matmul.loops, &Axis::c, l);
    std::vector<int64_t> there;
    for (int64_t k = 0; k < p.terms; ++k) {
      if (p.mask.empty() || p.mask[Offset(l_axes, matmul.loops, &Axis::mask, l) + mask_k[k]])
        there.push_back(k);
    }
    for (int64_t m = 0; m < p.rows; ++m) {
      for (int64_t n = 0; n < p.columns; ++n) {
        float total = 0, sum = 0;
        double exact = 0, terms = 0;
        for (size_t i = 0; i < there.size(); ++i) {
          if (i % kBlock == 0 && i > 0) {
            total = i == kBlock ? sum : total + sum;
            sum = 0;
          }
          const float x = a[a_m[m] + a_k[there[i]]], y = b[b_n[n] + b_k[there[i]]];
          sum = fused ? std::fma(x, y, sum) : x * y + sum;
          exact += static_cast<double>(x) * y;
          terms += std::abs(static_cast<double>(x) * y);
        }
        total = there.size() <= kBlock ? sum : total + sum;
        if (!kernels.exact) total = static_cast<float>(exact);
        const int64_t offset = c_loop + c_m[m] + c_n[n];
        if (epilogue) {
          total *= epilogue->scale;
          if (epilogue->bias) total += epilogue->bias[n];
          if (epilogue->residual) total += epilogue->residual[offset];
          total = std::max(total, 0.0f);
          total = fused ? std::fma(epilogue->m_weight, static_cast<float>(m), total)
                        : epilogue->m_weight * static_cast<float>(m) + total;
        }
        reference.c[offset] = total;
        if (!kernels.exact)
          reference.bound[offset] = static_cast<float>(terms * 0x1p-21 + std::abs(total) * 0x1p-21);
      }
    }
  }
  return reference;
}

void RunParts(const NativeKernels& kernels, Problem& p, int64_t parts,
              const TestEpilogue* epilogue = nullptr) {
  p.c.assign(p.c.size(), kUntouched);
  Builder::Point(p);
  p.matmul.context = epilogue;
  const int64_t bytes = kernels.matmul_scratch(&p.matmul);
  void* const scratch = aligned_alloc(64, bytes + 64);
  std::memset(scratch, 0xff, bytes + 64);  // NaN
  for (int64_t part = parts; part-- > 0;) {
    (epilogue ? kernels.matmul_epilogue : kernels.matmul)(&p.matmul, part, parts, scratch);
  }
  for (int64_t i = bytes; i < bytes + 64; ++i) {
    ASSERT_EQ(static_cast<uint8_t*>(scratch)[i], 0xff) << "wrote behind the scratch memory";
  }
  free(scratch);
}

void ExpectSame(const std::vector<float>& expected, const std::vector<float>& got, const std::string& what) {
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(std::memcmp(&expected[i], &got[i], 4), 0)
        << what << ": element " << i << " is " << got[i] << ", not " << expected[i];
  }
}

void ExpectWithin(const Reference& expected, const std::vector<float>& got, const std::string& what) {
  for (size_t i = 0; i < got.size(); ++i) {
    const float want = expected.c[i], bound = expected.bound[i];
    ASSERT_TRUE(std::memcmp(&want, &got[i], 4) == 0 || (bound > 0 && std::abs(want - got[i]) <= bound))
        << what << ": element " << i << " is " << got[i] << ", not " << want << " +- " << bound;
  }
}

void Check(const Nest& nest, Layout a, Layout b, Layout c, bool mask, bool gaps, uint32_t seed,
           bool broadcast_b = false) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    Problem p = Builder(seed).Build(nest, a, b, c, mask, gaps, broadcast_b);
    const std::string what = std::string(kernels->target) + " seed " + std::to_string(seed);
    const Reference expected = Expected(p, *kernels, nullptr);
    RunParts(*kernels, p, 1);
    ExpectWithin(expected, p.c, what);
    const std::vector<float> alone = p.c;
    for (int64_t parts : {2, 3, 7}) {
      RunParts(*kernels, p, parts);
      ExpectSame(alone, p.c, what);
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(KernelsMatmul, OddSizesInAllLayouts) {
  uint32_t seed = 1;
  for (Layout a : {Layout::kPlain, Layout::kReversed}) {
    for (Layout b : {Layout::kPlain, Layout::kReversed}) {
      for (auto [m, n, k] : {std::tuple<int64_t, int64_t, int64_t>(1, 1, 1),
                             {1, 200, 5},
                             {1, 300, 500},
                             {1, 2500, 801},
                             {1, 53, 1900},
                             {2, 33, 16},
                             {5, 7, 3},
                             {13, 31, 17},
                             {14, 32, 384},
                             {15, 64, 385},
                             {20, 20, 64},
                             {28, 70, 400},
                             {61, 45, 33},
                             {9, 129, 1000}}) {
        Check({{}, {m}, {n}, {k}}, a, b, Layout::kPlain, false, false, seed++);
        Check({{}, {m}, {n}, {k}}, a, b, Layout::kPlain, false, true, seed++);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST(KernelsMatmul, SeveralBlocksOfRowsAndColumns) {
  Check({{}, {700}, {70}, {400}}, Layout::kPlain, Layout::kPlain, Layout::kPlain, false, false, 100);
  Check({{}, {350}, {2100}, {20}}, Layout::kPlain, Layout::kReversed, Layout::kPlain, false, false, 101);
  Check({{}, {400}, {1100}, {390}}, Layout::kReversed, Layout::kPlain, Layout::kPlain, false, false, 102);
}

TEST(KernelsMatmul, RandomNests) {
  std::mt19937 random(5);
  for (uint32_t seed = 200; seed < 320; ++seed) {
    Nest nest;
    for (auto* kind : {&nest.loops, &nest.ms, &nest.ns, &nest.ks}) {
      const int count = random() % 4;
      for (int i = 0; i < count; ++i) kind->push_back(1 + random() % (kind == &nest.loops ? 3 : 9));
    }
    auto layout = [&] { return static_cast<Layout>(random() % 3); };
    Check(nest, layout(), layout(), layout(), random() % 2, random() % 2, seed, random() % 3 == 0);
    if (HasFatalFailure()) return;
  }
}

TEST(KernelsMatmul, HeadsOfSixteenAndOfSix) {
  for (int64_t head : {16, 6, 32, 64}) {
    // [seq, heads, head] from and to [heads, seq, head].
    Check({{2}, {11}, {3, head}, {48}}, Layout::kPlain, Layout::kShuffled, Layout::kShuffled, false, false,
          400);
    Check({{2}, {11}, {40}, {3, head}}, Layout::kShuffled, Layout::kPlain, Layout::kPlain, false, false, 401);
    if (HasFatalFailure()) return;
  }
}

TEST(KernelsMatmul, EmptyExtents) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    for (int empty = 0; empty < 4; ++empty) {
      Nest nest = {{2}, {5}, {19}, {4}};
      (empty == 0 ? nest.loops : empty == 1 ? nest.ms : empty == 2 ? nest.ns : nest.ks)[0] = 0;
      Problem p = Builder(3).Build(nest, Layout::kPlain, Layout::kPlain, Layout::kPlain, false, false);
      for (int64_t parts : {1, 2}) {
        TestEpilogue epilogue;
        epilogue.m_weight = 2;
        RunParts(*kernels, p, parts, &epilogue);
        for (size_t i = 0; i < p.c.size() && empty == 3; ++i)
          EXPECT_EQ(p.c[i], 2 * (i / 19 % 5)) << kernels->target;
      }
    }
  }
}

TEST(KernelsMatmul, MaskedTermsAreNeverRead) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    for (int64_t length : {0, 1, 383, 384, 385, 500}) {
      Problem p = Builder(9).Build({{2}, {17}, {40}, {600}}, Layout::kReversed, Layout::kPlain,
                                   Layout::kPlain, true, false);
      // A prefix, and the same terms scattered, give the same as the terms alone.
      for (int64_t l = 0; l < 2; ++l) {
        for (int64_t k = 0; k < 600; ++k) {
          const bool there = k < length;
          p.mask[l * 600 + k] = there;
          if (there) continue;
          for (int64_t m = 0; m < 17; ++m) {
            p.a[l * p.matmul.axes[0].a + m * p.matmul.axes[1].a + k * p.matmul.axes[3].a] = kNan;
          }
          for (int64_t n = 0; n < 40; ++n) {
            p.b[l * p.matmul.axes[0].b + n * p.matmul.axes[2].b + k * p.matmul.axes[3].b] = kNan;
          }
        }
      }
      const Reference expected = Expected(p, *kernels, nullptr);
      for (float value : expected.c) ASSERT_FALSE(std::isnan(value));
      for (int64_t parts : {1, 2}) {
        RunParts(*kernels, p, parts);
        ExpectWithin(expected, p.c, kernels->target);
      }
    }
  }
}

TEST(KernelsMatmul, EpilogueSeesEveryOutputOnce) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    for (auto [m, n, k] :
         {std::tuple<int64_t, int64_t, int64_t>(1, 150, 20), {19, 50, 30}, {40, 33, 800}, {3, 6, 400}}) {
      for (bool heads : {false, true}) {
        Nest nest = {{3}, {m}, heads ? std::vector<int64_t>{3, n} : std::vector<int64_t>{n}, {k}};
        Problem p = Builder(77).Build(nest, Layout::kPlain, Layout::kReversed, Layout::kPlain, false, heads);
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        std::vector<float> bias(p.columns), residual(p.c.size());
        for (float& value : bias) value = normal(random);
        for (float& value : residual) value = normal(random);
        const TestEpilogue epilogue = {0.5f, 0.25f, bias.data(), residual.data()};
        const Reference expected = Expected(p, *kernels, &epilogue);
        for (int64_t parts : {1, 2, 5}) {
          RunParts(*kernels, p, parts, &epilogue);
          ExpectWithin(expected, p.c, kernels->target);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

}  // namespace
}  // namespace heed
