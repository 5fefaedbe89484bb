// Attention and its gradient: operands as the kernel walks them, captures, and memory for gradients.
#include <algorithm>

#include "backend/plan/build_loop.h"
#include "backend/plan/planner.h"
#include "ir/attention_operands.h"
#include "ir/op.h"
#include "runtime/kernels/heed_kernels.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::InternalError;
using ir::Node;
using ir::NodeId;
using ir::OpKind;

View Planner::Walkable(NodeId id, const AxisList& innermost, bool has_gradient) {
  const View& own = Memory(id);
  const AxisList& axes = graph_.axes_of(id);
  const auto repeated = [&](Axis axis) {
    return own.Stride(axis).IsZero() && !(layout_.ExtentOf(axis) == Size{});
  };
  if (LieAdjacent(own, innermost) && !(has_gradient && std::any_of(axes.begin(), axes.end(), repeated)))
    return own;
  AxisList order = ir::Minus(ir::Union(ir::Intersection(layout_.OrderOf(id), axes), axes), innermost);
  order.insert(order.end(), innermost.begin(), innermost.end());
  View to{.dtype = own.dtype};
  Size stride;
  for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
    to.strides.insert(to.strides.begin(), {*axis, stride});
    stride = stride * layout_.ExtentOf(*axis);
  }
  CopyTo(to, id);
  return to;
}

bool Planner::LieAdjacent(const View& view, const AxisList& axes) const {
  if (axes.empty()) return true;
  Size next = view.Stride(axes.back());
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    if (!(view.Stride(*axis) == next)) return false;
    next = next * layout_.ExtentOf(*axis);
  }
  return true;
}

Size Planner::OneStride(const View& view, const AxisList& axes, NodeId id) const {
  if (!LieAdjacent(view, axes))
    throw InternalError("axes of an attention do not lie adjacent: " + Text(OriginOf(id)));
  return axes.empty() ? Size{} : view.Stride(axes.back());
}

Base Planner::LyingLike(const View& view, NodeId id) {
  const View& own = Memory(id);
  const AxisList& axes = graph_.axes_of(id);
  if (std::all_of(axes.begin(), axes.end(), [&](Axis axis) { return own.Stride(axis) == view.Stride(axis); }))
    return own.base;
  View to = view;
  CopyTo(to, id);
  return to.base;
}

void Planner::CopyTo(View& to, NodeId id) {
  const AxisList& axes = graph_.axes_of(id);
  const View own = Memory(id);
  Buffer buffer;
  buffer.dtype = own.dtype;
  buffer.elements = layout_.Elements(axes);
  plan_.buffers.push_back(buffer);
  to.base = Base{.buffer = static_cast<int>(plan_.buffers.size()) - 1};
  AddStep(id, BuildCopy(layout_, own, to, OrderOfStrides(to, axes)));
}

Axis Planner::QueryOf(const Node& node) const {
  const ir::Attributes& at = node.attributes;
  Axis query = at.query;
  if (query) return query;
  using Operands = ir::AttentionOperands;
  const AxisList &q_axes = graph_.axes_of(node.inputs[Operands::kQuery]),
                 &k_axes = graph_.axes_of(node.inputs[Operands::kKey]),
                 &v_axes = graph_.axes_of(node.inputs[Operands::kValue]);
  for (Axis axis : ir::Minus(at.to, {at.axis})) {
    if (ir::Contains(k_axes, axis) || ir::Contains(v_axes, axis) || !ir::Contains(q_axes, axis)) continue;
    if (graph_.axes().IsLifted(axis)) continue;
    if (!query || graph_.axes().Bound(axis) > graph_.axes().Bound(query)) query = axis;
  }
  return query;
}

void Planner::Attention(const std::vector<NodeId>& results) {
  const Node& node = graph_[results[0]];
  const ir::Attributes& at = node.attributes;
  const ir::AttentionOperands operands(at);
  const AxisList value_axes =
      ir::Minus(ir::Minus(graph_.axes_of(node.inputs[operands.kValue]), at.to), {at.axis});
  AttentionStep attention;
  attention.backward = node.op == OpKind::AttentionGrad;
  std::vector<View> views;
  for (NodeId in : node.inputs) views.push_back(Memory(in));
  for (size_t i : {operands.kQuery, operands.kKey, operands.kValue})
    views[i] = Walkable(node.inputs[i], i == operands.kValue ? value_axes : at.axes, attention.backward);
  View o, lse;
  if (attention.backward) {
    o = views[operands.output()];
    lse = views[operands.log_sum_exp()];
  }
  for (NodeId id : results) {
    const size_t index = static_cast<size_t>(graph_[id].attributes.index);
    if (attention.backward) {
      if (operands.IsCapture(index)) continue;
      // The kernel writes gradients with the strides of what they are gradients of.
      layout_.AllocateLike(id, views[index]);
      (index == operands.kQuery ? attention.dq
       : index == operands.kKey ? attention.dk
                                : attention.dv) = layout_.ViewOf(id).base;
    } else {
      layout_.Allocate(id);
      (index == 0 ? o : lse) = layout_.ViewOf(id);
    }
  }
  attention.regions = at.regions;
  attention.query_axis = QueryOf(node);
  attention.key_axis = at.axis;
  attention.split = !at.regions->term && attention.query_axis &&
                    SplitPays({attention.query_axis}, {attention.key_axis}, at.axes);
  WalkOperands(results[0], views, o, lse, value_axes, attention);
  if (attention.backward) attention.d_o = LyingLike(o, node.inputs[operands.d_output()]);
  if (attention.backward && node.inputs.size() > operands.backward())
    attention.d_lse = LyingLike(lse, node.inputs[operands.d_log_sum_exp()]);
  WalkCaptures(node, views, attention);
  for (NodeId id : results) {
    if (attention.backward && operands.IsCapture(static_cast<size_t>(graph_[id].attributes.index)))
      attention.gradients.push_back(CaptureGradient(id, attention, at.axes));
  }
  if (!attention.backward) KeepUnread(attention);
  AddStep(results[0], std::move(attention));
}

void Planner::WalkOperands(NodeId result, const std::vector<View>& views, const View& o, const View& lse,
                           const AxisList& value_axes, AttentionStep& attention) {
  const ir::Attributes& at = graph_[result].attributes;
  const Axis query = attention.query_axis, key = attention.key_axis;
  using Operands = ir::AttentionOperands;
  const View &q = views[Operands::kQuery], &k = views[Operands::kKey], &v = views[Operands::kValue];
  const auto along_query = [&](const View& view) { return query ? view.Stride(query) : kZero; };
  attention.q = q.base;
  attention.k = k.base;
  attention.v = v.base;
  attention.o = o.base;
  attention.lse = lse.base;
  attention.queries = query ? layout_.ExtentOf(query) : Size{};
  attention.keys = layout_.ExtentOf(key);
  attention.dots = layout_.Elements(at.axes);
  attention.values = layout_.Elements(value_axes);
  attention.q_query = along_query(q);
  attention.q_dot = OneStride(q, at.axes, result);
  attention.k_key = k.Stride(key);
  attention.k_dot = OneStride(k, at.axes, result);
  attention.v_key = v.Stride(key);
  attention.v_value = OneStride(v, value_axes, result);
  attention.o_query = along_query(o);
  attention.o_value = o.base.buffer < 0 ? kZero : OneStride(o, value_axes, result);
  attention.lse_query = along_query(lse);
  const AxisList loops = ir::Minus(at.to, {key, query});
  const AxisList ordered = ir::Union(ir::Intersection(layout_.OrderOf(result), loops), loops);
  for (Axis axis : ordered) {
    attention.loops.push_back({layout_.ExtentOf(axis), q.Stride(axis), k.Stride(axis), v.Stride(axis),
                               o.Stride(axis), lse.Stride(axis), axis});
  }
  if (attention.loops.size() > kHeedMaxAxes) throw InternalError("attention over too many axes");
}

void Planner::WalkCaptures(const Node& node, const std::vector<View>& views, AttentionStep& attention) const {
  const AxisList& dots = node.attributes.axes;
  const Axis query = attention.query_axis, key = attention.key_axis;
  const ir::AttentionOperands operands(node.attributes);
  for (size_t c = 0; c < operands.captures(); ++c) {
    const View& view = views[operands.capture(c)];
    AttentionCapture capture{view.base,
                             view.dtype,
                             {},
                             query ? view.Stride(query) : kZero,
                             view.Stride(key),
                             view.Stride(key.Difference()),
                             dots.size() == 1 ? view.Stride(dots[0]) : kZero};
    for (const AttentionLoop& loop : attention.loops) capture.loops.push_back(view.Stride(loop.axis));
    attention.captures.push_back(std::move(capture));
  }
}

void Planner::KeepUnread(AttentionStep& attention) {
  const auto keep = [&](Base& base, const Size& row, Size& along_query, Size AttentionLoop::* along_loop) {
    if (base.buffer >= 0) return false;
    along_query = row;
    Size stride = row * attention.queries;
    for (size_t i = attention.loops.size(); i-- > 0;) {
      attention.loops[i].*along_loop = stride;
      stride = stride * attention.loops[i].extent;
    }
    Buffer buffer;
    buffer.elements = stride;
    plan_.buffers.push_back(buffer);
    base.buffer = static_cast<int>(plan_.buffers.size()) - 1;
    return true;
  };
  if (keep(attention.o, attention.values, attention.o_query, &AttentionLoop::o)) attention.o_value = Size{};
  keep(attention.lse, Size{}, attention.lse_query, &AttentionLoop::lse);
}

AttentionGradient Planner::CaptureGradient(NodeId id, const AttentionStep& attention, const AxisList& dots) {
  const Axis query = attention.query_axis, key = attention.key_axis, differences = key.Difference();
  const AxisList& axes = graph_.axes_of(id);
  AttentionGradient gradient;
  gradient.capture = static_cast<int>(
      ir::AttentionOperands::CaptureNumber(static_cast<size_t>(graph_[id].attributes.index)));
  const bool along_query = query && ir::Contains(axes, query), along_key = ir::Contains(axes, key);
  const bool along_dot = !ir::Intersection(axes, dots).empty();
  gradient.along = along_dot                         ? kHeedAlongDot
                   : ir::Contains(axes, differences) ? kHeedAlongDifference
                   : along_query && along_key        ? kHeedAlongPair
                   : along_query                     ? kHeedAlongQuery
                   : along_key                       ? kHeedAlongKey
                                                     : kHeedAlongNothing;
  AxisList order = ir::Minus(axes, {query, key, differences});
  for (Axis axis : {query, key, differences})
    if (axis && ir::Contains(axes, axis)) order.push_back(axis);
  layout_.AllocateInOrder(id, order);
  const View& view = layout_.ViewOf(id);
  gradient.to = view.base;
  gradient.query = query ? view.Stride(query) : kZero;
  gradient.key = view.Stride(along_dot                                ? dots[0]
                             : gradient.along == kHeedAlongDifference ? differences
                                                                      : key);
  for (const AttentionLoop& loop : attention.loops) gradient.loops.push_back(view.Stride(loop.axis));
  return gradient;
}

}  // namespace heed::backend
