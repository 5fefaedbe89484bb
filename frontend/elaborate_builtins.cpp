// The built-in functions. Counts of arguments were checked (check.cpp); here are axes and types, and what
// each makes.
#include <algorithm>
#include <cmath>
#include <limits>

#include "frontend/builtins.h"
#include "frontend/elaborate.h"
#include "ir/batch_axis.h"
#include "ir/op.h"
#include "runtime/abi_names.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;
using ir::DType;
using ir::NodeId;
using ir::OpKind;

Value Elaborator::CallBuiltin(const Expr& expr, const std::string& name, Frame& frame) {
  const Builtin& builtin = *FindBuiltin(name);
  std::vector<Value> arguments;
  for (size_t i = 1; i < expr.children.size(); ++i) arguments.push_back(Eval(*expr.children[i], frame));
  Value mask;
  if (expr.predicate) mask = Eval(*expr.predicate, frame);
  const int count = static_cast<int>(arguments.size());
  if (count < builtin.min_arguments || count > builtin.max_arguments) return {};
  if (static_cast<int>(expr.items.size()) < builtin.min_axes ||
      static_cast<int>(expr.items.size()) > builtin.max_axes)
    return {};
  if (expr.predicate && (!builtin.predicate || expr.items.empty())) return {};
  const auto axes = Resolve(frame, expr.items);
  if (!axes || !Distinct(frame, *axes, expr.items, expr.items.empty() ? expr.loc : expr.items[0].loc))
    return {};
  if (expr.predicate && !Check(frame, mask, Need::Bool, expr.predicate->loc, "a predicate")) return {};
  if (expr.predicate) words_.predicates[expr.loc.Place(frame.where)] = Written(*expr.predicate, frame);

  const auto need = [&](size_t i, Need what) {
    return Check(frame, arguments[i], what, expr.children[i + 1]->loc, "`" + name + "`");
  };
  if (name == "stack") {
    const auto axis = Single(frame, expr.items[0]);
    return axis ? Stack(expr, *axis, arguments, frame) : Value{};
  }
  if (name == "unpack") {
    if (!need(0, Need::Any)) return {};
    const auto axis = Single(frame, expr.items[0]);
    return axis ? UnpackAxis(expr, *axis, arguments[0], frame) : Value{};
  }
  if (name == "onehot") {
    if (!need(0, Need::Number)) return {};
    const auto axis = Single(frame, expr.items[0]);
    return axis ? Onehot(expr, *axis, arguments[0], frame) : Value{};
  }
  if (name == "where") {
    if (!need(0, Need::Bool) || !need(1, Need::Any)) return {};
    if (!need(2, DTypeOf(arguments[1]) == DType::Bool ? Need::Bool : Need::Number)) return {};
    if (!CheckBroadcast(frame, arguments[1], arguments[2], expr, "else", expr.children[2]->loc,
                        expr.children[3]->loc))
      return {};
    SetOrigin(frame, expr.loc);
    return Pointwise(frame, expr.loc, OpKind::Select, arguments);
  }
  if (name == "int") return ToWhole(expr, arguments[0], frame);
  if (name == "dropout")
    return need(0, Need::Number) && need(1, Need::Number) ? Dropout(expr, arguments, frame) : Value{};
  if (expr.items.empty()) return Elementwise(expr, name, arguments, frame);
  if (count > 1 && name != "softmax") return {};
  // Counting truth values is the one reduction of bools.
  if (!need(0, name == "sum" || name == "mean" ? Need::Any : Need::Number)) return {};
  if (!Reducible(expr, name, *axes, arguments[0], frame)) return {};
  SetOrigin(frame, expr.loc);
  if (name == "sample" && train_) arguments[0].node = Noisy(arguments[0], frame);
  // A mask that is always true is no mask.
  NodeId mask_node;
  AxisList mask_order;
  if (mask.ok() && !(graph_->op(mask.node) == OpKind::Const && (*graph_)[mask.node].attributes.number != 0)) {
    mask_node = mask.node;
    mask_order = mask.order;
  }
  const Value result = Reduction(expr, name, *axes, arguments[0], mask_node, mask_order, frame);
  if (count == 1) return result;
  return need(1, Need::Number) ? WithSink(expr, *axes, arguments, mask_node, result, frame) : Value{};
}

/// The sink is one more score that only the denominator sees: the softmax times its own share of the total.
/// A sink of minus infinity is none; the lowest number stands for it, so that over nothing the share is 0.
Value Elaborator::WithSink(const Expr& expr, const AxisList& axes, const std::vector<Value>& arguments,
                           NodeId mask, const Value& softmax, Frame& frame) {
  const Value& sink = arguments[1];
  if (const AxisList clash = ir::Intersection(sink.order, axes); !clash.empty()) {
    Report(frame, DiagnosticKind::AxisClash, expr.children[2]->loc,
           "a sink is one score for a whole row, but this has " + Show(frame, sink.order) +
               ", the row's axis `" + Show(frame, clash[0]) + "` among them");
    return {};
  }
  const NodeId total = graph_->Reduce(OpKind::LogSumExp, arguments[0].node, axes, mask);
  const NodeId lowest = graph_->Const(std::numeric_limits<float>::lowest());
  const NodeId other = graph_->Pointwise(OpKind::Maximum, {sink.node, lowest});
  const NodeId share = graph_->Pointwise(OpKind::Sigmoid, {graph_->Sub(total, other)});
  return Tensor(graph_->Mul(softmax.node, share), ir::Union(softmax.order, sink.order));
}

Value Elaborator::Elementwise(const Expr& expr, const std::string& name, const std::vector<Value>& arguments,
                              Frame& frame) {
  for (size_t i = 0; i < arguments.size(); ++i)
    if (!Check(frame, arguments[i], Need::Number, expr.children[i + 1]->loc, "`" + name + "`")) return {};
  const std::optional<OpKind> op = ir::OpCalled(name, ir::Family::Pointwise);
  if (!op || static_cast<int>(arguments.size()) != ir::Info(*op).inputs) return {};
  if (arguments.size() == 2 && !CheckBroadcast(frame, arguments[0], arguments[1], expr, "and",
                                               expr.children[1]->loc, expr.children[2]->loc))
    return {};
  SetOrigin(frame, expr.loc);
  return Pointwise(frame, expr.loc, *op, arguments);
}

bool Elaborator::Reducible(const Expr& expr, const std::string& name, const AxisList& axes, const Value& x,
                           const Frame& frame) {
  if ((name == "argmax" || name == "sample") && axes.size() != 1) {
    Report(frame, DiagnosticKind::GroupPositions, expr.items[0].loc,
           name + " acts along a single axis; this is the group " + Show(frame, axes));
    return false;
  }
  for (Axis axis : axes) {
    if (ir::Contains(x.order, axis)) continue;
    if (IsOwnExample(frame, axis, expr.items[0].loc, name + "[batch'](x[batch -> batch'])")) return false;
    Loc loc = expr.items[0].loc;
    for (const AxisItem& item : expr.items)
      for (const Name& written : item.names)
        if (ir::Contains(Resolve(frame, written.text), axis)) loc = written.loc;
    Diagnostic& d = Report(frame, DiagnosticKind::ReduceAxis, loc,
                           "`" + name + "[" + Show(frame, axis) + "]` needs axis `" + Show(frame, axis) +
                               "`; the argument has " + Show(frame, x.order));
    d.labels.push_back({expr.children[1]->loc, "has " + Show(frame, x.order)});
    for (Axis other : x.order)
      if (other.root() == axis.root())
        d.notes.push_back("did you mean `" + name + "[" + Show(frame, other) + "]`?");
    return false;
  }
  return true;
}

std::string Elaborator::Written(const Expr& predicate, const Frame& frame) {
  const Expr* expr = &predicate;
  const Frame* scope = &frame;
  while (expr->kind == ExprKind::Name && scope->function != nullptr) {
    const std::vector<ParamDecl>& params = scope->function->decl->params;
    const auto param = std::find_if(params.begin(), params.end(),
                                    [&](const ParamDecl& p) { return p.name.text == expr->name; });
    if (param == params.end()) break;
    const size_t argument = static_cast<size_t>(param - params.begin()) + 1;
    const bool given = argument < scope->call->children.size();
    if (!given && param->default_value == nullptr) break;
    expr = given ? scope->call->children[argument].get() : param->default_value.get();
    if (given) scope = scope->caller;
    if (!given) break;
  }
  return std::string(expr->loc.file->text().substr(expr->loc.offset, expr->loc.length));
}

Value Elaborator::Reduction(const Expr& expr, const std::string& name, const AxisList& axes, const Value& x,
                            NodeId mask, const AxisList& mask_order, Frame& frame) {
  AxisList all = ir::ContainsAll(mask_order, x.order) ? mask_order : ir::Union(x.order, mask_order);
  const AxisList rest = ir::Minus(all, axes);
  if (name == "rank") return Tensor(Rank(x.node, axes, mask), all);
  if (const std::optional<OpKind> op = ir::OpCalled(name, ir::Family::Reduce))
    return Tensor(graph_->Reduce(*op, x.node, axes, mask), ir::KeepsAxes(*op) ? all : rest);
  if (name == "sample") return Tensor(graph_->Reduce(OpKind::Argmax, x.node, axes, mask), rest);
  const NodeId sum = graph_->Reduce(OpKind::Sum, x.node, axes, mask);
  // The mean of nothing is 0.
  if (mask) {
    const NodeId ones = graph_->Broadcast(graph_->Const(1), axes);
    const NodeId count = graph_->Reduce(OpKind::Sum, ones, axes, mask);
    return Tensor(graph_->Div(sum, graph_->Pointwise(OpKind::Maximum, {count, graph_->Const(1)})), rest);
  }
  NodeId mean = sum;
  for (Axis axis : axes) {
    const NodeId size =
        axes_->IsDynamic(axis)
            ? graph_->Pointwise(OpKind::Maximum, {graph_->Length(axis.root()), graph_->ConstInt(1)})
            : graph_->ConstInt(axes_->Bound(axis));
    mean = graph_->Div(mean, size);
  }
  return Tensor(mean, rest);
}

std::string Elaborator::RandomSite(const Frame& frame) {
  return frame.path + "#" + std::to_string(sites_[frame.path]++);
}

NodeId Elaborator::ExampleNumber() {
  ir::Attributes attributes;
  attributes.name = kExampleInput;
  attributes.dtype = DType::Int;
  return graph_->Make(OpKind::Input, {}, attributes);
}

NodeId Elaborator::Noisy(const Value& logits, Frame& frame) {
  ir::Attributes attributes;
  attributes.name = RandomSite(frame);
  attributes.axes = graph_->axes_of(logits.node);
  return graph_->Add(logits.node, graph_->Make(OpKind::Gumbel, {ExampleNumber()}, attributes));
}

Value Elaborator::Dropout(const Expr& expr, const std::vector<Value>& arguments, Frame& frame) {
  const Value& x = arguments[0];
  const Value& rate = arguments[1];
  const Loc loc = expr.children[2]->loc;
  if (graph_->op(rate.node) != OpKind::Const) {
    Report(frame, DiagnosticKind::BadProbability, loc, "a dropout rate must be known at compile time");
    return {};
  }
  const double p = (*graph_)[rate.node].attributes.number;
  if (!(p >= 0 && p < 1)) {
    Report(frame, DiagnosticKind::BadProbability, loc,
           "a dropout rate lies from 0 to below 1; this is " + NumberText(p));
    return {};
  }
  if (!train_) return x;
  const std::string site = RandomSite(frame);
  if (p == 0) return x;
  SetOrigin(frame, expr.loc);
  ir::Attributes attributes;
  attributes.name = site;
  attributes.number = p;
  attributes.axes = graph_->axes_of(x.node);
  return Tensor(graph_->Mul(x.node, graph_->Make(OpKind::Keep, {ExampleNumber()}, attributes)), x.order);
}

Value Elaborator::Stack(const Expr& expr, Axis axis, std::vector<Value> arguments, Frame& frame) {
  if (axes_->IsDynamic(axis)) {
    Report(frame, DiagnosticKind::DynamicAxis, expr.items[0].loc,
           "`" + Show(frame, axis) + "` has a length of its own in each example; stack needs a static axis");
    return {};
  }
  if (static_cast<int64_t>(arguments.size()) != axes_->Bound(axis)) {
    Report(frame, DiagnosticKind::ElementCount, expr.loc,
           "`stack[" + Show(frame, axis) + "]` needs " + std::to_string(axes_->Bound(axis)) +
               " values, given " + std::to_string(arguments.size()));
    return {};
  }
  AxisList order;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Value& value = arguments[i];
    const Loc loc = expr.children[i + 1]->loc;
    if (!Check(frame, value, Need::Any, loc, "`stack`")) return {};
    if (ir::Contains(value.order, axis)) {
      Report(frame, DiagnosticKind::AxisClash, loc,
             "stacking along `" + Show(frame, axis) +
                 "`, which the value has already: " + Show(frame, value.order));
      return {};
    }
    order = ir::ContainsAll(value.order, order) ? value.order : ir::Union(order, value.order);
  }
  if (!Unite(frame, "`stack`", expr, arguments)) return {};
  std::vector<NodeId> nodes;
  for (const Value& value : arguments) nodes.push_back(value.node);
  order.insert(order.begin(), axis);
  ir::Attributes attributes;
  attributes.axis = axis;
  Value result = Tensor(graph_->Make(OpKind::Stack, nodes, attributes), order);
  if (ElementOf(result))
    for (const Value& value : arguments) result.reads = ir::Union(result.reads, value.reads);
  return result;
}

Value Elaborator::UnpackAxis(const Expr& expr, Axis axis, const Value& x, Frame& frame) {
  const Loc loc = expr.items[0].loc;
  if (!ir::Contains(x.order, axis)) {
    Report(frame, DiagnosticKind::ReduceAxis, loc,
           "`unpack[" + Show(frame, axis) + "]` needs axis `" + Show(frame, axis) + "`; the argument has " +
               Show(frame, x.order))
        .labels.push_back({expr.children[1]->loc, "has " + Show(frame, x.order)});
    return {};
  }
  if (axes_->IsDynamic(axis)) {
    Report(frame, DiagnosticKind::DynamicAxis, loc,
           "`" + Show(frame, axis) + "` has a length of its own in each example; unpack needs a static axis");
    return {};
  }
  Value result;
  result.kind = Value::Kind::Tuple;
  SetOrigin(frame, expr.loc);
  for (int64_t i = 0; i < axes_->Bound(axis); ++i) {
    if (!Step(frame, expr.loc)) return {};
    ir::Attributes attributes;
    attributes.axis = axis;
    attributes.index = i;
    result.tuple.push_back(
        Moved(x, graph_->Make(OpKind::Slice, {x.node}, attributes), ir::Minus(x.order, {axis})));
  }
  return result;
}

Value Elaborator::Onehot(const Expr& expr, Axis axis, const Value& index, Frame& frame) {
  const Loc loc = expr.children[1]->loc;
  const std::string name = Show(frame, axis);
  if (IsOwnExample(frame, axis, expr.items[0].loc, "onehot[batch'](...)") || TooLarge(frame, index))
    return {};
  if (DTypeOf(index) != DType::Int || ElementOf(index) != axis.root()) {
    Diagnostic& d = Report(frame, DiagnosticKind::IndexType, loc,
                           "`onehot[" + name + "]` needs an element of `" + axis.root().text() +
                               "`; this is " + ShowType(frame, index));
    if (DTypeOf(index) == DType::Int) {
      const std::string text = loc.file ? loc.file->text().substr(loc.offset, loc.length) : "...";
      d.notes.push_back("write `" + axis.root().text() + "(" + text +
                        ")` to say which axis it is an element of");
    }
    return {};
  }
  if (ir::Contains(index.order, axis)) {
    Report(frame, DiagnosticKind::AxisClash, loc,
           "`onehot[" + name + "]` adds `" + name +
               "`, which the index has already: " + Show(frame, index.order))
        .notes.push_back("rename it first, for example `[" + name + " -> " + name + "']`");
    return {};
  }
  SetOrigin(frame, expr.loc);
  AxisList order = index.order;
  order.push_back(axis);
  ir::Attributes attributes;
  attributes.axis = axis;
  return Tensor(graph_->Make(OpKind::Onehot, {index.node}, attributes), order);
}

Value Elaborator::AxisElement(const Expr& expr, const std::string& name, Frame& frame) {
  if (expr.children.size() != 2 || !expr.items.empty()) return {};
  std::optional<int64_t> named;
  if (!frame.prelude() && !frame.axes.count(BaseName(name))) named = declarations_.NamedElement(expr);
  const Value i = named ? Tensor(graph_->ConstInt(*named), {}) : Eval(*expr.children[1], frame);
  const Loc loc = expr.children[1]->loc;
  if (!Check(frame, i, Need::Number, loc, "`" + name + "(i)`")) return {};
  const AxisList axes = Resolve(frame, name);
  if (axes.size() != 1) {
    Report(frame, DiagnosticKind::GroupPositions, expr.children[0]->loc,
           "`" + name + "` is the group " + Show(frame, axes) + " in this call; a group has no elements");
    return {};
  }
  const Axis root = axes[0].root();
  std::optional<double> constant;
  if (i.too_large || IntConstant(i)) constant = (*graph_)[i.node].attributes.number;
  if (constant && (*constant < 0 || *constant >= static_cast<double>(axes_->Bound(root)))) {
    Report(frame, DiagnosticKind::IndexAxis, loc,
           "there is no element " + NumberText(*constant) + " of `" + root.text() +
               "`, whose elements are 0 to " + std::to_string(axes_->Bound(root) - 1));
    return {};
  }
  if (DTypeOf(i) != DType::Int) {
    Report(frame, DiagnosticKind::IndexType, loc,
           "`" + name + "(i)` needs a whole number; this is " + ShowType(frame, i));
    return {};
  }
  SetOrigin(frame, expr.loc);
  ir::Attributes attributes;
  attributes.indexes = root;
  if (constant) {
    attributes.dtype = DType::Int;
    attributes.number = *constant;
  }
  Value value = Tensor(constant ? graph_->Make(OpKind::Const, {}, attributes)
                                : graph_->Make(OpKind::Element, {i.node}, attributes),
                       i.order);
  value.reads = {axes[0]};
  return value;
}

}  // namespace heed::frontend
