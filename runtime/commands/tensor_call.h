// Calls an entry on raw tensors: from a safetensors file's tensors to named results, as `call` promises. What
// lengths mean, which padding is cleared and how a loss is made of sums is here; files and options are the
// command's business.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/train/optimizer.h"
#include "runtime/weights/checkpoint.h"

namespace heed {

/// Arguments of a call, ready for Engine::Call.
struct RawInputs {
  std::map<std::string, HostTensor> tensors;            ///< by argument, and "len.ROOT"
  std::map<std::string, std::vector<int32_t>> lengths;  ///< by root, one an example; roots without are full
  int64_t examples = 1;
};
/// Takes arguments (and the generated variable, if it is there) and NAME.length out of `file`, converting
/// numbers to the argument's type where nothing is lost (I64 to I32, F16 to F32 ...). Padding becomes 0,
/// whatever it was. Errors: missing, unknown, of a wrong type or shape, lengths that contradict one another.
Result<RawInputs> ReadInputs(const SafetensorsFile& file, const HeedProgram& program, const HeedEntry& entry);

/// Neighbouring elements of a dense tensor.
struct Stretch {
  int64_t first = 0, count = 0;
};
/// What lies after an example's length along some dimension; examples are the first. `roots`: of each
/// dimension, "" for those without lengths.
std::vector<Stretch> PaddingOf(std::span<const int64_t> shape, std::span<const std::string> roots,
                               const std::map<std::string, std::vector<int32_t>>& lengths);

/// Sets what lies after an example's length to 0, in a result whose dims are `info`'s.
void ClearPadding(const HeedFunction& function, const HeedTensorInfo& info,
                  const std::map<std::string, std::vector<int32_t>>& lengths, HostTensor& tensor);

struct RawOptions {
  bool gradients = false;
  int64_t steps = 0;  ///< of the optimizer
  OptimizerOptions optimizer;
  uint64_t seed = 0;          ///< of sampling in a `generate` entry
  std::vector<int32_t> ends;  ///< of its texts, beside its `until`
};
/// Names, shapes and data of what `call` writes.
struct RawResults {
  struct Tensor {
    std::string name;
    HostTensor data;
    std::vector<int64_t> shape;
  };
  std::vector<Tensor> tensors;
};
/// A value entry gives `result`; a minimize entry `loss` and `count` (and grad.NAME, losses, after.NAME); a
/// generate entry `result`: the logits if the generated variable is among the inputs, else the ids it
/// generates and `result.length`.
Result<RawResults> CallRaw(Engine& engine, const HeedEntry& entry, const RawInputs& inputs,
                           const Parameters& parameters, const RawOptions& options);
/// The same for calls that need gradients (Trains says which); `parameters` change with options.steps.
Result<RawResults> CallRawTraining(Engine& engine, const HeedEntry& entry, const RawInputs& inputs,
                                   ParameterBlock& parameters, const RawOptions& options);
/// True if a call runs the function that trains.
bool Trains(const HeedEntry& entry, const RawOptions& options);

}  // namespace heed
