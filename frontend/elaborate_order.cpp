// `rank`: a reduction that is written in terms of others.
#include "frontend/elaborate.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;
using ir::DType;
using ir::NodeId;
using ir::OpKind;

/// How many elements of its row come before each: larger ones, equal ones at a lower position, and every
/// number before what is none. Where the mask does not hold, the number of all elements.
NodeId Elaborator::Rank(NodeId x, const AxisList& axes, NodeId mask) {
  AxisList have = graph_->axes_of(x);
  if (mask) have = ir::Union(have, graph_->axes_of(mask));
  std::vector<std::pair<Axis, Axis>> renames;
  AxisList others;
  for (Axis axis : axes) {
    const Axis other = Another(axis, have);
    have.push_back(other);
    renames.emplace_back(axis, other);
    others.push_back(other);
  }
  const auto point = [&](OpKind op, std::vector<NodeId> inputs) {
    return graph_->Pointwise(op, std::move(inputs));
  };
  const NodeId y = graph_->Rename(x, renames);
  NodeId earlier;  // in the order of rows: the first axis counts most
  for (size_t i = axes.size(); i-- > 0;) {
    const NodeId here = graph_->Positions(axes[i]), there = graph_->Positions(others[i]);
    const NodeId lower = point(OpKind::Lt, {there, here});
    earlier =
        earlier ? point(OpKind::Or, {lower, point(OpKind::And, {point(OpKind::Eq, {there, here}), earlier})})
                : lower;
  }
  NodeId before = point(
      OpKind::Or, {point(OpKind::Gt, {y, x}), point(OpKind::And, {point(OpKind::Eq, {y, x}), earlier})});
  if (graph_->type(x).dtype == DType::Float) {
    const NodeId none = point(OpKind::Ne, {x, x}), number = point(OpKind::Eq, {y, y});
    before = point(OpKind::Or, {before, point(OpKind::And, {none, point(OpKind::Or, {number, earlier})})});
  }
  const NodeId rank =
      graph_->Reduce(OpKind::Sum, before, others, mask ? graph_->Rename(mask, renames) : NodeId{});
  if (!mask) return rank;
  NodeId all = graph_->ConstInt(1);
  for (Axis axis : axes)
    all = point(OpKind::Mul, {all, axes_->IsDynamic(axis) ? graph_->Length(axis.root())
                                                          : graph_->ConstInt(axes_->Bound(axis))});
  return point(OpKind::Select, {mask, rank, all});
}

}  // namespace heed::frontend
