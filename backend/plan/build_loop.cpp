// Unfolding works on maps from axes to loop indices, so that renames, slices, gathers and stacks inside an
// expression cost nothing: they only change where its operands are read. A value that several stages need and
// that is dear is written to a row of scratch by the first.
#include "backend/plan/build_loop.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "ir/op.h"

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

/// What an axis of an expression is inside the loop: an axis of the kernel, a computed index, or a fixed
/// element.
struct Index {
  int loop = -1;
  int value = -1;
  int64_t element = 0;
  friend auto operator<=>(const Index&, const Index&) = default;
};
using AxisMap = std::map<Axis, Index>;

/// Expressions before they are arranged in stages. Values are hash-consed.
class Unfolder {
 public:
  Unfolder(const Graph& graph, const Layout& layout, const std::set<NodeId>& own, LoopKernel& kernel,
           std::vector<Axis> axes)
      : graph_(graph), layout_(layout), own_(own), kernel_(kernel), axes_(std::move(axes)) {
    for (size_t i = 0; i < axes_.size(); ++i) identity_[axes_[i]] = Index{.loop = static_cast<int>(i)};
  }

  const AxisMap& identity() const { return identity_; }
  std::vector<LoopValue>& values() { return values_; }
  const std::map<NodeId, int>& reductions() const { return reduction_of_; }
  void DeclareReduction(NodeId id, int number) { reduction_of_[id] = number; }

  /// The value of a root itself, unfolded although it is (or will be) in memory.
  int Root(NodeId id) { return Unfold(id, identity_, true); }

  /// 1 for true, 0 for false: what a sum of bools counts.
  int AsInt(int value) { return Op(OpKind::Select, DType::Int, {value, Int(1), Int(0)}); }

  int Value(NodeId id, const AxisMap& map) { return Unfold(id, map, false); }

  int AddOperand(const View& view) {
    LoopOperand operand{view.base, view.dtype, {}};
    for (Axis axis : axes_) operand.strides.push_back(view.Stride(axis));
    return AddOperand(std::move(operand));
  }

 private:
  int Unfold(NodeId id, const AxisMap& map, bool root) {
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

  int Make(NodeId id, const Node& node, const AxisMap& map, bool root) {
    if (!root) {
      const auto reduction = reduction_of_.find(id);
      if (reduction != reduction_of_.end() && IsIdentity(map)) {
        return Add(
            {.kind = Kind::Reduced, .dtype = node.type.dtype, .row = true, .reduction = reduction->second});
      }
      if (!own_.count(id) && layout_.HasMemory(id)) return Load(layout_.ViewOf(id), map);
    }
    if (ir::IsReduce(node.op))
      throw InternalError("reduction used before its loop at " + node.origin.where.Text());
    const ir::Attributes& at = node.attributes;
    switch (node.op) {
      case OpKind::Const:
        return Add({.kind = Kind::Const, .dtype = node.type.dtype, .number = at.number});
      case OpKind::Positions: {
        const int index = IndexValue(map.at(at.axis));
        if (!at.axis.difference()) return index;
        const Size extent = layout_.ExtentOf(at.axis.root());
        const int zero = extent.IsStatic() ? Int(extent.factor)
                                           : Add({.kind = Kind::Extent, .dtype = DType::Int, .size = extent});
        return Op(OpKind::Sub, DType::Int, {index, zero});
      }
      case OpKind::Length:  // of a graph that was not batched
        return Add({.kind = Kind::Extent, .dtype = DType::Int, .size = layout_.ExtentOf(at.axis)});
      case OpKind::Stop:
      case OpKind::Element:
      case OpKind::Broadcast:
        return Value(node.inputs[0], map);
      case OpKind::Rename: {
        AxisMap inner = map;
        for (const auto& [from, to] : at.renames) inner.erase(to);
        for (const auto& [from, to] : at.renames) inner[from] = map.at(to);
        return Value(node.inputs[0], inner);
      }
      case OpKind::Slice: {
        AxisMap inner = map;
        inner[at.axis] = Index{.element = at.index};
        return Value(node.inputs[0], inner);
      }
      case OpKind::Stack:
        return Stack(node, map);
      case OpKind::Gather:
        return Gather(node, map);
      case OpKind::Keep:
      case OpKind::Gumbel:
        return Random(node, map);
      default:
        break;
    }
    if (!ir::IsPointwise(node.op)) {
      throw InternalError("no loop for " + std::string(ir::Info(node.op).name) + " at " +
                          node.origin.where.Text());
    }
    std::vector<int> arguments;
    arguments.reserve(node.inputs.size());
    for (NodeId input : node.inputs) arguments.push_back(Value(input, map));
    return Op(node.op, node.type.dtype, std::move(arguments));
  }

  bool IsIdentity(const AxisMap& map) const {
    for (const auto& [axis, index] : map) {
      const auto found = identity_.find(axis);
      if (found == identity_.end() || found->second != index) return false;
    }
    return true;
  }

  int Op(OpKind op, DType dtype, std::vector<int> arguments) {
    return Add({.kind = Kind::Op, .dtype = dtype, .op = op, .args = std::move(arguments)});
  }
  int Int(int64_t number) {
    return Add({.kind = Kind::Const, .dtype = DType::Int, .number = static_cast<double>(number)});
  }
  int IndexValue(const Index& index) {
    if (index.value >= 0) return index.value;
    if (index.loop >= 0) return Add({.kind = Kind::Position, .dtype = DType::Int, .axis = index.loop});
    return Int(index.element);
  }

  int Stack(const Node& node, const AxisMap& map) {
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

  int Gather(const Node& node, const AxisMap& map) {
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

  /// The element's number has the bounds of the axes as strides, axes in alphabetical order, the last
  /// fastest.
  int Random(const Node& node, const AxisMap& map) {
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

  int Load(const View& view, const AxisMap& map) {
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

  int AddOperand(LoopOperand operand) {
    for (size_t i = 0; i < kernel_.operands.size(); ++i) {
      const LoopOperand& known = kernel_.operands[i];
      if (known.base == operand.base && known.dtype == operand.dtype && known.strides == operand.strides) {
        return static_cast<int>(i);
      }
    }
    kernel_.operands.push_back(std::move(operand));
    return static_cast<int>(kernel_.operands.size()) - 1;
  }

  int Add(LoopValue value) {
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

  const Graph& graph_;
  const Layout& layout_;
  const std::set<NodeId>& own_;
  LoopKernel& kernel_;
  std::vector<Axis> axes_;
  AxisMap identity_;
  std::vector<LoopValue> values_;
  std::map<std::tuple<NodeId, bool, AxisMap>, int> memo_;
  std::map<NodeId, int> reduction_of_;
  std::map<std::string, int> interned_;
};

double CostOf(const LoopValue& value) {
  switch (value.kind) {
    case Kind::Keep:
    case Kind::Gumbel:
      return 10;
    case Kind::Load:
      return 1;
    case Kind::Gather:
      return 2;
    case Kind::Op:
      if (IsExpensive(value.op)) return 5;
      return value.op == OpKind::Div || value.op == OpKind::Sqrt ? 1.5 : 0.3;
    default:
      return 0;
  }
}

// A value of one stage that a later one needs is kept in scratch if computing it again costs more than this.
constexpr double kSpillAbove = 3;

/// Arranges unfolded values in stages.
class Arranger {
 public:
  Arranger(std::vector<LoopValue> raw, LoopKernel& kernel, size_t inner_begin)
      : raw_(std::move(raw)), kernel_(kernel), inner_begin_(inner_begin) {
    row_.resize(raw_.size());
    level_.resize(raw_.size());
    cost_.resize(raw_.size());
  }

  /// Row-ness, stage and cost of raw values; the levels of reductions are final when their users are
  /// measured.
  void Measure(const std::vector<int>& reduction_level) {
    for (size_t i = 0; i < raw_.size(); ++i) {
      const LoopValue& value = raw_[i];
      bool row = true;
      int level = 0;
      double cost = CostOf(value);
      for (int argument : value.args) {
        row &= row_[argument];
        level = std::max(level, level_[argument]);
        if (!row_[argument]) cost += cost_[argument];
      }
      if (value.kind == Kind::Position) row = value.axis < static_cast<int>(inner_begin_);
      if (value.kind == Kind::Load || value.kind == Kind::Gather) {
        const LoopOperand& operand = kernel_.operands[value.operand];
        for (size_t axis = inner_begin_; axis < operand.strides.size(); ++axis)
          row &= operand.strides[axis].IsZero();
      }
      if (value.kind == Kind::Reduced) level = reduction_level[value.reduction] + 1;
      row_[i] = row;
      level_[i] = level;
      cost_[i] = std::min(cost, 1e6);
    }
  }
  bool IsRow(int raw) const { return row_[raw]; }
  int LevelOf(int raw) const { return level_[raw]; }

  /// The value in the finished kernel, as stage `stage` sees it.
  int Place(int raw, int stage) {
    const int slot = row_[raw] ? -1 : stage;
    if (auto found = placed_.find({raw, slot}); found != placed_.end()) return found->second;
    if (!row_[raw] && cost_[raw] > kSpillAbove && raw_[raw].dtype == DType::Float) {
      for (int earlier = 0; earlier < stage; ++earlier) {
        const auto found = placed_.find({raw, earlier});
        if (found == placed_.end()) continue;
        return placed_[{raw, slot}] = Spilled(raw, earlier, found->second);
      }
    }
    LoopValue value = raw_[raw];
    value.row = row_[raw];
    for (int& argument : value.args) argument = Place(argument, stage);
    kernel_.values.push_back(std::move(value));
    return placed_[{raw, slot}] = static_cast<int>(kernel_.values.size()) - 1;
  }

 private:
  int Spilled(int raw, int stage, int value) {
    auto [found, fresh] = spill_.try_emplace(raw, -1);
    if (fresh) {
      LoopOperand operand{{}, DType::Float, std::vector<Size>(AxisCount(), Size{.factor = 0})};
      Size stride;
      for (size_t axis = AxisCount(); axis-- > inner_begin_;) {
        operand.strides[axis] = stride;
        stride = stride * kernel_.inner[axis - inner_begin_];
      }
      kernel_.operands.push_back(std::move(operand));
      ++kernel_.scratch_rows;
      found->second = static_cast<int>(kernel_.operands.size()) - 1;
      kernel_.stages[stage].stores.push_back({value, found->second});
    }
    LoopValue load{.kind = Kind::Load, .dtype = DType::Float};
    load.operand = found->second;
    kernel_.values.push_back(load);
    return static_cast<int>(kernel_.values.size()) - 1;
  }
  size_t AxisCount() const { return inner_begin_ + kernel_.inner.size(); }

  std::vector<LoopValue> raw_;
  LoopKernel& kernel_;
  size_t inner_begin_;
  std::vector<bool> row_;
  std::vector<int> level_;
  std::vector<double> cost_;
  std::map<std::pair<int, int>, int> placed_;
  std::map<int, int> spill_;
};

}  // namespace

AxisList LoopAxes(const Graph& graph, const Layout& layout, const Item& item) {
  // The order of the loops is that of the largest value: a root that is stored, else an operand.
  const AxisList all = ir::Union(item.outer, item.inner);
  AxisList reference;
  const auto consider = [&](const AxisList& order) {
    if (reference.size() < all.size() && order.size() > reference.size() && ir::ContainsAll(all, order)) {
      reference = order;
    }
  };
  for (NodeId root : item.nodes) {
    if (!ir::IsReduce(graph.op(root))) consider(ir::Intersection(layout.OrderOf(root), all));
  }
  for (NodeId root : item.nodes) {
    if (ir::IsReduce(graph.op(root))) {
      consider(layout.OrderOf(graph[root].inputs[0]));
      consider(layout.OrderOf(root));
    }
  }
  reference = ir::Union(reference, all);
  if (item.inner_order.empty()) return reference;
  AxisList ordered = ir::Minus(reference, item.inner_order);
  ordered.insert(ordered.end(), item.inner_order.begin(), item.inner_order.end());
  return ordered;
}

LoopKernel BuildLoop(const Graph& graph, const Layout& layout, const Item& item,
                     const std::set<NodeId>& stored) {
  LoopKernel kernel;
  kernel.column = item.column;
  const std::set<NodeId> own(item.nodes.begin(), item.nodes.end());

  const AxisList all = ir::Union(item.outer, item.inner);
  const AxisList reference = LoopAxes(graph, layout, item);
  std::vector<Axis> outer, inner;
  for (Axis axis : reference) {
    if (item.reduces) {
      (ir::Contains(item.inner, axis) ? inner : outer).push_back(axis);
    } else {
      outer.push_back(axis);
    }
  }
  if (!item.reduces && !outer.empty()) {
    inner.push_back(outer.back());
    outer.pop_back();
  }
  Axis lane;
  if (kernel.column) {
    if (outer.empty()) {
      kernel.column = false;
    } else {
      lane = outer.back();
      outer.pop_back();
    }
  }
  std::vector<Axis> axes = outer;
  for (Axis axis : outer) kernel.outer.push_back(layout.ExtentOf(axis));
  if (kernel.column) {
    axes.push_back(lane);
    kernel.lane = layout.ExtentOf(lane);
  }
  const size_t inner_begin = axes.size();
  axes.insert(axes.end(), inner.begin(), inner.end());
  for (Axis axis : inner) kernel.inner.push_back(layout.ExtentOf(axis));

  // Unfold every root. Reductions are numbered in order of appearance, which is an order of dependence.
  Unfolder unfolder(graph, layout, own, kernel, axes);
  struct Raw {
    NodeId root;
    int value = -1, mask = -1, index = -1;
  };
  std::vector<Raw> reductions, maps;
  for (NodeId root : item.nodes) {
    const Node& node = graph[root];
    if (ir::IsReduce(node.op)) {
      Raw raw{root, unfolder.Value(node.inputs[0], unfolder.identity())};
      if (graph.type(node.inputs[0]).dtype == DType::Bool) raw.value = unfolder.AsInt(raw.value);
      if (const NodeId mask = ir::MaskOf(node)) raw.mask = unfolder.Value(mask, unfolder.identity());
      unfolder.DeclareReduction(root, static_cast<int>(reductions.size()));
      reductions.push_back(raw);
    } else if (node.op == OpKind::Write) {
      Raw raw{root, unfolder.Value(node.inputs[1], unfolder.identity())};
      raw.index = unfolder.Value(node.inputs[2], unfolder.identity());
      maps.push_back(raw);
    } else {
      maps.push_back({root, unfolder.Root(root)});
    }
  }

  std::map<NodeId, int> row_roots;  // reductions that are stored: their value
  std::vector<std::pair<NodeId, int>> reduced_values;
  for (const Raw& raw : reductions) {
    if (stored.count(raw.root))
      reduced_values.emplace_back(raw.root, unfolder.Value(raw.root, unfolder.identity()));
  }

  Arranger arranger(unfolder.values(), kernel, inner_begin);
  std::vector<int> level(reductions.size(), 0);
  int stage_count = 0;
  for (size_t i = 0; i <= reductions.size(); ++i) {
    arranger.Measure(level);  // one round more than there are reductions settles every level
    bool changed = false;
    for (size_t r = 0; r < reductions.size(); ++r) {
      int at = arranger.LevelOf(reductions[r].value);
      if (reductions[r].mask >= 0) at = std::max(at, arranger.LevelOf(reductions[r].mask));
      changed |= level[r] != at;
      level[r] = at;
      stage_count = std::max(stage_count, at + 1);
    }
    if (!changed && i > 0) break;
  }
  std::vector<int> map_stage(maps.size(), -1);
  for (size_t i = 0; i < maps.size(); ++i) {
    if (!stored.count(maps[i].root)) continue;
    const bool row_root = !ir::SameSet(DomainOf(graph, maps[i].root).kept, all) || inner.empty();
    const bool row_index = maps[i].index < 0 || arranger.IsRow(maps[i].index);
    if (row_root && row_index && arranger.IsRow(maps[i].value)) continue;
    map_stage[i] = arranger.LevelOf(maps[i].value);
    if (maps[i].index >= 0) map_stage[i] = std::max(map_stage[i], arranger.LevelOf(maps[i].index));
    stage_count = std::max(stage_count, map_stage[i] + 1);
  }
  kernel.stages.resize(stage_count);

  // Reductions keep their numbers only if they stand in that order in the stages: number them again.
  std::vector<int> number(reductions.size());
  int next = 0;
  for (int stage = 0; stage < stage_count; ++stage) {
    for (size_t r = 0; r < reductions.size(); ++r) {
      if (level[r] == stage) number[r] = next++;
    }
  }
  const auto store_of = [&](const Raw& map, int stage) {
    View view = layout.ViewOf(map.root);
    LoopStore store{arranger.Place(map.value, stage)};
    if (map.index >= 0) {
      const Axis axis = graph[map.root].attributes.axis;
      store.index = arranger.Place(map.index, stage);
      store.size = layout.ExtentOf(axis);
      store.stride = view.Stride(axis);
      // The loop may walk this axis for another value.
      std::erase_if(view.strides, [&](const auto& entry) { return entry.first == axis; });
    }
    store.operand = unfolder.AddOperand(view);
    return store;
  };
  for (int stage = 0; stage < stage_count; ++stage) {
    for (size_t r = 0; r < reductions.size(); ++r) {
      if (level[r] != stage) continue;
      LoopReduction reduction;
      reduction.op = graph.op(reductions[r].root);
      reduction.value = arranger.Place(reductions[r].value, stage);
      if (reductions[r].mask >= 0) reduction.mask = arranger.Place(reductions[r].mask, stage);
      kernel.stages[stage].reductions.push_back(reduction);
    }
    for (size_t i = 0; i < maps.size(); ++i) {
      if (map_stage[i] != stage) continue;
      const LoopStore store = store_of(maps[i], stage);
      kernel.stages[stage].stores.push_back(store);
    }
  }
  for (size_t i = 0; i < maps.size(); ++i) {
    if (!stored.count(maps[i].root) || map_stage[i] >= 0) continue;
    kernel.row_stores.push_back(store_of(maps[i], stage_count));
  }
  for (const auto& [root, raw] : reduced_values) {
    const int value = arranger.Place(raw, stage_count);
    kernel.row_stores.push_back({value, unfolder.AddOperand(layout.ViewOf(root))});
  }
  for (LoopValue& value : kernel.values) {
    if (value.kind == Kind::Reduced) value.reduction = number[value.reduction];
  }
  return kernel;
}

LoopKernel BuildCopy(const Layout& layout, const View& from, const View& to, const AxisList& axes) {
  LoopKernel kernel;
  LoopOperand source{from.base, from.dtype, {}}, target{to.base, to.dtype, {}};
  for (Axis axis : axes) {
    kernel.outer.push_back(layout.ExtentOf(axis));
    source.strides.push_back(from.Stride(axis));
    target.strides.push_back(to.Stride(axis));
  }
  if (!kernel.outer.empty()) {
    kernel.inner.push_back(kernel.outer.back());
    kernel.outer.pop_back();
  }
  kernel.operands = {source, target};
  LoopValue load{.kind = Kind::Load, .dtype = from.dtype, .row = kernel.inner.empty()};
  load.operand = 0;
  kernel.values.push_back(load);
  if (kernel.inner.empty()) {
    kernel.row_stores.push_back({0, 1});
  } else {
    kernel.stages.push_back({{}, {{0, 1}}});
  }
  Flatten(kernel);
  return kernel;
}

void Flatten(LoopKernel& kernel) {
  const size_t lanes = kernel.column ? 1 : 0;
  // May axis i and i + 1 (kernel numbering) be walked as one?
  const auto joins = [&](size_t i, const Size& inner_extent) {
    for (const LoopValue& value : kernel.values) {
      if (value.kind == Kind::Position &&
          (value.axis == static_cast<int>(i) || value.axis == static_cast<int>(i) + 1)) {
        return false;
      }
    }
    for (const LoopOperand& operand : kernel.operands) {
      if (!(operand.strides[i] == operand.strides[i + 1] * inner_extent)) return false;
    }
    return true;
  };
  const auto drop = [&](size_t i) {  // the strides of i + 1 stay
    for (LoopOperand& operand : kernel.operands) operand.strides.erase(operand.strides.begin() + i);
    for (LoopValue& value : kernel.values) {
      if (value.kind == Kind::Position && value.axis > static_cast<int>(i)) --value.axis;
    }
  };
  const auto flatten = [&](std::vector<Size>& extents, size_t begin) {
    for (size_t i = 0; i + 1 < extents.size();) {
      if (!joins(begin + i, extents[i + 1])) {
        ++i;
        continue;
      }
      extents[i + 1] = extents[i] * extents[i + 1];
      extents.erase(extents.begin() + i);
      drop(begin + i);
    }
  };
  flatten(kernel.outer, 0);
  if (kernel.column) {
    while (!kernel.outer.empty() && joins(kernel.outer.size() - 1, kernel.lane)) {
      const size_t at = kernel.outer.size() - 1;
      kernel.lane = kernel.outer.back() * kernel.lane;
      kernel.outer.pop_back();
      drop(at);
    }
  }
  bool reduces = false;
  for (const LoopStage& stage : kernel.stages) reduces |= !stage.reductions.empty();
  // In a row of several axes the place of an element decides which lane adds it: only a column may be
  // flattened without changing the order of additions, but that order is ours to choose as long as it is
  // fixed.
  flatten(kernel.inner, kernel.outer.size() + lanes);
  if (!reduces && !kernel.column && kernel.scratch_rows == 0 && kernel.row_stores.empty()) {
    while (kernel.inner.size() == 1 && !kernel.outer.empty() &&
           joins(kernel.outer.size() - 1, kernel.inner[0])) {
      const size_t at = kernel.outer.size() - 1;
      kernel.inner[0] = kernel.outer.back() * kernel.inner[0];
      kernel.outer.pop_back();
      drop(at);
    }
  }
}

}  // namespace heed::backend
