// What a mask, an ordinary bool expression, implies about positions: bounds of differences, and the class of
// a tile.
//
// Two analyses, both never wrong and seldom loose (experience on causal, window, prefix, document, strided
// and padding masks: exact, but for documents at tile borders):
//   Sup(mask, a - b)   the largest a - b where the mask holds: causality, window, length, a read in range
//   TileAnalysis       interval arithmetic over a tile of positions: no element holds, all hold, or mixed
// TileAnalysis is a template over what a bound is: numbers here, generated code in a back end that wants to
// skip tiles. What this leaves alone: masks whose terms are not linear in whole numbers have no bounded
// differences, and are mixed.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>

#include "ir/graph.h"
#include "ir/op.h"

namespace heed::passes {

/// A whole number written as a sum of coefficient * value and a constant. No coefficient is 0.
struct LinearForm {
  std::map<ir::NodeId, int64_t> terms;
  int64_t constant = 0;
};

/// `node` as a linear form over its int leaves; none if it is no whole number or overflows.
std::optional<LinearForm> Linear(const ir::Graph& graph, ir::NodeId node);

inline constexpr double kUnbounded = std::numeric_limits<double>::infinity();

/// The largest value of `form` over all places where `mask` is `holds`; kUnbounded if nothing is implied,
/// minus kUnbounded if there is no such place. The form's constant counts.
double Sup(const ir::Graph& graph, ir::NodeId mask, const LinearForm& form, bool holds = true);
/// The largest a - b of two int values; none for `b` stands for 0, none for `a` likewise.
double Sup(const ir::Graph& graph, ir::NodeId mask, ir::NodeId a, ir::NodeId b);

/// The node positions(axis) among those `roots` (default: all outputs) need; none if there is none.
ir::NodeId FindPositions(const ir::Graph& graph, ir::Axis axis);

/// Intervals of values over a tile. The Algebra says what a bound is:
///   using Value;                                   a bound: a number, or code that computes one
///   Value Number(double);
///   Value Add(Value, Value), Sub, Mul, Min, Max, Mod(a, positive divisor), FloorDiv;
///   Value Less(Value, Value), LessEqual;           1 or 0; 0 if an argument is NaN
///   Value Select(Value condition, Value, Value);
///   std::pair<Value, Value> Leaf(NodeId);          lowest and highest value of a leaf in the tile
/// Leaves are positions and every value that is not pointwise (lengths, data). A leaf about which nothing is
/// known is {NaN, NaN} if it may be NaN, else {-inf, inf}; Min and Max hand NaN on. Bounds must be computed
/// in the precision in which the mask itself is. A mask holds everywhere if its `low` is 1, nowhere if its
/// `high` is 0.
template <typename Algebra>
class TileAnalysis {
 public:
  using Value = typename Algebra::Value;
  struct Interval {
    Value low, high;
  };

  TileAnalysis(const ir::Graph& graph, Algebra& algebra) : graph_(graph), algebra_(algebra) {}

  Interval Of(ir::NodeId id) {
    if (const auto found = memo_.find(id); found != memo_.end()) return found->second;
    const Interval result = Compute(id);
    memo_.emplace(id, result);
    return result;
  }

 private:
  Interval Compute(ir::NodeId id) {
    using ir::OpKind;
    const ir::Node& node = graph_[id];
    Algebra& g = algebra_;
    if (node.op == OpKind::Const) {
      const Value value = g.Number(node.attributes.number);
      return {value, value};
    }
    if (!ir::IsPointwise(node.op)) {
      if (node.op == OpKind::Element || node.op == OpKind::Broadcast) return Of(node.inputs[0]);
      const auto [low, high] = g.Leaf(id);
      return {low, high};
    }
    const Interval a = Of(node.inputs[0]);
    const Interval b = node.inputs.size() > 1 ? Of(node.inputs[1]) : a;
    switch (node.op) {
      case OpKind::Add:
        return {g.Add(a.low, b.low), g.Add(a.high, b.high)};
      case OpKind::Sub:
        return {g.Sub(a.low, b.high), g.Sub(a.high, b.low)};
      case OpKind::Neg:
        return Negated(a);
      case OpKind::Mul: {
        const Value w = g.Mul(a.low, b.low), x = g.Mul(a.low, b.high);
        const Value y = g.Mul(a.high, b.low), z = g.Mul(a.high, b.high);
        return {g.Min(g.Min(w, x), g.Min(y, z)), g.Max(g.Max(w, x), g.Max(y, z))};
      }
      case OpKind::Abs: {
        const Interval n = Negated(a);
        return {g.Max(g.Max(a.low, n.low), g.Number(0)), g.Max(a.high, n.high)};
      }
      case OpKind::Mod:
        return Remainder(node, a);
      case OpKind::Minimum:
        return {g.Min(a.low, b.low), g.Min(a.high, b.high)};
      case OpKind::Maximum:
        return {g.Max(a.low, b.low), g.Max(a.high, b.high)};
      case OpKind::Relu:
        return {g.Max(a.low, g.Number(0)), g.Max(a.high, g.Number(0))};
      case OpKind::Select: {
        const Interval c = Of(node.inputs[2]);
        return {g.Min(b.low, c.low), g.Max(b.high, c.high)};
      }
      case OpKind::Cast:
      case OpKind::Stop:
        return a;
      // "may hold" is the negation of a comparison, so that an unknown bound (NaN) leaves it possible.
      case OpKind::Lt:
        return Less(a, b);
      case OpKind::Gt:
        return Less(b, a);
      case OpKind::Ge:
        return Negation(Less(a, b), id);
      case OpKind::Le:
        return Negation(Less(b, a), id);
      case OpKind::Eq:
        return Equal(a, b);
      case OpKind::Ne:
        return Negation(Equal(a, b), id);
      case OpKind::And:
        return {g.Min(a.low, b.low), g.Min(a.high, b.high)};
      case OpKind::Or:
        return {g.Max(a.low, b.low), g.Max(a.high, b.high)};
      case OpKind::Not:
        return Negation(a, id);
      default:
        return Unknown(node);
    }
  }

  Interval Negated(const Interval& a) {
    const Value zero = algebra_.Number(0);
    return {algebra_.Sub(zero, a.high), algebra_.Sub(zero, a.low)};
  }
  Value Not(Value truth) { return algebra_.Sub(algebra_.Number(1), truth); }
  Interval Less(const Interval& a, const Interval& b) {
    return {algebra_.Less(a.high, b.low), Not(algebra_.LessEqual(b.high, a.low))};
  }
  Interval Equal(const Interval& a, const Interval& b) {
    return {algebra_.Min(algebra_.LessEqual(a.high, b.low), algebra_.LessEqual(b.high, a.low)),
            Not(algebra_.Max(algebra_.Less(a.high, b.low), algebra_.Less(b.high, a.low)))};
  }
  /// a >= b is not (a < b) only where neither is NaN; a comparison of floats may be false both ways.
  Interval Negation(const Interval& a, ir::NodeId id) {
    const ir::Node& node = graph_[id];
    bool floats = false;
    if (node.op == ir::OpKind::Ge || node.op == ir::OpKind::Le)
      for (ir::NodeId input : node.inputs) floats |= graph_.type(input).dtype == ir::DType::Float;
    if (!floats) return {Not(a.high), Not(a.low)};
    const Interval x = Of(node.inputs[node.op == ir::OpKind::Le ? 0 : 1]);
    const Interval y = Of(node.inputs[node.op == ir::OpKind::Le ? 1 : 0]);
    return {algebra_.LessEqual(x.high, y.low), Not(algebra_.Less(y.high, x.low))};
  }
  /// Within one period of the divisor, x mod c grows with x.
  Interval Remainder(const ir::Node& node, const Interval& a) {
    const ir::Node& divisor = graph_[node.inputs[1]];
    const double c = divisor.attributes.number;
    if (divisor.op != ir::OpKind::Const || !(c > 0)) return Unknown(node);
    Algebra& g = algebra_;
    const Value period = g.Number(c), low = g.FloorDiv(a.low, period), high = g.FloorDiv(a.high, period);
    const Value same = g.Min(g.LessEqual(low, high), g.LessEqual(high, low));
    const bool whole = node.type.dtype == ir::DType::Int;
    return {g.Select(same, g.Mod(a.low, period), g.Number(0)),
            g.Select(same, g.Mod(a.high, period), g.Number(whole ? c - 1 : c))};
  }
  Interval Unknown(const ir::Node& node) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
    switch (node.type.dtype) {
      case ir::DType::Bool:
        return {algebra_.Number(0), algebra_.Number(1)};
      case ir::DType::Int:
        return {algebra_.Number(-kInfinity), algebra_.Number(kInfinity)};
      default:
        return {algebra_.Number(kNan), algebra_.Number(kNan)};
    }
  }

  const ir::Graph& graph_;
  Algebra& algebra_;
  std::map<ir::NodeId, Interval> memo_;
};

/// The algebra of plain numbers.
struct NumberAlgebra {
  using Value = double;
  std::function<std::pair<double, double>(ir::NodeId leaf)> leaf;

  double Number(double x) const { return x; }
  double Add(double a, double b) const { return a + b; }
  double Sub(double a, double b) const { return a - b; }
  double Mul(double a, double b) const { return a * b; }
  double Min(double a, double b) const { return a != a ? a : b != b ? b : a < b ? a : b; }
  double Max(double a, double b) const { return a != a ? a : b != b ? b : a < b ? b : a; }
  double Mod(double a, double c) const;
  double FloorDiv(double a, double c) const;
  double Less(double a, double b) const { return a < b; }
  double LessEqual(double a, double b) const { return a <= b; }
  double Select(double condition, double a, double b) const { return condition != 0 ? a : b; }
  std::pair<double, double> Leaf(ir::NodeId id) const { return leaf(id); }
};

enum class TileClass { None, All, Mixed };

/// The class of `mask` over a tile in which each leaf lies in the interval that `leaf` gives.
TileClass ClassifyTile(const ir::Graph& graph, ir::NodeId mask,
                       std::function<std::pair<double, double>(ir::NodeId)> leaf);

}  // namespace heed::passes
