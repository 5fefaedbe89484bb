// From a graph to the list of steps: layout, fusion into items, one step an item, lifetimes.
#include <algorithm>
#include <functional>

#include "backend/plan/build_loop.h"
#include "backend/plan/expand.h"
#include "backend/plan/packed.h"
#include "backend/plan/planner.h"
#include "ir/limits.h"
#include "ir/op.h"
#include "runtime/kernels/heed_kernels.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::InternalError;
using ir::Node;
using ir::NodeId;

// A batch is one axis more than `check` lets through.
static_assert(ir::kMostAxes + 1 <= kHeedMaxAxes);

Planner::Planner(const ir::Graph& graph, std::string name, const OutputOrders& orders, SumOrders* sums,
                 const std::set<std::string>* tables)
    : graph_(graph),
      layout_(graph, plan_, orders),
      sums_(sums),
      pack_(tables != nullptr),
      lookups_(tables ? FindLookups(graph, *tables) : std::map<NodeId, NodeId>()),
      fusion_(Fuse(graph, layout_, sums ? *sums : SumOrders(), lookups_)) {
  plan_.name = std::move(name);
  plan_.checks = graph.checks;
}

Plan Planner::Run() {
  FindStored();
  FindEpilogues();
  for (size_t i = 0; i < fusion_.items.size(); ++i) {
    const Item& item = fusion_.items[i];
    switch (item.kind) {
      case Item::Kind::Loop:
        if (!absorbed_.count(&item)) Loop(item);
        break;
      case Item::Kind::Matmul:
        Matmul(item.nodes[0]);
        break;
      case Item::Kind::Attention:
        Attention(item.nodes);
        break;
      case Item::Kind::Scatter:
        Scatter(item.nodes[0]);
        break;
      case Item::Kind::Grouped:
        Grouped(item.nodes[0]);
        break;
      case Item::Kind::Lookup:
        Lookup(item.nodes[0]);
        break;
    }
    CopyOutputs(static_cast<int>(i));
  }
  CopyOutputs(-1);
  PlaceLifetimes();
  return std::move(plan_);
}

void Planner::FindStored() {
  std::map<NodeId, int>& item_of = item_of_;
  for (size_t i = 0; i < fusion_.items.size(); ++i) {
    for (NodeId id : fusion_.items[i].nodes) item_of[id] = static_cast<int>(i);
  }
  for (size_t i = 0; i < fusion_.items.size(); ++i) {
    std::set<NodeId> seen;
    const std::function<void(NodeId)> visit = [&](NodeId id) {
      if (!seen.insert(id).second) return;
      for (NodeId input : graph_[id].inputs) {
        const auto found = item_of.find(input);
        if (found == item_of.end()) {
          visit(input);
        } else if (found->second != static_cast<int>(i)) {
          stored_.insert(input);
          readers_[input].insert(static_cast<int>(i));
        } else {
          visit(input);
        }
      }
    };
    for (NodeId id : fusion_.items[i].nodes) visit(id);
  }
  for (size_t i = 0; i < graph_.outputs.size(); ++i) {
    NodeId id = graph_.outputs[i].second;
    while (item_of.find(id) == item_of.end() && IsViewOp(graph_, id)) id = graph_[id].inputs[0];
    stored_.insert(id);
    readers_[id].insert(-1);
    const auto item = item_of.find(id);
    outputs_after_[item == item_of.end() ? -1 : item->second].push_back(i);
  }
}

StepOrigin Planner::OriginOf(NodeId id) const {
  const Node& node = graph_[id];
  return {std::string(ir::Info(node.op).name), node.origin.instance, node.origin.where, node.adjoint};
}

const View& Planner::Memory(NodeId id) {
  if (layout_.HasMemory(id)) return layout_.ViewOf(id);
  if (!IsViewOp(graph_, id)) throw InternalError("value without memory: " + Text(OriginOf(id)));
  const NodeId source = graph_[id].inputs[0];
  const View from = Memory(source);
  if (!layout_.DeriveView(id)) {
    const View to = layout_.AllocateForMerge(id);
    AddStep(id, BuildCopy(layout_, from, to, OrderOfStrides(to, graph_.axes_of(source))));
  }
  return layout_.ViewOf(id);
}

AxisList Planner::OrderOfStrides(const View& view, const AxisList& axes) const {
  AxisList order;
  for (const auto& [axis, stride] : view.strides) {
    if (ir::Contains(axes, axis)) order.push_back(axis);
  }
  return ir::Union(order, axes);
}

void Planner::PrepareViews(const Item& item) {
  std::set<NodeId> seen;
  const std::set<NodeId> own(item.nodes.begin(), item.nodes.end());
  const std::function<void(NodeId)> visit = [&](NodeId id) {
    if (!seen.insert(id).second || (layout_.HasMemory(id) && !own.count(id))) return;
    for (NodeId input : graph_[id].inputs) visit(input);
    if (IsViewOp(graph_, id) && !own.count(id) && layout_.HasMemory(graph_[id].inputs[0]) &&
        !own.count(graph_[id].inputs[0])) {
      Memory(id);
    }
  };
  for (NodeId id : item.nodes) visit(id);
}

void Planner::Loop(const Item& item) {
  PrepareViews(item);
  std::set<NodeId> stored;
  for (NodeId id : item.nodes) {
    if (stored_.count(id)) stored.insert(id);
  }
  if (stored.empty()) return;
  for (NodeId id : stored) {
    if (!layout_.HasMemory(id)) layout_.Allocate(id);
  }
  Step step;
  for (NodeId id : item.nodes) {
    if (stored.count(id)) step.result = step.origins.size();
    step.origins.push_back(OriginOf(id));
  }
  LoopKernel loop = BuildLoop(graph_, layout_, item, stored);
  for (NodeId id : item.nodes) {
    if (!sums_ || !ir::IsReduce(graph_.op(id))) continue;
    sums_->Keep(graph_, id, item.column,
                ir::Intersection(LoopAxes(graph_, layout_, item), graph_[id].attributes.axes));
  }
  Flatten(loop);
  step.work = std::move(loop);
  plan_.steps.push_back(std::move(step));
}

void Planner::CopyOutputs(int item) {
  for (const size_t i : outputs_after_[item]) {
    const auto& [name, value] = graph_.outputs[i];
    const int index = layout_.OutputNumber(name);
    if (index < 0) continue;
    if (layout_.OutputIsBound(index) && layout_.HasMemory(value) &&
        layout_.ViewOf(value).base.buffer == OutputBuffer(index)) {
      continue;
    }
    const View from = Memory(value);
    const View to = layout_.OutputView(index);
    StepOrigin origin = OriginOf(value);
    origin.op = "output " + name;
    plan_.steps.push_back({{std::move(origin)}, BuildCopy(layout_, from, to, plan_.outputs[index].axes)});
  }
}

int Planner::OutputBuffer(int index) const {
  for (size_t b = 0; b < plan_.buffers.size(); ++b) {
    if (plan_.buffers[b].kind == BufferKind::Output && plan_.buffers[b].index == index)
      return static_cast<int>(b);
  }
  return -1;
}

void Planner::PlaceLifetimes() {
  for (Buffer& buffer : plan_.buffers) {
    buffer.first = static_cast<int>(plan_.steps.size());
    buffer.last = -1;
  }
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    for (const Base* base : plan_.steps[i].Bases()) {
      if (base->buffer < 0) continue;
      Buffer& buffer = plan_.buffers[base->buffer];
      buffer.first = std::min(buffer.first, static_cast<int>(i));
      buffer.last = std::max(buffer.last, static_cast<int>(i));
    }
  }
  for (Buffer& buffer : plan_.buffers) {
    buffer.used = buffer.last >= 0;
    if (!buffer.used) buffer.first = buffer.last = 0;
  }
}

Plan MakePlan(const ir::Graph& graph, std::string name, const OutputOrders& orders, SumOrders* sums,
              const std::set<std::string>* tables) {
  const ir::Graph expanded = Expand(graph);
  return Planner(expanded, std::move(name), orders, sums, tables).Run();
}

}  // namespace heed::backend
