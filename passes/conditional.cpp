// From users to what they use. Conditions along axes that a value lacks count only if they leave some of its
// elements out for good (position_mask.h).
#include "passes/conditional.h"

#include <map>
#include <set>

#include "ir/attention_operands.h"
#include "passes/context.h"
#include "passes/position_mask.h"

namespace heed::passes {
namespace {

class Uses {
 public:
  Uses(Graph& graph, std::span<const NodeId> roots) : graph_(graph), uses_(graph.size()) {
    for (const auto& [root, length] : graph.ragged) lengths_.insert(length);
    for (NodeId root : roots) uses_[root.value].kind = Use::Kind::Always;
    const std::vector<NodeId> order = graph.Order(roots);
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      JoinSlices(*it);
      if (uses_[it->value].kind != Use::Kind::Never) Visit(*it);
    }
  }

  std::vector<Use> Take() { return std::move(uses_); }

 private:
  void Join(Use& to, const Use& use) {
    if (to.kind == Use::Kind::When && use.kind == Use::Kind::When) {
      if (to.condition != use.condition)
        to.condition = graph_.Pointwise(OpKind::Or, {to.condition, use.condition});
      if (graph_.op(to.condition) == OpKind::Const) to = {Use::Kind::Always};
    } else if (to.kind < use.kind) {
      to = use;
    }
  }

  /// All slices together use the whole.
  void JoinSlices(NodeId id) {
    const auto found = slices_.find(id);
    if (found == slices_.end()) return;
    for (const auto& [axis, slices] : found->second) {
      Use all;
      for (const auto& [number, use] : slices) Join(all, use);
      const bool complete = static_cast<int64_t>(slices.size()) == graph_.axes().Bound(axis);
      if (!complete && all.kind != Use::Kind::Never) all = {Use::Kind::Unknown};
      Join(uses_[id.value], all);
    }
  }

  /// What a use of the user under `conditions` besides is for `input`: conditions along its own axes stay,
  /// others must leave something of each of its elements. Along `together` the user takes whole rows of it,
  /// and what it is used for may have axes of that name that are others.
  void Give(NodeId input, const Use& of_user, const std::vector<NodeId>& conditions,
            const AxisList& together = {}) {
    if (graph_.type(input).dtype != ir::DType::Float) return;
    Use use = of_user;
    const AxisList apart = Minus(graph_.axes_of(input), together);
    NodeId own;
    bool covered = true;
    const auto add = [&](NodeId part, const AxisList& axes) {
      if (ContainsAll(axes, graph_.axes_of(part))) {
        own = own ? graph_.And(own, part) : part;
      } else {
        covered = covered && Covers(part, axes);
      }
    };
    if (use.kind == Use::Kind::When)
      for (NodeId part : Conjuncts(graph_, use.condition)) add(part, apart);
    for (NodeId condition : conditions)
      for (NodeId part : Conjuncts(graph_, condition))
        if (!IsPadding(part)) add(part, graph_.axes_of(input));
    if (use.kind != Use::Kind::Unknown) {
      if (!covered) {
        use = {Use::Kind::Unknown};
      } else {
        use = own ? Use{Use::Kind::When, own} : Use{Use::Kind::Always};
      }
    }
    Join(uses_[input.value], use);
  }

  bool IsPadding(NodeId id) const {
    const Node& node = graph_[id];
    return node.op == OpKind::Lt && graph_.op(node.inputs[0]) == OpKind::Positions &&
           IsLength(node.inputs[1]);
  }
  bool IsLength(NodeId id) const { return lengths_.count(id) != 0 || graph_.op(id) == OpKind::Length; }

  void Visit(NodeId id) {
    const Node& node = graph_[id];
    const Use use = uses_[id.value];
    switch (node.op) {
      case OpKind::Select:
        Give(node.inputs[1], use, {node.inputs[0]});
        Give(node.inputs[2], use, {graph_.Pointwise(OpKind::Not, {node.inputs[0]})});
        return;
      case OpKind::Gather:
        Give(node.inputs[0], {Use::Kind::Unknown}, {});
        return;
      case OpKind::Slice:
        Join(slices_[node.inputs[0]][node.attributes.axis][node.attributes.index], use);
        return;
      case OpKind::Rename: {
        Use renamed = use;
        std::vector<std::pair<Axis, Axis>> back;
        for (auto [from, to] : node.attributes.renames) back.emplace_back(to, from);
        if (renamed.condition) renamed.condition = graph_.Rename(renamed.condition, back);
        Give(node.inputs[0], renamed, {});
        return;
      }
      case OpKind::Attention: {
        const Graph& region = *node.attributes.regions->score;
        const NodeId mask = region.Output("mask");
        const auto is_length = [&](NodeId leaf) {
          const std::string& name = region[leaf].attributes.name;
          if (region.op(leaf) != OpKind::Input || !name.starts_with("c")) return false;
          const size_t number = static_cast<size_t>(std::atoi(name.c_str() + 1)) + 3;
          return number < node.inputs.size() && IsLength(node.inputs[number]);
        };
        const AxisList key{node.attributes.axis}, scored = Union(node.attributes.axes, key);
        for (size_t i = 0; i < node.inputs.size(); ++i) {
          const NodeId input = node.inputs[i];
          const bool all = passes::Covers(region, mask, graph_.axes_of(input), is_length);
          Give(input, all ? use : Use{Use::Kind::Unknown}, {},
               i == ir::AttentionOperands::kValue ? key : scored);
        }
        return;
      }
      default:
        break;
    }
    const NodeId mask = node.op == OpKind::Rank ? NodeId{} : ir::MaskOf(node);
    const AxisList row = ir::KeepsAxes(node.op) ? node.attributes.axes : AxisList{};
    for (NodeId input : node.inputs)
      if (input != mask) Give(input, use, mask ? std::vector<NodeId>{mask} : std::vector<NodeId>{}, row);
  }

  bool Covers(NodeId mask, const AxisList& own) {
    const auto [known, fresh] = covers_.try_emplace({mask, own}, false);
    if (fresh) known->second = passes::Covers(graph_, mask, own, [&](NodeId id) { return IsLength(id); });
    return known->second;
  }

  Graph& graph_;
  std::vector<Use> uses_;
  std::set<NodeId> lengths_;
  std::map<NodeId, std::map<Axis, std::map<int64_t, Use>>> slices_;
  std::map<std::pair<NodeId, AxisList>, bool> covers_;
};

}  // namespace

std::vector<Use> UsesOf(Graph& graph, std::span<const NodeId> roots) { return Uses(graph, roots).Take(); }

}  // namespace heed::passes
