// Chance: a pure function of seed, step, number of the example, site and element (runtime/base/random.h).
#include "ir/op_record.h"

namespace heed::ir {

template <>
struct Op<OpKind::Gumbel> {
  static constexpr std::string_view kDoc =
      "noise that turns the largest of the logits it is added to into a draw from their softmax";
  static constexpr std::string_view kNoGradient = "it depends on no value";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    Require(graph.type(inputs[0]).dtype == DType::Int, "the example is a whole number");
    return {Union(graph.axes_of(inputs[0]), at.axes), DType::Float, {}};
  }
};

template <>
struct Op<OpKind::Keep> {
  static constexpr std::string_view kDoc = "dropout's factor: 0 with probability p, else 1 / (1 - p)";
  static constexpr std::string_view kNoGradient = "it depends on no value";
  static Type Infer(const Graph& graph, Inputs inputs, const Attributes& at) {
    Require(graph.type(inputs[0]).dtype == DType::Int, "the example is a whole number");
    Require(at.number >= 0 && at.number <= 1, "a probability lies between 0 and 1");
    return {Union(graph.axes_of(inputs[0]), at.axes), DType::Float, {}};
  }
};

template void DescribeFamily<Family::Random>(std::span<OpInfo>);

}  // namespace heed::ir
