// Passes on random graphs: rewriting keeps every output bit for bit, gradients are finite differences,
// batching keeps each example's values; and the pipeline as such.
#include "ir/text.h"
#include "tests/support/passes_support.h"
#include "tests/support/random_graph.h"

namespace heed::test {
namespace {

using testing::RandomGraphMaker;
using testing::RandomGraphOptions;

constexpr int64_t kLength = 6;

Values RandomValues(const Graph& graph, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(-2, 2);
  Values values;
  const Lengths lengths{{Axis("seq"), kLength}};
  for (NodeId id : graph.Order()) {
    const ir::Node& node = graph[id];
    if (node.op != OpKind::Input && node.op != OpKind::Param) continue;
    values[node.attributes.name] = MakeTensor(graph, node.type.axes, lengths, [&](int64_t) -> double {
      return node.type.dtype == DType::Float ? uniform(random) : static_cast<double>(random() % 11);
    });
  }
  return values;
}

/// A scatter adds in the order in which its operands list their axes, which is no property of their values.
bool SumsInOrderOfOperands(const Graph& graph, NodeId output) {
  for (NodeId id : graph.Order(std::span(&output, 1)))
    if (graph.op(id) == OpKind::ScatterAdd) return true;
  return false;
}

void ExpectSameOutputs(const Graph& a, const Graph& b, const Values& values, uint64_t seed) {
  const ir::EvalOptions options = Options(values, {}, {{Axis("seq"), kLength}});
  Interpreter x(a, options), y(b, options);
  ASSERT_EQ(a.outputs.size(), b.outputs.size());
  for (const auto& [name, id] : a.outputs) {
    if (!SumsInOrderOfOperands(a, id)) {
      EXPECT_TRUE(SameBits(x.Value(id), y.Value(b.Output(name)))) << name << " of random graph " << seed;
    } else {
      EXPECT_LT(Difference(x.Value(id), y.Value(b.Output(name))), 1e-9)
          << name << " of random graph " << seed;
    }
  }
}

TEST(Passes, RewritesKeepEveryBit) {
  int changed = 0;
  for (uint64_t seed = 1; seed <= 1500; ++seed) {
    RandomGraphOptions options;
    options.seed = seed;
    options.random = seed % 3 == 0;
    const auto graph = RandomGraphMaker(options).Make();
    const Values values = RandomValues(*graph, seed);
    const Graph simple = Passed(*graph, {"canonicalize", "cse"});
    ExpectSameOutputs(*graph, simple, values, seed);
    EXPECT_TRUE(ir::Verify(simple).empty());
    changed += ir::Print(simple) != ir::Print(Passed(*graph, {}));
    if (HasFailure()) return;
  }
  EXPECT_GT(changed, 1000);
}

TEST(Passes, BisectStopsRewriting) {
  RandomGraphOptions options;
  options.seed = 7;
  options.steps = 60;
  const auto graph = RandomGraphMaker(options).Make();
  const Values values = RandomValues(*graph, 7);
  passes::PassOptions none;
  none.bisect = 0;
  EXPECT_EQ(passes::RunPasses(*graph, {"canonicalize", "cse"}, none)->Order().size(), graph->Order().size());
  for (int limit : {1, 3, 10}) {
    passes::PassOptions some;
    some.bisect = limit;
    ExpectSameOutputs(*graph, *passes::RunPasses(*graph, {"canonicalize", "cse"}, some), values, limit);
  }
}

TEST(Passes, GradientsAreFiniteDifferences) {
  int checked = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    RandomGraphOptions options;
    options.seed = seed;
    options.smooth = true;
    const Graph graph = WithLoss(*RandomGraphMaker(options).Make());
    const Graph derived = Passed(graph, {"grad", "canonicalize", "cse"});
    Values values = RandomValues(graph, seed);
    const Lengths lengths{{Axis("seq"), kLength}};
    Interpreter base(derived, Options(values, {}, lengths));
    Interpreter plain(graph, Options(values, {}, lengths));
    const double loss = plain.Value(graph.Output("loss")).data[0];
    if (std::abs(loss) > 1e4) continue;  // differences would drown
    std::map<NodeId, Tensor> stops;
    for (NodeId id : graph.Order())
      if (graph.op(id) == OpKind::Stop) stops[id] = plain.Value(id);
    std::mt19937_64 random(seed);
    for (const auto& [name, id] : derived.outputs) {
      if (!name.starts_with("d.")) continue;
      const std::string parameter = name.substr(2);
      const Tensor gradient = Transposed(base.Value(id), values.at(parameter).axes);
      const size_t i = random() % gradient.data.size();
      const auto slope = [&](double step) {
        double at[2];
        for (int side : {0, 1}) {
          Values moved = values;
          moved[parameter].data[i] += side ? -step : step;
          ir::EvalOptions there = Options(moved, {}, lengths);
          there.frozen = stops;
          at[side] = Interpreter(graph, there).Value(graph.Output("loss")).data[0];
        }
        return (at[0] - at[1]) / (2 * step);
      };
      const double a = slope(1e-5), b = slope(2e-6);
      if (std::abs(a - b) > 1e-5 * (1 + std::abs(a))) continue;  // a kink of relu, max or abs is near
      EXPECT_NEAR(a, gradient.data[i], 3e-5 * (1 + std::abs(a))) << name << " of random graph " << seed;
      ++checked;
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(checked, 100);
}

TEST(Passes, UnknownNamesAreRefused) {
  const auto graph = RandomGraphMaker({}).Make();
  EXPECT_FALSE(passes::RunPasses(*graph, {"canonicalise"}, {}).has_value());
  EXPECT_GE(passes::PassNames().size(), 9u);
}

}  // namespace
}  // namespace heed::test
