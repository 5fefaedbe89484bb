// The files of a program: its own and, through `import "FILE"`, those whose declarations it shares.
//
// A name is relative to the folder of the file that says it. A file is one file, by whatever ways it is
// reached, and none imports itself. What this file leaves alone: what the declarations of several files mean
// together (names.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "frontend/ast.h"
#include "frontend/diagnostics.h"
#include "frontend/program.h"

namespace heed::frontend {

struct ProgramFile {
  const SourceFile* source = nullptr;
  SyntaxTree tree;
  std::set<const SourceFile*> imports;  ///< those that its own imports say included
};

/// The program's own file, then those it imports: a file after all that import it. Parses them all and adds
/// their texts to `texts`, where the program's own is the last one at first. Reports what cannot be read.
std::vector<ProgramFile> ReadFiles(std::vector<std::unique_ptr<SourceFile>>& texts, const TextReader& read,
                                   Diagnostics& diagnostics);

}  // namespace heed::frontend
