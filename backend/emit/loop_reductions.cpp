// Reductions of loops: accumulators, their fixed order, and how they become one value.
//
// Row mode has four accumulators whatever is unrolled: a loop of single vectors turns them round instead.
// Column mode has one a vector, to which the terms are added one by one.
#include "backend/emit/loop_emitter.h"
#include "ir/op_kinds.h"

namespace heed::backend {

using ir::DType;
using ir::InternalError;
using ir::OpKind;
using llvm::Value;

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
  switch (ir::As<ir::ReduceKind>(reduction.what->op)) {
    case ir::ReduceKind::Sum: {
      if (mask) x = builder_.CreateSelect(mask, x, llvm::Constant::getNullValue(x->getType()));
      builder_.CreateStore(Combine(reduction, total, x), place);
      return;
    }
    case ir::ReduceKind::Max: {
      Value* larger = v_.Larger(x, total);
      builder_.CreateStore(mask ? builder_.CreateSelect(mask, larger, total) : larger, place);
      return;
    }
    case ir::ReduceKind::Argmax: {
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
    case ir::ReduceKind::LogSoftmax:
    case ir::ReduceKind::LogSumExp:
    case ir::ReduceKind::Rank:
    case ir::ReduceKind::Softmax:
      break;  // several reductions by now (backend/plan/expand.cpp)
  }
  throw InternalError("a loop with a reduction it cannot do");
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

}  // namespace heed::backend
