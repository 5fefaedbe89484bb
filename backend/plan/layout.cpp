#include "backend/plan/layout.h"

#include <algorithm>
#include <set>

#include "ir/op.h"
#include "runtime/abi_names.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::Graph;
using ir::Node;
using ir::NodeId;
using ir::OpKind;

Size View::Stride(Axis axis) const {
  for (const auto& [known, stride] : strides) {
    if (known == axis) return stride;
  }
  return Size{.factor = 0};
}

bool IsViewOp(const Graph& graph, NodeId id) {
  const Node& node = graph[id];
  switch (node.op) {
    case OpKind::Rename:
    case OpKind::Slice:
    case OpKind::Split:
    case OpKind::Merge:
    case OpKind::Broadcast:
    case OpKind::Element:
    case OpKind::Stop:
      return true;
    case OpKind::Gather: {
      // x at the positions of an axis that runs along x's own, from its start: wpe^[seq] is wpe read as
      // [seq]. Not the diagonal of a value that has both axes.
      const Node& index = graph[node.inputs[1]];
      const Axis to = index.attributes.axis;
      if (index.op == OpKind::Positions && to != node.attributes.axis &&
          Contains(graph.axes_of(node.inputs[0]), to))
        return false;
      return index.op == OpKind::Positions && index.attributes.axis.root() == node.attributes.axis.root() &&
             node.attributes.axis.ring() == 0 && !index.attributes.axis.difference();
    }
    default:
      return false;
  }
}

namespace {

bool IsCache(const std::string& name) { return name.starts_with(kCachePrefix); }

}  // namespace

Layout::Layout(const Graph& graph, Plan& plan, const OutputOrders& orders)
    : graph_(graph), plan_(plan), orders_(graph.size()), views_(graph.size()) {
  plan.axes = graph.shared_axes();
  const std::vector<NodeId> order = graph.Order();
  NumberExtents(order);
  ChooseOrders(orders);
  for (NodeId id : order)
    if (graph.op(id) == OpKind::Input || graph.op(id) == OpKind::Param) DeclareGiven(id);
  for (const auto& [name, value] : graph.outputs) DeclareOutput(name, value, orders);
  output_bound_.assign(plan.outputs.size(), false);
}

void Layout::NumberExtents(const std::vector<NodeId>& order) {
  // Extents: roots in alphabetical order, lifted ones first, so that equal graphs give equal plans.
  std::set<std::pair<bool, Axis>> roots;
  const auto visit = [&](Axis axis) {
    if (graph_.axes().IsLifted(axis) || graph_.axes().IsDynamic(axis.difference() ? axis.root() : axis)) {
      roots.insert({!graph_.axes().IsLifted(axis), axis.root()});
    }
  };
  for (NodeId id : order) {
    for (Axis axis : graph_.axes_of(id)) visit(axis);
    if (graph_.op(id) == OpKind::Positions || graph_.op(id) == OpKind::Length)
      visit(graph_[id].attributes.axis);
  }
  for (NodeId id : order) {
    const Node& node = graph_[id];
    if (node.op != OpKind::Input || !IsCache(node.attributes.name)) continue;
    steps_ = true;
    for (Axis axis : node.type.axes)
      if (IsGrowing(axis)) roots.insert({true, axis.root().Stored()});
  }
  for (const auto& [name, value] : graph_.outputs)
    for (Axis axis : graph_.axes_of(value))
      if (IsCache(name) && IsGrowing(axis)) roots.insert({true, axis.root().Stored()});
  for (const auto& [dynamic, root] : roots) {
    extent_index_[root] = static_cast<int>(plan_.extents.size());
    plan_.extents.push_back(root);
  }
}

void Layout::DeclareGiven(NodeId id) {
  const Node& node = graph_[id];
  Buffer buffer;
  buffer.dtype = node.type.dtype;
  const AxisList& axes = orders_[id.value];
  const bool cache = node.op == OpKind::Input && IsCache(node.attributes.name);
  for (Axis axis : axes) buffer.elements = buffer.elements * (cache ? CapacityOf(axis) : ExtentOf(axis));
  if (node.op == OpKind::Input) {
    buffer.kind = BufferKind::Input;
    buffer.index = static_cast<int>(plan_.inputs.size());
    TensorInfo info{node.attributes.name, node.type.dtype, axes, {}};
    for (Axis axis : axes) info.extents.push_back(cache ? CapacityOf(axis) : ExtentOf(axis));
    plan_.inputs.push_back(std::move(info));
  } else {
    buffer.kind = BufferKind::Param;
    buffer.index = static_cast<int>(plan_.param_names.size());
    plan_.param_names.push_back(node.attributes.name);
  }
  plan_.buffers.push_back(buffer);
  views_[id.value] = MakeView(static_cast<int>(plan_.buffers.size()) - 1, axes, cache);
  views_[id.value]->dtype = node.type.dtype;
}

void Layout::DeclareOutput(const std::string& name, NodeId value, const OutputOrders& orders) {
  AxisList axes;
  for (const auto& [wanted, order] : orders) {
    if (wanted == name) axes = order;
  }
  if (!ir::SameSet(axes, graph_.axes_of(value))) axes = orders_[value.value];
  if (graph_.op(value) == OpKind::Write) {  // in place: the memory of its cache
    const NodeId cache = graph_[value].inputs[0];
    views_[value.value] = views_[cache.value];
    plan_.updated.push_back(plan_.buffers[views_[cache.value]->base.buffer].index);
    return;
  }
  TensorInfo info{name, graph_.type(value).dtype, axes, {}};
  Buffer buffer;
  for (Axis axis : axes) {
    info.extents.push_back(IsCache(name) ? CapacityOf(axis) : ExtentOf(axis));
    buffer.elements = buffer.elements * info.extents.back();
  }
  buffer.kind = BufferKind::Output;
  buffer.index = static_cast<int>(plan_.outputs.size());
  buffer.dtype = info.dtype;
  output_index_[name] = buffer.index;
  plan_.outputs.push_back(std::move(info));
  plan_.buffers.push_back(buffer);
}

Size Layout::ExtentOf(Axis axis) const {
  if (const int64_t ring = axis.ring()) return Size{.factor = ring};
  if (axis.difference()) return Size{.factor = 2} * ExtentOf(axis.root());
  const auto& axes = graph_.axes();
  if (axes.IsLifted(axis) || axes.IsDynamic(axis))
    return Size{.factor = 1, .terms = {extent_index_.at(axis.root())}};
  return Size{.factor = axes.Bound(axis)};
}

bool Layout::IsGrowing(Axis axis) const {
  return graph_.generate && axis.root() == graph_.generate->axis.root() && graph_.axes().IsDynamic(axis);
}

Size Layout::CapacityOf(Axis axis) const {
  return IsGrowing(axis) ? Size{.factor = 1, .terms = {extent_index_.at(axis.root().Stored())}}
                         : ExtentOf(axis);
}

Size Layout::Elements(const AxisList& axes) const {
  Size elements;
  for (Axis axis : axes) elements = elements * ExtentOf(axis);
  return elements;
}

Axis Layout::InnermostOf(NodeId id) const {
  if (HasMemory(id)) {
    for (const auto& [axis, stride] : ViewOf(id).strides) {
      if (stride == Size{}) return axis;
    }
    return {};
  }
  return orders_[id.value].empty() ? Axis{} : orders_[id.value].back();
}

/// What the readers of an input that is kept between steps ask for. A product that sums over the positions
/// reads a row of values at each: [.., positions, values]. Everything else reads one number at all positions:
/// [.., positions].
AxisList Layout::OrderOfKept(NodeId input, const std::vector<std::vector<NodeId>>& users) const {
  const AxisList& axes = graph_.axes_of(input);
  Axis positions;
  for (Axis axis : axes)
    if (IsGrowing(axis) || axis.ring() || (!positions && graph_.axes().IsDynamic(axis))) positions = axis;
  if (!positions) return axes;
  AxisList values, dots;  // innermost axes, as the readers name them now
  bool summed = false;
  // A value, and what it calls the input's axes, in their order.
  std::vector<std::pair<NodeId, AxisList>> open{{input, axes}};
  const auto called = [&](const AxisList& names, Axis axis) {
    return names[std::find(axes.begin(), axes.end(), axis) - axes.begin()];
  };
  const auto innermost = [&](AxisList& list, const AxisList& names, const AxisList& wanted) {
    for (Axis axis : axes)
      if (axis != positions && ir::Contains(wanted, called(names, axis)) && !ir::Contains(list, axis))
        list.push_back(axis);
  };
  while (!open.empty()) {
    const auto [id, names] = open.back();
    open.pop_back();
    const Axis here = called(names, positions);
    for (NodeId user : users[id.value]) {
      const Node& node = graph_[user];
      if (node.op == OpKind::Write && node.inputs[0] == id) {
        open.emplace_back(user, names);
      } else if (node.op == OpKind::Rename) {
        AxisList renamed = names;
        for (Axis& axis : renamed)
          for (const auto& [from, to] : node.attributes.renames)
            if (from == axis) {
              axis = to;
              break;
            }
        open.emplace_back(user, renamed);
      } else if (node.op == OpKind::Attention && node.attributes.axis == here) {
        if (node.inputs[2] == id) {
          summed = true;
          innermost(values, names, ir::Minus(names, node.attributes.to));
        } else if (node.inputs[1] == id) {
          innermost(dots, names, node.attributes.axes);
        }
      } else if (node.op == OpKind::Contract) {
        const NodeId other = node.inputs[node.inputs[0] == id ? 1 : 0];
        if (ir::Contains(node.attributes.axes, here)) {
          summed = true;
          innermost(values, names, ir::Minus(names, graph_.axes_of(other)));
        } else {
          innermost(dots, names, node.attributes.axes);
        }
      }
    }
  }
  const AxisList& last = summed ? values : dots;
  AxisList order = ir::Minus(axes, ir::Union(last, {positions}));
  const auto lifted = [&](Axis axis) { return graph_.axes().IsLifted(axis); };
  std::stable_partition(order.begin(), order.end(), lifted);
  if (summed) order.push_back(positions);
  order.insert(order.end(), last.begin(), last.end());
  if (!summed) order.push_back(positions);
  return order;
}

AxisList Layout::DefaultOrder(const ir::Type& type) const {
  const auto rank = [&](Axis axis) {
    if (graph_.axes().IsLifted(axis)) return 0;
    if (axis.difference()) return 3;  // read along the keys
    // In a step a row's positions are alone, and lie as they would beside the rows of a query.
    if (steps_ && (IsGrowing(axis) || axis.ring())) return 3;
    if (axis.stored() || axis.ring()) return 1;
    if (!graph_.axes().IsDynamic(axis)) return 2;
    // A key-side twin beside its query: rows of scores are adjacent. Alone it is stored as any sequence.
    const bool beside_query = std::any_of(type.axes.begin(), type.axes.end(), [&](Axis other) {
      return other != axis && other.root() == axis.root() && graph_.axes().IsDynamic(other);
    });
    return beside_query && axis != axis.root() ? 3 : 1;
  };
  AxisList order;
  for (int wanted = 0; wanted <= 3; ++wanted) {
    for (Axis axis : type.axes) {
      if (rank(axis) == wanted) order.push_back(axis);
    }
  }
  return order;
}

void Layout::ChooseOrders(const OutputOrders& orders) {
  const std::vector<NodeId> order = graph_.Order();
  std::vector<AxisList> wanted = OrdersOfOutputs(orders);
  // Wishes travel from users to the values they are made of.
  for (auto it = order.rbegin(); it != order.rend(); ++it) WishFor(*it, wanted);
  const std::vector<std::vector<NodeId>> users = graph_.Users();
  for (NodeId id : order) {
    const Node& node = graph_[id];
    AxisList& chosen = orders_[id.value];
    if (node.op == OpKind::Input || node.op == OpKind::Param) {
      const std::string& name = node.attributes.name;
      const bool kept =
          node.op == OpKind::Input && (name.starts_with(kCachePrefix) || name.starts_with(kFixedPrefix));
      chosen = kept ? OrderOfKept(id, users) : node.type.axes;
      continue;
    }
    if (node.op == OpKind::Write) {  // in place
      chosen = orders_[node.inputs[0].value];
      continue;
    }
    if (node.op != OpKind::GroupedContract) chosen = wanted[id.value];  // its columns lie adjacent
    if (chosen.empty() && !node.type.axes.empty()) chosen = OwnOrder(node);
  }
}

std::vector<AxisList> Layout::OrdersOfOutputs(const OutputOrders& orders) const {
  std::vector<AxisList> wanted(graph_.size());
  for (const auto& [name, axes] : orders) {
    const NodeId value = graph_.Output(name);
    if (value && wanted[value.value].empty() && ir::SameSet(axes, graph_.axes_of(value)))
      wanted[value.value] = axes;
  }
  for (const auto& [name, value] : graph_.outputs) {
    // Gradients are stored as their parameters are: the order of the output's own type.
    if (name.starts_with(kGradientPrefix) && wanted[value.value].empty())
      wanted[value.value] = graph_.axes_of(value);
  }
  return wanted;
}

void Layout::WishFor(NodeId user, std::vector<AxisList>& wanted) const {
  const Node& node = graph_[user];
  const AxisList& own = wanted[user.value];
  const auto wish = [&](NodeId input, const AxisList& axes) {
    if (wanted[input.value].empty() && ir::SameSet(axes, graph_.axes_of(input))) wanted[input.value] = axes;
  };
  if (node.op == OpKind::Merge) {
    AxisList base = own.empty() ? DefaultOrder(node.type) : own;
    AxisList axes;
    for (Axis axis : base) {
      if (axis == node.attributes.axis) {
        axes.insert(axes.end(), node.attributes.axes.begin(), node.attributes.axes.end());
      } else {
        axes.push_back(axis);
      }
    }
    wish(node.inputs[0], axes);
  } else if (node.op == OpKind::Rename && !own.empty()) {
    AxisList axes;
    for (Axis axis : own) {
      for (const auto& [from, to] : node.attributes.renames) {
        if (to == axis) {
          axis = from;
          break;
        }
      }
      axes.push_back(axis);
    }
    wish(node.inputs[0], axes);
  } else if (!own.empty() && (ir::IsPointwise(node.op) || node.op == OpKind::Broadcast)) {
    for (NodeId input : node.inputs) wish(input, own);
  }
}

AxisList Layout::OwnOrder(const Node& node) const {
  AxisList chosen;
  if (ir::IsPointwise(node.op) || ir::IsReduce(node.op)) chosen = OrderOfLargestInput(node);
  if (node.op == OpKind::Contract) chosen = OrderOfScores(node);
  return chosen.empty() ? DefaultOrder(node.type) : chosen;
}

AxisList Layout::OrderOfLargestInput(const Node& node) const {
  // Like the largest input: what was adjacent stays adjacent.
  AxisList order;
  for (NodeId input : node.inputs) {
    if (graph_.type(input).dtype == ir::DType::Float &&
        ir::ContainsAll(graph_.axes_of(input), node.type.axes)) {
      for (Axis axis : orders_[input.value]) {
        if (ir::Contains(node.type.axes, axis)) order.push_back(axis);
      }
      break;
    }
  }
  return order;
}

AxisList Layout::OrderOfScores(const Node& node) const {
  // Scores of queries and keys: the second operand's dynamic axis last, so that rows of scores are
  // adjacent.
  AxisList dynamic;
  for (Axis axis : node.type.axes) {
    if (graph_.axes().IsDynamic(axis)) dynamic.push_back(axis);
  }
  if (dynamic.size() != 2) return {};
  const AxisList& right = graph_.axes_of(node.inputs[1]);
  const Axis last = ir::Contains(right, dynamic[1]) ? dynamic[1] : dynamic[0];
  if (ir::Contains(graph_.axes_of(node.inputs[0]), last)) return {};
  ir::Type rest = node.type;
  rest.axes = ir::Minus(rest.axes, {last});
  AxisList order = DefaultOrder(rest);
  order.push_back(last);
  return order;
}

View Layout::MakeView(int buffer, const AxisList& order, bool cache) const {
  View view;
  view.base.buffer = buffer;
  view.dtype = plan_.buffers[buffer].dtype;
  Size stride;
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    view.strides.insert(view.strides.begin(), {*it, stride});
    stride = stride * (cache ? CapacityOf(*it) : ExtentOf(*it));
  }
  return view;
}

int Layout::NewArenaBuffer(ir::DType dtype, const AxisList& axes) {
  Buffer buffer;
  buffer.dtype = dtype;
  buffer.elements = Elements(axes);
  buffer.first = -1;
  plan_.buffers.push_back(buffer);
  return static_cast<int>(plan_.buffers.size()) - 1;
}

void Layout::Allocate(NodeId id) {
  for (const auto& [name, value] : graph_.outputs) {
    NodeId named = value;
    while (named != id && graph_.op(named) == OpKind::Rename) named = graph_[named].inputs[0];
    if (named != id) continue;
    const int index = OutputNumber(name);
    if (index < 0 || output_bound_[index]) continue;
    output_bound_[index] = true;
    View view = OutputView(index);
    for (named = value; named != id; named = graph_[named].inputs[0]) {
      for (auto& [axis, stride] : view.strides) {
        const auto& renames = graph_[named].attributes.renames;
        const auto found = std::find_if(renames.begin(), renames.end(),
                                        [&](const auto& each) { return each.second == axis; });
        if (found != renames.end()) axis = found->first;
      }
    }
    views_[id.value] = std::move(view);
    return;
  }
  views_[id.value] = MakeView(NewArenaBuffer(graph_.type(id).dtype, graph_.axes_of(id)), orders_[id.value]);
}

void Layout::AllocateInOrder(NodeId id, const AxisList& order) {
  views_[id.value] = MakeView(NewArenaBuffer(graph_.type(id).dtype, order), order);
}

void Layout::AllocateLike(NodeId id, const View& like) {
  Buffer buffer;
  buffer.dtype = graph_.type(id).dtype;
  buffer.elements = plan_.buffers[like.base.buffer].elements;
  plan_.buffers.push_back(buffer);
  View view = like;
  view.base.buffer = static_cast<int>(plan_.buffers.size()) - 1;
  views_[id.value] = std::move(view);
}

View Layout::OutputView(int index) {
  for (size_t b = 0; b < plan_.buffers.size(); ++b) {
    if (plan_.buffers[b].kind == BufferKind::Output && plan_.buffers[b].index == index) {
      const TensorInfo& output = plan_.outputs[index];
      return MakeView(static_cast<int>(b), output.axes, output.name.starts_with(kCachePrefix));
    }
  }
  throw ir::InternalError("output without a buffer");
}

bool Layout::DeriveView(NodeId id) {
  const Node& node = graph_[id];
  const NodeId source = node.inputs[0];
  if (!HasMemory(source)) return false;
  View view = ViewOf(source);
  const ir::Attributes& at = node.attributes;
  const auto take = [&](Axis axis) {
    const Size stride = view.Stride(axis);
    std::erase_if(view.strides, [&](const auto& entry) { return entry.first == axis; });
    return stride;
  };
  switch (node.op) {
    case OpKind::Rename:
      for (auto& [axis, stride] : view.strides) {
        for (const auto& [from, to] : at.renames) {
          if (from == axis) {
            axis = to;
            break;
          }
        }
      }
      break;
    case OpKind::Gather: {
      const Axis positions = graph_[node.inputs[1]].attributes.axis;
      const Size stride = take(at.axis);
      view.strides.emplace_back(positions, stride);
      break;
    }
    case OpKind::Slice: {
      const Size step = take(at.axis) * Size{.factor = at.index};
      if (!step.IsZero()) view.base.offset.push_back(step);
      break;
    }
    case OpKind::Split: {
      Size stride = take(at.axis);
      for (auto it = at.to.rbegin(); it != at.to.rend(); ++it) {
        view.strides.emplace_back(*it, stride);
        stride = stride * ExtentOf(*it);
      }
      break;
    }
    case OpKind::Merge: {
      Size inner;
      bool first = true;
      for (auto it = at.axes.rbegin(); it != at.axes.rend(); ++it) {
        const Size stride = view.Stride(*it);
        if (!first && !(stride == inner)) return false;
        if (first) inner = stride;
        inner = inner * ExtentOf(*it);
        first = false;
      }
      const Size innermost = view.Stride(at.axes.back());
      for (Axis axis : at.axes) take(axis);
      view.strides.emplace_back(at.axis, innermost);
      break;
    }
    case OpKind::Broadcast:
    case OpKind::Element:
    case OpKind::Stop:
      break;
    default:
      return false;
  }
  views_[id.value] = std::move(view);
  return true;
}

View Layout::AllocateForMerge(NodeId merge) {
  const Node& node = graph_[merge];
  AxisList order;
  for (Axis axis : orders_[merge.value]) {
    if (axis == node.attributes.axis) {
      order.insert(order.end(), node.attributes.axes.begin(), node.attributes.axes.end());
    } else {
      order.push_back(axis);
    }
  }
  const int buffer = NewArenaBuffer(node.type.dtype, order);
  views_[merge.value] = MakeView(buffer, orders_[merge.value]);
  return MakeView(buffer, order);
}

}  // namespace heed::backend
