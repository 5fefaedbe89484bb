// In which order sums add their terms, where layout or fusion decide it: kept from the first function of an
// entry for the others, so that a step of decoding adds what the whole adds in the same order, whatever lies
// how in either. Private to the back end.
#pragma once

#include <map>
#include <string>

#include "ir/graph.h"

namespace heed::backend {

class SumOrders {
 public:
  struct Order {
    bool column = false;  ///< a reduction of a loop in column mode
    ir::AxisList inner;   ///< the summed axes, outermost first; rings stand for their axes
  };
  /// Of the reduction or product `id`; null if none like it was met. Sums of one place of the program over
  /// the same axes add in the same way.
  const Order* Find(const ir::Graph& graph, ir::NodeId id) const;
  /// Kept if it is the first of its kind.
  void Keep(const ir::Graph& graph, ir::NodeId id, bool column, const ir::AxisList& inner);
  /// `axes` in the order of `known`.
  static ir::AxisList Sorted(const ir::AxisList& axes, const Order& known);

 private:
  static ir::Axis Plain(ir::Axis axis);
  static std::string KeyOf(const ir::Graph& graph, ir::NodeId id);
  std::map<std::string, Order> orders_;
};

}  // namespace heed::backend
