// See table.h.
#include "runtime/commands/table.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "runtime/text/labels.h"

namespace heed {
namespace {

constexpr int64_t kFewRows = 12, kFewTables = 12, kLabelWidth = 16;
constexpr const char* kGap = "...";

std::string LabelOf(const TableAxis& axis, int64_t i) {
  return axis.labels.empty() ? std::to_string(i)
                             : Shortened(axis.labels[static_cast<size_t>(i)], kLabelWidth);
}

/// The elements that are shown: all, or the first and the last with a gap, -1, between.
std::vector<int64_t> Cut(int64_t size, int64_t most) {
  std::vector<int64_t> shown;
  const int64_t first = size <= most ? size : std::max<int64_t>(1, most - 1);
  for (int64_t i = 0; i < first; ++i) shown.push_back(i);
  if (first < size) {
    shown.push_back(-1);
    shown.push_back(size - 1);
  }
  return shown;
}

void Right(std::string& line, const std::string& text, int64_t width) {
  line.append(static_cast<size_t>(std::max<int64_t>(0, width - DisplayWidth(text))), ' ');
  line += text;
}

/// One table; `base` is the offset of its first element.
class Grid {
 public:
  Grid(const TableAxis& rows, const TableAxis& columns, const std::function<std::string(int64_t)>& element,
       int64_t base)
      : rows_(rows), columns_(columns), element_(element), base_(base) {}

  std::string Text(int64_t width) {
    const std::vector<int64_t> rows = rows_.words ? Cut(rows_.size, rows_.size) : Cut(rows_.size, kFewRows);
    int64_t label = 0;
    for (int64_t row : rows)
      label = std::max(label, DisplayWidth(row < 0 ? kGap : rows_.name.empty() ? "" : LabelOf(rows_, row)));
    // The widest choice of columns that fits.
    int64_t most = columns_.size;
    std::vector<int64_t> columns = Cut(columns_.size, most);
    std::vector<int64_t> widths = Widths(rows, columns);
    while (most > 2 && Sum(widths) + label > width) {
      most = std::min(most - 1, std::max<int64_t>(2, (width - label) / 3));
      columns = Cut(columns_.size, most);
      widths = Widths(rows, columns);
    }
    std::string text;
    if (!columns_.name.empty()) {
      std::string line(static_cast<size_t>(label), ' ');
      for (size_t c = 0; c < columns.size(); ++c)
        Right(line, columns[c] < 0 ? kGap : LabelOf(columns_, columns[c]), widths[c]);
      text += line + "\n";
    }
    for (int64_t row : rows) {
      std::string line = row < 0 ? kGap : rows_.name.empty() ? "" : LabelOf(rows_, row);
      line.append(static_cast<size_t>(label - DisplayWidth(line)), ' ');
      if (row >= 0)
        for (size_t c = 0; c < columns.size(); ++c)
          Right(line, columns[c] < 0 ? kGap : Cell(row, columns[c]), widths[c]);
      text += line + "\n";
    }
    return text;
  }

 private:
  std::string Cell(int64_t row, int64_t column) const {
    return element_(base_ + row * rows_.stride + column * columns_.stride);
  }
  /// Of each column, two spaces before it included.
  std::vector<int64_t> Widths(const std::vector<int64_t>& rows, const std::vector<int64_t>& columns) const {
    std::vector<int64_t> widths;
    for (int64_t column : columns) {
      int64_t width = column < 0 ? 3 : columns_.name.empty() ? 0 : DisplayWidth(LabelOf(columns_, column));
      for (int64_t row : rows)
        if (row >= 0 && column >= 0) width = std::max(width, DisplayWidth(Cell(row, column)));
      widths.push_back(width + 2);
    }
    return widths;
  }
  static int64_t Sum(const std::vector<int64_t>& widths) {
    int64_t sum = 0;
    for (int64_t width : widths) sum += width;
    return sum;
  }

  const TableAxis& rows_;
  const TableAxis& columns_;
  const std::function<std::string(int64_t)>& element_;
  int64_t base_;
};

}  // namespace

std::string TableText(std::vector<TableAxis> axes, const std::function<std::string(int64_t)>& element,
                      int64_t width) {
  const TableAxis none{"", 1, 0, {}, false};
  if (axes.empty()) axes = {none, none};
  if (axes.size() == 1) axes.insert(axes[0].words ? axes.end() : axes.begin(), none);
  const size_t leading = axes.size() - 2;
  const TableAxis &rows = axes[leading], &columns = axes[leading + 1];
  int64_t tables = 1;
  for (size_t a = 0; a < leading; ++a) tables *= axes[a].size;
  std::string text;
  for (int64_t table : Cut(tables, kFewTables)) {
    if (table < 0) {
      text += std::string(kGap) + "\n";
      continue;
    }
    int64_t base = 0, rest = table;
    std::string heading;
    for (size_t a = leading; a-- > 0;) {
      const int64_t i = rest % axes[a].size;
      rest /= axes[a].size;
      base += i * axes[a].stride;
      heading = axes[a].name + " " + LabelOf(axes[a], i) + (heading.empty() ? "" : ", ") + heading;
    }
    if (leading > 0) text += heading + "\n";
    text += Grid(rows, columns, element, base).Text(width);
  }
  return text;
}

std::string CellText(double value, int precision) {
  char text[64];
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::snprintf(text, sizeof text, std::abs(value) < 1e6 ? "%.*f" : "%.*e", precision, value);
  // Without the sign of what is rounded to zero.
  if (text[0] == '-' && std::string_view(text).find_first_not_of("-0.") == std::string_view::npos)
    return text + 1;
  return text;
}

int64_t TerminalWidth() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) return size.ws_col;
  return 80;
}

}  // namespace heed
