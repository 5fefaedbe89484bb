// Sums over the other positions of a dynamic axis in random programs: attention in its forms, running sums,
// means and maxima, windows. What grows sees only what came before.
#include "tests/support/random_source_writer.h"

namespace heed::test {

Expression SourceWriter::PairMask(Scope& scope, const std::string& axis) {
  const std::string t = axis, k = axis + "'";
  const std::string near = k + " <= " + t;
  std::string text;
  const auto extra = [&]() -> std::string {
    std::vector<std::string> forms = {
        t + " - " + k + " < 3",           "(" + t + " - " + k + ") % 2 == 0",
        "abs(" + t + " - " + k + ") < 4", k + " < 2",
        "not (" + k + " == 1)",           "(" + t + " - " + k + " < 2 or " + k + " < 2)"};
    for (const Expression& value : scope.values)
      if (value.kind == Kind::Whole && value.axes == Names{axis})
        forms.push_back(value.text + " == " + value.text + "[" + t + " -> " + k + "]");
    return Any(forms);
  };
  const bool growing = Grows(scope, axis);
  Expression mask{"", kAnd, Kind::Truth, {t, k}};
  switch (Below(growing ? 5 : 8)) {
    case 0:
    case 1:
      mask.text = near;
      mask.level = kCompare;
      return mask;
    case 2:
      mask.text = k + " < " + t;
      mask.level = kCompare;
      return mask;
    case 3:
    case 4:
      mask.text = near + " and " + extra();
      return mask;
    case 5:
      mask.text = near + " or " + extra();
      mask.level = kOr;
      return mask;
    case 6:
      mask.text = k + " != " + t + " and " + extra();
      return mask;
    default: {
      const Expression other = Truth(scope, 1);
      if (!Fits(scope, Union(mask.axes, other.axes))) return {near, kCompare, Kind::Truth, {t, k}};
      mask.text = near + " and " + other.As(kNot);
      mask.axes = Union(mask.axes, other.axes);
      return mask;
    }
  }
}

std::string SourceWriter::PairTerm(Scope& scope, const std::string& axis) {
  const std::string d = "(" + axis + " - " + axis + "')";
  switch (Below(5)) {
    case 0:
      return " - 0.25 * " + d;
    case 1:
      return " - 0.1 * abs" + d;
    case 2:
      return " + 0.5 * cos" + d;
    case 3:
      return " + where(" + axis + "' == " + axis + ", 0.5, 0)";
    default:
      return " + log(1 + abs" + d + ")";
  }
}

SourceWriter::Maybe SourceWriter::Score(Scope& scope, const std::string& axis, int depth) {
  const std::string key = axis + "'";
  Expression q = Number(scope, depth - 1);
  Expression k = Chance(40) ? q : Number(scope, depth - 1);
  if (!q.axes.count(axis) && Chance(70)) q = WithAxis(scope, q, axis);
  if (!k.axes.count(axis)) k = WithAxis(scope, k, axis);
  if (q.axes.count(key) || k.axes.count(key)) return {};
  k.text = k.As(kPostfix) + "[" + axis + " -> " + key + "]";
  k.level = kPostfix;
  k.axes = Union(Minus(k.axes, {axis}), {key});
  Names shared;
  for (const std::string& one : Reducible(scope, q.axes))
    if (k.axes.count(one) && one != axis) shared.insert(one);
  if (shared.empty()) return {};
  const std::string along = AnyOf(shared);
  if (!Fits(scope, Union(q.axes, k.axes))) return {};
  Expression s = Infix("@" + along, kContract, q, k, Kind::Number);
  s.axes.erase(along);
  s.bound = q.bound * k.bound * static_cast<double>(AxisOf(scope, along).size);
  s.axes.insert(axis);
  const int form = static_cast<int>(Below(6));
  if (!q.axes.count(axis) || form == 0) {
    if (!Nested(scope, Minus(s.axes, q.axes.count(axis) ? Names{} : Names{axis}), {axis, key})) return {};
    s.text += PairTerm(scope, axis);
    s.level = kAdd;
  } else if (form == 1) {
    s.text = "3 * tanh(" + s.text + " / 3)";
    s.level = kMul;
    s.bound = 3;
  } else if (form == 2) {
    s.text = s.text + " / sqrt(|" + along + "|)";
    s.level = kMul;
  }
  return Tame(s, 6);
}

SourceWriter::Maybe SourceWriter::Mixed(Scope& scope, int depth) {
  std::vector<std::string> candidates;
  for (const SourceAxis& axis : scope.axes)
    if (axis.dynamic && !axis.formal) candidates.push_back(axis.name);
  if (candidates.empty()) return {};
  const std::string axis = Any(candidates), key = axis + "'";
  Expression value = Number(scope, depth - 1);
  if (!value.axes.count(axis)) value = WithAxis(scope, value, axis);
  if (value.axes.count(key)) return {};
  value.text = value.As(kPostfix) + "[" + axis + " -> " + key + "]";
  value.level = kPostfix;
  value.axes = Union(Minus(value.axes, {axis}), {key});
  const Expression mask = PairMask(scope, axis);
  const bool masked = Grows(scope, axis) || Chance(85);
  const std::string along = AxisArguments({key}, masked ? &mask : nullptr);
  Expression result = value;
  result.level = kPrimary;
  result.grain = -1;
  result.axes = Union(result.axes, masked ? mask.axes : Names{axis, key});
  if (!Fits(scope, result.axes)) return {};
  switch (Below(6)) {
    case 0: {
      result.text = One({"sum", "mean"}) + along + "(" + value.text + ")";
      if (!masked) result.axes.erase(axis);
      result.axes.erase(key);
      result.bound = value.bound * static_cast<double>(AxisOf(scope, axis).size);
      return result;
    }
    case 1: {
      result.text = "max[" + key + " | " + (masked ? mask.As(kOr) + " or " : "") + key + " == " + axis +
                    "](" + value.text + ")";
      result.axes.erase(key);
      if (Grows(scope, axis) && !masked) return {};
      return result;
    }
    default: {
      const Maybe score = Score(scope, axis, depth);
      if (!score || !Fits(scope, Union(score->axes, result.axes))) return {};
      const std::string total = "logsumexp" + along + "(" + score->text + ")";
      const std::string sink = Chance(20) ? ", " + One({"0", "-1.5", total.c_str()}) : "";
      Expression weights{"softmax" + along + "(" + score->text + sink + ")"};
      weights.axes = Union(score->axes, masked ? mask.axes : Names{});
      weights.trained = score->trained;
      weights.text_seen = score->text_seen;
      weights.read = score->read;
      if (Chance(15)) weights.text = "dropout(" + weights.text + ", 0.25)";
      result = Infix("@" + key, kContract, weights, value, Kind::Number);
      result.axes.erase(key);
      result.bound = value.bound * 2;
      return result;
    }
  }
}

}  // namespace heed::test
