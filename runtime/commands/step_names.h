// How a step of a compiled function is named to people: by kernel, by module, by line of the program.
#pragma once

#include <string>

#include "runtime/abi.h"

namespace heed {

/// The origin that the others of the step are computed for, or with; null if nothing is known of the step.
const HeedOrigin* OriginOf(const HeedStep& step);
/// "h.*.attn": equal layers under one name; "" outside all modules.
std::string ModuleOf(const HeedStep& step);
/// "lm.heed:19": where the program asks for it, which is not what the compiler brings along; "" if nowhere.
std::string LineOf(const HeedStep& step);
/// "contract h.0.attn lm.heed:19", and "gradient" after what differentiation made.
std::string NameOf(const HeedStep& step);

}  // namespace heed
