// A program's checkpoint: parameters by name, optimizer moments, tokenizer and state in the metadata, in one
// safetensors file. The file format is safetensors.h's business, finding parameters weights.h's.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"
#include "runtime/weights/safetensors.h"
#include "runtime/weights/weights.h"

namespace heed {

/// Copies every parameter; pages of the file are let go on the way, so that about one copy is in memory.
void CopyParameters(const Weights& weights, const HeedProgram& program, ParameterBlock& parameters);
/// optim.m.NAME and optim.v.NAME; false if the file has none.
Result<bool> LoadMoments(const SafetensorsFile& file, const HeedProgram& program, ParameterBlock& m,
                         ParameterBlock& v);
/// Parameters, moments if given, and metadata (tokenizer, step, seed ...).
Status SaveCheckpoint(const std::string& path, const HeedProgram& program, const ParameterBlock& parameters,
                      const ParameterBlock* m, const ParameterBlock* v,
                      const std::map<std::string, std::string>& metadata);

}  // namespace heed
