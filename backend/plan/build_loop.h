// One fused loop: the expressions of its roots, unfolded down to memory, arranged in stages.
#pragma once

#include <set>

#include "backend/plan/fuse.h"
#include "backend/plan/layout.h"

namespace heed::backend {

/// The kernel of a loop item. Every value it needs from elsewhere has memory in `layout`; roots in `stored`
/// have been allocated and are written, the others live in the kernel only.
/// Loop axes are left as they are, in the order of the root's storage: Flatten joins them.
LoopKernel BuildLoop(const ir::Graph& graph, const Layout& layout, const Item& item,
                     const std::set<ir::NodeId>& stored);

/// The axes of a loop item, outermost first, as its largest value lies; those it sums over also in this
/// order.
ir::AxisList LoopAxes(const ir::Graph& graph, const Layout& layout, const Item& item);

/// A loop that copies one view to another over `axes`.
LoopKernel BuildCopy(const Layout& layout, const View& from, const View& to, const ir::AxisList& axes);

/// Joins neighbouring loop axes that every operand walks as one.
void Flatten(LoopKernel& kernel);

}  // namespace heed::backend
