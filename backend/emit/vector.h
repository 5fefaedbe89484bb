// Element-wise code on vectors of one width: what loops, holes of attention and epilogues have in common.
// Every op has exactly one meaning here, that of ir/op_pointwise.cpp in f32 and int32, so that the same
// expression gives the same bits wherever it was fused. Private to the back end.
#pragma once

#include <string>
#include <vector>

#include "ir/op.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"

namespace heed::backend {

/// A scalar or a vector of `lanes` elements: float, i32 or i1 (bytes only in memory).
struct Datum {
  llvm::Value* value = nullptr;
  ir::DType dtype = ir::DType::Float;
  bool vector() const { return value->getType()->isVectorTy(); }
};

class VectorBuilder {
 public:
  VectorBuilder(llvm::Module& module, llvm::IRBuilder<>& builder, int lanes)
      : module_(module), b_(builder), lanes_(lanes) {}
  int lanes() const { return lanes_; }
  llvm::IRBuilder<>& b() { return b_; }
  llvm::Module& module() { return module_; }

  llvm::Type* Scalar(ir::DType dtype);
  llvm::Type* Memory(ir::DType dtype);  ///< of an element in memory
  llvm::FixedVectorType* Vector(llvm::Type* scalar);
  llvm::Value* I64(int64_t value) { return b_.getInt64(static_cast<uint64_t>(value)); }
  llvm::Value* Iota(llvm::Type* scalar);  ///< 0, 1, 2 ...
  llvm::Value* Splat(llvm::Value* scalar);
  Datum AsVector(Datum datum) { return datum.vector() ? datum : Datum{Splat(datum.value), datum.dtype}; }
  /// Lanes whose number is below `count` (i64, any size).
  llvm::Value* FirstLanes(llvm::Value* count);

  Datum Number(double value, ir::DType dtype);
  Datum Convert(Datum datum, ir::DType dtype);
  Datum Select(llvm::Value* condition, Datum yes, Datum no);  ///< any of them may be scalars
  /// A pointwise op with a result of type `dtype`.
  Datum Apply(ir::OpKind op, std::vector<Datum> arguments, ir::DType dtype);
  /// Dropout's factor: 1 where `dropout` (float) is 0. `key` is an i64, `site` an i32.
  Datum Keep(Datum example, Datum element, llvm::Value* site, double p, llvm::Value* key,
             llvm::Value* dropout);
  /// Noise of sampling: 0 where `dropout` is 0.
  Datum Gumbel(Datum example, Datum element, llvm::Value* site, llvm::Value* key, llvm::Value* dropout);

  /// A scalar or a vector in memory; `mask` null: all lanes. Masked lanes read 0.
  Datum LoadScalar(llvm::Value* pointer, ir::DType dtype);
  Datum LoadVector(llvm::Value* pointer, ir::DType dtype, llvm::Value* mask);
  /// `offsets`: a vector of i32 or i64, in elements.
  Datum LoadLanes(llvm::Value* pointer, llvm::Value* offsets, ir::DType dtype, llvm::Value* mask);
  void StoreScalar(Datum datum, llvm::Value* pointer);
  void StoreVector(Datum datum, llvm::Value* pointer, llvm::Value* mask);
  void StoreLanes(Datum datum, llvm::Value* pointer, llvm::Value* offsets, llvm::Value* mask);
  llvm::Value* At(llvm::Value* pointer, llvm::Value* offset, ir::DType dtype);  ///< offset in elements

  /// Adds (or the like) all lanes in a fixed tree: halves together, again and again.
  template <typename Combine>
  llvm::Value* Tree(llvm::Value* vector, Combine combine) {
    for (int half = lanes_ / 2; half >= 1; half /= 2) {
      std::vector<int> low(half), high(half);
      for (int i = 0; i < half; ++i) low[i] = i, high[i] = i + half;
      vector = combine(b_.CreateShuffleVector(vector, low), b_.CreateShuffleVector(vector, high));
    }
    return b_.CreateExtractElement(vector, uint64_t{0});
  }
  /// The larger of two floats or ints; a NaN wins, as in ir/interp.cpp.
  llvm::Value* Larger(llvm::Value* x, llvm::Value* largest);
  llvm::Constant* Zeros();  ///< 64 bytes of zeros, read where there is nothing to read

 private:
  /// Calls a vector function of random bits with `more` after the site; `off` where `dropout` is 0.
  Datum Random(const char* name, Datum example, Datum element, llvm::Value* site, llvm::Value* key,
               llvm::Value* dropout, std::vector<llvm::Value*> more, double off);
  /// Makes the arguments from `first` on of one type, and vectors if any argument is one.
  void Unify(std::vector<Datum>& arguments, size_t first, ir::DType as);
  /// All but calls; the numbers among the arguments are of type `dtype`, which is also the result's unless
  /// they are compared.
  llvm::Value* Compute(ir::Instruction instruction, const std::vector<Datum>& arguments, ir::DType dtype);
  /// Calls the kernels' function heed_v_NAME.
  llvm::Value* Math(std::string_view name, const std::vector<Datum>& arguments);
  llvm::Value* IntMod(llvm::Value* a, llvm::Value* b);
  llvm::Value* IntQuotient(llvm::Value* a, llvm::Value* b);
  llvm::Value* FloatMod(llvm::Value* a, llvm::Value* b);
  llvm::Value* FloatPow(Datum a, Datum b);
  Datum FromMemory(llvm::Value* value, ir::DType dtype);
  llvm::Value* ToMemory(Datum datum);

  llvm::Module& module_;
  llvm::IRBuilder<>& b_;
  int lanes_;
};

}  // namespace heed::backend
