// Native code against the interpreter on random programs, forward and gradient, and the thread law bit for
// bit.
#include <gtest/gtest.h>

#include "backend/target/target.h"
#include "ir/text.h"
#include "tests/support/jit.h"
#include "tests/support/passes_support.h"
#include "tests/support/random_graph.h"

namespace heed::test {
namespace {

/// Runs `graph` natively with several numbers of threads and by the interpreter.
void Compare(const Graph& graph, const ir::EvalOptions& options, const std::string& cpu,
             const std::string& what) {
  Interpreter interpreter(graph, options);
  const auto native = backend::JitFunction::Create(graph, cpu, 1);
  ASSERT_TRUE(native) << what << ": " << native.error().message;
  std::map<std::string, backend::HostValue> host;
  for (const auto& [name, tensor] : options.values) host[name] = {tensor.shape, tensor.axes, tensor.data};
  const auto result = (*native)->Call(host, options.extents, options.seed, options.step, true);
  // Rounding to f32 is as large as what was added up on the way, not as the result: compare within the
  // program.
  double largest = 1;
  for (NodeId id : graph.Order()) {
    if (graph.type(id).dtype != DType::Float) continue;
    for (double x : interpreter.Value(id).data) {
      if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
    }
  }
  for (const auto& [name, id] : graph.outputs) {
    const backend::HostValue& value = result.at(name);
    EXPECT_LE(Difference(interpreter.Value(id), {value.axes, value.shape, value.data}) / largest, 1e-4)
        << what << " " << name << "\n"
        << ir::Print(graph);
  }
  for (int threads : {2, 5}) {
    (*native)->UseThreads(threads);
    for (const auto& [name, value] :
         (*native)->Call(host, options.extents, options.seed, options.step, true)) {
      const backend::HostValue& one = result.at(name);
      EXPECT_TRUE(
          SameBits(Tensor{value.axes, value.shape, value.data}, Tensor{one.axes, one.shape, one.data}))
          << what << " " << name << ": " << threads << " threads";
    }
  }
}

std::vector<std::string> Levels() {
  std::vector<std::string> levels;
  for (const std::string& cpu : backend::KernelLevels()) {
    Graph graph(heed::testing::TestAxes());
    graph.SetOutput("value", graph.Const(1));
    if (backend::JitFunction::Create(graph, cpu, 1)) levels.push_back(cpu);
  }
  return levels;
}

ir::EvalOptions RoundedValues(const Graph& graph, uint64_t seed) {
  ir::EvalOptions options =
      heed::testing::RandomValues(graph, {{Axis("seq"), 1 + static_cast<int64_t>(seed % 9)}}, seed);
  for (auto& [name, tensor] : options.values) {
    for (double& x : tensor.data) x = static_cast<float>(x);
  }
  return options;
}

TEST(RandomPrograms, ForwardAgrees) {
  const std::vector<std::string> levels = Levels();
  ASSERT_FALSE(levels.empty());
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const auto graph = heed::testing::MakeRandomGraph({.seed = seed, .smooth = true, .random = true});
    const Graph simple = Passed(*graph, {"canonicalize", "cse"});
    Compare(simple, RoundedValues(simple, seed), levels[seed % levels.size()],
            "random graph " + std::to_string(seed));
    if (HasFailure()) return;
  }
}

TEST(RandomPrograms, GradientsAgree) {
  const std::vector<std::string> levels = Levels();
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    const auto graph = heed::testing::MakeRandomGraph({.seed = seed, .steps = 15, .smooth = true});
    const Graph derived = Passed(WithLoss(*graph), {"grad", "canonicalize", "cse"});
    Compare(derived, RoundedValues(derived, seed), levels[seed % levels.size()],
            "gradient of " + std::to_string(seed));
    if (HasFailure()) return;
  }
}

/// An attention of random values, each of them repeated along some of its axes.
Graph AttentionOfRepeatedValues(uint64_t seed) {
  std::mt19937_64 random(seed);
  Graph graph(heed::testing::TestAxes());
  const Axis seq("seq"), twin("seq'"), a("a"), b("b"), c("c");
  int number = 0;
  const auto value = [&](const AxisList& axes) {
    AxisList some;
    for (Axis axis : axes)
      if (random() % 3 != 0) some.push_back(axis.root());
    NodeId made = graph.Make(OpKind::Input, {}, {.axes = some, .name = "x" + std::to_string(number)});
    AxisList fixed;
    for (Axis axis : some)
      if (axis != seq) fixed.push_back(axis);
    made =
        graph.Mul(made, graph.Make(OpKind::Param, {}, {.axes = fixed, .name = "p" + std::to_string(number)}));
    ++number;
    if (ir::Contains(axes, twin)) made = graph.Rename(made, {{seq, twin}});
    return graph.Broadcast(made, axes);
  };
  const NodeId q = value({seq, a, c}), k = value({twin, a, c}), v = value({twin, a, b});
  graph.SetOutput("out0", heed::testing::TestAttention(graph, q, k, v, value({a, twin}), value({seq})));
  return graph;
}

TEST(RandomPrograms, GradientsOfAttentionOfRepeatedValuesAgree) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    const Graph derived = Passed(WithLoss(AttentionOfRepeatedValues(seed)), {"grad", "canonicalize", "cse"});
    for (const std::string& cpu : Levels())
      Compare(derived, RoundedValues(derived, seed), cpu,
              "repeated values, " + std::to_string(seed) + ", " + cpu);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace heed::test
