// The output matrix of published checkpoints: how it is called, and whether it is another tensor's copy.
// Private to the runtime's reading of weights.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/weights/safetensors.h"

namespace heed {

/// Published checkpoints name the matrix that makes logits so.
inline constexpr std::string_view kOutputMatrix = "lm_head.weight";

/// "a.b.", "a." and "" of the prefix "a.b.": wrappers put a prefix before all names, and often another one
/// before those of the model without its output matrix.
std::vector<std::string> PrefixesWithin(const std::string& prefix);

/// Whether `name` is an output matrix where other names have this prefix: under the prefix, under a part of
/// it, or under what wraps models as a rule ("module.", "_orig_mod.", "model." ...). One further inside, such
/// as that of another head, is not.
bool IsOutputMatrix(std::string_view name, const std::string& prefix);

/// Whether two tensors of the same shape have the same numbers, as f32.
bool SameNumbers(const SafetensorsFile::Entry& a, const SafetensorsFile::Entry& b);

}  // namespace heed
