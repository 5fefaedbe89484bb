// What there is to know about an op, in one record: its family, type rule, meaning and derivative, how
// programs call it, what it costs and what a vector of its elements takes.
//
// The table is generated from ops.def; the records stand in op_<family>.cpp. The code for a machine is not
// here but in backend/emit/vector.cpp.
#pragma once

#include <array>
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

/// From which elements to which a pointwise op leads.
enum class Elements : uint8_t {
  Alike,     ///< numbers to numbers, whole ones to whole ones (select: truth values to truth values as well)
  Floats,    ///< numbers to floats
  Wholes,    ///< numbers to whole ones
  Compared,  ///< numbers, or truth values, to a truth value
  Logical,   ///< truth values to a truth value
};

/// What one element of a pointwise op costs, cheap ones first. What a class weighs in a decision stands with
/// the decisions (backend/plan/cost.h).
enum class Cost : uint8_t {
  Arithmetic,    ///< an instruction or a few
  Remainder,     ///< a few for whole numbers by a constant, much code for others
  Division,      ///< one slow instruction
  Function,      ///< a polynomial
  LongFunction,  ///< the argument reduced first, or two polynomials
  Power,
};

/// How a result moves with one operand while the others stay: rising is never falling. Of the exact meaning;
/// what a kernel's function approximates may waver by its last digit.
enum class Trend : uint8_t { Any, Rises, Falls };
using Trends = std::array<Trend, 3>;  ///< of each operand

/// What machines do with vectors of elements; backend/emit/vector.cpp has code for each.
enum class Instruction : uint8_t {
  // clang-format off
  Abs, Add, And, Copy, Divide, Equal, Floor, Greater, GreaterEqual, Larger, Less, LessEqual, Multiply, Negate,
  Not, NotEqual, Or, Power, Quotient, Relu, Remainder, Root, Select, Smaller, Subtract,
  Call,  ///< of a kernel's function
  // clang-format on
};

/// How vectors are computed: by an instruction, or by the kernels' function heed_v_NAME.
struct VectorCode {
  Instruction instruction = Instruction::Call;
  std::string_view function = {};  ///< NAME
  constexpr VectorCode() = default;
  constexpr VectorCode(Instruction what) : instruction(what) {}
  constexpr VectorCode(const char* name) : function(name) {}
};

/// The record of an op. What is said of pointwise ops only is empty for others.
struct OpInfo {
  OpKind kind;
  std::string_view name;  ///< as in the text form
  Family family;
  int inputs;                    ///< -1: varies
  std::string_view doc;          ///< one sentence
  std::string_view function;     ///< how programs call it; empty: by an operator, or not at all
  Elements elements = {};        ///< pointwise
  Cost cost = {};                ///< pointwise
  Trends trends = {};            ///< pointwise
  VectorCode vector = {};        ///< pointwise
  bool differentiable = false;   ///< false: no cotangent ever flows through (comparisons, argmax ...)
  std::string_view no_gradient;  ///< why
  /// Pointwise: a cotangent of 0 gives cotangents of 0 even where operands or result are infinite or no
  /// numbers. Where it does not and the value is not needed, passes/grad sees to it.
  bool keeps_zero = false;
  Domain sample = {};
  /// The type of the result, or InternalError.
  Type (*infer)(const Graph& graph, std::span<const NodeId> inputs, const Attributes& attributes) = nullptr;
  /// Pointwise only: the meaning on numbers (bools are 0 and 1). Null for other families (see interp.h).
  double (*eval)(std::span<const double> arguments) = nullptr;
  /// Cotangents of the inputs, none where there is none; `d` is the cotangent of `node`. Cotangents may still
  /// have axes the input lacks, or lack axes it has: the caller sums and broadcasts. Null: not
  /// differentiable. Slice is the exception: passes/grad gathers the slices of one value into one stack.
  std::vector<NodeId> (*vjp)(Graph& graph, NodeId node, NodeId d) = nullptr;
};

const OpInfo& Info(OpKind kind);
std::span<const OpInfo> AllOps();
std::optional<OpKind> OpNamed(std::string_view name);
/// The op of a family that programs call by this name.
std::optional<OpKind> OpCalled(std::string_view function, Family family);

inline bool IsPointwise(OpKind kind) { return Info(kind).family == Family::Pointwise; }
inline bool IsComparison(OpKind kind) {
  return IsPointwise(kind) && Info(kind).elements == Elements::Compared;
}
inline bool IsReduce(OpKind kind) { return Info(kind).family == Family::Reduce; }
inline bool IsSoftmax(OpKind kind) { return kind == OpKind::Softmax || kind == OpKind::LogSoftmax; }
/// Reductions whose result keeps the axes: softmaxes and rank.
inline bool KeepsAxes(OpKind kind) { return IsSoftmax(kind) || kind == OpKind::Rank; }
/// Cotangents of an attention's inputs from those of its output and of its log-sum-exp, either of which may
/// be none: one computation for both.
std::vector<NodeId> AttentionCotangents(Graph& graph, const Node& attention, NodeId d_output,
                                        NodeId d_log_sum_exp);
/// The axes of the cotangent of an attention's capture: its own and the score's but query and key; of a
/// capture of whole pairs, its own alone.
AxisList CaptureCotangentAxes(const Attributes& attention, const AxisList& capture);
/// The mask operand of a Reduce, Contract or ScatterAdd; none if it has none.
NodeId MaskOf(const Node& node);

}  // namespace heed::ir
