// Optimisation and code generation. Kernels come unrolled and vectorised from their templates and from
// emit/loop.cpp, so those passes of LLVM are off: they cost time and undo register blocking.
#include "backend/object/object.h"

#include <atomic>
#include <csignal>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include "backend/object/kernels.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

namespace heed::backend {
namespace {

void Optimise(llvm::Module& module, llvm::TargetMachine& machine) {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopUnrolling = false;
  tuning.LoopVectorization = false;
  tuning.LoopInterleaving = false;
  tuning.SLPVectorization = false;
  llvm::PassBuilder builder(&machine, tuning);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(module, modules);
}

std::string CompileModule(const ModuleJob& job, const Target& target, ModuleForm form) {
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::TargetMachine> machine = MakeMachine(target, job.effort != Effort::Little);
  const std::unique_ptr<llvm::Module> module = job.make(context, *machine);
  module->setModuleIdentifier(job.name);
  if (job.effort == Effort::All) Optimise(*module, *machine);
  CheckInlined(*module);
  if (form == ModuleForm::Llvm) {
    std::string text;
    llvm::raw_string_ostream out(text);
    module->print(out, nullptr);
    return text;
  }
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, out, nullptr,
                                   form == ModuleForm::Object ? llvm::CodeGenFileType::ObjectFile
                                                              : llvm::CodeGenFileType::AssemblyFile))
    throw ir::InternalError("no object code for " + target.triple);
  passes.run(*module);
  return std::string(bytes.data(), bytes.size());
}

}  // namespace

std::vector<std::string> CompileModules(const std::vector<ModuleJob>& jobs, const Target& target,
                                        ModuleForm form, int threads) {
  std::vector<std::string> results(jobs.size());
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto work = [&] {
    for (size_t i = next++; i < jobs.size(); i = next++) {
      try {
        results[i] = CompileModule(jobs[i], target, form);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        if (!failure) failure = std::current_exception();
      }
    }
  };
  std::vector<std::thread> workers;
  {
    // Signals are the business of the thread that called.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 1; i < threads && i < static_cast<int>(jobs.size()); ++i) {
      try {
        workers.emplace_back(work);
      } catch (const std::system_error&) {
        break;  // fewer hands do the same
      }
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  work();
  for (std::thread& worker : workers) worker.join();
  if (failure) std::rethrow_exception(failure);
  return results;
}

}  // namespace heed::backend
