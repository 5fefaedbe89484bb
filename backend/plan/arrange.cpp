// See arrange.h.
#include "backend/plan/arrange.h"

#include <algorithm>

#include "backend/plan/cost.h"

namespace heed::backend {

using ir::DType;
using Kind = LoopValue::Kind;

namespace {

double CostOf(const LoopValue& value) {
  switch (value.kind) {
    case Kind::Keep:
    case Kind::Gumbel:
      return 10;
    case Kind::Load:
      return 1;
    case Kind::Gather:
      return 2;
    case Kind::Op:
      return CostOfOp(value.op).between;
    case Kind::Const:
    case Kind::Position:
    case Kind::Extent:
    case Kind::Reduced:
      return 0;
  }
  return 0;
}

// A value of one stage that a later one needs is kept in scratch if computing it again costs more than this.
constexpr double kSpillAbove = 3;

}  // namespace

Arranger::Arranger(std::vector<LoopValue> raw, LoopKernel& kernel, size_t inner_begin)
    : raw_(std::move(raw)), kernel_(kernel), inner_begin_(inner_begin) {
  row_.resize(raw_.size());
  level_.resize(raw_.size());
  cost_.resize(raw_.size());
}

void Arranger::Measure(const std::vector<int>& reduction_level) {
  for (size_t i = 0; i < raw_.size(); ++i) {
    const LoopValue& value = raw_[i];
    bool row = true;
    int level = 0;
    double cost = CostOf(value);
    for (int argument : value.args) {
      row &= row_[argument];
      level = std::max(level, level_[argument]);
      if (!row_[argument]) cost += cost_[argument];
    }
    if (value.kind == Kind::Position) row = value.axis < static_cast<int>(inner_begin_);
    if (value.kind == Kind::Load || value.kind == Kind::Gather) {
      const LoopOperand& operand = kernel_.operands[value.operand];
      for (size_t axis = inner_begin_; axis < operand.strides.size(); ++axis)
        row &= operand.strides[axis].IsZero();
    }
    if (value.kind == Kind::Reduced) level = reduction_level[value.reduction] + 1;
    row_[i] = row;
    level_[i] = level;
    cost_[i] = std::min(cost, 1e6);
  }
}

int Arranger::Place(int raw, int stage) {
  const int slot = row_[raw] ? -1 : stage;
  if (auto found = placed_.find({raw, slot}); found != placed_.end()) return found->second;
  if (!row_[raw] && cost_[raw] > kSpillAbove && raw_[raw].dtype == DType::Float) {
    for (int earlier = 0; earlier < stage; ++earlier) {
      const auto found = placed_.find({raw, earlier});
      if (found == placed_.end()) continue;
      return placed_[{raw, slot}] = Spilled(raw, earlier, found->second);
    }
  }
  LoopValue value = raw_[raw];
  value.row = row_[raw];
  for (int& argument : value.args) argument = Place(argument, stage);
  kernel_.values.push_back(std::move(value));
  return placed_[{raw, slot}] = static_cast<int>(kernel_.values.size()) - 1;
}

int Arranger::Spilled(int raw, int stage, int value) {
  auto [found, fresh] = spill_.try_emplace(raw, -1);
  if (fresh) {
    LoopOperand operand{{}, DType::Float, std::vector<Size>(AxisCount(), Size{.factor = 0})};
    Size stride;
    for (size_t axis = AxisCount(); axis-- > inner_begin_;) {
      operand.strides[axis] = stride;
      stride = stride * kernel_.inner[axis - inner_begin_];
    }
    kernel_.operands.push_back(std::move(operand));
    ++kernel_.scratch_rows;
    found->second = static_cast<int>(kernel_.operands.size()) - 1;
    kernel_.stages[stage].stores.push_back({value, found->second});
  }
  LoopValue load{.kind = Kind::Load, .dtype = DType::Float};
  load.operand = found->second;
  kernel_.values.push_back(load);
  return static_cast<int>(kernel_.values.size()) - 1;
}

}  // namespace heed::backend
