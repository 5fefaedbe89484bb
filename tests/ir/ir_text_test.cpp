// The textual form: everything that can be printed reads back as the same graph, and errors name their line.
#include <gtest/gtest.h>

#include "ir/text.h"
#include "ir/verify.h"
#include "tests/support/random_graph.h"

namespace heed::ir {
namespace {

using heed::testing::MakeRandomGraph;
using heed::testing::RandomValues;
using heed::testing::TestAxes;

std::string Join(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

TEST(IrText, RandomGraphsRoundTrip) {
  std::map<OpKind, int> seen;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const auto graph = MakeRandomGraph({.seed = seed, .steps = 30, .random = seed % 2 == 0});
    ASSERT_EQ(Join(Verify(*graph)), "") << "seed " << seed;
    const std::string text = Print(*graph);
    const auto parsed = ParseGraph(text);
    ASSERT_TRUE(parsed) << "seed " << seed << ": " << parsed.error().message << "\n" << text;
    const Graph& back = **parsed;
    ASSERT_EQ(Print(back), text) << "seed " << seed;
    ASSERT_EQ(Join(Verify(back)), "") << "seed " << seed;
    for (NodeId id : graph->Order()) ++seen[graph->op(id)];
    if (seed % 10 == 0) {
      // Not only the text: the values.
      const EvalOptions values = RandomValues(*graph, {{Axis("seq"), 5}}, seed);
      Interpreter before(*graph, values), after(back, values);
      for (const auto& [name, id] : graph->outputs) {
        const Tensor& x = before.Value(id);
        const Tensor& y = after.Value(back.Output(name));
        ASSERT_EQ(x.axes, y.axes);
        ASSERT_EQ(x.data, y.data) << "seed " << seed << " " << name;
      }
    }
  }
  for (const OpInfo& info : AllOps())
    if (info.kind != OpKind::AttentionGrad) {
      EXPECT_GT(seen[info.kind], 0) << info.name << " never occurs in a random graph";
    }
}

TEST(IrText, RandomGraphsAreOfModerateSize) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const auto graph = MakeRandomGraph({.seed = seed, .steps = 40, .smooth = true, .random = true});
    Interpreter interpreter(*graph, RandomValues(*graph, {{Axis("seq"), 6}}, seed));
    for (const auto& [name, id] : graph->outputs)
      for (double x : interpreter.Value(id).data)
        ASSERT_LT(std::fabs(x), 100) << "seed " << seed << " " << name;
  }
}

TEST(IrText, CarriesEverything) {
  Graph graph(TestAxes());
  const Axis batch("batch"), seq("seq");
  const NodeId x = graph.Make(OpKind::Input, {}, {.axes = {batch, seq}, .name = "x \"quoted\" # \\"});
  graph.ragged[seq] =
      graph.Make(OpKind::Input, {}, {.axes = {batch}, .dtype = DType::Int, .name = "len.seq"});
  graph.origin = {"h.0.attn", Place::Parse("gpt2.heed:19:18 < gpt2.heed:30:3")};
  const NodeId sum = graph.Reduce(OpKind::Sum, x, {seq});
  graph.origin = {};
  graph.adjoint = true;
  const NodeId late = graph.Mul(sum, graph.Const(-0.0));
  graph.adjoint = false;
  auto generate = std::make_shared<GenerateInfo>();
  generate->axis = seq;
  generate->variable = "y";
  generate->prompt = "p";
  generate->until = {graph.ConstInt(2), graph.ConstInt(7)};
  generate->options = {{"beam", 4}, {"alpha", 0.6}};
  graph.generate = generate;
  graph.SetOutput("value", graph.Add(late, graph.Const(1e-300)));
  graph.SetOutput("d.h.0/odd name", sum);
  const std::string text = Print(graph);
  const auto parsed = ParseGraph(text);
  ASSERT_TRUE(parsed) << parsed.error().message << "\n" << text;
  const Graph& back = **parsed;
  EXPECT_EQ(Print(back), text);
  EXPECT_EQ(back.axes().Of(Axis("pair")).enumerators, (std::vector<std::string>{"first", "second"}));
  EXPECT_TRUE(back.axes().IsLifted(batch));
  EXPECT_TRUE(back.axes().IsDynamic(seq));
  const Node& node = back[back.Output("d.h.0/odd name")];
  EXPECT_EQ(node.op, OpKind::Sum);
  EXPECT_EQ(node.inputs.size(), 2u) << "the length mask";
  EXPECT_EQ(node.origin.instance, "h.0.attn");
  EXPECT_EQ(node.origin.where.Text(), "gpt2.heed:19:18 < gpt2.heed:30:3");
  EXPECT_FALSE(node.adjoint);
  EXPECT_TRUE(back[back[back.Output("value")].inputs[0]].adjoint);
  EXPECT_EQ(back[back.ragged.at(seq)].attributes.name, "len.seq");
  ASSERT_TRUE(back.generate);
  EXPECT_EQ(back.generate->prompt, "p");
  EXPECT_EQ(back.generate->options.at("alpha"), 0.6);
  ASSERT_EQ(back.generate->until.size(), 2u);
  EXPECT_EQ(back[back.generate->until[0]].attributes.number, 2);
  EXPECT_EQ(back[back.generate->until[1]].attributes.number, 7);
  EXPECT_FALSE(back.generate->from);
}

TEST(IrText, ErrorsNameTheLine) {
  const std::string axes = "axes {\n  a static 3\n}\n";
  const auto error = [&](const std::string& body) { return ParseGraph(axes + body).error().message; };
  EXPECT_EQ(error("%0 = frobnicate()\n"), "line 4: no op: frobnicate");
  EXPECT_EQ(error("%0 = const()\n%1 = exp(%7)\n"), "line 5: a node is used before it is made");
  EXPECT_EQ(error("%0 = const() : int[]\n"), "line 4: the type is float[], not int[]");
  EXPECT_EQ(error("%0 = const() colour=red\n"), "line 4: no attribute: colour");
  EXPECT_EQ(error("%0 = const()\n%0 = const()\n"), "line 5: %0 is made twice");
  EXPECT_EQ(error("%0 = input() name=\"x\n"), "line 4: the string has no end");
  EXPECT_EQ(error("%0 = input() name=\"x\" axes=[a] : float[a]\n%1 = sum(%0) axes=[b]\n").substr(0, 12),
            "line 5: sum(");
  EXPECT_EQ(error("region r0 {\n  score {\n"), "line 5: a region has no end");
  EXPECT_EQ(ParseGraph("axes {\n  a wide 3\n}\n").error().message,
            "line 2: an axis is static, dynamic or lifted");
  EXPECT_EQ(error("%0 = const()\noutput value = %0\n"), "");
}

}  // namespace
}  // namespace heed::ir
