// Common subexpressions: hash-consing merges equal ones on construction; this merges those equal up to the
// order of the operands of commutative ops.
//
// Sums and products of two numbers do not depend on their order, bit for bit; the first one met stays. Left
// alone: anything that would need reassociation.
#include <algorithm>
#include <unordered_map>

#include "passes/context.h"

namespace heed::passes {
namespace {

bool Commutes(OpKind op) {
  switch (op) {
    case OpKind::Add:
    case OpKind::Mul:
    case OpKind::And:
    case OpKind::Or:
    case OpKind::Eq:
    case OpKind::Ne:
    case OpKind::Contract:
      return true;
    default:
      return false;
  }
}

}  // namespace

Graph Cse(const Graph& graph, Context& context) {
  std::unordered_map<std::string, NodeId> known;  // by op, sorted first two inputs, the others, axes
  return Rebuild(
      graph, [&](Graph& copy, NodeId, const Node& node, const std::vector<NodeId>& inputs) -> NodeId {
        if (!Commutes(node.op)) return {};
        const NodeId made = copy.Again(node, inputs);
        const Node& again = copy[made];
        if (again.op != node.op) return made;  // folded
        std::vector<NodeId> sorted = again.inputs;
        std::sort(sorted.begin(), sorted.begin() + 2);
        std::string key = std::to_string(static_cast<int>(node.op)) + "[" + Text(again.attributes.axes) + "]";
        for (NodeId input : sorted) key += "," + std::to_string(input.value);
        const auto [found, fresh] = known.try_emplace(std::move(key), made);
        // Axes in another order are the same set, but the index they carry must agree.
        if (fresh || found->second == made || copy.type(found->second).indexes != copy.type(made).indexes)
          return made;
        return context.Allow("equal values are one", copy[made].origin) ? found->second : made;
      });
}

}  // namespace heed::passes
