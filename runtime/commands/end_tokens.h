// Tokens at which texts end because the folder of the weights says so, beside those of the program; and what
// such a folder says of how tokens are chosen. A checkpoint made from a folder carries the tokens on.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/abi.h"
#include "runtime/base/result.h"

namespace heed {

/// Elements that end texts of `entry` beside its `until`: those that the folder of `weights` names or that
/// the checkpoint carries, as far as they are elements at all. A note announces them. None for an empty path.
Result<std::vector<int32_t>> EndsBeside(const std::string& weights, const HeedProgram& program,
                                        const HeedEntry& entry);

/// Adds what a checkpoint made from `weights` must carry to its metadata.
Status CarryEnds(const std::string& weights, std::map<std::string, std::string>& metadata);

/// A note that names how the folder of `weights` would have tokens chosen, if it says so: the program's
/// options and the command line's decide.
Status NoteChoices(const std::string& weights);

}  // namespace heed
