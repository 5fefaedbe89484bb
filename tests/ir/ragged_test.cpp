// Masks of ragged axes: every reduction over one gets it, verify misses none, and padding never leaks.
#include <gtest/gtest.h>

#include <cmath>

#include "ir/interp.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "tests/support/op_graphs.h"

namespace heed::ir {
namespace {

using heed::testing::TestAxes;

struct Ragged : ::testing::Test {
  Ragged() : graph(TestAxes()) {
    graph.ragged[kSeq] = Int(graph, "len.seq", {kBatch});
    x = Float(graph, "x", {kBatch, kSeq, kA});
  }
  size_t Conditions(NodeId id) {
    const NodeId mask = MaskOf(graph[id]);
    return mask ? Conjuncts(graph, mask).size() : 0;
  }
  Graph graph;
  NodeId x;
};

TEST_F(Ragged, ReductionsGetTheirLengthMask) {
  EXPECT_EQ(Conditions(graph.Reduce(OpKind::Sum, x, {kSeq})), 1u);
  EXPECT_EQ(Conditions(graph.Reduce(OpKind::Sum, x, {kBatch})), 1u)
      << "the batch of a value with a ragged axis";
  EXPECT_EQ(Conditions(graph.Reduce(OpKind::Sum, x, {kA})), 0u);
  const NodeId twin = graph.Rename(x, {{kSeq, kTwin}});
  EXPECT_EQ(Conditions(graph.Contract(x, twin, {kA})), 0u);
  EXPECT_EQ(Conditions(graph.Contract(x, twin, {kTwin})), 1u);
  EXPECT_EQ(Conditions(graph.Contract(x, twin, {kBatch, kA})), 2u);
  const NodeId mask = graph.Pointwise(OpKind::Le, {graph.Positions(kTwin), graph.Positions(kSeq)});
  const NodeId soft = graph.Reduce(OpKind::Softmax, twin, {kTwin}, mask);
  EXPECT_EQ(Conditions(soft), 2u);
  const NodeId again = graph.Again(graph[soft], graph[soft].inputs);
  EXPECT_EQ(again, soft) << "a mask that is there is not added again";
  EXPECT_EQ(Conditions(graph.ScatterAdd(x, Int(graph, "i", {kBatch, kSeq}), kVocab, {kVocab, kA})), 1u);
  // A parameter's positions have no batch, and still end with each example ...
  const NodeId positions = graph.Pointwise(OpKind::Cast, {graph.Positions(kSeq)});
  EXPECT_EQ(graph.axes_of(graph.Reduce(OpKind::Sum, positions, {kSeq})), (AxisList{kBatch}));
  // ... but a cotangent without the batch is already summed.
  graph.adjoint = true;
  const NodeId summed = graph.Reduce(OpKind::Sum, positions, {kSeq});
  graph.adjoint = false;
  EXPECT_TRUE(graph.axes_of(summed).empty());
  graph.SetOutput("d", summed);
  graph.SetOutput("soft", soft);
  EXPECT_TRUE(Verify(graph).empty());
  const Graph copy = Rebuild(graph, {});
  EXPECT_EQ(Print(copy), Print(graph)) << "rebuilding adds no mask";
}

TEST_F(Ragged, VerifyMissesNoMask) {
  graph.SetOutput("value", graph.Make(OpKind::Sum, {x}, {.axes = {kSeq}}));
  ASSERT_EQ(Verify(graph).size(), 1u);
  EXPECT_NE(Verify(graph)[0].find("without its length mask"), std::string::npos);
  graph.SetOutput("value", graph.Length(kSeq));
  EXPECT_EQ(Verify(graph).size(), 1u);
  // Another axis' mask does not do.
  const NodeId other = graph.Pointwise(OpKind::Lt, {graph.Positions(kTwin), graph.ragged[kSeq]});
  graph.SetOutput("value", graph.Make(OpKind::Sum, {x, other}, {.axes = {kSeq}}));
  EXPECT_EQ(Verify(graph).size(), 1u);
}

TEST_F(Ragged, PaddingNeverLeaks) {
  // Two examples of lengths 2 and 4; the same with NaN behind the first one.
  const NodeId w = Float(graph, "w", {kA, kC});
  const NodeId y = graph.Contract(graph.Pointwise(OpKind::Tanh, {x}), w, {kA});
  const NodeId soft = graph.Reduce(OpKind::Softmax, y, {kSeq});
  const NodeId loss = graph.Reduce(OpKind::Sum, graph.Mul(soft, y), {kSeq, kC, kBatch});
  const auto gradients = Backward(graph, loss, graph.Const(1));
  EvalOptions options;
  std::mt19937_64 random(1);
  options.values["x"] = heed::testing::RandomTensor({kBatch, kSeq, kA}, {2, 4, 3}, random);
  options.values["w"] = heed::testing::RandomTensor({kA, kC}, {3, 7}, random);
  options.values["len.seq"] = {{kBatch}, {2}, {2, 4}};
  Interpreter clean(graph, options);
  for (size_t i = 6; i < 12; ++i) options.values["x"].data[i] = std::nan("");
  Interpreter poisoned(graph, options);
  EXPECT_EQ(clean.Value(loss).data, poisoned.Value(loss).data);
  EXPECT_EQ(clean.Value(gradients.at("w")).data, poisoned.Value(gradients.at("w")).data);
}

TEST_F(Ragged, AttentionGradientsEndWithTheExample) {
  const AxisList score = {kBatch, kSeq, kTwin};
  const auto table = graph.shared_axes();
  auto regions = std::make_shared<AttentionRegions>();
  for (bool gradient : {false, true}) {
    auto region = std::make_shared<Graph>(table);
    const NodeId s = Float(*region, "s", score), length = Int(*region, "c0", {kBatch});
    if (gradient) {
      region->SetOutput("dr", Float(*region, "ds", score));
      regions->gradient = region;
    } else {
      region->SetOutput("score", s);
      region->SetOutput("mask", region->Pointwise(OpKind::Lt, {region->Positions(kTwin), length}));
      region->SetOutput("weight", region->Const(1));
      regions->score = region;
    }
  }
  const NodeId k = Float(graph, "k", {kBatch, kTwin, kA}), v = Float(graph, "v", {kBatch, kTwin, kC});
  const NodeId o = graph.Make(OpKind::Attention, {x, k, v, graph.ragged[kSeq]},
                              {.axes = {kA}, .to = score, .axis = kTwin, .captures = 1, .regions = regions});
  const NodeId loss = graph.Reduce(OpKind::Sum, o, {kSeq, kC, kBatch});
  const auto gradients = Backward(graph, loss, graph.Const(1));
  EvalOptions options;
  std::mt19937_64 random(1);
  options.values["x"] = heed::testing::RandomTensor({kBatch, kSeq, kA}, {2, 4, 3}, random);
  options.values["k"] = heed::testing::RandomTensor({kBatch, kTwin, kA}, {2, 4, 3}, random);
  options.values["v"] = heed::testing::RandomTensor({kBatch, kTwin, kC}, {2, 4, 7}, random);
  options.values["len.seq"] = {{kBatch}, {2}, {2, 4}};
  Interpreter clean(graph, options);
  for (const char* name : {"x", "k", "v"}) {
    Tensor& tensor = options.values[name];
    const size_t row = tensor.data.size() / 8;
    for (size_t i = 2 * row; i < 4 * row; ++i) tensor.data[i] = std::nan("");
  }
  Interpreter poisoned(graph, options);
  EXPECT_EQ(clean.Value(loss).data, poisoned.Value(loss).data);
  for (const char* name : {"x", "k", "v"})
    EXPECT_EQ(clean.Value(gradients.at(name)).data, poisoned.Value(gradients.at(name)).data) << name;
}

}  // namespace
}  // namespace heed::ir
