// What is pointwise along the keys is computed anew along the merged axis; operands are merged, which is a
// view where their axes lie adjacent, as layout sees to. Left alone: dynamic axes, whose lengths differ, and
// weights with dropout, whose chance counts elements by their axes.
#include "passes/attention_keys.h"

#include <algorithm>
#include <set>

#include "ir/op.h"
#include "passes/attention_site.h"

namespace heed::passes {
namespace {

bool IsPart(const Node& node, const AxisList& keys) {
  return std::ranges::any_of(keys, [&](Axis key) { return IsRegionPart(node, key); }) || IsTransparent(node);
}

/// A product of keys along all of the axes and something without them.
bool IsProduct(const Graph& graph, NodeId id, const AxisList& keys) {
  const Node& node = graph[id];
  if (node.op != OpKind::Contract || node.inputs.size() != 2) return false;
  const AxisList &a = graph.axes_of(node.inputs[0]), &b = graph.axes_of(node.inputs[1]);
  return (ContainsAll(a, keys) && Intersection(b, keys).empty()) ||
         (ContainsAll(b, keys) && Intersection(a, keys).empty());
}

/// Which sums and log-sum-exps can run along one axis, and which axes that stands for.
class Finder {
 public:
  explicit Finder(const Graph& graph) : graph_(graph), users_(graph.Users()) {
    for (const auto& [name, value] : graph.outputs) outputs_.insert(value);
  }

  /// The node to replace: the sum of the weights, or the log-sum-exp; none if that cannot be.
  NodeId Find(NodeId id) const {
    const Node& node = graph_[id];
    const AxisList& keys = node.attributes.axes;
    if ((node.op != OpKind::Softmax && node.op != OpKind::LogSumExp) || keys.size() < 2) return {};
    const auto is_static = [&](Axis axis) {
      return graph_.axes().Of(axis).kind == ir::Extent::Kind::Static && !axis.stored() && !axis.ring();
    };
    if (!std::ranges::all_of(keys, is_static)) return {};
    NodeId weights = id;
    if (node.op == OpKind::Softmax) {
      while (NodeId product = OnlyUser(weights, OpKind::Mul)) weights = product;
      const NodeId sum = OnlyUser(weights, OpKind::Contract);
      if (!sum || !SameSet(graph_[sum].attributes.axes, keys)) return {};
      bool products = false;
      return MayMerge(weights, keys, id, products) && products ? sum : NodeId{};
    }
    bool products = false;
    return MayMerge(node.inputs[0], keys, id, products) && products ? id : NodeId{};
  }

 private:
  NodeId OnlyUser(NodeId id, OpKind op) const {
    const std::vector<NodeId>& users = users_[id.value];
    return outputs_.count(id) == 0 && users.size() == 1 && graph_.op(users[0]) == op ? users[0] : NodeId{};
  }

  /// Nothing counts elements; `products`: there are some.
  bool MayMerge(NodeId id, const AxisList& keys, NodeId softmax, bool& products) const {
    std::set<NodeId> seen;
    std::vector<NodeId> open{id};
    while (!open.empty()) {
      const NodeId at = open.back();
      open.pop_back();
      if (!seen.insert(at).second) continue;
      const Node& node = graph_[at];
      if (node.op == OpKind::Keep || node.op == OpKind::Gumbel) return false;
      products = products || IsProduct(graph_, at, keys);
      if (at == softmax || IsPart(node, keys))
        open.insert(open.end(), node.inputs.begin(), node.inputs.end());
    }
    return true;
  }

  const Graph& graph_;
  const std::vector<std::vector<NodeId>> users_;
  std::set<NodeId> outputs_;
};

/// Values of the graph along `whole` in place of `keys`, made in the copy; `map`: what is there.
class Merging {
 public:
  Merging(const Graph& graph, Graph& copy, const std::map<NodeId, NodeId>& map, AxisList keys, Axis whole)
      : graph_(graph), copy_(copy), map_(map), keys_(std::move(keys)), whole_(whole) {}

  NodeId Make(NodeId id) {
    const Node& node = graph_[id];
    const NodeId mask = ir::MaskOf(node);
    std::vector<NodeId> inputs;
    for (NodeId input : node.inputs) inputs.push_back(Merged(input));
    copy_.origin = node.origin;
    const NodeId merged = mask ? inputs.back() : NodeId{};
    if (node.op == OpKind::LogSumExp) return copy_.Reduce(node.op, inputs[0], {whole_}, merged);
    return copy_.Contract(inputs[0], inputs[1], {whole_}, merged);
  }

 private:
  NodeId Merged(NodeId id) {
    if (const auto found = made_.find(id); found != made_.end()) return found->second;
    const Node& node = graph_[id];
    const AxisList& axes = graph_.axes_of(id);
    NodeId result;
    if (Intersection(axes, keys_).empty()) {
      result = map_.at(id);
    } else if (node.op == OpKind::Softmax && SameSet(node.attributes.axes, keys_)) {
      std::vector<NodeId> inputs;
      for (NodeId input : node.inputs) inputs.push_back(Merged(input));
      copy_.origin = node.origin;  // which names it
      result = copy_.Reduce(node.op, inputs[0], {whole_}, inputs.size() > 1 ? inputs[1] : NodeId{});
    } else if (node.op == OpKind::Broadcast) {
      result = copy_.Broadcast(Merged(node.inputs[0]), Union(Minus(axes, keys_), {whole_}));
    } else if (IsPart(node, keys_) || IsProduct(graph_, id, keys_)) {
      std::vector<NodeId> inputs;
      for (NodeId input : node.inputs) inputs.push_back(Merged(input));
      copy_.origin = node.origin;
      result = copy_.Again(node, std::move(inputs));
    } else {
      copy_.origin = node.origin;
      const NodeId all = copy_.Broadcast(map_.at(id), Union(axes, keys_));
      result = copy_.Make(OpKind::Merge, {all}, {.axes = keys_, .axis = whole_});
    }
    return made_[id] = result;
  }

  const Graph& graph_;
  Graph& copy_;
  const std::map<NodeId, NodeId>& map_;
  const AxisList keys_;
  const Axis whole_;
  std::map<NodeId, NodeId> made_;
};

}  // namespace

Graph MergeKeys(const Graph& graph, const std::function<bool(const Node&)>& merges) {
  const Finder finder(graph);
  std::map<NodeId, std::pair<AxisList, Axis>> merged;  // what to replace: the axes and the one for them
  auto axes = std::make_shared<ir::AxisTable>(graph.axes());
  for (NodeId id : graph.Order()) {
    const Node& node = graph[id];
    const NodeId replaced = finder.Find(id);
    if (!replaced || !merges(node)) continue;
    std::string name;
    int64_t size = 1;
    for (Axis key : node.attributes.axes) {
      name += (name.empty() ? "" : "*") + key.root().text();
      size *= graph.axes().Bound(key);
    }
    axes->Set(Axis(name), {.size = size});
    merged.emplace(replaced, std::pair(node.attributes.axes, Axis(name)));
  }
  if (merged.empty()) return graph;
  Graph copy(axes);
  std::map<NodeId, NodeId> map;
  RebuildInto(
      copy, graph, [&](Graph& to, NodeId id, const Node& node, const std::vector<NodeId>& inputs) -> NodeId {
        const auto found = merged.find(id);
        return map[id] = found == merged.end()
                             ? to.Again(node, inputs)
                             : Merging(graph, to, map, found->second.first, found->second.second).Make(id);
      });
  return copy;
}

}  // namespace heed::passes
