// Axes, the construction and rebuilding of graphs, and chance. What holds of single ops is in ops_test.cpp.
//
// What these tests leave alone: passes, and the textual form (ir_text_test.cpp).
#include <gtest/gtest.h>

#include <cmath>

#include "ir/interp.h"
#include "ir/op.h"
#include "ir/text.h"
#include "runtime/base/random.h"
#include "tests/support/random_graph.h"

namespace heed::ir {
namespace {

using heed::testing::MakeRandomGraph;
using heed::testing::TestAxes;

const Axis kA("a"), kB("b"), kC("c"), kSeq("seq"), kTwin("seq'"), kBatch("batch");

NodeId Float(Graph& graph, const char* name, const AxisList& axes) {
  return graph.Make(OpKind::Input, {}, {.axes = axes, .name = name});
}
NodeId Int(Graph& graph, const char* name, const AxisList& axes, Axis indexes = {}) {
  return graph.Make(OpKind::Input, {}, {.axes = axes, .indexes = indexes, .dtype = DType::Int, .name = name});
}
NodeId Bool(Graph& graph, const char* name, const AxisList& axes) {
  return graph.Make(OpKind::Input, {}, {.axes = axes, .dtype = DType::Bool, .name = name});
}

// ---- Axes

TEST(Axes, VariantsShareTheRoot) {
  EXPECT_EQ(kTwin.root(), kSeq);
  EXPECT_EQ(kSeq.Twin(), kTwin);
  EXPECT_EQ(Axis("key~1").root().text(), "key");
  EXPECT_EQ(Axis("key~1").Fresh(2).text(), "key~2");
  EXPECT_EQ(Axis("key'").Fresh(12).WithoutFresh().text(), "key'");
  EXPECT_EQ(Axis("key~12'").WithoutFresh().text(), "key'");
  EXPECT_TRUE(kTwin.Stored().stored());
  EXPECT_EQ(kTwin.Ring(256, 64).ring(), 256);
  EXPECT_EQ(kTwin.Ring(256, 64).ring_step(), 64);
  EXPECT_EQ(kTwin.Ring(256, 64).text(), "seq'%256+64");
  EXPECT_EQ(kTwin.Ring(256, 64).root(), kSeq);
  EXPECT_EQ(kSeq.ring(), 0);
  EXPECT_FALSE(Axis());
  EXPECT_EQ(Axis().text(), "");
  EXPECT_TRUE(Axis("a2") < Axis("b") && !(Axis("b") < Axis("a2")) && !(kA < kA));
  const auto table = TestAxes();
  EXPECT_TRUE(table->IsDynamic(kTwin) && table->IsDynamic(Axis("seq~4")));
  EXPECT_FALSE(table->IsDynamic(kSeq.Stored()) || table->IsDynamic(kSeq.Ring(4, 2)) || table->IsDynamic(kA));
  EXPECT_EQ(table->Bound(kTwin.Ring(4, 2)), 4);
  EXPECT_EQ(table->Bound(kTwin), 9);
  EXPECT_TRUE(table->IsLifted(kBatch));
  EXPECT_THROW(table->Of(Axis("nowhere")), InternalError);
}

TEST(Axes, ListsAreSets) {
  const AxisList x = {kA, kB}, y = {kB, kC};
  EXPECT_EQ(Union(x, y), (AxisList{kA, kB, kC}));
  EXPECT_EQ(Minus(x, y), (AxisList{kA}));
  EXPECT_EQ(Intersection(x, y), (AxisList{kB}));
  EXPECT_TRUE(SameSet(x, {kB, kA}) && !SameSet(x, y));
  EXPECT_EQ(Text(Union(x, y)), "a, b, c");
}

// ---- Construction

TEST(Construction, FoldsConstantsOnly) {
  Graph graph(TestAxes());
  const NodeId x = Float(graph, "x", {kA}), i = Int(graph, "i", {kA}), m = Bool(graph, "m", {kSeq});
  EXPECT_EQ(graph.Add(graph.Const(1), graph.Const(2)), graph.Const(3));
  EXPECT_EQ(graph.Add(graph.ConstInt(1), graph.ConstInt(2)), graph.ConstInt(3));
  EXPECT_EQ(graph.Add(graph.ConstInt(1), graph.Const(2)), graph.Const(3));
  EXPECT_EQ(graph.Div(graph.ConstInt(1), graph.ConstInt(2)), graph.Const(0.5));
  EXPECT_EQ(graph.Pointwise(OpKind::Mod, {graph.ConstInt(-1), graph.ConstInt(4)}), graph.ConstInt(3));
  EXPECT_EQ(graph.Pointwise(OpKind::Lt, {graph.ConstInt(1), graph.Const(2)}), graph.ConstBool(true));
  EXPECT_NE(graph.Const(0.0), graph.Const(-0.0));
  EXPECT_NE(graph.Const(1), graph.ConstInt(1));
  EXPECT_EQ(graph.Mul(x, graph.Const(1)), x);
  EXPECT_EQ(graph.Mul(graph.ConstInt(1), x), x);
  EXPECT_EQ(graph.Div(x, graph.Const(1)), x);
  EXPECT_NE(graph.Mul(i, graph.Const(1)), i) << "that is a float";
  EXPECT_NE(graph.Add(x, graph.Const(0)), x) << "-0 + 0 is 0";
  EXPECT_EQ(graph.And(m, graph.ConstBool(true)), m);
  const NodeId never = graph.And(graph.ConstBool(false), m);
  EXPECT_EQ(graph.axes_of(never), graph.axes_of(m)) << "the axes stay";
  EXPECT_EQ(graph.op(graph.Pointwise(OpKind::Stop, {graph.Const(1)})), OpKind::Stop);
  EXPECT_EQ(graph.Add(x, i), graph.Add(x, i)) << "hash-consed";
  EXPECT_EQ(graph.Broadcast(x, {kA}), x);
  EXPECT_EQ(graph.Rename(x, {{kB, kC}}), x);
  EXPECT_EQ(graph.Reduce(OpKind::Sum, x, {}), x);
  EXPECT_EQ(graph.op(graph.Reduce(OpKind::Sum, x, {}, m)), OpKind::Select);
  EXPECT_EQ(graph[graph.Reduce(OpKind::Sum, x, {kA}, graph.ConstBool(true))].inputs.size(), 1u);
  EXPECT_EQ(graph[graph.Reduce(OpKind::Sum, x, {kA}, graph.ConstBool(false))].inputs.size(), 2u);
  EXPECT_EQ(graph.op(graph.Contract(x, x, {})), OpKind::Mul);
}

TEST(Construction, WholeNumbersKeepWhatTheyIndex) {
  Graph graph(TestAxes());
  const NodeId p = graph.Positions(kSeq), q = graph.Positions(kTwin), two = graph.ConstInt(2);
  const auto indexes = [&](NodeId id) { return graph.type(id).indexes; };
  EXPECT_EQ(indexes(p), kSeq);
  EXPECT_EQ(indexes(graph.Add(p, two)), kSeq);
  EXPECT_EQ(indexes(graph.Sub(p, two)), kSeq);
  EXPECT_EQ(indexes(graph.Sub(p, q)), Axis()) << "a distance";
  EXPECT_EQ(indexes(graph.Sub(two, p)), kSeq) << "counts from an end";
  EXPECT_EQ(indexes(graph.Add(p, q)), Axis()) << "nowhere in particular";
  EXPECT_EQ(indexes(graph.Mul(p, two)), Axis());
  EXPECT_EQ(indexes(graph.Pointwise(OpKind::Minimum, {two, p})), kSeq);
  EXPECT_EQ(indexes(graph.Pointwise(OpKind::Maximum, {p, q})), kSeq);
  EXPECT_EQ(indexes(graph.Pointwise(OpKind::Maximum, {p, graph.Positions(kA)})), Axis());
  EXPECT_EQ(indexes(graph.Pointwise(OpKind::Mod, {p, two})), kSeq);
  EXPECT_EQ(indexes(graph.Pointwise(OpKind::Mod, {two, p})), Axis());
  EXPECT_EQ(indexes(graph.Select(graph.ConstBool(true), graph.Positions(kA), p)), Axis());
  const NodeId first = graph.Make(OpKind::Const, {}, {.indexes = kSeq, .dtype = DType::Int});
  EXPECT_EQ(indexes(graph.Add(first, two)), kSeq) << "also where constants fold";
  EXPECT_EQ(graph.op(graph.Add(first, two)), OpKind::Const);
  EXPECT_EQ(indexes(graph.Select(graph.ConstBool(true), two, p)), kSeq);
  EXPECT_EQ(indexes(graph.Pointwise(OpKind::Stop, {p})), kSeq);
  EXPECT_EQ(graph.type(graph.Div(p, two)).dtype, DType::Float);
  EXPECT_EQ(indexes(graph.Reduce(OpKind::Argmax, Float(graph, "x", {kTwin}), {kTwin})), kSeq);
}

TEST(Construction, WholeNumbersThatDoNotFitAreNotFolded) {
  Graph graph(TestAxes());
  const NodeId large = graph.ConstInt(65536), most = graph.ConstInt(2147483647);
  EXPECT_EQ(graph.op(graph.Mul(large, large)), OpKind::Mul);
  EXPECT_EQ(graph.op(graph.Add(most, graph.ConstInt(1))), OpKind::Add);
  EXPECT_EQ(graph.op(graph.Sub(graph.Neg(most), graph.ConstInt(1))), OpKind::Const);
  EXPECT_EQ(graph[graph.Mul(graph.Const(65536), large)].attributes.number, 4294967296.0) << "a float";
}

TEST(Construction, RefusesNonsense) {
  Graph graph(TestAxes());
  const NodeId x = Float(graph, "x", {kA, kSeq}), i = Int(graph, "i", {kA});
  EXPECT_THROW(graph.Make(OpKind::Exp, {x, x}), InternalError);
  EXPECT_THROW(graph.Make(OpKind::Exp, {NodeId{999}}), InternalError);
  EXPECT_THROW(graph.Make(OpKind::Sum, {x}, {.axes = {kC}}), InternalError);
  EXPECT_THROW(graph.Make(OpKind::Sum, {x, i}, {.axes = {kA}}), InternalError) << "no truth value";
  EXPECT_THROW(graph.Reduce(OpKind::Argmax, x, {kA, kSeq}), InternalError);
  EXPECT_THROW(graph.Contract(x, x, {kC}), InternalError);
  EXPECT_THROW(graph.Make(OpKind::Gather, {x, i}, {.axis = kA}), InternalError) << "the index has the axis";
  EXPECT_THROW(graph.Make(OpKind::Gather, {x, x}, {.axis = kA}), InternalError) << "the index is a float";
  EXPECT_THROW(graph.Make(OpKind::Slice, {x}, {.axis = kA, .index = 3}), InternalError);
  EXPECT_THROW(graph.Make(OpKind::Rename, {x}, {.renames = {{kA, kSeq}}}), InternalError) << "an axis twice";
  EXPECT_THROW(graph.Make(OpKind::Param, {}, {.axes = {kSeq}, .name = "w"}), InternalError);
  EXPECT_THROW(graph.Pointwise(OpKind::And, {x, x}), InternalError);
}

// ---- Rebuilding

TEST(Rebuilding, CopiesAreEqual) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const auto graph = MakeRandomGraph({.seed = seed, .random = true});
    const Graph copy = Rebuild(*graph, {});
    ASSERT_EQ(Print(copy), Print(*graph)) << "seed " << seed;
  }
}

TEST(Rebuilding, ReplacesWhatIsAsked) {
  Graph graph(TestAxes());
  const NodeId x = Float(graph, "x", {kA});
  graph.origin = {"m", Place::Parse("here")};
  graph.SetOutput("value", graph.Pointwise(OpKind::Exp, {graph.Neg(x)}));
  auto generate = std::make_shared<GenerateInfo>();
  generate->until = {graph.ConstInt(5)};
  graph.generate = generate;
  const Graph copy =
      Rebuild(graph, [](Graph& to, NodeId, const Node& node, const std::vector<NodeId>& inputs) {
        return node.op == OpKind::Neg ? to.Pointwise(OpKind::Sin, {inputs[0]}) : NodeId{};
      });
  const Node& exp = copy[copy.Output("value")];
  EXPECT_EQ(exp.op, OpKind::Exp);
  EXPECT_EQ(copy.op(exp.inputs[0]), OpKind::Sin);
  EXPECT_EQ(copy[exp.inputs[0]].origin.where.Text(), "here");
  ASSERT_TRUE(copy.generate && copy.generate->until.size() == 1);
  EXPECT_EQ(copy[copy.generate->until[0]].attributes.number, 5);
}

// ---- Chance

TEST(Chance, PhiloxIsThatOfThePaper) {
  // The known answers of Random123.
  const auto words = [](PhiloxBlock block) {
    return std::vector<uint32_t>{block.word[0], block.word[1], block.word[2], block.word[3]};
  };
  EXPECT_EQ(words(Philox4x32_10({{0, 0, 0, 0}}, 0, 0)),
            (std::vector<uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(words(Philox4x32_10({{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u)),
            (std::vector<uint32_t>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(words(Philox4x32_10({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0)),
            (std::vector<uint32_t>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
  EXPECT_EQ(SiteHash("", 0), 0x811c9dc5u);
  EXPECT_EQ(SiteHash("foobar", 6), 0xbf9cf968u);
}

TEST(Chance, DependsOnTheElementAlone) {
  for (const OpKind op : {OpKind::Keep, OpKind::Gumbel}) {
    Graph graph(TestAxes());
    const NodeId chance =
        graph.Make(op, {Int(graph, "i", {kBatch})},
                   {.axes = {kSeq, kA}, .name = "s#0", .number = op == OpKind::Keep ? 0.5 : 0});
    const auto value = [&](int64_t seq, std::vector<double> examples, uint64_t step) {
      EvalOptions options;
      options.extents[kSeq] = seq;
      options.seed = 42;
      options.step = step;
      const int64_t count = static_cast<int64_t>(examples.size());
      options.values["i"] = {{kBatch}, {count}, std::move(examples)};
      return Interpreter(graph, options).Value(chance);
    };
    const Tensor big = value(9, {7, 8}, 1), small = value(2, {8}, 1), later = value(2, {8}, 2);
    for (int64_t t = 0; t < 2; ++t)
      for (int64_t a = 0; a < 3; ++a) EXPECT_EQ(big.data[(9 + t) * 3 + a], small.data[t * 3 + a]);
    EXPECT_NE(small.data, later.data);
    if (op == OpKind::Keep) {
      int kept = 0;
      for (double x : big.data) {
        EXPECT_TRUE(x == 0 || x == 2);
        kept += x != 0;
      }
      EXPECT_GT(kept, 15);
      EXPECT_LT(kept, 39);
    }
    EvalOptions off;
    off.extents[kSeq] = 2;
    off.dropout = false;
    off.values["i"] = {{kBatch}, {1}, {0}};
    EXPECT_EQ(Interpreter(graph, off).Value(chance).data, std::vector<double>(6, op == OpKind::Keep ? 1 : 0));
  }
}

TEST(Chance, PlainLogIsALogarithm) {
  double worst = 0;
  for (uint32_t bits = 0x00800000u; bits < 0x7f800000u; bits += 4099) {
    float x;
    std::memcpy(&x, &bits, 4);
    const double exact = std::log(static_cast<double>(x));
    const double ulp = std::max(std::ldexp(1.0, std::ilogb(exact == 0 ? 1 : exact) - 23), 1e-45);
    worst = std::max(worst, std::abs(static_cast<double>(PlainLog(x)) - exact) / ulp);
  }
  // Near 1, where the second logarithm has to be good in relation to its result.
  for (int i = -2000; i <= 2000; ++i) {
    const float x = 1 + static_cast<float>(i) * 0x1p-24f;
    const double exact = std::log(static_cast<double>(x));
    if (exact != 0) worst = std::max(worst, std::abs(static_cast<double>(PlainLog(x)) / exact - 1) * 0x1p23);
  }
  EXPECT_LT(worst, 3);
  EXPECT_GT(worst, 0.1);
  EXPECT_EQ(PlainLog(1.0f), 0);
}

TEST(Chance, GumbelNoiseHasItsDistribution) {
  // All the numbers there are, evenly: mean is Euler's constant, variance pi^2 / 6, and P(noise < x) is
  // exp(-exp(-x)).
  double sum = 0, square = 0;
  std::map<double, int> below;
  constexpr int kCount = 1 << 18;
  for (uint32_t i = 0; i < kCount; ++i) {
    const double g = static_cast<double>(GumbelNoise(i << 14 | 0x2000));
    ASSERT_TRUE(std::isfinite(g));
    sum += g;
    square += g * g;
    for (const double x : {-1.0, 0.0, 1.0, 3.0}) below[x] += g < x;
  }
  EXPECT_NEAR(sum / kCount, 0.5772156649, 1e-4);
  EXPECT_NEAR(square / kCount - sum / kCount * sum / kCount, 1.6449340668, 1e-3);
  for (const auto& [x, count] : below)
    EXPECT_NEAR(count / double(kCount), std::exp(-std::exp(-x)), 1e-5) << x;
  EXPECT_NEAR(static_cast<double>(GumbelNoise(0)), -2.8114, 1e-3);
  EXPECT_NEAR(static_cast<double>(GumbelNoise(~0u)), 16.6355, 1e-3);
}

}  // namespace
}  // namespace heed::ir
