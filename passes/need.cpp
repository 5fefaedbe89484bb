// From users to what they use, one rule an op. Axes that only a condition has mean "for some": they are given
// fresh names wherever an operand has an axis of the same name, so that nothing is captured.
#include "passes/need.h"

#include <algorithm>

#include "ir/op.h"
#include "passes/context.h"
#include "passes/depend.h"
#include "passes/position_mask.h"

namespace heed::passes {
namespace {

/// More ways than this are joined into one.
constexpr size_t kMostWays = 8;
/// A condition may range over this many dynamic axes, and this many elements of static axes that the value
/// lacks.
constexpr size_t kMostDynamic = 2;
constexpr double kMostElements = 4096;
/// Numbers of fresh axes, above those of the front end's hygiene.
constexpr int kFirstFresh = 1000;

class Analysis {
 public:
  Analysis(Graph& graph, const std::vector<NodeId>& of) : graph_(graph) {
    const std::vector<NodeId> order = graph.Order();
    wanted_.resize(graph.size());
    for (NodeId id : of) wanted_[id.value] = true;
    for (NodeId id : order)
      for (NodeId input : graph_[id].inputs)
        if (wanted_[input.value]) wanted_[id.value] = true;
    for (const auto& [name, value] : graph_.outputs)
      if (wanted_[value.value]) ways_[value] = {NodeId{}};
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      const NodeId id = *it;
      if (!wanted_[id.value]) continue;
      graph_.origin = graph_[id].origin;
      for (const NodeId way : Ways(ways_[id])) Visit(id, way);
    }
    graph_.origin = {};
  }

  std::map<NodeId, Ways> Take() { return std::move(ways_); }

 private:
  bool Wanted(NodeId id) const { return id.value < wanted_.size() && wanted_[id.value]; }

  void Give(NodeId to, NodeId way) {
    if (!Wanted(to)) return;
    Ways& ways = ways_[to];
    if (ways.size() == 1 && !ways[0]) return;
    if (way) way = Bounded(to, way);
    if (!way) {
      ways = {NodeId{}};
      return;
    }
    const Node& node = graph_[way];
    if (node.op == OpKind::Const) {
      if (node.attributes.number != 0) ways = {NodeId{}};
      return;
    }
    if (std::find(ways.begin(), ways.end(), way) != ways.end()) return;
    ways.push_back(way);
    if (ways.size() <= kMostWays) return;
    NodeId any = ways[0];
    for (size_t i = 1; i < ways.size(); ++i) any = graph_.Pointwise(OpKind::Or, {any, ways[i]});
    ways = {any};
  }

  /// `way` without parts that leave no element of the value out, and without those along other axes if
  /// these are too many.
  NodeId Bounded(NodeId to, NodeId way) {
    const AxisList own = graph_.axes_of(to);
    NodeId inside, beyond;
    for (NodeId part : Conjuncts(graph_, way)) {
      if (ContainsAll(own, graph_.axes_of(part))) {
        inside = And(inside, part);
      } else if (!Covered(part, own)) {
        beyond = And(beyond, part);
      }
    }
    if (!beyond) return inside;
    size_t dynamic = 0;
    double elements = 1;
    for (Axis axis : Union(own, graph_.axes_of(beyond))) {
      if (graph_.axes().IsDynamic(axis)) {
        ++dynamic;
      } else if (!Contains(own, axis)) {
        elements *= static_cast<double>(graph_.axes().Bound(axis));
      }
    }
    return dynamic > kMostDynamic || elements > kMostElements ? inside : And(inside, beyond);
  }

  bool Covered(NodeId part, const AxisList& own) {
    const auto [known, fresh] = covered_.try_emplace({part, own}, false);
    if (fresh)
      known->second =
          Covers(graph_, part, own, [this](NodeId id) { return graph_.op(id) == OpKind::Length; });
    return known->second;
  }

  NodeId And(NodeId a, NodeId b) { return !a ? b : !b ? a : graph_.And(a, b); }

  /// `way` with those of `axes` renamed that stand for "some element" in it.
  NodeId Fresh(NodeId way, const AxisList& axes) {
    if (!way) return way;
    std::vector<std::pair<Axis, Axis>> renames;
    for (Axis axis : axes)
      if (Contains(graph_.axes_of(way), axis)) renames.emplace_back(axis, axis.Fresh(kFirstFresh + fresh_++));
    return graph_.Rename(way, renames);
  }

  /// The way of user `id` as a way of what it uses.
  void Visit(NodeId id, NodeId way) {
    const Node node = graph_[id];  // a copy: nodes are added below
    const std::vector<NodeId>& in = node.inputs;
    const Attributes& at = node.attributes;
    // Axes that inputs have and the user lacks: in the way these are others of the same name.
    AxisList own;
    for (NodeId input : in) own = Union(own, graph_.axes_of(input));
    way = Fresh(way, Minus(own, node.type.axes));
    switch (node.op) {
      case OpKind::Select:
        Give(in[0], way);
        Give(in[1], And(way, in[0]));
        Give(in[2], And(way, graph_.Pointwise(OpKind::Not, {in[0]})));
        return;
      case OpKind::And:
      case OpKind::Or:
        Give(in[0], way);
        Give(in[1], And(way, node.op == OpKind::And ? in[0] : graph_.Pointwise(OpKind::Not, {in[0]})));
        return;
      case OpKind::Sum:
      case OpKind::Max:
      case OpKind::Argmax:
      case OpKind::Softmax:
      case OpKind::LogSoftmax:
      case OpKind::LogSumExp:
        VisitReduction(node, way);
        return;
      case OpKind::Rank:
        Give(in[0], way);  // also where it is masked, for its own rank
        VisitReduction(node, way);
        return;
      case OpKind::Contract:
        VisitContraction(node, way);
        return;
      case OpKind::Gather: {
        const NodeId here = graph_.Pointwise(OpKind::Eq, {graph_.Positions(at.axis), in[1]});
        Give(in[0], And(way, here));
        Give(in[1], way);
        return;
      }
      case OpKind::Write: {
        Give(in[0], way);
        Give(in[1], way);
        Give(in[2], way);
        return;
      }
      case OpKind::Slice:
        Give(in[0],
             And(way, graph_.Pointwise(OpKind::Eq, {graph_.Positions(at.axis), graph_.ConstInt(at.index)})));
        return;
      case OpKind::Stack:
        VisitStack(node, way);
        return;
      case OpKind::Rename: {
        std::vector<std::pair<Axis, Axis>> back;
        for (auto [from, to] : at.renames) back.emplace_back(to, from);
        Give(in[0], way ? graph_.Rename(way, back) : way);
        return;
      }
      case OpKind::Merge:
        if (way && Contains(graph_.axes_of(way), at.axis))
          way = graph_.Make(OpKind::Split, {way}, {.to = at.axes, .axis = at.axis});
        Give(in[0], way);
        return;
      case OpKind::Split:
        VisitSplit(node, way);
        return;
      default:
        for (NodeId input : in) Give(input, way);
        return;
    }
  }

  void VisitReduction(const Node& node, NodeId way) {
    const NodeId some = Fresh(way, node.attributes.axes);  // softmax: any element of the row
    const NodeId mask = ir::MaskOf(node);
    Give(node.inputs[0], And(some, mask));
    if (mask) Give(mask, some);
  }

  void VisitContraction(const Node& node, NodeId way) {
    NodeId terms = And(way, ir::MaskOf(node));
    for (int side : {0, 1})
      for (NodeId support : Support(graph_, node.inputs[side])) terms = And(terms, support);
    Give(node.inputs[0], terms);
    Give(node.inputs[1], terms);
    if (const NodeId mask = ir::MaskOf(node)) Give(mask, way);
  }

  void VisitStack(const Node& node, NodeId way) {
    const Axis axis = node.attributes.axis;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      NodeId part = way;
      if (way && Contains(graph_.axes_of(way), axis))
        part = graph_.Make(OpKind::Slice, {way}, {.axis = axis, .index = static_cast<int64_t>(i)});
      Give(node.inputs[i], part);
    }
  }

  void VisitSplit(const Node& node, NodeId way) {
    const Attributes& at = node.attributes;
    bool along = false;
    for (Axis axis : at.to) along = along || (way && Contains(graph_.axes_of(way), axis));
    if (along)
      way = graph_.Make(OpKind::Merge, {graph_.Broadcast(way, Union(graph_.axes_of(way), at.to))},
                        {.axes = at.to, .axis = at.axis});
    Give(node.inputs[0], way);
  }

  Graph& graph_;
  std::vector<bool> wanted_;  // a value of interest is computed from it, or it is one
  std::map<NodeId, Ways> ways_;
  std::map<std::pair<NodeId, AxisList>, bool> covered_;
  int fresh_ = 0;
};

}  // namespace

std::map<NodeId, Ways> Needs(Graph& graph, const std::vector<NodeId>& of) {
  return Analysis(graph, of).Take();
}

}  // namespace heed::passes
