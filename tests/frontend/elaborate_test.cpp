// The front end from text to graph: programs of the repository elaborate, numbers equal those computed by
// hand and by PyTorch, every semantic diagnostic is provoked, and no text whatever crashes it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "frontend/program.h"
#include "ir/interp.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "tests/support/paths.h"
#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> Programs() {
  std::vector<std::string> programs;
  for (const char* folder : {"examples", "tests/models"})
    for (const auto& file : fs::directory_iterator(test::Source(folder)))
      if (file.path().extension() == ".heed") programs.push_back(file.path().string());
  std::sort(programs.begin(), programs.end());
  return programs;
}

// ---- Programs of the repository

TEST(Elaborate, AllProgramsGiveSoundGraphs) {
  EXPECT_GE(Programs().size(), 6u);
  for (const std::string& path : Programs()) {
    auto compiled = CompileText(Read(path), {}, path);
    ASSERT_TRUE(compiled->program) << compiled->text();
    EXPECT_TRUE(compiled->diagnostics.all().empty()) << compiled->text();
    for (const Entry& entry : compiled->program->entries) {
      for (const auto& graph : {entry.graph, entry.infer}) {
        for (const std::string& bad : ir::Verify(*graph))
          ADD_FAILURE() << path << " " << entry.name << ": " << bad;
        const auto again = ir::ParseGraph(ir::Print(*graph));
        EXPECT_TRUE(again) << path << " " << entry.name << ": " << again.error().message;
      }
      for (ir::NodeId id : entry.infer->Order()) EXPECT_NE(entry.infer->op(id), ir::OpKind::Keep);
      for (ir::NodeId id : entry.graph->Order()) {
        const ir::Node& node = (*entry.graph)[id];
        if (node.op != ir::OpKind::Const) {
          EXPECT_TRUE(node.origin.where);
        }
      }
    }
    for (const Parameter& parameter : compiled->program->parameters)
      EXPECT_NE(parameter.init.kind, Initializer::Kind::Missing) << path << " " << parameter.name;
  }
}

TEST(Elaborate, EveryExampleTrainsScoresAndGenerates) {
  for (const std::string& path : Programs()) {
    if (path.find("/examples/") == path.npos) continue;
    auto compiled = CompileText(Read(path), {}, path);
    std::set<EntryKind> kinds;
    for (const Entry& entry : compiled->program->entries) kinds.insert(entry.kind);
    EXPECT_EQ(kinds.size(), 3u) << path;
  }
}

TEST(Elaborate, ParameterNamesAndShapesOfGpt2) {
  auto compiled = CompileText(Read(test::Source("examples/gpt2.heed")));
  ASSERT_TRUE(compiled->program);
  std::map<std::string, const Parameter*> named;
  for (const Parameter& p : compiled->program->parameters)
    EXPECT_TRUE(named.emplace(p.name, &p).second) << p.name;
  EXPECT_EQ(named.size(), 148u);
  const auto shape = [&](const std::string& name) {
    return named.count(name) ? named[name]->shape : std::vector<int64_t>{};
  };
  EXPECT_EQ(compiled->program->parameters[0].name, "wte.weight");
  EXPECT_EQ(shape("wte.weight"), (std::vector<int64_t>{50257, 768}));
  EXPECT_EQ(shape("wpe.weight"), (std::vector<int64_t>{1024, 768}));
  EXPECT_EQ(shape("h.11.attn.c_attn.weight"), (std::vector<int64_t>{768, 2304}));
  EXPECT_EQ(shape("h.0.attn.c_proj.weight"), (std::vector<int64_t>{768, 768}));
  EXPECT_EQ(shape("h.3.mlp.c_fc.bias"), (std::vector<int64_t>{3072}));
  EXPECT_EQ(shape("ln_f.bias"), (std::vector<int64_t>{768}));
  ASSERT_TRUE(named.count("h.0.attn.c_attn.weight"));
  EXPECT_EQ(ir::Text(named["h.0.attn.c_attn.weight"]->axes), "model, qkv, heads, key");
  EXPECT_EQ(named["h.0.attn.c_attn.weight"]->groups, (std::vector<std::vector<int>>{{0}, {1, 2, 3}}));
  EXPECT_EQ(ir::Text(named["wpe.weight"]->axes), "seq^, model");
  EXPECT_EQ(named["wpe.weight"]->init.kind, Initializer::Kind::Normal);
  EXPECT_EQ(named["wpe.weight"]->init.b, 0.01);
}

TEST(Elaborate, AliasReplacesTheOwnComponentOnly) {
  auto compiled = CompileText(Read(test::Source("examples/llama.heed")), {{"layer", 2}},
                              test::Source("examples/llama.heed"));
  ASSERT_TRUE(compiled->program);
  std::set<std::string> names;
  for (const Parameter& p : compiled->program->parameters) names.insert(p.name);
  EXPECT_TRUE(names.count("model.layers.1.self_attn.q_proj.weight"));
  EXPECT_TRUE(names.count("model.embed_tokens.weight"));
  EXPECT_TRUE(names.count("lm_head.weight"));
  EXPECT_EQ(names.size(), 3u + 2 * 9);
}

TEST(Elaborate, GlorotFollowsTheContractedAxes) {
  auto compiled = CompileText(Read(test::Source("examples/transformer.heed")));
  ASSERT_TRUE(compiled->program);
  for (const Parameter& p : compiled->program->parameters) {
    if (p.name == "enc.0.att.Wq") {
      EXPECT_EQ(p.init.kind, Initializer::Kind::Glorot);
      EXPECT_EQ(p.init.a, 512);
      EXPECT_EQ(p.init.b, 512);
    }
    if (p.name == "dec.5.ffn.W1") {
      EXPECT_EQ(p.init.a, 512);
      EXPECT_EQ(p.init.b, 2048);
    }
    if (p.name == "dec.5.ffn.W2") {
      EXPECT_EQ(p.init.a, 2048);
    }
    if (p.name == "E") {
      EXPECT_EQ(p.init.kind, Initializer::Kind::Normal);
      EXPECT_NEAR(p.init.b, 1 / std::sqrt(512.0), 1e-15);
    }
  }
}

TEST(Elaborate, GenerateInfo) {
  auto compiled = CompileText(Read(test::Source("examples/transformer.heed")));
  ASSERT_TRUE(compiled->program);
  const Entry& entry = EntryNamed(*compiled->program, "translate");
  ASSERT_TRUE(entry.graph->generate);
  const ir::GenerateInfo& info = *entry.graph->generate;
  EXPECT_EQ(info.axis, Axis("tgt"));
  EXPECT_EQ(info.variable, "y");
  EXPECT_EQ((*entry.graph)[info.from].attributes.number, 1);
  EXPECT_EQ((*entry.graph)[info.until.at(0)].attributes.number, 2);
  EXPECT_EQ(info.options.at("beam"), 4);
  EXPECT_EQ(info.options.at("alpha"), 0.6);
  EXPECT_EQ(ir::Text(entry.result_axes), "tgt, vocab");
  auto gpt2 = CompileText(Read(test::Source("examples/gpt2.heed")));
  const Entry& complete = EntryNamed(*gpt2->program, "complete");
  EXPECT_EQ(complete.graph->generate->prompt, "p");
  EXPECT_FALSE(complete.graph->generate->from);
  EXPECT_EQ(complete.arguments.size(), 1u);
}

TEST(Elaborate, EndsAreASetOfConstants) {
  const std::string head =
      "axis vocab = 8, seq <= 6\nconst eos = 2\nentry f(p: vocab[seq]) = generate y: vocab[seq] from p "
      "until ";
  auto compiled = CompileText(head + "{eos, |vocab| - 1, 1 + 2} by onehot[vocab](y)\n");
  ASSERT_TRUE(compiled->program) << compiled->text();
  const ir::Graph& graph = *compiled->program->entries[0].graph;
  std::vector<double> ends;
  for (const ir::NodeId end : graph.generate->until) ends.push_back(graph[end].attributes.number);
  EXPECT_EQ(ends, (std::vector<double>{2, 7, 3}));
  for (const char* wrong : {"{eos, 2}", "{1, 8}", "{0.5}", "{1, -1}"}) {
    EXPECT_TRUE(CompileText(head + wrong + " by onehot[vocab](y)\n")->Find(DiagnosticKind::GenerateBounds))
        << wrong;
  }
  EXPECT_TRUE(CompileText(head + "{y} by onehot[vocab](y)\n")->Find(DiagnosticKind::UnknownName));
}

TEST(Elaborate, StacksAreKnownByTheirPaths) {
  auto compiled = CompileText(Read(test::Source("examples/llama.heed")), {{"layer", 2}},
                              test::Source("examples/llama.heed"));
  ASSERT_TRUE(compiled->program);
  EXPECT_EQ(compiled->program->stacks, (std::map<std::string, std::string>{{"model.layers.", "layer"}}));
}

TEST(Elaborate, DropoutSitesAreNumberedByPath) {
  auto compiled = CompileText(Read(test::Source("examples/transformer.heed")), {{"layer", 2}});
  ASSERT_TRUE(compiled->program);
  const Entry& entry = EntryNamed(*compiled->program, "train");
  std::set<std::string> sites;
  for (ir::NodeId id : entry.graph->Order())
    if (entry.graph->op(id) == ir::OpKind::Keep) sites.insert((*entry.graph)[id].attributes.name);
  EXPECT_EQ(sites, (std::set<std::string>{"#0", "#1", "enc.0#0", "enc.0#1", "enc.1#0", "enc.1#1", "dec.0#0",
                                          "dec.0#1", "dec.0#2", "dec.1#0", "dec.1#1", "dec.1#2"}));
}

TEST(Elaborate, OriginsNameInstancesAndCallers) {
  auto compiled = CompileText(Read(test::Source("examples/gpt2.heed")), {}, "gpt2.heed");
  const Entry& entry = EntryNamed(*compiled->program, "score");
  bool found = false;
  for (ir::NodeId id : entry.graph->Order()) {
    const ir::Node& node = (*entry.graph)[id];
    if (node.op != ir::OpKind::Softmax || node.origin.instance != "h.3.attn") continue;
    found = true;
    const std::string where = node.origin.where.Text();
    EXPECT_TRUE(where.starts_with("prelude:")) << where;
    EXPECT_NE(where.find(" < gpt2.heed:19:"), std::string::npos) << where;
  }
  EXPECT_TRUE(found);
}

// ---- Numbers

const std::string kAxes =
    "axis a = 2, b = 3, c = 6, pair = {x0, x1}, wide = 4, vocab = 5, layer = 3, seq <= 8, src <= 8\n";

TEST(ElaborateNumbers, Arithmetic) {
  ExpectNumbers(Numbers(kAxes + "entry f(x[b]) = -x ^ 2 + 7 % 3 * x - 8 / 2", {{"x", {1, 2, 3}}}),
                {-4, -6, -10});
  ExpectNumbers(Numbers(kAxes + "entry f(x[b]) = where(x < 2 or not (x == 3), min(x, 1.5), max(x, 10))",
                        {{"x", {1, 2, 3}}}),
                {1, 1.5, 10});
  ExpectNumbers(Numbers(kAxes + "entry f(x[b]) = floor(x) + abs(x) + relu(x)", {{"x", {-1.5, 0.25, 2}}}),
                {-0.5, 0.5, 6});
  ExpectNumbers(Numbers(kAxes + "entry f(x[b]) = erf(x) - gelu(x)", {{"x", {0, 1, -1}}}),
                {0, std::erf(1) - 0.5 * (1 + std::erf(std::sqrt(0.5))),
                 -std::erf(1) + 0.5 * (1 - std::erf(std::sqrt(0.5)))});
  ExpectNumbers(Numbers(kAxes + "entry f(x[b]) = (b - 5) % 3 + x", {{"x", {0, 0, 0}}}), {1, 2, 0});
}

TEST(ElaborateNumbers, ReductionsAndPredicates) {
  const Data x = {{"x", {1, 2, 3, 4, 5, 6}}};
  ExpectNumbers(Numbers(kAxes + "entry f(x[a, b]) = sum[b](x)", x), {6, 15});
  ExpectNumbers(Numbers(kAxes + "entry f(x[a, b]) = mean[a, b](x)", x), {3.5});
  ExpectNumbers(Numbers(kAxes + "entry f(x[a, b]) = mean[b | b < 1](x)", x), {1, 4});
  ExpectNumbers(Numbers(kAxes + "entry f(x[a, b]) = mean[b | false](x)", x), {0, 0});
  ExpectNumbers(Numbers(kAxes + "entry f(x[a, b]) = max[a](x) + argmax[a | a < 1](x)", x), {4, 5, 6});
  ExpectNumbers(Numbers(kAxes + "entry f(x[a, b]) = sum[b](softmax[b | b != 1](x * 0))", x), {1, 1});
  ExpectNumbers(Numbers(kAxes + "entry f(x[seq]) = mean[seq](x) + |seq|", {{"x", {1, 2, 6}}}, {{"seq", 3}}),
                {6});
  ExpectNumbers(Numbers(kAxes + "entry f(x[seq]) = mean[seq](x)", {{"x", {}}}, {{"seq", 0}}), {0});
  ExpectNumbers(Numbers(kAxes + "entry f(x[seq]) = mean[seq' | seq' <= seq](x[seq -> seq'])",
                        {{"x", {1, 3, 8}}}, {{"seq", 3}}),
                {1, 2, 4});
  ExpectNumbers(Numbers(kAxes + "entry f(x[b]) = sum[b](x > 1)", {{"x", {1, 2, 3}}}), {2});
}

TEST(ElaborateNumbers, Contraction) {
  ExpectNumbers(
      Numbers(kAxes + "entry f(x[a, b], y[b]) = x @b y", {{"x", {1, 2, 3, 4, 5, 6}}, {"y", {1, 0, 2}}}),
      {7, 16});
  ExpectNumbers(Numbers(kAxes + "entry f(x[a, b], y[b, a]) = x @[a, b] y",
                        {{"x", {1, 2, 3, 4, 5, 6}}, {"y", {1, 1, 1, 1, 1, 2}}}),
                {27});
  // Outer products are contractions' own business: no announcement.
  ExpectNumbers(Numbers(kAxes + "entry f(x[a, c], y[c, b]) = sum[a, b](x @c y)",
                        {{"x", std::vector<double>(12, 1)}, {"y", std::vector<double>(18, 1)}}),
                {36});
}

TEST(ElaborateNumbers, RenameSplitMergeStackUnpack) {
  const Data x = {{"x", {0, 1, 2, 3, 4, 5}}};
  auto split =
      CompileText(kAxes +
                  "entry f(x[c]) = x[c -> a, b]\nentry g(x[a, b]) = x[b, a -> c]\n"
                  "entry h(x[a, b]) -> [b', a'] = x[a, b -> b', a']\nentry k(x[a, b]) = x[a, b -> a', b']");
  ASSERT_TRUE(split->program) << split->text();
  EXPECT_EQ(ir::Text(EntryNamed(*split->program, "f").result_axes), "a, b");
  ExpectNumbers(RunEntry(*split->program, "f", x).data, {0, 1, 2, 3, 4, 5});
  ExpectNumbers(RunEntry(*split->program, "g", x).data, {0, 3, 1, 4, 2, 5});
  ExpectNumbers(RunEntry(*split->program, "h", x).data, {0, 1, 2, 3, 4, 5});
  EXPECT_EQ(ir::Text(EntryNamed(*split->program, "h").result_axes), "b', a'");
  EXPECT_EQ(ir::Text(EntryNamed(*split->program, "k").result_axes), "a', b'");
  ExpectNumbers(Numbers(kAxes + "entry f(x[b]) = stack[pair](x, 2 * x)[b, pair -> c]", {{"x", {1, 2, 3}}}),
                {1, 2, 2, 4, 3, 6});
  ExpectNumbers(
      Numbers(kAxes + "def g(x[a, b]) -> [b] {\n  (u, w) = unpack[a](x)\n  w - u\n}\nentry f(x[a, b]) = g(x)",
              x),
      {3, 3, 3});
}

TEST(ElaborateNumbers, IndexOnehotElement) {
  ExpectNumbers(Numbers(kAxes + "entry f(t[vocab, b], i: vocab[seq]) -> [seq, b] = t[i]",
                        {{"t", {0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42}}, {"i", {4, 1}}},
                        {{"seq", 2}}),
                {40, 41, 42, 10, 11, 12});
  ExpectNumbers(Numbers(kAxes + "entry f(x[seq]) = x[seq + 1]", {{"x", {5, 6, 7}}}, {{"seq", 3}}), {6, 7, 0});
  ExpectNumbers(Numbers(kAxes + "entry f(x[seq]) = sum[seq'](x[seq'])", {{"x", {5, 6, 7}}}, {{"seq", 3}}),
                {18});
  ExpectNumbers(Numbers(kAxes + "entry f(x[b]) = x[b(1)] + x[argmax[b](x)]", {{"x", {5, 6, 7}}}), {13});
  ExpectNumbers(
      Numbers(kAxes + "entry f(n: int, x[b]) = x[b(n)] * onehot[b](b(n))", {{"n", {2}}, {"x", {5, 6, 7}}}),
      {0, 0, 7});
  // Bias by distance; out of range reads 0.
  ExpectNumbers(Numbers(kAxes + "entry f(t[wide]) = t[wide(b - b' + 1)]", {{"t", {1, 2, 3, 4}}}),
                {2, 1, 0, 3, 2, 1, 4, 3, 2});
}

TEST(ElaborateNumbers, Positions) {
  ExpectNumbers(
      Numbers(kAxes + "entry f(x[seq]) = x + sum[seq' | seq' <= seq and seq - seq' < 2](10 * (seq' + 1))",
              {{"x", {0, 0, 1}}}, {{"seq", 3}}),
      {10, 30, 51});
}

TEST(ElaborateNumbers, LoopsAndStacks) {
  const std::string text =
      kAxes +
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
      Numbers(kAxes + "def size[n](x[n]) -> [] = sum[n](x) / |n|\nentry f(x[a, b]) = size[(a, b)](x)",
              {{"x", {1, 2, 3, 4, 5, 6}}}),
      {3.5});
}

TEST(ElaborateNumbers, TwinsOfAxisParameters) {
  // pos' is the twin of whatever pos is: b' here, and a fresh one where b' is lifted over.
  const std::string all_pairs =
      "def pairs[pos](x[pos]) -> [] {\n  p[pos, pos'] = x * x[pos -> pos']\n"
      "  sum[pos, pos' | pos' < pos](p)\n}\n";
  ExpectNumbers(Numbers(kAxes + all_pairs + "entry f(x[b]) = pairs[b](x)", {{"x", {1, 2, 3}}}), {11});
  ExpectNumbers(
      Numbers(kAxes + all_pairs + "entry f(x[b, b']) = pairs[b](x)", {{"x", {1, 1, 0, 2, 1, 0, 3, 1, 2}}}),
      {11, 3, 0});
}

TEST(ElaborateNumbers, HygieneOfLiftedAxes) {
  // `b` is lifted over in the second argument while it is the axis parameter of the first.
  const std::string text =
      kAxes + "def mix[k](x[k], y) -> [] = sum[k](x) * y\nentry f(x[b], y[b]) = mix[b](x, y)";
  ExpectNumbers(Numbers(text, {{"x", {1, 2, 3}}, {"y", {1, 10, 100}}}), {6, 60, 600});
  // A square layer binds one axis twice.
  const std::string square =
      kAxes +
      "module Linear[inp, out](x[inp]) -> [out] {\n  param w[out, inp]\n  w @inp x\n}\n"
      "part net = Linear[a, a]\nentry f(x[a]) = net(x)";
  auto compiled = CompileText(square);
  ASSERT_TRUE(compiled->program) << compiled->text();
  ExpectNumbers(RunEntry(*compiled->program, "f", {{"x", {1, 10}}, {"w", {1, 2, 3, 4}}}).data, {21, 43});
  // A vocabulary that is lifted over and indexed.
  ExpectNumbers(Numbers(kAxes + "def pick[c](z[c], y: c) -> [] = z[y]\n"
                                "entry f(z[a, a'], y: a) = pick[a](z, y)",
                        {{"z", {1, 2, 3, 4}}, {"y", {1}}}),
                {3, 4});
}

TEST(ElaborateNumbers, EqualCallsAreOneValue) {
  auto compiled = CompileText(kAxes +
                              "def mix[k](x[k], y) -> [] = sum[k](x) * y\n"
                              "entry f(x[b], y[b]) = mix[b](x, y) - mix[b](x, y)");
  ASSERT_TRUE(compiled->program) << compiled->text();
  const ir::Graph& graph = *compiled->program->entries[0].graph;
  const ir::Node& root = graph[graph.Output("value")];
  EXPECT_EQ(root.inputs[0], root.inputs[1]);
}

TEST(ElaborateNumbers, AnnouncedTwoWayBroadcast) {
  const std::string text = kAxes +
                           "def g(q[a], k[b]) -> [] {\n  s[a, b] = q * 2 + k\n  sum[a, b](s)\n}\n"
                           "entry f(q[a, seq], k[b, seq]) = g(q, k)";
  ExpectNumbers(Numbers(text, {{"q", {1, 2, 3, 4}}, {"k", {1, 1, 1, 1, 1, 1}}}, {{"seq", 2}}),
                {3 * 2 * 4 + 6, 3 * 2 * 6 + 6});
}

TEST(ElaborateNumbers, DynamicParametersAreReadAtPositions) {
  const std::string text =
      kAxes +
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
  const std::string text = kAxes + "entry f(z[vocab], y: vocab) = xent[vocab](z, y, 0.1)";
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

// ---- Overrides

TEST(Overrides, DerivedSizesFollow) {
  auto compiled =
      CompileText(Read(test::Source("examples/gpt2.heed")), {{"model", 24}, {"layer", 1}, {"seq", 16}});
  ASSERT_TRUE(compiled->program) << compiled->text();
  EXPECT_EQ(compiled->program->axes->Bound(Axis("key")), 2);
  EXPECT_EQ(compiled->program->axes->Bound(Axis("hidden")), 96);
  EXPECT_EQ(compiled->program->axes->Bound(Axis("seq")), 16);
  EXPECT_EQ(compiled->program->parameters.size(), 16u);
}

TEST(Overrides, DerivedOnesAndConstantsCanBeSet) {
  auto compiled = CompileText(Read(test::Source("examples/gpt2.heed")),
                              {{"hidden", 8}, {"layer", 1}, {"eos", 7}, {"vocab", 9}});
  ASSERT_TRUE(compiled->program) << compiled->text();
  EXPECT_EQ(compiled->program->axes->Bound(Axis("hidden")), 8);
  EXPECT_EQ(compiled->program->consts.at("eos"), 7);
  const Entry& entry = EntryNamed(*compiled->program, "complete");
  EXPECT_EQ((*entry.graph)[entry.graph->generate->until.at(0)].attributes.number, 7);
}

TEST(Overrides, WrongOnesAreRefused) {
  const std::string text = Read(test::Source("examples/gpt2.heed"));
  EXPECT_TRUE(CompileText(text, {{"model", 100}})->Find(DiagnosticKind::BadSize));
  EXPECT_TRUE(CompileText(text, {{"layer", 0}})->Find(DiagnosticKind::BadSize));
  EXPECT_TRUE(CompileText(text, {{"layer", 1.5}})->Find(DiagnosticKind::BadSize));
  EXPECT_TRUE(CompileText(text, {{"seq", -3}})->Find(DiagnosticKind::BadSize));
  EXPECT_TRUE(CompileText(text, {{"qkv", 4}})->Find(DiagnosticKind::BadSize));
  EXPECT_TRUE(CompileText(text, {{"vocab", 1e18}})->Find(DiagnosticKind::SizeTooLarge));
  EXPECT_TRUE(CompileText(text, {{"vocab", NAN}})->Find(DiagnosticKind::BadSize));
  EXPECT_TRUE(CompileText(text, {{"modle", 4}})->Find(DiagnosticKind::UnknownOverride));
  EXPECT_TRUE(CompileText(text, {{"Block", 4}})->Find(DiagnosticKind::UnknownOverride));
  EXPECT_TRUE(CompileText(text, {{"eos", 60000}})->Find(DiagnosticKind::GenerateBounds));
}

// ---- Diagnostics

/// The kinds this stage reports: from UnknownName to UnusedName in diagnostics.def.
bool IsSemantic(DiagnosticKind kind) {
  return kind >= DiagnosticKind::UnknownName && kind <= DiagnosticKind::UnusedName;
}

TEST(Errors, EveryKindHasAProgramThatProvokesIt) {
  int checked = 0;
  for (DiagnosticKind kind : AllKinds()) {
    if (!IsSemantic(kind)) continue;
    const std::string name(KindName(kind));
    const std::string path = test::Source("tests/errors/" + name + ".heed");
    if (!fs::exists(path)) {
      ADD_FAILURE() << "no program provokes " << name;
      continue;
    }
    const std::string text = Read(path);
    std::istringstream first(text);
    std::string hash, expect, where, expected_kind;
    first >> hash >> expect >> where >> expected_kind;
    EXPECT_EQ(expected_kind, name) << path;
    std::map<std::string, double> sizes;
    if (const size_t set = text.find("# SET: "); set != std::string::npos) {
      const size_t equals = text.find('=', set);
      sizes[text.substr(set + 7, equals - set - 7)] = std::stod(text.substr(equals + 1));
    }
    auto compiled = CompileText(text, sizes, name + ".heed");
    EXPECT_EQ(compiled->Where(kind), where) << path << "\n" << compiled->text();
    EXPECT_EQ(compiled->program == nullptr, SeverityOf(kind) == Severity::Error) << path;
    for (const Diagnostic& d : compiled->diagnostics.all()) {
      if (SeverityOf(d.kind) == Severity::Error) {
        EXPECT_EQ(KindName(d.kind), name) << path << "\n" << compiled->text();
      }
      EXPECT_FALSE(d.message.empty());
      EXPECT_NE(d.message.back(), '.');
    }
    ++checked;
  }
  EXPECT_GE(checked, 50);
}

struct Planted {
  const char* what;
  const char* from;
  const char* to;
  DiagnosticKind kind;
  int line;
};

TEST(Errors, PlantedMistakesOfTheLanguageDocument) {
  const std::string gpt2 = Read(test::Source("examples/gpt2.heed"));
  const Planted planted[] = {
      {"keys not renamed", "k[seq -> seq'], v[seq -> seq'], seq' <= seq", "k, v, seq' <= seq",
       DiagnosticKind::MissingAxis, 19},
      {"values not renamed", "v[seq -> seq'], seq' <= seq", "v, seq' <= seq", DiagnosticKind::MissingAxis,
       19},
      {"wrong contraction axis", "wte @model ln_f(z)", "wte @hidden ln_f(z)", DiagnosticKind::ContractionAxis,
       39},
      {"heads not merged", "c_proj = Conv1D[(heads, key), model]", "c_proj = Conv1D[key, model]",
       DiagnosticKind::ResultAxes, 19},
      {"norm over a wrong axis", "standardize[model](x)", "standardize[hidden](x)",
       DiagnosticKind::MissingAxis, 8},
      {"two-way sum", "z = dropout(wte[x] + wpe, 0.1)", "z = wte[x] + (sum[model](wpe) + sum[seq](wpe))",
       DiagnosticKind::TwoWayBroadcast, 37},
      {"division of positions", "key = |model| / |heads|", "key = model / heads",
       DiagnosticKind::AxisAsNumber, 2},
      {"index is a number", "x[seq + 1]))\n\nentry complete", "x[1 + 1]))\n\nentry complete",
       DiagnosticKind::IndexType, 48},
      {"layers without an index", "z = h[l](z)", "z = h(z)", DiagnosticKind::PartAsValue, 38},
      {"module without part", "wte @model ln_f(z)", "wte @model LayerNorm(z)",
       DiagnosticKind::ModuleNeedsPart, 39},
      {"loss not summed", "minimize sum[seq | seq + 1 < |seq|]", "minimize softmax[seq | seq + 1 < |seq|]",
       DiagnosticKind::LossAxes, 45},
  };
  for (const Planted& mistake : planted) {
    std::string text = gpt2;
    const size_t at = text.find(mistake.from);
    ASSERT_NE(at, std::string::npos) << mistake.what;
    text.replace(at, std::string(mistake.from).size(), mistake.to);
    auto compiled = CompileText(text, {}, "gpt2.heed");
    EXPECT_FALSE(compiled->program) << mistake.what;
    EXPECT_TRUE(compiled->Where(mistake.kind).starts_with(std::to_string(mistake.line) + ":"))
        << mistake.what << "\n"
        << compiled->text();
  }
}

TEST(Errors, PictureOfAMissingRename) {
  std::string text = Read(test::Source("examples/gpt2.heed"));
  const std::string from = "k[seq -> seq'], v[seq -> seq']";
  text.replace(text.find(from), from.size(), "k, v[seq -> seq']");
  auto compiled = CompileText(text, {}, "gpt2.heed");
  EXPECT_EQ(compiled->diagnostics.errors(), 1);
  EXPECT_EQ(compiled->text(),
            "gpt2.heed:19:34: error: argument `k` of `attention` needs axis `seq'` [MissingAxis]\n"
            "   19 |   c_proj(attention[seq', key](q, k, v[seq -> seq'], seq' <= seq))\n"
            "      |                    ^~~~          ^ has [seq, heads, key]\n"
            "      |                    `pos` is seq' in this call\n"
            "      = q [seq, heads, key]   k [seq, heads, key]   v [seq', heads, key]   mask [seq', seq]\n"
            "      = `k` is still on `seq`; write `k[seq -> seq']` to give it an axis of its own\n");
}

TEST(Errors, IndependentMistakesAreReportedInOneRun) {
  auto compiled = CompileText(kAxes +
                              "def unused_by_entries(x[b]) -> [b] = x + undefined\n"
                              "entry f(x[b]) = sum[a](x)\n"
                              "entry g(x[a], y[b]) = x @a y\n"
                              "entry h(x[a]) = (x and true) * 3 + x[a -> b]\n");
  EXPECT_TRUE(compiled->Find(DiagnosticKind::UnknownName));
  EXPECT_TRUE(compiled->Find(DiagnosticKind::ReduceAxis));
  EXPECT_TRUE(compiled->Find(DiagnosticKind::ContractionAxis));
  EXPECT_TRUE(compiled->Find(DiagnosticKind::WrongType));
  EXPECT_TRUE(compiled->Find(DiagnosticKind::ChangesSize));
  EXPECT_EQ(compiled->diagnostics.errors(), 5) << compiled->text();
}

TEST(Errors, AMistakeInALayerIsReportedOnce) {
  std::string text = Read(test::Source("examples/gpt2.heed"));
  const std::string from = "x + dropout(mlp(ln_2(x)), 0.1)";
  text.replace(text.find(from), from.size(), "x + dropout(mlp(ln_2(x)), 1.1)");
  EXPECT_EQ(CompileText(text)->diagnostics.errors(), 1);
}

TEST(Errors, MistakesInsideThePreludePointAtTheCall) {
  auto compiled = CompileText(kAxes + "entry f(z[vocab], y: vocab) = xent[vocab](z, y, z[vocab -> vocab'])\n",
                              {}, "t.heed");
  auto grouped = CompileText(kAxes + "entry f(z[a, b], y: a) = xent[(a, b)](z, y)\n", {}, "t.heed");
  EXPECT_TRUE(grouped->Find(DiagnosticKind::GroupPositions)) << grouped->text();
  EXPECT_TRUE(grouped->text().starts_with("t.heed:2:")) << grouped->text();
  EXPECT_TRUE(compiled->program) << compiled->text();
}

TEST(Errors, LiftedAxesThatTheBodyUsesItself) {
  // By the lifting law `f` on each row of x must be `f` on x; its own `b` is another one.
  auto compiled =
      CompileText(kAxes +
                  "module M(x[a]) -> [] {\n  param w[a, b] = 1\n  sum[b](x @a w)\n}\npart net = M\n"
                  "entry f(x[a, b]) = net(x)\n");
  EXPECT_TRUE(compiled->Find(DiagnosticKind::LiftedClash)) << compiled->text();
}

TEST(Errors, PositionsAndComparisonsBroadcastFreely) {
  auto compiled = CompileText(
      kAxes + "entry f(x[seq]) = sum[seq'](where(seq' <= seq, x[seq -> seq'], 0) * (seq - seq'))");
  EXPECT_TRUE(compiled->program) << compiled->text();
}

// ---- Hostile programs

TEST(Hostile, LongChainsOfCallsAndSizes) {
  std::string text = "axis n = 2\ndef f0(x) -> [] = x\n";
  for (int i = 1; i < 3000; ++i)
    text += "def f" + std::to_string(i) + "(x) -> [] = 1 + f" + std::to_string(i - 1) + "(x)\n";
  EXPECT_TRUE(CompileText(text + "entry g(x[n]) = f2999(x)\n")->Find(DiagnosticKind::ProgramTooLarge));
  EXPECT_TRUE(CompileText(text + "entry g(x[n]) = f100(x)\n")->program);
  std::string sizes = "axis a0 = 2";
  for (int i = 1; i < 3000; ++i) sizes += ", a" + std::to_string(i) + " = |a" + std::to_string(i - 1) + "|";
  CompileText(sizes + "\nentry g(x[a2999]) = x\n");
  std::string backwards = "axis ";
  for (int i = 0; i < 3000; ++i)
    backwards += "a" + std::to_string(i) + " = |a" + std::to_string(i + 1) + "|, ";
  EXPECT_TRUE(CompileText(backwards + "a3000 = 2\nentry g(x[a0]) = x\n")->Find(DiagnosticKind::SizeCycle));
}

TEST(Hostile, ExponentialExpansionIsBounded) {
  std::string text = "axis n = 2\ndef f0(x) -> [] = x\n";
  for (int i = 1; i < 64; ++i) {
    const std::string below = "f" + std::to_string(i - 1);
    text += "def f" + std::to_string(i) + "(x) -> [] = " + below + "(x) + " + below + "(x)\n";
  }
  EXPECT_TRUE(CompileText(text + "entry g(x[n]) = f63(x)\n")->Find(DiagnosticKind::ProgramTooLarge));
}

TEST(Hostile, DeepExpressions) {
  std::string text = "x";
  for (int i = 0; i < 1400; ++i) text += " + x";
  CompileText("axis n = 2\nentry g(x[n]) = " + text + "\n");
  CompileText("axis n = 2\nentry g(x[n]) = " + std::string(5000, '(') + "x" + std::string(5000, ')') + "\n");
}

TEST(Hostile, HugeAxes) {
  EXPECT_TRUE(CompileText("axis n = 2000000000\nentry g(x[n]) = sum[n](x)\n")->program);
  EXPECT_FALSE(
      CompileText(
          "axis n = 2000000000\ndef h(x[n]) -> [] {\n  (a, b) = unpack[n](x)\n  a\n}\nentry g(x[n]) = h(x)\n")
          ->program);
  EXPECT_TRUE(
      CompileText(
          "axis n = 2000000000, m = 2000000000\nmodule M(x[n]) -> [m] {\n  param w[n, m]\n  w @n x\n}\n"
          "part net = M\nentry g(x[n]) = net(x)\n")
          ->Find(DiagnosticKind::SizeTooLarge));
}

/// Programs with tokens deleted, doubled, swapped or replaced by others of the same program: whatever comes
/// of it is a message or a sound graph.
TEST(Hostile, MutatedPrograms) {
  std::mt19937 random(20240607);
  int accepted = 0, total = 0;
  for (const std::string& path : Programs()) {
    const std::string text = Read(path);
    std::vector<std::string> tokens;
    for (size_t i = 0; i < text.size();) {
      size_t end = i + 1;
      const auto word = [&](size_t k) {
        return std::isalnum(static_cast<unsigned char>(text[k])) || text[k] == '_';
      };
      if (word(i))
        while (end < text.size() && word(end)) ++end;
      tokens.push_back(text.substr(i, end - i));
      i = end;
    }
    for (int round = 0; round < 150; ++round) {
      std::vector<std::string> mutant = tokens;
      for (int change = 0; change < 1 + static_cast<int>(random() % 2); ++change) {
        const size_t at = random() % mutant.size(), other = random() % mutant.size();
        switch (random() % 4) {
          case 0:
            mutant.erase(mutant.begin() + at);
            break;
          case 1:
            mutant.insert(mutant.begin() + at, mutant[at]);
            break;
          case 2:
            std::swap(mutant[at], mutant[other]);
            break;
          default:
            mutant[at] = mutant[other];
        }
      }
      std::string joined;
      for (const std::string& token : mutant) joined += token;
      auto compiled = std::make_unique<Compiled>();
      compiled->program =
          Compile(std::make_unique<SourceFile>(path, joined), {{{"layer", 2}}}, compiled->diagnostics);
      if (compiled->Find(DiagnosticKind::UnknownOverride))
        compiled->program = Compile(std::make_unique<SourceFile>(path, joined), {}, compiled->diagnostics);
      compiled->text();
      ++total;
      if (!compiled->program) continue;
      ++accepted;
      for (const Entry& entry : compiled->program->entries)
        for (const std::string& bad : ir::Verify(*entry.graph)) ADD_FAILURE() << bad << "\n" << joined;
    }
  }
  EXPECT_GT(accepted, total / 20);
  EXPECT_LT(accepted, total);
}

// ---- Names in files

/// A module with these parameters, which are multiplied.
std::unique_ptr<Compiled> WithParameters(const std::string& parameters, const std::string& product) {
  return CompileText("axis model = 4\nmodule M(x[model]) -> [model] {\n  param " + parameters + "\n  " +
                     product + "\n}\npart net = M\nentry f(x[model]) = minimize sum[model](net(x))\n");
}

TEST(FileNames, WhatACheckpointKeepsItselfIsRefused) {
  for (const char* parameters : {"w[model] = 1 as \"__metadata__\"", "w[model] = 1 as \"optim.m.E\"",
                                 "w[model] = 1 as \"optim.x\"", "w[model] = 1 as \"optim.v.net.weight\""}) {
    const auto compiled = WithParameters(parameters, "w * x");
    EXPECT_EQ(compiled->Where(DiagnosticKind::ReservedName), "3:25") << parameters << "\n"
                                                                     << compiled->text();
  }
  EXPECT_EQ(
      WithParameters("__metadata__[model] = 1", "__metadata__ * x")->Where(DiagnosticKind::ReservedName),
      "3:9");
  // In either order.
  EXPECT_EQ(WithParameters("w[model] = 1, v[model] = 1 as \"w.scale\"", "w * v * x")
                ->Where(DiagnosticKind::ReservedName),
            "3:39");
  EXPECT_NE(WithParameters("v[model] = 1 as \"w.scale\", w[model] = 1", "w * v * x")
                ->Where(DiagnosticKind::ReservedName),
            "none");
  // The path of an instance counts.
  EXPECT_EQ(CompileText("axis model = 4\nmodule A(x[model]) -> [model] {\n  param m[model] = 1\n  m * x\n}\n"
                        "module M(x[model]) -> [model] {\n  part optim = A\n  optim(x)\n}\n"
                        "part net = M\nentry f(x[model]) = net(x)\n")
                ->Where(DiagnosticKind::ReservedName),
            "3:9");
  for (const char* parameters : {"w[model] = 1 as \"optimum\"", "w[model] = 1 as \"scale\"",
                                 "w[model] = 1 as \"metadata\"", "w[model] = 1 as \"a.b c/\xC3\xA9.weight\""})
    EXPECT_FALSE(WithParameters(parameters, "w * x")->diagnostics.HasErrors()) << parameters;
}

TEST(FileNames, OddOnesAreRefused) {
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".w"), std::string("w."), std::string("a..b"),
        std::string("a\tb"), std::string("a\x7F"), std::string(300, 'w')}) {
    const auto compiled = WithParameters("w[model] = 1 as \"" + name + "\"", "w * x");
    EXPECT_EQ(compiled->Where(DiagnosticKind::BadAlias), "3:25") << name << "\n" << compiled->text();
    const auto part = CompileText(
        "axis model = 4\nmodule A(x[model]) -> [model] {\n  param m[model] = 1\n  m * x\n}\n"
        "part net = A as \"" +
        name + "\"\nentry f(x[model]) = net(x)\n");
    EXPECT_EQ(part->Where(DiagnosticKind::BadAlias), "6:17") << name << "\n" << part->text();
  }
}

}  // namespace
}  // namespace heed::frontend
