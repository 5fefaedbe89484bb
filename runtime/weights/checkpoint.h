// A program's checkpoint: parameters by name, the optimizer's state, tokenizer and state in the metadata, in
// one safetensors file. The file format is safetensors.h's business, finding parameters weights.h's.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/weights/safetensors.h"
#include "runtime/weights/weights.h"

namespace heed {

/// Copies every parameter; pages of the file are let go on the way, so that about one copy is in memory.
void CopyParameters(const Weights& weights, const HeedProgram& program, ParameterBlock& parameters);
/// What an optimizer keeps of each parameter: optim.NAME.0, optim.NAME.1 ..., as many as `state` has; false
/// if the file has none. In files that do not name their optimizer, those of Adam are optim.m.NAME and
/// optim.v.NAME.
Result<bool> LoadState(const SafetensorsFile& file, const HeedProgram& program,
                       std::span<ParameterBlock> state);
/// The optimizer that a checkpoint's state is of.
std::string OptimizerOf(const SafetensorsFile& file);
/// Parameters, the optimizer's state if there is any, and metadata (tokenizer, step, seed, optimizer ...).
Status SaveCheckpoint(const std::string& path, const HeedProgram& program, const ParameterBlock& parameters,
                      std::span<const ParameterBlock> state,
                      const std::map<std::string, std::string>& metadata);

}  // namespace heed
