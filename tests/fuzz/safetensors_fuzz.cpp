// Safetensors files, alone or behind an index (the index, NUL, and the bytes of the file `shard`): opened,
// every element read, and looked through for the parameters of a program.
#include <vector>

#include "runtime/weights/safetensors.h"
#include "runtime/weights/weights.h"
#include "tests/fuzz/fuzz_support.h"
#include "tests/support/runtime_toy.h"

namespace {

using namespace heed;

void ReadAll(Result<SafetensorsFile> file) {
  if (!file) {
    fuzz::Require(!file.error().message.empty(), "a refusal has a message");
    return;
  }
  for (const auto& [name, entry] : file->tensors()) {
    const int64_t element = ElementBytes(entry.dtype);
    std::vector<float> values(static_cast<size_t>(element > 0 ? entry.bytes / element : 0));
    ConvertToFloat(entry, 0, values);
    uint64_t sum = 0;
    for (int64_t i = 0; i < entry.bytes; ++i) sum += entry.data[i];
    [[maybe_unused]] static volatile uint64_t read;
    read = sum;
  }
  Result<Weights> weights = Weights::Find(std::move(*file), test::kToy);
  if (!weights) return;
  for (int64_t i = 0; i < test::kToy.param_count; ++i) {
    std::vector<float> values(static_cast<size_t>(test::kToy.params[i].count));
    weights->Read(i, 0, values);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 65536) return -1;
  const std::string_view bytes = fuzz::Text(data, size);
  if (bytes[0] == '{') {
    const auto [index, shard] = fuzz::Split(bytes);
    fuzz::WriteFile("shard", shard);
    ReadAll(SafetensorsFile::OpenCheckpoint(fuzz::WriteFile("model.safetensors.index.json", index)));
  } else {
    ReadAll(SafetensorsFile::Open(fuzz::WriteFile("one.safetensors", bytes)));
  }
  return 0;
}
