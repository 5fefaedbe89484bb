// Reductions along axes, with an optional mask: a masked element is not there.
//
// The softmaxes and rank keep the axes, the others remove them. Over nothing a sum and a softmax are 0, a
// maximum or a log-sum-exp is -infinity. Several axes count as one, row-major in the order given.
#include "ir/op_record.h"

namespace heed::ir {
namespace {

struct ReduceOp {
  static void Check(const Graph& graph, Inputs inputs, const Attributes& at) {
    Require(inputs.size() == 1 || inputs.size() == 2, "takes a value and perhaps a mask");
    Require(inputs.size() == 1 || graph.type(inputs[1]).dtype == DType::Bool, "the mask is no truth value");
    Require(!at.axes.empty(), "along no axis");
    Require(ContainsAll(graph.axes_of(inputs[0]), at.axes), "the value lacks an axis of " + Text(at.axes));
    for (size_t i = 0; i < at.axes.size(); ++i)
      for (size_t j = 0; j < i; ++j) Require(at.axes[i] != at.axes[j], "an axis twice");
  }
  static AxisList Removed(const Graph& graph, Inputs inputs, const Attributes& at) {
    Check(graph, inputs, at);
    return Minus(UnionOfAxes(graph, inputs), at.axes);
  }
};

struct KeepingOp {
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    ReduceOp::Check(graph, inputs, at);
    return {UnionOfAxes(graph, inputs), DType::Float, {}};
  }
};

/// The cotangent of x, nothing where masked; the mask of a reduction gets none.
Cotangents Masked(Graph& graph, const Node& node, NodeId t) {
  const NodeId mask = MaskOf(node);
  if (mask) t = graph.Select(mask, t, graph.Const(0));
  Cotangents cotangents(node.inputs.size());
  cotangents[0] = t;
  return cotangents;
}

}  // namespace

template <>
struct Op<OpKind::Argmax> {
  static constexpr std::string_view kDoc = "the position of the first largest element along one axis";
  static constexpr std::string_view kFunction = "argmax";
  static constexpr std::string_view kNoGradient = "steps are flat";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    Require(at.axes.size() == 1, "along exactly one axis");
    return {ReduceOp::Removed(graph, inputs, at), DType::Int, at.axes[0].root()};
  }
};

template <>
struct Op<OpKind::LogSoftmax> : KeepingOp {
  static constexpr std::string_view kDoc =
      "the logarithm of softmax, computed stably; -infinity where masked";
  static constexpr std::string_view kFunction = "log_softmax";
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId self, NodeId d) {
    const NodeId total = graph.Reduce(OpKind::Sum, d, node.attributes.axes, MaskOf(node));
    return Masked(graph, node, graph.Sub(d, graph.Mul(graph.Pointwise(OpKind::Exp, {self}), total)));
  }
};

template <>
struct Op<OpKind::LogSumExp> {
  static constexpr std::string_view kDoc = "the logarithm of the sum of exp(x), computed stably";
  static constexpr std::string_view kFunction = "logsumexp";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    return {ReduceOp::Removed(graph, inputs, at), DType::Float, {}};
  }
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    const NodeId softmax = graph.Reduce(OpKind::Softmax, node.inputs[0], node.attributes.axes, MaskOf(node));
    return Masked(graph, node, graph.Mul(softmax, d));
  }
};

template <>
struct Op<OpKind::Max> {
  static constexpr std::string_view kDoc = "the largest element; the gradient goes to the first largest";
  static constexpr std::string_view kFunction = "max";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    const DType dtype = graph.type(inputs[0]).dtype;
    Require(dtype != DType::Bool, "the largest truth value");
    return {ReduceOp::Removed(graph, inputs, at), dtype, {}};
  }
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    // Axis by axis: the largest of the last axis first, whose row is then found along the ones before it.
    const NodeId x = node.inputs[0], mask = MaskOf(node);
    AxisList before = node.attributes.axes;
    const Axis last = before.back();
    before.pop_back();
    const auto hot = [&](NodeId value, Axis axis, NodeId where) {
      return graph.Make(OpKind::Onehot, {graph.Reduce(OpKind::Argmax, value, {axis}, where)}, {.axis = axis});
    };
    NodeId t = d;
    if (!before.empty()) {
      // largest[i]: over all axes but the first i + 1
      std::vector<NodeId> largest(before.size());
      NodeId value = graph.Reduce(OpKind::Max, x, {last}, mask);
      for (size_t i = before.size(); i-- > 0;) {
        largest[i] = value;
        if (i > 0) value = graph.Reduce(OpKind::Max, value, {before[i]});
      }
      for (size_t i = 0; i < before.size(); ++i) t = graph.Mul(hot(largest[i], before[i], {}), t);
    }
    return Masked(graph, node, graph.Mul(hot(x, last, mask), t));
  }
};

template <>
struct Op<OpKind::Rank> {
  static constexpr std::string_view kDoc =
      "how many elements that are there come before each: larger ones, equal ones at a lower position, every "
      "number before what is none";
  static constexpr std::string_view kFunction = "rank";
  static constexpr std::string_view kNoGradient = "steps are flat";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    Require(graph.type(inputs[0]).dtype != DType::Bool, "the rank of truth values");
    return {KeepingOp::Infer(graph, inputs, at).axes, DType::Int, {}};
  }
};

template <>
struct Op<OpKind::Softmax> : KeepingOp {
  static constexpr std::string_view kDoc = "exp(x) divided by its sum, computed stably; 0 where masked";
  static constexpr std::string_view kFunction = "softmax";
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId self, NodeId d) {
    const NodeId total = graph.Reduce(OpKind::Sum, graph.Mul(self, d), node.attributes.axes, MaskOf(node));
    return Masked(graph, node, graph.Mul(self, graph.Sub(d, total)));
  }
};

template <>
struct Op<OpKind::Sum> {
  static constexpr std::string_view kDoc = "the sum; of truth values the number of true ones";
  static constexpr std::string_view kFunction = "sum";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    const DType dtype = graph.type(inputs[0]).dtype;
    return {ReduceOp::Removed(graph, inputs, at), dtype == DType::Bool ? DType::Int : dtype, {}};
  }
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    return Masked(graph, node, graph.Broadcast(d, graph.axes_of(node.inputs[0])));
  }
};

template void DescribeFamily<Family::Reduce>(std::span<OpInfo>);

}  // namespace heed::ir
