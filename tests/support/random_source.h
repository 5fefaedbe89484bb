// Random programs as text in the Heed language, from a seed: what the front end, and everything behind it, is
// tried on.
//
// The programs are well typed but for a few, and use the whole language: axes of every kind, constants,
// functions and modules with axis arguments, parts and stacks, loops, parameters with every initial value,
// entries of all kinds. So that f32 may be compared with f64, numbers stay of moderate size, and what jumps
// (floor, comparisons, argmax, %) is only applied to numbers that are exact in f32: entries are meant to be
// called on small multiples of 1/8 (SourceValue).
#pragma once

#include <cstdint>
#include <string>

namespace heed::test {

struct SourceOptions {
  uint64_t seed = 1;
  /// Reads along dynamic axes at places that are computed from data.
  bool dynamic_reads = true;
  /// Values that are read at several computed places, one after the other.
  bool several_indices = true;
  /// `generate` entries whose network does not look at the text.
  bool ignored_text = true;
};

std::string RandomSource(const SourceOptions& options);

/// An argument or parameter of a program from RandomSource: a multiple of 1/8 from -2 to 2.
double SourceValue(uint64_t random);

}  // namespace heed::test
