// Whole numbers, elements of axes and truth values of random programs, and reads at places that they give.
#include <cmath>

#include "tests/support/random_source_writer.h"

namespace heed::test {

namespace {

constexpr double kLargest = 60;  // of whole numbers

}  // namespace

Expression SourceWriter::Whole(Scope& scope, int depth) {
  for (int attempt = 0; attempt < 4; ++attempt) {
    Maybe x = SomeWhole(scope, depth);
    if (!x || !Fits(scope, x->axes)) continue;
    x->grain = 0;
    if (x->bound > kLargest) {
      x->text = x->As(kMul) + " % 7";
      x->level = kMul;
      x->bound = 7;
      x->element.clear();
    }
    return *x;
  }
  Expression one{"1", kPrimary, Kind::Whole};
  one.grain = 0;
  return one;
}

SourceWriter::Maybe SourceWriter::SomeWhole(Scope& scope, int depth) {
  const auto leaf = [&](const std::string& text, double bound, const std::string& axis) {
    Expression x{text, kPrimary, Kind::Whole};
    x.bound = bound;
    if (!axis.empty()) {
      x.axes = {axis};
      x.element = axis;
    }
    return x;
  };
  const SourceAxis& axis = Any(scope.axes);
  const double size = static_cast<double>(axis.size);
  switch (depth <= 0 ? Below(5) : Below(12)) {
    case 0:
    case 1:
      return leaf(axis.name, size, axis.name);
    case 2:
      return leaf(One({"0", "1", "2", "3", "5"}), 5, "");
    case 3:
      if (Grows(scope, axis.name)) return {};
      return leaf("|" + axis.name + "|", size, "");
    case 4:
      return Named(scope, Kind::Whole);
    case 5:
    case 6: {
      Expression a = Whole(scope, depth - 1), b = Whole(scope, depth - 1);
      const bool minus = Chance(50);
      if (!a.element.empty() && !b.element.empty() && a.element != b.element) {
        b.text = "int(" + b.text + ")";
        b.level = kPrimary;
        b.element.clear();
      }
      Expression result = Infix(minus ? "-" : "+", kAdd, a, b, Kind::Whole);
      result.element = a.element.empty() == b.element.empty() ? "" : a.element + b.element;
      if (minus && !b.element.empty()) result.element.clear();
      result.bound = a.bound + b.bound;
      return result;
    }
    case 7: {
      const Expression a = Whole(scope, depth - 1), b = Whole(scope, depth - 1);
      Expression result = Infix("*", kMul, a, b, Kind::Whole);
      result.bound = a.bound * b.bound;
      return result;
    }
    case 8: {
      Expression result = Whole(scope, depth - 1);
      const bool quotient = Chance(40);
      result.text = result.As(kMul) + (quotient ? " // " : " % ") + One({"2", "3", "5"});
      result.level = kMul;
      result.element.clear();
      if (!quotient) result.bound = 5;
      return result;
    }
    case 9: {
      const Expression a = Whole(scope, depth - 1), b = Whole(scope, depth - 1);
      Expression result = Infix(",", kOr, a, b, Kind::Whole);
      result.text = One({"min", "max"}) + "(" + a.text + ", " + b.text + ")";
      result.level = kPrimary;
      result.bound = std::max(a.bound, b.bound);
      return result;
    }
    case 10: {
      const bool truths = Chance(50);
      Expression result = truths ? Truth(scope, depth - 1) : Whole(scope, depth - 1);
      const Names axes = Reducible(scope, result.axes);
      if (axes.empty()) return {};
      const std::string along = AnyOf(axes);
      std::optional<Expression> predicate;
      if (Chance(30)) predicate = Truth(scope, depth - 1);
      const bool largest = !truths && Chance(30) && !predicate;
      result.text = (largest ? "max" : "sum") + AxisArguments({along}, predicate ? &*predicate : nullptr) +
                    "(" + result.text + ")";
      result.level = kPrimary;
      result.kind = Kind::Whole;
      result.element.clear();
      if (predicate) {
        result.axes = Union(result.axes, predicate->axes);
        result.text_seen = result.text_seen || predicate->text_seen;
      }
      result.bound = std::max(1.0, result.bound) * static_cast<double>(AxisOf(scope, along).size);
      if (!Fits(scope, result.axes)) return {};
      result.axes.erase(along);
      return result;
    }
    default: {
      const Expression c = Truth(scope, depth - 1), a = Whole(scope, depth - 1), b = Whole(scope, depth - 1);
      Expression result = Infix(",", kOr, a, b, Kind::Whole);
      result.text = "where(" + c.text + ", " + a.text + ", " + b.text + ")";
      result.level = kPrimary;
      result.axes = Union(result.axes, c.axes);
      result.text_seen = result.text_seen || c.text_seen;
      result.bound = std::max(a.bound, b.bound);
      if (a.element == b.element) result.element = a.element;
      return result;
    }
  }
}

Expression SourceWriter::Truth(Scope& scope, int depth) {
  const auto fits = [&](Expression x) { return Fits(scope, x.axes) ? Maybe(x) : Maybe(); };
  for (int attempt = 0; depth > 0 && attempt < 4; ++attempt) {
    Maybe result;
    switch (Below(8)) {
      case 0:
        result = Named(scope, Kind::Truth);
        break;
      case 1: {
        Expression x = Truth(scope, depth - 1);
        x.text = "not " + x.As(kNot);
        x.level = kNot;
        result = x;
        break;
      }
      case 2: {
        const bool both = Chance(50);
        result = fits(Infix(both ? "and" : "or", both ? kAnd : kOr, Truth(scope, depth - 1),
                            Truth(scope, depth - 1), Kind::Truth));
        break;
      }
      case 3: {
        const Expression a = Named(scope, Kind::Number),
                         b = Chance(50) ? Literal() : Named(scope, Kind::Number);
        if (!a.exact() || !b.exact()) break;
        result = fits(Infix(One({"<", "<=", ">", ">=", "==", "!="}), kCompare, a, b, Kind::Truth));
        break;
      }
      case 4:
        result = fits(Infix(One({"==", "!="}), kCompare, Truth(scope, depth - 1), Truth(scope, depth - 1),
                            Kind::Truth));
        break;
      default:
        result = fits(Infix(One({"<", "<=", ">", ">=", "==", "!="}), kCompare, Whole(scope, depth - 1),
                            Whole(scope, depth - 1), Kind::Truth));
    }
    if (!result) continue;
    result->trained = false;
    return *result;
  }
  Expression result = Infix(One({"<", "<=", "!="}), kCompare, Whole(scope, 0), Whole(scope, 0), Kind::Truth);
  if (!Fits(scope, result.axes)) return {"true", kPrimary, Kind::Truth};
  return result;
}

Expression SourceWriter::SomewhereTrue(Scope& scope, const std::vector<std::string>& axes, int depth) {
  Expression result = Truth(scope, depth);
  std::string first;
  for (const std::string& axis : axes) first += (first.empty() ? "" : " and ") + axis + " == 0";
  result.text = result.As(kOr) + " or " + first;
  result.level = kOr;
  result.axes = Union(result.axes, Names(axes.begin(), axes.end()));
  return result;
}

Expression SourceWriter::Element(Scope& scope, const std::string& axis, int depth) {
  const std::string size = std::to_string(AxisOf(scope, axis).size);
  Expression result{axis, kPrimary, Kind::Whole};
  result.element = axis;
  result.bound = static_cast<double>(AxisOf(scope, axis).size);
  result.grain = 0;
  std::vector<Expression> known;
  for (const Expression& value : scope.values)
    if (value.kind == Kind::Whole && value.element == axis && value.in_range) known.push_back(value);
  if (!known.empty() && Chance(50)) return Any(known);
  if (axis == "layer" && !scope.loop.empty() && Chance(60)) {
    result.text = scope.loop;
    return result;
  }
  switch (Below(7)) {
    case 0:
      result.axes = {axis};
      return result;
    case 1: {
      const auto last = static_cast<size_t>(AxisOf(scope, axis).formal ? 1 : AxisOf(scope, axis).size);
      result.text = axis + "(" + std::to_string(Below(last)) + ")";
      return result;
    }
    case 2:
    case 3: {
      Expression x = Number(scope, depth - 1);
      if (!x.exact()) x = Named(scope, Kind::Number);
      if (!x.exact()) break;
      if (!x.axes.count(axis)) {
        if (!Fits(scope, Union(x.axes, {axis}))) break;
        x = WithAxis(scope, x, axis);
        if (!x.exact()) break;
      }
      std::optional<Expression> predicate;
      if (Chance(35)) predicate = SomewhereTrue(scope, {axis}, depth - 1);
      if (predicate && !Fits(scope, Union(x.axes, predicate->axes))) predicate.reset();
      const bool ranks = x.exact() && Chance(30);  // an int, and along the same axis
      if (ranks) {
        result.text = axis + "(rank" + AxisArguments({axis}, predicate ? &*predicate : nullptr) + "(" +
                      x.text + ") % |" + axis + "|)";
        result.axes = predicate ? Union(x.axes, predicate->axes) : x.axes;
        result.text_seen = x.text_seen || (predicate && predicate->text_seen);
        result.read = true;
        return result;
      }
      result.text = One({"argmax", "argmax", "sample"}) +
                    AxisArguments({axis}, predicate ? &*predicate : nullptr) + "(" + x.text + ")";
      result.axes = Minus(predicate ? Union(x.axes, predicate->axes) : x.axes, {axis});
      result.text_seen = x.text_seen || (predicate && predicate->text_seen);
      result.read = true;
      return result;
    }
    default:
      break;
  }
  const Expression x = Whole(scope, depth - 1);
  result = x;
  result.element = axis;
  result.level = kPrimary;
  result.read = true;
  result.bound = static_cast<double>(AxisOf(scope, axis).size);
  result.text = Chance(60) ? axis + "(" + x.As(kMul) + " % |" + axis + "|)"
                           : axis + "(min(max(" + x.text + ", 0), |" + axis + "| - 1))";
  return result;
}

SourceWriter::Maybe SourceWriter::Indexed(Scope& scope, int depth) {
  Expression x = Number(scope, depth - 1);
  if (x.read && !options_.several_indices) return {};
  Names fixed, dynamic;
  for (const std::string& axis : Reducible(scope, x.axes)) {
    if (axis.back() == '\'') continue;
    (AxisOf(scope, axis).dynamic ? dynamic : fixed).insert(axis);
  }
  // A neighbour along a dynamic axis, where there is one.
  if (!dynamic.empty() && !scope.axes[0].formal && (fixed.empty() || Chance(40))) {
    const std::string axis = AnyOf(dynamic), far = One({"1", "2"});
    const bool ahead = Chance(50);
    if (options_.dynamic_reads && Chance(50)) {
      const Expression place = Whole(scope, depth - 1);
      if (!Fits(scope, Union(x.axes, place.axes))) return {};
      x.text = x.As(kPostfix) + "[" + axis + "(" + place.As(kMul) + " % |" + axis + "|)]";
      x.level = kPostfix;
      x.axes = Union(Minus(x.axes, {axis}), place.axes);
      x.text_seen = x.text_seen || place.text_seen;
      x.read = true;
      return x;
    }
    const std::string read = x.As(kPostfix) + "[" + axis + (ahead ? " + " : " - ") + far + "]";
    x.text = One({"sum", "mean"}) + "[" + axis + " | " +
             (ahead ? axis + " + " + far + " < |" + axis + "|" : axis + " >= " + far) + "](" + read + ")";
    x.level = kPrimary;
    x.bound *= static_cast<double>(AxisOf(scope, axis).size);
    x.grain = -1;
    x.axes.erase(axis);
    x.read = true;
    return x;
  }
  if (fixed.empty()) return {};
  const std::string axis = AnyOf(fixed);
  Expression place = Element(scope, axis, depth - 1);
  Names read = {axis};
  fixed.erase(axis);
  if (!fixed.empty() && options_.several_indices && Chance(25)) {
    const std::string second = AnyOf(fixed);
    place = Infix(",", kOr, place, Element(scope, second, depth - 1), Kind::Whole);
    read.insert(second);
  }
  if (!Fits(scope, Union(x.axes, place.axes))) return {};
  x.text = x.As(kPostfix) + "[" + place.text + "]";
  x.level = kPostfix;
  x.axes = Union(Minus(x.axes, read), place.axes);
  x.text_seen = x.text_seen || place.text_seen;
  x.read = x.read || place.read || !place.axes.empty();
  return x;
}

}  // namespace heed::test
