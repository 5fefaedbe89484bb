// Files of arguments, for every entry of a small program: the first byte says which format the rest is taken
// for.
#include "runtime/data/argument_examples.h"
#include "runtime/data/data_source.h"
#include "tests/fuzz/fuzz_support.h"
#include "tests/support/runtime_toy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace heed;
  constexpr const char* kNames[] = {"d.jsonl", "d.tsv", "d.safetensors", "d.npz"};
  if (size < 1 || size > 65536) return -1;
  const std::string path = fuzz::WriteFile(kNames[data[0] % 4], fuzz::Text(data + 1, size - 1));
  const Result<DataSourcePtr> source = OpenData(path, /*skip_invalid=*/true);
  if (!source) {
    fuzz::Require(!source.error().message.empty(), "a refusal has a message");
    return 0;
  }
  const EncodeText encode = [](const DataArgument&, std::string_view text) -> Result<std::vector<int32_t>> {
    return std::vector<int32_t>(text.size(), 4);
  };
  for (int64_t e = 0; e < test::kToy.entry_count; ++e) {
    std::vector<ArgumentExamples::Given> given;
    for (const DataArgument& argument : DataArguments(test::kToy, test::kToy.entries[e])) {
      if (!(*source)->Has(argument.name)) continue;
      auto column = (*source)->Read(argument, encode);
      if (column) given.push_back({argument, *column});
    }
    const auto examples = ArgumentExamples::Make(given, {.leaves_out = true});
    if (!examples) continue;
    for (const Batch& batch : ShuffledBatches(*examples, 64, 1, 0)) {
      const auto inputs = examples->AllInputs(batch);
      fuzz::Require(static_cast<bool>(inputs), "what was read can be had");
      for (const auto& [name, tensor] : *inputs)
        fuzz::Require(!name.starts_with("len.") || tensor.ints()[0] <= 6, "lengths fit the axis");
    }
  }
  return 0;
}
