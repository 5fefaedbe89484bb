// The reference evaluator: all ops but fused attention (interp_attention.cpp).
//
// Loops are plain and in one fixed order, so that two evaluations of one value are the same bit for bit. What
// this file leaves alone: speed beyond stride arithmetic, and f32.
#include "ir/interp.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "ir/op_kinds.h"
#include "ir/tensor_walk.h"
#include "runtime/base/random.h"

namespace heed::ir {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

int64_t Product(const std::vector<int64_t>& shape) {
  int64_t product = 1;
  for (int64_t extent : shape) product *= extent;
  return product;
}

/// Of two elements at positions i and j: the larger first, a number before what is none, else by position.
bool ComesBefore(double x, int64_t i, double y, int64_t j) {
  if (std::isnan(x) || std::isnan(y)) return std::isnan(y) && (!std::isnan(x) || i < j);
  return x > y || (x == y && i < j);
}

}  // namespace

int64_t Tensor::count() const { return Product(shape); }

Tensor Transposed(const Tensor& tensor, const AxisList& order) {
  if (order == tensor.axes) return tensor;
  if (order.size() != tensor.axes.size() || !SameSet(order, tensor.axes))
    throw InternalError("[" + Text(tensor.axes) + "] cannot be ordered as [" + Text(order) + "]");
  Tensor result{order, {}, {}};
  for (Axis a : order)
    result.shape.push_back(
        tensor.shape[std::find(tensor.axes.begin(), tensor.axes.end(), a) - tensor.axes.begin()]);
  result.data.reserve(tensor.data.size());
  Walk<1>(result.shape, {StridesAlong(tensor, order)},
          [&](const auto& at) { result.data.push_back(tensor.data[at[0]]); });
  return result;
}

int64_t Interpreter::Extent(Axis axis) const {
  if (axis.ring()) return axis.ring();
  const AxisTable& table = graph_.axes();
  if (axis.stored()) return table.Bound(axis);
  if (axis.difference()) return 2 * Extent(axis.root());
  if (const auto found = options_.extents.find(axis.root()); found != options_.extents.end())
    return found->second;
  if (table.Has(axis) && table.Of(axis).kind == Extent::Kind::Static) return table.Of(axis).size;
  throw InternalError("the extent of " + axis.text() + " is not given");
}

std::vector<int64_t> Interpreter::Shape(const AxisList& axes) const {
  std::vector<int64_t> shape;
  for (Axis a : axes) shape.push_back(Extent(a));
  return shape;
}

Tensor Interpreter::Filled(const AxisList& axes, double value) const {
  Tensor tensor{axes, Shape(axes), {}};
  tensor.data.assign(tensor.count(), value);
  return tensor;
}

Tensor Interpreter::Full(const Tensor& x, const AxisList& axes) const {
  if (x.axes == axes) return x;
  Tensor result{axes, {}, {}};
  for (Axis a : axes) {
    const auto found = std::find(x.axes.begin(), x.axes.end(), a);
    result.shape.push_back(found == x.axes.end() ? Extent(a) : x.shape[found - x.axes.begin()]);
  }
  if (!ContainsAll(axes, x.axes)) throw InternalError("[" + Text(x.axes) + "] as [" + Text(axes) + "]");
  result.data.reserve(result.count());
  Walk<1>(result.shape, {StridesAlong(x, axes)},
          [&](const auto& at) { result.data.push_back(x.data[at[0]]); });
  return result;
}

Tensor Interpreter::SumTo(const Tensor& x, const AxisList& axes) const {
  const AxisList summed = Minus(x.axes, axes);
  Tensor result = Filled(axes);
  const Strides inner = StridesAlong(x, summed);
  const std::vector<int64_t> inner_shape = Shape(summed);
  Walk<2>(result.shape, {StridesAlong(x, axes), StridesAlong(result, axes)}, [&](const auto& at) {
    double total = 0;
    Walk<1>(inner_shape, {inner}, {at[0]}, [&](const auto& term) { total += x.data[term[0]]; });
    result.data[at[1]] = total;
  });
  return result;
}

void Interpreter::ReadExtents(NodeId id) {
  const Node& node = graph_[id];
  if (node.op != OpKind::Input) return;
  const auto found = options_.values.find(node.attributes.name);
  if (found == options_.values.end()) return;
  const Tensor& value = found->second;
  for (size_t i = 0; i < value.axes.size(); ++i) {
    const Axis axis = value.axes[i];
    if (axis.difference()) continue;
    if (axis.stored() || axis.ring() || graph_.axes().IsDynamic(axis) || graph_.axes().IsLifted(axis) ||
        !graph_.axes().Has(axis)) {
      if (!axis.stored() && !axis.ring()) options_.extents.try_emplace(axis.root(), value.shape[i]);
    }
  }
}

const Tensor& Interpreter::Value(NodeId id) {
  if (const auto found = values_.find(id); found != values_.end()) return found->second;
  const NodeId roots[] = {id};
  const std::vector<NodeId> order = graph_.Order(roots);
  for (NodeId each : order) ReadExtents(each);
  for (NodeId each : order) {
    if (values_.count(each)) continue;
    const auto frozen = options_.frozen.find(each);
    Tensor value = frozen != options_.frozen.end() ? frozen->second : Evaluate(each);
    values_.emplace(each, std::move(value));
  }
  return values_.at(id);
}

Tensor Interpreter::Evaluate(NodeId id) {
  const Node& node = graph_[id];
  switch (Info(node.op).family) {
    case Family::Leaf:
      return EvaluateLeaf(node);
    case Family::Pointwise:
      return EvaluatePointwise(node);
    case Family::Reduce:
      return EvaluateReduce(node);
    case Family::Contract:
      return EvaluateContract(node);
    case Family::Axes:
      return EvaluateAxes(node);
    case Family::Index:
      return EvaluateIndex(node);
    case Family::Random:
      return EvaluateRandom(node);
    case Family::Fused:
      return EvaluateFused(node);
  }
  throw InternalError("the evaluator does not know " + std::string(Info(node.op).name));
}

Tensor Interpreter::EvaluateLeaf(const Node& node) const {
  const Attributes& at = node.attributes;
  switch (As<LeafKind>(node.op)) {
    case LeafKind::Const:
      return {{}, {}, {at.number}};
    case LeafKind::Input:
    case LeafKind::Param:
      return Given(node);
    case LeafKind::Positions: {
      Tensor result = Filled(node.type.axes);
      const double first = at.axis.difference() ? -static_cast<double>(Extent(at.axis.root())) : 0;
      for (size_t i = 0; i < result.data.size(); ++i) result.data[i] = first + static_cast<double>(i);
      return result;
    }
    case LeafKind::Length:
      return {{}, {}, {static_cast<double>(Extent(at.axis))}};
  }
  throw InternalError("no such leaf");
}

Tensor Interpreter::EvaluateIndex(const Node& node) const {
  switch (As<IndexKind>(node.op)) {
    case IndexKind::Element:
      return values_.at(node.inputs[0]);
    case IndexKind::Gather:
      return EvaluateGather(node);
    case IndexKind::GroupedContract:
      return EvaluateGroupedContract(node);
    case IndexKind::Onehot: {
      const Tensor& index = values_.at(node.inputs[0]);
      Tensor result = Filled(node.type.axes);
      const int64_t extent = Extent(node.attributes.axis);
      for (size_t i = 0; i < index.data.size(); ++i)
        if (index.data[i] >= 0 && index.data[i] < static_cast<double>(extent))
          result.data[i * extent + static_cast<int64_t>(index.data[i])] = 1;
      return result;
    }
    case IndexKind::ScatterAdd:
      return EvaluateScatterAdd(node);
    case IndexKind::Write:
      return EvaluateWrite(node);
  }
  throw InternalError("no such op on indices");
}

Tensor Interpreter::Given(const Node& node) const {
  const std::string& name = node.attributes.name;
  const auto found = options_.values.find(name);
  if (found == options_.values.end()) throw InternalError("no value for " + name);
  const Tensor& given = found->second;
  Tensor result;
  if (node.op == OpKind::Param) {
    // A file may store several axes as one dimension: only the number of elements counts.
    result = {node.type.axes, Shape(node.type.axes), given.data};
    if (SameSet(given.axes, node.type.axes)) result.data = Transposed(given, node.type.axes).data;
  } else {
    if (given.axes.size() != node.type.axes.size() || !SameSet(given.axes, node.type.axes))
      throw InternalError(name + " is given on [" + Text(given.axes) + "], not [" + Text(node.type.axes) +
                          "]");
    result = Transposed(given, node.type.axes);
    if (result.shape != Shape(node.type.axes)) throw InternalError(name + " is given with another extent");
  }
  if (result.count() != static_cast<int64_t>(result.data.size()))
    throw InternalError(name + " has " + std::to_string(result.data.size()) + " elements, not " +
                        std::to_string(result.count()));
  return result;
}

Tensor Interpreter::EvaluatePointwise(const Node& node) const {
  const auto eval = Info(node.op).eval;
  const bool whole = node.type.dtype == DType::Int;
  const size_t count = node.inputs.size();
  std::array<const double*, 3> data{};
  std::array<Strides, 3> strides;
  strides.fill(Strides(node.type.axes.size(), 0));
  std::vector<int64_t> shape(node.type.axes.size(), -1);
  for (size_t i = 0; i < count; ++i) {
    const Tensor& x = values_.at(node.inputs[i]);
    data[i] = x.data.data();
    strides[i] = StridesAlong(x, node.type.axes);
    for (size_t j = 0; j < shape.size(); ++j) {
      const auto found = std::find(x.axes.begin(), x.axes.end(), node.type.axes[j]);
      if (found == x.axes.end()) continue;
      const int64_t extent = x.shape[found - x.axes.begin()];
      if (shape[j] >= 0 && shape[j] != extent)
        throw InternalError("two extents of " + node.type.axes[j].text());
      shape[j] = extent;
    }
  }
  Tensor result{node.type.axes, shape, {}};
  result.data.reserve(result.count());
  Walk<3>(shape, strides, [&](const auto& at) {
    double arguments[3];
    for (size_t i = 0; i < count; ++i) arguments[i] = data[i][at[i]];
    double value = eval({arguments, count});
    if (whole && std::isnan(value)) value = 0;  // the whole remainder by 0
    result.data.push_back(value);
  });
  return result;
}

Tensor Interpreter::EvaluateReduce(const Node& node) const {
  const AxisList& along = node.attributes.axes;
  const Tensor& x = values_.at(node.inputs[0]);
  const Tensor all{{}, {}, {1}};
  const Tensor& mask = node.inputs.size() > 1 ? values_.at(node.inputs[1]) : all;
  Tensor result = Filled(node.type.axes);
  const AxisList rest = Minus(node.type.axes, along);
  const std::vector<int64_t> row = Shape(along);
  const std::array<Strides, 3> outer = {StridesAlong(x, rest), StridesAlong(mask, rest),
                                        StridesAlong(result, rest)};
  const std::array<Strides, 3> inner = {StridesAlong(x, along), StridesAlong(mask, along),
                                        StridesAlong(result, along)};
  Walk<3>(Shape(rest), outer, [&](const std::array<int64_t, 3>& start) {
    const auto each = [&](auto body) {  // of the elements that are there
      Walk<3>(row, inner, start, [&](const auto& at) {
        if (mask.data[at[1]] != 0) body(x.data[at[0]], at[2]);
      });
    };
    double total = 0, largest = -kInfinity;
    switch (As<ReduceKind>(node.op)) {
      case ReduceKind::Sum:
        each([&](double value, int64_t) { total += value; });
        result.data[start[2]] = total;
        return;
      case ReduceKind::Max:
        each(
            [&](double value, int64_t) { largest = value > largest || std::isnan(value) ? value : largest; });
        result.data[start[2]] = largest;
        return;
      case ReduceKind::Argmax: {
        double number = 0, best = 0;
        Walk<3>(row, inner, start, [&](const auto& at) {
          if (mask.data[at[1]] != 0 && x.data[at[0]] > largest) {
            largest = x.data[at[0]];
            best = number;
          }
          ++number;
        });
        result.data[start[2]] = best;
        return;
      }
      case ReduceKind::Rank: {
        int64_t here = 0;
        Walk<3>(row, inner, start, [&](const auto& at) {
          const double value = x.data[at[0]];
          int64_t there = 0, before = 0;
          Walk<3>(row, inner, start, [&](const auto& other) {
            if (mask.data[other[1]] != 0) before += ComesBefore(x.data[other[0]], there, value, here);
            ++there;
          });
          result.data[at[2]] = static_cast<double>(before);
          ++here;
        });
        return;
      }
      case ReduceKind::LogSoftmax:
      case ReduceKind::LogSumExp:
      case ReduceKind::Softmax:
        break;
    }
    each([&](double value, int64_t) { largest = std::max(largest, value); });
    if (!std::isfinite(largest)) largest = 0;
    each([&](double value, int64_t) { total += std::exp(value - largest); });
    if (node.op == OpKind::LogSumExp) {
      result.data[start[2]] = largest + std::log(total);
      return;
    }
    if (total == 0) total = 1;
    const bool logarithm = node.op == OpKind::LogSoftmax;
    Walk<3>(row, inner, start, [&](const auto& at) {
      const bool there = mask.data[at[1]] != 0;
      const double value = x.data[at[0]] - largest;
      result.data[at[2]] =
          logarithm ? (there ? value - std::log(total) : -kInfinity) : (there ? std::exp(value) / total : 0);
    });
  });
  return result;
}

Tensor Interpreter::EvaluateContract(const Node& node) const {
  const AxisList& summed = node.attributes.axes;
  const Tensor& a = values_.at(node.inputs[0]);
  const Tensor& b = values_.at(node.inputs[1]);
  const Tensor all{{}, {}, {1}};
  const Tensor& mask = node.inputs.size() > 2 ? values_.at(node.inputs[2]) : all;
  Tensor result = Filled(node.type.axes);
  const std::vector<int64_t> terms = Shape(summed);
  const std::array<Strides, 3> inner = {StridesAlong(a, summed), StridesAlong(b, summed),
                                        StridesAlong(mask, summed)};
  Walk<4>(result.shape,
          {StridesAlong(a, node.type.axes), StridesAlong(b, node.type.axes),
           StridesAlong(mask, node.type.axes), StridesAlong(result, node.type.axes)},
          [&](const auto& at) {
            double total = 0;
            Walk<3>(terms, inner, {at[0], at[1], at[2]}, [&](const auto& term) {
              if (mask.data[term[2]] != 0) total += a.data[term[0]] * b.data[term[1]];
            });
            result.data[at[3]] = total;
          });
  return result;
}

Tensor Interpreter::EvaluateAxes(const Node& node) const {
  const Attributes& at = node.attributes;
  const Tensor& x = values_.at(node.inputs[0]);
  switch (As<AxesKind>(node.op)) {
    case AxesKind::Broadcast:
      return Full(x, node.type.axes);
    case AxesKind::Rename:
      return {node.type.axes, x.shape, x.data};
    case AxesKind::Merge: {
      const AxisList rest = Minus(x.axes, at.axes);
      AxisList order = rest;
      order.insert(order.end(), at.axes.begin(), at.axes.end());
      Tensor result = Transposed(x, order);
      int64_t merged = 1;
      for (size_t i = rest.size(); i < order.size(); ++i) merged *= result.shape[i];
      result.shape.resize(rest.size());
      result.shape.push_back(merged);
      result.axes = node.type.axes;
      return result;
    }
    case AxesKind::Split: {
      Tensor result{node.type.axes, {}, x.data};
      for (size_t i = 0; i < x.axes.size(); ++i) {
        if (x.axes[i] != at.axis) {
          result.shape.push_back(x.shape[i]);
          continue;
        }
        const std::vector<int64_t> parts = Shape(at.to);
        if (Product(parts) != x.shape[i])
          throw InternalError("split of " + at.axis.text() + " changes its size");
        result.shape.insert(result.shape.end(), parts.begin(), parts.end());
      }
      return result;
    }
    case AxesKind::Slice: {
      Tensor result = Filled(node.type.axes);
      const int64_t start = at.index * StridesAlong(x, {at.axis})[0];
      Walk<2>(result.shape, {StridesAlong(x, node.type.axes), StridesAlong(result, node.type.axes)},
              {start, 0}, [&](const auto& to) { result.data[to[1]] = x.data[to[0]]; });
      return result;
    }
    case AxesKind::Stack: {
      Tensor result = Filled(node.type.axes);
      const AxisList rest = Minus(node.type.axes, {at.axis});
      result.data.clear();
      for (NodeId part : node.inputs) {
        const Tensor value = Operand(part, rest);
        result.data.insert(result.data.end(), value.data.begin(), value.data.end());
      }
      return result;
    }
  }
  throw InternalError("no such op on axes");
}

Tensor Interpreter::EvaluateGather(const Node& node) const {
  const Tensor& x = values_.at(node.inputs[0]);
  const Tensor& index = values_.at(node.inputs[1]);
  const Axis axis = node.attributes.axis;
  const int64_t stride = StridesAlong(x, {axis})[0];
  const int64_t extent = x.shape[std::find(x.axes.begin(), x.axes.end(), axis) - x.axes.begin()];
  Tensor result = Filled(node.type.axes);
  Walk<3>(result.shape,
          {StridesAlong(x, node.type.axes), StridesAlong(index, node.type.axes),
           StridesAlong(result, node.type.axes)},
          [&](const auto& at) {
            const double i = index.data[at[1]];
            if (i >= 0 && i < static_cast<double>(extent))
              result.data[at[2]] = x.data[at[0] + static_cast<int64_t>(i) * stride];
          });
  return result;
}

Tensor Interpreter::EvaluateGroupedContract(const Node& node) const {
  const AxisList& summed = node.attributes.axes;
  const Tensor &x = values_.at(node.inputs[0]), &index = values_.at(node.inputs[1]);
  std::vector<Tensor> factors;
  for (size_t i = 2; i < node.inputs.size(); ++i)
    factors.push_back(Transposed(values_.at(node.inputs[i]), values_.at(node.inputs[2]).axes));
  Tensor result = Filled(node.type.axes);
  const Strides of_x = StridesAlong(x, summed), of_factor = StridesAlong(factors[0], summed);
  Walk<4>(result.shape,
          {StridesAlong(x, node.type.axes), StridesAlong(index, node.type.axes),
           StridesAlong(factors[0], node.type.axes), StridesAlong(result, node.type.axes)},
          [&](const auto& at) {
            const double i = index.data[at[1]];
            if (!(i >= 0 && i < static_cast<double>(factors.size()))) return;
            const Tensor& factor = factors[static_cast<size_t>(i)];
            double total = 0;
            Walk<2>(Shape(summed), {of_x, of_factor}, {at[0], at[2]},
                    [&](const auto& term) { total += x.data[term[0]] * factor.data[term[1]]; });
            result.data[at[3]] = total;
          });
  return result;
}

Tensor Interpreter::EvaluateScatterAdd(const Node& node) const {
  const Tensor& dy = values_.at(node.inputs[0]);
  const Tensor& index = values_.at(node.inputs[1]);
  const Tensor all{{}, {}, {1}};
  const Tensor& mask = node.inputs.size() > 2 ? values_.at(node.inputs[2]) : all;
  Tensor result = Filled(node.type.axes);
  const Axis axis = node.attributes.axis;
  const AxisList to = Minus(node.type.axes, {axis});
  AxisList have = Union(dy.axes, index.axes);
  have = Union(have, mask.axes);
  const AxisList summed = Minus(have, to);
  AxisList order = to;
  order.insert(order.end(), summed.begin(), summed.end());
  const int64_t stride = StridesAlong(result, {axis})[0], extent = Extent(axis);
  Walk<4>(Shape(order),
          {StridesAlong(dy, order), StridesAlong(index, order), StridesAlong(mask, order),
           StridesAlong(result, order)},
          [&](const auto& at) {
            const double i = index.data[at[1]];
            if (mask.data[at[2]] != 0 && i >= 0 && i < static_cast<double>(extent))
              result.data[at[3] + static_cast<int64_t>(i) * stride] += dy.data[at[0]];
          });
  return result;
}

Tensor Interpreter::EvaluateWrite(const Node& node) const {
  const Tensor& row = values_.at(node.inputs[1]);
  const Tensor& slot = values_.at(node.inputs[2]);
  Tensor result = values_.at(node.inputs[0]);
  const Axis axis = node.attributes.axis;
  const AxisList rest = Minus(result.axes, {axis});
  const int64_t stride = StridesAlong(result, {axis})[0], extent = Extent(axis);
  Walk<3>(Shape(rest), {StridesAlong(row, rest), StridesAlong(slot, rest), StridesAlong(result, rest)},
          [&](const auto& at) {
            const double i = slot.data[at[1]];
            if (i >= 0 && i < static_cast<double>(extent))
              result.data[at[2] + static_cast<int64_t>(i) * stride] = row.data[at[0]];
          });
  return result;
}

Tensor Interpreter::EvaluateRandom(const Node& node) const {
  const bool keep = node.op == OpKind::Keep;
  Tensor result = Filled(node.type.axes, keep ? 1 : 0);
  if (!options_.dropout) return result;
  const Attributes& at = node.attributes;
  const Tensor& example = values_.at(node.inputs[0]);
  // The element's number uses the bounds as strides, so that it does not depend on padding or order.
  AxisList sorted = at.axes;
  std::sort(sorted.begin(), sorted.end());
  Strides number(node.type.axes.size(), 0);
  int64_t stride = 1;
  for (size_t i = sorted.size(); i-- > 0;) {
    number[std::find(node.type.axes.begin(), node.type.axes.end(), sorted[i]) - node.type.axes.begin()] =
        stride;
    stride *= graph_.axes().Bound(sorted[i]);
  }
  const uint64_t key = RandomKey(options_.seed, options_.step);
  const uint32_t site = SiteHash(at.name.data(), at.name.size());
  const float p = static_cast<float>(at.number);
  Walk<3>(result.shape, {StridesAlong(example, node.type.axes), number, StridesAlong(result, node.type.axes)},
          [&](const auto& to) {
            const uint32_t which = static_cast<uint32_t>(static_cast<int64_t>(example.data[to[0]]));
            const uint32_t bits = RandomBits(key, which, site, static_cast<uint64_t>(to[1]));
            result.data[to[2]] = keep ? KeepFactor(bits, p) : GumbelNoise(bits);
          });
  return result;
}

}  // namespace heed::ir
