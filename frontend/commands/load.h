// Programs and graphs for commands: read, compiled, checked, with everything that is wrong printed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "frontend/commands/options.h"
#include "frontend/diagnostics.h"
#include "frontend/program.h"
#include "runtime/base/result.h"

namespace heed::commands {

/// Graphs in text form have names that end so.
bool IsHir(const std::string& name);
Result<std::shared_ptr<ir::Graph>> ReadGraph(const std::string& name);

/// Messages of the front end, in colour on a terminal.
void Print(const frontend::Diagnostics& diagnostics);

/// Compiles and checks, and keeps the entry that was asked for. Null, after messages, if the program is
/// wrong.
Result<std::unique_ptr<frontend::Program>> Load(const ProgramOptions& options, Timer& timer);

/// An error if the output is the program itself.
Status CheckOutput(const std::string& output, const std::string& program);
/// The same for the files that the program imports.
Status CheckOutput(const std::string& output, const frontend::Program& program);

/// The functions that an entry of this kind becomes, without the weights of attention.
std::vector<ir::Variant> Variants(frontend::EntryKind kind);
/// What the passes of a variant start from.
const ir::Graph& Source(const frontend::Entry& entry, ir::Variant variant);
/// "entry loss, train".
std::string Title(const frontend::Entry& entry, ir::Variant variant);

}  // namespace heed::commands
