// Colours of drawings, light and dark. Shape and word carry the meaning; colour repeats it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "frontend/drawing/model.h"

namespace heed::drawing {

enum class Theme {
  Auto,  ///< as the reader's system asks; light where nobody asks
  Light,
  Dark,
};

/// What a colour is for, and its value in both themes.
struct Colour {
  std::string_view role, light, dark;
};
/// All of them. Roles are also the classes of SVG.
std::span<const Colour> Colours();
const Colour& ColourOf(std::string_view role);

/// The role of a kind of box's inside: "product", "attention".
std::string_view RoleOf(Kind kind);
/// Of a box of the model: its kind's, or what its work says if that was measured.
std::string_view RoleOf(const Model& model, const Box& box);
/// What boxes of the kind are, for the legend.
std::string_view Words(Kind kind);

}  // namespace heed::drawing
