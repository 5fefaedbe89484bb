// Questions about a program as abi.h describes it: its axes and entries by name, and which arguments of an
// entry are text. The rule: a text is a whole-number argument with one axis, which is dynamic, and whose
// numbers index a static axis (the vocabulary).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/abi.h"
#include "runtime/base/result.h"

namespace heed {

struct TextArgument {
  std::string name;        ///< "x"
  std::string axis;        ///< "src"
  int64_t bound = 0;       ///< of that axis; 0: none
  std::string indexes;     ///< "vocab"
  int64_t vocabulary = 0;  ///< its size
};

/// The declared axis of that name, or null.
const HeedAxis* FindAxis(const HeedProgram& program, std::string_view name);
/// "seq" of "seq'" and "seq^".
std::string RootOf(std::string_view axis);
/// "x: vocab[src]", "m[src, model]".
std::string ArgumentText(const HeedArgument& argument);
/// The text that an argument is, or nothing.
std::optional<TextArgument> AsText(const HeedProgram& program, const HeedArgument& argument);
/// All arguments of an entry, if all are text and each has its own axis; else an error that names the first
/// that is not, and says that `call` takes tensors.
Result<std::vector<TextArgument>> TextArguments(const HeedProgram& program, const HeedEntry& entry);

/// The entry of that name, or an error that lists what there is.
Result<const HeedEntry*> FindEntry(const HeedProgram& program, const std::string& name);
/// The entries of a kind, in the order of the program.
std::vector<const HeedEntry*> EntriesOfKind(const HeedProgram& program, HeedEntryKind kind);

/// What a checkpoint says of the program that wrote it: its text, the files that imports, the compiler.
std::map<std::string, std::string> ProgramMetadata(const HeedProgram& program);
/// "layers.heed, norms.heed"; "" if the program imports nothing.
std::string ImportsText(const HeedProgram& program);

}  // namespace heed
