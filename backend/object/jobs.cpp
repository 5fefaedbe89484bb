// Kernels -> modules. The most expensive come first, so that threads finish together.
#include "backend/object/jobs.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"

namespace heed::backend {

namespace {
constexpr size_t kLoopsPerModule = 16;
}  // namespace

std::vector<ModuleJob> KernelJobs(const KernelTable& table, const KernelLibrary& library) {
  using llvm::LLVMContext;
  using llvm::TargetMachine;
  std::vector<ModuleJob> jobs;
  for (bool backward : {true, false}) {
    for (const KernelTable::Attention& attention : table.attentions()) {
      if (attention.step.backward != backward) continue;
      jobs.push_back({attention.symbol, Effort::All, [&](LLVMContext& context, const TargetMachine& machine) {
                        return library.Attention(context, machine, attention);
                      }});
    }
  }
  const auto whole = [&](const std::string& family, const std::vector<std::string>& keep) {
    jobs.push_back({family, Effort::Generate,
                    [&library, family, keep](LLVMContext& context, const TargetMachine& machine) {
                      return library.Whole(context, machine, family, keep);
                    }});
  };
  if (table.matmul) whole("matmul", {"heed_matmul", "heed_matmul_scratch"});
  if (table.packed) {
    whole("packed", {"heed_panel_columns", "heed_packed_bytes", "heed_pack_scratch", "heed_pack_weights",
                     "heed_unpack_scratch", "heed_unpack", "heed_packed_scales", "heed_packed_matmul_scratch",
                     "heed_packed_matmul"});
  }
  if (table.grouped) whole("grouped", {"heed_grouped_matmul", "heed_grouped_matmul_scratch"});
  for (const KernelTable::Finish& finish : table.finishes()) {
    jobs.push_back({finish.symbol, Effort::All, [&](LLVMContext& context, const TargetMachine& machine) {
                      return library.Finish(context, machine, finish);
                    }});
  }
  for (size_t first = 0; first < table.loops().size(); first += kLoopsPerModule) {
    std::vector<const KernelTable::Loop*> loops;
    for (size_t i = first; i < table.loops().size() && i < first + kLoopsPerModule; ++i)
      loops.push_back(&table.loops()[i]);
    jobs.push_back({"loops_" + std::to_string(first / kLoopsPerModule), Effort::All,
                    [&library, loops](LLVMContext& context, const TargetMachine& machine) {
                      return library.Loops(context, machine, loops);
                    }});
  }
  if (table.scatter) whole("scatter", {"heed_scatter_add"});
  return jobs;
}

}  // namespace heed::backend
