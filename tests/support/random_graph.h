// Random well-typed graphs and values for them, from a seed: what the property tests of all layers run on.
//
// Every op can occur. Values stay of moderate size and inside the domains of the ops, so that a test may
// compare f32 with f64; with `smooth` nothing jumps where rounding could decide (floor, argmax and
// comparisons of floats). Graphs are for one example; `batch` may lift them.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ir/interp.h"
#include "tests/support/test_attention.h"

namespace heed::testing {

struct RandomGraphOptions {
  uint64_t seed = 1;
  int steps = 25;         ///< how many times something is made of what is there
  bool dynamic = true;    ///< with the axis seq
  bool smooth = false;    ///< see above
  bool random = false;    ///< with `keep` and `gumbel`; needs an input `example`
  bool attention = true;  ///< with fused attention (needs `dynamic`)
  size_t max_rank = 4;
};

class RandomGraphMaker {
 public:
  explicit RandomGraphMaker(const RandomGraphOptions& options)
      : options_(options), random_(options.seed), graph_(std::make_shared<ir::Graph>(TestAxes())) {}

  /// Outputs out0, out1 ... (at least one); Params p0 ..., Inputs x0 ... (floats) and i0 ... (whole numbers).
  std::shared_ptr<ir::Graph> Make() {
    AxisList axes = {Axis("a"), Axis("b"), Axis("c"), Axis("pair")};
    if (options_.dynamic) axes.push_back(Axis("seq"));
    const AxisList fixed(axes.begin(), axes.begin() + 4);
    for (int i = 0; i < 3; ++i) {
      AddFloat(graph_->Make(OpKind::Input, {}, {.axes = Subset(axes, 3), .name = "x" + std::to_string(i)}),
               2);
      AddFloat(graph_->Make(OpKind::Param, {}, {.axes = Subset(fixed, 3), .name = "p" + std::to_string(i)}),
               2);
    }
    AddFloat(graph_->Make(OpKind::Input, {}, {.axes = {Axis("b"), axes.back()}, .name = "x3"}), 2);
    AddFloat(graph_->Make(OpKind::Input, {}, {.axes = {Axis("c"), Axis("ab")}, .name = "x4"}), 2);
    for (int i = 0; i < 2; ++i)
      ints_.push_back(graph_->Make(OpKind::Input, {},
                                   {.axes = {axes[Below(axes.size())]},
                                    .indexes = Axis("vocab"),
                                    .dtype = DType::Int,
                                    .name = "i" + std::to_string(i)}));
    for (Axis axis : axes) ints_.push_back(graph_->Positions(axis));
    ints_.push_back(graph_->ConstInt(2));
    if (options_.dynamic) ints_.push_back(graph_->Length(Axis("seq")));
    if (options_.random) {
      example_ = graph_->Make(OpKind::Input, {}, {.dtype = DType::Int, .name = "example"});
    }
    bools_.push_back(graph_->Pointwise(OpKind::Le, {ints_[2], ints_[3]}));
    for (int i = 0; i < options_.steps; ++i) {
      graph_->origin = {"layer." + std::to_string(i % 3), {"random.heed", i + 1, 1}};
      Step();
    }
    graph_->origin = {};
    const size_t count = std::min<size_t>(3, floats_.size());
    for (size_t i = 0; i < count; ++i)
      graph_->SetOutput("out" + std::to_string(i), floats_[floats_.size() - 1 - i].id);
    return graph_;
  }

 private:
  struct Float {
    NodeId id;
    double bound;  ///< of the absolute value
  };

  size_t Below(size_t n) { return static_cast<size_t>(random_() % n); }
  bool Chance(int percent) { return Below(100) < static_cast<size_t>(percent); }

  AxisList Subset(const AxisList& axes, size_t most) {
    AxisList shuffled = axes;
    for (size_t i = shuffled.size(); i > 1; --i) std::swap(shuffled[i - 1], shuffled[Below(i)]);
    shuffled.resize(std::min(shuffled.size(), Below(most + 1)));
    return shuffled;
  }

  double Elements(const AxisList& axes) const {
    double count = 1;
    for (Axis a : axes) count *= static_cast<double>(graph_->axes().Bound(a));
    return count;
  }

  bool Fits(const AxisList& axes) const { return axes.size() <= options_.max_rank && Elements(axes) <= 4000; }

  void AddFloat(NodeId id, double bound) {
    if (bound > 8) {
      id = graph_->Mul(id, graph_->Const(4 / bound));
      bound = 4;
    }
    if (Fits(graph_->axes_of(id))) floats_.push_back({id, bound});
  }

  /// Recent values are likelier, so that graphs grow deep.
  const Float& AnyFloat() {
    const size_t n = floats_.size();
    return Chance(60) ? floats_[n - 1 - Below(std::min<size_t>(n, 6))] : floats_[Below(n)];
  }
  NodeId AnyInt() { return ints_[Below(ints_.size())]; }
  NodeId AnyBool() { return bools_[Below(bools_.size())]; }
  NodeId P(OpKind op, std::vector<NodeId> inputs) { return graph_->Pointwise(op, std::move(inputs)); }
  NodeId C(double value) { return graph_->Const(value); }

  /// A mask that fits together with `axes`, or none.
  NodeId MaybeMask(const AxisList& axes) {
    if (!Chance(50)) return {};
    const NodeId mask = AnyBool();
    return Fits(ir::Union(axes, graph_->axes_of(mask))) ? mask : NodeId{};
  }

  void Step() {
    switch (Below(13)) {
      case 0:
      case 1:
        return Unary();
      case 2:
      case 3:
        return Binary();
      case 4:
        return Whole();
      case 5:
        return Truth();
      case 6:
        return Reduce();
      case 7:
      case 8:
        return Contract();
      case 9:
        return Axes();
      case 10:
      case 11:
        return Index();
      default:
        return Other();
    }
  }

  /// Pointwise ops of one number.
  static std::vector<OpKind> UnaryOps() {
    std::vector<OpKind> ops;
    for (const ir::OpInfo& info : ir::AllOps())
      if (info.family == ir::Family::Pointwise && info.inputs == 1 &&
          info.elements != ir::Elements::Logical && info.kind != OpKind::Cast)
        ops.push_back(info.kind);
    ops.push_back(OpKind::Cast);
    return ops;
  }

  void Unary() {
    static const std::vector<OpKind> ops = UnaryOps();
    const Float x = AnyFloat();
    const NodeId positive = graph_->Add(P(OpKind::Abs, {x.id}), C(0.5));
    const OpKind op = ops[Below(ops.size())];
    switch (op) {
      case OpKind::Abs:
      case OpKind::Neg:
      case OpKind::Relu:
      case OpKind::Stop:
        return AddFloat(P(op, {x.id}), x.bound);
      case OpKind::Cos:
      case OpKind::Erf:
      case OpKind::Sigmoid:
      case OpKind::Sin:
      case OpKind::Tanh:
        return AddFloat(P(op, {x.id}), 1);
      case OpKind::Exp:
        return AddFloat(P(op, {P(OpKind::Tanh, {x.id})}), 2.8);
      case OpKind::Floor:
        if (!options_.smooth) AddFloat(P(op, {x.id}), x.bound + 1);
        return;
      case OpKind::Whole:  // of a float that is one
        return AddInt(P(op, {P(OpKind::Cast, {AnyInt()})}));
      case OpKind::Log:
        return AddFloat(P(op, {positive}), 2.5);
      case OpKind::Sqrt:
        return AddFloat(P(op, {positive}), 3);
      case OpKind::Cast:
        return AddFloat(P(op, {AnyInt()}), 30);
      default:
        return Squeezed(ir::Info(op), x.id);
    }
  }

  /// Any other op: of numbers where it is sampled.
  void Squeezed(const ir::OpInfo& info, NodeId x) {
    const double middle = (info.sample.low + info.sample.high) / 2, half = info.sample.high - middle;
    const NodeId inside = graph_->Add(graph_->Mul(P(OpKind::Tanh, {x}), C(half)), C(middle));
    double bound = 1;
    for (int i = 0; i <= 100; ++i) {
      const double at = middle + half * (i - 50) / 50;
      bound = std::max(bound, std::abs(info.eval({&at, 1})));
    }
    AddFloat(P(info.kind, {inside}), 1.1 * bound);
  }

  void Binary() {
    const Float x = AnyFloat(), y = AnyFloat();
    if (!Fits(ir::Union(graph_->axes_of(x.id), graph_->axes_of(y.id)))) return;
    const NodeId away = graph_->Add(P(OpKind::Abs, {y.id}), C(0.5));
    switch (Below(9)) {
      case 0:
        return AddFloat(graph_->Add(x.id, y.id), x.bound + y.bound);
      case 1:
        return AddFloat(graph_->Sub(x.id, y.id), x.bound + y.bound);
      case 2:
        return AddFloat(graph_->Mul(x.id, y.id), x.bound * y.bound);
      case 3:
        return AddFloat(graph_->Div(x.id, away), x.bound * 2);
      case 4:
        return AddFloat(P(OpKind::Maximum, {x.id, y.id}), std::max(x.bound, y.bound));
      case 5:
        return AddFloat(P(OpKind::Minimum, {x.id, y.id}), std::max(x.bound, y.bound));
      case 6:
        return AddFloat(P(OpKind::Pow, {away, P(OpKind::Tanh, {x.id})}), y.bound + 2.5);
      case 7:
        if (!options_.smooth) AddFloat(P(OpKind::Mod, {x.id, away}), y.bound + 0.5);
        return;
      default: {
        const NodeId condition = AnyBool();
        const NodeId value = graph_->Select(condition, x.id, y.id);
        return AddFloat(value, std::max(x.bound, y.bound));
      }
    }
  }

  void AddInt(NodeId id) {
    // Whole numbers stay small: every one is taken modulo 13 once it has been computed.
    if (Fits(graph_->axes_of(id))) ints_.push_back(P(OpKind::Mod, {id, graph_->ConstInt(13)}));
  }

  void Whole() {
    const NodeId x = AnyInt(), y = AnyInt();
    switch (Below(10)) {
      case 8:
        return AddInt(P(OpKind::Quotient, {x, graph_->ConstInt(Below(2) ? 4 : -3)}));
      case 9:
        return AddInt(P(OpKind::Quotient, {x, graph_->Add(P(OpKind::Abs, {y}), graph_->ConstInt(1))}));
      case 0:
        return AddInt(graph_->Add(x, y));
      case 1:
        return AddInt(graph_->Sub(x, y));
      case 2:
        return AddInt(graph_->Mul(x, y));
      case 3:
        return AddInt(P(OpKind::Maximum, {x, y}));
      case 4:
        return AddInt(P(OpKind::Abs, {graph_->Sub(x, y)}));
      case 5:
        return AddInt(graph_->Select(AnyBool(), x, y));
      case 6:
        return AddInt(graph_->Neg(x));
      default:
        if (options_.smooth) return;
        const Float f = AnyFloat();
        const AxisList& axes = graph_->axes_of(f.id);
        if (!axes.empty())
          AddInt(graph_->Reduce(OpKind::Argmax, f.id, {axes[Below(axes.size())]}, MaybeMask(axes)));
    }
  }

  void Truth() {
    static constexpr OpKind kCompare[] = {OpKind::Eq, OpKind::Ne, OpKind::Lt,
                                          OpKind::Le, OpKind::Gt, OpKind::Ge};
    NodeId made;
    switch (Below(5)) {
      case 0:
        made = graph_->And(AnyBool(), AnyBool());
        break;
      case 1:
        made = P(OpKind::Or, {AnyBool(), AnyBool()});
        break;
      case 2:
        made = P(OpKind::Not, {AnyBool()});
        break;
      case 3:
        if (!options_.smooth) {
          made = P(kCompare[2 + Below(4)], {AnyFloat().id, AnyFloat().id});
          break;
        }
        [[fallthrough]];
      default:
        made = P(kCompare[Below(6)], {AnyInt(), AnyInt()});
    }
    if (Fits(graph_->axes_of(made))) bools_.push_back(made);
  }

  void Reduce() {
    const Float x = AnyFloat();
    AxisList along = Subset(graph_->axes_of(x.id), 2);
    if (along.empty()) return;
    const NodeId mask = MaybeMask(graph_->axes_of(x.id));
    switch (Below(6)) {
      case 4: {
        const NodeId sum = graph_->Reduce(OpKind::LogSumExp, x.id, along, mask);
        return AddFloat(P(OpKind::Maximum, {sum, C(-9)}), std::max(x.bound + 9, 9.0));
      }
      case 5:
        if (!options_.smooth) AddInt(graph_->Reduce(OpKind::Rank, x.id, along, mask));
        return;
      case 0:
        return AddFloat(graph_->Reduce(OpKind::Sum, x.id, along, mask), x.bound * Elements(along));
      case 1: {
        // The largest of nothing is -infinity: kept out by a floor.
        const NodeId largest = graph_->Reduce(OpKind::Max, x.id, along, mask);
        return AddFloat(P(OpKind::Maximum, {largest, C(-9)}), std::max(x.bound, 9.0));
      }
      case 2:
        return AddFloat(graph_->Reduce(OpKind::Softmax, x.id, along, mask), 1);
      default: {
        const NodeId logs = graph_->Reduce(OpKind::LogSoftmax, x.id, along, mask);
        return AddFloat(P(OpKind::Maximum, {logs, C(-30)}), 30);
      }
    }
  }

  /// A product with one of two parameters, or with none, as an index says.
  void Grouped() {
    const Float x = AnyFloat(), factor = floats_[2 * Below(3) + 1];
    const AxisList &of_x = graph_->axes_of(x.id), &of_factor = graph_->axes_of(factor.id);
    const AxisList along = ir::Intersection(of_x, of_factor);
    const NodeId index =
        P(OpKind::Sub, {P(OpKind::Mod, {AnyInt(), graph_->ConstInt(3)}), graph_->ConstInt(1)});
    const AxisList rest = ir::Minus(ir::Union(ir::Union(of_x, graph_->axes_of(index)), of_factor), along);
    if (graph_->op(factor.id) != OpKind::Param || along.empty() || along.size() == of_factor.size() ||
        !ir::Intersection(graph_->axes_of(index), of_factor).empty() || !Fits(rest))
      return;
    AddFloat(
        graph_->Make(OpKind::GroupedContract,
                     {x.id, index, factor.id, graph_->Mul(factor.id, graph_->Const(0.5))}, {.axes = along}),
        x.bound * factor.bound * Elements(along));
  }

  void Contract() {
    if (Chance(25)) return Grouped();
    const Float x = AnyFloat(), y = AnyFloat();
    const AxisList both = ir::Union(graph_->axes_of(x.id), graph_->axes_of(y.id));
    AxisList along = Subset(ir::Intersection(graph_->axes_of(x.id), graph_->axes_of(y.id)), 2);
    if (along.empty() || both.size() > options_.max_rank + 2 || Elements(both) > 20000) return;
    const AxisList rest = ir::Minus(both, along);
    if (!Fits(rest)) return;
    AddFloat(graph_->Contract(x.id, y.id, along, MaybeMask(rest)), x.bound * y.bound * Elements(along));
  }

  void Axes() {
    const Float x = AnyFloat();
    const AxisList axes = graph_->axes_of(x.id);
    const Axis a("a"), b("b"), ab("ab"), pair("pair"), seq("seq");
    switch (Below(6)) {
      case 0:
        return AddFloat(graph_->Broadcast(x.id, Subset({a, b, Axis("c")}, 2)), x.bound);
      case 1: {
        if (axes.empty()) return;
        const Axis from = axes[Below(axes.size())];
        const Axis to = from == from.root() ? from.Twin() : from.root();
        if (!ir::Contains(axes, to)) AddFloat(graph_->Rename(x.id, {{from, to}}), x.bound);
        return;
      }
      case 2: {
        if (!Fits(ir::Union(axes, {a, b}))) return;
        const NodeId full = graph_->Broadcast(x.id, {a, b});
        const AxisList order = Chance(50) ? AxisList{a, b} : AxisList{b, a};
        if (!ir::Contains(axes, ab))
          AddFloat(graph_->Make(OpKind::Merge, {full}, {.axes = order, .axis = ab}), x.bound);
        return;
      }
      case 3:
        if (ir::Contains(axes, ab) && !ir::Contains(axes, a) && !ir::Contains(axes, b))
          AddFloat(graph_->Make(OpKind::Split, {x.id}, {.to = {b, a}, .axis = ab}), x.bound);
        return;
      case 4:
        for (Axis axis : axes) {
          if (graph_->axes().IsDynamic(axis)) continue;
          const int64_t which = static_cast<int64_t>(Below(graph_->axes().Bound(axis)));
          return AddFloat(graph_->Make(OpKind::Slice, {x.id}, {.axis = axis, .index = which}), x.bound);
        }
        return;
      default: {
        const Float y = AnyFloat();
        const AxisList both = ir::Union(axes, graph_->axes_of(y.id));
        if (ir::Contains(both, pair) || !Fits(ir::Union(both, {pair}))) return;
        AddFloat(graph_->Make(OpKind::Stack, {x.id, y.id}, {.axis = pair}), std::max(x.bound, y.bound));
      }
    }
  }

  /// `x` read along `axis` at `index`, which may have that axis too: then it is another one. None if that
  /// grows too large.
  NodeId Read(NodeId x, Axis axis, NodeId index) {
    const AxisList& at = graph_->axes_of(index);
    if (!Fits(ir::Union(ir::Minus(graph_->axes_of(x), {axis}), at))) return {};
    const Axis read = ir::Contains(at, axis) || Chance(30) ? axis.Fresh(7) : axis;
    if (ir::Contains(at, read) || (read != axis && ir::Contains(graph_->axes_of(x), read))) return {};
    return graph_->Make(OpKind::Gather, {graph_->Rename(x, {{axis, read}}), index}, {.axis = read});
  }

  void Index() {
    const NodeId index = AnyInt();
    const AxisList& at = graph_->axes_of(index);
    const Float x = AnyFloat();
    const AxisList axes = graph_->axes_of(x.id);
    switch (Below(8)) {
      case 0: {
        if (axes.empty()) return;
        const NodeId read = Read(x.id, axes[Below(axes.size())], index);
        if (read) AddFloat(read, x.bound);
        return;
      }
      case 5:
      case 6: {  // several axes at computed places
        NodeId read = x.id;
        for (Axis axis : Subset(axes, 3))
          if (const NodeId next = Read(read, axis, AnyInt())) read = next;
        return AddFloat(read, x.bound);
      }
      case 7: {  // a place that is itself read at a computed place
        const NodeId from = AnyInt();
        const AxisList& rows = graph_->axes_of(from);
        if (rows.empty()) return;
        if (const NodeId read = Read(from, rows[Below(rows.size())], index)) ints_.push_back(read);
        return;
      }
      case 1:
        if (!ir::Contains(at, Axis("c")) && Fits(ir::Union(at, {Axis("c")})))
          AddFloat(graph_->Make(OpKind::Onehot, {index}, {.axis = Axis("c")}), 1);
        return;
      case 2: {
        const Axis vocab("vocab");
        const AxisList both = ir::Union(axes, at);
        if (ir::Contains(both, vocab) || both.empty() || !Fits(both)) return;
        const AxisList to = ir::Union({vocab}, Subset(ir::Minus(both, {both[0]}), 2));
        const NodeId full = graph_->Broadcast(x.id, ir::Minus(to, {vocab}));
        return AddFloat(graph_->ScatterAdd(full, index, vocab, to), x.bound * Elements(both));
      }
      case 3: {
        if (axes.empty()) return;
        const Axis axis = axes[Below(axes.size())];
        const AxisList rest = ir::Minus(axes, {axis});
        if (!ir::ContainsAll(rest, at)) return;
        const Float row = AnyFloat();
        if (!ir::ContainsAll(rest, graph_->axes_of(row.id))) return;
        return AddFloat(graph_->Make(OpKind::Write, {x.id, row.id, index}, {.axis = axis}),
                        std::max(x.bound, row.bound));
      }
      default:
        ints_.push_back(graph_->Make(OpKind::Element, {index}, {.indexes = Axis("vocab")}));
    }
  }

  void Other() {
    if (options_.random && Chance(50)) {
      const Float x = AnyFloat();
      const NodeId keep = graph_->Make(
          OpKind::Keep, {example_},
          {.axes = graph_->axes_of(x.id), .name = "site#" + std::to_string(graph_->size()), .number = 0.25});
      if (Chance(75)) return AddFloat(graph_->Mul(x.id, keep), x.bound * 1.4);
      const NodeId noise =
          graph_->Make(OpKind::Gumbel, {example_},
                       {.axes = graph_->axes_of(x.id), .name = "site#" + std::to_string(graph_->size())});
      return AddFloat(graph_->Add(x.id, noise), x.bound + 17);
    }
    if (!options_.attention || !options_.dynamic) return;
    const Axis seq("seq"), twin("seq'"), a("a"), b("b"), c("c");
    const Float x = AnyFloat();
    const AxisList& axes = graph_->axes_of(x.id);
    const auto only = [&](NodeId id, const AxisList& keep) {
      return graph_->Broadcast(graph_->Reduce(OpKind::Sum, id, ir::Minus(graph_->axes_of(id), keep)), keep);
    };
    const double scale = 1 / std::max(1.0, Elements(axes));
    const NodeId small = graph_->Mul(x.id, C(scale));
    const NodeId q = graph_->Add(only(small, {seq, a, c}), C(0.3));
    const NodeId k = graph_->Rename(P(OpKind::Sin, {q}), {{seq, twin}});
    const NodeId v = graph_->Rename(P(OpKind::Tanh, {only(small, {seq, a, b})}), {{seq, twin}});
    const NodeId bias = only(P(OpKind::Cos, {k}), {a, twin});
    AddFloat(TestAttention(*graph_, q, k, v, bias, only(small, {seq})), 1);
  }

  RandomGraphOptions options_;
  std::mt19937_64 random_;
  std::shared_ptr<ir::Graph> graph_;
  std::vector<Float> floats_;
  std::vector<NodeId> ints_, bools_;
  NodeId example_;
};

inline std::shared_ptr<ir::Graph> MakeRandomGraph(const RandomGraphOptions& options) {
  return RandomGraphMaker(options).Make();
}

/// A tensor of numbers in [low, high), exactly representable in f32; whole numbers in [0, bound) if `whole`.
inline ir::Tensor RandomTensor(const AxisList& axes, const std::vector<int64_t>& shape,
                               std::mt19937_64& random, double low = -2, double high = 2,
                               bool whole = false) {
  ir::Tensor tensor{axes, shape, {}};
  const int64_t count = tensor.count();
  for (int64_t i = 0; i < count; ++i) {
    const double u = static_cast<double>(random() >> 44) * 0x1p-20;
    const double value = low + (high - low) * u;
    tensor.data.push_back(whole ? std::floor(value) : static_cast<double>(static_cast<float>(value)));
  }
  return tensor;
}

/// Values for every Input and Param the outputs need; `extents` by root for what is not static.
inline ir::EvalOptions RandomValues(const ir::Graph& graph, const std::map<Axis, int64_t>& extents,
                                    uint64_t seed) {
  ir::EvalOptions options;
  options.extents = extents;
  options.seed = seed;
  std::mt19937_64 random(seed);
  for (NodeId id : graph.Order()) {
    const ir::Node& node = graph[id];
    if (node.op != OpKind::Input && node.op != OpKind::Param) continue;
    std::vector<int64_t> shape;
    for (Axis axis : node.type.axes) {
      const auto found = extents.find(axis.root());
      const bool given = found != extents.end() && !axis.stored() && !axis.ring();
      shape.push_back(given ? found->second : graph.axes().Bound(axis));
    }
    const bool whole = node.type.dtype != DType::Float;
    const double high = !whole ? 2 : node.type.dtype == DType::Bool ? 2 : node.type.indexes ? 11 : 5;
    options.values[node.attributes.name] =
        RandomTensor(node.type.axes, shape, random, whole ? 0 : -2, high, whole);
  }
  return options;
}

}  // namespace heed::testing
