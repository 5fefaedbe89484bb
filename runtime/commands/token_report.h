// The tokens of a data set one by one, for those who want to see what a tokenizer makes of a text, and how
// surprising each token is to a model.
#pragma once

#include <cstdio>
#include <optional>
#include <span>

#include "runtime/data/data.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/program.h"
#include "runtime/text/tokenizer.h"

namespace heed {

/// The `generate` entry whose logits give the last of `texts` from the others and from itself: it generates
/// over that text's axis and its sources are the others. Null if there is none.
const HeedEntry* LogitsEntry(const HeedProgram& program, std::span<const TextArgument> texts);

struct TokenReport {
  const HeedEntry* logits = nullptr;  ///< see LogitsEntry; null: no likelihoods
  std::span<const TextArgument> texts;
  const Tokenizer* tokenizer = nullptr;
  bool json = false;  ///< objects with `id`, `piece`, `nll`; else the three between tabs
};
/// Prints a line for each token, in order: texts of an example one after the other, each but the last without
/// likelihoods, and a blank line between examples of several texts. Returns the sum of the likelihoods in
/// nats, negative, or nothing without an entry for them.
Result<std::optional<double>> ReportTokens(const TokenReport& report, const Dataset& data, Engine& engine,
                                           const Parameters& parameters, std::FILE* out);

}  // namespace heed
