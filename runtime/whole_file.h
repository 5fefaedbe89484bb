// Reading a file as bytes. What they mean is the caller's business.
#pragma once

#include <string>

#include "runtime/result.h"

namespace heed {

/// All bytes of a file or pipe; an error names the path and says why it cannot be read.
Result<std::string> ReadWholeFile(const std::string& path);

}  // namespace heed
