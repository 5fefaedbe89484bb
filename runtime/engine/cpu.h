// Whether this processor can run what the program was compiled for, asked before any compiled code runs.
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace heed {

/// `levels` as in HeedProgram::cpu_level: gcc's names ("x86-64-v3", "znver4"), separated by commas if the
/// binary holds several; one that runs is enough. `forced`: the value of HEED_TARGET, or empty. An error
/// lists the missing features. Names that are not known here pass.
Status CheckCpu(const std::string& levels, const std::string& forced);

}  // namespace heed
