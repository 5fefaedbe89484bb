// Remarks of passes for people: equal layers say the same.
#pragma once

#include <string>
#include <vector>

#include "passes/pass.h"

namespace heed::passes {

/// Remarks that differ only in the numbers of an instance become one, at the place of the first:
/// "... (h.*.attn, 12 of them): ...". Equal ones are said once, with how often: "... (3 times)".
std::vector<std::string> OnceEach(const std::vector<Remark>& remarks);

}  // namespace heed::passes
