// See tensor_call.h. Nothing here is fast: it serves tests and small experiments.
#include "runtime/commands/tensor_call.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/abi_names.h"
#include "runtime/data/batch_tensors.h"
#include "runtime/decode/decode.h"
#include "runtime/engine/program.h"
#include "runtime/train/train.h"

namespace heed {
namespace {

double SumOf(const HostTensor& tensor) {
  double sum = 0;
  if (tensor.dtype() == kHeedInt32) {
    for (const int32_t value : tensor.ints()) sum += value;
  } else {
    for (const float value : tensor.floats()) sum += static_cast<double>(value);
  }
  return sum;
}

HostTensor Scalar(double value) {
  HostTensor tensor(kHeedFloat32, {});
  tensor.floats()[0] = static_cast<float>(value);
  return tensor;
}

// One call of a minimize entry's function: A and B.
struct Sums {
  double loss = 0, count = 0;
  double Mean() const { return loss / count; }
};
Result<Sums> Minimize(Engine& engine, const HeedEntry& entry, const HeedFunction& function,
                      const RawInputs& inputs, const Parameters& parameters, ParameterBlock* gradients) {
  const auto results = engine.Call(function, inputs.tensors, parameters, gradients, {});
  if (!results) return results.error();
  const auto loss = results->find("loss"), per = results->find("per");
  if (loss == results->end()) return Error{std::string(function.name) + " has no output `loss`"};
  const Sums sums{SumOf(loss->second), per == results->end() ? 1 : SumOf(per->second)};
  if (Status counted = CheckCount(entry, sums.count, "these examples"); !counted) return counted.error();
  return sums;
}

RawResults LossAndCount(const Sums& sums) {
  RawResults results;
  results.tensors.push_back({"loss", Scalar(sums.Mean()), {}});
  results.tensors.push_back({"count", Scalar(sums.count), {}});
  return results;
}

Result<RawResults> CallLoss(Engine& engine, const HeedEntry& entry, const RawInputs& inputs,
                            const Parameters& parameters) {
  const Result<Sums> sums = Minimize(engine, entry, *entry.loss, inputs, parameters, nullptr);
  if (!sums) return sums.error();
  return LossAndCount(*sums);
}

Result<RawResults> CallForward(Engine& engine, const HeedEntry& entry, const RawInputs& inputs,
                               const Parameters& parameters) {
  if (entry.forward == nullptr)
    return Error{std::string("entry `") + entry.name + "` has no compiled function"};
  auto results = engine.Call(*entry.forward, inputs.tensors, parameters, nullptr, {});
  if (!results) return results.error();
  if (entry.forward->output_count == 0) return Error{std::string("entry `") + entry.name + "` has no result"};
  const HeedTensorInfo& info = entry.forward->outputs[0];
  HostTensor& tensor = results->find(info.name)->second;
  ClearPadding(*entry.forward, info, inputs.lengths, tensor);
  RawResults raw;
  raw.tensors.push_back({"result", tensor, tensor.shape()});
  return raw;
}

// The ids of each example of a text argument.
std::vector<std::vector<int32_t>> RowsOf(const RawInputs& inputs, const std::string& name,
                                         const std::string& root) {
  const HostTensor& tensor = inputs.tensors.at(name);
  const auto lengths = inputs.lengths.find(root);
  const size_t width = static_cast<size_t>(tensor.shape()[1]);
  std::vector<std::vector<int32_t>> rows;
  for (size_t b = 0; b < static_cast<size_t>(tensor.shape()[0]); ++b) {
    const size_t length = lengths == inputs.lengths.end() ? width : static_cast<size_t>(lengths->second[b]);
    const auto row = tensor.ints().subspan(b * width, length);
    rows.emplace_back(row.begin(), row.end());
  }
  return rows;
}

Result<RawResults> CallGenerate(Engine& engine, const HeedEntry& entry, const RawInputs& inputs,
                                const Parameters& parameters, const RawOptions& options) {
  std::map<std::string, HostTensor> arguments = inputs.tensors;
  if (entry.prompt != nullptr) {
    arguments.erase(entry.prompt);
    arguments.erase(std::string(kLengthPrefix) + entry.axis);
  }
  Result<Decoder> decoder = Decoder::OnTensors(entry, engine, parameters, std::move(arguments));
  if (!decoder) return decoder.error();
  Result<DecodeOptions> decode_options = ProgramOptions(entry);
  if (!decode_options) return decode_options.error();
  decode_options->seed = options.seed;
  decoder->EndAlsoAt(options.ends);
  std::vector<std::vector<int32_t>> prompts;
  if (entry.prompt != nullptr) prompts = RowsOf(inputs, entry.prompt, entry.axis);
  std::vector<DecodeRequest> requests(static_cast<size_t>(inputs.examples));
  for (size_t b = 0; b < requests.size(); ++b) {
    requests[b].number = requests[b].row = static_cast<int64_t>(b);
    if (b < prompts.size()) requests[b].prefix = prompts[b];
    if (requests[b].prefix.empty() && entry.from >= 0)
      requests[b].prefix = {static_cast<int32_t>(entry.from)};
    if (requests[b].prefix.empty())
      return Error{"example " + std::to_string(b) + " has nothing to start from"};
  }
  const auto ids = decoder->Decode(requests, *decode_options);
  if (!ids) return ids.error();
  size_t width = 1;
  for (const auto& texts : *ids) width = std::max(width, texts[0].ids.size());
  HostTensor result(kHeedInt32, {static_cast<int64_t>(ids->size()), static_cast<int64_t>(width)});
  HostTensor length(kHeedInt32, {static_cast<int64_t>(ids->size())});
  for (size_t b = 0; b < ids->size(); ++b) {
    const std::vector<int32_t>& row = (*ids)[b][0].ids;
    std::copy(row.begin(), row.end(), result.ints().begin() + static_cast<std::ptrdiff_t>(b * width));
    length.ints()[b] = static_cast<int32_t>(row.size());
  }
  RawResults raw;
  raw.tensors.push_back({"result", result, result.shape()});
  raw.tensors.push_back({"result.length", length, length.shape()});
  return raw;
}

}  // namespace

std::vector<Stretch> PaddingOf(std::span<const int64_t> shape, std::span<const std::string> roots,
                               const std::map<std::string, std::vector<int32_t>>& lengths) {
  std::vector<Stretch> padding;
  int64_t inner = 1;  // elements of one example, then of one index of dimension d
  for (const int64_t size : shape.subspan(std::min<size_t>(1, shape.size()))) inner *= size;
  if (shape.empty() || shape[0] == 0 || inner == 0) return padding;
  const int64_t example = inner;
  int64_t outer = 1;
  for (size_t d = 1; d < shape.size(); ++d) {
    inner /= shape[d];
    if (const auto found = lengths.find(roots[d]); found != lengths.end()) {
      for (int64_t b = 0; b < shape[0]; ++b) {
        const int64_t length = std::min<int64_t>(found->second[static_cast<size_t>(b)], shape[d]);
        if (length == shape[d]) continue;
        for (int64_t o = 0; o < outer; ++o)
          padding.push_back({b * example + (o * shape[d] + length) * inner, (shape[d] - length) * inner});
      }
    }
    outer *= shape[d];
  }
  return padding;
}

void ClearPadding(const HeedFunction& function, const HeedTensorInfo& info,
                  const std::map<std::string, std::vector<int32_t>>& lengths, HostTensor& tensor) {
  std::vector<std::string> roots;
  for (int64_t d = 0; d < info.rank; ++d) {
    const HeedDim& dim = info.dims[d];
    roots.push_back(dim.extent < 0 ? "" : RootOf(function.extents[dim.extent]));
  }
  const int64_t width = DTypeBytes(tensor.dtype());
  for (const Stretch& stretch : PaddingOf(tensor.shape(), roots, lengths)) {
    std::memset(static_cast<char*>(tensor.data()) + stretch.first * width, 0,
                static_cast<size_t>(stretch.count * width));
  }
}

bool Trains(const HeedEntry& entry, const RawOptions& options) {
  return entry.kind == kHeedEntryMinimize &&
         (options.gradients || options.steps > 0 || entry.loss == nullptr);
}

Result<RawResults> CallRawTraining(Engine& engine, const HeedEntry& entry, const RawInputs& inputs,
                                   ParameterBlock& parameters, const RawOptions& options) {
  const HeedProgram& program = engine.program();
  const HeedFunction* const function = entry.train;
  if (function == nullptr) return Error{std::string("entry `") + entry.name + "` has no compiled function"};
  ParameterBlock gradients(program);
  const Result<Sums> sums = Minimize(engine, entry, *function, inputs, parameters, &gradients);
  if (!sums) return sums.error();
  RawResults results = LossAndCount(*sums);
  const auto add_block = [&](const std::string& prefix, const ParameterBlock& block, double divisor) {
    for (int64_t i = 0; i < program.param_count; ++i) {
      const HeedParam& param = program.params[i];
      HostTensor tensor = HostTensor::Unset(kHeedFloat32, {param.shape, param.shape + param.rank});
      const std::span<const float> from = block.tensor(i);
      for (size_t e = 0; e < from.size(); ++e) {
        tensor.floats()[e] =
            divisor == 1 ? from[e] : static_cast<float>(static_cast<double>(from[e]) / divisor);
      }
      results.tensors.push_back({prefix + param.name, tensor, tensor.shape()});
    }
  };
  if (options.gradients) add_block("grad.", gradients, sums->count);
  if (options.steps > 0) {
    HostTensor losses(kHeedFloat32, {options.steps});
    OptimizerOptions optimizer = options.optimizer;
    optimizer.total_steps = options.steps;
    OptimizerState moments = MakeState(*optimizer.optimizer, program);
    const std::vector<bool> trained = Trained(program, *function);
    Sums now = *sums;
    for (int64_t step = 1; step <= options.steps; ++step) {
      if (step > 1) {
        const Result<Sums> next = Minimize(engine, entry, *function, inputs, parameters, &gradients);
        if (!next) return next.error();
        now = *next;
      }
      losses.floats()[static_cast<size_t>(step - 1)] = static_cast<float>(now.Mean());
      const auto fail = [&](const char* what) {
        return Error{std::string(what) + " of step " + std::to_string(step) +
                     " is not a finite number; nothing was written. Try a lower --lr, a longer --warmup, or "
                     "--clip 1"};
      };
      if (!std::isfinite(now.Mean())) return fail("the loss");
      const double norm = OptimizerStep(optimizer, step, 1 / now.count, parameters, gradients, moments,
                                        engine.threads(), trained);
      if (!std::isfinite(norm)) return fail("the gradient (or its square, as f32)");
    }
    if (!parameters.AllFinite()) {
      return Error{"parameters are no longer finite numbers after step " + std::to_string(options.steps) +
                   "; nothing was written. Try a lower --lr, a longer --warmup, or --clip 1"};
    }
    results.tensors.push_back({"losses", losses, losses.shape()});
    add_block("after.", parameters, 1);
  }
  return results;
}

Result<RawResults> CallRaw(Engine& engine, const HeedEntry& entry, const RawInputs& inputs,
                           const Parameters& parameters, const RawOptions& options) {
  if (entry.kind == kHeedEntryMinimize) return CallLoss(engine, entry, inputs, parameters);
  if (entry.kind == kHeedEntryGenerate && !inputs.tensors.contains(entry.variable)) {
    return CallGenerate(engine, entry, inputs, parameters, options);
  }
  return CallForward(engine, entry, inputs, parameters);
}

}  // namespace heed
