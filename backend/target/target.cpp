// Levels of target.def. What a level means to the kernels (flags of clang) is the business of
// runtime/kernels.
#include "backend/target/target.h"

#include <map>
#include <mutex>

#include "ir/graph.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/TargetParser/X86TargetParser.h"
#include "runtime/kernels/tiles.h"

namespace heed::backend {

const std::vector<Target>& Targets() {
  static const std::vector<Target> targets = {
#define HEED_TARGET(name, triple, cpu, features, lanes, clang_flags, kernels) \
  Target{name, triple, cpu, features, lanes, kernels},
#define HEED_CPU(name, level)
#include "backend/target/target.def"
#undef HEED_CPU
#undef HEED_TARGET
  };
  return targets;
}

std::string LlvmVersion() { return LLVM_VERSION_STRING; }

std::vector<std::string> CpuLevels() {
  std::vector<std::string> names;
  for (const Target& target : Targets()) names.push_back(target.name);
  return names;
}

std::vector<std::string> KernelLevels() {
  std::vector<std::string> names;
  for (const Target& target : Targets())
    if (target.kernels == target.name) names.push_back(target.name);
  return names;
}

bool RunsHere(const Target& target) {
  const llvm::Triple triple(target.triple);
  if (triple.getArch() != llvm::Triple(llvm::sys::getDefaultTargetTriple()).getArch()) return false;
  if (triple.getArch() != llvm::Triple::x86_64) return true;
  const llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  const auto has = [&](llvm::StringRef feature) {
    // Features of the psABI levels that every 64-bit machine has are not reported by the host.
    static const char* const kBaseline[] = {"64bit", "x87", "mmx", "crc32"};
    for (const char* each : kBaseline)
      if (feature == each) return true;
    return host.lookup(feature);
  };
  llvm::SmallVector<llvm::StringRef, 64> needed;
  llvm::X86::getFeaturesForCPU(target.cpu, needed);
  for (llvm::StringRef feature : needed)
    if (!has(feature)) return false;
  llvm::SmallVector<llvm::StringRef, 8> more;
  llvm::StringRef(target.features).split(more, ',', -1, false);
  for (llvm::StringRef feature : more)
    if (!has(feature.drop_front())) return false;
  return !llvm::StringRef(target.features).contains("amx") || AskForTiles();
}

namespace {
/// The level of a processor, or the name itself.
std::string LevelOf(const std::string& name) {
  static const std::map<std::string, std::string> levels = {
#define HEED_TARGET(name, triple, cpu, features, lanes, clang_flags, kernels)
#define HEED_CPU(name, level) {name, level},
#include "backend/target/target.def"
#undef HEED_CPU
#undef HEED_TARGET
  };
  const auto found = levels.find(name);
  return found == levels.end() ? name : found->second;
}
}  // namespace

Result<const Target*> FindTarget(const std::string& name) {
  const Target* best = nullptr;
  const std::string level = LevelOf(name);
  for (const Target& target : Targets()) {
    if (target.name == level) return &target;
    if (name == "native" && RunsHere(target)) best = &target;
  }
  if (best) return best;
  std::string known;
  for (const Target& target : Targets()) known += (known.empty() ? "" : ", ") + target.name;
  return Error{name == "native" ? "this machine runs none of the CPU levels that Heed knows: " + known
                                : "unknown CPU level " + name + "; known are native, " + known};
}

Status CheckCpu(const std::string& cpu) {
  const Result<const Target*> target = FindTarget(cpu);
  return target ? Status(Done{}) : target.error();
}

std::unique_ptr<llvm::TargetMachine> MakeMachine(const Target& target, bool optimise_well) {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
  });
  std::string error;
  const llvm::Target* found = llvm::TargetRegistry::lookupTarget(target.triple, error);
  if (!found) throw ir::InternalError("no code generator for " + target.triple + ": " + error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;  // only explicit fma
  options.FunctionSections = true;
  options.DataSections = true;
  return std::unique_ptr<llvm::TargetMachine>(found->createTargetMachine(
      target.triple, target.cpu, target.features, options, llvm::Reloc::PIC_, {},
      optimise_well ? llvm::CodeGenOptLevel::Default : llvm::CodeGenOptLevel::None));
}

}  // namespace heed::backend
