// Which arguments of an entry are text, and the tensors made of rows of ids. The rule: a text is a
// whole-number argument with one axis, which is dynamic, and whose numbers index a static axis (the
// vocabulary).
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/data.h"
#include "runtime/engine.h"

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

/// Rows of ids of one argument.
using Rows = std::vector<std::span<const int32_t>>;
/// Inputs of a function: each text padded with 0 to its longest row, `len.AXIS` and `example` where the
/// function has them. `rows` and `texts` are parallel.
std::map<std::string, HostTensor> TextInputs(const HeedFunction& function,
                                             std::span<const TextArgument> texts, std::span<const Rows> rows,
                                             std::span<const int64_t> numbers);
/// The same for a batch of a data set; its columns and `texts` are parallel.
std::map<std::string, HostTensor> BatchInputs(const HeedFunction& function,
                                              std::span<const TextArgument> texts, const Dataset& data,
                                              const Batch& batch);

/// A result that is one number, as double. An error if there is none of that name.
Result<double> ScalarOf(const std::map<std::string, HostTensor>& results, const std::string& name);

}  // namespace heed
