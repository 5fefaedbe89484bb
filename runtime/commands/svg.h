// Pieces of SVG that pictures share: numbers, text and what XML needs escaped.
#pragma once

#include <string>

namespace heed {

/// Text as XML takes it, in elements and attributes; what XML cannot hold is U+FFFD. Fine for HTML too.
std::string Escaped(const std::string& text);
/// A length with one decimal at most.
std::string Pixels(double value);
/// A <text> element; `more` is further attributes, each after a space.
std::string TextAt(double x, double y, const std::string& text, const std::string& more = "");

}  // namespace heed
