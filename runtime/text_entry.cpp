// See text_entry.h. Lines are taken in order, a few at a time; results do not depend on how many.
#include "runtime/text_entry.h"

#include <algorithm>
#include <cmath>

#include "runtime/data.h"

namespace heed {
namespace {

constexpr int64_t kTokensAtOnce = 4096;

std::vector<int32_t> Ids(const Tokenizer& tokenizer, std::string_view line, bool begin) {
  std::vector<int32_t> ids;
  if (begin && tokenizer.bos() >= 0) ids.push_back(tokenizer.bos());
  const std::vector<int32_t> pieces = tokenizer.Encode(line);
  ids.insert(ids.end(), pieces.begin(), pieces.end());
  if (tokenizer.eos() >= 0) ids.push_back(tokenizer.eos());
  return ids;
}

// One example of a result as JSON.
class Printer {
 public:
  Printer(const HostTensor& tensor, const std::vector<int64_t>& sizes) : tensor_(tensor), sizes_(sizes) {}
  std::string Example(int64_t number) {
    text_.clear();
    Print(1, number);
    return text_;
  }

 private:
  // `index` is the flat number of the elements fixed by the dimensions before d.
  void Print(size_t d, int64_t index) {
    if (d == tensor_.shape().size()) {
      Element(index);
      return;
    }
    text_ += '[';
    for (int64_t i = 0; i < sizes_[d]; ++i) {
      if (i > 0) text_ += ", ";
      Print(d + 1, index * tensor_.shape()[d] + i);
    }
    text_ += ']';
  }
  void Element(int64_t index) {
    if (tensor_.dtype() == kHeedInt32) {
      text_ += std::to_string(tensor_.ints()[static_cast<size_t>(index)]);
    } else if (tensor_.dtype() == kHeedBool8) {
      text_ += static_cast<const uint8_t*>(tensor_.data())[index] != 0 ? "true" : "false";
    } else {
      const double value = static_cast<double>(tensor_.floats()[static_cast<size_t>(index)]);
      char number[40];
      std::snprintf(number, sizeof number, "%.9g", value);
      text_ += std::isfinite(value) ? number : "null";
    }
  }
  const HostTensor& tensor_;
  const std::vector<int64_t>& sizes_;
  std::string text_;
};

}  // namespace

Status ComputeOnLines(Engine& engine, const HeedEntry& entry, std::span<const TextArgument> texts,
                      std::span<const std::string> paths, const Tokenizer& tokenizer,
                      const ParameterBlock& parameters, std::FILE* out) {
  if (entry.forward == nullptr || entry.forward->output_count == 0) {
    return Error{std::string("entry `") + entry.name + "` has no result"};
  }
  std::vector<TextFile> files;
  for (const std::string& path : paths) {
    Result<TextFile> file = TextFile::Read(path, /*skip_invalid=*/false);
    if (!file) return file.error();
    files.push_back(std::move(*file));
  }
  std::vector<std::vector<std::string_view>> lines;
  for (const TextFile& file : files) {
    lines.push_back(file.Lines());
    if (lines.back().size() != lines[0].size()) {
      return Error{files[0].path() + " has " + std::to_string(lines[0].size()) + " lines, " + file.path() +
                   " has " + std::to_string(lines.back().size())};
    }
  }
  const HeedFunction& function = *entry.forward;
  const HeedTensorInfo& info = function.outputs[0];
  for (size_t begin = 0; begin < lines[0].size();) {
    std::vector<std::vector<std::vector<int32_t>>> ids(texts.size());
    std::vector<int64_t> numbers;
    size_t end = begin;
    for (int64_t longest = 0; end < lines[0].size(); ++end) {
      std::vector<std::vector<int32_t>> row;
      int64_t tokens = 0;
      for (size_t t = 0; t < texts.size(); ++t) {
        row.push_back(Ids(tokenizer, lines[t][end], t + 1 == texts.size()));
        const auto count = static_cast<int64_t>(row[t].size());
        tokens += count;
        const std::string where = files[t].path() + ":" + std::to_string(end + 1);
        if (count == 0) return Error{where + ": an empty line gives nothing to compute with"};
        if (texts[t].bound > 0 && count > texts[t].bound) {
          return Error{where + ": " + std::to_string(count) + " tokens, " + texts[t].axis +
                       " is bounded by " + std::to_string(texts[t].bound)};
        }
      }
      longest = std::max(longest, tokens);
      if (end > begin && longest * static_cast<int64_t>(end - begin + 1) > kTokensAtOnce) break;
      for (size_t t = 0; t < texts.size(); ++t) ids[t].push_back(std::move(row[t]));
      numbers.push_back(static_cast<int64_t>(end));
    }
    std::vector<Rows> rows;
    for (const auto& column : ids) rows.emplace_back(column.begin(), column.end());
    auto results = engine.Call(function, TextInputs(function, texts, rows, numbers), parameters, nullptr, {});
    if (!results) return results.error();
    const HostTensor& tensor = results->find(info.name)->second;
    for (size_t i = 0; i < numbers.size(); ++i) {
      std::vector<int64_t> sizes = tensor.shape();
      for (size_t d = 1; d < sizes.size(); ++d) {
        for (size_t t = 0; t < texts.size(); ++t) {
          const int64_t extent = info.dims[d].extent;
          if (extent >= 0 && texts[t].axis == function.extents[extent]) {
            sizes[d] = static_cast<int64_t>(ids[t][i].size());
          }
        }
      }
      std::fprintf(out, "%s\n", Printer(tensor, sizes).Example(static_cast<int64_t>(i)).c_str());
    }
    begin = end;
  }
  return Done{};
}

}  // namespace heed
