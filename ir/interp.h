// The reference evaluator: every value in f64, one op at a time. The oracle of the back end; speed does not
// matter beyond tests at small sizes.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace heed::ir {

/// Row-major in the order of `axes`. Whole numbers and bools are held as doubles.
struct Tensor {
  AxisList axes;
  std::vector<int64_t> shape;
  std::vector<double> data;
  int64_t count() const;
};
/// The same elements with the axes in another order.
Tensor Transposed(const Tensor& tensor, const AxisList& order);

struct EvalOptions {
  std::map<std::string, Tensor>
      values;  ///< by name of Input and Param; Param data in the order of the node's axes
  std::map<Axis, int64_t> extents;  ///< by root, for dynamic and lifted ones
  uint64_t seed = 0, step = 0;      ///< of Keep
  bool dropout = true;              ///< false: Keep is 1 everywhere
  std::map<NodeId, Tensor> frozen;  ///< values taken as given (arguments of `stop` in finite differences)
};

class Interpreter {
 public:
  Interpreter(const Graph& graph, EvalOptions options) : graph_(graph), options_(std::move(options)) {}
  /// Evaluates what `id` needs and keeps every value for later questions.
  const Tensor& Value(NodeId id);

 private:
  const Graph& graph_;
  EvalOptions options_;
  std::map<NodeId, Tensor> values_;
};

}  // namespace heed::ir
