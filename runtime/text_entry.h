// A value entry on lines of text: one example a line, one JSON value a line on standard output.
#pragma once

#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "runtime/engine.h"
#include "runtime/text_inputs.h"
#include "runtime/tokenizer.h"

namespace heed {

/// `texts` are the entry's arguments and `paths` their files, which must have equally many lines. As in
/// training, the last of several texts has begin and end tokens and the others an end token; a single text
/// has both. Each line of `out` is a number, or nested arrays in the result's declared axes at the example's
/// own lengths; what is not finite is null. An error names the line that is too long.
Status ComputeOnLines(Engine& engine, const HeedEntry& entry, std::span<const TextArgument> texts,
                      std::span<const std::string> paths, const Tokenizer& tokenizer,
                      const ParameterBlock& parameters, std::FILE* out);

}  // namespace heed
