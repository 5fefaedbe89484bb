// The floating-point operations and bytes of a step of a call, from the tables of abi.h, the extents of the
// call and what is masked in it.
#pragma once

#include "runtime/abi.h"

namespace heed {

/// A multiply-add is two operations, any other pointwise one is one. Of an attention those of its products
/// count, for each pair that its mask leaves; of a product with a mask those of the terms that this leaves.
/// Everything else counts in full, padding of the batch included. Bytes are those of each element once, in
/// the type in which it is kept.
struct StepWork {
  double flops = 0, bytes_read = 0, bytes_written = 0;
};

/// `context`: the descriptor with which the step calls its kernel.
StepWork WorkOf(const HeedProgram& program, const HeedFunction& function, const HeedStep& step,
                const HeedFrame& frame, const void* context);

}  // namespace heed
