// A value entry on lines of text: what it computes for each line, as tables or as JSON on standard output.
#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "runtime/commands/text_lines.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/program.h"

namespace heed {

struct LinesOptions {
  bool json = false;   ///< one JSON value a line
  int precision = -1;  ///< digits after the point; -1: two in tables, nine that count in single numbers
  int64_t width = 80;  ///< of tables, in columns
  TextEnds ends;       ///< added to what EndsOf gives each text
};

/// `texts` are the entry's arguments and `paths` their files ("-": the standard input), which must have
/// equally many lines; they are worked on as they come. An error names the line that is too long or empty,
/// after those before it.
///
/// A result without axes is a line of `out` for each example. One with axes is a heading, a table whose rows
/// and columns have the words as names where their axis is that of a text, and an empty line. As JSON each
/// line is a number, or nested arrays in the result's declared axes at the example's own lengths; what is not
/// finite is null.
Status ComputeOnLines(Engine& engine, const HeedEntry& entry, std::span<const TextArgument> texts,
                      std::span<const std::string> paths, const Tokenizer& tokenizer,
                      const Parameters& parameters, const LinesOptions& options, std::FILE* out);

}  // namespace heed
