// Leaves: constants, inputs, parameters, positions, lengths. Their values come from the attributes or the
// caller.
#include "ir/op_record.h"

namespace heed::ir {

struct LeafOp {
  static constexpr std::string_view kNoGradient = "it has no inputs";
};

template <>
struct Op<OpKind::Const> : LeafOp {
  static constexpr std::string_view kDoc = "a number, a whole number or a truth value";
  static Type Infer(const Graph&, Inputs, const Attributes& at) {
    Require(!at.indexes || at.dtype == DType::Int, "only whole numbers index an axis");
    return {{}, at.dtype, at.indexes};
  }
};

template <>
struct Op<OpKind::Input> : LeafOp {
  static constexpr std::string_view kDoc = "a value the caller gives";
  static Type Infer(const Graph&, Inputs, const Attributes& at) {
    Require(!at.name.empty(), "an input needs a name");
    Require(!at.indexes || at.dtype == DType::Int, "only whole numbers index an axis");
    return {at.axes, at.dtype, at.indexes};
  }
};

template <>
struct Op<OpKind::Param> : LeafOp {
  static constexpr std::string_view kDoc = "a parameter, stored at the bounds of its axes";
  static Type Infer(const Graph& graph, Inputs, const Attributes& at) {
    Require(!at.name.empty(), "a parameter needs a name");
    for (Axis a : at.axes)
      Require(!graph.axes().IsDynamic(a), "parameter " + at.name + " has the free axis " + a.text());
    return {at.axes, at.dtype, at.indexes};
  }
};

template <>
struct Op<OpKind::Positions> : LeafOp {
  static constexpr std::string_view kDoc =
      "the positions 0, 1, 2 ... of an axis; of differences -n ... n - 1, where n is the root's extent";
  static Type Infer(const Graph&, Inputs, const Attributes& at) {
    Require(static_cast<bool>(at.axis), "positions of no axis");
    return {{at.axis}, DType::Int, at.axis.difference() ? Axis() : at.axis.root()};
  }
};

template <>
struct Op<OpKind::Length> : LeafOp {
  static constexpr std::string_view kDoc = "the extent of a dynamic axis in this example";
  static Type Infer(const Graph& graph, Inputs, const Attributes& at) {
    Require(graph.axes().IsDynamic(at.axis), "length of " + at.axis.text() + ", which is not dynamic");
    return {{}, DType::Int, {}};
  }
};

template void DescribeFamily<Family::Leaf>(std::span<OpInfo>);

}  // namespace heed::ir
