// The constant tables of runtime/abi.h for a program. Private to the back end.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backend/compile.h"
#include "backend/plan.h"
#include "backend/target.h"

namespace llvm {
class Module;
}

namespace heed::backend {

/// The compiled functions of an entry; a symbol is empty where the function is absent.
struct CompiledFunction {
  Plan plan;
  std::string symbol;  ///< of its run function
};
struct CompiledEntry {
  std::optional<CompiledFunction> train, loss, forward, prefill, step, weights;
};

/// Defines `heed_program` in `module`; entries are those of `program`, in order.
void EmitBundle(llvm::Module& module, const ProgramSpec& program, const std::vector<CompiledEntry>& entries,
                const Target& target);

}  // namespace heed::backend
