// Whole numbers: who needs them, and int(x), which makes plain ones of elements, truth values and floats that
// are whole. Whether a float is one is looked at when the program runs (passes/partial.cpp).
#include <cmath>

#include "frontend/elaborate.h"
#include "ir/int_range.h"

namespace heed::frontend {

using ir::DType;
using ir::NodeId;
using ir::OpKind;

bool Elaborator::CheckWhole(const Frame& frame, const Value& value, Loc loc, const std::string& who) {
  if (value.too_large || DTypeOf(value) == DType::Int) return true;
  Diagnostic& d = Report(frame, DiagnosticKind::WrongType, loc,
                         who + " takes whole numbers; this is " + ShowType(frame, value));
  d.notes.push_back(
      "`floor(a / b)` divides floats and rounds down; `int(x)` makes a float that is whole one");
  return false;
}

Value Elaborator::ToWhole(const Expr& expr, const Value& x, Frame& frame) {
  const Loc loc = expr.children[1]->loc;
  if (!Check(frame, x, Need::Any, loc, "`int`")) return {};
  if (x.too_large) return x;
  SetOrigin(frame, expr.loc);
  const NodeId one = graph_->ConstInt(1);
  if (DTypeOf(x) == DType::Bool) return Tensor(graph_->Select(x.node, one, graph_->ConstInt(0)), x.order);
  if (DTypeOf(x) == DType::Int) return ElementOf(x) ? Tensor(graph_->Mul(x.node, one), x.order) : x;
  if (graph_->op(x.node) == OpKind::Const) {
    const double number = (*graph_)[x.node].attributes.number;
    if (number == std::floor(number)) return WholeNumber(number, expr.loc);
    Report(frame, DiagnosticKind::InvalidNumber, loc, NumberText(number) + " is no whole number")
        .notes.push_back("`int` converts and never rounds; `int(floor(x))` rounds down");
    return {};
  }
  return Tensor(graph_->Pointwise(OpKind::Whole, {x.node}), x.order);
}

}  // namespace heed::frontend
