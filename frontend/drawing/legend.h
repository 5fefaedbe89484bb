// What a reader of a drawing may ask: what colours and lines mean, how long axes are, how many parameters.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/drawing/model.h"

namespace heed::drawing {

/// One explanation, with a sample if it is of a box or a wire.
struct LegendEntry {
  std::string text;
  std::optional<Kind> box = {};
  std::string_view role = {};  ///< of a box: the colour of its inside
  bool reference = false;      ///< the sample's outline is dashed
  std::optional<Wire::Kind> wire = {};
  bool fact = false;  ///< of this model, not of drawings: sizes, counts
};

/// Only what occurs; samples first.
std::vector<LegendEntry> LegendOf(const Model& model);

/// Of drawings that share a page: what is said once, and what only of each.
struct SharedLegend {
  std::vector<LegendEntry> shared;
  std::vector<std::vector<LegendEntry>> own;
};
SharedLegend ShareLegends(const std::vector<std::vector<LegendEntry>>& legends);

}  // namespace heed::drawing
