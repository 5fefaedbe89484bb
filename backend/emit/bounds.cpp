// What differs from the arithmetic of elements: whole numbers stop at the ends of 32 bits, and a NaN wins.
#include "backend/emit/bounds.h"

#include "llvm/IR/Intrinsics.h"

namespace heed::backend {

using ir::DType;
using ir::OpKind;
using llvm::Intrinsic::ID;

Datum CodeAlgebra::Saturated(OpKind op, Datum x, Datum y) {
  if (x.dtype != DType::Int) return v_.Apply(op, {x, y}, x.dtype);
  llvm::IRBuilder<>& b = v_.b();
  if (op == OpKind::Mul)  // of fixed-point numbers without a fraction
    return {b.CreateIntrinsic(llvm::Intrinsic::smul_fix_sat, {x.value->getType()},
                              {x.value, y.value, b.getInt32(0)}),
            x.dtype};
  const ID saturating = op == OpKind::Add ? llvm::Intrinsic::sadd_sat : llvm::Intrinsic::ssub_sat;
  return {b.CreateBinaryIntrinsic(saturating, x.value, y.value), x.dtype};
}

Datum CodeAlgebra::Least(Datum x, Datum y) {
  llvm::IRBuilder<>& b = v_.b();
  if (x.dtype == DType::Bool) return {b.CreateAnd(x.value, y.value), x.dtype};
  const ID least = x.dtype == DType::Int ? llvm::Intrinsic::smin : llvm::Intrinsic::minimum;
  return {b.CreateBinaryIntrinsic(least, x.value, y.value), x.dtype};
}

Datum CodeAlgebra::Most(Datum x, Datum y) {
  llvm::IRBuilder<>& b = v_.b();
  if (x.dtype == DType::Bool) return {b.CreateOr(x.value, y.value), x.dtype};
  const ID most = x.dtype == DType::Int ? llvm::Intrinsic::smax : llvm::Intrinsic::maximum;
  return {b.CreateBinaryIntrinsic(most, x.value, y.value), x.dtype};
}

}  // namespace heed::backend
