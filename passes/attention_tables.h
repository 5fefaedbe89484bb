// Parts of an attention's score that are functions of the distance between query and key: a bias read from a
// table at seq - seq', a slope times the distance, a small network of it. They become tables on the axis of
// differences (ir/axis.h), of twice the length of the sequence, so that nothing of the size of all pairs is
// ever stored; and since a table is an ordinary value of the graph, its gradient needs no rule of its own.
#pragma once

#include <functional>
#include <map>

#include "passes/context.h"

namespace heed::passes {

class Differences {
 public:
  /// `varies`: whether a value may need a gradient.
  Differences(const Graph& graph, Axis query, Axis key, std::function<bool(NodeId)> varies);

  /// Does the value depend on the positions of query and key through key - query alone, and is it expensive
  /// enough for a table: a look-up, something learned, a function that costs more than arithmetic?
  bool IsTable(NodeId id);

  /// The value on the axis of differences, made in `copy`; `given` has the values there that lack both axes.
  /// Differences are kept between `least` and `most`, what the mask allows, so that nothing that can't occur
  /// is computed (log of a negative distance, say).
  NodeId MakeTable(Graph& copy, NodeId id, const std::function<NodeId(NodeId)>& given, double least,
                   double most);

 private:
  enum class Kind { kFree, kDifference, kOther };
  /// coefficient * (key - query) + the other terms of a linear form.
  struct Form;
  Kind Of(NodeId id);
  Kind Compute(NodeId id);
  bool Linear(NodeId a, NodeId b, Form& form);
  bool IsDear(NodeId id);

  const Graph& graph_;
  const Axis query_, key_;
  const std::function<bool(NodeId)> varies_;
  std::map<NodeId, Kind> kinds_;
};

}  // namespace heed::passes
