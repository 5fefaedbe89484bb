// What there is to know about an op: its family, type rule, meaning and derivative, in one record.
//
// The table is generated from ops.def; the records stand in op_<family>.cpp. What a machine needs to know of
// an op is not here but in backend/.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ir/graph.h"

namespace heed::ir {

/// Where finite differences and native code are sampled.
struct Domain {
  double low = -2, high = 2;
};

struct OpInfo {
  OpKind kind;
  std::string_view name;  ///< as in the text form
  Family family;
  int inputs;            ///< -1: varies
  std::string_view doc;  ///< one sentence
  bool differentiable;   ///< false: no cotangent ever flows through (comparisons, positions, argmax ...)
  std::string_view no_gradient;  ///< why
  Domain sample;
  /// The type of the result, or InternalError.
  Type (*infer)(const Graph& graph, std::span<const NodeId> inputs, const Attributes& attributes);
  /// Pointwise only: the meaning on numbers (bools are 0 and 1). Null for other families (see interp.h).
  double (*eval)(std::span<const double> arguments);
  /// Cotangents of the inputs, none where there is none; `d` is the cotangent of `node`. Cotangents may still
  /// have axes the input lacks, or lack axes it has: the caller sums and broadcasts. Null: not
  /// differentiable. Slice is the exception: passes/grad gathers the slices of one value into one stack.
  std::vector<NodeId> (*vjp)(Graph& graph, NodeId node, NodeId d);
};

const OpInfo& Info(OpKind kind);
std::span<const OpInfo> AllOps();
std::optional<OpKind> OpNamed(std::string_view name);

inline bool IsPointwise(OpKind kind) { return Info(kind).family == Family::Pointwise; }
inline bool IsReduce(OpKind kind) { return Info(kind).family == Family::Reduce; }
/// Reductions whose result keeps the axes: softmax and log_softmax.
inline bool KeepsAxes(OpKind kind) { return kind == OpKind::Softmax || kind == OpKind::LogSoftmax; }
/// The axes of the cotangent of an attention's capture: its own and the score's but query and key; of a
/// capture of whole pairs, its own alone.
AxisList CaptureCotangentAxes(const Attributes& attention, const AxisList& capture);
/// The mask operand of a Reduce, Contract or ScatterAdd; none if it has none.
NodeId MaskOf(const Node& node);

}  // namespace heed::ir
