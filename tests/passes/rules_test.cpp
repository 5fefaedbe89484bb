// Every rule of canonicalize on the smallest graph it applies to; and what looks like a rule but would change
// bits.
#include <functional>

#include "ir/text.h"
#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

/// A graph and the values that rules are written about.
struct Scene {
  Graph graph;
  Axis a{"a"}, b{"b"}, ab{"ab"}, pair{"pair"}, t{"t"}, u{"t'"};
  NodeId x, y, z;  ///< floats on [a], [a, b], []
  NodeId p, q;     ///< truth on [a], [b]
  NodeId i, j;     ///< ids on [t], whole numbers on [t]
  NodeId w, h, v;  ///< floats on [pair, a], [t], [ab]

  static std::shared_ptr<const ir::AxisTable> Table() {
    auto table = std::make_shared<ir::AxisTable>();
    const auto set = [&](const char* name, ir::Extent::Kind kind, int64_t size) {
      table->Set(Axis(name), {kind, size, {}});
    };
    set("a", ir::Extent::Kind::Static, 3);
    set("b", ir::Extent::Kind::Static, 4);
    set("ab", ir::Extent::Kind::Static, 12);
    set("pair", ir::Extent::Kind::Static, 2);
    set("t", ir::Extent::Kind::Dynamic, 9);
    return table;
  }

  Scene() : graph(Table()) {
    const auto input = [&](const char* name, AxisList axes, DType dtype, Axis of = {}) {
      ir::Attributes attributes;
      attributes.axes = std::move(axes);
      attributes.dtype = dtype;
      attributes.indexes = of;
      attributes.name = name;
      return graph.Make(OpKind::Input, {}, attributes);
    };
    x = input("x", {a}, DType::Float);
    y = input("y", {a, b}, DType::Float);
    z = input("z", {}, DType::Float);
    p = input("p", {a}, DType::Bool);
    q = input("q", {b}, DType::Bool);
    i = input("i", {t}, DType::Int, b);
    j = input("j", {t}, DType::Int);
    w = input("w", {pair, a}, DType::Float);
    h = input("h", {t}, DType::Float);
    v = input("v", {ab}, DType::Float);
  }

  NodeId Op(OpKind op, std::vector<NodeId> inputs) { return graph.Pointwise(op, std::move(inputs)); }
  NodeId Raw(OpKind op, std::vector<NodeId> inputs) { return graph.Make(op, std::move(inputs)); }
  NodeId C(double value) { return graph.Const(value); }
  NodeId I(int64_t value) { return graph.ConstInt(value); }
  NodeId Wide(NodeId id, const AxisList& axes) { return graph.Broadcast(id, axes); }
  NodeId Sum(NodeId id, const AxisList& axes, NodeId mask = {}) {
    return graph.Reduce(OpKind::Sum, id, axes, mask);
  }
  NodeId At(NodeId id, NodeId index, Axis axis) {
    return graph.Make(OpKind::Gather, {id, index}, {.axis = axis});
  }
  NodeId Part(NodeId id, int64_t which) {
    return graph.Make(OpKind::Slice, {id}, {.axis = pair, .index = which});
  }
  NodeId Rename(NodeId id, Axis from, Axis to) { return graph.Rename(id, {{from, to}}); }
};

using Build = std::function<NodeId(Scene&)>;

std::string Text(const Build& build, bool simplify) {
  Scene scene;
  scene.graph.SetOutput("value", build(scene));
  return ir::Print(simplify ? Passed(scene.graph, {"canonicalize"}) : scene.graph);
}

struct RuleCase {
  std::string name;
  Build before, after;
};

TEST(Rules, EachAppliesAndGivesWhatItSays) {
  const std::vector<RuleCase> cases{
      {"f(broadcast)", [](Scene& s) { return s.graph.Add(s.Wide(s.x, {s.b}), s.Wide(s.z, {s.b})); },
       [](Scene& s) { return s.Wide(s.graph.Add(s.x, s.z), {s.b}); }},
      {"broadcast(broadcast)", [](Scene& s) { return s.Wide(s.Wide(s.z, {s.a}), {s.b}); },
       [](Scene& s) { return s.Wide(s.z, {s.a, s.b}); }},
      {"sum(broadcast)", [](Scene& s) { return s.Sum(s.Wide(s.x, {s.b}), {s.a}); },
       [](Scene& s) { return s.Wide(s.Sum(s.x, {s.a}), {s.b}); }},
      {"contract(broadcast)", [](Scene& s) { return s.graph.Contract(s.Wide(s.x, {s.t}), s.y, {s.a}); },
       [](Scene& s) { return s.graph.Broadcast(s.graph.Contract(s.x, s.y, {s.a}), {s.t, s.b}); }},
      {"gather(broadcast)", [](Scene& s) { return s.At(s.Wide(s.y, {s.pair}), s.i, s.b); },
       [](Scene& s) { return s.Wide(s.At(s.y, s.i, s.b), {s.pair}); }},
      {"select(true)", [](Scene& s) { return s.Raw(OpKind::Select, {s.graph.ConstBool(true), s.x, s.z}); },
       [](Scene& s) { return s.x; }},
      {"select(false)", [](Scene& s) { return s.Raw(OpKind::Select, {s.graph.ConstBool(false), s.x, s.z}); },
       [](Scene& s) { return s.Wide(s.z, {s.a}); }},
      {"select of equals", [](Scene& s) { return s.graph.Select(s.q, s.x, s.x); },
       [](Scene& s) { return s.Wide(s.x, {s.b}); }},
      {"select(not)", [](Scene& s) { return s.graph.Select(s.Op(OpKind::Not, {s.p}), s.x, s.z); },
       [](Scene& s) { return s.graph.Select(s.p, s.z, s.x); }},
      {"select(select) implied",
       [](Scene& s) { return s.graph.Select(s.graph.And(s.p, s.q), s.graph.Select(s.p, s.x, s.z), s.y); },
       [](Scene& s) { return s.graph.Select(s.graph.And(s.p, s.q), s.x, s.y); }},
      {"select(select) otherwise",
       [](Scene& s) { return s.graph.Select(s.p, s.x, s.graph.Select(s.graph.And(s.p, s.q), s.z, s.y)); },
       [](Scene& s) { return s.graph.Select(s.p, s.x, s.y); }},
      {"select(select) both",
       [](Scene& s) { return s.graph.Select(s.p, s.graph.Select(s.q, s.y, s.C(0)), s.C(0)); },
       [](Scene& s) { return s.graph.Select(s.graph.And(s.p, s.q), s.y, s.C(0)); }},
      {"sum of masked", [](Scene& s) { return s.Sum(s.graph.Select(s.p, s.x, s.z), {s.a}, s.p); },
       [](Scene& s) { return s.Sum(s.x, {s.a}, s.p); }},
      {"contract of masked",
       [](Scene& s) { return s.graph.Contract(s.graph.Select(s.p, s.x, s.z), s.y, {s.a}, s.p); },
       [](Scene& s) { return s.graph.Contract(s.x, s.y, {s.a}, s.p); }},
      {"mask out of a sum", [](Scene& s) { return s.Sum(s.y, {s.a}, s.graph.And(s.p, s.q)); },
       [](Scene& s) { return s.graph.Select(s.q, s.Sum(s.y, {s.a}, s.p), s.C(0)); }},
      {"mask out of a contraction", [](Scene& s) { return s.graph.Contract(s.x, s.y, {s.a}, s.q); },
       [](Scene& s) { return s.graph.Select(s.q, s.graph.Contract(s.x, s.y, {s.a}), s.C(0)); }},
      {"repeated conjuncts", [](Scene& s) { return s.graph.And(s.graph.And(s.p, s.q), s.p); },
       [](Scene& s) { return s.graph.And(s.p, s.q); }},
      {"or with a constant", [](Scene& s) { return s.Raw(OpKind::Or, {s.p, s.graph.ConstBool(false)}); },
       [](Scene& s) { return s.p; }},
      {"not not", [](Scene& s) { return s.Op(OpKind::Not, {s.Op(OpKind::Not, {s.p})}); },
       [](Scene& s) { return s.p; }},
      {"positions below the bound",
       [](Scene& s) { return s.Op(OpKind::Lt, {s.graph.Positions(s.t), s.I(9)}); },
       [](Scene& s) { return s.Wide(s.graph.ConstBool(true), {s.t}); }},
      {"positions never negative",
       [](Scene& s) { return s.Op(OpKind::Eq, {s.graph.Add(s.graph.Positions(s.t), s.I(1)), s.I(0)}); },
       [](Scene& s) { return s.Wide(s.graph.ConstBool(false), {s.t}); }},
      {"rename(rename)", [](Scene& s) { return s.Rename(s.Rename(s.h, s.t, s.u), s.u, Axis("t''")); },
       [](Scene& s) { return s.Rename(s.h, s.t, Axis("t''")); }},
      {"rename(positions)", [](Scene& s) { return s.Rename(s.graph.Positions(s.t), s.t, s.u); },
       [](Scene& s) { return s.graph.Positions(s.u); }},
      {"slice(stack)",
       [](Scene& s) { return s.Part(s.graph.Make(OpKind::Stack, {s.x, s.z}, {.axis = s.pair}), 1); },
       [](Scene& s) { return s.Wide(s.z, {s.a}); }},
      {"stack(slices)",
       [](Scene& s) {
         return s.graph.Make(OpKind::Stack, {s.Part(s.w, 0), s.Part(s.w, 1)}, {.axis = s.pair});
       },
       [](Scene& s) { return s.w; }},
      {"split(merge)",
       [](Scene& s) {
         const NodeId merged = s.graph.Make(OpKind::Merge, {s.y}, {.axes = {s.b, s.a}, .axis = s.ab});
         return s.graph.Make(OpKind::Split, {merged}, {.to = {s.b, s.a}, .axis = s.ab});
       },
       [](Scene& s) { return s.y; }},
      {"merge(split)",
       [](Scene& s) {
         const NodeId split = s.graph.Make(OpKind::Split, {s.v}, {.to = {s.a, s.b}, .axis = s.ab});
         return s.graph.Make(OpKind::Merge, {split}, {.axes = {s.a, s.b}, .axis = s.ab});
       },
       [](Scene& s) { return s.v; }},
      {"gather at a twin's positions", [](Scene& s) { return s.At(s.h, s.graph.Positions(s.u), s.t); },
       [](Scene& s) { return s.Rename(s.h, s.t, s.u); }},
      {"scatter without a sum", [](Scene& s) { return s.graph.ScatterAdd(s.h, s.i, s.b, {s.t, s.b}); },
       [](Scene& s) {
         const NodeId here = s.Op(OpKind::Eq, {s.i, s.graph.Positions(s.b)});
         return s.graph.Select(here, s.graph.Add(s.h, s.C(0)), s.C(0));
       }},
      {"sum of one term",
       [](Scene& s) {
         const NodeId here = s.Op(OpKind::Eq, {s.graph.Positions(s.b), s.i});
         return s.Sum(s.graph.Select(here, s.h, s.C(0)), {s.b});
       },
       [](Scene& s) {
         const NodeId inside = s.graph.And(s.Op(OpKind::Ge, {s.i, s.I(0)}), s.Op(OpKind::Lt, {s.i, s.I(4)}));
         return s.graph.Select(inside, s.graph.Add(s.h, s.C(0)), s.C(0));
       }},
      {"element(element)",
       [](Scene& s) {
         const NodeId inner = s.graph.Make(OpKind::Element, {s.j}, {.indexes = s.a});
         return s.graph.Make(OpKind::Element, {inner}, {.indexes = s.b});
       },
       [](Scene& s) { return s.graph.Make(OpKind::Element, {s.j}, {.indexes = s.b}); }},
      {"the whole number 0", [](Scene& s) { return s.graph.Sub(s.z, s.graph.Mul(s.I(0), s.x)); },
       [](Scene& s) { return s.Wide(s.z, {s.a}); }},
      {"whole constants among floats", [](Scene& s) { return s.graph.Add(s.x, s.I(2)); },
       [](Scene& s) { return s.graph.Add(s.x, s.C(2)); }},
      {"choice of constants",
       [](Scene& s) { return s.graph.Sub(s.C(3), s.graph.Select(s.p, s.C(1), s.C(0))); },
       [](Scene& s) { return s.graph.Select(s.p, s.C(2), s.C(3)); }},
      {"choice of constants compared",
       [](Scene& s) { return s.Op(OpKind::Eq, {s.graph.Select(s.p, s.C(1), s.C(0)), s.C(0)}); },
       [](Scene& s) { return s.Op(OpKind::Not, {s.p}); }},
      {"x - 0", [](Scene& s) { return s.graph.Sub(s.x, s.C(0)); }, [](Scene& s) { return s.x; }},
      {"i + 0", [](Scene& s) { return s.graph.Add(s.I(0), s.j); }, [](Scene& s) { return s.j; }},
      {"x * 1", [](Scene& s) { return s.Raw(OpKind::Mul, {s.C(1), s.x}); }, [](Scene& s) { return s.x; }},
      {"x + -y", [](Scene& s) { return s.graph.Add(s.x, s.graph.Neg(s.y)); },
       [](Scene& s) { return s.graph.Sub(s.x, s.y); }},
      {"x - -y", [](Scene& s) { return s.graph.Sub(s.x, s.graph.Neg(s.y)); },
       [](Scene& s) { return s.graph.Add(s.x, s.y); }},
      {"-x / -y", [](Scene& s) { return s.graph.Div(s.graph.Neg(s.x), s.graph.Neg(s.y)); },
       [](Scene& s) { return s.graph.Div(s.x, s.y); }},
      {"-(-x)", [](Scene& s) { return s.graph.Neg(s.graph.Neg(s.x)); }, [](Scene& s) { return s.x; }},
      {"-(x * 3)", [](Scene& s) { return s.graph.Neg(s.graph.Mul(s.x, s.C(3))); },
       [](Scene& s) { return s.graph.Mul(s.x, s.C(-3)); }},
      {"x / 8", [](Scene& s) { return s.graph.Div(s.x, s.C(8)); },
       [](Scene& s) { return s.graph.Mul(s.x, s.C(0.125)); }},
      {"x ^ 1", [](Scene& s) { return s.Op(OpKind::Pow, {s.x, s.C(1)}); }, [](Scene& s) { return s.x; }},
      {"cast(float)", [](Scene& s) { return s.Op(OpKind::Cast, {s.x}); }, [](Scene& s) { return s.x; }},
  };
  for (const RuleCase& rule : cases) {
    EXPECT_NE(Text(rule.before, false), Text(rule.after, false)) << rule.name;
    EXPECT_EQ(Text(rule.before, true), Text(rule.after, false)) << rule.name;
  }
}

TEST(Rules, WhatWouldChangeBitsStays) {
  const std::vector<std::pair<std::string, Build>> cases{
      {"x + 0: -0", [](Scene& s) { return s.graph.Add(s.x, s.C(0)); }},
      {"0.0 * x: NaN", [](Scene& s) { return s.graph.Mul(s.C(0), s.x); }},
      {"x - x: NaN", [](Scene& s) { return s.graph.Sub(s.x, s.x); }},
      {"0 - x: 0 and -0", [](Scene& s) { return s.graph.Sub(s.C(0), s.x); }},
      {"x / 3", [](Scene& s) { return s.graph.Div(s.x, s.C(3)); }},
      {"(x + y) + z", [](Scene& s) { return s.graph.Add(s.graph.Add(s.x, s.C(1)), s.C(2)); }},
      {"sum of a broadcast along it", [](Scene& s) { return s.Sum(s.Wide(s.x, {s.b}), {s.b}); }},
      {"a factor's zeros need no mask",
       [](Scene& s) { return s.graph.Contract(s.graph.Select(s.p, s.x, s.C(0)), s.y, {s.a}); }},
      {"not (x < z): NaN", [](Scene& s) { return s.Op(OpKind::Not, {s.Op(OpKind::Lt, {s.x, s.z})}); }},
  };
  for (const auto& [name, build] : cases) EXPECT_EQ(Text(build, true), Text(build, false)) << name;
}

}  // namespace
}  // namespace heed::test
