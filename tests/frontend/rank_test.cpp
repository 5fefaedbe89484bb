// `rank` and `logsumexp`: what they mean, also of nothing, of ties and of what is no number.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<double> Values(const std::string& entry, const Data& data, const Extents& extents = {}) {
  return Numbers("axis a = 5, row = 2, col = 3, seq <= 8\n" + entry, data, extents);
}

TEST(Rank, CountsWhatComesBefore) {
  const std::string rank = "entry f(x[a]) -> int[a] = rank[a](x)\n";
  EXPECT_EQ(Values(rank, {{"x", {3, 1, 4, 1, 5}}}), (std::vector<double>{2, 3, 1, 4, 0}));
  EXPECT_EQ(Values(rank, {{"x", {7, 7, 7, 7, 7}}}), (std::vector<double>{0, 1, 2, 3, 4}))
      << "ties: the first";
  EXPECT_EQ(Values(rank, {{"x", {kNan, 1, kInfinity, kNan, -kInfinity}}}),
            (std::vector<double>{3, 1, 0, 4, 2}))
      << "what is no number comes last";
  EXPECT_EQ(Values("entry f(x: int[a]) -> int[a] = rank[a](x)\n", {{"x", {3, 1, 4, 1, 5}}}),
            (std::vector<double>{2, 3, 1, 4, 0}));
}

TEST(Rank, AlongSeveralAxesRowByRow) {
  EXPECT_EQ(
      Values("entry f(x[row, col]) -> int[row, col] = rank[row, col](x)\n", {{"x", {5, 1, 5, 2, 5, 9}}}),
      (std::vector<double>{1, 5, 2, 4, 3, 0}));
  EXPECT_EQ(
      Values("entry f(x[row, col]) -> int[row, col] = rank[col, row](x)\n", {{"x", {5, 1, 5, 2, 5, 9}}}),
      (std::vector<double>{1, 5, 3, 4, 2, 0}));
}

TEST(Rank, UnderAPredicate) {
  EXPECT_EQ(Values("entry f(x[a]) -> int[a] = rank[a | a != 4](x)\n", {{"x", {3, 1, 4, 1, 5}}}),
            (std::vector<double>{1, 2, 0, 3, 5}));
  EXPECT_EQ(Values("entry f(x[seq]) -> int[seq] = rank[seq | x > 1](x)\n", {{"x", {3, 1, 4}}}, {{"seq", 3}}),
            (std::vector<double>{1, 3, 0}));
}

TEST(Rank, ChoosesTheLargest) {
  EXPECT_EQ(Values("entry f(x[a]) -> [] = sum[a | rank[a](x) < 2](x)\n", {{"x", {3, 1, 4, 1, 5}}}),
            (std::vector<double>{9}));
  EXPECT_EQ(Values("entry f(x[a]) -> [] = sum[a | rank[a](x) == 1](x)\n", {{"x", {3, 1, 4, 1, 5}}}),
            (std::vector<double>{4}));
}

TEST(LogSumExp, AddsExponentials) {
  const std::string sum = "entry f(x[row]) -> [] = logsumexp[row](x)\n";
  EXPECT_DOUBLE_EQ(Values(sum, {{"x", {0, 0}}})[0], std::log(2.0));
  EXPECT_DOUBLE_EQ(Values(sum, {{"x", {1000, 1000}}})[0], 1000 + std::log(2.0));
  EXPECT_EQ(Values(sum, {{"x", {-kInfinity, 3}}})[0], 3);
  EXPECT_EQ(Values(sum, {{"x", {-kInfinity, -kInfinity}}})[0], -kInfinity);
  EXPECT_EQ(Values(sum, {{"x", {kInfinity, 3}}})[0], kInfinity);
  EXPECT_TRUE(std::isnan(Values(sum, {{"x", {kNan, 3}}})[0]));
  EXPECT_EQ(Values("entry f(x[row]) -> [] = logsumexp[row | false](x)\n", {{"x", {1, 2}}})[0], -kInfinity);
}

TEST(Rank, NamesOfTheProgramGoFirst) {
  EXPECT_EQ(Values("def rank[p](x[p]) -> [] = sum[p](x) * 10\nentry f(x[row]) -> [] = rank[row](x)\n",
                   {{"x", {1, 2}}}),
            (std::vector<double>{30}));
  EXPECT_EQ(
      Numbers("axis rank = 3\nentry f(x[rank]) -> int[rank] = rank[rank](x) + |rank|\n", {{"x", {1, 2, 3}}}),
      (std::vector<double>{5, 4, 3}));
}

TEST(Rank, WhatIsRefused) {
  const auto refused = [](const std::string& text, DiagnosticKind kind) {
    const auto compiled = CompileText("axis a = 5, vocab = 9, seq <= 8\n" + text);
    EXPECT_NE(compiled->Find(kind), nullptr) << text << compiled->text();
  };
  refused("entry f(x[a]) = rank(x)\n", DiagnosticKind::WrongAxisCount);
  refused("entry f(x[a]) = rank[seq](x)\n", DiagnosticKind::ReduceAxis);
  refused("entry f(x: bool[a]) = rank[a](x)\n", DiagnosticKind::WrongType);
  refused("entry f(x[a]) = logsumexp[a](x, 1)\n", DiagnosticKind::WrongArgumentCount);
}

}  // namespace
}  // namespace heed::frontend
