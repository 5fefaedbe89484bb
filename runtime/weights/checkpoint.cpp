// See checkpoint.h.
#include "runtime/weights/checkpoint.h"

#include <algorithm>

#include "runtime/abi_names.h"
#include "runtime/weights/mismatch.h"

namespace heed {
namespace {

constexpr int64_t kPart = 1 << 20;  // elements converted before their pages are let go

std::vector<int64_t> Shape(const HeedParam& param) { return {param.shape, param.shape + param.rank}; }

constexpr const char* kOptimizer = "optimizer";  // in the metadata

std::string StateName(const HeedParam& param, size_t block) {
  return std::string(kOptimizerPrefix) + param.name + "." + std::to_string(block);
}

// Copies the tensors of one block of state; adds what is wrong to `problems`.
void CopyAll(const SafetensorsFile& file, const HeedProgram& program, size_t block, ParameterBlock& to,
             Problems& problems) {
  const bool named = file.metadata().contains(kOptimizer);
  for (int64_t i = 0; i < program.param_count; ++i) {
    const HeedParam& param = program.params[i];
    const std::string name =
        named ? StateName(param, block)
              : std::string(block == 0 ? kFirstMomentPrefix : kSecondMomentPrefix) + param.name;
    const auto found = file.tensors().find(name);
    if (found == file.tensors().end()) {
      problems.Missing(name, {});
    } else if (found->second.shape != Shape(param)) {
      problems.Differs(name, Mismatch(program, param, found->second));
    } else if (!IsFloat(found->second.dtype)) {
      problems.Differs(name, "it is " + found->second.dtype + "; it must be F32");
    } else if (problems.empty()) {
      ConvertToFloat(found->second, 0, to.tensor(i));
      LetGo(found->second, 0, param.count);
    }
  }
}

}  // namespace

void CopyParameters(const Weights& weights, const HeedProgram& program, ParameterBlock& parameters) {
  for (int64_t i = 0; i < program.param_count; ++i) {
    const std::span<float> to = parameters.tensor(i);
    const auto count = static_cast<int64_t>(to.size());
    for (int64_t first = 0; first < count; first += kPart) {
      const int64_t part = std::min(kPart, count - first);
      weights.Read(i, first, to.subspan(static_cast<size_t>(first), static_cast<size_t>(part)));
      weights.LetGo(i, first, part);
    }
  }
}

std::string OptimizerOf(const SafetensorsFile& file) {
  const auto found = file.metadata().find(kOptimizer);
  return found == file.metadata().end() ? "adam" : found->second;
}

Result<bool> LoadState(const SafetensorsFile& file, const HeedProgram& program,
                       std::span<ParameterBlock> state) {
  const bool any = std::any_of(file.tensors().begin(), file.tensors().end(),
                               [](const auto& tensor) { return tensor.first.starts_with(kOptimizerPrefix); });
  if (!any) return false;
  Problems problems;
  for (size_t block = 0; block < state.size(); ++block) CopyAll(file, program, block, state[block], problems);
  if (!problems.empty()) {
    return problems.Message("the optimizer's state does not fit " + std::string(program.source_name) + ":",
                            "");
  }
  if (!std::all_of(state.begin(), state.end(), [](const ParameterBlock& block) { return block.AllFinite(); }))
    return Error{"the optimizer's state has numbers that are not finite; start from the weights with --init"};
  return true;
}

Status SaveCheckpoint(const std::string& path, const HeedProgram& program, const ParameterBlock& parameters,
                      std::span<const ParameterBlock> state,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<NamedTensor> tensors;
  const auto add = [&](int64_t param, const std::string& name, const ParameterBlock& block) {
    tensors.push_back({name, "F32", Shape(program.params[param]), block.tensor(param).data()});
  };
  for (int64_t i = 0; i < program.param_count; ++i) add(i, program.params[i].name, parameters);
  for (size_t block = 0; block < state.size(); ++block)
    for (int64_t i = 0; i < program.param_count; ++i)
      add(i, StateName(program.params[i], block), state[block]);
  return WriteSafetensors(path, tensors, metadata);
}

}  // namespace heed
