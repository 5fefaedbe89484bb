// See running_curve.h. Numbers are kept as means over `each_` neighbours; when there are many, two become
// one.
#include "runtime/base/running_curve.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "runtime/base/utf8.h"

namespace heed {
namespace {

constexpr size_t kMost = 1024;
constexpr int64_t kLabel = 9;  // columns, with a space after it

std::string Label(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%*.4g ", static_cast<int>(kLabel - 1), value);
  return text;
}

/// Dots of one character, Unicode's U+2800: by column, then row from above.
constexpr int kDots[2][4] = {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}};

}  // namespace

void RunningCurve::Add(double value) {
  if (!std::isfinite(value)) return;
  open_sum_ += value;
  if (++open_count_ < each_) return;
  means_.push_back(open_sum_ / static_cast<double>(open_count_));
  open_sum_ = 0;
  open_count_ = 0;
  if (means_.size() < kMost) return;
  for (size_t i = 0; i < kMost / 2; ++i) means_[i] = (means_[2 * i] + means_[2 * i + 1]) / 2;
  means_.resize(kMost / 2);
  each_ *= 2;
}

std::vector<std::string> RunningCurve::Lines(int64_t columns, int64_t rows) const {
  const int64_t width = 2 * (columns - kLabel), height = 4 * rows,
                count = static_cast<int64_t>(means_.size());
  if (count < 2 || width < 8 || rows < 2) return {};
  // The dot of each column of dots: the mean of what falls there.
  std::vector<double> values;
  const int64_t dots = std::min(width, count);
  for (int64_t x = 0; x < dots; ++x) {
    const int64_t begin = x * count / dots, end = (x + 1) * count / dots;
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += means_[static_cast<size_t>(i)];
    values.push_back(sum / static_cast<double>(end - begin));
  }
  const auto [low, high] = std::ranges::minmax(values);
  std::vector<std::vector<int>> cells(static_cast<size_t>(rows),
                                      std::vector<int>(static_cast<size_t>((dots + 1) / 2)));
  int64_t before = -1;
  for (int64_t x = 0; x < dots; ++x) {
    const double part = high > low ? (high - values[static_cast<size_t>(x)]) / (high - low) : 0.5;
    const auto y = std::clamp<int64_t>(std::lround(part * static_cast<double>(height - 1)), 0, height - 1);
    // Down or up from its neighbour, so that the curve hangs together.
    int64_t first = y, last = y;
    if (before >= 0 && before < y) first = before + 1;
    if (before > y) last = before - 1;
    for (int64_t dot = first; dot <= last; ++dot)
      cells[static_cast<size_t>(dot / 4)][static_cast<size_t>(x / 2)] |= kDots[x % 2][dot % 4];
    before = y;
  }
  std::vector<std::string> lines;
  for (int64_t row = 0; row < rows; ++row) {
    const bool labelled = row == 0 || row == rows - 1;
    std::string line = labelled ? Label(row == 0 ? high : low) : std::string(kLabel, ' ');
    for (const int dots_set : cells[static_cast<size_t>(row)])
      AppendUtf8(line, static_cast<char32_t>(0x2800 + dots_set));
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace heed
