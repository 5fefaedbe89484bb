// A mask leaves nothing out for good if every element of the operand is there for some element of the rest,
// as every key of causal attention is for its own query. Masks of positions alone are tried at small lengths.
#include "passes/conditional.h"

#include <map>
#include <set>

#include "ir/interp.h"
#include "ir/tensor_walk.h"
#include "passes/context.h"

namespace heed::passes {
namespace {

constexpr int64_t kLengths[] = {1, 2, 3, 5, 8};
constexpr double kMostPlaces = 1 << 16;

/// A mask over positions, constants and lengths in a graph of its own.
class PositionMask {
 public:
  /// `is_length`: which leaves of `graph` are lengths.
  template <typename IsLength>
  PositionMask(const Graph& graph, NodeId mask, const IsLength& is_length) : graph_(graph.shared_axes()) {
    std::map<NodeId, NodeId> map;
    for (NodeId part : ir::Conjuncts(graph, mask)) {
      const Node& node = graph[part];
      if (node.op == OpKind::Lt && graph.op(node.inputs[0]) == OpKind::Positions && is_length(node.inputs[1]))
        continue;  // padding
      const NodeId roots[] = {part};
      for (NodeId id : graph.Order(roots)) {
        const Node& each = graph[id];
        if (map.count(id)) continue;
        std::vector<NodeId> inputs;
        for (NodeId input : each.inputs) inputs.push_back(map.at(input));
        if (is_length(id)) {
          map[id] = graph_.Make(OpKind::Input, {}, {.dtype = ir::DType::Int, .name = "length"});
        } else if (each.op == OpKind::Const || each.op == OpKind::Positions || ir::IsPointwise(each.op) ||
                   each.op == OpKind::Broadcast || each.op == OpKind::Rename || each.op == OpKind::Element) {
          map[id] = graph_.Again(each, std::move(inputs));
        } else {
          depends_on_data_ = true;
          return;
        }
      }
      mask_ = mask_ ? graph_.And(mask_, map.at(part)) : map.at(part);
    }
  }

  /// For every element along `own` there is one along the mask's other axes that the mask leaves.
  bool Covers(const AxisList& own) {
    if (depends_on_data_) return false;
    if (!mask_) return true;
    for (int64_t length : kLengths) {
      std::map<Axis, int64_t> extents;
      double places = 1;
      for (NodeId id : graph_.Order(std::span(&mask_, 1)))
        for (Axis axis : graph_.axes_of(id))
          if (graph_.axes().IsDynamic(axis))
            extents[axis.root()] = std::min(length, graph_.axes().Bound(axis));
          else if (graph_.axes().IsLifted(axis))
            extents[axis.root()] = 1;
      for (Axis axis : graph_.axes_of(mask_))
        places *= static_cast<double>(extents.count(axis.root()) ? extents[axis.root()]
                                                                 : graph_.axes().Bound(axis));
      if (places > kMostPlaces) return false;
      const ir::Tensor length_tensor{{}, {}, {static_cast<double>(length)}};
      ir::Interpreter interpreter(graph_, {.values = {{"length", length_tensor}}, .extents = extents});
      if (!Covers(interpreter.Value(mask_), own)) return false;
    }
    return true;
  }

 private:
  static bool Covers(const ir::Tensor& mask, const AxisList& own) {
    std::map<std::vector<int64_t>, bool> covered;
    for (int64_t i = 0; i < mask.count(); ++i) {
      std::vector<int64_t> at;
      int64_t rest = i;
      for (size_t a = mask.axes.size(); a-- > 0; rest /= mask.shape[a])
        if (ir::Contains(own, mask.axes[a])) at.push_back(rest % mask.shape[a]);
      bool& found = covered[at];
      found = found || mask.data[static_cast<size_t>(i)] != 0;
    }
    for (const auto& [at, found] : covered)
      if (!found) return false;
    return true;
  }

  Graph graph_;
  NodeId mask_;
  bool depends_on_data_ = false;
};

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
  /// others must leave something of each of its elements.
  void Give(NodeId input, const Use& of_user, const std::vector<NodeId>& conditions) {
    if (graph_.type(input).dtype != ir::DType::Float) return;
    Use use = of_user;
    std::vector<NodeId> parts;
    if (use.kind == Use::Kind::When) parts = Conjuncts(graph_, use.condition);
    for (NodeId condition : conditions)
      for (NodeId part : Conjuncts(graph_, condition))
        if (!IsPadding(part)) parts.push_back(part);
    NodeId own;
    bool covered = true;
    for (NodeId part : parts) {
      if (ContainsAll(graph_.axes_of(input), graph_.axes_of(part))) {
        own = own ? graph_.And(own, part) : part;
      } else {
        covered = covered && Covers(part, input);
      }
    }
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
        for (NodeId input : node.inputs) {
          const bool all = PositionMask(region, mask, is_length).Covers(graph_.axes_of(input));
          Give(input, all ? use : Use{Use::Kind::Unknown}, {});
        }
        return;
      }
      default:
        break;
    }
    const NodeId mask = ir::MaskOf(node);
    for (NodeId input : node.inputs)
      if (input != mask) Give(input, use, mask ? std::vector<NodeId>{mask} : std::vector<NodeId>{});
  }

  bool Covers(NodeId mask, NodeId operand) {
    const auto [known, fresh] = covers_.try_emplace({mask, graph_.axes_of(operand)}, false);
    if (fresh)
      known->second =
          PositionMask(graph_, mask, [&](NodeId id) { return IsLength(id); }).Covers(graph_.axes_of(operand));
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
