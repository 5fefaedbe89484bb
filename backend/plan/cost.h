// What an op's class of cost (ir/op.h) weighs in each decision of the back end. Every decision has its own
// measure, found by timing models; here they stand side by side.
#pragma once

#include "ir/op.h"

namespace heed::backend {

struct OpCost {
  double again;    ///< in loads from memory: is a value kept for two loops, or computed again? (fuse.cpp)
  double between;  ///< in loads of a row that was just stored: is it kept between two stages? (arrange.cpp)
  int code;        ///< in instructions: are rows unrolled? (emit/loop.cpp)
  int score;       ///< in instructions: is a score computed for each register tile? (emit/hole.cpp)
};
/// Of one element of a pointwise op.
OpCost CostOfOp(ir::OpKind op);

}  // namespace heed::backend
