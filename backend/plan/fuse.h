// Which values are computed together, and which get memory: the graph as an ordered list of items, each one
// matrix product, attention, scatter, look-up of parameters or fused loop.
//
// A value is a root if it must lie in memory: operands of products, attention and scatters, outputs, results
// of reductions, sources of views. Every other value is virtual: recomputed wherever a root needs it, unless
// that costs more than memory (then it becomes a root too). Roots over the same axes join one loop when
// everything they need is there before it. What a loop looks like inside is build_loop.cpp's affair.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "backend/plan/layout.h"
#include "backend/plan/sum_orders.h"

namespace heed::backend {

struct Item {
  enum class Kind { Loop, Matmul, Attention, Scatter, Lookup, Grouped } kind;
  std::vector<ir::NodeId> nodes;  ///< Loop: its roots; Attention: every result that is used; else one
  // Loop only: axes outside and inside (reduced; for a loop without reductions the inner one is the last in
  // order).
  bool reduces = false;
  bool column = false;
  ir::AxisList outer, inner;
  ir::AxisList inner_order =
      {};  ///< in which the terms of its sums are added, where that is given; else empty
};

struct Fusion {
  std::vector<Item> items;
};

/// Layout is asked for orders only; sums that `sums` knows are added as it says. `lookups`: gathers that are
/// items of their own.
Fusion Fuse(const ir::Graph& graph, const Layout& layout, const SumOrders& sums,
            const std::map<ir::NodeId, ir::NodeId>& lookups = {});

/// Values that are recomputed in every loop that needs them: constants, positions, whole-number and bool
/// arithmetic, dropout factors.
bool IsInline(const ir::Graph& graph, ir::NodeId id);

/// Of the values that `is_material` names, those that computing `id` reads as they lie, through a split or a
/// merge. No loop can compute one of them and `id`: it knows elements, not memory.
std::set<ir::NodeId> ReadAsStored(const ir::Graph& graph, ir::NodeId id,
                                  const std::function<bool(ir::NodeId)>& is_material);

/// The axes of a loop root's iteration space: those reduced and those kept.
struct Domain {
  ir::AxisList kept, reduced;
};
Domain DomainOf(const ir::Graph& graph, ir::NodeId id);

}  // namespace heed::backend
