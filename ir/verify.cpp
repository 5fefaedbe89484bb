// Structural invariants of a graph. Nothing here repairs anything; a complaint is a bug of the pass before.
#include "ir/verify.h"

#include <algorithm>

#include "ir/op.h"

namespace heed::ir {
namespace {

/// Reductions over a ragged axis of a batched value, and over the batch of a value with a ragged axis, must
/// say which elements are there: `position < length` among the conjuncts of their mask.
void CheckMask(const Graph& graph, const Node& node, const std::string& name,
               std::vector<std::string>& complaints) {
  AxisList have, reduced;
  size_t operands = 2;
  if (IsReduce(node.op)) operands = 1;
  for (size_t i = 0; i < operands; ++i) have = Union(have, graph.axes_of(node.inputs[i]));
  reduced = node.op == OpKind::ScatterAdd ? Minus(have, node.attributes.to) : node.attributes.axes;
  std::vector<NodeId> conjuncts;
  if (const NodeId mask = MaskOf(node)) conjuncts = Conjuncts(graph, mask);
  for (NodeId part : conjuncts) {
    const Node& all = graph[graph.op(part) == OpKind::Broadcast ? graph[part].inputs[0] : part];
    if (all.op == OpKind::Const && all.attributes.number == 0) return;  // nothing is there
  }
  for (Axis a : have) {
    const auto found = graph.ragged.find(a.root());
    if (found == graph.ragged.end() || !graph.axes().IsDynamic(a)) continue;
    const Axis batch = graph.axes_of(found->second).at(0);
    if (!Contains(have, batch) || (!Contains(reduced, a) && !Contains(reduced, batch))) continue;
    const bool masked = std::any_of(conjuncts.begin(), conjuncts.end(), [&](NodeId id) {
      const Node& part = graph[id];
      if (part.op != OpKind::Lt || part.inputs[1] != found->second) return false;
      const Node& positions = graph[part.inputs[0]];
      return positions.op == OpKind::Positions && positions.attributes.axis == a;
    });
    if (!masked) complaints.push_back(name + " reduces over " + a.text() + " without its length mask");
  }
}

}  // namespace

std::vector<std::string> Verify(const Graph& graph) {
  std::vector<std::string> complaints;
  for (const auto& [name, value] : graph.outputs) {
    if (value.value < graph.size()) continue;
    complaints.push_back("output " + name + " is no node");
    return complaints;
  }
  for (NodeId id : graph.Order()) {
    const Node& node = graph[id];
    const OpInfo& info = Info(node.op);
    std::string name = "%" + std::to_string(id.value) + " " + std::string(info.name);
    if (node.origin.where) name += " at " + node.origin.where.Text();
    bool readable = true;
    for (NodeId input : node.inputs) readable = readable && input.value < id.value;
    if (!readable) {
      complaints.push_back(name + " precedes an input");
      continue;
    }
    try {
      const Type type = info.infer(graph, node.inputs, node.attributes);
      if (type != node.type) complaints.push_back(name + " is " + Text(node.type) + ", not " + Text(type));
    } catch (const InternalError& error) {
      complaints.push_back(name + ": " + error.what());
      continue;
    }
    const AxisList& axes = node.type.axes;
    for (size_t i = 0; i < axes.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        if (axes[i] == axes[j]) complaints.push_back(name + " has " + axes[i].text() + " twice");
    if (graph.ragged.empty()) continue;
    if (node.op == OpKind::Length) complaints.push_back(name + " is left after batching");
    if (IsReduce(node.op) || node.op == OpKind::Contract || node.op == OpKind::ScatterAdd)
      CheckMask(graph, node, name, complaints);
  }
  return complaints;
}

}  // namespace heed::ir
