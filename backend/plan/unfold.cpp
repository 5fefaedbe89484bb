// See unfold.h.
#include "backend/plan/unfold.h"

#include <algorithm>

#include "ir/op_kinds.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::DType;
using ir::Graph;
using ir::InternalError;
using ir::Node;
using ir::NodeId;
using ir::OpKind;
using Kind = LoopValue::Kind;

namespace {

[[noreturn]] void ThrowNoLoop(const Node& node) {
  throw InternalError("no loop for " + std::string(ir::Info(node.op).name) + " at " +
                      node.origin.where.Text());
}

}  // namespace

Unfolder::Unfolder(const Graph& graph, const Layout& layout, const std::set<NodeId>& own, LoopKernel& kernel,
                   std::vector<Axis> axes)
    : graph_(graph), layout_(layout), own_(own), kernel_(kernel), axes_(std::move(axes)) {
  for (size_t i = 0; i < axes_.size(); ++i) identity_[axes_[i]] = Index{.loop = static_cast<int>(i)};
}

int Unfolder::AddOperand(const View& view) {
  LoopOperand operand{view.base, view.dtype, {}};
  for (Axis axis : axes_) operand.strides.push_back(view.Stride(axis));
  return AddOperand(std::move(operand));
}

int Unfolder::Unfold(NodeId id, const AxisMap& map, bool root) {
  const Node& node = graph_[id];
  AxisMap relevant;
  for (Axis axis : node.type.axes) {
    const auto found = map.find(axis);
    if (found == map.end())
      throw InternalError("loop lacks axis " + axis.text() + " at " + node.origin.where.Text());
    relevant.emplace(*found);
  }
  const auto key = std::make_tuple(id, root, relevant);
  if (auto found = memo_.find(key); found != memo_.end()) return found->second;
  const int value = Make(id, node, relevant, root);
  memo_.emplace(key, value);
  return value;
}

int Unfolder::Make(NodeId id, const Node& node, const AxisMap& map, bool root) {
  if (!root) {
    const auto reduction = reduction_of_.find(id);
    if (reduction != reduction_of_.end() && IsIdentity(map)) {
      return Add(
          {.kind = Kind::Reduced, .dtype = node.type.dtype, .row = true, .reduction = reduction->second});
    }
    if (!own_.count(id) && layout_.HasMemory(id)) return Load(layout_.ViewOf(id), map);
  }
  switch (ir::Info(node.op).family) {
    case ir::Family::Leaf:
      return Leaf(node, map);
    case ir::Family::Pointwise: {
      if (node.op == OpKind::Stop) return Value(node.inputs[0], map);
      std::vector<int> arguments;
      arguments.reserve(node.inputs.size());
      for (NodeId input : node.inputs) arguments.push_back(Value(input, map));
      return Op(node.op, node.type.dtype, std::move(arguments));
    }
    case ir::Family::Reduce:
      throw InternalError("reduction used before its loop at " + node.origin.where.Text());
    case ir::Family::Axes:
      return Axes(node, map);
    case ir::Family::Index:
      return Indexed(node, map);
    case ir::Family::Random:
      return Random(node, map);
    case ir::Family::Contract:
    case ir::Family::Fused:
      break;
  }
  ThrowNoLoop(node);
}

int Unfolder::Leaf(const Node& node, const AxisMap& map) {
  const ir::Attributes& at = node.attributes;
  switch (ir::As<ir::LeafKind>(node.op)) {
    case ir::LeafKind::Const:
      return Add({.kind = Kind::Const, .dtype = node.type.dtype, .number = at.number});
    case ir::LeafKind::Positions: {
      const int index = IndexValue(map.at(at.axis));
      if (!at.axis.difference()) return index;
      const Size extent = layout_.ExtentOf(at.axis.root());
      const int zero = extent.IsStatic() ? Int(extent.factor)
                                         : Add({.kind = Kind::Extent, .dtype = DType::Int, .size = extent});
      return Op(OpKind::Sub, DType::Int, {index, zero});
    }
    case ir::LeafKind::Length:  // of a graph that was not batched
      return Add({.kind = Kind::Extent, .dtype = DType::Int, .size = layout_.ExtentOf(at.axis)});
    case ir::LeafKind::Input:
    case ir::LeafKind::Param:
      break;  // in memory
  }
  ThrowNoLoop(node);
}

int Unfolder::Axes(const Node& node, const AxisMap& map) {
  const ir::Attributes& at = node.attributes;
  AxisMap inner = map;
  switch (ir::As<ir::AxesKind>(node.op)) {
    case ir::AxesKind::Broadcast:
      return Value(node.inputs[0], map);
    case ir::AxesKind::Rename:
      for (const auto& [from, to] : at.renames) inner.erase(to);
      for (const auto& [from, to] : at.renames) inner[from] = map.at(to);
      return Value(node.inputs[0], inner);
    case ir::AxesKind::Slice:
      inner[at.axis] = Index{.element = at.index};
      return Value(node.inputs[0], inner);
    case ir::AxesKind::Stack:
      return Stack(node, map);
    case ir::AxesKind::Merge:
    case ir::AxesKind::Split:
      break;  // views
  }
  ThrowNoLoop(node);
}

int Unfolder::Indexed(const Node& node, const AxisMap& map) {
  switch (ir::As<ir::IndexKind>(node.op)) {
    case ir::IndexKind::Element:
      return Value(node.inputs[0], map);
    case ir::IndexKind::Gather:
      return Gather(node, map);
    case ir::IndexKind::GroupedContract:
    case ir::IndexKind::Onehot:
    case ir::IndexKind::ScatterAdd:
    case ir::IndexKind::Write:
      break;  // other ops by now (expand.cpp), or steps and roots of their own
  }
  ThrowNoLoop(node);
}

bool Unfolder::IsIdentity(const AxisMap& map) const {
  for (const auto& [axis, index] : map) {
    const auto found = identity_.find(axis);
    if (found == identity_.end() || found->second != index) return false;
  }
  return true;
}

int Unfolder::Op(OpKind op, DType dtype, std::vector<int> arguments) {
  return Add({.kind = Kind::Op, .dtype = dtype, .op = op, .args = std::move(arguments)});
}

int Unfolder::Int(int64_t number) {
  return Add({.kind = Kind::Const, .dtype = DType::Int, .number = static_cast<double>(number)});
}

int Unfolder::IndexValue(const Index& index) {
  if (index.value >= 0) return index.value;
  if (index.loop >= 0) return Add({.kind = Kind::Position, .dtype = DType::Int, .axis = index.loop});
  return Int(index.element);
}

int Unfolder::Stack(const Node& node, const AxisMap& map) {
  const Index& index = map.at(node.attributes.axis);
  AxisMap inner = map;
  inner.erase(node.attributes.axis);
  if (index.loop < 0 && index.value < 0) return Value(node.inputs.at(index.element), inner);
  int value = Value(node.inputs.back(), inner);
  for (size_t i = node.inputs.size() - 1; i-- > 0;) {
    const int hit = Op(OpKind::Eq, DType::Bool, {IndexValue(index), Int(static_cast<int64_t>(i))});
    value = Op(OpKind::Select, node.type.dtype, {hit, Value(node.inputs[i], inner), value});
  }
  return value;
}

int Unfolder::Gather(const Node& node, const AxisMap& map) {
  const NodeId source = node.inputs[0];
  const int index = Value(node.inputs[1], map);
  AxisMap inner = map;
  inner[node.attributes.axis] = Index{.value = index};
  const int value = Value(source, inner);
  const Size extent = layout_.ExtentOf(node.attributes.axis);
  for (size_t i = 0; i < values_[value].places.size(); ++i)
    if (values_[value].args[i] == index && values_[value].places[i].size == extent)
      return value;  // 0 out of range already
  const int end = extent.IsStatic() ? Int(extent.factor)
                                    : Add({.kind = Kind::Extent, .dtype = DType::Int, .size = extent});
  const int inside =
      Op(OpKind::And, DType::Bool,
         {Op(OpKind::Ge, DType::Bool, {index, Int(0)}), Op(OpKind::Lt, DType::Bool, {index, end})});
  const int zero = Add({.kind = Kind::Const, .dtype = node.type.dtype, .number = 0});
  return Op(OpKind::Select, node.type.dtype, {inside, value, zero});
}

int Unfolder::Random(const Node& node, const AxisMap& map) {
  AxisList axes = node.attributes.axes;
  std::sort(axes.begin(), axes.end());
  int element = -1;
  int64_t stride = 1;
  for (auto it = axes.rbegin(); it != axes.rend(); ++it) {
    int term = IndexValue(map.at(*it));
    if (stride != 1) term = Op(OpKind::Mul, DType::Int, {term, Int(stride)});
    element = element < 0 ? term : Op(OpKind::Add, DType::Int, {element, term});
    stride *= graph_.axes().Bound(*it);
    if (stride >= int64_t{1} << 31) throw InternalError("chance over more than 2^31 elements");
  }
  if (element < 0) element = Int(0);
  return Add({.kind = node.op == OpKind::Keep ? Kind::Keep : Kind::Gumbel,
              .dtype = DType::Float,
              .args = {Value(node.inputs[0], map), element},
              .number = node.attributes.number,
              .site = node.attributes.name});
}

int Unfolder::Load(const View& view, const AxisMap& map) {
  LoopOperand operand{view.base, view.dtype, std::vector<Size>(axes_.size(), Size{.factor = 0})};
  LoopValue value{.kind = Kind::Load, .dtype = view.dtype};
  const auto at = [&](int index, Axis axis, const Size& stride) {
    value.kind = Kind::Gather;
    value.args.push_back(index);
    value.places.push_back({layout_.ExtentOf(axis), stride});
  };
  for (const auto& [axis, stride] : view.strides) {
    const auto found = map.find(axis);
    if (found == map.end())
      throw InternalError("operand varies along " + axis.text() + ", which the loop lacks");
    const Index& index = found->second;
    if (index.value >= 0) {
      at(index.value, axis, stride);
    } else if (index.loop >= 0) {
      Size& into = operand.strides[index.loop];
      if (into.IsZero()) {
        into = stride;
      } else if (into.terms == stride.terms) {
        into.factor += stride.factor;  // a diagonal
      } else {                         // a diagonal whose stride is a sum
        at(IndexValue(index), axis, stride);
      }
    } else if (index.element != 0) {
      operand.base.offset.push_back(stride * Size{.factor = index.element});
    }
  }
  value.operand = AddOperand(std::move(operand));
  return Add(std::move(value));
}

int Unfolder::AddOperand(LoopOperand operand) {
  for (size_t i = 0; i < kernel_.operands.size(); ++i) {
    const LoopOperand& known = kernel_.operands[i];
    if (known.base == operand.base && known.dtype == operand.dtype && known.strides == operand.strides) {
      return static_cast<int>(i);
    }
  }
  kernel_.operands.push_back(std::move(operand));
  return static_cast<int>(kernel_.operands.size()) - 1;
}

int Unfolder::Add(LoopValue value) {
  std::string key;
  for (int64_t part : {static_cast<int64_t>(value.kind), static_cast<int64_t>(value.dtype),
                       static_cast<int64_t>(value.op), static_cast<int64_t>(value.axis),
                       static_cast<int64_t>(value.operand), static_cast<int64_t>(value.reduction)}) {
    key += std::to_string(part) + ",";
  }
  for (int argument : value.args) key += "v" + std::to_string(argument);
  key.append(reinterpret_cast<const char*>(&value.number), sizeof value.number);
  key += value.site;
  const auto add_size = [&](const Size& size) {
    key += "," + std::to_string(size.factor);
    for (int term : size.terms) key += "t" + std::to_string(term);
  };
  add_size(value.size);
  for (const LoopPlace& place : value.places) {
    add_size(place.size);
    add_size(place.stride);
  }
  if (auto found = interned_.find(key); found != interned_.end()) return found->second;
  values_.push_back(std::move(value));
  return interned_[key] = static_cast<int>(values_.size()) - 1;
}

}  // namespace heed::backend
