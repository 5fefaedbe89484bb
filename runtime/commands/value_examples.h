// A value entry on examples of any arguments: results printed, their mean, or all of them in a file.
#pragma once

#include <string>

#include "runtime/commands/result_printer.h"
#include "runtime/data/argument_examples.h"
#include "runtime/text/tokenizer.h"

namespace heed {

struct ExamplesOptions : ResultOptions {
  bool mean = false;  ///< print only the mean over the examples, of an entry that gives one number
  std::string
      outputs;  ///< a safetensors file for the results, under the entry's name; empty: they are printed
};

/// Computes on the examples in their order, a few at a time. Texts name the rows of tables if there is a
/// `tokenizer` (it may be null).
Status ComputeOnExamples(Engine& engine, const HeedEntry& entry, const ArgumentExamples& examples,
                         const Tokenizer* tokenizer, const Parameters& parameters,
                         const ExamplesOptions& options, std::FILE* out);

}  // namespace heed
