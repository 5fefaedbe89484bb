// See arguments.h.
#include "runtime/data/arguments.h"

#include <limits>

#include "runtime/base/names.h"
#include "runtime/engine/program.h"

namespace heed {

const HeedAxis* VocabularyOf(const HeedProgram& program) {
  for (const HeedEntry* entry : EntriesOfKind(program, kHeedEntryGenerate))
    if (entry->indexes != nullptr) return FindAxis(program, entry->indexes);
  const HeedAxis* largest = nullptr;
  for (int64_t e = 0; e < program.entry_count; ++e) {
    for (int64_t a = 0; a < program.entries[e].argument_count; ++a) {
      const auto text = AsText(program, program.entries[e].arguments[a]);
      if (!text || (largest != nullptr && text->vocabulary <= largest->size)) continue;
      largest = FindAxis(program, text->indexes);
    }
  }
  return largest;
}

std::vector<DataArgument> DataArguments(const HeedProgram& program, const HeedEntry& entry) {
  const HeedAxis* const vocabulary = VocabularyOf(program);
  std::vector<DataArgument> all;
  for (int64_t a = 0; a < entry.argument_count; ++a) {
    const HeedArgument& from = entry.arguments[a];
    DataArgument& to = all.emplace_back();
    to.name = from.name;
    to.dtype = static_cast<HeedDType>(from.dtype);
    if (from.indexes != nullptr) to.indexes = FindAxis(program, from.indexes);
    to.tokens = to.indexes != nullptr && to.indexes == vocabulary;
    for (int64_t d = 0; d < from.rank; ++d)
      to.dims.push_back(
          {from.dims[d].axis, RootOf(from.dims[d].axis), from.dims[d].size, from.dynamic[d] != 0});
  }
  return all;
}

std::string FormOf(const DataArgument& argument) {
  if (argument.IsText()) return "a text, or a list of ids";
  const bool one = argument.dims.empty();
  std::string form = one ? "a number" : "numbers";
  if (argument.dtype == kHeedBool8) form = one ? "true or false" : "true and false";
  if (argument.dtype == kHeedInt32) form = one ? "a whole number" : "whole numbers";
  if (argument.tokens) {
    form = one ? "a token, or its id" : "tokens, or their ids";
  } else if (argument.indexes != nullptr && argument.indexes->enumerator_count > 0) {
    const std::vector<std::string> names(argument.indexes->enumerators,
                                         argument.indexes->enumerators + argument.indexes->enumerator_count);
    form = std::string(one ? "a name of `" : "names of `") + argument.indexes->name + "` (" +
           ListNames(names) + ") or " + (one ? "its number" : "their numbers");
  } else if (argument.indexes != nullptr && argument.indexes->dynamic == 0) {
    form += " from 0 to " + std::to_string(argument.indexes->size - 1);
  }
  for (size_t d = 0; d < argument.dims.size(); ++d) {
    const DataArgument::Dim& dim = argument.dims[d];
    form += (d == 0 ? " [" : ", ") + dim.axis + (dim.ragged ? "" : "=" + std::to_string(dim.size));
  }
  return one ? form : form + "]";
}

std::string TensorTypesOf(const DataArgument& argument) {
  if (argument.dtype == kHeedFloat32) return "F32, F16, BF16 or F64";
  return argument.dtype == kHeedInt32 ? "I32 or I64" : "BOOL or U8";
}

std::string ProblemOf(const DataArgument& argument, int64_t value) {
  const std::string is = "is " + std::to_string(value);
  if (argument.dtype == kHeedBool8) return value == 0 || value == 1 ? "" : is + "; a bool is 0 or 1";
  if (value < std::numeric_limits<int32_t>::min() || value > std::numeric_limits<int32_t>::max())
    return is + ", which is no 32-bit number";
  if (argument.indexes == nullptr || argument.indexes->dynamic != 0) return "";
  if (value >= 0 && value < argument.indexes->size) return "";
  return is + "; " + argument.indexes->name + " has " + std::to_string(argument.indexes->size) + " elements";
}

}  // namespace heed
