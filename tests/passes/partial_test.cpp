// Partial operations: what is proved in range, what is refused, what is checked when a program runs, and that
// the checks say so in the interpreter.
#include "passes/partial.h"

#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

const std::string kAxes = "axis v = 4, n = 6, place = 8, seq <= 16, src <= 5, dist = 16, wide = 32\n";

std::unique_ptr<frontend::Program> Program(const std::string& text) {
  SCOPED_TRACE(text);
  return CompileText("p.heed", kAxes + text + "\n");
}

Graph WithChecks(const frontend::Program& program) {
  return *passes::RunPasses(*program.entries[0].infer, {"checks"}, {});
}

TEST(Partial, ReadsThatAreProvedTakeNoCheck) {
  for (const char* text :
       {"entry f(x[v]) = x[v(n % 4)]",
        "entry f(x[v]) = sum[v | v + 1 < |v|](x[v + 1])",
        "entry f(x[v]) = where(v > 0, x[v - 1], 0)",
        "entry f(x[seq]) = where(seq > 0, x[seq - 1], 0)",
        "entry f(x[seq]) = where(seq + 2 < |seq| and seq >= 0, x[seq + 2], 1)",
        "entry f(x[seq]) = where(not (seq < 3), x[seq - 3], 0)",
        "entry f(x[n]) = x[n((n + 2) % |n|)]",
        "entry f(x[seq]) = x[seq((seq + 2) % |seq|)]",
        "entry f(x[n]) = x[n(|n| - 1 - n)]",
        "entry f(x[seq]) = x[seq(|seq| - 1 - seq)]",
        "entry f(x[seq]) = x[seq(min(seq + 1, |seq| - 1))]",
        "entry f(x[seq]) = x[seq(max(seq - 1, 0))]",
        "entry f(E[v, n], x: v[seq]) = E[x]",
        "entry f(x[v], i: int[seq]) = x[v(abs(i % 4))]",
        "entry f(z[seq, v]) = z[argmax[v](z)]",
        "entry f(B[wide]) = sum[seq, seq'](B[wide(seq - seq' + 16)])",
        "entry f(B[dist], x[seq]) = sum[seq'](softmax[seq' | seq' <= seq](B[dist(seq - seq')]) * x[seq -> "
        "seq'])",
        "entry f(B[v], x[seq]) = sum[seq' | seq' <= seq and seq - seq' < 4](B[v(seq - seq')] * x[seq -> "
        "seq'])",
        "entry f(x[seq], i: int[seq]) = where(i >= 0 and i < |seq|, x[seq(i)], 0)",
        "entry f(x[seq], i: int[seq]) = where(i < 0 or i >= |seq|, 0, x[seq(i)])",
        "entry f(i: int[seq], j: int[seq]) = where(j > 0, i % j, 0)",
        "entry f(i: int[seq]) = where(i < 1000 and i > 0 - 1000, i * i, 0)",
        "entry f(x[v], y[n]) = where(n < 4, x[v(n)], 0) * y",
        "entry f(x[v]) = x[v(v // 2)]",
        "entry f(x[seq]) = x[seq(seq // 2)] + x[seq(seq // 3 * 3)]",
        "entry f(x[v]) = sum[n](x[v(n // 2)])",
        "entry f(i: int[seq], j: int[seq]) = where(j > 0, i // j, 0)",
        "entry f(x[seq]) = minimize sum[seq](x)",
        "entry f(x[seq]) = minimize sum[seq](x) per |seq|",
        "entry f(x[seq]) = minimize sum[seq](x) per 0.5",
        "entry f(x[seq]) = minimize sum[seq](x) per max(|seq| - 1, 0)"}) {
    const auto program = Program(text);
    ASSERT_TRUE(program);
    EXPECT_TRUE(passes::CheckEntry(*program->entries[0].infer).empty()) << text;
    EXPECT_TRUE(WithChecks(*program).checks.empty()) << text;
  }
}

TEST(Partial, WhatIsImpossibleInEveryExampleIsRefused) {
  struct Refused {
    const char *text, *kind, *message;
  };
  for (const Refused& refused : std::vector<Refused>{
           {"entry f(x[v]) = x[v + 1]", "PastTheEnd", "at v = 3 it is 4, but `v` has 4 elements"},
           {"entry f(x[v]) = x[v(1 * n)]", "PastTheEnd", "at n = 4 it is 4"},
           {"entry f(x[v]) = where(v > 0, x[v + 1], 0)", "PastTheEnd", "at v = 3"},
           {"entry f(x[v]) = sum[v | v + 1 <= |v|](x[v + 1])", "PastTheEnd", "at v = 3"},
           {"entry f(x[seq]) = x[seq + 1]", "PastTheEnd",
            "reads past the end of `seq` when seq >= |seq| - 1"},
           {"entry f(x[seq]) = x[seq - 1]", "PastTheEnd", "reads past the start of `seq` when seq < 1"},
           {"entry f(x[seq]) = x[seq(2 * seq + 1)]", "PastTheEnd", "passes an end"},
           {"entry f(x[seq]) = x[seq(|seq|)]", "PastTheEnd", "passes an end"},
           {"entry f(x[v], y[v]) = y * x[v - 4] * 0", "PastTheEnd", "at v = 0 it is -4"},
           {"axis large = 100000\nentry f(x[large]) = sum[large](where(large * large > 5, x, 0))",
            "InvalidNumber", "a whole number beyond 32 bits"},
           {"entry f(i: int[seq]) = i % 0", "InvalidNumber", "a remainder by 0"},
           {"entry f(x[seq]) = x * (seq % (seq - seq))", "InvalidNumber", "a remainder by 0"},
           {"entry f(i: int[seq]) = i // 0", "InvalidNumber", "a quotient by 0"},
           {"entry f(x[v]) = x * (v // (v - v))", "InvalidNumber", "at v = 0 it is 0"},
           {"entry f(x[v]) = x[v(v // 2 + 3)]", "PastTheEnd", "at v = 2 it is 4"},
           {"entry f(x[v]) = x * int(v / 2)", "InvalidNumber", "at v = 1 it is 0.5"},
           {"entry f(x[seq]) = minimize sum[seq](x) per 2 - 3", "InvalidNumber", "`per` is below 0"},
           {"entry f(x[seq]) = minimize sum[seq](x) per |seq| - 100", "InvalidNumber", "in every example"}}) {
    const auto program = Program(refused.text);
    ASSERT_TRUE(program);
    const auto complaints = passes::CheckEntry(*program->entries[0].infer);
    ASSERT_EQ(complaints.size(), 1u) << refused.text;
    EXPECT_EQ(frontend::KindName(complaints[0].kind), refused.kind) << refused.text;
    EXPECT_NE(complaints[0].message.find(refused.message), std::string::npos) << complaints[0].message;
    EXPECT_NE(complaints[0].where.Text().find("p.heed:"), std::string::npos) << complaints[0].where.Text();
  }
}

/// The values of all checks of an example: minus infinity, or what is wrong.
std::vector<double> Outcome(const Graph& graph, Values values, Lengths lengths) {
  Interpreter interpreter(graph, {.values = std::move(values), .extents = std::move(lengths)});
  std::vector<double> outcome;
  for (const ir::Check& check : graph.checks) {
    const Tensor& value = interpreter.Value(graph.Output(check.output));
    EXPECT_EQ(value.data.size(), 1u);
    outcome.push_back(value.data[0]);
  }
  return outcome;
}

TEST(Partial, TheRestIsCheckedWhereItIsNeeded) {
  const double fine = -std::numeric_limits<double>::infinity();
  const Axis seq("seq"), v("v");
  struct Checked {
    const char* text;
    std::vector<double> data;  ///< of `i`, an int for each of seq
    double wrong;
  };
  for (const Checked& checked : std::vector<Checked>{
           {"entry f(P[place], i: int[seq]) = P[place(i)]", {0, 7, 3}, fine},
           {"entry f(P[place], i: int[seq]) = P[place(i)]", {0, 8, 3}, 8},
           {"entry f(P[place], i: int[seq]) = P[place(i)]", {0, -1, -3}, -1},
           {"entry f(P[place], i: int[seq]) = where(i == 8, 0, P[place(i)])", {0, 8, 8}, fine},
           {"entry f(P[place], i: int[seq]) = sum[seq | i < 8](P[place(i)])", {0, 8, 9}, fine},
           {"entry f(P[place], i: int[seq]) = sum[seq | i < 9](P[place(i)])", {0, 8, 9}, 8},
           {"entry f(P[place], i: int[seq]) = sum[seq | i < 8 and P[place(i)] > 0](P[place(i)])",
            {0, 8, 9},
            fine},
           {"entry f(P[place], i: int[seq]) = 0 * P[place(i)]", {0, 8, 9}, 9},
           {"entry f(P[place], i: int[seq]) = softmax[seq | i < 8](P[place(i)])", {0, 8, 9}, fine},
           {"entry f(P[place], i: int[seq]) = softmax[seq | i < 8](1 * i) @seq P[place(i)]", {0, 8, 9}, fine},
           {"entry f(P[place], i: int[seq]) = P[place(i)][seq(0)]", {0, 8, 9}, fine},
           {"entry f(P[place], i: int[seq]) = stack[v](P[place(i)], 1 * i, 1 * i, 1 * i)[v(1)]", {8}, fine},
           {"entry f(i: int[seq]) = 7 % i", {1, 0, 2}, 1},
           {"entry f(i: int[seq]) = 7 % i", {1, -1, 2}, fine},
           {"entry f(i: int[seq]) = i * i", {46340, -46340}, fine},
           {"entry f(i: int[seq]) = i * i", {46341}, 1},
           {"entry f(i: int[seq]) = i + i", {1073741823}, fine},
           {"entry f(i: int[seq]) = i + i", {1073741824}, 1},
           {"entry f(i: int[seq]) = i - 10", {-2147483647}, 1},
           {"entry f(i: int[seq]) = -i", {-2147483648.0}, 1},
           {"entry f(i: int[seq]) = sum[seq](i)", {2000000000, 147483647}, fine},
           {"entry f(i: int[seq]) = sum[seq](i)", {2000000000, 147483648}, 1}}) {
    SCOPED_TRACE(checked.text);
    const auto program = Program(checked.text);
    ASSERT_TRUE(program);
    EXPECT_TRUE(passes::CheckEntry(*program->entries[0].infer).empty());
    const Graph graph = WithChecks(*program);
    ASSERT_FALSE(graph.checks.empty());
    const auto count = static_cast<int64_t>(checked.data.size());
    Values values = {{"i", {{seq}, {count}, checked.data}},
                     {"P", {{Axis("place")}, {8}, {1, 2, 3, 4, 5, 6, 7, 8}}}};
    double worst = fine;
    for (double one : Outcome(graph, values, {{seq, count}})) worst = std::max(worst, one);
    EXPECT_EQ(worst, checked.wrong);
  }
}

TEST(Partial, AnExampleCountsZeroOrMore) {
  const double infinity = std::numeric_limits<double>::infinity();
  const Axis seq("seq");
  const auto whole = Program("entry f(x[seq]) = minimize sum[seq](x) per |seq| - 2");
  ASSERT_TRUE(whole);
  EXPECT_TRUE(passes::CheckEntry(*whole->entries[0].infer).empty());
  const Graph lengths = WithChecks(*whole);
  ASSERT_EQ(lengths.checks.size(), 1u);
  EXPECT_EQ(Outcome(lengths, {}, {{seq, 1}})[0], -1);
  EXPECT_EQ(Outcome(lengths, {}, {{seq, 2}})[0], -infinity);
  const auto given = Program("entry f(x[seq], w) = minimize sum[seq](x) per w");
  ASSERT_TRUE(given);
  const Graph weights = WithChecks(*given);
  ASSERT_EQ(weights.checks.size(), 1u);
  const auto outcome = [&](double weight) {
    return Outcome(weights, {{"w", {{}, {}, {weight}}}}, {{seq, 1}})[0];
  };
  for (const double fine : {0.0, 0.5, 1e30}) EXPECT_EQ(outcome(fine), -infinity);
  for (const double wrong : {-0.5, -1e30, infinity}) EXPECT_EQ(outcome(wrong), wrong);
  for (const double none : {std::nan(""), -infinity}) EXPECT_TRUE(std::isnan(outcome(none)));
}

TEST(Partial, ATableMayBeShorterThanTheBoundOfATextAsLongAsTheTextIsNot) {
  const auto program = Program("entry f(P[place], x[seq]) = P[place(1 * seq)] * x");
  ASSERT_TRUE(program);
  EXPECT_TRUE(passes::CheckEntry(*program->entries[0].infer).empty());
  const Graph graph = WithChecks(*program);
  ASSERT_EQ(graph.checks.size(), 1u);
  const Values values = {{"P", {{Axis("place")}, {8}, std::vector<double>(8, 1)}}};
  EXPECT_TRUE(std::isinf(Outcome(graph, values, {{Axis("seq"), 8}})[0]));
  EXPECT_EQ(Outcome(graph, values, {{Axis("seq"), 9}})[0], 8);
}

TEST(Partial, APredicateThatKeepsAReadInRangeOnlySometimesIsChecked) {
  const auto program = Program("entry f(x[seq]) = sum[seq | seq + 1 < |seq| or seq < 3](x[seq + 1])");
  ASSERT_TRUE(program);
  EXPECT_TRUE(passes::CheckEntry(*program->entries[0].infer).empty());
  const Graph graph = WithChecks(*program);
  ASSERT_EQ(graph.checks.size(), 1u);
  EXPECT_EQ(Outcome(graph, {}, {{Axis("seq"), 2}})[0], 2);
  EXPECT_TRUE(std::isinf(Outcome(graph, {}, {{Axis("seq"), 8}})[0]));
}

}  // namespace
}  // namespace heed::test
