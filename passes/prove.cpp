// Ranges bottom up; proofs by elimination, a bounded number of steps.
#include "passes/prove.h"

#include <algorithm>
#include <cmath>

#include "ir/interval.h"
#include "ir/op.h"
#include "passes/context.h"

namespace heed::passes {
namespace {

constexpr size_t kMostCases = 16;
constexpr int kDepth = 4;

std::optional<LinearForm> Sum(const LinearForm& a, int64_t factor_a, const LinearForm& b, int64_t factor_b) {
  LinearForm sum;
  const auto add = [](int64_t& to, int64_t factor, int64_t x) {
    int64_t product;
    return !__builtin_mul_overflow(factor, x, &product) && !__builtin_add_overflow(to, product, &to);
  };
  if (!add(sum.constant, factor_a, a.constant) || !add(sum.constant, factor_b, b.constant))
    return std::nullopt;
  for (const auto& [leaf, coefficient] : a.terms)
    if (!add(sum.terms[leaf], factor_a, coefficient)) return std::nullopt;
  for (const auto& [leaf, coefficient] : b.terms)
    if (!add(sum.terms[leaf], factor_b, coefficient)) return std::nullopt;
  std::erase_if(sum.terms, [](const auto& term) { return term.second == 0; });
  return sum;
}

LinearForm Leaf(NodeId id) { return {{{id, 1}}, 0}; }

Range Union(Range a, Range b) { return {std::min(a.low, b.low), std::max(a.high, b.high)}; }

Range Times(Range a, Range b) {
  const double products[] = {a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high};
  return {*std::min_element(products, products + 4), *std::max_element(products, products + 4)};
}

bool InInts(Range range) { return range.low >= kLeastInt && range.high <= kMostInt; }

/// `axis` after `renames`.
Axis Renamed(Axis axis, const std::vector<std::pair<Axis, Axis>>& renames) {
  for (auto [from, to] : renames)
    if (from == axis) return to;
  return axis;
}

}  // namespace

// ---- Ranges

Range Prover::RangeOf(NodeId id) {
  if (const auto found = ranges_.find(id); found != ranges_.end()) return found->second;
  Range range = Compute(id);
  range.low = std::max(range.low, kLeastInt);
  range.high = std::min(range.high, kMostInt);
  ranges_[id] = range;
  return range;
}

bool Prover::MayOverflow(NodeId id) { return !InInts(Compute(id)); }

bool Prover::Fits(NodeId id, NodeId way, const AxisList& domain) {
  const Node node = graph_[id];
  const auto where = [&](size_t i) { return RangeWhere(node.inputs[i], way, domain); };
  switch (node.op) {
    case OpKind::Mul:
      return InInts(Times(where(0), where(1)));
    case OpKind::Sum: {
      double count = 1;
      for (Axis axis : node.attributes.axes) count *= static_cast<double>(graph_.axes().Bound(axis));
      return InInts(Times({0, count}, where(0)));
    }
    case OpKind::Abs:
    case OpKind::Neg:
      return AtMost({}, node.inputs[0], static_cast<int64_t>(kMostInt), way, domain);
    default:  // its form is that of its operands
      return AtMost(id, {}, static_cast<int64_t>(kMostInt), way, domain) &&
             AtMost({}, id, -static_cast<int64_t>(kLeastInt), way, domain);
  }
}

Range Prover::RangeWhere(NodeId id, NodeId way, const AxisList& domain) {
  Range range = RangeOf(id);
  // The least bound that can be proved, by halving.
  const auto least = [&](double low, double high, const auto& holds) {
    while (low < high) {
      const double middle = std::floor((low + high) / 2);
      if (holds(static_cast<int64_t>(middle)))
        high = middle;
      else
        low = middle + 1;
    }
    return high;
  };
  range.high = least(range.low, range.high, [&](int64_t most) { return AtMost(id, {}, most, way, domain); });
  range.low =
      -least(-range.high, -range.low, [&](int64_t most) { return AtMost({}, id, most, way, domain); });
  return range;
}

Range Prover::Compute(NodeId id) {
  const Node& node = graph_[id];
  const Range all{kLeastInt, kMostInt};
  if (node.type.dtype != ir::DType::Int) return all;
  const auto of = [&](size_t i) { return RangeOf(node.inputs[i]); };
  const auto bound = [&](Axis axis) { return static_cast<double>(graph_.axes().Bound(axis)); };
  switch (node.op) {
    case OpKind::Const:
      return {node.attributes.number, node.attributes.number};
    case OpKind::Positions:
      if (node.attributes.axis.difference())
        return {-bound(node.attributes.axis) / 2, bound(node.attributes.axis) / 2};
      return {0, bound(node.attributes.axis) - 1};
    case OpKind::Length:
      return {0, bound(node.attributes.axis)};
    case OpKind::Input:
      if (node.type.indexes && graph_.axes().Has(node.type.indexes)) return {0, bound(node.type.indexes) - 1};
      return all;
    case OpKind::Argmax:
      return {0, bound(node.attributes.axes[0]) - 1};
    case OpKind::Element:
    case OpKind::Broadcast:
    case OpKind::Rename:
    case OpKind::Merge:
    case OpKind::Split:
    case OpKind::Slice:
      return of(0);
    case OpKind::Max:
      return Union(of(0), all);  // over nothing it has no bound
    case OpKind::Gather:
      return Union(of(0), {0, 0});
    case OpKind::Stack: {
      Range range = of(0);
      for (size_t i = 1; i < node.inputs.size(); ++i) range = Union(range, of(i));
      return range;
    }
    case OpKind::Rank: {
      double count = 1;
      for (Axis axis : node.attributes.axes) count *= bound(axis);
      return {0, count};
    }
    case OpKind::Sum: {
      double count = 1;
      for (Axis axis : node.attributes.axes) count *= bound(axis);
      const Range x = of(0);
      return {count * std::min(0.0, x.low), count * std::max(0.0, x.high)};
    }
    default:
      return ir::IsPointwise(node.op) ? Pointwise(node) : all;
  }
}

Range Prover::Pointwise(const Node& node) {
  using Algebra = ir::NumberAlgebra;
  Algebra numbers;
  std::vector<ir::Interval<Algebra::Value>> x;
  for (NodeId input : node.inputs) {
    const ir::DType dtype = graph_.type(input).dtype;
    const Range range = dtype == ir::DType::Bool ? Range{0, 1} : RangeOf(input);
    x.push_back({{range.low, dtype}, {range.high, dtype}, range.low == range.high});
  }
  // By more than one number: nothing is larger than what is divided, and nothing smaller than its negative.
  if (node.op == OpKind::Quotient && !x[1].point) {
    const double largest = std::max(std::abs(x[0].low.number), std::abs(x[0].high.number));
    return {-largest, x[1].low.number >= 0 ? std::max(0.0, x[0].high.number) : largest};
  }
  const auto bounds = ir::IntervalRules<Algebra>(numbers).Of(node.op, node.type.dtype, x);
  return bounds ? Range{bounds->low.number, bounds->high.number} : Range{kLeastInt, kMostInt};
}

// ---- Linear forms and what a condition implies

std::optional<LinearForm> Prover::Form(NodeId id, const Renames& renames) {
  const Node node = graph_[id];
  if (node.type.dtype != ir::DType::Int) {
    if (node.op != OpKind::Const || node.type.dtype == ir::DType::Bool) return std::nullopt;
    const double value = node.attributes.number;
    if (value != std::floor(value) || std::abs(value) > 0x1p52) return std::nullopt;
    return LinearForm{{}, static_cast<int64_t>(value)};
  }
  const auto part = [&](size_t i) { return Form(node.inputs[i], renames); };
  switch (node.op) {
    case OpKind::Const:
      return LinearForm{{}, static_cast<int64_t>(node.attributes.number)};
    case OpKind::Add:
    case OpKind::Sub: {
      const auto a = part(0), b = part(1);
      return a && b ? Sum(*a, 1, *b, node.op == OpKind::Add ? 1 : -1) : std::nullopt;
    }
    case OpKind::Neg: {
      const auto a = part(0);
      return a ? Sum(*a, -1, {}, 0) : std::nullopt;
    }
    case OpKind::Mul: {
      const auto a = part(0), b = part(1);
      if (a && b && a->terms.empty()) return Sum(*b, a->constant, {}, 0);
      if (a && b && b->terms.empty()) return Sum(*a, b->constant, {}, 0);
      break;
    }
    case OpKind::Element:
    case OpKind::Broadcast:
    case OpKind::Floor:
    case OpKind::Stop:
      return part(0);
    case OpKind::Rename: {
      // First the node's own renames, then those around it.
      Renames all;
      for (Axis axis : graph_.axes_of(node.inputs[0]))
        all.emplace_back(axis, Renamed(Renamed(axis, node.attributes.renames), renames));
      return Form(node.inputs[0], all);
    }
    case OpKind::Positions:
      return Leaf(graph_.Positions(Renamed(node.attributes.axis, renames)));
    default:
      break;
  }
  return Leaf(graph_.Rename(id, renames));
}

void Prover::Imply(NodeId way, bool holds, const Renames& renames, std::vector<Facts>& cases) {
  const Node node = graph_[way];
  switch (node.op) {
    case OpKind::Not:
      return Imply(node.inputs[0], !holds, renames, cases);
    case OpKind::Broadcast:
      return Imply(node.inputs[0], holds, renames, cases);
    case OpKind::Rename: {
      Renames all;
      for (Axis axis : graph_.axes_of(node.inputs[0]))
        all.emplace_back(axis, Renamed(Renamed(axis, node.attributes.renames), renames));
      return Imply(node.inputs[0], holds, all, cases);
    }
    case OpKind::And:
    case OpKind::Or: {
      if ((node.op == OpKind::And) == holds) {
        Imply(node.inputs[0], holds, renames, cases);
        Imply(node.inputs[1], holds, renames, cases);
        return;
      }
      if (cases.size() * 2 > kMostCases) return;
      std::vector<Facts> other = cases;
      Imply(node.inputs[0], holds, renames, cases);
      Imply(node.inputs[1], holds, renames, other);
      cases.insert(cases.end(), other.begin(), other.end());
      return;
    }
    default:
      break;
  }
  OpKind op = node.op;
  if (!holds) {
    switch (op) {
      case OpKind::Lt:
        op = OpKind::Ge;
        break;
      case OpKind::Ge:
        op = OpKind::Lt;
        break;
      case OpKind::Gt:
        op = OpKind::Le;
        break;
      case OpKind::Le:
        op = OpKind::Gt;
        break;
      case OpKind::Eq:
        op = OpKind::Ne;
        break;
      case OpKind::Ne:
        op = OpKind::Eq;
        break;
      default:
        return;
    }
  }
  if (op != OpKind::Lt && op != OpKind::Le && op != OpKind::Gt && op != OpKind::Ge && op != OpKind::Eq)
    return;
  const auto a = Form(node.inputs[0], renames), b = Form(node.inputs[1], renames);
  if (!a || !b) return;
  const auto fact = [&](const LinearForm& low, const LinearForm& high, int64_t strict) {
    auto difference = Sum(low, 1, high, -1);
    if (!difference) return;
    difference->constant += strict;
    for (Facts& facts : cases) facts.push_back(*difference);
  };
  if (op == OpKind::Lt || op == OpKind::Le || op == OpKind::Eq) fact(*a, *b, op == OpKind::Lt);
  if (op == OpKind::Gt || op == OpKind::Ge || op == OpKind::Eq) fact(*b, *a, op == OpKind::Gt);
}

// ---- Proofs

/// What is known of the leaves of a form: positions lie below lengths, remainders below divisors, and so on.
void Prover::Known(const LinearForm& form, Facts& facts, std::set<NodeId>& seen) {
  for (const auto& [leaf, coefficient] : form.terms) {
    if (!seen.insert(leaf).second) continue;
    const Node node = graph_[leaf];
    const auto add = [&](const std::optional<LinearForm>& fact) {
      if (!fact) return;
      facts.push_back(*fact);
      Known(*fact, facts, seen);
    };
    const auto part = [&](size_t i) { return Form(node.inputs[i], {}); };
    const auto below = [&](const LinearForm& low, const std::optional<LinearForm>& high, int64_t strict) {
      if (!high) return;
      auto fact = Sum(low, 1, *high, -1);
      if (fact) fact->constant += strict;
      add(fact);
    };
    const LinearForm self = Leaf(leaf);
    switch (node.op) {
      case OpKind::Positions:
        if (graph_.axes().IsDynamic(node.attributes.axis))
          below(self, Leaf(graph_.Length(node.attributes.axis)), 1);
        break;
      case OpKind::Argmax:
        if (const Axis axis = node.attributes.axes[0];
            graph_.axes().IsDynamic(axis) && present_.count(axis.root()))
          below(self, Leaf(graph_.Length(axis)), 1);
        break;
      case OpKind::Mod: {
        const auto divisor = part(1);
        if (!divisor || RangeOf(node.inputs[1]).low < 0) break;
        if (const auto negated = Sum(*divisor, -1, LinearForm{{}, 1}, 1);
            negated && NotPositive(*negated, {}, 1)) {  // 1 - divisor <= 0
          below(self, divisor, 1);
          below({}, self, 0);
        }
        break;
      }
      case OpKind::Quotient: {
        // By a constant: divisor * quotient <= dividend < divisor * quotient + divisor.
        const Range by = RangeOf(node.inputs[1]);
        if (by.low != by.high || by.low <= 0) break;
        const auto divisor = static_cast<int64_t>(by.low);
        const auto whole = Sum(self, divisor, {}, 0);
        const auto dividend = part(0);
        if (!whole || !dividend) break;
        below(*whole, dividend, 0);
        below(*dividend, Sum(*whole, 1, LinearForm{{}, divisor}, 1), 1);
        break;
      }
      case OpKind::Minimum:
        below(self, part(0), 0);
        below(self, part(1), 0);
        break;
      case OpKind::Maximum:
        for (size_t i : {0, 1})
          if (const auto x = part(i)) below(*x, self, 0);
        break;
      case OpKind::Abs:
        if (const auto x = part(0)) {
          below(*x, self, 0);
          if (const auto negated = Sum(*x, -1, {}, 0)) below(*negated, self, 0);
        }
        break;
      case OpKind::Relu:
        if (const auto x = part(0)) below(*x, self, 0);
        break;
      default:
        break;
    }
  }
}

double Prover::Largest(const LinearForm& form) {
  double most = static_cast<double>(form.constant);
  for (const auto& [leaf, coefficient] : form.terms) {
    Range range = RangeOf(leaf);
    const Node& node = graph_[leaf];
    if (node.op == OpKind::Length && present_.count(node.attributes.axis.root())) range.low = 1;
    most += static_cast<double>(coefficient) * (coefficient > 0 ? range.high : range.low);
  }
  return most;
}

bool Prover::NotPositive(const LinearForm& form, const Facts& facts, int depth) {
  if (Largest(form) <= 0) return true;
  // One of two, or of several: each of them.
  for (const auto& [leaf, coefficient] : form.terms) {
    const Node node = graph_[leaf];
    std::vector<std::optional<LinearForm>> choices;
    if ((node.op == OpKind::Maximum && coefficient > 0) || (node.op == OpKind::Minimum && coefficient < 0))
      choices = {Form(node.inputs[0], {}), Form(node.inputs[1], {})};
    else if (node.op == OpKind::Select)
      choices = {Form(node.inputs[1], {}), Form(node.inputs[2], {})};
    else if (node.op == OpKind::Relu && coefficient > 0)
      choices = {Form(node.inputs[0], {}), LinearForm{}};
    else if (node.op == OpKind::Abs && coefficient > 0) {
      choices = {Form(node.inputs[0], {})};
      choices.push_back(choices[0] ? Sum(*choices[0], -1, {}, 0) : std::nullopt);
    }
    if (choices.empty() || depth == 0) continue;
    LinearForm rest = form;
    rest.terms.erase(leaf);
    if (std::all_of(choices.begin(), choices.end(), [&](const auto& choice) {
          const auto whole = choice ? Sum(rest, 1, *choice, coefficient) : std::nullopt;
          return whole && NotPositive(*whole, facts, depth - 1);
        }))
      return true;
  }
  if (depth == 0) return false;
  for (const LinearForm& fact : facts) {
    for (const auto& [leaf, coefficient] : fact.terms) {
      const auto mine = form.terms.find(leaf);
      if (mine == form.terms.end() || (mine->second > 0) != (coefficient > 0)) continue;
      const auto rest = Sum(form, std::abs(coefficient), fact, -std::abs(mine->second));
      if (rest && NotPositive(*rest, facts, depth - 1)) return true;
    }
  }
  return false;
}

bool Prover::AtMost(NodeId a, NodeId b, int64_t offset, NodeId way, const AxisList& domain) {
  present_ = never_empty_;
  AxisList all = domain;
  if (way) all = ir::Union(all, graph_.axes_of(way));
  for (Axis axis : all)
    if (graph_.axes().IsDynamic(axis)) present_.insert(axis.root());
  const auto left = a ? Form(a, {}) : LinearForm{}, right = b ? Form(b, {}) : LinearForm{};
  if (!left || !right) return false;
  auto goal = Sum(*left, 1, *right, -1);
  if (!goal || __builtin_sub_overflow(goal->constant, offset, &goal->constant)) return false;
  if (Largest(*goal) <= 0) return true;
  std::vector<Facts> cases = {{}};
  if (way) Imply(way, true, {}, cases);
  for (Facts& facts : cases) {
    std::set<NodeId> seen;
    Known(*goal, facts, seen);
    for (size_t i = 0; i < facts.size(); ++i) Known(LinearForm(facts[i]), facts, seen);
    if (!NotPositive(*goal, facts, kDepth)) return false;
  }
  return true;
}

}  // namespace heed::passes
