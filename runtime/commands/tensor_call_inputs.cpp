// The arguments of a call, read from a file (see tensor_call.h): names, shapes, lengths, then numbers. What
// lies after an example's length is nobody's: it is not looked at, and becomes 0.
#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "runtime/base/names.h"
#include "runtime/commands/tensor_call.h"
#include "runtime/engine/program.h"

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

// The tensor with zeros for `padding`, of which nothing is asked.
Result<HostTensor> Convert(const std::string& name, const SafetensorsFile::Entry& entry, int64_t dtype,
                           std::span<const Stretch> padding = {}) {
  HostTensor tensor = HostTensor::Unset(static_cast<HeedDType>(dtype), entry.shape);
  const int64_t count = tensor.count();
  std::vector<bool> is_padding(static_cast<size_t>(count));
  for (const Stretch& stretch : padding) {
    const auto first = is_padding.begin() + static_cast<std::ptrdiff_t>(stretch.first);
    std::fill(first, first + static_cast<std::ptrdiff_t>(stretch.count), true);
  }
  if (dtype == kHeedFloat32) {
    if (!ConvertToFloat(entry, 0, tensor.floats())) {
      return Error{name + " is " + entry.dtype + "; it must be F32 (or F16, BF16, F64)"};
    }
    for (size_t i = 0; i < is_padding.size(); ++i)
      if (is_padding[i]) tensor.floats()[i] = 0;
    return tensor;
  }
  for (int64_t i = 0; i < count; ++i) {
    std::optional<int64_t> value = WholeNumber(entry, i);
    if (!value) return Error{name + " is " + entry.dtype + "; it must be " + TypeName(dtype)};
    if (is_padding[static_cast<size_t>(i)]) value = 0;
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
  struct Dim {
    std::string axis;
    std::string root;  // of a dynamic axis, else ""
    int64_t size;      // of a dynamic one its bound, 0: none
  };
  std::string name, root;  // root: of its lengths, or ""
  int64_t dtype;
  const HeedAxis* indexes;
  std::vector<Dim> dims;     // without the batch
  int64_t lengths_dim = -1;  // of the tensor, with the batch
  bool optional = false;
};
std::vector<Taken> TakenBy(const HeedProgram& program, const HeedEntry& entry, bool variable_given) {
  const auto axis_of = [&](const char* name) { return name != nullptr ? FindAxis(program, name) : nullptr; };
  std::vector<Taken> all;
  for (int64_t a = 0; a < entry.argument_count; ++a) {
    const HeedArgument& argument = entry.arguments[a];
    Taken taken{argument.name, DynamicRoot(argument), argument.dtype, axis_of(argument.indexes), {}};
    for (int64_t d = 0; d < argument.rank; ++d) {
      const HeedDim& dim = argument.dims[d];
      taken.dims.push_back({dim.axis, argument.dynamic[d] ? RootOf(dim.axis) : "", dim.size});
      if (argument.dynamic[d] && taken.lengths_dim < 0) taken.lengths_dim = d + 1;
    }
    // The prompt only starts the variable; logits of a given variable do not need it.
    taken.optional = entry.prompt != nullptr && taken.name == entry.prompt && variable_given;
    all.push_back(taken);
  }
  if (entry.kind == kHeedEntryGenerate && variable_given) {
    all.push_back({entry.variable,
                   entry.axis,
                   kHeedInt32,
                   axis_of(entry.indexes),
                   {{entry.axis, entry.axis, entry.bound}},
                   1});
  }
  return all;
}

std::string WantedText(const Taken& taken) {
  std::string text = "[batch";
  for (const Taken::Dim& dim : taken.dims) {
    text += ", " + dim.axis;
    if (dim.root.empty()) text += "=" + std::to_string(dim.size);
  }
  return text + "]";
}

Status CheckShape(const Taken& taken, const std::vector<int64_t>& shape) {
  bool fits = shape.size() == taken.dims.size() + 1;
  for (size_t d = 0; fits && d < taken.dims.size(); ++d)
    fits = !taken.dims[d].root.empty() || taken.dims[d].size == shape[d + 1];
  if (!fits)
    return Error{taken.name + " has shape " + ShapeText(shape) + "; it must be " + WantedText(taken)};
  if (shape[0] == 0) return Error{taken.name + " has shape " + ShapeText(shape) + ": batch is empty"};
  for (size_t d = 0; d < taken.dims.size(); ++d) {
    const Taken::Dim& dim = taken.dims[d];
    if (dim.root.empty() || dim.size == 0 || shape[d + 1] <= dim.size) continue;
    return Error{taken.name + " has " + std::to_string(shape[d + 1]) + " elements along " + dim.axis +
                 ", which is bounded by " + std::to_string(dim.size)};
  }
  return Done{};
}

// Ids lie in their axis; padding is 0 by now.
Status CheckIds(const Taken& taken, const HostTensor& tensor) {
  if (taken.indexes == nullptr || taken.indexes->dynamic) return Done{};
  const auto ids = tensor.ints();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < taken.indexes->size) continue;
    std::vector<int64_t> place(tensor.shape().size());
    int64_t rest = static_cast<int64_t>(i);
    for (size_t d = place.size(); d-- > 0; rest /= tensor.shape()[d]) place[d] = rest % tensor.shape()[d];
    return Error{taken.name + ShapeText(place) + " is " + std::to_string(ids[i]) + ", " +
                 taken.indexes->name + " has " + std::to_string(taken.indexes->size) + " elements"};
  }
  return Done{};
}

// `name`, the lengths of `width` elements at most that the file gives for an argument.
Result<HostTensor> ReadLengths(const std::string& name, const SafetensorsFile::Entry& entry,
                               const Taken& taken, int64_t batch, int64_t width) {
  if (entry.shape != std::vector<int64_t>{batch}) {
    return Error{name + " has shape " + ShapeText(entry.shape) +
                 "; it must be [batch=" + std::to_string(batch) + "]"};
  }
  Result<HostTensor> lengths = Convert(name, entry, kHeedInt32);
  if (!lengths) return lengths.error();
  const auto values = lengths->ints();
  for (size_t b = 0; b < values.size(); ++b) {
    if (values[b] >= 0 && values[b] <= width) continue;
    return Error{name + "[" + std::to_string(b) + "] is " + std::to_string(values[b]) + "; " + taken.name +
                 " has " + std::to_string(width) + " elements along " + taken.root};
  }
  return lengths;
}

}  // namespace

Result<RawInputs> ReadInputs(const SafetensorsFile& file, const HeedProgram& program,
                             const HeedEntry& entry) {
  RawInputs inputs;
  const bool variable = entry.kind == kHeedEntryGenerate && file.tensors().contains(entry.variable);
  const std::vector<Taken> all = TakenBy(program, entry, variable);
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
  // Shapes and lengths first: they say what is padding.
  int64_t batch = -1;
  std::string batch_from;
  std::map<std::string, std::string> length_from;
  for (const Taken& taken : all) {
    const auto found = file.tensors().find(taken.name);
    if (found == file.tensors().end()) {
      if (taken.optional) continue;
      return Error{"argument `" + taken.name + "` " + WantedText(taken) + " is missing from the inputs"};
    }
    const std::vector<int64_t>& shape = found->second.shape;
    if (Status fits = CheckShape(taken, shape); !fits) return fits.error();
    if (batch < 0) batch = shape[0], batch_from = taken.name;
    if (batch != shape[0]) {
      return Error{taken.name + " has " + std::to_string(shape[0]) + " examples, " + batch_from + " has " +
                   std::to_string(batch)};
    }
    const auto length_entry = file.tensors().find(taken.name + ".length");
    if (taken.root.empty() || length_entry == file.tensors().end()) continue;
    Result<HostTensor> lengths = ReadLengths(length_entry->first, length_entry->second, taken, batch,
                                             shape[static_cast<size_t>(taken.lengths_dim)]);
    if (!lengths) return lengths.error();
    const auto values = std::as_const(*lengths).ints();
    const std::vector<int32_t> row(values.begin(), values.end());
    const auto [at, fresh] = inputs.lengths.emplace(taken.root, row);
    if (fresh) {
      length_from[taken.root] = length_entry->first;
      inputs.tensors.emplace("len." + taken.root, *lengths);
    } else if (at->second != row) {
      return Error{length_entry->first + " and " + length_from[taken.root] +
                   " differ; both are lengths along " + taken.root};
    }
  }
  if (batch >= 0) inputs.examples = batch;
  for (const Taken& taken : all) {
    const auto found = file.tensors().find(taken.name);
    if (found == file.tensors().end()) continue;
    std::vector<std::string> roots{""};
    for (const Taken::Dim& dim : taken.dims) roots.push_back(dim.root);
    const std::vector<Stretch> padding = PaddingOf(found->second.shape, roots, inputs.lengths);
    Result<HostTensor> tensor = Convert(taken.name, found->second, taken.dtype, padding);
    if (!tensor) return tensor.error();
    if (Status ids = CheckIds(taken, *tensor); !ids) return ids.error();
    inputs.tensors.emplace(taken.name, *tensor);
  }
  return inputs;
}

}  // namespace heed
