#include "backend/plan/packed.h"

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

/// A matrix of enough rows, whose other axes are terms.
bool IsTable(const Graph& graph, const AxisList& axes, Axis row) {
  int64_t terms = 1;
  for (Axis axis : axes)
    if (axis != row) terms *= graph.axes().Bound(axis);
  return axes.size() > 1 && terms >= kLeastPackedTerms && graph.axes().Bound(row) >= kLeastPackedColumns;
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

namespace {

/// A use of a parameter by a node that is no renaming.
struct Use {
  std::string param;
  Axis row;  ///< in storage, where `node` looks rows up or multiplies by all the others; else none
  NodeId node;
  bool lookup = false;
};
std::vector<Use> UsesOf(const Graph& graph) {
  std::vector<Use> uses;
  for (NodeId id : graph.Order()) {
    const Node& node = graph[id];
    if (node.op == OpKind::Rename) continue;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const NodeId param = ParamUnderNames(graph, node.inputs[i]);
      if (!param) continue;
      Use use{graph[param].attributes.name, {}, id};
      const AxisList& axes = graph.axes_of(node.inputs[i]);
      AxisList row;
      if (node.op == OpKind::Gather && i == 0 && !IsViewOp(graph, id)) {
        const AxisList rest = ir::Minus(axes, {node.attributes.axis});
        if (ir::Intersection(rest, graph.axes_of(node.inputs[1])).empty()) row = {node.attributes.axis};
        use.lookup = true;
      } else if (node.op == OpKind::Contract && !ir::MaskOf(node)) {
        row = ir::Minus(axes, node.attributes.axes);
      }
      const auto renamed = RenamedParamOf(graph, node.inputs[i]);
      if (renamed && row.size() == 1 && IsTable(graph, axes, row[0])) use.row = renamed->stored.at(row[0]);
      uses.push_back(use);
    }
  }
  return uses;
}

}  // namespace

std::set<std::string> FindTables(const std::vector<const Graph*>& graphs) {
  std::map<std::string, Axis> rows;
  std::set<std::string> looked_up, otherwise;
  for (const Graph* graph : graphs) {
    for (const Use& use : UsesOf(*graph)) {
      if (!use.row || rows.emplace(use.param, use.row).first->second != use.row) otherwise.insert(use.param);
      if (use.lookup) looked_up.insert(use.param);
    }
    // A parameter that is a result is used as it is.
    for (const auto& [name, value] : graph->outputs) {
      if (const NodeId param = ParamUnderNames(*graph, value))
        otherwise.insert((*graph)[param].attributes.name);
    }
  }
  for (const std::string& param : otherwise) looked_up.erase(param);
  return looked_up;
}

std::map<NodeId, NodeId> FindLookups(const Graph& graph, const std::set<std::string>& tables) {
  std::map<NodeId, NodeId> lookups;
  const std::vector<Use> uses = UsesOf(graph);
  for (const Use& use : uses) {
    if (!use.lookup || !tables.count(use.param)) continue;
    NodeId product;
    for (const Use& other : uses) {
      if (!other.lookup && other.param == use.param && !product) product = other.node;
    }
    lookups[use.node] = product;
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
