// See cost.h.
#include "backend/plan/cost.h"

namespace heed::backend {

OpCost CostOfOp(ir::OpKind op) {
  const ir::OpInfo& info = ir::Info(op);
  if (info.family != ir::Family::Pointwise)
    throw ir::InternalError("the cost of an element of " + std::string(info.name));
  switch (info.cost) {
    case ir::Cost::Arithmetic:
      return {.again = 0.2, .between = 0.3, .code = 1, .score = 1};
    case ir::Cost::Remainder:
      return {.again = 0.2, .between = 0.3, .code = 30, .score = 1};
    case ir::Cost::Division:
      return {.again = 0.2, .between = 1.5, .code = 4, .score = 3};
    case ir::Cost::Function:
      return {.again = 4, .between = 5, .code = 14, .score = 101};
    case ir::Cost::LongFunction:
      return {.again = 4, .between = 5, .code = 24, .score = 101};
    case ir::Cost::Power:
      return {.again = 4, .between = 5, .code = 40, .score = 101};
  }
  throw ir::InternalError("no such class of cost");
}

}  // namespace heed::backend
