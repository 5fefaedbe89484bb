#include "backend/packed.h"

#include <algorithm>

#include "ir/op.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::OpKind;

namespace {

/// A parameter under other names of its axes.
struct RenamedParam {
  NodeId param;
  std::map<Axis, Axis> stored;  // name here -> name in storage
};
std::optional<RenamedParam> RenamedParamOf(const Graph& graph, NodeId id) {
  std::vector<NodeId> renames;
  while (graph.op(id) == OpKind::Rename) {
    renames.push_back(id);
    id = graph[id].inputs[0];
  }
  if (graph.op(id) != OpKind::Param) return {};
  RenamedParam renamed{id, {}};
  for (Axis axis : graph.axes_of(id)) {
    if (graph.axes().IsDynamic(axis)) return {};
    renamed.stored[axis] = axis;
  }
  for (auto it = renames.rbegin(); it != renames.rend(); ++it) {
    std::map<Axis, Axis> next = renamed.stored;
    for (const auto& [from, to] : graph[*it].attributes.renames) next.erase(from);
    for (const auto& [from, to] : graph[*it].attributes.renames) next[to] = renamed.stored.at(from);
    renamed.stored = std::move(next);
  }
  return renamed;
}

AxisList Stored(const RenamedParam& renamed, const AxisList& axes) {
  AxisList stored;
  for (Axis axis : axes) {
    const auto found = renamed.stored.find(axis);
    if (found != renamed.stored.end()) stored.push_back(found->second);
  }
  return stored;
}

/// Axes that walk a nest as one become one; those of one element go.
std::vector<PackedMatrix::Axis> Joined(const std::vector<PackedMatrix::Axis>& nest) {
  std::vector<PackedMatrix::Axis> joined;
  for (const PackedMatrix::Axis& axis : nest) {
    if (axis.extent == 1) continue;
    if (!joined.empty() && joined.back().stride == axis.stride * axis.extent) {
      joined.back() = {joined.back().extent * axis.extent, axis.stride};
    } else {
      joined.push_back(axis);
    }
  }
  return joined;
}

std::optional<std::vector<PackedMatrix::Axis>> Static(const std::vector<std::pair<Size, Size>>& nest) {
  std::vector<PackedMatrix::Axis> axes;
  for (const auto& [extent, stride] : nest) {
    if (!extent.IsStatic() || !stride.IsStatic() || (stride.IsZero() && extent.factor != 1)) return {};
    axes.push_back({extent.factor, stride.factor});
  }
  return Joined(axes);
}

}  // namespace

std::map<NodeId, NodeId> FindLookups(const Graph& graph) {
  std::map<NodeId, NodeId> lookups;
  const std::vector<NodeId> order = graph.Order();
  for (NodeId id : order) {
    const Node& gather = graph[id];
    if (gather.op != OpKind::Gather || IsViewOp(graph, id) || gather.type.dtype != ir::DType::Float) continue;
    const auto table = RenamedParamOf(graph, gather.inputs[0]);
    if (!table) continue;
    const AxisList rest = ir::Minus(graph.axes_of(gather.inputs[0]), {gather.attributes.axis});
    if (rest.empty() || !ir::Intersection(rest, graph.axes_of(gather.inputs[1])).empty()) continue;
    int64_t term_count = 1;
    for (Axis axis : rest) term_count *= graph.axes().Bound(axis);
    if (term_count < kLeastPackedTerms || graph.axes().Bound(gather.attributes.axis) < kLeastPackedColumns)
      continue;
    const AxisList terms = Stored(*table, rest);
    bool only_looked_up = true;
    NodeId product;
    for (NodeId user : order) {
      const Node& node = graph[user];
      for (NodeId input : node.inputs) {
        const auto used = RenamedParamOf(graph, input);
        if (!used || used->param != table->param || node.op == OpKind::Rename) continue;
        const AxisList& axes = node.attributes.axes;
        if (node.op == OpKind::Contract && !ir::MaskOf(node) && !product &&
            ir::SameSet(Stored(*used, axes), terms)) {
          product = user;
        }
        const bool same_rows =
            node.op == OpKind::Gather && input == node.inputs[0] &&
            Stored(*used, {node.attributes.axis}) == Stored(*table, {gather.attributes.axis});
        only_looked_up &= same_rows;
      }
    }
    if (product || only_looked_up) lookups[id] = product;
  }
  return lookups;
}

NodeId ParamUnderNames(const Graph& graph, NodeId id) {
  while (graph.op(id) == OpKind::Rename) id = graph[id].inputs[0];
  return graph.op(id) == OpKind::Param ? id : NodeId{};
}

std::optional<PackedMatrix> MakePackedMatrix(const Plan& plan, const View& view,
                                             const std::vector<std::pair<Size, Size>>& ns,
                                             const std::vector<std::pair<Size, Size>>& ks) {
  if (view.base.buffer < 0) return {};
  const Buffer& buffer = plan.buffers[view.base.buffer];
  if (buffer.kind != BufferKind::Param) return {};
  PackedMatrix matrix{plan.param_names[buffer.index], 0, {}, {}};
  for (const Size& offset : view.base.offset) {
    if (!offset.IsStatic()) return {};
    matrix.offset += offset.factor;
  }
  const auto columns = Static(ns), terms = Static(ks);
  if (!columns || !terms) return {};
  matrix.ns = *columns;
  matrix.ks = *terms;
  if (matrix.Terms() < kLeastPackedTerms || matrix.Columns() < kLeastPackedColumns) return {};
  return matrix;
}

Base PackedBase(Plan& plan, const PackedMatrix& matrix) {
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    const Buffer& buffer = plan.buffers[i];
    if (buffer.kind == BufferKind::Packed && plan.packed[buffer.index] == matrix)
      return {.buffer = static_cast<int>(i), .offset = {}};
  }
  Buffer buffer{
      .kind = BufferKind::Packed, .index = static_cast<int>(plan.packed.size()), .elements = Size{0, {}}};
  plan.packed.push_back(matrix);
  plan.buffers.push_back(buffer);
  return {.buffer = static_cast<int>(plan.buffers.size()) - 1, .offset = {}};
}

}  // namespace heed::backend
