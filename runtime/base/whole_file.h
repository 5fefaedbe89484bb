// Reading a file as bytes. What they mean is the caller's business.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "runtime/base/result.h"

namespace heed {

/// All bytes of a file or pipe; an error names the path and says why it cannot be read. More than `at_most`
/// bytes are an error.
Result<std::string> ReadWholeFile(const std::string& path,
                                  int64_t at_most = std::numeric_limits<int64_t>::max());

}  // namespace heed
