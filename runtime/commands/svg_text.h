// Text and numbers as SVG takes them.
#pragma once

#include <string>

namespace heed {

/// The text between tags or quotes of XML, whatever it is.
std::string Escaped(const std::string& text);
/// A length, with one decimal at most.
std::string Pixels(double value);

}  // namespace heed
