// What the weights of attention, as outputs of a graph, are called and in which order their axes stand.
#pragma once

#include <string>

#include "ir/graph.h"

namespace heed::passes {

/// Of an output w.SITE[KEY]: batch, static axes (heads), dynamic ones (queries), the key axis.
ir::AxisList OrderOfWeights(const ir::Graph& graph, const std::string& name, ir::NodeId weights);

/// Whether all a batched graph takes is texts: ids of a vocabulary along one dynamic axis, each along its
/// own.
bool TakesTexts(const ir::Graph& graph);

}  // namespace heed::passes
