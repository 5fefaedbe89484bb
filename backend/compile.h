// The back end's front door: a described program and its graphs in, files out.
#pragma once

#include <string>
#include <vector>

#include "backend/object/program_spec.h"
#include "runtime/base/result.h"

namespace heed::backend {

enum class Emit { Executable, Shared, Object, Plan, Llvm, Assembly };
struct CompileOptions {
  std::string cpu = "native";  ///< a level of target.def, or native: the best one this machine runs
  Emit emit = Emit::Executable;
  int jobs = 1;                                                  ///< threads that optimise and generate code
  std::vector<std::pair<std::string, double>>* times = nullptr;  ///< seconds by phase, appended
  std::string kernels;  ///< folder of kernel bitcode; "": found beside the running heed
  std::string runtime;  ///< libheed_runtime.a; "": found beside the running heed
};
/// Writes `output`.
Status Compile(const ProgramSpec& program, const CompileOptions& options, const std::string& output);

/// `handler`, which must not return, is called from any thread where there is no memory, and where the code
/// generator gives up with a message (null: memory).
void OnLostCompile(void (*handler)(const char* message));

}  // namespace heed::backend
