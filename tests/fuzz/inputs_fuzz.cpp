// Files of tensors that `call` is given, for every entry of a small program.
#include "runtime/commands/tensor_call.h"
#include "tests/fuzz/fuzz_support.h"
#include "tests/support/runtime_toy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heed;
  if (size > 65536) return -1;
  const Result<SafetensorsFile> file =
      SafetensorsFile::Open(fuzz::WriteFile("inputs.safetensors", fuzz::Text(data, size)));
  if (!file) return 0;
  for (int64_t i = 0; i < test::kToy.entry_count; ++i) {
    const Result<RawInputs> inputs = ReadInputs(*file, test::kToy, test::kToy.entries[i]);
    if (!inputs) {
      fuzz::Require(!inputs.error().message.empty(), "a refusal has a message");
      continue;
    }
    for (const auto& [root, lengths] : inputs->lengths)
      for (const int32_t length : lengths) fuzz::Require(length >= 0 && length <= 6, "lengths fit the axis");
  }
  return 0;
}
