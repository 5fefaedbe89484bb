// Walks a graph backwards, calling each op's own derivative (OpInfo::vjp).
//
// Only values on a way from `wrt` to a seed get cotangents. Slices of one value along one axis are gathered
// into one stack, zeros where missing, instead of a sum of padded slices. The seed of a loss is 1: dividing
// by the sum of `per` is the optimizer's first step, so that gradients of micro-batches add. Left alone: what
// to save and what to compute again; fused ops bring their own derivative.
//
// Where a value is needed only under a condition, its cotangent is 0 elsewhere and so must be what it gives,
// although the value or its derivative may be infinite or no number there: such products are guarded.
#include "passes/grad.h"

#include <cmath>
#include <set>

#include "passes/conditional.h"
#include "passes/context.h"
#include "runtime/abi_names.h"

namespace heed::passes {
namespace {

class Reverse {
 public:
  Reverse(Graph& graph, bool total) : graph_(graph), total_(total) {}

  std::map<NodeId, NodeId> Run(const std::vector<std::pair<NodeId, NodeId>>& seeds,
                               const std::vector<NodeId>& wrt) {
    std::vector<NodeId> roots;
    for (const auto& [value, cotangent] : seeds) {
      roots.push_back(value);
      parts_[value].push_back(cotangent);
    }
    const std::vector<NodeId> order = graph_.Order(roots);
    open_.insert(order.begin(), order.end());
    uses_ = UsesOf(graph_, roots);
    active_.resize(graph_.size());
    for (NodeId id : wrt) active_[id.value] = true;
    for (NodeId id : order)
      if (ir::Info(graph_.op(id)).differentiable)
        for (NodeId input : graph_[id].inputs)
          if (active_[input.value]) active_[id.value] = true;
    const bool outer = std::exchange(graph_.adjoint, true);
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      open_.erase(*it);
      Visit(*it);
    }
    std::map<NodeId, NodeId> result;
    for (NodeId id : wrt)
      if (const NodeId d = Cotangent(id)) result.emplace(id, d);
    graph_.adjoint = outer;
    graph_.origin = {};
    return result;
  }

 private:
  void Visit(NodeId id) {
    if (!active_[id.value]) return;
    const Node& node = graph_[id];
    graph_.origin = node.origin;  // also of the sum of what its users give
    if (node.op == OpKind::Attention) {
      VisitAttention(id);
      return;
    }
    const NodeId d = Cotangent(id);
    if (!d) return;
    if (node.inputs.empty()) return;
    if (node.op == OpKind::Slice) {
      slices_[node.inputs[0]][node.attributes.axis].emplace(node.attributes.index, d);
      return;
    }
    const auto vjp = ir::Info(node.op).vjp;
    if (!vjp) throw InternalError("grad: no derivative of " + std::string(ir::Info(node.op).name));
    std::vector<NodeId> cotangents = vjp(graph_, id, d);
    if (uses_[id.value].kind != Use::Kind::Always) Guard(id, d, cotangents);
    for (size_t i = 0; i < cotangents.size() && i < node.inputs.size(); ++i)
      Give(node.inputs[i], cotangents[i]);
  }

  /// Output and log-sum-exp are results of one computation, and so are the cotangents of what they are made
  /// of: they are made when the cotangents of both are known.
  void VisitAttention(NodeId id) {
    const Node node = graph_[id];
    Attributes at = node.attributes;
    at.index = 1 - at.index;
    const NodeId other = graph_.Make(OpKind::Attention, node.inputs, at);
    if (open_.count(other)) return;
    const NodeId of_this = Cotangent(id), of_other = Cotangent(other);
    if (!of_this && !of_other) return;
    const bool output = node.attributes.index == 0;
    const std::vector<NodeId> cotangents =
        ir::AttentionCotangents(graph_, node, output ? of_this : of_other, output ? of_other : of_this);
    for (size_t i = 0; i < cotangents.size(); ++i) Give(node.inputs[i], cotangents[i]);
  }

  /// 0 where the value is not needed. Nothing is done for derivatives that are finite whatever the value.
  void Guard(NodeId id, NodeId d, std::vector<NodeId>& cotangents) {
    const Node& node = graph_[id];
    if (ir::IsPointwise(node.op)) {
      if (ir::Info(node.op).keeps_zero) return;
      for (size_t i = 0; i < cotangents.size(); ++i)
        if (!TimesANumber(node, i)) cotangents[i] = WhereNeeded(id, d, {}, cotangents[i]);
      return;
    }
    switch (node.op) {
      case OpKind::LogSoftmax:
      case OpKind::Softmax:
        cotangents[0] = WhereNeeded(id, d, node.attributes.axes, cotangents[0]);
        return;
      case OpKind::LogSumExp:
        cotangents[0] = WhereNeeded(id, d, {}, cotangents[0]);
        return;
      case OpKind::Contract:
        for (size_t i : {0, 1}) {
          // What d is multiplied with, if it is not needed everywhere itself.
          const NodeId other = node.inputs[1 - i], cotangent = cotangents[i];
          const bool anything = other.value < uses_.size() && uses_[other.value].kind != Use::Kind::Always;
          if (!cotangent || !anything || graph_.op(other) == OpKind::Param) continue;
          const AxisList rest = Minus(graph_.axes_of(d), graph_.axes_of(other));
          const Node product = graph_[cotangent];
          if (product.op != OpKind::Contract || product.inputs[1] != other) {
            cotangents[i] = WhereNeeded(id, d, {}, cotangent);
          } else {
            cotangents[i] = graph_.Contract(product.inputs[0], WhereNeeded(id, d, rest, other),
                                            product.attributes.axes, ir::MaskOf(product));
          }
        }
        return;
      default:
        return;
    }
  }

  /// Whether operand `i` is multiplied by a finite number.
  bool TimesANumber(const Node& node, size_t i) const {
    if (node.op != OpKind::Mul) return false;
    const Node& factor = graph_[node.inputs[1 - i]];
    return factor.op == OpKind::Const && std::isfinite(factor.attributes.number);
  }

  /// `value` where node `id`, whose cotangent is d, is needed for some element along `axes`; else 0.
  NodeId WhereNeeded(NodeId id, NodeId d, const AxisList& axes, NodeId value) {
    if (!value) return value;
    const NodeId zero = graph_.Const(0);
    const Use& use = uses_[id.value];
    if (use.kind == Use::Kind::When &&
        !ContainsAll(Union(graph_.axes_of(value), axes), graph_.axes_of(use.condition)))
      return value;  // each of its elements is needed for some of the others
    if (use.kind == Use::Kind::When && Intersection(axes, graph_.axes_of(use.condition)).empty())
      return graph_.Select(use.condition, value, zero);
    NodeId some = d;
    if (const AxisList along = Intersection(axes, graph_.axes_of(d)); !along.empty())
      some = graph_.Reduce(OpKind::Max, graph_.Pointwise(OpKind::Abs, {d}), along);
    return graph_.Select(graph_.Pointwise(OpKind::Ne, {some, zero}), value, zero);
  }

  void Give(NodeId to, NodeId d) {
    if (!d || to.value >= active_.size() || !active_[to.value]) return;
    if (total_) {
      const AxisList& axes = graph_.axes_of(to);
      d = graph_.Reduce(OpKind::Sum, d, Minus(graph_.axes_of(d), axes));
      d = graph_.Broadcast(d, axes);
    }
    parts_[to].push_back(d);
  }

  /// The sum of what arrived at a value; none if nothing did.
  NodeId Cotangent(NodeId id) {
    std::vector<NodeId>& parts = parts_[id];
    if (const auto found = slices_.find(id); found != slices_.end()) {
      for (const auto& [axis, slices] : found->second) {
        std::vector<NodeId> elements;
        for (int64_t i = 0; i < graph_.axes().Bound(axis); ++i) {
          const auto slice = slices.find(i);
          elements.push_back(slice != slices.end()
                                 ? slice->second
                                 : graph_.Broadcast(graph_.Const(0), graph_.axes_of(slices.begin()->second)));
        }
        parts.push_back(graph_.Make(OpKind::Stack, std::move(elements), {.axis = axis}));
      }
      slices_.erase(found);
    }
    NodeId sum;
    for (NodeId part : parts) sum = sum ? graph_.Add(sum, part) : part;
    if (sum) parts = {sum};
    return sum;
  }

  Graph& graph_;
  const bool total_;
  std::set<NodeId> open_;  ///< not visited yet
  std::vector<bool> active_;
  std::vector<Use> uses_;  ///< of the nodes that there were before
  std::map<NodeId, std::vector<NodeId>> parts_;
  std::map<NodeId, std::map<Axis, std::map<int64_t, NodeId>>> slices_;
};

/// Sums over examples add in the order (example, position, others), whatever the order in which masks brought
/// the axes.
AxisList OrderOfSum(const Graph& graph, const AxisList& axes) {
  const auto rank = [&](Axis a) { return graph.axes().IsLifted(a) ? 0 : graph.axes().IsDynamic(a) ? 1 : 2; };
  AxisList ordered;
  for (int r : {0, 1, 2})
    for (Axis a : axes)
      if (rank(a) == r) ordered.push_back(a);
  return ordered;
}

Graph WithOrderedSums(const Graph& graph) {
  return Rebuild(graph,
                 [](Graph& copy, NodeId, const Node& node, const std::vector<NodeId>& inputs) -> NodeId {
                   if (!node.adjoint || (node.op != OpKind::Sum && node.op != OpKind::Contract)) return {};
                   Attributes attributes = node.attributes;
                   attributes.axes = OrderOfSum(copy, attributes.axes);
                   return copy.Again(node, inputs, std::move(attributes));
                 });
}

}  // namespace

std::map<NodeId, NodeId> Backward(Graph& graph, const std::vector<std::pair<NodeId, NodeId>>& seeds,
                                  const std::vector<NodeId>& wrt, bool total) {
  return Reverse(graph, total).Run(seeds, wrt);
}

Graph Grad(const Graph& graph, Context& context) {
  Graph result = graph;
  const NodeId loss = result.Output(kLossOutput);
  if (!loss) throw InternalError("grad: the graph has no loss");
  std::vector<NodeId> parameters;
  for (NodeId id : result.Order(std::span(&loss, 1)))
    if (result.op(id) == OpKind::Param) parameters.push_back(id);
  const std::map<NodeId, NodeId> cotangents = Backward(result, {{loss, result.Const(1)}}, parameters, true);
  result.adjoint = true;
  for (NodeId id : parameters) {
    const auto found = cotangents.find(id);
    if (found == cotangents.end()) continue;
    result.SetOutput(std::string(kGradientPrefix) + result[id].attributes.name,
                     result.Broadcast(found->second, result.axes_of(id)));
  }
  result.adjoint = false;
  return WithOrderedSums(result);
}

}  // namespace heed::passes
