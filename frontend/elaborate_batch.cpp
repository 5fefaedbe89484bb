// Losses that see their batch: `x[batch -> batch']` is the value of all examples, `batch` the place of the
// example in its batch, `|batch|` how many there are. The graph stays one of one example (ir/batch_axis.h).
#include <algorithm>

#include "frontend/elaborate.h"
#include "ir/batch_axis.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;

bool Elaborator::SeesBatch(const Frame& frame, const AxisList& axes, Loc loc) {
  const auto about = [](Axis axis) { return axis.root() == ir::BatchAxis(); };
  if (kind_ == EntryKind::Minimize || std::none_of(axes.begin(), axes.end(), about)) return true;
  Report(frame, DiagnosticKind::BatchOutsideLoss, loc,
         "only a loss can see the other examples of its batch; this entry does not minimize")
      .notes.push_back(
          "what an entry gives for an example does not depend on which others it is computed with");
  return false;
}

bool Elaborator::IsOwnExample(const Frame& frame, Axis axis, Loc loc, const std::string& what) {
  if (axis != ir::BatchAxis()) return false;
  Report(frame, DiagnosticKind::BatchAxis, loc, "a value is that of its own example: it has no axis `batch`")
      .notes.push_back("`x[batch -> batch']` is the value of all examples, along `batch'`: write `" + what +
                       "`");
  return true;
}

Value Elaborator::AllExamples(const Value& x, const AxisList& from, const AxisList& to, const Expr& expr,
                              Frame& frame) {
  const Loc loc = expr.op_loc.file ? expr.op_loc : expr.loc;
  if (!SeesBatch(frame, {ir::BatchAxis()}, loc)) return {};
  if (from.size() != 1 || to.size() != 1 || from[0] != ir::BatchAxis() || to[0] == from[0] ||
      to[0].root() != from[0]) {
    Report(frame, DiagnosticKind::BatchAxis, loc, "`batch` only becomes one of its twins, by itself")
        .notes.push_back("write `[batch -> batch']`, and other renames in brackets of their own");
    return {};
  }
  for (Axis axis : x.order) {
    if (axis == to[0]) {
      Report(frame, DiagnosticKind::AxisClash, loc,
             "renaming to `" + Show(frame, axis) + "`, which the value has already: " + Show(frame, x.order));
      return {};
    }
    if (!axes_->IsDynamic(axis) || axis.root() == ir::BatchAxis()) continue;
    Report(frame, DiagnosticKind::DynamicAxis, loc,
           "`" + Show(frame, axis) +
               "` is as long as the example: that of another one has no such elements here")
        .notes.push_back("reduce `" + Show(frame, axis) + "` first, for example by `mean[" +
                         Show(frame, axis) + "](...)`");
    return {};
  }
  SetOrigin(frame, loc);
  AxisList order = x.order;
  order.insert(order.begin(), to[0]);
  const ir::NodeId all = graph_->Broadcast(x.node, {ir::BatchAxis()});
  return Moved(x, graph_->Rename(all, {{ir::BatchAxis(), to[0]}}), order);
}

}  // namespace heed::frontend
