// What must hold of every op there is.
//
// A table of samples covers every op (a test insists); on each: the inferred type is the type of the value,
// the derivative is that of central finite differences in f64, nothing hidden by a mask leaks. Masks of
// ragged axes are ragged_test.cpp's affair; axes, construction and chance are in ir_graph_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ir/interp.h"
#include "ir/op.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "tests/support/op_graphs.h"

namespace heed::ir {
namespace {

using heed::testing::MakeRandomGraph;
using heed::testing::RandomValues;
using heed::testing::TestAttention;
using heed::testing::TestAxes;

// ---- Samples

struct Sample {
  OpKind op;
  std::string name;
  std::function<NodeId(Graph&)> build;
};

/// Inputs of pointwise samples: together on three axes, each on some of them.
const AxisList kPointwiseAxes[] = {{kSeq, kA}, {kA, kPair}, {kPair, kSeq}};

std::vector<Sample> Samples() {
  std::vector<Sample> samples;
  for (const OpInfo& info : AllOps()) {
    if (info.family != Family::Pointwise) continue;
    const bool logic = info.elements == Elements::Logical;
    const auto build = [info, logic](bool same_axes) {
      return [info, logic, same_axes](Graph& graph) {
        std::vector<NodeId> inputs;
        for (int i = 0; i < info.inputs; ++i) {
          const AxisList axes = same_axes ? kPointwiseAxes[0] : kPointwiseAxes[i];
          const std::string name = "x" + std::to_string(i);
          const bool truth = logic || (info.kind == OpKind::Select && i == 0);
          inputs.push_back(truth ? Bool(graph, name.c_str(), axes) : Float(graph, name.c_str(), axes));
        }
        return graph.Pointwise(info.kind, inputs);
      };
    };
    samples.push_back({info.kind, "broadcast", build(false)});
    samples.push_back({info.kind, "same axes", build(true)});
    if (logic) continue;
    samples.push_back({info.kind, "whole numbers", [info](Graph& graph) {
                         std::vector<NodeId> inputs;
                         for (int i = 0; i < info.inputs; ++i) {
                           const std::string name = "i" + std::to_string(i);
                           if (info.kind == OpKind::Select && i == 0) {
                             inputs.push_back(Bool(graph, "m", {kSeq}));
                           } else {
                             inputs.push_back(Int(graph, name.c_str(), kPointwiseAxes[i]));
                           }
                         }
                         return graph.Pointwise(info.kind, inputs);
                       }});
  }

  for (OpKind op : {OpKind::Sum, OpKind::Max, OpKind::Softmax, OpKind::LogSoftmax, OpKind::LogSumExp,
                    OpKind::Rank, OpKind::Argmax}) {
    const auto reduce = [op](AxisList along, AxisList mask_axes) {
      return [=](Graph& graph) {
        const NodeId x = Float(graph, "x", {kA, kSeq, kB});
        const NodeId mask = mask_axes.empty() ? NodeId{} : Bool(graph, "m", mask_axes);
        return graph.Reduce(op, x, along, mask);
      };
    };
    samples.push_back({op, "one axis", reduce({kSeq}, {})});
    samples.push_back({op, "masked", reduce({kSeq}, {kSeq, kA})});
    samples.push_back({op, "mask with an axis of its own", reduce({kB}, {kPair, kB})});
    samples.push_back({op, "empty rows", reduce({kSeq}, {kA})});
    if (op == OpKind::Argmax) continue;
    samples.push_back({op, "three axes", reduce({kB, kA, kSeq}, {})});
    samples.push_back({op, "two axes, masked", reduce({kSeq, kA}, {kSeq})});
    samples.push_back({op, "broadcast to the axis",
                       [op](Graph& graph) { return graph.Reduce(op, Float(graph, "x", {kA}), {kSeq, kA}); }});
  }
  samples.push_back({OpKind::Sum, "of truth values", [](Graph& graph) {
                       return graph.Reduce(OpKind::Sum, Bool(graph, "m", {kA, kSeq}), {kSeq});
                     }});

  const auto contract = [](AxisList a, AxisList b, AxisList along, AxisList mask) {
    return [=](Graph& graph) {
      return graph.Contract(Float(graph, "x", a), Float(graph, "y", b), along,
                            mask.empty() ? NodeId{} : Bool(graph, "m", mask));
    };
  };
  samples.push_back({OpKind::Contract, "matrix product", contract({kA, kC}, {kC, kB}, {kC}, {})});
  samples.push_back({OpKind::Contract, "batched", contract({kA, kSeq, kC}, {kC, kA, kB}, {kC}, {})});
  samples.push_back({OpKind::Contract, "two axes", contract({kA, kC, kB}, {kC, kB, kSeq}, {kB, kC}, {})});
  samples.push_back({OpKind::Contract, "masked", contract({kA, kSeq}, {kSeq, kC}, {kSeq}, {kSeq, kA})});
  samples.push_back({OpKind::Contract, "empty rows", contract({kA, kSeq}, {kSeq, kC}, {kSeq}, {kC})});
  samples.push_back({OpKind::Contract, "an axis of one factor", contract({kA, kSeq}, {kA}, {kSeq, kA}, {})});
  samples.push_back({OpKind::Contract, "an axis of the mask", contract({kA}, {kA, kC}, {kSeq}, {kSeq, kA})});
  samples.push_back({OpKind::Contract, "a square", [](Graph& graph) {
                       const NodeId x = Float(graph, "x", {kA, kC});
                       return graph.Contract(x, x, {kC});
                     }});

  const auto grouped = [](AxisList x, AxisList index, AxisList factor, AxisList along) {
    return [=](Graph& graph) {
      std::vector<NodeId> inputs{Float(graph, "x", x), Int(graph, "i", index)};
      for (const char* name : {"y0", "y1"}) inputs.push_back(Float(graph, name, factor));
      return graph.Make(OpKind::GroupedContract, inputs, {.axes = along});
    };
  };
  samples.push_back({OpKind::GroupedContract, "rows of x", grouped({kSeq, kC}, {kSeq}, {kB, kC}, {kC})});
  samples.push_back(
      {OpKind::GroupedContract, "rows of the index", grouped({kC}, {kSeq, kA}, {kC, kB}, {kC})});
  samples.push_back(
      {OpKind::GroupedContract, "two axes", grouped({kC, kSeq, kB, kA}, {kSeq}, {kB, kPair, kC}, {kB, kC})});

  const auto one = [&](OpKind op, const char* name, AxisList axes, Attributes attributes) {
    samples.push_back(
        {op, name, [=](Graph& graph) { return graph.Make(op, {Float(graph, "x", axes)}, attributes); }});
  };
  one(OpKind::Broadcast, "in front", {kA}, {.axes = {kSeq, kA, kPair}});
  one(OpKind::Merge, "in order", {kA, kC, kB}, {.axes = {kA, kB}, .axis = kAb});
  one(OpKind::Merge, "against the order", {kA, kC, kB}, {.axes = {kB, kA}, .axis = kAb});
  one(OpKind::Rename, "to the twin", {kSeq, kA}, {.renames = {{kSeq, kTwin}}});
  one(OpKind::Rename, "swapped", {kSeq, kTwin, kA}, {.renames = {{kSeq, kTwin}, {kTwin, kSeq}}});
  one(OpKind::Slice, "of the middle", {kSeq, kB, kA}, {.axis = kB, .index = 3});
  one(OpKind::Split, "in the middle", {kSeq, kAb, kC}, {.to = {kB, kA}, .axis = kAb});
  samples.push_back({OpKind::Stack, "of different axes", [](Graph& graph) {
                       return graph.Make(OpKind::Stack,
                                         {Float(graph, "x", {kA}), Float(graph, "y", {kB, kA})},
                                         {.axis = kPair});
                     }});

  const auto gather = [](AxisList x, AxisList index, Axis axis) {
    return [=](Graph& graph) {
      return graph.Make(OpKind::Gather, {Float(graph, "x", x), Int(graph, "i", index)}, {.axis = axis});
    };
  };
  samples.push_back({OpKind::Gather, "rows of a table", gather({kVocab, kC}, {kSeq}, kVocab)});
  samples.push_back({OpKind::Gather, "shared axes", gather({kA, kVocab}, {kA, kSeq}, kVocab)});
  samples.push_back({OpKind::Gather, "one row", gather({kSeq, kA}, {}, kSeq)});
  const auto scatter = [](AxisList dy, AxisList index, AxisList to, AxisList mask) {
    return [=](Graph& graph) {
      std::vector<NodeId> inputs = {Float(graph, "x", dy), Int(graph, "i", index)};
      if (!mask.empty()) inputs.push_back(Bool(graph, "m", mask));
      return graph.Make(OpKind::ScatterAdd, inputs, {.to = to, .axis = kVocab});
    };
  };
  samples.push_back({OpKind::ScatterAdd, "rows", scatter({kSeq, kC}, {kSeq}, {kVocab, kC}, {})});
  samples.push_back({OpKind::ScatterAdd, "masked", scatter({kSeq, kC}, {kSeq}, {kC, kVocab}, {kSeq})});
  samples.push_back(
      {OpKind::ScatterAdd, "dy without the summed axis", scatter({kA}, {kSeq}, {kVocab, kA}, {})});
  samples.push_back({OpKind::Onehot, "of ids", [](Graph& graph) {
                       return graph.Make(OpKind::Onehot, {Int(graph, "i", {kSeq})}, {.axis = kC});
                     }});
  samples.push_back({OpKind::Element, "of positions", [](Graph& graph) {
                       return graph.Make(OpKind::Element, {graph.Positions(kSeq)}, {.indexes = kVocab});
                     }});
  samples.push_back({OpKind::Write, "a row", [](Graph& graph) {
                       return graph.Make(OpKind::Write,
                                         {Float(graph, "x", {kA, kSeq, kC}), Float(graph, "y", {kC, kA}),
                                          Int(graph, "i", {kA})},
                                         {.axis = kSeq});
                     }});
  samples.push_back({OpKind::Write, "a ring", [](Graph& graph) {
                       const Axis ring = kTwin.Ring(4, 2);
                       return graph.Make(
                           OpKind::Write,
                           {Float(graph, "x", {kA, ring}), Float(graph, "y", {}), Int(graph, "i", {})},
                           {.axis = ring});
                     }});
  samples.push_back({OpKind::Keep, "of a batch", [](Graph& graph) {
                       return graph.Make(OpKind::Keep, {Int(graph, "i", {kBatch})},
                                         {.axes = {kSeq, kA}, .name = "h.0#1", .number = 0.3});
                     }});

  samples.push_back({OpKind::Gumbel, "of a batch", [](Graph& graph) {
                       return graph.Make(OpKind::Gumbel, {Int(graph, "i", {kBatch})},
                                         {.axes = {kSeq, kA}, .name = "h.0#2"});
                     }});

  samples.push_back({OpKind::Const, "a number", [](Graph& graph) { return graph.Const(2.5); }});
  samples.push_back({OpKind::Const, "a truth value", [](Graph& graph) { return graph.ConstBool(true); }});
  samples.push_back({OpKind::Input, "ids", [](Graph& graph) { return Int(graph, "i", {kSeq}, kVocab); }});
  samples.push_back({OpKind::Param, "at the bound", [](Graph& graph) {
                       return graph.Make(OpKind::Param, {}, {.axes = {kSeq.Stored(), kA}, .name = "w"});
                     }});
  samples.push_back({OpKind::Positions, "of a twin", [](Graph& graph) { return graph.Positions(kTwin); }});
  samples.push_back({OpKind::Length, "of seq", [](Graph& graph) { return graph.Length(kTwin); }});

  const auto attention = [](Graph& graph) {
    return TestAttention(graph, Float(graph, "x", {kSeq, kA, kC}), Float(graph, "y", {kTwin, kC, kA}),
                         Float(graph, "z", {kA, kTwin, kB}), Float(graph, "c", {kA, kTwin}),
                         Float(graph, "w", {kSeq}));
  };
  samples.push_back({OpKind::Attention, "output", attention});
  samples.push_back({OpKind::Attention, "log-sum-exp", [=](Graph& graph) {
                       const Node node = graph[attention(graph)];
                       Attributes at = node.attributes;
                       at.index = 1;
                       return graph.Make(OpKind::Attention, node.inputs, at);
                     }});
  samples.push_back({OpKind::Attention, "values without heads", [](Graph& graph) {
                       return TestAttention(graph, Float(graph, "x", {kSeq, kA, kC}),
                                            Float(graph, "y", {kTwin, kC}), Float(graph, "z", {kB, kTwin}),
                                            Float(graph, "c", {}), Float(graph, "w", {kTwin, kSeq}));
                     }});
  samples.push_back({OpKind::AttentionGrad, "of the keys", [=](Graph& graph) {
                       const NodeId o = attention(graph);
                       return Info(OpKind::Attention).vjp(graph, o, Float(graph, "d", graph.axes_of(o)))[1];
                     }});
  return samples;
}

EvalOptions ValuesFor(const Graph& graph, OpKind op, const std::map<Axis, int64_t>& extents, uint64_t seed) {
  EvalOptions options = RandomValues(graph, extents, seed);
  if (op == OpKind::AttentionGrad) return options;
  const Domain domain = Info(op).sample;
  for (auto& [name, tensor] : options.values)
    for (double& x : tensor.data)
      if (name[0] == 'x' || name[0] == 'y') x = domain.low + (x + 2) / 4 * (domain.high - domain.low);
  return options;
}

std::string Label(const Sample& sample) { return std::string(Info(sample.op).name) + ", " + sample.name; }

const std::map<Axis, int64_t> kExtents = {{kSeq, 5}, {kBatch, 3}};

TEST(Ops, AllHaveARecordAndASample) {
  std::map<OpKind, int> count;
  for (const Sample& sample : Samples()) ++count[sample.op];
  for (const OpInfo& info : AllOps()) {
    EXPECT_FALSE(info.doc.empty()) << info.name;
    EXPECT_TRUE(info.infer) << info.name;
    EXPECT_EQ(OpNamed(info.name), info.kind);
    EXPECT_EQ(info.eval != nullptr, info.family == Family::Pointwise) << info.name;
    EXPECT_EQ(info.vjp != nullptr, info.differentiable) << info.name;
    if (!info.function.empty()) {
      EXPECT_EQ(OpCalled(info.function, info.family), info.kind) << info.name;
    }
    if (info.family == Family::Pointwise) {
      EXPECT_EQ(info.vector.function.empty(), info.vector.instruction != Instruction::Call) << info.name;
    }
    EXPECT_GT(count[info.kind], 0) << info.name << " has no sample";
    EXPECT_EQ(&Info(info.kind), &info);
  }
  EXPECT_FALSE(OpNamed("frobnicate"));
}

TEST(Ops, TheInferredTypeIsThatOfTheValue) {
  for (const Sample& sample : Samples()) {
    Graph graph(TestAxes());
    const NodeId node = sample.build(graph);
    graph.SetOutput("value", node);
    EXPECT_EQ(graph.op(node), sample.op) << Label(sample);
    EXPECT_TRUE(Verify(graph).empty()) << Label(sample) << ": " << Verify(graph)[0];
    Interpreter interpreter(graph, ValuesFor(graph, sample.op, kExtents, 7));
    const Tensor& value = interpreter.Value(node);
    ASSERT_EQ(value.axes, graph.axes_of(node)) << Label(sample);
    ASSERT_EQ(value.count(), static_cast<int64_t>(value.data.size())) << Label(sample);
    for (size_t i = 0; i < value.axes.size(); ++i) {
      const Axis axis = value.axes[i];
      const bool free = graph.axes().IsDynamic(axis) || graph.axes().IsLifted(axis);
      EXPECT_EQ(value.shape[i], free ? kExtents.at(axis.root()) : graph.axes().Bound(axis)) << Label(sample);
    }
    for (double x : value.data) {
      if (graph.type(node).dtype != DType::Float) {
        EXPECT_EQ(x, std::floor(x)) << Label(sample);
      }
      if (graph.type(node).dtype == DType::Bool) {
        EXPECT_TRUE(x == 0 || x == 1) << Label(sample);
      }
    }
  }
}

/// sum(value * weight); what is not finite does not count.
double Loss(const Graph& graph, NodeId node, const EvalOptions& options, const Tensor& weight) {
  Interpreter interpreter(graph, options);
  const Tensor& value = interpreter.Value(node);
  double total = 0;
  for (size_t i = 0; i < value.data.size(); ++i)
    if (std::isfinite(value.data[i])) total += value.data[i] * weight.data[i];
  return total;
}

TEST(Ops, DerivativesAreThoseOfFiniteDifferences) {
  int checked = 0;
  for (const Sample& sample : Samples()) {
    if (!Info(sample.op).differentiable) continue;
    for (uint64_t seed : {1, 2, 3}) {
      Graph graph(TestAxes());
      const NodeId node = sample.build(graph);
      if (graph.type(node).dtype != DType::Float) continue;
      graph.SetOutput("value", node);
      EvalOptions options = ValuesFor(graph, sample.op, kExtents, seed);
      const NodeId cotangent = Float(graph, "cotangent", graph.axes_of(node));
      Interpreter forward(graph, options);
      const Tensor& value = forward.Value(node);
      std::mt19937_64 random(seed);
      Tensor weight = heed::testing::RandomTensor(value.axes, value.shape, random);
      for (size_t i = 0; i < weight.data.size(); ++i)
        if (!std::isfinite(value.data[i])) weight.data[i] = 0;
      const std::map<std::string, NodeId> gradients = Backward(graph, node, cotangent);
      EvalOptions with = options;
      with.values["cotangent"] = weight;
      Interpreter backward(graph, with);
      for (const auto& [name, gradient] : gradients) {
        if (name == "cotangent") continue;
        Tensor& x = options.values.at(name);
        const Tensor d = Transposed(backward.Value(gradient), x.axes);
        for (size_t i = 0; i < x.data.size(); ++i) {
          const double old = x.data[i], step = 1e-5;
          x.data[i] = old + step;
          const double above = Loss(graph, node, options, weight);
          x.data[i] = old - step;
          const double below = Loss(graph, node, options, weight);
          x.data[i] = old;
          const double expected = (above - below) / (2 * step);
          ASSERT_NEAR(d.data[i], expected, 1e-6 * std::max(1.0, std::fabs(expected)))
              << Label(sample) << ", d " << name << "[" << i << "] at " << old;
          ++checked;
        }
      }
      EXPECT_EQ(gradients.empty(), sample.name == "whole numbers") << Label(sample);
    }
  }
  EXPECT_GT(checked, 5000);
}

// Output and log-sum-exp of one attention at once: one gradient for both is the sum of one for each.
TEST(Ops, AnAttentionHasOneGradientForBothResults) {
  Graph graph(TestAxes());
  const std::vector<Sample> samples = Samples();
  const Sample& sample = *std::ranges::find(samples, "output", &Sample::name);
  const Node output = graph[sample.build(graph)];
  Attributes at = output.attributes;
  at.index = 1;
  const NodeId total = graph.Make(OpKind::Attention, output.inputs, at);
  const NodeId d = Float(graph, "d", output.type.axes), d_total = Float(graph, "e", graph.axes_of(total));
  const std::vector<NodeId> of_output = AttentionCotangents(graph, output, d, {}),
                            of_total = AttentionCotangents(graph, output, {}, d_total),
                            of_both = AttentionCotangents(graph, output, d, d_total);
  for (const std::vector<NodeId>& cotangents : {of_output, of_total, of_both})
    for (NodeId id : cotangents)
      if (id) graph.SetOutput(std::to_string(graph.outputs.size()), id);
  Interpreter interpreter(graph, RandomValues(graph, kExtents, 3));
  for (size_t i = 0; i < of_both.size(); ++i) {
    ASSERT_EQ(bool(of_output[i]), bool(of_both[i]));
    if (!of_both[i]) continue;
    const Tensor& both = interpreter.Value(of_both[i]);
    for (size_t j = 0; j < both.data.size(); ++j)
      EXPECT_NEAR(both.data[j],
                  interpreter.Value(of_output[i]).data[j] + interpreter.Value(of_total[i]).data[j], 1e-12);
  }
}

TEST(Ops, RandomGraphsDifferentiate) {
  for (uint64_t seed = 1; seed <= 80; ++seed) {
    const auto graph = MakeRandomGraph({.seed = seed, .steps = 14, .smooth = true, .random = true});
    const NodeId node = graph->outputs[0].second;
    EvalOptions options = RandomValues(*graph, {{kSeq, 4}}, seed);
    const NodeId cotangent = Float(*graph, "cotangent", graph->axes_of(node));
    Interpreter forward(*graph, options);
    std::mt19937_64 random(seed);
    const Tensor weight =
        heed::testing::RandomTensor(graph->axes_of(node), forward.Value(node).shape, random);
    // What goes through `stop` counts as given.
    for (NodeId id : graph->Order())
      if (graph->op(id) == OpKind::Stop) options.frozen[id] = forward.Value(id);
    const std::map<std::string, NodeId> gradients = Backward(*graph, node, cotangent);
    EvalOptions with = options;
    with.values["cotangent"] = weight;
    Interpreter backward(*graph, with);
    for (const auto& [name, gradient] : gradients) {
      if (name == "cotangent") continue;
      Tensor& x = options.values.at(name);
      const Tensor d = Transposed(backward.Value(gradient), x.axes);
      for (size_t i = 0; i < x.data.size(); i += 1 + x.data.size() / 4) {
        const double old = x.data[i], step = 1e-6;
        x.data[i] = old + step;
        const double above = Loss(*graph, node, options, weight);
        x.data[i] = old - step;
        const double below = Loss(*graph, node, options, weight);
        x.data[i] = old;
        const double expected = (above - below) / (2 * step);
        ASSERT_NEAR(d.data[i], expected, 2e-4 * std::max(1.0, std::fabs(expected)))
            << "seed " << seed << ", d " << name << "[" << i << "]\n"
            << Print(*graph);
      }
    }
  }
}

// ---- What is masked is not there

TEST(Ops, NothingLeaksThroughAMask) {
  const double nan = std::nan("");
  for (OpKind op :
       {OpKind::Sum, OpKind::Max, OpKind::Softmax, OpKind::LogSoftmax, OpKind::LogSumExp, OpKind::Contract}) {
    Graph graph(TestAxes());
    const NodeId x = Float(graph, "x", {kA, kSeq}), mask = Bool(graph, "m", {kSeq, kA});
    const NodeId y = Float(graph, "y", {kSeq, kC});
    const NodeId node =
        op == OpKind::Contract ? graph.Contract(x, y, {kSeq}, mask) : graph.Reduce(op, x, {kSeq}, mask);
    const std::map<std::string, NodeId> gradients =
        Backward(graph, node, Float(graph, "cotangent", graph.axes_of(node)));
    EvalOptions options;
    options.extents = kExtents;
    std::mt19937_64 random(3);
    options.values["x"] = heed::testing::RandomTensor({kA, kSeq}, {3, 5}, random);
    options.values["y"] = heed::testing::RandomTensor({kSeq, kC}, {5, 7}, random);
    // Row a = 1 is empty; in the others position 2 is missing.
    options.values["m"] = {{kA, kSeq}, {3, 5}, {1, 1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0, 1, 1}};
    Interpreter sizes(graph, options);
    const Tensor& value = sizes.Value(node);
    options.values["cotangent"] = heed::testing::RandomTensor(value.axes, value.shape, random);
    if (op == OpKind::LogSoftmax || op == OpKind::LogSumExp || op == OpKind::Max) {
      Tensor& d = options.values["cotangent"];
      for (size_t i = 0; i < d.data.size(); ++i)
        if (!std::isfinite(value.data[i])) d.data[i] = 0;
    }
    for (bool poisoned : {false, true}) {
      if (poisoned) {
        for (size_t i : {2, 5, 6, 7, 8, 9, 12}) options.values["x"].data[i] = nan;
        // In a contraction also the other factor: position 2 is missing in every row.
        for (size_t i = 14; i < 21; ++i) options.values["y"].data[i] = nan;
      }
      Interpreter interpreter(graph, options);
      const Tensor& result = interpreter.Value(node);
      for (size_t i = 0; i < result.data.size(); ++i) {
        EXPECT_FALSE(std::isnan(result.data[i])) << Info(op).name << " " << i;
        EXPECT_EQ(result.data[i], value.data[i]) << Info(op).name << " " << i;
      }
      const Tensor d = Transposed(interpreter.Value(gradients.at("x")), {kA, kSeq});
      for (size_t i = 0; i < d.data.size(); ++i) {
        EXPECT_FALSE(std::isnan(d.data[i])) << "d " << Info(op).name << " " << i;
        if (options.values["m"].data[i] == 0) {
          EXPECT_EQ(d.data[i], 0) << "d " << Info(op).name << " " << i;
        }
      }
      if (op == OpKind::Contract) {
        for (double dy : interpreter.Value(gradients.at("y")).data) EXPECT_FALSE(std::isnan(dy));
      }
    }
  }
}

TEST(Ops, NothingIsZero) {
  // The extent itself may be 0.
  Graph graph(TestAxes());
  const NodeId x = Float(graph, "x", {kA, kSeq}), y = Float(graph, "y", {kSeq, kC});
  const NodeId sum = graph.Reduce(OpKind::Sum, x, {kSeq}), product = graph.Contract(x, y, {kSeq});
  const NodeId largest = graph.Reduce(OpKind::Max, x, {kSeq}),
               soft = graph.Reduce(OpKind::Softmax, x, {kSeq}),
               total = graph.Reduce(OpKind::LogSumExp, x, {kSeq});
  Interpreter interpreter(graph,
                          {.values = {{"x", {{kA, kSeq}, {3, 0}, {}}}, {"y", {{kSeq, kC}, {0, 7}, {}}}}});
  EXPECT_EQ(interpreter.Value(sum).data, std::vector<double>(3, 0));
  EXPECT_EQ(interpreter.Value(product).data, std::vector<double>(21, 0));
  EXPECT_EQ(interpreter.Value(largest).data, std::vector<double>(3, -INFINITY));
  EXPECT_EQ(interpreter.Value(total).data, std::vector<double>(3, -INFINITY));
  EXPECT_TRUE(interpreter.Value(soft).data.empty());
}

/// Operands of a pointwise op where it is sampled; truth values where it takes them.
std::vector<double> RandomOperands(const OpInfo& info, std::mt19937_64& random) {
  std::vector<double> operands;
  for (int i = 0; i < info.inputs; ++i) {
    const bool truth = info.elements == Elements::Logical || (info.kind == OpKind::Select && i == 0);
    operands.push_back(
        truth ? static_cast<double>(random() % 2)
              : std::uniform_real_distribution<double>(info.sample.low, info.sample.high)(random));
  }
  return operands;
}

TEST(Ops, ResultsRiseAndFallAsTheirRecordsSay) {
  std::mt19937_64 random(5);
  for (const OpInfo& info : AllOps()) {
    if (info.family != Family::Pointwise) continue;
    for (int i = 0; i < info.inputs; ++i) {
      if (info.trends[static_cast<size_t>(i)] == Trend::Any) continue;
      const double sign = info.trends[static_cast<size_t>(i)] == Trend::Rises ? 1 : -1;
      for (int trial = 0; trial < 500; ++trial) {
        std::vector<double> low = RandomOperands(info, random), high = low;
        high[static_cast<size_t>(i)] = RandomOperands(info, random)[static_cast<size_t>(i)];
        if (high[static_cast<size_t>(i)] < low[static_cast<size_t>(i)]) std::swap(low, high);
        EXPECT_LE(sign * info.eval(low), sign * info.eval(high)) << info.name << ", operand " << i;
      }
    }
  }
}

TEST(Ops, ZeroCotangentsStayZeroAsTheirRecordsSay) {
  const double kExtremes[] = {0, 1, -1, 1e300, -1e300, INFINITY, -INFINITY, NAN};
  for (const OpInfo& info : AllOps()) {
    if (info.family != Family::Pointwise || !info.differentiable) continue;
    Graph graph(TestAxes());
    std::vector<NodeId> operands;
    for (int i = 0; i < info.inputs; ++i) {
      const std::string name = "x" + std::to_string(i);
      operands.push_back(info.kind == OpKind::Select && i == 0 ? Bool(graph, name.c_str(), {})
                                                               : Float(graph, name.c_str(), {}));
    }
    const NodeId node = graph.Pointwise(info.kind, operands);
    const std::vector<NodeId> cotangents = info.vjp(graph, node, Float(graph, "d", {}));
    bool stay = true;
    for (double a : kExtremes) {
      for (double b : kExtremes) {
        Interpreter interpreter(
            graph,
            {.values = {
                 {"x0", {{}, {}, {a}}}, {"x1", {{}, {}, {b}}}, {"x2", {{}, {}, {a}}}, {"d", {{}, {}, {0}}}}});
        for (NodeId cotangent : cotangents)
          if (cotangent) stay = stay && interpreter.Value(cotangent).data[0] == 0;
      }
    }
    EXPECT_EQ(stay, info.keeps_zero) << info.name;
  }
}

TEST(Ops, InfiniteDerivativesMeetNoCotangent) {
  const auto gradient = [](const std::function<NodeId(Graph&, NodeId)>& build, double at, double d) {
    Graph graph(TestAxes());
    const NodeId x = Float(graph, "x", {});
    const auto gradients = Backward(graph, build(graph, x), graph.Const(d));
    Interpreter interpreter(graph, {.values = {{"x", {{}, {}, {at}}}}});
    return interpreter.Value(gradients.at("x")).data[0];
  };
  const auto unary = [](OpKind op) {
    return [op](Graph& graph, NodeId x) { return graph.Pointwise(op, {x}); };
  };
  EXPECT_EQ(gradient(unary(OpKind::Sqrt), 0, 0), 0);
  EXPECT_EQ(gradient(unary(OpKind::Sqrt), 0, 1), INFINITY);
  EXPECT_EQ(gradient(unary(OpKind::Log), 0, 0), 0);
  EXPECT_EQ(gradient([](Graph& g, NodeId x) { return g.Div(g.Const(1), x); }, 0, 0), 0);
  const auto power = [](double exponent) {
    return [exponent](Graph& g, NodeId x) { return g.Pointwise(OpKind::Pow, {x, g.Const(exponent)}); };
  };
  EXPECT_EQ(gradient(power(0.5), 0, 0), 0);
  EXPECT_EQ(gradient(power(0), 0, 1), 0);
  EXPECT_EQ(gradient(power(1), 0, 1), 1);
  EXPECT_EQ(gradient(power(2), -3, 1), -6);
  EXPECT_EQ(gradient([](Graph& g, NodeId x) { return g.Pointwise(OpKind::Pow, {g.Const(0), x}); }, 2, 1), 0);
  EXPECT_EQ(gradient(unary(OpKind::Abs), 0, 1), 0);
  EXPECT_EQ(gradient(unary(OpKind::Relu), 0, 1), 0);
}

}  // namespace
}  // namespace heed::ir
