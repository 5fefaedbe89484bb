// The vector functions of the kernels against double precision, on every Highway target this machine runs:
// the error bounds that math-inl.h states, special values, and dropout's factor against runtime/base/random.h
// bit for bit.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/base/random.h"
#include "tests/kernels/native.h"

namespace heed {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

/// Distance of a result from the exact value, in units of the last place there (denormals: of the smallest
/// one).
double UlpError(float result, double exact) {
  const float rounded = static_cast<float>(exact);
  if (std::isnan(exact)) return std::isnan(result) ? 0 : 1e30;
  if (std::isinf(rounded))
    return result == rounded ? 0 : (std::isinf(exact) ? 1e30 : std::isfinite(result) ? 1 : 1e30);
  if (!std::isfinite(result)) return 1e30;
  int exponent;
  std::frexp(std::fabs(exact), &exponent);
  const double ulp = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::fabs(result - exact) / ulp;
}

using Vectorized = void (*)(const float*, float*, int64_t);

/// Largest error of f over `inputs`.
double WorstUlp(Vectorized f, const std::function<double(double)>& exact, std::vector<float> inputs,
                float* worst_at) {
  while (inputs.size() % 16) inputs.push_back(1.0f);
  std::vector<float> outputs(inputs.size());
  f(inputs.data(), outputs.data(), static_cast<int64_t>(inputs.size()));
  double worst = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const double error = UlpError(outputs[i], exact(inputs[i]));
    if (error > worst) {
      worst = error;
      *worst_at = inputs[i];
    }
  }
  return worst;
}

std::vector<float> Uniform(double low, double high, int count) {
  std::mt19937 random(7);
  std::uniform_real_distribution<double> distribution(low, high);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(distribution(random));
  return values;
}

/// Every sign and exponent, random mantissas: denormals, infinities and NaN included.
std::vector<float> AllExponents(int each) {
  std::mt19937 random(11);
  std::vector<float> values;
  for (uint32_t head = 0; head < 512; ++head) {
    for (int i = 0; i < each; ++i) {
      const uint32_t bits = head << 23 | (i == 0 ? 0 : random() & 0x7fffff);
      float value;
      std::memcpy(&value, &bits, 4);
      values.push_back(value);
    }
  }
  return values;
}

void ExpectWithin(const NativeKernels& kernels, const char* what, Vectorized f,
                  const std::function<double(double)>& exact, const std::vector<float>& inputs,
                  double bound) {
  float at = 0;
  const double worst = WorstUlp(f, exact, inputs, &at);
  EXPECT_LE(worst, bound) << kernels.target << " " << what << " at " << at;
  testing::Test::RecordProperty(std::string(what) + "_" + kernels.target, std::to_string(worst));
  if (getenv("HEED_PRINT_ULP")) printf("%-8s %-22s %.3f ulp at %g\n", kernels.target, what, worst, at);
}

TEST(KernelsMath, ErrorsStayWithinTheStatedBounds) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    const double slack = kernels->fused ? 1 : 2;
    auto exp = [](double x) { return std::exp(x); };
    ExpectWithin(*kernels, "exp", kernels->exp, exp, Uniform(-87, 88.7, 400000), 1.5 * slack);
    ExpectWithin(*kernels, "exp denormal", kernels->exp, exp, Uniform(-104, -87, 100000), 1.5 * slack);
    ExpectWithin(*kernels, "exp wide", kernels->exp, exp, AllExponents(200), 1.5 * slack);
    ExpectWithin(
        *kernels, "exp2", kernels->exp2, [](double x) { return std::exp2(x); }, Uniform(-125.4, 20, 400000),
        2.5 * slack);
    auto log = [](double x) { return std::log(x); };
    ExpectWithin(*kernels, "log", kernels->log, log, Uniform(0, 4, 400000), 1.0 * slack);
    ExpectWithin(*kernels, "log wide", kernels->log, log, AllExponents(400), 1.0 * slack);
    auto tanh = [](double x) { return std::tanh(x); };
    ExpectWithin(*kernels, "tanh", kernels->tanh, tanh, Uniform(-10, 10, 400000), 2 * slack);
    ExpectWithin(*kernels, "tanh wide", kernels->tanh, tanh, AllExponents(400), 2 * slack);
    auto erf = [](double x) { return std::erf(x); };
    ExpectWithin(*kernels, "erf", kernels->erf, erf, Uniform(-5, 5, 400000), 2 * slack);
    ExpectWithin(*kernels, "erf wide", kernels->erf, erf, AllExponents(400), 2 * slack);
    auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    ExpectWithin(*kernels, "sigmoid", kernels->sigmoid, sigmoid, Uniform(-100, 20, 400000), 3 * slack);
    ExpectWithin(*kernels, "sigmoid wide", kernels->sigmoid, sigmoid, AllExponents(200), 3 * slack);
  }
}

TEST(KernelsMath, SineAndCosineUpToAHundredThousand) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    for (double range : {1.0, 10.0, 1000.0, 1e5}) {
      std::vector<float> x = Uniform(-range, range, 400000);
      for (int i = 0; i < 20000; ++i) x.push_back(static_cast<float>(i * (range / 20000)));
      while (x.size() % 16) x.push_back(0);
      std::vector<float> y(x.size());
      for (bool cosine : {false, true}) {
        (cosine ? kernels->cos : kernels->sin)(x.data(), y.data(), static_cast<int64_t>(x.size()));
        for (size_t i = 0; i < x.size(); ++i) {
          const double exact =
              cosine ? std::cos(static_cast<double>(x[i])) : std::sin(static_cast<double>(x[i]));
          const double error = std::fabs(y[i] - exact);
          // Without fused multiply-add the reduction loses digits with the size of x.
          const double allowed = kernels->fused ? 1e-11 : 1e-7 + 6e-8 * range;
          if (kernels->fused && UlpError(y[i], exact) <= 2) continue;
          ASSERT_LE(error, allowed) << kernels->target << (cosine ? " cos " : " sin ") << x[i];
        }
      }
    }
    std::vector<float> x = {kInfinity, -kInfinity, kNan, 0, -0.0f, 1e-40f, -1e-40f, 1e8f,
                            1e20f,     -3e38f,     1e9f, 0, 0,     0,      0,       0};
    std::vector<float> y(16);
    kernels->sin(x.data(), y.data(), 16);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(std::isnan(y[i])) << kernels->target << " " << x[i];
    EXPECT_EQ(y[3], 0);
    EXPECT_EQ(y[5], 1e-40f);
    EXPECT_EQ(y[6], -1e-40f);
    for (int i = 7; i < 11; ++i) EXPECT_LE(std::fabs(y[i]), 1) << x[i];
    kernels->cos(x.data(), y.data(), 16);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(std::isnan(y[i])) << kernels->target << " " << x[i];
    EXPECT_EQ(y[3], 1);
    EXPECT_EQ(y[5], 1);
  }
}

TEST(KernelsMath, ExponentialOfBaseTwoIsExactlyZeroWhereMasked) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    std::vector<float> x = {-kInfinity, -3e38f, -1000, -127, -125.6f, 0, 1, kNan,
                            -125,       10,     -1,    2,    0,       0, 0, 0},
                       y(16);
    kernels->exp2(x.data(), y.data(), 16);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(y[i], 0) << kernels->target << " " << x[i];
    EXPECT_EQ(y[5], 1);
    EXPECT_EQ(y[6], 2);
    EXPECT_TRUE(std::isnan(y[7])) << kernels->target;
    EXPECT_EQ(y[8], std::ldexp(1.0f, -125));
    EXPECT_EQ(y[9], 1024);
    EXPECT_EQ(y[10], 0.5f);
  }
}

TEST(KernelsMath, LogarithmOfZeroAndOfNegativeNumbers) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    std::vector<float> x = {0, -0.0f, -1, kInfinity, -kInfinity, kNan, 1, -1e-40f, 1, 1, 1, 1, 1, 1, 1, 1},
                       y(16);
    kernels->log(x.data(), y.data(), 16);
    EXPECT_EQ(y[0], -kInfinity);
    EXPECT_EQ(y[1], -kInfinity);
    EXPECT_TRUE(std::isnan(y[2]) && std::isnan(y[4]) && std::isnan(y[5]) && std::isnan(y[7]))
        << kernels->target;
    EXPECT_EQ(y[3], kInfinity);
    EXPECT_EQ(y[6], 0);
  }
}

TEST(KernelsMath, PowersFollowC) {
  const std::vector<float> special = {0,      -0.0f,  1,        -1,        0.5f,       -0.5f, 2,
                                      -2,     3,      -3,       kInfinity, -kInfinity, kNan,  1e-40f,
                                      1e-30f, -1e30f, 16777218, 8388609,   0.75f,      -1.5f, 1e10f,
                                      -1e10f, 5,      -7,       2.5f,      0.333333f};
  for (const NativeKernels* kernels : AllNativeKernels()) {
    std::vector<float> x, y;
    for (float a : special) {
      for (float b : special) {
        x.push_back(a);
        y.push_back(b);
      }
    }
    const std::vector<float> bases = Uniform(0, 20, 200000), exponents = Uniform(-20, 20, 200000);
    x.insert(x.end(), bases.begin(), bases.end());
    y.insert(y.end(), exponents.rbegin(), exponents.rend());
    for (float base : Uniform(-5, 5, 2000)) {
      for (int exponent = -9; exponent < 10; ++exponent) {
        x.push_back(base);
        y.push_back(static_cast<float>(exponent));
      }
    }
    while (x.size() % 16) {
      x.push_back(1);
      y.push_back(1);
    }
    std::vector<float> power(x.size());
    kernels->pow(x.data(), y.data(), power.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = std::pow(static_cast<double>(x[i]), static_cast<double>(y[i]));
      ASSERT_LE(UlpError(power[i], exact), 0.6)
          << kernels->target << " " << x[i] << "^" << y[i] << " = " << power[i];
      if (exact == 0 && power[i] == 0) {
        ASSERT_EQ(std::signbit(power[i]), std::signbit(exact)) << x[i] << "^" << y[i];
      }
    }
  }
}

TEST(KernelsMath, DropoutFactorsEqualTheRuntimes) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    for (float p : {0.0f, 0.1f, 0.5f, 0.9f, 1.0f}) {
      int zeros = 0;
      for (uint64_t seed = 0; seed < 4; ++seed) {
        const uint64_t key = RandomKey(seed, 17 * seed);
        const uint32_t site = SiteHash("encoder.dropout", 15),
                       example = static_cast<uint32_t>(seed * 1000003);
        const uint64_t first = seed == 3 ? 0xfffffff8ull : seed * 977;  // crosses 2^32
        std::vector<float> factors(4096);
        kernels->keep(key, example, site, first, p, factors.data(), 4096);
        for (uint64_t i = 0; i < 4096; ++i) {
          const float expected = KeepFactor(RandomBits(key, example, site, first + i), p);
          ASSERT_EQ(std::memcmp(&factors[i], &expected, 4), 0)
              << kernels->target << " element " << first + i << ": " << factors[i] << " != " << expected;
          zeros += factors[i] == 0;
        }
      }
      EXPECT_NEAR(zeros / 16384.0, p, 0.02);
    }
  }
}

TEST(KernelsMath, GumbelNoiseEqualsTheRuntimes) {
  for (const NativeKernels* kernels : AllNativeKernels()) {
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const uint64_t key = RandomKey(seed, 17 * seed);
      const uint32_t site = SiteHash("net#3", 5), example = static_cast<uint32_t>(seed * 1000003);
      const uint64_t first = seed == 3 ? 0xfffffff8ull : seed * 977;
      std::vector<float> noise(4096);
      kernels->gumbel(key, example, site, first, noise.data(), 4096);
      for (uint64_t i = 0; i < 4096; ++i) {
        const float expected = GumbelNoise(RandomBits(key, example, site, first + i));
        ASSERT_EQ(std::memcmp(&noise[i], &expected, 4), 0)
            << kernels->target << " element " << first + i << ": " << noise[i] << " != " << expected;
      }
    }
  }
}

}  // namespace
}  // namespace heed
