// Pointwise ops: they broadcast by name and act on each element. Meaning and derivative of each stand side by
// side; the derivative is written on values: d is the cotangent, x (a, b) the arguments, y the result.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "ir/int_range.h"
#include "ir/op_record.h"

namespace heed::ir {
namespace {

constexpr Trend kAny = Trend::Any, kRises = Trend::Rises, kFalls = Trend::Falls;

/// Which whole numbers that come out are elements of an axis, if some that go in are. Everything else is a
/// plain number: the distance of two positions, positions of different axes together.
enum class Indexes {
  None,
  Moved,      ///< one operand is an element, the other a plain number: the element that lies so far on
  Chosen,     ///< all elements among the operands are of one axis: one of them
  Remainder,  ///< the first operand alone is an element
};

Axis ElementsOf(const Graph& graph, Inputs numbers, Indexes rule) {
  Axis first;
  size_t elements = 0;
  bool agree = true;
  for (NodeId id : numbers) {
    const Axis indexes = graph.type(id).indexes;
    if (!indexes) continue;
    if (elements++ == 0) first = indexes;
    agree = agree && indexes == first;
  }
  const bool given = rule == Indexes::Moved    ? elements == 1
                     : rule == Indexes::Chosen ? agree
                                               : elements == 1 && graph.type(numbers[0]).indexes == first;
  return given && rule != Indexes::None ? first : Axis();
}

Type InferPointwise(const Graph& graph, Inputs inputs, Elements elements, size_t first_number, Indexes rule) {
  Type type;
  type.axes = UnionOfAxes(graph, inputs);
  const Inputs numbers = inputs.subspan(first_number);
  if (elements == Elements::Compared || elements == Elements::Logical) {
    type.dtype = DType::Bool;
    return type;
  }
  if (elements == Elements::Wholes) {
    type.dtype = DType::Int;
    return type;
  }
  type.dtype = elements == Elements::Floats ? DType::Float : graph.type(numbers[0]).dtype;
  for (NodeId id : numbers)
    if (graph.type(id).dtype == DType::Float) type.dtype = DType::Float;
  if (type.dtype == DType::Int) type.indexes = ElementsOf(graph, numbers, rule);
  return type;
}

template <Elements kFromTo, Indexes kIndexes = Indexes::None>
struct PointwiseOp {
  static constexpr Elements kElements = kFromTo;
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes&) {
    return InferPointwise(graph, inputs, kElements, 0, kIndexes);
  }
};

/// Comparisons: numbers (or bools) in, bools out.
struct CompareOp : PointwiseOp<Elements::Compared> {
  static constexpr std::string_view kNoGradient = "steps are flat";
  static constexpr Cost kCost = Cost::Arithmetic;
};

/// On bools only.
struct LogicOp {
  static constexpr std::string_view kNoGradient = "truth values do not vary";
  static constexpr Elements kElements = Elements::Logical;
  static constexpr Cost kCost = Cost::Arithmetic;
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes&) {
    for (NodeId id : inputs) Require(graph.type(id).dtype == DType::Bool, "needs truth values");
    return InferPointwise(graph, inputs, kElements, 0, Indexes::None);
  }
};

}  // namespace

template <>
struct Op<OpKind::Abs> : PointwiseOp<Elements::Alike> {
  static constexpr std::string_view kDoc = "the absolute value";
  static constexpr std::string_view kFunction = "abs";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kAny};
  static constexpr VectorCode kVector = Instruction::Abs;
  static constexpr bool kKeepsZero = true;
  static double Eval(double x) { return std::fabs(x); }
  static Cotangents Vjp(Expr d, Expr x, Expr) {
    const Expr zero = d.Number(0);
    return {Where(x.Apply(OpKind::Gt, zero), d, Where(x.Apply(OpKind::Lt, zero), -d, zero))};
  }
};

template <>
struct Op<OpKind::Add> : PointwiseOp<Elements::Alike, Indexes::Moved> {
  static constexpr std::string_view kDoc = "the sum of two values";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kRises, kRises};
  static constexpr VectorCode kVector = Instruction::Add;
  static constexpr bool kKeepsZero = true;
  static double Eval(double a, double b) { return a + b; }
  static Cotangents Vjp(Expr d, Expr, Expr, Expr) { return {d, d}; }
};

template <>
struct Op<OpKind::And> : LogicOp {
  static constexpr std::string_view kDoc = "true where both are";
  static constexpr Trends kTrends = {kRises, kRises};
  static constexpr VectorCode kVector = Instruction::And;
  static double Eval(double a, double b) { return a != 0 && b != 0; }
};

template <>
struct Op<OpKind::Cast> : PointwiseOp<Elements::Floats> {
  static constexpr std::string_view kDoc = "the value as a float";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kRises};
  static constexpr VectorCode kVector = Instruction::Copy;
  static constexpr bool kKeepsZero = true;
  static double Eval(double x) { return x; }
  static Cotangents Vjp(Expr d, Expr, Expr) { return {d}; }  // of whole numbers: dropped
};

template <>
struct Op<OpKind::Cos> : PointwiseOp<Elements::Floats> {
  static constexpr std::string_view kDoc = "the cosine";
  static constexpr std::string_view kFunction = "cos";
  static constexpr Cost kCost = Cost::LongFunction;
  static constexpr Trends kTrends = {kAny};
  static constexpr VectorCode kVector = "cos";
  static constexpr bool kKeepsZero = false;
  static double Eval(double x) { return std::cos(x); }
  static Cotangents Vjp(Expr d, Expr x, Expr) { return {-(d * x.Apply(OpKind::Sin))}; }
};

template <>
struct Op<OpKind::Div> : PointwiseOp<Elements::Floats> {
  static constexpr std::string_view kDoc = "the quotient, a float also for whole numbers";
  static constexpr Domain kSample{0.5, 3};
  static constexpr Cost kCost = Cost::Division;
  static constexpr Trends kTrends = {kAny, kAny};
  static constexpr VectorCode kVector = Instruction::Divide;
  static constexpr bool kKeepsZero = true;
  static double Eval(double a, double b) { return a / b; }
  static Cotangents Vjp(Expr d, Expr, Expr b, Expr y) {
    return {Guarded(d, d / b), Guarded(d, -(d * y) / b)};
  }
};

template <>
struct Op<OpKind::Eq> : CompareOp {
  static constexpr std::string_view kDoc = "a = b";
  static constexpr Trends kTrends = {kAny, kAny};
  static constexpr VectorCode kVector = Instruction::Equal;
  static double Eval(double a, double b) { return a == b; }
};

template <>
struct Op<OpKind::Erf> : PointwiseOp<Elements::Floats> {
  static constexpr std::string_view kDoc = "the error function";
  static constexpr std::string_view kFunction = "erf";
  static constexpr Cost kCost = Cost::LongFunction;
  static constexpr Trends kTrends = {kRises};
  static constexpr VectorCode kVector = "erf";
  static constexpr bool kKeepsZero = false;
  static double Eval(double x) { return std::erf(x); }
  static Cotangents Vjp(Expr d, Expr x, Expr) {
    return {d * ((-(x * x)).Apply(OpKind::Exp) * (2 * std::numbers::inv_sqrtpi))};
  }
};

template <>
struct Op<OpKind::Exp> : PointwiseOp<Elements::Floats> {
  static constexpr std::string_view kDoc = "the exponential function";
  static constexpr std::string_view kFunction = "exp";
  static constexpr Cost kCost = Cost::Function;
  static constexpr Trends kTrends = {kRises};
  static constexpr VectorCode kVector = "exp";
  static constexpr bool kKeepsZero = false;
  static double Eval(double x) { return std::exp(x); }
  static Cotangents Vjp(Expr d, Expr, Expr y) { return {d * y}; }
};

template <>
struct Op<OpKind::Floor> : PointwiseOp<Elements::Alike> {
  static constexpr std::string_view kDoc = "the largest whole number not above x; keeps the element type";
  static constexpr std::string_view kNoGradient = "steps are flat";
  static constexpr std::string_view kFunction = "floor";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kRises};
  static constexpr VectorCode kVector = Instruction::Floor;
  static double Eval(double x) { return std::floor(x); }
};

template <>
struct Op<OpKind::Ge> : CompareOp {
  static constexpr std::string_view kDoc = "a >= b";
  static constexpr Trends kTrends = {kRises, kFalls};
  static constexpr VectorCode kVector = Instruction::GreaterEqual;
  static double Eval(double a, double b) { return a >= b; }
};

template <>
struct Op<OpKind::Gt> : CompareOp {
  static constexpr std::string_view kDoc = "a > b";
  static constexpr Trends kTrends = {kRises, kFalls};
  static constexpr VectorCode kVector = Instruction::Greater;
  static double Eval(double a, double b) { return a > b; }
};

template <>
struct Op<OpKind::Le> : CompareOp {
  static constexpr std::string_view kDoc = "a <= b";
  static constexpr Trends kTrends = {kFalls, kRises};
  static constexpr VectorCode kVector = Instruction::LessEqual;
  static double Eval(double a, double b) { return a <= b; }
};

template <>
struct Op<OpKind::Log> : PointwiseOp<Elements::Floats> {
  static constexpr std::string_view kDoc = "the natural logarithm";
  static constexpr Domain kSample{0.2, 4};
  static constexpr std::string_view kFunction = "log";
  static constexpr Cost kCost = Cost::Function;
  static constexpr Trends kTrends = {kRises};
  static constexpr VectorCode kVector = "log";
  static constexpr bool kKeepsZero = true;
  static double Eval(double x) { return std::log(x); }
  static Cotangents Vjp(Expr d, Expr x, Expr) { return {Guarded(d, d / x)}; }
};

template <>
struct Op<OpKind::Lt> : CompareOp {
  static constexpr std::string_view kDoc = "a < b";
  static constexpr Trends kTrends = {kFalls, kRises};
  static constexpr VectorCode kVector = Instruction::Less;
  static double Eval(double a, double b) { return a < b; }
};

template <>
struct Op<OpKind::Maximum> : PointwiseOp<Elements::Alike, Indexes::Chosen> {
  static constexpr std::string_view kDoc = "the larger of two; the gradient of a tie goes to the first";
  static constexpr std::string_view kFunction = "max";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kRises, kRises};
  static constexpr VectorCode kVector = Instruction::Larger;
  static constexpr bool kKeepsZero = true;
  static double Eval(double a, double b) { return a < b ? b : a; }
  static Cotangents Vjp(Expr d, Expr a, Expr b, Expr) {
    const Expr first = a.Apply(OpKind::Ge, b), zero = d.Number(0);
    return {Where(first, d, zero), Where(first, zero, d)};
  }
};

template <>
struct Op<OpKind::Minimum> : PointwiseOp<Elements::Alike, Indexes::Chosen> {
  static constexpr std::string_view kDoc = "the smaller of two; the gradient of a tie goes to the first";
  static constexpr std::string_view kFunction = "min";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kRises, kRises};
  static constexpr VectorCode kVector = Instruction::Smaller;
  static constexpr bool kKeepsZero = true;
  static double Eval(double a, double b) { return b < a ? b : a; }
  static Cotangents Vjp(Expr d, Expr a, Expr b, Expr) {
    const Expr first = a.Apply(OpKind::Le, b), zero = d.Number(0);
    return {Where(first, d, zero), Where(first, zero, d)};
  }
};

template <>
struct Op<OpKind::Mod> : PointwiseOp<Elements::Alike, Indexes::Remainder> {
  static constexpr std::string_view kDoc =
      "the remainder, with the sign of the divisor; of a whole number by 0: 0";
  static constexpr Domain kSample{0.5, 3};
  static constexpr Cost kCost = Cost::Remainder;
  static constexpr Trends kTrends = {kAny, kAny};
  static constexpr VectorCode kVector = Instruction::Remainder;
  static constexpr bool kKeepsZero = true;
  static double Eval(double a, double b) {
    const double rest = std::fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
  static Cotangents Vjp(Expr d, Expr a, Expr b, Expr) {
    return {d, Guarded(d, -(d * (a / b).Apply(OpKind::Floor)))};
  }
};

template <>
struct Op<OpKind::Mul> : PointwiseOp<Elements::Alike> {
  static constexpr std::string_view kDoc = "the product of two values";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kAny, kAny};
  static constexpr VectorCode kVector = Instruction::Multiply;
  static constexpr bool kKeepsZero = false;
  static double Eval(double a, double b) { return a * b; }
  static Cotangents Vjp(Expr d, Expr a, Expr b, Expr) { return {d * b, d * a}; }
};

template <>
struct Op<OpKind::Ne> : CompareOp {
  static constexpr std::string_view kDoc = "a and b differ";
  static constexpr Trends kTrends = {kAny, kAny};
  static constexpr VectorCode kVector = Instruction::NotEqual;
  static double Eval(double a, double b) { return a != b; }
};

template <>
struct Op<OpKind::Neg> : PointwiseOp<Elements::Alike> {
  static constexpr std::string_view kDoc = "-x";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kFalls};
  static constexpr VectorCode kVector = Instruction::Negate;
  static constexpr bool kKeepsZero = true;
  static double Eval(double x) { return -x; }
  static Cotangents Vjp(Expr d, Expr, Expr) { return {-d}; }
};

template <>
struct Op<OpKind::Not> : LogicOp {
  static constexpr std::string_view kDoc = "true where x is false";
  static constexpr Trends kTrends = {kFalls};
  static constexpr VectorCode kVector = Instruction::Not;
  static double Eval(double x) { return x == 0; }
};

template <>
struct Op<OpKind::Or> : LogicOp {
  static constexpr std::string_view kDoc = "true where one of both is";
  static constexpr Trends kTrends = {kRises, kRises};
  static constexpr VectorCode kVector = Instruction::Or;
  static double Eval(double a, double b) { return a != 0 || b != 0; }
};

template <>
struct Op<OpKind::Pow> : PointwiseOp<Elements::Floats> {
  static constexpr std::string_view kDoc = "a to the power of b, a float also for whole numbers";
  static constexpr Domain kSample{0.3, 2.5};
  static constexpr Cost kCost = Cost::Power;
  static constexpr Trends kTrends = {kAny, kAny};
  static constexpr VectorCode kVector = Instruction::Power;
  static constexpr bool kKeepsZero = false;
  static double Eval(double a, double b) { return std::pow(a, b); }
  static Cotangents Vjp(Expr d, Expr a, Expr b, Expr y) {
    // 0 ^ b varies neither with b > 0 nor, for b > 1, with the base: those products are 0 before they meet
    // infinity.
    const Expr base = d * b, exponent = d * y;
    return {Guarded(base, base * a.Apply(OpKind::Pow, b - b.Number(1))),
            Guarded(exponent, exponent * a.Apply(OpKind::Log))};
  }
};

template <>
struct Op<OpKind::Quotient> : PointwiseOp<Elements::Alike> {
  static constexpr std::string_view kDoc =
      "the quotient, rounded down, so that a = quotient * b + mod; of a whole number by 0: 0";
  static constexpr std::string_view kNoGradient = "steps are flat";
  static constexpr Domain kSample{0.5, 3};
  static constexpr Cost kCost = Cost::Remainder;
  static constexpr Trends kTrends = {kAny, kAny};
  static constexpr VectorCode kVector = Instruction::Quotient;
  static double Eval(double a, double b) { return std::floor(a / b); }
};

template <>
struct Op<OpKind::Relu> : PointwiseOp<Elements::Alike> {
  static constexpr std::string_view kDoc = "x where positive, else 0";
  static constexpr std::string_view kFunction = "relu";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kRises};
  static constexpr VectorCode kVector = Instruction::Relu;
  static constexpr bool kKeepsZero = true;
  static double Eval(double x) { return x < 0 ? 0 : x; }
  static Cotangents Vjp(Expr d, Expr x, Expr) {
    const Expr zero = d.Number(0);
    return {Where(x.Apply(OpKind::Gt, zero), d, zero)};
  }
};

template <>
struct Op<OpKind::Select> {
  static constexpr Elements kElements = Elements::Alike;
  static constexpr std::string_view kDoc = "the second argument where the first is true, else the third";
  static constexpr std::string_view kFunction = "where";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kAny, kRises, kRises};
  static constexpr VectorCode kVector = Instruction::Select;
  static constexpr bool kKeepsZero = true;
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes&) {
    Require(graph.type(inputs[0]).dtype == DType::Bool, "the condition is no truth value");
    return InferPointwise(graph, inputs, kElements, 1, Indexes::Chosen);
  }
  static double Eval(double condition, double yes, double no) { return condition != 0 ? yes : no; }
  static Cotangents Vjp(Expr d, Expr condition, Expr, Expr, Expr) {
    const Expr zero = d.Number(0);
    return {NodeId{}, Where(condition, d, zero), Where(condition, zero, d)};
  }
};

template <>
struct Op<OpKind::Sigmoid> : PointwiseOp<Elements::Floats> {
  static constexpr std::string_view kDoc = "1 / (1 + exp(-x))";
  static constexpr std::string_view kFunction = "sigmoid";
  static constexpr Cost kCost = Cost::Function;
  static constexpr Trends kTrends = {kRises};
  static constexpr VectorCode kVector = "sigmoid";
  static constexpr bool kKeepsZero = false;
  static double Eval(double x) { return 1 / (1 + std::exp(-x)); }
  static Cotangents Vjp(Expr d, Expr, Expr y) { return {d * y * (1.0 - y)}; }
};

template <>
struct Op<OpKind::Sin> : PointwiseOp<Elements::Floats> {
  static constexpr std::string_view kDoc = "the sine";
  static constexpr std::string_view kFunction = "sin";
  static constexpr Cost kCost = Cost::LongFunction;
  static constexpr Trends kTrends = {kAny};
  static constexpr VectorCode kVector = "sin";
  static constexpr bool kKeepsZero = false;
  static double Eval(double x) { return std::sin(x); }
  static Cotangents Vjp(Expr d, Expr x, Expr) { return {d * x.Apply(OpKind::Cos)}; }
};

template <>
struct Op<OpKind::Sqrt> : PointwiseOp<Elements::Floats> {
  static constexpr std::string_view kDoc = "the square root";
  static constexpr Domain kSample{0.2, 4};
  static constexpr std::string_view kFunction = "sqrt";
  static constexpr Cost kCost = Cost::Division;
  static constexpr Trends kTrends = {kRises};
  static constexpr VectorCode kVector = Instruction::Root;
  static constexpr bool kKeepsZero = true;
  static double Eval(double x) { return std::sqrt(x); }
  static Cotangents Vjp(Expr d, Expr, Expr y) { return {Guarded(d, d / (y * 2.0))}; }
};

template <>
struct Op<OpKind::Stop> : PointwiseOp<Elements::Alike, Indexes::Chosen> {
  static constexpr std::string_view kDoc = "the value itself, through which no gradient flows";
  static constexpr std::string_view kNoGradient = "that is its purpose";
  static constexpr std::string_view kFunction = "stop";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kRises};
  static constexpr VectorCode kVector = Instruction::Copy;
  static double Eval(double x) { return x; }
};

template <>
struct Op<OpKind::Sub> : PointwiseOp<Elements::Alike, Indexes::Moved> {
  static constexpr std::string_view kDoc = "the difference of two values";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kRises, kFalls};
  static constexpr VectorCode kVector = Instruction::Subtract;
  static constexpr bool kKeepsZero = true;
  static double Eval(double a, double b) { return a - b; }
  static Cotangents Vjp(Expr d, Expr, Expr, Expr) { return {d, -d}; }
};

template <>
struct Op<OpKind::Tanh> : PointwiseOp<Elements::Floats> {
  static constexpr std::string_view kDoc = "the hyperbolic tangent";
  static constexpr std::string_view kFunction = "tanh";
  static constexpr Cost kCost = Cost::Function;
  static constexpr Trends kTrends = {kRises};
  static constexpr VectorCode kVector = "tanh";
  static constexpr bool kKeepsZero = false;
  static double Eval(double x) { return std::tanh(x); }
  static Cotangents Vjp(Expr d, Expr, Expr y) { return {d * (1.0 - y * y)}; }
};

template <>
struct Op<OpKind::Whole> : PointwiseOp<Elements::Wholes> {
  static constexpr std::string_view kDoc =
      "a float that is a whole number as one; of any other what is left without its fraction, within 32 "
      "bits";
  static constexpr std::string_view kNoGradient = "whole numbers do not vary";
  static constexpr Cost kCost = Cost::Arithmetic;
  static constexpr Trends kTrends = {kRises};
  static constexpr VectorCode kVector = Instruction::Copy;
  static double Eval(double x) {
    return std::isnan(x) ? 0 : std::clamp(std::trunc(x), kLeastInt, kMostInt) + 0.0;
  }
};

template void DescribeFamily<Family::Pointwise>(std::span<OpInfo>);

}  // namespace heed::ir
