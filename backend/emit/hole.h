// Code of one hole of the attention kernel, from the region graphs of a step. Elements (scores, weights and
// their gradients) are hole.cpp's affair, classes of tiles tile.cpp's. Private to the back end.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "backend/emit/attention.h"
#include "backend/emit/vector.h"
#include "ir/interval.h"
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
  using Bounds = ir::Interval<Datum>;

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

  /// Of a leaf of the mask over a tile; none: unknown.
  std::optional<Bounds> BoundLeaf(const ir::Node& node);
  Bounds BoundPositions(ir::Axis axis);
  std::optional<Bounds> BoundCapture(int number);
  Bounds BoundRun(Value* pointer, Value* count, const Size& stride, DType dtype);

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
};

}  // namespace heed::backend
