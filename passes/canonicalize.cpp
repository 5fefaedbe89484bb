// Algebraic rules, one function each, all of which keep every result bit for bit.
//
// So nothing is reassociated, x + 0 stays (it turns -0 into 0) and x * 0 stays (it may be NaN). Masked sums
// start at 0 and add in order, which makes a term that is 0 as good as one that is not there, but not the
// other way round. The table below is tried at every node, operands first, until nothing applies. What is
// left alone on purpose: softmax, log_softmax and reads of stored axes, which the back end knows how to
// compute.
#include <algorithm>
#include <cmath>

#include "ir/int_range.h"
#include "ir/interval.h"
#include "passes/context.h"

namespace heed::passes {
namespace {

using ir::DType;

// ---- Helpers

const Node& In(const Graph& graph, const Node& node, size_t input) { return graph[node.inputs[input]]; }

bool IsConst(const Graph& graph, NodeId id) { return graph.op(id) == OpKind::Const; }

bool IsNumber(const Graph& graph, NodeId id, double value) {
  const Node& node = graph[id];
  return node.op == OpKind::Const && node.type.dtype != DType::Bool && node.attributes.number == value &&
         std::signbit(node.attributes.number) == std::signbit(value);
}

bool IsTruth(const Graph& graph, NodeId id, bool value) {
  const Node& node = graph[id];
  return node.op == OpKind::Const && node.type.dtype == DType::Bool && (node.attributes.number != 0) == value;
}

/// `x` in place of a value of this type; none if it is of another element type.
NodeId InPlace(Graph& graph, const ir::Type& type, NodeId x) {
  if (graph.type(x).dtype != type.dtype || graph.type(x).indexes != type.indexes) return {};
  return graph.Broadcast(x, type.axes);
}

NodeId WithoutBroadcast(const Graph& graph, NodeId id) {
  while (graph.op(id) == OpKind::Broadcast) id = graph[id].inputs[0];
  return id;
}

/// Every conjunct of `weak` is one of `strong`.
bool Implies(const Graph& graph, NodeId strong, NodeId weak) {
  const std::vector<NodeId> have = Conjuncts(graph, strong);
  for (NodeId part : Conjuncts(graph, weak))
    if (std::find(have.begin(), have.end(), part) == have.end()) return false;
  return true;
}

NodeId Conjunction(Graph& graph, const std::vector<NodeId>& parts) {
  NodeId all;
  for (NodeId part : parts) all = all ? graph.And(all, part) : part;
  return all;
}

// ---- Broadcasts move towards the outputs, so that fewer elements are computed

NodeId PointwiseOfBroadcast(Graph& graph, const Node& node) {
  std::vector<NodeId> inputs;
  for (NodeId input : node.inputs) inputs.push_back(WithoutBroadcast(graph, input));
  if (inputs == node.inputs) return {};
  return InPlace(graph, node.type, graph.Pointwise(node.op, std::move(inputs)));
}

NodeId BroadcastOfBroadcast(Graph& graph, const Node& node) {
  const NodeId inner = WithoutBroadcast(graph, node.inputs[0]);
  return inner == node.inputs[0] ? NodeId{} : graph.Broadcast(inner, node.type.axes);
}

NodeId ReduceOfBroadcast(Graph& graph, const Node& node) {
  const NodeId x = graph.Broadcast(WithoutBroadcast(graph, node.inputs[0]), node.attributes.axes);
  const NodeId old_mask = ir::MaskOf(node);
  const NodeId mask = old_mask ? WithoutBroadcast(graph, old_mask) : old_mask;
  if (SameSet(graph.axes_of(x), graph.axes_of(node.inputs[0])) && mask == old_mask) return {};
  return InPlace(graph, node.type, graph.Reduce(node.op, x, node.attributes.axes, mask));
}

NodeId ContractOfBroadcast(Graph& graph, const Node& node) {
  NodeId a = WithoutBroadcast(graph, node.inputs[0]);
  const NodeId b = WithoutBroadcast(graph, node.inputs[1]);
  // An axis that only the broadcasts had is still summed over.
  const AxisList missing = Minus(Minus(node.attributes.axes, graph.axes_of(a)), graph.axes_of(b));
  a = graph.Broadcast(a, missing);
  const NodeId old_mask = ir::MaskOf(node);
  const NodeId mask = old_mask ? WithoutBroadcast(graph, old_mask) : old_mask;
  if (SameSet(graph.axes_of(a), graph.axes_of(node.inputs[0])) && b == node.inputs[1] && mask == old_mask)
    return {};
  return InPlace(graph, node.type, graph.Contract(a, b, node.attributes.axes, mask));
}

NodeId GatherOfBroadcast(Graph& graph, const Node& node) {
  const NodeId x = graph.Broadcast(WithoutBroadcast(graph, node.inputs[0]), {node.attributes.axis});
  const NodeId index = WithoutBroadcast(graph, node.inputs[1]);
  if (SameSet(graph.axes_of(x), graph.axes_of(node.inputs[0])) && index == node.inputs[1]) return {};
  return InPlace(graph, node.type, graph.Make(OpKind::Gather, {x, index}, node.attributes));
}

// ---- Masks

NodeId SelectOnConstant(Graph& graph, const Node& node) {
  for (bool value : {true, false})
    if (IsTruth(graph, node.inputs[0], value)) return InPlace(graph, node.type, node.inputs[value ? 1 : 2]);
  return {};
}

NodeId SelectOfEqual(Graph& graph, const Node& node) {
  if (node.inputs[1] != node.inputs[2]) return {};
  return InPlace(graph, node.type, node.inputs[1]);
}

NodeId SelectOnNot(Graph& graph, const Node& node) {
  const Node& condition = In(graph, node, 0);
  if (condition.op != OpKind::Not) return {};
  return graph.Select(condition.inputs[0], node.inputs[2], node.inputs[1]);
}

/// select(c, select(c', x, y), z): where c holds, so does every c' that it implies; and select(c, x,
/// select(c, y, z)).
NodeId SelectOfSelect(Graph& graph, const Node& node) {
  const NodeId c = node.inputs[0];
  const Node& yes = In(graph, node, 1);
  const Node& no = In(graph, node, 2);
  NodeId result;
  if (yes.op == OpKind::Select && Implies(graph, c, yes.inputs[0])) {
    result = graph.Select(c, yes.inputs[1], node.inputs[2]);
  } else if (no.op == OpKind::Select && Implies(graph, no.inputs[0], c)) {
    result = graph.Select(c, node.inputs[1], no.inputs[2]);  // c fails, so that condition fails too
  } else if (yes.op == OpKind::Select && yes.inputs[2] == node.inputs[2] && IsConst(graph, node.inputs[2])) {
    result = graph.Select(graph.And(c, yes.inputs[0]), yes.inputs[1], node.inputs[2]);
  }
  return result ? InPlace(graph, node.type, result) : result;
}

/// A masked element is not there: what a select under the same mask puts in its place is never seen.
NodeId ReduceOfMasked(Graph& graph, const Node& node) {
  const NodeId mask = ir::MaskOf(node);
  const Node& x = In(graph, node, 0);
  if (!mask || x.op != OpKind::Select || !Implies(graph, mask, x.inputs[0])) return {};
  const NodeId all = graph.Broadcast(x.inputs[1], node.attributes.axes);
  return InPlace(graph, node.type, graph.Reduce(node.op, all, node.attributes.axes, mask));
}

NodeId ContractOfMasked(Graph& graph, const Node& node) {
  const NodeId mask = ir::MaskOf(node);
  if (!mask) return {};
  NodeId factors[2] = {node.inputs[0], node.inputs[1]};
  for (NodeId& factor : factors)
    if (graph.op(factor) == OpKind::Select && Implies(graph, mask, graph[factor].inputs[0]))
      factor = graph.Broadcast(graph[factor].inputs[1], graph.axes_of(factor));
  if (factors[0] == node.inputs[0] && factors[1] == node.inputs[1]) return {};
  return InPlace(graph, node.type, graph.Contract(factors[0], factors[1], node.attributes.axes, mask));
}

/// Conjuncts without a summed axis switch whole sums on and off: select(them, sum(x | the others), 0).
NodeId MaskOutOfSum(Graph& graph, const Node& node) {
  const NodeId mask = ir::MaskOf(node);
  if (!mask || node.type.dtype != DType::Float) return {};
  std::vector<NodeId> inside, outside;
  for (NodeId part : Conjuncts(graph, mask))
    (Intersection(graph.axes_of(part), node.attributes.axes).empty() ? outside : inside).push_back(part);
  if (outside.empty()) return {};
  const NodeId rest = Conjunction(graph, inside);
  const NodeId sum = node.op == OpKind::Sum
                         ? graph.Reduce(OpKind::Sum, node.inputs[0], node.attributes.axes, rest)
                         : graph.Contract(node.inputs[0], node.inputs[1], node.attributes.axes, rest);
  return InPlace(graph, node.type, graph.Select(Conjunction(graph, outside), sum, graph.Const(0)));
}

NodeId RepeatedConjuncts(Graph& graph, const Node& node) {
  std::vector<NodeId> parts, once;
  for (NodeId side : node.inputs)
    for (NodeId part : Conjuncts(graph, side)) parts.push_back(part);
  for (NodeId part : parts) {
    if (IsTruth(graph, part, false)) return InPlace(graph, node.type, part);
    if (!IsTruth(graph, part, true) && std::find(once.begin(), once.end(), part) == once.end())
      once.push_back(part);
  }
  if (once.size() == parts.size()) return {};
  return InPlace(graph, node.type, once.empty() ? graph.ConstBool(true) : Conjunction(graph, once));
}

NodeId OrOfConstantOrEqual(Graph& graph, const Node& node) {
  for (int i : {0, 1}) {
    if (IsTruth(graph, node.inputs[i], true)) return InPlace(graph, node.type, node.inputs[i]);
    if (IsTruth(graph, node.inputs[i], false)) return InPlace(graph, node.type, node.inputs[1 - i]);
  }
  return node.inputs[0] == node.inputs[1] ? node.inputs[0] : NodeId{};
}

NodeId NotOfNot(Graph& graph, const Node& node) {
  const Node& x = In(graph, node, 0);
  return x.op == OpKind::Not ? x.inputs[0] : NodeId{};
}

/// Comparisons of positions and lengths that no example can make true, or false.
NodeId ConstantComparison(Graph& graph, const Node& node) {
  for (NodeId input : node.inputs)
    if (graph.type(input).dtype != DType::Int) return {};
  using Bounds = ir::Interval<ir::NumberAlgebra::Value>;
  const auto between = [](double low, int64_t high) {
    return Bounds{{low, DType::Int}, {static_cast<double>(high), DType::Int}};
  };
  ir::NumberAlgebra numbers{[&](NodeId id) -> std::optional<Bounds> {
    const Node& leaf = graph[id];
    const Axis axis = leaf.attributes.axis;
    if (leaf.op == OpKind::Positions && axis.difference()) {
      const int64_t bound = graph.axes().Bound(axis.root());
      return between(-static_cast<double>(bound), bound - 1);
    }
    if (leaf.op == OpKind::Positions && !graph.axes().IsLifted(axis))
      return between(0, graph.axes().Bound(axis) - 1);
    if (leaf.op == OpKind::Length) return between(0, graph.axes().Bound(axis));
    for (const auto& [root, length] : graph.ragged)
      if (length == id) return between(0, graph.axes().Bound(root));
    return between(ir::kLeastInt, static_cast<int64_t>(ir::kMostInt));
  }};
  ir::IntervalAnalysis<ir::NumberAlgebra> analysis(graph, numbers);
  const auto a = analysis.Of(node.inputs[0]), b = analysis.Of(node.inputs[1]);
  if (!a || !b) return {};
  const auto truth = ir::IntervalRules<ir::NumberAlgebra>(numbers).Of(node.op, DType::Bool, {*a, *b});
  const auto always = [&](bool value) { return graph.Broadcast(graph.ConstBool(value), node.type.axes); };
  if (truth->low.number == 1) return always(true);
  return truth->high.number == 0 ? always(false) : NodeId{};
}

/// i <= n - 1 says what a length mask says.
NodeId AtMostOneLess(Graph& graph, const Node& node) {
  const Node* bound = &In(graph, node, 1);
  if (bound->op == OpKind::Element) bound = &In(graph, *bound, 0);
  if (bound->op != OpKind::Sub || bound->type.dtype != DType::Int ||
      graph.type(node.inputs[0]).dtype != DType::Int || !IsNumber(graph, bound->inputs[1], 1))
    return {};
  return InPlace(graph, node.type, graph.Pointwise(OpKind::Lt, {node.inputs[0], bound->inputs[0]}));
}

// ---- Axes

NodeId RenameOfRename(Graph& graph, const Node& node) {
  const Node& inner = In(graph, node, 0);
  const auto to = [](const Node& rename, Axis axis) {
    for (auto [from, name] : rename.attributes.renames)
      if (from == axis) return name;
    return axis;
  };
  if (inner.op == OpKind::Rename) {
    std::vector<std::pair<Axis, Axis>> both;
    for (Axis a : graph.axes_of(inner.inputs[0])) both.emplace_back(a, to(node, to(inner, a)));
    return graph.Rename(inner.inputs[0], both);
  }
  if (inner.op == OpKind::Positions) return graph.Positions(to(node, inner.attributes.axis));
  if (inner.op == OpKind::Broadcast) {
    AxisList axes;
    for (Axis a : inner.type.axes) axes.push_back(to(node, a));
    std::vector<std::pair<Axis, Axis>> renames = node.attributes.renames;
    return graph.Broadcast(graph.Rename(inner.inputs[0], renames), axes);
  }
  return {};
}

NodeId SliceOfStack(Graph& graph, const Node& node) {
  const Node& x = In(graph, node, 0);
  const Attributes& at = node.attributes;
  if (x.op == OpKind::Stack && x.attributes.axis == at.axis)
    return InPlace(graph, node.type, x.inputs[at.index]);
  if (x.op == OpKind::Broadcast) {
    const NodeId inner = x.inputs[0];
    if (!Contains(graph.axes_of(inner), at.axis)) return graph.Broadcast(inner, node.type.axes);
    return graph.Broadcast(graph.Make(OpKind::Slice, {inner}, at), node.type.axes);
  }
  return {};
}

NodeId StackOfSlices(Graph& graph, const Node& node) {
  NodeId whole;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const Node& part = In(graph, node, i);
    if (part.op != OpKind::Slice || part.attributes.axis != node.attributes.axis ||
        part.attributes.index != static_cast<int64_t>(i) || (whole && whole != part.inputs[0]))
      return {};
    whole = part.inputs[0];
  }
  return InPlace(graph, node.type, whole);
}

NodeId SplitOfMerge(Graph& graph, const Node& node) {
  const Node& x = In(graph, node, 0);
  const bool inverse = x.op == OpKind::Merge && x.attributes.axis == node.attributes.axis &&
                       x.attributes.axes == node.attributes.to;
  return inverse ? x.inputs[0] : NodeId{};
}

NodeId MergeOfSplit(Graph& graph, const Node& node) {
  const Node& x = In(graph, node, 0);
  const bool inverse = x.op == OpKind::Split && x.attributes.axis == node.attributes.axis &&
                       x.attributes.to == node.attributes.axes;
  return inverse ? x.inputs[0] : NodeId{};
}

/// Reading every position of a dynamic axis at those of its twin: another name.
NodeId GatherAtPositions(Graph& graph, const Node& node) {
  const Node& index = In(graph, node, 1);
  const Axis from = node.attributes.axis;
  if (index.op != OpKind::Positions || index.attributes.axis.root() != from.root()) return {};
  const Axis to = index.attributes.axis;
  const auto whole = [&](Axis a) { return !a.stored() && a.ring() == 0 && !a.difference(); };
  if (!whole(from) || !whole(to) || Contains(graph.axes_of(node.inputs[0]), to)) return {};
  return graph.Rename(node.inputs[0], {{from, to}});
}

/// A scatter in which nothing is summed compares instead. `+ 0`: sums start at 0, so that -0 comes out as 0.
NodeId ScatterWithoutSum(Graph& graph, const Node& node) {
  AxisList have;
  for (NodeId input : node.inputs) have = Union(have, graph.axes_of(input));
  if (!ContainsAll(node.attributes.to, have)) return {};
  NodeId here = graph.Pointwise(OpKind::Eq, {node.inputs[1], graph.Positions(node.attributes.axis)});
  if (const NodeId mask = ir::MaskOf(node)) here = graph.And(here, mask);
  return InPlace(graph, node.type,
                 graph.Select(here, graph.Add(node.inputs[0], graph.Const(0)), graph.Const(0)));
}

/// A sum of which one term at most is not 0: sum[v](select(i == positions(v), d, 0)).
NodeId SumOfOneTerm(Graph& graph, const Node& node) {
  const Node& x = In(graph, node, 0);
  const AxisList& axes = node.attributes.axes;
  if (ir::MaskOf(node) || axes.size() != 1 || x.op != OpKind::Select || !IsNumber(graph, x.inputs[2], 0))
    return {};
  const Axis axis = axes[0];
  const NodeId d = x.inputs[1];
  if (node.type.dtype != DType::Float || graph.axes().IsDynamic(axis) || graph.axes().IsLifted(axis) ||
      Contains(graph.axes_of(d), axis))
    return {};
  NodeId index;
  std::vector<NodeId> conditions;
  for (NodeId part : Conjuncts(graph, x.inputs[0])) {
    if (!Contains(graph.axes_of(part), axis)) {
      conditions.push_back(part);
      continue;
    }
    const Node& equal = graph[part];
    if (equal.op != OpKind::Eq || index) return {};
    for (int i : {0, 1})
      if (const Node& positions = In(graph, equal, i);
          positions.op == OpKind::Positions && positions.attributes.axis == axis)
        index = equal.inputs[1 - i];
    if (!index || Contains(graph.axes_of(index), axis) || graph.type(index).dtype != DType::Int) return {};
  }
  if (!index) return {};
  conditions.push_back(graph.Pointwise(OpKind::Ge, {index, graph.ConstInt(0)}));
  conditions.push_back(graph.Pointwise(OpKind::Lt, {index, graph.ConstInt(graph.axes().Bound(axis))}));
  const NodeId term = graph.Add(d, graph.Const(0));  // sums start at 0: -0 comes out as 0
  return InPlace(graph, node.type, graph.Select(Conjunction(graph, conditions), term, graph.Const(0)));
}

NodeId ElementOfElement(Graph& graph, const Node& node) {
  const Node& x = In(graph, node, 0);
  if (x.type.indexes == node.type.indexes) return node.inputs[0];
  return x.op == OpKind::Element ? graph.Make(OpKind::Element, {x.inputs[0]}, node.attributes) : NodeId{};
}

// ---- Arithmetic

NodeId MinusZero(Graph& graph, const Node& node) {
  return IsNumber(graph, node.inputs[1], 0) ? InPlace(graph, node.type, node.inputs[0]) : NodeId{};
}

NodeId PlusZeroOfWhole(Graph& graph, const Node& node) {
  if (node.type.dtype != DType::Int) return {};
  for (int i : {0, 1})
    if (IsNumber(graph, node.inputs[i], 0)) return InPlace(graph, node.type, node.inputs[1 - i]);
  return {};
}

/// The whole number 0 as a factor switches a term off (a smoothing of 0, say): the one rule that keeps no
/// infinity and no NaN, because whoever writes it means that there is no such term.
NodeId TimesWholeZero(Graph& graph, const Node& node) {
  for (int i : {0, 1})
    if (graph.type(node.inputs[i]).dtype == DType::Int && IsNumber(graph, node.inputs[i], 0))
      return graph.Broadcast(node.type.dtype == DType::Int ? graph.ConstInt(0) : graph.Const(0),
                             node.type.axes);
  return {};
}

/// Whole constants among floats are floats.
NodeId ConstantAsFloat(Graph& graph, const Node& node) {
  const size_t first = node.op == OpKind::Select ? 1 : 0;
  bool floats = false;
  for (size_t i = first; i < node.inputs.size(); ++i)
    floats |= graph.type(node.inputs[i]).dtype == DType::Float;
  if (!floats) return {};
  std::vector<NodeId> inputs = node.inputs;
  for (size_t i = first; i < inputs.size(); ++i)
    if (IsConst(graph, inputs[i]) && graph.type(inputs[i]).dtype == DType::Int)
      inputs[i] = graph.Const(graph[inputs[i]].attributes.number);
  return inputs == node.inputs ? NodeId{} : graph.Pointwise(node.op, std::move(inputs));
}

/// f(select(c, 1, 0), 2) = select(c, f(1, 2), f(0, 2)): no arithmetic is left.
NodeId OfChoiceOfConstants(Graph& graph, const Node& node) {
  if (node.op == OpKind::Select || node.op == OpKind::Stop) return {};
  int choice = -1;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const Node& x = In(graph, node, i);
    if (x.op == OpKind::Const) continue;
    if (choice >= 0 || x.op != OpKind::Select || !IsConst(graph, x.inputs[1]) || !IsConst(graph, x.inputs[2]))
      return {};
    choice = static_cast<int>(i);
  }
  if (choice < 0) return {};
  const Node& x = In(graph, node, choice);
  NodeId results[2];
  for (int side : {0, 1}) {
    std::vector<NodeId> inputs = node.inputs;
    inputs[choice] = x.inputs[1 + side];
    results[side] = graph.Pointwise(node.op, std::move(inputs));
    if (!IsConst(graph, results[side])) return {};
  }
  const NodeId c = x.inputs[0];
  if (node.type.dtype != DType::Bool)
    return InPlace(graph, node.type, graph.Select(c, results[0], results[1]));
  if (results[0] == results[1]) return InPlace(graph, node.type, results[0]);
  return IsTruth(graph, results[0], true) ? c : graph.Pointwise(OpKind::Not, {c});
}

NodeId TimesOne(Graph& graph, const Node& node) {
  if (IsNumber(graph, node.inputs[1], 1)) return InPlace(graph, node.type, node.inputs[0]);
  if (node.op == OpKind::Mul && IsNumber(graph, node.inputs[0], 1))
    return InPlace(graph, node.type, node.inputs[1]);
  return {};
}

NodeId AddOfNegated(Graph& graph, const Node& node) {
  if (node.type.dtype != DType::Float) return {};
  if (In(graph, node, 1).op == OpKind::Neg) return graph.Sub(node.inputs[0], In(graph, node, 1).inputs[0]);
  if (In(graph, node, 0).op == OpKind::Neg) return graph.Sub(node.inputs[1], In(graph, node, 0).inputs[0]);
  return {};
}

NodeId SubOfNegated(Graph& graph, const Node& node) {
  if (node.type.dtype != DType::Float || In(graph, node, 1).op != OpKind::Neg) return {};
  return graph.Add(node.inputs[0], In(graph, node, 1).inputs[0]);
}

NodeId BothNegated(Graph& graph, const Node& node) {
  if (In(graph, node, 0).op != OpKind::Neg || In(graph, node, 1).op != OpKind::Neg) return {};
  return graph.Pointwise(node.op, {In(graph, node, 0).inputs[0], In(graph, node, 1).inputs[0]});
}

/// The sign of a product goes into its constant factor.
NodeId NegOfScaled(Graph& graph, const Node& node) {
  const Node& x = In(graph, node, 0);
  if (x.op == OpKind::Neg) return x.inputs[0];
  if ((x.op != OpKind::Mul && x.op != OpKind::Div) || x.type.dtype != DType::Float) return {};
  for (int i : {0, 1}) {
    if (!IsConst(graph, x.inputs[i]) || graph.type(x.inputs[i]).dtype != DType::Float) continue;
    std::vector<NodeId> inputs = x.inputs;
    inputs[i] = graph.Neg(inputs[i]);
    return graph.Pointwise(x.op, std::move(inputs));
  }
  return {};
}

/// The inverse of a power of two is exact.
NodeId DivideByPowerOfTwo(Graph& graph, const Node& node) {
  const Node& c = In(graph, node, 1);
  if (c.op != OpKind::Const || In(graph, node, 0).type.dtype != DType::Float) return {};
  int exponent = 0;
  const double value = c.attributes.number;
  // Kept within what an f32 holds without loss, whichever precision runs it.
  if (std::abs(std::frexp(value, &exponent)) != 0.5 || exponent < -60 || exponent > 60) return {};
  return graph.Mul(node.inputs[0], graph.Const(1 / value));
}

NodeId SimplePower(Graph& graph, const Node& node) {
  if (!IsNumber(graph, node.inputs[1], 1)) return {};
  return InPlace(graph, node.type, node.inputs[0]);
}

NodeId CastOfFloat(Graph& graph, const Node& node) { return InPlace(graph, node.type, node.inputs[0]); }

// ---- The table

struct Rule {
  std::string_view what;
  bool (*applies)(OpKind op);
  NodeId (*rewrite)(Graph& graph, const Node& node);
};

template <OpKind... kOps>
bool Is(OpKind op) {
  return ((op == kOps) || ...);
}

constexpr Rule kRules[] = {
    {"f(broadcast x, y) = broadcast f(x, y)", ir::IsPointwise, PointwiseOfBroadcast},
    {"broadcast(broadcast x) = broadcast x", Is<OpKind::Broadcast>, BroadcastOfBroadcast},
    {"sum(broadcast x) = broadcast sum(x), along other axes", ir::IsReduce, ReduceOfBroadcast},
    {"contract(broadcast x, y) = broadcast contract(x, y)", Is<OpKind::Contract>, ContractOfBroadcast},
    {"gather(broadcast x, i) = broadcast gather(x, i)", Is<OpKind::Gather>, GatherOfBroadcast},

    {"select(true, x, y) = x", Is<OpKind::Select>, SelectOnConstant},
    {"select(c, x, x) = x", Is<OpKind::Select>, SelectOfEqual},
    {"select(not c, x, y) = select(c, y, x)", Is<OpKind::Select>, SelectOnNot},
    {"select(c, select(c, x, y), z) = select(c, x, z)", Is<OpKind::Select>, SelectOfSelect},
    {"reduce(select(m, x, y) | m) = reduce(x | m)", ir::IsReduce, ReduceOfMasked},
    {"contract(select(m, x, y), z | m) = contract(x, z | m)", Is<OpKind::Contract>, ContractOfMasked},
    {"sum(x | m) = select(m, sum(x), 0), m without the axis", Is<OpKind::Sum, OpKind::Contract>,
     MaskOutOfSum},
    {"m and m = m, m and true = m", Is<OpKind::And>, RepeatedConjuncts},
    {"m or true = true, m or false = m, m or m = m", Is<OpKind::Or>, OrOfConstantOrEqual},
    {"not not m = m", Is<OpKind::Not>, NotOfNot},
    {"positions(a) < |a| bound = true, and the like",
     Is<OpKind::Lt, OpKind::Le, OpKind::Gt, OpKind::Ge, OpKind::Eq, OpKind::Ne>, ConstantComparison},

    {"i <= n - 1 = i < n, of whole numbers", Is<OpKind::Le>, AtMostOneLess},

    {"rename(rename x) = rename x", Is<OpKind::Rename>, RenameOfRename},
    {"slice(stack(x, y), 0) = x", Is<OpKind::Slice>, SliceOfStack},
    {"stack(slice(x, 0), slice(x, 1)) = x", Is<OpKind::Stack>, StackOfSlices},
    {"split(merge x) = x", Is<OpKind::Split>, SplitOfMerge},
    {"merge(split x) = x", Is<OpKind::Merge>, MergeOfSplit},
    {"gather(x, positions(twin)) = rename(x)", Is<OpKind::Gather>, GatherAtPositions},
    {"scatter_add(d, i) = select(i == positions, d, 0), nothing summed", Is<OpKind::ScatterAdd>,
     ScatterWithoutSum},
    {"sum[v](select(i == positions(v), d, 0)) = d, i in range", Is<OpKind::Sum>, SumOfOneTerm},
    {"element(element i) = element i", Is<OpKind::Element>, ElementOfElement},

    {"0 * x = 0, the whole number 0", Is<OpKind::Mul>, TimesWholeZero},
    {"x * 2 = x * 2.0", ir::IsPointwise, ConstantAsFloat},
    {"f(select(c, 1, 0), 2) = select(c, f(1, 2), f(0, 2))", ir::IsPointwise, OfChoiceOfConstants},

    {"x - 0 = x", Is<OpKind::Sub>, MinusZero},
    {"i + 0 = i, of whole numbers", Is<OpKind::Add>, PlusZeroOfWhole},
    {"x * 1 = x, x / 1 = x", Is<OpKind::Mul, OpKind::Div>, TimesOne},
    {"x + -y = x - y", Is<OpKind::Add>, AddOfNegated},
    {"x - -y = x + y", Is<OpKind::Sub>, SubOfNegated},
    {"-x * -y = x * y", Is<OpKind::Mul, OpKind::Div>, BothNegated},
    {"-(-x) = x, -(x * 2) = x * -2", Is<OpKind::Neg>, NegOfScaled},
    {"x / 8 = x * 0.125", Is<OpKind::Div>, DivideByPowerOfTwo},
    {"x ^ 1 = x", Is<OpKind::Pow>, SimplePower},
    {"cast(float) = the same", Is<OpKind::Cast>, CastOfFloat},
};

NodeId Simplified(Graph& graph, NodeId id, Context& context, bool& changed) {
  for (bool again = true; again;) {
    again = false;
    const Node& node = graph[id];
    for (const Rule& rule : kRules) {
      if (!rule.applies(node.op)) continue;
      const NodeId better = rule.rewrite(graph, node);
      if (!better || better == id) continue;
      if (!context.Allow(rule.what, node.origin)) return id;
      id = better;
      changed = again = true;
      break;
    }
  }
  return id;
}

}  // namespace

Graph Canonicalize(const Graph& graph, Context& context) {
  constexpr int kRounds = 16;  // rules make nodes that a later round looks at; a handful suffices
  Graph result = graph;
  bool changed = true;
  for (int round = 0; changed && round < kRounds; ++round) {
    changed = false;
    result = Rebuild(result, [&](Graph& copy, NodeId, const Node& node, const std::vector<NodeId>& inputs) {
      return Simplified(copy, copy.Again(node, inputs), context, changed);
    });
  }
  return result;
}

}  // namespace heed::passes
