#include "backend/plan/fuse.h"

#include <algorithm>
#include <map>

#include "backend/plan/cost.h"
#include "ir/op.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::DType;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::OpKind;

bool IsInline(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  switch (node.op) {
    case OpKind::Const:
    case OpKind::Length:
    case OpKind::Positions:
    case OpKind::Keep:
    case OpKind::Gumbel:
    case OpKind::Cast:
      return true;
    case OpKind::Broadcast:
    case OpKind::Rename:
    case OpKind::Element:
    case OpKind::Stop:
      return IsInline(graph, node.inputs[0]);
    default:
      return ir::IsPointwise(node.op) && node.type.dtype != DType::Float;
  }
}

Domain DomainOf(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  // A write walks its row; the place along the cache's axis is computed.
  if (node.op == OpKind::Write) return {ir::Minus(node.type.axes, {node.attributes.axis}), {}};
  if (!ir::IsReduce(node.op)) return {node.type.axes, {}};
  return {node.type.axes, node.attributes.axes};
}

std::set<NodeId> ReadAsStored(const Graph& graph, NodeId id, const std::function<bool(NodeId)>& is_material) {
  std::set<NodeId> stored;
  std::set<std::pair<NodeId, bool>> seen;
  const std::function<void(NodeId, bool)> visit = [&](NodeId at, bool as_stored) {
    if (!seen.insert({at, as_stored}).second) return;
    const OpKind op = graph.op(at);
    as_stored = as_stored || op == OpKind::Split || op == OpKind::Merge;
    for (NodeId input : graph[at].inputs) {
      if (!is_material(input)) {
        visit(input, as_stored);
      } else if (as_stored) {
        stored.insert(input);
      }
    }
  };
  visit(id, false);
  return stored;
}

namespace {

// Costs in loads from memory, roughly.
constexpr double kRandomCost = 8, kLoadCost = 1;
// A value that is needed by two loops is kept if computing it again costs more than this.
constexpr double kKeepAbove = 2.3;
// A value that varies along fewer axes than the loop that needs it is computed apart if it costs more than
// this.
constexpr double kHoistAbove = 3.5;

class Fuser {
 public:
  Fuser(const Graph& graph, const Layout& layout, const SumOrders& sums,
        const std::map<NodeId, NodeId>& lookups)
      : graph_(graph),
        layout_(layout),
        sums_(sums),
        lookups_(lookups),
        order_(graph.Order()),
        root_(graph.size()),
        item_of_(graph.size(), -1) {}

  Fusion Run() {
    FindRoots();
    for (int round = 0; round < 12; ++round) {
      Group();
      if (!PromoteVirtuals()) break;
    }
    return {std::move(items_)};
  }

 private:
  bool IsLeaf(NodeId id) const { return graph_.op(id) == OpKind::Input || graph_.op(id) == OpKind::Param; }
  bool HasOwnItem(NodeId id) const {
    const OpKind op = graph_.op(id);
    return op == OpKind::Contract || op == OpKind::Attention || op == OpKind::AttentionGrad ||
           op == OpKind::ScatterAdd || op == OpKind::GroupedContract || lookups_.count(id);
  }
  bool IsMaterial(NodeId id) const { return IsLeaf(id) || root_[id.value] || HasOwnItem(id); }

  /// The value, or what it is a view of, must be in memory.
  void NeedMemory(NodeId id) {
    while (IsViewOp(graph_, id)) id = graph_[id].inputs[0];
    if (!IsLeaf(id) && !HasOwnItem(id)) root_[id.value] = true;
  }

  void FindRoots() {
    for (NodeId id : order_) {
      const Node& node = graph_[id];
      if (ir::IsReduce(node.op) || node.op == OpKind::Write) root_[id.value] = true;
      if (HasOwnItem(id)) {
        for (NodeId input : node.inputs) NeedMemory(input);
      }
      if (node.op == OpKind::Split || node.op == OpKind::Merge) NeedMemory(node.inputs[0]);
    }
    for (const auto& [name, value] : graph_.outputs) NeedMemory(value);
  }

  /// Values in memory that computing `id` reads, through virtual ones. The node itself is always expanded.
  const std::set<NodeId>& Needs(NodeId id) {
    auto [found, fresh] = needs_.try_emplace(id);
    if (!fresh) return found->second;
    std::set<NodeId> needs;
    for (NodeId input : graph_[id].inputs) {
      if (IsMaterial(input)) {
        needs.insert(input);
      } else {
        const std::set<NodeId>& more = Needs(input);
        needs.insert(more.begin(), more.end());
      }
    }
    return needs_[id] = std::move(needs);
  }

  /// For every value of Needs(id) the axes that are read at another place than that of the loop computing
  /// `id`: renamed, sliced, gathered.
  const std::map<NodeId, std::set<Axis>>& Elsewhere(NodeId id) {
    auto [found, fresh] = elsewhere_.try_emplace(id);
    if (!fresh) return found->second;
    std::map<NodeId, std::set<Axis>> elsewhere;
    const Node& node = graph_[id];
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const NodeId input = node.inputs[i];
      std::set<Axis> moved;
      if (node.op == OpKind::Rename) {
        for (const auto& [from, to] : node.attributes.renames) moved.insert(from);
      } else if (node.op == OpKind::Slice || (node.op == OpKind::Gather && i == 0)) {
        moved.insert(node.attributes.axis);
      }
      AddElsewhere(input, moved, elsewhere);
    }
    return elsewhere_[id] = std::move(elsewhere);
  }
  /// What reading `id`, with some axes moved, reads elsewhere.
  void AddElsewhere(NodeId id, const std::set<Axis>& moved, std::map<NodeId, std::set<Axis>>& into) {
    const auto add = [&](NodeId value, const std::set<Axis>& axes) {
      for (Axis axis : axes) {
        if (ir::Contains(graph_.axes_of(value), axis)) into[value].insert(axis);
      }
    };
    if (IsMaterial(id)) return add(id, moved);
    for (const auto& [value, axes] : Elsewhere(id)) add(value, axes);
    for (NodeId value : Needs(id)) add(value, moved);
  }

  /// True if reading `id`, of item `at`, with `moved` axes reads a reduction of that item at another place:
  /// its loop knows only the value at its own.
  bool MovesReduction(NodeId id, const std::set<Axis>& moved, int at) {
    if (moved.empty() || item_of_[id.value] != at) return false;
    if (ir::IsReduce(graph_.op(id))) return true;
    std::map<NodeId, std::set<Axis>> read;
    for (NodeId input : graph_[id].inputs) AddElsewhere(input, moved, read);
    return std::any_of(read.begin(), read.end(),
                       [&](const auto& value) { return MovesReduction(value.first, value.second, at); });
  }

  /// True if a loop along `reduced` would walk its operands against their storage, or if such a sum is known
  /// to be added in columns.
  bool PrefersColumns(NodeId id, const AxisList& kept, const AxisList& reduced) {
    if (const SumOrders::Order* known = sums_.Find(graph_, id)) return known->column;
    int row = 0, column = 0;
    const AxisList all = ir::Union(kept, reduced);
    std::set<NodeId> operands = Needs(id);
    for (NodeId operand : operands) {
      const Axis innermost = InnermostIn(operand);
      if (graph_.axes_of(operand).size() < all.size() || !innermost) continue;
      (ir::Contains(reduced, innermost) ? row : column)++;
    }
    return column > row;
  }
  Axis InnermostIn(NodeId id) const {
    return IsLeaf(id) ? layout_.InnermostOf(id)
                      : (layout_.OrderOf(id).empty() ? Axis{} : layout_.OrderOf(id).back());
  }

  void Group() {
    items_.clear();
    needs_.clear();
    elsewhere_.clear();
    std::fill(item_of_.begin(), item_of_.end(), -1);
    std::map<std::string, int> attentions;
    std::vector<NodeId> writes;  // put off until something needs them, so that they meet in one loop
    const auto write_out = [&] {
      for (NodeId write : writes) JoinOrOpen(write);
      writes.clear();
    };
    for (NodeId id : order_) {
      const Node& node = graph_[id];
      if (IsLeaf(id)) continue;
      if (node.op == OpKind::Write) {
        writes.push_back(id);
        continue;
      }
      if (!writes.empty() && IsMaterial(id)) {
        const std::set<NodeId>& needs = Needs(id);
        if (std::any_of(writes.begin(), writes.end(), [&](NodeId write) { return needs.count(write) != 0; }))
          write_out();
      }
      const auto alone = [&](Item::Kind kind) {
        item_of_[id.value] = static_cast<int>(items_.size());
        items_.push_back({kind, {id}, {}, {}, {}, {}});
      };
      if (node.op == OpKind::Contract) {
        alone(Item::Kind::Matmul);
      } else if (node.op == OpKind::ScatterAdd) {
        alone(Item::Kind::Scatter);
      } else if (node.op == OpKind::GroupedContract) {
        alone(Item::Kind::Grouped);
      } else if (lookups_.count(id)) {
        alone(Item::Kind::Lookup);
      } else if (node.op == OpKind::Attention || node.op == OpKind::AttentionGrad) {
        // Results of one computation differ in `index` only.
        std::string key = std::string(ir::Info(node.op).name) + "/" +
                          std::to_string(reinterpret_cast<uintptr_t>(node.attributes.regions.get()));
        for (NodeId input : node.inputs) key += "," + std::to_string(input.value);
        auto [found, fresh] = attentions.emplace(key, static_cast<int>(items_.size()));
        if (fresh) items_.push_back({Item::Kind::Attention, {}, {}, {}, {}, {}});
        items_[found->second].nodes.push_back(id);
        item_of_[id.value] = found->second;
      } else if (root_[id.value]) {
        JoinOrOpen(id);
      }
    }
    write_out();
  }

  void JoinOrOpen(NodeId id) {
    const Domain domain = DomainOf(graph_, id);
    int ready = -1;  // the last item that something outside a candidate loop is computed by
    const std::set<NodeId>& needs = Needs(id);
    const std::set<NodeId> as_stored =
        ReadAsStored(graph_, id, [this](NodeId value) { return IsMaterial(value); });
    for (int i = static_cast<int>(items_.size()) - 1; i >= 0; --i) {
      Item& item = items_[i];
      if (item.kind != Item::Kind::Loop) continue;
      ready = -1;
      bool related = false;
      for (NodeId need : needs) {
        const int at = item_of_[need.value];
        if (at == i) {
          related = true;
        } else {
          ready = std::max(ready, at);
        }
      }
      if (ready > i) break;  // every earlier loop is too early as well, unless it is `at` itself
      if (ready == i) continue;
      const bool writes = graph_.op(id) == OpKind::Write &&
                          std::all_of(item.nodes.begin(), item.nodes.end(),
                                      [&](NodeId root) { return graph_.op(root) == OpKind::Write; });
      if (!related && !writes && !SharesOperand(item, needs)) continue;
      // A loop does not read what it writes at computed places.
      const auto written_here = [&](NodeId need) {
        return graph_.op(need) == OpKind::Write && item_of_[need.value] == i;
      };
      if (std::any_of(needs.begin(), needs.end(), written_here)) continue;
      const auto computed_here = [&](NodeId value) { return item_of_[value.value] == i; };
      if (std::any_of(as_stored.begin(), as_stored.end(), computed_here)) continue;
      const auto& elsewhere = Elsewhere(id);
      const auto moves = [&](const auto& value) { return MovesReduction(value.first, value.second, i); };
      if (std::any_of(elsewhere.begin(), elsewhere.end(), moves)) continue;
      if (!Fits(item, id, domain)) continue;
      item.nodes.push_back(id);
      item_of_[id.value] = i;
      return;
    }
    Item item{Item::Kind::Loop, {id}, {}, {}, {}, {}};
    item.outer = domain.kept;
    item.inner = domain.reduced;
    item.reduces = ir::IsReduce(graph_.op(id));
    item.column = item.reduces && PrefersColumns(id, domain.kept, domain.reduced);
    item.inner_order = item.reduces ? KnownOrder(id) : AxisList{};
    item_of_[id.value] = static_cast<int>(items_.size());
    items_.push_back(std::move(item));
  }

  /// The summed axes in the order that is known for the sum; empty: none is.
  AxisList KnownOrder(NodeId id) const {
    const SumOrders::Order* known = sums_.Find(graph_, id);
    return known ? SumOrders::Sorted(graph_[id].attributes.axes, *known) : AxisList{};
  }

  bool SharesOperand(const Item& item, const std::set<NodeId>& needs) {
    for (NodeId root : item.nodes) {
      const Domain domain = DomainOf(graph_, root);
      const size_t rank = domain.kept.size() + domain.reduced.size();
      for (NodeId operand : Needs(root)) {
        if (graph_.axes_of(operand).size() == rank && rank > 0 && needs.count(operand)) return true;
      }
    }
    return false;
  }

  bool Fits(Item& item, NodeId id, const Domain& domain) {
    const AxisList all = ir::Union(item.outer, item.inner);
    if (ir::IsReduce(graph_.op(id))) {
      if (item.reduces) {
        const SumOrders::Order* known = sums_.Find(graph_, id);
        return ir::SameSet(item.outer, domain.kept) && ir::SameSet(item.inner, domain.reduced) &&
               (!known || (known->column == item.column && KnownOrder(id) == item.inner_order));
      }
      if (!ir::SameSet(all, ir::Union(domain.kept, domain.reduced))) return false;
      if (PrefersColumns(id, domain.kept, domain.reduced)) return false;
      for (NodeId root : item.nodes) {
        if (!ir::Contains(domain.reduced, InnermostIn(root))) return false;
      }
      item.reduces = true;
      item.inner_order = KnownOrder(id);
      item.outer = domain.kept;
      item.inner = domain.reduced;
      return true;
    }
    if (!item.reduces) return ir::SameSet(all, domain.kept);
    if (ir::SameSet(item.outer, domain.kept)) return true;
    if (!ir::SameSet(all, domain.kept)) return false;
    if (!item.column) return true;
    // A column loop stores whole values only if they need its sums.
    for (NodeId need : Needs(id)) {
      if (std::find(item.nodes.begin(), item.nodes.end(), need) != item.nodes.end()) return true;
    }
    return false;
  }

  double Cost(NodeId id, std::map<NodeId, double>& memo) {
    if (auto found = memo.find(id); found != memo.end()) return found->second;
    const Node& node = graph_[id];
    double cost = 0;
    if (IsMaterial(id)) {
      cost = kLoadCost;
    } else {
      for (NodeId input : node.inputs) cost += Cost(input, memo);
      if (node.op == OpKind::Keep || node.op == OpKind::Gumbel) {
        cost += kRandomCost;
      } else if (ir::IsPointwise(node.op)) {
        cost += CostOfOp(node.op).again;
      }
    }
    return memo[id] = std::min(cost, 1e6);
  }

  /// Makes roots of virtual values that are too expensive to compute again. True if there were any.
  bool PromoteVirtuals() {
    struct Use {
      int item = -1;
      bool again = false;
    };
    std::map<NodeId, Use> uses;
    std::map<NodeId, double> costs;
    std::set<NodeId> promoted;
    for (size_t i = 0; i < items_.size(); ++i) {
      const Item& item = items_[i];
      if (item.kind != Item::Kind::Loop) continue;
      const AxisList all = ir::Union(item.outer, item.inner);
      std::set<NodeId> seen;
      std::vector<NodeId> stack(item.nodes.begin(), item.nodes.end());
      while (!stack.empty()) {
        const NodeId id = stack.back();
        stack.pop_back();
        if (!seen.insert(id).second) continue;
        const bool own = root_[id.value] && item_of_[id.value] == static_cast<int>(i);
        if (IsMaterial(id) && !own) continue;
        for (NodeId input : graph_[id].inputs) stack.push_back(input);
        if (own || IsInline(graph_, id) || !ir::IsPointwise(graph_.op(id))) continue;
        const AxisList& axes = graph_.axes_of(id);
        const double cost = Cost(id, costs);
        const bool row = ir::ContainsAll(item.outer, axes) && !item.inner.empty();
        if (!row && cost > kHoistAbove && ir::Intersection(all, axes).size() < all.size() &&
            ir::ContainsAll(all, axes)) {
          promoted.insert(id);
        }
        if (row && ir::SameSet(axes, item.outer) == false && cost > 4 * kHoistAbove) promoted.insert(id);
        Use& use = uses[id];
        if (use.item >= 0 && use.item != static_cast<int>(i)) use.again = true;
        if (use.item < 0) use.item = static_cast<int>(i);
      }
    }
    for (const auto& [id, use] : uses) {
      if (!use.again || costs[id] <= kKeepAbove) continue;
      // Values whose parts are kept anyway come first; the rest is seen in the next round.
      bool cheaper_part = false;
      for (NodeId input : graph_[id].inputs) cheaper_part |= promoted.count(input) != 0;
      if (!cheaper_part) promoted.insert(id);
    }
    for (NodeId id : promoted) root_[id.value] = true;
    return !promoted.empty();
  }

  const Graph& graph_;
  const Layout& layout_;
  const SumOrders& sums_;
  const std::map<NodeId, NodeId>& lookups_;
  std::vector<NodeId> order_;
  std::vector<bool> root_;
  std::vector<int> item_of_;
  std::vector<Item> items_;
  std::map<NodeId, std::set<NodeId>> needs_;
  std::map<NodeId, std::map<NodeId, std::set<Axis>>> elsewhere_;
};

}  // namespace

Fusion Fuse(const Graph& graph, const Layout& layout, const SumOrders& sums,
            const std::map<NodeId, NodeId>& lookups) {
  return Fuser(graph, layout, sums, lookups).Run();
}

}  // namespace heed::backend
