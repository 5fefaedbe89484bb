// Finds partial operations, proves what can be proved, evaluates what depends on positions and lengths alone,
// and makes a check of the rest: the largest value, over all places where it is needed and impossible, of
// what is wrong there (an index), or minus infinity.
#include "passes/partial.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <set>

#include "ir/interp.h"
#include "passes/context.h"
#include "passes/need.h"
#include "passes/prove.h"
#include "runtime/abi_names.h"

namespace heed::passes {
namespace {

/// Lengths tried for what positions alone decide, and the most places looked at.
constexpr int64_t kLengths[] = {1, 2, 3, 5, 8};
constexpr double kMostPlaces = 1 << 19;
constexpr double kMostFloat = std::numeric_limits<float>::max();
/// The largest float that 32 bits hold as a whole number.
constexpr double kMostWholeFloat = 0x1.fffffep30;

/// A partial operation where it could not be proved: impossible where `fault` holds.
struct Doubt {
  NodeId id;
  NodeId fault;         ///< a truth value; axes: of the places and of the condition
  NodeId wrong;         ///< what a message names: the index, the product; none: nothing
  AxisList places;      ///< axes along which the operation is made
  bool weight = false;  ///< not an operation: what an example counts in a loss
};

/// All places at once: the largest wrong value, minus infinity where nothing is wrong.
NodeId Worst(Graph& graph, const Doubt& doubt) {
  const NodeId value = doubt.wrong ? graph.Pointwise(OpKind::Cast, {doubt.wrong}) : graph.Const(1);
  const AxisList axes = Union(Union(graph.axes_of(doubt.fault), graph.axes_of(value)), doubt.places);
  graph.origin = graph[doubt.id].origin;
  const NodeId none = graph.Const(-std::numeric_limits<double>::infinity());
  if (axes.empty()) return graph.Select(doubt.fault, value, none);
  return graph.Reduce(OpKind::Max, graph.Broadcast(value, axes), axes, doubt.fault);
}

/// Evaluates faults that depend on positions and lengths alone.
class Certainty {
 public:
  Certainty(Graph& graph, const Doubt& doubt) : graph_(graph), doubt_(doubt), worst_(Worst(graph, doubt)) {
    const NodeId root[] = {worst_};
    for (NodeId id : graph_.Order(root)) {
      const Node& node = graph_[id];
      const ir::Family family = ir::Info(node.op).family;
      data_ = data_ || node.op == OpKind::Input || node.op == OpKind::Param || family == ir::Family::Random;
      for (Axis axis : node.type.axes) Note(axis);
      if (node.op == OpKind::Length) Note(node.attributes.axis);
    }
  }

  /// What is known of the fault, whatever the data.
  enum class Verdict { Never, Sometimes, Always };
  /// Always: at some place in every example that has any.
  Verdict Judge() {
    if (data_) return Verdict::Sometimes;
    const std::vector<Axis> roots(roots_.begin(), roots_.end());
    std::vector<std::map<Axis, int64_t>> trials;
    for (int64_t length : kLengths) {
      std::map<Axis, int64_t> all;
      for (Axis root : roots) all[root] = std::min(length, graph_.axes().Bound(root));
      trials.push_back(all);
    }
    for (Axis root : roots) {  // one long, the others short
      std::map<Axis, int64_t> one = trials[1];
      one[root] = graph_.axes().Bound(root);
      trials.push_back(one);
    }
    bool any = false;
    for (const auto& lengths : trials) {
      if (Places(lengths) > kMostPlaces) continue;
      ir::Interpreter interpreter(graph_, {.extents = lengths});
      if (interpreter.Value(worst_).data[0] == -std::numeric_limits<double>::infinity())
        return roots.empty() ? Verdict::Never : Verdict::Sometimes;
      any = true;
      shown_ = lengths;
    }
    return any ? Verdict::Always : Verdict::Sometimes;
  }

  /// "at v = 3 the index is 4", of the first place at fault.
  std::string Example() {
    ir::Interpreter interpreter(graph_, {.extents = shown_});
    const ir::Tensor fault = interpreter.Value(doubt_.fault);
    size_t first = 0;
    while (first < fault.data.size() && fault.data[first] == 0) ++first;
    std::string text;
    std::map<Axis, int64_t> at;
    int64_t rest = static_cast<int64_t>(first);
    for (size_t i = fault.axes.size(); i-- > 0; rest /= fault.shape[i])
      at[fault.axes[i]] = rest % fault.shape[i];
    for (Axis axis : fault.axes)
      if (axis.WithoutFresh() == axis)
        text += (text.empty() ? "at " : ", ") + axis.text() + " = " + std::to_string(at[axis]);
    if (doubt_.wrong) {
      const ir::Tensor& index = interpreter.Value(doubt_.wrong);
      int64_t place = 0;
      for (size_t i = 0; i < index.axes.size(); ++i) place = place * index.shape[i] + at[index.axes[i]];
      char number[32];
      std::snprintf(number, sizeof number, "%.10g", index.data[place]);
      text += (text.empty() ? "it is " : " it is ") + std::string(number);
    }
    return text;
  }

 private:
  void Note(Axis axis) {
    if (graph_.axes().IsDynamic(axis)) roots_.insert(axis.root());
  }
  double Places(const std::map<Axis, int64_t>& lengths) const {
    double most = 1;
    const NodeId root[] = {worst_};
    for (NodeId id : graph_.Order(root)) {
      double places = 1;
      for (Axis axis : graph_.axes_of(id)) {
        const auto length = lengths.find(axis.root());
        places *= static_cast<double>(length != lengths.end() && graph_.axes().IsDynamic(axis)
                                          ? length->second
                                          : graph_.axes().Bound(axis));
      }
      most = std::max(most, places);
    }
    return most;
  }

  Graph& graph_;
  const Doubt& doubt_;
  NodeId worst_;
  std::set<Axis> roots_;
  std::map<Axis, int64_t> shown_;
  bool data_ = false;
};

class Partials {
 public:
  Partials(Graph& graph, std::set<Axis> never_empty) : graph_(graph), prover_(graph, std::move(never_empty)) {
    std::vector<NodeId> found;
    for (NodeId id : graph.Order())
      if (IsPartial(id)) found.push_back(id);
    const std::map<NodeId, Ways> needs = found.empty() ? std::map<NodeId, Ways>() : Needs(graph, found);
    for (NodeId id : found) {
      const auto ways = needs.find(id);
      if (ways == needs.end()) continue;
      for (NodeId way : ways->second) Examine(id, way);
    }
    if (const NodeId per = graph.Output("per")) ExamineWeight(per);
    graph_.origin = {};
  }

  const std::vector<Doubt>& doubts() const { return doubts_; }

 private:
  bool IsPartial(NodeId id) {
    const Node& node = graph_[id];
    if (node.op == OpKind::Gather) return true;
    if (node.type.dtype != ir::DType::Int) return false;
    if (node.op == OpKind::Whole) return true;
    if (node.op == OpKind::Mod || node.op == OpKind::Quotient) {
      const Range by = prover_.RangeOf(node.inputs[1]);
      return by.low <= 0 && by.high >= 0;
    }
    if (node.op == OpKind::Const)  // written, or folded
      return node.attributes.number < kLeastInt || node.attributes.number > kMostInt;
    return MakesNumbers(node.op) && prover_.MayOverflow(id);
  }
  static bool MakesNumbers(OpKind op) {
    return op == OpKind::Add || op == OpKind::Sub || op == OpKind::Mul || op == OpKind::Neg ||
           op == OpKind::Abs || op == OpKind::Sum;
  }

  void Examine(NodeId id, NodeId way) {
    const Node node = graph_[id];
    graph_.origin = node.origin;
    AxisList places = node.type.axes;
    if (node.op == OpKind::Sum) places = graph_.axes_of(id);
    NodeId fault, wrong;
    if (node.op == OpKind::Gather) {
      const NodeId index = node.inputs[1];
      const Axis axis = node.attributes.axis;
      const bool dynamic = graph_.axes().IsDynamic(axis);
      const NodeId size = dynamic ? graph_.Length(axis) : graph_.ConstInt(graph_.axes().Bound(axis));
      const bool low = prover_.AtMost({}, index, 0, way, places);
      const bool high = prover_.AtMost(index, size, -1, way, places);
      if (low && high) return;
      const NodeId below = graph_.Pointwise(OpKind::Lt, {index, graph_.ConstInt(0)});
      const NodeId above = graph_.Pointwise(OpKind::Ge, {index, size});
      fault = low ? above : high ? below : graph_.Pointwise(OpKind::Or, {below, above});
      wrong = index;
      // Places along axes that only the value has are all there or none.
      places = graph_.axes_of(index);
      for (Axis along : node.type.axes)
        if (graph_.axes().IsDynamic(along)) places = Union(places, {along});
    } else if (node.op == OpKind::Mod || node.op == OpKind::Quotient) {
      const NodeId by = node.inputs[1];
      if (prover_.AtMost({}, by, -1, way, places) || prover_.AtMost(by, {}, -1, way, places)) return;
      fault = graph_.Pointwise(OpKind::Eq, {by, graph_.ConstInt(0)});
      if (node.op == OpKind::Quotient) {
        wrong = by;
        if (prover_.MayOverflow(id)) fault = graph_.Pointwise(OpKind::Or, {fault, NegatesLeast(node)});
      }
    } else if (node.op == OpKind::Whole) {
      const NodeId x = node.inputs[0], rounded = graph_.Pointwise(OpKind::Floor, {x});
      fault = graph_.Pointwise(OpKind::Not, {graph_.And(graph_.Pointwise(OpKind::Eq, {x, rounded}),
                                                        Within(x, kLeastInt, kMostWholeFloat))});
      wrong = NoInfinity(x);
    } else if (node.op == OpKind::Const) {
      fault = graph_.ConstBool(true);
    } else {
      if (prover_.Fits(id, way, places)) return;
      fault = Overflow(id, node);
    }
    const Doubt anywhere{id, fault, wrong, places};
    if (Certainty(graph_, anywhere).Judge() == Certainty::Verdict::Never) return;
    if (way) fault = graph_.And(way, fault);
    const Doubt doubt{id, fault, wrong, places};
    if (Certainty(graph_, doubt).Judge() != Certainty::Verdict::Never) doubts_.push_back(doubt);
  }

  /// A negative weight would take other examples' counts away, one that is no finite number all of them.
  void ExamineWeight(NodeId per) {
    graph_.origin = graph_[per].origin;
    NodeId fault, wrong = per;
    if (graph_[per].type.dtype == ir::DType::Int) {
      if (prover_.AtMost({}, per, 0, {}, {})) return;
      fault = graph_.Pointwise(OpKind::Lt, {per, graph_.ConstInt(0)});
    } else {
      fault = graph_.Pointwise(OpKind::Not, {Within(per, 0, kMostFloat)});
      wrong = NoInfinity(per);
    }
    const Doubt doubt{per, fault, wrong, {}, true};
    if (Certainty(graph_, doubt).Judge() != Certainty::Verdict::Never) doubts_.push_back(doubt);
  }

  /// Whether a quotient is that of the least whole number by -1, which 32 bits do not hold.
  NodeId NegatesLeast(const Node& quotient) {
    const auto is = [&](size_t i, double number) {
      return graph_.Pointwise(OpKind::Eq,
                              {quotient.inputs[i], graph_.ConstInt(static_cast<int64_t>(number))});
    };
    return graph_.And(is(0, kLeastInt), is(1, -1));
  }
  /// Whether a float lies from `low` to `high`; NaN does not.
  NodeId Within(NodeId x, double low, double high) {
    return graph_.And(graph_.Pointwise(OpKind::Ge, {x, graph_.Const(low)}),
                      graph_.Pointwise(OpKind::Le, {x, graph_.Const(high)}));
  }
  /// A float to show; minus infinity would mean that nothing is wrong.
  NodeId NoInfinity(NodeId x) {
    const NodeId shown = graph_.Pointwise(OpKind::Ge, {x, graph_.Const(-kMostFloat)});
    return graph_.Select(shown, x, graph_.Mul(x, graph_.Const(0)));
  }

  /// Whether a whole number left 32 bits, told by its wrapped value (of the interpreter, which does not wrap:
  /// by its size).
  NodeId Overflow(NodeId result, const Node& node) {
    const auto compare = [&](OpKind op, NodeId a, NodeId b) { return graph_.Pointwise(op, {a, b}); };
    const auto real = [&](NodeId x) { return graph_.Pointwise(OpKind::Cast, {x}); };
    const NodeId zero = graph_.ConstInt(0);
    const NodeId beyond =
        compare(OpKind::Or, compare(OpKind::Gt, result, graph_.ConstInt(static_cast<int64_t>(kMostInt))),
                compare(OpKind::Lt, result, graph_.ConstInt(static_cast<int64_t>(kLeastInt))));
    NodeId wrapped;
    switch (node.op) {
      case OpKind::Add:  // adding what is not negative must not lower
        wrapped = compare(OpKind::Ne, compare(OpKind::Ge, node.inputs[1], zero),
                          compare(OpKind::Ge, result, node.inputs[0]));
        break;
      case OpKind::Sub:
        wrapped = compare(OpKind::Ne, compare(OpKind::Ge, node.inputs[1], zero),
                          compare(OpKind::Le, result, node.inputs[0]));
        break;
      case OpKind::Neg:
      case OpKind::Abs:
        wrapped = compare(OpKind::Eq, node.inputs[0], graph_.ConstInt(static_cast<int64_t>(kLeastInt)));
        break;
      default: {
        // Computed as floats the result is off by far less than the multiples of 2^32 that wrapping takes.
        const NodeId about = node.op == OpKind::Mul ? graph_.Mul(real(node.inputs[0]), real(node.inputs[1]))
                                                    : graph_.Reduce(OpKind::Sum, real(node.inputs[0]),
                                                                    node.attributes.axes, ir::MaskOf(node));
        const auto size = [&](NodeId x) { return graph_.Pointwise(OpKind::Abs, {x}); };
        wrapped = compare(OpKind::Or, compare(OpKind::Ge, size(about), graph_.Const(0x1p32)),
                          compare(OpKind::Gt, size(graph_.Sub(about, real(result))), graph_.Const(0x1p30)));
        break;
      }
    }
    return compare(OpKind::Or, beyond, wrapped);
  }

  Graph& graph_;
  Prover prover_;
  std::vector<Doubt> doubts_;
};

std::string SizeText(const Graph& graph, Axis axis) {
  const std::string root = axis.root().text();
  if (graph.axes().IsDynamic(axis)) return "`" + root + "` ends at |" + root + "| - 1";
  const int64_t size = graph.axes().Bound(axis);
  return "`" + root + "` has " + std::to_string(size) + (size == 1 ? " element" : " elements");
}

/// What is wrong, with %s where the wrong value goes.
std::string Describe(const Graph& graph, const Doubt& doubt) {
  const Node& node = graph[doubt.id];
  if (doubt.weight) return "an example counts %s by this `per`; leave it out, or let it count 0 or more";
  if (node.op == OpKind::Gather)
    return "a read along `" + node.attributes.axis.root().text() + "` at %s, but " +
           SizeText(graph, node.attributes.axis);
  if (node.op == OpKind::Mod) return "a remainder by 0";
  if (node.op == OpKind::Quotient) return "a quotient by %s, which is no whole number of 32 bits";
  if (node.op == OpKind::Whole) return "an int of %s, which is no whole number of 32 bits";
  return "a whole number beyond 32 bits (" + std::string(ir::Info(node.op).name) + ")";
}

/// y[t + 1] and its like, in words of the program; empty for any other read.
std::string ShiftedRead(Graph& graph, const Node& node, std::vector<std::string>& notes) {
  if (node.op != OpKind::Gather || !graph.axes().IsDynamic(node.attributes.axis)) return "";
  const Axis root = node.attributes.axis.root();
  const auto form = Linear(graph, node.inputs[1]);
  if (!form || form->terms.size() != 1 || form->terms.begin()->second != 1) return "";
  const Node& leaf = graph[form->terms.begin()->first];
  if (leaf.op != OpKind::Positions || leaf.attributes.axis.root() != root) return "";
  const std::string axis = leaf.attributes.axis.text(), far = std::to_string(std::abs(form->constant));
  const bool after = form->constant > 0;
  const std::string guard = after ? axis + " + " + far + " < |" + root.text() + "|" : axis + " >= " + far;
  notes = {"say where it is there: `| " + guard + "` in the sum over `" + axis +
           "` that uses it, or `where(" + guard + ", ..., 0)`"};
  return "reads past the " + std::string(after ? "end" : "start") + " of `" + root.text() + "` when " + axis +
         (after ? " >= |" + root.text() + "| - " + far : " < " + far);
}

std::string Filled(std::string text, const std::string& value) {
  if (const size_t at = text.find("%s"); at != std::string::npos) text.replace(at, 2, value);
  return text;
}

}  // namespace

std::vector<Complaint> CertainFaults(const Graph& given) {
  Graph graph = given;
  const Partials partials(graph, {});
  std::vector<Complaint> complaints;
  std::set<NodeId> told;
  for (const Doubt& doubt : partials.doubts()) {
    if (!doubt.weight && told.count(doubt.id)) continue;
    Certainty certainty(graph, doubt);
    if (certainty.Judge() != Certainty::Verdict::Always) continue;
    const Node& node = graph[doubt.id];
    using frontend::DiagnosticKind;
    if (doubt.weight) {
      complaints.push_back({.kind = DiagnosticKind::InvalidNumber,
                            .where = node.origin.where,
                            .message = "`per` is below 0, or no finite number, in every example",
                            .notes = {"it is what an example counts: 0 or more"}});
      continue;
    }
    told.insert(doubt.id);
    Complaint complaint{.kind = node.op == OpKind::Gather ? DiagnosticKind::PastTheEnd
                                                          : DiagnosticKind::InvalidNumber};
    complaint.where = node.origin.where;
    complaint.message = ShiftedRead(graph, node, complaint.notes);
    if (complaint.message.empty()) {
      const std::string example = certainty.Example();
      complaint.message =
          node.op == OpKind::Gather
              ? "this read along `" + node.attributes.axis.root().text() +
                    "` passes an end: " + (example.empty() ? "" : example + ", but ") +
                    SizeText(graph, node.attributes.axis)
              : "this makes " + Filled(Describe(graph, doubt), node.op == OpKind::Whole ? "a float" : "0") +
                    (example.empty() ? "" : ", " + example);
      complaint.notes = {node.op == OpKind::Gather
                             ? "an element that is not needed may be anywhere: guard it by `where` or by the "
                               "predicate of the sum that uses it"
                             : "whole numbers have 32 bits"};
    }
    complaints.push_back(std::move(complaint));
  }
  return complaints;
}

Graph Checks(const Graph& given, Context& context) {
  Graph graph = given;
  // Decoding begins with at least one element.
  const std::set<Axis> never_empty = context.growing ? std::set<Axis>{context.growing} : std::set<Axis>();
  const Partials partials(graph, never_empty);
  std::set<std::pair<NodeId, ir::Place>> known;
  for (const Doubt& doubt : partials.doubts()) {
    const NodeId worst = Worst(graph, doubt);
    const ir::Place where = graph[doubt.id].origin.where;
    if (!known.emplace(worst, where).second) continue;
    const std::string what = Describe(graph, doubt);
    const std::string output = std::string(kCheckPrefix) + std::to_string(graph.checks.size());
    graph.SetOutput(output, worst);
    graph.checks.push_back({output, where, what});
    const OpKind op = graph[doubt.id].op;
    context.Remark({"", where},
                   "checked when it runs: " + (doubt.weight             ? "that `per` is 0 or more"
                                               : op == OpKind::Whole    ? "that `int` is given a whole number"
                                               : op == OpKind::Quotient ? "that the divisor of `//` is not 0"
                                                                        : Filled(what, "a computed place")));
  }
  graph.origin = {};
  return graph;
}

}  // namespace heed::passes
