// See step_names.h.
#include "runtime/commands/step_names.h"

#include <algorithm>
#include <string_view>

namespace heed {

namespace {
constexpr std::string_view kBetweenPlaces = " < ";
constexpr std::string_view kBroughtAlong = "prelude:";  // what no program contains

bool IsNumber(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}
}  // namespace

const HeedOrigin* OriginOf(const HeedStep& step) {
  return step.result < step.origin_count ? &step.origins[step.result] : nullptr;
}

std::string ModuleOf(const HeedStep& step) {
  const HeedOrigin* origin = OriginOf(step);
  std::string folded;
  for (std::string_view rest = origin ? origin->instance : ""; !rest.empty();) {
    const size_t dot = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, dot);
    if (!folded.empty()) folded += '.';
    folded += IsNumber(part) ? "*" : part;
    rest.remove_prefix(std::min(dot + 1, rest.size()));
  }
  return folded;
}

std::string LineOf(const HeedStep& step) {
  const HeedOrigin* origin = OriginOf(step);
  for (std::string_view rest = origin ? origin->where : ""; !rest.empty();) {
    const size_t end = std::min(rest.find(kBetweenPlaces), rest.size());
    const std::string_view place = rest.substr(0, end);
    if (!place.starts_with(kBroughtAlong)) return std::string(place.substr(0, place.rfind(':')));
    rest.remove_prefix(std::min(end + kBetweenPlaces.size(), rest.size()));
  }
  return "";
}

std::string NameOf(const HeedStep& step) {
  const HeedOrigin* origin = OriginOf(step);
  if (origin == nullptr) return "step";
  std::string name = origin->op;
  if (*origin->instance) name += std::string(" ") + origin->instance;
  if (const std::string line = LineOf(step); !line.empty()) name += " " + line;
  return origin->gradient ? name + ", gradient" : name;
}

}  // namespace heed
