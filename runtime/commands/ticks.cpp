// See ticks.h.
#include "runtime/commands/ticks.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "runtime/base/names.h"

namespace heed {
namespace {

/// Digits that tell multiples of `step` apart.
std::string Label(double value, double step) {
  char text[64];
  if (value == 0) return "0";
  const int decimals = static_cast<int>(std::max(0.0, std::ceil(-std::log10(step) - 1e-9)));
  if (std::abs(value) >= 1e12 || decimals > 5) {
    std::snprintf(text, sizeof text, "%.3g", value);
    std::string shown = text;
    if (const size_t zero = shown.find("e-0"); zero != std::string::npos) shown.erase(zero + 2, 1);
    return shown;
  } else if (decimals == 0) {
    return WithCommas(std::llround(value));
  } else {
    std::snprintf(text, sizeof text, "%.*f", decimals, value);
  }
  return text;
}

/// The smallest of 1, 2, 5, 10, 20 ... (of .1, .2 ... too) that is at least `least`.
double RoundStep(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

std::vector<Tick> Multiples(double step, double first, double last) {
  std::vector<Tick> ticks;
  for (double i = first; i <= last; ++i) ticks.push_back({i * step, Label(i * step, step)});
  return ticks;
}

}  // namespace

double Scale::At(double value) const {
  if (!logarithmic) return (value - low) / (high - low);
  return value > 0 ? (std::log(value) - std::log(low)) / (std::log(high) - std::log(low)) : -1;
}

Scale LinearScale(double low, double high, int about) {
  // Equal numbers, or nearly so, have no step between them.
  const double least = std::max({std::abs(low), std::abs(high), 1e-30}) * 1e-3;
  if (high - low < least) {
    low -= least / 2;
    high += least / 2;
  }
  const double step = RoundStep((high - low) / std::max(1, about));
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  return {first * step, last * step, false, Multiples(step, first, last)};
}

Scale LogarithmicScale(double low, double high, int about) {
  low = std::max(low, 1e-300);
  high = std::max(high, low);
  std::vector<double> values;
  for (double power = std::floor(std::log10(low)) - 1; power <= std::ceil(std::log10(high)) + 1; ++power)
    for (const double factor : {1.0, 2.0, 5.0}) values.push_back(factor * std::pow(10, power));
  const auto begin = std::ranges::upper_bound(values, low * (1 + 1e-9)) - 1;
  auto end = std::ranges::lower_bound(values, high * (1 - 1e-9)) + 1;
  if (end - begin < 2) ++end;
  Scale scale{*begin, *(end - 1), true, {}};
  const double decades = std::log10(scale.high / scale.low);
  const bool all = end - begin <= 2 * about || decades < 2;
  const auto every = static_cast<int64_t>(std::max(1.0, std::ceil(decades / (2 * about))));
  for (auto value = begin; value != end; ++value) {
    const double power = std::log10(*value);
    const bool of_ten = std::abs(power - std::round(power)) < 1e-6 && std::llround(power) % every == 0;
    if (all || of_ten) scale.ticks.push_back({*value, Label(*value, *value)});
  }
  return scale;
}

Scale StepScale(double first, double last, int about) {
  if (last <= first) last = first + 1;
  const double step = std::max(1.0, RoundStep((last - first) / std::max(1, about)));
  return {first, last, false,
          Multiples(step, std::ceil(first / step - 1e-9), std::floor(last / step + 1e-9))};
}

}  // namespace heed
