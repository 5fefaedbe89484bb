// Rows of packed tables.
#include <algorithm>

#include "backend/plan/packed.h"
#include "backend/plan/planner.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::InternalError;
using ir::Node;
using ir::NodeId;

void Planner::Lookup(NodeId id) {
  const Node& node = graph_[id];
  const View table = Memory(node.inputs[0]), index = Memory(node.inputs[1]);
  layout_.Allocate(id);
  const View& out = layout_.ViewOf(id);
  const Axis column = node.attributes.axis;
  AxisList terms = ir::Minus(graph_.axes_of(node.inputs[0]), {column});
  if (const NodeId product = lookups_.at(id)) {
    // In the order of the product that shares the matrix.
    std::vector<Size> order;
    for (Axis axis : TermOrder(product)) {
      for (NodeId operand : graph_[product].inputs) {
        if (ParamUnderNames(graph_, operand) == ParamUnderNames(graph_, node.inputs[0]))
          order.push_back(Memory(operand).Stride(axis));
      }
    }
    const auto place = [&](Axis axis) {
      return std::find(order.begin(), order.end(), table.Stride(axis)) - order.begin();
    };
    std::stable_sort(terms.begin(), terms.end(), [&](Axis x, Axis y) { return place(x) < place(y); });
  }
  LookupStep lookup;
  std::vector<std::pair<Size, Size>> ks;
  for (Axis axis : terms) {
    const Size extent = layout_.ExtentOf(axis);
    ks.emplace_back(extent, table.Stride(axis));
    lookup.ks.push_back({extent, kZero, out.Stride(axis), table.Stride(axis)});
  }
  lookup.table_column = table.Stride(column);
  const auto matrix = MakePackedMatrix(plan_, table, {{layout_.ExtentOf(column), lookup.table_column}}, ks);
  if (!matrix) throw InternalError("a look-up that cannot be packed: " + Text(OriginOf(id)));
  lookup.table = PackedBase(plan_, *matrix);
  lookup.index = index.base;
  lookup.out = out.base;
  for (Axis axis : layout_.OrderOf(id)) {
    if (!ir::Contains(terms, axis))
      lookup.ms.push_back({layout_.ExtentOf(axis), index.Stride(axis), out.Stride(axis), kZero});
  }
  AddStep(id, std::move(lookup));
}

}  // namespace heed::backend
