// What an operation walks are the axes of its operands and of its result; gradients and what passes make of
// it walk no others. What follows from the first fault would be told again, so only that is.
#include "passes/axis_limit.h"

#include "ir/limits.h"
#include "passes/context.h"

namespace heed::passes {

std::vector<Complaint> TooManyAxes(const Graph& graph) {
  for (const NodeId id : graph.Order()) {
    const Node& node = graph[id];
    AxisList axes = node.type.axes;
    for (const NodeId input : node.inputs) axes = ir::Union(axes, graph.axes_of(input));
    if (axes.size() <= ir::kMostAxes) continue;
    return {{frontend::DiagnosticKind::TooManyAxes,
             node.origin.where,
             "an operation over " + std::to_string(axes.size()) + " axes at once, [" + Text(axes) +
                 "]; there may be " + std::to_string(ir::kMostAxes),
             {"sum over some before, or merge static axes that always come together: `x[a, b -> ab]` with "
              "`axis ab = |a| * |b|`"}}};
  }
  return {};
}

}  // namespace heed::passes
