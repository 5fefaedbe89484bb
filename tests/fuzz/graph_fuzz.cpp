// Graphs as text: what parses is verified, and printing it gives a text that means the same.
#include "ir/text.h"
#include "ir/verify.h"
#include "tests/fuzz/fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heed;
  if (size > 16384) return -1;
  const auto parsed = ir::ParseGraph(fuzz::Text(data, size));
  if (!parsed) {
    fuzz::Require(!parsed.error().message.empty(), "a refusal has a message");
    return 0;
  }
  ir::Verify(**parsed);
  const std::string text = ir::Print(**parsed);
  const auto again = ir::ParseGraph(text);
  fuzz::Require(static_cast<bool>(again), "a printed graph parses");
  fuzz::Require(ir::Print(**again) == text, "printing again gives the same text");
  return 0;
}
