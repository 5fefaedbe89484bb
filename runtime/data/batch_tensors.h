// Tensors made of rows of ids: what texts look like to a compiled function.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/data/data.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/program.h"

namespace heed {

/// Rows of ids of one argument.
using Rows = std::vector<std::span<const int32_t>>;
/// Inputs of a function: each text padded with 0 to its longest row, `len.AXIS` and `example` where the
/// function has them. `rows` and `texts` are parallel.
std::map<std::string, HostTensor> TextInputs(const HeedFunction& function,
                                             std::span<const TextArgument> texts, std::span<const Rows> rows,
                                             std::span<const int64_t> numbers);
/// The same for a batch of a data set; its columns and `texts` are parallel.
std::map<std::string, HostTensor> BatchInputs(const HeedFunction& function,
                                              std::span<const TextArgument> texts, const Dataset& data,
                                              const Batch& batch);

}  // namespace heed
