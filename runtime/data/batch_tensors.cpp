// The padding is id 0, which compiled code ignores by law.
#include "runtime/data/batch_tensors.h"

#include <algorithm>

#include "runtime/abi_names.h"
#include "runtime/engine/program.h"

namespace heed {
namespace {
std::string LengthOf(const std::string& axis) { return std::string(kLengthPrefix) + axis; }
}  // namespace

bool HasInput(const HeedFunction& function, std::string_view name) {
  for (int64_t i = 0; i < function.input_count; ++i) {
    if (function.inputs[i].name == name) return true;
  }
  return false;
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
    if (HasInput(function, LengthOf(texts[c].axis)))
      inputs.emplace(LengthOf(texts[c].axis), std::move(lengths));
  }
  if (HasInput(function, kExampleInput)) {
    HostTensor example(kHeedInt32, {count});
    for (size_t r = 0; r < numbers.size(); ++r) example.ints()[r] = static_cast<int32_t>(numbers[r]);
    inputs.emplace(kExampleInput, std::move(example));
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

}  // namespace heed
