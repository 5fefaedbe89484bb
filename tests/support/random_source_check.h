// What must hold of any program that the compiler accepts, tried on one text.
#pragma once

#include <cstdint>
#include <string>

namespace heed::test {

struct SourceOutcome {
  bool accepted = false;
  std::string refusal;  ///< the first message, if not
  std::string failure;  ///< what does not hold; "": everything does
  int functions = 0;    ///< compiled to native code
};

/// Formats and compiles `text`; of every entry compares native code with the interpreter on a ragged batch:
/// values, losses, gradients, sums in another batch and with more threads (the same bits), steps of decoding
/// against the whole (the same bits), and some gradients with finite differences. `seed` is that of the
/// numbers.
SourceOutcome CheckSource(const std::string& text, uint64_t seed);

/// The same in a process of its own: a crash, or more than two minutes of work, is a failure like others.
SourceOutcome CheckSourceApart(const std::string& text, uint64_t seed);

/// The program without the lines that can be left out so that CheckSourceApart still finds a fault.
/// Slow.
std::string ReducedSource(const std::string& text, uint64_t seed);

}  // namespace heed::test
