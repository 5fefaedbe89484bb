// What bodies reach: the functions they call, with the cycles among those, and the axes they mention.
#pragma once

#include "frontend/names.h"

namespace heed::frontend {

/// Marks imported functions that nothing of the program reaches.
void MarkIdle(const Declarations& declarations);

/// Reports functions that reach themselves, and marks them; idle ones are left alone.
void CheckRecursion(const Declarations& declarations, Diagnostics& diagnostics);

/// Fills Function::mentions and twins: the global axes that occur in values of the body, which are those it
/// writes and those its callees declare in their results. Sizes |a| and element types bring no axis.
void CollectMentions(const Declarations& declarations, Function& function);

/// Calls `visit` with every expression below and including `expr`, parents first.
void ForEachExpr(const Expr& expr, const std::function<void(const Expr&)>& visit);
/// The same for every expression of the statements, loops included.
void ForEachExpr(const std::vector<Stmt>& body, const std::function<void(const Expr&)>& visit);

}  // namespace heed::frontend
