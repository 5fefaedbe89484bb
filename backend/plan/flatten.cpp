// Loops that copy, and loop axes that are walked as one.
#include <algorithm>

#include "backend/plan/build_loop.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using Kind = LoopValue::Kind;

LoopKernel BuildCopy(const Layout& layout, const View& from, const View& to, const AxisList& axes) {
  LoopKernel kernel;
  LoopOperand source{from.base, from.dtype, {}}, target{to.base, to.dtype, {}};
  for (Axis axis : axes) {
    kernel.outer.push_back(layout.ExtentOf(axis));
    source.strides.push_back(from.Stride(axis));
    target.strides.push_back(to.Stride(axis));
  }
  if (!kernel.outer.empty()) {
    kernel.inner.push_back(kernel.outer.back());
    kernel.outer.pop_back();
  }
  kernel.operands = {source, target};
  LoopValue load{.kind = Kind::Load, .dtype = from.dtype, .row = kernel.inner.empty()};
  load.operand = 0;
  kernel.values.push_back(load);
  if (kernel.inner.empty()) {
    kernel.row_stores.push_back({0, 1});
  } else {
    kernel.stages.push_back({{}, {{0, 1}}});
  }
  Flatten(kernel);
  return kernel;
}

void Flatten(LoopKernel& kernel) {
  const size_t lanes = kernel.column ? 1 : 0;
  // May axis i and i + 1 (kernel numbering) be walked as one?
  const auto joins = [&](size_t i, const Size& inner_extent) {
    for (const LoopValue& value : kernel.values) {
      if (value.kind == Kind::Position &&
          (value.axis == static_cast<int>(i) || value.axis == static_cast<int>(i) + 1)) {
        return false;
      }
    }
    for (const LoopOperand& operand : kernel.operands) {
      if (!(operand.strides[i] == operand.strides[i + 1] * inner_extent)) return false;
    }
    return true;
  };
  const auto drop = [&](size_t i) {  // the strides of i + 1 stay
    for (LoopOperand& operand : kernel.operands) operand.strides.erase(operand.strides.begin() + i);
    for (LoopValue& value : kernel.values) {
      if (value.kind == Kind::Position && value.axis > static_cast<int>(i)) --value.axis;
    }
  };
  const auto flatten = [&](std::vector<Size>& extents, size_t begin) {
    for (size_t i = 0; i + 1 < extents.size();) {
      if (!joins(begin + i, extents[i + 1])) {
        ++i;
        continue;
      }
      extents[i + 1] = extents[i] * extents[i + 1];
      extents.erase(extents.begin() + i);
      drop(begin + i);
    }
  };
  flatten(kernel.outer, 0);
  if (kernel.column) {
    while (!kernel.outer.empty() && joins(kernel.outer.size() - 1, kernel.lane)) {
      const size_t at = kernel.outer.size() - 1;
      kernel.lane = kernel.outer.back() * kernel.lane;
      kernel.outer.pop_back();
      drop(at);
    }
  }
  bool reduces = false;
  for (const LoopStage& stage : kernel.stages) reduces |= !stage.reductions.empty();
  // In a row of several axes the place of an element decides which lane adds it: only a column may be
  // flattened without changing the order of additions, but that order is ours to choose as long as it is
  // fixed.
  flatten(kernel.inner, kernel.outer.size() + lanes);
  if (!reduces && !kernel.column && kernel.scratch_rows == 0 && kernel.row_stores.empty()) {
    while (kernel.inner.size() == 1 && !kernel.outer.empty() &&
           joins(kernel.outer.size() - 1, kernel.inner[0])) {
      const size_t at = kernel.outer.size() - 1;
      kernel.inner[0] = kernel.outer.back() * kernel.inner[0];
      kernel.outer.pop_back();
      drop(at);
    }
  }
}

}  // namespace heed::backend
