// Holes of the attention kernel (runtime/kernels/heed_kernels.h) from region graphs.
//
// A region is evaluated for one query and one vector of keys; what does not vary along the keys stays a
// scalar. The tile hole evaluates the mask on intervals instead: a value is bounded by its smallest and
// largest element in the tile. Positions are bounded exactly, data of a loop element (lengths) is a point;
// data that depends on the query or the key is unknown, and whatever it decides is `mixed`. Intervals follow
// the same int32 and f32 arithmetic as the elements, so an answer of all or none is never wrong.
#include "backend/emit_attention.h"

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>

#include "backend/emit_vector.h"
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

namespace {

bool IsIdentity(OpKind op) {
  return op == OpKind::Element || op == OpKind::Broadcast || op == OpKind::Rename || op == OpKind::Stop;
}

/// An axis as the part it plays.
std::string Role(const AttentionStep& step, ir::Axis axis) {
  if (axis == step.key_axis) return "key";
  if (axis == step.query_axis) return "query";
  for (size_t i = 0; i < step.loops.size(); ++i)
    if (step.loops[i].axis == axis) return "loop" + std::to_string(i);
  return axis.text();
}

/// Everything that makes a region what it is, without the names of axes and sites and places in the source.
void Describe(std::ostream& out, const Graph& graph, const AttentionStep& step,
              const KernelContext& context) {
  std::map<NodeId, int> numbers;
  for (NodeId id : graph.Order()) {
    const ir::Node& node = graph[id];
    const ir::Attributes& at = node.attributes;
    const int number = static_cast<int>(numbers.size());
    numbers[id] = number;
    out << '\n' << number << ' ' << ir::Info(node.op).name << ' ' << ir::Text(node.type.dtype);
    for (NodeId input : node.inputs) out << ' ' << numbers.at(input);
    if (IsIdentity(node.op)) continue;
    out << ' ' << std::hexfloat << at.number << std::defaultfloat;
    if (at.axis) out << ' ' << Role(step, at.axis);
    if (node.op == OpKind::Keep) {
      out << " site " << context.SiteNumber(at.name);
      ir::AxisList axes = at.axes;
      std::sort(axes.begin(), axes.end());  // their order by name is what numbers the elements
      for (ir::Axis axis : axes) out << ' ' << Role(step, axis) << ' ' << graph.axes().Bound(axis);
    } else {
      out << ' ' << at.name;
    }
  }
  for (const auto& [name, id] : graph.outputs)
    if (numbers.count(id)) out << '\n' << name << ' ' << numbers.at(id);
}

}  // namespace

KernelContext ContextOf(const AttentionStep& step) {
  KernelContext context;
  for (const AttentionLoop& loop : step.loops) context.Add(loop.extent);
  for (size_t i = 0; i < step.captures.size(); ++i) {
    const AttentionCapture& capture = step.captures[i];
    context.operands.push_back(static_cast<int>(i));
    for (const Size& stride : capture.loops) context.Add(stride);
    context.Add(capture.query);
    context.Add(capture.key);
  }
  for (const Graph* graph : {step.regions->score.get(), step.regions->gradient.get()}) {
    if (!graph) continue;
    for (NodeId id : graph->Order())
      if (graph->op(id) == OpKind::Keep) context.AddSite((*graph)[id].attributes.name);
  }
  return context;
}

std::string Key(const AttentionStep& step) {
  const KernelContext context = ContextOf(step);
  std::ostringstream key;
  const auto size = [&](const Size& what) {
    if (what.IsStatic())
      key << ' ' << what.factor;
    else
      key << " slot" << context.SlotOf(what);
  };
  key << (step.backward ? "backward" : "forward") << (step.query_axis ? " queries" : " one query");
  for (const AttentionLoop& loop : step.loops) {
    key << "\nloop";
    size(loop.extent);
  }
  for (const AttentionCapture& capture : step.captures) {
    key << "\ncapture " << ir::Text(capture.dtype);
    for (const Size& stride : capture.loops) size(stride);
    key << " ,";
    size(capture.query);
    size(capture.key);
  }
  Describe(key, *step.regions->score, step, context);
  if (step.backward && step.regions->gradient) Describe(key, *step.regions->gradient, step, context);
  return key.str();
}

namespace {

/// Code of one hole.
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
  void Score(bool masked);
  void Weight();
  void ScoreGradient();
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
  Datum EvaluateKeep(const Graph& graph, const ir::Node& node);
  Datum Position(ir::Axis axis);
  int CaptureNumber(const std::string& name) const;
  Datum Capture(int number);

  MaybeInterval Bound(const Graph& graph, NodeId id);
  MaybeInterval BoundNode(const Graph& graph, NodeId id);
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
  Value* query_last_ = nullptr;  // of a tile; query_, key_ are its first ones
  Value* key_last_ = nullptr;
  std::map<std::string, Datum> inputs_;  // s, ds, dw
  std::map<NodeId, Datum> memo_;
  std::map<NodeId, MaybeInterval> bounds_;
};

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

Datum HoleEmitter::Capture(int number) {
  const AttentionCapture& capture = step_.captures[number];
  Value* offset = v_.I64(0);
  const auto add = [&](Value* index, const Size& stride) {
    if (!stride.IsZero() && index) offset = builder_.CreateAdd(offset, builder_.CreateMul(index, Of(stride)));
  };
  for (size_t i = 0; i < loops_.size(); ++i) add(loops_[i], capture.loops[i]);
  add(query_, capture.query);
  add(key_, capture.key);
  Value* pointer = v_.At(Slot(number, builder_.getPtrTy()), offset, capture.dtype);
  Datum datum;
  if (capture.key.IsZero())
    datum = v_.LoadScalar(pointer, capture.dtype);
  else if (capture.key == Size{})
    datum = v_.LoadVector(pointer, capture.dtype, v_.FirstLanes(count_));
  else
    datum =
        v_.LoadLanes(pointer, builder_.CreateMul(v_.Iota(builder_.getInt64Ty()), v_.Splat(Of(capture.key))),
                     capture.dtype, v_.FirstLanes(count_));
  if (auto* load = llvm::dyn_cast<llvm::Instruction>(datum.value); load && llvm::isa<llvm::LoadInst>(load))
    load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(builder_.getContext(), {}));
  return datum;
}

Datum HoleEmitter::EvaluateKeep(const Graph& graph, const ir::Node& node) {
  // The element's number counts every axis with its bound, in the order of their names (runtime/random.h).
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
  switch (node.op) {
    case OpKind::Const:
      return v_.Number(node.attributes.number, node.type.dtype);
    case OpKind::Positions:
      return Position(node.attributes.axis);
    case OpKind::Input: {
      const auto given = inputs_.find(node.attributes.name);
      if (given != inputs_.end()) return given->second;
      return v_.Convert(Capture(CaptureNumber(node.attributes.name)), node.type.dtype);
    }
    case OpKind::Keep:
      return EvaluateKeep(graph, node);
    default:
      break;
  }
  if (!ir::IsPointwise(node.op))
    throw InternalError("a region of attention contains " + std::string(ir::Info(node.op).name));
  std::vector<Datum> arguments;
  for (NodeId input : node.inputs) arguments.push_back(memo_.at(input));
  return v_.Apply(node.op, arguments, node.type.dtype);
}

void HoleEmitter::Score(bool masked) {
  inputs_["s"] = {Argument(0), DType::Float};
  query_ = Argument(2);
  key_ = Argument(3);
  count_ = Argument(4);
  Place(Argument(1), Argument(5));
  const Graph& graph = *step_.regions->score;
  Datum score = v_.Convert(Evaluate(graph, graph.Output("score")), DType::Float);
  if (const NodeId mask = graph.Output("mask"); mask && masked) {
    const Datum there = Evaluate(graph, mask);
    score = v_.Select(v_.AsVector(there).value, score,
                      v_.Number(-std::numeric_limits<double>::infinity(), DType::Float));
  }
  Return(score);
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
  inputs_["dw"] = v_.Number(0, DType::Float);  // a weight does not depend on the score
  query_ = Argument(3);
  key_ = Argument(4);
  count_ = Argument(5);
  Place(Argument(2), Argument(6));
  const Graph* graph = step_.regions->gradient.get();
  const NodeId gradient = graph ? graph->Output("dr") : NodeId{};
  Return(gradient ? Evaluate(*graph, gradient) : v_.Number(0, DType::Float));
}

// ---- Tiles

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
  llvm::Type* word = builder_.getInt32Ty();
  const MaybeInterval any_bool = Interval{builder_.getFalse(), builder_.getTrue()};
  const MaybeInterval unknown = dtype == DType::Bool ? any_bool : std::nullopt;
  if (IsIdentity(node.op)) return Bound(graph, node.inputs[0]);
  if (node.op == OpKind::Const) {
    Value* value = v_.Number(node.attributes.number, dtype).value;
    return Interval{value, value};
  }
  if (node.op == OpKind::Positions) {
    const ir::Axis axis = node.attributes.axis;
    if (axis == step_.key_axis)
      return Interval{builder_.CreateTrunc(key_, word), builder_.CreateTrunc(key_last_, word)};
    if (axis == step_.query_axis)
      return Interval{builder_.CreateTrunc(query_, word), builder_.CreateTrunc(query_last_, word)};
    Value* value = Position(axis).value;
    return Interval{value, value};
  }
  if (node.op == OpKind::Input) {
    if (node.attributes.name == "s") return unknown;
    const int number = CaptureNumber(node.attributes.name);
    const AttentionCapture& capture = step_.captures[number];
    if (!capture.query.IsZero() || !capture.key.IsZero()) return unknown;
    Value* value = v_.Convert(Capture(number), dtype).value;
    return Interval{value, value};
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
      break;
  }
  // Arithmetic, in the type of the result.
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
    case OpKind::Abs: {
      const Interval a = converted(0);
      Value* zero = v_.Number(0, dtype).value;
      Interval hull =
          Hull({Apply(node.op, a.low, nullptr, dtype), Apply(node.op, a.high, nullptr, dtype)}, dtype);
      const auto at_most = [&](Value* s, Value* t) {
        return v_.Apply(OpKind::Le, {{s, dtype}, {t, dtype}}, DType::Bool).value;
      };
      Value* crosses = builder_.CreateAnd(at_most(a.low, zero), at_most(zero, a.high));
      return Interval{builder_.CreateSelect(crosses, zero, hull.low), hull.high};
    }
    case OpKind::Cast:
    case OpKind::Floor:
    case OpKind::Relu: {  // none of them ever falls
      const Interval a = converted(0);
      return Interval{Apply(node.op, a.low, nullptr, dtype), Apply(node.op, a.high, nullptr, dtype)};
    }
    case OpKind::Mod: {
      const Interval b = converted(1);
      const auto* divisor = llvm::dyn_cast<llvm::ConstantInt>(b.low);
      if (dtype != DType::Int || !b.point() || !divisor || divisor->getSExtValue() <= 0) return unknown;
      return Interval{builder_.getInt32(0), builder_.getInt32(divisor->getSExtValue() - 1)};
    }
    default:
      return unknown;
  }
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

}  // namespace

void FillAttentionHoles(llvm::Module& module, const AttentionStep& step, const Target& target) {
  const auto fill = [&](const char* name, const auto& body) {
    llvm::Function* hole = module.getFunction(name);
    if (!hole || !hole->isDeclaration()) return;
    HoleEmitter emitter(hole, step, target);
    body(emitter);
  };
  fill("heed_hole_score", [](HoleEmitter& hole) { hole.Score(true); });
  fill("heed_hole_score_unmasked", [](HoleEmitter& hole) { hole.Score(false); });
  fill("heed_hole_weight", [](HoleEmitter& hole) { hole.Weight(); });
  fill("heed_hole_score_gradient", [](HoleEmitter& hole) { hole.ScoreGradient(); });
  fill("heed_hole_tile", [](HoleEmitter& hole) { hole.Tile(); });
}

}  // namespace heed::backend
