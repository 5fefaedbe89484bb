// What a published config.json asks for and a program is not known to compute, as sentences. Which sizes
// would make the program fit is fit.h's business.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/abi.h"
#include "runtime/weights/model_config.h"

namespace heed {

/// Notes for people. `longest`: the most tokens that a text of the program may have; 0: any number.
std::vector<std::string> ConfigNotes(const HeedProgram& program, const ModelConfig& config, int64_t longest);

/// The number that the files tell for this constant of the program, if any. Constants that texts start from
/// or end at are known by their use, others by their names. `vocabulary`: numbers of tokens from there on
/// tell nothing.
std::optional<ToldNumber> ToldFor(const HeedProgram& program, const HeedConst& constant,
                                  const ModelConfig& config, int64_t vocabulary);

}  // namespace heed
