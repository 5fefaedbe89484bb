// Drawings as SVG, without scripts, fonts or anything from elsewhere.
#pragma once

#include <string>
#include <vector>

#include "frontend/drawing/layout.h"
#include "frontend/drawing/theme.h"

namespace heed::drawing {

/// A model with places.
struct Drawing {
  Model model;
  Layout layout;
};

/// Side by side, in as many rows as fit on paper best, each with its title; what
/// legends have in common is said once. Tooltips say where in
/// the program things come from.
std::string Svg(const std::vector<Drawing>& drawings, Theme theme);

}  // namespace heed::drawing
