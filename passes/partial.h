// Partial operations: reads at computed places, remainders of whole numbers, and arithmetic that may leave 32
// bits. Where one is needed (need.h) and impossible it is an error, never a silent number.
//
// Ops themselves stay total: a read past an end gives 0. So three things can be said of each: it is proved
// to be possible wherever needed, and nothing more is done; it is impossible in every example, whatever the
// data, and the program is refused; or it is checked when the program runs.
#pragma once

#include <vector>

#include "passes/pass.h"

namespace heed::passes {

/// What is impossible in every example of one entry's graph: PastTheEnd and InvalidNumber.
std::vector<Complaint> CertainFaults(const ir::Graph& graph);

}  // namespace heed::passes
