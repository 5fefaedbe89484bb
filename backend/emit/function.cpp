// Plan -> run(frame). Every size is computed once, where it is first needed; one block of memory on the stack
// serves as the context of all steps, one after the other. Work that is too small to be worth a hand-over
// runs in one part: results do not depend on the number of parts.
#include "backend/emit/function.h"

#include <initializer_list>
#include <map>

#include "backend/emit/attention.h"
#include "backend/emit/loop.h"
#include "llvm/IR/Function.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"
#include "runtime/abi.h"
#include "runtime/base/random.h"
#include "runtime/kernels/heed_kernels.h"

namespace heed::backend {

using ir::InternalError;
using llvm::Value;

namespace {

/// Key without what lies in the context: dynamic sizes (only which of them are equal matters) and sites of
/// dropout. So all layers share their kernels, and encoder and decoder do as well.
std::string CanonicalKey(LoopKernel kernel) {
  const KernelContext context = ContextOf(kernel);
  const auto rename = [&](Size& size) {
    if (!size.IsStatic()) size = Size{1, {context.SlotOf(size)}};
  };
  for (Size& size : kernel.outer) rename(size);
  if (kernel.column) rename(kernel.lane);
  for (Size& size : kernel.inner) rename(size);
  for (LoopOperand& operand : kernel.operands)
    for (Size& stride : operand.strides) rename(stride);
  for (LoopValue& value : kernel.values) {
    if (value.kind == LoopValue::Kind::Extent) rename(value.size);
    for (LoopPlace& place : value.places) {
      rename(place.size);
      rename(place.stride);
    }
    if (IsRandom(value)) value.site = std::to_string(context.SiteNumber(value.site));
  }
  const auto rename_stores = [&](std::vector<LoopStore>& stores) {
    for (LoopStore& store : stores) {
      if (store.index < 0) continue;
      rename(store.size);
      rename(store.stride);
    }
  };
  for (LoopStage& stage : kernel.stages) rename_stores(stage.stores);
  rename_stores(kernel.row_stores);
  return Key(kernel);
}

}  // namespace

const std::string& KernelTable::LoopSymbol(const LoopKernel& kernel) {
  const auto [found, fresh] = loop_numbers_.emplace(CanonicalKey(kernel), static_cast<int>(loops_.size()));
  if (fresh) loops_.push_back({"heed_loop_" + std::to_string(found->second), kernel});
  return loops_[found->second].symbol;
}

const std::string& KernelTable::FinishSymbol(const std::optional<MatmulEpilogue>& epilogue) {
  const std::string key = epilogue ? Key(*epilogue) : "";
  const auto [found, fresh] = finish_numbers_.emplace(key, static_cast<int>(finishes_.size()));
  if (fresh) finishes_.push_back({"heed_finish_" + std::to_string(found->second), epilogue});
  return finishes_[found->second].symbol;
}

const std::string& KernelTable::AttentionSymbol(const AttentionStep& step) {
  const auto [found, fresh] = attention_numbers_.emplace(Key(step), static_cast<int>(attentions_.size()));
  if (fresh) attentions_.push_back({"heed_attention_" + std::to_string(found->second), step});
  return attentions_[found->second].symbol;
}

std::string KernelTable::SymbolOf(const Plan& plan, const Step& step) {
  const auto symbol = [&](const auto& work) -> std::string {
    using Work = std::decay_t<decltype(work)>;
    if constexpr (std::is_same_v<Work, LoopKernel>) return LoopSymbol(work);
    if constexpr (std::is_same_v<Work, AttentionStep>) return AttentionSymbol(work);
    if constexpr (std::is_same_v<Work, ScatterStep>) return "heed_scatter_add";
    if constexpr (std::is_same_v<Work, GroupedStep>) return "heed_grouped_matmul";
    if constexpr (std::is_same_v<Work, LookupStep>) return "heed_unpack";
    if constexpr (std::is_same_v<Work, MatmulStep>)
      return plan.buffers[work.b.buffer].kind == BufferKind::Packed ? "heed_packed_matmul" : "heed_matmul";
  };
  return std::visit(symbol, step.work);
}

namespace {

class FunctionEmitter {
 public:
  FunctionEmitter(llvm::Module& module, const Plan& plan, const Target& target, KernelTable& table,
                  int64_t small_work)
      : module_(module),
        plan_(plan),
        target_(target),
        table_(table),
        small_work_(small_work),
        b_(module.getContext()) {}
  void Emit(const std::string& symbol);

 private:
  Value* I64(int64_t value) { return b_.getInt64(static_cast<uint64_t>(value)); }
  Value* Field(Value* pointer, int64_t bytes, llvm::Type* type) {
    return b_.CreateLoad(type, b_.CreateConstGEP1_64(b_.getInt8Ty(), pointer, bytes));
  }
  Value* Of(const Size& size);
  Value* Product(const std::vector<Size>& sizes);
  Value* Pointer(const Base& base);
  void Put(int slot, Value* value) {
    b_.CreateStore(value, b_.CreateConstGEP1_64(b_.getInt64Ty(), context_, slot));
    most_slots_ = std::max(most_slots_, slot + 1);
  }
  void Put(int slot, const Size& size) { Put(slot, Of(size)); }
  void PutChance(int first, const KernelContext& context);
  void PutContext(const KernelContext& context, int first, const std::vector<Base>& bases);
  llvm::FunctionCallee Task(const std::string& symbol);
  Value* FinishOf(const std::optional<MatmulEpilogue>& epilogue);
  Value* ScratchOf(const std::string& symbol);
  void Call(const std::string& symbol, Value* work, Value* scratch);
  void EmitStep(const LoopKernel& loop);
  void EmitStep(const MatmulStep& matmul);
  void EmitStep(const AttentionStep& attention);
  void EmitStep(const ScatterStep& scatter);
  void EmitStep(const LookupStep& lookup);
  void EmitStep(const GroupedStep& grouped);
  /// Numbers of axes, then `sizes` of each, from `slot` on; their extents.
  template <class Axis>
  std::vector<Size> PutNests(int slot, std::initializer_list<const std::vector<Axis>*> nests,
                             std::initializer_list<Size Axis::*> sizes);

  llvm::Module& module_;
  const Plan& plan_;
  const Target& target_;
  KernelTable& table_;
  const int64_t small_work_;
  llvm::IRBuilder<> b_;
  Value* frame_ = nullptr;
  Value* context_ = nullptr;
  Value* threads_ = nullptr;
  Value* pool_ = nullptr;
  Value* parallel_ = nullptr;
  int most_slots_ = 1;
  std::vector<Value*> extents_, buffers_;
  Value* buffer_table_ = nullptr;
  std::map<std::pair<int64_t, std::vector<int>>, Value*> sizes_;
};

void FunctionEmitter::Emit(const std::string& symbol) {
  llvm::Type* pointer = b_.getPtrTy();
  llvm::Type* word = b_.getInt64Ty();
  auto* function = llvm::Function::Create(llvm::FunctionType::get(b_.getVoidTy(), {pointer}, false),
                                          llvm::GlobalValue::ExternalLinkage, symbol, module_);
  function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  auto* entry = llvm::BasicBlock::Create(module_.getContext(), "entry", function);
  b_.SetInsertPoint(entry);
  frame_ = function->getArg(0);
  Value* extents = Field(frame_, offsetof(HeedFrame, extents), pointer);
  buffer_table_ = Field(frame_, offsetof(HeedFrame, buffers), pointer);
  Value* services = Field(frame_, offsetof(HeedFrame, services), pointer);
  pool_ = Field(services, offsetof(HeedServices, pool), pointer);
  threads_ = Field(services, offsetof(HeedServices, threads), word);
  parallel_ = Field(services, offsetof(HeedServices, parallel), pointer);
  for (size_t i = 0; i < plan_.extents.size(); ++i) extents_.push_back(Field(extents, 8 * i, word));
  buffers_.assign(plan_.buffers.size(), nullptr);
  auto* placeholder = b_.CreateAlloca(word, I64(1), "context");
  context_ = placeholder;
  for (const Step& step : plan_.steps) std::visit([&](const auto& work) { EmitStep(work); }, step.work);
  b_.CreateRetVoid();
  placeholder->setOperand(0, I64(most_slots_));
}

Value* FunctionEmitter::Of(const Size& size) {
  if (size.IsStatic()) return I64(size.factor);
  Value*& value = sizes_[{size.factor, size.terms}];
  if (value) return value;
  Value* product = I64(size.factor);
  for (int term : size.terms) product = b_.CreateMul(product, extents_[term], "", false, true);
  return sizes_[{size.factor, size.terms}] = product;
}

Value* FunctionEmitter::Product(const std::vector<Size>& sizes) {
  Size product;
  for (const Size& size : sizes) product = product * size;
  return Of(product);
}

Value* FunctionEmitter::Pointer(const Base& base) {
  if (base.buffer < 0) return llvm::ConstantPointerNull::get(b_.getPtrTy());
  Value*& buffer = buffers_[base.buffer];
  if (!buffer) buffer = Field(buffer_table_, 8 * base.buffer, b_.getPtrTy());
  Value* offset = nullptr;
  for (const Size& size : base.offset) offset = offset ? b_.CreateAdd(offset, Of(size)) : Of(size);
  if (!offset) return buffer;
  const bool bytes = plan_.buffers[base.buffer].dtype == ir::DType::Bool;
  return b_.CreateGEP(bytes ? b_.getInt8Ty() : b_.getInt32Ty(), buffer, offset);
}

void FunctionEmitter::PutChance(int first, const KernelContext& context) {
  llvm::Type* word = b_.getInt64Ty();
  Put(first + context.KeySlot(), Field(frame_, offsetof(HeedFrame, key), word));
  Put(first + context.DropoutSlot(),
      b_.CreateZExt(Field(frame_, offsetof(HeedFrame, dropout), b_.getInt32Ty()), word));
  for (const std::string& site : context.sites)
    Put(first + context.SiteSlot(site), I64(SiteHash(site.data(), site.size())));
}

void FunctionEmitter::PutContext(const KernelContext& context, int first, const std::vector<Base>& bases) {
  for (size_t i = 0; i < context.operands.size(); ++i)
    Put(first + static_cast<int>(i), Pointer(bases[context.operands[i]]));
  for (const Size& size : context.sizes) Put(first + context.SlotOf(size), size);
  if (!context.sites.empty()) PutChance(first, context);
  most_slots_ = std::max(most_slots_, first + context.Slots());
}

llvm::FunctionCallee FunctionEmitter::Task(const std::string& symbol) {
  llvm::Type* pointer = b_.getPtrTy();
  llvm::Type* word = b_.getInt64Ty();
  auto callee = module_.getOrInsertFunction(
      symbol, llvm::FunctionType::get(b_.getVoidTy(), {pointer, word, word, pointer}, false));
  llvm::cast<llvm::Function>(callee.getCallee())->setVisibility(llvm::GlobalValue::HiddenVisibility);
  return callee;
}

Value* FunctionEmitter::FinishOf(const std::optional<MatmulEpilogue>& epilogue) {
  llvm::Type* pointer = b_.getPtrTy();
  llvm::Type* word = b_.getInt64Ty();
  auto* type = llvm::FunctionType::get(b_.getVoidTy(),
                                       {pointer, pointer, word, word, word, word, word, word, word}, false);
  llvm::Value* finish = module_.getOrInsertFunction(table_.FinishSymbol(epilogue), type).getCallee();
  llvm::cast<llvm::Function>(finish)->setVisibility(llvm::GlobalValue::HiddenVisibility);
  return finish;
}

Value* FunctionEmitter::ScratchOf(const std::string& symbol) {
  auto callee =
      module_.getOrInsertFunction(symbol, llvm::FunctionType::get(b_.getInt64Ty(), {b_.getPtrTy()}, false));
  llvm::cast<llvm::Function>(callee.getCallee())->setVisibility(llvm::GlobalValue::HiddenVisibility);
  return b_.CreateCall(callee, {context_});
}

void FunctionEmitter::Call(const std::string& symbol, Value* work, Value* scratch) {
  llvm::Type* pointer = b_.getPtrTy();
  llvm::Type* word = b_.getInt64Ty();
  Value* parts = b_.CreateSelect(b_.CreateICmpSLT(work, I64(small_work_)), I64(1), threads_);
  auto* type = llvm::FunctionType::get(b_.getVoidTy(), {pointer, pointer, pointer, word, word}, false);
  b_.CreateCall(type, parallel_, {pool_, Task(symbol).getCallee(), context_, parts, scratch});
}

void FunctionEmitter::EmitStep(const LoopKernel& loop) {
  const std::string& symbol = table_.LoopSymbol(loop);
  std::vector<Base> bases;
  for (const LoopOperand& operand : loop.operands) bases.push_back(operand.base);
  PutContext(ContextOf(loop), 0, bases);
  std::vector<Size> all = loop.outer;
  if (loop.column) all.push_back(loop.lane);
  all.insert(all.end(), loop.inner.begin(), loop.inner.end());
  all.push_back(Size{Cost(loop), {}});
  Value* scratch = I64(0);
  if (loop.scratch_rows) {
    scratch = b_.CreateMul(Product(loop.inner), I64(ScratchWidth(loop, target_.lanes)));
    scratch = b_.CreateAnd(b_.CreateAdd(scratch, I64(63)), I64(-64));
    scratch = b_.CreateMul(scratch, I64(loop.scratch_rows));
  }
  Call(symbol, Product(all), scratch);
}

/// As the kernels' descriptors have them.
const std::initializer_list<Size MatmulAxis::*> kMatmulSizes = {
    &MatmulAxis::extent, &MatmulAxis::a, &MatmulAxis::b, &MatmulAxis::c, &MatmulAxis::mask};

template <class Axis>
std::vector<Size> FunctionEmitter::PutNests(int slot, std::initializer_list<const std::vector<Axis>*> nests,
                                            std::initializer_list<Size Axis::*> sizes) {
  std::vector<Size> extents;
  for (const auto* nest : nests) Put(slot++, I64(static_cast<int64_t>(nest->size())));
  for (const auto* nest : nests) {
    for (const Axis& axis : *nest) {
      extents.push_back(axis.extent);
      for (const auto size : sizes) Put(slot++, axis.*size);
    }
  }
  return extents;
}

void FunctionEmitter::EmitStep(const MatmulStep& step) {
  table_.matmul = true;
  // A product with packed weights has them before the descriptor of the plain one.
  const bool packed = plan_.buffers[step.b.buffer].kind == BufferKind::Packed;
  constexpr int kPlain = sizeof(HeedMatmul) / 8, kPacked = sizeof(HeedPackedMatmul) / 8;
  static_assert(kPacked == kPlain + 1);
  const int descriptor = packed ? kPacked : kPlain;
  int slot = 0;
  if (packed) Put(slot++, Pointer(step.b));
  for (const Base& base : {step.a, packed ? Base{} : step.b, step.c, step.mask}) Put(slot++, Pointer(base));
  Put(slot++, b_.CreateConstGEP1_64(b_.getInt64Ty(), context_, descriptor));
  Put(slot++, FinishOf(step.epilogue));
  Put(slot++, I64(step.split));
  if (step.epilogue) {
    for (size_t i = 0; i < step.epilogue->operands.size(); ++i) {
      Put(descriptor + static_cast<int>(i), Pointer(step.epilogue->operands[i].base));
    }
  }
  const std::vector<Size> all = PutNests(slot, {&step.loops, &step.ms, &step.ns, &step.ks}, kMatmulSizes);
  if (all.size() > kHeedMaxAxes) throw InternalError("a matrix product of too many axes");
  if (packed) {
    table_.packed = true;
    Call("heed_packed_matmul", Product(all), ScratchOf("heed_packed_matmul_scratch"));
  } else {
    Call("heed_matmul", Product(all), ScratchOf("heed_matmul_scratch"));
  }
}

void FunctionEmitter::EmitStep(const LookupStep& step) {
  table_.packed = table_.matmul = true;
  int slot = 0;
  for (const Base* base : {&step.table, &step.index, &step.out}) Put(slot++, Pointer(*base));
  Put(slot++, step.table_column);
  const std::vector<Size> all =
      PutNests(slot, {&step.ms, &step.ks},
               {&LookupAxis::extent, &LookupAxis::index, &LookupAxis::out, &LookupAxis::table});
  if (all.size() > kHeedMaxAxes) throw InternalError("a look-up of too many axes");
  Call("heed_unpack", Product(all), ScratchOf("heed_unpack_scratch"));
}

void FunctionEmitter::EmitStep(const GroupedStep& step) {
  table_.grouped = true;
  const bool packed = plan_.buffers[step.b[0].buffer].kind == BufferKind::Packed;
  if (packed) table_.packed = table_.matmul = true;
  constexpr int kDescriptor = sizeof(HeedGroupedMatmul) / 8;
  for (size_t i = 0; i < step.b.size(); ++i) Put(kDescriptor + static_cast<int>(i), Pointer(step.b[i]));
  int slot = 0;
  Put(slot++, Pointer(step.index));
  Put(slot++, b_.CreateConstGEP1_64(b_.getInt64Ty(), context_, kDescriptor));
  Put(slot++, I64(static_cast<int64_t>(step.b.size())));
  Put(slot++, I64(packed));
  for (const Base& base : {step.a, Base{}, step.c, Base{}, Base{}}) Put(slot++, Pointer(base));
  Put(slot++, FinishOf(std::nullopt));
  Put(slot++, I64(0));  // not split
  Put(slot++, I64(0));  // no loops
  const std::vector<Size> all = PutNests(slot, {&step.ms, &step.ns, &step.ks}, kMatmulSizes);
  Call("heed_grouped_matmul", Product(all), ScratchOf("heed_grouped_matmul_scratch"));
}

void FunctionEmitter::EmitStep(const ScatterStep& step) {
  table_.scatter = true;
  int slot = 0;
  for (const Base* base : {&step.out, &step.dy, &step.index, &step.mask}) Put(slot++, Pointer(*base));
  Put(slot++, step.size);
  Put(slot++, step.out_stride);
  std::vector<Size> all = PutNests(
      slot, {&step.kept, &step.summed},
      {&ScatterAxis::extent, &ScatterAxis::out, &ScatterAxis::dy, &ScatterAxis::index, &ScatterAxis::mask});
  all.insert(all.begin(), Size{4, {}});
  if (step.kept.size() + step.summed.size() > kHeedMaxAxes) throw InternalError("a scatter of too many axes");
  Call("heed_scatter_add", Product(all), I64(0));
}

void FunctionEmitter::EmitStep(const AttentionStep& step) {
  const std::string& symbol = table_.AttentionSymbol(step);
  if (step.loops.size() > kHeedMaxAxes) throw InternalError("an attention of too many axes");
  constexpr int kDescriptor = sizeof(HeedAttention) / 8;
  std::vector<Base> bases;
  for (const AttentionCapture& capture : step.captures) bases.push_back(capture.base);
  PutContext(ContextOf(step), kDescriptor, bases);
  int slot = 0;
  for (const Base* base :
       {&step.q, &step.k, &step.v, &step.o, &step.lse, &step.d_o, &step.d_lse, &step.dq, &step.dk, &step.dv})
    Put(slot++, Pointer(*base));
  Put(slot++, b_.CreateConstGEP1_64(b_.getInt64Ty(), context_, kDescriptor));
  for (const Size* size :
       {&step.queries, &step.keys, &step.dots, &step.values, &step.q_query, &step.q_dot, &step.k_key,
        &step.k_dot, &step.v_key, &step.v_value, &step.o_query, &step.o_value, &step.lse_query})
    Put(slot++, *size);
  Put(slot++, I64(step.split));
  Put(slot++, I64(static_cast<int64_t>(step.loops.size())));
  std::vector<Size> all = {step.queries, step.keys, step.dots};
  for (const AttentionLoop& loop : step.loops) {
    all.push_back(loop.extent);
    for (const Size* size : {&loop.extent, &loop.q, &loop.k, &loop.v, &loop.o, &loop.lse}) Put(slot++, *size);
  }
  if (step.gradients.size() > kHeedMaxGradients) throw InternalError("an attention of too many gradients");
  slot = offsetof(HeedAttention, gradients) / 8;
  Put(slot++, I64(static_cast<int64_t>(step.gradients.size())));
  for (const AttentionGradient& gradient : step.gradients) {
    const int end = slot + static_cast<int>(sizeof(HeedAttentionGradient) / 8);
    Put(slot++, Pointer(gradient.to));
    Put(slot++, I64(gradient.along));
    Put(slot++, gradient.query);
    Put(slot++, gradient.key);
    for (const Size& stride : gradient.loops) Put(slot++, stride);
    slot = end;
  }
  Call(symbol, Product(all), ScratchOf(symbol + "_scratch"));
}

}  // namespace

void EmitFunction(llvm::Module& module, const std::string& symbol, const Plan& plan, const Target& target,
                  KernelTable& table, int64_t small_work) {
  FunctionEmitter(module, plan, target, table, small_work).Emit(symbol);
}

}  // namespace heed::backend
