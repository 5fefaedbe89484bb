// What a pass proved false, as a message of the front end.
#pragma once

#include "frontend/diagnostics.h"
#include "frontend/program.h"
#include "passes/pass.h"

namespace heed::commands {

/// Adds the complaint about `entry`: at the innermost place that the user wrote, with the calls that led
/// there.
void Report(const passes::Complaint& complaint, const frontend::Program& program,
            const frontend::Entry& entry, frontend::Diagnostics& diagnostics);

}  // namespace heed::commands
