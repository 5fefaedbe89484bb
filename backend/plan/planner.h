// The state in which a graph becomes a plan, shared by the files that make one kind of step each:
// make_plan.cpp drives; matmul.cpp, grouped.cpp, attention.cpp, lookup.cpp and scatter.cpp make steps.
// Private to backend/plan.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backend/plan/fuse.h"
#include "backend/plan/layout.h"
#include "backend/plan/plan.h"
#include "backend/plan/sum_orders.h"

namespace heed::backend {

inline const Size kZero{.factor = 0};

/// Neighbours that every operand walks as one axis become one.
void Join(std::vector<MatmulAxis>& nest);

class Planner {
 public:
  /// Arguments as of MakePlan; `graph` is expanded and outlives the planner.
  Planner(const ir::Graph& graph, std::string name, const OutputOrders& orders, SumOrders* sums,
          const std::set<std::string>* tables);
  Plan Run();

 private:
  // ---- make_plan.cpp: what is computed where
  /// Loop roots that something outside their loop reads.
  void FindStored();
  /// The view of a value that must be in memory, deriving views of views on the way.
  const View& Memory(ir::NodeId id);
  /// Axes in the order a view stores them; those it lacks last.
  ir::AxisList OrderOfStrides(const View& view, const ir::AxisList& axes) const;
  /// Views inside a loop's expressions are derived before the loop is built, where their sources have memory.
  void PrepareViews(const Item& item);
  void Loop(const Item& item);
  /// Outputs that are made of what item `item` computes (-1: of inputs), at once, so that nothing waits for
  /// them in memory.
  void CopyOutputs(int item);
  int OutputBuffer(int index) const;
  StepOrigin OriginOf(ir::NodeId id) const;
  /// Steps are numbered by now: each buffer learns who uses it first and last.
  void PlaceLifetimes();
  void AddStep(ir::NodeId id, Step::Work work) { plan_.steps.push_back({{OriginOf(id)}, std::move(work)}); }

  // ---- matmul.cpp
  /// Products whose result only one loop reads, element by element, with everything else that loop needs
  /// computed before the product: candidates for computing the loop as the product's epilogue.
  void FindEpilogues();
  /// The loop as an epilogue of the product, or nothing if it is more than that. `product` lies where the
  /// loop's root does; `columns` are the axes of the product's columns.
  std::optional<MatmulEpilogue> MakeEpilogue(ir::NodeId product, const Item& loop,
                                             const ir::AxisList& columns);
  void Matmul(ir::NodeId id);
  /// The candidate as the epilogue of the product `id`, if its `columns` lie adjacent as one axis.
  std::optional<MatmulEpilogue> TakeEpilogue(ir::NodeId id, const Item& candidate,
                                             const ir::AxisList& columns);
  /// Terms of a product are added in the order in which the left operand stores them, or as is known of it.
  ir::AxisList TermOrder(ir::NodeId id);
  /// Are products large enough for split operands? Not where decoding must give the same bits: it goes row by
  /// row. The bounds of the axes decide, not the extents of a batch, of which results must not depend.
  bool SplitPays(const ir::AxisList& rows, const ir::AxisList& columns, const ir::AxisList& terms) const;

  // ---- grouped.cpp, lookup.cpp, scatter.cpp
  void Grouped(ir::NodeId id);
  void Lookup(ir::NodeId id);
  void Scatter(ir::NodeId id);

  // ---- attention.cpp
  void Attention(const std::vector<ir::NodeId>& results);
  /// The query axis; without one, the longest of the axes that keys and values lack (query heads that share a
  /// key head) makes as good a row.
  ir::Axis QueryOf(const ir::Node& node) const;
  /// Bases, extents and strides of q, k, v (the first of `views`), o and lse.
  void WalkOperands(ir::NodeId result, const std::vector<View>& views, const View& o, const View& lse,
                    const ir::AxisList& value_axes, AttentionStep& attention);
  void WalkCaptures(const ir::Node& node, const std::vector<View>& views, AttentionStep& attention) const;
  /// The kernel always writes output and log-sum-exp; one that nobody reads goes to a buffer of its own.
  void KeepUnread(AttentionStep& attention);
  /// The gradient of a capture gets memory in which differences lie adjacent, and keys beside their queries.
  AttentionGradient CaptureGradient(ir::NodeId id, const AttentionStep& attention, const ir::AxisList& dots);
  /// An operand as attention walks it: `innermost` with one stride and, where a gradient is written with the
  /// same strides, each element in a place of its own. Copied if it does not lie so.
  View Walkable(ir::NodeId id, const ir::AxisList& innermost, bool has_gradient);
  /// One stride walks them all.
  bool LieAdjacent(const View& view, const ir::AxisList& axes) const;
  /// One stride for a nest of axes that lies adjacent in `view`.
  Size OneStride(const View& view, const ir::AxisList& axes, ir::NodeId id) const;
  /// Memory in which the value lies exactly as in `view`, copied there if it does not: kernels walk both
  /// the same way.
  Base LyingLike(const View& view, ir::NodeId id);
  /// Copies the value to new memory, walked as `to` says, which learns where it is.
  void CopyTo(View& to, ir::NodeId id);

  Plan plan_;
  const ir::Graph& graph_;
  Layout layout_;
  SumOrders* sums_;
  const bool pack_;
  const std::map<ir::NodeId, ir::NodeId> lookups_;  // as FindLookups has them
  Fusion fusion_;
  std::set<ir::NodeId> stored_;
  std::map<ir::NodeId, int> item_of_;
  std::map<ir::NodeId, std::set<int>> readers_;       // items that read a stored value; -1: an output
  std::map<int, std::vector<size_t>> outputs_after_;  // numbers of outputs, by the item they are made of
  std::map<ir::NodeId, const Item*> epilogues_;       // candidates, by product
  std::set<const Item*> absorbed_;                    // loops that became epilogues
};

}  // namespace heed::backend
