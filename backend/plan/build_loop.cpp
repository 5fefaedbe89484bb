// From an item of the fusion to the kernel of a loop: its axes, its roots unfolded, and what each stage does.
#include "backend/plan/build_loop.h"

#include <algorithm>
#include <utility>

#include "backend/plan/arrange.h"
#include "backend/plan/unfold.h"
#include "ir/op.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::DType;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::OpKind;
using Kind = LoopValue::Kind;

AxisList LoopAxes(const Graph& graph, const Layout& layout, const Item& item) {
  // The order of the loops is that of the largest value: a root that is stored, else an operand.
  const AxisList all = ir::Union(item.outer, item.inner);
  AxisList reference;
  const auto consider = [&](const AxisList& order) {
    if (reference.size() < all.size() && order.size() > reference.size() && ir::ContainsAll(all, order)) {
      reference = order;
    }
  };
  for (NodeId root : item.nodes) {
    if (!ir::IsReduce(graph.op(root))) consider(ir::Intersection(layout.OrderOf(root), all));
  }
  for (NodeId root : item.nodes) {
    if (ir::IsReduce(graph.op(root))) {
      consider(layout.OrderOf(graph[root].inputs[0]));
      consider(layout.OrderOf(root));
    }
  }
  reference = ir::Union(reference, all);
  if (item.inner_order.empty()) return reference;
  AxisList ordered = ir::Minus(reference, item.inner_order);
  ordered.insert(ordered.end(), item.inner_order.begin(), item.inner_order.end());
  return ordered;
}
namespace {

/// A root that is computed: what is reduced, stored or written, as unfolded values.
struct Unfolded {
  NodeId root;
  int value = -1, mask = -1, index = -1;
};

class LoopBuilder {
 public:
  LoopBuilder(const Graph& graph, const Layout& layout, const Item& item, const std::set<NodeId>& stored)
      : graph_(graph),
        layout_(layout),
        item_(item),
        stored_(stored),
        own_(item.nodes.begin(), item.nodes.end()),
        unfolder_(graph, layout, own_, kernel_, ChooseAxes()) {}

  LoopKernel Run() {
    UnfoldRoots();
    std::vector<std::pair<NodeId, int>> reduced;  // reductions that are stored: their value
    for (const Unfolded& each : reductions_) {
      if (stored_.count(each.root))
        reduced.emplace_back(each.root, unfolder_.Value(each.root, unfolder_.identity()));
    }
    Arranger arranger(unfolder_.values(), kernel_, inner_begin_);
    SettleLevels(arranger);
    SettleMaps(arranger);
    FillStages(arranger);
    for (const auto& [root, value] : reduced) {
      const int placed = arranger.Place(value, Stages());
      kernel_.row_stores.push_back({placed, unfolder_.AddOperand(layout_.ViewOf(root))});
    }
    NumberReductions();
    return std::move(kernel_);
  }

 private:
  int Stages() const { return static_cast<int>(kernel_.stages.size()); }

  /// The kernel's axes, outermost first, with their extents.
  std::vector<Axis> ChooseAxes() {
    kernel_.column = item_.column;
    std::vector<Axis> outer, inner;
    for (Axis axis : LoopAxes(graph_, layout_, item_))
      (item_.reduces && ir::Contains(item_.inner, axis) ? inner : outer).push_back(axis);
    if (!item_.reduces && !outer.empty()) {
      inner.push_back(outer.back());
      outer.pop_back();
    }
    Axis lane;
    if (kernel_.column) {
      if (outer.empty()) {
        kernel_.column = false;
      } else {
        lane = outer.back();
        outer.pop_back();
      }
    }
    std::vector<Axis> axes = outer;
    for (Axis axis : outer) kernel_.outer.push_back(layout_.ExtentOf(axis));
    if (kernel_.column) {
      axes.push_back(lane);
      kernel_.lane = layout_.ExtentOf(lane);
    }
    inner_begin_ = axes.size();
    axes.insert(axes.end(), inner.begin(), inner.end());
    for (Axis axis : inner) kernel_.inner.push_back(layout_.ExtentOf(axis));
    return axes;
  }

  /// Reductions are numbered in order of appearance, which is an order of dependence.
  void UnfoldRoots() {
    for (NodeId root : item_.nodes) {
      const Node& node = graph_[root];
      if (ir::IsReduce(node.op)) {
        Unfolded each{root, unfolder_.Value(node.inputs[0], unfolder_.identity())};
        if (graph_.type(node.inputs[0]).dtype == DType::Bool) each.value = unfolder_.AsInt(each.value);
        if (const NodeId mask = ir::MaskOf(node)) each.mask = unfolder_.Value(mask, unfolder_.identity());
        unfolder_.DeclareReduction(root, static_cast<int>(reductions_.size()));
        reductions_.push_back(each);
      } else if (node.op == OpKind::Write) {
        Unfolded each{root, unfolder_.Value(node.inputs[1], unfolder_.identity())};
        each.index = unfolder_.Value(node.inputs[2], unfolder_.identity());
        maps_.push_back(each);
      } else {
        maps_.push_back({root, unfolder_.Root(root)});
      }
    }
  }

  /// The stage of each reduction: after those that it needs.
  void SettleLevels(Arranger& arranger) {
    level_.assign(reductions_.size(), 0);
    int stages = 0;
    for (size_t i = 0; i <= reductions_.size(); ++i) {
      arranger.Measure(level_);  // one round more than there are reductions settles every level
      bool changed = false;
      for (size_t r = 0; r < reductions_.size(); ++r) {
        int at = arranger.LevelOf(reductions_[r].value);
        if (reductions_[r].mask >= 0) at = std::max(at, arranger.LevelOf(reductions_[r].mask));
        changed |= level_[r] != at;
        level_[r] = at;
        stages = std::max(stages, at + 1);
      }
      if (!changed && i > 0) break;
    }
    kernel_.stages.resize(stages);
  }

  /// The stage that stores each map; -1: it is a row value, or stored nowhere.
  void SettleMaps(const Arranger& arranger) {
    const AxisList all = ir::Union(item_.outer, item_.inner);
    map_stage_.assign(maps_.size(), -1);
    int stages = Stages();
    for (size_t i = 0; i < maps_.size(); ++i) {
      if (!stored_.count(maps_[i].root)) continue;
      const bool row_root = !ir::SameSet(DomainOf(graph_, maps_[i].root).kept, all) || kernel_.inner.empty();
      const bool row_index = maps_[i].index < 0 || arranger.IsRow(maps_[i].index);
      if (row_root && row_index && arranger.IsRow(maps_[i].value)) continue;
      map_stage_[i] = arranger.LevelOf(maps_[i].value);
      if (maps_[i].index >= 0) map_stage_[i] = std::max(map_stage_[i], arranger.LevelOf(maps_[i].index));
      stages = std::max(stages, map_stage_[i] + 1);
    }
    kernel_.stages.resize(stages);
  }

  LoopStore StoreOf(const Unfolded& map, int stage, Arranger& arranger) {
    View view = layout_.ViewOf(map.root);
    LoopStore store{arranger.Place(map.value, stage)};
    if (map.index >= 0) {
      const Axis axis = graph_[map.root].attributes.axis;
      store.index = arranger.Place(map.index, stage);
      store.size = layout_.ExtentOf(axis);
      store.stride = view.Stride(axis);
      // The loop may walk this axis for another value.
      std::erase_if(view.strides, [&](const auto& entry) { return entry.first == axis; });
    }
    store.operand = unfolder_.AddOperand(view);
    return store;
  }

  void FillStages(Arranger& arranger) {
    for (int stage = 0; stage < Stages(); ++stage) {
      for (size_t r = 0; r < reductions_.size(); ++r) {
        if (level_[r] != stage) continue;
        LoopReduction reduction;
        reduction.op = graph_.op(reductions_[r].root);
        reduction.value = arranger.Place(reductions_[r].value, stage);
        if (reductions_[r].mask >= 0) reduction.mask = arranger.Place(reductions_[r].mask, stage);
        kernel_.stages[stage].reductions.push_back(reduction);
      }
      for (size_t i = 0; i < maps_.size(); ++i) {
        if (map_stage_[i] != stage) continue;
        const LoopStore store = StoreOf(maps_[i], stage, arranger);
        kernel_.stages[stage].stores.push_back(store);
      }
    }
    for (size_t i = 0; i < maps_.size(); ++i) {
      if (!stored_.count(maps_[i].root) || map_stage_[i] >= 0) continue;
      kernel_.row_stores.push_back(StoreOf(maps_[i], Stages(), arranger));
    }
  }

  /// Reductions keep their numbers only if they stand in that order in the stages: numbers them again.
  void NumberReductions() {
    std::vector<int> number(reductions_.size());
    int next = 0;
    for (int stage = 0; stage < Stages(); ++stage) {
      for (size_t r = 0; r < reductions_.size(); ++r) {
        if (level_[r] == stage) number[r] = next++;
      }
    }
    for (LoopValue& value : kernel_.values) {
      if (value.kind == Kind::Reduced) value.reduction = number[value.reduction];
    }
  }

  const Graph& graph_;
  const Layout& layout_;
  const Item& item_;
  const std::set<NodeId>& stored_;
  const std::set<NodeId> own_;
  LoopKernel kernel_;
  size_t inner_begin_ = 0;
  Unfolder unfolder_;
  std::vector<Unfolded> reductions_, maps_;
  std::vector<int> level_, map_stage_;
};

}  // namespace

LoopKernel BuildLoop(const Graph& graph, const Layout& layout, const Item& item,
                     const std::set<NodeId>& stored) {
  return LoopBuilder(graph, layout, item, stored).Run();
}

}  // namespace heed::backend
