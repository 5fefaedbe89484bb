// `join[a, b -> c](x, y)`: what it means, and what is refused. Native code is tried by ordinary_model_test.
#include <gtest/gtest.h>

#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

constexpr char kAxes[] = "axis a = 2, b = 3, ab = 5, d = 4, one = 1, seq <= 6, class = {no, yes}\n";

std::vector<double> Values(const std::string& entry, const Data& data) {
  return Numbers(kAxes + entry, data);
}

TEST(Join, PutsValuesEndToEnd) {
  const Data data = {{"x", {1, 2}}, {"y", {3, 4, 5}}};
  EXPECT_EQ(Values("entry f(x[a], y[b]) -> [ab] = join[a, b -> ab](x, y)\n", data),
            (std::vector<double>{1, 2, 3, 4, 5}));
  EXPECT_EQ(Values("entry f(x[a], y[b]) -> [ab] = join[b, a -> ab](y, x)\n", data),
            (std::vector<double>{3, 4, 5, 1, 2}));
  EXPECT_EQ(Values("entry f(x[a], y[b]) -> [d] = join[a, a -> d](x, x * 10) + 0 * sum[b](y)\n", data),
            (std::vector<double>{1, 2, 10, 20}));
}

TEST(Join, RepeatsWhatAValueLacks) {
  EXPECT_EQ(Values("entry f(x[a, one], y[b, d]) -> [ab, d] = join[a, b -> ab](sum[one](x), y)\n",
                   {{"x", {7, 8}}, {"y", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}}}),
            (std::vector<double>{7, 7, 7, 7, 8, 8, 8, 8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
}

TEST(Join, AlongTheAxisOfTheResult) {
  EXPECT_EQ(Values("entry f(x[a]) -> [a] = join[a -> a](x * 2)\n", {{"x", {1, 2}}}),
            (std::vector<double>{2, 4}));
}

/// In a body whose axis parameter stands for a copy, since the body names the axis itself.
TEST(Join, AlongACopyOfAnAxis) {
  EXPECT_EQ(
      Values("def f[p](x[p]) -> [p] {\n  s[p, b] = join[p -> p](x) * (1 + b) + rank[p](x)\n  sum[b](s)\n}\n"
             "entry f(x[b]) -> [b] = f[b](x)\n",
             {{"x", {1, 3, 2}}}),
      (std::vector<double>{12, 18, 15}));
}

void ExpectRefused(const std::string& text, DiagnosticKind kind, const std::string& words) {
  const auto compiled = CompileText(kAxes + text);
  ASSERT_NE(compiled->Find(kind), nullptr) << text << compiled->text();
  EXPECT_NE(compiled->text().find(words), std::string::npos) << compiled->text();
}

TEST(Join, WhatIsRefused) {
  ExpectRefused("entry f(x[a], y[b]) = join[a, b -> d](x, y)\n", DiagnosticKind::ChangesSize, "2 + 3 = 5");
  ExpectRefused("entry f(x[a], y[a]) = join[a, b -> ab](x, y)\n", DiagnosticKind::MissingAxis, "along `b`");
  ExpectRefused("entry f(x[a], y[b]) = join[a, b -> ab](x)\n", DiagnosticKind::WrongArgumentCount,
                "2, given 1");
  ExpectRefused("entry f(x[a], y[b]) = join[a, b -> a, b](x, y)\n", DiagnosticKind::WrongAxisCount,
                "one axis");
  ExpectRefused("entry f(x[a], y[b, ab]) = join[a, b -> ab](x, y)\n", DiagnosticKind::AxisClash, "already");
  ExpectRefused("entry f(x[a], y: bool[b]) = join[a, b -> ab](x, y)\n", DiagnosticKind::WrongType,
                "truth values");
  ExpectRefused("entry f(x[seq], y[b]) = join[seq, b -> ab](x, y)\n", DiagnosticKind::DynamicAxis,
                "static axes");
  ExpectRefused("entry f(x[a], y[b]) = join(x, y)\n", DiagnosticKind::UnknownFunction,
                "join[a, b -> c](x, y)");
}

}  // namespace
}  // namespace heed::frontend
