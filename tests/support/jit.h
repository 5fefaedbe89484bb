// Plans, graphs and kernels compiled into this process, for tests: with the JIT, called through the runtime's
// ABI.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "backend/plan/plan.h"
#include "runtime/base/result.h"
#include "runtime/kernels/heed_kernels.h"

namespace heed::backend {

/// Does a Create below fail only because this machine has no such CPU level? Tests leave those out.
bool LacksLevel(const Error& error);

class JitPlan {
 public:
  /// `kernels`: folder of bitcode, "": found beside the running program.
  static Result<std::unique_ptr<JitPlan>> Create(Plan plan, const std::string& cpu,
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
  /// `cpu`: a level of target.def; `kernels` as above.
  static Result<std::unique_ptr<JitKernels>> Create(const std::string& cpu, const std::string& kernels = "");
  virtual ~JitKernels() = default;
  /// A function of heed_kernels.h.
  virtual void* Function(const std::string& name) = 0;
  virtual int lanes() const = 0;
};

/// One compiled graph in this process, for tests: compiled with the JIT and called through the runtime's ABI.
struct HostValue {
  std::vector<int64_t> shape;  ///< in the order of `axes`
  ir::AxisList axes;
  std::vector<double> data;  ///< ints and bools as doubles
};
class SumOrders;
class JitFunction {
 public:
  /// `threads` of the pool used by Call; `cpu` as in CompileOptions. `sums` (sum_orders.h) is handed from one
  /// function of an entry to the next, so that they add the same way. `tables`: FindTables of all functions
  /// that share parameters and do not train, this one among them; null: it trains.
  static Result<std::unique_ptr<JitFunction>> Create(const ir::Graph& graph, const std::string& cpu,
                                                     int threads, SumOrders* sums = nullptr,
                                                     const std::set<std::string>* tables = nullptr);
  virtual ~JitFunction() = default;
  /// From the next Call on.
  virtual void UseThreads(int threads) = 0;
  /// The HeedWeightsType of packed matrices, from the next Call on; plain before.
  virtual void UseWeights(int type) = 0;
  /// Inputs and params by name (params under their names); extents by root for every dynamic and lifted axis.
  virtual std::map<std::string, HostValue> Call(const std::map<std::string, HostValue>& values,
                                                const std::map<ir::Axis, int64_t>& extents, uint64_t seed,
                                                uint64_t step, bool dropout) = 0;
};

}  // namespace heed::backend
