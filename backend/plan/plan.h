// The plan: what a graph becomes before code is generated. A list of steps (fused loops, matrix products,
// attention, scatters) on views of buffers whose sizes are products of extents. Private to the back end.
//
// Made by make_plan.cpp and its parts (layout, fusion into loops, memory); turned into LLVM by backend/emit.
// A plan holds no pointers into the graph it came from, except the regions of attention (shared).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "ir/graph.h"
#include "runtime/kernels/heed_kernels.h"

namespace heed::backend {

/// A non-negative whole number known at call time: factor * product of extents. Terms are indices into
/// Plan::extents, sorted; factor 0 has no terms.
struct Size {
  int64_t factor = 1;
  std::vector<int> terms;
  bool IsStatic() const { return terms.empty(); }
  bool IsZero() const { return factor == 0; }
  friend bool operator==(const Size&, const Size&) = default;
};
Size operator*(const Size& a, const Size& b);

/// Where memory begins: a buffer and an offset in elements (a sum of sizes; empty: 0).
struct Base {
  int buffer = -1;
  std::vector<Size> offset;
  friend bool operator==(const Base&, const Base&) = default;
};

enum class BufferKind { Arena, Input, Output, Param, Packed };
struct Buffer {
  BufferKind kind = BufferKind::Arena;
  int index = 0;  ///< Input, Output: into Plan's lists; Param: into `param_names`; Packed: into `packed`
  ir::DType dtype = ir::DType::Float;  ///< Float: 4 bytes, Int: int32, Bool: one byte
  Size elements;
  int first = 0, last = 0;  ///< steps of first and last use (Arena)
  bool used = true;         ///< by a step
};

/// A matrix of parameters that the runtime packs: columns and terms as row-major nests of axes of a
/// parameter, whose elements are `offset` + the strides.
struct PackedMatrix {
  struct Axis {
    int64_t extent = 1, stride = 0;
    friend bool operator==(const Axis&, const Axis&) = default;
  };
  std::string param;
  int64_t offset = 0;
  std::vector<Axis> ns, ks;
  int64_t Columns() const { return Elements(ns); }
  int64_t Terms() const { return Elements(ks); }
  friend bool operator==(const PackedMatrix&, const PackedMatrix&) = default;

 private:
  static int64_t Elements(const std::vector<Axis>& nest) {
    int64_t elements = 1;
    for (const Axis& axis : nest) elements *= axis.extent;
    return elements;
  }
};

// ---- Fused loops
// ----------------------------------------------------------------------------------------------------
//
// for each index of the outer axes (split over threads):
//   Column mode: for each block of the lane axis (vectorized; also split over threads):
//     for each stage: run its nest over the inner axes; then values between stages
//   Row mode: for each stage: run its nest over the inner axes, the last of them vectorized
//
// A `row` value does not vary along the inner axes: it is computed once between stages (in Column mode it is
// a vector over the lane axis). Every other value is computed inside a stage, where it is needed, again in
// each stage that needs it. Float arithmetic is exactly what the ops say: no contraction, no reassociation.
// In Row mode a Sum adds lane-wise (lane l adds elements l, l + lanes, ...; masked and missing ones add
// nothing) and then its lanes in a fixed tree; over several inner axes the lanes keep adding. In Column mode
// terms are added one by one in row-major order of the inner axes.

/// An operand in memory. Strides are in elements, one for each axis of the kernel (0: does not vary along
/// it).
struct LoopOperand {
  Base base;  ///< buffer -1: a row of scratch (float, contiguous along the inner axes)
  ir::DType dtype = ir::DType::Float;
  std::vector<Size> strides;
};

/// What an argument of Gather indexes: an axis of `size` elements, `stride` apart.
struct LoopPlace {
  Size size, stride;
  friend bool operator==(const LoopPlace&, const LoopPlace&) = default;
};

struct LoopValue {
  enum class Kind {
    Const,     ///< number, dtype
    Position,  ///< index along axis `axis`: Int
    Extent,    ///< `size` as an Int
    Load,      ///< operand
    Gather,    ///< operand[... + the sum of args[i] * places[i].stride], 0 where one of them is out of range
    Op,  ///< pointwise `op` of args; Int arithmetic is int32, comparisons give Bool, the rest Float. Cast: to
         ///< Float
    Keep,  ///< dropout factor: args[0] = number of the example (Int), args[1] = element number (Int, < 2^31),
           ///< site, number = p
    Gumbel,   ///< noise of sampling: args and site as of Keep
    Reduced,  ///< result of reduction `reduction`; a row value
  };
  Kind kind = Kind::Const;
  ir::DType dtype = ir::DType::Float;
  bool row = false;
  ir::OpKind op = ir::OpKind::Add;
  std::vector<int> args;
  double number = 0;
  int axis = -1;
  int operand = -1;
  Size size;
  std::vector<LoopPlace> places;
  std::string site;
  int reduction = -1;
};

/// Whether it needs the key of random bits and the number of its site.
inline bool IsRandom(const LoopValue& value) {
  return value.kind == LoopValue::Kind::Keep || value.kind == LoopValue::Kind::Gumbel;
}

struct LoopReduction {
  ir::OpKind op =
      ir::OpKind::Sum;  ///< Sum, Max (of nothing: -infinity) or Argmax (index along the single inner axis)
  int value = -1;
  int mask = -1;  ///< Bool value or -1
};
struct LoopStore {
  int value = -1;
  int operand = -1;
  /// An Int value: the place along a further axis of the operand, of `size` elements `stride` apart; outside
  /// of them nothing is stored. -1: the operand has no such axis.
  int index = -1;
  Size size = {}, stride = {};
};
struct LoopStage {
  std::vector<LoopReduction> reductions;  ///< numbered through all stages, in order
  std::vector<LoopStore> stores;          ///< of values that are not rows
};

/// The kernel without its place in the program: what is equal is emitted once. Axis numbers: outer, then the
/// lane axis (Column mode only), then inner.
struct LoopKernel {
  bool column = false;
  std::vector<Size> outer;  ///< extents
  Size lane;                ///< Column mode
  std::vector<Size> inner;  ///< may be empty in Column mode without stages: everything is a row value
  std::vector<LoopOperand> operands;
  std::vector<LoopValue> values;  ///< arguments before users
  std::vector<LoopStage> stages;
  std::vector<LoopStore> row_stores;  ///< after the last stage, of row values
  int scratch_rows = 0;               ///< operands with buffer -1; each has its own row
  std::vector<const Base*> Bases() const {
    std::vector<const Base*> bases;
    for (const LoopOperand& operand : operands) bases.push_back(&operand.base);
    return bases;
  }
};

// ---- Steps
// ----------------------------------------------------------------------------------------------------------
//
// Bases() of a kind of step names every place in memory that it reads or writes, absent ones (buffer -1)
// included: lifetimes follow from it.

struct MatmulAxis {
  Size extent, a, b, c, mask;
};
/// What happens to a finished sum before it is stored: a pointwise expression of it, of values that lie as
/// the result does, and of values that vary along the columns only (lying adjacent) or not at all.
struct MatmulEpilogue {
  enum class Access { Result, Columns, Scalar };
  struct Operand {
    Base base;
    Access access = Access::Result;
  };
  std::vector<Operand> operands;
  std::vector<LoopValue> values;  ///< Const, Op, Load of an operand; Reduced is the sum
  int result = -1;
};
struct MatmulStep {
  Base a, b, c;        ///< b: may be a packed matrix; its strides are then the parameter's
  Base mask;           ///< buffer -1: none; else Bool
  bool split = false;  ///< on matrix tiles, where there are any (HeedMatmul)
  std::vector<MatmulAxis> loops, ms, ns, ks;
  std::optional<MatmulEpilogue> epilogue;  ///< then columns lie adjacent in c, as one axis
  std::vector<const Base*> Bases() const {
    std::vector<const Base*> bases = {&a, &b, &c, &mask};
    if (epilogue)
      for (const MatmulEpilogue::Operand& operand : epilogue->operands) bases.push_back(&operand.base);
    return bases;
  }
};
/// Products of rows with that of several factors which an index names (HeedGroupedMatmul).
struct GroupedStep {
  Base a, index, c;
  std::vector<Base> b;                 ///< all packed matrices, or none
  std::vector<MatmulAxis> ms, ns, ks;  ///< `mask`: strides of the index
  std::vector<const Base*> Bases() const {
    std::vector<const Base*> bases = {&a, &index, &c};
    for (const Base& factor : b) bases.push_back(&factor);
    return bases;
  }
};
struct AttentionLoop {
  Size extent, q, k, v, o, lse;
  ir::Axis axis;  ///< for the regions: which axis of the score this is
};
/// A capture as memory: strides for each loop axis, the query axis, the key axis, differences of the two
/// (element key - query + queries), and the axis that terms are summed over.
struct AttentionCapture {
  Base base;
  ir::DType dtype = ir::DType::Float;
  std::vector<Size> loops;
  Size query, key, difference, dot;
};
/// The gradient of a capture, as the kernel wants it (HeedAttentionGradient).
struct AttentionGradient {
  int capture = 0;  ///< its number
  HeedGradientAlong along = kHeedAlongNothing;
  Base to;
  Size query, key;
  std::vector<Size> loops;
};
struct AttentionStep {
  bool backward = false;
  bool split = false;  ///< products on matrix tiles, where there are any (HeedAttention)
  Base q, k, v, o, lse, d_o, d_lse, dq, dk, dv;  ///< buffer -1: absent
  Size queries, keys, dots, values;
  Size q_query, q_dot, k_key, k_dot, v_key, v_value, o_query, o_value, lse_query;
  std::vector<AttentionLoop> loops;
  ir::Axis query_axis, key_axis;  ///< query_axis none: one query
  std::vector<AttentionCapture> captures;
  std::vector<AttentionGradient> gradients;  ///< backward only
  std::shared_ptr<const ir::AttentionRegions> regions;
  std::vector<const Base*> Bases() const {
    std::vector<const Base*> bases = {&q, &k, &v, &o, &lse, &d_o, &d_lse, &dq, &dk, &dv};
    for (const AttentionCapture& capture : captures) bases.push_back(&capture.base);
    for (const AttentionGradient& gradient : gradients) bases.push_back(&gradient.to);
    return bases;
  }
};
struct ScatterAxis {
  Size extent, out, dy, index, mask;
};
struct ScatterStep {
  Base out, dy, index, mask;  ///< mask.buffer -1: none
  Size size, out_stride;
  std::vector<ScatterAxis> kept, summed;
  std::vector<const Base*> Bases() const { return {&out, &dy, &index, &mask}; }
};

/// Rows of a table of parameters: out[m, k] = W[k, index[m]] of a packed matrix.
struct LookupAxis {
  Size extent, index, out, table;  ///< strides; `table`: the parameter's
};
struct LookupStep {
  Base table, index, out;
  Size table_column;  ///< stride of a column in the parameter
  std::vector<LookupAxis> ms, ks;
  std::vector<const Base*> Bases() const { return {&table, &index, &out}; }
};

/// A value that a step computes: what it is, and where in the program it stands.
struct StepOrigin {
  std::string op;        ///< "contract"; of a copy to an output "output logits"
  std::string instance;  ///< path of the module instance: "h.0.attn"
  ir::Place where = {};
  bool gradient = false;
  friend bool operator==(const StepOrigin&, const StepOrigin&) = default;
};
std::string Text(const StepOrigin& origin);

struct Step {
  using Work = std::variant<LoopKernel, MatmulStep, AttentionStep, ScatterStep, LookupStep, GroupedStep>;
  std::vector<StepOrigin> origins;
  Work work;
  size_t result = 0;  ///< of the origins: the one that the others are computed for, or with
  std::vector<const Base*> Bases() const {
    return std::visit([](const auto& kind) { return kind.Bases(); }, work);
  }
};

struct TensorInfo {  ///< an input or output: dense, row-major in `axes`
  std::string name;
  ir::DType dtype;
  ir::AxisList axes;
  std::vector<Size> extents;
};

struct Plan {
  std::string name;                  ///< "train/Train"
  std::vector<std::string> remarks;  ///< of the passes: which attentions are fused, and why others are not
  /// Roots of dynamic and lifted axes; `seq^` is the capacity of caches over seq.
  std::vector<ir::Axis> extents;
  std::vector<TensorInfo> inputs, outputs;
  std::vector<ir::Check> checks;  ///< outputs that must be minus infinity
  std::vector<int> updated;       ///< inputs that a call changes in place; each is the output of its name
  std::vector<std::string> param_names;
  std::vector<PackedMatrix> packed;
  std::vector<Buffer> buffers;
  std::vector<Step> steps;
  std::shared_ptr<const ir::AxisTable> axes;
};

/// Output `name` is stored in this order of axes (others: batch first, then the value's own order).
using OutputOrders = std::vector<std::pair<std::string, ir::AxisList>>;

class SumOrders;

/// Layout, fusion into loops, memory. Sums that `sums` knows are added as it says; it learns the others;
/// null: no other function has to give the same bits. `tables`: parameters do not change while the function
/// is used, so what it multiplies by is packed, and so are those in which it looks rows up (packed.h); null:
/// it trains.
Plan MakePlan(const ir::Graph& graph, std::string name, const OutputOrders& orders, SumOrders* sums = nullptr,
              const std::set<std::string>* tables = nullptr);

/// The plan as text: extents, buffers with lifetimes, one line a step, kernels once.
std::string Print(const Plan& plan);
/// A text that is equal for equal kernels (bases left out).
std::string Key(const LoopKernel& kernel);
std::string Key(const MatmulEpilogue& epilogue);

}  // namespace heed::backend
