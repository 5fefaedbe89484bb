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

/// Calls `visit` with every expression below and including `expr`, parents first.
void ForEachExpr(const Expr& expr, const std::function<void(const Expr&)>& visit);
/// The same for every expression of the statements, loops included.
void ForEachExpr(const std::vector<Stmt>& body, const std::function<void(const Expr&)>& visit);

}  // namespace heed::frontend
