// Element-wise code on vectors. Transcendental functions are calls of the kernels' heed_v_*, inlined later;
// everything else is plain IR. No fast-math flag is ever set.
#include "backend/emit/vector.h"

#include <limits>
#include <utility>

#include "llvm/IR/Constants.h"
#include "llvm/IR/Intrinsics.h"

namespace heed::backend {

using ir::DType;
using ir::Instruction;
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
          Compute(Instruction::NotEqual,
                  {datum, {llvm::Constant::getNullValue(datum.value->getType()), datum.dtype}}, datum.dtype),
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

Value* VectorBuilder::Larger(Value* x, Value* largest) {
  if (!x->getType()->isFPOrFPVectorTy()) return b_.CreateSelect(b_.CreateICmpSGT(x, largest), x, largest);
  Value* replaces = b_.CreateOr(b_.CreateFCmpOGT(x, largest), b_.CreateFCmpUNO(x, x));
  return b_.CreateSelect(replaces, x, largest);
}

Value* VectorBuilder::Math(std::string_view name, const std::vector<Datum>& arguments) {
  bool vector = false;
  for (const Datum& argument : arguments) vector |= argument.vector();
  std::vector<Value*> values;
  std::vector<llvm::Type*> types;
  for (const Datum& argument : arguments) {
    values.push_back(AsVector(Convert(argument, DType::Float)).value);
    types.push_back(values.back()->getType());
  }
  auto function = module_.getOrInsertFunction("heed_v_" + std::string(name),
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

Value* VectorBuilder::IntQuotient(Value* a, Value* b) {
  llvm::Type* type = a->getType();
  Value* zero = llvm::ConstantInt::get(type, 0);
  Value* one = llvm::ConstantInt::get(type, 1);
  // By 0: 0. By -1 the machine's division could trap.
  Value* trivial = b_.CreateICmpULE(b_.CreateAdd(b, one), one);
  Value* quotient = b_.CreateExactSDiv(b_.CreateSub(a, IntMod(a, b)), b_.CreateSelect(trivial, one, b));
  return b_.CreateSelect(trivial, b_.CreateSelect(b_.CreateICmpEQ(b, zero), zero, b_.CreateNeg(a)), quotient);
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

void VectorBuilder::Unify(std::vector<Datum>& arguments, size_t first, DType as) {
  bool vector = false;
  for (const Datum& argument : arguments) vector |= argument.vector();
  for (size_t i = first; i < arguments.size(); ++i) {
    arguments[i] = Convert(arguments[i], as);
    if (vector) arguments[i] = AsVector(arguments[i]);
  }
}

namespace {

/// The type that all of them fit in.
DType CommonType(const std::vector<Datum>& arguments) {
  DType common = DType::Bool;
  for (const Datum& argument : arguments) {
    if (argument.dtype == DType::Float || common == DType::Float)
      common = DType::Float;
    else if (argument.dtype == DType::Int)
      common = DType::Int;
  }
  return common;
}

}  // namespace

Datum VectorBuilder::Apply(OpKind op, std::vector<Datum> arguments, DType dtype) {
  const ir::OpInfo& info = ir::Info(op);
  if (info.family != ir::Family::Pointwise)
    throw InternalError("a vector of " + std::string(info.name) + ", which is not pointwise");
  // Conditions stay what they are; numbers that are compared become those that all fit in.
  const size_t first = info.vector.instruction == Instruction::Select ? 1 : 0;
  const DType numbers = info.elements == ir::Elements::Compared ? CommonType(arguments) : dtype;
  Unify(arguments, first, numbers);
  if (info.vector.instruction == Instruction::Call) return {Math(info.vector.function, arguments), dtype};
  return {Compute(info.vector.instruction, arguments, numbers), dtype};
}

Value* VectorBuilder::Compute(Instruction instruction, const std::vector<Datum>& arguments, DType dtype) {
  Value* x = arguments[0].value;
  Value* y = arguments.size() > 1 ? arguments[1].value : nullptr;
  const bool is_float = dtype == DType::Float;
  const auto zero = [&] { return llvm::Constant::getNullValue(x->getType()); };
  const auto less = [&](Value* a, Value* b) {
    return is_float ? b_.CreateFCmpOLT(a, b) : b_.CreateICmpSLT(a, b);
  };
  using P = llvm::CmpInst::Predicate;
  const auto compare = [&](P floats, P ints, P bools) {
    return b_.CreateCmp(is_float ? floats : dtype == DType::Bool ? bools : ints, x, y);
  };
  switch (instruction) {  // no default: one without code does not compile
    case Instruction::Abs:
      return is_float ? b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x)
                      : b_.CreateBinaryIntrinsic(llvm::Intrinsic::abs, x, b_.getFalse());
    case Instruction::Add:
      return is_float ? b_.CreateFAdd(x, y) : b_.CreateAdd(x, y);
    case Instruction::And:
      return b_.CreateAnd(x, y);
    case Instruction::Copy:
      return x;
    case Instruction::Divide:
      return b_.CreateFDiv(x, y);
    case Instruction::Equal:
      return compare(P::FCMP_OEQ, P::ICMP_EQ, P::ICMP_EQ);
    case Instruction::Floor:
      return is_float ? b_.CreateUnaryIntrinsic(llvm::Intrinsic::floor, x) : x;
    case Instruction::Greater:
      return compare(P::FCMP_OGT, P::ICMP_SGT, P::ICMP_UGT);
    case Instruction::GreaterEqual:
      return compare(P::FCMP_OGE, P::ICMP_SGE, P::ICMP_UGE);
    case Instruction::Larger:
      return b_.CreateSelect(less(x, y), y, x);
    case Instruction::Less:
      return compare(P::FCMP_OLT, P::ICMP_SLT, P::ICMP_ULT);
    case Instruction::LessEqual:
      return compare(P::FCMP_OLE, P::ICMP_SLE, P::ICMP_ULE);
    case Instruction::Multiply:
      return is_float ? b_.CreateFMul(x, y) : b_.CreateMul(x, y);
    case Instruction::Negate:
      return is_float ? b_.CreateFNeg(x) : b_.CreateNeg(x);
    case Instruction::Not:
      return b_.CreateNot(x);
    case Instruction::NotEqual:
      return compare(P::FCMP_UNE, P::ICMP_NE, P::ICMP_NE);
    case Instruction::Or:
      return b_.CreateOr(x, y);
    case Instruction::Power:
      return FloatPow(arguments[0], arguments[1]);
    case Instruction::Quotient:
      return is_float ? b_.CreateUnaryIntrinsic(llvm::Intrinsic::floor, b_.CreateFDiv(x, y))
                      : IntQuotient(x, y);
    case Instruction::Relu:
      return b_.CreateSelect(less(x, zero()), zero(), x);
    case Instruction::Remainder:
      return is_float ? FloatMod(x, y) : IntMod(x, y);
    case Instruction::Root:
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x);
    case Instruction::Select:
      return Select(Convert(arguments[0], DType::Bool).value, arguments[1], arguments[2]).value;
    case Instruction::Smaller:
      return b_.CreateSelect(less(y, x), y, x);
    case Instruction::Subtract:
      return is_float ? b_.CreateFSub(x, y) : b_.CreateSub(x, y);
    case Instruction::Call:
      break;
  }
  throw InternalError("a call is no instruction");
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
