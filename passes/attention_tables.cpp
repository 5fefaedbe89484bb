// A value is free (it lacks both axes), a difference, or something else. Whole numbers are looked at as
// linear forms, in which the positions of query and key must have opposite coefficients; everything else is a
// difference if all it is made of is free or a difference. Reductions over other axes keep that.
#include "passes/attention_tables.h"

#include <cmath>

#include "passes/mask.h"

namespace heed::passes {

using ir::DType;
using ir::Family;

struct Differences::Form {
  int64_t difference = 0;  ///< coefficient of key - query
  LinearForm rest;
};

namespace {

bool IsDearOp(OpKind op) {
  if (ir::IsPointwise(op)) return ir::Info(op).cost >= ir::Cost::Division;
  return op == OpKind::Gather || ir::IsReduce(op) || op == OpKind::Contract;
}

}  // namespace

Differences::Differences(const Graph& graph, Axis query, Axis key, std::function<bool(NodeId)> varies)
    : graph_(graph), query_(query), key_(key), varies_(std::move(varies)) {}

bool Differences::IsTable(NodeId id) {
  if (!query_ || query_.root() != key_.root()) return false;
  for (Axis axis : {query_, key_})
    if (axis.stored() || axis.ring()) return false;
  return Of(id) == Kind::kDifference && IsDear(id);
}

Differences::Kind Differences::Of(NodeId id) {
  const auto found = kinds_.find(id);
  if (found != kinds_.end()) return found->second;
  const Kind kind = Compute(id);
  kinds_.emplace(id, kind);
  return kind;
}

Differences::Kind Differences::Compute(NodeId id) {
  const Node& node = graph_[id];
  if (!Contains(node.type.axes, query_) && !Contains(node.type.axes, key_)) return Kind::kFree;
  Form form;
  if (node.type.dtype == DType::Int && Linear(id, {}, form)) return Kind::kDifference;
  if (ir::IsComparison(node.op) && Linear(node.inputs[0], node.inputs[1], form)) return Kind::kDifference;
  const ir::Attributes& at = node.attributes;
  bool keeps = false;
  switch (ir::Info(node.op).family) {
    case Family::Pointwise:
      keeps = node.op != OpKind::Stop;
      break;
    case Family::Reduce:
    case Family::Contract:
      keeps = !Contains(at.axes, query_) && !Contains(at.axes, key_);
      break;
    default:
      keeps = node.op == OpKind::Broadcast || node.op == OpKind::Element ||
              (node.op == OpKind::Gather && at.axis != query_ && at.axis != key_);
      break;
  }
  if (!keeps) return Kind::kOther;
  for (NodeId input : node.inputs)
    if (Of(input) == Kind::kOther) return Kind::kOther;
  return Kind::kDifference;
}

/// a - b (none: 0) as a linear form of the difference and of terms that are free or differences.
bool Differences::Linear(NodeId a, NodeId b, Form& form) {
  std::optional<LinearForm> all = passes::Linear(graph_, a);
  if (b && all) {
    const std::optional<LinearForm> other = passes::Linear(graph_, b);
    if (!other) return false;
    all->constant -= other->constant;
    for (const auto& [leaf, coefficient] : other->terms) all->terms[leaf] -= coefficient;
  }
  if (!all) return false;
  int64_t query = 0;
  for (const auto& [leaf, coefficient] : all->terms) {
    const Node& node = graph_[leaf];
    if (node.op == OpKind::Positions && node.attributes.axis == key_) {
      form.difference = coefficient;
    } else if (node.op == OpKind::Positions && node.attributes.axis == query_) {
      query = coefficient;
    } else if (leaf == a || leaf == b || Of(leaf) == Kind::kOther) {
      return false;  // no sum at all, or of something else
    } else if (coefficient != 0) {
      form.rest.terms.emplace(leaf, coefficient);
    }
  }
  form.rest.constant = all->constant;
  return form.difference == -query;
}

bool Differences::IsDear(NodeId id) {
  const Node& node = graph_[id];
  if (Of(id) == Kind::kFree) return varies_(id);
  if (IsDearOp(node.op)) return true;
  for (NodeId input : node.inputs)
    if (IsDear(input)) return true;
  return false;
}

NodeId Differences::MakeTable(Graph& copy, NodeId id, const std::function<NodeId(NodeId)>& given,
                              double least, double most) {
  std::map<NodeId, NodeId> made;
  NodeId difference = copy.Positions(query_.Difference());
  if (std::isfinite(most))
    difference = copy.Pointwise(OpKind::Minimum, {difference, copy.ConstInt(static_cast<int64_t>(most))});
  if (std::isfinite(least))
    difference = copy.Pointwise(OpKind::Maximum, {difference, copy.ConstInt(static_cast<int64_t>(least))});
  const std::function<NodeId(NodeId)> make = [&](NodeId value) -> NodeId {
    if (const auto found = made.find(value); found != made.end()) return found->second;
    if (Of(value) == Kind::kFree) return given(value);
    const Node& node = graph_[value];
    const auto sum = [&](const Form& form) {
      NodeId total;
      const auto add = [&](NodeId term, int64_t coefficient) {
        if (coefficient == 0) return;
        if (coefficient != 1) term = copy.Mul(term, copy.ConstInt(coefficient));
        total = total ? copy.Add(total, term) : term;
      };
      add(difference, form.difference);
      for (const auto& [leaf, coefficient] : form.rest.terms) add(make(leaf), coefficient);
      if (form.rest.constant != 0 || !total) add(copy.ConstInt(form.rest.constant), 1);
      return total;
    };
    Form form;
    NodeId result;
    copy.origin = node.origin;
    if (node.type.dtype == DType::Int && Linear(value, {}, form)) {
      result = sum(form);
    } else if (IsComparison(node.op) && Linear(node.inputs[0], node.inputs[1], form = {})) {
      result = copy.Pointwise(node.op, {sum(form), copy.ConstInt(0)});
    } else {
      std::vector<NodeId> inputs;
      for (NodeId input : node.inputs) inputs.push_back(make(input));
      result = node.op == OpKind::Broadcast ? copy.Broadcast(inputs[0], Minus(node.type.axes, {query_, key_}))
                                            : copy.Again(node, std::move(inputs));
    }
    made.emplace(value, result);
    return result;
  };
  return copy.Broadcast(make(id), {query_.Difference()});
}

}  // namespace heed::passes
