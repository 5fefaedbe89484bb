// Ops that read or write at computed positions. All are total: out of range reads 0 and writes nothing.
#include "ir/op_record.h"

namespace heed::ir {
namespace {

void RequireInt(const Graph& graph, NodeId id) {
  Require(graph.type(id).dtype == DType::Int, "an index is a whole number");
}

}  // namespace

template <>
struct Op<OpKind::Element> {
  static constexpr std::string_view kDoc = "a whole number as an element of an axis";
  static constexpr std::string_view kNoGradient = "whole numbers do not vary";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    RequireInt(graph, inputs[0]);
    return {graph.axes_of(inputs[0]), DType::Int, at.indexes};
  }
};

template <>
struct Op<OpKind::Gather> {
  static constexpr std::string_view kDoc = "x read along an axis at an index; out of range reads 0";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    const Type& x = graph.type(inputs[0]);
    RequireInt(graph, inputs[1]);
    Require(Contains(x.axes, at.axis), "the value lacks " + at.axis.text());
    Require(!Contains(graph.axes_of(inputs[1]), at.axis), "the index has " + at.axis.text());
    return {Union(Minus(x.axes, {at.axis}), graph.axes_of(inputs[1])), x.dtype, x.indexes};
  }
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    const NodeId index = node.inputs[1];
    return {graph.ScatterAdd(d, index, node.attributes.axis, graph.axes_of(node.inputs[0])), NodeId{}};
  }
};

template <>
struct Op<OpKind::GroupedContract> {
  static constexpr std::string_view kDoc =
      "the sum over axes of the product of a value and that of several factors which an index names; 0 where "
      "it "
      "names none";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    Require(inputs.size() > 2, "takes a value, an index and factors");
    RequireInt(graph, inputs[1]);
    const AxisList &x = graph.axes_of(inputs[0]), &index = graph.axes_of(inputs[1]);
    const AxisList& factor = graph.axes_of(inputs[2]);
    for (NodeId id : inputs.subspan(2))
      Require(SameSet(graph.axes_of(id), factor), "factors of different axes");
    Require(SameSet(Intersection(x, factor), at.axes),
            "value and factors share other axes than those summed");
    Require(!at.axes.empty() && factor.size() > at.axes.size(), "the factors are no matrices");
    Require(Intersection(index, factor).empty(), "the index has an axis of the factors");
    return {Minus(Union(Union(x, index), factor), at.axes), DType::Float, {}};
  }
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    const NodeId x = node.inputs[0], index = node.inputs[1];
    const AxisList& factor = graph.axes_of(node.inputs[2]);
    d = graph.Broadcast(d, node.type.axes);
    Cotangents cotangents(node.inputs.size());
    std::vector<NodeId> inputs = node.inputs;
    inputs[0] = d;
    cotangents[0] =
        graph.Make(OpKind::GroupedContract, std::move(inputs), {.axes = Minus(factor, node.attributes.axes)});
    const AxisList rows = Minus(Union(graph.axes_of(d), graph.axes_of(x)), factor);
    for (size_t i = 2; i < cotangents.size(); ++i) {
      const NodeId number = graph.ConstInt(static_cast<int64_t>(i) - 2);
      cotangents[i] = graph.Contract(d, x, rows, graph.Pointwise(OpKind::Eq, {index, number}));
    }
    return cotangents;
  }
};

template <>
struct Op<OpKind::Onehot> {
  static constexpr std::string_view kDoc = "1 where the position along an axis is the index, else 0";
  static constexpr std::string_view kFunction = "onehot";
  static constexpr std::string_view kNoGradient = "steps are flat";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    RequireInt(graph, inputs[0]);
    AxisList axes = graph.axes_of(inputs[0]);
    axes.push_back(at.axis);
    return {axes, DType::Float, {}};
  }
};

template <>
struct Op<OpKind::ScatterAdd> {
  static constexpr std::string_view kDoc =
      "zeros to which dy is added along an axis at an index, summed over the axes the result lacks";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    Require(inputs.size() == 2 || inputs.size() == 3, "takes dy, an index and perhaps a mask");
    RequireInt(graph, inputs[1]);
    Require(inputs.size() == 2 || graph.type(inputs[2]).dtype == DType::Bool, "the mask is no truth value");
    Require(Contains(at.to, at.axis), "the result lacks " + at.axis.text());
    for (NodeId id : inputs)
      Require(!Contains(graph.axes_of(id), at.axis), "an operand has " + at.axis.text());
    return {at.to, DType::Float, {}};
  }
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    NodeId t = graph.Make(OpKind::Gather, {graph.Broadcast(d, node.type.axes), node.inputs[1]},
                          {.axis = node.attributes.axis});
    if (const NodeId mask = MaskOf(node)) t = graph.Select(mask, t, graph.Const(0));
    Cotangents cotangents(node.inputs.size());
    cotangents[0] = t;
    return cotangents;
  }
};

template <>
struct Op<OpKind::Write> {
  static constexpr std::string_view kDoc = "the cache with a row in place of the one at a slot";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    const Type& cache = graph.type(inputs[0]);
    RequireInt(graph, inputs[2]);
    Require(Contains(cache.axes, at.axis), "the cache lacks " + at.axis.text());
    const AxisList rest = Minus(cache.axes, {at.axis});
    for (int i = 1; i < 3; ++i)
      Require(ContainsAll(rest, graph.axes_of(inputs[i])), "row or slot has an axis the cache lacks");
    return {cache.axes, cache.dtype, cache.indexes};
  }
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    const Axis axis = node.attributes.axis;
    const NodeId slot = node.inputs[2];
    d = graph.Broadcast(d, node.type.axes);
    const NodeId here = graph.Pointwise(OpKind::Eq, {graph.Positions(axis), slot});
    return {graph.Select(here, graph.Const(0), d), graph.Make(OpKind::Gather, {d, slot}, {.axis = axis}),
            NodeId{}};
  }
};

template void DescribeFamily<Family::Index>(std::span<OpInfo>);

}  // namespace heed::ir
