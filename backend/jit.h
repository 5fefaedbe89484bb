// A plan compiled into this process; what JitFunction (compile.h) stands on, and tests of hand-made plans.
// Private to the back end.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/plan.h"
#include "runtime/kernels/heed_kernels.h"

namespace heed::backend {

class JitPlan {
 public:
  /// Null on failure; `error` says why. `kernels`: folder of bitcode, "": found beside the running program.
  static std::unique_ptr<JitPlan> Create(Plan plan, const std::string& cpu, std::string* error,
                                         const std::string& kernels = "");
  virtual ~JitPlan() = default;
  struct Call {
    std::vector<int64_t> extents;  ///< in the plan's order
    int64_t parts = 1;             ///< shares of each step, run one after the other
    uint64_t key = 0;              ///< RandomKey(seed, step)
    bool dropout = false;
    std::map<std::string, const void*> inputs;  ///< inputs and params by name, dense; ints 4 bytes, bools 1
    int64_t weights = kHeedWeightsPlain;        ///< type of packed matrices
  };
  /// Outputs by name, as bytes. Memory that nobody wrote holds NaN (bytes of 255).
  virtual std::map<std::string, std::vector<char>> Run(const Call& call) = 0;
  virtual const Plan& plan() const = 0;
};

/// The kernels of packed weights of one CPU level, as generated programs have them.
class JitKernels {
 public:
  /// Null on failure; `error` says why. `cpu`: a level of target.def that this machine runs; `kernels` as
  /// above.
  static std::unique_ptr<JitKernels> Create(const std::string& cpu, std::string* error,
                                            const std::string& kernels = "");
  virtual ~JitKernels() = default;
  /// A function of heed_kernels.h.
  virtual void* Function(const std::string& name) = 0;
  virtual int lanes() const = 0;
};

}  // namespace heed::backend
