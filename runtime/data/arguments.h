// What the arguments of an entry take of files: their types, axes and lengths, and which of them are texts.
// One rule for records, tensors and the command line.
#pragma once

#include <string>
#include <vector>

#include "runtime/abi.h"
#include "runtime/base/result.h"

namespace heed {

struct DataArgument {
  struct Dim {
    std::string axis, root;  ///< "seq'", "seq"
    int64_t size = 0;        ///< of a ragged one its bound; 0: none
    bool ragged = false;     ///< examples differ
  };
  std::string name;
  HeedDType dtype = kHeedFloat32;
  const HeedAxis* indexes = nullptr;  ///< whose elements its numbers are, or null
  std::vector<Dim> dims;
  bool tokens = false;  ///< its elements are those of the program's vocabulary
  /// It goes through the tokenizer: tokens along one ragged axis.
  bool IsText() const { return tokens && dims.size() == 1 && dims[0].ragged; }
};

/// The axis whose elements are tokens: what `generate` entries make, else the largest that has no names among
/// those that arguments along a ragged axis index. Null if there is none.
const HeedAxis* VocabularyOf(const HeedProgram& program);
/// The arguments of an entry, as they are declared, the prompt of a `generate` entry included.
std::vector<DataArgument> DataArguments(const HeedProgram& program, const HeedEntry& entry);
/// What a value of it is in a record or a line, for messages and help: "a text", "a name of `label` (no, yes)
/// or its number", "numbers [frame, mel=16]".
std::string FormOf(const DataArgument& argument);
/// The types of tensors that it takes: "F32, F16, BF16 or F64".
std::string TensorTypesOf(const DataArgument& argument);
/// Why a whole number cannot be one of its elements, or "".
std::string ProblemOf(const DataArgument& argument, int64_t value);

}  // namespace heed
