// Ops that only move elements between axes. Each one's derivative is its inverse.
#include "ir/op_record.h"

namespace heed::ir {

template <>
struct Op<OpKind::Broadcast> {
  static constexpr std::string_view kDoc = "the value, repeated along axes it lacks";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    Require(ContainsAll(at.axes, graph.axes_of(inputs[0])), "an axis would be lost");
    return {at.axes, graph.type(inputs[0]).dtype, graph.type(inputs[0]).indexes};
  }
  static Cotangents Vjp(Graph&, const Node&, NodeId, NodeId d) { return {d}; }  // the caller sums
};

template <>
struct Op<OpKind::Merge> {
  static constexpr std::string_view kDoc = "several static axes as one, row-major";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    const Type& x = graph.type(inputs[0]);
    Require(at.axis && ContainsAll(x.axes, at.axes), "the value lacks an axis of " + Text(at.axes));
    AxisList axes = Minus(x.axes, at.axes);
    axes.push_back(at.axis);
    return {axes, x.dtype, x.indexes};
  }
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    const Attributes& at = node.attributes;
    return {
        graph.Make(OpKind::Split, {graph.Broadcast(d, node.type.axes)}, {.to = at.axes, .axis = at.axis})};
  }
};

template <>
struct Op<OpKind::Rename> {
  static constexpr std::string_view kDoc = "the value on axes of other names";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    Type type = graph.type(inputs[0]);
    for (Axis& axis : type.axes) {
      for (auto [from, to] : at.renames) {
        if (from != axis) continue;
        axis = to;
        break;
      }
    }
    return type;
  }
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    std::vector<std::pair<Axis, Axis>> back;
    for (auto [from, to] : node.attributes.renames) back.emplace_back(to, from);
    return {graph.Rename(graph.Broadcast(d, node.type.axes), back)};
  }
};

template <>
struct Op<OpKind::Slice> {
  static constexpr std::string_view kDoc = "one element of a static axis";
  static constexpr std::string_view kFunction = "unpack";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    const Type& x = graph.type(inputs[0]);
    Require(Contains(x.axes, at.axis), "the value lacks " + at.axis.text());
    Require(!graph.axes().IsDynamic(at.axis) && at.index >= 0 && at.index < graph.axes().Bound(at.axis),
            "no element " + std::to_string(at.index) + " on " + at.axis.text());
    return {Minus(x.axes, {at.axis}), x.dtype, x.indexes};
  }
  /// The rule of one slice alone; passes/grad joins the slices of one value in one stack.
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    const Attributes& at = node.attributes;
    d = graph.Broadcast(d, node.type.axes);
    std::vector<NodeId> parts(graph.axes().Bound(at.axis), graph.Broadcast(graph.Const(0), graph.axes_of(d)));
    parts[at.index] = d;
    return {graph.Make(OpKind::Stack, std::move(parts), {.axis = at.axis})};
  }
};

template <>
struct Op<OpKind::Split> {
  static constexpr std::string_view kDoc = "one static axis as several, row-major";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    const Type& x = graph.type(inputs[0]);
    Require(Contains(x.axes, at.axis) && !at.to.empty(), "the value lacks " + at.axis.text());
    Type type{{}, x.dtype, x.indexes};
    for (Axis axis : x.axes) {
      if (axis == at.axis) {
        type.axes.insert(type.axes.end(), at.to.begin(), at.to.end());
      } else {
        type.axes.push_back(axis);
      }
    }
    return type;
  }
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    const Attributes& at = node.attributes;
    return {
        graph.Make(OpKind::Merge, {graph.Broadcast(d, node.type.axes)}, {.axes = at.to, .axis = at.axis})};
  }
};

template <>
struct Op<OpKind::Stack> {
  static constexpr std::string_view kDoc = "one input for each element of a static axis";
  static constexpr std::string_view kFunction = "stack";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    Require(!graph.axes().IsDynamic(at.axis) &&
                static_cast<int64_t>(inputs.size()) == graph.axes().Bound(at.axis),
            "one input an element of " + at.axis.text());
    Type type{{at.axis}, graph.type(inputs[0]).dtype, graph.type(inputs[0]).indexes};
    for (NodeId id : inputs) {
      const Type& part = graph.type(id);
      Require(part.dtype == type.dtype, "the inputs differ in type");
      if (part.indexes != type.indexes) type.indexes = {};
      Require(!Contains(part.axes, at.axis), "an input has " + at.axis.text() + " already");
      type.axes = Union(type.axes, part.axes);
    }
    return type;
  }
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    Cotangents cotangents;
    d = graph.Broadcast(d, node.type.axes);
    for (size_t i = 0; i < node.inputs.size(); ++i)
      cotangents.push_back(
          graph.Make(OpKind::Slice, {d}, {.axis = node.attributes.axis, .index = static_cast<int64_t>(i)}));
    return cotangents;
  }
};

template void DescribeFamily<Family::Axes>(std::span<OpInfo>);

}  // namespace heed::ir
