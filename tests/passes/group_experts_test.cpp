// Sums over chosen experts: the values and gradients of the dense form, finite differences, and what is said.
#include "tests/support/expert_programs.h"
#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

int Products(const Graph& graph) {
  int products = 0;
  for (NodeId id : graph.Order()) products += graph.op(id) == OpKind::GroupedContract;
  return products;
}

/// A ragged batch for a graph.
Batched BatchFor(const Graph& single, const Graph& graph) {
  std::mt19937_64 random(3);
  std::vector<Lengths> lengths;
  std::vector<Values> examples;
  for (const int64_t length : {7, 1, 4}) {
    lengths.push_back({{Axis("seq"), length}});
    examples.push_back(RandomInputs(single, lengths.back(), random));
  }
  return Pack(graph, examples, lengths, 0);
}

TEST(GroupExperts, GivesWhatTheDenseFormGives) {
  for (const ExpertProgram& test : ExpertPrograms()) {
    SCOPED_TRACE(test.name);
    const auto program = CompileText("experts.heed", TextOf(test));
    ASSERT_TRUE(program);
    const Graph& single = *program->entries[0].graph;
    std::vector<passes::Remark> remarks;
    const Graph dense = Passed(single, {"batch", "canonicalize", "grad", "canonicalize", "cse"});
    const Graph grouped =
        Passed(single, {"batch", "canonicalize", "group_experts", "grad", "canonicalize", "cse"}, &remarks);
    EXPECT_EQ(Products(Passed(single, {"batch", "canonicalize", "group_experts"})), test.products);
    ASSERT_EQ(remarks.size(), 1u);
    EXPECT_NE(remarks[0].text.find(test.products ? "grouped: " : "dense: the predicate does not bound"),
              std::string::npos)
        << remarks[0].text;
    const Batched batch = BatchFor(single, dense);
    const Values parameters = RandomParameters(*program, 5);
    Interpreter a(dense, Options(parameters, batch.values, batch.extents));
    Interpreter b(grouped, Options(parameters, batch.values, batch.extents));
    ASSERT_EQ(dense.outputs.size(), grouped.outputs.size());
    for (const auto& [name, id] : dense.outputs)
      EXPECT_LT(Difference(a.Value(id), b.Value(grouped.Output(name))), 1e-11) << name;
  }
}

TEST(GroupExperts, GradientsAgainstFiniteDifferences) {
  for (const ExpertProgram& test : ExpertPrograms()) {
    SCOPED_TRACE(test.name);
    const auto program = CompileText("experts.heed", TextOf(test));
    ASSERT_TRUE(program);
    const Graph& single = *program->entries[0].graph;
    const Graph grouped =
        Passed(single, {"batch", "canonicalize", "group_experts", "grad", "canonicalize", "cse"});
    const Batched batch = BatchFor(single, grouped);
    const Values parameters = RandomParameters(*program, 6);
    Interpreter run(grouped, Options(parameters, batch.values, batch.extents));
    std::mt19937_64 random(1);
    for (const auto& [name, id] : grouped.outputs) {
      if (!name.starts_with("d.")) continue;
      const std::string parameter = name.substr(2);
      const Tensor gradient = Transposed(run.Value(id), parameters.at(parameter).axes);
      const size_t i = random() % gradient.data.size();
      double at[2];
      for (int side : {0, 1}) {
        Values moved = parameters;
        moved[parameter].data[i] += side ? -1e-5 : 1e-5;
        at[side] = Interpreter(grouped, Options(moved, batch.values, batch.extents))
                       .Value(grouped.Output("loss"))
                       .data[0];
      }
      EXPECT_NEAR((at[0] - at[1]) / 2e-5, gradient.data[i], 1e-6 * (1 + std::abs(gradient.data[i]))) << name;
    }
  }
}

TEST(GroupExperts, EveryFunctionOfAnEntryIsGrouped) {
  const auto program = CompileText("experts.heed", TextOf(ExpertPrograms()[0]));
  ASSERT_TRUE(program);
  for (const Variant variant : {Variant::Forward, Variant::Prefill, Variant::Step})
    EXPECT_EQ(Products(passes::RunPipeline(*program->entries[1].infer, variant, {})), 3);
  EXPECT_GT(Products(passes::RunPipeline(*program->entries[0].graph, Variant::Train, {})), 3);
}

}  // namespace
}  // namespace heed::test
