// Proves that reads along a dynamic axis stay within the example.
//
// A read at positions(a) + c passes an end for some a. It is allowed only if each of its uses ends in a
// reduction over a whose predicate keeps a + c between 0 and the length. The op itself is total (it reads 0
// there), so this is about what the author meant, not about memory. Left alone: reads at data, such as token
// ids and argmax, and reads of storage at the bound.
#include "passes/bounds.h"

#include "passes/context.h"
#include "passes/mask.h"

namespace heed::passes {
namespace {

class Prover {
 public:
  explicit Prover(const Graph& graph) : graph_(graph), order_(graph.Order()), users_(graph.Users()) {}

  std::vector<Complaint> Complaints() {
    std::vector<Complaint> complaints;
    for (NodeId id : order_) {
      const Node& node = graph_[id];
      if (node.op != OpKind::Gather || !graph_.axes().IsDynamic(node.attributes.axis)) continue;
      const Axis root = node.attributes.axis.root();
      const NodeId index = node.inputs[1];
      if (InRangeAnywhere(index, root)) continue;
      const Read read = Offset(index, root);
      if (read.axis && Proved(id, read)) continue;
      complaints.push_back(Complain(node, read));
    }
    return complaints;
  }

 private:
  /// A read at positions(axis) + offset; no axis if the index is anything else.
  struct Read {
    Axis root;
    Axis axis = {};
    NodeId positions = {};
    int64_t offset = 0;
  };

  /// argmax over the axis, or its own positions.
  bool InRangeAnywhere(NodeId index, Axis root) const {
    const Node& node = graph_[index];
    switch (node.op) {
      case OpKind::Positions:
        return node.attributes.axis.root() == root && graph_.axes().IsDynamic(node.attributes.axis);
      case OpKind::Argmax:
        return node.attributes.axes[0].root() == root;
      case OpKind::Element:
      case OpKind::Broadcast:
      case OpKind::Rename:
        return InRangeAnywhere(node.inputs[0], root);
      default:
        return false;
    }
  }

  Read Offset(NodeId index, Axis root) const {
    const auto form = Linear(graph_, index);
    if (!form || form->terms.size() != 1 || form->terms.begin()->second != 1) return {.root = root};
    const NodeId leaf = form->terms.begin()->first;
    if (graph_.op(leaf) != OpKind::Positions) return {.root = root};
    const Axis axis = graph_[leaf].attributes.axis;
    if (axis.root() != root) return {.root = root};
    return {root, axis, leaf, form->constant};
  }

  bool Proved(NodeId id, const Read& read) const {
    for (const auto& [name, value] : graph_.outputs)
      if (value == id) return false;
    for (NodeId user : users_[id.value]) {
      const Node& node = graph_[user];
      const bool reduces =
          (ir::IsReduce(node.op) || node.op == OpKind::Contract) && Contains(node.attributes.axes, read.axis);
      if (reduces ? !Keeps(ir::MaskOf(node), read) : !Proved(user, read)) return false;
    }
    return !users_[id.value].empty();
  }

  /// The mask implies 0 <= position + offset < length.
  bool Keeps(NodeId mask, const Read& read) const {
    if (!mask) return false;
    if (read.offset < 0) return Sup(graph_, mask, NodeId{}, read.positions) <= read.offset;
    for (NodeId id : order_)
      if (graph_.op(id) == OpKind::Length && graph_[id].attributes.axis.root() == read.root &&
          Sup(graph_, mask, read.positions, id) + read.offset <= -1)
        return true;
    return false;
  }

  Complaint Complain(const Node& node, const Read& read) const {
    const std::string root = read.root.text();
    Complaint complaint;
    complaint.kind = "PastTheEnd";
    complaint.where = node.origin.where;
    if (!read.axis) {
      complaint.message = "this index may pass an end of `" + root + "`";
      complaint.notes = {"only positions of `" + root +
                         "`, a constant away, and argmax can be proved in range"};
      return complaint;
    }
    const std::string axis = read.axis.text(), far = std::to_string(std::abs(read.offset));
    const bool after = read.offset > 0;
    complaint.message = "reads past the " + std::string(after ? "end" : "start") + " of `" + root +
                        "` when " + axis + (after ? " >= |" + root + "| - " + far : " < " + far);
    complaint.notes = {"add `| " + (after ? axis + " + " + far + " < |" + root + "|" : axis + " >= " + far) +
                       "` to the sum over `" + axis + "` that uses it"};
    return complaint;
  }

  const Graph& graph_;
  const std::vector<NodeId> order_;
  const std::vector<std::vector<NodeId>> users_;
};

}  // namespace

std::vector<Complaint> ReadsPastTheEnd(const Graph& graph) { return Prover(graph).Complaints(); }

Graph CheckBounds(const Graph& graph, Context& context) {
  for (const Complaint& complaint : ReadsPastTheEnd(graph))
    context.Remark(complaint.where + ": " + complaint.message + "; " + complaint.notes[0]);
  return graph;
}

}  // namespace heed::passes
