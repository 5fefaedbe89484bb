// Axes in the words of a program, for messages and drawings: names that only the compiler uses are put as
// their author would.
#pragma once

#include <string>

#include "ir/axis.h"

namespace heed::ir {

/// key for key~1, seq for seq^, "seq' - seq" for seq-, "seq' in a ring of 512" for seq'%512+256.
std::string Spoken(Axis axis);
std::string Spoken(const AxisList& axes);  ///< "heads, key, seq"

}  // namespace heed::ir
