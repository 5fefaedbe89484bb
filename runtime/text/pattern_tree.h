// Regular expressions as trees, between reading (pattern_parse.cpp) and code (pattern_compile.cpp). Private
// to Pattern.
#pragma once

#include <algorithm>
#include <compare>
#include <memory>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace heed {

constexpr char32_t kLastCharacter = 0x10FFFF;
/// Instructions of an expression, and so the most that a repetition can mean.
constexpr size_t kLargestProgram = 1000;

/// Characters as sorted ranges that neither overlap nor touch.
class CharacterSet {
 public:
  struct Range {
    char32_t first, last;
    auto operator<=>(const Range&) const = default;
  };
  CharacterSet() = default;
  CharacterSet(char32_t first, char32_t last) : ranges_{{first, last}} {}
  explicit CharacterSet(std::vector<Range> ranges) : ranges_(std::move(ranges)) {}  ///< sorted, apart
  void Add(const CharacterSet& other);
  void Negate();
  bool Has(char32_t c) const;
  const std::vector<Range>& ranges() const { return ranges_; }
  auto operator<=>(const CharacterSet&) const = default;

 private:
  std::vector<Range> ranges_;
};

/// A part of an expression.
struct PatternNode {
  enum class Kind { Set, Sequence, Alternatives, Repeat, Look } kind = Kind::Sequence;
  enum class Greed { Greedy, Lazy, Possessive };
  CharacterSet set;  // Set, Look
  std::vector<std::unique_ptr<PatternNode>> children;
  int least = 0, most = -1;  // Repeat; -1: any number
  Greed greed = Greed::Greedy;
  bool negated = false;  // Look

  bool MayBeEmpty() const;
};
using PatternNodePtr = std::unique_ptr<PatternNode>;

/// The tree of an expression in UTF-8, which matches at least one character; or what is wrong, as the end of
/// a sentence.
Result<PatternNodePtr> ParsePattern(std::string_view expression);

}  // namespace heed
