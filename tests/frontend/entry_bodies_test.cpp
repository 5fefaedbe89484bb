// Entries with bodies, and functions that call parts of the top level: what they mean, how they are written,
// and what is refused.
#include <gtest/gtest.h>

#include <sstream>

#include "frontend/parser.h"
#include "ir/text.h"
#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

constexpr char kNet[] = R"(axis a = 4, vocab = 9, layer = 2, seq <= 6
module Net(x[a]) -> [a] {
  param w[a] = 1
  tanh(x * w)
}
part net = Net, deep[layer] = Net
)";

/// The graph of the only entry, without places.
std::string GraphOf(const std::string& entry) {
  const auto compiled = CompileText(kNet + entry);
  if (compiled->program == nullptr || compiled->program->entries.size() != 1) return compiled->text();
  std::istringstream lines(ir::Print(*compiled->program->entries[0].graph));
  std::string text;
  for (std::string line; std::getline(lines, line);) text += line.substr(0, line.find("  #")) + "\n";
  return text;
}

TEST(EntryBodies, AreTheirResultWithNamesForValues) {
  EXPECT_EQ(
      GraphOf("entry f(x[a]) -> [a] {\n  y = net(x)\n  for l in layer { y = deep[l](y) }\n  y + y * x\n}\n"),
      GraphOf("entry f(x[a]) -> [a] = deep[1](deep[0](net(x))) + deep[1](deep[0](net(x))) * x\n"));
  EXPECT_EQ(GraphOf("entry f(x[a]) {\n  y = net(x)\n  minimize sum[a](y)\n    per 2\n}\n"),
            GraphOf("entry f(x[a]) = minimize sum[a](net(x)) per 2\n"));
  EXPECT_EQ(GraphOf("entry f(p: vocab[seq], x[vocab]) {\n  b = x * 2\n"
                    "  generate y: vocab[seq] from p by onehot[vocab](y) + b\n}\n"),
            GraphOf("entry f(p: vocab[seq], x[vocab]) =\n"
                    "  generate y: vocab[seq] from p by onehot[vocab](y) + x * 2\n"));
}

TEST(EntryBodies, FunctionsCallPartsOfTheTopLevel) {
  EXPECT_EQ(GraphOf("def twice(x[a]) -> [a] = net(net(x))\nentry f(x[a]) -> [a] = twice(x)\n"),
            GraphOf("entry f(x[a]) -> [a] = net(net(x))\n"));
  EXPECT_EQ(GraphOf("def all(x[a]) -> [a] {\n  for l in layer { x = deep[l](x) }\n  deep[2 - 1](x)\n}\n"
                    "entry f(x[a]) -> [a] = all(x)\n"),
            GraphOf("entry f(x[a]) -> [a] = deep[1](deep[1](deep[0](x)))\n"));
  const auto hidden =
      CompileText(std::string(kNet) + "def f(net[a]) -> [a] = net * 2\nentry g(x[a]) -> [a] = f(net(x))\n");
  EXPECT_NE(hidden->program, nullptr) << "a function's own names come first: " << hidden->text();
}

TEST(EntryBodies, AreKeptByTheFormatter) {
  const std::string text =
      "entry two(x[a]) -> [a] {  # opened\n  # first\n  y = net(x)\n\n  for l in layer { y = deep[l](y) }  # "
      "looped\n"
      "  y + x  # given\n  # last\n}\n\nentry loss(x[a]) {\n  z = net(x)\n  minimize sum[a](z * z) per "
      "1\n}\n";
  const SourceFile file("bodies.heed", text);
  Diagnostics diagnostics;
  EXPECT_EQ(Format(Parse(file, diagnostics)), text);
  EXPECT_FALSE(diagnostics.HasErrors());
}

void ExpectRefused(const std::string& text, DiagnosticKind kind, const std::string& place,
                   const std::string& words) {
  const auto compiled = CompileText(kNet + text);
  const Diagnostic* found = compiled->Find(kind);
  ASSERT_NE(found, nullptr) << text << compiled->text();
  EXPECT_EQ(found->loc.Text().substr(found->loc.Text().find(':') + 1), place) << compiled->text();
  EXPECT_NE(compiled->text().find(words), std::string::npos) << compiled->text();
}

TEST(EntryBodies, WhatIsRefused) {
  ExpectRefused(
      "def g(x[a]) -> [a] = net(x)\n"
      "module Own(x[a]) -> [a] {\n  g(x)\n}\npart own = Own\nentry f(x[a]) = own(x)\n",
      DiagnosticKind::UnknownFunction, "7:22", "module `Own` calls `g`");
  ExpectRefused("module Own(x[a]) -> [a] {\n  net(x)\n}\npart own = Own\nentry f(x[a]) = own(x)\n",
                DiagnosticKind::UnknownFunction, "8:3", "no module can call it");
  ExpectRefused(
      "def g(x[a]) -> [a] = again(x)\nmodule Loop(x[a]) -> [a] {\n  g(x)\n}\npart again = Loop\n"
      "entry f(x[a]) = g(x)\n",
      DiagnosticKind::Recursion, "7:5", "g -> Loop -> g");
  ExpectRefused("entry f(x[a]) {\n  y = net(x)\n}\n", DiagnosticKind::MissingResult, "9:1",
                "without a result");
  ExpectRefused("entry f(x[a]) {\n  minimize sum[a](x)\n  x\n}\n", DiagnosticKind::UnusedValue, "8:3",
                "an entry gives one thing");
  ExpectRefused("entry f(x[a]) {\n  part mine = Net\n  mine(x)\n}\n", DiagnosticKind::ParamOutsideModule,
                "8:3", "an entry has no parts of its own");
  ExpectRefused("entry f(p: vocab[seq]) = generate y: vocab[seq] from p by onehot[vocab](p)\n",
                DiagnosticKind::PromptAsValue, "7:73", "`y` begins with it");
}

}  // namespace
}  // namespace heed::frontend
