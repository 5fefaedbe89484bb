// Native code: prefill and steps equal recomputation bit for bit on every program that generates, in a ragged
// batch with rows that move, on the best CPU level, with packed parameters as well; each example equals
// itself alone; threads change nothing.
#include "tests/support/incremental_native.h"

namespace heed::test {
namespace {

class IncrementalNativeTest : public testing::TestWithParam<Example> {};

TEST_P(IncrementalNativeTest, StepsEqualRecomputation) {
  const auto program = Load(GetParam());
  ASSERT_TRUE(program);
  ExpectStepsToEqualTheWhole(*program);
}

TEST(IncrementalNative, RandomPrograms) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const std::string text = RandomProgram(seed);
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
    const auto program = CompileText("random.heed", text);
    ASSERT_TRUE(program);
    ExpectStepsToEqualTheWhole(*program);
  }
}

/// Weights that depend on the source alone, of values that see the text: a step is given them.
TEST(IncrementalNative, WeightsThatDoNotGrow) {
  const auto program = CompileText("given.heed", R"(
axis vocab = 11, model = 6, seq <= 9, src <= 8

module Net(x: vocab[src], y: vocab[seq]) -> [seq, vocab] {
  param S[vocab, model] ~ normal(0, 1), E[vocab, model] ~ normal(0, 1)
  part own = Reader
  s = S[x]
  t = E[y]
  both[seq, src, model] = t * s
  seen[seq, src] = max[src', model | src' != src](both[src -> src'])
  r[src, seq] = softmax[src'](s @model (s / sqrt(|model|))[src -> src']) @src' seen[src -> src']
  E @model own(s, s[src -> src']) + sum[src](r) * E @model t
}

module Reader(q[src, model], k[src', model]) -> [model] {
  sum[src](attention[src', model](q, k, k))
}

part net = Net

entry translate(x: vocab[src]) = generate y: vocab[seq] from 1 until 2 by net(x, y)
)");
  ASSERT_TRUE(program);
  ExpectStepsToEqualTheWhole(*program);
}

/// Keys on one static axis and on two, which every step is given, and two products in one score.
TEST(IncrementalNative, StaticKeysAndSeveralProducts) {
  const auto program = CompileText("static.heed", R"(
axis vocab = 11, model = 6, key = 4, rot = 2, slot = 5, row = 3, col = 2, seq <= 9

module Net(x: vocab[seq]) -> [seq, vocab] {
  param E[vocab, model] ~ normal(0, 1), M[slot, model] ~ normal(0, 1), G[row, col, model] ~ normal(0, 1)
  param W[key, model], U[key, model], R[rot, model]
  z = E[x]
  q = W @model z
  m = tanh(M)
  g = tanh(G)
  t = q @key (U @model m)
  u = q @key (U @model g)
  s = q @key (U @model z)[seq -> seq'] - (R @model z) @rot (R @model z)[seq -> seq'] / 2 + (seq' - seq) / 4
  o = softmax[seq' | seq' <= seq](s, logsumexp[slot](t)) @seq' z[seq -> seq']
  o = o + softmax[slot](t, logsumexp[seq' | seq' <= seq](s)) @slot m
  E @model (z + o + softmax[row, col | row + col < 3](u) @[row, col] g)
}

part net = Net

entry complete(p: vocab[seq]) = generate y: vocab[seq] from p by net(y)
)");
  ASSERT_TRUE(program);
  for (const Variant variant : {Variant::Forward, Variant::Prefill, Variant::Step}) {
    const Graph graph = passes::RunPipeline(*program->entries[0].infer, variant, {});
    for (NodeId id : graph.Order())
      EXPECT_TRUE(graph.op(id) != OpKind::Softmax && graph.op(id) != OpKind::LogSumExp)
          << passes::Name(variant);
  }
  ExpectStepsToEqualTheWhole(*program);
}

/// Long enough for several tiles of keys, blocks of a product and moves of a ring; attention with a window
/// and without, attention that is not fused, running sums, a window without attention.
constexpr const char* kLong = R"(
axis vocab = 11, model = 8, heads = 2, key = 4, att = 3, seq <= 2048

module Additive(x[seq, model], m[seq', model], mask: bool[seq, seq']) -> [seq, model] {
  param W[att, model], U[att, model], v[att]
  s[seq, seq', att] = W @model x + U @model m
  softmax[seq' | mask](v @att tanh(s)) @seq' m
}

module Self(x[seq, model], mask: bool[seq, seq']) -> [seq, model] {
  param Wq[heads, key, model], Wk[heads, key, model], Wv[heads, key, model], Wo[model, heads, key]
  Wo @[heads, key] attention[seq', key](Wq @model x, (Wk @model x)[seq -> seq'], (Wv @model x)[seq -> seq'], mask)
}

module Net(x: vocab[seq]) -> [seq, vocab] {
  param E[vocab, model] ~ normal(0, 1)
  part all = Self, near = Self, add = Additive, far = Additive
  z = E[x]
  z = z + all(z, seq' <= seq) + near(z, seq' <= seq and seq - seq' < 300)
  m = z[seq -> seq']
  n = (z * 1.5)[seq -> seq']
  z = z + add(z, n, seq' <= seq and seq - seq' < 290) + far(z, m, seq' <= seq)
  z = z + mean[seq' | seq' <= seq](m) + sum[seq' | seq' <= seq and seq - seq' < 400](m / 3) / 100
  E @model (z + max[seq' | seq' <= seq and (seq - seq') % 3 == 1](m * 0.5))
}

part net = Net

entry complete(p: vocab[seq]) = generate y: vocab[seq] from p by net(y)
)";

TEST(IncrementalNative, LongTextsMoveRingsOn) {
  const auto program = CompileText("long.heed", kLong);
  ASSERT_TRUE(program);
  const Values parameters = Rounded(RandomParameters(*program, 9));
  const Graph& graph = *program->entries[0].infer;
  const Axis axis = graph.generate->axis, batch("batch"), vocabulary("vocab");
  Native native(graph, 0);
  int rings = 0;
  for (NodeId id : native.step().Order())
    for (const Axis a : native.step().axes_of(id))
      if (native.step().op(id) == OpKind::Input && a.ring()) ++rings;
  EXPECT_EQ(rings, 5);  // keys and values of `near`, two of `add`, the sum
  const EvaluateGraph evaluate = native.Evaluator(parameters, axis.root());
  std::mt19937_64 random(3);
  std::vector<int64_t> counts = {200, 750, 1330};
  std::vector<Values> examples;
  std::vector<Lengths> lengths;
  for (const int64_t n : counts) {
    lengths.push_back({{axis, n}});
    examples.push_back(RandomInputs(graph, lengths.back(), random));
  }
  Session session(native.prefill(), native.step(), evaluate);
  Tensor logits = session.Start(Pack(native.prefill(), examples, lengths, 0), counts);
  for (int64_t round = 0; round <= 260; ++round) {
    if (round % 13 == 0 || round == 1) {
      logits = Transposed(logits, AxisList{batch, vocabulary});
      for (size_t b = 0; b < counts.size(); ++b) {
        const Batched whole = Pack(native.forward(), {examples[b]}, {lengths[b]}, 0, 0);
        const Tensor all = Transposed(evaluate(native.forward(), whole.values, whole.extents).at("logits"),
                                      AxisList{batch, axis, vocabulary});
        for (int64_t v = 0; v < 11; ++v) {
          const double want = all.data[(counts[b] - 1) * 11 + v];
          ASSERT_TRUE(std::isfinite(want));
          ASSERT_TRUE(SameBits(logits.data[static_cast<int64_t>(b) * 11 + v], want))
              << "at " << counts[b] << ", " << v << ": " << logits.data[static_cast<int64_t>(b) * 11 + v]
              << " is not " << want;
        }
      }
    }
    std::vector<double> ids;
    for (size_t b = 0; b < counts.size(); ++b) {
      ids.push_back(static_cast<double>(random() % 11));
      Tensor& text = examples[b].at(graph.generate->variable);
      text.data.push_back(ids.back());
      lengths[b][axis] = text.shape[0] = ++counts[b];
    }
    logits = session.Add(ids);
  }
}

std::vector<Example> Everything() {
  std::vector<Example> examples = Programs();
  for (const Example& form : GeneratingForms()) examples.push_back(form);
  return examples;
}
INSTANTIATE_TEST_SUITE_P(Examples, IncrementalNativeTest, testing::ValuesIn(Everything()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace heed::test
