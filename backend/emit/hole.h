// Code of one hole of the attention kernel, from the region graphs of a step. Elements (scores, weights and
// their gradients) are hole.cpp's affair, classes of tiles tile.cpp's. Private to the back end.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backend/emit/attention.h"
#include "backend/emit/vector.h"
#include "ir/op.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Function.h"

namespace heed::backend {

using ir::DType;
using ir::Graph;
using ir::InternalError;
using ir::NodeId;
using ir::OpKind;
using llvm::Value;

/// Ops that give the number they get.
inline bool IsIdentity(OpKind op) {
  return op == OpKind::Element || op == OpKind::Broadcast || op == OpKind::Rename || op == OpKind::Stop;
}

class HoleEmitter {
 public:
  HoleEmitter(llvm::Function* function, const AttentionStep& step, const Target& target)
      : function_(function),
        step_(step),
        context_layout_(ContextOf(step)),
        builder_(function->getContext()),
        v_(*function->getParent(), builder_, target.lanes) {
    builder_.SetInsertPoint(llvm::BasicBlock::Create(function->getContext(), "entry", function));
    function->setLinkage(llvm::GlobalValue::InternalLinkage);
    function->setVisibility(llvm::GlobalValue::DefaultVisibility);
    function->addFnAttr(llvm::Attribute::AlwaysInline);
    function->addFnAttr(llvm::Attribute::NoUnwind);
  }
  void Score();
  void Mask();
  void ScoreIsShort();
  void Weight();
  void ScoreGradient();
  void IsTerm();
  void Term();
  void TermGradient();
  void Tile();

 private:
  struct Interval {
    Value* low;
    Value* high;
    bool point() const { return low == high; }
  };
  using MaybeInterval = std::optional<Interval>;

  Value* Argument(unsigned number) {
    if (number >= function_->arg_size())
      throw InternalError("hole " + function_->getName().str() + " has too few arguments");
    return function_->getArg(number);
  }
  void Place(Value* loop, Value* context);
  Value* Slot(int number, llvm::Type* type);
  Value* Of(const Size& size);
  void Return(Datum datum) { builder_.CreateRet(v_.AsVector(v_.Convert(datum, DType::Float)).value); }

  Datum Evaluate(const Graph& graph, NodeId root);
  Datum EvaluateNode(const Graph& graph, NodeId id);
  Datum EvaluateLeaf(const ir::Node& node);
  Datum EvaluateKeep(const Graph& graph, const ir::Node& node);
  Datum Position(ir::Axis axis);
  int CaptureNumber(const std::string& name) const;
  Datum Capture(int number);
  Value* CaptureAt(int number, Value* query, Value* key);
  void AddGradient(const AttentionGradient& gradient, int number, Datum cotangent, Value* absent,
                   Value* gradients);

  MaybeInterval Bound(const Graph& graph, NodeId id);
  MaybeInterval BoundNode(const Graph& graph, NodeId id);
  Interval BoundPositions(ir::Axis axis);
  MaybeInterval BoundInput(const ir::Node& node);
  MaybeInterval BoundCapture(int number);
  Interval BoundRun(Value* pointer, Value* count, const Size& stride, DType dtype);
  /// Of a pointwise op whose inputs have the bounds `x`.
  MaybeInterval BoundPointwise(const Graph& graph, const ir::Node& node, const std::vector<Interval>& x);
  MaybeInterval BoundArithmetic(const Graph& graph, const ir::Node& node, const std::vector<Interval>& x);
  Interval BoundAbs(Interval a, DType dtype);
  MaybeInterval BoundComparison(OpKind op, const ir::Node& node, const Graph& graph, Interval a, Interval b);
  Interval Hull(const std::vector<Value*>& values, DType dtype);
  Value* Apply(OpKind op, Value* a, Value* b, DType dtype) {
    std::vector<Datum> arguments = {{a, dtype}};
    if (b) arguments.push_back({b, dtype});
    return v_.Apply(op, arguments, dtype).value;
  }

  llvm::Function* function_;
  const AttentionStep& step_;
  const KernelContext context_layout_;
  llvm::IRBuilder<> builder_;
  VectorBuilder v_;
  Value* context_ = nullptr;
  std::vector<Value*> loops_;  // index along each
  Value* query_ = nullptr;
  Value* key_ = nullptr;
  Value* count_ = nullptr;
  Value* dot_ = nullptr;         // of a term
  Value* query_last_ = nullptr;  // of a tile; query_, key_ are its first ones
  Value* key_last_ = nullptr;
  std::map<std::string, Datum> inputs_;  // s, ds, dw
  std::map<NodeId, Datum> memo_;
  std::map<NodeId, MaybeInterval> bounds_;
};

}  // namespace heed::backend
