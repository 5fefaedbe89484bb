// Fused loops -> LLVM: explicit vectors, full blocks without masks, one masked remainder.
//
// Values are emitted as far outside as their axes allow, operands' addresses are advanced once a level.
// Everything mutable (counters, accumulators) is an alloca; LLVM makes registers of them. Order of additions:
// element i of a row (Row mode) goes to lane i % lanes of accumulator (i / lanes) % 4, whatever is unrolled
// or missing, so that a sum depends neither on padding nor on what else was fused; the four are added as (0 +
// 1) + (2 + 3), then the lanes in a tree. What this file leaves alone: which loops there are (plan.h) and
// where operands lie (emit_function.cpp).
#include "backend/emit_loop.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "backend/emit_vector.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/Function.h"

namespace heed::backend {

using ir::DType;
using ir::InternalError;
using ir::OpKind;
using llvm::BasicBlock;
using llvm::Value;

namespace {

constexpr int kAccumulators = 4;    // of a row reduction; part of what a sum means
constexpr int64_t kChunk = 2048;    // elements of a row without reductions that are one unit of work
constexpr int kUnrollRowCost = 40;  // dearer rows are not unrolled
constexpr int kUnrollSimpleCost = 12;
constexpr int kUnrollColumnCost = 48;

int CostOf(const LoopValue& value) {
  switch (value.kind) {
    case LoopValue::Kind::Keep:
      return 60;
    case LoopValue::Kind::Gather:
      return 8;
    case LoopValue::Kind::Op:
      break;
    default:
      return 1;
  }
  switch (value.op) {
    case OpKind::Exp:
    case OpKind::Log:
    case OpKind::Sigmoid:
    case OpKind::Tanh:
      return 14;
    case OpKind::Sin:
    case OpKind::Cos:
    case OpKind::Erf:
      return 24;
    case OpKind::Pow:
      return 40;
    case OpKind::Div:
    case OpKind::Sqrt:
      return 4;
    case OpKind::Mod:
      return 30;
    default:
      return 1;
  }
}

}  // namespace

KernelContext ContextOf(const LoopKernel& kernel) {
  KernelContext context;
  const auto add = [&](const Size& size) { context.Add(size); };
  for (const Size& size : kernel.outer) add(size);
  if (kernel.column) add(kernel.lane);
  for (const Size& size : kernel.inner) add(size);
  for (size_t i = 0; i < kernel.operands.size(); ++i) {
    if (kernel.operands[i].base.buffer >= 0) context.operands.push_back(static_cast<int>(i));
    for (const Size& stride : kernel.operands[i].strides) add(stride);
  }
  for (const LoopValue& value : kernel.values) {
    if (value.kind == LoopValue::Kind::Extent) add(value.size);
    if (value.kind == LoopValue::Kind::Gather) {
      add(value.size);
      add(value.gather_stride);
    }
    if (value.kind == LoopValue::Kind::Keep) context.AddSite(value.site);
  }
  return context;
}

int Cost(const LoopKernel& kernel) {
  int cost = 1;
  for (const LoopValue& value : kernel.values) cost += CostOf(value);
  return cost;
}

namespace {

/// Vectors in a block of the lane axis.
int ColumnBlock(const LoopKernel& kernel, int lanes) {
  int vectors = Cost(kernel) > kUnrollColumnCost ? 2 : 4;
  if (kernel.lane.IsStatic())
    while (vectors > 1 && vectors * lanes > kernel.lane.factor) vectors /= 2;
  return vectors;
}

}  // namespace

int64_t ScratchWidth(const LoopKernel& kernel, int lanes) {
  return 4 * (kernel.column ? ColumnBlock(kernel, lanes) * lanes : 1);
}

namespace {

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
  using Block = std::vector<Value*>;  // one value a vector of the block; a single one if it does not vary

  // ---- Structure
  void Analyse();
  int Level(int value) const { return levels_[value]; }
  bool VariesAlong(int value, int axis) const { return (axes_[value] >> axis) & 1; }
  bool Varies(int value) const { return vector_axis_ >= 0 && VariesAlong(value, vector_axis_); }
  std::vector<char> Needed(const std::vector<int>& roots) const;
  int StageCost(const std::vector<char>& needed) const;

  // ---- Small pieces
  Value* Of(const Size& size);
  Value* I64(int64_t number) { return v_.I64(number); }
  Value* Alloca(llvm::Type* type, const std::string& name);
  Value* Load64(Value* place) { return builder_.CreateLoad(builder_.getInt64Ty(), place); }
  Value* Product(const std::vector<Size>& sizes);
  BasicBlock* NewBlock(const char* name) {
    return BasicBlock::Create(builder_.getContext(), name, function_);
  }
  /// for (i = begin; i < end; i += step) body(i)
  void For(Value* begin, Value* end, int64_t step, const std::function<void(Value*)>& body);
  void If(Value* condition, const std::function<void()>& body);

  // ---- Units of work
  void Unit(const std::vector<Value*>& outer, Value* position);
  void RowUnit(Value* begin, Value* end);
  void ColumnUnit(Value* begin);
  void Advance(int axis, Value* index);
  void Stages();
  void Finish();

  // ---- Values
  struct Saved {
    std::vector<Value*> pointers;
    size_t made;
  };
  Saved Save() const { return {pointers_, made_.size()}; }
  void Restore(Saved saved);
  void EmitValues(int level);
  Block EmitValue(int value);
  Block MapBlock(const std::vector<int>& arguments,
                 const std::function<Value*(const std::vector<Datum>&)>& body);
  Datum Get(int value, int u);
  int Vectors() const { return static_cast<int>(masks_.size()); }
  Block LoadOperand(int operand, DType dtype);
  Value* StoreOrLoadOffsets(const Size& stride);
  Block Gather(const LoopValue& value);
  void Store(const LoopStore& store);
  Value* VectorStart(int u) { return builder_.CreateAdd(vector_index_, I64(int64_t{u} * lanes_)); }
  /// Pointer to the element of the first lane of vector `u`, and how far lanes lie apart (null: one scalar).
  Value* Place(int operand, int u, bool first_lane);
  const Size& VectorStride(int operand) const { return kernel_.operands[operand].strides[vector_axis_]; }

  // ---- Reductions
  struct Reduction {
    const LoopReduction* what;
    int number;
    std::vector<Value*> best, place;  // allocas, one an accumulator; `place` of Argmax
    DType dtype;                      // of what is accumulated
  };
  void StartReductions(const LoopStage& stage, int accumulators);
  void Accumulate(Reduction& reduction, int accumulator, int u);
  void FinishReductions();
  void Rotate();
  void RotateBack(Value* count);
  Value* Combine(const Reduction& reduction, Value* a, Value* b);
  std::pair<Value*, Value*> CombineBest(Value* value_a, Value* place_a, Value* value_b, Value* place_b);

  // ---- Nests
  void Nest(int level, const LoopStage& stage);
  void RowVectors(const LoopStage& stage);
  void RowBlock(const LoopStage& stage, Value* index, std::vector<Value*> masks);
  void Body(const LoopStage& stage);

  const LoopKernel& kernel_;
  const KernelContext context_;
  llvm::IRBuilder<> builder_;
  VectorBuilder v_;
  const int lanes_;
  llvm::Function* function_;
  BasicBlock* entry_ = nullptr;

  int outer_ = 0, inner_ = 0, rank_ = 0, vector_axis_ = -1;
  std::vector<uint64_t> axes_;  // of each value: those it varies along
  std::vector<int> levels_;     // of each value: 0, or 1 + its deepest inner axis
  bool reduces_ = false;
  int first_reduction_ = 0;  // of the stage being emitted

  std::vector<Value*> slots_;             // loaded context
  std::vector<Value*> bases_, pointers_;  // of operands: start, and with the indices so far
  std::vector<Value*> indices_;           // of axes, but the vector axis
  Value* vector_index_ = nullptr;         // first element of the block along the vector axis
  Value* row_begin_ = nullptr;
  Value* row_end_ = nullptr;
  std::vector<Value*> masks_;  // one a vector of the block, null: all lanes
  std::vector<Block> blocks_;  // of values emitted and in reach
  std::vector<int> made_;      // in order
  std::vector<char> needed_;
  std::vector<Reduction> reductions_;
  bool rotating_ = false;
};

void LoopEmitter::Analyse() {
  outer_ = static_cast<int>(kernel_.outer.size());
  inner_ = static_cast<int>(kernel_.inner.size());
  rank_ = outer_ + (kernel_.column ? 1 : 0) + inner_;
  if (!kernel_.column && !inner_ && !kernel_.stages.empty() && !kernel_.stages[0].reductions.empty())
    throw InternalError("a reduction along no axis");
  if (rank_ > 60) throw InternalError("a loop of too many axes");
  vector_axis_ = kernel_.column ? outer_ : inner_ ? rank_ - 1 : -1;
  for (const LoopOperand& operand : kernel_.operands)
    if (static_cast<int>(operand.strides.size()) != rank_)
      throw InternalError("an operand of a loop has strides for " + std::to_string(operand.strides.size()) +
                          " of " + std::to_string(rank_) + " axes");
  const int first_inner = rank_ - inner_;
  for (const LoopValue& value : kernel_.values) {
    uint64_t axes = 0;
    for (int argument : value.args) {
      if (argument < 0 || argument >= static_cast<int>(axes_.size()))
        throw InternalError("an argument of a loop value does not precede it");
      axes |= axes_[argument];
    }
    if (value.kind == LoopValue::Kind::Position) axes |= uint64_t{1} << value.axis;
    if (value.kind == LoopValue::Kind::Reduced) axes |= (uint64_t{1} << first_inner) - 1;
    if (value.kind == LoopValue::Kind::Load || value.kind == LoopValue::Kind::Gather) {
      const LoopOperand& operand = kernel_.operands[value.operand];
      for (int a = 0; a < rank_; ++a)
        if (!operand.strides[a].IsZero()) axes |= uint64_t{1} << a;
    }
    int level = 0;
    for (int j = 0; j < inner_; ++j)
      if ((axes >> (first_inner + j)) & 1) level = j + 1;
    axes_.push_back(axes);
    levels_.push_back(level);
  }
  for (const LoopStage& stage : kernel_.stages) reduces_ |= !stage.reductions.empty();
}

std::vector<char> LoopEmitter::Needed(const std::vector<int>& roots) const {
  std::vector<char> needed(kernel_.values.size());
  std::vector<int> open = roots;
  while (!open.empty()) {
    const int value = open.back();
    open.pop_back();
    if (value < 0 || needed[value]) continue;
    needed[value] = 1;
    for (int argument : kernel_.values[value].args) open.push_back(argument);
  }
  return needed;
}

int LoopEmitter::StageCost(const std::vector<char>& needed) const {
  int cost = 0;
  for (size_t i = 0; i < needed.size(); ++i)
    if (needed[i] && (Varies(static_cast<int>(i)))) cost += CostOf(kernel_.values[i]);
  return cost;
}

// ---- Small pieces

Value* LoopEmitter::Of(const Size& size) {
  return size.IsStatic() ? I64(size.factor) : slots_[context_.SlotOf(size)];
}

Value* LoopEmitter::Alloca(llvm::Type* type, const std::string& name) {
  llvm::IRBuilder<> at_entry(entry_, entry_->begin());
  return at_entry.CreateAlloca(type, nullptr, name);
}

Value* LoopEmitter::Product(const std::vector<Size>& sizes) {
  Value* product = I64(1);
  for (const Size& size : sizes) product = builder_.CreateMul(product, Of(size), "", true, true);
  return product;
}

void LoopEmitter::For(Value* begin, Value* end, int64_t step, const std::function<void(Value*)>& body) {
  Value* place = Alloca(builder_.getInt64Ty(), "i");
  builder_.CreateStore(begin, place);
  BasicBlock* loop = NewBlock("loop");
  BasicBlock* done = NewBlock("done");
  builder_.CreateCondBr(builder_.CreateICmpSLT(begin, end), loop, done);
  builder_.SetInsertPoint(loop);
  Value* index = Load64(place);
  body(index);
  Value* next = builder_.CreateAdd(index, I64(step), "", true, true);
  builder_.CreateStore(next, place);
  builder_.CreateCondBr(builder_.CreateICmpSLT(next, end), loop, done);
  builder_.SetInsertPoint(done);
}

void LoopEmitter::If(Value* condition, const std::function<void()>& body) {
  if (const auto* known = llvm::dyn_cast<llvm::ConstantInt>(condition)) {
    if (known->isOne()) body();
    return;
  }
  BasicBlock* then = NewBlock("then");
  BasicBlock* done = NewBlock("done");
  builder_.CreateCondBr(condition, then, done);
  builder_.SetInsertPoint(then);
  body();
  builder_.CreateBr(done);
  builder_.SetInsertPoint(done);
}

// ---- Units of work: an index of the outer axes and a piece of the vector axis

void LoopEmitter::Emit() {
  Analyse();
  entry_ = NewBlock("entry");
  BasicBlock* start = NewBlock("start");
  builder_.SetInsertPoint(start);
  Value* context = function_->getArg(0);
  Value* part = function_->getArg(1);
  Value* parts = function_->getArg(2);
  for (int i = 0; i < context_.Slots(); ++i) {
    const bool is_pointer = i < static_cast<int>(context_.operands.size());
    llvm::Type* type = is_pointer ? static_cast<llvm::Type*>(builder_.getPtrTy()) : builder_.getInt64Ty();
    if (!context_.sites.empty() && i == context_.DropoutSlot()) type = builder_.getFloatTy();
    slots_.push_back(
        builder_.CreateLoad(type, builder_.CreateConstGEP1_64(builder_.getInt64Ty(), context, i)));
  }
  bases_.assign(kernel_.operands.size(), nullptr);
  for (size_t i = 0; i < context_.operands.size(); ++i) bases_[context_.operands[i]] = slots_[i];
  Value* scratch = function_->getArg(3);
  const int64_t width = ScratchWidth(kernel_, lanes_);
  Value* row_bytes = nullptr;
  int row = 0;
  for (size_t i = 0; i < kernel_.operands.size(); ++i) {
    if (bases_[i]) continue;
    if (!row_bytes) {
      row_bytes = builder_.CreateMul(Product(kernel_.inner), I64(width));
      row_bytes = builder_.CreateAnd(builder_.CreateAdd(row_bytes, I64(63)), I64(-64));
    }
    bases_[i] = builder_.CreateGEP(builder_.getInt8Ty(), scratch, builder_.CreateMul(row_bytes, I64(row++)));
  }
  blocks_.assign(kernel_.values.size(), {});
  indices_.assign(rank_, nullptr);

  // How the vector axis is cut into units.
  const bool cut_rows = !kernel_.column && vector_axis_ >= 0 && !reduces_ && kernel_.scratch_rows == 0 &&
                        kernel_.stages.size() == 1 && kernel_.row_stores.empty();
  int64_t piece = 0;
  if (kernel_.column) piece = int64_t{ColumnBlock(kernel_, lanes_)} * lanes_;
  if (cut_rows && !(kernel_.inner.back().IsStatic() && kernel_.inner.back().factor <= kChunk)) piece = kChunk;
  Value* extent = vector_axis_ < 0 ? I64(1) : Of(kernel_.column ? kernel_.lane : kernel_.inner.back());
  Value* pieces =
      piece ? builder_.CreateUDiv(builder_.CreateAdd(extent, I64(piece - 1)), I64(piece)) : I64(1);

  std::vector<Value*> extents;
  for (const Size& size : kernel_.outer) extents.push_back(Of(size));
  extents.push_back(pieces);
  Value* total = builder_.CreateMul(Product(kernel_.outer), pieces, "", true, true);
  Value* begin = builder_.CreateUDiv(builder_.CreateMul(total, part), parts);
  Value* end = builder_.CreateUDiv(builder_.CreateMul(total, builder_.CreateAdd(part, I64(1))), parts);
  BasicBlock* work = NewBlock("work");
  BasicBlock* finish = NewBlock("finish");
  builder_.CreateCondBr(builder_.CreateICmpSLT(begin, end), work, finish);

  // The multi-index of the first unit by division, the others by counting.
  builder_.SetInsertPoint(work);
  std::vector<Value*> counters;
  Value* rest = begin;
  for (size_t i = 0; i < extents.size(); ++i) counters.push_back(Alloca(builder_.getInt64Ty(), "counter"));
  for (size_t i = extents.size(); i-- > 0;) {
    builder_.CreateStore(i ? builder_.CreateURem(rest, extents[i]) : rest, counters[i]);
    if (i) rest = builder_.CreateUDiv(rest, extents[i]);
  }
  For(begin, end, 1, [&](Value*) {
    std::vector<Value*> outer;
    for (int a = 0; a < outer_; ++a) outer.push_back(Load64(counters[a]));
    Value* number = Load64(counters.back());
    Unit(outer, piece ? builder_.CreateMul(number, I64(piece), "", true, true) : nullptr);
    Value* carry = builder_.getTrue();
    for (size_t i = extents.size(); i-- > 0;) {
      Value* next =
          builder_.CreateAdd(Load64(counters[i]), builder_.CreateZExt(carry, builder_.getInt64Ty()));
      carry = builder_.CreateICmpEQ(next, extents[i]);
      builder_.CreateStore(builder_.CreateSelect(carry, I64(0), next), counters[i]);
    }
  });
  builder_.CreateBr(finish);
  builder_.SetInsertPoint(finish);
  builder_.CreateRetVoid();
  builder_.SetInsertPoint(entry_);
  builder_.CreateBr(start);
}

void LoopEmitter::Advance(int axis, Value* index) {
  indices_[axis] = index;
  for (size_t i = 0; i < pointers_.size(); ++i) {
    const LoopOperand& operand = kernel_.operands[i];
    const Size& stride = operand.strides[axis];
    if (stride.IsZero()) continue;
    Value* step = Of(stride);
    if (kernel_.column && operand.base.buffer < 0)  // a row of scratch is as wide as the block
      step = builder_.CreateMul(step, I64(ScratchWidth(kernel_, lanes_) / 4));
    pointers_[i] = v_.At(pointers_[i], builder_.CreateMul(index, step, "", true, true), operand.dtype);
  }
}

void LoopEmitter::Unit(const std::vector<Value*>& outer, Value* position) {
  pointers_ = bases_;
  for (int a = 0; a < outer_; ++a) Advance(a, outer[a]);
  if (kernel_.column) {
    ColumnUnit(position);
    return;
  }
  if (vector_axis_ >= 0) {
    Value* extent = Of(kernel_.inner.back());
    row_begin_ = position ? position : I64(0);
    row_end_ = extent;
    if (position) {
      Value* next = builder_.CreateAdd(position, I64(kChunk));
      row_end_ = builder_.CreateSelect(builder_.CreateICmpSLT(next, extent), next, extent);
    }
  }
  vector_index_ = I64(0);
  masks_ = {nullptr};
  const Saved saved = Save();
  Stages();
  Restore(saved);
}

void LoopEmitter::ColumnUnit(Value* begin) {
  const int vectors = ColumnBlock(kernel_, lanes_);
  const int64_t width = int64_t{vectors} * lanes_;
  Value* extent = Of(kernel_.lane);
  const auto run = [&](Value* index, std::vector<Value*> masks) {
    vector_index_ = index;
    masks_ = std::move(masks);
    const Saved saved = Save();
    Stages();
    Restore(saved);
  };
  const bool always_full = kernel_.lane.IsStatic() && kernel_.lane.factor % width == 0;
  if (always_full) {
    run(begin, std::vector<Value*>(vectors));
    return;
  }
  BasicBlock* full = NewBlock("full");
  BasicBlock* remainder = NewBlock("remainder");
  BasicBlock* done = NewBlock("done");
  builder_.CreateCondBr(builder_.CreateICmpSLE(builder_.CreateAdd(begin, I64(width)), extent), full,
                        remainder);
  builder_.SetInsertPoint(full);
  run(begin, std::vector<Value*>(vectors));
  builder_.CreateBr(done);
  builder_.SetInsertPoint(remainder);
  For(begin, extent, lanes_,
      [&](Value* index) { run(index, {v_.FirstLanes(builder_.CreateSub(extent, index))}); });
  builder_.CreateBr(done);
  builder_.SetInsertPoint(done);
}

void LoopEmitter::Stages() {
  first_reduction_ = 0;
  for (const LoopStage& stage : kernel_.stages) {
    std::vector<int> roots;
    for (const LoopReduction& reduction : stage.reductions) {
      roots.push_back(reduction.value);
      roots.push_back(reduction.mask);
    }
    for (const LoopStore& store : stage.stores) roots.push_back(store.value);
    needed_ = Needed(roots);
    // Values of an earlier stage at level 0 stay; the rest is made again.
    rotating_ = !kernel_.column && StageCost(needed_) > kUnrollRowCost;
    StartReductions(stage, kernel_.column ? Vectors() : kAccumulators);
    Nest(0, stage);
    FinishReductions();
    first_reduction_ += static_cast<int>(stage.reductions.size());
  }
  std::vector<int> roots;
  for (const LoopStore& store : kernel_.row_stores) roots.push_back(store.value);
  needed_ = Needed(roots);
  EmitValues(0);
  for (const LoopStore& store : kernel_.row_stores) Store(store);
}

// ---- Nests

void LoopEmitter::Nest(int level, const LoopStage& stage) {
  EmitValues(level);
  const int last =
      kernel_.column ? inner_ : inner_ - 1;  // the level whose body is a block, or the vector loop
  if (level == last || (vector_axis_ < 0 && level == 0)) {
    if (kernel_.column || vector_axis_ < 0)
      Body(stage);
    else
      RowVectors(stage);
    return;
  }
  const int axis = rank_ - inner_ + level;
  For(I64(0), Of(kernel_.inner[level]), 1, [&](Value* index) {
    const Saved saved = Save();
    Advance(axis, index);
    Nest(level + 1, stage);
    Restore(saved);
  });
}

void LoopEmitter::Body(const LoopStage& stage) {
  for (size_t r = 0; r < reductions_.size(); ++r)
    for (int u = 0; u < Vectors(); ++u) Accumulate(reductions_[r], rotating_ ? 0 : u, u);
  for (const LoopStore& store : stage.stores) Store(store);
}

void LoopEmitter::RowBlock(const LoopStage& stage, Value* index, std::vector<Value*> masks) {
  const Saved saved = Save();
  vector_index_ = index;
  masks_ = std::move(masks);
  EmitValues(inner_);
  Body(stage);
  if (rotating_) Rotate();
  masks_ = {nullptr};
  Restore(saved);
}

void LoopEmitter::RowVectors(const LoopStage& stage) {
  const bool accumulates = !stage.reductions.empty();
  int unroll = accumulates ? kAccumulators : StageCost(needed_) <= kUnrollSimpleCost ? 2 : 1;
  if (rotating_) unroll = 1;
  const int64_t width = int64_t{unroll} * lanes_;
  const Size& size = kernel_.inner.back();
  const bool whole = llvm::isa<llvm::ConstantInt>(row_end_);
  Value* begin = row_begin_;
  Value* end = row_end_;
  Value* count = builder_.CreateSub(end, begin);
  Value* full_end = builder_.CreateAdd(begin, builder_.CreateAnd(count, I64(-width)));
  if (!whole || size.factor >= width)
    For(begin, full_end, width, [&](Value* index) { RowBlock(stage, index, std::vector<Value*>(unroll)); });
  const int64_t rest = whole ? size.factor % width : -1;
  if (rest > 0) {
    std::vector<Value*> masks;
    for (int64_t at = 0; at < rest; at += lanes_)
      masks.push_back(rest - at >= lanes_ ? nullptr : v_.FirstLanes(I64(rest - at)));
    RowBlock(stage, full_end, masks);
  } else if (rest < 0 && accumulates) {
    If(builder_.CreateICmpSLT(full_end, end), [&] {
      std::vector<Value*> masks;
      for (int u = 0; u < unroll; ++u)
        masks.push_back(
            v_.FirstLanes(builder_.CreateSub(end, builder_.CreateAdd(full_end, I64(u * lanes_)))));
      RowBlock(stage, full_end, masks);
    });
  } else if (rest < 0) {
    For(full_end, end, lanes_,
        [&](Value* index) { RowBlock(stage, index, {v_.FirstLanes(builder_.CreateSub(end, index))}); });
  }
  if (rotating_ && accumulates)
    RotateBack(builder_.CreateUDiv(builder_.CreateAdd(count, I64(lanes_ - 1)), I64(lanes_)));
}

// ---- Reductions

void LoopEmitter::StartReductions(const LoopStage& stage, int accumulators) {
  reductions_.clear();
  for (size_t i = 0; i < stage.reductions.size(); ++i) {
    Reduction reduction;
    reduction.what = &stage.reductions[i];
    reduction.number = first_reduction_ + static_cast<int>(i);
    reduction.dtype = kernel_.values[reduction.what->value].dtype;
    if (reduction.dtype == DType::Bool) reduction.dtype = DType::Int;
    const bool is_float = reduction.dtype == DType::Float;
    const bool is_sum = reduction.what->op == OpKind::Sum;
    llvm::Type* type = v_.Vector(v_.Scalar(reduction.dtype));
    Value* start = is_sum     ? llvm::Constant::getNullValue(type)
                   : is_float ? llvm::ConstantFP::getInfinity(type, true)
                              : static_cast<Value*>(llvm::ConstantInt::get(type, INT32_MIN, true));
    for (int k = 0; k < accumulators; ++k) {
      reduction.best.push_back(Alloca(type, "accumulator"));
      builder_.CreateStore(start, reduction.best.back());
      if (reduction.what->op != OpKind::Argmax) continue;
      llvm::Type* places = v_.Vector(builder_.getInt32Ty());
      reduction.place.push_back(Alloca(places, "place"));
      builder_.CreateStore(llvm::ConstantInt::get(places, INT32_MAX), reduction.place.back());
    }
    reductions_.push_back(std::move(reduction));
  }
}

void LoopEmitter::Accumulate(Reduction& reduction, int accumulator, int u) {
  Value* x = v_.AsVector(v_.Convert(Get(reduction.what->value, u), reduction.dtype)).value;
  Value* mask = kernel_.column ? nullptr : masks_[u];  // lanes past the end of a row are not there
  if (reduction.what->mask >= 0) {
    Value* given = v_.AsVector(Get(reduction.what->mask, u)).value;
    mask = mask ? builder_.CreateAnd(mask, given) : given;
  }
  Value* place = reduction.best[accumulator];
  Value* total = builder_.CreateLoad(x->getType(), place);
  switch (reduction.what->op) {
    case OpKind::Sum: {
      if (mask) x = builder_.CreateSelect(mask, x, llvm::Constant::getNullValue(x->getType()));
      builder_.CreateStore(Combine(reduction, total, x), place);
      return;
    }
    case OpKind::Max: {
      Value* larger = v_.Larger(x, total);
      builder_.CreateStore(mask ? builder_.CreateSelect(mask, larger, total) : larger, place);
      return;
    }
    case OpKind::Argmax: {
      Value* wins = reduction.dtype == DType::Float ? builder_.CreateFCmpOGT(x, total)
                                                    : builder_.CreateICmpSGT(x, total);
      if (mask) wins = builder_.CreateAnd(wins, mask);
      builder_.CreateStore(builder_.CreateSelect(wins, x, total), place);
      llvm::Type* word = builder_.getInt32Ty();
      Value* index = kernel_.column ? v_.Splat(builder_.CreateTrunc(indices_[rank_ - 1], word))
                                    : builder_.CreateAdd(v_.Splat(builder_.CreateTrunc(VectorStart(u), word)),
                                                         v_.Iota(word));
      Value* old = builder_.CreateLoad(index->getType(), reduction.place[accumulator]);
      builder_.CreateStore(builder_.CreateSelect(wins, index, old), reduction.place[accumulator]);
      return;
    }
    default:
      throw InternalError("a loop with a reduction it cannot do");
  }
}

Value* LoopEmitter::Combine(const Reduction& reduction, Value* a, Value* b) {
  if (reduction.what->op == OpKind::Max) return v_.Larger(b, a);
  return reduction.dtype == DType::Float ? builder_.CreateFAdd(a, b) : builder_.CreateAdd(a, b);
}

/// The larger value; of equal ones the first place.
std::pair<Value*, Value*> LoopEmitter::CombineBest(Value* value_a, Value* place_a, Value* value_b,
                                                   Value* place_b) {
  const bool is_float = value_a->getType()->isFPOrFPVectorTy();
  Value* larger =
      is_float ? builder_.CreateFCmpOGT(value_b, value_a) : builder_.CreateICmpSGT(value_b, value_a);
  Value* equal =
      is_float ? builder_.CreateFCmpOEQ(value_b, value_a) : builder_.CreateICmpEQ(value_b, value_a);
  Value* wins =
      builder_.CreateOr(larger, builder_.CreateAnd(equal, builder_.CreateICmpSLT(place_b, place_a)));
  return {builder_.CreateSelect(wins, value_b, value_a), builder_.CreateSelect(wins, place_b, place_a)};
}

void LoopEmitter::Rotate() {
  for (const Reduction& reduction : reductions_) {
    for (const std::vector<Value*>* places : {&reduction.best, &reduction.place}) {
      if (places->empty()) continue;
      llvm::Type* type = llvm::cast<llvm::AllocaInst>(places->front())->getAllocatedType();
      std::vector<Value*> values;
      for (Value* place : *places) values.push_back(builder_.CreateLoad(type, place));
      for (int k = 0; k < kAccumulators; ++k)
        builder_.CreateStore(values[(k + 1) % kAccumulators], (*places)[k]);
    }
  }
}

/// After `count` turns, accumulator k stands at (k - count) mod 4: two conditional turns put it back.
void LoopEmitter::RotateBack(Value* count) {
  for (const Reduction& reduction : reductions_) {
    for (const std::vector<Value*>* places : {&reduction.best, &reduction.place}) {
      if (places->empty()) continue;
      llvm::Type* type = llvm::cast<llvm::AllocaInst>(places->front())->getAllocatedType();
      std::vector<Value*> values;
      for (Value* place : *places) values.push_back(builder_.CreateLoad(type, place));
      for (int bit : {1, 2}) {
        Value* turn = builder_.CreateICmpNE(builder_.CreateAnd(count, I64(bit)), I64(0));
        std::vector<Value*> turned;
        for (int k = 0; k < kAccumulators; ++k)
          turned.push_back(
              builder_.CreateSelect(turn, values[(k + kAccumulators - bit) % kAccumulators], values[k]));
        values = turned;
      }
      for (int k = 0; k < kAccumulators; ++k) builder_.CreateStore(values[k], (*places)[k]);
    }
  }
}

void LoopEmitter::FinishReductions() {
  std::vector<Block> results;
  for (const Reduction& reduction : reductions_) {
    std::vector<Value*> values, places;
    for (Value* place : reduction.best)
      values.push_back(builder_.CreateLoad(llvm::cast<llvm::AllocaInst>(place)->getAllocatedType(), place));
    for (Value* place : reduction.place)
      places.push_back(builder_.CreateLoad(llvm::cast<llvm::AllocaInst>(place)->getAllocatedType(), place));
    const bool is_argmax = reduction.what->op == OpKind::Argmax;
    Value* none = llvm::ConstantInt::get(builder_.getInt32Ty(), INT32_MAX);
    Block block;
    if (kernel_.column) {
      for (size_t u = 0; u < values.size(); ++u) {
        if (!is_argmax) {
          block.push_back(values[u]);
          continue;
        }
        Value* nothing = builder_.CreateICmpEQ(places[u], v_.Splat(none));
        block.push_back(
            builder_.CreateSelect(nothing, llvm::Constant::getNullValue(places[u]->getType()), places[u]));
      }
    } else if (!is_argmax) {
      const auto combine = [&](Value* a, Value* b) { return Combine(reduction, a, b); };
      Value* total = combine(combine(values[0], values[1]), combine(values[2], values[3]));
      block.push_back(v_.Tree(total, combine));
    } else {
      std::pair<Value*, Value*> best = {values[0], places[0]};
      for (int k = 1; k < kAccumulators; ++k)
        best = CombineBest(best.first, best.second, values[k], places[k]);
      for (int half = lanes_ / 2; half >= 1; half /= 2) {
        std::vector<int> low(half), high(half);
        for (int i = 0; i < half; ++i) low[i] = i, high[i] = i + half;
        best = CombineBest(
            builder_.CreateShuffleVector(best.first, low), builder_.CreateShuffleVector(best.second, low),
            builder_.CreateShuffleVector(best.first, high), builder_.CreateShuffleVector(best.second, high));
      }
      Value* place = builder_.CreateExtractElement(best.second, uint64_t{0});
      block.push_back(builder_.CreateSelect(builder_.CreateICmpEQ(place, none), builder_.getInt32(0), place));
    }
    results.push_back(std::move(block));
  }
  for (size_t i = 0; i < reductions_.size(); ++i) {
    for (size_t v = 0; v < kernel_.values.size(); ++v) {
      const LoopValue& value = kernel_.values[v];
      if (value.kind != LoopValue::Kind::Reduced || value.reduction != reductions_[i].number) continue;
      blocks_[v] = results[i];
      made_.push_back(static_cast<int>(v));
    }
  }
  reductions_.clear();
}

// ---- Values

void LoopEmitter::Restore(Saved saved) {
  pointers_ = std::move(saved.pointers);
  while (made_.size() > saved.made) {
    blocks_[made_.back()].clear();
    made_.pop_back();
  }
}

void LoopEmitter::EmitValues(int level) {
  for (size_t i = 0; i < kernel_.values.size(); ++i) {
    if (!needed_[i] || levels_[i] != level || !blocks_[i].empty()) continue;
    if (kernel_.values[i].kind == LoopValue::Kind::Reduced)
      throw InternalError("the result of a reduction is used before it is there");
    blocks_[i] = EmitValue(static_cast<int>(i));
    made_.push_back(static_cast<int>(i));
  }
}

Datum LoopEmitter::Get(int value, int u) {
  const Block& block = blocks_[value];
  if (block.empty()) throw InternalError("a loop value is used where it does not reach");
  return {block.size() == 1 ? block[0] : block[u], kernel_.values[value].dtype};
}

LoopEmitter::Block LoopEmitter::MapBlock(const std::vector<int>& arguments,
                                         const std::function<Value*(const std::vector<Datum>&)>& body) {
  bool varies = false;
  for (int argument : arguments) varies |= Varies(argument);
  Block block;
  for (int u = 0; u < (varies ? Vectors() : 1); ++u) {
    std::vector<Datum> data;
    for (int argument : arguments) data.push_back(Get(argument, u));
    block.push_back(body(data));
  }
  return block;
}

LoopEmitter::Block LoopEmitter::EmitValue(int number) {
  const LoopValue& value = kernel_.values[number];
  llvm::Type* word = builder_.getInt32Ty();
  switch (value.kind) {
    case LoopValue::Kind::Const:
      return {v_.Number(value.number, value.dtype).value};
    case LoopValue::Kind::Extent:
      return {builder_.CreateTrunc(Of(value.size), word)};
    case LoopValue::Kind::Position: {
      if (value.axis != vector_axis_) return {builder_.CreateTrunc(indices_[value.axis], word)};
      Block block;
      for (int u = 0; u < Vectors(); ++u)
        block.push_back(
            builder_.CreateAdd(v_.Splat(builder_.CreateTrunc(VectorStart(u), word)), v_.Iota(word)));
      return block;
    }
    case LoopValue::Kind::Load:
      return LoadOperand(value.operand, value.dtype);
    case LoopValue::Kind::Gather:
      return Gather(value);
    case LoopValue::Kind::Op:
      return MapBlock(value.args, [&](const std::vector<Datum>& data) {
        return v_.Apply(value.op, data, value.dtype).value;
      });
    case LoopValue::Kind::Keep:
      return MapBlock(value.args, [&](const std::vector<Datum>& data) {
        return v_
            .Keep(data[0], data[1], builder_.CreateTrunc(slots_[context_.SiteSlot(value.site)], word),
                  value.number, slots_[context_.KeySlot()], slots_[context_.DropoutSlot()])
            .value;
      });
    case LoopValue::Kind::Reduced:
      break;
  }
  throw InternalError("a loop value of no kind");
}

Value* LoopEmitter::StoreOrLoadOffsets(const Size& stride) {
  // Offsets of lanes: 32 bits are enough (and twice as fast) when they are known to be small.
  if (stride.IsStatic() && stride.factor < (int64_t{1} << 30) / lanes_)
    return builder_.CreateMul(v_.Iota(builder_.getInt32Ty()), v_.Splat(builder_.getInt32(stride.factor)));
  return builder_.CreateMul(v_.Iota(builder_.getInt64Ty()), v_.Splat(Of(stride)));
}

Value* LoopEmitter::Place(int operand, int u, bool first_lane) {
  const LoopOperand& what = kernel_.operands[operand];
  Value* pointer = pointers_[operand];
  if (!first_lane || vector_axis_ < 0) return pointer;
  if (kernel_.column && what.base.buffer < 0)  // a row of scratch is as wide as the block
    return v_.At(pointer, I64(int64_t{u} * lanes_), what.dtype);
  const Size& stride = VectorStride(operand);
  if (stride.IsZero()) return pointer;
  return v_.At(pointer, builder_.CreateMul(VectorStart(u), Of(stride), "", true, true), what.dtype);
}

LoopEmitter::Block LoopEmitter::LoadOperand(int operand, DType dtype) {
  const LoopOperand& what = kernel_.operands[operand];
  const auto converted = [&](Datum datum) { return v_.Convert(datum, dtype).value; };
  const bool scratch_column = kernel_.column && what.base.buffer < 0;
  if (vector_axis_ < 0 || (!scratch_column && VectorStride(operand).IsZero()))
    return {converted(v_.LoadScalar(Place(operand, 0, false), what.dtype))};
  Block block;
  for (int u = 0; u < Vectors(); ++u) {
    Value* place = Place(operand, u, true);
    const Size& stride = VectorStride(operand);
    if (scratch_column || stride == Size{})
      block.push_back(converted(v_.LoadVector(place, what.dtype, masks_[u])));
    else
      block.push_back(converted(v_.LoadLanes(place, StoreOrLoadOffsets(stride), what.dtype, masks_[u])));
  }
  return block;
}

LoopEmitter::Block LoopEmitter::Gather(const LoopValue& value) {
  const LoopOperand& what = kernel_.operands[value.operand];
  const Size& along = vector_axis_ < 0 ? Size{0, {}} : VectorStride(value.operand);
  const bool operand_varies = vector_axis_ >= 0 && !along.IsZero();
  const bool varies = operand_varies || Varies(value.args[0]);
  llvm::Type* word = builder_.getInt64Ty();
  Value* size = Of(value.size);
  Value* stride = Of(value.gather_stride);
  const auto in_range = [&](Value* index) {
    Value* bound = index->getType()->isVectorTy() ? v_.Splat(size) : size;
    llvm::Type* wide = index->getType()->isVectorTy() ? v_.Vector(word) : word;
    return builder_.CreateICmpULT(builder_.CreateSExt(index, wide), bound);
  };
  Block block;
  if (!varies) {
    Value* index = Get(value.args[0], 0).value;
    Value* pointer = v_.At(pointers_[value.operand],
                           builder_.CreateMul(builder_.CreateSExt(index, word), stride), what.dtype);
    pointer = builder_.CreateSelect(in_range(index), pointer, v_.Zeros());
    return {v_.Convert(v_.LoadScalar(pointer, what.dtype), value.dtype).value};
  }
  // Lanes without a place read the operand's first element (which exists unless it is empty), then become 0.
  Value* base = pointers_[value.operand];
  if (!(value.size.IsStatic() && value.size.factor > 0))
    base = builder_.CreateSelect(builder_.CreateICmpSGT(size, I64(0)), base, v_.Zeros());
  for (int u = 0; u < Vectors(); ++u) {
    Datum index = v_.AsVector(Get(value.args[0], u));
    Value* there = v_.AsVector({in_range(Get(value.args[0], u).value), DType::Bool}).value;
    if (masks_[u]) there = builder_.CreateAnd(there, masks_[u]);
    Value* offsets = nullptr;
    const bool narrow = !operand_varies && value.size.IsStatic() && value.gather_stride.IsStatic() &&
                        value.size.factor * value.gather_stride.factor < (int64_t{1} << 30);
    if (narrow) {
      offsets = builder_.CreateMul(index.value, v_.Splat(builder_.getInt32(value.gather_stride.factor)));
    } else {
      offsets = builder_.CreateMul(builder_.CreateSExt(index.value, v_.Vector(word)), v_.Splat(stride));
      if (operand_varies) {
        Value* lanes = builder_.CreateAdd(v_.Splat(VectorStart(u)), v_.Iota(word));
        offsets = builder_.CreateAdd(offsets, builder_.CreateMul(lanes, v_.Splat(Of(along))));
      }
    }
    offsets = builder_.CreateSelect(there, offsets, llvm::Constant::getNullValue(offsets->getType()));
    Datum loaded = v_.LoadLanes(base, offsets, what.dtype, nullptr);
    loaded.value =
        builder_.CreateSelect(there, loaded.value, llvm::Constant::getNullValue(loaded.value->getType()));
    block.push_back(v_.Convert(loaded, value.dtype).value);
  }
  return block;
}

void LoopEmitter::Store(const LoopStore& store) {
  const LoopOperand& what = kernel_.operands[store.operand];
  const bool scratch_column = kernel_.column && what.base.buffer < 0;
  const bool scalar = vector_axis_ < 0 || (!scratch_column && VectorStride(store.operand).IsZero());
  if (scalar) {  // in one place: of a row, or along an axis of one element
    Datum datum = v_.Convert(Get(store.value, 0), what.dtype);
    if (datum.vector()) datum.value = builder_.CreateExtractElement(datum.value, uint64_t{0});
    v_.StoreScalar(datum, Place(store.operand, 0, false));
    return;
  }
  for (int u = 0; u < Vectors(); ++u) {
    const Datum datum = v_.AsVector(v_.Convert(Get(store.value, u), what.dtype));
    Value* place = Place(store.operand, u, true);
    const Size& stride = VectorStride(store.operand);
    if (scratch_column || stride == Size{})
      v_.StoreVector(datum, place, masks_[u]);
    else
      v_.StoreLanes(datum, place, StoreOrLoadOffsets(stride), masks_[u]);
  }
}

}  // namespace

void EmitLoop(llvm::Module& module, const std::string& name, const LoopKernel& kernel, const Target& target) {
  LoopEmitter(module, name, kernel, target).Emit();
}

}  // namespace heed::backend
