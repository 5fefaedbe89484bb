// The CPU levels of target.def and which of them this machine runs. Private to the back end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace llvm {
class TargetMachine;
}

namespace heed::backend {

struct Target {
  std::string name;  ///< "x86-64-v4"
  std::string triple;
  std::string cpu;
  std::string features;  ///< beyond those of `cpu`
  int lanes = 0;         ///< floats in a vector
  std::string kernels;   ///< level whose kernels it shares, but for those of packed weights and attention
};

/// All levels, best last.
const std::vector<Target>& Targets();
/// The level called `name`, or that of the processor called so; "native": the best one this machine runs.
/// Never null; an error if there is none.
Result<const Target*> FindTarget(const std::string& name);
/// True if code for `target` runs on this machine.
bool RunsHere(const Target& target);

/// A new machine description (not to be shared between threads). No contraction of floating-point operations.
std::unique_ptr<llvm::TargetMachine> MakeMachine(const Target& target, bool optimise_well);

/// Of the LLVM that is linked: "19.1.7".
std::string LlvmVersion();
/// Levels of target.def, best last.
std::vector<std::string> CpuLevels();
/// Those of them that have all kernels of their own, not only products and attention.
std::vector<std::string> KernelLevels();

/// What is wrong with a level, or `native`, if anything.
Status CheckCpu(const std::string& cpu);
}  // namespace heed::backend
