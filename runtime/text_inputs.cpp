// Text arguments and their tensors. The padding is id 0, which compiled code ignores by law.
#include "runtime/text_inputs.h"

#include <algorithm>
#include <set>

namespace heed {
namespace {
bool HasInput(const HeedFunction& function, std::string_view name) {
  for (int64_t i = 0; i < function.input_count; ++i) {
    if (function.inputs[i].name == name) return true;
  }
  return false;
}
}  // namespace

const HeedAxis* FindAxis(const HeedProgram& program, std::string_view name) {
  for (int64_t i = 0; i < program.axis_count; ++i) {
    if (program.axes[i].name == name) return &program.axes[i];
  }
  return nullptr;
}

std::string RootOf(std::string_view axis) { return std::string(axis.substr(0, axis.find_first_of("'^%~"))); }

std::string ArgumentText(const HeedArgument& argument) {
  std::string text = argument.name;
  if (argument.dtype == kHeedInt32) text += std::string(": ") + (argument.indexes ? argument.indexes : "int");
  if (argument.dtype == kHeedBool8) text += ": bool";
  for (int64_t i = 0; i < argument.rank; ++i)
    text += (i == 0 ? "[" : ", ") + std::string(argument.dims[i].axis);
  return argument.rank > 0 ? text + "]" : text;
}

std::optional<TextArgument> AsText(const HeedProgram& program, const HeedArgument& argument) {
  if (argument.dtype != kHeedInt32 || argument.rank != 1 || !argument.dynamic[0] || !argument.indexes) {
    return std::nullopt;
  }
  const HeedAxis* vocabulary = FindAxis(program, argument.indexes);
  if (!vocabulary || vocabulary->dynamic || vocabulary->enumerator_count > 0) return std::nullopt;
  return TextArgument{argument.name, argument.dims[0].axis, argument.dims[0].size, argument.indexes,
                      vocabulary->size};
}

Result<std::vector<TextArgument>> TextArguments(const HeedProgram& program, const HeedEntry& entry) {
  std::vector<TextArgument> texts;
  std::set<std::string> axes;
  for (int64_t i = 0; i < entry.argument_count; ++i) {
    const auto text = AsText(program, entry.arguments[i]);
    if (!text) {
      return Error{"entry `" + std::string(entry.name) + "` takes `" + ArgumentText(entry.arguments[i]) +
                   "`, which is not text (one dynamic axis of numbers that index a vocabulary); use `call " +
                   entry.name + "` with tensors"};
    }
    if (!axes.insert(text->axis).second) {
      return Error{"entry `" + std::string(entry.name) + "` has two texts along `" + text->axis +
                   "`, which must be equally long; use `call " + entry.name + "` with tensors"};
    }
    texts.push_back(*text);
  }
  if (texts.empty()) return Error{"entry `" + std::string(entry.name) + "` takes no text"};
  return texts;
}

std::map<std::string, HostTensor> TextInputs(const HeedFunction& function,
                                             std::span<const TextArgument> texts, std::span<const Rows> rows,
                                             std::span<const int64_t> numbers) {
  std::map<std::string, HostTensor> inputs;
  const auto count = static_cast<int64_t>(numbers.size());
  for (size_t c = 0; c < texts.size(); ++c) {
    if (!HasInput(function, texts[c].name)) continue;
    size_t longest = 1;
    for (const auto& row : rows[c]) longest = std::max(longest, row.size());
    HostTensor ids(kHeedInt32, {count, static_cast<int64_t>(longest)}), lengths(kHeedInt32, {count});
    for (size_t r = 0; r < rows[c].size(); ++r) {
      std::copy(rows[c][r].begin(), rows[c][r].end(), ids.ints().data() + r * longest);
      lengths.ints()[r] = static_cast<int32_t>(rows[c][r].size());
    }
    inputs.emplace(texts[c].name, std::move(ids));
    if (HasInput(function, "len." + texts[c].axis))
      inputs.emplace("len." + texts[c].axis, std::move(lengths));
  }
  if (HasInput(function, "example")) {
    HostTensor example(kHeedInt32, {count});
    for (size_t r = 0; r < numbers.size(); ++r) example.ints()[r] = static_cast<int32_t>(numbers[r]);
    inputs.emplace("example", std::move(example));
  }
  return inputs;
}

std::map<std::string, HostTensor> BatchInputs(const HeedFunction& function,
                                              std::span<const TextArgument> texts, const Dataset& data,
                                              const Batch& batch) {
  std::vector<Rows> rows(texts.size());
  std::vector<int64_t> numbers;
  for (int64_t example : batch) {
    for (size_t c = 0; c < texts.size(); ++c) rows[c].push_back(data.columns[c][example]);
    numbers.push_back(data.numbers[static_cast<size_t>(example)]);
  }
  return TextInputs(function, texts, rows, numbers);
}

Result<double> ScalarOf(const std::map<std::string, HostTensor>& results, const std::string& name) {
  const auto found = results.find(name);
  if (found == results.end() || found->second.count() != 1) {
    return Error{"this program gives no `" + name + "`; it was built by a different version of heed"};
  }
  if (found->second.dtype() == kHeedFloat32) return static_cast<double>(found->second.floats()[0]);
  return static_cast<double>(found->second.ints()[0]);
}

}  // namespace heed
