// What can be said of a program without knowing any axes: names, counts of arguments, scopes, recursion.
//
// Every function is checked, called or not, each place once. Afterwards the elaborator meets names that
// resolve (or that were reported, and then it stays silent). What this file leaves alone: axes and types of
// values, which depend on the call (elaborate.h).
#pragma once

#include "frontend/names.h"

namespace heed::frontend {

/// Reports; marks recursive functions and fills Function::mentions.
void CheckNames(const Declarations& declarations, Diagnostics& diagnostics);

}  // namespace heed::frontend
