// What an entry that computes a value gives: its declared type and axes, and the order of axes where none is
// declared.
#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

const std::string kAxes = "axis n = 2, a = 3, m = 2, vocab = 4, seq <= 4\n";

std::string Order(const std::string& text) {
  auto compiled = CompileText(kAxes + text);
  return compiled->program ? ir::Text(EntryNamed(*compiled->program, "f").result_axes) : compiled->text();
}

TEST(ResultOrder, IsThatOfTheArgumentsAndThenOfTheAxisLines) {
  EXPECT_EQ(Order("entry f(x[n, a]) = x + 1"), "n, a");
  EXPECT_EQ(Order("entry f(x[n, a]) = sum[n' | n' <= n](x[n -> n'])"), "n, a");
  EXPECT_EQ(Order("entry f(x[n, a]) = (x @a x[n -> n'])[n' -> m]"), "n, m");
  EXPECT_EQ(Order("entry f(y[a], x[n, a]) = x * y"), "a, n");
  EXPECT_EQ(Order("entry f(x[n, a], y[a]) = y * x"), "n, a");
  EXPECT_EQ(Order("entry f(z[n', n]) = z[n, n' -> n', n]"), "n', n");
  EXPECT_EQ(Order("entry f(z[n, n', a]) = sum[a](z)[n, n' -> n', n]"), "n, n'");
  EXPECT_EQ(Order("entry f(x[seq, a]) = softmax[seq'](x @a x[seq -> seq'])"), "seq, seq'");
  EXPECT_EQ(Order("entry f(x[a]) = where(a'' > a' and x > m, n, 0)"), "a, n, a', a'', m");
  EXPECT_EQ(Order("entry f(i: vocab[seq]) = onehot[vocab](i)"), "seq, vocab");
}

TEST(ResultOrder, OfACallIsTheDeclaredOne) {
  const std::string f = "def g(x[n, a]) -> [a, n] = x\ndef h(x[n]) -> [n] = x[n -> n'][n' -> n]\n";
  EXPECT_EQ(Order(f + "entry f(x[n, a]) = g(x)"), "a, n");
  EXPECT_EQ(Order(f + "entry f(x[n, a, seq, m]) = g(x)"), "seq, m, a, n");
  EXPECT_EQ(Order(f + "entry f(x[n, a, seq, m]) = (g(x))"), "seq, m, a, n");
  EXPECT_EQ(Order(f + "entry f(x[n, a, seq]) = h(x)"), "a, seq, n");
  EXPECT_EQ(Order(f + "entry f(x[n, a]) = g(x) + 0 * x"), "n, a");
  const std::string m = "module M(x[n, a]) -> [a, n] {\n  param w[n] = 1\n  x * w\n}\npart p = M, q[m] = M\n";
  EXPECT_EQ(Order(m + "entry f(x[n, a]) = p(x)"), "a, n");
  EXPECT_EQ(Order(m + "entry f(x[n, a]) = q[0 + 1](x)"), "a, n");
}

TEST(ResultOrder, CanBeDeclared) {
  EXPECT_EQ(Order("entry f(x[n, a]) -> [a, n] = x"), "a, n");
  EXPECT_EQ(Order("entry f(x[n, a]) -> [n, a] = x"), "n, a");
  EXPECT_EQ(Order("entry f(x[n, a]) -> [] = sum[n, a](x)"), "");
  EXPECT_EQ(Order("def g(x[n, a]) -> [a, n] = x\nentry f(x[n, a]) -> [n, a] = g(x)"), "n, a");
  ExpectNumbers(Numbers(kAxes + "entry f(x[n, a]) -> [a, n] = x", {{"x", {1, 2, 3, 4, 5, 6}}}),
                {1, 4, 2, 5, 3, 6});
}

struct Declared {
  const char* entry;
  ir::DType dtype;
  const char* indexes;
};

TEST(ResultType, IsTheDeclaredOne) {
  const Declared all[] = {
      {"entry f(i: int[n]) -> int[n] = i + 1", ir::DType::Int, ""},
      {"entry f(i: int[n]) -> [n] = i + 1", ir::DType::Float, ""},
      {"entry f(i: int[n]) -> f32[n] = i + 1", ir::DType::Float, ""},
      {"entry f(i: int[n]) = i + 1", ir::DType::Int, ""},
      {"entry f(x[n]) -> bool[n] = x > 0", ir::DType::Bool, ""},
      {"entry f(x[n, vocab]) -> vocab[n] = argmax[vocab](x)", ir::DType::Int, "vocab"},
      {"entry f(x[n, vocab]) = argmax[vocab](x)", ir::DType::Int, "vocab"},
      {"entry f(x[vocab]) -> vocab = argmax[vocab](x)", ir::DType::Int, "vocab"},
  };
  for (const Declared& each : all) {
    auto compiled = CompileText(kAxes + each.entry);
    ASSERT_TRUE(compiled->program) << compiled->text();
    const ir::Graph& graph = *EntryNamed(*compiled->program, "f").graph;
    const ir::Type& type = graph.type(graph.Output("value"));
    EXPECT_EQ(type.dtype, each.dtype) << each.entry;
    EXPECT_EQ(type.indexes.text(), each.indexes) << each.entry;
  }
}

struct Wrong {
  const char* entry;
  DiagnosticKind kind;
  const char* said;
};

TEST(ResultType, MistakesAreSaid) {
  const Wrong all[] = {
      {"entry f(x[n, a]) -> [n] = x", DiagnosticKind::ResultAxes, "`a` was never contracted or reduced"},
      {"entry f(x[n]) -> [n, a] = x", DiagnosticKind::ResultAxes, "`a` is missing"},
      {"entry f(x[n]) -> int[n] = x", DiagnosticKind::WrongType,
       "declares the type int; its body gives float"},
      {"entry f(i: int[n]) -> int[n] = i / 2 + 1", DiagnosticKind::WrongType,
       "`/` at test.heed:2:34 gives a float"},
      {"entry f(i: int[n]) -> int[n] = i ^ 2", DiagnosticKind::WrongType,
       "`^` at test.heed:2:34 gives a float"},
      {"def g(i: int) -> int {\n  j = 1 + i / 2\n  j\n}\nentry f(i: int[n]) = g(i)",
       DiagnosticKind::WrongType, "`/` at test.heed:3:13 gives a float"},
      {"entry f(x[n]) -> bool[n] = x", DiagnosticKind::WrongType, "bool"},
      {"entry f(x[n]) -> [n] = x > 0", DiagnosticKind::WrongType, "f32"},
      {"entry f(i: int[n]) -> vocab[n] = i", DiagnosticKind::WrongType, "write `vocab(...)`"},
      {"entry f(x[n]) -> [n, n] = x", DiagnosticKind::DuplicateAxis, ""},
      {"entry f(x[n]) -> [k] = x", DiagnosticKind::UnknownAxis, ""},
      {"entry f(x[n]) -> half[n] = x", DiagnosticKind::UnknownAxis, ""},
      {"entry f(x[n, a]) -> [(n, a)] = x", DiagnosticKind::GroupPositions, ""},
      {"entry f(x[n]) -> [] = minimize sum[n](x)", DiagnosticKind::UnexpectedToken,
       "only an entry that computes"},
      {"entry f(x[n]) -> = x", DiagnosticKind::UnexpectedToken, "a type"},
  };
  for (const Wrong& each : all) {
    auto compiled = CompileText(kAxes + each.entry);
    EXPECT_TRUE(compiled->Find(each.kind)) << each.entry << "\n" << compiled->text();
    EXPECT_NE(compiled->text().find(each.said), std::string::npos) << each.entry << "\n" << compiled->text();
    EXPECT_EQ(compiled->diagnostics.errors(), 1) << compiled->text();
  }
}

}  // namespace
}  // namespace heed::frontend
