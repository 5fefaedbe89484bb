// How one fused loop is turned into LLVM; private to loop*.cpp. The parts: loop.cpp (units of work,
// nests), loop_values.cpp (values and memory), loop_reductions.cpp (accumulators).
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "backend/emit/context.h"
#include "backend/emit/loop.h"
#include "backend/emit/vector.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Function.h"

namespace heed::backend {

/// Of a row reduction: element i belongs to accumulator (i / lanes) % kAccumulators. Part of what a sum
/// means.
constexpr int kAccumulators = 4;

/// Vectors in a block of the lane axis.
int ColumnBlock(const LoopKernel& kernel, int lanes);

class LoopEmitter {
 public:
  LoopEmitter(llvm::Module& module, const std::string& name, const LoopKernel& kernel, const Target& target)
      : kernel_(kernel),
        context_(ContextOf(kernel)),
        builder_(module.getContext()),
        v_(module, builder_, target.lanes),
        lanes_(target.lanes) {
    llvm::Type* word = builder_.getInt64Ty();
    llvm::Type* pointer = builder_.getPtrTy();
    function_ = llvm::Function::Create(
        llvm::FunctionType::get(builder_.getVoidTy(), {pointer, word, word, pointer}, false),
        llvm::GlobalValue::ExternalLinkage, name, module);
    function_->setVisibility(llvm::GlobalValue::HiddenVisibility);
    function_->addFnAttr(llvm::Attribute::NoUnwind);
  }
  void Emit();

 private:
  // One value for each vector of the block; a single one if it does not vary.
  using Block = std::vector<llvm::Value*>;

  // ---- Structure
  void Analyse();
  int Level(int value) const { return levels_[value]; }
  bool VariesAlong(int value, int axis) const { return (axes_[value] >> axis) & 1; }
  bool Varies(int value) const { return vector_axis_ >= 0 && VariesAlong(value, vector_axis_); }
  std::vector<char> Needed(const std::vector<int>& roots) const;
  int StageCost(const std::vector<char>& needed) const;

  // ---- Small pieces
  llvm::Value* Of(const Size& size);
  llvm::Value* I64(int64_t number) { return v_.I64(number); }
  llvm::Value* Alloca(llvm::Type* type, const std::string& name);
  llvm::Value* Load64(llvm::Value* place) { return builder_.CreateLoad(builder_.getInt64Ty(), place); }
  llvm::Value* Product(const std::vector<Size>& sizes);
  llvm::BasicBlock* NewBlock(const char* name) {
    return llvm::BasicBlock::Create(builder_.getContext(), name, function_);
  }
  /// for (i = begin; i < end; i += step) body(i)
  void For(llvm::Value* begin, llvm::Value* end, int64_t step, const std::function<void(llvm::Value*)>& body);
  void If(llvm::Value* condition, const std::function<void()>& body);

  // ---- Units of work
  void Unit(const std::vector<llvm::Value*>& outer, llvm::Value* position);
  void RowUnit(llvm::Value* begin, llvm::Value* end);
  void ColumnUnit(llvm::Value* begin);
  void Advance(int axis, llvm::Value* index);
  void Stages();
  static void AddRoots(const std::vector<LoopStore>& stores, std::vector<int>& roots);
  void Finish();

  // ---- Values
  struct Saved {
    std::vector<llvm::Value*> pointers;
    size_t made;
  };
  Saved Save() const { return {pointers_, made_.size()}; }
  void Restore(Saved saved);
  void EmitValues(int level);
  Block EmitValue(int value);
  Block MapBlock(const std::vector<int>& arguments,
                 const std::function<llvm::Value*(const std::vector<Datum>&)>& body);
  Datum Get(int value, int u);
  int Vectors() const { return static_cast<int>(masks_.size()); }
  Block LoadOperand(int operand, ir::DType dtype);
  llvm::Value* StoreOrLoadOffsets(const Size& stride);
  Block Gather(const LoopValue& value);
  void Store(const LoopStore& store);
  void StoreAt(const LoopStore& store);
  llvm::Value* VectorStart(int u) { return builder_.CreateAdd(vector_index_, I64(int64_t{u} * lanes_)); }
  /// Pointer to the element of the first lane of vector `u`, and how far lanes lie apart (null: one scalar).
  llvm::Value* Place(int operand, int u, bool first_lane);
  const Size& VectorStride(int operand) const { return kernel_.operands[operand].strides[vector_axis_]; }

  // ---- Reductions
  struct Reduction {
    const LoopReduction* what;
    int number;
    std::vector<llvm::Value*> best, place;  // allocas, one an accumulator; `place` of Argmax
    ir::DType dtype;                        // of what is accumulated
  };
  void StartReductions(const LoopStage& stage, int accumulators);
  void Accumulate(Reduction& reduction, int accumulator, int u);
  void FinishReductions();
  void Rotate();
  void RotateBack(llvm::Value* count);
  llvm::Value* Combine(const Reduction& reduction, llvm::Value* a, llvm::Value* b);
  std::pair<llvm::Value*, llvm::Value*> CombineBest(llvm::Value* value_a, llvm::Value* place_a,
                                                    llvm::Value* value_b, llvm::Value* place_b);

  // ---- Nests
  void Nest(int level, const LoopStage& stage);
  void RowVectors(const LoopStage& stage);
  void RowBlock(const LoopStage& stage, llvm::Value* index, std::vector<llvm::Value*> masks);
  void Body(const LoopStage& stage);

  const LoopKernel& kernel_;
  const KernelContext context_;
  llvm::IRBuilder<> builder_;
  VectorBuilder v_;
  const int lanes_;
  llvm::Function* function_;
  llvm::BasicBlock* entry_ = nullptr;

  int outer_ = 0, inner_ = 0, rank_ = 0, vector_axis_ = -1;
  std::vector<uint64_t> axes_;  // of each value: those it varies along
  std::vector<int> levels_;     // of each value: 0, or 1 + its deepest inner axis
  bool reduces_ = false;
  int first_reduction_ = 0;  // of the stage being emitted

  std::vector<llvm::Value*> slots_;             // loaded context
  std::vector<llvm::Value*> bases_, pointers_;  // of operands: start, and with the indices so far
  std::vector<llvm::Value*> indices_;           // of axes, but the vector axis
  llvm::Value* vector_index_ = nullptr;         // first element of the block along the vector axis
  llvm::Value* row_begin_ = nullptr;
  llvm::Value* row_end_ = nullptr;
  std::vector<llvm::Value*> masks_;  // one a vector of the block, null: all lanes
  std::vector<Block> blocks_;        // of values emitted and in reach
  std::vector<int> made_;            // in order
  std::vector<char> needed_;
  std::vector<Reduction> reductions_;
  bool rotating_ = false;
};

}  // namespace heed::backend
