// See load.h.
#include "frontend/commands/load.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <set>

#include "frontend/commands/complaints.h"
#include "frontend/files.h"
#include "ir/text.h"
#include "runtime/base/places.h"

namespace heed::commands {
namespace {

bool ColorsWanted() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) && std::getenv("NO_COLOR") == nullptr && terminal != nullptr &&
         std::strcmp(terminal, "dumb") != 0;
}

Status SelectEntry(frontend::Program& program, const ProgramOptions& options) {
  if (options.entry.empty()) return Done{};
  std::string names;
  for (const frontend::Entry& entry : program.entries) names += (names.empty() ? "" : ", ") + entry.name;
  std::erase_if(program.entries, [&](const frontend::Entry& entry) { return entry.name != options.entry; });
  if (program.entries.empty()) {
    return Error{options.file + ": no entry `" + options.entry + "`" +
                 (names.empty() ? "" : "; it has " + names)};
  }
  std::set<std::string> used;
  for (const frontend::Entry& entry : program.entries) {
    for (const ir::NodeId id : entry.graph->Order()) {
      const ir::Node& node = (*entry.graph)[id];
      if (node.op == ir::OpKind::Param) used.insert(node.attributes.name);
    }
  }
  std::erase_if(program.parameters, [&](const frontend::Parameter& p) { return used.count(p.name) == 0; });
  return Done{};
}

}  // namespace

bool IsHir(const std::string& name) { return std::filesystem::path(name).extension() == ".hir"; }

Result<std::shared_ptr<ir::Graph>> ReadGraph(const std::string& name) {
  const Result<std::string> text = frontend::ReadText(name);
  if (!text) return text.error();
  Result<std::shared_ptr<ir::Graph>> graph = ir::ParseGraph(*text);
  if (!graph) return Error{name + ": " + graph.error().message};
  return graph;
}

void Print(const frontend::Diagnostics& diagnostics) {
  std::cerr << diagnostics.Render(ColorsWanted()) << std::flush;
}

Result<std::unique_ptr<frontend::Program>> Load(const ProgramOptions& options, Timer& timer) {
  Result<std::string> text = frontend::ReadText(options.file);
  if (!text) return text.error();
  auto file = std::make_unique<frontend::SourceFile>(options.file, std::move(*text));
  frontend::Overrides overrides;
  for (const std::string& set : options.set) {
    const size_t equals = set.find('=');
    overrides.values[set.substr(0, equals)] = std::strtod(set.c_str() + equals + 1, nullptr);
  }
  frontend::Diagnostics diagnostics;
  timer.start = std::chrono::steady_clock::now();
  std::unique_ptr<frontend::Program> program = frontend::Compile(std::move(file), overrides, diagnostics);
  timer.Lap("frontend");
  if (program != nullptr && !diagnostics.HasErrors()) {
    for (const frontend::Entry& entry : program->entries) {
      for (const passes::Complaint& complaint : passes::CheckEntry(*entry.infer))
        Report(complaint, *program, entry, diagnostics);
    }
    timer.Lap("checks");
  }
  Print(diagnostics);
  if (program == nullptr || diagnostics.HasErrors()) return std::unique_ptr<frontend::Program>();
  if (Status selected = SelectEntry(*program, options); !selected) return selected.error();
  return program;
}

Status CheckOutput(const std::string& output, const std::string& program) {
  if (output == "-" || !SameFile(output, program)) return Done{};
  return Error{output + ": would overwrite the program itself; name the output with -o"};
}

Status CheckOutput(const std::string& output, const frontend::Program& program) {
  // The third file and further ones: the first are the prelude and the program.
  for (size_t i = 2; i < program.files.size() && output != "-"; ++i) {
    if (SameFile(output, program.files[i]->name()))
      return Error{output + ": would overwrite a file that the program imports; name the output with -o"};
  }
  return Done{};
}

std::vector<ir::Variant> Variants(frontend::EntryKind kind) {
  switch (kind) {
    case frontend::EntryKind::Minimize:
      return {ir::Variant::Train, ir::Variant::Loss};
    case frontend::EntryKind::Value:
      return {ir::Variant::Forward};
    case frontend::EntryKind::Generate:
      return {ir::Variant::Forward, ir::Variant::Prefill, ir::Variant::Step};
  }
  return {};
}

const ir::Graph& Source(const frontend::Entry& entry, ir::Variant variant) {
  return variant == ir::Variant::Train ? *entry.graph : *entry.infer;
}

std::string Title(const frontend::Entry& entry, ir::Variant variant) {
  return "entry " + entry.name + ", " + std::string(ir::Name(variant));
}

}  // namespace heed::commands
