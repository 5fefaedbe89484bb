// Random attentions: scores made of what the language offers (products and small networks of query and key,
// factors, slopes, tables by distance, values per query, per key and per pair, caps, conditions), masks of
// every kind and their combinations, empty rows included, factors after the softmax. All of them fuse; native
// code on every CPU level gives the loss and the gradients that the interpreter computes from the graph
// without fusion, and 1, 2 and 5 threads agree bit for bit.
//
// Small odd sizes and a ragged batch with NaN in its padding; a few are long enough for several tiles.
#include <gtest/gtest.h>

#include <algorithm>

#include "backend/target/target.h"
#include "tests/support/jit.h"
#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

/// A program whose attention is drawn from `random`.
class Draw {
 public:
  Draw(uint64_t seed, int64_t width) : random_(seed), width_(width) {}

  std::string Program() {
    const std::string score = Score(2), mask = Mask(), weights = Weights(mask);
    std::string text = "axis model = 6, heads = 2, key = " + std::to_string(width_) +
                       ", val = 3, seq <= 400\n"
                       "const far = 4\n"
                       "axis dist = 2 * far + 1\n\n"
                       "module Net(x[seq, model], doc: int[seq], n: int) -> [seq, heads, val] {\n"
                       "  param Wq[heads, key, model], Wk[heads, key, model], Wv[heads, val, model]\n";
    for (const auto& [name, axes] : {std::pair{"slope", "heads"},
                                     {"gate", "heads"},
                                     {"table", "heads, dist"},
                                     {"u", "model"},
                                     {"w", "heads, model"},
                                     {"c", "key"}})
      if (uses_.count(name)) text += std::string("  param ") + name + "[" + axes + "] ~ normal(0, 1)\n";
    text += "  q = Wq @model x\n  k = (Wk @model x)[seq -> seq']\n  v = (Wv @model x)[seq -> seq']\n";
    if (uses_.count("u")) text += "  a = u @model x\n";
    if (uses_.count("w")) text += "  b = (w @model x)[seq -> seq']\n";
    if (uses_.count("sum")) text += "  both[heads, seq, seq'] = a + b\n";
    if (uses_.count("product")) text += "  pair[heads, seq, seq'] = a * b\n";
    if (uses_.count("added")) text += "  added[heads, key, seq, seq'] = q + k\n";
    if (uses_.count("times")) text += "  times[heads, key, seq, seq'] = q * k\n";
    if (uses_.count("grown")) text += "  grown[heads, seq, seq'] = slope * log(1 + abs(seq - seq'))\n";
    text += "  s = " + score + "\n  (" + weights + ") @seq' v\n}\n\npart net = Net\n\n";
    text +=
        "entry train(x[seq, model], doc: int[seq], n: int, t[seq, heads, val]) =\n"
        "  minimize sum[seq, heads, val](net(x, doc, n) * t) per |seq|\n";
    return text;
  }

 private:
  size_t Any(size_t count) { return random_() % count; }
  std::string Use(const std::string& name, std::string text) {
    uses_.insert(name);
    return text;
  }
  std::string Both() {
    uses_.insert({"u", "w", "sum"});
    return "both";
  }

  std::string Product() {
    switch (Any(6)) {
      case 4:
        uses_.insert({"c", "added"});
        return "c @key tanh(added)";
      case 5:
        uses_.insert({"c", "times"});
        return "c @key (sigmoid(times) * c)";
      case 0:
        return "q @key k";
      case 1:
        return "q @key k / sqrt(|key|)";
      case 2:
        return "q @key k * 0.3";
      default:
        return Use("gate", "(q @key k) * gate");
    }
  }

  std::string Term() {
    switch (Any(9)) {
      case 0:
        return Use("slope", " - slope * (seq - seq')");
      case 1:
        return Use("table", " + table[dist(min(max(seq - seq', -far), far) + far)]");
      case 2:
        return Use("u", " + a");
      case 3:
        return Use("w", " + b");
      case 4:
        uses_.insert({"u", "w", "product"});
        return " + 0.2 * pair";
      case 5:
        return " - 0.1 * abs(seq - seq')";
      case 6:
        uses_.insert({"slope", "grown"});
        return " + grown";
      case 7:
        return " + 0.5 * cos(0.7 * (seq' - seq))";
      default:
        return Use("table", " + where(seq' <= seq, table[dist(min(seq - seq', far))], 0.3)");
    }
  }

  std::string Score(int depth) {
    std::string inner = depth == 0 ? Product() : Any(3) ? Product() + Term() : Score(depth - 1);
    switch (depth == 0 ? 9 : Any(9)) {
      case 0:
        return "4 * tanh((" + inner + ") / 4)";
      case 1:
        return "where(seq - seq' > 2, " + inner + ", (" + inner + ") * 0.5)";
      case 2:
        return "min(" + inner + ", 1.5)";
      case 3:
        return Use("u", "max(" + inner + ", a)");
      case 4:
        return Use("u", "(" + inner + ") * sigmoid(a)");
      case 5:
        return "(" + inner + ")" + Term();
      default:
        return inner;
    }
  }

  std::string SimpleMask() {
    static const char* const kMasks[] = {"seq' <= seq",
                                         "abs(seq - seq') <= 3",
                                         "seq' <= seq and seq - seq' < 5",
                                         "seq' <= seq or seq' < n",
                                         "(seq - seq') % 3 == 0",
                                         "doc == doc[seq -> seq']",
                                         "seq' < seq",
                                         "seq' > seq + 2",
                                         "abs(seq' - n) <= 4",
                                         "seq' * 2 >= seq",
                                         "doc[seq -> seq'] > 0"};
    return kMasks[Any(std::size(kMasks))];
  }
  std::string Mask() {
    switch (Any(6)) {
      case 0:
        return "";
      case 1:
        return SimpleMask() + " and (" + SimpleMask() + ")";
      case 2:
        return "(" + SimpleMask() + ") or (" + SimpleMask() + ")";
      case 3:
        return "not (" + SimpleMask() + ") and seq' <= seq";
      default:
        return SimpleMask();
    }
  }
  std::string Weights(const std::string& mask) {
    const std::string softmax = "softmax[seq'" + (mask.empty() ? "" : " | " + mask) + "](s)";
    switch (Any(5)) {
      case 0:
        return "dropout(" + softmax + ", 0.3)";
      case 1:
        return softmax + " * exp(-((seq - seq') / 4) ^ 2)";
      case 2:
        return softmax + " * sigmoid(" + Both() + ")";
      default:
        return softmax;
    }
  }

  std::mt19937_64 random_;
  int64_t width_;  // of a head
  std::set<std::string> uses_;
};

double ToFloat(double x) { return static_cast<float>(x); }
Values Rounded(Values values) {
  for (auto& [name, tensor] : values) std::ranges::transform(tensor.data, tensor.data.begin(), ToFloat);
  return values;
}

void Check(uint64_t seed, const std::vector<int64_t>& sizes, int64_t width) {
  const std::string text = Draw(seed, width).Program();
  SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + text);
  const auto program = CompileText("random.heed", text, {});
  ASSERT_NE(program, nullptr);
  const Graph& single = *program->entries[0].graph;
  const Graph fused = passes::RunPipeline(single, Variant::Train, {});
  ASSERT_TRUE(ir::Verify(fused).empty());
  ASSERT_TRUE(std::ranges::any_of(fused.Order(), [&](NodeId id) {
    return fused.op(id) == OpKind::Attention;
  })) << "not fused";
  const Graph plain = Passed(single, {"batch", "canonicalize", "grad", "canonicalize", "cse"});

  std::mt19937_64 random(seed);
  const Values parameters = Rounded(RandomParameters(*program, seed));
  std::vector<Lengths> lengths;
  std::vector<Values> examples;
  for (int64_t size : sizes) {
    lengths.push_back({{Axis("seq"), size}});
    examples.push_back(Rounded(RandomInputs(single, lengths.back(), random)));
  }
  const Batched batch = Pack(plain, examples, lengths, std::numeric_limits<double>::quiet_NaN());
  Interpreter interpreter(plain, Options(parameters, batch.values, batch.extents));
  std::map<std::string, Tensor> wanted;
  double overall = 0;
  for (const auto& [name, id] : plain.outputs) {
    const Tensor& want = wanted[name] = interpreter.Value(id);
    for (double x : want.data) {
      ASSERT_TRUE(std::isfinite(x)) << name;
      if (name.starts_with("d.")) overall = std::max(overall, std::abs(x));
    }
  }
  EXPECT_GT(overall, 0);

  std::map<std::string, backend::HostValue> host;
  for (const Values* values : {&parameters, &batch.values})
    for (const auto& [name, tensor] : *values) host[name] = {tensor.shape, tensor.axes, tensor.data};
  for (const std::string& cpu : backend::CpuLevels()) {
    const auto native = backend::JitFunction::Create(fused, cpu, 1);
    if (!native && backend::LacksLevel(native.error())) continue;
    ASSERT_TRUE(native) << native.error().message;
    const auto result = (*native)->Call(host, batch.extents, 1, 3, true);
    for (const auto& [name, want] : wanted) {
      const backend::HostValue& value = result.at(name);
      const Tensor got = Transposed({value.axes, value.shape, value.data}, want.axes);
      // The loss is a sum of terms of either sign.
      double largest = name.starts_with("d.") ? overall / 10
                                              : std::sqrt(static_cast<double>(batch.values.at("t").count()));
      for (double x : want.data) largest = std::max(largest, std::abs(x));
      EXPECT_LE(Difference(want, got) / largest, 3e-5) << name << " " << cpu;
    }
    for (int threads : {2, 5}) {
      (*native)->UseThreads(threads);
      for (const auto& [name, value] : (*native)->Call(host, batch.extents, 1, 3, true))
        EXPECT_TRUE(SameBits(Tensor{value.axes, value.shape, value.data},
                             Tensor{result.at(name).axes, result.at(name).shape, result.at(name).data}))
            << name << " on " << threads << " threads, " << cpu;
    }
  }
}

TEST(RandomAttention, FusedEqualsUnfused) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    Check(seed, {1, 19, 36}, 5);
    if (HasFatalFailure()) return;
  }
}

TEST(RandomAttention, OverSeveralTiles) {
  for (uint64_t seed = 101; seed <= 104; ++seed) {
    Check(seed, {285}, 5);
    Check(seed, {285}, 40);  // wide and long enough for matrix tiles
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace heed::test
