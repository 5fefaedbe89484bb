// The back end's front door: a described program and its graphs in, files out.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace heed::backend {

struct ParamSpec {
  std::string name;
  ir::AxisList axes;                     ///< flattened storage order, as of the Param node
  std::vector<std::vector<int>> groups;  ///< storage dimensions as indices into `axes`
  std::vector<int64_t> shape;
  int init = 4;  ///< HeedInit
  double a = 0, b = 0;
};
struct ArgumentSpec {
  std::string name;
  ir::Type type;  ///< axes in declared order, per example
};
struct EntrySpec {
  std::string name;
  int kind = 0;  ///< HeedEntryKind
  std::vector<ArgumentSpec> arguments;
  ir::AxisList result_axes;  ///< Value: declared order; Generate: [axis, vocabulary]
  std::shared_ptr<const ir::Graph> train, loss, forward, prefill, step;  ///< after the passes; null: absent
  std::shared_ptr<const ir::Graph> weights;                              ///< of attention; null where absent
  std::vector<std::pair<std::string, ir::AxisList>> weight_axes;         ///< order of the axes of its outputs
  std::string variable, axis, indexes, prompt;                           ///< Generate; indexes: Value, too
  int64_t bound = 0, from = -1;
  std::vector<int64_t> until;
  std::vector<std::pair<std::string, double>> options;
};
struct ProgramSpec {
  std::string source_name;
  std::shared_ptr<const ir::AxisTable> axes;
  std::vector<ParamSpec> params;
  std::vector<EntrySpec> entries;
  /// What the passes said of a function ("train/NAME"): the plan repeats it.
  std::map<std::string, std::vector<std::string>> remarks;
  std::map<std::string, double> consts;       ///< declared constants
  std::map<std::string, std::string> stacks;  ///< as frontend::Program's
  std::vector<std::string> set;               ///< axes and constants that were given a value
};

enum class Emit { Executable, Shared, Object, Plan, Llvm, Assembly };
struct CompileOptions {
  std::string cpu = "native";  ///< a level of target.def, or native: the best one this machine runs
  Emit emit = Emit::Executable;
  int jobs = 1;                                                  ///< threads that optimise and generate code
  std::vector<std::pair<std::string, double>>* times = nullptr;  ///< seconds by phase, appended
  std::string kernels;  ///< folder of kernel bitcode; "": found beside the running heed
  std::string runtime;  ///< libheed_runtime.a; "": found beside the running heed
};
/// Writes `output`; an error is a message fit to be printed.
std::optional<std::string> Compile(const ProgramSpec& program, const CompileOptions& options,
                                   const std::string& output);

/// What is wrong with CompileOptions::cpu, if anything.
std::optional<std::string> CheckCpu(const std::string& cpu);
/// `handler`, which must not return, is called from any thread where there is no memory, and where the code
/// generator gives up with a message (null: memory).
void OnLostCompile(void (*handler)(const char* message));

/// Levels of target.def, best last.
std::vector<std::string> CpuLevels();
/// Those of them that have all kernels of their own, not only products and attention.
std::vector<std::string> KernelLevels();

/// Names of parameters in which functions only look rows up, all along the same axis, or which they multiply
/// by without that axis. Only of those are look-ups packed, in all functions: so a row is rounded everywhere
/// or nowhere, and nobody needs the parameter as it is. `graphs`: of every function that does not train.
std::set<std::string> FindTables(const std::vector<const ir::Graph*>& graphs);

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
  /// function of an entry to the next, so that they add alike. `tables`: FindTables of all functions that
  /// share parameters and do not train, this one among them; null: it trains.
  static std::unique_ptr<JitFunction> Create(const ir::Graph& graph, const std::string& cpu, int threads,
                                             std::string* error, SumOrders* sums = nullptr,
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
