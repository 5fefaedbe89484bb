// The class of a tile of pairs: the mask evaluated on intervals (ir/interval.h). Positions are bounded
// exactly, data of a loop element (lengths) is a point, data that varies along queries, keys or their
// differences is looked through; data of whole pairs is unknown, and whatever it decides is `mixed`.
#include "backend/emit/bounds.h"
#include "backend/emit/hole.h"

namespace heed::backend {

std::optional<HoleEmitter::Bounds> HoleEmitter::BoundLeaf(const ir::Node& node) {
  if (node.op == OpKind::Positions) return BoundPositions(node.attributes.axis);
  if (node.op != OpKind::Input || node.attributes.name == "s") return std::nullopt;
  return BoundCapture(CaptureNumber(node.attributes.name));
}

HoleEmitter::Bounds HoleEmitter::BoundPositions(ir::Axis axis) {
  const auto word = [&](Value* index) {
    return Datum{builder_.CreateTrunc(index, builder_.getInt32Ty()), DType::Int};
  };
  if (axis == step_.key_axis) return {word(key_), word(key_last_)};
  if (axis == step_.query_axis) return {word(query_), word(query_last_)};
  const Datum position = Position(axis);
  return {position, position, true};
}

/// The smallest and largest element of a capture in the tile; of data of whole pairs nothing is known.
std::optional<HoleEmitter::Bounds> HoleEmitter::BoundCapture(int number) {
  const AttentionCapture& capture = step_.captures[number];
  const bool along_query = !capture.query.IsZero(), along_key = !capture.key.IsZero();
  if (along_query && along_key) return std::nullopt;
  Value* one = v_.I64(1);
  const auto extent = [&](Value* first, Value* last) {
    return builder_.CreateAdd(builder_.CreateSub(last, first), one);
  };
  if (along_query) {
    return BoundRun(CaptureAt(number, query_, key_), extent(query_, query_last_), capture.query,
                    capture.dtype);
  }
  if (along_key)
    return BoundRun(CaptureAt(number, query_, key_), extent(key_, key_last_), capture.key, capture.dtype);
  if (!capture.difference.IsZero()) {
    // From the first key and the last query to the last key and the first query.
    Value* count = builder_.CreateAdd(extent(key_, key_last_), builder_.CreateSub(query_last_, query_));
    return BoundRun(CaptureAt(number, query_last_, key_), count, capture.difference, capture.dtype);
  }
  const Datum value = v_.LoadScalar(CaptureAt(number, query_, key_), capture.dtype);
  return Bounds{value, value, true};
}

/// Smallest and largest of `count` elements `stride` apart; a NaN is both.
HoleEmitter::Bounds HoleEmitter::BoundRun(Value* pointer, Value* count, const Size& stride, DType dtype) {
  llvm::LLVMContext& context = builder_.getContext();
  const Datum first = v_.AsVector(v_.LoadScalar(pointer, dtype));
  Value* step = Of(stride);
  llvm::BasicBlock* before = builder_.GetInsertBlock();
  auto* loop = llvm::BasicBlock::Create(context, "run", function_);
  auto* after = llvm::BasicBlock::Create(context, "ran", function_);
  builder_.CreateBr(loop);
  builder_.SetInsertPoint(loop);
  llvm::PHINode* at = builder_.CreatePHI(builder_.getInt64Ty(), 2);
  llvm::PHINode* low = builder_.CreatePHI(first.value->getType(), 2);
  llvm::PHINode* high = builder_.CreatePHI(first.value->getType(), 2);
  Value* mask = v_.FirstLanes(builder_.CreateSub(count, at));
  Value* here = v_.At(pointer, builder_.CreateMul(at, step), dtype);
  Datum values = stride == Size{}
                     ? v_.LoadVector(here, dtype, mask)
                     : v_.LoadLanes(here, builder_.CreateMul(v_.Iota(builder_.getInt64Ty()), v_.Splat(step)),
                                    dtype, mask);
  values = v_.Select(mask, values, first);
  const auto smaller = [&](Value* a, Value* b) -> Value* {
    if (dtype == DType::Bool) return builder_.CreateAnd(a, b);
    const auto negated = [&](Value* x) {
      return dtype == DType::Float ? builder_.CreateFNeg(x) : builder_.CreateNot(x);
    };
    return negated(v_.Larger(negated(a), negated(b)));
  };
  const auto larger = [&](Value* a, Value* b) -> Value* {
    return dtype == DType::Bool ? builder_.CreateOr(a, b) : v_.Larger(a, b);
  };
  Value* new_low = smaller(values.value, low);
  Value* new_high = larger(values.value, high);
  Value* next = builder_.CreateAdd(at, v_.I64(v_.lanes()));
  at->addIncoming(v_.I64(0), before);
  low->addIncoming(first.value, before);
  high->addIncoming(first.value, before);
  at->addIncoming(next, loop);
  low->addIncoming(new_low, loop);
  high->addIncoming(new_high, loop);
  builder_.CreateCondBr(builder_.CreateICmpSLT(next, count), loop, after);
  builder_.SetInsertPoint(after);
  return {{v_.Tree(new_low, smaller), dtype}, {v_.Tree(new_high, larger), dtype}};
}

void HoleEmitter::Tile() {
  query_ = Argument(1);
  query_last_ = Argument(2);
  key_ = Argument(3);
  key_last_ = Argument(4);
  Place(Argument(0), Argument(5));
  const Graph& graph = *step_.regions->score;
  CodeAlgebra algebra(v_, [&](NodeId id) { return BoundLeaf(graph[id]); });
  Value* everywhere = builder_.getTrue();
  Value* somewhere = builder_.getTrue();
  if (const NodeId mask = graph.Output("mask")) {
    const Bounds bounds = *ir::IntervalAnalysis<CodeAlgebra>(graph, algebra).Of(mask);
    everywhere = bounds.low.value;
    somewhere = bounds.high.value;
  }
  builder_.CreateRet(
      builder_.CreateSelect(everywhere, v_.I64(1), builder_.CreateSelect(somewhere, v_.I64(2), v_.I64(0))));
}

}  // namespace heed::backend
