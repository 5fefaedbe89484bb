// Mixtures of experts: a sum over an axis, of which a rank leaves a known number of elements, is computed for
// these elements only.
//
//   sum[expert | rank[expert](s) < 2](p * experts[expert](x))
//
// The chosen experts of a row, in their order, become an index along an axis `expert.2`. Whatever lies
// between values without `expert` and the sum moves to that axis: pointwise ops and sums along other axes as
// they are, a product with weights becomes a grouped product, everything else is read at the index. Rows of
// padding choose nothing. A stack of instances moves as one value where the instances compute alike.
//
// Left alone: sums over several ranked axes at once, and predicates that bound nothing (a remark says so).
#include <algorithm>
#include <set>

#include "passes/context.h"
#include "passes/depend.h"

namespace heed::passes {
namespace {

/// A value with an axis of experts, or one value for each of them that lacks it.
using Family = std::vector<NodeId>;

/// A predicate under which no row has more than `most` elements of `axis`.
struct Choice {
  Axis axis, chosen;  ///< the experts; those chosen of them
  int64_t most = 0;
  bool exactly = false;  ///< every row has `most`
  NodeId predicate;      ///< all that is said about the axis
  NodeId rest;           ///< what is said of others; none if nothing
};

AxisList Replaced(AxisList axes, Axis from, Axis to) {
  std::replace(axes.begin(), axes.end(), from, to);
  return axes;
}

/// How many elements along `axis` the condition leaves of a row at most; 0: it bounds nothing.
struct Bound {
  int64_t most = 0;
  bool exactly = false;
};
Bound BoundOf(const Graph& graph, NodeId condition, Axis axis) {
  const Node& node = graph[condition];
  const bool turned = node.op == OpKind::Gt || node.op == OpKind::Ge;
  if (!turned && node.op != OpKind::Lt && node.op != OpKind::Le) return {};
  const Node& limit = graph[node.inputs[turned ? 0 : 1]];
  if (limit.op != OpKind::Const) return {};
  const bool less = node.op == OpKind::Lt || node.op == OpKind::Gt;
  const double most = limit.attributes.number + (less ? 0 : 1);
  const auto size = static_cast<double>(graph.axes().Bound(axis));
  if (!(most >= 1) || most >= size || most != static_cast<double>(static_cast<int64_t>(most))) return {};
  const Node* rank = &graph[node.inputs[turned ? 1 : 0]];
  bool masked = false;
  if (rank->op == OpKind::Select) {  // where a rank is masked it is the number of all elements
    const Node& all = graph[rank->inputs[2]];
    if (all.op != OpKind::Const || all.attributes.number < most) return {};
    rank = &graph[rank->inputs[1]];
    masked = true;
  }
  if (rank->op != OpKind::Rank || rank->attributes.axes != AxisList{axis}) return {};
  return {static_cast<int64_t>(most), !masked && !ir::MaskOf(*rank)};
}

/// Whether values along `axis` are computed by products with weights of their own.
bool UsesExperts(const Graph& graph, NodeId value, Axis axis) {
  std::set<NodeId> seen;
  std::vector<NodeId> open{value};
  while (!open.empty()) {
    const NodeId id = open.back();
    open.pop_back();
    if (!Contains(graph.axes_of(id), axis) || !seen.insert(id).second) continue;
    const Node& node = graph[id];
    if (node.op == OpKind::Stack && node.attributes.axis == axis)
      return std::ranges::any_of(node.inputs, [&](NodeId each) { return !graph[each].inputs.empty(); });
    for (NodeId input : node.inputs) {
      if (node.op == OpKind::Contract && graph.op(input) == OpKind::Param &&
          Contains(graph.axes_of(input), axis))
        return true;
      open.push_back(input);
    }
  }
  return false;
}

/// The values of one choice, moved from the axis of all experts to that of the chosen ones.
class Mover {
 public:
  Mover(Graph& graph, const Choice& choice) : graph_(graph), choice_(choice) {
    rows_ = Minus(graph.axes_of(choice.predicate), {choice.axis});
    const NodeId roots[] = {choice.predicate};
    for (NodeId id : graph.Order(roots)) decided_.insert(id);
    index_ = Index();
  }

  NodeId index() const { return index_; }
  int products() const { return products_; }

  /// The value at the chosen experts.
  NodeId At(NodeId value) { return At(Family{value}); }

 private:
  /// The place of the i-th chosen expert, or -1.
  NodeId Index() {
    const Axis axis = choice_.axis;
    NodeId there = choice_.predicate;
    for (Axis row : rows_) {
      const auto ragged = graph_.ragged.find(row.root());
      if (!graph_.axes().IsDynamic(row) || ragged == graph_.ragged.end()) continue;
      there = graph_.And(there, graph_.Pointwise(OpKind::Lt, {graph_.Positions(row), ragged->second}));
    }
    int number = 1;
    while (Contains(graph_.axes_of(there), axis.Fresh(number))) ++number;
    const Axis other = axis.Fresh(number);
    const NodeId lower = graph_.Pointwise(OpKind::Lt, {graph_.Positions(other), graph_.Positions(axis)});
    const NodeId before = graph_.Reduce(OpKind::Sum, lower, {other}, graph_.Rename(there, {{axis, other}}));
    const NodeId here =
        graph_.And(there, graph_.Pointwise(OpKind::Eq, {before, graph_.Positions(choice_.chosen)}));
    const NodeId next = graph_.Add(graph_.Positions(axis), graph_.ConstInt(1));
    const NodeId place = graph_.Sub(graph_.Reduce(OpKind::Sum, next, {axis}, here), graph_.ConstInt(1));
    return graph_.Make(OpKind::Element, {place}, {.indexes = axis.root()});
  }

  bool Varies(NodeId id) const { return !Intersection(graph_.axes_of(id), rows_).empty(); }
  bool Vary(const Family& family) const {
    return std::ranges::any_of(family, [&](NodeId id) { return Varies(id); });
  }

  /// Computed for all experts, and read at the chosen ones.
  NodeId Read(const Family& family) {
    const NodeId all =
        family.size() == 1 ? family[0] : graph_.Make(OpKind::Stack, family, {.axis = choice_.axis});
    return graph_.Make(OpKind::Gather, {all, index_}, {.axis = choice_.axis});
  }

  NodeId At(const Family& family) {
    const NodeId first = family[0];
    if (family.size() == 1 && !Contains(graph_.axes_of(first), choice_.axis)) return first;
    if (std::ranges::all_of(family, [&](NodeId id) { return id == first; }) && family.size() > 1)
      return first;
    const auto known = moved_.find(family);
    if (known != moved_.end()) return known->second;
    const ir::Origin outer = std::exchange(graph_.origin, graph_[first].origin);
    const NodeId moved = Move(family);
    graph_.origin = outer;
    return moved_[family] = moved;
  }

  NodeId Move(const Family& family) {
    const Node node = graph_[family[0]];  // a copy: nodes are added below
    const Axis axis = choice_.axis;
    if (family.size() == 1) {
      if (node.op == OpKind::Positions) return index_;
      if (decided_.count(family[0])) return Read(family);
      if (node.op == OpKind::Stack && node.attributes.axis == axis) return At(node.inputs);
    }
    if (!Vary(family) || !Movable(node) || !Alike(family)) return Read(family);
    if (node.op == OpKind::Contract) return Product(family, node);
    std::vector<NodeId> inputs;
    for (size_t i = 0; i < node.inputs.size(); ++i) inputs.push_back(At(Operand(family, i)));
    Attributes attributes = node.attributes;
    if (node.op == OpKind::Broadcast) attributes.axes = Replaced(attributes.axes, axis, choice_.chosen);
    return graph_.Again(node, std::move(inputs), std::move(attributes));
  }

  /// Whether the op means the same at each element of the axis.
  bool Movable(const Node& node) const {
    const Attributes& at = node.attributes;
    switch (ir::Info(node.op).family) {
      case ir::Family::Pointwise:
        return true;
      case ir::Family::Reduce:
      case ir::Family::Contract:
        return !Contains(at.axes, choice_.axis);
      case ir::Family::Axes:
        if (node.op == OpKind::Broadcast) return true;
        return at.axis != choice_.axis && !Contains(at.axes, choice_.axis) &&
               !Contains(at.to, choice_.axis) && std::ranges::none_of(at.renames, [&](const auto& rename) {
                 return rename.first == choice_.axis || rename.second == choice_.axis;
               });
      case ir::Family::Index:
        return (node.op == OpKind::Gather || node.op == OpKind::Onehot || node.op == OpKind::Element) &&
               at.axis != choice_.axis;
      case ir::Family::Leaf:
      case ir::Family::Random:
      case ir::Family::Fused:
        return false;
    }
    return false;
  }

  /// Whether all members are made in the same way.
  bool Alike(const Family& family) const {
    const Node& first = graph_[family[0]];
    return std::ranges::all_of(family, [&](NodeId id) {
      const Node& node = graph_[id];
      return node.op == first.op && node.inputs.size() == first.inputs.size() &&
             node.attributes == first.attributes;
    });
  }

  Family Operand(const Family& family, size_t i) const {
    Family operand;
    for (NodeId id : family) operand.push_back(graph_[id].inputs[i]);
    return operand;
  }

  /// A product: with weights, which rows share, one of as many groups as there are experts.
  NodeId Product(const Family& family, const Node& node) {
    const Family operands[] = {Operand(family, 0), Operand(family, 1)};
    for (int side : {0, 1}) {
      const Family& weights = operands[side];
      if (Vary(weights) || !Differs(weights)) continue;
      if (!Groups(node, weights, operands[1 - side])) return Read(family);
      std::vector<NodeId> inputs{At(operands[1 - side]), index_};
      for (int64_t i = 0; i < graph_.axes().Bound(choice_.axis); ++i)
        inputs.push_back(weights.size() > 1
                             ? weights[i]
                             : graph_.Make(OpKind::Slice, {weights[0]}, {.axis = choice_.axis, .index = i}));
      ++products_;
      return graph_.Make(OpKind::GroupedContract, std::move(inputs), {.axes = node.attributes.axes});
    }
    const NodeId mask = ir::MaskOf(node) ? At(Operand(family, 2)) : NodeId{};
    return graph_.Contract(At(operands[0]), At(operands[1]), node.attributes.axes, mask);
  }

  /// Whether there is a member for each expert.
  bool Differs(const Family& family) const {
    return family.size() > 1 ? std::ranges::any_of(family, [&](NodeId id) { return id != family[0]; })
                             : Contains(graph_.axes_of(family[0]), choice_.axis);
  }

  /// Whether the product with the weights is one of matrices: nothing but terms in both operands.
  bool Groups(const Node& node, const Family& weights, const Family& other) const {
    if (ir::MaskOf(node)) return false;
    const AxisList& terms = node.attributes.axes;
    AxisList of_others;
    for (NodeId id : other) of_others = Union(of_others, Minus(graph_.axes_of(id), {choice_.axis}));
    return std::ranges::all_of(weights, [&](NodeId id) {
      const AxisList axes = Minus(graph_.axes_of(id), {choice_.axis});
      return SameSet(Intersection(axes, of_others), terms) && axes.size() > terms.size() &&
             SameSet(axes, Minus(graph_.axes_of(weights[0]), {choice_.axis})) &&
             std::ranges::none_of(axes, [&](Axis axis) { return graph_.axes().IsDynamic(axis); });
    });
  }

  Graph& graph_;
  const Choice choice_;
  AxisList rows_;             ///< along which experts are chosen
  std::set<NodeId> decided_;  ///< what the choice is made of: known for all experts
  NodeId index_;
  std::map<Family, NodeId> moved_;
  int products_ = 0;
};

/// Rewrites the sums of one graph.
class Grouping {
 public:
  Grouping(ir::AxisTable& axes, Context& context) : axes_(axes), context_(context) {}

  /// The sum in its new form, or none.
  NodeId Rewrite(Graph& graph, const Node& node, const std::vector<NodeId>& inputs) {
    const bool contraction = node.op == OpKind::Contract;
    if (!contraction && node.op != OpKind::Sum) return {};
    const size_t operands = contraction ? 2 : 1;
    const NodeId mask = inputs.size() > operands ? inputs[operands] : NodeId{};
    const std::optional<Choice> choice = Find(graph, node, inputs, mask);
    if (!choice) return {};
    Mover mover(graph, *choice);
    std::vector<NodeId> moved;
    for (size_t i = 0; i < operands; ++i) moved.push_back(mover.At(inputs[i]));
    if (!mover.products() || !context_.Allow("experts are grouped", node.origin)) return {};
    NodeId left = choice->rest;
    if (!choice->exactly) {
      const NodeId chosen = graph.Pointwise(OpKind::Ge, {mover.index(), graph.ConstInt(0)});
      left = left ? graph.And(left, chosen) : chosen;
    }
    context_.Remark(node.origin, "sum over `" + choice->axis.text() +
                                     "` grouped: " + std::to_string(choice->most) + " of " +
                                     std::to_string(graph.axes().Bound(choice->axis)) + " are computed");
    const AxisList along = Replaced(node.attributes.axes, choice->axis, choice->chosen);
    if (!contraction) return graph.Reduce(OpKind::Sum, moved[0], along, left);
    const bool floats =
        graph.type(moved[0]).dtype == ir::DType::Float && graph.type(moved[1]).dtype == ir::DType::Float;
    if (along.size() > 1 || !floats) return graph.Contract(moved[0], moved[1], along, left);
    return graph.Reduce(OpKind::Sum, graph.Mul(moved[0], moved[1]), along, left);  // few terms a row
  }

 private:
  std::optional<Choice> Find(Graph& graph, const Node& node, const std::vector<NodeId>& inputs, NodeId mask) {
    std::vector<NodeId> own, all;
    if (mask) own = Conjuncts(graph, mask);
    all = own;
    if (node.op == OpKind::Contract)
      for (int side : {0, 1})
        for (NodeId support : Support(graph, inputs[side]))
          for (NodeId part : Conjuncts(graph, support)) all.push_back(part);
    for (Axis axis : node.attributes.axes) {
      if (graph.axes().IsDynamic(axis) || graph.axes().IsLifted(axis) || axis.ring()) continue;
      Choice choice;
      bool predicate = false;
      int said = 0;
      std::set<NodeId> seen;
      for (NodeId part : all) {
        if (!Contains(graph.axes_of(part), axis) || !seen.insert(part).second) continue;
        predicate = true;
        ++said;
        const Bound bound = BoundOf(graph, part, axis);
        if (bound.most && (!choice.most || bound.most < choice.most)) {
          choice.most = bound.most;
          choice.exactly = bound.exactly;
        }
        choice.predicate = choice.predicate ? graph.And(choice.predicate, part) : part;
      }
      const bool experts = predicate && std::ranges::any_of(inputs, [&](NodeId input) {
                             return UsesExperts(graph, input, axis);
                           });
      if (!experts) continue;
      if (!choice.most) {
        context_.Remark(node.origin,
                        "sum over `" + axis.text() + "` dense: the predicate does not bound how many");
        continue;
      }
      choice.exactly = choice.exactly && said == 1;
      for (NodeId part : own)
        if (!Contains(graph.axes_of(part), axis))
          choice.rest = choice.rest ? graph.And(choice.rest, part) : part;
      choice.axis = axis;
      choice.chosen = ChosenOf(axis, choice.most);
      return choice;
    }
    return {};
  }

  /// expert.2 for two of `expert`, with the marks of the axis.
  Axis ChosenOf(Axis axis, int64_t most) {
    const Axis root(axis.root().text() + "." + std::to_string(most));
    axes_.Set(root, {ir::Extent::Kind::Static, most, {}});
    return Axis(root.text() + axis.text().substr(axis.root().text().size()));
  }

  ir::AxisTable& axes_;
  Context& context_;
};

}  // namespace

Graph GroupExperts(const Graph& graph, Context& context) {
  const auto axes = std::make_shared<ir::AxisTable>(graph.axes());
  Grouping grouping(*axes, context);
  Graph grouped(axes);
  RebuildInto(grouped, graph,
              [&](Graph& copy, NodeId, const Node& node, const std::vector<NodeId>& inputs) -> NodeId {
                const ir::Origin outer = std::exchange(copy.origin, node.origin);
                const NodeId made = grouping.Rewrite(copy, node, inputs);
                copy.origin = outer;
                return made;
              });
  return grouped;
}

}  // namespace heed::passes
