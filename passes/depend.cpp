// Causality: proves of every value which part of the generated sequence it can see, or says where that fails.
//
// The rule: a value with rows t, t' ... depends on y up to the latest of its rows. Pointwise ops, renames and
// reads along other axes keep that. A reduction over one of these axes keeps it if its mask implies that the
// row that goes is not later than one that stays. The length of t is unknown while y grows, and reads of y
// elsewhere see the future. Left alone here: the derivation of prefill and step graphs from these classes.
#include "passes/depend.h"

#include <cmath>

#include "passes/context.h"
#include "passes/mask.h"

namespace heed::passes {
namespace {

class Analysis {
 public:
  explicit Analysis(const Graph& graph) : graph_(graph), axis_(graph.generate->axis) {}

  Causality Run() {
    Causality result{.axis = axis_, .dependence = std::vector<Dependence>(graph_.size(), Dependence::None)};
    std::vector<bool> sees(graph_.size());
    const std::vector<NodeId> order = graph_.Order();
    for (NodeId id : order)
      if (graph_.op(id) == OpKind::Positions && Grows(graph_[id].attributes.axis))
        positions_.emplace(graph_[id].attributes.axis, id);
    for (NodeId id : order) {
      const Node& node = graph_[id];
      const bool is_y = node.op == OpKind::Input && node.attributes.name == graph_.generate->variable;
      bool depends = is_y;
      for (NodeId input : node.inputs) depends = depends || sees[input.value];
      sees[id.value] = depends;
      Check(node, is_y, result.complaints);
      if (!depends) continue;
      bool query = false, key = false;
      for (Axis a : node.type.axes)
        if (Grows(a)) (a == axis_ ? query : key) = true;
      result.dependence[id.value] = query && key ? Dependence::Both
                                    : key        ? Dependence::Key
                                                 : Dependence::Query;
    }
    return result;
  }

 private:
  bool Grows(Axis axis) const { return axis.root() == axis_.root() && graph_.axes().IsDynamic(axis); }

  void Check(const Node& node, bool is_y, std::vector<Complaint>& complaints) {
    const std::string& y = graph_.generate->variable;
    const std::string t = axis_.text();
    const auto complain = [&](std::string message, std::vector<std::string> notes) {
      complaints.push_back(
          {frontend::DiagnosticKind::NotCausal, node.origin.where, std::move(message), std::move(notes)});
    };
    if (node.op == OpKind::Length && node.attributes.axis == axis_.root())
      complain("|" + t + "| is not known while `" + y + "` is being generated", {});
    if (node.op == OpKind::Gather && Grows(node.attributes.axis))
      complain("reads `" + y + "` at other positions",
               {"while `" + y + "` grows, only its own position is there"});
    if (node.op == OpKind::Input && !is_y)
      for (Axis a : node.type.axes)
        if (Grows(a))
          complain(
              "argument `" + node.attributes.name + "` has the axis `" + t + "` that grows with `" + y + "`",
              {});
    if (!ir::IsReduce(node.op) && node.op != OpKind::Contract) return;
    AxisList have;
    for (NodeId input : node.inputs) have = Union(have, graph_.axes_of(input));
    for (Axis gone : node.attributes.axes) {
      if (!Grows(gone)) continue;
      double ahead = kUnbounded;  // how far past a row that stays the mask lets `gone` reach
      bool stays = false;
      NodeId reversed;  // a mask that keeps the future instead of the past
      for (Axis row : have) {
        if (!Grows(row) || Contains(node.attributes.axes, row)) continue;
        stays = true;
        for (NodeId mask : Masks(node)) {
          ahead = std::min(ahead, Ahead(mask, gone, row));
          for (NodeId part : Conjuncts(graph_, mask))
            if (Ahead(part, row, gone) <= 0) reversed = part;
        }
      }
      if (ahead <= 0) continue;
      const std::string call = Call(node);
      const std::string& later = gone.text();
      if (reversed && std::isinf(ahead)) {
        complaints.push_back(
            {frontend::DiagnosticKind::NotCausal,
             graph_[reversed].origin.where,
             "this mask keeps what comes after position `" + t + "`",
             {"is it the wrong way round? `" + later + " <= " + t + "` keeps what came before",
              call + " would depend on `" + y + "` after " + t}});
      } else if (!stays) {
        complain(call + " joins all positions of `" + y + "`",
                 {"logits at position " + t + " would depend on `" + y + "` after " + t});
      } else {
        std::string sees = "the mask lets position `" + t + "` see ";
        sees += std::isinf(ahead)
                    ? "every `" + later + "`"
                    : "up to " + std::to_string(static_cast<int64_t>(ahead)) + " positions after it";
        complain(call + " is not restricted to " + later + " <= " + t,
                 {sees, "logits at position " + t + " would depend on `" + y + "` after " + t + "; add `" +
                            later + " <= " + t + "` to the mask"});
      }
    }
  }

  double Ahead(NodeId mask, Axis later, Axis row) const {
    const auto a = positions_.find(later), b = positions_.find(row);
    return a == positions_.end() || b == positions_.end() ? kUnbounded
                                                          : Sup(graph_, mask, a->second, b->second);
  }

  /// Where a reduction really reads: its mask and, for contractions, the support of its factors.
  std::vector<NodeId> Masks(const Node& node) const {
    std::vector<NodeId> masks;
    if (const NodeId own = ir::MaskOf(node)) masks.push_back(own);
    if (node.op == OpKind::Contract)
      for (int i : {0, 1})
        for (NodeId mask : Support(graph_, node.inputs[i])) masks.push_back(mask);
    return masks;
  }

  const Graph& graph_;
  const Axis axis_;
  std::map<Axis, NodeId> positions_;
};

}  // namespace

std::vector<NodeId> Support(const Graph& graph, NodeId value) {
  const Node& node = graph[value];
  std::vector<NodeId> masks;
  const auto add = [&](NodeId of) {
    for (NodeId mask : Support(graph, of)) masks.push_back(mask);
  };
  switch (node.op) {
    case OpKind::Softmax:
      if (const NodeId mask = ir::MaskOf(node)) masks.push_back(mask);
      break;
    case OpKind::Mul:
      add(node.inputs[0]);
      add(node.inputs[1]);
      break;
    case OpKind::Select: {
      const Node& no = graph[node.inputs[2]];
      if (no.op != OpKind::Const || no.attributes.number != 0) break;
      masks.push_back(node.inputs[0]);
      add(node.inputs[1]);
      break;
    }
    default:
      break;
  }
  return masks;
}

Causality AnalyzeCausality(const Graph& graph) { return Analysis(graph).Run(); }

Graph CheckCausality(const Graph& graph, Context& context) {
  if (graph.generate)
    for (const Complaint& complaint : AnalyzeCausality(graph).complaints)
      context.Remark({"", complaint.where}, complaint.message);
  return graph;
}

}  // namespace heed::passes
