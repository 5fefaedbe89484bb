// See result_printer.h.
#include "runtime/commands/result_printer.h"

#include <cmath>

#include "runtime/engine/program.h"

namespace heed {

std::string NineDigits(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

ResultPrinter::ResultPrinter(const HeedProgram& program, const HeedEntry& entry, const ResultOptions& options,
                             std::FILE* out)
    : program_(program), entry_(entry), options_(options), out_(out) {
  const HeedAxis* axis = entry.indexes != nullptr ? FindAxis(program, entry.indexes) : nullptr;
  if (axis != nullptr && axis->enumerator_count > 0) names_ = axis;
}

bool ResultPrinter::HasBatch() const {
  const HeedTensorInfo& info = entry_.forward->outputs[0];
  return info.rank > 0 && std::string_view(info.dims[0].axis) == "batch";
}

template <typename Number>
std::string ResultPrinter::ElementText(const HostTensor& tensor, int64_t index, Number number) const {
  const auto i = static_cast<size_t>(index);
  if (tensor.dtype() == kHeedInt32) {
    const int32_t value = tensor.ints()[i];
    if (names_ != nullptr && value >= 0 && value < names_->enumerator_count)
      return names_->enumerators[value];
    return std::to_string(value);
  }
  if (tensor.dtype() == kHeedBool8)
    return static_cast<const uint8_t*>(tensor.data())[i] != 0 ? "true" : "false";
  return number(static_cast<double>(tensor.floats()[i]));
}

void ResultPrinter::AppendJson(std::string& text, const HostTensor& tensor, std::span<const TableAxis> axes,
                               int64_t offset) const {
  if (axes.empty()) {
    const char* const quote = names_ != nullptr ? "\"" : "";
    text += quote +
            ElementText(tensor, offset,
                        [](double value) { return std::isfinite(value) ? NineDigits(value) : "null"; }) +
            quote;
    return;
  }
  text += '[';
  for (int64_t i = 0; i < axes[0].size; ++i) {
    if (i > 0) text += ", ";
    AppendJson(text, tensor, axes.subspan(1), offset + i * axes[0].stride);
  }
  text += ']';
}

void ResultPrinter::Print(const HostTensor& tensor, int64_t row, const ShownExample& example) const {
  const std::vector<TableAxis> axes = Axes(tensor, example);
  const int64_t offset = HasBatch() ? row * (tensor.count() / tensor.shape()[0]) : 0;
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
    text = Heading(axes, example) + TableText(axes, cell, options_.width) + "\n";
  }
  std::fwrite(text.data(), 1, text.size(), out_);
}

/// Those of one example of the result, at its own lengths.
std::vector<TableAxis> ResultPrinter::Axes(const HostTensor& tensor, const ShownExample& example) const {
  const HeedTensorInfo& info = entry_.forward->outputs[0];
  std::vector<TableAxis> axes;
  const size_t first = HasBatch() ? 1 : 0;
  for (size_t d = first; d < tensor.shape().size(); ++d) {
    TableAxis& axis = axes.emplace_back();
    axis.name = info.dims[d].axis;
    axis.size = tensor.shape()[d];
    const std::string root = RootOf(axis.name);
    if (info.dims[d].extent >= 0) {
      if (const auto length = example.lengths.find(root); length != example.lengths.end())
        axis.size = length->second;
      if (const auto words = example.words.find(root); words != example.words.end()) {
        axis.words = true;
        axis.labels = words->second;
      }
    }
    const HeedAxis* declared = FindAxis(program_, root);
    if (!axis.words && declared != nullptr && declared->enumerator_count == axis.size)
      axis.labels.assign(declared->enumerators, declared->enumerators + declared->enumerator_count);
  }
  int64_t stride = 1;
  for (size_t d = tensor.shape().size(); d-- > first; stride *= tensor.shape()[d])
    axes[d - first].stride = stride;
  return axes;
}

/// "scores[seq 6, seq' 6]  the cat sat on the mat"
std::string ResultPrinter::Heading(const std::vector<TableAxis>& axes, const ShownExample& example) const {
  std::string text = entry_.name;
  for (size_t a = 0; a < axes.size(); ++a)
    text += (a == 0 ? "[" : ", ") + axes[a].name + " " + std::to_string(axes[a].size);
  return text + "]  " + example.text + "\n";
}

}  // namespace heed
