// Decoding derived from the masks: from one example's graph of a generate entry the graph that reads the
// prompt (prefill) and the one that adds an element (step).
//
// In the step the generated axis t is gone: positions(t) is the newest position, |t| - 1, and every value
// exists as its row there. A value whose earlier rows are wanted too, because a reduction over t' reads them
// or a value over t and t' does, is a cache: the row is written to its slot, and the caches together are all
// that a step knows of the past. Slots of a cache are the positions of t' themselves. Where the masks of
// everything that reads it allow a bounded distance only, the cache is a ring instead: `slots` of them, which
// move on by `step` positions at a time, so that slots stay in the order of positions and blocks of them
// where kernels would cut the whole sequence; that keeps sums equal bit for bit. Whoever holds a ring moves
// its rows when `first` (see First) changes.
//
// Values that do not depend on the generated text are computed by the prefill and handed over, unless they
// cost next to nothing. The prefill is the whole graph; its caches are values it has anyway. Left alone: the
// batch (a later pass lifts both graphs), how far a cache's memory reaches, which sums kernels cut where.
#include "passes/incremental.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "passes/context.h"
#include "passes/depend.h"
#include "passes/mask.h"
#include "runtime/abi_names.h"
#include "runtime/kernels/limits.h"

namespace heed::passes {
namespace {

using ir::DType;
using ir::Family;

// Rings move on by multiples of what kernels sum in blocks: those that attention alone reads by its tiles of
// keys, others by what suits tiles, blocks of a matrix product and lanes of a loop.
constexpr int64_t kFusedRingStep = kHeedKeyTile;
constexpr int64_t kRingStep = std::lcm(int64_t{kHeedKeyTile}, int64_t{kHeedBlockDepth});
static_assert(kRingStep % kHeedMostLanes == 0);

/// A value and the one growing axis along which all its rows are wanted; none: the newest row is.
struct Want {
  NodeId id;
  Axis along;
  friend auto operator<=>(const Want& a, const Want& b) {
    if (const auto order = a.id <=> b.id; order != 0) return order;
    return a.along == b.along  ? std::strong_ordering::equal
           : a.along < b.along ? std::strong_ordering::less
                               : std::strong_ordering::greater;
  }
  friend bool operator==(const Want&, const Want&) = default;
};

/// Which rows of which values a step reads, and which of them share slots.
class Demand {
 public:
  Demand(const Graph& graph, const Context& context)
      : graph_(graph), context_(context), axis_(graph.generate->axis), causality_(AnalyzeCausality(graph)) {
    for (NodeId id : graph.Order()) {
      Classify(id);
      if (graph.op(id) == OpKind::Positions && Grows(graph[id].attributes.axis))
        positions_.emplace(graph[id].attributes.axis, id);
    }
    for (const auto& [name, value] : graph.outputs) Visit({value, {}});
    while (!open_.empty()) {
      const Want want = open_.back();
      open_.pop_back();
      Expand(want);
    }
    if (complaints_.empty()) Measure();
  }

  const std::vector<Complaint>& complaints() const { return complaints_; }
  Axis axis() const { return axis_; }
  bool Grows(Axis axis) const { return axis.root() == axis_.root() && graph_.axes().IsDynamic(axis); }
  bool Depends(NodeId id) const { return causality_.dependence[id.value] != Dependence::None; }
  AxisList Growing(const AxisList& axes) const {
    AxisList growing;
    for (Axis a : axes)
      if (Grows(a)) growing.push_back(a);
    return growing;
  }
  /// The growing axis a reduction or product sums over; none if there is none.
  Axis Reduced(const Node& node) const {
    if (!ir::IsReduce(node.op) && node.op != OpKind::Contract) return {};
    const AxisList growing = Growing(node.attributes.axes);
    return growing.empty() ? Axis() : growing[0];
  }
  /// What is wanted of input number `input`, given what is wanted of the node.
  Want OfInput(const Want& want, size_t input) const {
    const Node& node = graph_[want.id];
    Axis along = Reduced(node) ? Reduced(node) : want.along;
    if (node.op == OpKind::Rename)
      for (auto [from, to] : node.attributes.renames)
        if (to == along) {
          along = from;
          break;
        }
    const NodeId id = node.inputs[input];
    return {id, along && Contains(graph_.axes_of(id), along) ? along : Axis()};
  }
  /// Rows of it are kept: everything but its growing axis is in every row. Not if it only gives another name
  /// to other axes: then what it names is kept, once for all names.
  bool IsCache(const Want& want) const {
    const Node& node = graph_[want.id];
    if (!want.along || !Depends(want.id) || Growing(node.type.axes).size() != 1) return false;
    if (node.op != OpKind::Rename) return true;
    const auto& renames = node.attributes.renames;
    return std::any_of(renames.begin(), renames.end(), [&](const auto& each) { return Grows(each.first); });
  }
  /// Computed once, by the prefill.
  bool IsFixed(NodeId id) const { return fixed_[id.value]; }
  /// Of a fixed value: the same for every example.
  bool IsShared(NodeId id) const { return !of_example_[id.value]; }
  /// The axis of slots that stands for `want.along`: itself, or a ring.
  Axis Slots(const Want& want) {
    if (!Depends(want.id)) return want.along;
    const Group& group = groups_[Find(want)];
    const int64_t step = context_.options.ring_step > 0 ? context_.options.ring_step
                         : group.fused                  ? kFusedRingStep
                                                        : kRingStep;
    const int64_t bound = graph_.axes().Bound(axis_);
    if (!(group.window < static_cast<double>(bound))) return want.along;
    const int64_t least = static_cast<int64_t>(group.window) + step - 1;
    const int64_t slots = (least + step - 1) / step * step;
    return slots < bound ? axis_.Twin().Ring(slots, step) : want.along;
  }
  /// The slots that a reduction over `along` runs over.
  Axis SlotsOfReduction(NodeId id) {
    const Node& node = graph_[id];
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (const Want input = OfInput({id, {}}, i); input.along && Depends(input.id)) return Slots(input);
    return Reduced(node);
  }

 private:
  struct Group {
    double window = 0;  ///< the largest t - t' + 1 that a reader's mask allows
    bool fused = true;  ///< all readers are attentions that will be fused
  };

  /// Fixed values, from inputs to users: whether a value depends on the example, and whether it is so cheap
  /// that every step may compute it.
  void Classify(NodeId id) {
    const Node& node = graph_[id];
    of_example_.resize(graph_.size());
    light_.resize(graph_.size());
    fixed_.resize(graph_.size());
    bool of_example = node.op == OpKind::Input || node.op == OpKind::Length;
    bool light = true;
    for (NodeId input : node.inputs) {
      of_example = of_example || of_example_[input.value];
      light = light && light_[input.value];
    }
    const Family family = ir::Info(node.op).family;
    // What is added up over a dynamic axis depends on the example's length.
    if (family == Family::Reduce || family == Family::Contract)
      of_example = of_example || std::ranges::any_of(node.attributes.axes, [&](Axis axis) {
                     return graph_.axes().IsDynamic(axis);
                   });
    of_example_[id.value] = of_example;
    if (family == Family::Reduce || family == Family::Contract) light = false;
    // What depends on the example and is not mere counting: read once rather than computed once a step.
    if (of_example && family != Family::Leaf && !IsView(node.op) && node.op != OpKind::Element &&
        !(ir::IsPointwise(node.op) && node.type.dtype != DType::Float))
      light = false;
    light_[id.value] = light;
  }
  static bool IsView(OpKind op) {
    return op == OpKind::Rename || op == OpKind::Broadcast || op == OpKind::Stop;
  }

  void Visit(const Want& want) {
    if (windows_.emplace(want, Group{}).second) open_.push_back(want);
  }

  void Complain(NodeId id, const AxisList& axes) {
    const Node& node = graph_[id];
    const std::string y = graph_.generate->variable;
    complaints_.push_back(
        {frontend::DiagnosticKind::NotCausal,
         node.origin.where,
         std::string(ir::Info(node.op).name) + " needs pairs of earlier positions, [" + Text(axes) + "]",
         {"while `" + y + "` grows, one row is kept for each position; a value over [" + Text(axes) +
          "] would have to be kept for each pair"}});
  }

  void Expand(const Want& want) {
    const Node& node = graph_[want.id];
    const AxisList& axes = node.type.axes;
    if (!want.along && !Depends(want.id) && Growing(axes).empty()) {
      if (!light_[want.id.value] && !IsView(node.op)) {
        fixed_[want.id.value] = true;
        return;
      }
    }
    if (IsCache(want)) {
      Visit({want.id, {}});
      return;
    }
    const AxisList reduced =
        ir::IsReduce(node.op) || node.op == OpKind::Contract ? Growing(node.attributes.axes) : AxisList{};
    AxisList pair = reduced;
    if (want.along && !Contains(pair, want.along)) pair.push_back(want.along);
    // A softmax along an axis has all rows of it or none.
    const bool row_of_softmax = ir::KeepsAxes(node.op) && !reduced.empty() && !want.along;
    if (pair.size() > 1 || row_of_softmax) {
      if (row_of_softmax) pair = Growing(axes);
      Complain(want.id, pair);
      return;
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const Want input = OfInput(want, i);
      // A factor that is computed from parameters alone would be stored anew in every step.
      if (node.op == OpKind::Contract && !want.along && !Depends(input.id) &&
          Growing(graph_.axes_of(input.id)).empty() && !of_example_[input.id.value] && IsComputed(input.id)) {
        fixed_[input.id.value] = true;
      }
      Visit(input);
    }
  }
  /// Not a leaf and not only a view of one.
  bool IsComputed(NodeId id) const {
    const Node& node = graph_[id];
    const Family family = ir::Info(node.op).family;
    if (family == Family::Leaf) return false;
    if (family != Family::Axes && node.op != OpKind::Stop) return true;
    return node.op == OpKind::Stack ||
           std::any_of(node.inputs.begin(), node.inputs.end(), [&](NodeId i) { return IsComputed(i); });
  }

  /// Windows travel from readers to what they read, and readers join the groups of what they read.
  void Measure() {
    for (auto reader = windows_.rbegin(); reader != windows_.rend(); ++reader) {
      const Want& want = reader->first;
      if (IsCache(want) || IsFixed(want.id)) continue;
      const Node& node = graph_[want.id];
      const Axis reduced = Reduced(node);
      Group of = reader->second;
      if (reduced) of = {node.op == OpKind::Argmax ? kUnbounded : Window(node, reduced), IsFused(node)};
      std::optional<Want> first;
      if (want.along && Depends(want.id)) first = want;
      for (size_t i = 0; i < node.inputs.size(); ++i) {
        const Want input = OfInput(want, i);
        if (!input.along || !Depends(input.id)) continue;
        Group& window = windows_.at(input);
        window.window = std::max(window.window, of.window);
        window.fused = window.fused && of.fused;
        if (first) parent_[Find(input)] = Find(*first);
        first = first ? first : input;
      }
    }
    for (const auto& [want, window] : windows_) {
      if (!want.along || !Depends(want.id)) continue;
      Group& group = groups_[Find(want)];
      group.window = std::max(group.window, window.window);
      group.fused = group.fused && window.fused;
    }
  }
  Want Find(Want want) {
    for (auto found = parent_.find(want); found != parent_.end() && found->second != want;
         found = parent_.find(want))
      want = found->second;
    return want;
  }

  /// The largest row - gone + 1 that a mask of a reduction over `gone` allows.
  double Window(const Node& node, Axis gone) const {
    std::vector<NodeId> masks;
    if (const NodeId own = ir::MaskOf(node)) masks.push_back(own);
    if (node.op == OpKind::Contract)
      for (int i : {0, 1})
        for (NodeId mask : Support(graph_, node.inputs[i])) masks.push_back(mask);
    AxisList have;
    for (NodeId input : node.inputs) have = Union(have, graph_.axes_of(input));
    double window = kUnbounded;
    for (Axis row : Growing(have)) {
      const auto a = positions_.find(row), b = positions_.find(gone);
      if (row == gone || a == positions_.end() || b == positions_.end()) continue;
      for (NodeId mask : masks) window = std::min(window, Sup(graph_, mask, a->second, b->second) + 1);
    }
    return std::max(window, 0.0);
  }

  /// A softmax or log-sum-exp that will be part of a fused attention, or the sum over its weights.
  bool IsFused(const Node& node) const {
    if (!context_.sites) return false;
    const auto fused = [&](const Node& reduction) { return context_.sites->count(NameOf(reduction)) != 0; };
    if (node.op != OpKind::Contract) return fused(node);
    // Weights are the softmax or its product with factors.
    std::set<NodeId> seen;
    std::vector<NodeId> open(node.inputs.begin(), node.inputs.begin() + 2);
    while (!open.empty()) {
      const NodeId id = open.back();
      open.pop_back();
      if (!seen.insert(id).second) continue;
      const Node& weights = graph_[id];
      if (weights.op == OpKind::Softmax && fused(weights)) return true;
      if (weights.op == OpKind::Mul) open.insert(open.end(), weights.inputs.begin(), weights.inputs.end());
    }
    return false;
  }

  const Graph& graph_;
  const Context& context_;
  const Axis axis_;
  const Causality causality_;
  std::vector<Complaint> complaints_;
  std::vector<bool> of_example_, light_, fixed_;
  std::map<Axis, NodeId> positions_;
  std::vector<Want> open_;
  std::map<Want, Group> windows_;
  std::map<Want, Want> parent_;
  std::map<Want, Group> groups_;
};

/// The number of positions before slot 0 of a ring, when `position` is the newest.
NodeId First(Graph& graph, NodeId position, Axis ring) {
  const int64_t step = ring.ring_step();
  const NodeId u = graph.Pointwise(
      OpKind::Maximum, {graph.Add(position, graph.ConstInt(step - ring.ring())), graph.ConstInt(0)});
  return graph.Sub(u, graph.Pointwise(OpKind::Mod, {u, graph.ConstInt(step)}));
}

NodeId Element(Graph& graph, NodeId x, Axis indexes) {
  return graph.type(x).indexes == indexes ? x : graph.Make(OpKind::Element, {x}, {.indexes = indexes});
}

AxisList Replaced(AxisList axes, Axis from, Axis to) {
  std::replace(axes.begin(), axes.end(), from, to);
  return axes;
}

class StepBuilder {
 public:
  struct Kept {
    std::string name;
    Want want;   ///< of the entry's graph
    Axis slots;  ///< of a cache
  };

  StepBuilder(const Graph& graph, Demand& demand)
      : graph_(graph), demand_(demand), step_(graph.shared_axes()) {}

  void Build() {
    last_ = step_.Sub(step_.Length(demand_.axis()), step_.ConstInt(1));
    for (const auto& [name, value] : graph_.outputs) step_.SetOutput(name, Row(value));
    for (const Kept& cache : caches_) step_.SetOutput(cache.name, whole_.at({cache.want, cache.slots}));
    CarryGenerate(step_, graph_);
  }
  Graph& step() { return step_; }
  const std::vector<Kept>& caches() const { return caches_; }
  const std::vector<Kept>& fixed() const { return fixed_; }

 private:
  /// The node's attributes with growing axes gone, but for `along`, which becomes `slots`.
  Attributes Adapted(const Node& node, Axis along, Axis slots) const {
    Attributes at = node.attributes;
    const Axis kept = demand_.Reduced(node) ? demand_.Reduced(node) : along;
    const auto adapt = [&](const AxisList& axes) {
      AxisList adapted;
      for (Axis a : axes)
        if (a == kept) {
          adapted.push_back(slots);
        } else if (!demand_.Grows(a)) {
          adapted.push_back(a);
        }
      return adapted;
    };
    at.axes = adapt(at.axes);
    at.to = adapt(at.to);
    // Rows have no growing axis, and slots are called the same on both sides.
    std::erase_if(at.renames, [&](const auto& rename) { return demand_.Grows(rename.first); });
    return at;
  }

  /// The value at the newest position.
  NodeId Row(NodeId id) {
    if (const auto found = rows_.find(id); found != rows_.end()) return found->second;
    const NodeId result = MakeRow(id, graph_[id]);
    rows_.emplace(id, result);
    return result;
  }
  NodeId MakeRow(NodeId id, const Node& node) {
    step_.origin = node.origin;
    if (demand_.IsFixed(id)) {
      Attributes at{.axes = node.type.axes, .indexes = node.type.indexes, .dtype = node.type.dtype};
      at.name = std::string(kFixedPrefix) + std::to_string(fixed_.size());
      at.index = demand_.IsShared(id) ? 1 : 0;
      fixed_.push_back({at.name, {id, {}}, {}});
      return step_.Make(OpKind::Input, {}, at);
    }
    if (node.op == OpKind::Positions && demand_.Grows(node.attributes.axis)) return Newest();
    if (node.op == OpKind::Onehot && demand_.Grows(node.attributes.axis))
      return OnehotAt(Row(node.inputs[0]), last_);
    if (!demand_.Reduced(node)) {
      std::vector<NodeId> inputs;
      for (NodeId input : node.inputs) inputs.push_back(Row(input));
      return step_.Again(node, std::move(inputs), Adapted(node, {}, {}));
    }
    return Reduction({id, {}}, demand_.SlotsOfReduction(id));
  }

  /// A reduction over earlier positions, in slots; of a softmax all rows along `want.along`.
  NodeId Reduction(const Want& want, Axis slots) {
    const Node& node = graph_[want.id];
    std::vector<NodeId> inputs;
    for (size_t i = 0; i < node.inputs.size(); ++i) inputs.push_back(Whole(demand_.OfInput(want, i), slots));
    if (slots.ring()) {  // slots beyond the newest position are not there; on a plain axis there are none
      const NodeId there = step_.Pointwise(OpKind::Le, {PositionsOf(slots), Newest()});
      const size_t operands = node.op == OpKind::Contract ? 2 : 1;
      if (inputs.size() > operands) {
        inputs[operands] = step_.And(inputs[operands], there);
      } else {
        inputs.push_back(there);
      }
    }
    return step_.Again(node, std::move(inputs), Adapted(node, want.along, slots));
  }

  /// The value in all slots of `want.along`, which `slots` stands for.
  NodeId Whole(const Want& want, Axis slots) {
    if (!want.along) return Row(want.id);
    const std::pair key{want, slots};
    if (const auto found = whole_.find(key); found != whole_.end()) return found->second;
    const NodeId result = MakeWhole(want, slots);
    whole_.emplace(key, result);
    return result;
  }
  NodeId MakeWhole(const Want& want, Axis slots) {
    const Node& node = graph_[want.id];
    if (demand_.IsCache(want)) return Cache(want, slots);
    step_.origin = node.origin;
    if (node.op == OpKind::Positions) return PositionsOf(slots);
    if (node.op == OpKind::Onehot && node.attributes.axis == want.along)
      return OnehotAt(Row(node.inputs[0]), PositionsOf(slots));
    if (demand_.Reduced(node)) return Reduction(want, slots);
    std::vector<NodeId> inputs;
    for (size_t i = 0; i < node.inputs.size(); ++i) inputs.push_back(Whole(demand_.OfInput(want, i), slots));
    return step_.Again(node, std::move(inputs), Adapted(node, want.along, slots));
  }

  NodeId Cache(const Want& want, Axis slots) {
    const Node& node = graph_[want.id];
    const NodeId row = Row(want.id);
    step_.origin = node.origin;
    Attributes at{.axes = Replaced(node.type.axes, want.along, slots),
                  .indexes = node.type.indexes,
                  .dtype = node.type.dtype};
    at.name = std::string(kCachePrefix) + std::to_string(caches_.size());
    caches_.push_back({at.name, want, slots});
    const NodeId cache = step_.Make(OpKind::Input, {}, at);
    const NodeId slot = slots.ring() ? step_.Sub(last_, First(step_, last_, slots)) : last_;
    return step_.Make(OpKind::Write, {cache, row, slot}, {.axis = slots});
  }

  NodeId Newest() { return Element(step_, last_, demand_.axis().root()); }
  NodeId PositionsOf(Axis slots) {
    const NodeId positions = step_.Positions(slots);
    if (!slots.ring()) return positions;
    return Element(step_, step_.Add(First(step_, last_, slots), positions), demand_.axis().root());
  }
  NodeId OnehotAt(NodeId index, NodeId position) {
    return step_.Select(step_.Pointwise(OpKind::Eq, {index, position}), step_.Const(1), step_.Const(0));
  }

  const Graph& graph_;
  Demand& demand_;
  Graph step_;
  NodeId last_;  ///< the newest position, a plain whole number
  std::vector<Kept> caches_, fixed_;
  std::map<NodeId, NodeId> rows_;
  std::map<std::pair<Want, Axis>, NodeId> whole_;
};

/// The whole graph and, besides its outputs, what the steps start from.
Graph Prefill(const Graph& graph, const StepBuilder& step) {
  std::map<NodeId, NodeId> map;
  Graph prefill =
      Rebuild(graph, [&](Graph& copy, NodeId id, const Node& node, const std::vector<NodeId>& inputs) {
        return map[id] = copy.Again(node, inputs);
      });
  for (const StepBuilder::Kept& cache : step.caches()) {
    const Node& node = graph[cache.want.id];
    prefill.origin = node.origin;
    NodeId value = map.at(cache.want.id);
    if (cache.slots.ring()) {
      const NodeId last = prefill.Sub(prefill.Length(cache.want.along), prefill.ConstInt(1));
      const NodeId at = prefill.Add(First(prefill, last, cache.slots), prefill.Positions(cache.slots));
      const NodeId there = prefill.Pointwise(OpKind::Le, {at, last});
      value = prefill.Make(OpKind::Gather, {value, at}, {.axis = cache.want.along});
      value = node.type.dtype == DType::Bool
                  ? prefill.And(there, value)
                  : prefill.Select(there, value,
                                   node.type.dtype == DType::Int ? prefill.ConstInt(0) : prefill.Const(0));
    }
    prefill.SetOutput(cache.name, value);
  }
  for (const StepBuilder::Kept& fixed : step.fixed()) prefill.SetOutput(fixed.name, map.at(fixed.want.id));
  prefill.origin = {};
  return prefill;
}

}  // namespace

std::vector<Complaint> NotIncremental(const Graph& graph) {
  const PassOptions options;
  const Context context{.variant = Variant::Step, .options = options};
  return Demand(graph, context).complaints();
}

Graph Incremental(const Graph& graph, Context& context) {
  if (!graph.generate) throw InternalError("incremental: the graph is of no generate entry");
  context.growing = graph.generate->axis;
  Demand demand(graph, context);
  for (const Complaint& complaint : AnalyzeCausality(graph).complaints)
    throw InternalError("incremental: " + complaint.message);
  for (const Complaint& complaint : demand.complaints())
    throw InternalError("incremental: " + complaint.message);
  StepBuilder builder(graph, demand);
  builder.Build();
  return context.variant == Variant::Prefill ? Prefill(graph, builder) : std::move(builder.step());
}

}  // namespace heed::passes
