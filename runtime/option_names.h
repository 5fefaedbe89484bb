// Names of options that the compiler keeps free for the programs it makes. Includes nothing of Heed.
#ifndef HEED_RUNTIME_OPTION_NAMES_H_
#define HEED_RUNTIME_OPTION_NAMES_H_

#include <string_view>

namespace heed {

/// Of an entry that computes a value of texts: each text is an option as well, by the argument's name, so no
/// argument may have one of these. They are what the command declares; a test compares.
inline constexpr std::string_view kTextEntryOptions[] = {
    "bos", "data",    "eos",       "h",       "help",      "inputs", "json",    "mean",
    "o",   "outputs", "precision", "threads", "tokenizer", "value",  "weights", "weights-type"};

}  // namespace heed

#endif  // HEED_RUNTIME_OPTION_NAMES_H_
