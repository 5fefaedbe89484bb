// See end_tokens.h.
#include "runtime/commands/end_tokens.h"

#include <algorithm>

#include "runtime/commands/command.h"
#include "runtime/engine/program.h"
#include "runtime/weights/model_config.h"
#include "runtime/weights/safetensors.h"

namespace heed {
namespace {

constexpr const char* kCarried = "ends";  // in the metadata: "2,103"

// The end tokens of a checkpoint or folder, and what else is known of generation.
Result<ModelConfig> GenerationOf(const std::string& weights) {
  if (weights.empty()) return ModelConfig{};
  const Result<SafetensorsFile> file = SafetensorsFile::OpenCheckpoint(weights);
  if (!file) return file.error();
  ModelConfig config = ConfigOf(*file, weights);
  const auto carried = file->metadata().find(kCarried);
  if (carried == file->metadata().end()) return config;
  config.ends_text = "carried from the weights it was made of";
  for (const char* at = carried->second.c_str(); *at != '\0';) {
    char* end = nullptr;
    const long long token = std::strtoll(at, &end, 10);
    if (end == at || token < 0 || token > INT32_MAX)
      return Error{weights + ": the end tokens in the metadata are damaged"};
    config.ends.push_back(token);
    at = *end == ',' ? end + 1 : end;
  }
  return config;
}

}  // namespace

Result<std::vector<int32_t>> EndsBeside(const std::string& weights, const HeedProgram& program,
                                        const HeedEntry& entry) {
  const Result<ModelConfig> config = GenerationOf(weights);
  if (!config) return config.error();
  const HeedAxis* vocabulary = entry.indexes != nullptr ? FindAxis(program, entry.indexes) : nullptr;
  std::vector<int32_t> ends;
  std::string names;
  for (const int64_t end : config->ends) {
    if (vocabulary == nullptr || end >= vocabulary->size) continue;
    if (std::find(entry.until, entry.until + entry.until_count, end) != entry.until + entry.until_count)
      continue;
    ends.push_back(static_cast<int32_t>(end));
    names += (names.empty() ? "" : ", ") + std::to_string(end);
  }
  if (!ends.empty())
    PrintNote(weights + ": `" + entry.name + "` also ends texts at " + names + " (" + config->ends_text +
              ")");
  return ends;
}

Status CarryEnds(const std::string& weights, std::map<std::string, std::string>& metadata) {
  const Result<ModelConfig> config = GenerationOf(weights);
  if (!config) return config.error();
  std::string text;
  for (const int64_t end : config->ends) text += (text.empty() ? "" : ",") + std::to_string(end);
  if (!text.empty()) metadata[kCarried] = text;
  return Done{};
}

Status NoteChoices(const std::string& weights) {
  const Result<ModelConfig> config = GenerationOf(weights);
  if (!config) return config.error();
  if (config->choices.empty()) return Done{};
  PrintNote(weights + " says how to choose tokens (" + ListNames(config->choices, 40) +
            "); here the program and the options of this command do");
  return Done{};
}

}  // namespace heed
