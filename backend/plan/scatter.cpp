// Gradients of look-ups: sums at computed places.
#include "backend/plan/planner.h"
#include "ir/op.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::InternalError;
using ir::Node;
using ir::NodeId;

void Planner::Scatter(NodeId id) {
  const Node& node = graph_[id];
  const ir::Attributes& at = node.attributes;
  const View dy = Memory(node.inputs[0]), index = Memory(node.inputs[1]);
  const NodeId mask = ir::MaskOf(node);
  View mask_view;
  if (mask) mask_view = Memory(mask);
  layout_.Allocate(id);
  const View& out = layout_.ViewOf(id);
  ScatterStep scatter;
  scatter.out = out.base;
  scatter.dy = dy.base;
  scatter.index = index.base;
  if (mask) scatter.mask = mask_view.base;
  scatter.size = layout_.ExtentOf(at.axis);
  scatter.out_stride = out.Stride(at.axis);
  AxisList have = ir::Union(graph_.axes_of(node.inputs[0]), graph_.axes_of(node.inputs[1]));
  if (mask) have = ir::Union(have, graph_.axes_of(mask));
  const auto axis_of = [&](Axis axis) {
    return ScatterAxis{layout_.ExtentOf(axis), out.Stride(axis), dy.Stride(axis), index.Stride(axis),
                       mask ? mask_view.Stride(axis) : kZero};
  };
  for (Axis axis : layout_.OrderOf(id)) {
    if (axis != at.axis) scatter.kept.push_back(axis_of(axis));
  }
  const AxisList summed = ir::Minus(have, ir::Minus(at.to, {at.axis}));
  AxisList order;  // as dy is stored, so that it is read in order
  for (const auto& [axis, stride] : dy.strides) {
    if (ir::Contains(summed, axis)) order.push_back(axis);
  }
  for (Axis axis : ir::Union(order, summed)) scatter.summed.push_back(axis_of(axis));
  AddStep(id, std::move(scatter));
}

}  // namespace heed::backend
