// Binding and calling. Everything a compiled function may rely on is established here: extents agree, ids lie
// in their axes, lengths within the padding, buffers are where the table says. It computes nothing.
#include "runtime/engine/engine.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "runtime/abi_names.h"
#include "runtime/base/names.h"
#include "runtime/engine/bound_call.h"
#include "runtime/engine/checks.h"
#include "runtime/engine/memory.h"
#include "runtime/engine/program.h"

namespace heed {
namespace {

constexpr size_t kPlansKept = 512;

const HeedAxis* FindAxis(const HeedProgram& program, std::string_view name) {
  for (int64_t i = 0; i < program.axis_count; ++i) {
    if (name == program.axes[i].name) return &program.axes[i];
  }
  return nullptr;
}

// The axis that the whole numbers of an input index, or null.
const HeedAxis* IndexedAxis(const HeedProgram& program, const HeedFunction& function,
                            std::string_view input) {
  for (int64_t e = 0; e < program.entry_count; ++e) {
    const HeedEntry& entry = program.entries[e];
    if (entry.train != &function && entry.loss != &function && entry.forward != &function &&
        entry.prefill != &function && entry.step != &function) {
      continue;
    }
    if (entry.variable != nullptr && input == entry.variable) {
      return entry.indexes != nullptr ? FindAxis(program, entry.indexes) : nullptr;
    }
    for (int64_t a = 0; a < entry.argument_count; ++a) {
      if (input != entry.arguments[a].name) continue;
      return entry.arguments[a].indexes != nullptr ? FindAxis(program, entry.arguments[a].indexes) : nullptr;
    }
  }
  return nullptr;
}

const char* TypeName(int64_t dtype) {
  return dtype == kHeedFloat32 ? "F32" : dtype == kHeedInt32 ? "I32" : "bool";
}

// "[batch, src, model=512]"
std::string Wanted(const HeedTensorInfo& info) {
  std::string text = "[";
  for (int64_t d = 0; d < info.rank; ++d) {
    if (d > 0) text += ", ";
    text += info.dims[d].axis;
    if (info.dims[d].extent < 0) text += "=" + std::to_string(info.dims[d].size);
  }
  return text + "]";
}

// "x[2, 5]" for the flat number of an element.
std::string Place(const std::string& name, const std::vector<int64_t>& shape, int64_t element) {
  std::vector<int64_t> index(shape.size());
  for (size_t d = shape.size(); d-- > 0; element /= shape[d]) index[d] = element % shape[d];
  return index.empty() ? name : name + ShapeText(index);
}

bool IsLength(std::string_view name) { return name.starts_with(kLengthPrefix); }

// What one call binds.
class Binding {
 public:
  Binding(const HeedProgram& program, const HeedFunction& function,
          const std::map<std::string, HostTensor>& inputs, const std::map<std::string, int64_t>& extents)
      : program_(program), function_(function), given_(inputs) {
    extents_.assign(static_cast<size_t>(function.extent_count), -1);
    from_.assign(extents_.size(), "");
    for (size_t i = 0; i < extents_.size(); ++i) {
      const auto known = extents.find(function.extents[i]);
      if (known != extents.end()) extents_[i] = known->second;
    }
  }

  Status Bind() {
    if (Status status = ReadExtents(); !status) return status;
    for (int64_t i = 0; i < function_.input_count; ++i) {
      if (Status status = BindInput(function_.inputs[i]); !status) return status;
    }
    return Done{};
  }
  const std::vector<int64_t>& extents() const { return extents_; }
  std::vector<HostTensor>& inputs() { return bound_; }

 private:
  const HostTensor* Find(const char* name) const {
    const auto found = given_.find(name);
    return found == given_.end() ? nullptr : &found->second;
  }
  bool MayBeAbsent(std::string_view name) const { return name == kExampleInput || IsLength(name); }
  int64_t Extent(std::string_view root) const {
    for (size_t i = 0; i < extents_.size(); ++i) {
      if (root == function_.extents[i]) return extents_[i];
    }
    return -1;
  }

  Status ReadExtents() {
    for (int64_t i = 0; i < function_.input_count; ++i) {
      const HeedTensorInfo& info = function_.inputs[i];
      const HostTensor* tensor = Find(info.name);
      if (tensor == nullptr) {
        if (MayBeAbsent(info.name)) continue;
        return Error{std::string("argument ") + info.name + " " + Wanted(info) + " is missing"};
      }
      if (tensor->dtype() != info.dtype) {
        return Error{std::string(info.name) + " is " + TypeName(tensor->dtype()) + "; it must be " +
                     TypeName(info.dtype)};
      }
      if (static_cast<int64_t>(tensor->shape().size()) != info.rank) {
        return Error{std::string(info.name) + " has shape " + ShapeText(tensor->shape()) + "; it must be " +
                     Wanted(info)};
      }
      for (int64_t d = 0; d < info.rank; ++d) {
        const HeedDim& dim = info.dims[d];
        const int64_t size = tensor->shape()[static_cast<size_t>(d)];
        if (dim.extent < 0) {
          if (size == dim.size) continue;
          return Error{std::string(info.name) + " has shape " + ShapeText(tensor->shape()) + "; it must be " +
                       Wanted(info) + ": " + dim.axis + " is " + std::to_string(dim.size) + ", not " +
                       std::to_string(size)};
        }
        int64_t& extent = extents_[static_cast<size_t>(dim.extent)];
        std::string& from = from_[static_cast<size_t>(dim.extent)];
        if (extent < 0) {
          extent = size;
          from = info.name;
          if (size <= 0) {
            return Error{std::string(info.name) + " has shape " + ShapeText(tensor->shape()) + ": " +
                         dim.axis + " is empty"};
          }
        } else if (extent != size) {
          return Error{std::string(info.name) + " has " + std::to_string(size) + " along " + dim.axis +
                       ", but " + from + " has " + std::to_string(extent) + "; arguments must agree"};
        }
        // The length of the padding is what must fit, whatever the lengths of the examples.
        if (dim.size > 0 && size > dim.size) {
          return Error{std::string(info.name) + " has " + std::to_string(size) + " elements along " +
                       dim.axis + ", which is bounded by " + std::to_string(dim.size)};
        }
      }
    }
    return FillExtents();
  }

  // Extents that no input has: one example, and the longest of the lengths.
  Status FillExtents() {
    for (size_t i = 0; i < extents_.size(); ++i) {
      if (extents_[i] >= 0) continue;
      const std::string root = function_.extents[i];
      const HostTensor* lengths = Find((std::string(kLengthPrefix) + root).c_str());
      if (lengths != nullptr && lengths->dtype() == kHeedInt32 && lengths->count() > 0) {
        extents_[i] = std::max(1, *std::max_element(lengths->ints().begin(), lengths->ints().end()));
        const HeedAxis* axis = FindAxis(program_, root);
        if (axis != nullptr && axis->dynamic && extents_[i] > axis->size) {
          return Error{std::string(kLengthPrefix) + root + " is " + std::to_string(extents_[i]) + "; " +
                       root + " is bounded by " + std::to_string(axis->size)};
        }
      } else if (root == "batch") {
        extents_[i] = 1;
      } else {
        return Error{"no argument says how long " + root + " is"};
      }
    }
    return Done{};
  }

  Status BindInput(const HeedTensorInfo& info) {
    const HostTensor* given = Find(info.name);
    if (given == nullptr) {
      std::vector<int64_t> shape;
      for (int64_t d = 0; d < info.rank; ++d) {
        const HeedDim& dim = info.dims[d];
        shape.push_back(dim.extent < 0 ? dim.size : extents_[static_cast<size_t>(dim.extent)]);
      }
      HostTensor tensor(kHeedInt32, shape);
      const bool length = IsLength(info.name);
      const int64_t full = length ? Extent(info.name + 4) : 0;
      if (length && full < 0)
        return Error{std::string("no argument says how long ") + (info.name + 4) + " is"};
      int32_t number = 0;
      for (int32_t& value : tensor.ints()) value = length ? static_cast<int32_t>(full) : number++;
      bound_.push_back(tensor);
      return Done{};
    }
    if (info.dtype == kHeedInt32) {
      if (IsLength(info.name)) {
        if (Status status = CheckLengths(info, *given); !status) return status;
      } else if (const HeedAxis* axis = IndexedAxis(program_, function_, info.name)) {
        if (Status status = CheckIds(info, *given, *axis); !status) return status;
      }
    } else if (info.dtype == kHeedBool8) {
      const uint8_t* values = static_cast<const uint8_t*>(given->data());
      for (int64_t i = 0, count = given->count(); i < count; ++i) {
        if (values[i] > 1) {
          return Error{Place(info.name, given->shape(), i) + " is " + std::to_string(values[i]) +
                       "; a bool is 0 or 1"};
        }
      }
    }
    bound_.push_back(*given);
    return Done{};
  }

  Status CheckLengths(const HeedTensorInfo& info, const HostTensor& tensor) const {
    const char* root = info.name + 4;
    const int64_t extent = Extent(root);
    if (extent < 0) return Done{};
    const auto values = tensor.ints();
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] >= 0 && values[i] <= extent) continue;
      return Error{"the length of example " + std::to_string(i) + " along " + root + " is " +
                   std::to_string(values[i]) + ", but the arguments have " + std::to_string(extent) +
                   " elements there"};
    }
    return Done{};
  }

  Status CheckIds(const HeedTensorInfo& info, const HostTensor& tensor, const HeedAxis& axis) const {
    const auto values = tensor.ints();
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i] >= 0 && values[i] < axis.size) continue;
      return Error{Place(info.name, tensor.shape(), static_cast<int64_t>(i)) + " is " +
                   std::to_string(values[i]) + ", " + axis.name + " has " + std::to_string(axis.size) +
                   " elements"};
    }
    return Done{};
  }

  const HeedProgram& program_;
  const HeedFunction& function_;
  const std::map<std::string, HostTensor>& given_;
  std::vector<int64_t> extents_;
  std::vector<std::string> from_;  // the input each extent was read from
  std::vector<HostTensor> bound_;
};

// The parameter that an output named d.PARAM is the gradient of, or -1.
int64_t GradientOf(const HeedProgram& program, std::string_view output) {
  if (!output.starts_with(kGradientPrefix)) return -1;
  for (int64_t i = 0; i < program.param_count; ++i) {
    if (output.substr(kGradientPrefix.size()) == program.params[i].name) return i;
  }
  return -1;
}

}  // namespace

std::vector<bool> Trained(const HeedProgram& program, const HeedFunction& function) {
  std::vector<bool> trained(static_cast<size_t>(program.param_count), false);
  for (int64_t i = 0; i < function.output_count; ++i) {
    const int64_t param = GradientOf(program, function.outputs[i].name);
    if (param >= 0) trained[static_cast<size_t>(param)] = true;
  }
  return trained;
}

bool Poison() {
  static const bool poison = [] {
    const char* value = std::getenv("HEED_POISON");
    return value != nullptr && *value != '\0' && *value != '0';
  }();
  return poison;
}

Result<CheckedInputs> CheckInputs(const HeedProgram& program, const HeedFunction& function,
                                  const std::map<std::string, HostTensor>& inputs,
                                  const std::map<std::string, int64_t>& extents) {
  Binding binding(program, function, inputs, extents);
  if (Status status = binding.Bind(); !status) return status.error();
  return CheckedInputs{std::move(binding.inputs()), binding.extents()};
}

const ArenaPlan& Engine::Plan(const HeedFunction& function, const std::vector<int64_t>& extents) {
  const auto key = std::make_pair(&function, extents);
  const auto found = plans_.find(key);
  if (found != plans_.end()) return found->second;
  if (plans_.size() >= kPlansKept) plans_.clear();
  return plans_.emplace(key, PlaceArena(function, extents)).first->second;
}

void* Engine::Arena(int64_t bytes) {
  if (bytes > arena_bytes_) {
    arena_.reset();
    arena_bytes_ = 0;
    // A little more than asked: batches differ, and every growth faults its pages in again.
    const int64_t wanted = bytes + bytes / 8;
    arena_ = AllocateBlock(wanted);
    arena_bytes_ = wanted;
  }
  return arena_.get();
}

int64_t Engine::ArenaBytes(const HeedFunction& function, std::span<const int64_t> extents) const {
  return PlaceArena(function, extents).bytes;
}

Result<std::map<std::string, HostTensor>> Engine::Call(const HeedFunction& function,
                                                       const std::map<std::string, HostTensor>& inputs,
                                                       const Parameters& parameters,
                                                       ParameterBlock* gradients,
                                                       const CallOptions& options) {
  const Result<CheckedInputs> checked = CheckInputs(program_, function, inputs);
  if (!checked) return checked.error();
  const std::vector<int64_t>& extents = checked->extents;
  BoundCall call(*this, function, parameters);
  for (int64_t i = 0; i < function.input_count; ++i)
    call.SetInput(i, checked->tensors[static_cast<size_t>(i)].data());

  // Outputs. A parameter that this function has no gradient for gets 0.
  std::map<std::string, HostTensor> results;
  std::vector<char> has_gradient(static_cast<size_t>(program_.param_count), 0);
  for (int64_t i = 0; i < function.output_count; ++i) {
    const HeedTensorInfo& info = function.outputs[i];
    const int64_t param = GradientOf(program_, info.name);
    if (param >= 0) {
      if (gradients == nullptr)
        return Error{std::string(function.name) + " computes gradients; nobody takes them"};
      const std::span<float> to = gradients->tensor(param);
      if (Poison()) std::memset(to.data(), 0xff, to.size_bytes());
      call.SetOutput(i, to.data());
      has_gradient[static_cast<size_t>(param)] = 1;
      continue;
    }
    std::vector<int64_t> shape;
    for (int64_t d = 0; d < info.rank; ++d) {
      const HeedDim& dim = info.dims[d];
      shape.push_back(dim.extent < 0 ? dim.size : extents[static_cast<size_t>(dim.extent)]);
    }
    HostTensor tensor = HostTensor::Unset(static_cast<HeedDType>(info.dtype), shape);
    if (Poison()) std::memset(tensor.data(), 0xff, static_cast<size_t>(tensor.bytes()));
    call.SetOutput(i, tensor.data());
    results.emplace(info.name, std::move(tensor));
  }
  const CheckOutputs checks(call, extents);
  for (int64_t i = 0; i < function.check_count; ++i)
    results.erase(function.outputs[function.checks[i].output].name);
  if (gradients != nullptr) {
    for (size_t i = 0; i < has_gradient.size(); ++i) {
      if (has_gradient[i]) continue;
      const std::span<float> to = gradients->tensor(static_cast<int64_t>(i));
      std::fill(to.begin(), to.end(), 0.0f);
    }
  }

  if (Status status = call.Reserve(extents); !status) return status.error();
  call.Run(extents, options);
  if (Status status = checks.Outcome(INT64_MAX, options.name_of); !status) return status.error();
  return results;
}

}  // namespace heed
