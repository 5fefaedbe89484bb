// How wide a text is that is set in a sans-serif font such as Helvetica.
#pragma once

#include <string_view>

namespace heed::drawing {

/// In units of `size`, with some room for other fonts.
double TextWidth(std::string_view text, double size, bool bold = false);

}  // namespace heed::drawing
