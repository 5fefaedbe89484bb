// See paper.h.
#include "frontend/drawing/paper.h"

#include <algorithm>

namespace heed::drawing {
namespace {

constexpr double kShort = 539, kLong = 785;  // points

/// Rows that are as full as `most` allows; each has one drawing at least.
std::vector<size_t> Filled(std::span<const Point> sizes, double gap, double most) {
  std::vector<size_t> rows;
  double width = 0;
  for (const Point& size : sizes) {
    const bool fits = !rows.empty() && width + gap + size.x <= most;
    width = fits ? width + gap + size.x : size.x;
    if (!fits) rows.push_back(0);
    ++rows.back();
  }
  return rows;
}

Point SizeOf(std::span<const Point> sizes, const std::vector<size_t>& rows, double gap) {
  Point all;
  size_t next = 0;
  for (const size_t count : rows) {
    Point row;
    for (size_t i = 0; i < count; ++i, ++next) {
      row.x += sizes[next].x + (i > 0 ? gap : 0);
      row.y = std::max(row.y, sizes[next].y);
    }
    all = {std::max(all.x, row.x), all.y + row.y + (all.y > 0 ? gap : 0)};
  }
  return all;
}

}  // namespace

double ScaleOnPaper(Point size) {
  const double upright = std::min(kShort / size.x, kLong / size.y);
  const double across = std::min(kLong / size.x, kShort / size.y);
  return std::min(1.0, std::max(upright, across));
}

std::vector<size_t> RowsOnPaper(std::span<const Point> sizes, double gap) {
  std::vector<size_t> best;
  double scale = 0;
  for (size_t first = 0; first < sizes.size(); ++first) {
    double most = -gap;
    for (size_t last = first; last < sizes.size(); ++last) {
      most += gap + sizes[last].x;  // the widest row
      std::vector<size_t> rows = Filled(sizes, gap, most);
      const double larger = ScaleOnPaper(SizeOf(sizes, rows, gap));
      if (larger < scale || (larger == scale && rows.size() >= best.size())) continue;
      scale = larger;
      best = std::move(rows);
    }
  }
  return best;
}

}  // namespace heed::drawing
