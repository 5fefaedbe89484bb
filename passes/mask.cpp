// Linear forms of whole numbers and what a mask implies about them, by a walk over the expression; there is
// no mask type. What is not understood bounds nothing.
#include "passes/mask.h"

#include <algorithm>
#include <cmath>

namespace heed::passes {

using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::OpKind;

namespace {

/// a + scale * b; none on overflow.
std::optional<LinearForm> Combine(LinearForm a, const LinearForm& b, int64_t scale) {
  const auto add = [scale](int64_t& sum, int64_t x) {
    int64_t product;
    return !__builtin_mul_overflow(x, scale, &product) && !__builtin_add_overflow(sum, product, &sum);
  };
  if (!add(a.constant, b.constant)) return std::nullopt;
  for (const auto& [leaf, coefficient] : b.terms) {
    if (!add(a.terms[leaf], coefficient)) return std::nullopt;
    if (a.terms[leaf] == 0) a.terms.erase(leaf);
  }
  return a;
}

std::optional<LinearForm> Scaled(const LinearForm& form, int64_t scale) { return Combine({}, form, scale); }

/// The largest `form` that `difference <= 0` (`< 0` if strict) allows.
double Bound(const std::optional<LinearForm>& difference, bool strict, const LinearForm& form) {
  if (!difference || difference->terms.size() != form.terms.size() || form.terms.empty()) return kUnbounded;
  // difference = ratio * (form without constant) + rest, with a positive ratio
  double ratio = 0;
  for (const auto& [leaf, coefficient] : form.terms) {
    const auto found = difference->terms.find(leaf);
    if (found == difference->terms.end()) return kUnbounded;
    const double here = static_cast<double>(found->second) / static_cast<double>(coefficient);
    if (here <= 0 || (ratio != 0 && here != ratio)) return kUnbounded;
    ratio = here;
  }
  const double limit = -static_cast<double>(difference->constant + (strict ? 1 : 0));
  return std::floor(limit / ratio) + static_cast<double>(form.constant);
}

}  // namespace

std::optional<LinearForm> Linear(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  if (node.op == OpKind::Const && node.type.dtype != ir::DType::Bool) {
    const double value = node.attributes.number;
    if (value != std::floor(value) || std::abs(value) > 0x1p52) return std::nullopt;
    return LinearForm{{}, static_cast<int64_t>(value)};
  }
  if (node.type.dtype != ir::DType::Int) return std::nullopt;
  switch (node.op) {
    case OpKind::Add:
    case OpKind::Sub: {
      const auto a = Linear(graph, node.inputs[0]), b = Linear(graph, node.inputs[1]);
      if (!a || !b) return std::nullopt;
      return Combine(*a, *b, node.op == OpKind::Add ? 1 : -1);
    }
    case OpKind::Neg: {
      const auto a = Linear(graph, node.inputs[0]);
      return a ? Scaled(*a, -1) : std::nullopt;
    }
    case OpKind::Mul: {
      const auto a = Linear(graph, node.inputs[0]), b = Linear(graph, node.inputs[1]);
      if (!a || !b) return std::nullopt;
      if (a->terms.empty()) return Scaled(*b, a->constant);
      if (b->terms.empty()) return Scaled(*a, b->constant);
      break;
    }
    case OpKind::Element:
    case OpKind::Broadcast:
      return Linear(graph, node.inputs[0]);
    default:
      break;
  }
  return LinearForm{{{id, 1}}, 0};
}

double Sup(const Graph& graph, NodeId mask, const LinearForm& form, bool holds) {
  const Node& node = graph[mask];
  switch (node.op) {
    case OpKind::Not:
      return Sup(graph, node.inputs[0], form, !holds);
    case OpKind::And:
    case OpKind::Or: {
      const double a = Sup(graph, node.inputs[0], form, holds), b = Sup(graph, node.inputs[1], form, holds);
      return (node.op == OpKind::And) == holds ? std::min(a, b) : std::max(a, b);
    }
    case OpKind::Const:
      return (node.attributes.number != 0) == holds ? kUnbounded : -kUnbounded;
    case OpKind::Broadcast:
      return Sup(graph, node.inputs[0], form, holds);
    default:
      break;
  }
  NodeId low, high;  // low <= high, or low < high
  bool strict = false, equal = false;
  switch (node.op) {
    case OpKind::Lt:
    case OpKind::Ge:
      low = node.inputs[0], high = node.inputs[1], strict = true;
      if ((node.op == OpKind::Ge) == holds) std::swap(low, high), strict = false;
      break;
    case OpKind::Gt:
    case OpKind::Le:
      low = node.inputs[1], high = node.inputs[0], strict = true;
      if ((node.op == OpKind::Le) == holds) std::swap(low, high), strict = false;
      break;
    case OpKind::Eq:
    case OpKind::Ne:
      if ((node.op == OpKind::Eq) != holds) return kUnbounded;
      low = node.inputs[0], high = node.inputs[1], equal = true;
      break;
    default:
      return kUnbounded;
  }
  if (graph.type(low).dtype == ir::DType::Bool) return kUnbounded;
  const auto between = [&](NodeId x, int64_t sign, NodeId y) {  // sign * x - y
    const auto a = Linear(graph, x), b = Linear(graph, y);
    if (!a || !b) return std::optional<LinearForm>();
    const auto signed_a = Scaled(*a, sign);
    return signed_a ? Combine(*signed_a, *b, -1) : std::nullopt;
  };
  if (graph.op(low) == OpKind::Abs && !equal) {  // abs(e) <= c: e <= c and -e <= c
    const NodeId e = graph[low].inputs[0];
    return std::min(Bound(between(e, 1, high), strict, form), Bound(between(e, -1, high), strict, form));
  }
  const double bound = Bound(between(low, 1, high), strict, form);
  return equal ? std::min(bound, Bound(between(high, 1, low), strict, form)) : bound;
}

double Sup(const Graph& graph, NodeId mask, NodeId a, NodeId b) {
  LinearForm form;
  if (a) form.terms[a] += 1;
  if (b) form.terms[b] -= 1;
  std::erase_if(form.terms, [](const auto& term) { return term.second == 0; });
  return Sup(graph, mask, form);
}

NodeId FindPositions(const Graph& graph, ir::Axis axis) {
  for (NodeId id : graph.Order())
    if (graph.op(id) == OpKind::Positions && graph[id].attributes.axis == axis) return id;
  return {};
}

}  // namespace heed::passes
