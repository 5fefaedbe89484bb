// Every check is -infinity, or the largest wrong value of its example.
#include "runtime/engine/checks.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "runtime/engine/bound_call.h"

namespace heed {
namespace {

std::string ValueText(float value) {
  if (std::isnan(value)) return "no number";
  char text[32];
  const bool whole = value == std::floor(value) && std::abs(value) < 1e10f;
  std::snprintf(text, sizeof text, whole ? "%.0f" : "%.6g", static_cast<double>(value));
  return text;
}

}  // namespace

CheckOutputs::CheckOutputs(BoundCall& call, std::span<const int64_t> extents) : function_(&call.function()) {
  for (int64_t i = 0; i < function_->check_count; ++i) {
    const int64_t number = function_->checks[i].output;
    const HeedTensorInfo& info = function_->outputs[number];
    std::vector<int64_t> shape;
    for (int64_t d = 0; d < info.rank; ++d) {
      const HeedDim& dim = info.dims[d];
      shape.push_back(dim.extent < 0 ? dim.size : extents[static_cast<size_t>(dim.extent)]);
    }
    values_.push_back(HostTensor::Unset(kHeedFloat32, shape));
    call.SetOutput(number, values_.back().data());
  }
}

Status CheckOutputs::Outcome(int64_t rows, const std::function<std::string(int64_t)>& name_of) const {
  for (size_t i = 0; i < values_.size(); ++i) {
    const std::span<const float> values = values_[i].floats();
    const bool each = !values_[i].shape().empty();
    const int64_t count = each ? std::min<int64_t>(rows, static_cast<int64_t>(values.size())) : 1;
    for (int64_t row = 0; row < count; ++row) {
      const float value = values[static_cast<size_t>(row)];
      if (std::isinf(value) && value < 0) continue;
      const HeedCheck& check = function_->checks[i];
      std::string text = check.what;
      if (const size_t at = text.find("%s"); at != std::string::npos) text.replace(at, 2, ValueText(value));
      // The innermost place that is the author's.
      std::string where = check.where;
      constexpr std::string_view kCaller = " < ";
      while (where.starts_with("prelude:") && where.find(kCaller) != std::string::npos)
        where.erase(0, where.find(kCaller) + kCaller.size());
      where = where.substr(0, where.find(kCaller));
      const std::string example = name_of ? name_of(row) : "example " + std::to_string(row) + " of its batch";
      return Error{where + ": " + text + (each ? " (" + example + ")" : "")};
    }
  }
  return Done{};
}

}  // namespace heed
