// Texts that a `generate` entry makes for examples of any arguments.
#pragma once

#include <vector>

#include "runtime/commands/text_lines.h"
#include "runtime/data/argument_examples.h"

namespace heed {

/// As many examples from `first` on as are worked on at once: rows x tokens stay within `budget` where
/// examples have lengths. Results do not depend on it.
Batch NextExamples(const ArgumentExamples& examples, int64_t first, int64_t budget);
/// The results of each example of a batch, the best first: of a decoder on tensors, whose arguments become
/// these. Every text starts with what the entry's texts start with, then `job.prompt`.
Result<std::vector<std::vector<LineResult>>> AnswerExamples(Decoder& decoder, const LineJob& job,
                                                            const ArgumentExamples& examples,
                                                            const Batch& batch);

}  // namespace heed
