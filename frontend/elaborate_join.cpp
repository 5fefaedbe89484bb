// `join[a, b -> c](x, y)`: values end to end along an axis of their own. It is written as what it means: at
// each element of `c`, a read of the value that has it.
#include <algorithm>

#include "frontend/elaborate.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;
using ir::NodeId;
using ir::OpKind;

/// A join while it is checked.
struct Elaborator::Joining {
  const Expr& expr;
  const Expr& arrow;  ///< its axes: those of the values, and the one of the result
  Frame& frame;
  std::vector<Value> values;
  AxisList parts;  ///< of each value
  Axis whole;

  Loc loc_of(size_t i) const { return expr.children[i + 1]->loc; }
};

Value Elaborator::Join(const Expr& expr, Frame& frame) {
  Joining join{.expr = expr, .arrow = *expr.children[0], .frame = frame};
  for (size_t i = 1; i < expr.children.size(); ++i) join.values.push_back(Eval(*expr.children[i], frame));
  if (join.values.size() != join.arrow.items.size() || join.arrow.targets.size() != 1) return {};
  for (const AxisItem& item : join.arrow.items) {
    const auto axis = Single(frame, item);
    if (!axis) return {};
    join.parts.push_back(*axis);
  }
  const auto whole = Single(frame, join.arrow.targets[0]);
  if (!whole) return {};
  join.whole = *whole;
  if (!JoinsAxes(join) || !Unite(frame, "`join`", expr, join.values)) return {};
  return Joined(join);
}

bool Elaborator::JoinsAxes(const Joining& join) {
  const Frame& frame = join.frame;
  AxisList axes = join.parts;
  axes.push_back(join.whole);
  int64_t sum = 0;
  std::string sizes;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes_->IsDynamic(axes[i])) {
      const AxisItem& item = i < join.parts.size() ? join.arrow.items[i] : join.arrow.targets[0];
      Report(
          frame, DiagnosticKind::DynamicAxis, item.loc,
          "`" + Show(frame, axes[i]) + "` has a length of its own in each example; join needs static axes");
      return false;
    }
    if (i == join.parts.size()) break;
    sum += axes_->Bound(axes[i]);
    sizes += (sizes.empty() ? "" : " + ") + std::to_string(axes_->Bound(axes[i]));
  }
  if (sum != axes_->Bound(join.whole)) {
    Report(frame, DiagnosticKind::ChangesSize, join.arrow.op_loc,
           "`" + Show(frame, join.whole) + "` has " + std::to_string(axes_->Bound(join.whole)) +
               " elements; the joined axes have " + sizes + " = " + std::to_string(sum));
    return false;
  }
  for (size_t i = 0; i < join.values.size(); ++i) {
    const Value& value = join.values[i];
    if (!Check(frame, value, Need::Any, join.loc_of(i), "`join`")) return false;
    if (!ir::Contains(value.order, join.parts[i])) {
      Report(frame, DiagnosticKind::MissingAxis, join.loc_of(i),
             "this is joined along `" + Show(frame, join.parts[i]) + "`, which it does not have")
          .labels.push_back({join.loc_of(i), "has " + Show(frame, value.order)});
      return false;
    }
    if (join.parts[i] == join.whole || !ir::Contains(value.order, join.whole)) continue;
    Report(frame, DiagnosticKind::AxisClash, join.loc_of(i),
           "joining to `" + Show(frame, join.whole) +
               "`, which the value has already: " + Show(frame, value.order));
    return false;
  }
  return true;
}

Value Elaborator::Joined(const Joining& join) {
  SetOrigin(join.frame, join.expr.loc);
  const NodeId place = graph_->Positions(join.whole);
  NodeId result;
  AxisList order;
  int64_t end = axes_->Bound(join.whole);
  for (size_t i = join.values.size(); i-- > 0;) {
    const Value& value = join.values[i];
    const Axis part = join.parts[i];
    const int64_t begin = end - axes_->Bound(part);
    // What is read has a name that the index cannot have.
    const Axis read = part == join.whole ? Another(part, value.order) : part;
    const NodeId table = read == part ? value.node : graph_->Rename(value.node, {{part, read}});
    const NodeId index = graph_->Make(OpKind::Element, {graph_->Sub(place, graph_->ConstInt(begin))},
                                      {.indexes = part.root()});
    const NodeId rows = graph_->Make(OpKind::Gather, {table, index}, {.axis = read});
    const NodeId earlier = graph_->Pointwise(OpKind::Lt, {place, graph_->ConstInt(end)});
    result = result ? graph_->Pointwise(OpKind::Select, {earlier, rows, result}) : rows;
    AxisList own = value.order;
    std::replace(own.begin(), own.end(), part, join.whole);
    order = ir::ContainsAll(own, order) ? own : ir::Union(order, own);
    end = begin;
  }
  Value made = Tensor(result, order);
  if (ElementOf(made))
    for (const Value& value : join.values) made.reads = ir::Union(made.reads, value.reads);
  return made;
}

}  // namespace heed::frontend
