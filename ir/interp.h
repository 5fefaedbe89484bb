// The reference evaluator: every value in f64, one op at a time. The oracle of the back end; speed does not
// matter beyond tests at small sizes.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "ir/graph.h"

namespace heed::ir {

/// Row-major in the order of `axes`. Whole numbers and bools are held as doubles.
struct Tensor {
  AxisList axes;
  std::vector<int64_t> shape;
  std::vector<double> data;
  int64_t count() const;  ///< the product of `shape`
};
/// The same elements with the axes in another order.
Tensor Transposed(const Tensor& tensor, const AxisList& order);

struct EvalOptions {
  std::map<std::string, Tensor> values =
      {};  ///< by name of Input and Param; Param data in the order of the node's axes
  std::map<Axis, int64_t> extents = {};  ///< by root, for dynamic and lifted ones; else read off the inputs
  uint64_t seed = 0, step = 0;           ///< of Keep and Gumbel
  bool dropout = true;                   ///< false: Keep is 1 everywhere, Gumbel 0
  std::map<NodeId, Tensor> frozen =
      {};  ///< values taken as given (arguments of `stop` in finite differences)
};

/// Sums and contractions add their terms one by one, row-major in the order of the node's `axes`. Missing
/// values and extents are InternalErrors.
class Interpreter {
 public:
  Interpreter(const Graph& graph, EvalOptions options) : graph_(graph), options_(std::move(options)) {}
  /// Evaluates what `id` needs and keeps every value for later questions.
  const Tensor& Value(NodeId id);

 private:
  struct AttentionScores;
  using FusedKey = std::tuple<OpKind, std::vector<NodeId>, const void*>;

  int64_t Extent(Axis axis) const;
  std::vector<int64_t> Shape(const AxisList& axes) const;
  Tensor Filled(const AxisList& axes, double value = 0) const;
  /// `x` broadcast to `axes`, in that order.
  Tensor Full(const Tensor& x, const AxisList& axes) const;
  /// `x` summed over the axes that `axes` lacks, in that order.
  Tensor SumTo(const Tensor& x, const AxisList& axes) const;
  Tensor Operand(NodeId id, const AxisList& axes) const { return Full(values_.at(id), axes); }

  void ReadExtents(NodeId id);
  Tensor Evaluate(NodeId id);
  Tensor Given(const Node& node) const;
  Tensor EvaluateLeaf(const Node& node) const;
  Tensor EvaluatePointwise(const Node& node) const;
  Tensor EvaluateReduce(const Node& node) const;
  Tensor EvaluateContract(const Node& node) const;
  Tensor EvaluateAxes(const Node& node) const;
  Tensor EvaluateIndex(const Node& node) const;
  Tensor EvaluateGather(const Node& node) const;
  Tensor EvaluateGroupedContract(const Node& node) const;
  Tensor EvaluateScatterAdd(const Node& node) const;
  Tensor EvaluateWrite(const Node& node) const;
  Tensor EvaluateRandom(const Node& node) const;
  const Tensor& EvaluateFused(const Node& node);
  Tensor Region(const Graph& region, std::string_view output, const std::map<std::string, Tensor>& values,
                const AxisList& axes) const;
  Tensor Products(const Node& attention) const;
  Tensor SumOfTerms(const Node& attention, std::map<std::string, Tensor> values) const;
  Tensor AtPairs(const Tensor& capture, const Attributes& attention) const;
  Tensor AlongDifferences(const Tensor& pairs, const Attributes& attention) const;
  AttentionScores Scores(const Node& node) const;
  std::vector<Tensor> EvaluateAttention(const Node& node) const;
  std::vector<Tensor> EvaluateAttentionGrad(const Node& node);
  void HideBeyondLengths(Tensor& mask);

  const Graph& graph_;
  EvalOptions options_;
  std::map<NodeId, Tensor> values_;
  std::map<FusedKey, std::vector<Tensor>> fused_;  // all results of one computation
};

}  // namespace heed::ir
