// Fused loops as LLVM functions, void(const void* context, i64 part, i64 parts, void* scratch). Private to
// the back end.
#pragma once

#include <string>
#include <vector>

#include "backend/emit/context.h"
#include "backend/plan/plan.h"
#include "backend/target/target.h"

namespace llvm {
class Module;
}

namespace heed::backend {

KernelContext ContextOf(const LoopKernel& kernel);

/// Bytes of scratch for one element of the inner nest of one row (times the inner extents; rows are then
/// aligned).
int64_t ScratchWidth(const LoopKernel& kernel, int lanes);
/// A rough price of one element, in simple vector operations.
int Cost(const LoopKernel& kernel);

void EmitLoop(llvm::Module& module, const std::string& name, const LoopKernel& kernel, const Target& target);

}  // namespace heed::backend
