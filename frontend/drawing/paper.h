// How drawings share a page: in rows, as large as A4 allows.
#pragma once

#include <span>
#include <vector>

#include "frontend/drawing/layout.h"

namespace heed::drawing {

/// How much of its size a drawing keeps on A4 with margins of a centimetre, upright or across; 1 at most.
double ScaleOnPaper(Point size);

/// Distributes drawings over rows, in their order: the numbers of drawings in each row with which letters are
/// largest on paper, in as few rows as that needs.
std::vector<size_t> RowsOnPaper(std::span<const Point> sizes, double gap);

}  // namespace heed::drawing
