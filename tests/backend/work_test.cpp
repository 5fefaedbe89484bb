// Floating-point operations and bytes of steps, counted by hand.
#include "backend/plan/work.h"

#include <gtest/gtest.h>

#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

using backend::AttentionStep;
using backend::MatmulStep;
using backend::Plan;
using backend::Size;
using backend::Step;
using backend::StepWork;

// Batches of 3 examples of 10 positions; everything else as the programs say.
int64_t ValueOf(const Plan& plan, const std::vector<Size>& sizes) {
  int64_t sum = 0;
  for (const Size& size : sizes) {
    int64_t product = size.factor;
    for (const int term : size.terms)
      product *= plan.axes->IsLifted(plan.extents[static_cast<size_t>(term)]) ? 3 : 10;
    sum += product;
  }
  return sum;
}

Plan PlanOf(const std::string& program, Variant variant) {
  const auto compiled = CompileText("work.heed", program);
  if (compiled == nullptr) return {};
  const frontend::Entry& entry = compiled->entries[0];
  const auto& graph = variant == Variant::Train ? entry.graph : entry.infer;
  return backend::MakePlan(passes::RunPipeline(*graph, variant, {}), "work", {});
}

/// The work of the only step of a kind that `wanted` takes.
template <typename Kind>
StepWork OnlyWork(const Plan& plan, const std::function<bool(const Kind&)>& wanted = {}) {
  const Step* found = nullptr;
  for (const Step& step : plan.steps) {
    const Kind* kind = std::get_if<Kind>(&step.work);
    if (kind == nullptr || (wanted && !wanted(*kind))) continue;
    EXPECT_EQ(found, nullptr) << "two such steps";
    found = &step;
  }
  EXPECT_NE(found, nullptr) << Print(plan);
  return found ? WorkOf(plan, *found) : StepWork{};
}

std::pair<int64_t, int64_t> BytesOf(const Plan& plan, const StepWork& work) {
  int64_t read = 0, written = 0;
  for (const StepWork::Use& use : work.uses) {
    read += ValueOf(plan, use.read);
    written += ValueOf(plan, use.written);
  }
  return {read, written};
}

TEST(Work, AProductWithABiasAsItsEpilogue) {
  const Plan plan = PlanOf(
      "axis model = 8, out = 5, seq <= 64\n"
      "module Linear(x[model]) -> [out] {\n"
      "  param W[model, out] = 1, b[out] = 0\n"
      "  W @model x + b\n"
      "}\n"
      "part net = Linear\n"
      "entry f(x[seq, model]) = net(x)\n",
      Variant::Forward);
  const StepWork work = OnlyWork<MatmulStep>(plan);
  const int64_t results = 3 * 10 * 5;
  EXPECT_TRUE(work.flops_each.empty());
  EXPECT_EQ(ValueOf(plan, work.flops), 2 * results * 8 + results);
  const auto [read, written] = BytesOf(plan, work);
  EXPECT_EQ(read, 4 * (3 * 10 * 8 + 8 * 5 + 5));
  EXPECT_EQ(written, 4 * results);
}

constexpr const char* kAttention =
    "axis heads = 2, key = 4, val = 6, model = 3, vocab = 7, seq <= 64\n"
    "module Heads(x: vocab[seq]) -> [seq, heads, val] {\n"
    "  param e[vocab, model] = 1\n"
    "  param Wq[model, heads, key] = 1, Wk[model, heads, key] = 1, Wv[model, heads, val] = 1\n"
    "  z = e[x]\n"
    "  attention[seq', key](Wq @model z, (Wk @model z)[seq -> seq'], (Wv @model z)[seq -> seq'],\n"
    "                       seq' <= seq)\n"
    "}\n"
    "part net = Heads\n"
    "entry f(x: vocab[seq]) = minimize sum[seq, heads, val](net(x) ^ 2) per |seq|\n";

TEST(Work, AttentionForEachPair) {
  const Plan plan = PlanOf(kAttention, Variant::Loss);
  const StepWork work = OnlyWork<AttentionStep>(plan);
  // A pair costs a multiply-add for each of 4 dots, and one for each of 6 values.
  EXPECT_TRUE(work.flops.empty());
  EXPECT_EQ(ValueOf(plan, work.flops_each), 2 * 4 + 2 * 6);
  const auto [read, written] = BytesOf(plan, work);
  const int64_t rows = 3 * 2 * 10;
  EXPECT_GE(read, 4 * rows * (4 + 4 + 6));  // q, k, v, and lengths
  EXPECT_LE(read, 4 * rows * (4 + 4 + 6) + 4 * (3 + 3));
  EXPECT_EQ(written, 4 * rows * (6 + 1));  // o, log-sum-exp
}

TEST(Work, WhatAttentionComputesOfEachScore) {
  std::string capped = kAttention;
  const std::string plain =
      capped.substr(capped.find("  attention["), capped.find("part net") - capped.find("  attention["));
  capped.replace(capped.find(plain), plain.size(),
                 "  s = (Wq @model z) @key (Wk @model z)[seq -> seq']\n"
                 "  softmax[seq' | seq' <= seq](9 * tanh(s) + exp(s)) @seq' (Wv @model z)[seq -> seq']\n}\n");
  const Plan plan = PlanOf(capped, Variant::Loss);
  // tanh, a factor, exp, a sum.
  EXPECT_EQ(ValueOf(plan, OnlyWork<AttentionStep>(plan).flops_each), 2 * 4 + 2 * 6 + 4);
  const Plan training = PlanOf(capped, Variant::Train);
  const StepWork gradient =
      OnlyWork<AttentionStep>(training, [](const AttentionStep& step) { return step.backward; });
  EXPECT_GT(ValueOf(training, gradient.flops_each), 2 * 3 * 4 + 2 * 2 * 6 + 4);
}

TEST(Work, TheGradientOfAttentionForEachPair) {
  const Plan plan = PlanOf(kAttention, Variant::Train);
  const StepWork work =
      OnlyWork<AttentionStep>(plan, [](const AttentionStep& step) { return step.backward; });
  // The score again, dq and dk over 4 dots; the gradient of the weights and dv over 6 values.
  EXPECT_EQ(ValueOf(plan, work.flops_each), 2 * 3 * 4 + 2 * 2 * 6);
}

TEST(Work, AMaskedProductForEachTerm) {
  // The gradient of W sums over positions, of which those within the lengths are there.
  const Plan plan = PlanOf(
      "axis model = 8, out = 5, seq <= 64\n"
      "module Linear(x[model]) -> [out] {\n"
      "  param W[model, out] = 1\n"
      "  W @model x\n"
      "}\n"
      "part net = Linear\n"
      "entry f(x[seq, model]) = minimize sum[seq, out](net(x) ^ 2) per |seq|\n",
      Variant::Train);
  const StepWork work =
      OnlyWork<MatmulStep>(plan, [](const MatmulStep& step) { return step.mask.buffer >= 0; });
  EXPECT_EQ(ValueOf(plan, work.flops), 0);
  EXPECT_EQ(ValueOf(plan, work.flops_each), 2 * 8 * 5);
}

TEST(Work, LabelsSayWhatRuns) {
  const Plan plan = PlanOf(kAttention, Variant::Loss);
  std::string all;
  for (const Step& step : plan.steps) all += Label(plan, step, "heed_kernel") + "\n";
  EXPECT_NE(all.find("kernel seq x seq' x 4"), std::string::npos) << all;
  EXPECT_NE(all.find("kernel batch*seq x 8 x 3"), std::string::npos) << all;
}

}  // namespace
}  // namespace heed::test
