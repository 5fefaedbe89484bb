// How each value of a generate entry depends on the sequence that grows.
#pragma once

#include <vector>

#include "passes/pass.h"

namespace heed::passes {

/// Dependence on the generated sequence y over the axis t.
enum class Dependence {
  None,   ///< N: neither on y nor on its length
  Query,  ///< P: row t depends on y[<= t]
  Key,    ///< K: row t' depends on y[<= t']: what a cache can hold
  Both,   ///< PK: rows (t, t'), on y up to the later of them
};

struct Causality {
  ir::Axis axis;                           ///< t
  std::vector<Dependence> dependence;      ///< by node number; None for what the outputs do not need
  std::vector<Complaint> complaints = {};  ///< of kind NotCausal; empty: the entry can be generated
};

/// Of one example's graph with `generate`. A masked reduction over t' is causal if its predicate, or the
/// support of a factor of a contraction, implies that t' <= t.
Causality AnalyzeCausality(const ir::Graph& graph);

/// Masks outside which a value is exactly zero: of a softmax, of a factor, of a select.
std::vector<ir::NodeId> Support(const ir::Graph& graph, ir::NodeId value);

}  // namespace heed::passes
