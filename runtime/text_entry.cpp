// See text_entry.h. Lines are taken in order, a few at a time; results do not depend on how many.
#include "runtime/text_entry.h"

#include <algorithm>
#include <cmath>

#include "runtime/data.h"
#include "runtime/labels.h"
#include "runtime/table.h"

namespace heed {
namespace {

constexpr int64_t kTokensAtOnce = 4096;

/// An element as text: numbers that are not finite are as `number` says.
template <typename Number>
std::string ElementText(const HostTensor& tensor, int64_t index, Number number) {
  const auto i = static_cast<size_t>(index);
  if (tensor.dtype() == kHeedInt32) return std::to_string(tensor.ints()[i]);
  if (tensor.dtype() == kHeedBool8)
    return static_cast<const uint8_t*>(tensor.data())[i] != 0 ? "true" : "false";
  return number(static_cast<double>(tensor.floats()[i]));
}

std::string NineDigits(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

/// A part of a result, as nested arrays.
void AppendJson(std::string& text, const HostTensor& tensor, std::span<const TableAxis> axes,
                int64_t offset) {
  if (axes.empty()) {
    text += ElementText(tensor, offset,
                        [](double value) { return std::isfinite(value) ? NineDigits(value) : "null"; });
    return;
  }
  text += '[';
  for (int64_t i = 0; i < axes[0].size; ++i) {
    if (i > 0) text += ", ";
    AppendJson(text, tensor, axes.subspan(1), offset + i * axes[0].stride);
  }
  text += ']';
}

/// Some lines of all texts, and their ids: [text][line].
struct Chunk {
  std::vector<std::vector<std::string_view>> lines;
  std::vector<std::vector<std::vector<int32_t>>> ids;
};

class LinePrinter {
 public:
  LinePrinter(const HeedProgram& program, const HeedEntry& entry, std::span<const TextArgument> texts,
              const Tokenizer& tokenizer, const LinesOptions& options, std::FILE* out)
      : program_(program),
        entry_(entry),
        texts_(texts),
        tokenizer_(tokenizer),
        options_(options),
        out_(out) {}

  /// Line i of a chunk, which is example i of the result.
  void Print(const HostTensor& tensor, const Chunk& chunk, size_t i) {
    const std::vector<TableAxis> axes = Axes(tensor, chunk, i);
    const int64_t offset = HasBatch() ? static_cast<int64_t>(i) * (tensor.count() / tensor.shape()[0]) : 0;
    std::string text;
    if (options_.json) {
      AppendJson(text, tensor, axes, offset);
      text += "\n";
    } else if (axes.empty()) {
      text = ElementText(tensor, offset, [&](double value) {
        return options_.precision < 0 ? NineDigits(value) : CellText(value, options_.precision);
      });
      text += "\n";
    } else {
      const int precision = options_.precision < 0 ? 2 : options_.precision;
      const auto cell = [&](int64_t at) {
        return ElementText(tensor, offset + at, [&](double value) { return CellText(value, precision); });
      };
      text = Heading(axes, chunk, i) + TableText(axes, cell, options_.width) + "\n";
    }
    std::fputs(text.c_str(), out_);
  }

 private:
  /// A result that depends on no argument is the same for all lines.
  bool HasBatch() const {
    const HeedTensorInfo& info = entry_.forward->outputs[0];
    return info.rank > 0 && std::string_view(info.dims[0].axis) == "batch";
  }

  /// Those of one example of the result, at its own lengths.
  std::vector<TableAxis> Axes(const HostTensor& tensor, const Chunk& chunk, size_t i) const {
    const HeedTensorInfo& info = entry_.forward->outputs[0];
    std::vector<TableAxis> axes;
    const size_t first = HasBatch() ? 1 : 0;
    for (size_t d = first; d < tensor.shape().size(); ++d) {
      TableAxis& axis = axes.emplace_back();
      axis.name = info.dims[d].axis;
      axis.size = tensor.shape()[d];
      for (size_t t = 0; t < texts_.size(); ++t) {
        if (info.dims[d].extent < 0 || RootOf(axis.name) != texts_[t].axis) continue;
        axis.size = static_cast<int64_t>(chunk.ids[t][i].size());
        axis.words = true;
        for (int32_t id : chunk.ids[t][i]) axis.labels.push_back(TokenLabel(tokenizer_, id));
      }
      const HeedAxis* declared = FindAxis(program_, RootOf(axis.name));
      if (!axis.words && declared != nullptr && declared->enumerator_count == axis.size)
        axis.labels.assign(declared->enumerators, declared->enumerators + declared->enumerator_count);
    }
    int64_t stride = 1;
    for (size_t d = tensor.shape().size(); d-- > first; stride *= tensor.shape()[d])
      axes[d - first].stride = stride;
    return axes;
  }

  /// "scores[seq 6, seq' 6]  the cat sat on the mat"
  std::string Heading(const std::vector<TableAxis>& axes, const Chunk& chunk, size_t i) const {
    std::string text = entry_.name;
    for (size_t a = 0; a < axes.size(); ++a)
      text += (a == 0 ? "[" : ", ") + axes[a].name + " " + std::to_string(axes[a].size);
    text += "] ";
    for (size_t t = 0; t < texts_.size(); ++t)
      text += (t == 0 ? " " : " | ") + Shortened(std::string(chunk.lines[t][i]), options_.width);
    return text + "\n";
  }

  const HeedProgram& program_;
  const HeedEntry& entry_;
  std::span<const TextArgument> texts_;
  const Tokenizer& tokenizer_;
  const LinesOptions& options_;
  std::FILE* out_;
};

}  // namespace

Status ComputeOnLines(Engine& engine, const HeedEntry& entry, std::span<const TextArgument> texts,
                      std::span<const std::string> paths, const Tokenizer& tokenizer,
                      const Parameters& parameters, const LinesOptions& options, std::FILE* out) {
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
  std::vector<TextEnds> ends;
  for (const TextArgument& text : texts) ends.push_back(EndsOf(engine.program(), text).With(options.ends));
  const HeedFunction& function = *entry.forward;
  LinePrinter printer(engine.program(), entry, texts, tokenizer, options, out);
  for (size_t begin = 0; begin < lines[0].size();) {
    Chunk chunk{std::vector<std::vector<std::string_view>>(texts.size()),
                std::vector<std::vector<std::vector<int32_t>>>(texts.size())};
    std::vector<int64_t> numbers;
    size_t end = begin;
    for (int64_t longest = 0; end < lines[0].size(); ++end) {
      std::vector<std::vector<int32_t>> row;
      int64_t tokens = 0;
      for (size_t t = 0; t < texts.size(); ++t) {
        row.push_back(LineIds(tokenizer, lines[t][end], ends[t]));
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
      for (size_t t = 0; t < texts.size(); ++t) {
        chunk.ids[t].push_back(std::move(row[t]));
        chunk.lines[t].push_back(lines[t][end]);
      }
      numbers.push_back(static_cast<int64_t>(end));
    }
    std::vector<Rows> rows;
    for (const auto& column : chunk.ids) rows.emplace_back(column.begin(), column.end());
    auto results = engine.Call(function, TextInputs(function, texts, rows, numbers), parameters, nullptr, {});
    if (!results) return results.error();
    const HostTensor& tensor = results->find(function.outputs[0].name)->second;
    for (size_t i = 0; i < numbers.size(); ++i) printer.Print(tensor, chunk, i);
    begin = end;
  }
  return Done{};
}

}  // namespace heed
