// Maps of attention as one picture, an SVG that any browser shows, on light and dark pages.
#pragma once

#include <span>
#include <string>

#include "runtime/commands/attention_maps.h"

namespace heed {

enum class AttentionStyle {
  Heat,   ///< queries are rows, keys columns, the weight is the strength of the colour
  Lines,  ///< queries left, keys right, joined by lines as strong as the weight (Vaswani et al. 2017, Fig.
          ///< 3-5)
};

/// The maps in a grid, several heads of a site side by side. What is masked is left empty; weights below 0.01
/// draw no line. Well-formed XML whatever the names are.
std::string AttentionSvg(std::span<const AttentionMap> maps, AttentionStyle style);

}  // namespace heed
