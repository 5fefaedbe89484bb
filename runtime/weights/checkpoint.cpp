// See checkpoint.h.
#include "runtime/weights/checkpoint.h"

#include <algorithm>

#include "runtime/weights/mismatch.h"

namespace heed {
namespace {

constexpr int64_t kPart = 1 << 20;  // elements converted before their pages are let go

std::vector<int64_t> Shape(const HeedParam& param) { return {param.shape, param.shape + param.rank}; }

// Copies tensors named prefix + NAME; adds what is wrong to `problems`.
void CopyAll(const SafetensorsFile& file, const HeedProgram& program, const std::string& prefix,
             ParameterBlock& to, Problems& problems) {
  for (int64_t i = 0; i < program.param_count; ++i) {
    const HeedParam& param = program.params[i];
    const auto found = file.tensors().find(prefix + param.name);
    if (found == file.tensors().end()) {
      problems.Missing(prefix + param.name, {});
    } else if (found->second.shape != Shape(param)) {
      problems.Differs(prefix + param.name, Mismatch(program, param, found->second));
    } else if (!IsFloat(found->second.dtype)) {
      problems.Differs(prefix + param.name, "it is " + found->second.dtype + "; it must be F32");
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

Result<bool> LoadMoments(const SafetensorsFile& file, const HeedProgram& program, ParameterBlock& m,
                         ParameterBlock& v) {
  const bool any = std::any_of(file.tensors().begin(), file.tensors().end(), [](const auto& tensor) {
    return tensor.first.starts_with("optim.m.") || tensor.first.starts_with("optim.v.");
  });
  if (!any) return false;
  Problems problems;
  CopyAll(file, program, "optim.m.", m, problems);
  CopyAll(file, program, "optim.v.", v, problems);
  if (!problems.empty()) {
    return problems.Message("the optimizer's state does not fit " + std::string(program.source_name) + ":",
                            "");
  }
  if (!m.AllFinite() || !v.AllFinite())
    return Error{"the optimizer's state has numbers that are not finite; start from the weights with --init"};
  return true;
}

Status SaveCheckpoint(const std::string& path, const HeedProgram& program, const ParameterBlock& parameters,
                      const ParameterBlock* m, const ParameterBlock* v,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<NamedTensor> tensors;
  const auto add = [&](const std::string& prefix, const ParameterBlock& block) {
    for (int64_t i = 0; i < program.param_count; ++i) {
      tensors.push_back(
          {prefix + program.params[i].name, "F32", Shape(program.params[i]), block.tensor(i).data()});
    }
  };
  add("", parameters);
  if (m != nullptr) add("optim.m.", *m);
  if (v != nullptr) add("optim.v.", *v);
  return WriteSafetensors(path, tensors, metadata);
}

}  // namespace heed
