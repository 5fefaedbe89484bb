// From a graph to the list of steps: layout, fusion into items, one step an item, lifetimes.
#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "backend/plan/build_loop.h"
#include "backend/plan/expand.h"
#include "backend/plan/fuse.h"
#include "backend/plan/layout.h"
#include "backend/plan/packed.h"
#include "backend/plan/plan.h"
#include "ir/limits.h"
#include "ir/op.h"
#include "runtime/kernels/heed_kernels.h"

namespace heed::backend {

using ir::Axis;
using ir::AxisList;
using ir::Graph;
using ir::InternalError;
using ir::Node;
using ir::NodeId;
using ir::OpKind;

namespace {

const Size kZero{.factor = 0};

// A batch is one axis more than `check` lets through.
static_assert(ir::kMostAxes + 1 <= kHeedMaxAxes);

class Planner {
 public:
  Planner(const Graph& graph, std::string name, const OutputOrders& orders, SumOrders* sums,
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

  Plan Run() {
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

 private:
  bool IsLeaf(NodeId id) const { return graph_.op(id) == OpKind::Input || graph_.op(id) == OpKind::Param; }

  /// Loop roots that something outside their loop reads.
  void FindStored() {
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

  /// Products whose result only one loop reads, element by element, with everything else that loop needs
  /// computed before the product: candidates for computing the loop as the product's epilogue.
  void FindEpilogues() {
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

  /// The loop as an epilogue of the product, or nothing if it is more than that. `product` lies where the
  /// loop's root does; `columns` are the axes of the product's columns.
  std::optional<MatmulEpilogue> MakeEpilogue(NodeId product, const Item& loop, const AxisList& columns) {
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

  std::string OriginOf(NodeId id) const {
    const Node& node = graph_[id];
    std::string text = std::string(ir::Info(node.op).name);
    if (!node.origin.instance.empty()) text += " " + node.origin.instance;
    const std::string where = node.origin.where.substr(0, node.origin.where.find(" < "));
    return where.empty() ? text : text + " " + where;
  }

  /// The view of a value that must be in memory, deriving views of views on the way.
  const View& Memory(NodeId id) {
    if (layout_.HasMemory(id)) return layout_.ViewOf(id);
    if (!IsViewOp(graph_, id)) throw InternalError("value without memory: " + OriginOf(id));
    const NodeId source = graph_[id].inputs[0];
    const View from = Memory(source);
    if (!layout_.DeriveView(id)) {
      const View to = layout_.AllocateForMerge(id);
      Step step{.kind = Step::Kind::Loop};
      step.origin = OriginOf(id);
      step.loop = BuildCopy(layout_, from, to, OrderOfStrides(to, graph_.axes_of(source)));
      plan_.steps.push_back(std::move(step));
    }
    return layout_.ViewOf(id);
  }

  /// Axes in the order a view stores them; those it lacks last.
  AxisList OrderOfStrides(const View& view, const AxisList& axes) const {
    AxisList order;
    for (const auto& [axis, stride] : view.strides) {
      if (ir::Contains(axes, axis)) order.push_back(axis);
    }
    return ir::Union(order, axes);
  }

  /// Views inside a loop's expressions are derived before the loop is built, where their sources have memory.
  void PrepareViews(const Item& item) {
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

  void Loop(const Item& item) {
    PrepareViews(item);
    std::set<NodeId> stored;
    for (NodeId id : item.nodes) {
      if (stored_.count(id)) stored.insert(id);
    }
    if (stored.empty()) return;
    for (NodeId id : stored) {
      if (!layout_.HasMemory(id)) layout_.Allocate(id);
    }
    Step step{.kind = Step::Kind::Loop};
    for (NodeId id : item.nodes) step.origin += (step.origin.empty() ? "" : "; ") + OriginOf(id);
    step.loop = BuildLoop(graph_, layout_, item, stored);
    for (NodeId id : item.nodes) {
      if (!sums_ || !ir::IsReduce(graph_.op(id))) continue;
      sums_->Keep(graph_, id, item.column,
                  ir::Intersection(LoopAxes(graph_, layout_, item), graph_[id].attributes.axes));
    }
    Flatten(step.loop);
    plan_.steps.push_back(std::move(step));
  }

  void Matmul(NodeId id) {
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
    Step step{.kind = Step::Kind::Matmul};
    step.origin = OriginOf(id);
    MatmulStep& matmul = step.matmul;
    if (candidate != epilogues_.end()) {
      const AxisList columns =
          ir::Minus(ir::Minus(b_axes, a_axes), ir::Union(node.attributes.axes, mask_axes));
      const View& result = layout_.ViewOf(id);
      Size adjacent;
      bool one_axis = !columns.empty();
      for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
        if (!ir::Contains(columns, *axis)) continue;
        one_axis &= result.Stride(*axis) == adjacent;
        adjacent = adjacent * layout_.ExtentOf(*axis);
      }
      if (one_axis) matmul.epilogue = MakeEpilogue(id, *candidate->second, columns);
      if (matmul.epilogue) {
        absorbed_.insert(candidate->second);
        step.origin += "; " + OriginOf(candidate->second->nodes[0]);
      } else {
        layout_.Allocate(id);
      }
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
      throw InternalError("matrix product over too many axes: " + OriginOf(id));
    }
    plan_.steps.push_back(std::move(step));
  }

  void Lookup(NodeId id) {
    const Node& node = graph_[id];
    const View table = Memory(node.inputs[0]), index = Memory(node.inputs[1]);
    layout_.Allocate(id);
    const View& out = layout_.ViewOf(id);
    const Axis column = node.attributes.axis;
    AxisList terms = ir::Minus(graph_.axes_of(node.inputs[0]), {column});
    if (const NodeId product = lookups_.at(id)) {
      // In the order of the product that shares the matrix.
      std::vector<Size> order;
      for (Axis axis : TermOrder(product)) {
        for (NodeId operand : graph_[product].inputs) {
          if (ParamUnderNames(graph_, operand) == ParamUnderNames(graph_, node.inputs[0]))
            order.push_back(Memory(operand).Stride(axis));
        }
      }
      const auto place = [&](Axis axis) {
        return std::find(order.begin(), order.end(), table.Stride(axis)) - order.begin();
      };
      std::stable_sort(terms.begin(), terms.end(), [&](Axis x, Axis y) { return place(x) < place(y); });
    }
    Step step{.kind = Step::Kind::Lookup};
    step.origin = OriginOf(id);
    LookupStep& lookup = step.lookup;
    std::vector<std::pair<Size, Size>> ks;
    for (Axis axis : terms) {
      const Size extent = layout_.ExtentOf(axis);
      ks.emplace_back(extent, table.Stride(axis));
      lookup.ks.push_back({extent, kZero, out.Stride(axis), table.Stride(axis)});
    }
    lookup.table_column = table.Stride(column);
    const auto matrix = MakePackedMatrix(plan_, table, {{layout_.ExtentOf(column), lookup.table_column}}, ks);
    if (!matrix) throw InternalError("a look-up that cannot be packed: " + OriginOf(id));
    lookup.table = PackedBase(plan_, *matrix);
    lookup.index = index.base;
    lookup.out = out.base;
    for (Axis axis : layout_.OrderOf(id)) {
      if (!ir::Contains(terms, axis))
        lookup.ms.push_back({layout_.ExtentOf(axis), index.Stride(axis), out.Stride(axis), kZero});
    }
    plan_.steps.push_back(std::move(step));
  }

  /// Terms of a product are added in the order in which the left operand stores them, or as is known of it.
  AxisList TermOrder(NodeId id) {
    const Node& node = graph_[id];
    const AxisList& summed = node.attributes.axes;
    const SumOrders::Order* known = sums_ ? sums_->Find(graph_, id) : nullptr;
    if (known) return SumOrders::Sorted(summed, *known);
    AxisList order = ir::Union(ir::Intersection(layout_.OrderOf(node.inputs[0]), summed), summed);
    if (sums_) sums_->Keep(graph_, id, false, order);
    return order;
  }

  /// Neighbours that every operand walks as one axis become one.
  static void Join(std::vector<MatmulAxis>& nest) {
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

  /// One stride for a nest of axes that lies adjacent in `view`.
  Size OneStride(const View& view, const AxisList& axes, NodeId id) const {
    if (!LieAdjacent(view, axes))
      throw InternalError("axes of an attention do not lie adjacent: " + OriginOf(id));
    return axes.empty() ? Size{} : view.Stride(axes.back());
  }

  /// Memory in which the value lies exactly as in `view`, copied there if it does not: kernels walk both
  /// alike.
  Base LyingLike(const View& view, NodeId id) {
    const View& own = Memory(id);
    const AxisList& axes = graph_.axes_of(id);
    if (std::all_of(axes.begin(), axes.end(),
                    [&](Axis axis) { return own.Stride(axis) == view.Stride(axis); }))
      return own.base;
    View to = view;
    CopyTo(to, id);
    return to.base;
  }
  /// Copies the value to new memory, walked as `to` says, which learns where it is.
  void CopyTo(View& to, NodeId id) {
    const AxisList& axes = graph_.axes_of(id);
    const View own = Memory(id);
    Buffer buffer;
    buffer.dtype = own.dtype;
    buffer.elements = layout_.Elements(axes);
    plan_.buffers.push_back(buffer);
    to.base = Base{.buffer = static_cast<int>(plan_.buffers.size()) - 1};
    Step step{.kind = Step::Kind::Loop};
    step.origin = OriginOf(id);
    step.loop = BuildCopy(layout_, own, to, OrderOfStrides(to, axes));
    plan_.steps.push_back(std::move(step));
  }

  /// An operand as attention walks it: `innermost` with one stride and, where a gradient is written with the
  /// same strides, each element in a place of its own. Copied if it does not lie so.
  View Walkable(NodeId id, const AxisList& innermost, bool has_gradient) {
    const View& own = Memory(id);
    const AxisList& axes = graph_.axes_of(id);
    const auto repeated = [&](Axis axis) {
      return own.Stride(axis).IsZero() && !(layout_.ExtentOf(axis) == Size{});
    };
    if (LieAdjacent(own, innermost) && !(has_gradient && std::any_of(axes.begin(), axes.end(), repeated)))
      return own;
    AxisList order = ir::Minus(ir::Union(ir::Intersection(layout_.OrderOf(id), axes), axes), innermost);
    order.insert(order.end(), innermost.begin(), innermost.end());
    View to{.dtype = own.dtype};
    Size stride;
    for (auto axis = order.rbegin(); axis != order.rend(); ++axis) {
      to.strides.insert(to.strides.begin(), {*axis, stride});
      stride = stride * layout_.ExtentOf(*axis);
    }
    CopyTo(to, id);
    return to;
  }
  /// One stride walks them all.
  bool LieAdjacent(const View& view, const AxisList& axes) const {
    if (axes.empty()) return true;
    Size next = view.Stride(axes.back());
    for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
      if (!(view.Stride(*axis) == next)) return false;
      next = next * layout_.ExtentOf(*axis);
    }
    return true;
  }

  void Attention(const std::vector<NodeId>& results) {
    const Node& node = graph_[results[0]];
    const ir::Attributes& at = node.attributes;
    const bool backward = node.op == OpKind::AttentionGrad;
    const int64_t captures = at.captures;
    const auto input = [&](int64_t i) { return node.inputs[i]; };
    const AxisList &q_axes = graph_.axes_of(input(0)), &k_axes = graph_.axes_of(input(1)),
                   &v_axes = graph_.axes_of(input(2));
    const Axis key = at.axis;
    const AxisList dots = at.axes;
    const AxisList value_axes = ir::Minus(ir::Minus(v_axes, at.to), {key});
    std::vector<View> views;
    for (NodeId in : node.inputs) views.push_back(Memory(in));
    for (int i : {0, 1, 2}) views[i] = Walkable(input(i), i == 2 ? value_axes : dots, backward);
    const View &q = views[0], &k = views[1], &v = views[2];
    const AxisList score = ir::Minus(at.to, {key});

    // The query axis; without one, the longest of the axes that keys and values lack (query heads that share
    // a key head) makes as good a row.
    Axis query = at.query;
    for (Axis axis : query ? AxisList{} : score) {
      if (ir::Contains(k_axes, axis) || ir::Contains(v_axes, axis) || !ir::Contains(q_axes, axis)) continue;
      if (graph_.axes().IsLifted(axis)) continue;
      if (!query || graph_.axes().Bound(axis) > graph_.axes().Bound(query)) query = axis;
    }
    View o, lse;
    if (backward) {
      o = views[3 + captures];
      lse = views[4 + captures];
    }
    Step step{.kind = Step::Kind::Attention};
    step.origin = OriginOf(results[0]);
    AttentionStep& attention = step.attention;
    attention.backward = backward;
    for (NodeId id : results) {
      const int64_t index = graph_[id].attributes.index;
      if (backward) {
        if (index > 2) continue;
        // The kernel writes gradients with the strides of what they are gradients of.
        layout_.AllocateLike(id, views[index]);
        (index == 0 ? attention.dq : index == 1 ? attention.dk : attention.dv) = layout_.ViewOf(id).base;
      } else {
        layout_.Allocate(id);
        (index == 0 ? o : lse) = layout_.ViewOf(id);
      }
    }
    attention.q = q.base;
    attention.k = k.base;
    attention.v = v.base;
    attention.o = o.base;
    attention.lse = lse.base;
    attention.query_axis = query;
    attention.key_axis = key;
    attention.split = !at.regions->term && query && SplitPays({query}, {key}, dots);
    attention.queries = query ? layout_.ExtentOf(query) : Size{};
    attention.keys = layout_.ExtentOf(key);
    attention.dots = layout_.Elements(dots);
    attention.values = layout_.Elements(value_axes);
    const auto along = [&](const View& view, Axis axis) { return axis ? view.Stride(axis) : kZero; };
    attention.q_query = along(q, query);
    attention.q_dot = OneStride(q, dots, results[0]);
    attention.k_key = k.Stride(key);
    attention.k_dot = OneStride(k, dots, results[0]);
    attention.v_key = v.Stride(key);
    attention.v_value = OneStride(v, value_axes, results[0]);
    attention.o_query = along(o, query);
    attention.o_value = o.base.buffer < 0 ? kZero : OneStride(o, value_axes, results[0]);
    attention.lse_query = along(lse, query);
    const AxisList loops = query ? ir::Minus(score, {query}) : score;
    AxisList ordered;
    for (Axis axis : layout_.OrderOf(results[0])) {
      if (ir::Contains(loops, axis)) ordered.push_back(axis);
    }
    for (Axis axis : ir::Union(ordered, loops)) {
      attention.loops.push_back({layout_.ExtentOf(axis), q.Stride(axis), k.Stride(axis), v.Stride(axis),
                                 o.Stride(axis), lse.Stride(axis), axis});
    }
    if (attention.loops.size() > kHeedMaxAxes) throw InternalError("attention over too many axes");
    if (backward) attention.d_o = LyingLike(o, node.inputs[5 + captures]);
    for (int64_t c = 0; c < captures; ++c) {
      const View& view = views[3 + c];
      AttentionCapture capture{view.base,
                               view.dtype,
                               {},
                               along(view, query),
                               view.Stride(key),
                               view.Stride(key.Difference()),
                               dots.size() == 1 ? view.Stride(dots[0]) : kZero};
      for (const AttentionLoop& loop : attention.loops) capture.loops.push_back(view.Stride(loop.axis));
      attention.captures.push_back(std::move(capture));
    }
    attention.regions = at.regions;
    for (NodeId id : results) {
      if (backward && graph_[id].attributes.index > 2)
        attention.gradients.push_back(CaptureGradient(id, attention, dots));
    }
    if (!backward) {
      // The kernel always writes the log-sum-exp; where nobody reads it, it goes to a buffer of its own.
      if (attention.o.buffer < 0) throw InternalError("attention of which only the log-sum-exp is used");
      if (attention.lse.buffer < 0) {
        Buffer buffer;
        buffer.elements = attention.queries;
        for (const AttentionLoop& loop : attention.loops) buffer.elements = buffer.elements * loop.extent;
        plan_.buffers.push_back(buffer);
        attention.lse.buffer = static_cast<int>(plan_.buffers.size()) - 1;
        Size stride = attention.queries;
        for (size_t i = attention.loops.size(); i-- > 0;) {
          attention.loops[i].lse = stride;
          stride = stride * attention.loops[i].extent;
        }
        attention.lse_query = Size{};
      }
    }
    plan_.steps.push_back(std::move(step));
  }

  /// Are products large enough for split operands? Not where decoding must give the same bits: it goes row by
  /// row. The bounds of the axes decide, not the extents of a batch, of which results must not depend.
  bool SplitPays(const AxisList& rows, const AxisList& columns, const AxisList& terms) const {
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

  /// The gradient of a capture gets memory in which differences lie adjacent, and keys beside their queries.
  AttentionGradient CaptureGradient(NodeId id, const AttentionStep& attention, const AxisList& dots) {
    const Axis query = attention.query_axis, key = attention.key_axis, differences = key.Difference();
    const AxisList& axes = graph_.axes_of(id);
    AttentionGradient gradient;
    gradient.capture = static_cast<int>(graph_[id].attributes.index) - 3;
    const bool along_query = query && ir::Contains(axes, query), along_key = ir::Contains(axes, key);
    const bool along_dot = !ir::Intersection(axes, dots).empty();
    gradient.along = along_dot                         ? kHeedAlongDot
                     : ir::Contains(axes, differences) ? kHeedAlongDifference
                     : along_query && along_key        ? kHeedAlongPair
                     : along_query                     ? kHeedAlongQuery
                     : along_key                       ? kHeedAlongKey
                                                       : kHeedAlongNothing;
    AxisList order = ir::Minus(axes, {query, key, differences});
    for (Axis axis : {query, key, differences})
      if (axis && ir::Contains(axes, axis)) order.push_back(axis);
    layout_.AllocateInOrder(id, order);
    const View& view = layout_.ViewOf(id);
    gradient.to = view.base;
    gradient.query = query ? view.Stride(query) : kZero;
    gradient.key = view.Stride(along_dot                                ? dots[0]
                               : gradient.along == kHeedAlongDifference ? differences
                                                                        : key);
    for (const AttentionLoop& loop : attention.loops) gradient.loops.push_back(view.Stride(loop.axis));
    return gradient;
  }

  void Scatter(NodeId id) {
    const Node& node = graph_[id];
    const ir::Attributes& at = node.attributes;
    const View dy = Memory(node.inputs[0]), index = Memory(node.inputs[1]);
    const NodeId mask = ir::MaskOf(node);
    View mask_view;
    if (mask) mask_view = Memory(mask);
    layout_.Allocate(id);
    const View& out = layout_.ViewOf(id);
    Step step{.kind = Step::Kind::Scatter};
    step.origin = OriginOf(id);
    ScatterStep& scatter = step.scatter;
    scatter.out = out.base;
    scatter.dy = dy.base;
    scatter.index = index.base;
    if (mask) scatter.mask = mask_view.base;
    scatter.size = layout_.ExtentOf(at.axis);
    scatter.out_stride = out.Stride(at.axis);
    AxisList have = ir::Union(graph_.axes_of(node.inputs[0]), graph_.axes_of(node.inputs[1]));
    if (mask) have = ir::Union(have, graph_.axes_of(mask));
    const auto axis_of = [&](Axis axis) {
      return ScatterAxis{layout_.ExtentOf(axis), out.Stride(axis), dy.Stride(axis), index.Stride(axis),
                         mask ? mask_view.Stride(axis) : kZero};
    };
    for (Axis axis : layout_.OrderOf(id)) {
      if (axis != at.axis) scatter.kept.push_back(axis_of(axis));
    }
    const AxisList summed = ir::Minus(have, ir::Minus(at.to, {at.axis}));
    AxisList order;  // as dy is stored, so that it is read in order
    for (const auto& [axis, stride] : dy.strides) {
      if (ir::Contains(summed, axis)) order.push_back(axis);
    }
    for (Axis axis : ir::Union(order, summed)) scatter.summed.push_back(axis_of(axis));
    plan_.steps.push_back(std::move(step));
  }

  /// Outputs that are made of what item `item` computes (-1: of inputs), at once, so that nothing waits for
  /// them in memory.
  void CopyOutputs(int item) {
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
      Step step{.kind = Step::Kind::Loop};
      step.origin = "output " + name;
      step.loop = BuildCopy(layout_, from, to, plan_.outputs[index].axes);
      plan_.steps.push_back(std::move(step));
    }
  }
  int OutputBuffer(int index) const {
    for (size_t b = 0; b < plan_.buffers.size(); ++b) {
      if (plan_.buffers[b].kind == BufferKind::Output && plan_.buffers[b].index == index)
        return static_cast<int>(b);
    }
    return -1;
  }

  void PlaceLifetimes() {
    for (Buffer& buffer : plan_.buffers) {
      buffer.first = static_cast<int>(plan_.steps.size());
      buffer.last = -1;
    }
    for (size_t i = 0; i < plan_.steps.size(); ++i) {
      const auto touch = [&](const Base& base) {
        if (base.buffer < 0) return;
        Buffer& buffer = plan_.buffers[base.buffer];
        buffer.first = std::min(buffer.first, static_cast<int>(i));
        buffer.last = std::max(buffer.last, static_cast<int>(i));
      };
      const Step& step = plan_.steps[i];
      for (const LoopOperand& operand : step.loop.operands) touch(operand.base);
      for (const Base* base : {&step.matmul.a, &step.matmul.b, &step.matmul.c, &step.matmul.mask})
        touch(*base);
      if (step.matmul.epilogue) {
        for (const MatmulEpilogue::Operand& operand : step.matmul.epilogue->operands) touch(operand.base);
      }
      const AttentionStep& a = step.attention;
      for (const Base* base : {&a.q, &a.k, &a.v, &a.o, &a.lse, &a.d_o, &a.dq, &a.dk, &a.dv}) touch(*base);
      for (const AttentionCapture& capture : a.captures) touch(capture.base);
      for (const AttentionGradient& gradient : a.gradients) touch(gradient.to);
      for (const Base* base : {&step.scatter.out, &step.scatter.dy, &step.scatter.index, &step.scatter.mask})
        touch(*base);
      for (const Base* base : {&step.lookup.table, &step.lookup.index, &step.lookup.out}) touch(*base);
    }
    for (Buffer& buffer : plan_.buffers) {
      buffer.used = buffer.last >= 0;
      if (!buffer.used) buffer.first = buffer.last = 0;
    }
  }

  Plan plan_;
  const Graph& graph_;
  Layout layout_;
  SumOrders* sums_;
  const bool pack_;
  const std::map<NodeId, NodeId> lookups_;  // as FindLookups has them
  Fusion fusion_;
  std::set<NodeId> stored_;
  std::map<NodeId, int> item_of_;
  std::map<NodeId, std::set<int>> readers_;           // items that read a stored value; -1: an output
  std::map<int, std::vector<size_t>> outputs_after_;  // numbers of outputs, by the item they are made of
  std::map<NodeId, const Item*> epilogues_;           // candidates, by product
  std::set<const Item*> absorbed_;                    // loops that became epilogues
};

}  // namespace

Plan MakePlan(const Graph& graph, std::string name, const OutputOrders& orders, SumOrders* sums,
              const std::set<std::string>* tables) {
  const Graph expanded = Expand(graph);
  return Planner(expanded, std::move(name), orders, sums, tables).Run();
}

}  // namespace heed::backend
