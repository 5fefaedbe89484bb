// The constant tables of runtime/abi.h for a program. Private to the back end.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backend/emit/function.h"
#include "backend/object/program_spec.h"
#include "backend/plan/plan.h"
#include "backend/target/target.h"

namespace llvm {
class Module;
}

namespace heed::backend {

/// A function of an entry, compiled.
struct CompiledFunction {
  Plan plan;
  std::string symbol;  ///< of its run function
};
using CompiledEntry = ir::PerVariant<std::optional<CompiledFunction>>;

/// Defines `heed_program` in `module`; entries are those of `program`, in order. `table` has the kernels that
/// their functions call.
void EmitBundle(llvm::Module& module, const ProgramSpec& program, const std::vector<CompiledEntry>& entries,
                const Target& target, KernelTable& table);

}  // namespace heed::backend
