// How the records of ops are written; private to ir/op_*.cpp.
//
// Everything about one op is one specialisation of Op<kind>:
//   kDoc, Infer (usually inherited from its family), and Vjp or kNoGradient with the reason;
//   of a pointwise op also Eval, kElements, kCost, kTrends, kVector and, beside Vjp, kKeepsZero (op.h);
//   kFunction where programs call it by a name, kSample where the default will not do.
// A line of ops.def without its record, or a record that leaves something out, does not compile; a family
// without its file does not link.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/op.h"

namespace heed::ir {

template <OpKind kKind>
struct Op;  // specialised once an op

using Inputs = std::span<const NodeId>;
using Cotangents = std::vector<NodeId>;

inline void Require(bool holds, const std::string& why) {
  if (!holds) throw InternalError(why);
}

inline AxisList UnionOfAxes(const Graph& graph, Inputs inputs) {
  AxisList axes;
  for (NodeId id : inputs) axes = Union(axes, graph.axes_of(id));
  return axes;
}

/// A value and its graph, so that derivatives read like formulas.
struct Expr {
  Graph* graph;
  NodeId id;
  operator NodeId() const { return id; }
  Expr Number(double value) const { return {graph, graph->Const(value)}; }
  Expr Apply(OpKind op) const { return {graph, graph->Pointwise(op, {id})}; }
  Expr Apply(OpKind op, Expr other) const { return {graph, graph->Pointwise(op, {id, other.id})}; }
};
inline Expr operator+(Expr a, Expr b) { return a.Apply(OpKind::Add, b); }
inline Expr operator-(Expr a, Expr b) { return a.Apply(OpKind::Sub, b); }
inline Expr operator*(Expr a, Expr b) { return a.Apply(OpKind::Mul, b); }
inline Expr operator/(Expr a, Expr b) { return a.Apply(OpKind::Div, b); }
inline Expr operator-(Expr a) { return a.Apply(OpKind::Neg); }
inline Expr operator-(Expr a, double b) { return a - a.Number(b); }
inline Expr operator-(double a, Expr b) { return b.Number(a) - b; }
inline Expr operator*(Expr a, double b) { return a * a.Number(b); }
inline Expr Where(Expr condition, Expr yes, Expr no) {
  return {condition.graph, condition.graph->Select(condition, yes, no)};
}
/// Where a derivative can be infinite, no cotangent must stay no cotangent (0 times infinity).
inline Expr Guarded(Expr cotangent, Expr value) {
  const Expr zero = cotangent.Number(0);
  return Where(cotangent.Apply(OpKind::Eq, zero), zero, value);
}

// ---- From Op<kind> to OpInfo

/// Cotangents of inputs that are no floats are dropped: nothing flows through them.
inline Cotangents OfFloats(const Graph& graph, NodeId node, Cotangents cotangents) {
  const std::vector<NodeId>& inputs = graph[node].inputs;
  for (size_t i = 0; i < cotangents.size(); ++i)
    if (graph.type(inputs[i]).dtype != DType::Float) cotangents[i] = {};
  return cotangents;
}

/// What holds of numbers, and what machines do.
template <class Record>
void DescribePointwise(OpInfo& info) {
  static_assert(requires { Record::kElements; }, "kElements: from which elements to which does the op lead?");
  static_assert(requires { Record::kCost; }, "kCost: what does one element cost?");
  static_assert(requires { Record::kTrends; }, "kTrends: does the result rise or fall with each operand?");
  static_assert(requires { Record::kVector; }, "kVector: what computes a vector of elements?");
  static_assert(
      requires { Record::kNoGradient; } || requires { Record::kKeepsZero; },
      "kKeepsZero: does a cotangent of 0 stay 0, whatever the operands are?");
  info.elements = Record::kElements;
  info.cost = Record::kCost;
  info.trends = Record::kTrends;
  info.vector = Record::kVector;
  if constexpr (requires { Record::kKeepsZero; }) info.keeps_zero = Record::kKeepsZero;
  info.eval = [](std::span<const double> arguments) -> double {
    if constexpr (requires { Record::Eval(0., 0., 0.); }) {
      return Record::Eval(arguments[0], arguments[1], arguments[2]);
    } else if constexpr (requires { Record::Eval(0., 0.); }) {
      return Record::Eval(arguments[0], arguments[1]);
    } else {
      return Record::Eval(arguments[0]);
    }
  };
}

template <OpKind kKind, Family kFamily>
OpInfo Describe(std::string_view name, int inputs) {
  using Record = Op<kKind>;
  OpInfo info{.kind = kKind, .name = name, .family = kFamily, .inputs = inputs, .doc = Record::kDoc};
  info.infer = &Record::Infer;
  if constexpr (requires { Record::kFunction; }) info.function = Record::kFunction;
  if constexpr (requires { Record::kSample; }) info.sample = Record::kSample;
  if constexpr (kFamily == Family::Pointwise) DescribePointwise<Record>(info);
  constexpr bool kNone = requires { Record::kNoGradient; };
  if constexpr (kNone) {
    info.no_gradient = Record::kNoGradient;
  } else {
    info.differentiable = true;
    info.vjp = [](Graph& graph, NodeId node, NodeId d) -> Cotangents {
      if constexpr (kFamily == Family::Pointwise) {
        const std::vector<NodeId>& in = graph[node].inputs;
        const auto e = [&](NodeId id) { return Expr{&graph, id}; };
        if constexpr (requires { Record::Vjp(e(d), e(d), e(d), e(d), e(d)); }) {
          return OfFloats(graph, node, Record::Vjp(e(d), e(in[0]), e(in[1]), e(in[2]), e(node)));
        } else if constexpr (requires { Record::Vjp(e(d), e(d), e(d), e(d)); }) {
          return OfFloats(graph, node, Record::Vjp(e(d), e(in[0]), e(in[1]), e(node)));
        } else {
          return OfFloats(graph, node, Record::Vjp(e(d), e(in[0]), e(node)));
        }
      } else {
        return OfFloats(graph, node, Record::Vjp(graph, graph[node], node, d));
      }
    };
  }
  return info;
}

/// Fills the records of one family into the table, which is indexed by OpKind.
template <Family kFamily>
void DescribeFamily(std::span<OpInfo> table) {
#define HEED_OP(Name, text, OpFamily, inputs)                                                 \
  if constexpr (Family::OpFamily == kFamily) {                                                \
    table[static_cast<size_t>(OpKind::Name)] = Describe<OpKind::Name, kFamily>(text, inputs); \
  }
#include "ir/ops.def"
}

extern template void DescribeFamily<Family::Leaf>(std::span<OpInfo>);
extern template void DescribeFamily<Family::Pointwise>(std::span<OpInfo>);
extern template void DescribeFamily<Family::Reduce>(std::span<OpInfo>);
extern template void DescribeFamily<Family::Contract>(std::span<OpInfo>);
extern template void DescribeFamily<Family::Axes>(std::span<OpInfo>);
extern template void DescribeFamily<Family::Index>(std::span<OpInfo>);
extern template void DescribeFamily<Family::Random>(std::span<OpInfo>);
extern template void DescribeFamily<Family::Fused>(std::span<OpInfo>);

}  // namespace heed::ir
