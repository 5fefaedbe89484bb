// Modules -> optimised objects, assembly or IR text, on several threads. Private to the back end.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/target/target.h"

namespace llvm {
class LLVMContext;
class Module;
}  // namespace llvm

namespace heed::backend {

/// What a module's code is worth.
enum class Effort {
  Little,    ///< straight-line code for once a call: compiled fast
  Generate,  ///< optimised already: good code is generated
  All,       ///< optimised as well
};

/// One module still to be made. `make` runs on any thread with a context of its own.
struct ModuleJob {
  std::string name;
  Effort effort = Effort::All;
  std::function<std::unique_ptr<llvm::Module>(llvm::LLVMContext&, const llvm::TargetMachine&)> make;
};
enum class ModuleForm { Object, Assembly, Llvm };
/// What each job became, in the order of the jobs. An InternalError of any job is thrown here.
std::vector<std::string> CompileModules(const std::vector<ModuleJob>& jobs, const Target& target,
                                        ModuleForm form, int threads);

}  // namespace heed::backend
