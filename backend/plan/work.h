// What a step does and what it touches: floating-point operations, and bytes of buffers, as sizes that the
// extents of a call make numbers. For profiles. Counts what the program says, not what a kernel does for it:
// recomputation, padding of tiles and rounding of operands are left out.
#pragma once

#include <string>
#include <vector>

#include "backend/plan/plan.h"

namespace heed::backend {

/// Every pointwise operation on floats is one, an exponential as well as a sum; a multiply-add is two.
struct StepWork {
  std::vector<Size> flops;  ///< a sum
  /// More of them for each pair of a query and a key that the mask of an attention leaves, for each term
  /// (of all loops and summed axes) of a product that its mask leaves. A product without a mask has none.
  std::vector<Size> flops_each;
  struct Use {
    int buffer = -1;
    std::vector<Size> read, written;  ///< bytes: each element once, however often the kernel comes back to it
  };
  std::vector<Use> uses;  ///< each buffer once; elements of a packed matrix count as f32
};
StepWork WorkOf(const Plan& plan, const Step& step);

/// What a step is called in a profile, after the name of its kernel: "matmul batch*seq x 3072 x 768".
/// `symbol`: of the kernel, "heed_loop_3".
std::string Label(const Plan& plan, const Step& step, const std::string& symbol);

}  // namespace heed::backend
