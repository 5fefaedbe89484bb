// Regular expressions of tokenizers: an expression, NUL, a text. Parts make up the text, and matching takes
// time in proportion to it (the fuzzer's own limit of time says so).
#include <string>

#include "runtime/base/utf8.h"
#include "runtime/text/pattern.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heed;
  if (size > 2048) return -1;
  const auto [expression, rest] = fuzz::Split(fuzz::Text(data, size));
  const Result<Pattern> pattern = Pattern::Compile(expression);
  if (!pattern) {
    fuzz::Require(!pattern.error().message.empty(), "a refusal has a message");
    return 0;
  }
  std::string text = RepairUtf8(rest);
  const auto check = [&] {
    std::string parts;
    pattern->ForEachPart(text, [&](std::string_view part, bool) {
      fuzz::Require(!part.empty(), "no part is empty");
      parts += part;
    });
    fuzz::Require(parts == text, "the parts make up the text");
  };
  check();
  for (const SplitBehavior behavior :
       {SplitBehavior::Removed, SplitBehavior::Isolated, SplitBehavior::Contiguous,
        SplitBehavior::MergedWithPrevious, SplitBehavior::MergedWithNext})
    SplitBy(*pattern, behavior, size % 2 == 0, text, [](std::string_view) {});
  // Long enough for more than one of the kept states.
  if (!text.empty())
    while (text.size() < 20000) text += text;
  check();
  return 0;
}
