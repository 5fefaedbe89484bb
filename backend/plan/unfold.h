// Expressions of a fused loop, unfolded down to memory. Private to build_loop.cpp.
//
// Unfolding works on maps from axes to loop indices, so that renames, slices, gathers and stacks inside an
// expression cost nothing: they only change where its operands are read.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "backend/plan/layout.h"
#include "backend/plan/plan.h"

namespace heed::backend {

/// What an axis of an expression is inside the loop: an axis of the kernel, a computed index, or a fixed
/// element.
struct Index {
  int loop = -1;
  int value = -1;
  int64_t element = 0;
  friend auto operator<=>(const Index&, const Index&) = default;
};
using AxisMap = std::map<ir::Axis, Index>;

/// Expressions before they are arranged in stages. Values are hash-consed.
class Unfolder {
 public:
  Unfolder(const ir::Graph& graph, const Layout& layout, const std::set<ir::NodeId>& own, LoopKernel& kernel,
           std::vector<ir::Axis> axes);

  const AxisMap& identity() const { return identity_; }
  std::vector<LoopValue>& values() { return values_; }
  const std::map<ir::NodeId, int>& reductions() const { return reduction_of_; }
  void DeclareReduction(ir::NodeId id, int number) { reduction_of_[id] = number; }

  /// The value of a root itself, unfolded although it is (or will be) in memory.
  int Root(ir::NodeId id) { return Unfold(id, identity_, true); }

  /// 1 for true, 0 for false: what a sum of bools counts.
  int AsInt(int value) { return Op(ir::OpKind::Select, ir::DType::Int, {value, Int(1), Int(0)}); }

  int Value(ir::NodeId id, const AxisMap& map) { return Unfold(id, map, false); }

  int AddOperand(const View& view);

 private:
  int Unfold(ir::NodeId id, const AxisMap& map, bool root);

  int Make(ir::NodeId id, const ir::Node& node, const AxisMap& map, bool root);

  int Leaf(const ir::Node& node, const AxisMap& map);
  int Axes(const ir::Node& node, const AxisMap& map);
  int Indexed(const ir::Node& node, const AxisMap& map);

  bool IsIdentity(const AxisMap& map) const;

  int Op(ir::OpKind op, ir::DType dtype, std::vector<int> arguments);
  int Int(int64_t number);
  int IndexValue(const Index& index);

  int Stack(const ir::Node& node, const AxisMap& map);

  int Gather(const ir::Node& node, const AxisMap& map);

  /// The element's number has the bounds of the axes as strides, axes in alphabetical order, the last
  /// fastest.
  int Random(const ir::Node& node, const AxisMap& map);

  int Load(const View& view, const AxisMap& map);

  int AddOperand(LoopOperand operand);

  int Add(LoopValue value);

  const ir::Graph& graph_;
  const Layout& layout_;
  const std::set<ir::NodeId>& own_;
  LoopKernel& kernel_;
  std::vector<ir::Axis> axes_;
  AxisMap identity_;
  std::vector<LoopValue> values_;
  std::map<std::tuple<ir::NodeId, bool, AxisMap>, int> memo_;
  std::map<ir::NodeId, int> reduction_of_;
  std::map<std::string, int> interned_;
};

}  // namespace heed::backend
