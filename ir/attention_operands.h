// Which operand of an attention, or of the gradient of one, is which: numbers of a node's inputs. The
// cotangent that an AttentionGrad is (its `index`) is numbered as the operand it is the cotangent of.
#pragma once

#include "ir/graph.h"

namespace heed::ir {

class AttentionOperands {
 public:
  static constexpr size_t kQuery = 0, kKey = 1, kValue = 2;
  explicit AttentionOperands(const Attributes& attention) : captures_(attention.captures) {}

  size_t captures() const { return captures_; }
  static size_t capture(size_t number) { return kValue + 1 + number; }
  static bool IsCapture(size_t operand) { return operand > kValue; }
  static size_t CaptureNumber(size_t operand) { return operand - capture(0); }
  size_t forward() const { return capture(captures_); }  ///< how many an Attention has

  // Further ones of an AttentionGrad.
  size_t output() const { return forward(); }
  size_t log_sum_exp() const { return forward() + 1; }
  size_t d_output() const { return forward() + 2; }
  size_t backward() const { return forward() + 3; }  ///< how many an AttentionGrad has, or one more:
  size_t d_log_sum_exp() const { return forward() + 3; }

 private:
  size_t captures_;
};

}  // namespace heed::ir
