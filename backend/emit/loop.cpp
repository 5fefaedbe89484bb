// Fused loops -> LLVM: explicit vectors, full blocks without masks, one masked remainder.
//
// Values are emitted as far outside as their axes allow, operands' addresses are advanced once a level.
// Everything mutable (counters, accumulators) is an alloca; LLVM makes registers of them. Order of additions:
// element i of a row (Row mode) goes to lane i % lanes of accumulator (i / lanes) % 4, whatever is unrolled
// or missing, so that a sum depends neither on padding nor on what else was fused; the four are added as (0 +
// 1) + (2 + 3), then the lanes in a tree. What this file leaves alone: which loops there are (plan.h) and
// where operands lie (function.cpp).
#include "backend/emit/loop.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "backend/emit/loop_emitter.h"
#include "backend/plan/cost.h"
#include "runtime/kernels/limits.h"

namespace heed::backend {

using ir::InternalError;
using llvm::BasicBlock;
using llvm::Value;

namespace {

constexpr int64_t kChunk = 2048;    // elements of a row without reductions that are one unit of work
constexpr int kUnrollRowCost = 40;  // more expensive rows are not unrolled
constexpr int kUnrollSimpleCost = 12;
constexpr int kUnrollColumnCost = 48;

// Decoding moves its rings on by multiples of this (passes/incremental.cpp).
#define HEED_TARGET(name, triple, cpu, features, lanes, clang_flags, kernels) \
  static_assert(kHeedMostLanes % (kAccumulators * (lanes)) == 0);
#define HEED_CPU(name, level)
#include "backend/target/target.def"
#undef HEED_CPU
#undef HEED_TARGET

int CostOf(const LoopValue& value) {
  switch (value.kind) {
    case LoopValue::Kind::Keep:
      return 60;
    case LoopValue::Kind::Gumbel:
      return 90;
    case LoopValue::Kind::Gather:
      return 8;
    case LoopValue::Kind::Op:
      return CostOfOp(value.op).code;
    case LoopValue::Kind::Const:
    case LoopValue::Kind::Position:
    case LoopValue::Kind::Extent:
    case LoopValue::Kind::Load:
    case LoopValue::Kind::Reduced:
      return 1;
  }
  return 1;
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
    for (const LoopPlace& place : value.places) {
      add(place.size);
      add(place.stride);
    }
    if (IsRandom(value)) context.AddSite(value.site);
  }
  const auto add_stores = [&](const std::vector<LoopStore>& stores) {
    for (const LoopStore& store : stores) {
      if (store.index < 0) continue;
      add(store.size);
      add(store.stride);
    }
  };
  for (const LoopStage& stage : kernel.stages) add_stores(stage.stores);
  add_stores(kernel.row_stores);
  return context;
}

int Cost(const LoopKernel& kernel) {
  int cost = 1;
  for (const LoopValue& value : kernel.values) cost += CostOf(value);
  return cost;
}

int ColumnBlock(const LoopKernel& kernel, int lanes) {
  int vectors = Cost(kernel) > kUnrollColumnCost ? 2 : 4;
  if (kernel.lane.IsStatic())
    while (vectors > 1 && vectors * lanes > kernel.lane.factor) vectors /= 2;
  return vectors;
}

int64_t ScratchWidth(const LoopKernel& kernel, int lanes) {
  return 4 * (kernel.column ? ColumnBlock(kernel, lanes) * lanes : 1);
}

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

void LoopEmitter::AddRoots(const std::vector<LoopStore>& stores, std::vector<int>& roots) {
  for (const LoopStore& store : stores) {
    roots.push_back(store.value);
    roots.push_back(store.index);  // Needed skips -1
  }
}

void LoopEmitter::Stages() {
  first_reduction_ = 0;
  for (const LoopStage& stage : kernel_.stages) {
    std::vector<int> roots;
    for (const LoopReduction& reduction : stage.reductions) {
      roots.push_back(reduction.value);
      roots.push_back(reduction.mask);
    }
    AddRoots(stage.stores, roots);
    needed_ = Needed(roots);
    // Values of an earlier stage at level 0 stay; the rest is made again.
    rotating_ = !kernel_.column && StageCost(needed_) > kUnrollRowCost;
    StartReductions(stage, kernel_.column ? Vectors() : kAccumulators);
    Nest(0, stage);
    FinishReductions();
    first_reduction_ += static_cast<int>(stage.reductions.size());
  }
  std::vector<int> roots;
  AddRoots(kernel_.row_stores, roots);
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

void EmitLoop(llvm::Module& module, const std::string& name, const LoopKernel& kernel, const Target& target) {
  LoopEmitter(module, name, kernel, target).Emit();
}

}  // namespace heed::backend
