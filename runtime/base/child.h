// Running another program to its end. No shell takes part.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace heed {

struct ChildEnd {
  bool too_slow = false;  ///< ended because its time was up
  int status = 0;         ///< exit status, or 128 + the signal that ended it
  std::string output;     ///< of its standard output; with `errors` also of its standard error
};

/// `command[0]` is a path, or a name looked for on PATH. The program leads a process group of its own:
/// EndUnfinished ends it and what it started, also if the signal came from the terminal. An error if it could
/// not be run. After `seconds`, if given, it is ended.
Result<ChildEnd> RunChild(const std::vector<std::string>& command, std::string_view input, bool errors,
                          std::optional<int> seconds = std::nullopt);

/// Where PATH has an executable of that name; empty if it has none.
std::string OnPath(const std::string& program);

}  // namespace heed
