// Contraction: the sum over `axes` of a product; the only multiply-add there is. An optional mask selects the
// terms.
#include "ir/op_record.h"

namespace heed::ir {

template <>
struct Op<OpKind::Contract> {
  static constexpr std::string_view kDoc = "the sum over axes of the product of two values";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    Require(inputs.size() == 2 || inputs.size() == 3, "takes two values and perhaps a mask");
    Require(inputs.size() == 2 || graph.type(inputs[2]).dtype == DType::Bool, "the mask is no truth value");
    const AxisList all = UnionOfAxes(graph, inputs);
    Require(!at.axes.empty() && ContainsAll(all, at.axes), "no operand has an axis of " + Text(at.axes));
    for (size_t i = 0; i < at.axes.size(); ++i)
      for (size_t j = 0; j < i; ++j) Require(at.axes[i] != at.axes[j], "an axis twice");
    return {Minus(all, at.axes), DType::Float, {}};
  }
  /// Bilinear: each factor's cotangent is d contracted with the other, over what the factor lacks.
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    const NodeId mask = MaskOf(node);
    Cotangents cotangents(node.inputs.size());
    for (int i = 0; i < 2; ++i) {
      const NodeId factor = node.inputs[i], other = node.inputs[1 - i];
      if (graph.type(factor).dtype != DType::Float) continue;
      AxisList have = Union(graph.axes_of(d), graph.axes_of(other));
      if (mask) have = Union(have, graph.axes_of(mask));
      cotangents[i] = graph.Contract(d, other, Minus(have, graph.axes_of(factor)), mask);
    }
    return cotangents;
  }
};

template void DescribeFamily<Family::Contract>(std::span<OpInfo>);

}  // namespace heed::ir
