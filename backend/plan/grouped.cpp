// Grouped products: each row with the factor that its index names.
#include "backend/plan/packed.h"
#include "backend/plan/planner.h"
#include "runtime/kernels/heed_kernels.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::InternalError;
using ir::Node;
using ir::NodeId;

void Planner::Grouped(NodeId id) {
  const Node& node = graph_[id];
  const View a = Memory(node.inputs[0]), index = Memory(node.inputs[1]), b = Memory(node.inputs[2]);
  GroupedStep grouped{.a = a.base, .index = index.base, .c = {}, .b = {}, .ms = {}, .ns = {}, .ks = {}};
  std::vector<View> factors{b};
  for (size_t i = 3; i < node.inputs.size(); ++i) {
    factors.push_back(b);
    factors.back().base = LyingLike(b, node.inputs[i]);
  }
  layout_.Allocate(id);
  const View& c = layout_.ViewOf(id);
  grouped.c = c.base;
  const auto axis_of = [&](Axis axis) {
    return MatmulAxis{layout_.ExtentOf(axis), a.Stride(axis), b.Stride(axis), c.Stride(axis),
                      index.Stride(axis)};
  };
  for (Axis axis : layout_.OrderOf(id))
    (ir::Contains(graph_.axes_of(node.inputs[2]), axis) ? grouped.ns : grouped.ms).push_back(axis_of(axis));
  for (Axis axis : TermOrder(id)) grouped.ks.push_back(axis_of(axis));
  std::vector<PackedMatrix> matrices;
  for (const View& factor : pack_ ? factors : std::vector<View>()) {
    const auto nest = [](const std::vector<MatmulAxis>& axes) {
      std::vector<std::pair<Size, Size>> pairs;
      for (const MatmulAxis& axis : axes) pairs.emplace_back(axis.extent, axis.b);
      return pairs;
    };
    if (const auto matrix = MakePackedMatrix(plan_, factor, nest(grouped.ns), nest(grouped.ks)))
      matrices.push_back(*matrix);
  }
  const bool packed = matrices.size() == factors.size();
  for (size_t i = 0; i < factors.size(); ++i)
    grouped.b.push_back(packed ? PackedBase(plan_, matrices[i]) : factors[i].base);
  Join(grouped.ms);
  Join(grouped.ns);
  Join(grouped.ks);
  if (grouped.ms.size() + grouped.ns.size() + grouped.ks.size() > kHeedMaxAxes)
    throw InternalError("grouped product over too many axes: " + Text(OriginOf(id)));
  AddStep(id, std::move(grouped));
}

}  // namespace heed::backend
