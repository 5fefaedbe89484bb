// Outputs of compiled functions that say whether something impossible was needed, such as a read past an end:
// their memory, and what they say after a run.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "runtime/abi.h"
#include "runtime/engine/engine.h"

namespace heed {

class BoundCall;

class CheckOutputs {
 public:
  CheckOutputs() = default;
  /// Memory for runs of at most these extents, bound to the call.
  CheckOutputs(BoundCall& call, std::span<const int64_t> extents);
  /// After a run of `rows` examples at most. The error names place, value and example, as `name_of` does.
  Status Outcome(int64_t rows, const std::function<std::string(int64_t)>& name_of = {}) const;

 private:
  const HeedFunction* function_ = nullptr;
  std::vector<HostTensor> values_;
};

}  // namespace heed
