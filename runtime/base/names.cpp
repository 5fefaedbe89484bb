// See names.h. Plain dynamic programming; names are short and messages are rare.
#include "runtime/base/names.h"

#include <algorithm>
#include <cstdio>

namespace heed {

int64_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<int64_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int64_t>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    next[0] = static_cast<int64_t>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      next[j] = std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        next[j] = std::min(next[j], before[j - 2] + 1);
      }
    }
    before = row;
    row = next;
  }
  return row[b.size()];
}

std::string ClosestName(const std::string& name, const std::vector<std::string>& names) {
  std::string best;
  int64_t best_distance = -1;
  for (const std::string& other : names) {
    const bool end = other.size() > name.size() && other.ends_with("." + name);
    const bool start = name.size() > other.size() && name.ends_with("." + other);
    const int64_t distance = end || start ? 1 : EditDistance(name, other);
    if (best_distance < 0 || distance < best_distance) best = other, best_distance = distance;
  }
  const int64_t allowed = std::max<int64_t>(2, static_cast<int64_t>(name.size()) / 3);
  return best_distance >= 0 && best_distance <= allowed ? best : "";
}

std::string ListNames(const std::vector<std::string>& names, size_t at_most) {
  if (names.empty()) return "none";
  std::string text;
  const size_t shown = names.size() <= at_most + 1 ? names.size() : at_most;
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) text += ", ";
    text += names[i];
  }
  if (shown < names.size()) text += " and " + std::to_string(names.size() - shown) + " more";
  return text;
}

std::string ShellWord(const std::string& word) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./+,:=@%-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

std::string WithCommas(int64_t number) {
  std::string digits = std::to_string(number);
  const size_t sign = number < 0;
  for (size_t i = digits.size(); i > 3 + sign; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string BytesText(int64_t bytes) {
  static const char* const kUnits[] = {"bytes", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1000 && unit < 4) value /= 1000, ++unit;
  char text[64];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits[unit]);
  return text;
}

}  // namespace heed
