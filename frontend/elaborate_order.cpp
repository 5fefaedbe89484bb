// `rank`: a reduction with something added to the op that it is made of.
#include "frontend/elaborate.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;
using ir::DType;
using ir::NodeId;
using ir::OpKind;

/// Where the mask does not hold, the number of all elements.
NodeId Elaborator::Rank(NodeId x, const AxisList& axes, NodeId mask) {
  const NodeId rank = graph_->Reduce(OpKind::Rank, x, axes, mask);
  if (!mask) return rank;
  NodeId all = graph_->ConstInt(1);
  for (Axis axis : axes)
    all = graph_->Mul(
        all, axes_->IsDynamic(axis) ? graph_->Length(axis.root()) : graph_->ConstInt(axes_->Bound(axis)));
  return graph_->Select(mask, rank, all);
}

}  // namespace heed::frontend
