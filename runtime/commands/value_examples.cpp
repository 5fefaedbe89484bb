// See value_examples.h.
#include "runtime/commands/value_examples.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "runtime/commands/command.h"
#include "runtime/commands/example_answers.h"
#include "runtime/engine/program.h"
#include "runtime/text/labels.h"
#include "runtime/weights/safetensors.h"

namespace heed {
namespace {

constexpr int64_t kTokensAtOnce = 4096;

double ElementOf(const HostTensor& tensor, int64_t i) {
  const auto at = static_cast<size_t>(i);
  if (tensor.dtype() == kHeedFloat32) return static_cast<double>(tensor.floats()[at]);
  if (tensor.dtype() == kHeedInt32) return tensor.ints()[at];
  return static_cast<const uint8_t*>(tensor.data())[at];
}

/// The results of all examples, padded with 0 to the longest of them.
class ResultFile {
 public:
  ResultFile(const HeedEntry& entry, const ArgumentExamples& examples)
      : entry_(entry), examples_(examples), info_(entry.forward->outputs[0]) {
    std::vector<int64_t> shape = {examples.size()};
    for (int64_t d = 1; d < info_.rank; ++d) {
      const std::string root = info_.dims[d].extent < 0 ? "" : RootOf(info_.dims[d].axis);
      int64_t width = info_.dims[d].size;
      if (!root.empty()) {
        width = 1;
        for (int64_t i = 0; i < examples.size(); ++i) width = std::max(width, examples.LengthAlong(i, root));
        if (std::ranges::find(roots_, root) == roots_.end()) roots_.push_back(root);
      }
      dims_.push_back(root);
      shape.push_back(width);
    }
    all_ = HostTensor(static_cast<HeedDType>(info_.dtype), shape);
  }

  /// Row `row` of a result, which is example `example`'s.
  void Take(const HostTensor& tensor, int64_t row, int64_t example) {
    example_ = example;
    Copy(tensor, row, example, 0);
  }

  Status Write(const std::string& path) const {
    const char* const dtype = all_.dtype() == kHeedFloat32 ? "F32"
                              : all_.dtype() == kHeedInt32 ? "I32"
                                                           : "U8";
    std::vector<NamedTensor> tensors = {{entry_.name, dtype, all_.shape(), all_.data()}};
    std::vector<std::vector<int32_t>> lengths;
    lengths.reserve(roots_.size());
    for (const std::string& root : roots_) {
      std::vector<int32_t>& of_root = lengths.emplace_back();
      for (int64_t i = 0; i < examples_.size(); ++i)
        of_root.push_back(static_cast<int32_t>(examples_.LengthAlong(i, root)));
      const std::string name = entry_.name + (roots_.size() > 1 ? "." + root : "") + ".length";
      tensors.push_back({name, "I32", {examples_.size()}, of_root.data()});
    }
    return WriteSafetensors(path, tensors, {});
  }

 private:
  /// What lies within the example's lengths; padding stays 0. `from` and `to` count blocks of dimension
  /// `dim`.
  void Copy(const HostTensor& tensor, int64_t from, int64_t to, size_t dim) {
    if (dim == dims_.size()) {
      const int64_t width = DTypeBytes(all_.dtype());
      std::memcpy(static_cast<char*>(all_.data()) + to * width,
                  static_cast<const char*>(tensor.data()) + from * width, static_cast<size_t>(width));
      return;
    }
    const int64_t own = tensor.shape()[dim + 1], width = all_.shape()[dim + 1];
    const int64_t length = dims_[dim].empty() ? width : examples_.LengthAlong(example_, dims_[dim]);
    for (int64_t i = 0; i < std::min(length, own); ++i) Copy(tensor, from * own + i, to * width + i, dim + 1);
  }

  const HeedEntry& entry_;
  const ArgumentExamples& examples_;
  const HeedTensorInfo& info_;
  std::vector<std::string> dims_;   // the root of each, "" if all examples are alike
  std::vector<std::string> roots_;  // each once
  HostTensor all_;
  int64_t example_ = 0;  // that is taken
};

ShownExample Shown(const ArgumentExamples& examples, int64_t example, const Tokenizer* tokenizer,
                   int64_t width) {
  ShownExample shown;
  for (const std::string& root : examples.roots()) shown.lengths[root] = examples.LengthAlong(example, root);
  for (const ArgumentExamples::Given& one : examples.given()) {
    if (!one.argument.IsText() || tokenizer == nullptr) continue;
    const std::vector<int32_t> ids = examples.IdsOf(example, one);
    std::vector<std::string>& words = shown.words[one.argument.dims[0].root];
    words.clear();
    for (const int32_t id : ids) words.push_back(TokenLabel(*tokenizer, id));
    shown.text += (shown.text.empty() ? "" : " | ") + Shortened(tokenizer->Decode(ids), width);
  }
  if (shown.text.empty()) shown.text = examples.NameOf(example);
  return shown;
}

Status CheckMean(const HeedProgram& program, const HeedEntry& entry) {
  const HeedTensorInfo& info = entry.forward->outputs[0];
  const HeedAxis* const axis = entry.indexes != nullptr ? FindAxis(program, entry.indexes) : nullptr;
  if (axis != nullptr)
    return UsageError(std::string("--mean: entry `") + entry.name + "` gives an element of " + axis->name +
                      ", which is no quantity");
  if (info.rank > 1)
    return UsageError(std::string("--mean takes an entry that gives one number for each example; `") +
                      entry.name + "` gives several");
  return Done{};
}

}  // namespace

Status ComputeOnExamples(Engine& engine, const HeedEntry& entry, const ArgumentExamples& examples,
                         const Tokenizer* tokenizer, const Parameters& parameters,
                         const ExamplesOptions& options, std::FILE* out) {
  const HeedFunction* const function = entry.forward;
  if (function == nullptr || function->output_count == 0)
    return Error{std::string("entry `") + entry.name + "` has no result"};
  if (options.mean) {
    if (Status ok = CheckMean(engine.program(), entry); !ok) return ok;
  }
  const ResultPrinter printer(engine.program(), entry, options, out);
  const bool prints = !options.mean && options.outputs.empty();
  std::optional<ResultFile> file;
  if (!options.outputs.empty()) file.emplace(entry, examples);
  double sum = 0;
  for (int64_t first = 0; first < examples.size();) {
    const Batch batch = NextExamples(examples, first, kTokensAtOnce);
    const auto inputs = examples.InputsOf(*function, batch);
    if (!inputs) return inputs.error();
    const auto name = [&](int64_t row) { return examples.NameOf(batch[static_cast<size_t>(row)]); };
    auto results = engine.Call(*function, *inputs, parameters, nullptr, {.name_of = name});
    if (!results) return results.error();
    const HostTensor& tensor = results->find(function->outputs[0].name)->second;
    for (size_t i = 0; i < batch.size(); ++i) {
      const int64_t row = printer.HasBatch() ? static_cast<int64_t>(i) : 0;
      if (options.mean) sum += ElementOf(tensor, row);
      if (file) file->Take(tensor, row, batch[i]);
      if (prints) printer.Print(tensor, row, Shown(examples, batch[i], tokenizer, options.width));
    }
    if (std::fflush(out) != 0 || std::ferror(out)) return FlushOutput();
    first += static_cast<int64_t>(batch.size());
  }
  if (options.mean) std::fprintf(out, "%s\n", NineDigits(sum / static_cast<double>(examples.size())).c_str());
  return file ? file->Write(options.outputs) : Status(Done{});
}

}  // namespace heed
