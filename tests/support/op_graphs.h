// Graphs of ops by themselves: their axes, inputs, and a reverse walk of its own, so that derivatives are
// tested without passes/.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "ir/op.h"
#include "tests/support/random_graph.h"

namespace heed::ir {

inline const Axis kA("a"), kB("b"), kAb("ab"), kC("c"), kPair("pair"), kVocab("vocab"), kSeq("seq"),
    kTwin("seq'"), kBatch("batch");

inline NodeId Float(Graph& graph, const char* name, const AxisList& axes) {
  return graph.Make(OpKind::Input, {}, {.axes = axes, .name = name});
}
inline NodeId Int(Graph& graph, const char* name, const AxisList& axes, Axis indexes = {}) {
  return graph.Make(OpKind::Input, {}, {.axes = axes, .indexes = indexes, .dtype = DType::Int, .name = name});
}
inline NodeId Bool(Graph& graph, const char* name, const AxisList& axes) {
  return graph.Make(OpKind::Input, {}, {.axes = axes, .dtype = DType::Bool, .name = name});
}

/// Cotangents of the float inputs of the graph, given that of `root`.
inline std::map<std::string, NodeId> Backward(Graph& graph, NodeId root, NodeId cotangent) {
  const NodeId roots[] = {root};
  const std::vector<NodeId> order = graph.Order(roots);
  std::map<NodeId, NodeId> cotangents{{root, cotangent}};
  graph.adjoint = true;
  std::map<std::string, NodeId> result;
  for (size_t i = order.size(); i-- > 0;) {
    const Node& node = graph[order[i]];
    const auto found = cotangents.find(order[i]);
    if (found == cotangents.end()) continue;
    if (node.op == OpKind::Input) result[node.attributes.name] = found->second;
    const auto vjp = Info(node.op).vjp;
    if (!vjp) continue;
    const std::vector<NodeId> parts = vjp(graph, order[i], found->second);
    EXPECT_LE(parts.size(), node.inputs.size());
    for (size_t k = 0; k < parts.size(); ++k) {
      if (!parts[k]) continue;
      const AxisList& axes = graph.axes_of(node.inputs[k]);
      NodeId d = graph.Reduce(OpKind::Sum, parts[k], Minus(graph.axes_of(parts[k]), axes));
      d = graph.Broadcast(d, axes);
      NodeId& total = cotangents[node.inputs[k]];
      total = total ? graph.Add(total, d) : d;
    }
  }
  graph.adjoint = false;
  return result;
}

}  // namespace heed::ir
