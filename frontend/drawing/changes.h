// What a pass did to a drawing: boxes that are new, fused of several, moved to another module, or gone.
#pragma once

#include <vector>

#include "frontend/drawing/model.h"

namespace heed::drawing {

enum class Change {
  None,
  New,
  Fused,  ///< new, where several went
  Moved,  ///< said the same in another module before
};

struct Changes {
  std::vector<Change> boxes;  ///< of the model afterwards, as Model::boxes
  std::vector<int> gone;      ///< boxes of the model before, ascending
};

/// Boxes are the same if they say the same at the same place of the program: graphs keep no record of what
/// became of a node.
Changes ChangesOf(const Model& before, const Model& after);

}  // namespace heed::drawing
