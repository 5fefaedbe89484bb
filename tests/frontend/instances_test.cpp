// Parts are instances: each has parameters of its own, and no two may have one path.
#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

const std::string kModules =
    "axis n = 2, layer = 2\n"
    "module A(x[n]) -> [n] {\n  param W[n] = 1\n  W * x\n}\n"
    "module B(x[n]) -> [n] {\n  param V[n] = 1\n  V * x\n}\n"
    "module Stack(x[n]) -> [n] {\n  part h[layer] = A\n  for l in layer { x = h[l](x) }\n  x\n}\n"
    "module Deep(x[n]) -> [n] {\n  part a = A\n  a(x)\n}\n";

std::vector<std::string> Paths(const std::string& text) {
  auto compiled = CompileText(kModules + text);
  if (!compiled->program) return {compiled->text()};
  std::vector<std::string> names;
  for (const Parameter& p : compiled->program->parameters) names.push_back(p.name);
  return names;
}

using Names = std::vector<std::string>;

TEST(Instances, OneRootPartHasNoNameInPaths) {
  EXPECT_EQ(Paths("part a = A\nentry f(x[n]) = a(x) + a(2 * x)\nentry g(x[n]) = a(x)\n"), (Names{"W"}));
  EXPECT_EQ(Paths("part a = A, b = B\nentry f(x[n]) = a(x) + b(x)\n"), (Names{"W", "V"}));
  EXPECT_EQ(Paths("part a = A, b = A as \"b\"\nentry f(x[n]) = a(x) + b(x)\n"), (Names{"W", "b.W"}));
  EXPECT_EQ(Paths("part a = A as \"a\", b = A as \"b\"\nentry f(x[n]) = a(x) + b(x)\n"),
            (Names{"a.W", "b.W"}));
  EXPECT_EQ(Paths("part a = A as \"p\", b = B as \"p\"\nentry f(x[n]) = a(x) + b(x)\n"),
            (Names{"p.W", "p.V"}));
}

TEST(Instances, TwoWithOnePathAreRefused) {
  const std::string both = "entry f(x[n]) = a(x) + b(x)\n";
  for (const std::string& text : std::vector<std::string>{
           "part a = A, b = A\n" + both,
           "part a = A, b = A\nentry f(x[n]) = a(x)\nentry g(x[n]) = b(x)\n",
           "part a = A, b = A\nentry f(x[n]) = minimize sum[n](a(x))\nentry g(x[n]) = b(x)\n",
           "part a = A as \"p\", b = A as \"p\"\n" + both,
           "part a = Stack, b = Stack\n" + both,
           "part a[layer] = A, b[layer] = A\nentry f(x[n]) = a[0 + 0](x) + b[0 + 0](x)\n",
           "part a[layer] = A, b = A as \"0\"\nentry f(x[n]) = a[0 + 0](x) + b(x)\n",
           "part a = Deep, b = A as \"a\"\n" + both,
           "part a = Stack, b = A as \"h.1\"\n" + both,
           ("module C(x[n]) -> [n] {\n  part p = A, q = A as \"p\"\n  p(q(x))\n}\n"
            "part a = C\nentry f(x[n]) = a(x)\n"),
           ("module C(x[n]) -> [n] {\n  param w[n] = 1 as \"p.W\"\n  part p = A\n  p(w * x)\n}\n"
            "part a = C\nentry f(x[n]) = a(x)\n"),
           ("module C(x[n]) -> [n] {\n  param w[n] = 1 as \"W\"\n  w * x\n}\n"
            "part a = A, b = C\n") +
               both,
       }) {
    auto compiled = CompileText(kModules + text);
    EXPECT_TRUE(compiled->Find(DiagnosticKind::DuplicateParameter)) << text << compiled->text();
    EXPECT_EQ(compiled->diagnostics.errors(), 1) << compiled->text();
  }
  auto compiled = CompileText(kModules + "part a = A, b = A\n" + both);
  EXPECT_EQ(compiled->Where(DiagnosticKind::DuplicateParameter), "19:13");
  EXPECT_NE(compiled->text().find("parts `a` and `b` both have a parameter `W`"), std::string::npos)
      << compiled->text();
  EXPECT_NE(compiled->text().find("`as \"...\"`, or call one part twice"), std::string::npos)
      << compiled->text();
}

// ---- Open axes

const std::string kOpen =
    "axis a = 2, b = 3, n = 2, layer = 2, place = 4\n"
    "module Row[p](x[p]) -> [] {\n  param w[place] = 1, bias[] = 0\n  sum[p](x * w[place(p)]) + bias\n}\n"
    "module Rows[p](x[p]) -> [p] {\n  part r = Row[p']\n  x * r(x[p -> p'])\n}\n"
    "module Own[p](x[p]) -> [p] {\n  param W[p] = 1\n  W * x\n}\n";

TEST(OpenAxes, EachCallGivesThem) {
  const std::string text = kOpen + "part r = Row\nentry f(x[a], y[b]) = r[a](x) - r[b](y)\n";
  auto compiled = CompileText(text);
  ASSERT_TRUE(compiled->program) << compiled->text();
  EXPECT_EQ(compiled->program->parameters.size(), 2u);
  const Data data = {{"x", {1, 2}}, {"y", {1, 2, 3}}, {"w", {1, 10, 100, 1000}}, {"bias", {0}}};
  ExpectNumbers(RunEntry(*compiled->program, "f", data).data, {21 - 321});
}

TEST(OpenAxes, OfStacksAndPartsInside) {
  const std::string text = kOpen +
                           "module Net[p](x[p]) -> [p] {\n  part h[layer] = Rows\n"
                           "  for l in layer { x = h[l][p](x) }\n  h[0 + 1][p](x)\n}\n"
                           "part net = Net\nentry f(x[a], y[b]) = sum[a](net[a](x)) + sum[b](net[b](y))\n";
  auto compiled = CompileText(text);
  ASSERT_TRUE(compiled->program) << compiled->text();
  std::vector<std::string> names;
  for (const Parameter& p : compiled->program->parameters) names.push_back(p.name);
  EXPECT_EQ(names, (Names{"h.0.r.w", "h.0.r.bias", "h.1.r.w", "h.1.r.bias"}));
}

struct Wrong {
  const char* text;
  DiagnosticKind kind;
};

TEST(OpenAxes, MistakesAreSaid) {
  const Wrong all[] = {
      {"part p = Own\nentry f(x[a]) = p[a](x)\n", DiagnosticKind::OpenAxis},
      {"module M[s](x[s]) -> [s] {\n  part o = Own[s]\n  o(x)\n}\npart p = M\nentry f(x[a]) = p[a](x)\n",
       DiagnosticKind::OpenAxis},
      {"module M[s](x[s]) -> [] {\n  part o[s] = Row[s]\n  o[0 + 0](x)\n}\npart p = M\n"
       "entry f(x[a]) = p[a](x)\n",
       DiagnosticKind::OpenAxis},
      {"part r = Row\nentry f(x[a]) = r(x)\n", DiagnosticKind::WrongAxisCount},
      {"part r = Row\nentry f(x[a, b]) = r[a, b](x)\n", DiagnosticKind::WrongAxisCount},
      {"part r = Row[a]\nentry f(x[a]) = r[a](x)\n", DiagnosticKind::WrongAxisCount},
      {"part r[layer] = Row\nentry f(x[a]) = r[0 + 0](x)\n", DiagnosticKind::WrongAxisCount},
      {"part r[layer] = Row[a]\nentry f(x[a]) = r[0 + 0][a](x)\n", DiagnosticKind::WrongAxisCount},
      {"part r = Row\nentry f(x[a]) = r[k](x)\n", DiagnosticKind::UnknownAxis},
      {"part r = Row\nentry f(x[a]) = r[b](x)\n", DiagnosticKind::MissingAxis},
  };
  for (const Wrong& each : all) {
    auto compiled = CompileText(kOpen + each.text);
    EXPECT_TRUE(compiled->Find(each.kind)) << each.text << compiled->text();
    EXPECT_EQ(compiled->diagnostics.errors(), 1) << each.text << compiled->text();
  }
  EXPECT_TRUE(CompileText(kOpen + "part p = Own[a]\nentry f(x[a]) = p(x)\n")->program);
}

}  // namespace
}  // namespace heed::frontend
