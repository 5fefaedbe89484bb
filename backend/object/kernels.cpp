// The recipe: bitcode built by the same clang as the linked LLVM; its target attributes are replaced by one
// identical pair on every function, because a callee whose features are no subset of its caller's is silently
// not inlined. A hole is a declaration that gets a body; templates are kept only under the name of what they
// became.
#include "backend/object/kernels.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "backend/emit/attention.h"
#include "backend/emit/epilogue.h"
#include "backend/emit/loop.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"

namespace heed::backend {

using ir::InternalError;

Result<KernelLibrary> KernelLibrary::Open(const std::string& folder, const Target& target,
                                          const KernelTable& table) {
  KernelLibrary library;
  library.target_ = &target;
  std::vector<std::string> families = {"math"};
  if (table.matmul) families.push_back("matmul");
  if (table.packed) families.push_back("packed");
  if (table.grouped) families.push_back("grouped");
  if (!table.finishes().empty()) families.push_back("finish");
  if (table.scatter) families.push_back("scatter");
  if (!table.attentions().empty()) families.push_back("attention");
  for (const std::string& family : families) {
    const bool own = family == "matmul" || family == "packed" || family == "grouped" || family == "attention";
    const std::string& level = own ? target.name : target.kernels;
    const std::string path = folder + "/" + family + "." + level + ".bc";
    std::ifstream file(path, std::ios::binary);
    std::stringstream bytes;
    bytes << file.rdbuf();
    if (!file) return Error{"cannot read the kernels " + path + "; is the installation complete?"};
    library.files_[family] = bytes.str();
  }
  return library;
}

std::unique_ptr<llvm::Module> KernelLibrary::Parse(llvm::LLVMContext& context,
                                                   const std::string& family) const {
  const std::string& bytes = files_.at(family);
  auto module = llvm::parseBitcodeFile(llvm::MemoryBufferRef(bytes, family), context);
  if (!module) throw InternalError("kernel bitcode " + family + ": " + llvm::toString(module.takeError()));
  return std::move(*module);
}

std::unique_ptr<llvm::Module> KernelLibrary::New(llvm::LLVMContext& context,
                                                 const llvm::TargetMachine& machine) const {
  auto module = std::make_unique<llvm::Module>("heed", context);
  module->setTargetTriple(target_->triple);
  module->setDataLayout(machine.createDataLayout());
  return module;
}

void SetTargetAttributes(llvm::Module& module, const Target& target) {
  for (llvm::Function& function : module) {
    if (function.isIntrinsic()) continue;
    for (const char* name :
         {"target-cpu", "target-features", "tune-cpu", "min-legal-vector-width", "frame-pointer"})
      function.removeFnAttr(name);
    if (function.isDeclaration()) continue;
    function.addFnAttr("target-cpu", target.cpu);
    function.addFnAttr("target-features", target.features);
    function.addFnAttr("no-trapping-math", "true");
  }
}

void KernelLibrary::Complete(llvm::Module& module, const std::vector<std::string>& keep) const {
  for (llvm::Function& function : module) {
    if (function.isDeclaration()) continue;
    function.setComdat(nullptr);
    const bool kept = std::find(keep.begin(), keep.end(), function.getName()) != keep.end();
    function.setVisibility(kept ? llvm::GlobalValue::HiddenVisibility : llvm::GlobalValue::DefaultVisibility);
    function.setLinkage(kept ? llvm::GlobalValue::ExternalLinkage : llvm::GlobalValue::InternalLinkage);
    if (!function.getName().starts_with("heed_v_")) continue;
    function.removeFnAttr(llvm::Attribute::NoInline);
    function.addFnAttr(llvm::Attribute::AlwaysInline);
  }
  for (llvm::GlobalVariable& variable : module.globals()) {
    if (variable.isDeclaration()) continue;
    variable.setComdat(nullptr);
    variable.setVisibility(llvm::GlobalValue::DefaultVisibility);
    variable.setLinkage(llvm::GlobalValue::InternalLinkage);
  }
  SetTargetAttributes(module, *target_);
  std::string complaint;
  llvm::raw_string_ostream out(complaint);
  if (llvm::verifyModule(module, &out)) throw InternalError("generated code is malformed: " + complaint);
}

void KernelLibrary::LinkMath(llvm::Module& module) const {
  const bool wanted = std::any_of(module.begin(), module.end(), [](const llvm::Function& function) {
    return function.isDeclaration() && function.getName().starts_with("heed_v_");
  });
  if (!wanted) return;
  std::unique_ptr<llvm::Module> math = Parse(module.getContext(), "math");
  math->setDataLayout(module.getDataLayout());
  math->setTargetTriple(module.getTargetTriple());
  if (llvm::Linker::linkModules(module, std::move(math), llvm::Linker::Flags::LinkOnlyNeeded))
    throw InternalError("the vector functions cannot be linked");
}

std::unique_ptr<llvm::Module> KernelLibrary::Loops(llvm::LLVMContext& context,
                                                   const llvm::TargetMachine& machine,
                                                   const std::vector<const KernelTable::Loop*>& loops) const {
  auto module = New(context, machine);
  std::vector<std::string> keep;
  for (const KernelTable::Loop* loop : loops) {
    EmitLoop(*module, loop->symbol, loop->kernel, *target_);
    keep.push_back(loop->symbol);
  }
  LinkMath(*module);
  Complete(*module, keep);
  return module;
}

namespace {

llvm::Function* Template(llvm::Module& module, const std::string& name) {
  llvm::Function* function = module.getFunction(name);
  if (!function || function->isDeclaration()) throw InternalError("kernel bitcode lacks " + name);
  return function;
}

}  // namespace

std::unique_ptr<llvm::Module> KernelLibrary::Attention(llvm::LLVMContext& context,
                                                       const llvm::TargetMachine& machine,
                                                       const KernelTable::Attention& attention) const {
  auto module = Parse(context, "attention");
  module->setDataLayout(machine.createDataLayout());
  module->setTargetTriple(target_->triple);
  const std::string kind = attention.step.backward ? "heed_attention_backward" : "heed_attention";
  Template(*module, kind)->setName(attention.symbol);
  Template(*module, kind + "_scratch")->setName(attention.symbol + "_scratch");
  Template(*module, "heed_attention_pairs")->setName(attention.symbol + "_pairs");
  FillAttentionHoles(*module, attention.step, *target_);
  LinkMath(*module);
  Complete(*module, {attention.symbol, attention.symbol + "_scratch", attention.symbol + "_pairs"});
  return module;
}

std::unique_ptr<llvm::Module> KernelLibrary::Finish(llvm::LLVMContext& context,
                                                    const llvm::TargetMachine& machine,
                                                    const KernelTable::Finish& finish) const {
  auto module = Parse(context, "finish");
  module->setDataLayout(machine.createDataLayout());
  module->setTargetTriple(target_->triple);
  Template(*module, "heed_finish")->setName(finish.symbol);
  FillEpilogueHole(*module, finish.epilogue, *target_);
  LinkMath(*module);
  Complete(*module, {finish.symbol});
  return module;
}

std::unique_ptr<llvm::Module> KernelLibrary::Whole(llvm::LLVMContext& context,
                                                   const llvm::TargetMachine& machine,
                                                   const std::string& family,
                                                   const std::vector<std::string>& keep) const {
  auto module = Parse(context, family);
  module->setDataLayout(machine.createDataLayout());
  module->setTargetTriple(target_->triple);
  for (const std::string& name : keep) Template(*module, name);
  Complete(*module, keep);
  return module;
}

void CheckInlined(const llvm::Module& module) {
  for (const llvm::Function& function : module) {
    for (const llvm::BasicBlock& block : function) {
      for (const llvm::Instruction& instruction : block) {
        const auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction);
        const llvm::Function* callee = call ? call->getCalledFunction() : nullptr;
        if (!callee) continue;
        if (callee->getName().starts_with("heed_v_") || callee->getName().starts_with("heed_hole_"))
          throw InternalError("a call to " + callee->getName().str() + " is left in " +
                              function.getName().str());
      }
    }
  }
}

}  // namespace heed::backend
