// What decoding by steps needs of a generate entry, and what it cannot do.
#pragma once

#include <string_view>
#include <vector>

#include "passes/pass.h"

namespace heed::passes {

/// Inputs of the step of these names hold what earlier steps computed: `cache.N` one row a position, which
/// the step adds to (the output of the same name), `fixed.N` what does not depend on the generated text. Both
/// are outputs of the prefill.
inline constexpr std::string_view kCachePrefix = "cache.", kFixedPrefix = "fixed.";

/// Of one example's graph that is causal: values that a step could not compute from one row a position. Kind
/// "NotCausal".
std::vector<Complaint> NotIncremental(const ir::Graph& graph);

}  // namespace heed::passes
