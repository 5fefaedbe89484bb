// Walks a graph backwards, calling each op's own derivative (OpInfo::vjp).
//
// Only values on a way from `wrt` to a seed get cotangents. Slices of one value along one axis are gathered
// into one stack, zeros where missing, instead of a sum of padded slices. The seed of a loss is 1: dividing
// by the sum of `per` is the optimizer's first step, so that gradients of micro-batches add. Left alone: what
// to save and what to compute again; fused ops bring their own derivative.
#include "passes/grad.h"

#include "passes/context.h"

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
    active_.resize(graph_.size());
    for (NodeId id : wrt) active_[id.value] = true;
    for (NodeId id : order)
      if (ir::Info(graph_.op(id)).differentiable)
        for (NodeId input : graph_[id].inputs)
          if (active_[input.value]) active_[id.value] = true;
    const bool outer = std::exchange(graph_.adjoint, true);
    for (auto it = order.rbegin(); it != order.rend(); ++it) Visit(*it);
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
    const NodeId d = Cotangent(id);
    if (!d) return;
    const Node& node = graph_[id];
    graph_.origin = node.origin;
    if (node.inputs.empty()) return;
    if (node.op == OpKind::Slice) {
      slices_[node.inputs[0]][node.attributes.axis].emplace(node.attributes.index, d);
      return;
    }
    const auto vjp = ir::Info(node.op).vjp;
    if (!vjp) throw InternalError("grad: no derivative of " + std::string(ir::Info(node.op).name));
    const std::vector<NodeId> cotangents = vjp(graph_, id, d);
    for (size_t i = 0; i < cotangents.size() && i < node.inputs.size(); ++i)
      Give(node.inputs[i], cotangents[i]);
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
  std::vector<bool> active_;
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
  const NodeId loss = result.Output("loss");
  if (!loss) throw InternalError("grad: the graph has no loss");
  std::vector<NodeId> parameters;
  for (NodeId id : result.Order(std::span(&loss, 1)))
    if (result.op(id) == OpKind::Param) parameters.push_back(id);
  const std::map<NodeId, NodeId> cotangents = Backward(result, {{loss, result.Const(1)}}, parameters, true);
  result.adjoint = true;
  for (NodeId id : parameters) {
    const auto found = cotangents.find(id);
    if (found == cotangents.end()) continue;
    result.SetOutput("d." + result[id].attributes.name, result.Broadcast(found->second, result.axes_of(id)));
  }
  result.adjoint = false;
  return WithOrderedSums(result);
}

}  // namespace heed::passes
