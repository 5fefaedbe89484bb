// The second value of a softmax: one more score that only the denominator sees. Values are those of the
// formula exp(s) / (exp(sink) + sum of exp(s)), by the largest of all.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<double> Values(const std::string& entry, const Data& data, const Extents& extents = {}) {
  return Numbers("axis a = 3, heads = 2, seq <= 8\n" + entry, data, extents);
}

std::vector<double> Formula(const std::vector<double>& scores, double sink) {
  double largest = sink;
  for (double s : scores) largest = std::max(largest, s);
  double total = std::exp(sink - largest);
  for (double s : scores) total += std::exp(s - largest);
  std::vector<double> weights;
  for (double s : scores) weights.push_back(std::exp(s - largest) / total);
  return weights;
}

TEST(Sink, TakesItsShare) {
  const std::string one = "entry f(s[a], sink[]) = softmax[a](s, sink)\n";
  for (const auto& [scores, sink] :
       std::vector<std::pair<std::vector<double>, double>>{{{1, 2, 3}, 0},
                                                           {{1, 2, 3}, 5},
                                                           {{-700, -701, -800}, 0},
                                                           {{900, 905, 3}, 906},
                                                           {{0, 0, 0}, -900}}) {
    ExpectNumbers(Values(one, {{"s", scores}, {"sink", {sink}}}), Formula(scores, sink));
  }
  ExpectNumbers(Values("entry f(s[a]) = softmax[a](s, 0)\n", {{"s", {1, 2, 3}}}), Formula({1, 2, 3}, 0));
}

TEST(Sink, HasAnyOtherAxes) {
  std::vector<double> want = Formula({1, 2, 3}, -1);
  for (double w : Formula({1, 2, 3}, 4)) want.push_back(w);
  ExpectNumbers(Values("entry f(s[a], sink[heads]) -> [heads, a] = softmax[a](s, sink)\n",
                       {{"s", {1, 2, 3}}, {"sink", {-1, 4}}}),
                want);
}

TEST(Sink, OfNothingAndOfMinusInfinity) {
  EXPECT_EQ(Values("entry f(s[a]) = softmax[a | false](s, 1)\n", {{"s", {1, 2, 3}}}),
            (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(Values("entry f(s[a]) = softmax[a | false](s, logsumexp[a | false](s))\n", {{"s", {1, 2, 3}}}),
            (std::vector<double>{0, 0, 0}));
  ExpectNumbers(Values("entry f(s[a], c[]) = softmax[a](s, c)\n", {{"s", {1, 2, 3}}, {"c", {-kInfinity}}}),
                Values("entry f(s[a]) = softmax[a](s)\n", {{"s", {1, 2, 3}}}));
  EXPECT_EQ(Values("entry f(s[a], c[]) = softmax[a](s, c)\n", {{"s", {1, 2, 3}}, {"c", {kInfinity}}}),
            (std::vector<double>{0, 0, 0}));
}

// The weights of two softmaxes, each with the other's total as its sink, are those of one over both.
TEST(Sink, TwoSoftmaxesAsOne) {
  const std::vector<double> got = Values(
      "entry f(s[a], t[heads]) = sum[a](a * softmax[a](s, logsumexp[heads](t)))"
      " + sum[heads]((3 + heads) * softmax[heads](t, logsumexp[a](s)))\n",
      {{"s", {1, -2, 3}}, {"t", {2, 0.5}}});
  const std::vector<double> all = Formula({1, -2, 3, 2, 0.5}, -kInfinity);
  double want = 0;
  for (size_t i = 0; i < all.size(); ++i) want += static_cast<double>(i) * all[i];
  ExpectNumbers(got, {want});
}

TEST(Sink, WhatIsRefused) {
  const auto refused = [](const std::string& text, DiagnosticKind kind, const std::string& words) {
    const auto compiled = CompileText("axis a = 5, seq <= 8\n" + text);
    EXPECT_NE(compiled->Find(kind), nullptr) << text << compiled->text();
    EXPECT_NE(compiled->text().find(words), std::string::npos) << compiled->text();
  };
  refused("entry f(s[a], b[a]) = softmax[a](s, b)\n", DiagnosticKind::AxisClash,
          "a sink is one score for a whole row");
  refused("entry f(s[a], b: bool[]) = softmax[a](s, b)\n", DiagnosticKind::WrongType, "softmax");
  refused("entry f(s[a]) = softmax[a](s, 0, 0)\n", DiagnosticKind::WrongArgumentCount,
          "takes 1 to 2 arguments, given 3");
  refused("entry f(s[a]) = log_softmax[a](s, 0)\n", DiagnosticKind::WrongArgumentCount, "takes 1 argument");
}

}  // namespace
}  // namespace heed::frontend
