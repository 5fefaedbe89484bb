// See raw_call.h. Nothing here is fast: it serves tests and small experiments.
#include "runtime/raw_call.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "runtime/decode.h"
#include "runtime/names.h"
#include "runtime/text_inputs.h"

namespace heed {
namespace {

// The root of an argument's one dynamic axis, or "" if it has none or several. Twins are one.
std::string DynamicRoot(const HeedArgument& argument) {
  std::string root;
  for (int64_t d = 0; d < argument.rank; ++d) {
    if (!argument.dynamic[d]) continue;
    const std::string one = RootOf(argument.dims[d].axis);
    if (!root.empty() && root != one) return "";
    root = one;
  }
  return root;
}

// The whole number at element i, if the type has whole numbers.
template <typename T>
T Load(const uint8_t* data, int64_t i) {
  T value;
  std::memcpy(&value, data + i * static_cast<int64_t>(sizeof value), sizeof value);
  return value;
}
std::optional<int64_t> WholeNumber(const SafetensorsFile::Entry& entry, int64_t i) {
  if (entry.dtype == "I32") return Load<int32_t>(entry.data, i);
  if (entry.dtype == "I64") return Load<int64_t>(entry.data, i);
  if (entry.dtype == "U8" || entry.dtype == "BOOL") return Load<uint8_t>(entry.data, i);
  if (entry.dtype == "I8") return Load<int8_t>(entry.data, i);
  if (entry.dtype == "I16") return Load<int16_t>(entry.data, i);
  if (entry.dtype == "U16") return Load<uint16_t>(entry.data, i);
  if (entry.dtype == "U32") return Load<uint32_t>(entry.data, i);
  return std::nullopt;
}

const char* TypeName(int64_t dtype) {
  return dtype == kHeedFloat32 ? "F32" : dtype == kHeedInt32 ? "I32" : "U8";
}

Result<HostTensor> Convert(const std::string& name, const SafetensorsFile::Entry& entry, int64_t dtype) {
  HostTensor tensor = HostTensor::Unset(static_cast<HeedDType>(dtype), entry.shape);
  const int64_t count = tensor.count();
  if (dtype == kHeedFloat32) {
    if (!ConvertToFloat(entry, 0, tensor.floats())) {
      return Error{name + " is " + entry.dtype + "; it must be F32 (or F16, BF16, F64)"};
    }
    return tensor;
  }
  for (int64_t i = 0; i < count; ++i) {
    const std::optional<int64_t> value = WholeNumber(entry, i);
    if (!value) return Error{name + " is " + entry.dtype + "; it must be " + TypeName(dtype)};
    if (dtype == kHeedInt32) {
      if (*value < std::numeric_limits<int32_t>::min() || *value > std::numeric_limits<int32_t>::max()) {
        return Error{name + " has " + std::to_string(*value) + ", which is no 32-bit number"};
      }
      tensor.ints()[static_cast<size_t>(i)] = static_cast<int32_t>(*value);
    } else {
      if (*value != 0 && *value != 1)
        return Error{name + " has " + std::to_string(*value) + "; a bool is 0 or 1"};
      static_cast<uint8_t*>(tensor.data())[i] = static_cast<uint8_t>(*value);
    }
  }
  if (count == 0 &&
      !WholeNumber({entry.dtype, {}, reinterpret_cast<const uint8_t*>("\0\0\0\0\0\0\0"), 8}, 0)) {
    return Error{name + " is " + entry.dtype + "; it must be " + TypeName(dtype)};
  }
  return tensor;
}

// The arguments, and for a generate entry the variable, which is given like one.
struct Taken {
  std::string name, root;  // root: of its lengths, or ""
  int64_t dtype;
  std::vector<std::string> axes;
  std::vector<int64_t> sizes;  // -1: dynamic
  int64_t lengths_dim = -1;    // of the tensor, with the batch
  bool optional = false;
};
std::vector<Taken> TakenBy(const HeedEntry& entry, bool variable_given) {
  std::vector<Taken> all;
  for (int64_t a = 0; a < entry.argument_count; ++a) {
    const HeedArgument& argument = entry.arguments[a];
    Taken taken{argument.name, DynamicRoot(argument), argument.dtype, {}, {}};
    for (int64_t d = 0; d < argument.rank; ++d) {
      taken.axes.push_back(argument.dims[d].axis);
      taken.sizes.push_back(argument.dynamic[d] ? -1 : argument.dims[d].size);
      if (argument.dynamic[d] && taken.lengths_dim < 0) taken.lengths_dim = d + 1;
    }
    // The prompt only starts the variable; logits of a given variable do not need it.
    taken.optional = entry.prompt != nullptr && taken.name == entry.prompt && variable_given;
    all.push_back(taken);
  }
  if (entry.kind == kHeedEntryGenerate && variable_given) {
    all.push_back({entry.variable, entry.axis, kHeedInt32, {entry.axis}, {-1}, 1});
  }
  return all;
}

std::string WantedText(const Taken& taken) {
  std::string text = "[batch";
  for (size_t d = 0; d < taken.axes.size(); ++d) {
    text += ", " + taken.axes[d];
    if (taken.sizes[d] >= 0) text += "=" + std::to_string(taken.sizes[d]);
  }
  return text + "]";
}

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
  double Mean() const { return count != 0 ? loss / count : 0; }
};
Result<Sums> Minimize(Engine& engine, const HeedFunction& function, const RawInputs& inputs,
                      const Parameters& parameters, ParameterBlock* gradients) {
  const auto results = engine.Call(function, inputs.tensors, parameters, gradients, {});
  if (!results) return results.error();
  const auto loss = results->find("loss"), per = results->find("per");
  if (loss == results->end()) return Error{std::string(function.name) + " has no output `loss`"};
  return Sums{SumOf(loss->second), per == results->end() ? 1 : SumOf(per->second)};
}

RawResults LossAndCount(const Sums& sums) {
  RawResults results;
  results.tensors.push_back({"loss", Scalar(sums.Mean()), {}});
  results.tensors.push_back({"count", Scalar(sums.count), {}});
  return results;
}

Result<RawResults> CallLoss(Engine& engine, const HeedEntry& entry, const RawInputs& inputs,
                            const Parameters& parameters) {
  const Result<Sums> sums = Minimize(engine, *entry.loss, inputs, parameters, nullptr);
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
  Result<Decoder> decoder = Decoder::Make(entry, engine, parameters);
  if (!decoder) return decoder.error();
  Result<DecodeOptions> decode_options = ProgramOptions(entry);
  if (!decode_options) return decode_options.error();
  decode_options->seed = options.seed;
  decoder->EndAlsoAt(options.ends);
  std::vector<std::vector<int32_t>> prompts;
  if (entry.prompt != nullptr) prompts = RowsOf(inputs, entry.prompt, entry.axis);
  std::vector<DecodeRequest> requests;
  for (const TextArgument& source : decoder->sources()) {
    const auto rows = RowsOf(inputs, source.name, source.axis);
    requests.resize(rows.size());
    for (size_t b = 0; b < rows.size(); ++b) requests[b].sources.push_back(rows[b]);
  }
  requests.resize(std::max({requests.size(), prompts.size(), size_t{1}}));
  for (size_t b = 0; b < requests.size(); ++b) {
    requests[b].number = static_cast<int64_t>(b);
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

Result<RawInputs> ReadInputs(const SafetensorsFile& file, const HeedProgram& program,
                             const HeedEntry& entry) {
  RawInputs inputs;
  const bool variable = entry.kind == kHeedEntryGenerate && file.tensors().contains(entry.variable);
  const std::vector<Taken> all = TakenBy(entry, variable);
  std::vector<std::string> known;
  for (const Taken& taken : all) {
    known.push_back(taken.name);
    if (!taken.root.empty()) known.push_back(taken.name + ".length");
  }
  for (const auto& [name, tensor] : file.tensors()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return Error{"entry `" + std::string(entry.name) + "` takes no `" + name +
                 "`; it takes: " + ListNames(known, 32)};
  }
  int64_t batch = -1;
  std::string batch_from;
  std::map<std::string, std::string> length_from;
  for (const Taken& taken : all) {
    const auto found = file.tensors().find(taken.name);
    if (found == file.tensors().end()) {
      if (taken.optional) continue;
      return Error{"argument `" + taken.name + "` " + WantedText(taken) + " is missing from the inputs"};
    }
    const SafetensorsFile::Entry& entry_of = found->second;
    bool fits = entry_of.shape.size() == taken.axes.size() + 1;
    for (size_t d = 0; fits && d < taken.sizes.size(); ++d) {
      fits = taken.sizes[d] < 0 || taken.sizes[d] == entry_of.shape[d + 1];
    }
    if (!fits) {
      return Error{taken.name + " has shape " + ShapeText(entry_of.shape) + "; it must be " +
                   WantedText(taken)};
    }
    if (batch < 0) batch = entry_of.shape[0], batch_from = taken.name;
    if (batch != entry_of.shape[0]) {
      return Error{taken.name + " has " + std::to_string(entry_of.shape[0]) + " examples, " + batch_from +
                   " has " + std::to_string(batch)};
    }
    Result<HostTensor> tensor = Convert(taken.name, entry_of, taken.dtype);
    if (!tensor) return tensor.error();
    inputs.tensors.emplace(taken.name, *tensor);

    const std::string length_name = taken.name + ".length";
    const auto length_entry = file.tensors().find(length_name);
    if (taken.root.empty() || length_entry == file.tensors().end()) continue;
    if (length_entry->second.shape != std::vector<int64_t>{batch}) {
      return Error{length_name + " has shape " + ShapeText(length_entry->second.shape) +
                   "; it must be [batch=" + std::to_string(batch) + "]"};
    }
    Result<HostTensor> lengths = Convert(length_name, length_entry->second, kHeedInt32);
    if (!lengths) return lengths.error();
    const int64_t width = entry_of.shape[static_cast<size_t>(taken.lengths_dim)];
    const auto values = lengths->ints();
    for (size_t b = 0; b < values.size(); ++b) {
      if (values[b] >= 0 && values[b] <= width) continue;
      return Error{length_name + "[" + std::to_string(b) + "] is " + std::to_string(values[b]) + "; " +
                   taken.name + " has " + std::to_string(width) + " elements along " + taken.root};
    }
    const std::vector<int32_t> row(values.begin(), values.end());
    const auto [at, fresh] = inputs.lengths.emplace(taken.root, row);
    if (fresh) {
      length_from[taken.root] = length_name;
      inputs.tensors.emplace("len." + taken.root, *lengths);
    } else if (at->second != row) {
      return Error{length_name + " and " + length_from[taken.root] + " differ; both are lengths along " +
                   taken.root};
    }
  }
  return inputs;
}

void ClearPadding(const HeedFunction& function, const HeedTensorInfo& info,
                  const std::map<std::string, std::vector<int32_t>>& lengths, HostTensor& tensor) {
  const std::vector<int64_t>& shape = tensor.shape();
  if (shape.empty() || tensor.count() == 0) return;
  const int64_t batch = shape[0], width = DTypeBytes(tensor.dtype());
  int64_t inner = tensor.count() / batch;  // elements of one example, then of one index of dimension d
  int64_t outer = 1;
  const int64_t example = inner;
  for (size_t d = 1; d < shape.size(); ++d) {
    inner /= shape[d];
    const HeedDim& dim = info.dims[d];
    const auto found = dim.extent < 0 ? lengths.end() : lengths.find(RootOf(function.extents[dim.extent]));
    if (found != lengths.end()) {
      for (int64_t b = 0; b < batch; ++b) {
        const int64_t length = std::min<int64_t>(found->second[static_cast<size_t>(b)], shape[d]);
        for (int64_t o = 0; o < outer; ++o) {
          const int64_t from = b * example + (o * shape[d] + length) * inner;
          std::memset(static_cast<char*>(tensor.data()) + from * width, 0,
                      static_cast<size_t>((shape[d] - length) * inner * width));
        }
      }
    }
    outer *= shape[d];
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
  const Result<Sums> sums = Minimize(engine, *function, inputs, parameters, &gradients);
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
  // A count of 0 makes no loss and no gradient; dividing by 1 leaves the zeros.
  if (options.gradients) add_block("grad.", gradients, sums->count != 0 ? sums->count : 1);
  if (options.steps > 0) {
    ParameterBlock m(program), v(program);
    HostTensor losses(kHeedFloat32, {options.steps});
    AdamOptions adam = options.adam;
    adam.total_steps = options.steps;
    Sums now = *sums;
    for (int64_t step = 1; step <= options.steps; ++step) {
      if (step > 1) {
        const Result<Sums> next = Minimize(engine, *function, inputs, parameters, &gradients);
        if (!next) return next.error();
        now = *next;
      }
      losses.floats()[static_cast<size_t>(step - 1)] = static_cast<float>(now.Mean());
      if (now.count != 0) AdamStep(adam, step, 1 / now.count, parameters, gradients, m, v, engine.threads());
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
