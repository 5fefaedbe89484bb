// The class of a tile of pairs: the mask evaluated on intervals. A value is bounded by its smallest and
// largest element in the tile. Positions are bounded exactly, data of a loop element (lengths) is a point,
// data that varies along queries, keys or their differences is looked through; data of whole pairs is
// unknown, and whatever it decides is `mixed`. Intervals follow the same int32 and f32 arithmetic as the
// elements, so an answer of all or none is never wrong.
#include <algorithm>

#include "backend/emit/hole.h"

namespace heed::backend {

HoleEmitter::Interval HoleEmitter::Hull(const std::vector<Value*>& values, DType dtype) {
  Interval hull{values[0], values[0]};
  for (size_t i = 1; i < values.size(); ++i) {
    hull.low = Apply(OpKind::Minimum, hull.low, values[i], dtype);
    hull.high = Apply(OpKind::Maximum, hull.high, values[i], dtype);
  }
  return hull;
}

HoleEmitter::MaybeInterval HoleEmitter::Bound(const Graph& graph, NodeId id) {
  const auto found = bounds_.find(id);
  if (found != bounds_.end()) return found->second;
  return bounds_[id] = BoundNode(graph, id);
}

HoleEmitter::MaybeInterval HoleEmitter::BoundComparison(OpKind op, const ir::Node& node, const Graph& graph,
                                                        Interval a, Interval b) {
  // As numbers of one type, so that the answer is that of the elements.
  const DType of_a = graph.type(node.inputs[0]).dtype, of_b = graph.type(node.inputs[1]).dtype;
  const auto test = [&](OpKind kind, Value* x, Value* y) {
    return v_.Apply(kind, {{x, of_a}, {y, of_b}}, DType::Bool).value;
  };
  switch (op) {
    case OpKind::Lt:
    case OpKind::Le:
      return Interval{test(op, a.high, b.low), test(op, a.low, b.high)};
    case OpKind::Gt:
    case OpKind::Ge:
      return Interval{test(op, a.low, b.high), test(op, a.high, b.low)};
    default:
      break;
  }
  // Equal everywhere: both are the same single number. Equal somewhere: the intervals meet.
  Value* everywhere = builder_.CreateAnd(test(OpKind::Eq, a.low, b.high), test(OpKind::Eq, a.high, b.low));
  Value* somewhere = builder_.CreateAnd(test(OpKind::Le, a.low, b.high), test(OpKind::Ge, a.high, b.low));
  if (op == OpKind::Eq) return Interval{everywhere, somewhere};
  return Interval{builder_.CreateNot(somewhere), builder_.CreateNot(everywhere)};
}

HoleEmitter::MaybeInterval HoleEmitter::BoundNode(const Graph& graph, NodeId id) {
  const ir::Node& node = graph[id];
  const DType dtype = node.type.dtype;
  const MaybeInterval any_bool = Interval{builder_.getFalse(), builder_.getTrue()};
  const MaybeInterval unknown = dtype == DType::Bool ? any_bool : std::nullopt;
  if (IsIdentity(node.op)) return Bound(graph, node.inputs[0]);
  if (node.op == OpKind::Const) {
    Value* value = v_.Number(node.attributes.number, dtype).value;
    return Interval{value, value};
  }
  if (node.op == OpKind::Positions) return BoundPositions(node.attributes.axis);
  if (node.op == OpKind::Input) {
    const MaybeInterval bound = BoundInput(node);
    return bound ? bound : unknown;
  }
  if (!ir::IsPointwise(node.op)) return unknown;

  std::vector<Interval> x;
  for (NodeId input : node.inputs) {
    const MaybeInterval bound = Bound(graph, input);
    if (!bound) return unknown;
    x.push_back(*bound);
  }
  if (std::all_of(x.begin(), x.end(), [](const Interval& each) { return each.point(); })) {
    std::vector<Datum> arguments;
    for (size_t i = 0; i < x.size(); ++i) arguments.push_back({x[i].low, graph.type(node.inputs[i]).dtype});
    Value* value = v_.Apply(node.op, arguments, dtype).value;
    return Interval{value, value};
  }
  const MaybeInterval bound = BoundPointwise(graph, node, x);
  return bound ? bound : unknown;
}

HoleEmitter::Interval HoleEmitter::BoundPositions(ir::Axis axis) {
  llvm::Type* word = builder_.getInt32Ty();
  if (axis == step_.key_axis)
    return Interval{builder_.CreateTrunc(key_, word), builder_.CreateTrunc(key_last_, word)};
  if (axis == step_.query_axis)
    return Interval{builder_.CreateTrunc(query_, word), builder_.CreateTrunc(query_last_, word)};
  Value* value = Position(axis).value;
  return Interval{value, value};
}

HoleEmitter::MaybeInterval HoleEmitter::BoundInput(const ir::Node& node) {
  const DType dtype = node.type.dtype;
  if (node.attributes.name == "s") return std::nullopt;
  const MaybeInterval bound = BoundCapture(CaptureNumber(node.attributes.name));
  if (!bound) return std::nullopt;
  const DType from = step_.captures[CaptureNumber(node.attributes.name)].dtype;
  const auto converted = [&](Value* value) { return v_.Convert({value, from}, dtype).value; };
  Value* low = converted(bound->low);
  return Interval{low, bound->point() ? low : converted(bound->high)};
}

HoleEmitter::MaybeInterval HoleEmitter::BoundPointwise(const Graph& graph, const ir::Node& node,
                                                       const std::vector<Interval>& x) {
  switch (node.op) {
    case OpKind::Eq:
    case OpKind::Ge:
    case OpKind::Gt:
    case OpKind::Le:
    case OpKind::Lt:
    case OpKind::Ne:
      return BoundComparison(node.op, node, graph, x[0], x[1]);
    case OpKind::And:
      return Interval{builder_.CreateAnd(x[0].low, x[1].low), builder_.CreateAnd(x[0].high, x[1].high)};
    case OpKind::Or:
      return Interval{builder_.CreateOr(x[0].low, x[1].low), builder_.CreateOr(x[0].high, x[1].high)};
    case OpKind::Not:
      return Interval{builder_.CreateNot(x[0].high), builder_.CreateNot(x[0].low)};
    default:
      return BoundArithmetic(graph, node, x);
  }
}

HoleEmitter::MaybeInterval HoleEmitter::BoundArithmetic(const Graph& graph, const ir::Node& node,
                                                        const std::vector<Interval>& x) {
  // Arithmetic, in the type of the result.
  const DType dtype = node.type.dtype;
  const auto converted = [&](size_t i) {
    const DType from = graph.type(node.inputs[i]).dtype;
    return Interval{v_.Convert({x[i].low, from}, dtype).value, v_.Convert({x[i].high, from}, dtype).value};
  };
  switch (node.op) {
    case OpKind::Add:
    case OpKind::Maximum:
    case OpKind::Minimum: {
      const Interval a = converted(0), b = converted(1);
      return Interval{Apply(node.op, a.low, b.low, dtype), Apply(node.op, a.high, b.high, dtype)};
    }
    case OpKind::Sub: {
      const Interval a = converted(0), b = converted(1);
      return Interval{Apply(node.op, a.low, b.high, dtype), Apply(node.op, a.high, b.low, dtype)};
    }
    case OpKind::Mul: {
      const Interval a = converted(0), b = converted(1);
      return Hull({Apply(node.op, a.low, b.low, dtype), Apply(node.op, a.low, b.high, dtype),
                   Apply(node.op, a.high, b.low, dtype), Apply(node.op, a.high, b.high, dtype)},
                  dtype);
    }
    case OpKind::Neg: {
      const Interval a = converted(0);
      return Interval{Apply(node.op, a.high, nullptr, dtype), Apply(node.op, a.low, nullptr, dtype)};
    }
    case OpKind::Abs:
      return BoundAbs(converted(0), dtype);
    case OpKind::Cast:
    case OpKind::Floor:
    case OpKind::Relu: {  // none of them ever falls
      const Interval a = converted(0);
      return Interval{Apply(node.op, a.low, nullptr, dtype), Apply(node.op, a.high, nullptr, dtype)};
    }
    case OpKind::Mod: {
      const Interval b = converted(1);
      const auto* divisor = llvm::dyn_cast<llvm::ConstantInt>(b.low);
      if (dtype != DType::Int || !b.point() || !divisor || divisor->getSExtValue() <= 0) return std::nullopt;
      return Interval{builder_.getInt32(0), builder_.getInt32(divisor->getSExtValue() - 1)};
    }
    default:
      return std::nullopt;
  }
}

HoleEmitter::Interval HoleEmitter::BoundAbs(Interval a, DType dtype) {
  Value* zero = v_.Number(0, dtype).value;
  Interval hull =
      Hull({Apply(OpKind::Abs, a.low, nullptr, dtype), Apply(OpKind::Abs, a.high, nullptr, dtype)}, dtype);
  const auto at_most = [&](Value* s, Value* t) {
    return v_.Apply(OpKind::Le, {{s, dtype}, {t, dtype}}, DType::Bool).value;
  };
  Value* crosses = builder_.CreateAnd(at_most(a.low, zero), at_most(zero, a.high));
  return Interval{builder_.CreateSelect(crosses, zero, hull.low), hull.high};
}

/// The smallest and largest element of a capture in the tile; of data of whole pairs nothing is known.
HoleEmitter::MaybeInterval HoleEmitter::BoundCapture(int number) {
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
  Value* value = v_.LoadScalar(CaptureAt(number, query_, key_), capture.dtype).value;
  return Interval{value, value};
}

/// Smallest and largest of `count` elements `stride` apart; a NaN is both.
HoleEmitter::Interval HoleEmitter::BoundRun(Value* pointer, Value* count, const Size& stride, DType dtype) {
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
  return {v_.Tree(new_low, smaller), v_.Tree(new_high, larger)};
}

void HoleEmitter::Tile() {
  query_ = Argument(1);
  query_last_ = Argument(2);
  key_ = Argument(3);
  key_last_ = Argument(4);
  Place(Argument(0), Argument(5));
  const Graph& graph = *step_.regions->score;
  const NodeId mask = graph.Output("mask");
  Interval bound{builder_.getTrue(), builder_.getTrue()};
  if (mask) bound = *Bound(graph, mask);
  Value* answer =
      builder_.CreateSelect(bound.low, v_.I64(1), builder_.CreateSelect(bound.high, v_.I64(2), v_.I64(0)));
  builder_.CreateRet(answer);
}

}  // namespace heed::backend
