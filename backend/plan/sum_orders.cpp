#include "backend/plan/sum_orders.h"

#include <algorithm>

#include "ir/op.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::Graph;
using ir::NodeId;

Axis SumOrders::Plain(Axis axis) {
  return axis.ring() ? Axis(axis.text().substr(0, axis.text().find('%'))) : axis;
}

std::string SumOrders::KeyOf(const Graph& graph, NodeId id) {
  const ir::Node& node = graph[id];
  AxisList axes;
  for (Axis axis : node.attributes.axes) axes.push_back(Plain(axis));
  std::sort(axes.begin(), axes.end());
  return std::string(ir::Info(node.op).name) + "[" + ir::Text(axes) + "] " + node.origin.instance + " @ " +
         node.origin.where.Text();
}

const SumOrders::Order* SumOrders::Find(const Graph& graph, NodeId id) const {
  const auto found = orders_.find(KeyOf(graph, id));
  return found == orders_.end() ? nullptr : &found->second;
}

void SumOrders::Keep(const Graph& graph, NodeId id, bool column, const AxisList& inner) {
  Order order{column, {}};
  for (Axis axis : inner) order.inner.push_back(Plain(axis));
  orders_.emplace(KeyOf(graph, id), std::move(order));
}

AxisList SumOrders::Sorted(const AxisList& axes, const Order& known) {
  AxisList sorted = axes;
  const auto place = [&](Axis axis) {
    return std::find(known.inner.begin(), known.inner.end(), Plain(axis)) - known.inner.begin();
  };
  std::stable_sort(sorted.begin(), sorted.end(), [&](Axis a, Axis b) { return place(a) < place(b); });
  return sorted;
}

}  // namespace heed::backend
