#include "backend/plan/expand.h"

#include <limits>

#include "ir/op.h"
#include "runtime/abi_names.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::OpKind;

namespace {

/// exp(x - largest) where the mask holds, else 0, and its sum; the row's largest element is taken off first
/// so that nothing overflows, unless it is infinite or there is none. An empty row has sum 0 and `divisor` 1.
struct Exponentials {
  NodeId largest, centered, exponential, sum, divisor;
};
Exponentials MakeExponentials(Graph& graph, NodeId x, const ir::AxisList& axes, NodeId mask) {
  const NodeId largest = graph.Reduce(OpKind::Max, x, axes, mask);
  const NodeId infinity = graph.Const(std::numeric_limits<double>::infinity());
  const NodeId finite = graph.Pointwise(OpKind::Lt, {graph.Pointwise(OpKind::Abs, {largest}), infinity});
  Exponentials made;
  made.largest = graph.Select(finite, largest, graph.Const(0.0));
  made.centered = graph.Sub(x, made.largest);
  const NodeId exponential = graph.Pointwise(OpKind::Exp, {made.centered});
  made.exponential = mask ? graph.Select(mask, exponential, graph.Const(0.0)) : exponential;
  made.sum = graph.Reduce(OpKind::Sum, exponential, axes, mask);
  const NodeId some = graph.Pointwise(OpKind::Gt, {made.sum, graph.Const(0.0)});
  made.divisor = mask ? graph.Select(some, made.sum, graph.Const(1.0)) : made.sum;
  return made;
}

/// The number of elements that are there and come before each.
NodeId ExpandRank(Graph& graph, NodeId x, const AxisList& axes, NodeId mask) {
  const auto point = [&](OpKind op, NodeId a, NodeId b) { return graph.Pointwise(op, {a, b}); };
  x = graph.Broadcast(x, axes);
  AxisList have = graph.axes_of(x), others;
  if (mask) have = ir::Union(have, graph.axes_of(mask));
  std::vector<std::pair<Axis, Axis>> renames;
  for (Axis axis : axes) {
    int number = 1;
    while (ir::Contains(have, axis.Fresh(number))) ++number;
    others.push_back(axis.Fresh(number));
    have.push_back(others.back());
    renames.emplace_back(axis, others.back());
  }
  const NodeId y = graph.Rename(x, renames);
  NodeId earlier;  // in the order of rows: the first axis counts most
  for (size_t i = axes.size(); i-- > 0;) {
    const NodeId here = graph.Positions(axes[i]), there = graph.Positions(others[i]);
    const NodeId lower = point(OpKind::Lt, there, here);
    earlier = earlier ? point(OpKind::Or, lower, graph.And(point(OpKind::Eq, there, here), earlier)) : lower;
  }
  NodeId before = point(OpKind::Or, point(OpKind::Gt, y, x), graph.And(point(OpKind::Eq, y, x), earlier));
  if (graph.type(x).dtype == ir::DType::Float) {
    const NodeId none = point(OpKind::Ne, x, x), number = point(OpKind::Eq, y, y);
    before = point(OpKind::Or, before, graph.And(none, point(OpKind::Or, number, earlier)));
  }
  return graph.Reduce(OpKind::Sum, before, others, mask ? graph.Rename(mask, renames) : NodeId{});
}

}  // namespace

/// A cache that nothing else reads, written and given back under its name: its memory is updated in place.
bool IsInPlace(const Graph& graph, NodeId id, const std::vector<std::vector<NodeId>>& users) {
  const Node& node = graph[id];
  const Node& cache = graph[node.inputs[0]];
  return cache.op == OpKind::Input && cache.attributes.name.starts_with(kCachePrefix) &&
         graph.Output(cache.attributes.name) == id && users[node.inputs[0].value].size() == 1;
}

Graph Expand(const Graph& graph) {
  const std::vector<std::vector<NodeId>> users = graph.Users();
  return ir::Rebuild(
      graph, [&](Graph& copy, NodeId id, const Node& node, const std::vector<NodeId>& inputs) -> NodeId {
        const ir::Attributes& attributes = node.attributes;
        switch (node.op) {
          case OpKind::Softmax: {
            const NodeId mask = inputs.size() > 1 ? inputs[1] : NodeId{};
            const Exponentials e = MakeExponentials(copy, inputs[0], attributes.axes, mask);
            return copy.Div(e.exponential, e.divisor);
          }
          case OpKind::LogSoftmax: {
            const NodeId mask = inputs.size() > 1 ? inputs[1] : NodeId{};
            const Exponentials e = MakeExponentials(copy, inputs[0], attributes.axes, mask);
            const NodeId value = copy.Sub(e.centered, copy.Pointwise(OpKind::Log, {e.divisor}));
            return mask ? copy.Select(mask, value, copy.Const(-std::numeric_limits<double>::infinity()))
                        : value;
          }
          case OpKind::LogSumExp: {
            const NodeId mask = inputs.size() > 1 ? inputs[1] : NodeId{};
            const Exponentials e = MakeExponentials(copy, inputs[0], attributes.axes, mask);
            return copy.Add(copy.Pointwise(OpKind::Log, {e.sum}), e.largest);
          }
          case OpKind::Rank:
            return ExpandRank(copy, inputs[0], attributes.axes, inputs.size() > 1 ? inputs[1] : NodeId{});
          case OpKind::Onehot: {
            const NodeId hit = copy.Pointwise(OpKind::Eq, {inputs[0], copy.Positions(attributes.axis)});
            return copy.Select(hit, copy.Const(1.0), copy.Const(0.0));
          }
          case OpKind::Contract:
          case OpKind::Attention:
          case OpKind::AttentionGrad: {  // kernels multiply floats
            std::vector<NodeId> floats = inputs;
            for (size_t i = 0; i < (node.op == OpKind::Contract ? 2 : 3); ++i)
              if (copy.type(floats[i]).dtype != ir::DType::Float)
                floats[i] = copy.Pointwise(OpKind::Cast, {floats[i]});
            return floats == inputs ? NodeId{} : copy.Make(node.op, std::move(floats), attributes);
          }
          case OpKind::GroupedContract: {
            std::vector<NodeId> floats = inputs;
            for (size_t i = 0; i < floats.size(); ++i)
              if (i != 1 && copy.type(floats[i]).dtype != ir::DType::Float)
                floats[i] = copy.Pointwise(OpKind::Cast, {floats[i]});
            return floats == inputs ? NodeId{} : copy.Make(node.op, std::move(floats), attributes);
          }
          case OpKind::Write: {
            if (IsInPlace(graph, id, users)) return {};
            const NodeId hit = copy.Pointwise(OpKind::Eq, {inputs[2], copy.Positions(attributes.axis)});
            return copy.Select(hit, inputs[1], inputs[0]);
          }
          default:
            return {};
        }
      });
}

}  // namespace heed::backend
