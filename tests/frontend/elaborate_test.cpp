// The front end from text to graph: programs of the repository elaborate, parameters, sites and origins have
// the names they should have, sizes can be set, and names in files are checked.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "frontend/program.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "tests/support/paths.h"
#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

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

TEST(Elaborate, EveryExampleTrainsAndAnswers) {
  for (const std::string& path : Programs()) {
    if (path.find("/examples/") == path.npos) continue;
    auto compiled = CompileText(Read(path), {}, path);
    std::set<EntryKind> kinds;
    for (const Entry& entry : compiled->program->entries) kinds.insert(entry.kind);
    EXPECT_TRUE(kinds.count(EntryKind::Minimize)) << path;
    EXPECT_TRUE(kinds.count(EntryKind::Generate) || kinds.count(EntryKind::Value)) << path;
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
