// The language: any text is parsed, checked, elaborated and formatted. Formatting twice changes nothing, and
// formatting does not change what a program is.
#include <memory>
#include <regex>

#include "frontend/parser.h"
#include "frontend/program.h"
#include "ir/text.h"
#include "passes/pass.h"
#include "tests/fuzz/fuzz_support.h"

namespace {

using namespace heed;
using fuzz::Require;

/// The one file that texts can import, for what they read must not hang on the disk.
Result<std::string> Library(const std::string& name) {
  if (name == "l.heed")
    return std::string("import \"fuzz.heed\"\naxis n = 2, seq <= 4\nmodule L[a](x[a]) -> [a] { x }\n");
  if (name == "m.heed")
    return std::string("axis n = 3\nconst c = 1\ndef g(x[n]) -> [] = sum[n](x)\nentry e(x[n]) = g(x)\n");
  return Error{name + ": no such file"};
}

/// Nothing if there are mistakes.
std::unique_ptr<frontend::Program> Compile(const std::string& text) {
  frontend::Diagnostics diagnostics;
  auto program = frontend::Compile(std::make_unique<frontend::SourceFile>("fuzz.heed", text),
                                   {.most_steps = 20'000}, diagnostics, Library);
  if (program == nullptr) Require(!diagnostics.Render(false).empty(), "a refusal has a message");
  return program;
}

std::optional<std::string> Formatted(const std::string& text) {
  const frontend::SourceFile file("fuzz.heed", text);
  frontend::Diagnostics diagnostics;
  const frontend::SyntaxTree tree = frontend::Parse(file, diagnostics);
  if (diagnostics.HasErrors()) return {};
  return frontend::Format(tree);
}

/// Without the places in the text.
std::string Structure(const ir::Graph& graph) {
  static const std::regex kPlaces("fuzz\\.heed:[0-9]+:[0-9]+");
  return std::regex_replace(ir::Print(graph), kPlaces, "");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 4096) return -1;
  const std::string text(fuzz::Text(data, size));
  const auto program = Compile(text);
  if (program != nullptr) {
    for (const frontend::Entry& entry : program->entries) {
      if (entry.graph->size() < 3000) passes::CheckEntry(*entry.infer);
    }
  }
  const auto formatted = Formatted(text);
  if (!formatted) return 0;
  const auto twice = Formatted(*formatted);
  Require(twice.has_value(), "formatted text parses");
  Require(*twice == *formatted, "formatting twice changes nothing");
  const auto again = Compile(*formatted);
  Require((again == nullptr) == (program == nullptr), "formatting keeps what is accepted");
  if (program == nullptr) return 0;
  Require(again->entries.size() == program->entries.size(), "formatting keeps the entries");
  for (size_t i = 0; i < program->entries.size(); ++i) {
    if (program->entries[i].graph->size() > 3000) continue;
    Require(Structure(*program->entries[i].graph) == Structure(*again->entries[i].graph),
            "formatting keeps the graphs");
  }
  return 0;
}
