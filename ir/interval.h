// Bounds of a value over many places at once, from bounds of what it is made of: interval arithmetic.
//
// One walk over the ops, for any algebra of bounds: numbers, or code that computes them later (the class of a
// tile of attention). Never wrong and seldom loose; what has no rule is unknown.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "ir/int_range.h"
#include "ir/op.h"

namespace heed::ir {

/// The least and the largest element. Both are NaN if any element may be: then nothing is known of the
/// others.
template <typename Value>
struct Interval {
  Value low, high;
  bool point = false;  ///< one element for all places, whatever it is: `low`
};

/// Rules for pointwise ops. The Algebra says what a bound is; it computes as elements are computed, in the
/// same precision:
///   using Value;                                  with a `dtype`
///   Value Number(double, DType);
///   Value Convert(Value, DType);
///   Value Apply(OpKind, std::vector<Value>, DType result);
///   Value Saturated(OpKind, Value, Value);        Add, Sub or Mul; whole numbers never wrap
///   Value Least(Value, Value), Most(Value, Value);  a NaN is both
///   Value Select(Value condition, Value, Value);
template <typename Algebra>
class IntervalRules {
 public:
  using Value = typename Algebra::Value;
  using Bounds = Interval<Value>;

  explicit IntervalRules(Algebra& algebra) : g_(algebra) {}

  /// Of a pointwise op of type `dtype` whose inputs have the bounds `x`; none: unknown. A truth value is
  /// there everywhere if its low bound is 1, nowhere if its high one is 0.
  std::optional<Bounds> Of(OpKind op, DType dtype, const std::vector<Bounds>& x) {
    if (std::all_of(x.begin(), x.end(), [](const Bounds& each) { return each.point; })) {
      std::vector<Value> elements;
      for (const Bounds& each : x) elements.push_back(each.low);
      const Value value = g_.Apply(op, elements, dtype);
      return Bounds{value, value, true};
    }
    const auto number = [&](size_t i) { return Converted(x[i], dtype); };
    const auto zero = [&] { return Bounds{g_.Number(0, dtype), g_.Number(0, dtype), true}; };
    // No default: an op without a rule does not compile.
    switch (op) {
        // clang-format off
      case OpKind::Eq: case OpKind::Ge: case OpKind::Gt: case OpKind::Le: case OpKind::Lt: case OpKind::Ne:
        return Comparison(op, x[0], x[1]);
      case OpKind::And: case OpKind::Or:
        return Bounds{Truth(op, x[0].low, x[1].low), Truth(op, x[0].high, x[1].high)};
      case OpKind::Not:
        return Bounds{Not(x[0].high), Not(x[0].low)};
      case OpKind::Cast: case OpKind::Stop:
        return number(0);
      case OpKind::Select:
        return Hull(number(1), number(2));
      case OpKind::Add:
        return Sum(number(0), number(1));
      case OpKind::Sub:
        return Difference(number(0), number(1));
      case OpKind::Neg:
        return Negated(number(0));
      case OpKind::Mul:
        return Product(number(0), number(1));
      case OpKind::Div:
        return Quotient(number(0), number(1));
      case OpKind::Mod:
        return dtype == DType::Int ? std::optional(Remainder(number(0), number(1))) : std::nullopt;
      case OpKind::Quotient:
        return dtype == DType::Int ? WholeQuotient(number(0), number(1)) : std::nullopt;
      case OpKind::Maximum:
        return Larger(number(0), number(1));
      case OpKind::Minimum:
        return Smaller(number(0), number(1));
      case OpKind::Relu:
        return Larger(number(0), zero());
      case OpKind::Abs:
        return Larger(Larger(number(0), Negated(number(0))), zero());
      case OpKind::Floor:
        return Floor(number(0));
      case OpKind::Whole:
        return Whole(x[0]);
      // What rises and falls, or is not known to the last bit.
      case OpKind::Cos: case OpKind::Erf: case OpKind::Exp: case OpKind::Log: case OpKind::Pow:
      case OpKind::Sigmoid: case OpKind::Sin: case OpKind::Sqrt: case OpKind::Tanh:
        return std::nullopt;
      case OpKind::Const: case OpKind::Input: case OpKind::Param: case OpKind::Positions: case OpKind::Length:
      case OpKind::Argmax: case OpKind::LogSoftmax: case OpKind::LogSumExp: case OpKind::Max: case OpKind::Rank:
      case OpKind::Softmax: case OpKind::Sum:
      case OpKind::Contract:
      case OpKind::Broadcast: case OpKind::Merge: case OpKind::Rename: case OpKind::Slice: case OpKind::Split:
      case OpKind::Stack:
      case OpKind::Element: case OpKind::Gather: case OpKind::GroupedContract: case OpKind::Onehot: case OpKind::ScatterAdd: case OpKind::Write:
      case OpKind::Gumbel: case OpKind::Keep:
      case OpKind::Attention: case OpKind::AttentionGrad:
        // clang-format on
        break;
    }
    throw InternalError("bounds of an op that is not pointwise: " + std::string(Info(op).name));
  }

 private:
  Bounds Converted(const Bounds& x, DType dtype) {
    const Value low = g_.Convert(x.low, dtype);
    return {low, x.point ? low : g_.Convert(x.high, dtype), x.point};
  }

  // ---- Numbers

  Bounds Hull(const Bounds& a, const Bounds& b) { return {g_.Least(a.low, b.low), g_.Most(a.high, b.high)}; }
  Bounds Larger(const Bounds& a, const Bounds& b) { return {g_.Most(a.low, b.low), g_.Most(a.high, b.high)}; }
  Bounds Smaller(const Bounds& a, const Bounds& b) {
    return {g_.Least(a.low, b.low), g_.Least(a.high, b.high)};
  }
  Bounds Sum(const Bounds& a, const Bounds& b) {
    return OrNan({g_.Saturated(OpKind::Add, a.low, b.low), g_.Saturated(OpKind::Add, a.high, b.high)});
  }
  Bounds Difference(const Bounds& a, const Bounds& b) {
    return OrNan({g_.Saturated(OpKind::Sub, a.low, b.high), g_.Saturated(OpKind::Sub, a.high, b.low)});
  }
  Bounds Negated(const Bounds& a) {
    const Value zero = g_.Number(0, a.low.dtype);
    return {g_.Saturated(OpKind::Sub, zero, a.high), g_.Saturated(OpKind::Sub, zero, a.low)};
  }
  Bounds Product(const Bounds& a, const Bounds& b) {
    const auto times = [&](Value factor) {
      const Value x = g_.Saturated(OpKind::Mul, a.low, factor), y = g_.Saturated(OpKind::Mul, a.high, factor);
      return Bounds{g_.Least(x, y), g_.Most(x, y)};
    };
    return OrNan(b.point ? times(b.low) : Hull(times(b.low), times(b.high)));
  }
  /// By one number; others may lie on both sides of 0.
  std::optional<Bounds> Quotient(const Bounds& a, const Bounds& by) {
    if (!by.point) return std::nullopt;
    const Value x = g_.Apply(OpKind::Div, {a.low, by.low}, DType::Float);
    const Value y = g_.Apply(OpKind::Div, {a.high, by.low}, DType::Float);
    return OrNan({g_.Least(x, y), g_.Most(x, y)});
  }
  /// Of whole numbers, by one that is not 0.
  std::optional<Bounds> WholeQuotient(const Bounds& a, const Bounds& by) {
    if (!by.point) return std::nullopt;
    const Value x = g_.Apply(OpKind::Quotient, {a.low, by.low}, DType::Int);
    const Value y = g_.Apply(OpKind::Quotient, {a.high, by.low}, DType::Int);
    return Bounds{g_.Least(x, y), g_.Most(x, y)};
  }
  /// Of whole numbers. Within one period of the divisor the remainder rises with the number.
  Bounds Remainder(const Bounds& a, const Bounds& by) {
    const Value zero = g_.Number(0, DType::Int), one = g_.Number(1, DType::Int);
    Value low = a.low, high = a.high, same;
    if (by.point) {
      low = g_.Apply(OpKind::Mod, {a.low, by.low}, DType::Int);
      high = g_.Apply(OpKind::Mod, {a.high, by.low}, DType::Int);
      const Value near = Truth(OpKind::Lt, g_.Saturated(OpKind::Sub, a.high, a.low), by.low);
      same = Truth(OpKind::And, near, Truth(OpKind::Le, low, high));
    } else {
      same = Truth(OpKind::And, Truth(OpKind::Le, zero, low), Truth(OpKind::Lt, high, by.low));
    }
    return {g_.Select(same, low, g_.Least(zero, g_.Saturated(OpKind::Add, by.low, one))),
            g_.Select(same, high, g_.Most(zero, g_.Saturated(OpKind::Sub, by.high, one)))};
  }
  Bounds Floor(const Bounds& a) {
    const DType dtype = a.low.dtype;
    return {g_.Apply(OpKind::Floor, {a.low}, dtype), g_.Apply(OpKind::Floor, {a.high}, dtype)};
  }
  Bounds Whole(const Bounds& a) {
    if (a.low.dtype != DType::Float) return Converted(a, DType::Int);
    const auto bound = [&](Value x, double of_any) {
      const Value whole = g_.Apply(OpKind::Whole, {x}, DType::Int);
      return g_.Select(Truth(OpKind::Eq, x, x), whole, g_.Number(of_any, DType::Int));
    };
    return {bound(a.low, kLeastInt), bound(a.high, kMostInt)};
  }
  /// Between infinities of both signs there may be their sum, or 0 times one of them.
  Bounds OrNan(const Bounds& x) {
    if (x.low.dtype != DType::Float) return x;
    const Value sum = g_.Apply(OpKind::Add, {x.low, x.high}, DType::Float);
    const Value known = Truth(OpKind::Eq, sum, sum);
    return {g_.Select(known, x.low, sum), g_.Select(known, x.high, sum)};
  }

  // ---- Truth values

  Value Truth(OpKind op, Value x, Value y) { return g_.Apply(op, {x, y}, DType::Bool); }
  Value Not(Value x) { return g_.Apply(OpKind::Not, {x}, DType::Bool); }
  /// Also of a NaN, which stands for any number.
  Value MayBeLess(Value x, Value y) {
    return x.dtype == DType::Float ? Not(Truth(OpKind::Ge, x, y)) : Truth(OpKind::Lt, x, y);
  }
  Value MayBeAtMost(Value x, Value y) {
    return x.dtype == DType::Float ? Not(Truth(OpKind::Gt, x, y)) : Truth(OpKind::Le, x, y);
  }
  Bounds Comparison(OpKind op, Bounds a, Bounds b) {
    // As numbers of one type, as elements are compared.
    const auto either = [&](DType dtype) { return a.low.dtype == dtype || b.low.dtype == dtype; };
    const DType common = either(DType::Float) ? DType::Float : either(DType::Int) ? DType::Int : DType::Bool;
    a = Converted(a, common);
    b = Converted(b, common);
    if (op == OpKind::Gt || op == OpKind::Ge) {
      std::swap(a, b);
      op = op == OpKind::Gt ? OpKind::Lt : OpKind::Le;
    }
    if (op == OpKind::Lt) return {Truth(op, a.high, b.low), MayBeLess(a.low, b.high)};
    if (op == OpKind::Le) return {Truth(op, a.high, b.low), MayBeAtMost(a.low, b.high)};
    // Equal everywhere: both are the same single number. Equal somewhere: the intervals meet.
    const Value everywhere =
        Truth(OpKind::And, Truth(OpKind::Eq, a.low, b.high), Truth(OpKind::Eq, a.high, b.low));
    const Value somewhere = Truth(OpKind::And, MayBeAtMost(a.low, b.high), MayBeAtMost(b.low, a.high));
    if (op == OpKind::Eq) return {everywhere, somewhere};
    return {Not(somewhere), Not(everywhere)};
  }

  Algebra& g_;
};

/// Bounds of the values of a graph, by an Algebra that also knows its leaves, which are all values that are
/// neither constant nor pointwise:
///   std::optional<Interval<Value>> Leaf(NodeId);   none: unknown
template <typename Algebra>
class IntervalAnalysis {
 public:
  using Value = typename Algebra::Value;
  using Bounds = Interval<Value>;

  IntervalAnalysis(const Graph& graph, Algebra& algebra)
      : graph_(graph), algebra_(algebra), rules_(algebra) {}

  /// None: unknown. A truth value is at worst 0 or 1.
  std::optional<Bounds> Of(NodeId id) {
    if (const auto found = memo_.find(id); found != memo_.end()) return found->second;
    std::optional<Bounds> bounds = Compute(graph_[id], id);
    if (!bounds && graph_.type(id).dtype == DType::Bool)
      bounds = Bounds{algebra_.Number(0, DType::Bool), algebra_.Number(1, DType::Bool)};
    memo_.emplace(id, bounds);
    return bounds;
  }

 private:
  std::optional<Bounds> Compute(const Node& node, NodeId id) {
    if (node.op == OpKind::Element || node.op == OpKind::Broadcast) return Of(node.inputs[0]);
    if (node.op == OpKind::Const) {
      const Value value = algebra_.Number(node.attributes.number, node.type.dtype);
      return Bounds{value, value, true};
    }
    if (!IsPointwise(node.op)) return algebra_.Leaf(id);
    std::vector<Bounds> x;
    for (NodeId input : node.inputs) {
      const std::optional<Bounds> bounds = Of(input);
      if (!bounds) return std::nullopt;
      x.push_back(*bounds);
    }
    return rules_.Of(node.op, node.type.dtype, x);
  }

  const Graph& graph_;
  Algebra& algebra_;
  IntervalRules<Algebra> rules_;
  std::map<NodeId, std::optional<Bounds>> memo_;
};

/// Bounds that are numbers: whole ones of any size, floats of 32 bits.
struct NumberAlgebra {
  struct Value {
    double number = 0;
    DType dtype = DType::Float;
  };
  std::function<std::optional<Interval<Value>>(NodeId)> leaf;

  Value Number(double x, DType dtype) const {
    if (dtype == DType::Float) return {static_cast<float>(x), dtype};
    return {x + 0.0, dtype};  // a whole number has no -0
  }
  Value Convert(Value x, DType dtype) const {
    return Number(dtype == DType::Bool ? x.number != 0 : x.number, dtype);
  }
  Value Apply(OpKind op, const std::vector<Value>& x, DType dtype) const {
    const bool divides = op == OpKind::Mod || op == OpKind::Quotient;
    if (divides && dtype == DType::Int && x[1].number == 0) return Number(0, dtype);
    // Whole numbers among floats are rounded to floats first, as elements are.
    bool floats = dtype == DType::Float;
    for (const Value& each : x) floats = floats || each.dtype == DType::Float;
    std::vector<double> numbers;
    for (const Value& each : x) numbers.push_back(floats ? Convert(each, DType::Float).number : each.number);
    return Number(Info(op).eval(numbers), dtype);
  }
  Value Saturated(OpKind op, Value x, Value y) const { return Apply(op, {x, y}, x.dtype); }
  Value Least(Value x, Value y) const { return std::isnan(x.number) || x.number < y.number ? x : y; }
  Value Most(Value x, Value y) const { return std::isnan(x.number) || x.number > y.number ? x : y; }
  Value Select(Value condition, Value x, Value y) const { return condition.number != 0 ? x : y; }
  std::optional<Interval<Value>> Leaf(NodeId id) const { return leaf(id); }
};

}  // namespace heed::ir
