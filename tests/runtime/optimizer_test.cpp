// Adam against the formulas of torch.optim.AdamW in double precision, Lion and SGD against steps computed by
// hand; schedules; clipping; independence of the number of threads.
#include "runtime/train/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "tests/support/runtime_toy.h"

namespace heed {
namespace {

TEST(Schedule, Names) {
  EXPECT_EQ(ScheduleNamed("inverse-sqrt"), Schedule::InverseSqrt);
  EXPECT_EQ(ScheduleNamed("cosine"), Schedule::Cosine);
  EXPECT_EQ(ScheduleNamed("linear"), Schedule::Linear);
  EXPECT_EQ(ScheduleNamed("constant"), Schedule::Constant);
  EXPECT_FALSE(ScheduleNamed("cosin"));
}

TEST(Schedule, InverseSqrt) {
  OptimizerOptions options;
  options.lr = 2;
  options.warmup = 100;
  EXPECT_DOUBLE_EQ(LearningRate(options, 1), 0.02);
  EXPECT_DOUBLE_EQ(LearningRate(options, 100), 2);
  EXPECT_DOUBLE_EQ(LearningRate(options, 400), 1);
  options.warmup = 0;
  EXPECT_DOUBLE_EQ(LearningRate(options, 1), 2);
  EXPECT_DOUBLE_EQ(LearningRate(options, 4), 1);
}

TEST(Schedule, OthersWarmUpThenFall) {
  OptimizerOptions options;
  options.lr = 1;
  options.warmup = 10;
  options.total_steps = 110;
  for (const Schedule schedule : {Schedule::Cosine, Schedule::Linear, Schedule::Constant}) {
    options.schedule = schedule;
    EXPECT_DOUBLE_EQ(LearningRate(options, 5), 0.5);
    EXPECT_DOUBLE_EQ(LearningRate(options, 10), 1);
  }
  options.schedule = Schedule::Constant;
  EXPECT_DOUBLE_EQ(LearningRate(options, 1000), 1);
  options.schedule = Schedule::Linear;
  EXPECT_DOUBLE_EQ(LearningRate(options, 60), 0.5);
  EXPECT_DOUBLE_EQ(LearningRate(options, 110), 0);
  EXPECT_DOUBLE_EQ(LearningRate(options, 200), 0);
  options.schedule = Schedule::Cosine;
  EXPECT_NEAR(LearningRate(options, 35), 0.5 * (1 + std::sqrt(0.5)), 1e-12);
  EXPECT_NEAR(LearningRate(options, 110), 0, 1e-12);
}

// A program that has one parameter of `count` elements, so that there are several chunks.
struct Big {
  explicit Big(int64_t count) : shape{count}, param(test::kToyParams[0]), program(test::kToy) {
    param.shape = shape;
    param.axis_sizes = shape;
    param.count = count;
    program.param_count = 1;
    program.params = &param;
  }
  int64_t shape[1];
  HeedParam param;
  HeedProgram program;
};

void Fill(ParameterBlock& block, double scale, int64_t salt) {
  int64_t i = salt;
  for (float& value : block.tensor(0))
    value = static_cast<float>(scale * std::sin(static_cast<double>(i++) * 0.7));
}

/// Copies of a block share its memory.
double AdamStep(const OptimizerOptions& options, int64_t step, double scale, ParameterBlock& parameters,
                const ParameterBlock& gradients, ParameterBlock& m, ParameterBlock& v, ThreadPool& threads,
                const std::vector<bool>& trained = {}) {
  OptimizerState state = {m, v};
  return OptimizerStep(options, step, scale, parameters, gradients, state, threads, trained);
}

TEST(Adam, FollowsTheFormulas) {
  const Big big(100003);
  OptimizerOptions options;
  options.lr = 0.01;
  options.schedule = Schedule::Constant;
  options.weight_decay = 0.1;
  options.beta1 = 0.9;
  options.beta2 = 0.98;
  options.eps = 1e-6;
  ThreadPool threads(3);
  ParameterBlock p(big.program), g(big.program), m(big.program), v(big.program);
  Fill(p, 1, 0);
  std::vector<double> want(p.tensor(0).begin(), p.tensor(0).end()), first(want.size()), second(want.size());
  for (int64_t step = 1; step <= 3; ++step) {
    Fill(g, 8, step * 11);
    double squares = 0;
    for (const float gradient : g.all()) squares += double{gradient} * gradient;
    EXPECT_NEAR(AdamStep(options, step, 0.25, p, g, m, v, threads), 0.25 * std::sqrt(squares), 1e-9);
    const double c1 = 1 - std::pow(0.9, step), c2 = 1 - std::pow(0.98, step);
    for (size_t i = 0; i < want.size(); ++i) {
      const double gradient = 0.25 * static_cast<double>(g.tensor(0)[i]);
      want[i] *= 1 - 0.01 * 0.1;
      first[i] = 0.9 * first[i] + 0.1 * gradient;
      second[i] = 0.98 * second[i] + 0.02 * gradient * gradient;
      want[i] -= 0.01 / c1 * first[i] / (std::sqrt(second[i]) / std::sqrt(c2) + 1e-6);
      ASSERT_NEAR(p.tensor(0)[i], want[i], 2e-6) << i;
    }
  }
}

TEST(Adam, FirstStepMovesByTheRate) {
  const Big big(3);
  OptimizerOptions options;
  options.lr = 0.1;
  options.schedule = Schedule::Constant;
  options.weight_decay = 0.01;
  options.beta2 = 0.999;
  options.eps = 1e-8;
  ThreadPool threads(1);
  ParameterBlock p(big.program), g(big.program), m(big.program), v(big.program);
  const float start[] = {1, -2, 3}, one[] = {0.1f, -0.2f, 0.3f};
  std::memcpy(p.tensor(0).data(), start, sizeof start);
  std::memcpy(g.tensor(0).data(), one, sizeof one);
  AdamStep(options, 1, 1, p, g, m, v, threads);
  // The first step is the rate times the sign, after decay by 0.999.
  EXPECT_NEAR(p.tensor(0)[0], 0.999 - 0.1, 1e-6);
  EXPECT_NEAR(p.tensor(0)[1], -1.998 + 0.1, 1e-6);
  EXPECT_NEAR(p.tensor(0)[2], 2.997 - 0.1, 1e-6);
}

TEST(Adam, DoesNotDependOnThreads) {
  const Big big(300001);
  OptimizerOptions options;
  options.clip = 0.5;
  std::vector<float> reference;
  double reference_norm = 0;
  for (const int count : {1, 2, 5}) {
    ThreadPool threads(count);
    ParameterBlock p(big.program), g(big.program), m(big.program), v(big.program);
    Fill(p, 1, 0);
    double norm = 0;
    for (int64_t step = 1; step <= 3; ++step) {
      Fill(g, 3, step);
      norm = AdamStep(options, step, 1.0 / 7, p, g, m, v, threads);
    }
    const auto values = p.all();
    if (reference.empty()) {
      reference.assign(values.begin(), values.end());
      reference_norm = norm;
    }
    EXPECT_EQ(norm, reference_norm);
    EXPECT_EQ(std::memcmp(values.data(), reference.data(), values.size_bytes()), 0) << count << " threads";
  }
}

TEST(Adam, ClipsByGlobalNorm) {
  const Big big(4);
  OptimizerOptions options;
  options.clip = 1;
  options.schedule = Schedule::Constant;
  ThreadPool threads(1);
  ParameterBlock p(big.program), g(big.program), m(big.program), v(big.program);
  for (float& value : g.tensor(0)) value = 6;
  EXPECT_DOUBLE_EQ(AdamStep(options, 1, 0.5, p, g, m, v, threads), 6);  // of (3, 3, 3, 3)
  EXPECT_NEAR(m.tensor(0)[0], 0.1 * 0.5, 1e-6);
  ParameterBlock m2(big.program), v2(big.program);
  options.clip = 100;
  AdamStep(options, 1, 0.5, p, g, m2, v2, threads);
  EXPECT_NEAR(m2.tensor(0)[0], 0.1 * 3, 1e-6);
}

TEST(Adam, WhatIsNotTrainedStaysAsItIs) {
  using test::kToy;
  ThreadPool threads(2);
  OptimizerOptions options;
  options.weight_decay = 0.5;
  options.schedule = Schedule::Constant;
  const std::vector<std::vector<bool>> choices = {
      {}, {true, true, true}, {true, false, true}, {false, true, false}, {false, false, false}};
  for (const std::vector<bool>& trained : choices) {
    ParameterBlock p(kToy), g(kToy), m(kToy), v(kToy), all(kToy), m2(kToy), v2(kToy);
    std::fill(g.all().begin(), g.all().end(), 0.5f);
    for (ParameterBlock* block : {&p, &all}) std::fill(block->all().begin(), block->all().end(), 2.0f);
    for (float& value : v.all()) value = 0.25f;
    std::copy(v.all().begin(), v.all().end(), v2.all().begin());
    const std::vector<float> before(p.all().begin(), p.all().end());
    AdamStep(options, 1, 1, p, g, m, v, threads, trained);
    AdamStep(options, 1, 1, all, g, m2, v2, threads);
    for (int64_t i = 0; i < kToy.param_count; ++i) {
      const auto n = static_cast<size_t>(p.tensor(i).data() - p.all().data());
      for (size_t e = 0; e < p.tensor(i).size(); ++e) {
        const bool moves = trained.empty() || trained[static_cast<size_t>(i)];
        EXPECT_EQ(p.all()[n + e], moves ? all.all()[n + e] : before[n + e]);
        EXPECT_EQ(m.all()[n + e], moves ? m2.all()[n + e] : 0);
        EXPECT_EQ(v.all()[n + e], moves ? v2.all()[n + e] : 0.25f);
      }
    }
  }
}

TEST(Adam, AGradientWhoseSquareIsNoNumberIsReported) {
  const Big big(100003);
  ThreadPool threads(2);
  for (const float gradient : {1.9e19f, -1e30f, std::numeric_limits<float>::infinity(),
                               std::numeric_limits<float>::quiet_NaN(), 1.8e19f}) {
    for (const size_t place : {size_t{0}, size_t{70001}, size_t{100002}}) {
      ParameterBlock p(big.program), g(big.program), m(big.program), v(big.program);
      g.tensor(0)[place] = gradient;
      EXPECT_EQ(std::isfinite(AdamStep({}, 1, 1, p, g, m, v, threads)), gradient == 1.8e19f) << gradient;
    }
  }
}

TEST(Adam, WithoutGradientNothingMovesEvenWithoutEps) {
  const Big big(5);
  OptimizerOptions options;
  options.eps = 0;
  ThreadPool threads(1);
  ParameterBlock p(big.program), g(big.program), m(big.program), v(big.program);
  Fill(p, 1, 1);
  g.tensor(0)[2] = 1;
  const std::vector<float> before(p.all().begin(), p.all().end());
  AdamStep(options, 1, 1, p, g, m, v, threads);
  for (size_t i = 0; i < before.size(); ++i) {
    if (i != 2) EXPECT_EQ(p.all()[i], before[i]) << i;  // gaps of the block too
  }
  EXPECT_LT(p.all()[2], before[2]);
}

/// Steps of one element from 1, with gradients 0.5, -0.25 and -2, by hand. `kept`: its state at the end.
std::vector<float> Walk(const char* optimizer, double decay, float* kept = nullptr) {
  const Big big(1);
  OptimizerOptions options(*OptimizerNamed(optimizer));
  options.lr = 0.1;
  options.schedule = Schedule::Constant;
  options.weight_decay = decay;
  ThreadPool threads(2);
  ParameterBlock p(big.program), g(big.program);
  OptimizerState state = MakeState(*options.optimizer, big.program);
  p.tensor(0)[0] = 1;
  std::vector<float> values;
  for (int64_t step = 1; step <= 3; ++step) {
    g.tensor(0)[0] = step == 1 ? 0.5f : step == 2 ? -0.25f : -2.0f;
    EXPECT_EQ(OptimizerStep(options, step, 1, p, g, state, threads), std::abs(g.tensor(0)[0]));
    values.push_back(p.tensor(0)[0]);
  }
  if (kept) *kept = state[0].tensor(0)[0];
  return values;
}

TEST(Lion, StepsByTheSignOfTheMean) {
  float m = 0;
  // Means that count: 0.05; 0.9 * 0.005 - 0.025 = -0.0205; 0.9 * 0.00245 - 0.2. Kept: 0.005, 0.00245,
  // -0.0175745.
  const std::vector<float> plain = Walk("lion", 0, &m), decayed = Walk("lion", 0.5);
  const double want[] = {0.9, 1.0, 1.1}, want_decayed[] = {0.95 - 0.1, 0.8075 + 0.1, 0.862125 + 0.1};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(plain[i], want[i], 1e-6) << i;
    EXPECT_NEAR(decayed[i], want_decayed[i], 1e-6) << i;
  }
  EXPECT_NEAR(m, -0.0175745, 1e-7);
}

TEST(Lion, WithoutGradientNothingMoves) {
  const Big big(1);
  OptimizerOptions options(*OptimizerNamed("lion"));
  ThreadPool threads(1);
  ParameterBlock p(big.program), g(big.program);
  OptimizerState state = MakeState(*options.optimizer, big.program);
  p.tensor(0)[0] = 3;
  OptimizerStep(options, 1, 1, p, g, state, threads);
  EXPECT_EQ(p.tensor(0)[0], 3);
}

TEST(Sgd, KeepsItsMomentum) {
  float velocity = 0;
  // Velocities: 0.5; 0.45 - 0.25 = 0.2; 0.18 - 2 = -1.82.
  const std::vector<float> plain = Walk("sgd", 0, &velocity), decayed = Walk("sgd", 0.5);
  const double want[] = {0.95, 0.93, 1.112};
  const double want_decayed[] = {0.95 - 0.05, 0.855 - 0.02, 0.79325 + 0.182};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(plain[i], want[i], 1e-6) << i;
    EXPECT_NEAR(decayed[i], want_decayed[i], 1e-6) << i;
  }
  EXPECT_NEAR(velocity, -1.82, 1e-6);
}

TEST(Optimizers, EachIsReportedWhenItsStateOverflows) {
  const Big big(100003);
  ThreadPool threads(2);
  for (const Optimizer& optimizer : Optimizers()) {
    ParameterBlock p(big.program), g(big.program);
    OptimizerState state = MakeState(optimizer, big.program);
    g.tensor(0)[70001] = std::numeric_limits<float>::infinity();
    EXPECT_FALSE(std::isfinite(OptimizerStep(OptimizerOptions(optimizer), 1, 1, p, g, state, threads)))
        << optimizer.name;
  }
}

TEST(Optimizers, TheTableIsSound) {
  for (const Optimizer& optimizer : Optimizers()) {
    EXPECT_EQ(OptimizerNamed(optimizer.name), &optimizer);
    EXPECT_TRUE(optimizer.blocks == 1 || optimizer.blocks == 2);
    const OptimizerOptions options(optimizer);
    for (const OptimizerNumber& number : optimizer.numbers) {
      EXPECT_EQ(options.*number.value, number.initial) << number.name;
      EXPECT_TRUE(number.Allows(number.initial)) << number.name;
      EXPECT_FALSE(number.Allows(std::nan(""))) << number.name;
    }
  }
  EXPECT_EQ(OptimizerNamed("adamm"), nullptr);
}

}  // namespace
}  // namespace heed
