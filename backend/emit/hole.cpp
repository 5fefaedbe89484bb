// A region is evaluated for one query and one vector of keys; what does not vary along the keys stays a
// scalar.
#include "backend/emit/hole.h"

#include <algorithm>

#include "backend/plan/cost.h"
#include "ir/op_kinds.h"
#include "llvm/IR/Intrinsics.h"

namespace heed::backend {

Value* HoleEmitter::Slot(int number, llvm::Type* type) {
  auto* load =
      builder_.CreateLoad(type, builder_.CreateConstGEP1_64(builder_.getInt64Ty(), context_, number));
  load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(builder_.getContext(), {}));
  return load;
}

Value* HoleEmitter::Of(const Size& size) {
  return size.IsStatic() ? v_.I64(size.factor) : Slot(context_layout_.SlotOf(size), builder_.getInt64Ty());
}

/// The number of the loop element, taken apart. The outermost needs no remainder, so a dynamic batch costs
/// nothing.
void HoleEmitter::Place(Value* loop, Value* context) {
  context_ = context;
  loops_.assign(step_.loops.size(), nullptr);
  for (size_t i = step_.loops.size(); i-- > 0;) {
    if (i == 0) {
      loops_[i] = loop;
      break;
    }
    Value* extent = Of(step_.loops[i].extent);
    loops_[i] = builder_.CreateURem(loop, extent);
    loop = builder_.CreateUDiv(loop, extent);
  }
}

// ---- Elements

Datum HoleEmitter::Evaluate(const Graph& graph, NodeId root) {
  const NodeId roots[] = {root};
  for (NodeId id : graph.Order(roots))
    if (!memo_.count(id)) memo_.emplace(id, EvaluateNode(graph, id));
  return memo_.at(root);
}

Datum HoleEmitter::Position(ir::Axis axis) {
  llvm::Type* word = builder_.getInt32Ty();
  if (axis == step_.key_axis)
    return {builder_.CreateAdd(v_.Splat(builder_.CreateTrunc(key_, word)), v_.Iota(word)), DType::Int};
  if (axis == step_.query_axis) return {builder_.CreateTrunc(query_, word), DType::Int};
  for (size_t i = 0; i < step_.loops.size(); ++i)
    if (step_.loops[i].axis == axis) return {builder_.CreateTrunc(loops_[i], word), DType::Int};
  throw InternalError("a region of attention has positions of " + axis.text() + ", which its score lacks");
}

int HoleEmitter::CaptureNumber(const std::string& name) const {
  if (name.size() < 2 || name[0] != 'c' || name.find_first_not_of("0123456789", 1) != std::string::npos)
    throw InternalError("a region of attention has the input " + name);
  const int number = std::stoi(name.substr(1));
  if (number >= static_cast<int>(step_.captures.size()))
    throw InternalError("a region of attention has too few captures");
  return number;
}

/// Where a capture's element for a pair lies.
Value* HoleEmitter::CaptureAt(int number, Value* query, Value* key) {
  const AttentionCapture& capture = step_.captures[number];
  Value* offset = v_.I64(0);
  const auto add = [&](Value* index, const Size& stride) {
    if (!stride.IsZero() && index) offset = builder_.CreateAdd(offset, builder_.CreateMul(index, Of(stride)));
  };
  for (size_t i = 0; i < loops_.size(); ++i) add(loops_[i], capture.loops[i]);
  add(query, capture.query);
  add(key, capture.key);
  add(dot_, capture.dot);
  if (!capture.difference.IsZero())
    add(builder_.CreateAdd(builder_.CreateSub(key, query), Of(step_.queries)), capture.difference);
  return v_.At(Slot(number, builder_.getPtrTy()), offset, capture.dtype);
}

Datum HoleEmitter::Capture(int number) {
  const AttentionCapture& capture = step_.captures[number];
  Value* pointer = CaptureAt(number, query_, key_);
  const Size& stride = capture.key.IsZero() ? capture.difference : capture.key;
  Datum datum;
  if (stride.IsZero())
    datum = v_.LoadScalar(pointer, capture.dtype);
  else if (stride == Size{})
    datum = v_.LoadVector(pointer, capture.dtype, v_.FirstLanes(count_));
  else
    datum = v_.LoadLanes(pointer, builder_.CreateMul(v_.Iota(builder_.getInt64Ty()), v_.Splat(Of(stride))),
                         capture.dtype, v_.FirstLanes(count_));
  if (auto* load = llvm::dyn_cast<llvm::Instruction>(datum.value); load && llvm::isa<llvm::LoadInst>(load))
    load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(builder_.getContext(), {}));
  return datum;
}

Datum HoleEmitter::EvaluateKeep(const Graph& graph, const ir::Node& node) {
  // The element's number counts every axis with its bound, in the order of their names
  // (runtime/base/random.h).
  ir::AxisList axes = node.attributes.axes;
  std::sort(axes.begin(), axes.end());
  Datum element = v_.Number(0, DType::Int);
  int64_t stride = 1;
  for (size_t i = axes.size(); i-- > 0;) {
    Datum term = v_.Apply(
        OpKind::Mul, {Position(axes[i]), v_.Number(static_cast<double>(stride), DType::Int)}, DType::Int);
    element = v_.Apply(OpKind::Add, {element, term}, DType::Int);
    stride *= graph.axes().Bound(axes[i]);
  }
  return v_.Keep(
      memo_.at(node.inputs[0]), element,
      builder_.CreateTrunc(Slot(context_layout_.SiteSlot(node.attributes.name), builder_.getInt64Ty()),
                           builder_.getInt32Ty()),
      node.attributes.number, Slot(context_layout_.KeySlot(), builder_.getInt64Ty()),
      Slot(context_layout_.DropoutSlot(), builder_.getFloatTy()));
}

Datum HoleEmitter::EvaluateNode(const Graph& graph, NodeId id) {
  const ir::Node& node = graph[id];
  if (IsIdentity(node.op)) return memo_.at(node.inputs[0]);
  switch (ir::Info(node.op).family) {
    case ir::Family::Leaf:
      return EvaluateLeaf(node);
    case ir::Family::Pointwise: {
      std::vector<Datum> arguments;
      for (NodeId input : node.inputs) arguments.push_back(memo_.at(input));
      return v_.Apply(node.op, arguments, node.type.dtype);
    }
    case ir::Family::Random:
      switch (ir::As<ir::RandomKind>(node.op)) {
        case ir::RandomKind::Keep:
          return EvaluateKeep(graph, node);
        case ir::RandomKind::Gumbel:
          break;
      }
      break;
    case ir::Family::Reduce:
    case ir::Family::Contract:
    case ir::Family::Axes:
    case ir::Family::Index:
    case ir::Family::Fused:
      break;
  }
  throw InternalError("a region of attention contains " + std::string(ir::Info(node.op).name));
}

Datum HoleEmitter::EvaluateLeaf(const ir::Node& node) {
  switch (ir::As<ir::LeafKind>(node.op)) {
    case ir::LeafKind::Const:
      return v_.Number(node.attributes.number, node.type.dtype);
    case ir::LeafKind::Positions:
      return Position(node.attributes.axis);
    case ir::LeafKind::Input: {
      const auto given = inputs_.find(node.attributes.name);
      if (given != inputs_.end()) return given->second;
      return v_.Convert(Capture(CaptureNumber(node.attributes.name)), node.type.dtype);
    }
    case ir::LeafKind::Param:
    case ir::LeafKind::Length:
      break;  // captured
  }
  throw InternalError("a region of attention contains " + std::string(ir::Info(node.op).name));
}

void HoleEmitter::Score() {
  inputs_["s"] = {Argument(0), DType::Float};
  query_ = Argument(2);
  key_ = Argument(3);
  count_ = Argument(4);
  Place(Argument(1), Argument(5));
  const Graph& graph = *step_.regions->score;
  Return(Evaluate(graph, graph.Output("score")));
}

void HoleEmitter::Mask() {
  Datum score{Argument(0), DType::Float};
  query_ = Argument(2);
  key_ = Argument(3);
  count_ = Argument(4);
  Place(Argument(1), Argument(5));
  const Graph& graph = *step_.regions->score;
  if (const NodeId mask = graph.Output("mask")) {
    const Datum there = v_.AsVector(Evaluate(graph, mask));
    score = v_.Select(there.value, score, v_.Number(-std::numeric_limits<double>::infinity(), DType::Float));
  }
  Return(score);
}

/// Few operations and no expensive ones: repeating them for every vector of a register tile costs no more
/// than a loop would.
void HoleEmitter::ScoreIsShort() {
  const Graph& graph = *step_.regions->score;
  const NodeId roots[] = {graph.Output("score")};
  int operations = 0;
  for (NodeId id : graph.Order(roots)) {
    const OpKind op = graph.op(id);
    if (ir::IsPointwise(op)) operations += CostOfOp(op).score;
    if (op == OpKind::Keep) operations += 100;
  }
  builder_.CreateRet(v_.I64(operations <= 4));
}

void HoleEmitter::Weight() {
  query_ = Argument(1);
  key_ = Argument(2);
  count_ = Argument(3);
  Place(Argument(0), Argument(4));
  const Graph& graph = *step_.regions->score;
  const NodeId weight = graph.Output("weight");
  Return(weight ? Evaluate(graph, weight) : v_.Number(1, DType::Float));
}

void HoleEmitter::ScoreGradient() {
  inputs_["s"] = {Argument(0), DType::Float};
  inputs_["ds"] = {Argument(1), DType::Float};
  inputs_["dw"] = {Argument(2), DType::Float};
  query_ = Argument(5);
  key_ = Argument(6);
  count_ = Argument(7);
  Place(Argument(4), Argument(10));
  const Graph* graph = step_.regions->gradient.get();
  if (graph && !step_.gradients.empty()) {
    Value* p = Argument(3);
    Value* some = builder_.CreateICmpNE(Argument(8), v_.I64(0));
    Value* absent = builder_.CreateAnd(builder_.CreateFCmpOEQ(p, llvm::Constant::getNullValue(p->getType())),
                                       v_.Splat(some));
    for (size_t i = 0; i < step_.gradients.size(); ++i) {
      if (step_.gradients[i].along == kHeedAlongDot) continue;
      const NodeId cotangent = graph->Output("dc" + std::to_string(step_.gradients[i].capture));
      if (!cotangent) throw InternalError("a capture of attention has no cotangent");
      AddGradient(step_.gradients[i], static_cast<int>(i), Evaluate(*graph, cotangent), absent, Argument(9));
    }
  }
  const NodeId gradient = graph ? graph->Output("dr") : NodeId{};
  Return(gradient ? Evaluate(*graph, gradient) : v_.Number(0, DType::Float));
}

void HoleEmitter::IsTerm() { builder_.CreateRet(v_.I64(step_.regions->term != nullptr)); }

void HoleEmitter::Term() {
  const Graph* graph = step_.regions->term.get();
  Value* sum = Argument(0);
  if (!graph) {
    builder_.CreateRet(sum);
    return;
  }
  inputs_["q"] = {Argument(1), DType::Float};
  inputs_["k"] = {Argument(2), DType::Float};
  dot_ = Argument(3);
  Place(Argument(4), Argument(5));
  const auto vector = [&](NodeId id) {
    return v_.AsVector(v_.Convert(Evaluate(*graph, id), DType::Float)).value;
  };
  const NodeId term = graph->Output("term");
  const ir::Node& node = (*graph)[term];
  // A product is added by a fused multiply-add, as every sum of products is.
  if (node.op == OpKind::Mul) {
    Value* a = vector(node.inputs[0]);
    Value* b = vector(node.inputs[1]);
    builder_.CreateRet(builder_.CreateIntrinsic(llvm::Intrinsic::fma, {sum->getType()}, {a, b, sum}));
  } else {
    builder_.CreateRet(builder_.CreateFAdd(sum, vector(term)));
  }
}

void HoleEmitter::TermGradient() {
  const Graph* graph = step_.regions->term_gradient.get();
  if (!graph) {
    builder_.CreateRetVoid();
    return;
  }
  Value* ds = Argument(0);
  inputs_["ds"] = {ds, DType::Float};
  inputs_["q"] = {Argument(1), DType::Float};
  inputs_["k"] = {Argument(2), DType::Float};
  dot_ = Argument(3);
  Place(Argument(4), Argument(8));
  Value* absent = builder_.CreateFCmpOEQ(ds, llvm::Constant::getNullValue(ds->getType()));
  for (size_t i = 0; i < step_.gradients.size(); ++i) {
    if (step_.gradients[i].along != kHeedAlongDot) continue;
    const NodeId cotangent = graph->Output("dc" + std::to_string(step_.gradients[i].capture));
    if (!cotangent) throw InternalError("a capture of a term has no cotangent");
    AddGradient(step_.gradients[i], static_cast<int>(i), Evaluate(*graph, cotangent), absent, Argument(7));
  }
  for (const auto& [name, to] : {std::pair{"dq", Argument(5)}, {"dk", Argument(6)}}) {
    const NodeId id = graph->Output(name);
    const Datum cotangent = id ? Evaluate(*graph, id) : v_.Number(0, DType::Float);
    builder_.CreateStore(v_.AsVector(v_.Convert(cotangent, DType::Float)).value, to);
  }
  builder_.CreateRetVoid();
}

/// Adds the cotangents of a vector of pairs to the kernel's buffer number `number` (heed_kernels.h).
void HoleEmitter::AddGradient(const AttentionGradient& gradient, int number, Datum cotangent, Value* absent,
                              Value* gradients) {
  Datum term = v_.AsVector(v_.Convert(cotangent, DType::Float));
  term = v_.Select(absent, v_.Number(0, DType::Float), term);
  Value* buffer = builder_.CreateLoad(builder_.getPtrTy(),
                                      builder_.CreateConstGEP1_64(builder_.getPtrTy(), gradients, number));
  Value* offset = nullptr;
  Value* mask = nullptr;
  switch (gradient.along) {
    case kHeedAlongNothing:
      offset = v_.I64(0);
      break;
    case kHeedAlongQuery:
      offset = builder_.CreateMul(query_, v_.I64(v_.lanes()));
      break;
    case kHeedAlongKey:
      offset = key_;
      break;
    case kHeedAlongDifference:
      offset = builder_.CreateAdd(builder_.CreateSub(key_, query_), Of(step_.queries));
      break;
    case kHeedAlongDot:
      offset = builder_.CreateMul(dot_, v_.I64(v_.lanes()));
      break;
    case kHeedAlongPair:
      offset = builder_.CreateAdd(builder_.CreateMul(query_, Of(gradient.query)), key_);
      mask = v_.FirstLanes(count_);
      break;
  }
  Value* at = v_.At(buffer, offset, DType::Float);
  const Datum old = v_.LoadVector(at, DType::Float, mask);
  v_.StoreVector({builder_.CreateFAdd(old.value, term.value), DType::Float}, at, mask);
}

}  // namespace heed::backend
