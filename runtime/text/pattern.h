// Regular expressions of the kind that tokenizers cut texts with: alternatives, classes of characters with
// Unicode categories, repetition, and a look at the next character. The first alternative that matches wins,
// as in the matchers such expressions are written for. Matching takes time in proportion to the text whatever
// the expression is; expressions that go beyond are refused by name when they are read.
//
// How: what can still match is a set of places in the expression, and the sets of all positions are found
// from the end of the text backwards, by one table. Forwards, the first alternative whose place is in the set
// is then known to succeed; nothing is tried twice. Only every 4096th set is kept, the others are found
// again.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace heed {

class Pattern {
 public:
  /// The syntax of Oniguruma, of which this is supported: characters and escapes (\r \n \t \s \S \d \D \w \W
  /// \p{L} \P{Lu} \x41 \x{1F600} \u00E9), `.`, classes with ranges, negation and classes in them, groups,
  /// (?i: ) for ASCII letters, | ? * + {m,n}, lazy and possessive ones, and (?=x), (?!x) of one character. An
  /// expression that may match nothing is refused.
  static Result<Pattern> Compile(std::string_view expression);
  /// Just this text, which must not be empty.
  static Pattern Literal(std::string_view text);

  /// Consecutive parts that make up the text (valid UTF-8): matches, and what lies between them.
  void ForEachPart(std::string_view text,
                   const std::function<void(std::string_view part, bool match)>& visit) const;

 private:
  friend class PatternCompiler;
  enum class Kind : uint8_t { Character, Split, Jump, Look, Match };
  // Character: one of `set`, then the next instruction. Split: `to` or else `other`. Look: the next
  // instruction if the next character is (or, `negated`, is not) one of `set`.
  struct Instruction {
    Kind kind;
    bool negated = false;
    uint32_t set = 0, to = 0, other = 0;
  };
  using StateId = uint32_t;

  uint32_t ClassOf(char32_t c) const;
  bool Lives(StateId state, uint32_t instruction) const {
    return (live_[state * words_ + instruction / 64] >> instruction % 64 & 1) != 0;
  }

  std::string literal_;  // not empty: nothing else counts
  std::vector<Instruction> program_;
  std::vector<char32_t> bounds_;   // first characters of ranges of equal class
  std::vector<uint32_t> classes_;  // of each range
  std::vector<uint32_t> ascii_;    // class of each ASCII character
  uint32_t class_count_ = 0;       // and one more: the end of the text
  size_t words_ = 0;               // 64-bit words of a state's set
  std::vector<uint64_t> live_;     // of each state: the instructions from which there is a match
  std::vector<StateId> before_;    // [state, class]: the state before a character of that class
  StateId end_ = 0;                // the state at the end of the text
};

/// What becomes of matches when a text is split by a pattern.
enum class SplitBehavior { Removed, Isolated, Contiguous, MergedWithPrevious, MergedWithNext };
/// The parts of a text split so. `invert`: matches and what lies between them change places.
void SplitBy(const Pattern& pattern, SplitBehavior behavior, bool invert, std::string_view text,
             const std::function<void(std::string_view part)>& visit);

}  // namespace heed
