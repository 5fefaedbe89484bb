// Programs of several files: what an import brings, whose declarations hold, and what is said where.
#include <gtest/gtest.h>

#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

using Files = std::map<std::string, std::string>;

/// Compiles "main.heed" of `files`.
std::unique_ptr<Compiled> CompileFiles(const Files& files, std::map<std::string, double> sizes = {}) {
  const auto read = [&](const std::string& name) -> Result<std::string> {
    if (const auto found = files.find(name); found != files.end()) return found->second;
    return Error{name + ": no such file"};
  };
  auto result = std::make_unique<Compiled>();
  result->program = Compile(std::make_unique<SourceFile>("main.heed", files.at("main.heed")),
                            {std::move(sizes)}, result->diagnostics, read);
  EXPECT_EQ(result->program == nullptr, result->diagnostics.HasErrors());
  return result;
}

/// "main.heed:1:8" of the first message of a kind, and of its labels.
std::string Places(const Compiled& compiled, DiagnosticKind kind) {
  const Diagnostic* d = compiled.Find(kind);
  if (d == nullptr) return "none:\n" + compiled.text();
  std::string text = d->loc.Text();
  for (const Label& label : d->labels) text += " " + label.loc.Text();
  return text;
}

constexpr char kLayers[] = R"(axis model = 8
const eps = 2
module Scale(x[model]) -> [model] {
  param weight[model] = 1
  x * weight + eps
}
def idle(x[unknown]) -> [] = nothing(x)
def unknown_axis(x[model]) -> [] = sum[model](x) + |width|
part left = Scale
entry behind(x[model]) = left(x)
)";

TEST(Imports, BringAxesConstantsAndFunctions) {
  const auto compiled =
      CompileFiles({{"main.heed", "import \"layers.heed\"\npart a = Scale\nentry f(x[model]) = a(x)\n"},
                    {"layers.heed", kLayers}});
  ASSERT_NE(compiled->program, nullptr) << compiled->text();
  const Program& program = *compiled->program;
  ASSERT_EQ(program.entries.size(), 1u) << "entries stay behind";
  ASSERT_EQ(program.parameters.size(), 1u);
  EXPECT_EQ(program.parameters[0].name, "weight");
  EXPECT_EQ(program.parameters[0].shape, (std::vector<int64_t>{8}));
  EXPECT_EQ(program.consts.at("eps"), 2);
  bool found = false;
  const ir::Graph& graph = *program.entries[0].graph;
  for (const ir::NodeId id : graph.Order()) {
    const ir::Place place = graph[id].origin.where;
    found |= place.file() == "layers.heed" && place.line() == 5 && place.caller().file() == "main.heed" &&
             place.caller().line() == 3;
  }
  EXPECT_TRUE(found) << "places name both files";
}

TEST(Imports, OwnAxesAndConstantsStandForImportedOnes) {
  const Files files = {{"main.heed",
                        "import \"layers.heed\"\naxis model = |width| * 2, width = 3\nconst eps = 5\n"
                        "part a = Scale\nentry f(x[model]) = a(x)\n"},
                       {"layers.heed", kLayers}};
  auto compiled = CompileFiles(files);
  ASSERT_NE(compiled->program, nullptr) << compiled->text();
  EXPECT_EQ(compiled->program->axes->Bound(Axis("model")), 6);
  EXPECT_EQ(compiled->program->consts.at("eps"), 5);
  compiled = CompileFiles(files, {{"eps", 7}, {"model", 4}});
  ASSERT_NE(compiled->program, nullptr) << compiled->text();
  EXPECT_EQ(compiled->program->axes->Bound(Axis("model")), 4);
  EXPECT_EQ(compiled->program->consts.at("eps"), 7);
}

TEST(Imports, UnusedFunctionsAreNotChecked) {
  const std::string head = "import \"layers.heed\"\nentry f(x[model]) = ";
  EXPECT_EQ(CompileFiles({{"main.heed", head + "x\n"}, {"layers.heed", kLayers}})->text(), "");
  const auto used = CompileFiles({{"main.heed", head + "unknown_axis(x)\n"}, {"layers.heed", kLayers}});
  EXPECT_EQ(Places(*used, DiagnosticKind::UnknownAxis), "layers.heed:8:52");
  EXPECT_NE(used->text().find("the program that imports this may declare it: `axis width = ...`"),
            std::string::npos)
      << used->text();
  EXPECT_EQ(
      CompileFiles({{"main.heed", head + "unknown_axis(x)\naxis width = 9\n"}, {"layers.heed", kLayers}})
          ->text(),
      "");
}

TEST(Imports, LibrariesMayLeaveNamesToTheProgram) {
  const std::string head = "import \"l.heed\"\naxis n = 2\nentry f(x[n]) = g(x)\n";
  const Files files = {{"main.heed", head}, {"l.heed", "def g(x) -> [] = speed(x) + offset\n"}};
  const std::string text = CompileFiles(files)->text();
  for (const char* note : {"l.heed:1:18: error: unknown function `speed`", "`def speed(...) -> ...`",
                           "l.heed:1:29: error: unknown name `offset`", "`const offset = ...`"})
    EXPECT_NE(text.find(note), std::string::npos) << text;
}

TEST(Imports, FunctionsMayCallThoseOfTheProgram) {
  const auto compiled = CompileFiles({{"main.heed",
                                       "import \"turn.heed\"\naxis n = 2\ndef speed() -> [] = 3\n"
                                       "entry f(x[n]) = turn(x)\n"},
                                      {"turn.heed", "def turn(x) -> [] = x * speed()\n"}});
  EXPECT_EQ(compiled->text(), "");
}

TEST(Imports, HideThePrelude) {
  const auto compiled =
      CompileFiles({{"main.heed", "import \"more.heed\"\naxis n = 2\nentry f(x[n]) = gelu(x, 2)\n"},
                    {"more.heed", "def gelu(x, y) -> [] = x * y\n"}});
  EXPECT_EQ(compiled->text(), "");
}

TEST(Imports, OneFileIsReadOnce) {
  const auto compiled = CompileFiles(
      {{"main.heed", "import \"a.heed\"\nimport \"b.heed\"\nimport \"c.heed\"\nentry f(x[n]) = g(h(x))\n"},
       {"a.heed", "import \"c.heed\"\ndef g(x) -> [] = k(x)\n"},
       {"b.heed", "import \"c.heed\"\ndef h(x) -> [] = k(x)\n"},
       {"c.heed", "axis n = 3\ndef k(x) -> [] = 2 * x\n"}});
  ASSERT_NE(compiled->program, nullptr) << compiled->text();
  EXPECT_EQ(compiled->program->files.size(), 5u);
}

TEST(Imports, NamesAreRelativeToTheFileThatSaysThem) {
  const auto compiled = CompileFiles({{"main.heed", "import \"layers/a.heed\"\nentry f(x[n]) = g(x)\n"},
                                      {"layers/a.heed", "import \"b.heed\"\ndef g(x) -> [] = k(x)\n"},
                                      {"layers/b.heed", "axis n = 3\ndef k(x) -> [] = 2 * x\n"}});
  EXPECT_EQ(compiled->text(), "");
}

TEST(Imports, ClashesNameBothPlaces) {
  // Two imported files.
  const std::string head = "import \"a.heed\"\nimport \"b.heed\"\n";
  const auto clash = [&](const std::string& main, const std::string& a, const std::string& b) {
    return CompileFiles({{"main.heed", head + main}, {"a.heed", a}, {"b.heed", b}});
  };
  const std::string entry = "entry f(x[n]) = x\n";
  EXPECT_EQ(clash(entry, "axis n = 3 + 1\n", "axis m = 2, n = (3 + 1)\n")->text(), "")
      << "equal ones are fine";
  for (const auto& [a, b] : {std::pair("axis n = 3", "axis n = 4"),
                             {"axis n = 3", "axis n <= 3"},
                             {"axis n = {u, v}", "axis n = {u, w}"},
                             {"axis n = 3", "const n = 3"},
                             {"axis n = 3\nconst u = 1", "const u = 2"},
                             {"axis n = 2\ndef u() -> [] = 1", "def u() -> [] = 1"}}) {
    const auto compiled = clash(entry, a, b);
    const std::string places = Places(*compiled, DiagnosticKind::DuplicateName);
    EXPECT_NE(places.find("a.heed:"), std::string::npos) << places;
    EXPECT_NE(places.find("b.heed:"), std::string::npos) << places;
  }
  // A line of the program decides between two sizes, not between two functions.
  EXPECT_EQ(clash("axis n = 5\n" + entry, "axis n = 3\n", "axis n = 4\n")->text(), "");
  EXPECT_EQ(Places(*clash("axis n = 5\ndef u() -> [] = 1\n" + entry, "def u() -> [] = 1\n", ""),
                   DiagnosticKind::DuplicateName),
            "main.heed:4:5 a.heed:1:5");
  EXPECT_EQ(Places(*clash("axis n = 5\nconst u = 1\n" + entry, "def u() -> [] = 1\n", ""),
                   DiagnosticKind::DuplicateName),
            "main.heed:4:7 a.heed:1:5");
  // A file stands for those it imports, whoever imports it.
  EXPECT_EQ(clash(entry, "import \"b.heed\"\naxis n = 3\n", "axis n = 4\n")->text(), "");
}

TEST(Imports, CyclesShowTheirWay) {
  const auto compiled = CompileFiles({{"main.heed", "import \"a.heed\"\n"},
                                      {"a.heed", "# a\nimport \"b.heed\"\n"},
                                      {"b.heed", "axis n = 2\n\nimport \"a.heed\"\n"}});
  EXPECT_EQ(Places(*compiled, DiagnosticKind::ImportCycle), "b.heed:3:8 a.heed:2:8");
}

TEST(Imports, FilesThatCannotBeReadAreRefusedWhereTheyAreNamed) {
  const auto compiled = CompileFiles({{"main.heed", "import \"a.heed\"\naxis n = 2\nimport \"b.heed\" as\n"},
                                      {"a.heed", "\n  import \"../x/b.heed\"\n"}});
  EXPECT_EQ(Places(*compiled, DiagnosticKind::ImportFile), "a.heed:2:10");
  EXPECT_NE(compiled->text().find("../x/b.heed: no such file"), std::string::npos) << compiled->text();
  EXPECT_NE(compiled->Find(DiagnosticKind::UnexpectedToken), nullptr)
      << "and what else is wrong is said as well";
  const auto unquoted = CompileFiles({{"main.heed", "import layers\n"}});
  EXPECT_NE(unquoted->text().find("expected the name of a file in quotes, found `layers`"),
            std::string::npos);
}

TEST(Imports, AProgramHasAMostNumberOfFiles) {
  Files files;
  for (int i = 0; i < 1100; ++i)
    files[i == 0 ? "main.heed" : "f" + std::to_string(i) + ".heed"] =
        "import \"f" + std::to_string(i + 1) + ".heed\"\n";
  EXPECT_EQ(Places(*CompileFiles(files), DiagnosticKind::ImportFile), "f999.heed:1:8");
}

TEST(Imports, FilesOfOneNameAreToldApart) {
  const auto compiled = CompileFiles(
      {{"main.heed", "import \"a/l.heed\"\nimport \"b/l.heed\"\naxis n = 2\nentry f(x[n]) = g(h(x))\n"},
       {"a/l.heed", "def g(x) -> [] = 2 * x\n"},
       {"b/l.heed", "def h(x) -> [] = 3 * x\n"}});
  ASSERT_NE(compiled->program, nullptr) << compiled->text();
  std::set<std::string> names, files;
  for (const auto& file : compiled->program->files) names.insert(file->short_name());
  EXPECT_EQ(names, (std::set<std::string>{"prelude", "main.heed", "l.heed", "b/l.heed"}));
  const ir::Graph& graph = *compiled->program->entries[0].graph;
  for (const ir::NodeId id : graph.Order()) files.emplace(graph[id].origin.where.file());
  EXPECT_TRUE(files.count("l.heed") && files.count("b/l.heed"));
}

}  // namespace
}  // namespace heed::frontend
