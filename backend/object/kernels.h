// Bitcode of the runtime's kernels: read, stripped of attributes, filled and made part of a generated module.
// Private to the back end.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/emit/function.h"
#include "backend/target/target.h"
#include "runtime/base/result.h"

namespace llvm {
class LLVMContext;
class Module;
class TargetMachine;
}  // namespace llvm

namespace heed::backend {

/// The bitcode of one CPU level in memory. Read-only once opened, so threads may share it.
class KernelLibrary {
 public:
  /// Reads what the kernels of `table` need; an error if a file is absent or unreadable.
  static Result<KernelLibrary> Open(const std::string& folder, const Target& target,
                                    const KernelTable& table);
  const Target& target() const { return *target_; }
  /// A module of loops; the vector functions that they call are linked into it.
  std::unique_ptr<llvm::Module> Loops(llvm::LLVMContext& context, const llvm::TargetMachine& machine,
                                      const std::vector<const KernelTable::Loop*>& loops) const;
  /// The template of attention with holes filled for `attention`.
  std::unique_ptr<llvm::Module> Attention(llvm::LLVMContext& context, const llvm::TargetMachine& machine,
                                          const KernelTable::Attention& attention) const;
  /// Finishing the sums of products with an epilogue.
  std::unique_ptr<llvm::Module> Finish(llvm::LLVMContext& context, const llvm::TargetMachine& machine,
                                       const KernelTable::Finish& finish) const;
  /// A family without holes; `keep`: the functions that others call.
  std::unique_ptr<llvm::Module> Whole(llvm::LLVMContext& context, const llvm::TargetMachine& machine,
                                      const std::string& family, const std::vector<std::string>& keep) const;

 private:
  std::unique_ptr<llvm::Module> Parse(llvm::LLVMContext& context, const std::string& family) const;
  std::unique_ptr<llvm::Module> New(llvm::LLVMContext& context, const llvm::TargetMachine& machine) const;
  void LinkMath(llvm::Module& module) const;
  /// One pair of target attributes everywhere; what is not in `keep` becomes internal.
  void Complete(llvm::Module& module, const std::vector<std::string>& keep) const;

  const Target* target_ = nullptr;
  std::map<std::string, std::string> files_;  // family -> bytes
};

/// The attributes that every function of a generated module carries.
void SetTargetAttributes(llvm::Module& module, const Target& target);
/// After optimisation: no call to a hole or a vector function may be left (InternalError).
void CheckInlined(const llvm::Module& module);

}  // namespace heed::backend
