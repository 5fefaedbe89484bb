// What programs compute: numbers equal those computed by hand and by PyTorch.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "frontend/program.h"
#include "ir/interp.h"
#include "tests/support/paths.h"
#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

// ---- Numbers

TEST(ElaborateNumbers, Arithmetic) {
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[b]) = -x ^ 2 + 7 % 3 * x - 8 / 2", {{"x", {1, 2, 3}}}),
                {-4, -6, -10});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[b]) = where(x < 2 or not (x == 3), min(x, 1.5), max(x, 10))",
                        {{"x", {1, 2, 3}}}),
                {1, 1.5, 10});
  ExpectNumbers(
      Numbers(kCommonAxes + "entry f(x[b]) = floor(x) + abs(x) + relu(x)", {{"x", {-1.5, 0.25, 2}}}),
      {-0.5, 0.5, 6});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[b]) = erf(x) - gelu(x)", {{"x", {0, 1, -1}}}),
                {0, std::erf(1) - 0.5 * (1 + std::erf(std::sqrt(0.5))),
                 -std::erf(1) + 0.5 * (1 - std::erf(std::sqrt(0.5)))});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[b]) = (b - 5) % 3 + x", {{"x", {0, 0, 0}}}), {1, 2, 0});
}

TEST(ElaborateNumbers, ReductionsAndPredicates) {
  const Data x = {{"x", {1, 2, 3, 4, 5, 6}}};
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[a, b]) = sum[b](x)", x), {6, 15});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[a, b]) = mean[a, b](x)", x), {3.5});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[a, b]) = mean[b | b < 1](x)", x), {1, 4});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[a, b]) = mean[b | false](x)", x), {0, 0});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[a, b]) = max[a](x) + argmax[a | a < 1](x)", x), {4, 5, 6});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[a, b]) = sum[b](softmax[b | b != 1](x * 0))", x), {1, 1});
  ExpectNumbers(
      Numbers(kCommonAxes + "entry f(x[seq]) = mean[seq](x) + |seq|", {{"x", {1, 2, 6}}}, {{"seq", 3}}), {6});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[seq]) = mean[seq](x)", {{"x", {}}}, {{"seq", 0}}), {0});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[seq]) = mean[seq' | seq' <= seq](x[seq -> seq'])",
                        {{"x", {1, 3, 8}}}, {{"seq", 3}}),
                {1, 2, 4});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[b]) = sum[b](x > 1)", {{"x", {1, 2, 3}}}), {2});
}

TEST(ElaborateNumbers, Contraction) {
  ExpectNumbers(
      Numbers(kCommonAxes + "entry f(x[a, b], y[b]) = x @b y", {{"x", {1, 2, 3, 4, 5, 6}}, {"y", {1, 0, 2}}}),
      {7, 16});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[a, b], y[b, a]) = x @[a, b] y",
                        {{"x", {1, 2, 3, 4, 5, 6}}, {"y", {1, 1, 1, 1, 1, 2}}}),
                {27});
  // Outer products are contractions' own business: no announcement.
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[a, c], y[c, b]) = sum[a, b](x @c y)",
                        {{"x", std::vector<double>(12, 1)}, {"y", std::vector<double>(18, 1)}}),
                {36});
}

TEST(ElaborateNumbers, RenameSplitMergeStackUnpack) {
  const Data x = {{"x", {0, 1, 2, 3, 4, 5}}};
  auto split =
      CompileText(kCommonAxes +
                  "entry f(x[c]) = x[c -> a, b]\nentry g(x[a, b]) = x[b, a -> c]\n"
                  "entry h(x[a, b]) -> [b', a'] = x[a, b -> b', a']\nentry k(x[a, b]) = x[a, b -> a', b']");
  ASSERT_TRUE(split->program) << split->text();
  EXPECT_EQ(ir::Text(EntryNamed(*split->program, "f").result_axes), "a, b");
  ExpectNumbers(RunEntry(*split->program, "f", x).data, {0, 1, 2, 3, 4, 5});
  ExpectNumbers(RunEntry(*split->program, "g", x).data, {0, 3, 1, 4, 2, 5});
  ExpectNumbers(RunEntry(*split->program, "h", x).data, {0, 1, 2, 3, 4, 5});
  EXPECT_EQ(ir::Text(EntryNamed(*split->program, "h").result_axes), "b', a'");
  EXPECT_EQ(ir::Text(EntryNamed(*split->program, "k").result_axes), "a', b'");
  ExpectNumbers(
      Numbers(kCommonAxes + "entry f(x[b]) = stack[pair](x, 2 * x)[b, pair -> c]", {{"x", {1, 2, 3}}}),
      {1, 2, 2, 4, 3, 6});
  ExpectNumbers(
      Numbers(kCommonAxes +
                  "def g(x[a, b]) -> [b] {\n  (u, w) = unpack[a](x)\n  w - u\n}\nentry f(x[a, b]) = g(x)",
              x),
      {3, 3, 3});
}

TEST(ElaborateNumbers, IndexOnehotElement) {
  ExpectNumbers(Numbers(kCommonAxes + "entry f(t[vocab, b], i: vocab[seq]) -> [seq, b] = t[i]",
                        {{"t", {0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42}}, {"i", {4, 1}}},
                        {{"seq", 2}}),
                {40, 41, 42, 10, 11, 12});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[seq]) = x[seq + 1]", {{"x", {5, 6, 7}}}, {{"seq", 3}}),
                {6, 7, 0});
  ExpectNumbers(
      Numbers(kCommonAxes + "entry f(x[seq]) = sum[seq'](x[seq'])", {{"x", {5, 6, 7}}}, {{"seq", 3}}), {18});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(x[b]) = x[b(1)] + x[argmax[b](x)]", {{"x", {5, 6, 7}}}), {13});
  ExpectNumbers(Numbers(kCommonAxes + "entry f(n: int, x[b]) = x[b(n)] * onehot[b](b(n))",
                        {{"n", {2}}, {"x", {5, 6, 7}}}),
                {0, 0, 7});
  // Bias by distance; out of range reads 0.
  ExpectNumbers(Numbers(kCommonAxes + "entry f(t[wide]) = t[wide(b - b' + 1)]", {{"t", {1, 2, 3, 4}}}),
                {2, 1, 0, 3, 2, 1, 4, 3, 2});
}

TEST(ElaborateNumbers, Positions) {
  ExpectNumbers(
      Numbers(
          kCommonAxes + "entry f(x[seq]) = x + sum[seq' | seq' <= seq and seq - seq' < 2](10 * (seq' + 1))",
          {{"x", {0, 0, 1}}}, {{"seq", 3}}),
      {10, 30, 51});
}

TEST(ElaborateNumbers, LoopsAndStacks) {
  const std::string text =
      kCommonAxes +
      "module M(x[b]) -> [b] {\n  param w[b] = 1\n  x * w + 1\n}\n"
      "module Net(x[b]) -> [b] {\n  part h[layer] = M\n  for l in layer { x = h[l](x) * (l + 1) }\n"
      "  h[1 + 1](x)\n}\npart net = Net\nentry f(x[b]) = net(x)";
  auto compiled = CompileText(text);
  ASSERT_TRUE(compiled->program) << compiled->text();
  ASSERT_EQ(compiled->program->parameters.size(), 3u);
  EXPECT_EQ(compiled->program->parameters[2].name, "h.2.w");
  // ((x * 1 + 1) * 1 * 2 + 1) * 2 -> * 3 + 1, * 3, * 3 + 1 with w = 1, 2, 3 in each element.
  const auto got =
      RunEntry(*compiled->program, "f",
               {{"x", {0, 1, 2}}, {"h.0.w", {1, 1, 1}}, {"h.1.w", {2, 2, 2}}, {"h.2.w", {3, 3, 3}}});
  std::vector<double> want;
  for (double x : {0.0, 1.0, 2.0}) {
    for (int l = 0; l < 3; ++l) x = (x * (l + 1) + 1) * (l + 1);
    want.push_back(x * 3 + 1);
  }
  ExpectNumbers(got.data, want);
}

TEST(ElaborateNumbers, SizesOfGroupsAndAxisParameters) {
  ExpectNumbers(
      Numbers(kCommonAxes + "def size[n](x[n]) -> [] = sum[n](x) / |n|\nentry f(x[a, b]) = size[(a, b)](x)",
              {{"x", {1, 2, 3, 4, 5, 6}}}),
      {3.5});
}

TEST(ElaborateNumbers, TwinsOfAxisParameters) {
  // pos' is the twin of whatever pos is: b' here, and a fresh one where b' is lifted over.
  const std::string all_pairs =
      "def pairs[pos](x[pos]) -> [] {\n  p[pos, pos'] = x * x[pos -> pos']\n"
      "  sum[pos, pos' | pos' < pos](p)\n}\n";
  ExpectNumbers(Numbers(kCommonAxes + all_pairs + "entry f(x[b]) = pairs[b](x)", {{"x", {1, 2, 3}}}), {11});
  ExpectNumbers(Numbers(kCommonAxes + all_pairs + "entry f(x[b, b']) = pairs[b](x)",
                        {{"x", {1, 1, 0, 2, 1, 0, 3, 1, 2}}}),
                {11, 3, 0});
}

TEST(ElaborateNumbers, HygieneOfLiftedAxes) {
  // `b` is lifted over in the second argument while it is the axis parameter of the first.
  const std::string text =
      kCommonAxes + "def mix[k](x[k], y) -> [] = sum[k](x) * y\nentry f(x[b], y[b]) = mix[b](x, y)";
  ExpectNumbers(Numbers(text, {{"x", {1, 2, 3}}, {"y", {1, 10, 100}}}), {6, 60, 600});
  // A square layer binds one axis twice.
  const std::string square =
      kCommonAxes +
      "module Linear[inp, out](x[inp]) -> [out] {\n  param w[out, inp]\n  w @inp x\n}\n"
      "part net = Linear[a, a]\nentry f(x[a]) = net(x)";
  auto compiled = CompileText(square);
  ASSERT_TRUE(compiled->program) << compiled->text();
  ExpectNumbers(RunEntry(*compiled->program, "f", {{"x", {1, 10}}, {"w", {1, 2, 3, 4}}}).data, {21, 43});
  // A vocabulary that is lifted over and indexed.
  ExpectNumbers(Numbers(kCommonAxes + "def pick[c](z[c], y: c) -> [] = z[y]\n"
                                      "entry f(z[a, a'], y: a) = pick[a](z, y)",
                        {{"z", {1, 2, 3, 4}}, {"y", {1}}}),
                {3, 4});
}

TEST(ElaborateNumbers, EqualCallsAreOneValue) {
  auto compiled = CompileText(kCommonAxes +
                              "def mix[k](x[k], y) -> [] = sum[k](x) * y\n"
                              "entry f(x[b], y[b]) = mix[b](x, y) - mix[b](x, y)");
  ASSERT_TRUE(compiled->program) << compiled->text();
  const ir::Graph& graph = *compiled->program->entries[0].graph;
  const ir::Node& root = graph[graph.Output("value")];
  EXPECT_EQ(root.inputs[0], root.inputs[1]);
}

TEST(ElaborateNumbers, AnnouncedTwoWayBroadcast) {
  const std::string text = kCommonAxes +
                           "def g(q[a], k[b]) -> [] {\n  s[a, b] = q * 2 + k\n  sum[a, b](s)\n}\n"
                           "entry f(q[a, seq], k[b, seq]) = g(q, k)";
  ExpectNumbers(Numbers(text, {{"q", {1, 2, 3, 4}}, {"k", {1, 1, 1, 1, 1, 1}}}, {{"seq", 2}}),
                {3 * 2 * 4 + 6, 3 * 2 * 6 + 6});
}

TEST(ElaborateNumbers, DynamicParametersAreReadAtPositions) {
  const std::string text =
      kCommonAxes +
      "module M(x[seq, b]) -> [seq, b] {\n  param p[seq, b] = 0\n  x + p\n}\npart net = M\n"
      "entry f(x[seq, b]) = net(x)";
  auto compiled = CompileText(text);
  ASSERT_TRUE(compiled->program) << compiled->text();
  EXPECT_EQ(compiled->program->parameters[0].shape, (std::vector<int64_t>{8, 3}));
  std::vector<double> p(24);
  for (int i = 0; i < 24; ++i) p[i] = i;
  ExpectNumbers(
      RunEntry(*compiled->program, "f", {{"x", {0, 0, 0, 100, 100, 100}}, {"p", p}}, {{"seq", 2}}).data,
      {0, 1, 2, 103, 104, 105});
}

TEST(ElaborateNumbers, XentMatchesItsDefinition) {
  const std::string text = kCommonAxes + "entry f(z[vocab], y: vocab) = xent[vocab](z, y, 0.1)";
  const std::vector<double> z = {0.5, -1, 2, 0, 1};
  double sum = 0, mean = 0;
  for (double v : z) sum += std::exp(v);
  for (double v : z) mean += (v - std::log(sum)) / 5;
  ExpectNumbers(Numbers(text, {{"z", z}, {"y", {2}}}), {-0.9 * (2 - std::log(sum)) - 0.1 * mean});
}

// ---- PyTorch's numbers

struct Safetensors {
  nlohmann::json header;
  std::string bytes;
  explicit Safetensors(const std::string& path) {
    bytes = Read(path);
    uint64_t length = 0;
    std::copy_n(bytes.data(), 8, reinterpret_cast<char*>(&length));
    header = nlohmann::json::parse(bytes.substr(8, length));
    bytes = bytes.substr(8 + length);
  }
  std::vector<double> operator[](const std::string& name) const {
    const auto& entry = header.at(name);
    const size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
    const std::string type = entry["dtype"];
    std::vector<double> result;
    const auto read = [&]<typename T>(T) {
      for (size_t i = begin; i < end; i += sizeof(T)) {
        T value;
        std::copy_n(bytes.data() + i, sizeof(T), reinterpret_cast<char*>(&value));
        result.push_back(static_cast<double>(value));
      }
    };
    if (type == "F64") read(double{});
    if (type == "F32") read(float{});
    if (type == "I64") read(int64_t{});
    EXPECT_FALSE(result.empty()) << name << " " << type;
    return result;
  }
};

/// Weights `w.NAME` for every parameter of the program; complains of tensors nothing uses.
Data Weights(const Program& program, const Safetensors& file) {
  Data data;
  for (const Parameter& p : program.parameters) data[p.name] = file["w." + p.name];
  for (const auto& [name, entry] : file.header.items()) {
    if (name.starts_with("w.")) {
      EXPECT_TRUE(data.count(name.substr(2))) << name;
    }
  }
  return data;
}

TEST(ElaborateOracle, Gpt2LogitsAndLoss) {
  const std::string path = test::Shared("peers/oracle/data/gpt2_tiny.safetensors");
  if (path.empty()) GTEST_SKIP() << "no oracle";
  const Safetensors file(path);
  auto compiled = CompileText(Read(test::Source("tests/models/gpt2_tiny.heed")));
  ASSERT_TRUE(compiled->program) << compiled->text();
  Data data = Weights(*compiled->program, file);
  const auto ids = file["in.ids"], targets = file["in.targets"], logits = file["plain.logits.f64"];
  double loss = 0, count = 0;
  for (int row = 0; row < 2; ++row) {
    data["x"].assign(ids.begin() + row * 13, ids.begin() + (row + 1) * 13);
    data["y"].assign(targets.begin() + row * 13, targets.begin() + (row + 1) * 13);
    const auto got = RunEntry(*compiled->program, "logits", data, {{"seq", 13}});
    for (size_t i = 0; i < got.data.size(); ++i) EXPECT_NEAR(got.data[i], logits[row * 13 * 61 + i], 1e-10);
    loss += RunEntry(*compiled->program, "train", data, {{"seq", 13}}, "loss").data[0];
    count += RunEntry(*compiled->program, "train", data, {{"seq", 13}}, "per").data[0];
  }
  EXPECT_NEAR(loss / count, file["plain.loss.f64"][0], 1e-10);
}

TEST(ElaborateOracle, Seq2SeqLossWithoutPadding) {
  const std::string path = test::Shared("peers/oracle/data/s2s_tiny.safetensors");
  if (path.empty()) GTEST_SKIP() << "no oracle";
  const Safetensors file(path);
  auto compiled = CompileText(Read(test::Source("tests/models/s2s_tiny.heed")));
  ASSERT_TRUE(compiled->program) << compiled->text();
  Data data = Weights(*compiled->program, file);
  // The padded case: each example alone, without its padding, is what the padded batch must give.
  const auto src = file["in.pad_src"], tin = file["in.pad_tin"], tout = file["in.pad_tout"];
  double loss = 0, count = 0;
  for (int row = 0; row < 3; ++row) {
    const auto cut = [&](const std::vector<double>& all, int width) {
      std::vector<double> result(all.begin() + row * width, all.begin() + (row + 1) * width);
      result.erase(std::find(result.begin(), result.end(), 0.0), result.end());
      return result;
    };
    data["x"] = cut(src, 11);
    data["y"] = cut(tin, 13);
    data["o"] = cut(tout, 13);
    const Extents extents = {{"src", static_cast<int64_t>(data["x"].size())},
                             {"tgt", static_cast<int64_t>(data["y"].size())}};
    loss += RunEntry(*compiled->program, "train", data, extents, "loss").data[0];
    count += RunEntry(*compiled->program, "train", data, extents, "per").data[0];
  }
  EXPECT_NEAR(loss / count, file["pad.loss.f64"][0], 1e-10);
}

}  // namespace
}  // namespace heed::frontend
