// Initial values of parameters that have none written: Glorot, derived from how all entries use the
// parameter.
#pragma once

#include "frontend/elaborate.h"

namespace heed::frontend {

/// Sets `init` of every parameter where it is missing and all uses in all graphs contract the same axes
/// (looked at through renames and reads of stored axes). Otherwise it stays Missing, which is an error if a
/// graph of `trained` reaches the parameter. Parameters that no graph reaches are left out of the result.
std::vector<Parameter> FinishParameters(const std::vector<std::unique_ptr<ParameterInfo>>& parameters,
                                        const std::vector<std::shared_ptr<const ir::Graph>>& graphs,
                                        const std::vector<std::shared_ptr<const ir::Graph>>& trained,
                                        Diagnostics& diagnostics);

}  // namespace heed::frontend
