// Expressions but calls: names, arithmetic, contraction, renames, indexing. Every op of the graph has its
// conditions checked here first, so that a violated one in ir/ is a bug.
#include <algorithm>

#include "frontend/elaborate.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;
using ir::DType;
using ir::NodeId;
using ir::OpKind;

Value Elaborator::Eval(const Expr& expr, Frame& frame) {
  ++depth_;
  Value value;
  if (Step(frame, expr.loc)) value = EvalKind(expr, frame);
  --depth_;
  return value;
}

Value Elaborator::EvalKind(const Expr& expr, Frame& frame) {
  switch (expr.kind) {
    case ExprKind::Number:
      if (expr.is_whole && expr.number < 9e15)
        return Tensor(graph_->ConstInt(static_cast<int64_t>(expr.number)), {});
      return Tensor(graph_->Const(expr.number), {});
    case ExprKind::Bool:
      return Tensor(graph_->ConstBool(expr.number != 0), {});
    case ExprKind::Name:
      return NameValue(expr, frame);
    case ExprKind::Size:
      return Size(expr, frame);
    case ExprKind::Unary:
      return Unary(expr, frame);
    case ExprKind::Binary:
      return Binary(expr, frame);
    case ExprKind::Contract:
      return Contract(expr, frame);
    case ExprKind::Call:
      return Call(expr, frame);
    case ExprKind::Rename:
      return Rename(expr, frame);
    case ExprKind::Index:
      return Index(expr, frame);
  }
  return {};
}

Value Elaborator::NameValue(const Expr& expr, Frame& frame) {
  const auto variable = frame.variables.find(expr.name);
  if (variable != frame.variables.end()) {
    if (variable->second.kind == Value::Kind::Part) return {};  // reported by check
    return variable->second;
  }
  const AxisList axes = Resolve(frame, expr.name);
  SetOrigin(frame, expr.loc);
  if (axes.size() == 1) return Tensor(graph_->Positions(axes[0]), axes);
  if (axes.size() > 1) {
    Report(
        frame, DiagnosticKind::GroupPositions, expr.loc,
        "`" + expr.name + "` is the group " + Show(frame, axes) + " in this call; a group has no positions");
    return {};
  }
  if (frame.prelude()) return {};
  const auto constant = declarations_.consts().find(expr.name);
  if (constant == declarations_.consts().end()) return {};  // reported by check, or the prompt of `generate`
  const Number number = constant->second;
  if (number.whole && std::abs(number.value) < 9e15)
    return Tensor(graph_->ConstInt(static_cast<int64_t>(number.value)), {});
  return Tensor(graph_->Const(number.value), {});
}

Value Elaborator::Size(const Expr& expr, Frame& frame) {
  const AxisList axes = Resolve(frame, expr.name);
  if (axes.empty()) return {};
  SetOrigin(frame, expr.loc);
  NodeId product = graph_->ConstInt(1);
  for (Axis axis : axes) {
    const NodeId size =
        axes_->IsDynamic(axis) ? graph_->Length(axis.root()) : graph_->ConstInt(axes_->Bound(axis));
    product = axes.size() == 1 ? size : graph_->Mul(product, size);
  }
  return Tensor(product, {});
}

Value Elaborator::Unary(const Expr& expr, Frame& frame) {
  const Value x = Eval(*expr.children[0], frame);
  const bool negates = expr.op == "-";
  if (!Check(frame, x, negates ? Need::Number : Need::Bool, expr.children[0]->loc, "`" + expr.op + "`"))
    return {};
  SetOrigin(frame, expr.loc);
  return Pointwise(negates ? OpKind::Neg : OpKind::Not, {x});
}

Value Elaborator::Binary(const Expr& expr, Frame& frame) {
  struct Operator {
    OpKind op;
    enum class Takes { Numbers, Bools, Same } takes;
    bool arithmetic;
  };
  using Takes = Operator::Takes;
  static const std::map<std::string, Operator> kOperators = {
      {"+", {OpKind::Add, Takes::Numbers, true}},  {"-", {OpKind::Sub, Takes::Numbers, true}},
      {"*", {OpKind::Mul, Takes::Numbers, true}},  {"/", {OpKind::Div, Takes::Numbers, true}},
      {"%", {OpKind::Mod, Takes::Numbers, true}},  {"^", {OpKind::Pow, Takes::Numbers, true}},
      {"<", {OpKind::Lt, Takes::Numbers, false}},  {"<=", {OpKind::Le, Takes::Numbers, false}},
      {">", {OpKind::Gt, Takes::Numbers, false}},  {">=", {OpKind::Ge, Takes::Numbers, false}},
      {"==", {OpKind::Eq, Takes::Same, false}},    {"!=", {OpKind::Ne, Takes::Same, false}},
      {"and", {OpKind::And, Takes::Bools, false}}, {"or", {OpKind::Or, Takes::Bools, false}}};
  const Value a = Eval(*expr.children[0], frame);
  const Value b = Eval(*expr.children[1], frame);
  const auto found = kOperators.find(expr.op);
  if (found == kOperators.end()) return {};
  const Operator& op = found->second;
  const std::string who = "`" + expr.op + "`";
  const Loc a_loc = expr.children[0]->loc, b_loc = expr.children[1]->loc;
  Need need = op.takes == Takes::Bools ? Need::Bool : op.takes == Takes::Numbers ? Need::Number : Need::Any;
  const bool a_fits = Check(frame, a, need, a_loc, who);
  if (op.takes == Takes::Same && a_fits) need = DTypeOf(a) == DType::Bool ? Need::Bool : Need::Number;
  const bool b_fits = Check(frame, b, need, b_loc, who);
  if (!a_fits || !b_fits) return {};
  const Axis ea = ElementOf(a), eb = ElementOf(b);
  const bool adds = op.op == OpKind::Add || op.op == OpKind::Sub;
  if (adds && ea && eb && ea != eb) {
    Diagnostic& d =
        Report(frame, DiagnosticKind::MixedElements, expr.op_loc.file ? expr.op_loc : expr.loc,
               "`" + ea.text() + " " + expr.op + " " + eb.text() + "`: positions of different axes");
    d.labels.push_back({a_loc, "an element of " + ea.text()});
    d.labels.push_back({b_loc, "an element of " + eb.text()});
    return {};
  }
  if (op.arithmetic && !CheckBroadcast(frame, a, b, expr, expr.op, a_loc, b_loc)) return {};
  SetOrigin(frame, expr.op_loc.file ? expr.op_loc : expr.loc);
  Value result = Pointwise(op.op, {a, b});
  if (adds && IntConstant(result) && !(ea && eb) && !(op.op == OpKind::Sub && eb))
    result.element = ea ? ea : eb;
  return result;
}

Value Elaborator::Contract(const Expr& expr, Frame& frame) {
  const Value a = Eval(*expr.children[0], frame);
  const Value b = Eval(*expr.children[1], frame);
  const auto axes = Resolve(frame, expr.items);
  const Loc a_loc = expr.children[0]->loc, b_loc = expr.children[1]->loc;
  const bool a_fits = Check(frame, a, Need::Number, a_loc, "`@`");
  const bool b_fits = Check(frame, b, Need::Number, b_loc, "`@`");
  if (!axes || !a_fits || !b_fits ||
      !Distinct(frame, *axes, expr.items, expr.op_loc.file ? expr.op_loc : expr.loc))
    return {};
  for (Axis axis : *axes) {
    const bool in_a = ir::Contains(a.order, axis), in_b = ir::Contains(b.order, axis);
    if (in_a && in_b) continue;
    Loc loc = expr.op_loc.file ? expr.op_loc : expr.loc;
    for (const AxisItem& item : expr.items)
      for (const Name& name : item.names)
        if (ir::Contains(Resolve(frame, name.text), axis)) loc = name.loc;
    const std::string name = Show(frame, axis);
    const std::string who = in_a ? "the right side lacks" : in_b ? "the left side lacks" : "neither side has";
    Diagnostic& d = Report(frame, DiagnosticKind::ContractionAxis, loc,
                           "contraction over `" + name + "`: " + who + " it");
    d.labels.push_back({a_loc, "has " + Show(frame, a.order)});
    d.labels.push_back({b_loc, "has " + Show(frame, b.order)});
    const Value& lacking = in_a ? b : a;
    if (in_a || in_b) {
      for (Axis other : lacking.order)
        if (other.root() == axis.root())
          d.notes.push_back("it has `" + Show(frame, other) + "`; write `[" + Show(frame, other) + " -> " +
                            name + "]` to rename it");
    }
    if (const AxisList common = ir::Intersection(a.order, b.order); !common.empty())
      d.notes.push_back("both sides have " + Show(frame, common));
    return {};
  }
  SetOrigin(frame, expr.op_loc.file ? expr.op_loc : expr.loc);
  return Tensor(graph_->Contract(a.node, b.node, *axes), ir::Minus(ir::Union(a.order, b.order), *axes));
}

Value Elaborator::Rename(const Expr& expr, Frame& frame) {
  const Value x = Eval(*expr.children[0], frame);
  const auto from = Resolve(frame, expr.items), to = Resolve(frame, expr.targets);
  if (!from || !to || !Check(frame, x, Need::Any, expr.children[0]->loc, "a rename")) return {};
  const Loc loc = expr.op_loc.file ? expr.op_loc : expr.loc;
  if (!Distinct(frame, *from, expr.items, loc) || !Distinct(frame, *to, expr.targets, loc)) return {};
  for (Axis axis : *from) {
    if (ir::Contains(x.order, axis)) continue;
    Diagnostic& d =
        Report(frame, DiagnosticKind::RenameAxis, loc,
               "cannot rename `" + Show(frame, axis) + "`: the value has " + Show(frame, x.order));
    d.labels.push_back({expr.children[0]->loc, "has " + Show(frame, x.order)});
    return {};
  }
  for (Axis axis : *to) {
    if (!ir::Contains(x.order, axis) || ir::Contains(*from, axis)) continue;
    Diagnostic& d = Report(
        frame, DiagnosticKind::AxisClash, loc,
        "renaming to `" + Show(frame, axis) + "`, which the value has already: " + Show(frame, x.order));
    d.labels.push_back({expr.children[0]->loc, "has " + Show(frame, x.order)});
    return {};
  }
  const auto size = [&](Axis axis) { return axes_->Bound(axis); };
  // Axis by axis if the sizes agree: that is also what regrouping row-major would give.
  bool pairwise = from->size() == to->size();
  for (size_t i = 0; pairwise && i < from->size(); ++i) {
    const Axis a = (*from)[i], b = (*to)[i];
    pairwise = a.root() == b.root() || (!axes_->IsDynamic(a) && !axes_->IsDynamic(b) && size(a) == size(b));
  }
  SetOrigin(frame, loc);
  if (pairwise) {
    std::vector<std::pair<Axis, Axis>> renames;
    AxisList order = x.order;
    for (size_t i = 0; i < from->size(); ++i) {
      renames.emplace_back((*from)[i], (*to)[i]);
      *std::find(order.begin(), order.end(), (*from)[i]) = (*to)[i];
    }
    // Swaps find an axis twice on the way; fall back on the graph's own order then.
    return Tensor(graph_->Rename(x.node, renames), order);
  }
  for (const AxisList* side : {&*from, &*to}) {
    for (Axis axis : *side) {
      if (!axes_->IsDynamic(axis)) continue;
      Report(frame, DiagnosticKind::DynamicAxis, loc,
             from->size() == 1 && to->size() == 1
                 ? "`" + Show(frame, (*from)[0]) + "` cannot become `" + Show(frame, (*to)[0]) +
                       "`: a dynamic axis is only renamed to its own twins"
                 : "the dynamic axis `" + Show(frame, axis) + "` cannot be split or merged");
      return {};
    }
  }
  return Regroup(x, *from, *to, expr, frame);
}

Value Elaborator::Regroup(const Value& x, const AxisList& from, const AxisList& to, const Expr& expr,
                          Frame& frame) {
  const Loc loc = expr.op_loc.file ? expr.op_loc : expr.loc;
  const auto product = [&](const AxisList& axes, std::string& text) {
    double n = 1;
    for (Axis axis : axes) {
      n *= static_cast<double>(axes_->Bound(axis));
      text += (text.empty() ? "" : " x ") + std::to_string(axes_->Bound(axis));
    }
    return n;
  };
  std::string from_text, to_text;
  const double count = product(from, from_text);
  if (count != product(to, to_text)) {
    const std::string a = Show(frame, from), b = Show(frame, to);
    Report(frame, DiagnosticKind::ChangesSize, loc,
           "[" + a.substr(1, a.size() - 2) + " -> " + b.substr(1, b.size() - 2) + "] changes size " +
               from_text + " to " + to_text);
    return {};
  }
  AxisList order;
  for (Axis axis : x.order) {
    if (axis == from[0]) order.insert(order.end(), to.begin(), to.end());
    if (!ir::Contains(from, axis)) order.push_back(axis);
  }
  NodeId node = x.node;
  Axis flat = from[0];
  if (from.size() > 1) {
    flat = to[0];
    if (to.size() > 1) {  // an axis of the compiler's own holds all elements in between
      flat = Axis("_" + NumberText(count));
      ir::Extent extent;
      extent.size = static_cast<int64_t>(count);
      axes_->Set(flat, extent);
    }
    ir::Attributes attributes;
    attributes.axes = from;
    attributes.axis = flat;
    node = graph_->Make(OpKind::Merge, {node}, attributes);
  }
  if (to.size() > 1) {
    ir::Attributes attributes;
    attributes.axis = flat;
    attributes.to = to;
    node = graph_->Make(OpKind::Split, {node}, attributes);
  }
  return Tensor(node, order);
}

Value Elaborator::Index(const Expr& expr, Frame& frame) {
  if (expr.children[0]->kind == ExprKind::Name) {
    const auto part = frame.variables.find(expr.children[0]->name);
    if (part != frame.variables.end() && part->second.kind == Value::Kind::Part)
      return {};  // reported by check
  }
  const Value x = Eval(*expr.children[0], frame);
  const Value i = Eval(*expr.children[1], frame);
  const Loc x_loc = expr.children[0]->loc, i_loc = expr.children[1]->loc;
  const bool x_fits = Check(frame, x, Need::Any, x_loc, "indexing");
  const bool i_fits = Check(frame, i, Need::Any, i_loc, "an index");
  if (!x_fits || !i_fits) return {};
  const Axis root = DTypeOf(i) == DType::Int ? ElementOf(i) : Axis();
  if (!root) {
    Diagnostic& d = Report(frame, DiagnosticKind::IndexType, i_loc,
                           "index has type " + ir::Text(DTypeOf(i)) + ", but must be an element of an axis");
    d.labels.push_back({x_loc, "has " + Show(frame, x.order)});
    if (DTypeOf(i) == DType::Int && !x.order.empty()) {
      const Axis axis = x.order[0];
      const std::string index(i_loc.file ? i_loc.file->text().substr(i_loc.offset, i_loc.length) : "...");
      d.notes.push_back("write `" + Show(frame, axis.root()) + "(" + index +
                        ")` to say which axis it is an element of");
    } else if (DTypeOf(i) == DType::Float) {
      d.notes.push_back(
          "positions, token ids and argmax are elements of an axis; numbers with a point are not");
    }
    return {};
  }
  // The axis that is read: one of the signature's before lifted ones, the axis itself before its twins.
  AxisList candidates;
  for (Axis axis : x.order)
    if (axis.root() == root) candidates.push_back(axis);
  if (candidates.empty()) {
    Diagnostic& d =
        Report(frame, DiagnosticKind::IndexAxis, i_loc,
               "indexing by an element of `" + root.text() + "`, but the value has " + Show(frame, x.order));
    d.labels.push_back({x_loc, "has " + Show(frame, x.order)});
    return {};
  }
  if (const AxisList own = ir::Minus(candidates, frame.lifted); !own.empty()) candidates = own;
  if (ir::Contains(candidates, root)) candidates = {root};
  if (candidates.size() > 1) {
    Diagnostic& d =
        Report(frame, DiagnosticKind::IndexAxis, i_loc,
               "an element of `" + root.text() + "` can index each of " + Show(frame, candidates));
    d.labels.push_back({x_loc, "has " + Show(frame, x.order)});
    d.notes.push_back("rename the one that is read to `" + root.text() + "`");
    return {};
  }
  Axis axis = candidates[0];
  AxisList order;
  for (Axis a : x.order) {
    if (a == axis) {
      for (Axis b : i.order)
        if (b == axis || !ir::Contains(x.order, b)) order.push_back(b);
    } else {
      order.push_back(a);
    }
  }
  SetOrigin(frame, expr.op_loc.file ? expr.op_loc : expr.loc);
  // A constant element of a static axis is a slice.
  if (const auto constant = IntConstant(i); constant && !axes_->IsDynamic(axis)) {
    if (*constant < 0 || *constant >= axes_->Bound(axis)) {
      Report(frame, DiagnosticKind::IndexAxis, i_loc,
             "index " + std::to_string(*constant) + " is outside `" + Show(frame, axis) +
                 "`, whose elements are 0 to " + std::to_string(axes_->Bound(axis) - 1));
      return {};
    }
    ir::Attributes attributes;
    attributes.axis = axis;
    attributes.index = *constant;
    return Tensor(graph_->Make(OpKind::Slice, {x.node}, attributes), order);
  }
  // The axis read and the axes of the index never share a name.
  NodeId node = x.node;
  if (ir::Contains(i.order, axis)) {
    const AxisList used = ir::Union(x.order, i.order);
    Axis fresh = axis;
    for (int k = 1; ir::Contains(used, fresh); ++k) fresh = axis.Fresh(k);
    node = graph_->Rename(node, {{axis, fresh}});
    axis = fresh;
  }
  ir::Attributes attributes;
  attributes.axis = axis;
  return Tensor(graph_->Make(OpKind::Gather, {node, i.node}, attributes), order);
}

}  // namespace heed::frontend
