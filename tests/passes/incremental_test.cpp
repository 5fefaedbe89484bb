// Prefill and steps equal recomputation, bit for bit in the interpreter, on every program that generates;
// what is kept is what must be; what cannot be decoded by steps is refused.
#include "tests/support/incremental_support.h"

namespace heed::test {
namespace {

/// What the examples do not do: caches of whole numbers, positions of keys in values, a running maximum, a
/// window without attention, a product of parameters, keys that are renamed before they are projected.
constexpr const char* kMore = R"(
axis vocab = 7, model = 6, small = 3, heads = 2, key = 3, seq <= 12

module Net(x: vocab[seq]) -> [seq, vocab] {
  param A[vocab, small] ~ normal(0, 1), B[small, model] ~ normal(0, 1), C[model, model'], P[seq, model] ~ normal(0, 1)
  param Wq[heads, key, model], Wk[heads, key, model]
  E = A @small B
  z = E[x] + P
  w = C @model' z[model -> model']
  z = z + sum[seq' | seq' <= seq and seq - seq' < 3](z[seq -> seq'])
  z = z + max[seq' | seq' <= seq](w[seq -> seq'] * sin(seq'))
  same = sum[seq' | seq' <= seq and x == x[seq -> seq']](where(seq' >= 0, 1, 0))
  kept = z[seq -> seq']
  s = (Wq @model z) @key (Wk @model kept)
  far = sum[seq' | seq' <= seq](softmax[seq' | seq' <= seq and seq - seq' < 5](s) * seq')
  z = z * (1 + same) + sum[heads](far)
  E @model z
}

part net = Net

entry complete(p: vocab[seq]) = generate y: vocab[seq] from p by net(y)
)";

struct Case {
  Example example;
  std::string text;
};
std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const Example& example : Programs()) cases.push_back({example, ReadFile(Source(example.path))});
  for (const Example& example : GeneratingForms()) cases.push_back({example, ReadFile(Source(example.path))});
  cases.push_back({{"more", "", {}}, kMore});
  return cases;
}

class IncrementalTest : public testing::TestWithParam<Case> {};

Values Outputs(const Graph& graph, const ir::EvalOptions& options) {
  Interpreter interpreter(graph, options);
  Values outputs;
  for (const auto& [name, id] : graph.outputs) outputs[name] = interpreter.Value(id);
  return outputs;
}

/// Prefill and steps against the whole, in a ragged batch whose rows move, with rings of several kinds.
void ExpectStepsToEqualTheWhole(const frontend::Program& program) {
  const Values parameters = RandomParameters(program, 5);
  const EvaluateGraph evaluate = [&](const Graph& graph, const Values& values, const Lengths& extents) {
    return Outputs(graph, Options(parameters, values, extents));
  };
  for (const frontend::Entry& entry : program.entries) {
    if (entry.kind != frontend::EntryKind::Generate) continue;
    EXPECT_TRUE(passes::CheckEntry(*entry.infer).empty());
    for (const int64_t ring_step : {0, 1, 3}) {
      SCOPED_TRACE(entry.name + ", rings move on by " + std::to_string(ring_step));
      const Graph& graph = *entry.infer;
      const Axis axis = graph.generate->axis, batch("batch"), vocabulary(entry.result_axes.back());
      passes::PassOptions options;
      options.ring_step = ring_step;
      const Graph prefill = passes::RunPipeline(graph, Variant::Prefill, options);
      const Graph step = passes::RunPipeline(graph, Variant::Step, options);
      const Graph forward = passes::RunPipeline(graph, Variant::Forward, options);
      const int64_t bound = graph.axes().Bound(axis);
      GrowingTexts texts(graph);
      const std::vector<int64_t>& counts = texts.counts;
      const double nan = std::numeric_limits<double>::quiet_NaN();
      Session session(prefill, step, evaluate);
      Tensor logits = session.Start(Pack(prefill, texts.examples, texts.lengths, nan), counts);
      const int64_t classes = graph.axes().Bound(vocabulary);
      // Until the longest is at the bound; the texts grow at random, and rows are moved about.
      for (int64_t round = 0;; ++round) {
        const Batched whole = Pack(forward, texts.examples, texts.lengths, nan);
        const Tensor all = Transposed(evaluate(forward, whole.values, whole.extents).at("logits"),
                                      AxisList{batch, axis, vocabulary});
        logits = Transposed(logits, AxisList{batch, vocabulary});
        for (size_t b = 0; b < counts.size(); ++b) {
          for (int64_t v = 0; v < classes; ++v) {
            const double want =
                all.data[(static_cast<int64_t>(b) * all.shape[1] + counts[b] - 1) * classes + v];
            ASSERT_TRUE(std::isfinite(want));
            ASSERT_TRUE(SameBits(logits.data[static_cast<int64_t>(b) * classes + v], want))
                << "round " << round << ", example " << b << ", " << v << ": "
                << logits.data[static_cast<int64_t>(b) * classes + v] << " is not " << want;
          }
        }
        if (texts.Longest() == bound) break;
        if (round % 3 == 2) texts.Reorder(session);
        logits = texts.Grow(session, classes);
      }
    }
  }
}

TEST_P(IncrementalTest, StepsEqualRecomputation) {
  const auto program =
      CompileText(Source(GetParam().example.path), GetParam().text, GetParam().example.sizes);
  ASSERT_TRUE(program);
  ExpectStepsToEqualTheWhole(*program);
}

TEST(Incremental, RandomPrograms) {
  int rings = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const std::string text = RandomProgram(seed);
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
    const auto program = CompileText("random.heed", text);
    ASSERT_TRUE(program);
    ExpectStepsToEqualTheWhole(*program);
    if (testing::Test::HasFailure()) return;
    passes::PassOptions options;
    options.ring_step = 1;
    const Graph step =
        *passes::RunPasses(*program->entries[0].infer, {"sites", "incremental"}, options, Variant::Step);
    for (NodeId id : step.Order())
      if (step.op(id) == OpKind::Write && step[id].attributes.axis.ring()) ++rings;
  }
  EXPECT_GT(rings, 20);
}

TEST_P(IncrementalTest, OneExampleNeedsNoBatch) {
  const auto program =
      CompileText(Source(GetParam().example.path), GetParam().text, GetParam().example.sizes);
  ASSERT_TRUE(program);
  for (const frontend::Entry& entry : program->entries) {
    if (entry.kind != frontend::EntryKind::Generate) continue;
    const Graph& graph = *entry.infer;
    const Axis axis = graph.generate->axis;
    const Graph step = *passes::RunPasses(graph, {"incremental"}, {}, Variant::Step);
    EXPECT_TRUE(ir::Verify(step).empty());
    ASSERT_TRUE(step.generate);
    for (NodeId id : step.Order()) {
      EXPECT_FALSE(ir::Contains(step.axes_of(id), axis)) << "the generated axis is gone in the step";
      const std::string& name = step[id].attributes.name;
      if (step.op(id) == OpKind::Param) EXPECT_FALSE(name.starts_with("enc.")) << name;
    }
    const Graph prefill = *passes::RunPasses(graph, {"incremental"}, {}, Variant::Prefill);
    EXPECT_TRUE(ir::Verify(prefill).empty());
    for (NodeId id : step.Order()) {
      const ir::Node& node = step[id];
      if (node.op != OpKind::Input || node.attributes.name.find('.') == std::string::npos) continue;
      const NodeId made = prefill.Output(node.attributes.name);
      ASSERT_TRUE(made) << node.attributes.name;
      EXPECT_TRUE(ir::SameSet(prefill.axes_of(made), node.type.axes));
      EXPECT_EQ(prefill.type(made).dtype, node.type.dtype);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Programs, IncrementalTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.example.name; });

/// "cache [kv, key, seq']" of every input that holds something, sorted.
std::vector<std::string> Kept(const Example& example, int64_t ring_step, std::string text = "") {
  if (text.empty()) text = ReadFile(Source(example.path));
  const auto program = CompileText(Source(example.path), text, example.sizes);
  std::vector<std::string> kept;
  for (const frontend::Entry& entry : program->entries) {
    if (entry.kind != frontend::EntryKind::Generate) continue;
    passes::PassOptions options;
    options.ring_step = ring_step;
    const Graph step = *passes::RunPasses(*entry.infer, {"sites", "incremental"}, options, Variant::Step);
    for (NodeId id : step.Order()) {
      const ir::Node& node = step[id];
      const std::string& name = node.attributes.name;
      if (node.op != OpKind::Input || name.find('.') == std::string::npos) continue;
      kept.push_back(name.substr(0, name.find('.')) + " [" + ir::Text(node.type.axes) + "]" +
                     (node.attributes.index == 1 ? " shared" : ""));
    }
  }
  std::sort(kept.begin(), kept.end());
  return kept;
}
const Example& Named(const std::string& name) {
  static const std::vector<Example> all = [] {
    std::vector<Example> examples = Programs();
    for (const Example& form : GeneratingForms()) examples.push_back(form);
    return examples;
  }();
  for (const Example& example : all)
    if (example.name == name) return example;
  ADD_FAILURE() << name;
  return all[0];
}
using Strings = std::vector<std::string>;
int64_t Count(const Strings& all, const std::string& one) { return std::count(all.begin(), all.end(), one); }

TEST(Kept, WhatTheModelsNeed) {
  // Two layers each: keys and values.
  EXPECT_EQ(Kept(Named("gpt2"), 0), Strings(4, "cache [heads, key, seq']"));
  // Queries that share keys share the cache.
  const Strings llama = Kept(Named("llama"), 0);
  EXPECT_EQ(Count(llama, "cache [kv, key, seq']") + Count(llama, "cache [kv, seq', key]"), 4);
  EXPECT_EQ(llama.size(), 4u);
  // Encoder and cross attention are computed once.
  const Strings transformer = Kept(Named("transformer"), 0);
  EXPECT_EQ(Count(transformer, "cache [heads, key, tgt']"), 4);
  EXPECT_EQ(Count(transformer, "fixed [heads, key, src]"), 4);
  EXPECT_EQ(transformer.size(), 8u);
  // A short window alone is a ring: two of the layers of `variety`, keys and values. The third sees all, and
  // so does the mean.
  EXPECT_EQ(Kept(Named("variety"), 0),
            (Strings{"cache [heads, key, seq']", "cache [heads, key, seq']", "cache [heads, key, seq']",
                     "cache [heads, key, seq']", "cache [heads, key, seq']", "cache [heads, key, seq']",
                     "cache [model, seq']"}));
  const Strings rings = Kept(Named("variety"), 2);
  EXPECT_EQ(Count(rings, "cache [heads, key, seq'%6+2]"), 4);  // 4 + 2 - 1, rounded up
  EXPECT_EQ(Count(rings, "cache [heads, key, seq']"), 2);
  EXPECT_EQ(Count(rings, "cache [model, seq']"), 1);
  // What depends on parameters alone is computed once for all examples, unless it is only read.
  EXPECT_EQ(Count(Kept(Named("relative_bias"), 0), "fixed [heads, dist] shared"), 1);
  EXPECT_EQ(Count(Kept({"more", "", {}}, 0, kMore), "fixed [vocab, model] shared"), 1);
  EXPECT_EQ(Count(Kept({"more", "", {}}, 0, kMore), "cache [seq']"), 1);  // the ids themselves
}

TEST(Kept, RingsFollowWhatKernelsSumInBlocks) {
  const std::string window = R"(
axis vocab = 7, model = 6, seq <= 8192
module Net(x: vocab[seq]) -> [seq, vocab] {
  param E[vocab, model] ~ normal(0, 1)
  z = E[x]
  k = z[seq -> seq']
  z = z + attention[seq', model](z, k, k, seq' <= seq and seq - seq' < 300)
  z = z + sum[seq' | seq' <= seq and seq - seq' < 300](exp(z[seq -> seq']))
  E @model z
}
part net = Net
entry complete(p: vocab[seq]) = generate y: vocab[seq] from p by net(y)
)";
  EXPECT_EQ(Kept({"window", "", {}}, 0, window),
            (Strings{"cache [model, seq'%1536+768]", "cache [model, seq'%768+256]"}));
}

TEST(Kept, PairsOfPositionsAreRefused) {
  const std::string pairs = R"(
axis vocab = 7, seq <= 8
module Net(x: vocab[seq]) -> [seq, vocab] {
  param E[vocab, vocab'] ~ normal(0, 1)
  z = sum[vocab'](E[x])
  both[seq', seq''] = z[seq -> seq'] * z[seq -> seq'']
  sums = sum[seq'' | seq'' <= seq'](both)
  w[seq, vocab] = sum[seq' | seq' <= seq](exp(sums)) + vocab
  w
}
part net = Net
entry complete(p: vocab[seq]) = generate y: vocab[seq] from p by net(y)
)";
  const auto program = CompileText("pairs.heed", pairs);
  ASSERT_TRUE(program);
  const auto complaints = passes::CheckEntry(*program->entries[0].infer);
  EXPECT_TRUE(complaints.empty());  // the inner sum is a row of its own, kept as a cache

  const std::string text =
      pairs.substr(0, pairs.find("  sums =")) +
      "  w[seq, vocab] = sum[seq' | seq' <= seq](sum[seq'' | seq'' <= seq](exp(both))) + vocab\n" +
      pairs.substr(pairs.find("  w\n"));
  const auto refused = CompileText("pairs.heed", text);
  ASSERT_TRUE(refused);
  const auto why = passes::CheckEntry(*refused->entries[0].infer);
  ASSERT_EQ(why.size(), 1u);
  EXPECT_EQ(why[0].kind, frontend::DiagnosticKind::NotCausal);
  EXPECT_NE(why[0].message.find("pairs of earlier positions, [seq'"), std::string::npos) << why[0].message;
}

}  // namespace
}  // namespace heed::test
