// What a value entry computes for an example, as a line, a table or JSON on standard output.
#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "runtime/commands/table.h"
#include "runtime/engine/engine.h"

namespace heed {

struct ResultOptions {
  bool json = false;   ///< one JSON value a line
  int precision = -1;  ///< digits after the point; -1: two in tables, nine that count in single numbers
  int64_t width = 80;  ///< of tables, in columns
};

/// What is known of an example.
struct ShownExample {
  std::map<std::string, int64_t> lengths;                 ///< by the root of an axis
  std::map<std::string, std::vector<std::string>> words;  ///< names along an axis, by its root
  std::string text;                                       ///< it in a heading; may be empty
};

/// A result without axes is a line for each example. One with axes is a heading, a table whose rows and
/// columns have the words as names where there are some, and an empty line. As JSON each line is a number or
/// a name, or nested arrays in the result's declared axes at the example's own lengths; what is not finite is
/// null. Elements of an axis whose elements have names print as these.
class ResultPrinter {
 public:
  ResultPrinter(const HeedProgram& program, const HeedEntry& entry, const ResultOptions& options,
                std::FILE* out);
  /// Row `row` of a result.
  void Print(const HostTensor& tensor, int64_t row, const ShownExample& example) const;
  /// A result that depends on no argument is the same for all examples.
  bool HasBatch() const;

 private:
  std::vector<TableAxis> Axes(const HostTensor& tensor, const ShownExample& example) const;
  std::string Heading(const std::vector<TableAxis>& axes, const ShownExample& example) const;
  /// An element as text: numbers that are not finite are as `number` says.
  template <typename Number>
  std::string ElementText(const HostTensor& tensor, int64_t index, Number number) const;
  void AppendJson(std::string& text, const HostTensor& tensor, std::span<const TableAxis> axes,
                  int64_t offset) const;

  const HeedProgram& program_;
  const HeedEntry& entry_;
  const HeedAxis* names_ = nullptr;  ///< of elements, or null
  const ResultOptions& options_;
  std::FILE* out_;
};

/// Nine digits that count.
std::string NineDigits(double value);

}  // namespace heed
