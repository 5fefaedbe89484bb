// Construction of graphs: hash-consing, constant folding, length masks; reading and rebuilding them.
//
// Length masks are added here and nowhere else, so every pass that builds through these functions keeps the
// invariant that verify.cpp checks. What this file leaves alone: the rules of single ops (op_*.cpp).
#include "ir/graph.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ir/int_range.h"
#include "ir/op.h"

namespace heed::ir {
namespace {

// ---- Keys of hash-consing: everything but type (inferred) and origin.

void Append(std::string& key, const void* bytes, size_t size) {
  key.append(static_cast<const char*>(bytes), size);
}

template <typename T>
void AppendValue(std::string& key, T value) {
  Append(key, static_cast<const void*>(&value), sizeof(T));
}

void AppendAxes(std::string& key, const AxisList& axes) {
  AppendValue(key, static_cast<uint32_t>(axes.size()));
  for (Axis a : axes) AppendValue(key, a.id());
}

std::string Key(OpKind op, const std::vector<NodeId>& inputs, const Attributes& attributes) {
  std::string key;
  key.reserve(96 + 4 * inputs.size() + attributes.name.size());
  AppendValue(key, op);
  AppendValue(key, static_cast<uint32_t>(inputs.size()));
  for (NodeId id : inputs) AppendValue(key, id.value);
  AppendAxes(key, attributes.axes);
  AppendAxes(key, attributes.to);
  AppendValue(key, static_cast<uint32_t>(attributes.renames.size()));
  for (auto [from, to] : attributes.renames) {
    AppendValue(key, from.id());
    AppendValue(key, to.id());
  }
  AppendValue(key, attributes.axis.id());
  AppendValue(key, attributes.indexes.id());
  AppendValue(key, attributes.dtype);
  AppendValue(key, attributes.number);  // its bits: 0 and -0 are two constants
  AppendValue(key, attributes.index);
  AppendValue(key, attributes.captures);
  AppendValue(key, attributes.query.id());
  AppendValue(key, reinterpret_cast<uintptr_t>(attributes.regions.get()));
  return key + attributes.name;
}

bool IsConst(const Graph& graph, NodeId id) { return graph.op(id) == OpKind::Const; }

/// A float or whole constant of this value; never a bool.
bool IsNumber(const Graph& graph, NodeId id, double value) {
  return IsConst(graph, id) && graph.type(id).dtype != DType::Bool && graph[id].attributes.number == value;
}

bool IsTrue(const Graph& graph, NodeId id) {
  return IsConst(graph, id) && graph.type(id).dtype == DType::Bool && graph[id].attributes.number != 0;
}

}  // namespace

NodeId Graph::Output(std::string_view name) const {
  for (const auto& [output, value] : outputs)
    if (output == name) return value;
  return {};
}

void Graph::SetOutput(std::string_view name, NodeId value) {
  for (auto& [output, old] : outputs) {
    if (output != name) continue;
    old = value;
    return;
  }
  outputs.emplace_back(name, value);
}

// ---- Construction

NodeId Graph::Make(OpKind op, std::vector<NodeId> inputs, Attributes attributes) {
  std::string key = Key(op, inputs, attributes);
  if (const auto found = interned_.find(key); found != interned_.end()) return found->second;
  const OpInfo& info = Info(op);
  const auto fail = [&](const std::string& why) {
    std::string text = std::string(info.name) + "(";
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (i) text += ", ";
      text += inputs[i].value < nodes_.size() ? Text(type(inputs[i])) : "?";
    }
    throw InternalError(text + "): " + why + (origin.where ? " at " + origin.where.Text() : ""));
  };
  if (info.inputs >= 0 && inputs.size() != static_cast<size_t>(info.inputs)) fail("wrong number of inputs");
  for (NodeId id : inputs)
    if (id.value >= nodes_.size()) fail("an input is not of this graph");
  Type type;
  try {
    type = info.infer(*this, inputs, attributes);
  } catch (const InternalError& error) {
    fail(error.what());
  }
  for (size_t i = 0; i < type.axes.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (type.axes[i] == type.axes[j]) fail("axis " + type.axes[i].text() + " twice in the result");
  const NodeId id{static_cast<uint32_t>(nodes_.size())};
  nodes_.push_back({op, std::move(inputs), std::move(attributes), std::move(type), origin, adjoint});
  interned_.emplace(std::move(key), id);
  return id;
}

NodeId Graph::Const(double value) {
  return Make(OpKind::Const, {}, {.dtype = DType::Float, .number = value});
}

NodeId Graph::ConstInt(int64_t value) {
  return Make(OpKind::Const, {}, {.dtype = DType::Int, .number = static_cast<double>(value)});
}

NodeId Graph::ConstBool(bool value) {
  return Make(OpKind::Const, {}, {.dtype = DType::Bool, .number = value ? 1.0 : 0.0});
}

NodeId Graph::Positions(Axis axis) { return Make(OpKind::Positions, {}, {.axis = axis}); }

NodeId Graph::Length(Axis axis) { return Make(OpKind::Length, {}, {.axis = axis.root()}); }

NodeId Graph::Pointwise(OpKind op, std::vector<NodeId> inputs) {
  const OpInfo& info = Info(op);
  if (op != OpKind::Stop && !inputs.empty() &&
      std::all_of(inputs.begin(), inputs.end(), [&](NodeId i) { return IsConst(*this, i); })) {
    const Type result = info.infer(*this, inputs, {});
    std::vector<double> arguments;
    for (NodeId i : inputs) arguments.push_back(nodes_[i.value].attributes.number);
    const double value = info.eval(arguments);
    // A whole number that is none (x % 0), or that 32 bits do not hold, stays an op.
    if (result.dtype != DType::Int || FitsInt(value))
      return Make(OpKind::Const, {}, {.indexes = result.indexes, .dtype = result.dtype, .number = value});
  }
  if (op == OpKind::And) {
    for (const auto& [constant, other] : {std::pair{inputs[0], inputs[1]}, std::pair{inputs[1], inputs[0]}}) {
      if (!IsConst(*this, constant)) continue;
      return IsTrue(*this, constant) ? other : Broadcast(constant, axes_of(other));
    }
  }
  if (op == OpKind::Mul || op == OpKind::Div) {
    if (IsNumber(*this, inputs[1], 1) && type(inputs[0]).dtype == DType::Float) return inputs[0];
    if (op == OpKind::Mul && IsNumber(*this, inputs[0], 1) && type(inputs[1]).dtype == DType::Float)
      return inputs[1];
  }
  return Make(op, std::move(inputs));
}

NodeId Graph::LengthMask(const AxisList& reduced, const AxisList& have) {
  NodeId mask;
  for (Axis a : have) {
    if (!axes_->IsDynamic(a)) continue;
    const auto found = ragged.find(a.root());
    if (found == ragged.end()) continue;
    const NodeId length = found->second;
    const Axis batch = axes_of(length).at(0);
    if (!Contains(reduced, a) && !Contains(reduced, batch)) continue;
    if (adjoint && !Contains(have, batch)) continue;  // already summed: nothing about it is ragged
    const NodeId inside = Pointwise(OpKind::Lt, {Positions(a), length});
    mask = mask ? And(mask, inside) : inside;
  }
  return mask;
}

NodeId Graph::WithLengthMask(NodeId mask, const AxisList& reduced, const AxisList& have) {
  const NodeId lengths = LengthMask(reduced, have);
  if (!lengths) return mask;
  if (!mask) return lengths;
  const std::vector<NodeId> present = Conjuncts(*this, mask);
  NodeId missing;
  for (NodeId part : Conjuncts(*this, lengths)) {
    if (std::find(present.begin(), present.end(), part) != present.end()) continue;
    missing = missing ? And(missing, part) : part;
  }
  return missing ? And(mask, missing) : mask;
}

NodeId Graph::Reduce(OpKind op, NodeId x, const AxisList& axes, NodeId mask) {
  if (axes.empty()) {
    if (op != OpKind::Sum && op != OpKind::Max)
      throw InternalError(std::string(Info(op).name) + " along no axis");
    if (!mask) return x;
    return Select(mask, x, type(x).dtype == DType::Float ? Const(0) : ConstInt(0));
  }
  x = Broadcast(x, axes);
  mask = WithLengthMask(mask, axes, mask ? Union(axes_of(x), axes_of(mask)) : axes_of(x));
  std::vector<NodeId> inputs{x};
  if (mask && !IsTrue(*this, mask)) inputs.push_back(mask);
  return Make(op, std::move(inputs), {.axes = axes});
}

NodeId Graph::Contract(NodeId a, NodeId b, const AxisList& axes, NodeId mask) {
  if (axes.empty()) {
    NodeId product = Mul(a, b);
    if (type(product).dtype != DType::Float) product = Pointwise(OpKind::Cast, {product});
    return mask && !IsTrue(*this, mask) ? Select(mask, product, Const(0)) : product;
  }
  AxisList have = Union(axes_of(a), axes_of(b));
  if (mask) have = Union(have, axes_of(mask));
  mask = WithLengthMask(mask, axes, have);
  std::vector<NodeId> inputs{a, b};
  if (mask && !IsTrue(*this, mask)) inputs.push_back(mask);
  return Make(OpKind::Contract, std::move(inputs), {.axes = axes});
}

NodeId Graph::ScatterAdd(NodeId dy, NodeId index, Axis axis, const AxisList& to) {
  const AxisList have = Union(axes_of(dy), axes_of(index));
  std::vector<NodeId> inputs{dy, index};
  if (const NodeId mask = LengthMask(Minus(have, to), have)) inputs.push_back(mask);
  return Make(OpKind::ScatterAdd, std::move(inputs), {.to = to, .axis = axis});
}

NodeId Graph::Broadcast(NodeId x, const AxisList& axes) {
  if (ContainsAll(axes_of(x), axes)) return x;
  return Make(OpKind::Broadcast, {x}, {.axes = Union(axes_of(x), axes)});
}

NodeId Graph::Rename(NodeId x, const std::vector<std::pair<Axis, Axis>>& renames) {
  std::vector<std::pair<Axis, Axis>> real;
  for (auto [from, to] : renames)
    if (from != to && Contains(axes_of(x), from)) real.emplace_back(from, to);
  return real.empty() ? x : Make(OpKind::Rename, {x}, {.renames = std::move(real)});
}

NodeId Graph::Again(const Node& node, std::vector<NodeId> inputs) {
  return Again(node, std::move(inputs), node.attributes);
}

NodeId Graph::Again(const Node& node, std::vector<NodeId> inputs, Attributes attributes) {
  const Origin outer_origin = std::exchange(origin, node.origin);
  const bool outer_adjoint = std::exchange(adjoint, node.adjoint);
  NodeId result;
  switch (Info(node.op).family) {
    case Family::Pointwise:
      result = Pointwise(node.op, std::move(inputs));
      break;
    case Family::Reduce:
      result = Reduce(node.op, inputs[0], attributes.axes, inputs.size() > 1 ? inputs[1] : NodeId{});
      break;
    case Family::Contract:
      result = Contract(inputs[0], inputs[1], attributes.axes, inputs.size() > 2 ? inputs[2] : NodeId{});
      break;
    case Family::Leaf:
    case Family::Axes:
    case Family::Index:
    case Family::Random:
    case Family::Fused:
      if (node.op == OpKind::Broadcast) {
        result = Broadcast(inputs[0], attributes.axes);
      } else if (node.op == OpKind::Rename) {
        result = Rename(inputs[0], attributes.renames);
      } else if (node.op == OpKind::ScatterAdd) {
        const AxisList have = Union(axes_of(inputs[0]), axes_of(inputs[1]));
        const NodeId old = inputs.size() > 2 ? inputs[2] : NodeId{};
        inputs.resize(2);
        if (const NodeId mask = WithLengthMask(old, Minus(have, attributes.to), have)) inputs.push_back(mask);
        result = Make(node.op, std::move(inputs), std::move(attributes));
      } else {
        result = Make(node.op, std::move(inputs), std::move(attributes));
      }
  }
  origin = outer_origin;
  adjoint = outer_adjoint;
  return result;
}

// ---- Reading

std::vector<NodeId> Graph::Order(std::span<const NodeId> roots) const {
  std::vector<NodeId> all;
  if (roots.empty()) {
    for (const auto& [name, value] : outputs) all.push_back(value);
    roots = all;
  }
  std::vector<NodeId> order;
  std::vector<bool> seen(nodes_.size());
  std::vector<std::pair<NodeId, size_t>> stack;  // a node and how many of its inputs have been entered
  for (NodeId root : roots) {
    if (seen[root.value]) continue;
    seen[root.value] = true;
    stack.emplace_back(root, 0);
    while (!stack.empty()) {
      auto& [id, next] = stack.back();
      const std::vector<NodeId>& inputs = nodes_[id.value].inputs;
      while (next < inputs.size() && seen[inputs[next].value]) ++next;
      if (next == inputs.size()) {
        order.push_back(id);
        stack.pop_back();
        continue;
      }
      const NodeId input = inputs[next++];
      seen[input.value] = true;
      stack.emplace_back(input, 0);
    }
  }
  return order;
}

std::vector<std::vector<NodeId>> Graph::Users() const {
  std::vector<std::vector<NodeId>> users(nodes_.size());
  for (NodeId id : Order())
    for (NodeId input : nodes_[id.value].inputs) users[input.value].push_back(id);
  return users;
}

namespace {

void RebuildInOrder(Graph& copy, const Graph& graph, const std::vector<NodeId>& order,
                    const Replace& replace) {
  if (copy.ragged.empty())
    for (const auto& [root, length] : graph.ragged) copy.ragged[root] = copy.Again(graph[length], {});
  std::vector<NodeId> map(graph.size());
  for (NodeId id : order) {
    const Node& node = graph[id];
    std::vector<NodeId> inputs;
    inputs.reserve(node.inputs.size());
    for (NodeId input : node.inputs) inputs.push_back(map[input.value]);
    copy.origin = node.origin;
    copy.adjoint = node.adjoint;
    NodeId result;
    if (replace) result = replace(copy, id, node, inputs);
    map[id.value] = result ? result : copy.Again(node, std::move(inputs));
  }
  copy.origin = {};
  copy.adjoint = false;
  for (const auto& [name, value] : graph.outputs) copy.SetOutput(name, map[value.value]);
  copy.checks.insert(copy.checks.end(), graph.checks.begin(), graph.checks.end());
  CarryGenerate(copy, graph);
}

}  // namespace

void RebuildInto(Graph& copy, const Graph& graph, const Replace& replace) {
  RebuildInOrder(copy, graph, graph.Order(), replace);
}

void CarryGenerate(Graph& copy, const Graph& graph) {
  copy.generate = graph.generate;
  if (!graph.generate || (!graph.generate->from && graph.generate->until.empty())) return;
  auto generate = std::make_shared<GenerateInfo>(*graph.generate);
  std::vector<NodeId*> ids{&generate->from};
  for (NodeId& end : generate->until) ids.push_back(&end);
  for (NodeId* id : ids) {
    if (!*id || id->value >= graph.size()) continue;
    // A constant, perhaps as an element of the vocabulary.
    const NodeId roots[] = {*id};
    std::map<NodeId, NodeId> map;
    for (NodeId each : graph.Order(roots)) {
      std::vector<NodeId> inputs;
      for (NodeId input : graph[each].inputs) inputs.push_back(map.at(input));
      map[each] = copy.Again(graph[each], std::move(inputs));
    }
    *id = map.at(*id);
  }
  copy.generate = std::move(generate);
}

Graph Rebuild(const Graph& graph, const Replace& replace) {
  Graph copy(graph.shared_axes());
  RebuildInto(copy, graph, replace);
  return copy;
}

Graph Rebuild(const Graph& graph, const std::vector<NodeId>& order, const Replace& replace) {
  Graph copy(graph.shared_axes());
  RebuildInOrder(copy, graph, order, replace);
  return copy;
}

std::vector<NodeId> Conjuncts(const Graph& graph, NodeId mask) {
  std::vector<NodeId> leaves, stack{mask};
  while (!stack.empty()) {
    const NodeId id = stack.back();
    stack.pop_back();
    if (graph.op(id) != OpKind::And) {
      leaves.push_back(id);
      continue;
    }
    stack.push_back(graph[id].inputs[1]);
    stack.push_back(graph[id].inputs[0]);
  }
  return leaves;
}

}  // namespace heed::ir
