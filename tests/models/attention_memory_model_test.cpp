// A training step (loss and gradients) of one attention layer with its projections, width 512, 8 heads of 64,
// at 16,384 tokens, as a built program runs it: under 1 GiB in all. A single matrix of all pairs of one head
// would already take that.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <random>

#include "tests/support/model_support.h"

namespace heed::test {
namespace {

TEST(AttentionMemory, ALongStepIsLinearInTheSequence) {
  const BuiltProgram program(Source("tests/models/long_attention.heed"));
  ASSERT_TRUE(program.ok());
  constexpr int64_t kTokens = 16384, kModel = 512;
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  const auto draw = [&](std::vector<int64_t> shape, double scale) {
    Numbers numbers = Zeros(std::move(shape));
    for (double& value : numbers.data) value = scale * normal(random);
    return numbers;
  };
  TensorMap weights;
  for (const char* name : {"Wq", "Wk", "Wv"}) weights[name] = draw({8, 64, kModel}, 0.04);
  weights["Wo"] = draw({kModel, 8, 64}, 0.04);
  WriteTensors(program.File("w.safetensors"), weights);
  WriteTensors(program.File("in.safetensors"), {{"x", draw({1, kTokens, kModel}, 1)}});
  const ProcessResult result =
      program.Run({"call", "train", "--weights", program.File("w.safetensors"), "--inputs",
                   program.File("in.safetensors"), "--outputs", program.File("out.safetensors"), "--grad"});
  ASSERT_TRUE(result.ok()) << result.err;
  rusage usage;
  ASSERT_EQ(getrusage(RUSAGE_CHILDREN, &usage), 0);  // of the largest: the compiler or the program
  std::printf("             peak memory %ld MiB\n", usage.ru_maxrss / 1024);
  EXPECT_LT(usage.ru_maxrss / 1024, 1024);
  const TensorMap outputs = ReadTensors(program.File("out.safetensors"));
  for (const char* name : {"grad.Wq", "grad.Wk", "grad.Wv", "grad.Wo"}) {
    ASSERT_TRUE(outputs.count(name)) << name;
    EXPECT_GT(outputs.at(name).Largest(), 0) << name;
    EXPECT_TRUE(std::isfinite(outputs.at(name).Largest())) << name;
  }
}

}  // namespace
}  // namespace heed::test
