// Expressions but calls: names, arithmetic, contraction, renames, indexing. Every op of the graph has its
// conditions checked here first, so that a violated one in ir/ is a bug.
#include <algorithm>

#include "frontend/elaborate.h"
#include "ir/batch_axis.h"
#include "ir/op.h"

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
      return expr.is_whole ? WholeNumber(expr.number, expr.loc) : Tensor(graph_->Const(expr.number), {});
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
  if (!SeesBatch(frame, axes, expr.loc)) return {};
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
  return number.whole ? WholeNumber(number.value, expr.loc) : Tensor(graph_->Const(number.value), {});
}

Value Elaborator::Size(const Expr& expr, Frame& frame) {
  const AxisList axes = Resolve(frame, expr.name);
  if (axes.empty() || !SeesBatch(frame, axes, expr.loc)) return {};
  SetOrigin(frame, expr.loc);
  Value product;
  for (Axis axis : axes) {
    const Value size = axes_->IsDynamic(axis)
                           ? Tensor(graph_->Length(axis.root()), {})
                           : WholeNumber(static_cast<double>(axes_->Bound(axis)), expr.loc);
    product = product.ok() ? Pointwise(frame, expr.loc, OpKind::Mul, {product, size}) : size;
    if (!product.ok()) break;
  }
  return product;
}

Value Elaborator::Unary(const Expr& expr, Frame& frame) {
  const Value x = Eval(*expr.children[0], frame);
  const bool negates = expr.op == "-";
  if (!Check(frame, x, negates ? Need::Number : Need::Bool, expr.children[0]->loc, "`" + expr.op + "`"))
    return {};
  SetOrigin(frame, expr.loc);
  return Pointwise(frame, expr.loc, negates ? OpKind::Neg : OpKind::Not, {x});
}

Value Elaborator::Binary(const Expr& expr, Frame& frame) {
  struct Operator {
    OpKind op;
    enum class Takes { Numbers, Wholes, Bools, Same } takes;
    bool arithmetic;
  };
  using Takes = Operator::Takes;
  static const std::map<std::string, Operator> kOperators = {
      {"+", {OpKind::Add, Takes::Numbers, true}},      {"-", {OpKind::Sub, Takes::Numbers, true}},
      {"*", {OpKind::Mul, Takes::Numbers, true}},      {"/", {OpKind::Div, Takes::Numbers, true}},
      {"//", {OpKind::Quotient, Takes::Wholes, true}}, {"%", {OpKind::Mod, Takes::Numbers, true}},
      {"^", {OpKind::Pow, Takes::Numbers, true}},      {"<", {OpKind::Lt, Takes::Numbers, false}},
      {"<=", {OpKind::Le, Takes::Numbers, false}},     {">", {OpKind::Gt, Takes::Numbers, false}},
      {">=", {OpKind::Ge, Takes::Numbers, false}},     {"==", {OpKind::Eq, Takes::Same, false}},
      {"!=", {OpKind::Ne, Takes::Same, false}},        {"and", {OpKind::And, Takes::Bools, false}},
      {"or", {OpKind::Or, Takes::Bools, false}}};
  const Value a = Eval(*expr.children[0], frame);
  const Value b = Eval(*expr.children[1], frame);
  const auto found = kOperators.find(expr.op);
  if (found == kOperators.end()) return {};
  const Operator& op = found->second;
  const std::string who = "`" + expr.op + "`";
  const Loc a_loc = expr.children[0]->loc, b_loc = expr.children[1]->loc;
  Need need = op.takes == Takes::Bools ? Need::Bool : op.takes == Takes::Same ? Need::Any : Need::Number;
  const bool a_fits = Check(frame, a, need, a_loc, who);
  if (op.takes == Takes::Same && a_fits) need = DTypeOf(a) == DType::Bool ? Need::Bool : Need::Number;
  const bool b_fits = Check(frame, b, need, b_loc, who);
  if (!a_fits || !b_fits) return {};
  if (op.takes == Takes::Wholes && (!CheckWhole(frame, a, a_loc, who) || !CheckWhole(frame, b, b_loc, who)))
    return {};
  if (op.arithmetic && !CheckBroadcast(frame, a, b, expr, expr.op, a_loc, b_loc)) return {};
  SetOrigin(frame, expr.op_loc.file ? expr.op_loc : expr.loc);
  return Pointwise(frame, expr.loc, op.op, {a, b});
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
    if (IsOwnExample(frame, axis, expr.loc, "x @batch' y[batch -> batch']")) return {};
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
  if (ir::Contains(*from, ir::BatchAxis()) || ir::Contains(*to, ir::BatchAxis()))
    return AllExamples(x, *from, *to, expr, frame);
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
    return Moved(x, graph_->Rename(x.node, renames), order);
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
  return Moved(x, node, order);
}

Value Elaborator::Index(const Expr& expr, Frame& frame) {
  if (expr.children[0]->kind == ExprKind::Name) {
    const auto part = frame.variables.find(expr.children[0]->name);
    if (part != frame.variables.end() && part->second.kind == Value::Kind::Part)
      return {};  // reported by check
  }
  const Value x = Eval(*expr.children[0], frame);
  const size_t count = expr.children.size() - 1;
  std::vector<Value> indices;
  for (size_t k = 0; k < count; ++k) indices.push_back(Eval(*expr.children[k + 1], frame));
  const Loc x_loc = expr.children[0]->loc;
  const auto loc_of = [&](size_t k) { return expr.children[k + 1]->loc; };
  bool fit = Check(frame, x, Need::Any, x_loc, "indexing");
  for (size_t k = 0; k < count; ++k) fit = Check(frame, indices[k], Need::Any, loc_of(k), "an index") && fit;
  if (!fit) return {};
  AxisList read;  // by each index
  for (size_t k = 0; k < count; ++k) {
    const auto axis = ReadAxis(frame, expr, x, indices[k], loc_of(k));
    if (!axis) return {};
    const auto before = std::find(read.begin(), read.end(), *axis);
    if (before != read.end()) {
      const std::string name = Show(frame, *axis);
      Diagnostic& d = Report(frame, DiagnosticKind::IndexAxis, loc_of(k), "two indices read `" + name + "`");
      d.labels.push_back({loc_of(static_cast<size_t>(before - read.begin())), "this one, too"});
      d.labels.push_back({x_loc, "has " + Show(frame, x.order)});
      d.notes.push_back("`" + name + "'(i)` is an element that reads the twin `" + name + "'`");
      return {};
    }
    read.push_back(*axis);
  }
  // The axes of an index take the place of the one it reads.
  const AxisList stay = ir::Minus(x.order, read);
  AxisList order;
  for (Axis axis : x.order) {
    const auto by = std::find(read.begin(), read.end(), axis);
    order = ir::Union(order, by == read.end()
                                 ? AxisList{axis}
                                 : ir::Minus(indices[static_cast<size_t>(by - read.begin())].order, stay));
  }
  SetOrigin(frame, expr.op_loc.file ? expr.op_loc : expr.loc);
  // An axis that is read and has the name of an axis of an index is another one.
  AxisList used = x.order;
  for (const Value& index : indices) used = ir::Union(used, index.order);
  std::vector<std::pair<Axis, Axis>> renames;
  for (Axis& axis : read) {
    const bool clashes = std::any_of(indices.begin(), indices.end(),
                                     [&](const Value& index) { return ir::Contains(index.order, axis); });
    const Axis fresh = clashes ? Another(axis, used) : axis;
    used.push_back(fresh);
    renames.emplace_back(axis, fresh);
    axis = fresh;
  }
  NodeId node = graph_->Rename(x.node, renames);
  for (size_t k = 0; k < count; ++k) {
    ir::Attributes attributes;
    attributes.axis = read[k];
    // A constant element of a static axis is a slice.
    const auto constant = IntConstant(indices[k]);
    if (!constant || axes_->IsDynamic(read[k])) {
      node = graph_->Make(OpKind::Gather, {node, indices[k].node}, attributes);
      continue;
    }
    if (*constant < 0 || *constant >= axes_->Bound(read[k])) {
      Report(frame, DiagnosticKind::IndexAxis, loc_of(k),
             "index " + std::to_string(*constant) + " is outside `" + Show(frame, renames[k].first) +
                 "`, whose elements are 0 to " + std::to_string(axes_->Bound(read[k]) - 1));
      return {};
    }
    attributes.index = *constant;
    node = graph_->Make(OpKind::Slice, {node}, attributes);
  }
  return Moved(x, node, order);
}

std::optional<Axis> Elaborator::ReadAxis(const Frame& frame, const Expr& expr, const Value& x,
                                         const Value& index, Loc index_loc) {
  const Loc x_loc = expr.children[0]->loc;
  if (TooLarge(frame, index)) return std::nullopt;
  const Axis root = DTypeOf(index) == DType::Int ? ElementOf(index) : Axis();
  if (!root) {
    NoElement(frame, x, x_loc, index, index_loc);
    return std::nullopt;
  }
  AxisList candidates;
  for (Axis axis : x.order)
    if (axis.root() == root) candidates.push_back(axis);
  if (candidates.empty()) {
    Diagnostic& d =
        Report(frame, DiagnosticKind::IndexAxis, index_loc,
               "indexing by an element of `" + root.text() + "`, but the value has " + Show(frame, x.order));
    d.labels.push_back({x_loc, "has " + Show(frame, x.order)});
    return std::nullopt;
  }
  // What the element says itself; else one of the signature's before lifted ones, the axis itself before its
  // twins.
  if (const AxisList said = ir::Intersection(candidates, index.reads); !said.empty()) {
    candidates = said;
  } else {
    if (const AxisList own = ir::Minus(candidates, frame.lifted); !own.empty()) candidates = own;
    if (ir::Contains(candidates, root)) candidates = {root};
  }
  if (candidates.size() == 1) return candidates[0];
  Diagnostic& d = Report(frame, DiagnosticKind::IndexAxis, index_loc,
                         "an element of `" + root.text() + "` can index each of " + Show(frame, candidates));
  d.labels.push_back({x_loc, "has " + Show(frame, x.order)});
  d.notes.push_back("`" + Show(frame, candidates.back()) + "(i)` is an element that reads `" +
                    Show(frame, candidates.back()) + "`");
  return std::nullopt;
}

void Elaborator::NoElement(const Frame& frame, const Value& x, Loc x_loc, const Value& index, Loc index_loc) {
  Diagnostic& d =
      Report(frame, DiagnosticKind::IndexType, index_loc,
             "index has type " + ir::Text(DTypeOf(index)) + ", but must be an element of an axis");
  d.labels.push_back({x_loc, "has " + Show(frame, x.order)});
  if (DTypeOf(index) == DType::Float) {
    d.notes.push_back(
        "positions, token ids and argmax are elements of an axis; numbers with a point are not");
    return;
  }
  if (DTypeOf(index) != DType::Int || x.order.empty()) return;
  // The axis meant is one of the value's, most likely one whose elements the index is computed from.
  AxisList elements;
  std::vector<NodeId> operands{index.node};
  while (!operands.empty()) {
    const NodeId id = operands.back();
    operands.pop_back();
    if (const Axis of = graph_->type(id).indexes) {
      elements = ir::Union(elements, {of});
    } else if (ir::IsPointwise(graph_->op(id))) {
      operands.insert(operands.end(), (*graph_)[id].inputs.rbegin(), (*graph_)[id].inputs.rend());
    }
  }
  const AxisList own = ir::Minus(x.order, frame.lifted);
  Axis axis = (own.empty() ? x.order : own)[0];
  for (Axis candidate : x.order)
    if (ir::Contains(elements, candidate.root())) {
      axis = candidate;
      break;
    }
  if (elements.size() > 1) {
    std::string names;
    for (Axis of : elements) names += (names.empty() ? "`" : ", `") + of.text() + "`";
    d.notes.push_back("a number computed from positions of " + names + " is a position of none of them");
  }
  const std::string text(index_loc.file ? index_loc.file->text().substr(index_loc.offset, index_loc.length)
                                        : "...");
  d.notes.push_back("write `" + Show(frame, axis) + "(" + text + ")` to say which axis it is an element of");
}

}  // namespace heed::frontend
