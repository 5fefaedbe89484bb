// The front end as a whole: read and parse, declare, check, elaborate every entry, finish the parameters.
// Each stage runs as far as the ones before allow, so that one run reports as many independent mistakes as
// possible.
#include "frontend/program.h"

#include "frontend/check.h"
#include "frontend/elaborate.h"
#include "frontend/files.h"
#include "frontend/imports.h"
#include "frontend/initializers.h"
#include "frontend/parser.h"

namespace heed::frontend {
namespace {

constexpr char kPrelude[] =
#include "prelude.heed.inc"
    ;

/// Null if anything was reported; the files of a program are its own in any case.
bool Fill(Program& program, const Overrides& overrides, Diagnostics& diagnostics, const TextReader& read) {
  const SourceFile& prelude = *program.files[0];

  Diagnostics prelude_diagnostics;
  const SyntaxTree prelude_tree = Parse(prelude, prelude_diagnostics);
  if (prelude_diagnostics.HasErrors())
    throw ir::InternalError("the prelude does not parse:\n" + prelude_diagnostics.Render(false));
  const std::vector<ProgramFile> files = ReadFiles(program.files, read, diagnostics);
  // A text that does not parse gives misleading messages about names.
  if (diagnostics.HasErrors()) return false;

  const Declarations declarations(prelude_tree, files, overrides, diagnostics);
  CheckNames(declarations, diagnostics);
  if (!declarations.sizes_known()) return false;

  Elaborator elaborator(declarations, diagnostics);
  std::vector<std::shared_ptr<const ir::Graph>> graphs, trained;
  for (const EntryDecl* decl : declarations.entries()) {
    Entry entry;
    const bool trains = decl->kind == EntryKind::Minimize;
    entry.graph = elaborator.Build(*decl, trains, entry);
    if (!entry.graph) continue;
    entry.infer = entry.graph;
    if (trains) {
      trained.push_back(entry.graph);
      entry.infer = elaborator.Build(*decl, false, entry);
      if (!entry.infer) continue;
      graphs.push_back(entry.infer);
    }
    graphs.push_back(entry.graph);
    program.entries.push_back(std::move(entry));
  }
  if (diagnostics.HasErrors()) return false;
  program.parameters = FinishParameters(elaborator.parameters(), graphs, trained, diagnostics);
  if (diagnostics.HasErrors()) return false;
  program.stacks = elaborator.stacks();
  program.words = elaborator.words();
  program.axes = declarations.axes();
  for (const auto& [name, number] : declarations.consts()) program.consts[name] = number.value;
  return true;
}

}  // namespace

std::unique_ptr<Program> Compile(std::unique_ptr<SourceFile> file, const Overrides& overrides,
                                 Diagnostics& diagnostics, const TextReader& read) {
  auto program = std::make_unique<Program>();
  program->files.push_back(std::make_unique<SourceFile>(std::string(ir::kPreludeFile), kPrelude));
  program->files.push_back(std::move(file));
  if (Fill(*program, overrides, diagnostics, read)) return program;
  for (auto& text : program->files) diagnostics.Keep(std::move(text));  // messages point into them
  return nullptr;
}

std::unique_ptr<Program> Compile(std::unique_ptr<SourceFile> file, const Overrides& overrides,
                                 Diagnostics& diagnostics) {
  return Compile(std::move(file), overrides, diagnostics, ReadText);
}

}  // namespace heed::frontend
