// Lifts one example's graph over the axis `batch`.
//
// Every input gets the axis, but for what is the same for all examples, and everything else follows by
// inference. Dynamic axes become ragged: |a| is the input len.a, a number per example, and construction adds
// `position < len.a` to each reduction that needs it. `loss` and `per` are summed over the examples. What a
// loss says of its batch (ir/batch_axis.h) now means that axis. Left
// alone: order of axes, and whether examples are packed or padded.
#include <set>

#include "ir/batch_axis.h"
#include "passes/context.h"
#include "runtime/abi_names.h"

namespace heed::passes {
namespace {

std::set<Axis> DynamicRoots(const Graph& graph) {
  std::set<Axis> roots;
  for (NodeId id : graph.Order()) {
    const Node& node = graph[id];
    for (Axis a : node.type.axes)
      if (graph.axes().IsDynamic(a)) roots.insert(a.root());
    if (node.op == OpKind::Length) roots.insert(node.attributes.axis.root());
  }
  roots.erase(ir::BatchAxis());
  return roots;
}

/// How many examples there are.
NodeId Count(Graph& graph) {
  const Axis all = ir::BatchAxis().Twin();
  return graph.Reduce(OpKind::Sum, graph.Broadcast(graph.ConstInt(1), {all}), {all});
}

}  // namespace

Graph Batch(const Graph& graph, Context& context) {
  if (!graph.ragged.empty()) throw InternalError("batch: the graph is batched already");
  const Axis batch = ir::BatchAxis();
  auto axes = std::make_shared<ir::AxisTable>(graph.axes());
  ir::Extent extent;
  extent.kind = ir::Extent::Kind::Lifted;
  axes->Set(batch, extent);
  Graph lifted(axes);
  for (Axis root : DynamicRoots(graph))
    lifted.ragged[root] = lifted.Make(
        OpKind::Input, {},
        {.axes = {batch}, .dtype = ir::DType::Int, .name = std::string(kLengthPrefix) + root.text()});
  RebuildInto(lifted, graph,
              [&](Graph& copy, NodeId, const Node& node, const std::vector<NodeId>&) -> NodeId {
                if (node.op == OpKind::Length && node.attributes.axis.root() == batch) return Count(copy);
                if (node.op == OpKind::Length) return copy.ragged.at(node.attributes.axis.root());
                if (node.op != OpKind::Input) return {};
                if (node.attributes.index == 1) return {};  // the same for all examples
                Attributes attributes = node.attributes;
                attributes.axes.insert(attributes.axes.begin(), batch);
                return copy.Make(OpKind::Input, {}, attributes);
              });
  for (const std::string_view name : {kLossOutput, kCountOutput})
    if (const NodeId value = lifted.Output(name)) {
      lifted.origin = lifted[value].origin;
      lifted.SetOutput(name, lifted.Reduce(OpKind::Sum, lifted.Broadcast(value, {batch}), {batch}));
    }
  lifted.origin = {};
  return lifted;
}

}  // namespace heed::passes
