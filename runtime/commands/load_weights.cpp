// --weights of every command: finding them, and telling the user what was found. How parameters are looked up
// is weights.h's business.
#include <CLI/CLI.hpp>

#include "runtime/commands/command.h"
#include "runtime/engine/packed_parameters.h"
#include "runtime/weights/checkpoint.h"

namespace heed {

ModelConfig ConfigOf(const SafetensorsFile& file, const std::string& path) {
  // A checkpoint of this program needs no description, and a config.json near it may be another model's.
  if (file.metadata().contains("heed")) return {};
  return ReadModelConfig(CheckpointFolder(path));
}

void PrintReport(const std::string& path, const LoadReport& report) {
  if (!report.prefix.empty()) PrintNote(path + ": names match with the prefix `" + report.prefix + "`");
  for (const std::string& note : report.notes) PrintNote(path + ": " + note);
  if (!report.absent.empty()) {
    PrintWarning(path +
                 ": the index names tensors that are not in its files, and that the program does not need: " +
                 ListNames(report.absent));
  }
  if (!report.extra.empty()) {
    PrintWarning(path + " has tensors that the program does not: " + ListNames(report.extra));
  }
  if (!report.unused.empty()) {
    PrintWarning(path + " has " + ListNames(report.unused) +
                 ", which the program does not use: it computes something else than the model they are of");
  }
}

Result<Weights> FindWeights(const std::string& path, const HeedProgram& program, bool announce) {
  if (path.empty()) return UsageError("name the checkpoint with --weights W.safetensors");
  Result<SafetensorsFile> file = SafetensorsFile::OpenCheckpoint(path);
  if (!file) return file.error();
  const ModelConfig config = ConfigOf(*file, path);
  Result<Weights> weights = Weights::Find(std::move(*file), program, config);
  if (!weights) return Error{path + ": " + weights.error().message};
  if (announce) PrintReport(path, weights->report());
  return weights;
}

Status LoadWeights(const std::string& path, const HeedProgram& program, ParameterBlock& parameters) {
  if (path.empty() && program.param_count == 0) return Done{};
  const Result<Weights> weights = FindWeights(path, program);
  if (!weights) return weights.error();
  CopyParameters(*weights, program, parameters);
  return weights->file().CheckUnchanged();
}

Result<PackedParameters> LoadPacked(const std::string& path, const HeedProgram& program,
                                    const std::vector<const HeedFunction*>& functions,
                                    const std::string& type, ThreadPool& threads, bool announce) {
  std::vector<const HeedFunction*> read;
  for (const HeedFunction* function : functions)
    if (function != nullptr) read.push_back(function);
  const std::optional<HeedWeightsType> wanted = WeightsTypeOf(type);
  if (path.empty() && program.param_count == 0)
    return PackedParameters(program, read, wanted.value_or(kHeedWeightsF32), {}, threads);
  const Result<Weights> weights = FindWeights(path, program, announce);
  if (!weights) return weights.error();
  PackedParameters packed(program, read, wanted.value_or(weights->type()), SourceOf(*weights), threads);
  if (Status status = weights->file().CheckUnchanged(); !status) return status.error();
  return packed;
}

ParameterSource SourceOf(const Weights& weights) {
  return {[&weights](int64_t param, int64_t first, std::span<float> to) { weights.Read(param, first, to); },
          [&weights](int64_t param, int64_t first, int64_t count) { weights.LetGo(param, first, count); },
          [&weights](int64_t param, HeedWeightsType of) { return weights.Scales(param, of); }};
}

void AddWeightsType(CLI::App& app, std::string& type) {
  app.add_option("--weights-type", type,
                 "f32, bf16, int8 or int4: how matrices are kept in memory; without it as the file has them")
      ->check(CLI::IsMember({"f32", "bf16", "int8", "int4"}))
      ->type_name("TYPE");
}

}  // namespace heed
