// The hole of the matrix product, made from the epilogue of a step. Private to the back end.
#pragma once

#include <optional>

#include "backend/plan/plan.h"
#include "backend/target/target.h"

namespace llvm {
class Module;
}

namespace heed::backend {

/// Gives a body to the hole declared in `module`; without an epilogue it returns the sum as it is. The
/// context holds one pointer for each operand.
void FillEpilogueHole(llvm::Module& module, const std::optional<MatmulEpilogue>& epilogue,
                      const Target& target);

}  // namespace heed::backend
