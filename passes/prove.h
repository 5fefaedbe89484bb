// Proofs that a whole number stays within bounds wherever a condition holds.
//
// Sums of coefficient * leaf are bounded by intervals of their leaves and by what the condition says, a few
// steps of Fourier and Motzkin's elimination: F <= 0 follows from d <= 0 if F - c * d <= 0 for some c > 0.
// Never wrong, not complete: what cannot be proved may still hold. Left alone: numbers with a point.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "ir/graph.h"
#include "ir/int_range.h"
#include "passes/mask.h"

namespace heed::passes {

/// The least and the largest value of a whole number, whatever the data.
struct Range {
  double low, high;
};

/// What whole numbers are at compile time: one int is 32 bits.
using ir::kLeastInt, ir::kMostInt;

class Prover {
 public:
  /// `present`: roots of dynamic axes that are never empty.
  explicit Prover(ir::Graph& graph, std::set<ir::Axis> present = {})
      : graph_(graph), never_empty_(std::move(present)) {}

  /// Of each element, where it is needed and every op before it stayed within 32 bits.
  Range RangeOf(ir::NodeId id);
  /// Arithmetic whose range is not known to fit 32 bits.
  bool MayOverflow(ir::NodeId id);
  /// It fits wherever `way` holds; arguments as of AtMost.
  bool Fits(ir::NodeId id, ir::NodeId way, const ir::AxisList& domain);

  /// a <= b + offset wherever `way` holds (none: everywhere). No `a` or `b` stands for 0. `domain`: axes of
  /// which there is an element. May add nodes.
  bool AtMost(ir::NodeId a, ir::NodeId b, int64_t offset, ir::NodeId way, const ir::AxisList& domain);

 private:
  using Facts = std::vector<LinearForm>;  // each is <= 0
  using Renames = std::vector<std::pair<ir::Axis, ir::Axis>>;

  Range Compute(ir::NodeId id);
  Range Pointwise(const ir::Node& node);
  /// Of a whole number, by what `way` says of it.
  Range RangeWhere(ir::NodeId id, ir::NodeId way, const ir::AxisList& domain);
  std::optional<LinearForm> Form(ir::NodeId id, const Renames& renames);
  /// Adds what `way` (or its negation) implies to each of `cases`; several cases where it is an alternative.
  void Imply(ir::NodeId way, bool holds, const Renames& renames, std::vector<Facts>& cases);
  void Known(const LinearForm& form, Facts& facts, std::set<ir::NodeId>& seen);
  bool NotPositive(const LinearForm& form, const Facts& facts, int depth);
  double Largest(const LinearForm& form);

  ir::Graph& graph_;
  std::map<ir::NodeId, Range> ranges_;
  const std::set<ir::Axis> never_empty_;
  std::set<ir::Axis> present_;  // roots that have an element, in the proof at hand
};

}  // namespace heed::passes
