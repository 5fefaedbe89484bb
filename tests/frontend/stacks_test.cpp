// Stacks of parts that are indexed by a value: all instances along the axis, or the one that an element says.
#include <gtest/gtest.h>

#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

constexpr char kParts[] = R"(axis a = 2, c = 3, pair = {left, right}, seq <= 4
module Scaled(x[a]) -> [a] {
  param w[a] = 1
  x * w
}
part all[c] = Scaled, grid[c, pair] = Scaled
)";

const Data kData = {
    {"x", {1, 10}}, {"0.w", {1, 2}}, {"1.w", {3, 4}}, {"2.w", {5, 6}}, {"each", {1, 1, 10, 10, 100, 100}}};

std::vector<double> Values(const std::string& entry, Data more = {}, const Extents& extents = {}) {
  for (const auto& [name, values] : kData) more.emplace(name, values);
  return Numbers(kParts + entry, more, extents);
}

TEST(Stacks, TheAxisGivesAll) {
  EXPECT_EQ(Values("entry f(x[a]) -> [c, a] = all[c](x)\n"), (std::vector<double>{1, 20, 3, 40, 5, 60}));
  EXPECT_EQ(Values("entry f(each[c, a]) -> [c, a] = all[c](each)\n"),
            (std::vector<double>{1, 2, 30, 40, 500, 600}))
      << "an argument that has the axis is walked in step";
}

TEST(Stacks, AnElementChooses) {
  EXPECT_EQ(Values("entry f(x[a], i: c[seq]) -> [seq, a] = all[i](x)\n", {{"i", {2, 0}}}, {{"seq", 2}}),
            (std::vector<double>{5, 60, 1, 20}));
  EXPECT_EQ(Values("entry f(x[a]) -> [c, a] = all[|c| - 1 - c](x)\n"),
            (std::vector<double>{5, 60, 3, 40, 1, 20}));
  EXPECT_EQ(Values("entry f(x[a]) -> [a] = sum[c](all[c](x))\n"), (std::vector<double>{9, 120}));
}

TEST(Stacks, DropoutOfAnArgumentIsDrawnOnce) {
  const auto compiled =
      CompileText(std::string(kParts) + "entry f(x[a]) = minimize sum[c, a](all[c](dropout(x, 0.5)))\n");
  ASSERT_NE(compiled->program, nullptr) << compiled->text();
  int draws = 0;
  const ir::Graph& graph = *compiled->program->entries[0].graph;
  for (const ir::NodeId id : graph.Order()) draws += graph.op(id) == ir::OpKind::Keep;
  EXPECT_EQ(draws, 1);
}

TEST(Stacks, ParametersKeepTheirNames) {
  const auto compiled = CompileText(std::string(kParts) + "entry f(x[a]) = sum[c, pair](grid[c, pair](x))\n");
  ASSERT_NE(compiled->program, nullptr) << compiled->text();
  std::vector<std::string> names;
  for (const Parameter& parameter : compiled->program->parameters) names.push_back(parameter.name);
  EXPECT_EQ(names, (std::vector<std::string>{"0.0.w", "0.1.w", "1.0.w", "1.1.w", "2.0.w", "2.1.w"}));
}

TEST(Stacks, WhatIsRefused) {
  const auto refused = [](const std::string& text, const std::string& words) {
    const auto compiled = CompileText(kParts + text);
    ASSERT_NE(compiled->Find(DiagnosticKind::LayerIndex), nullptr) << text << compiled->text();
    EXPECT_NE(compiled->text().find(words), std::string::npos) << compiled->text();
  };
  refused("entry f(x[a]) = all[pair](x)\n", "the index runs over `pair`");
  refused("entry f(x[a], n: int) = all[n](x)\n", "chosen by a number known here or by an element of `c`");
  refused("const n = 3\nentry f(x[a]) = all[n](x)\n", "there is no `all[3]`");
}

}  // namespace
}  // namespace heed::frontend
