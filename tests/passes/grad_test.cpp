// Gradients of every training entry against finite differences, fused and not; and what must not reach a
// gradient.
#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

TEST(Grad, TrainingEntriesAgainstFiniteDifferences) {
  for (const Example& example : Programs()) {
    const auto program = Load(example);
    ASSERT_TRUE(program);
    const Values parameters = RandomParameters(*program, 0);
    for (const frontend::Entry& entry : program->entries) {
      if (entry.kind != frontend::EntryKind::Minimize) continue;
      SCOPED_TRACE(example.name + "." + entry.name);
      const Graph& graph = *entry.graph;
      std::mt19937_64 random(1);
      Lengths lengths;
      for (Axis root : Roots(graph)) lengths[root] = 5 + static_cast<int64_t>(lengths.size());
      const Values inputs = RandomInputs(graph, lengths, random);
      Interpreter plain(graph, Options(parameters, inputs, lengths));
      std::map<NodeId, Tensor> stops;
      for (NodeId id : graph.Order())
        if (graph.op(id) == OpKind::Stop) stops[id] = plain.Value(id);

      const Graph unfused = Passed(graph, {"grad", "canonicalize", "cse"});
      const Graph fused =
          Passed(graph, {"sites", "canonicalize", "fuse_attention", "grad", "canonicalize", "cse"});
      Interpreter a(unfused, Options(parameters, inputs, lengths)),
          b(fused, Options(parameters, inputs, lengths));
      ASSERT_EQ(unfused.outputs.size(), fused.outputs.size());
      int gradients = 0;
      for (const auto& [name, id] : unfused.outputs) {
        if (!name.starts_with("d.")) continue;
        ++gradients;
        const std::string parameter = name.substr(2);
        const Tensor gradient = Transposed(a.Value(id), parameters.at(parameter).axes);
        EXPECT_LT(Difference(gradient, b.Value(fused.Output(name))), 1e-11) << name << " fused";
        for (int sample = 0; sample < 2; ++sample) {
          const size_t i = random() % gradient.data.size();
          double at[2];
          for (int side : {0, 1}) {
            Values moved = parameters;
            moved[parameter].data[i] += side ? -1e-5 : 1e-5;
            ir::EvalOptions there = Options(moved, inputs, lengths);
            there.frozen = stops;
            at[side] = Interpreter(graph, there).Value(graph.Output("loss")).data[0];
          }
          EXPECT_NEAR((at[0] - at[1]) / 2e-5, gradient.data[i], 1e-7 * (1 + std::abs(gradient.data[i])))
              << name;
        }
      }
      EXPECT_GT(gradients, 5);
    }
  }
}

TEST(Grad, InfiniteDerivativeUnderAMaskStaysAway) {
  const auto program = CompileText("masked.heed",
                                   "axis seq <= 6, c = 3\n"
                                   "module M(x[seq, c]) -> [seq] {\n"
                                   "  param w[c] = 1\n"
                                   "  log(sqrt(abs(w @c x)) * seq / seq)\n"
                                   "}\n"
                                   "part net = M\n"
                                   "entry train(x[seq, c]) = minimize sum[seq | 0 < seq](net(x))\n");
  ASSERT_TRUE(program);
  const Graph& graph = *program->entries[0].graph;
  std::mt19937_64 random(1);
  const Lengths lengths{{Axis("seq"), 5}};
  const Values inputs = RandomInputs(graph, lengths, random);
  const Graph derived = Passed(graph, {"grad", "canonicalize", "cse"});
  const NodeId d = derived.Output("d.w");
  ASSERT_TRUE(d);
  Interpreter run(derived, Options(RandomParameters(*program, 1), inputs, lengths));
  for (double x : run.Value(d).data) EXPECT_TRUE(std::isfinite(x));
}

}  // namespace
}  // namespace heed::test
