// Text -> syntax tree. Recursive descent; recovers at the next declaration or statement, so one run reports
// several mistakes.
#pragma once

#include "frontend/ast.h"
#include "frontend/diagnostics.h"

namespace heed::frontend {

/// Always returns a tree; it is complete only if no error was reported. Nesting is bounded (an error, not a
/// crash).
SyntaxTree Parse(const SourceFile& file, Diagnostics& diagnostics);

/// The program in its normal layout (`heed fmt`), comments kept. `parens`: with every grouping written out.
std::string Format(const SyntaxTree& tree, bool parens = false);

}  // namespace heed::frontend
