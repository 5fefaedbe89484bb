// `sample`: draws follow the softmax of the logits, natively as in the interpreter, whatever else is in the
// batch; and the score-function estimator that examples/attention/hard_sampled.heed makes of them is
// unbiased. All bits of chance are functions of fixed seeds, so every bound here holds always or never.
#include <algorithm>

#include "backend/target/target.h"
#include "tests/support/jit.h"
#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

const Graph& Training(const frontend::Program& program, const std::string& name = "train") {
  const auto entry = std::ranges::find(program.entries, name, &frontend::Entry::name);
  EXPECT_NE(entry, program.entries.end());
  return *entry->graph;
}

/// A value entry with chance: the front end gives `sample` chance only where something is minimized.
constexpr const char* kDraws =
    "axis seq <= 9, heads = 2\n"
    "module Draw(s[heads, seq]) -> [] {\n"
    "  param w[heads] = 1\n"
    "  first = onehot[seq](sample[seq | seq != 2](s))\n"
    "  second = onehot[seq](sample[seq | seq != 2](s))\n"
    "  sum[heads, seq](w * (first * 2 ^ seq + second * 2 ^ seq * 1024))\n"
    "}\n"
    "part draw = Draw\n"
    "entry train(s[heads, seq]) = minimize draw(s)\n"
    "entry value(s[heads, seq]) = draw(s)\n";

/// The argmaxes of a graph, in order: [batch, heads].
std::vector<NodeId> Draws(const Graph& graph) {
  std::vector<NodeId> draws;
  for (NodeId id : graph.Order())
    if (graph.op(id) == OpKind::Argmax) draws.push_back(id);
  return draws;
}

TEST(Sample, DrawsFollowTheSoftmax) {
  const auto program = CompileText("draws.heed", kDraws);
  ASSERT_NE(program, nullptr);
  const Graph graph = Passed(Training(*program), {"batch", "canonicalize"});
  const std::vector<NodeId> draws = Draws(graph);
  ASSERT_EQ(draws.size(), 2u);

  constexpr int64_t kExamples = 20000, kLength = 5;
  const double logits[2][9] = {{0.5, -1, 9, 2, 0, 9, 9, 9, 9}, {-3, 1, 9, 1, 1.5, 9, 9, 9, 9}};
  const Lengths extents{{Axis("batch"), kExamples}, {Axis("seq"), 9}};
  Values values;
  values["s"] = MakeTensor(graph, {Axis("batch"), Axis("heads"), Axis("seq")}, extents,
                           [&](int64_t i) { return logits[i / 9 % 2][i % 9]; });
  values["example"] = MakeTensor(graph, {Axis("batch")}, extents, [](int64_t b) { return b; });
  values["len.seq"] = MakeTensor(graph, {Axis("batch")}, extents, [](int64_t) { return kLength; });
  values["w"] = {{Axis("heads")}, {2}, {1, 1}};
  Interpreter interpreter(graph, Options(values, {}, extents));
  Tensor both[2];
  for (int d : {0, 1}) both[d] = Transposed(interpreter.Value(draws[d]), {Axis("batch"), Axis("heads")});
  int64_t same = 0;
  double expected_same = 0;
  for (int head : {0, 1}) {
    double total = 0, p[9] = {};
    for (int i = 0; i < kLength; ++i)
      if (i != 2) total += p[i] = std::exp(logits[head][i]);
    int64_t counts[2][9] = {};
    for (int64_t b = 0; b < kExamples; ++b) {
      for (int d : {0, 1}) ++counts[d][static_cast<int>(both[d].data[b * 2 + head])];
      same += both[0].data[b * 2 + head] == both[1].data[b * 2 + head];
    }
    for (int i = 0; i < 9; ++i) {
      const double mean = kExamples * p[i] / total;
      for (int d : {0, 1})
        EXPECT_LE(std::abs(counts[d][i] - mean), 4 * std::sqrt(mean)) << "head " << head << " element " << i;
      expected_same += mean * p[i] / total;
    }
  }
  // Two samples of the same logits are two draws.
  EXPECT_NEAR(same, expected_same, 4 * std::sqrt(expected_same));
}

TEST(Sample, WithoutChanceIsTheLikeliest) {
  const auto program = CompileText("draws.heed", kDraws);
  ASSERT_NE(program, nullptr);
  const auto entry = std::ranges::find(program->entries, "value", &frontend::Entry::name);
  for (const Graph* graph : {entry->graph.get(), entry->infer.get()})
    for (NodeId id : graph->Order()) EXPECT_NE(graph->op(id), OpKind::Gumbel);
  const Graph& train = Training(*program);
  std::set<std::string> sites;
  for (NodeId id : train.Order())
    if (train.op(id) == OpKind::Gumbel) sites.insert(train[id].attributes.name);
  EXPECT_EQ(sites, (std::set<std::string>{"#0", "#1"}));
  Values values;
  values["s"] = {{Axis("heads"), Axis("seq")}, {2, 4}, {0, 3, 9, 2, 5, 1, 9, 5}};
  values["w"] = {{Axis("heads")}, {2}, {1, 100}};
  values["example"] = {{}, {}, {7}};
  const Lengths extents{{Axis("seq"), 4}};
  ir::EvalOptions off = Options(values, {}, extents);
  off.dropout = false;
  const double want = 1025 * (2 + 100 * 1);
  EXPECT_EQ(Interpreter(train, off).Value(train.Output("loss")).data[0], want);
  EXPECT_EQ(Interpreter(*entry->infer, off).Value(entry->infer->Output("value")).data[0], want);
}

// Logits that both hold exactly: then noise, sums and decisions are the same bits.
TEST(Sample, NativeDrawsAreTheInterpreters) {
  const auto program = CompileText("draws.heed", kDraws);
  ASSERT_NE(program, nullptr);
  Graph graph = Passed(Training(*program), {"batch", "canonicalize"});
  const std::vector<NodeId> draws = Draws(graph);
  graph.outputs = {{"first", draws[0]}, {"second", draws[1]}};
  constexpr int64_t kExamples = 500;
  std::mt19937_64 random(3);
  std::vector<Lengths> lengths;
  std::vector<Values> examples;
  for (int64_t b = 0; b < kExamples; ++b) {
    const Lengths one{{Axis("seq"), 1 + static_cast<int64_t>(random() % 8)}};
    Values values;
    values["s"] = MakeTensor(graph, {Axis("heads"), Axis("seq")}, one,
                             [&](int64_t) { return static_cast<double>(random() % 33) / 8 - 2; });
    values["example"] = {{}, {}, {static_cast<double>(b * 7)}};
    examples.push_back(std::move(values));
    lengths.push_back(one);
  }
  const Batched batch = Pack(graph, examples, lengths, std::numeric_limits<double>::quiet_NaN());
  Interpreter interpreter(graph, Options(batch.values, {}, batch.extents));
  const auto host = [](const Values& values) {
    std::map<std::string, backend::HostValue> all;
    for (const auto& [name, tensor] : values) all[name] = {tensor.shape, tensor.axes, tensor.data};
    return all;
  };
  int levels = 0;
  for (const std::string& cpu : backend::CpuLevels()) {
    const auto native = backend::JitFunction::Create(graph, cpu, 2);
    if (!native && backend::LacksLevel(native.error())) continue;
    ASSERT_TRUE(native) << cpu << ": " << native.error().message;
    ++levels;
    const auto result = (*native)->Call(host(batch.values), batch.extents, 1, 3, true);
    for (const auto& [name, id] : graph.outputs) {
      const Tensor want = Transposed(interpreter.Value(id), {Axis("batch"), Axis("heads")});
      const backend::HostValue& value = result.at(name);
      const Tensor got = Transposed({value.axes, value.shape, value.data}, want.axes);
      EXPECT_EQ(got.data, want.data) << cpu << " " << name;
      // Alone, as among others.
      for (const int64_t b : {0, 17, 499}) {
        const Batched alone = Pack(graph, {examples[b]}, {lengths[b]}, 0, 0);
        const auto one = (*native)->Call(host(alone.values), alone.extents, 1, 3, true).at(name);
        for (int64_t head : {0, 1})
          EXPECT_EQ(Transposed({one.axes, one.shape, one.data}, want.axes).data[head],
                    want.data[b * 2 + head])
              << cpu << " " << name << " of example " << b;
      }
    }
  }
  EXPECT_GT(levels, 0);
}

// ---- The gradient of an expected loss

const std::map<std::string, double> kTiny = {{"vocab", 4}, {"model", 3}, {"key", 2}, {"src", 4}, {"tgt", 4}};

/// The same model with the expectation written out: every position read, weighted by its probability.
constexpr const char* kExpected =
    "axis vocab = 64, model = 32, key = 32, src <= 64, tgt <= 64\n"
    "module Net(x: vocab[src], y: vocab[tgt]) -> [tgt, vocab] {\n"
    "  param E[vocab, model] ~ normal(0, 1 / sqrt(|model|))\n"
    "  param P[src, model] ~ normal(0, 0.1), Q[tgt, model] ~ normal(0, 0.1)\n"
    "  param Wq[key, model], Wk[key, model]\n"
    "  m = E[x] + P\n"
    "  z = E[y] + Q\n"
    "  s = (Wq @model z) @key (Wk @model m) / sqrt(|key|)\n"
    "  h[tgt, src, model] = z + m\n"
    "  softmax[src](s) @src log_softmax[vocab](E @model h)\n"
    "}\n"
    "part net = Net\n"
    "entry train(x: vocab[src], y: vocab[tgt]) =\n"
    "  minimize -sum[tgt | tgt + 1 < |tgt|](net(x, y)[y[tgt + 1]]) per |tgt| - 1\n";

Graph Derived(const frontend::Program& program) {
  return Passed(Training(program), {"batch", "canonicalize", "grad", "canonicalize", "cse"});
}

/// A batch of the same example under different numbers.
Values Copies(const Graph& graph, int64_t count) {
  const Lengths extents{{Axis("batch"), count}, {Axis("src"), 4}, {Axis("tgt"), 4}};
  const double x[] = {0, 3, 1, 0}, y[] = {1, 2, 0, 3};
  Values values;
  values["x"] = MakeTensor(graph, {Axis("batch"), Axis("src")}, extents, [&](int64_t i) { return x[i % 4]; });
  values["y"] = MakeTensor(graph, {Axis("batch"), Axis("tgt")}, extents, [&](int64_t i) { return y[i % 4]; });
  for (const char* length : {"len.src", "len.tgt"})
    values[length] = MakeTensor(graph, {Axis("batch")}, extents, [](int64_t) { return 4; });
  values["example"] = MakeTensor(graph, {Axis("batch")}, extents, [](int64_t b) { return b; });
  return values;
}

struct Estimate {
  std::map<std::string, std::vector<double>> mean, error;  ///< by output; error: standard, of the mean
};

/// Means over `batches` batches of `count` draws each.
Estimate Draw(const Graph& graph, const Values& parameters, int64_t count, int batches) {
  Estimate estimate;
  const Values values = Copies(graph, count);
  const Lengths extents{{Axis("batch"), count}, {Axis("src"), 4}, {Axis("tgt"), 4}};
  std::map<std::string, std::vector<double>> squares;
  for (int step = 0; step < batches; ++step) {
    ir::EvalOptions options = Options(parameters, values, extents);
    options.step = static_cast<uint64_t>(step);
    Interpreter interpreter(graph, options);
    for (const auto& [name, id] : graph.outputs) {
      const Tensor value = interpreter.Value(id);
      auto& sum = estimate.mean[name];
      auto& square = squares[name];
      sum.resize(value.data.size());
      square.resize(value.data.size());
      for (size_t i = 0; i < value.data.size(); ++i) {
        const double one = value.data[i] / static_cast<double>(count);
        sum[i] += one;
        square[i] += one * one;
      }
    }
  }
  for (auto& [name, sum] : estimate.mean) {
    for (size_t i = 0; i < sum.size(); ++i) {
      sum[i] /= batches;
      const double variance = std::max(0.0, squares[name][i] / batches - sum[i] * sum[i]);
      estimate.error[name].push_back(std::sqrt(variance / (batches - 1)));
    }
  }
  return estimate;
}

TEST(Sample, ScoreFunctionGradientIsUnbiased) {
  const std::string text = ReadFile(Source("examples/attention/hard_sampled.heed"));
  const auto sampled = CompileText("hard_sampled.heed", text, kTiny);
  const auto expected = CompileText("expected.heed", kExpected, kTiny);
  // Without what the estimator adds, the scores get no gradient at all.
  const std::string term = " + stop(logp - baseline) * gradient_of(log_softmax[src](s)[i])";
  ASSERT_NE(text.find(term), std::string::npos);
  std::string without = text;
  without.replace(without.find(term), term.size(), " + 0 * baseline");
  const auto naive = CompileText("naive.heed", without, kTiny);
  ASSERT_TRUE(sampled && expected && naive);
  Values parameters = RandomParameters(*expected, 5);
  for (auto& [name, tensor] : parameters)
    for (double& x : tensor.data) x *= 2;  // far from uniform

  const Graph exact_graph = Derived(*expected), sampled_graph = Derived(*sampled),
              naive_graph = Derived(*naive);
  Interpreter exact(exact_graph, Options(parameters, Copies(exact_graph, 1),
                                         {{Axis("batch"), 1}, {Axis("src"), 4}, {Axis("tgt"), 4}}));
  const Estimate estimate = Draw(sampled_graph, parameters, 200, 100);
  const Estimate wrong = Draw(naive_graph, parameters, 200, 20);
  int compared = 0;
  double sharpest = 0, worst = 0, naive_worst = 0;
  for (const auto& [name, id] : sampled_graph.outputs) {
    if (name == "per") continue;
    const Tensor want = Transposed(exact.Value(exact_graph.Output(name)), sampled_graph.axes_of(id));
    for (size_t i = 0; i < want.data.size(); ++i) {
      const double mean = estimate.mean.at(name)[i], error = estimate.error.at(name)[i] + 1e-9;
      EXPECT_LE(std::abs(mean - want.data[i]), 4.5 * error) << name << " " << i;
      worst = std::max(worst, std::abs(mean - want.data[i]) / error);
      sharpest = std::max(sharpest, std::abs(want.data[i]) / error);
      if (wrong.mean.count(name) != 0)
        naive_worst = std::max(naive_worst, std::abs(wrong.mean.at(name)[i] - want.data[i]) / error);
      ++compared;
    }
  }
  EXPECT_EQ(compared, 1 + 12 + 12 + 12 + 6 + 6);
  // The bound is sharp: it would see an error of a fiftieth, and it sees that of the naive gradient.
  EXPECT_GT(sharpest, 200);
  EXPECT_GT(naive_worst, 50);
  std::printf("             %d gradients of 20,000 draws: %.2f standard errors off at worst\n", compared,
              worst);
  EXPECT_FALSE(naive_graph.Output("d.Wq"));
}

}  // namespace
}  // namespace heed::test
