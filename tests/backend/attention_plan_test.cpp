// How many kernels attention takes, and that nothing holds a number for each pair of a query and a key.
#include <gtest/gtest.h>

#include "backend/plan/plan.h"
#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

struct Count {
  int forward = 0, backward = 0;
  int64_t largest = 0;  ///< elements of a buffer that is no parameter, at 64 a dynamic axis and 2 examples
};

Count CountAttention(const Graph& graph) {
  const backend::Plan plan = backend::MakePlan(graph, "test", {});
  Count count;
  for (const backend::Step& step : plan.steps)
    if (const auto* attention = std::get_if<backend::AttentionStep>(&step.work))
      ++(attention->backward ? count.backward : count.forward);
  for (const backend::Buffer& buffer : plan.buffers) {
    if (buffer.kind == backend::BufferKind::Param) continue;
    int64_t elements = buffer.elements.factor;
    for (const int term : buffer.elements.terms)
      elements *= graph.axes().IsLifted(plan.extents[static_cast<size_t>(term)]) ? 2 : 64;
    count.largest = std::max(count.largest, elements);
  }
  return count;
}

/// Kernels of a step of training and of its forward pass alone.
void ExpectKernels(const std::string& text, int forward, int backward, int64_t pairs) {
  const auto program = CompileText("test.heed", text);
  ASSERT_TRUE(program);
  const frontend::Entry& entry = program->entries[0];
  std::vector<passes::Remark> remarks;
  passes::PassOptions options;
  options.remarks = &remarks;
  const Count train = CountAttention(passes::RunPipeline(*entry.graph, Variant::Train, options));
  std::string said;
  for (const passes::Remark& remark : remarks) said += remark.Text() + "\n";
  SCOPED_TRACE(said);
  EXPECT_EQ(train.forward, forward);
  EXPECT_EQ(train.backward, backward);
  EXPECT_LT(train.largest, pairs);
  const Count loss = CountAttention(passes::RunPipeline(*entry.infer, Variant::Loss, {}));
  EXPECT_EQ(loss.forward, forward);
  EXPECT_LT(loss.largest, pairs);
}

const std::string kAxes =
    "axis model = 6, key = 4, rot = 2, slot = 5, row = 16, col = 16, seq <= 64\n"
    "module P[d](x[model]) -> [d] {\n  param w[d, model] = 1\n  w @model x\n}\n"
    "part q = P[key] as \"q\", k = P[key] as \"k\", l = P[key] as \"l\", v = P[key] as \"v\"\n"
    "part r = P[rot] as \"r\", o = P[rot] as \"o\"\n";

TEST(AttentionPlan, ASinkIsNoKernel) {
  ExpectKernels(
      kAxes +
          "entry train(x[seq, model]) = minimize sum[seq, key](\n"
          "  (softmax[seq' | seq' <= seq](q(x) @key k(x)[seq -> seq'], 0) @seq' v(x)[seq -> seq']) ^ 2)\n",
      1, 1, 2 * 64 * 64);
}

TEST(AttentionPlan, TwoSoftmaxesWithEachOthersTotalAreTwoKernels) {
  ExpectKernels(kAxes +
                    "entry train(x[seq, model], m[slot, model]) {\n"
                    "  s = q(x) @key k(x)[seq -> seq'] / 2\n"
                    "  t = q(x) @key l(m) / 2\n"
                    "  z = softmax[seq' | seq' <= seq](s, logsumexp[slot](t)) @seq' v(x)[seq -> seq']\n"
                    "  z = z + softmax[slot](t, logsumexp[seq' | seq' <= seq](s)) @slot v(m)\n"
                    "  minimize sum[seq, key](z ^ 2)\n}\n",
                2, 2, 2 * 64 * 64);
}

TEST(AttentionPlan, ALogSumExpAlone) {
  ExpectKernels(kAxes +
                    "entry train(x[seq, model]) = minimize sum[seq](\n"
                    "  logsumexp[seq' | seq' <= seq](q(x) @key k(x)[seq -> seq']))\n",
                1, 1, 2 * 64 * 64);
}

TEST(AttentionPlan, SeveralProductsAreOneKernel) {
  ExpectKernels(
      kAxes +
          "entry train(x[seq, model]) {\n"
          "  s = (q(x) @key k(x)[seq -> seq'] - o(x) @rot r(x)[seq -> seq'] / 3 + (seq' - seq)) / 2\n"
          "  minimize sum[seq, key]((softmax[seq' | seq' <= seq](s) @seq' v(x)[seq -> seq']) ^ 2)\n}\n",
      1, 1, 2 * 64 * 64);
}

TEST(AttentionPlan, SeveralKeyAxesAreOneKernel) {
  ExpectKernels(
      kAxes +
          "entry train(x[row, col, model]) {\n"
          "  s = q(x) @key k(x)[row -> row'][col -> col']\n"
          "  p = softmax[row', col' | abs(row - row') < 5 and col' <= col](s)\n"
          "  minimize sum[row, col, key]((p @[row', col'] v(x)[row -> row'][col -> col']) ^ 2)\n}\n",
      1, 1, 2 * 256 * 256);
}

}  // namespace
}  // namespace heed::test
