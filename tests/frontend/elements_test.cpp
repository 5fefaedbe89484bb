// Whole numbers that know what they index: which arithmetic keeps that, which axis an element reads, several
// indices at once, and numbers that no int can be.
#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

const std::string kAxes = "axis n = 3, m = 2, frame = 4, tap = 3, wide = 4, a <= 4\n";
const Data kSquare = {{"z", {0, 1, 2, 10, 11, 12, 20, 21, 22}}};

Data With(Data data, const std::string& name, std::vector<double> values) {
  data[name] = std::move(values);
  return data;
}

/// The one message is of this kind and has all of these texts.
void ExpectMessage(const std::string& text, DiagnosticKind kind, const std::vector<std::string>& said = {}) {
  auto compiled = CompileText(text);
  EXPECT_TRUE(compiled->Find(kind)) << text << compiled->text();
  EXPECT_EQ(compiled->diagnostics.errors(), 1) << text << compiled->text();
  for (const std::string& part : said)
    EXPECT_NE(compiled->text().find(part), std::string::npos) << part << "\n" << compiled->text();
}

// ---- Which axis is read

TEST(Elements, OfATwinReadTheTwin) {
  const Data z = With(kSquare, "i", {2});
  ExpectNumbers(Numbers(kAxes + "entry f(z[n, n'], i: int) = z[n'(i)]", z), {2, 12, 22});
  ExpectNumbers(Numbers(kAxes + "entry f(z[n, n'], i: int) = z[n(i)]", z), {20, 21, 22});
  ExpectNumbers(Numbers(kAxes + "entry f(z[n, n'], i: n) = z[i]", z), {20, 21, 22});
  ExpectNumbers(Numbers(kAxes + "entry f(z[n, n'], i: n') = z[i]", z), {2, 12, 22});
  ExpectNumbers(Numbers(kAxes + "entry f(z[n, n']) = z[n'(0)]", kSquare), {0, 10, 20});
  // A value that lacks the twin is read along what it has.
  ExpectNumbers(Numbers(kAxes + "entry f(x[n], i: int) = x[n'(i)]", {{"x", {5, 6, 7}}, {"i", {1}}}), {6});
}

TEST(Elements, TheMarkTravelsWithTheValue) {
  const Data z = With(kSquare, "i", {1});
  const auto column = [&](const std::string& declarations, const std::string& value, double at) {
    ExpectNumbers(Numbers(kAxes + declarations + "entry f(z[n, n'], i: int) = " + value, z),
                  {at, 10 + at, 20 + at});
  };
  column("", "z[n'(i) + 1]", 2);
  column("", "z[1 + n'(i)]", 2);
  column("", "z[n'(i) - 1]", 0);
  column("", "z[2 - n'(i)]", 1);
  column("", "z[(n'(i) + 2) % |n|]", 0);
  column("", "z[min(n'(i) + 5, 2)]", 2);
  column("", "z[max(n'(i), n'(2))]", 2);
  column("", "z[where(i > 0, n'(i), n'(0))]", 1);
  column("", "z[where(i > 0, n'(2), i)]", 2);
  column("", "z[where(i > 0, n'(0), n'(1))]", 0);
  column("", "z[stop(n'(i))]", 1);
  column("def g(z[n, n'], i: int) -> [n] {\n  j = n'(i)\n  k = j\n  z[k]\n}\n", "g(z, i)", 1);
  column("def g(z[n, n'], j) -> [n] = z[j]\n", "g(z, n'(i))", 1);
  column("def g(z[n, n'], j: n) -> [n] = z[j]\n", "g(z, n'(i))", 1);
  column("def g(j: n) -> n = j + 1\n", "z[g(n'(i))]", 2);
  column("def g[s](z[s, s'], i: int) -> [s] = z[s'(i)]\n", "g[n](z, i)", 1);
  column("def g[s](z[s], i: int) -> [] = z[s(i)]\n", "g[n'](z, i)", 1);
  column("def g[s](z[s], j: s) -> [] = z[j]\n", "g[n'](z, i + n'(0))", 1);
  // Indices along an axis of their own, renamed.
  ExpectNumbers(Numbers(kAxes + "entry f(z[n, n'], i: int[m]) -> [n, m'] = z[n'(i)[m -> m']]",
                        With(kSquare, "i", {2, 0})),
                {2, 0, 12, 10, 22, 20});
}

TEST(Elements, ATieIsAnError) {
  ExpectMessage(kAxes + "entry f(z[n', n''], i: n) = z[i]\n", DiagnosticKind::IndexAxis, {"`n''(i)`"});
  ExpectMessage(kAxes + "entry f(z[n, n'], i: int, j: int) = z[where(i > j, n(i), n'(j))]\n",
                DiagnosticKind::IndexAxis);
}

TEST(Elements, OfEnumeratedAxesHaveNames) {
  const std::string axes = "axis n = 2, label = {no, yes, maybe}\nconst yes = 0\n";
  const Data x = {{"x", {5, 6, 7}}};
  ExpectNumbers(Numbers(axes + "entry f(x[label]) = x[label(yes)]", x), {6});
  ExpectNumbers(Numbers(axes + "entry f(x[label]) = x[label(yes) + 1]", x), {7});
  ExpectNumbers(Numbers(axes + "entry f(y: label[n]) = where(y == label(maybe), 1, 0)", {{"y", {2, 1}}}),
                {1, 0});
  ExpectNumbers(
      Numbers(axes + "entry f(z[label, label']) = z[label'(no)]", {{"z", {0, 1, 2, 3, 4, 5, 6, 7, 8}}}),
      {0, 3, 6});
  ExpectMessage(axes + "entry f(x[label]) = x[label(perhaps)]\n", DiagnosticKind::UnknownName);
  ExpectMessage(axes + "entry f(x[label], no: int) = x[label(no)]\n", DiagnosticKind::DuplicateName);
  ExpectMessage(axes + "def g[label](x[label]) -> [] = x[label(maybe)]\nentry f(x[n]) = g[n](x)\n",
                DiagnosticKind::UnknownName);
}

// ---- Which arithmetic gives elements

TEST(Elements, ArithmeticKeepsOrForgetsTheAxis) {
  const Data x = {{"x", {5, 6, 7}}};
  ExpectNumbers(Numbers(kAxes + "entry f(x[n]) = x[|n| - 1 - n]", x), {7, 6, 5});
  ExpectNumbers(Numbers(kAxes + "entry f(x[n]) = x[(n + 2) % |n|]", x), {7, 5, 6});
  ExpectNumbers(Numbers(kAxes + "entry f(x[n]) = x[min(n + 1, 2)]", x), {6, 7, 7});
  ExpectNumbers(Numbers(kAxes + "entry f(x[n]) = x[where(n > 0, n - 1, n)]", x), {5, 5, 6});
  // The difference of two positions is an int, so a position may move by it.
  ExpectNumbers(Numbers(kAxes + "entry f(x[frame]) -> [frame, tap] = "
                                "where(frame + tap - tap(1) >= 0 and frame + (tap - tap(1)) < |frame|, "
                                "x[frame + (tap - tap(1))], 0)",
                        {{"x", {1, 2, 3, 4}}}),
                {0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 0});
  ExpectNumbers(Numbers(kAxes + "entry f(x[n]) -> int[n, m] = n * 2 + m", x), {0, 1, 2, 3, 4, 5});
}

TEST(Elements, APlainNumberIsNoIndex) {
  for (const char* index : {"n + m", "n - m", "n + n'", "n - n", "2 * n", "-n", "m(0) + n", "n % n", "5 % n",
                            "min(n, m)", "where(n > 0, n, m)", "where(n > 0, n(0), m(0))"}) {
    ExpectMessage(kAxes + "entry f(x[n]) = x[" + index + "]\n", DiagnosticKind::IndexType,
                  {"write `n(" + std::string(index) + ")`"});
  }
  // The axis that is meant is one the number was computed from.
  ExpectMessage(kAxes + "entry f(x[wide, frame]) = x[frame + tap]\n", DiagnosticKind::IndexType,
                {"write `frame(frame + tap)`", "positions of `frame`, `tap`"});
  EXPECT_TRUE(CompileText(kAxes + "entry f(x[n]) = x * (n - m)\n")->program);
}

// ---- Several indices

TEST(Indices, ReadSeveralAxesAtOnce) {
  const Data table = {{"T", {0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23}}, {"i", {2, 0}}, {"k", {1, 3}}};
  const std::string entry = "entry f(T[n, wide], i: n[a], k: wide[a]) = ";
  ExpectNumbers(Numbers(kAxes + entry + "T[i, k]", table, {{"a", 2}}), {21, 3});
  ExpectNumbers(Numbers(kAxes + entry + "T[k, i]", table, {{"a", 2}}), {21, 3});
  ExpectNumbers(Numbers(kAxes + entry + "T[i][k]", table, {{"a", 2}}), {21, 3});
  ExpectNumbers(Numbers(kAxes + entry + "T[i + 1 - 1, wide(0)]", table, {{"a", 2}}), {20, 0});
  ExpectNumbers(Numbers(kAxes + entry + "T[i, wide]", table, {{"a", 2}}), {20, 0, 21, 1, 22, 2, 23, 3});
  ExpectNumbers(Numbers(kAxes + "entry f(T[n, wide]) = T[n(1), wide(2)]", {{"T", table.at("T")}}), {12});
}

TEST(Indices, NoneSeesTheResultOfAnother) {
  const Data z = With(With(kSquare, "i", {2, 0, 1}), "k", {1});
  // i is along n': z at (i, k), not the k-th element of z at i.
  ExpectNumbers(Numbers(kAxes + "entry f(z[n, n'], i: n[n'], k: int) = z[n(i), n'(k)]", z), {21, 1, 11});
  ExpectNumbers(Numbers(kAxes + "entry f(z[n, n'], i: n[n'], k: int) = z[n'(k), n(i)]", z), {21, 1, 11});
  ExpectNumbers(Numbers(kAxes + "entry f(z[n, n'], i: n[n'], k: int) = z[n(i)][n'(k)]", z), {1});
  // Both walk along the axis that the other one reads.
  ExpectNumbers(Numbers(kAxes + "entry f(z[n, n'], i: int[n'], j: int[n]) -> [n, n'] = z[n(i), n'(j)]",
                        With(With(kSquare, "i", {2, 0, 1}), "j", {0, 1, 2})),
                {20, 0, 10, 21, 1, 11, 22, 2, 12});
  ExpectNumbers(Numbers(kAxes + "entry f(z[n, n']) = z[n', n'(n)]", kSquare),
                {0, 10, 20, 1, 11, 21, 2, 12, 22});
  // An axis of the value that is not read is walked in step.
  ExpectNumbers(
      Numbers(
          kAxes + "entry f(x[n, wide, m], i: wide[n]) = x[i, m(1)]",
          {{"x", {0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15, 16, 17, 20, 21, 22, 23, 24, 25, 26, 27}},
           {"i", {3, 0, 1}}}),
      {7, 11, 23});
}

TEST(Indices, MistakesAreSaid) {
  ExpectMessage(kAxes + "entry f(x[n], i: n) = x[i, i]\n", DiagnosticKind::IndexAxis,
                {"two indices read `n`"});
  ExpectMessage(kAxes + "entry f(z[n, n'], i: n, j: n) = z[i, j]\n", DiagnosticKind::IndexAxis, {"`n'(i)`"});
  ExpectMessage(kAxes + "entry f(x[n, m], i: wide) = x[n(0), i]\n", DiagnosticKind::IndexAxis);
  ExpectMessage(kAxes + "entry f(x[n, m]) = x[n(0), 1.5]\n", DiagnosticKind::IndexType);
  ExpectMessage(kAxes + "entry f(x[n, m]) = x[n(0), m(2)]\n", DiagnosticKind::IndexAxis);
  ExpectMessage(kAxes + "entry f(x[n, m]) = softmax[n, m]\n", DiagnosticKind::AxesWithoutCall);
}

TEST(Indices, OfAStackOverTwoAxes) {
  const std::string text = kAxes +
                           "module M(x[wide]) -> [wide] {\n  param w[wide] = 1\n  x * w\n}\n"
                           "module Net(x[wide]) -> [wide] {\n  part h[n, m] = M\n"
                           "  for l in n { x = h[l, m(1)](x) }\n  h[1 + 1, 0](x)\n}\n"
                           "part net = Net\nentry f(x[wide]) = net(x)";
  auto compiled = CompileText(text);
  ASSERT_TRUE(compiled->program) << compiled->text();
  std::vector<std::string> names;
  for (const Parameter& p : compiled->program->parameters) names.push_back(p.name);
  EXPECT_EQ(names, (std::vector<std::string>{"h.0.1.w", "h.1.1.w", "h.2.1.w", "h.2.0.w"}));
}

// ---- Numbers that no int can be

TEST(WholeNumbers, BeyondAnIntAreRefusedWhereAnIntIsMeant) {
  const std::string axes = "axis n = 3, big = 65536\nconst huge = 3000000000, wide = 65536\n";
  for (const char* value :
       {"i * 3000000000", "i + 2147483648", "-2147483649 + i", "i < 3000000000", "i == huge", "i * huge",
        "max(i, 3000000000)", "where(i > 0, i, 3000000000)", "3000000000", "65536 * 65536",
        "i * (65536 * 65536)", "i + |big| * |big| * |big|", "i * (wide * wide)", "stack[two](i, 3000000000)",
        "g(i, 3000000000)", "h(3000000000)", "onehot[n](3000000000)"}) {
    ExpectMessage(axes +
                      "axis two = 2\ndef g(a, b) -> [] = a * b\ndef h(k: int) -> int = k\n"
                      "entry f(i: int[n]) = " +
                      std::string(value) + "\n",
                  DiagnosticKind::InvalidNumber, {"-2147483648 to 2147483647"});
  }
  ExpectMessage(axes + "entry f(i: int[n]) = i + huge\n", DiagnosticKind::InvalidNumber,
                {"`huge` is 3000000000"});
  ExpectMessage(axes + "entry f(i: int[n]) = i + 65536 * 65536\n", DiagnosticKind::InvalidNumber,
                {"`65536 * 65536` is 4294967296"});
  ExpectMessage(axes + "entry f(x[n]) = x[n(3000000000)]\n", DiagnosticKind::IndexAxis);
  ExpectMessage(
      "axis n = 2\nmodule M(x) -> [] {\n  param w[] = 1\n  w * x\n}\npart h[n] = M\n"
      "entry f(x) = h[3000000000](x)\n",
      DiagnosticKind::InvalidNumber);
  auto set = CompileText("axis n = 3\nconst c = 1\nentry f(i: int[n]) = i * c\n", {{"c", 3e9}});
  EXPECT_TRUE(set->Find(DiagnosticKind::InvalidNumber)) << set->text();
}

TEST(WholeNumbers, BeyondAnIntAreFloatsWhereAFloatIsMeant) {
  const std::string axes = "axis n = 2, big = 65536\nconst huge = 3000000000\n";
  const Data data = {{"x", {1, 2}}, {"i", {1, 2}}};
  const auto expect = [&](const std::string& value, std::vector<double> want) {
    ExpectNumbers(Numbers(axes + "def g(a, b) -> [] = a * b\nentry f(x[n], i: int[n]) = " + value, data),
                  want);
  };
  expect("x * 3000000000", {3e9, 6e9});
  expect("x * huge", {3e9, 6e9});
  expect("g(x, huge)", {3e9, 6e9});
  expect("x + |big| * |big| * |big|", {281474976710657.0, 281474976710658.0});
  expect("i / 4000000000", {1 / 4e9, 2 / 4e9});
  expect("where(x > 1, x, -3000000000)", {-3e9, 2});
  expect("i + 3000000000 * 0", {1, 2});
  expect("i + (3000000000 - 2999999999)", {2, 3});
  expect("i + (-2147483648)", {-2147483647, -2147483646});
  expect("i + 3000000000 % 7", {5, 6});
  expect("x + 3e9", {3000000001, 3000000002});
  EXPECT_EQ(Numbers(axes + "entry f(x[n]) -> [] = 3000000000", {{"x", {1, 2}}}), std::vector<double>{3e9});
}

}  // namespace
}  // namespace heed::frontend
