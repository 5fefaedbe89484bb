// The mask is copied into a graph of its own, without padding, and evaluated by the interpreter.
#include "passes/position_mask.h"

#include <map>

#include "ir/interp.h"
#include "passes/context.h"

namespace heed::passes {
namespace {

constexpr int64_t kLengths[] = {1, 2, 3, 5, 8};
constexpr double kMostPlaces = 1 << 16;

/// A mask over positions, constants and lengths in a graph of its own.
class PositionMask {
 public:
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
          if (graph_.axes().IsDynamic(axis) || axis.difference())
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

}  // namespace

bool Covers(const Graph& graph, NodeId mask, const AxisList& own, const IsLength& is_length) {
  return PositionMask(graph, mask, is_length).Covers(own);
}

}  // namespace heed::passes
