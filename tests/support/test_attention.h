// The axes of tests of the graph, and an attention over them with all kinds of regions. The axes: a=3, b=5,
// ab=15, c=7, pair={first, second}, vocab=11, seq dynamic up to 9 (its extent below it is the test's choice).
#pragma once

#include <memory>

#include "ir/graph.h"
#include "ir/op.h"

namespace heed::testing {

using ir::Axis;
using ir::AxisList;
using ir::DType;
using ir::NodeId;
using ir::OpKind;

inline std::shared_ptr<ir::AxisTable> TestAxes() {
  using Kind = ir::Extent::Kind;
  auto table = std::make_shared<ir::AxisTable>();
  table->Set(Axis("a"), {Kind::Static, 3, {}});
  table->Set(Axis("b"), {Kind::Static, 5, {}});
  table->Set(Axis("ab"), {Kind::Static, 15, {}});
  table->Set(Axis("c"), {Kind::Static, 7, {}});
  table->Set(Axis("pair"), {Kind::Static, 2, {"first", "second"}});
  table->Set(Axis("vocab"), {Kind::Static, 11, {}});
  table->Set(Axis("seq"), {Kind::Dynamic, 9, {}});
  table->Set(Axis("batch"), {Kind::Lifted, 0, {}});
  return table;
}

/// Regions of an attention on captures c0 (added to half the product) and c1 (whose sigmoid is a weight),
/// causal.
inline std::shared_ptr<const ir::AttentionRegions> TestRegions(std::shared_ptr<const ir::AxisTable> table,
                                                               const AxisList& score_axes, const ir::Type& c0,
                                                               const ir::Type& c1) {
  const auto make = [&](bool gradient) {
    auto region = std::make_shared<ir::Graph>(table);
    const auto input = [&](const char* name, const AxisList& axes) {
      return region->Make(OpKind::Input, {}, {.axes = axes, .name = name});
    };
    const NodeId s = input("s", score_axes), bias = input("c0", c0.axes), gate = input("c1", c1.axes);
    const NodeId weight = region->Pointwise(OpKind::Sigmoid, {gate});
    if (!gradient) {
      region->SetOutput("score", region->Add(region->Mul(s, region->Const(0.5)), bias));
      region->SetOutput("mask", region->Pointwise(OpKind::Le, {region->Positions(Axis("seq'")),
                                                               region->Positions(Axis("seq"))}));
      region->SetOutput("weight", weight);
    } else {
      const NodeId ds = input("ds", score_axes), dw = input("dw", score_axes);
      region->SetOutput("dr", region->Mul(ds, region->Const(0.5)));
      region->SetOutput("dc0", ds);
      const NodeId slope = region->Mul(weight, region->Sub(region->Const(1), weight));
      region->SetOutput("dc1", region->Mul(dw, slope));
    }
    return region;
  };
  auto regions = std::make_shared<ir::AttentionRegions>();
  regions->score = make(false);
  regions->gradient = make(true);
  return regions;
}

/// An attention of q[seq, a, c], k[seq', a, c], v[seq', a, b] on captures c0[a, seq'] and c1[seq].
inline NodeId TestAttention(ir::Graph& graph, NodeId q, NodeId k, NodeId v, NodeId c0, NodeId c1) {
  const AxisList score = {Axis("a"), Axis("seq"), Axis("seq'")};
  return graph.Make(OpKind::Attention, {q, k, v, c0, c1},
                    {.axes = {Axis("c")},
                     .to = score,
                     .axis = Axis("seq'"),
                     .captures = 2,
                     .regions = TestRegions(graph.shared_axes(), score, graph.type(c0), graph.type(c1))});
}

}  // namespace heed::testing
