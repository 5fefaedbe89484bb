// Where values lie in memory: the order in which a value's axes are stored, and values that are views of
// others (renames, slices, splits, merges of adjacent axes, broadcasts, reads of stored axes at their own
// positions).
//
// Order, outermost first: lifted axes, dynamic axes, static axes in order of appearance, key-side twins; a
// value that is merged keeps the merged axes adjacent; outputs follow the order asked for, and so do the
// pointwise chains that lead to them. What a step of decoding keeps lies as the step reads it, rows
// outermost; the memory of a cache reaches further along its growing axis than the step has positions, to its
// capacity. Which values get memory at all is decided in fuse.cpp.
#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "backend/plan/plan.h"

namespace heed::backend {

struct View {
  Base base;
  ir::DType dtype = ir::DType::Float;
  std::vector<std::pair<ir::Axis, Size>> strides;  ///< axes without one do not vary
  Size Stride(ir::Axis axis) const;                ///< 0 for axes it lacks
};

/// True for a value that is only another view of its input's elements.
bool IsViewOp(const ir::Graph& graph, ir::NodeId id);

class Layout {
 public:
  /// `plan` receives extents, inputs, outputs, params and their buffers.
  Layout(const ir::Graph& graph, Plan& plan, const OutputOrders& orders);

  Size ExtentOf(ir::Axis axis) const;
  Size Elements(const ir::AxisList& axes) const;
  const ir::AxisList& OrderOf(ir::NodeId id) const { return orders_[id.value]; }
  /// The innermost axis of a value in memory or meant for it; none for a scalar.
  ir::Axis InnermostOf(ir::NodeId id) const;

  /// True once the value, or what it is a view of, has memory.
  bool HasMemory(ir::NodeId id) const { return views_[id.value].has_value(); }
  const View& ViewOf(ir::NodeId id) const { return *views_[id.value]; }
  /// Gives the value a buffer of its own in its order (that of an output, where it is one).
  void Allocate(ir::NodeId id);
  /// The same in an order of the caller's.
  void AllocateInOrder(ir::NodeId id, const ir::AxisList& order);
  /// The value lies where `view` says, which belongs to another.
  void Place(ir::NodeId id, const View& view) { views_[id.value] = view; }
  /// Gives the value memory of its own that is walked exactly as `like` is.
  void AllocateLike(ir::NodeId id, const View& like);
  /// Derives the view of a view op from its input's; false where that is not possible (a merge of strided
  /// axes).
  bool DeriveView(ir::NodeId id);
  /// Memory in which the axes of `merge` lie adjacent, for its input to be copied to; `merge` becomes a view
  /// of it.
  View AllocateForMerge(ir::NodeId merge);

  /// Its number in Plan::outputs; -1 for one that is updated in place.
  int OutputNumber(const std::string& name) const {
    const auto found = output_index_.find(name);
    return found == output_index_.end() ? -1 : found->second;
  }
  /// The buffer of output `index` is not yet bound to the value that computes it: copy needed.
  bool OutputIsBound(int index) const { return output_bound_[index]; }
  View OutputView(int index);

 private:
  /// Numbers the roots of the axes whose extents are known at run time only.
  void NumberExtents(const std::vector<ir::NodeId>& order);
  /// The buffer of an input or param.
  void DeclareGiven(ir::NodeId id);
  void DeclareOutput(const std::string& name, ir::NodeId value, const OutputOrders& orders);
  void ChooseOrders(const OutputOrders& orders);
  /// The orders in which outputs are wanted, by value; empty for all others.
  std::vector<ir::AxisList> OrdersOfOutputs(const OutputOrders& orders) const;
  /// The order that a value is wanted in asks its inputs for theirs, unless they are asked already.
  void WishFor(ir::NodeId user, std::vector<ir::AxisList>& wanted) const;
  /// The order of a value of which nobody wants one.
  ir::AxisList OwnOrder(const ir::Node& node) const;
  ir::AxisList OrderOfLargestInput(const ir::Node& node) const;  ///< empty where none has all axes
  ir::AxisList OrderOfScores(const ir::Node& product) const;     ///< empty where it is none of scores
  ir::AxisList DefaultOrder(const ir::Type& type) const;
  View MakeView(int buffer, const ir::AxisList& order, bool cache = false) const;
  /// How far the memory of a cache reaches along an axis.
  Size CapacityOf(ir::Axis axis) const;
  bool IsGrowing(ir::Axis axis) const;
  ir::AxisList OrderOfKept(ir::NodeId input, const std::vector<std::vector<ir::NodeId>>& users) const;
  int NewArenaBuffer(ir::DType dtype, const ir::AxisList& axes);

  const ir::Graph& graph_;
  Plan& plan_;
  std::map<ir::Axis, int> extent_index_;
  std::map<std::string, int> output_index_;
  std::vector<ir::AxisList> orders_;
  std::vector<std::optional<View>> views_;
  std::vector<bool> output_bound_;
  bool steps_ = false;  ///< the graph is a step: every axis of slots is alone
};

}  // namespace heed::backend
