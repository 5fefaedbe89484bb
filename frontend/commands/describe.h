// Programs of the front end in the words of the back end.
#pragma once

#include "backend/object/program_spec.h"
#include "frontend/commands/options.h"
#include "frontend/program.h"

namespace heed::commands {

/// Without graphs.
backend::EntrySpec Describe(const frontend::Program& program, const frontend::Entry& entry);
/// Without entries.
backend::ProgramSpec Describe(const frontend::Program& program, const ProgramOptions& options);

}  // namespace heed::commands
