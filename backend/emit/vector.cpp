// Element-wise code on vectors. Transcendental functions are calls of the kernels' heed_v_*, inlined later;
// everything else is plain IR. No fast-math flag is ever set.
#include "backend/emit/vector.h"

#include <limits>
#include <utility>

#include "llvm/IR/Constants.h"
#include "llvm/IR/Intrinsics.h"

namespace heed::backend {

using ir::DType;
using ir::InternalError;
using ir::OpKind;
using llvm::Value;

llvm::Type* VectorBuilder::Scalar(DType dtype) {
  switch (dtype) {
    case DType::Float:
      return b_.getFloatTy();
    case DType::Int:
      return b_.getInt32Ty();
    case DType::Bool:
      return b_.getInt1Ty();
  }
  throw InternalError("no such element type");
}

llvm::Type* VectorBuilder::Memory(DType dtype) {
  return dtype == DType::Bool ? b_.getInt8Ty() : Scalar(dtype);
}

llvm::FixedVectorType* VectorBuilder::Vector(llvm::Type* scalar) {
  return llvm::FixedVectorType::get(scalar, lanes_);
}

Value* VectorBuilder::Iota(llvm::Type* scalar) {
  std::vector<llvm::Constant*> numbers;
  for (int i = 0; i < lanes_; ++i) numbers.push_back(llvm::ConstantInt::get(scalar, i));
  return llvm::ConstantVector::get(numbers);
}

Value* VectorBuilder::Splat(Value* scalar) { return b_.CreateVectorSplat(lanes_, scalar); }

Value* VectorBuilder::FirstLanes(Value* count) {
  Value* most = I64(lanes_);
  Value* bounded = b_.CreateSelect(b_.CreateICmpSLT(count, most), count, most);
  bounded = b_.CreateSelect(b_.CreateICmpSGT(bounded, I64(0)), bounded, I64(0));
  return b_.CreateICmpULT(Iota(b_.getInt32Ty()), Splat(b_.CreateTrunc(bounded, b_.getInt32Ty())));
}

Datum VectorBuilder::Number(double value, DType dtype) {
  if (dtype == DType::Float) return {llvm::ConstantFP::get(b_.getFloatTy(), value), dtype};
  const int64_t whole = static_cast<int64_t>(value);
  return {llvm::ConstantInt::get(Scalar(dtype), static_cast<uint64_t>(whole), true), dtype};
}

Datum VectorBuilder::Convert(Datum datum, DType dtype) {
  if (datum.dtype == dtype) return datum;
  llvm::Type* type = Scalar(dtype);
  if (datum.vector()) type = Vector(type);
  switch (dtype) {
    case DType::Float:
      return {
          datum.dtype == DType::Int ? b_.CreateSIToFP(datum.value, type) : b_.CreateUIToFP(datum.value, type),
          dtype};
    case DType::Int:
      if (datum.dtype == DType::Bool) return {b_.CreateZExt(datum.value, type), dtype};
      // Out of range a plain conversion is poison; this one saturates.
      return {b_.CreateIntrinsic(llvm::Intrinsic::fptosi_sat, {type, datum.value->getType()}, {datum.value}),
              dtype};
    case DType::Bool:
      return {
          Compare(OpKind::Ne, datum.value, llvm::Constant::getNullValue(datum.value->getType()), datum.dtype),
          dtype};
  }
  throw InternalError("no such element type");
}

Datum VectorBuilder::Select(Value* condition, Datum yes, Datum no) {
  const bool vector = condition->getType()->isVectorTy() || yes.vector() || no.vector();
  if (vector) {
    yes = AsVector(yes);
    no = AsVector(no);
  }
  return {b_.CreateSelect(condition, yes.value, no.value), yes.dtype};
}

Value* VectorBuilder::Compare(OpKind op, Value* a, Value* b, DType dtype) {
  using P = llvm::CmpInst::Predicate;
  const bool is_float = dtype == DType::Float, is_bool = dtype == DType::Bool;
  const auto pick = [&](P of_floats, P of_ints, P of_bools) {
    return is_float ? of_floats : is_bool ? of_bools : of_ints;
  };
  P predicate;
  switch (op) {
    case OpKind::Eq:
      predicate = pick(P::FCMP_OEQ, P::ICMP_EQ, P::ICMP_EQ);
      break;
    case OpKind::Ne:
      predicate = pick(P::FCMP_UNE, P::ICMP_NE, P::ICMP_NE);
      break;
    case OpKind::Lt:
      predicate = pick(P::FCMP_OLT, P::ICMP_SLT, P::ICMP_ULT);
      break;
    case OpKind::Le:
      predicate = pick(P::FCMP_OLE, P::ICMP_SLE, P::ICMP_ULE);
      break;
    case OpKind::Gt:
      predicate = pick(P::FCMP_OGT, P::ICMP_SGT, P::ICMP_UGT);
      break;
    case OpKind::Ge:
      predicate = pick(P::FCMP_OGE, P::ICMP_SGE, P::ICMP_UGE);
      break;
    default:
      throw InternalError("no comparison");
  }
  return b_.CreateCmp(predicate, a, b);
}

Value* VectorBuilder::Larger(Value* x, Value* largest) {
  if (!x->getType()->isFPOrFPVectorTy()) return b_.CreateSelect(b_.CreateICmpSGT(x, largest), x, largest);
  Value* replaces = b_.CreateOr(b_.CreateFCmpOGT(x, largest), b_.CreateFCmpUNO(x, x));
  return b_.CreateSelect(replaces, x, largest);
}

Value* VectorBuilder::Math(const char* name, const std::vector<Datum>& arguments) {
  bool vector = false;
  for (const Datum& argument : arguments) vector |= argument.vector();
  std::vector<Value*> values;
  std::vector<llvm::Type*> types;
  for (const Datum& argument : arguments) {
    values.push_back(AsVector(Convert(argument, DType::Float)).value);
    types.push_back(values.back()->getType());
  }
  auto function = module_.getOrInsertFunction(std::string("heed_v_") + name,
                                              llvm::FunctionType::get(Vector(b_.getFloatTy()), types, false));
  Value* result = b_.CreateCall(function, values);
  return vector ? result : b_.CreateExtractElement(result, uint64_t{0});
}

Value* VectorBuilder::IntMod(Value* a, Value* b) {
  llvm::Type* type = a->getType();
  Value* zero = llvm::ConstantInt::get(type, 0);
  Value* one = llvm::ConstantInt::get(type, 1);
  // By 0: 0. By -1: 0 as well, where the machine's division could trap.
  Value* trivial = b_.CreateICmpULE(b_.CreateAdd(b, one), one);
  Value* rest = b_.CreateSRem(a, b_.CreateSelect(trivial, one, b));
  Value* other_sign = b_.CreateICmpNE(b_.CreateICmpSLT(rest, zero), b_.CreateICmpSLT(b, zero));
  return b_.CreateSelect(b_.CreateAnd(b_.CreateICmpNE(rest, zero), other_sign), b_.CreateAdd(rest, b), rest);
}

Value* VectorBuilder::FloatMod(Value* a, Value* b) {
  Value* zero = llvm::ConstantFP::get(a->getType(), 0);
  Value* rest = b_.CreateFRem(a, b);
  Value* other_sign = b_.CreateICmpNE(b_.CreateFCmpOLT(rest, zero), b_.CreateFCmpOLT(b, zero));
  return b_.CreateSelect(b_.CreateAnd(b_.CreateFCmpUNE(rest, zero), other_sign), b_.CreateFAdd(rest, b),
                         rest);
}

Value* VectorBuilder::FloatPow(Datum a, Datum b) {
  const auto* constant = llvm::dyn_cast<llvm::Constant>(b.value);
  if (constant && b.vector()) constant = constant->getSplatValue();
  if (const auto* number = llvm::dyn_cast_or_null<llvm::ConstantFP>(constant)) {
    Value* x = a.value;
    const auto one = [&] { return llvm::ConstantFP::get(x->getType(), 1); };
    const auto root = [&] { return b_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x); };
    if (number->isExactlyValue(1)) return x;
    if (number->isExactlyValue(2)) return b_.CreateFMul(x, x);
    if (number->isExactlyValue(3)) return b_.CreateFMul(b_.CreateFMul(x, x), x);
    if (number->isExactlyValue(-1)) return b_.CreateFDiv(one(), x);
    if (number->isExactlyValue(0.5)) return root();
    if (number->isExactlyValue(-0.5)) return b_.CreateFDiv(one(), root());
  }
  return Math("pow", {a, b});
}

namespace {

bool IsComparison(OpKind op) {
  return op == OpKind::Eq || op == OpKind::Ge || op == OpKind::Gt || op == OpKind::Le || op == OpKind::Lt ||
         op == OpKind::Ne;
}

}  // namespace

void VectorBuilder::Unify(std::vector<Datum>& arguments, size_t first, DType as) {
  bool vector = false;
  for (const Datum& argument : arguments) vector |= argument.vector();
  for (size_t i = first; i < arguments.size(); ++i) {
    arguments[i] = Convert(arguments[i], as);
    if (vector) arguments[i] = AsVector(arguments[i]);
  }
}

Datum VectorBuilder::Apply(OpKind op, std::vector<Datum> arguments, DType dtype) {
  if (IsComparison(op)) return ApplyComparison(op, std::move(arguments));
  if (op == OpKind::Select) {
    Unify(arguments, 1, dtype);
    return Select(Convert(arguments[0], DType::Bool).value, arguments[1], arguments[2]);
  }
  Unify(arguments, 0, dtype);
  return {ApplyUnified(op, arguments, dtype), dtype};
}

Datum VectorBuilder::ApplyComparison(OpKind op, std::vector<Datum> arguments) {
  DType common = DType::Bool;
  for (const Datum& argument : arguments) {
    if (argument.dtype == DType::Float || common == DType::Float)
      common = DType::Float;
    else if (argument.dtype == DType::Int)
      common = DType::Int;
  }
  Unify(arguments, 0, common);
  return {Compare(op, arguments[0].value, arguments[1].value, common), DType::Bool};
}

Value* VectorBuilder::ApplyUnified(OpKind op, const std::vector<Datum>& arguments, DType dtype) {
  Value* x = arguments[0].value;
  Value* y = arguments.size() > 1 ? arguments[1].value : nullptr;
  const bool is_float = dtype == DType::Float;
  const auto zero = [&] { return llvm::Constant::getNullValue(x->getType()); };
  const auto less = [&](Value* a, Value* b) {
    return is_float ? b_.CreateFCmpOLT(a, b) : b_.CreateICmpSLT(a, b);
  };
  const auto floats = [&](const char* name) { return Math(name, arguments); };
  // No default: an op without a lowering does not compile.
  switch (op) {
    case OpKind::Abs:
      return is_float ? b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x)
                      : b_.CreateBinaryIntrinsic(llvm::Intrinsic::abs, x, b_.getFalse());
    case OpKind::Add:
      return is_float ? b_.CreateFAdd(x, y) : b_.CreateAdd(x, y);
    case OpKind::And:
      return b_.CreateAnd(x, y);
    case OpKind::Cast:
    case OpKind::Stop:
    case OpKind::Element:
      return x;
    case OpKind::Cos:
      return floats("cos");
    case OpKind::Div:
      return b_.CreateFDiv(x, y);
    case OpKind::Erf:
      return floats("erf");
    case OpKind::Exp:
      return floats("exp");
    case OpKind::Floor:
      return is_float ? b_.CreateUnaryIntrinsic(llvm::Intrinsic::floor, x) : x;
    case OpKind::Log:
      return floats("log");
    case OpKind::Maximum:
      return b_.CreateSelect(less(x, y), y, x);
    case OpKind::Minimum:
      return b_.CreateSelect(less(y, x), y, x);
    case OpKind::Mod:
      return is_float ? FloatMod(x, y) : IntMod(x, y);
    case OpKind::Mul:
      return is_float ? b_.CreateFMul(x, y) : b_.CreateMul(x, y);
    case OpKind::Neg:
      return is_float ? b_.CreateFNeg(x) : b_.CreateNeg(x);
    case OpKind::Not:
      return b_.CreateNot(x);
    case OpKind::Or:
      return b_.CreateOr(x, y);
    case OpKind::Pow:
      return FloatPow(arguments[0], arguments[1]);
    case OpKind::Relu:
      return b_.CreateSelect(less(x, zero()), zero(), x);
    case OpKind::Sigmoid:
      return floats("sigmoid");
    case OpKind::Sin:
      return floats("sin");
    case OpKind::Sqrt:
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x);
    case OpKind::Sub:
      return is_float ? b_.CreateFSub(x, y) : b_.CreateSub(x, y);
    case OpKind::Tanh:
      return floats("tanh");
      // clang-format off
    // Comparisons and selects have their own ways above.
    case OpKind::Eq: case OpKind::Ge: case OpKind::Gt: case OpKind::Le: case OpKind::Lt: case OpKind::Ne:
    case OpKind::Select:
    // What is not pointwise is never asked of a vector.
    case OpKind::Const: case OpKind::Input: case OpKind::Param: case OpKind::Positions: case OpKind::Length:
    case OpKind::Argmax: case OpKind::LogSoftmax: case OpKind::Max: case OpKind::Softmax: case OpKind::Sum:
    case OpKind::Contract:
    case OpKind::Broadcast: case OpKind::Merge: case OpKind::Rename: case OpKind::Slice: case OpKind::Split:
    case OpKind::Stack:
    case OpKind::Gather: case OpKind::Onehot: case OpKind::ScatterAdd: case OpKind::Write:
    case OpKind::Gumbel: case OpKind::Keep:
    case OpKind::Attention: case OpKind::AttentionGrad:
      // clang-format on
      break;
  }
  throw InternalError("an op that is not pointwise inside a loop");
}

Datum VectorBuilder::Random(const char* name, Datum example, Datum element, Value* site, Value* key,
                            Value* dropout, std::vector<Value*> more, double off) {
  llvm::Type* word = b_.getInt32Ty();
  llvm::Type* vector = Vector(word);
  llvm::Type* result_type = Vector(b_.getFloatTy());
  std::vector<Value*> arguments{
      b_.CreateTrunc(key, word), b_.CreateTrunc(b_.CreateLShr(key, 32), word), AsVector(example).value,
      AsVector(element).value,   llvm::Constant::getNullValue(vector),         site};
  arguments.insert(arguments.end(), more.begin(), more.end());
  std::vector<llvm::Type*> types;
  for (Value* argument : arguments) types.push_back(argument->getType());
  auto function = module_.getOrInsertFunction(name, llvm::FunctionType::get(result_type, types, false));
  const bool is_vector = example.vector() || element.vector();
  Value* on = b_.CreateFCmpUNE(dropout, llvm::ConstantFP::get(b_.getFloatTy(), 0));
  Value* value =
      b_.CreateSelect(on, b_.CreateCall(function, arguments), llvm::ConstantFP::get(result_type, off));
  return {is_vector ? value : b_.CreateExtractElement(value, uint64_t{0}), DType::Float};
}

Datum VectorBuilder::Keep(Datum example, Datum element, Value* site, double p, Value* key, Value* dropout) {
  Value* probability = llvm::ConstantFP::get(b_.getFloatTy(), p);
  return Random("heed_v_keep", example, element, site, key, dropout, {probability}, 1);
}

Datum VectorBuilder::Gumbel(Datum example, Datum element, Value* site, Value* key, Value* dropout) {
  return Random("heed_v_gumbel", example, element, site, key, dropout, {}, 0);
}

// ---- Memory

Value* VectorBuilder::At(Value* pointer, Value* offset, DType dtype) {
  return b_.CreateGEP(Memory(dtype), pointer, offset);
}

Datum VectorBuilder::FromMemory(Value* value, DType dtype) {
  if (dtype != DType::Bool) return {value, dtype};
  return {b_.CreateICmpNE(value, llvm::Constant::getNullValue(value->getType())), dtype};
}

Value* VectorBuilder::ToMemory(Datum datum) {
  if (datum.dtype != DType::Bool) return datum.value;
  llvm::Type* type = b_.getInt8Ty();
  return b_.CreateZExt(datum.value, datum.vector() ? Vector(type) : type);
}

namespace {
llvm::Align AlignOf(DType dtype) { return llvm::Align(dtype == DType::Bool ? 1 : 4); }
}  // namespace

Datum VectorBuilder::LoadScalar(Value* pointer, DType dtype) {
  return FromMemory(b_.CreateAlignedLoad(Memory(dtype), pointer, AlignOf(dtype)), dtype);
}

Datum VectorBuilder::LoadVector(Value* pointer, DType dtype, Value* mask) {
  llvm::FixedVectorType* type = Vector(Memory(dtype));
  Value* loaded = mask ? static_cast<Value*>(b_.CreateMaskedLoad(type, pointer, AlignOf(dtype), mask,
                                                                 llvm::Constant::getNullValue(type)))
                       : b_.CreateAlignedLoad(type, pointer, AlignOf(dtype));
  return FromMemory(loaded, dtype);
}

Datum VectorBuilder::LoadLanes(Value* pointer, Value* offsets, DType dtype, Value* mask) {
  llvm::FixedVectorType* type = Vector(Memory(dtype));
  if (!mask) mask = llvm::Constant::getAllOnesValue(Vector(b_.getInt1Ty()));
  return FromMemory(b_.CreateMaskedGather(type, At(pointer, offsets, dtype), AlignOf(dtype), mask,
                                          llvm::Constant::getNullValue(type)),
                    dtype);
}

void VectorBuilder::StoreScalar(Datum datum, Value* pointer) {
  b_.CreateAlignedStore(ToMemory(datum), pointer, AlignOf(datum.dtype));
}

void VectorBuilder::StoreVector(Datum datum, Value* pointer, Value* mask) {
  if (mask)
    b_.CreateMaskedStore(ToMemory(datum), pointer, AlignOf(datum.dtype), mask);
  else
    b_.CreateAlignedStore(ToMemory(datum), pointer, AlignOf(datum.dtype));
}

void VectorBuilder::StoreLanes(Datum datum, Value* pointer, Value* offsets, Value* mask) {
  if (!mask) mask = llvm::Constant::getAllOnesValue(Vector(b_.getInt1Ty()));
  b_.CreateMaskedScatter(ToMemory(datum), At(pointer, offsets, datum.dtype), AlignOf(datum.dtype), mask);
}

llvm::Constant* VectorBuilder::Zeros() {
  if (auto* found = module_.getNamedGlobal("heed_zeros")) return found;
  auto* type = llvm::ArrayType::get(b_.getInt8Ty(), 64);
  auto* zeros = new llvm::GlobalVariable(module_, type, true, llvm::GlobalValue::InternalLinkage,
                                         llvm::ConstantAggregateZero::get(type), "heed_zeros");
  zeros->setAlignment(llvm::Align(64));
  return zeros;
}

}  // namespace heed::backend
