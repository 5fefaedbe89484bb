// Tensors as tables on a terminal: rows and columns with the names of their elements, long axes cut in the
// middle. What the numbers mean is the caller's business; nothing here prints.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace heed {

/// One axis of a tensor that is shown.
struct TableAxis {
  std::string name;                 ///< "seq'"
  int64_t size = 0;                 ///< elements to show
  int64_t stride = 1;               ///< from one element to the next, in elements of the tensor
  std::vector<std::string> labels;  ///< of all elements; empty: their numbers
  bool words = false;               ///< a text: no row is left out
};

/// The last two axes are rows and columns, those before number the tables; a single axis is one row, or one
/// column if it is of words. Columns that do not fit into `width` are left out in the middle ("..."), and so
/// are rows that are no words, and tables, beyond a few. `element` gives the text of the element at an
/// offset. Ends in a newline.
std::string TableText(std::vector<TableAxis> axes, const std::function<std::string(int64_t)>& element,
                      int64_t width);

/// A number with so many digits after the point, or with an exponent if it is too long for a table.
std::string CellText(double value, int precision);

/// Columns of the terminal that standard output is, else 80.
int64_t TerminalWidth();

}  // namespace heed
