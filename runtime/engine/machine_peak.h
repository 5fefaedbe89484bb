// What this machine can do, measured in a fraction of a second by the program's own product and by reading
// memory, with the threads that the program uses.
#pragma once

#include "runtime/abi.h"
#include "runtime/engine/threads.h"

namespace heed {

struct MachinePeak {
  double flops = 0;  ///< a second, of products of floats; 0: the program has none
  double bytes = 0;  ///< a second, read from memory
};
MachinePeak MeasurePeak(const HeedProgram& program, ThreadPool& threads);

}  // namespace heed
