// Matrix products: which axes are loops, rows, columns and terms; and the loop after one as its epilogue.
#include <algorithm>
#include <utility>

#include "backend/plan/build_loop.h"
#include "backend/plan/packed.h"
#include "backend/plan/planner.h"
#include "ir/op.h"
#include "runtime/kernels/heed_kernels.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::InternalError;
using ir::Node;
using ir::NodeId;

void Join(std::vector<MatmulAxis>& nest) {
  for (size_t i = 0; i + 1 < nest.size();) {
    const MatmulAxis &outer = nest[i], &inner = nest[i + 1];
    const auto adjacent = [&](const Size& o, const Size& n) { return o == n * inner.extent; };
    if (adjacent(outer.a, inner.a) && adjacent(outer.b, inner.b) && adjacent(outer.c, inner.c) &&
        adjacent(outer.mask, inner.mask)) {
      nest[i + 1].extent = outer.extent * inner.extent;
      nest.erase(nest.begin() + i);
    } else {
      ++i;
    }
  }
}

void Planner::FindEpilogues() {
  for (size_t i = 0; i < fusion_.items.size(); ++i) {
    if (fusion_.items[i].kind != Item::Kind::Matmul) continue;
    const NodeId product = fusion_.items[i].nodes[0];
    const std::set<int>& readers = readers_[product];
    if (readers.size() != 1 || *readers.begin() < 0) continue;
    const Item& loop = fusion_.items[*readers.begin()];
    if (loop.kind != Item::Kind::Loop || loop.reduces || loop.nodes.size() != 1) continue;
    const NodeId root = loop.nodes[0];
    if (layout_.OrderOf(root) != layout_.OrderOf(product) || layout_.OrderOf(root).empty()) continue;
    // An epilogue knows the product's elements, not where they lie.
    bool ready =
        !ReadAsStored(graph_, root, [this](NodeId id) { return item_of_.count(id) != 0; }).count(product);
    for (const auto& [value, value_readers] : readers_) {
      if (value != product && value_readers.count(*readers.begin())) {
        ready &= item_of_.at(value) < static_cast<int>(i);
      }
    }
    if (ready) epilogues_[product] = &loop;
  }
}

std::optional<MatmulEpilogue> Planner::MakeEpilogue(NodeId product, const Item& loop,
                                                    const AxisList& columns) {
  const NodeId root = loop.nodes[0];
  const View& result = layout_.ViewOf(root);
  LoopKernel kernel = BuildLoop(graph_, layout_, loop, {root});
  if (kernel.stages.size() != 1 || !kernel.stages[0].reductions.empty() ||
      kernel.stages[0].stores.size() != 1 || !kernel.row_stores.empty() || kernel.scratch_rows) {
    return {};
  }
  const AxisList& axes = layout_.OrderOf(product);
  MatmulEpilogue epilogue;
  std::vector<int> number(kernel.operands.size(), -1);
  const int stored = kernel.stages[0].stores[0].operand;
  for (size_t i = 0; i < kernel.operands.size(); ++i) {
    const LoopOperand& operand = kernel.operands[i];
    if (static_cast<int>(i) == stored) continue;
    if (operand.dtype != ir::DType::Float) return {};
    bool like_result = true, like_columns = true, scalar = true;
    for (size_t a = 0; a < axes.size(); ++a) {
      const Size& stride = operand.strides[a];
      like_result &= stride == result.Stride(axes[a]);
      like_columns &= ir::Contains(columns, axes[a]) ? stride == result.Stride(axes[a]) : stride.IsZero();
      scalar &= stride.IsZero();
    }
    if (!like_result && !like_columns && !scalar) return {};
    number[i] = static_cast<int>(epilogue.operands.size());
    epilogue.operands.push_back({operand.base, like_result    ? MatmulEpilogue::Access::Result
                                               : like_columns ? MatmulEpilogue::Access::Columns
                                                              : MatmulEpilogue::Access::Scalar});
  }
  for (LoopValue value : kernel.values) {
    if (value.kind == LoopValue::Kind::Load) {
      if (value.operand == stored) {
        value.kind = LoopValue::Kind::Reduced;
        value.operand = -1;
        value.reduction = 0;
      } else {
        value.operand = number[value.operand];
      }
    } else if (value.kind != LoopValue::Kind::Const && value.kind != LoopValue::Kind::Op) {
      return {};
    }
    epilogue.values.push_back(std::move(value));
  }
  epilogue.result = kernel.stages[0].stores[0].value;
  return epilogue;
}

std::optional<MatmulEpilogue> Planner::TakeEpilogue(NodeId id, const Item& candidate,
                                                    const AxisList& columns) {
  const AxisList& order = layout_.OrderOf(id);
  const View& result = layout_.ViewOf(id);
  Size adjacent;
  bool one_axis = !columns.empty();
  for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
    if (!ir::Contains(columns, *axis)) continue;
    one_axis &= result.Stride(*axis) == adjacent;
    adjacent = adjacent * layout_.ExtentOf(*axis);
  }
  std::optional<MatmulEpilogue> epilogue;
  if (one_axis) epilogue = MakeEpilogue(id, candidate, columns);
  if (epilogue) {
    absorbed_.insert(&candidate);
  } else {
    layout_.Allocate(id);
  }
  return epilogue;
}

void Planner::Matmul(NodeId id) {
  const Node& node = graph_[id];
  NodeId left = node.inputs[0], right = node.inputs[1];
  View a = Memory(left), b = Memory(right);
  const NodeId mask = ir::MaskOf(node);
  View mask_view;
  if (mask) mask_view = Memory(mask);
  const auto candidate = epilogues_.find(id);
  if (candidate == epilogues_.end()) {
    layout_.Allocate(id);
  } else {
    PrepareViews(*candidate->second);
    layout_.Allocate(candidate->second->nodes[0]);
    layout_.Place(id, layout_.ViewOf(candidate->second->nodes[0]));
  }
  AxisList a_axes = graph_.axes_of(left), b_axes = graph_.axes_of(right);
  const AxisList mask_axes = mask ? graph_.axes_of(mask) : AxisList{};
  // The axis that is adjacent in the result must be one of columns.
  const AxisList& order = layout_.OrderOf(id);
  if (!order.empty()) {
    const Axis innermost = order.back();
    if (ir::Contains(a_axes, innermost) && !ir::Contains(b_axes, innermost)) {
      std::swap(a, b);
      std::swap(a_axes, b_axes);
    }
  }
  MatmulStep matmul;
  std::vector<StepOrigin> origins = {OriginOf(id)};
  if (candidate != epilogues_.end()) {
    matmul.epilogue =
        TakeEpilogue(id, *candidate->second,
                     ir::Minus(ir::Minus(b_axes, a_axes), ir::Union(node.attributes.axes, mask_axes)));
    if (matmul.epilogue) origins.push_back(OriginOf(candidate->second->nodes[0]));
  }
  const View& c = layout_.ViewOf(id);
  matmul.a = a.base;
  matmul.b = b.base;
  matmul.c = c.base;
  if (mask) matmul.mask = mask_view.base;
  const auto axis_of = [&](Axis axis) {
    return MatmulAxis{layout_.ExtentOf(axis), a.Stride(axis), b.Stride(axis), c.Stride(axis),
                      mask ? mask_view.Stride(axis) : kZero};
  };
  AxisList rows, columns;
  for (Axis axis : order) {
    const bool in_a = ir::Contains(a_axes, axis), in_b = ir::Contains(b_axes, axis);
    if ((in_a && in_b) || ir::Contains(mask_axes, axis)) {
      matmul.loops.push_back(axis_of(axis));
    } else {
      (in_a ? matmul.ms : matmul.ns).push_back(axis_of(axis));
      (in_a ? rows : columns).push_back(axis);
    }
  }
  for (Axis axis : TermOrder(id)) matmul.ks.push_back(axis_of(axis));
  matmul.split = SplitPays(rows, columns, node.attributes.axes);
  if (pack_ && !mask && matmul.loops.empty()) {
    const auto nest = [](const std::vector<MatmulAxis>& axes) {
      std::vector<std::pair<Size, Size>> pairs;
      for (const MatmulAxis& axis : axes) pairs.emplace_back(axis.extent, axis.b);
      return pairs;
    };
    const auto matrix = MakePackedMatrix(plan_, b, nest(matmul.ns), nest(matmul.ks));
    if (matrix) matmul.b = PackedBase(plan_, *matrix);
  }
  Join(matmul.loops);
  Join(matmul.ms);
  Join(matmul.ns);
  Join(matmul.ks);
  if (matmul.loops.size() + matmul.ms.size() + matmul.ns.size() + matmul.ks.size() > kHeedMaxAxes) {
    throw InternalError("matrix product over too many axes: " + Text(OriginOf(id)));
  }
  plan_.steps.push_back({std::move(origins), std::move(matmul)});
}

AxisList Planner::TermOrder(NodeId id) {
  const Node& node = graph_[id];
  const AxisList& summed = node.attributes.axes;
  const SumOrders::Order* known = sums_ ? sums_->Find(graph_, id) : nullptr;
  if (known) return SumOrders::Sorted(summed, *known);
  AxisList order = ir::Union(ir::Intersection(layout_.OrderOf(node.inputs[0]), summed), summed);
  if (sums_) sums_->Keep(graph_, id, false, order);
  return order;
}

bool Planner::SplitPays(const AxisList& rows, const AxisList& columns, const AxisList& terms) const {
  constexpr int64_t kLong = 128, kWide = 32;
  const auto reaches = [&](const AxisList& axes, int64_t size) {
    int64_t bound = 1;
    for (Axis axis : axes) {
      if (graph_.axes().IsLifted(axis)) return true;  // a batch
      bound = std::min(size, bound * std::min(size, graph_.axes().Bound(axis)));
    }
    return bound >= size;
  };
  return !sums_ && reaches(rows, kLong) && reaches(columns, kLong) && reaches(terms, kWide);
}

}  // namespace heed::backend
