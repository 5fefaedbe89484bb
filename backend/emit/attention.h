// Attention: the holes of the kernel template, made from the regions of an attention. Private to the back
// end.
#pragma once

#include <string>

#include "backend/emit/context.h"
#include "backend/plan/plan.h"
#include "backend/target/target.h"

namespace llvm {
class Module;
}

namespace heed::backend {

/// What the holes find in their context.
KernelContext ContextOf(const AttentionStep& step);
/// Equal for steps that can share a specialised kernel.
std::string Key(const AttentionStep& step);
/// Gives bodies to the holes declared in `module`, a copy of the template for `step`.
void FillAttentionHoles(llvm::Module& module, const AttentionStep& step, const Target& target);

}  // namespace heed::backend
