// Programs that are wrong, and texts that are none: every semantic diagnostic is provoked and points at the
// mistake, and no text whatever crashes the front end.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "frontend/program.h"
#include "ir/verify.h"
#include "tests/support/paths.h"
#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

namespace fs = std::filesystem;

// ---- Diagnostics

/// The kinds this stage reports: from UnknownName to UnusedName in diagnostics.def.
bool IsSemantic(DiagnosticKind kind) {
  return kind >= DiagnosticKind::UnknownName && kind <= DiagnosticKind::UnusedName;
}

TEST(Errors, EveryKindHasAProgramThatProvokesIt) {
  int checked = 0;
  for (DiagnosticKind kind : AllKinds()) {
    if (!IsSemantic(kind)) continue;
    const std::string name(KindName(kind));
    const std::string path = test::Source("tests/errors/" + name + ".heed");
    if (!fs::exists(path)) {
      ADD_FAILURE() << "no program provokes " << name;
      continue;
    }
    const std::string text = Read(path);
    std::istringstream first(text);
    std::string hash, expect, where, expected_kind;
    first >> hash >> expect >> where >> expected_kind;
    EXPECT_EQ(expected_kind, name) << path;
    std::map<std::string, double> sizes;
    if (const size_t set = text.find("# SET: "); set != std::string::npos) {
      const size_t equals = text.find('=', set);
      sizes[text.substr(set + 7, equals - set - 7)] = std::stod(text.substr(equals + 1));
    }
    auto compiled = CompileText(text, sizes, name + ".heed");
    EXPECT_EQ(compiled->Where(kind), where) << path << "\n" << compiled->text();
    EXPECT_EQ(compiled->program == nullptr, SeverityOf(kind) == Severity::Error) << path;
    for (const Diagnostic& d : compiled->diagnostics.all()) {
      if (SeverityOf(d.kind) == Severity::Error) {
        EXPECT_EQ(KindName(d.kind), name) << path << "\n" << compiled->text();
      }
      EXPECT_FALSE(d.message.empty());
      EXPECT_NE(d.message.back(), '.');
    }
    ++checked;
  }
  EXPECT_GE(checked, 50);
}

struct Planted {
  const char* what;
  const char* from;
  const char* to;
  DiagnosticKind kind;
  int line;
};

TEST(Errors, PlantedMistakesOfTheLanguageDocument) {
  const std::string gpt2 = Read(test::Source("examples/gpt2.heed"));
  const Planted planted[] = {
      {"keys not renamed", "k[seq -> seq'], v[seq -> seq'], seq' <= seq", "k, v, seq' <= seq",
       DiagnosticKind::MissingAxis, 19},
      {"values not renamed", "v[seq -> seq'], seq' <= seq", "v, seq' <= seq", DiagnosticKind::MissingAxis,
       19},
      {"wrong contraction axis", "wte @model ln_f(z)", "wte @hidden ln_f(z)", DiagnosticKind::ContractionAxis,
       39},
      {"heads not merged", "c_proj = Conv1D[(heads, key), model]", "c_proj = Conv1D[key, model]",
       DiagnosticKind::ResultAxes, 19},
      {"norm over a wrong axis", "standardize[model](x)", "standardize[hidden](x)",
       DiagnosticKind::MissingAxis, 8},
      {"two-way sum", "z = dropout(wte[x] + wpe, 0.1)", "z = wte[x] + (sum[model](wpe) + sum[seq](wpe))",
       DiagnosticKind::TwoWayBroadcast, 37},
      {"division of positions", "key = |model| / |heads|", "key = model / heads",
       DiagnosticKind::AxisAsNumber, 2},
      {"index is a number", "x[seq + 1]))\n\nentry complete", "x[1 + 1]))\n\nentry complete",
       DiagnosticKind::IndexType, 48},
      {"layers without an index", "z = h[l](z)", "z = h(z)", DiagnosticKind::PartAsValue, 38},
      {"module without part", "wte @model ln_f(z)", "wte @model LayerNorm(z)",
       DiagnosticKind::ModuleNeedsPart, 39},
      {"loss not summed", "minimize sum[seq | seq + 1 < |seq|]", "minimize softmax[seq | seq + 1 < |seq|]",
       DiagnosticKind::LossAxes, 45},
  };
  for (const Planted& mistake : planted) {
    std::string text = gpt2;
    const size_t at = text.find(mistake.from);
    ASSERT_NE(at, std::string::npos) << mistake.what;
    text.replace(at, std::string(mistake.from).size(), mistake.to);
    auto compiled = CompileText(text, {}, "gpt2.heed");
    EXPECT_FALSE(compiled->program) << mistake.what;
    EXPECT_TRUE(compiled->Where(mistake.kind).starts_with(std::to_string(mistake.line) + ":"))
        << mistake.what << "\n"
        << compiled->text();
  }
}

TEST(Errors, PictureOfAMissingRename) {
  std::string text = Read(test::Source("examples/gpt2.heed"));
  const std::string from = "k[seq -> seq'], v[seq -> seq']";
  text.replace(text.find(from), from.size(), "k, v[seq -> seq']");
  auto compiled = CompileText(text, {}, "gpt2.heed");
  EXPECT_EQ(compiled->diagnostics.errors(), 1);
  EXPECT_EQ(compiled->text(),
            "gpt2.heed:19:34: error: argument `k` of `attention` needs axis `seq'` [MissingAxis]\n"
            "   19 |   c_proj(attention[seq', key](q, k, v[seq -> seq'], seq' <= seq))\n"
            "      |                    ^~~~          ^ has [seq, heads, key]\n"
            "      |                    `pos` is seq' in this call\n"
            "      = q [seq, heads, key]   k [seq, heads, key]   v [seq', heads, key]   mask [seq', seq]\n"
            "      = `k` is still on `seq`; write `k[seq -> seq']` to give it an axis of its own\n");
}

TEST(Errors, IndependentMistakesAreReportedInOneRun) {
  auto compiled = CompileText(kCommonAxes +
                              "def unused_by_entries(x[b]) -> [b] = x + undefined\n"
                              "entry f(x[b]) = sum[a](x)\n"
                              "entry g(x[a], y[b]) = x @a y\n"
                              "entry h(x[a]) = (x and true) * 3 + x[a -> b]\n");
  EXPECT_TRUE(compiled->Find(DiagnosticKind::UnknownName));
  EXPECT_TRUE(compiled->Find(DiagnosticKind::ReduceAxis));
  EXPECT_TRUE(compiled->Find(DiagnosticKind::ContractionAxis));
  EXPECT_TRUE(compiled->Find(DiagnosticKind::WrongType));
  EXPECT_TRUE(compiled->Find(DiagnosticKind::ChangesSize));
  EXPECT_EQ(compiled->diagnostics.errors(), 5) << compiled->text();
}

TEST(Errors, AMistakeInALayerIsReportedOnce) {
  std::string text = Read(test::Source("examples/gpt2.heed"));
  const std::string from = "x + dropout(mlp(ln_2(x)), 0.1)";
  text.replace(text.find(from), from.size(), "x + dropout(mlp(ln_2(x)), 1.1)");
  EXPECT_EQ(CompileText(text)->diagnostics.errors(), 1);
}

TEST(Errors, MistakesInsideThePreludePointAtTheCall) {
  auto compiled = CompileText(
      kCommonAxes + "entry f(z[vocab], y: vocab) = xent[vocab](z, y, z[vocab -> vocab'])\n", {}, "t.heed");
  auto grouped = CompileText(kCommonAxes + "entry f(z[a, b], y: a) = xent[(a, b)](z, y)\n", {}, "t.heed");
  EXPECT_TRUE(grouped->Find(DiagnosticKind::GroupPositions)) << grouped->text();
  EXPECT_TRUE(grouped->text().starts_with("t.heed:2:")) << grouped->text();
  EXPECT_TRUE(compiled->program) << compiled->text();
}

TEST(Errors, LiftedAxesThatTheBodyUsesItself) {
  // By the lifting law `f` on each row of x must be `f` on x; its own `b` is another one.
  auto compiled =
      CompileText(kCommonAxes +
                  "module M(x[a]) -> [] {\n  param w[a, b] = 1\n  sum[b](x @a w)\n}\npart net = M\n"
                  "entry f(x[a, b]) = net(x)\n");
  EXPECT_TRUE(compiled->Find(DiagnosticKind::LiftedClash)) << compiled->text();
}

TEST(Errors, PositionsAndComparisonsBroadcastFreely) {
  auto compiled = CompileText(
      kCommonAxes + "entry f(x[seq]) = sum[seq'](where(seq' <= seq, x[seq -> seq'], 0) * (seq - seq'))");
  EXPECT_TRUE(compiled->program) << compiled->text();
}

// ---- Hostile programs

TEST(Hostile, LongChainsOfCallsAndSizes) {
  std::string text = "axis n = 2\ndef f0(x) -> [] = x\n";
  for (int i = 1; i < 3000; ++i)
    text += "def f" + std::to_string(i) + "(x) -> [] = 1 + f" + std::to_string(i - 1) + "(x)\n";
  EXPECT_TRUE(CompileText(text + "entry g(x[n]) = f2999(x)\n")->Find(DiagnosticKind::ProgramTooLarge));
  EXPECT_TRUE(CompileText(text + "entry g(x[n]) = f100(x)\n")->program);
  std::string sizes = "axis a0 = 2";
  for (int i = 1; i < 3000; ++i) sizes += ", a" + std::to_string(i) + " = |a" + std::to_string(i - 1) + "|";
  CompileText(sizes + "\nentry g(x[a2999]) = x\n");
  std::string backwards = "axis ";
  for (int i = 0; i < 3000; ++i)
    backwards += "a" + std::to_string(i) + " = |a" + std::to_string(i + 1) + "|, ";
  EXPECT_TRUE(CompileText(backwards + "a3000 = 2\nentry g(x[a0]) = x\n")->Find(DiagnosticKind::SizeCycle));
}

TEST(Hostile, ExponentialExpansionIsBounded) {
  std::string text = "axis n = 2\ndef f0(x) -> [] = x\n";
  for (int i = 1; i < 64; ++i) {
    const std::string below = "f" + std::to_string(i - 1);
    text += "def f" + std::to_string(i) + "(x) -> [] = " + below + "(x) + " + below + "(x)\n";
  }
  EXPECT_TRUE(CompileText(text + "entry g(x[n]) = f63(x)\n")->Find(DiagnosticKind::ProgramTooLarge));
}

TEST(Hostile, DeepExpressions) {
  std::string text = "x";
  for (int i = 0; i < 1400; ++i) text += " + x";
  CompileText("axis n = 2\nentry g(x[n]) = " + text + "\n");
  CompileText("axis n = 2\nentry g(x[n]) = " + std::string(5000, '(') + "x" + std::string(5000, ')') + "\n");
}

TEST(Hostile, HugeAxes) {
  EXPECT_TRUE(CompileText("axis n = 2000000000\nentry g(x[n]) = sum[n](x)\n")->program);
  EXPECT_FALSE(
      CompileText(
          "axis n = 2000000000\ndef h(x[n]) -> [] {\n  (a, b) = unpack[n](x)\n  a\n}\nentry g(x[n]) = h(x)\n")
          ->program);
  EXPECT_TRUE(
      CompileText(
          "axis n = 2000000000, m = 2000000000\nmodule M(x[n]) -> [m] {\n  param w[n, m]\n  w @n x\n}\n"
          "part net = M\nentry g(x[n]) = net(x)\n")
          ->Find(DiagnosticKind::SizeTooLarge));
}

/// Programs with tokens deleted, doubled, swapped or replaced by others of the same program: whatever comes
/// of it is a message or a sound graph.
TEST(Hostile, MutatedPrograms) {
  std::mt19937 random(20240607);
  int accepted = 0, total = 0;
  for (const std::string& path : Programs()) {
    const std::string text = Read(path);
    std::vector<std::string> tokens;
    for (size_t i = 0; i < text.size();) {
      size_t end = i + 1;
      const auto word = [&](size_t k) {
        return std::isalnum(static_cast<unsigned char>(text[k])) || text[k] == '_';
      };
      if (word(i))
        while (end < text.size() && word(end)) ++end;
      tokens.push_back(text.substr(i, end - i));
      i = end;
    }
    for (int round = 0; round < 150; ++round) {
      std::vector<std::string> mutant = tokens;
      for (int change = 0; change < 1 + static_cast<int>(random() % 2); ++change) {
        const size_t at = random() % mutant.size(), other = random() % mutant.size();
        switch (random() % 4) {
          case 0:
            mutant.erase(mutant.begin() + at);
            break;
          case 1:
            mutant.insert(mutant.begin() + at, mutant[at]);
            break;
          case 2:
            std::swap(mutant[at], mutant[other]);
            break;
          default:
            mutant[at] = mutant[other];
        }
      }
      std::string joined;
      for (const std::string& token : mutant) joined += token;
      auto compiled = std::make_unique<Compiled>();
      compiled->program =
          Compile(std::make_unique<SourceFile>(path, joined), {{{"layer", 2}}}, compiled->diagnostics);
      if (compiled->Find(DiagnosticKind::UnknownOverride))
        compiled->program = Compile(std::make_unique<SourceFile>(path, joined), {}, compiled->diagnostics);
      compiled->text();
      ++total;
      if (!compiled->program) continue;
      ++accepted;
      for (const Entry& entry : compiled->program->entries)
        for (const std::string& bad : ir::Verify(*entry.graph)) ADD_FAILURE() << bad << "\n" << joined;
    }
  }
  EXPECT_GT(accepted, total / 20);
  EXPECT_LT(accepted, total);
}

}  // namespace
}  // namespace heed::frontend
