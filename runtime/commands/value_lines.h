// A value entry on lines of text: what it computes for each line, as tables or as JSON on standard output.
#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "runtime/commands/result_printer.h"
#include "runtime/commands/text_lines.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/program.h"

namespace heed {

struct LinesOptions : ResultOptions {
  TextEnds ends;  ///< added to what EndsOf gives each text
};

/// `texts` are the entry's arguments and `paths` their files ("-": the standard input), which must have
/// equally many lines; they are worked on as they come. An error names the line that is too long or empty,
/// after those before it. Results are printed as ResultPrinter says.
Status ComputeOnLines(Engine& engine, const HeedEntry& entry, std::span<const TextArgument> texts,
                      std::span<const std::string> paths, const Tokenizer& tokenizer,
                      const Parameters& parameters, const LinesOptions& options, std::FILE* out);

}  // namespace heed
