// See heat.h.
#include "frontend/drawing/heat.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "frontend/drawing/model.h"

namespace heed::drawing {
namespace {

constexpr HeatStep kSteps[] = {{"heat1", 0.01, "below 1 % of the time"},
                               {"heat2", 0.03, "1 \u2013 3 %"},
                               {"heat3", 0.10, "3 \u2013 10 %"},
                               {"heat4", 0.30, "10 \u2013 30 %"},
                               {"heat5", 2, "30 % and more"}};

std::string Formatted(const char* format, double number) {
  char text[48];
  std::snprintf(text, sizeof text, format, number);
  return text;
}

double ShareOf(const Work& work, const Scale& scale) {
  return scale.nanoseconds > 0 ? work.nanoseconds / scale.nanoseconds : 0;
}

/// "4.50 MFLOP", "12 B".
std::string Amount(double amount, const char* unit) {
  constexpr const char* kThousands[] = {"", "k", "M", "G", "T", "P", "E"};
  size_t power = 0;
  while (amount >= 999.5 && power + 1 < std::size(kThousands)) {
    amount /= 1000;
    ++power;
  }
  const char* const format = power == 0 || amount >= 99.5 ? "%.0f " : amount >= 9.95 ? "%.1f " : "%.2f ";
  return Formatted(format, amount) + kThousands[power] + unit;
}

std::string Rate(double amount, const Work& work, const char* unit, double peak) {
  const double rate = work.nanoseconds > 0 ? amount / work.nanoseconds * 1e9 : 0;
  const std::string text = Amount(rate, unit) + "/s";
  return peak > 0 ? text + Formatted(", %.0f %% of peak", 100 * rate / peak) : text;
}

}  // namespace

std::span<const HeatStep> HeatSteps() { return kSteps; }

std::string_view HeatRole(const Work& work, const Scale& scale) {
  const double share = ShareOf(work, scale);
  if (share <= 0) return "cold";
  for (const HeatStep& step : kSteps)
    if (share < step.below) return step.role;
  return std::rbegin(kSteps)->role;
}

std::string ShareText(const Work& work, const Scale& scale) {
  const double share = ShareOf(work, scale);
  if (share <= 0) return "";
  return share < 0.001 ? "< 0.1 %" : Formatted("%.1f %%", 100 * share);
}

std::string WorkText(const Work& work, const Scale& scale) {
  const std::string share = ShareText(work, scale);
  if (share.empty()) return "";
  const double calls = std::max(scale.calls, 1.0);
  return share + " of the time, " + Formatted("%.3f ms a call; ", work.nanoseconds / calls / 1e6) +
         Amount(work.flops / calls, "FLOP") + " a call: " + Rate(work.flops, work, "FLOP", scale.peak_flops) +
         "; " + Amount(work.bytes / calls, "B") + " a call: " + Rate(work.bytes, work, "B", scale.peak_bytes);
}

std::string CallsText(const Scale& scale) {
  return Formatted("%.0f", scale.calls) + (scale.calls == 1 ? " call of " : " calls of ") +
         Formatted("%.3f ms", scale.nanoseconds / std::max(scale.calls, 1.0) / 1e6);
}

Work WorkIn(const Model& model, int module, std::optional<bool> gradient) {
  Work sum;
  for (const Box& box : model.boxes) {
    if (gradient && box.gradient != *gradient) continue;
    for (int at = box.module; at >= 0; at = model.modules[at].parent)
      if (at == module) sum.Add(box.work);
  }
  return sum;
}

}  // namespace heed::drawing
