// Fused attention and its gradient. Score, mask and weight are regions; the derivative of the score region
// stands in the node as a second region, so that differentiating an attention only makes AttentionGrad nodes.
//
// With p = exp(score - lse) under the mask and weight w, d and dlse the cotangents of output and log-sum-exp:
// D = sum(d o) - dlse, dv = (p w) d, ds = p (w (d v) - D), dw = p (d v); ds goes through the gradient region
// to the sum over q and k and to the captures, and from the sum through that of the term, if there is one.
// The cotangent of a capture is summed over query and key as far as the capture lacks them, and over nothing
// else: what batch and heads share is summed by whoever wants it, so that the kernel's work can be split over
// them.
#include "ir/attention_operands.h"
#include "ir/op_record.h"

namespace heed::ir {
namespace {

void CheckAttention(const Graph& graph, Inputs inputs, const Attributes& at) {
  const AttentionOperands operands(at);
  Require(at.captures >= 0 && inputs.size() >= operands.forward(), "captures are missing");
  Require(at.regions && at.regions->score, "no score region");
  Require(ContainsAll(graph.axes_of(inputs[operands.kQuery]), at.axes) &&
              ContainsAll(graph.axes_of(inputs[operands.kKey]), at.axes),
          "query or key lacks an axis of the product");
  Require(Contains(at.to, at.axis) && Contains(graph.axes_of(inputs[operands.kKey]), at.axis) &&
              Contains(graph.axes_of(inputs[operands.kValue]), at.axis),
          "key, value or score lacks the key axis");
  Require(!at.query || Contains(at.to, at.query), "the score lacks the query axis");
  for (size_t i = 0; i < operands.captures(); ++i)
    for (Axis a : graph.axes_of(inputs[operands.capture(i)]))
      Require(!a.difference() || (at.query && a.root() == at.query.root() && a.root() == at.axis.root()),
              "a capture varies along differences of other axes");
}

}  // namespace

template <>
struct Op<OpKind::Attention> {
  static constexpr std::string_view kDoc =
      "the values averaged with weights softmax(score(q k)) over the key axis; or the log-sum-exp of the "
      "scores";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    CheckAttention(graph, inputs, at);
    Require(inputs.size() == AttentionOperands(at).forward(), "takes q, k, v and the captures");
    Require(at.index == 0 || at.index == 1, "has two results");
    const AxisList all =
        at.index == 1 ? at.to : Union(at.to, graph.axes_of(inputs[AttentionOperands::kValue]));
    return {Minus(all, {at.axis}), DType::Float, {}};
  }
  static Cotangents Vjp(Graph& graph, const Node& node, NodeId, NodeId d) {
    return node.attributes.index == 0 ? AttentionCotangents(graph, node, d, {})
                                      : AttentionCotangents(graph, node, {}, d);
  }
};

template <>
struct Op<OpKind::AttentionGrad> {
  static constexpr std::string_view kDoc = "the cotangent of one input of an attention";
  static constexpr std::string_view kNoGradient = "second derivatives of fused attention are not supported";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    CheckAttention(graph, inputs, at);
    const AttentionOperands operands(at);
    Require(inputs.size() == operands.backward() || inputs.size() == operands.backward() + 1,
            "takes q, k, v, the captures, output, log-sum-exp, d output and perhaps d log-sum-exp");
    const size_t of = static_cast<size_t>(at.index);
    Require(at.index >= 0 && of < operands.forward(), "no such input");
    const AxisList& axes = graph.axes_of(inputs[of]);
    return {operands.IsCapture(of) ? CaptureCotangentAxes(at, axes) : axes, DType::Float, {}};
  }
};

std::vector<NodeId> AttentionCotangents(Graph& graph, const Node& attention, NodeId d_output,
                                        NodeId d_log_sum_exp) {
  const std::vector<NodeId> inputs = attention.inputs;
  Attributes at = attention.attributes;
  Require(at.regions->gradient != nullptr, "attention without a gradient region");
  std::vector<NodeId> all = inputs;
  for (int64_t result : {0, 1}) {
    at.index = result;
    all.push_back(graph.Make(OpKind::Attention, inputs, at));
  }
  const NodeId output = all[all.size() - 2], log_sum_exp = all.back();
  all.push_back(graph.Broadcast(d_output ? d_output : graph.Const(0), graph.axes_of(output)));
  if (d_log_sum_exp) all.push_back(graph.Broadcast(d_log_sum_exp, graph.axes_of(log_sum_exp)));
  const Graph& gradient = *at.regions->gradient;
  const Graph* const term = at.regions->term_gradient.get();
  std::vector<NodeId> cotangents(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool product = i == AttentionOperands::kQuery || i == AttentionOperands::kKey;
    if (product && !gradient.Output("dr")) continue;
    if (product && term && !term->Output(i == AttentionOperands::kQuery ? "dq" : "dk")) continue;
    if (AttentionOperands::IsCapture(i)) {
      const std::string name = "dc" + std::to_string(AttentionOperands::CaptureNumber(i));
      if (!gradient.Output(name) && !(term && term->Output(name))) continue;
    }
    at.index = static_cast<int64_t>(i);
    cotangents[i] = graph.Make(OpKind::AttentionGrad, all, at);
  }
  return cotangents;
}

AxisList CaptureCotangentAxes(const Attributes& attention, const AxisList& capture) {
  const AxisList pair = {attention.query, attention.axis};
  if (attention.query && ContainsAll(capture, pair)) return capture;
  return Union(Minus(attention.to, pair), capture);
}

template void DescribeFamily<Family::Fused>(std::span<OpInfo>);

}  // namespace heed::ir
