// What a mask, an ordinary bool expression, implies about whole numbers: bounds of their differences.
//
// Never wrong and seldom loose (causal, window, prefix, document, strided and padding masks: exact):
// causality, window, length, a read in range. What this leaves alone: terms that are not linear bound
// nothing. Classes of tiles are backend/emit/tile.cpp's affair.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>

#include "ir/graph.h"

namespace heed::passes {

/// A whole number written as a sum of coefficient * value and a constant. No coefficient is 0.
struct LinearForm {
  std::map<ir::NodeId, int64_t> terms;
  int64_t constant = 0;
};

/// `node` as a linear form over its int leaves; none if it is no whole number or overflows.
std::optional<LinearForm> Linear(const ir::Graph& graph, ir::NodeId node);

inline constexpr double kUnbounded = std::numeric_limits<double>::infinity();

/// The largest value of `form` over all places where `mask` is `holds`; kUnbounded if nothing is implied,
/// minus kUnbounded if there is no such place. The form's constant counts.
double Sup(const ir::Graph& graph, ir::NodeId mask, const LinearForm& form, bool holds = true);
/// The largest a - b of two int values; none for `b` stands for 0, none for `a` likewise.
double Sup(const ir::Graph& graph, ir::NodeId mask, ir::NodeId a, ir::NodeId b);

/// The node positions(axis) among those `roots` (default: all outputs) need; none if there is none.
ir::NodeId FindPositions(const ir::Graph& graph, ir::Axis axis);

}  // namespace heed::passes
