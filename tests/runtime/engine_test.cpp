// Placing the arena, checking and binding inputs, initial values: on a program written by hand
// (runtime_toy.h).
#include "runtime/engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "runtime/engine/memory.h"
#include "tests/support/runtime_toy.h"

namespace heed {
namespace {

using test::kToy;
using test::kToyLoss;
using test::kToyTrain;
using test::kToyTwice;
using test::kToyValues;

HostTensor Ints(std::vector<int64_t> shape, std::vector<int32_t> values) {
  HostTensor tensor(kHeedInt32, std::move(shape));
  std::copy(values.begin(), values.end(), tensor.ints().begin());
  return tensor;
}
HostTensor Floats(std::vector<int64_t> shape, std::vector<float> values) {
  HostTensor tensor(kHeedFloat32, std::move(shape));
  std::copy(values.begin(), values.end(), tensor.floats().begin());
  return tensor;
}

TEST(Memory, BlocksAreAlignedZeroedAndReused) {
  for (const int64_t bytes : {int64_t{0}, int64_t{1}, int64_t{65}, int64_t{1} << 20, int64_t{5} << 20}) {
    const auto block = AllocateZeros(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block.get()) % 64, 0u);
    for (int64_t i = 0; i < bytes; ++i) ASSERT_EQ(static_cast<char*>(block.get())[i], 0);
    std::memset(block.get(), 0x5a, static_cast<size_t>(bytes));
  }
  // The same memory comes back, but zeroed when that is asked for.
  const auto again = AllocateZeros(int64_t{5} << 20);
  for (int64_t i = 0; i < int64_t{5} << 20; ++i) ASSERT_EQ(static_cast<char*>(again.get())[i], 0);
  EXPECT_THROW(AllocateBlock(int64_t{1} << 60), std::bad_alloc);
}

TEST(Arena, SizesFollowTheExtents) {
  const int64_t terms[] = {1, 0, 1};
  const std::vector<int64_t> extents = {3, 5};
  EXPECT_EQ(BufferBytes({4, 3, terms}, extents), 4 * 5 * 3 * 5);
  EXPECT_EQ(BufferBytes({4, 0, nullptr}, extents), 4);
  const std::vector<int64_t> huge = {int64_t{1} << 40, int64_t{1} << 40};
  EXPECT_EQ(BufferBytes({4, 3, terms}, huge), -1);
}

TEST(Arena, LiveBuffersNeverOverlap) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    std::vector<HeedBuffer> buffers;
    const int64_t count = 1 + random() % 80;
    int64_t demand[64] = {};
    for (int64_t i = 0; i < count; ++i) {
      const int64_t first = random() % 60, last = std::min<int64_t>(63, first + random() % 6);
      const int64_t size = random() % 3 == 0 ? random() % 200 : random() % 100000;
      buffers.push_back({kHeedBufferArena, 0, {size, 0, nullptr}, first, last});
      for (int64_t step = first; step <= last; ++step) demand[step] += size;
    }
    buffers.push_back({kHeedBufferInput, 0, {0, 0, nullptr}, 0, 0});
    HeedFunction function = kToyTrain;
    function.buffers = buffers.data();
    function.buffer_count = static_cast<int64_t>(buffers.size());
    const ArenaPlan plan = PlaceArena(function, {});
    EXPECT_EQ(plan.offsets.back(), -1);
    for (size_t i = 0; i + 1 < buffers.size(); ++i) {
      EXPECT_GE(plan.offsets[i], 0);
      EXPECT_EQ(plan.offsets[i] % 64, 0);
      EXPECT_LE(plan.offsets[i] + buffers[i].size.factor, plan.bytes);
      for (size_t j = 0; j < i; ++j) {
        if (buffers[i].last < buffers[j].first || buffers[j].last < buffers[i].first) continue;
        const bool apart =
            plan.offsets[i] + std::max<int64_t>(1, buffers[i].size.factor) <= plan.offsets[j] ||
            plan.offsets[j] + std::max<int64_t>(1, buffers[j].size.factor) <= plan.offsets[i];
        ASSERT_TRUE(apart);
      }
    }
    // Near the lower bound: fragmentation, and a page a buffer for the stagger.
    EXPECT_LE(plan.bytes, *std::max_element(demand, demand + 64) * 3 / 2 + count * 4096 + 4096);
  }
}

TEST(Arena, BigBuffersStartAtDifferentPlacesOfAPage) {
  std::vector<HeedBuffer> buffers(8, {kHeedBufferArena, 0, {1 << 16, 0, nullptr}, 0, 9});
  HeedFunction function = kToyTrain;
  function.buffers = buffers.data();
  function.buffer_count = 8;
  const ArenaPlan plan = PlaceArena(function, {});
  for (size_t i = 0; i < 8; ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(plan.offsets[i] % 4096, plan.offsets[j] % 4096);
  }
}

TEST(Arena, TooLargeIsSaid) {
  const int64_t terms[] = {0, 0, 0, 0};
  const HeedBuffer buffer = {kHeedBufferArena, 0, {4, 4, terms}, 0, 0};
  HeedFunction function = kToyTrain;
  function.buffers = &buffer;
  function.buffer_count = 1;
  const std::vector<int64_t> extents = {int64_t{1} << 20, 1};
  EXPECT_EQ(PlaceArena(function, extents).bytes, -1);
}

class EngineTest : public testing::Test {
 protected:
  EngineTest() : threads_(3), engine_(kToy, threads_), parameters_(kToy), gradients_(kToy) {
    const float w[] = {0, 1, 2, 3, 4};
    std::copy(w, w + 5, parameters_.tensor(0).begin());
  }
  std::string ErrorOf(const HeedFunction& function, const std::map<std::string, HostTensor>& inputs) {
    const auto result = engine_.Call(function, inputs, parameters_, &gradients_, {});
    return result ? "" : result.error().message;
  }
  ThreadPool threads_;
  Engine engine_;
  ParameterBlock parameters_, gradients_;
};

TEST_F(EngineTest, RunsAndMasksByLength) {
  const auto full =
      engine_.Call(kToyLoss, {{"x", Ints({2, 3}, {0, 1, 2, 3, 4, 0})}}, parameters_, nullptr, {});
  ASSERT_TRUE(full);
  EXPECT_EQ(full->at("loss").floats()[0], 1 + 0 + 1 + 4 + 9 + 1);
  EXPECT_EQ(full->at("per").ints()[0], 6);
  const auto part =
      engine_.Call(kToyLoss, {{"x", Ints({2, 3}, {0, 1, 2, 3, 4, 0})}, {"len.seq", Ints({2}, {3, 1})}},
                   parameters_, nullptr, {});
  ASSERT_TRUE(part);
  EXPECT_EQ(part->at("loss").floats()[0], 1 + 0 + 1 + 4);
  EXPECT_EQ(part->at("per").ints()[0], 4);
}

TEST_F(EngineTest, GradientsGoToTheirPlacesAndOthersAreZero) {
  for (float& value : gradients_.all()) value = 99;
  const auto result = engine_.Call(kToyTrain, {{"x", Ints({1, 3}, {0, 3, 3})}}, parameters_, &gradients_, {});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->count("d.w"), 0u);
  const std::vector<float> want = {-2, 0, 0, 8, 0};
  EXPECT_TRUE(std::equal(want.begin(), want.end(), gradients_.tensor(0).begin()));
  for (const float value : gradients_.tensor(1)) EXPECT_EQ(value, 0);
  for (const float value : gradients_.tensor(2)) EXPECT_EQ(value, 0);
  EXPECT_FALSE(engine_.Call(kToyTrain, {{"x", Ints({1, 1}, {0})}}, parameters_, nullptr, {}));
}

TEST_F(EngineTest, ArenaGrowsAndIsKept) {
  for (const int64_t batch : {1, 700, 3, 700}) {
    std::vector<int32_t> ids(static_cast<size_t>(batch * 6), 4);
    const auto result = engine_.Call(kToyLoss, {{"x", Ints({batch, 6}, ids)}}, parameters_, nullptr, {});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->at("loss").floats()[0], static_cast<float>(batch * 6 * 9));
  }
  const int64_t extents[] = {700, 6};
  EXPECT_EQ(engine_.ArenaBytes(kToyLoss, extents), (700 * 6 * 4 + 63) / 64 * 64);
}

TEST_F(EngineTest, InputErrorsNameTheArgument) {
  EXPECT_EQ(ErrorOf(kToyLoss, {{"x", Ints({2, 2}, {0, 1, 7, 2})}}), "x[1, 0] is 7, vocab has 5 elements");
  EXPECT_EQ(ErrorOf(kToyLoss, {{"x", Ints({1, 2}, {0, -1})}}), "x[0, 1] is -1, vocab has 5 elements");
  EXPECT_EQ(ErrorOf(kToyLoss, {}), "argument x [batch, seq] is missing");
  EXPECT_EQ(ErrorOf(kToyLoss, {{"x", Ints({1, 7}, {0, 0, 0, 0, 0, 0, 0})}}),
            "x has 7 elements along seq, which is bounded by 6");
  EXPECT_EQ(ErrorOf(kToyLoss, {{"x", Ints({3}, {0, 0, 0})}}), "x has shape [3]; it must be [batch, seq]");
  EXPECT_EQ(ErrorOf(kToyLoss, {{"x", Floats({1, 1}, {0})}}), "x is F32; it must be I32");
  EXPECT_EQ(ErrorOf(kToyLoss, {{"x", Ints({2, 2}, {0, 0, 0, 0})}, {"len.seq", Ints({2}, {2, 3})}}),
            "the length of example 1 along seq is 3, but the arguments have 2 elements there");
  EXPECT_EQ(ErrorOf(kToyLoss, {{"x", Ints({2, 2}, {0, 0, 0, 0})}, {"len.seq", Ints({2}, {-1, 2})}}),
            "the length of example 0 along seq is -1, but the arguments have 2 elements there");
  EXPECT_EQ(ErrorOf(kToyValues, {{"x", Ints({2, 1}, {0, 0})}, {"scale", Ints({3}, {1, 1, 1})}}),
            "scale has 3 along batch, but x has 2; arguments must agree");
  EXPECT_EQ(ErrorOf(kToyTwice, {{"m", Floats({1, 1, 4}, {0, 0, 0, 0})}}),
            "m has shape [1, 1, 4]; it must be [batch, seq, model=3]: model is 3, not 4");
  HostTensor keep(kHeedBool8, {1});
  static_cast<uint8_t*>(keep.data())[0] = 2;
  EXPECT_EQ(ErrorOf(kToyTwice, {{"m", Floats({1, 1, 3}, {1, 2, 3})}, {"keep", keep}}),
            "keep[0] is 2; a bool is 0 or 1");
  EXPECT_NE(ErrorOf(kToyLoss, {{"x", Ints({0, 2}, {})}}), "");
}

TEST(HostTensor, ScalarsAndCopies) {
  HostTensor scalar(kHeedFloat32, {});
  EXPECT_EQ(scalar.count(), 1);
  HostTensor copy = scalar;
  copy.floats()[0] = 3;
  EXPECT_EQ(scalar.floats()[0], 3);
  EXPECT_EQ(HostTensor().count(), 0);
  EXPECT_EQ(HostTensor(kHeedBool8, {3, 5}).bytes(), 15);
}

TEST(ParameterBlock, TensorsAreAlignedAndApart) {
  ParameterBlock block(kToy);
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block.tensor(i).data()) % 64, 0u);
    EXPECT_EQ(static_cast<int64_t>(block.tensor(i).size()), kToy.params[i].count);
  }
  EXPECT_EQ(block.tensor(1).data() - block.tensor(0).data(), 16);
}

TEST(Initialize, IsAFunctionOfSeedNameAndElement) {
  ParameterBlock a(kToy), b(kToy), c(kToy);
  ASSERT_TRUE(Initialize(a, kToy, 1));
  ASSERT_TRUE(Initialize(b, kToy, 1));
  ASSERT_TRUE(Initialize(c, kToy, 2));
  EXPECT_EQ(std::memcmp(a.all().data(), b.all().data(), a.all().size_bytes()), 0);
  EXPECT_NE(std::memcmp(a.all().data(), c.all().data(), a.all().size_bytes()), 0);
  for (const float value : a.tensor(2)) EXPECT_EQ(value, 2);
  // The same parameter in a program with others before it.
  HeedParam params[] = {kToy.params[1], kToy.params[0]};
  HeedProgram other = kToy;
  other.params = params;
  other.param_count = 2;
  ParameterBlock d(other);
  ASSERT_TRUE(Initialize(d, other, 1));
  EXPECT_TRUE(std::equal(d.tensor(1).begin(), d.tensor(1).end(), a.tensor(0).begin()));
}

TEST(Initialize, HasTheRightDistribution) {
  constexpr int64_t kCount = 200000;
  const int64_t shape[] = {kCount};
  HeedParam params[3] = {test::kToyParams[0], test::kToyParams[0], test::kToyParams[0]};
  const char* const names[] = {"normal", "uniform", "glorot"};
  for (int i = 0; i < 3; ++i) {
    params[i].name = names[i];
    params[i].shape = shape;
    params[i].axis_sizes = shape;
    params[i].count = kCount;
  }
  params[0].a = 1, params[0].b = 0.5;
  params[1].init = kHeedInitUniform, params[1].a = -3, params[1].b = 5;
  params[2].init = kHeedInitGlorot, params[2].a = 10, params[2].b = 14;
  HeedProgram program = kToy;
  program.params = params;
  program.param_count = 3;
  ParameterBlock block(program);
  ASSERT_TRUE(Initialize(block, program, 9));
  const double means[] = {1, 1, 0}, deviations[] = {0.5, 8 / std::sqrt(12.0), 0.5 * 2 / std::sqrt(12.0)};
  for (int i = 0; i < 3; ++i) {
    double sum = 0, squares = 0, kurtosis = 0;
    for (const float value : block.tensor(i)) sum += value;
    const double mean = sum / kCount;
    for (const float value : block.tensor(i)) {
      squares += (value - mean) * (value - mean);
      kurtosis += std::pow(value - mean, 4);
    }
    const double variance = squares / kCount;
    EXPECT_NEAR(mean, means[i], 5 * deviations[i] / std::sqrt(double{kCount})) << names[i];
    EXPECT_NEAR(std::sqrt(variance), deviations[i], 0.01 * deviations[i]) << names[i];
    EXPECT_NEAR(kurtosis / kCount / (variance * variance), i == 0 ? 3 : 1.8, 0.06) << names[i];
  }
  for (const float value : block.tensor(2)) ASSERT_LE(std::abs(value), 0.5);
}

TEST(Initialize, NamesParametersWithoutInitialiser) {
  HeedParam param = test::kToyParams[0];
  param.init = kHeedInitMissing;
  HeedProgram program = kToy;
  program.params = &param;
  program.param_count = 1;
  ParameterBlock block(program);
  const Status status = Initialize(block, program, 1);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("w has no initial value"), std::string::npos);
}

}  // namespace
}  // namespace heed
