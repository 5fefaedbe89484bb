// The lexer, the parser, the renderer of messages and the formatter: shapes of trees, recovery, and that no
// text whatever crashes them. What each kind of message looks like for a whole program is in errors_test.
#include "frontend/parser.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "frontend/lexer.h"
#include "tests/support/paths.h"

namespace heed::frontend {
namespace {

namespace fs = std::filesystem;

std::string Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}
std::vector<std::string> Programs() {
  std::vector<std::string> programs{test::Source("frontend/prelude.heed")};
  for (const auto& file : fs::directory_iterator(test::Source("examples"))) {
    if (file.path().extension() == ".heed") programs.push_back(file.path().string());
  }
  std::sort(programs.begin(), programs.end());
  return programs;
}

/// "(" operator operands ")": the grouping of an expression.
std::string Shape(const Expr& e) {
  const auto items = [](const AxisItems& list) {
    std::string out;
    for (const AxisItem& item : list) {
      out += out.empty() ? "" : ",";
      if (item.group) out += "(";
      for (size_t i = 0; i < item.names.size(); ++i) out += (i ? "," : "") + item.names[i].text;
      if (item.group) out += ")";
    }
    return out;
  };
  const auto children = [&] {
    std::string out;
    for (const ExprPtr& child : e.children) out += " " + Shape(*child);
    return out;
  };
  switch (e.kind) {
    case ExprKind::Number: {
      std::ostringstream out;
      out << e.number << (e.is_whole ? "" : "f");
      return out.str();
    }
    case ExprKind::Bool:
      return e.number != 0 ? "true" : "false";
    case ExprKind::Name:
      return e.name;
    case ExprKind::Size:
      return "|" + e.name + "|";
    case ExprKind::Unary:
    case ExprKind::Binary:
      return "(" + e.op + children() + ")";
    case ExprKind::Contract:
      return "(@" + items(e.items) + children() + ")";
    case ExprKind::Call:
      return "(call" + (e.items.empty() ? "" : "[" + items(e.items) + "]") +
             (e.predicate ? "{" + Shape(*e.predicate) + "}" : "") + children() + ")";
    case ExprKind::Rename:
      return "(rename[" + items(e.items) + "->" + items(e.targets) + "]" + children() + ")";
    case ExprKind::Index:
      return "(index" + children() + ")";
  }
  return "";
}
std::string ShapeOf(const std::string& expression) {
  const SourceFile file("test.heed", "def f() -> [] = " + expression + "\n");
  Diagnostics diagnostics;
  const SyntaxTree tree = Parse(file, diagnostics);
  if (diagnostics.HasErrors()) return diagnostics.Render(false);
  return Shape(*tree.decls.at(0).function->body.at(0).value);
}

TEST(Expressions, Precedence) {
  EXPECT_EQ(ShapeOf("a + b * c"), "(+ a (* b c))");
  EXPECT_EQ(ShapeOf("a - b - c"), "(- (- a b) c)");
  EXPECT_EQ(ShapeOf("1 - a @k b * c"), "(- 1 (* (@k a b) c))");
  EXPECT_EQ(ShapeOf("-a ^ 2"), "(- (^ a 2))");
  EXPECT_EQ(ShapeOf("a ^ b ^ c"), "(^ a (^ b c))");
  EXPECT_EQ(ShapeOf("10000 ^ -x / y"), "(/ (^ 10000 (- x)) y)");
  EXPECT_EQ(ShapeOf("a or b and not c < d"), "(or a (and b (not (< c d))))");
  EXPECT_EQ(ShapeOf("Wo @[heads, key] (a + b)"), "(@heads,key Wo (+ a b))");
  EXPECT_EQ(ShapeOf("(a @i b) @j c"), "(@j (@i a b) c)");
  EXPECT_EQ(ShapeOf("-a @i -b"), "(@i (- a) (- b))");
  EXPECT_EQ(ShapeOf("1e-5 + 2.5"), "(+ 1e-05f 2.5f)");
}

TEST(Expressions, Brackets) {
  EXPECT_EQ(ShapeOf("f(x)"), "(call f x)");
  EXPECT_EQ(ShapeOf("f()"), "(call f)");
  EXPECT_EQ(ShapeOf("f[a, b | a <= b](x, y)"), "(call[a,b]{(<= a b)} f x y)");
  EXPECT_EQ(ShapeOf("f[(a, b), c](x)"), "(call[(a,b),c] f x)");
  EXPECT_EQ(ShapeOf("p[l](x)"), "(call[l] p x)");
  EXPECT_EQ(ShapeOf("h[l + 1](x)"), "(call (index h (+ l 1)) x)");
  EXPECT_EQ(ShapeOf("x[a -> b, c]"), "(rename[a->b,c] x)");
  EXPECT_EQ(ShapeOf("x[b, c -> a][a -> a']"), "(rename[a->a'] (rename[b,c->a] x))");
  EXPECT_EQ(ShapeOf("x[i]"), "(index x i)");
  EXPECT_EQ(ShapeOf("x[tgt + 1]"), "(index x (+ tgt 1))");
  EXPECT_EQ(ShapeOf("net(x)[t]"), "(index (call net x) t)");
  EXPECT_EQ(ShapeOf("sum[t | t + 1 < |t|](x)"), "(call[t]{(< (+ t 1) |t|)} sum x)");
  EXPECT_EQ(ShapeOf("(Wk @model z)[seq -> seq']"), "(rename[seq->seq'] (@model Wk z))");
  EXPECT_EQ(ShapeOf("x[|a| - 1]"), "(index x (- |a| 1))");
  EXPECT_EQ(ShapeOf("x[i, j]"), "(index x i j)");
  EXPECT_EQ(ShapeOf("x[i, (j)]"), "(index x i j)");
  EXPECT_EQ(ShapeOf("x[i + 1, a(2), j]"), "(index x (+ i 1) (call a 2) j)");
  EXPECT_EQ(ShapeOf("(x)[i, j]"), "(index x i j)");
  EXPECT_EQ(ShapeOf("h[l + 1, m](x)"), "(call (index h (+ l 1) m) x)");
  EXPECT_EQ(ShapeOf("h[l][a, (b, c)](x)"), "(call[a,(b,c)] (index h l) x)");
  EXPECT_EQ(ShapeOf("h[l + 1][a](x)"), "(call[a] (index h (+ l 1)) x)");
}

TEST(Statements, AllForms) {
  const SourceFile file("test.heed", R"(module M[a, b](x: vocab[s, (a, b)], y, z: bool = not true) -> f32[s] {
  param W[a, (b, c)] ~ normal(0, 1) as "w.x", v[] = 3, u[a]
  part h[layer] = Block[(a, b)] as "hh", g = Block
  s[a, b] = x +
    y
  (u, w) = unpack[q](x)
  for l in layer { z = h[l](z) }
  z
}
)");
  Diagnostics diagnostics;
  const SyntaxTree tree = Parse(file, diagnostics);
  ASSERT_EQ(diagnostics.Render(false), "");
  const FunctionDecl& f = *tree.decls.at(0).function;
  EXPECT_TRUE(f.is_module);
  EXPECT_EQ(f.axes.size(), 2u);
  ASSERT_EQ(f.params.size(), 3u);
  EXPECT_EQ(f.params[0].type.element->text, "vocab");
  EXPECT_TRUE(f.params[0].type.axes[1].group);
  EXPECT_FALSE(f.params[1].type.has_axes);
  EXPECT_EQ(Shape(*f.params[2].default_value), "(not true)");
  EXPECT_EQ(f.result.element->text, "f32");
  ASSERT_EQ(f.body.size(), 6u);
  EXPECT_EQ(f.body[0].params[0].init, '~');
  EXPECT_EQ(f.body[0].params[0].alias->text, "w.x");
  EXPECT_EQ(f.body[0].params[1].init, '=');
  EXPECT_EQ(f.body[0].params[2].init, 0);
  EXPECT_EQ(f.body[1].parts[0].stack.size(), 1u);
  EXPECT_EQ(f.body[1].parts[0].axes[0].names.size(), 2u);
  ASSERT_TRUE(f.body[2].announced.has_value());
  EXPECT_EQ(f.body[2].announced->size(), 2u);
  EXPECT_EQ(f.body[3].kind, StmtKind::Tuple);
  EXPECT_EQ(f.body[4].kind, StmtKind::For);
  EXPECT_EQ(f.body[5].kind, StmtKind::Result);
  EXPECT_EQ(f.body[2].loc.Text(), "test.heed:4:3");
}

TEST(Entries, AllForms) {
  const SourceFile file("test.heed", R"(entry t(x: v[s]) = minimize a
  per b
entry g(p: v[s]) =
  generate y: v[s] from p until 2 by f(y)
  with beam = 4, alpha = 0.6
entry e(x) = x
entry r(x) -> v[s, t] = x
)");
  Diagnostics diagnostics;
  const SyntaxTree tree = Parse(file, diagnostics);
  ASSERT_EQ(diagnostics.Render(false), "");
  ASSERT_EQ(tree.decls.size(), 4u);
  EXPECT_FALSE(tree.decls[2].entry->result.has_value());
  ASSERT_TRUE(tree.decls[3].entry->result.has_value());
  EXPECT_EQ(tree.decls[3].entry->result->element->text, "v");
  EXPECT_EQ(tree.decls[3].entry->result->axes.size(), 2u);
  EXPECT_EQ(tree.decls[0].entry->kind, EntryKind::Minimize);
  EXPECT_EQ(Shape(*tree.decls[0].entry->per), "b");
  const EntryDecl& g = *tree.decls[1].entry;
  EXPECT_EQ(g.kind, EntryKind::Generate);
  EXPECT_EQ(Shape(*g.from) + Shape(*g.until.at(0)) + Shape(*g.value), "p2(call f y)");
  EXPECT_EQ(g.options.size(), 2u);
  EXPECT_EQ(tree.decls[2].entry->kind, EntryKind::Value);
}

TEST(Entries, SeveralEnds) {
  const SourceFile file("test.heed", R"(entry g(p: v[s]) =
  generate y: v[s] from p until {a, 2 + 3,
    |v| - 1} by f(y)
entry h(p: v[s]) = generate y: v[s] until {b} by f(y)
)");
  Diagnostics diagnostics;
  const SyntaxTree tree = Parse(file, diagnostics);
  ASSERT_EQ(diagnostics.Render(false), "");
  const EntryDecl& g = *tree.decls[0].entry;
  ASSERT_EQ(g.until.size(), 3u);
  EXPECT_EQ(Shape(*g.until[0]) + " " + Shape(*g.until[1]), "a (+ 2 3)");
  ASSERT_EQ(tree.decls[1].entry->until.size(), 1u);
  EXPECT_EQ(Shape(*tree.decls[1].entry->until[0]), "b");
}

std::vector<std::string> Kinds(const std::string& text) {
  const SourceFile file("test.heed", text);
  Diagnostics diagnostics;
  Parse(file, diagnostics);
  std::vector<std::pair<uint32_t, std::string>> found;
  for (const Diagnostic& d : diagnostics.all()) {
    found.emplace_back(d.loc.offset, std::to_string(file.PositionOf(d.loc.offset).line) + " " +
                                         std::string(KindName(d.kind)));
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> kinds;
  for (const auto& [offset, kind] : found) kinds.push_back(kind);
  return kinds;
}
using Strings = std::vector<std::string>;

TEST(Entries, EndsMustBeThereAndClosed) {
  const std::string head = "entry g(p: v[s]) = generate y: v[s] until ";
  EXPECT_EQ(Kinds(head + "{} by f(y)\n"), Strings{"1 UnexpectedToken"});
  EXPECT_EQ(Kinds(head + "{1, 2 by f(y)\n"), Strings{"1 UnexpectedToken"});
  EXPECT_EQ(Kinds(head + "{1,\n  2\n"), Strings{"1 UnclosedBracket"});
}

TEST(Recovery, SeveralErrorsInOneRun) {
  EXPECT_EQ(Kinds("axis a = \n"
                  "module M(x[a) -> [a] {\n"
                  "  y = x @a x @a x\n"
                  "  for in a { }\n"
                  "  z = 1 < 2 < 3\n"
                  "  x +\n"
                  "}\n"
                  "const k = 12ab\n"
                  "entry e(x) = \"abc\n"
                  "def g(x) -> [] = f(x\n"
                  "entry h(x) = x\n"),
            (Strings{"2 UnexpectedToken", "2 UnexpectedToken", "3 ChainedContraction", "4 KeywordAsName",
                     "5 ChainedComparison", "7 UnexpectedToken", "8 InvalidNumber", "9 UnexpectedToken",
                     "9 UnterminatedString", "10 UnclosedBracket"}));
}

TEST(Recovery, AMissingCommaIsSuggested) {
  for (const std::string text :
       {"axis a = 4 b = 5\n", "axis a = {x y}\n", "const k = 4 l = 5\n", "part p = M q = M\n",
        "entry e(x y) = x\n", "entry e(x[a] y[b]) = x\n", "entry e(x[a b]) = x\n",
        "def f[a b](x) -> [] = x\n", "entry e(x) = f(x y)\n", "entry e(x) = x[i j]\n",
        "entry e(x) = x[a b -> c]\n", "entry e(x) = sum[a b](x)\n",
        "module M(x) -> [] {\n  param w[] = 1 v[] = 1\n  x\n}\n",
        "def f(x) -> [] {\n  (u w) = x\n  u\n}\n"}) {
    const SourceFile file("test.heed", text);
    Diagnostics diagnostics;
    Parse(file, diagnostics);
    EXPECT_NE(diagnostics.Render(false).find("= a comma"), std::string::npos) << diagnostics.Render(false);
    EXPECT_EQ(diagnostics.errors(), 1) << diagnostics.Render(false);
  }
}

TEST(Recovery, GoodDeclarationsSurvive) {
  const SourceFile file("test.heed", "axis a = )\naxis b = 2\ndef f(x -> [] {\n x\n}\ndef g(x) -> [] = x\n");
  Diagnostics diagnostics;
  const SyntaxTree tree = Parse(file, diagnostics);
  EXPECT_EQ(diagnostics.errors(), 2);
  ASSERT_EQ(tree.decls.size(), 2u);
  EXPECT_EQ(tree.decls[1].function->name.text, "g");
}

TEST(Recovery, UnindentedAndOddlyIndentedBodiesAreFine) {
  EXPECT_EQ(
      Kinds("  module M(x) -> [] {\npart h = B\nparam w[] = 1\n   for l in a {\nx = h(x)\n    }\nx }\n"),
      Strings{});
}

TEST(Bounds, DeepNestingIsAnErrorNotACrash) {
  const auto repeat = [](const std::string& text, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += text;
    return out;
  };
  for (const std::string& text : {"(", "-", "not ", "f(", "x[", "x ^ ", "a[b | ", "((x", "|"}) {
    const Strings kinds = Kinds("entry e(x) = " + repeat(text, 100000) + "\n");
    ASSERT_FALSE(kinds.empty()) << text;
    EXPECT_LE(kinds.size(), 21u);
  }
  for (const std::string& text : {" + x", "(x)", "[x]", "[a -> b]", " * x", " or x", " and x"}) {
    EXPECT_EQ(Kinds("entry e(x) = x" + repeat(text, 100000) + "\n"), Strings{"1 TooDeep"}) << text;
    EXPECT_EQ(Kinds("entry e(x) = x" + repeat(text, 1000) + "\n"), Strings{}) << text;
  }
  EXPECT_EQ(Kinds("def f(x) -> [] {" + repeat("for l in a {", 100000)), Strings{"1 TooDeep"});
}

TEST(Messages, DrawnAsDesigned) {
  const SourceFile file("gpt2.heed", "\n\n  c_proj(attention[seq', key](q, k, v, seq' <= seq))\n");
  const uint32_t k = static_cast<uint32_t>(file.text().find("k, v"));
  Diagnostics diagnostics;
  Diagnostic& d = diagnostics.Report(DiagnosticKind::MissingAxis, {&file, k, 1},
                                     "argument `k` of `attention` needs axis `seq'`");
  d.labels.push_back({{&file, k, 1}, "has [heads, key, seq]"});
  d.labels.push_back({{&file, 21, 4}, "`pos` is seq' in this call"});
  d.notes.push_back("q [heads, key, seq]   k [heads, key, seq]");
  d.notes.push_back("`k` is still on the query's axis; write `k[seq -> seq']` to give the keys their own");
  EXPECT_EQ(diagnostics.Render(false),
            R"(gpt2.heed:3:34: error: argument `k` of `attention` needs axis `seq'` [MissingAxis]
    3 |   c_proj(attention[seq', key](q, k, v, seq' <= seq))
      |                    ^~~~          ^ has [heads, key, seq]
      |                    `pos` is seq' in this call
      = q [heads, key, seq]   k [heads, key, seq]
      = `k` is still on the query's axis; write `k[seq -> seq']` to give the keys their own
)");
}

TEST(Messages, OtherLinesAndFiles) {
  const SourceFile prelude("prelude", "def f(x) -> [] =\n  softmax[pos | mask](x)\n");
  const SourceFile file("a.heed", "entry e(x) = f(x)\nentry g(x) = x\n");
  Diagnostics diagnostics;
  diagnostics.Report(DiagnosticKind::UnexpectedToken, {&file, 24, 1}, "second");
  Diagnostic& d = diagnostics.Report(DiagnosticKind::UnexpectedToken, {&file, 13, 1}, "first");
  d.labels.push_back({{&file, 24, 1}, "there"});
  d.labels.push_back({{&prelude, 33, 4}, "here"});
  EXPECT_EQ(diagnostics.Render(false), R"(a.heed:1:14: error: first [UnexpectedToken]
    1 | entry e(x) = f(x)
      |              ^
    2 | entry g(x) = x
      |       ^ there
    2 (prelude)   softmax[pos | mask](x)
      |                         ^~~~ here
a.heed:2:7: error: second [UnexpectedToken]
    2 | entry g(x) = x
      |       ^
)");
}

TEST(Messages, TabsWideAndInvalidText) {
  const SourceFile file("a.heed",
                        "\tx \"\xED\x95\x9C\xCC\x81\xFF\" y\n");  // tab, Hangul, combining accent, a bad byte
  Diagnostics diagnostics;
  diagnostics.Report(DiagnosticKind::UnexpectedToken, {&file, 12, 1}, "here");
  EXPECT_EQ(diagnostics.Render(false),
            "a.heed:1:13: error: here [UnexpectedToken]\n"
            "    1 |     x \"\xED\x95\x9C\xCC\x81\xEF\xBF\xBD\" y\n"
            "      |             ^\n");
}

TEST(Messages, LongLinesAreClipped) {
  std::string text = "entry e(x) = x";
  for (int i = 0; i < 1000; ++i) text += " + x";
  text += " + +\n";
  const SourceFile file("a.heed", text);
  Diagnostics diagnostics;
  Parse(file, diagnostics);
  std::istringstream lines(diagnostics.Render(false));
  std::string header, source, carets;
  std::getline(lines, header);
  std::getline(lines, source);
  std::getline(lines, carets);
  EXPECT_LE(source.size(), 160u);
  ASSERT_NE(carets.find('^'), std::string::npos);
  EXPECT_EQ(source.substr(carets.find('^') - 2, 3), "+ +");
}

TEST(Messages, AtMostTwentyErrors) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "const a = )\n";
  const SourceFile file("a.heed", text);
  Diagnostics diagnostics;
  Parse(file, diagnostics);
  EXPECT_EQ(diagnostics.errors(), 50);
  EXPECT_EQ(diagnostics.all().size(), 20u);
  EXPECT_NE(diagnostics.Render(false).find("30 more errors\n"), std::string::npos);
}

std::string Formatted(const std::string& text, bool parens = false) {
  const SourceFile file("test.heed", text);
  Diagnostics diagnostics;
  const SyntaxTree tree = Parse(file, diagnostics);
  return diagnostics.HasErrors() ? diagnostics.Render(false) : Format(tree, parens);
}

TEST(Formatter, LeavesProgramsAlone) {
  for (const std::string& name : Programs()) EXPECT_EQ(Formatted(Read(name)), Read(name)) << name;
}

TEST(Formatter, KeepsCommentsAndIsIdempotent) {
  const std::string text = R"(# first


# second
axis a=3 ,b = {x,y,
  z}# trailing
module M( x [a]) -> [ a ]{# open
  # before
  param   W[a]~normal(0,1)   # parameter

  y=x*   # inside
     W
  for l in a{x = x # loop
     # end of loop
  }
  for l in a { x = x }# one line
  attention[a](x,y,some_long_name_of_a_value, another_long_name_of_value_b) + attention[a](x, y, some_very_long_name, zz)
# end of body
}
# last
)";
  const std::string expected = R"(# first

# second
axis a = 3, b = {x, y, z}  # trailing
module M(x[a]) -> [a] {  # open
  # before
  param W[a] ~ normal(0, 1)  # parameter

  # inside
  y = x * W
  for l in a {
    x = x  # loop
    # end of loop
  }
  for l in a { x = x }  # one line
  attention[a](x, y, some_long_name_of_a_value, another_long_name_of_value_b) +
      attention[a](x, y, some_very_long_name, zz)
  # end of body
}
# last
)";
  EXPECT_EQ(Formatted(text), expected);
  EXPECT_EQ(Formatted(expected), expected);
}

TEST(Formatter, ParensShowTheGrouping) {
  EXPECT_EQ(Formatted("def f(x) -> [] = 1 - a @k b * c ^ -2\n", true),
            "def f(x) -> [] = 1 - ((a @k b) * (c ^ (-2)))\n");
}

/// Parses; formats what parses and checks that the result says the same.
void Survives(const std::string& text) {
  const SourceFile file("fuzz.heed", text);
  Diagnostics diagnostics;
  const SyntaxTree tree = Parse(file, diagnostics);
  diagnostics.Render(true);
  if (diagnostics.HasErrors()) return;
  const std::string formatted = Format(tree);
  ASSERT_EQ(Formatted(formatted), formatted) << text;
}

TEST(Fuzz, EveryPrefixAtATokenBoundary) {
  for (const std::string& name : Programs()) {
    const std::string text = Read(name);
    const SourceFile file("whole.heed", text);
    Diagnostics diagnostics;
    for (const Token& token : Lex(file, diagnostics).tokens) Survives(text.substr(0, token.loc.offset));
  }
}

TEST(Fuzz, EveryTokenLeftOut) {
  for (const std::string& name : Programs()) {
    const std::string text = Read(name);
    const SourceFile file("whole.heed", text);
    Diagnostics diagnostics;
    for (const Token& token : Lex(file, diagnostics).tokens) {
      Survives(text.substr(0, token.loc.offset) + text.substr(token.loc.offset + token.loc.length));
    }
  }
}

TEST(Fuzz, RandomBytes) {
  std::mt19937 random(1);
  const std::string alphabet = "()[]{}|@,=<>-+*/^%~:'\"#\n\t 0.e\xFF\xC3";
  for (const std::string& name : Programs()) {
    const std::string text = Read(name);
    for (int round = 0; round < 300; ++round) {
      std::string changed = text;
      for (int i = 0; i < 1 + round % 8; ++i) {
        char& c = changed[random() % changed.size()];
        c = round % 2 == 0 ? static_cast<char>(random()) : alphabet[random() % alphabet.size()];
      }
      Survives(changed);
    }
  }
  for (int round = 0; round < 300; ++round) {
    std::string noise(random() % 400, ' ');
    for (char& c : noise)
      c = round % 3 == 0 ? static_cast<char>(random()) : alphabet[random() % alphabet.size()];
    Survives(noise);
  }
}

/// The grammar of docs/language.md is the one in the head of parser.cpp.
TEST(Documentation, GrammarIsThatOfTheParser) {
  const auto normalize = [](const std::string& text) {
    std::string out;
    std::istringstream words(text);
    for (std::string word; words >> word;) out += word + " ";
    return out;
  };
  std::string head, line;
  std::istringstream source(Read(test::Source("frontend/parser.cpp")));
  for (bool inside = false; std::getline(source, line);) {
    if (line.rfind("// program ", 0) == 0) inside = true;
    if (line.rfind("// Errors:", 0) == 0 || line.rfind("//", 0) != 0) break;
    if (inside) head += line.substr(2) + "\n";
  }
  std::string document;
  std::istringstream pages(Read(test::Source("docs/language.md")));
  for (bool inside = false; std::getline(pages, line);) {
    if (line.rfind("program ", 0) == 0) inside = true;
    if (inside && line.rfind("```", 0) == 0) break;
    if (inside) document += line.substr(0, line.find("(*")) + "\n";
  }
  EXPECT_GT(head.size(), 1000u);
  EXPECT_EQ(normalize(document), normalize(head));
  for (const char* rule : {"postfix", "axisbind", "partbind", "stmt"})
    EXPECT_NE(head.find(rule), std::string::npos);
}

TEST(Documentation, LanguageListsEveryKeyword) {
  const std::string document = Read(test::Source("docs/language.md"));
#define HEED_KEYWORD(Name, text, begins, continues) \
  EXPECT_NE(document.find("`" text "`"), std::string::npos) << text;
#define HEED_PUNCTUATION(Name, text, continues)
#include "frontend/tokens.def"
#undef HEED_KEYWORD
#undef HEED_PUNCTUATION
}

}  // namespace
}  // namespace heed::frontend
