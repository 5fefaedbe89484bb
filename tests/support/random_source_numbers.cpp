// Numbers of random programs: arithmetic, functions, reductions, contractions, renames. Every expression
// knows a bound of its value and whether it is exact, so that what is made of it stays moderate.
#include <cmath>

#include "ir/op.h"
#include "tests/support/random_source_writer.h"

namespace heed::test {

namespace {

constexpr double kExact = 1 << 20;  // exact numbers have at most so many steps
constexpr size_t kMostAxes = 4;
constexpr int64_t kMostElements = 1200;

std::string Root(const std::string& axis) { return axis.substr(0, axis.find('\'')); }

}  // namespace

std::string Join(const std::vector<std::string>& names, const std::string& between) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : between) + name;
  return text;
}

double SourceValue(uint64_t random) { return static_cast<double>(static_cast<int>(random % 33) - 16) / 8; }

std::vector<std::string> SourceWriter::Shuffled(const Names& names) {
  std::vector<std::string> order(names.begin(), names.end());
  std::shuffle(order.begin(), order.end(), random_);
  return order;
}

const SourceAxis& SourceWriter::AxisOf(const Scope& scope, const std::string& name) const {
  const std::string root = Root(name);
  for (const SourceAxis& axis : scope.axes)
    if (axis.name == root) return axis;
  for (const SourceAxis& axis : axes_)
    if (axis.name == root) return axis;
  std::abort();
}

int64_t SourceWriter::Elements(const Scope& scope, const Names& axes) const {
  int64_t count = 1;
  for (const std::string& axis : axes) count *= AxisOf(scope, axis).size;
  return count;
}

bool SourceWriter::Fits(const Scope& scope, const Names& axes) const {
  return axes.size() <= kMostAxes && Elements(scope, axes) <= kMostElements;
}

bool SourceWriter::Grows(const Scope& scope, const std::string& axis) const {
  return !scope.growing.empty() && Root(axis) == scope.growing;
}

Names SourceWriter::Reducible(const Scope& scope, const Names& axes) const {
  Names result;
  for (const std::string& axis : axes)
    if (!Grows(scope, axis)) result.insert(axis);
  return result;
}

bool SourceWriter::Nested(const Scope& scope, const Names& a, const Names& b) const {
  return scope.announces || Contains(a, b) || Contains(b, a);
}

// ---- Pieces

Expression SourceWriter::Literal() {
  struct Written {
    const char* text;
    double value;
    int grain;
  };
  static const std::vector<Written> kNumbers = {{"0.5", 0.5, 1},   {"0.25", 0.25, 2},  {"1.5", 1.5, 1},
                                                {"1e-1", 0.1, -1}, {"0.3", 0.3, -1},   {"2.0", 2, 0},
                                                {".75", 0.75, 2},  {"1.25e0", 1.25, 2}};
  const Written& number = Any(kNumbers);
  Expression x{std::string(number.text[0] == '.' ? "0" : "") + number.text};
  x.bound = number.value;
  x.grain = number.grain;
  if (Chance(15)) {
    x.text = "-" + x.text;
    x.level = kUnary;
  }
  return x;
}

Expression SourceWriter::Named(Scope& scope, Kind kind) {
  std::vector<const Expression*> found;
  for (const Expression& value : scope.values)
    if (value.kind == kind) found.push_back(&value);
  if (found.empty()) {
    if (kind == Kind::Number) return Literal();
    if (kind == Kind::Truth) return {Chance(50) ? "true" : "false", kPrimary, Kind::Truth};
    Expression two{"2", kPrimary, Kind::Whole};
    two.bound = 2;
    two.grain = 0;
    return two;
  }
  // Recent ones are likelier.
  if (Chance(60)) return *found[found.size() - 1 - Below(std::min<size_t>(found.size(), 3))];
  return *Any(found);
}

Expression SourceWriter::Tame(Expression x, double bound) {
  if (x.grain >= 0 && x.bound * std::exp2(x.grain) > kExact) x.grain = -1;
  if (x.bound <= bound) return x;
  int halves = 0;
  while (std::ldexp(x.bound, -halves) > bound) ++halves;
  static const char* const kFactors[] = {"1", "0.5", "0.25", "0.125", "0.0625"};
  const int first = std::min(halves, 4);
  x.text = x.As(kMul) + " * " + kFactors[first];
  for (int more = halves - first; more > 0; more -= std::min(more, 4))
    x.text += std::string(" * ") + kFactors[std::min(more, 4)];
  x.level = kMul;
  x.kind = Kind::Number;
  x.element.clear();
  x.bound = std::ldexp(x.bound, -halves);
  if (x.grain >= 0) x.grain += halves;
  if (x.grain > 16) x.grain = -1;
  return x;
}

Expression SourceWriter::Function(const std::string& name, const Expression& x, double bound, int grain) {
  Expression y = x;
  y.text = name + "(" + x.text + ")";
  y.level = kPrimary;
  y.kind = Kind::Number;
  y.element.clear();
  y.bound = bound;
  y.grain = grain;
  return y;
}

Expression SourceWriter::Infix(const std::string& op, Level level, const Expression& a, const Expression& b,
                               Kind kind) {
  Expression result;
  // Comparisons and contractions do not chain.
  const Level left = level == kCompare || level == kContract ? static_cast<Level>(level + 1) : level;
  result.text = a.As(left) + " " + op + " " + b.As(static_cast<Level>(level + 1));
  result.level = level;
  result.kind = kind;
  result.axes = Union(a.axes, b.axes);
  result.trained = a.trained || b.trained;
  result.text_seen = a.text_seen || b.text_seen;
  result.read = a.read || b.read;
  return result;
}

Expression SourceWriter::WithAxis(Scope& scope, const Expression& x, const std::string& axis) {
  Expression result = x;
  const bool is_short = x.text.size() < 20;
  switch (is_short ? Below(3) : 1 + Below(2)) {
    case 0:
      result.text = "where(" + axis + " % 2 == 0, " + x.text + ", " + x.As(kMul) + " * 0.5)";
      result.level = kPrimary;
      break;
    case 1:
      result.text = x.As(kMul) + " * (1 + " + axis + ")";
      result.level = kMul;
      result.bound *= static_cast<double>(AxisOf(scope, axis).size);
      break;
    default:
      // Of two numbers that would be a two-way broadcast; of a number and a position it is none.
      result.text = x.As(kAdd) + " + " + axis + (x.axes.empty() ? " * 0.5" : "");
      result.level = kAdd;
      result.bound += static_cast<double>(AxisOf(scope, axis).size);
  }
  if (result.grain >= 0) ++result.grain;
  result.kind = Kind::Number;
  result.element.clear();
  result.axes.insert(axis);
  return Tame(result);
}

/// `x` over exactly `axes`.
Expression SourceWriter::Fit(Scope& scope, Expression x, const Names& axes) {
  for (const std::string& axis : Minus(x.axes, axes)) {
    Expression less = x;
    less.text = "mean[" + axis + "](" + x.text + ")";
    less.level = kPrimary;
    less.kind = Kind::Number;
    less.element.clear();
    less.grain = -1;
    less.axes.erase(axis);
    x = less;
  }
  for (const std::string& axis : Minus(axes, x.axes)) x = WithAxis(scope, x, axis);
  return x;
}

// ---- Numbers

Expression SourceWriter::Number(Scope& scope, int depth) {
  for (int attempt = 0; depth > 0 && attempt < 4; ++attempt) {
    Maybe x = SomeNumber(scope, depth);
    if (x && Fits(scope, x->axes)) return Tame(*x);
  }
  if (Chance(12)) return Literal();
  if (Chance(8)) {
    Expression whole = Whole(scope, 0);
    whole.kind = Kind::Number;
    whole.element.clear();
    return Tame(whole);
  }
  return Tame(Named(scope, Kind::Number));
}

SourceWriter::Maybe SourceWriter::SomeNumber(Scope& scope, int depth) {
  switch (Below(22)) {
    case 0:
      return Named(scope, Kind::Number);
    case 1:
    case 2:
      return Unary(scope, depth);
    case 3:
    case 4:
    case 5:
    case 6:
      return Binary(scope, depth);
    case 7:
    case 8:
    case 9:
      return Reduction(scope, depth);
    case 10:
    case 11:
    case 12:
      return Contraction(scope, depth);
    case 13:
    case 14:
      return Indexed(scope, depth);
    case 15:
      return Renamed(scope, depth);
    case 16:
      return Stacked(scope, depth);
    case 17:
      return PreludeCall(scope, depth);
    case 18:
    case 19:
      return Call(scope, depth);
    default:
      return Mixed(scope, depth);
  }
}

/// A function of one number that nothing else here calls, of numbers where it is sampled; none if there is
/// none.
SourceWriter::Maybe SourceWriter::OtherFunction(const Expression& x) {
  static const std::vector<ir::OpInfo> others = [] {
    const std::set<std::string_view> known = {"cos", "erf", "exp", "log", "sigmoid", "sin", "sqrt", "tanh"};
    std::vector<ir::OpInfo> all;
    for (const ir::OpInfo& info : ir::AllOps())
      if (info.family == ir::Family::Pointwise && info.inputs == 1 && !info.function.empty() &&
          info.elements == ir::Elements::Floats && !known.count(info.function))
        all.push_back(info);
    return all;
  }();
  if (others.empty() || Below(2)) return {};
  const ir::OpInfo& info = others[Below(others.size())];
  const double middle = (info.sample.low + info.sample.high) / 2, half = info.sample.high - middle;
  double bound = 1;
  for (int i = 0; i <= 100; ++i) {
    const double at = middle + half * (i - 50) / 50;
    bound = std::max(bound, 1.1 * std::abs(info.eval({&at, 1})));
  }
  Expression inside = Function("tanh", x, 1);
  inside.text += " * " + std::to_string(half) + " + " + std::to_string(middle);
  inside.level = kAdd;
  return Function(std::string(info.function), inside, bound);
}

SourceWriter::Maybe SourceWriter::Unary(Scope& scope, int depth) {
  const Expression x = Number(scope, depth - 1);
  const auto positive = [&] {
    Expression y = x;
    y.text = "abs(" + x.text + ") + 0.5";
    y.level = kAdd;
    return y;
  };
  switch (Below(18)) {
    case 0:
      return Function("exp", Function("tanh", x, 1), 2.8);
    case 1:
      return Function("log", positive(), 2.5);
    case 2:
      return Function("sqrt", positive(), 3);
    case 3:
      if (const auto other = OtherFunction(x)) return other;
      return Function(One({"sin", "cos"}), x, 1);
    case 4:
      return Function("tanh", x, 1);
    case 5:
      return Function("sigmoid", x, 1);
    case 6:
      return Function("erf", x, 1);
    case 7:
      return Function("relu", x, x.bound, x.grain);
    case 8:
      return Function("abs", x, x.bound, x.grain);
    case 9: {
      const Expression exact = Tame(Named(scope, Kind::Number));
      if (!exact.exact()) return {};
      return Function("floor", exact, exact.bound + 1, 0);
    }
    case 10:
      return Function("stop", x, x.bound, x.grain);
    case 11:
      return Function(One({"silu", "gelu", "gelu_tanh"}), x, x.bound);
    case 12: {
      Expression y = x;
      y.text = x.As(kPostfix) + " ^ " + One({"2", "3"});
      y.level = kUnary;
      y.bound = std::pow(std::max(1.0, x.bound), 3);
      y.grain = -1;
      y.kind = Kind::Number;
      y.element.clear();
      return y;
    }
    case 13: {
      Expression y = Function("tanh", x, 1);
      y.text = positive().As(kPostfix) + " ^ " + y.text;
      y.level = kUnary;
      y.bound = x.bound + 2.5;
      return y;
    }
    case 14: {
      Expression y = x;
      y.text = "dropout(" + x.text + ", " + One({"0.25", "0.1", "0", "0.5"}) + ")";
      y.level = kPrimary;
      y.bound *= 2;
      y.grain = -1;
      y.kind = Kind::Number;
      y.element.clear();
      return y;
    }
    default: {
      Expression y = x;
      y.text = "-" + x.As(kUnary);
      y.level = kUnary;
      return y;
    }
  }
}

SourceWriter::Maybe SourceWriter::Binary(Scope& scope, int depth) {
  const Expression a = Number(scope, depth - 1);
  Expression b = Number(scope, depth - 1);
  if (!Nested(scope, a.axes, b.axes)) {
    const Names extra = Minus(b.axes, a.axes);
    if (Reducible(scope, extra) != extra) return {};
    b = Fit(scope, b, Minus(b.axes, extra));
  }
  if (!Fits(scope, Union(a.axes, b.axes))) return {};
  const int grain = a.exact() && b.exact() ? std::max(a.grain, b.grain) : -1;
  const auto infix = [&](const std::string& op, Level level, double bound, int exact) {
    Expression result = Infix(op, level, a, b, Kind::Number);
    result.bound = bound;
    result.grain = exact;
    return result;
  };
  const auto of_two = [&](const std::string& name, const std::string& text, double bound) {
    Expression result = Infix(",", kOr, a, b, Kind::Number);
    result.text = name + "(" + text + ")";
    result.level = kPrimary;
    result.bound = bound;
    result.grain = grain;
    return result;
  };
  const double largest = std::max(a.bound, b.bound);
  switch (Below(10)) {
    case 0:
    case 1:
      return infix("+", kAdd, a.bound + b.bound, grain);
    case 2:
      return infix("-", kAdd, a.bound + b.bound, grain);
    case 3:
    case 4:
      return infix("*", kMul, a.bound * b.bound, a.exact() && b.exact() ? a.grain + b.grain : -1);
    case 5: {
      Expression result = infix("/", kMul, a.bound * 2, -1);
      result.text = a.As(kMul) + " / (abs(" + b.text + ") + 0.5)";
      return result;
    }
    case 6: {
      const std::string name = One({"min", "max"});
      return of_two(name, a.text + ", " + b.text, largest);
    }
    case 7: {
      if (grain < 0) return {};
      Expression result = infix("%", kMul, b.bound + 0.5, std::max(grain, 1));
      result.text = a.As(kMul) + " % (abs(" + b.text + ") + 0.5)";
      return result;
    }
    case 8: {
      const Expression c = Truth(scope, depth - 1);
      if (!Fits(scope, Union(c.axes, Union(a.axes, b.axes)))) return {};
      Expression result = of_two("where", c.text + ", " + a.text + ", " + b.text, largest);
      result.axes = Union(result.axes, c.axes);
      result.text_seen = result.text_seen || c.text_seen;
      return result;
    }
    default:
      return of_two("straight_through", a.text + ", " + b.text, a.bound + 2 * b.bound);
  }
}

std::string SourceWriter::AxisArguments(const std::vector<std::string>& axes, const Expression* predicate) {
  return "[" + Join(axes) + (predicate ? " | " + predicate->text : "") + "]";
}

SourceWriter::Maybe SourceWriter::Reduction(Scope& scope, int depth) {
  Expression x = Number(scope, depth - 1);
  Names axes = Reducible(scope, x.axes);
  if (axes.empty()) {
    const std::string axis = Any(scope.axes).name;
    if (Grows(scope, axis) || !Fits(scope, Union(x.axes, {axis}))) return {};
    x = WithAxis(scope, x, axis);
    axes = {axis};
  }
  std::vector<std::string> along = Shuffled(axes);
  along.resize(1 + Below(std::min<size_t>(along.size(), 2)));
  const int kind = static_cast<int>(Below(7));
  const bool empty_is_infinite = kind == 2 || kind == 3 || kind == 6;
  std::optional<Expression> predicate;
  if (Chance(45))
    predicate = empty_is_infinite ? SomewhereTrue(scope, along, depth - 1) : Truth(scope, depth - 1);
  if (kind == 3) predicate.reset();  // -infinity where masked
  if (predicate && !Fits(scope, Union(x.axes, predicate->axes))) predicate.reset();
  const Expression* const mask = predicate ? &*predicate : nullptr;
  Expression result = x;
  result.level = kPrimary;
  result.kind = Kind::Number;
  result.element.clear();
  if (mask) {
    result.axes = Union(result.axes, mask->axes);
    result.text_seen = result.text_seen || mask->text_seen;
  }
  const int64_t count = Elements(scope, Names(along.begin(), along.end()));
  static const char* const kNames[] = {"sum", "mean", "max", "log_softmax", "softmax", "sum", "logsumexp"};
  result.text = kNames[kind] + AxisArguments(along, mask) + "(" + x.text + ")";
  switch (kind) {
    case 2:
      break;
    case 1:
      result.grain = -1;
      break;
    case 6:
      result.bound = x.bound + std::log(static_cast<double>(count));
      result.grain = -1;
      break;
    case 3:
      result.bound = 2 * x.bound + std::log(static_cast<double>(count));
      result.grain = -1;
      return result;
    case 4:
      result.bound = 1;
      result.grain = -1;
      return result;
    default:
      result.bound = x.bound * static_cast<double>(count);
  }
  result.axes = Minus(result.axes, Names(along.begin(), along.end()));
  return result;
}

SourceWriter::Maybe SourceWriter::Contraction(Scope& scope, int depth) {
  Expression a = Number(scope, depth - 1), b = Number(scope, depth - 1);
  Names shared;
  for (const std::string& axis : Reducible(scope, a.axes))
    if (b.axes.count(axis)) shared.insert(axis);
  if (shared.empty()) {
    const Names candidates = Reducible(scope, Union(a.axes, b.axes));
    if (candidates.empty()) return {};
    const std::string axis = AnyOf(candidates);
    for (Expression* side : {&a, &b})
      if (!side->axes.count(axis)) *side = WithAxis(scope, *side, axis);
    shared = {axis};
  }
  std::vector<std::string> along = Shuffled(shared);
  along.resize(1 + Below(along.size()));
  const Names gone(along.begin(), along.end());
  if (!Fits(scope, Union(a.axes, b.axes)) && Chance(80)) return {};
  const std::string how = along.size() == 1 && Chance(80) ? "@" + along[0] : "@[" + Join(along) + "]";
  Expression result = Infix(how, kContract, a, b, Kind::Number);
  result.axes = Minus(result.axes, gone);
  result.bound = a.bound * b.bound * static_cast<double>(Elements(scope, gone));
  result.grain = a.exact() && b.exact() ? a.grain + b.grain : -1;
  return result;
}

SourceWriter::Maybe SourceWriter::Renamed(Scope& scope, int depth) {
  Expression x = Number(scope, depth - 1);
  const Names axes = Reducible(scope, x.axes);
  if (axes.empty()) return {};
  const std::string from = AnyOf(axes);
  const SourceAxis& axis = AxisOf(scope, from);
  x.text = x.As(kPostfix);
  x.level = kPostfix;
  const auto becomes = [&](const std::vector<std::string>& old, const std::vector<std::string>& now) {
    x.text += "[" + Join(old) + " -> " + Join(now) + "]";
    x.axes = Union(Minus(x.axes, Names(old.begin(), old.end())), Names(now.begin(), now.end()));
    return x;
  };
  // A split or a merge: `ab` has the size of `a` times `b`.
  if (!scope.axes[0].formal && Chance(40)) {
    if (x.axes.count("ab") && !x.axes.count("a") && !x.axes.count("b"))
      return becomes({"ab"},
                     Chance(50) ? std::vector<std::string>{"a", "b"} : std::vector<std::string>{"b", "a"});
    const bool joined =
        std::any_of(axes_.begin(), axes_.end(), [](const SourceAxis& one) { return one.name == "ab"; });
    if (joined && x.axes.count("a") && x.axes.count("b") && !x.axes.count("ab"))
      return becomes(Chance(50) ? std::vector<std::string>{"a", "b"} : std::vector<std::string>{"b", "a"},
                     {"ab"});
  }
  const std::string twin = from + "'";
  if (x.axes.count(twin) && !Grows(scope, from) && (options_.several_indices || !x.read) && Chance(40)) {
    x.text += "[" + twin + "(" + from + ")]";  // the diagonal
    x.axes.erase(twin);
    x.read = true;
    return x;
  }
  if (x.axes.count(twin) && !Grows(scope, from)) return becomes({from, twin}, {twin, from});
  if (!x.axes.count(twin) && Chance(60)) return becomes({from}, {twin});
  if (from.back() == '\'' && !x.axes.count(Root(from))) return becomes({from}, {Root(from)});
  for (const SourceAxis& other : scope.axes)
    if (!axis.formal && !other.formal && !axis.dynamic && !other.dynamic && other.size == axis.size &&
        !x.axes.count(other.name))
      return becomes({from}, {other.name});
  return {};
}

SourceWriter::Maybe SourceWriter::Stacked(Scope& scope, int depth) {
  if (scope.axes[0].formal) return {};
  Expression a = Number(scope, depth - 1), b = Number(scope, depth - 1);
  const auto result_of = [&](const std::string& text) {
    Expression result = Infix(",", kOr, a, b, Kind::Number);
    result.text = text;
    result.level = kPrimary;
    result.bound = std::max(a.bound, b.bound);
    result.grain = a.exact() && b.exact() ? std::max(a.grain, b.grain) : -1;
    return result;
  };
  if (Chance(40) && !a.axes.count("both") && !b.axes.count("both")) {
    a = WithAxis(scope, a, "a");
    b = WithAxis(scope, b, "b");
    Expression result = result_of("join[a, b -> both](" + a.text + ", " + b.text + ")");
    result.axes = Union(Minus(a.axes, {"a"}), Minus(b.axes, {"b"}));
    result.axes.insert("both");
    result.read = true;
    if (!Fits(scope, result.axes)) return {};
    return result;
  }
  if (a.axes.count("pair") || b.axes.count("pair")) return {};
  Expression result = result_of("stack[pair](" + a.text + ", " + b.text + ")");
  result.axes.insert("pair");
  return result;
}

SourceWriter::Maybe SourceWriter::PreludeCall(Scope& scope, int depth) {
  Expression x = Number(scope, depth - 1);
  const Names axes = Reducible(scope, x.axes);
  if (axes.empty()) return {};
  const std::string axis = AnyOf(axes);
  Expression result = x;
  result.level = kPrimary;
  result.grain = -1;
  switch (Below(3)) {
    case 0:
      result.text = "standardize[" + axis + "](" + x.text + One({", 0.5)", ", 0.25)"});
      result.bound = 4;
      return result;
    case 1: {
      if (AxisOf(scope, axis).dynamic || axis.back() == '\'') return {};
      const Expression target = Element(scope, axis, depth - 1);
      if (target.axes.count(axis) || !Fits(scope, Union(x.axes, target.axes))) return {};
      result.text = "xent[" + axis + "](" + x.text + ", " + target.text + One({")", ", 0.1)"});
      result.axes = Union(Minus(x.axes, {axis}), target.axes);
      result.text_seen = x.text_seen || target.text_seen;
      result.bound = 2 * x.bound + 3;
      return result;
    }
    default: {
      if (AxisOf(scope, axis).dynamic || axis.back() == '\'') return {};
      const Expression index = Element(scope, axis, depth - 1);
      if (index.axes.count(axis)) return {};
      result.text = "onehot[" + axis + "](" + index.text + ")";
      result.axes = Union(index.axes, {axis});
      result.bound = 1;
      result.grain = 0;
      result.trained = false;
      result.text_seen = index.text_seen;
      return result;
    }
  }
}

}  // namespace heed::test
