// Checks of numbers on the command line whose messages say what is wanted, in place of CLI11's, which print
// the largest double with all its digits. Not a number, NaN and infinity fail every check.
#pragma once

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>

namespace heed {

/// A whole number of at least `least` and at most `most`.
inline CLI::Validator WholeNumber(int64_t least, int64_t most = std::numeric_limits<int64_t>::max()) {
  const auto check = [least, most](std::string& text) {
    char* end = nullptr;
    errno = 0;
    const long long value = std::strtoll(text.c_str(), &end, 10);
    const bool number =
        !text.empty() && *end == '\0' && text.find_first_of(" \t\n\v\f\r") == std::string::npos;
    if (number && errno == 0 && value >= least && value <= most) return std::string();
    std::string wanted = "must be a whole number of at least " + std::to_string(least);
    if (most < std::numeric_limits<int64_t>::max()) wanted += " and at most " + std::to_string(most);
    return wanted + ", not `" + text + "`";
  };
  return CLI::Validator(check, "", "");
}

/// A finite number that `fits`; `wanted` ends the sentence "must be a number ...".
template <typename Fits>
CLI::Validator NumberThat(const char* wanted, Fits fits) {
  const auto check = [wanted, fits](std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (!text.empty() && *end == '\0' && std::isfinite(value) && fits(value)) return std::string();
    return std::string("must be a ") + (*wanted ? "number " : "finite number") + wanted + ", not `" + text +
           "`";
  };
  return CLI::Validator(check, "", "");
}
inline CLI::Validator FiniteNumber() {
  return NumberThat("", [](double) { return true; });
}
inline CLI::Validator NumberAboveZero() {
  return NumberThat("above 0", [](double value) { return value > 0; });
}
inline CLI::Validator NumberFromZero() {
  return NumberThat("of at least 0", [](double value) { return value >= 0; });
}
/// From 0 and below 1: what is kept of a running mean.
inline CLI::Validator NumberBelowOne() {
  return NumberThat("from 0 and below 1", [](double value) { return value >= 0 && value < 1; });
}

}  // namespace heed
