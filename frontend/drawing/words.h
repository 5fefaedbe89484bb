// How types, axes and expressions are written in drawings.
#pragma once

#include <string>
#include <vector>

#include "frontend/drawing/model.h"

namespace heed::drawing {

/// Axes in the order in which parameters list them, positions before the rest, as in programs.
class AxisWriter {
 public:
  explicit AxisWriter(const ir::Graph& graph);

  /// "[src, model]", "vocab[src]", "bool[]"; "" for one number. Without lifted axes.
  std::string Text(const ir::Type& type) const;
  /// The same with sizes: "[vocab 37,000, model 512]".
  std::string WithSizes(const ir::Type& type) const;
  /// "heads 8", "tgt ≤ 512".
  std::string Sized(ir::Axis axis) const;
  std::string Size(ir::Axis axis) const;  ///< "8", "≤ 512"; "" for lifted axes
  /// Those of the list that people see, sorted.
  ir::AxisList Sorted(const ir::AxisList& axes) const;

 private:
  template <typename Write>
  std::string Type(const ir::Type& type, const Write& write) const;

  const ir::AxisTable& table_;
  std::vector<ir::Axis> roots_;  ///< in order of first appearance
};

/// `<=` as `≤`, and so on; blanks and line ends as one blank.
std::string Typeset(const std::string& expression);

/// An expression ends in a product with dropout: "x, dropout 0.1" for "(x) * dropout 0.1".
std::string DropoutApart(const std::string& label);

/// The label of a residual sum: "⊕" or "⊕ dropout 0.1" for "· + · * dropout 0.1"; "" for everything else.
std::string ResidualLabel(const std::string& label);

}  // namespace heed::drawing
