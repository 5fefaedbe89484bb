// Bounds that generated code computes: the algebra of ir/interval.h on scalars of a VectorBuilder. Private to
// the back end.
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "backend/emit/vector.h"
#include "ir/interval.h"
#include "llvm/IR/Intrinsics.h"

namespace heed::backend {

class CodeAlgebra {
 public:
  using Value = Datum;
  using Bounds = ir::Interval<Datum>;
  /// `leaf` says what values are bounded by that are neither constant nor pointwise; none: unknown.
  CodeAlgebra(VectorBuilder& v, std::function<std::optional<Bounds>(ir::NodeId)> leaf)
      : v_(v), leaf_(std::move(leaf)) {}

  Datum Number(double number, ir::DType dtype) { return v_.Number(number, dtype); }
  Datum Convert(Datum x, ir::DType dtype) { return v_.Convert(x, dtype); }
  Datum Apply(ir::OpKind op, std::vector<Datum> x, ir::DType dtype) {
    return v_.Apply(op, std::move(x), dtype);
  }
  Datum Saturated(ir::OpKind op, Datum x, Datum y);
  Datum Least(Datum x, Datum y);
  Datum Most(Datum x, Datum y);
  Datum Select(Datum condition, Datum x, Datum y) { return v_.Select(condition.value, x, y); }
  std::optional<Bounds> Leaf(ir::NodeId id) { return leaf_(id); }

 private:
  VectorBuilder& v_;
  std::function<std::optional<Bounds>(ir::NodeId)> leaf_;
};

}  // namespace heed::backend
