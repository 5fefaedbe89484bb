// What all of elaboration shares: the axes of a frame, messages, values made from nodes, checks of operands.
#include <algorithm>
#include <cmath>

#include "frontend/elaborate.h"
#include "ir/batch_axis.h"
#include "ir/int_range.h"
#include "ir/op.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;
using ir::DType;
using ir::NodeId;
using ir::OpKind;

namespace {

constexpr size_t kMaxNodes = 1'000'000;
constexpr int kMaxDepth = 1600;  // nested evaluations, calls included

}  // namespace

Diagnostic& Elaborator::Report(const Frame& frame, DiagnosticKind kind, Loc loc, std::string message) {
  // Inside the prelude the author's own call is the place to point at.
  const Loc inner = loc;
  const Frame* at = &frame;
  while (at->prelude() && at->caller) {
    loc = at->call_loc;
    at = at->caller;
  }
  if (!reported_.insert({kind, loc.file, loc.offset}).second) {
    repeated_ = {kind, loc, "", {}, {}};
    return repeated_;
  }
  Diagnostic& d = diagnostics_.Report(kind, loc, std::move(message));
  if (at != &frame) d.labels.push_back({inner, "here, in `" + frame.name + "`"});
  if (at->function && at->caller && (!at->axes.empty() || !at->lifted.empty())) {
    std::string note = "`" + at->name + "` called at " + at->call_loc.Text();
    std::string with;
    for (const AxisItem& item : at->function->decl->axes)
      for (const Name& name : item.names) {
        const auto found = at->axes.find(name.text);
        if (found == at->axes.end()) continue;
        std::string actual;
        for (Axis axis : found->second) actual += (actual.empty() ? "" : ", ") + axis.WithoutFresh().text();
        with += (with.empty() ? " with " : ", ") + name.text + " = " +
                (found->second.size() == 1 ? actual : "(" + actual + ")");
      }
    if (!at->lifted.empty())
      with += (with.empty() ? " lifted over " : ", lifted over ") + Show(*at->caller, at->lifted);
    d.notes.push_back(note + with);
  }
  return d;
}

void Elaborator::SetOrigin(const Frame& frame, Loc loc) {
  graph_->origin = {frame.path, loc.Place(frame.where)};
}

AxisList Elaborator::Resolve(const Frame& frame, const std::string& name) const {
  const std::string base = BaseName(name);
  const int primes = Primes(name);
  AxisList result;
  if (const auto found = frame.axes.find(base); found != frame.axes.end()) {
    for (Axis axis : found->second) {
      for (int i = 0; i < primes; ++i) axis = axis.Twin();
      result.push_back(axis);
    }
  } else if (!frame.prelude() && declarations_.IsAxis(name)) {
    result.push_back(Axis(name));
  } else if (!frame.prelude() && base == ir::BatchAxis().text()) {
    if (!axes_->Has(ir::BatchAxis()))
      axes_->Set(ir::BatchAxis(), {ir::Extent::Kind::Dynamic, ir::kMostExamples, {}});
    result.push_back(Axis(name));
  }
  return result;
}

std::optional<AxisList> Elaborator::Resolve(const Frame& frame, const AxisItems& items) const {
  AxisList result;
  for (const AxisItem& item : items) {
    for (const Name& name : item.names) {
      const AxisList axes = Resolve(frame, name.text);
      if (axes.empty()) return std::nullopt;
      result.insert(result.end(), axes.begin(), axes.end());
    }
  }
  return result;
}

std::optional<std::vector<AxisList>> Elaborator::ResolveGroups(const Frame& frame,
                                                               const AxisItems& items) const {
  std::vector<AxisList> result;
  for (const AxisItem& item : items) {
    const auto axes = Resolve(frame, AxisItems{item});
    if (!axes) return std::nullopt;
    result.push_back(*axes);
  }
  return result;
}

std::optional<Axis> Elaborator::Single(const Frame& frame, const AxisItem& item) {
  const auto axes = Resolve(frame, AxisItems{item});
  if (!axes) return std::nullopt;
  if (axes->size() == 1) return (*axes)[0];
  Report(frame, DiagnosticKind::GroupPositions, item.loc,
         "a single axis is needed here; this is the group " + Show(frame, *axes));
  return std::nullopt;
}

bool Elaborator::Distinct(const Frame& frame, const AxisList& axes, const AxisItems& items, Loc loc) {
  std::set<std::string> written;
  bool silent = false;
  for (const AxisItem& item : items)
    for (const Name& name : item.names) silent = !written.insert(name.text).second || silent;
  for (size_t i = 0; i < axes.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (axes[i] != axes[j]) continue;
      if (silent) return false;
      Report(frame, DiagnosticKind::DuplicateAxis, loc,
             "axis `" + Show(frame, axes[i]) + "` twice in " + Show(frame, axes))
          .notes.push_back("the twin `" + Show(frame, axes[i]) + "'` has the same size and another name");
      return false;
    }
  }
  return true;
}

std::string Elaborator::Show(const Frame& frame, Axis axis) const {
  if (axis.WithoutFresh() == axis) return axis.text();
  // A fresh copy is known to the author by the parameter's name.
  for (const auto& [formal, actual] : frame.axes) {
    if (actual.size() != 1) continue;
    std::string name = formal;
    for (Axis variant = actual[0]; variant.text().size() <= axis.text().size(); variant = variant.Twin()) {
      if (variant == axis) return name;
      name += "'";
    }
  }
  return axis.WithoutFresh().text();
}

std::string Elaborator::Show(const Frame& frame, const AxisList& axes) const {
  std::string text;
  for (Axis axis : axes) text += (text.empty() ? "" : ", ") + Show(frame, axis);
  return "[" + text + "]";
}

std::string Elaborator::ShowType(const Frame& frame, const Value& value) const {
  if (value.kind == Value::Kind::Tuple) return std::to_string(value.tuple.size()) + " values";
  if (value.kind != Value::Kind::Tensor) return "?";
  const DType dtype = DTypeOf(value);
  std::string name = ir::Text(dtype);
  if (dtype == DType::Int && ElementOf(value)) name = ElementOf(value).text();
  return value.order.empty() ? name : name + Show(frame, value.order);
}

NumberScope Elaborator::NumbersIn(const Frame& frame) {
  NumberScope scope;
  scope.size = [this, &frame](const std::string& name, Loc) -> std::optional<Number> {
    const AxisList axes = Resolve(frame, name);
    if (axes.empty()) return std::nullopt;
    Number product{1, true};
    for (Axis axis : axes) product.value *= static_cast<double>(axes_->Bound(axis));
    return product;
  };
  scope.value = [this, &frame](const std::string& name, Loc loc) -> std::optional<Number> {
    const auto variable = frame.variables.find(name);
    if (variable != frame.variables.end()) {
      const Value& value = variable->second;
      if (!value.ok()) return std::nullopt;
      if (value.kind == Value::Kind::Tensor && graph_->op(value.node) == OpKind::Const &&
          DTypeOf(value) != DType::Bool)
        return Number{(*graph_)[value.node].attributes.number, DTypeOf(value) == DType::Int};
      Report(frame, DiagnosticKind::NotConstant, loc, "`" + name + "` is not known at compile time");
      return std::nullopt;
    }
    if (!frame.prelude())
      if (const auto found = declarations_.consts().find(name); found != declarations_.consts().end())
        return found->second;
    if (!Resolve(frame, name).empty())
      Report(frame, DiagnosticKind::AxisAsNumber, loc,
             "axis `" + name + "` is used as a number; did you mean `|" + name + "|`?");
    return std::nullopt;  // an unknown name was reported by check
  };
  return scope;
}

Value Elaborator::Tensor(NodeId node, const AxisList& order) const {
  Value value;
  value.kind = Value::Kind::Tensor;
  value.node = node;
  // That of its own example is not shown.
  const AxisList axes = ir::Minus(graph_->axes_of(node), {ir::BatchAxis()});
  value.order = ir::SameSet(order, axes) ? order : axes;
  return value;
}

Axis Elaborator::Another(Axis axis, const AxisList& used) {
  for (int k = 1;; ++k)
    if (const Axis another = axis.Fresh(k); !ir::Contains(used, another)) return another;
}

bool Elaborator::Unite(const Frame& frame, const std::string& who, const Expr& call,
                       std::vector<Value>& values) {
  bool floats = false, bools = false, numbers = false;
  for (size_t i = 0; i < values.size(); ++i) {
    const DType dtype = DTypeOf(values[i]);
    floats = floats || (dtype == DType::Float && !values[i].too_large);
    (dtype == DType::Bool ? bools : numbers) = true;
    if (!bools || !numbers) continue;
    Report(frame, DiagnosticKind::WrongType, call.children[i + 1]->loc, who + " of numbers and truth values");
    return false;
  }
  for (const Value& value : values)
    if (!floats && TooLarge(frame, value)) return false;
  SetOrigin(frame, call.loc);
  for (Value& value : values)
    if (floats && DTypeOf(value) == DType::Int) value.node = graph_->Pointwise(OpKind::Cast, {value.node});
  return true;
}

Value Elaborator::Moved(const Value& x, NodeId node, const AxisList& order) const {
  Value value = Tensor(node, order);
  value.reads = x.reads;
  value.too_large = x.too_large;
  return value;
}

Value Elaborator::WholeNumber(double number, Loc loc) const {
  if (ir::FitsInt(number)) return Tensor(graph_->ConstInt(static_cast<int64_t>(number)), {});
  Value value = Tensor(graph_->Const(number), {});
  value.too_large = loc;
  return value;
}

Value Elaborator::Pointwise(const Frame& frame, Loc loc, OpKind op, const std::vector<Value>& arguments) {
  std::vector<NodeId> nodes;
  AxisList order;
  const Value* too_large = nullptr;
  bool constant = true, floats = false;
  for (const Value& value : arguments) {
    nodes.push_back(value.node);
    order = ir::ContainsAll(value.order, order) ? value.order : ir::Union(order, value.order);
    constant = constant && graph_->op(value.node) == OpKind::Const;
    if (value.too_large) too_large = &value;
    floats = floats || (DTypeOf(value) == DType::Float && !value.too_large);
  }
  if (constant && !floats) {  // exactly, whether an int can be it or not
    for (size_t i = 0; i < nodes.size(); ++i) {
      if (!arguments[i].too_large) continue;
      nodes[i] = graph_->Make(OpKind::Const, {},
                              {.dtype = DType::Int, .number = (*graph_)[nodes[i]].attributes.number});
    }
    const NodeId result = graph_->Pointwise(op, nodes);
    std::vector<double> numbers;
    for (NodeId node : nodes) numbers.push_back((*graph_)[node].attributes.number);
    const double number = ir::Info(op).eval(numbers);
    const bool whole = graph_->type(result).dtype == DType::Int;
    if (whole && std::isfinite(number) && !ir::FitsInt(number)) return WholeNumber(number, loc);
    if (whole && !std::isfinite(number) && too_large) {  // x % 0
      TooLarge(frame, *too_large);
      return {};
    }
  } else if (too_large && !floats) {
    const NodeId result = graph_->Pointwise(op, nodes);
    const bool divides = op == OpKind::Div || op == OpKind::Pow;  // of whole numbers: a float
    if (!divides) {
      TooLarge(frame, *too_large);
      return {};
    }
    return Tensor(result, order);
  }
  Value value = Tensor(graph_->Pointwise(op, std::move(nodes)), order);
  if (const Axis element = ElementOf(value)) {
    for (const Value& argument : arguments)
      if (ElementOf(argument) == element) value.reads = ir::Union(value.reads, argument.reads);
  }
  return value;
}

bool Elaborator::TooLarge(const Frame& frame, const Value& value) {
  if (!value.too_large) return false;
  const Loc loc = *value.too_large;
  const std::string number = NumberText((*graph_)[value.node].attributes.number);
  const std::string text(loc.file ? loc.file->text().substr(loc.offset, loc.length) : number);
  Report(frame, DiagnosticKind::InvalidNumber, loc,
         "`" + text + "`" + (text == number ? "" : " is " + number + ", which") +
             " does not fit an int: those are " + NumberText(ir::kLeastInt) + " to " +
             NumberText(ir::kMostInt))
      .notes.push_back("next to a float it is a float; to make one of it, write `1.0 * ...`");
  return true;
}

bool Elaborator::Check(const Frame& frame, const Value& value, Need need, Loc loc, const std::string& who) {
  if (!value.ok()) return false;
  const bool boolean = value.kind == Value::Kind::Tensor && DTypeOf(value) == DType::Bool;
  if (value.kind == Value::Kind::Tensor && (need == Need::Any || (need == Need::Bool) == boolean))
    return true;
  const char* what = need == Need::Number ? "a number" : need == Need::Bool ? "a truth value" : "one value";
  if (value.kind == Value::Kind::Part) return false;  // reported by check
  Report(frame, DiagnosticKind::WrongType, loc,
         who + " needs " + what + "; this is " + ShowType(frame, value));
  return false;
}

void Elaborator::WhyNotSummed(const Frame& frame, const Value& value, Axis axis,
                              Diagnostic& diagnostic) const {
  for (NodeId id : graph_->Order(std::span(&value.node, 1))) {
    const ir::Node& node = (*graph_)[id];
    if (node.op != OpKind::Mul || !ir::Contains(graph_->axes_of(node.inputs[0]), axis) ||
        !ir::Contains(graph_->axes_of(node.inputs[1]), axis) ||
        ir::SameSet(graph_->axes_of(node.inputs[0]), graph_->axes_of(node.inputs[1])))
      continue;
    const std::string where = node.origin.where.WithoutCallers().Text();
    diagnostic.notes.push_back("`*` at " + where + " multiplies element by element; if a sum over `" +
                               Show(frame, axis) + "` is meant, write `@" + Show(frame, axis) + "`");
    return;
  }
}

void Elaborator::WhyFloat(const Value& value, Diagnostic& diagnostic) const {
  NodeId id = value.node;
  while (graph_->type(id).dtype == DType::Float) {
    const ir::Node& node = (*graph_)[id];
    NodeId next;
    for (NodeId input : node.inputs)
      if (graph_->type(input).dtype == DType::Float && !next) next = input;
    if (next) {
      id = next;
      continue;
    }
    if (node.op != OpKind::Div && node.op != OpKind::Pow) return;
    const std::string where = node.origin.where.WithoutCallers().Text();
    diagnostic.notes.push_back(std::string("`") + (node.op == OpKind::Div ? "/" : "^") + "` at " + where +
                               " gives a float also of whole numbers; + - * % keep them whole");
    return;
  }
}

bool Elaborator::CheckBroadcast(const Frame& frame, const Value& a, const Value& b, const Expr& expr,
                                const std::string& op, Loc a_loc, Loc b_loc) {
  if (DTypeOf(a) != DType::Float || DTypeOf(b) != DType::Float) return true;
  const AxisList own_a = ir::Minus(a.order, frame.lifted), own_b = ir::Minus(b.order, frame.lifted);
  if (ir::ContainsAll(own_a, own_b) || ir::ContainsAll(own_b, own_a)) return true;
  const AxisList all = ir::Union(own_a, own_b);
  if (frame.announced && ir::ContainsAll(*frame.announced, all)) return true;
  Diagnostic& d = Report(frame, DiagnosticKind::TwoWayBroadcast, expr.op_loc.file ? expr.op_loc : expr.loc,
                         "two-way broadcast: " + Show(frame, own_a) + " " + op + " " + Show(frame, own_b) +
                             " gives " + Show(frame, all));
  d.labels.push_back({a_loc, "has " + Show(frame, own_a)});
  d.labels.push_back({b_loc, "has " + Show(frame, own_b)});
  if (const AxisList common = ir::Intersection(own_a, own_b); op == "*" && !common.empty()) {
    const std::string axes = Show(frame, common);
    d.notes.push_back("`*` multiplies element by element; to sum over " + axes + ", write `@" +
                      (common.size() == 1 ? Show(frame, common[0]) : axes) + "`");
  }
  d.notes.push_back("write the axes on the left if meant: `s" + Show(frame, all) + " = ...`");
  return false;
}

std::optional<int64_t> Elaborator::IntConstant(const Value& value) const {
  if (value.kind != Value::Kind::Tensor || graph_->op(value.node) != OpKind::Const ||
      DTypeOf(value) != DType::Int)
    return std::nullopt;
  return static_cast<int64_t>((*graph_)[value.node].attributes.number);
}

bool Elaborator::Step(const Frame& frame, Loc loc) {
  if (aborted_) return false;
  const int64_t most = declarations_.most_steps();
  if (++steps_ <= most && graph_->size() <= kMaxNodes && depth_ <= kMaxDepth) return true;
  aborted_ = true;
  Report(frame, DiagnosticKind::ProgramTooLarge, loc,
         depth_ > kMaxDepth
             ? "calls and expressions are nested too deeply here"
             : "expanding this program takes more than " +
                   NumberText(graph_->size() > kMaxNodes ? static_cast<int64_t>(kMaxNodes) : most) +
                   (graph_->size() > kMaxNodes ? " operations" : " steps"))
      .notes.push_back("loops over static axes are unrolled and every call is expanded");
  return false;
}

}  // namespace heed::frontend
