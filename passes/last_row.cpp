// Of the logits of a generate entry, keeps the last position of the generated axis.
//
// The read of one row moves from the logits towards the inputs, through every op whose row depends on the
// same row of its operands, until it meets a value that is needed in full anyway (keys and values of
// attention, for one). So the projection to the vocabulary, and all that follows the last attention, is
// computed for one position. Each element is computed by the same operations as before.
#include <map>
#include <set>

#include "ir/op_kinds.h"
#include "passes/context.h"
#include "runtime/abi_names.h"

namespace heed::passes {
namespace {

using Row = std::pair<NodeId, Axis>;  // a value and the axis along which one element of it is wanted

/// Whether row i of `node` along `axis` needs no more than row i of those operands that have the axis.
bool RowByRow(const Node& node, Axis axis) {
  const Attributes& at = node.attributes;
  switch (ir::Info(node.op).family) {
    case ir::Family::Pointwise:
      return true;
    case ir::Family::Reduce:
    case ir::Family::Contract:
      return !Contains(at.axes, axis);
    case ir::Family::Axes:
      switch (ir::As<ir::AxesKind>(node.op)) {
        case ir::AxesKind::Split:
          return !Contains(at.to, axis);
        case ir::AxesKind::Merge:
        case ir::AxesKind::Slice:
        case ir::AxesKind::Stack:
          return axis != at.axis;
        case ir::AxesKind::Broadcast:
        case ir::AxesKind::Rename:
          return true;
      }
      return false;
    case ir::Family::Index:
      return node.op == OpKind::Element || node.op == OpKind::Gather ||
             (node.op == OpKind::Onehot && axis != at.axis);
    case ir::Family::Leaf:
    case ir::Family::Random:
    case ir::Family::Fused:
      return false;
  }
  return false;
}

/// The axis of input number `input` that becomes `axis` of the node; none if the input has no such axis.
Axis AxisOfInput(const Graph& graph, const Node& node, size_t input, Axis axis) {
  if (node.op == OpKind::Rename)
    for (auto [from, to] : node.attributes.renames)
      if (to == axis) return from;
  if (node.op == OpKind::Gather && input == 0 && axis == node.attributes.axis) return {};
  return Contains(graph.axes_of(node.inputs[input]), axis) ? axis : Axis();
}

class LastRowRewrite {
 public:
  LastRowRewrite(const Graph& graph, NodeId logits, Axis axis)
      : graph_(graph), logits_(logits), axis_(axis), copy_(graph.shared_axes()) {}

  Graph Run() {
    Demand();
    for (const auto& [root, length] : graph_.ragged) copy_.ragged[root] = copy_.Again(graph_[length], {});
    for (NodeId id : order_) {
      if (!full_.count(id)) continue;
      std::vector<NodeId> inputs;
      for (NodeId input : graph_[id].inputs) inputs.push_back(full_copy_.at(input));
      full_copy_[id] = copy_.Again(graph_[id], std::move(inputs));
    }
    copy_.origin = graph_[logits_].origin;
    const NodeId length =
        copy_.ragged.count(axis_.root()) ? copy_.ragged.at(axis_.root()) : copy_.Length(axis_);
    last_ = copy_.Sub(length, copy_.ConstInt(1));
    for (const auto& [name, value] : graph_.outputs)
      copy_.SetOutput(name, value == logits_ ? RowOf({value, axis_}) : full_copy_.at(value));
    CarryGenerate(copy_, graph_);
    return std::move(copy_);
  }

 private:
  /// Which values are wanted in full and which by row: users before inputs.
  void Demand() {
    std::vector<NodeId> roots{logits_};
    for (const auto& [name, value] : graph_.outputs) roots.push_back(value);
    order_ = graph_.Order(roots);
    std::map<NodeId, std::set<Axis>> rows;
    rows[logits_].insert(axis_);
    for (const auto& [name, value] : graph_.outputs)
      if (value != logits_) full_.insert(value);
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      const Node& node = graph_[*it];
      bool full = full_.count(*it) != 0;
      for (Axis axis : rows[*it]) {
        if (!RowByRow(node, axis) || node.inputs.empty()) {
          full = true;
          continue;
        }
        if (full) continue;
        for (size_t i = 0; i < node.inputs.size(); ++i) {
          const Axis from = AxisOfInput(graph_, node, i, axis);
          if (from) {
            rows[node.inputs[i]].insert(from);
          } else {
            full_.insert(node.inputs[i]);
          }
        }
      }
      if (!full) continue;
      full_.insert(*it);
      for (NodeId input : node.inputs) full_.insert(input);
    }
  }

  NodeId RowOf(const Row& row) {
    if (const auto found = rows_.find(row); found != rows_.end()) return found->second;
    const auto [id, axis] = row;
    const Node& node = graph_[id];
    NodeId result;
    if (node.op == OpKind::Positions) {
      // The row exists, so its position is in range and is what positions read there.
      result = copy_.Make(OpKind::Element, {last_}, {.indexes = axis.root()});
    } else if (full_.count(id)) {
      copy_.origin = node.origin;
      result = copy_.Make(OpKind::Gather, {full_copy_.at(id), last_}, {.axis = axis});
    } else {
      std::vector<NodeId> inputs;
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        const Axis from = AxisOfInput(graph_, node, i, axis);
        inputs.push_back(from ? RowOf({node.inputs[i], from}) : full_copy_.at(node.inputs[i]));
      }
      Attributes attributes = node.attributes;
      if (node.op == OpKind::Broadcast) attributes.axes = Minus(attributes.axes, {axis});
      result = copy_.Again(node, std::move(inputs), std::move(attributes));
    }
    rows_.emplace(row, result);
    return result;
  }

  const Graph& graph_;
  const NodeId logits_;
  const Axis axis_;
  Graph copy_;
  NodeId last_;
  std::vector<NodeId> order_;
  std::set<NodeId> full_;
  std::map<NodeId, NodeId> full_copy_;
  std::map<Row, NodeId> rows_;
};

}  // namespace

Graph LastRow(const Graph& graph, Context& context) {
  const NodeId logits = graph.Output(kLogitsOutput);
  if (!logits) throw InternalError("last_row: the graph has no logits");
  Axis axis;
  if (graph.generate) axis = graph.generate->axis;
  for (Axis a : graph.axes_of(logits))
    if (!axis && graph.axes().IsDynamic(a)) axis = a;
  if (!Contains(graph.axes_of(logits), axis)) return graph;  // the same logits everywhere
  return LastRowRewrite(graph, logits, axis).Run();
}

}  // namespace heed::passes
