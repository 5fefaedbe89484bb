// The evaluator of fused attention and its gradient: straight from the formulas, on whole score matrices.
//
// Regions are graphs of their own and evaluated by an interpreter of their own. What this file leaves alone:
// tiles, skipping and anything else a fast kernel does.
#include <cmath>
#include <limits>

#include "ir/attention_operands.h"
#include "ir/interp.h"
#include "ir/op.h"
#include "ir/tensor_walk.h"

namespace heed::ir {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

AxisList Followed(AxisList axes, const AxisList& last) {
  axes.insert(axes.end(), last.begin(), last.end());
  return axes;
}

}  // namespace

/// Everything on `axes`, the key axis last.
struct Interpreter::AttentionScores {
  class Gradient;
  AxisList axes;
  std::map<std::string, Tensor> values;  ///< of the region's inputs
  Tensor score, mask, weight;
};

Tensor Interpreter::Region(const Graph& region, std::string_view output,
                           const std::map<std::string, Tensor>& values, const AxisList& axes) const {
  EvalOptions options = options_;
  options.frozen.clear();
  for (const auto& [name, value] : values) options.values[name] = value;
  Interpreter interpreter(region, std::move(options));
  return Full(interpreter.Value(region.Output(output)), axes);
}

/// What a capture is for each pair: one along differences is read at key - query.
Tensor Interpreter::AtPairs(const Tensor& capture, const Attributes& at) const {
  const Axis differences = at.axis.Difference();
  if (!Contains(capture.axes, differences)) return capture;
  AxisList axes = Minus(capture.axes, {differences});
  Tensor result = Filled(Followed(axes, {at.query, at.axis}));
  const int64_t extent = Extent(at.axis), stride = StridesAlong(capture, {differences})[0];
  Walk<2>(Shape(axes), {StridesAlong(capture, axes), StridesAlong(result, axes)}, [&](const auto& place) {
    for (int64_t query = 0; query < extent; ++query)
      for (int64_t key = 0; key < extent; ++key)
        result.data[place[1] + query * extent + key] =
            capture.data[place[0] + (key - query + extent) * stride];
  });
  return result;
}

/// The cotangent of such a capture, from that of its values at pairs: sums along the diagonals.
Tensor Interpreter::AlongDifferences(const Tensor& pairs, const Attributes& at) const {
  AxisList axes = Minus(pairs.axes, {at.query, at.axis});
  Tensor result = Filled(Followed(axes, {at.axis.Difference()}));
  const int64_t extent = Extent(at.axis);
  const Strides inner = StridesAlong(pairs, {at.query, at.axis});
  Walk<2>(Shape(axes), {StridesAlong(pairs, axes), StridesAlong(result, axes)}, [&](const auto& place) {
    for (int64_t query = 0; query < extent; ++query)
      for (int64_t key = 0; key < extent; ++key)
        result.data[place[1] + key - query + extent] +=
            pairs.data[place[0] + query * inner[0] + key * inner[1]];
  });
  return result;
}

Interpreter::AttentionScores Interpreter::Scores(const Node& node) const {
  const Attributes& at = node.attributes;
  const Graph& region = *at.regions->score;
  AttentionScores scores;
  scores.axes = Followed(Minus(at.to, {at.axis}), {at.axis});
  const AttentionOperands operands(at);
  for (size_t i = 0; i < operands.captures(); ++i)
    scores.values["c" + std::to_string(i)] = AtPairs(values_.at(node.inputs[operands.capture(i)]), at);
  scores.values["s"] = at.regions->term ? SumOfTerms(node, scores.values) : Products(node);
  scores.score = Region(region, "score", scores.values, scores.axes);
  scores.mask =
      region.Output("mask") ? Region(region, "mask", scores.values, scores.axes) : Filled(scores.axes, 1);
  scores.weight =
      region.Output("weight") ? Region(region, "weight", scores.values, scores.axes) : Filled(scores.axes, 1);
  return scores;
}

/// Products of query and key.
Tensor Interpreter::Products(const Node& node) const {
  const Attributes& at = node.attributes;
  const Tensor& q = values_.at(node.inputs[0]);
  const Tensor& k = values_.at(node.inputs[1]);
  const AxisList dot_axes = Minus(Union(q.axes, k.axes), at.axes);
  Tensor dot = Filled(dot_axes);
  const std::array<Strides, 2> inner = {StridesAlong(q, at.axes), StridesAlong(k, at.axes)};
  const std::vector<int64_t> terms = Shape(at.axes);
  Walk<3>(dot.shape, {StridesAlong(q, dot_axes), StridesAlong(k, dot_axes), StridesAlong(dot, dot_axes)},
          [&](const auto& to) {
            double total = 0;
            Walk<2>(terms, inner, {to[0], to[1]},
                    [&](const auto& term) { total += q.data[term[0]] * k.data[term[1]]; });
            dot.data[to[2]] = total;
          });
  return dot;
}

/// Sums of the term of query and key, straight from its region.
Tensor Interpreter::SumOfTerms(const Node& node, std::map<std::string, Tensor> values) const {
  const Attributes& at = node.attributes;
  values["q"] = values_.at(node.inputs[0]);
  values["k"] = values_.at(node.inputs[1]);
  const AxisList axes = at.regions->term->axes_of(at.regions->term->Output("term"));
  return SumTo(Region(*at.regions->term, "term", values, axes), Minus(axes, at.axes));
}

std::vector<Tensor> Interpreter::EvaluateAttention(const Node& node) const {
  const Attributes& at = node.attributes;
  const AttentionScores scores = Scores(node);
  const Tensor& v = values_.at(node.inputs[2]);
  const AxisList rows = Minus(scores.axes, {at.axis});
  const int64_t keys = Extent(at.axis);
  Tensor exponentials = Filled(scores.axes), normalizer = Filled(rows), lse = Filled(rows);
  for (size_t row = 0; row < normalizer.data.size(); ++row) {
    const size_t first = row * keys;
    double largest = -kInfinity, total = 0;
    for (int64_t i = 0; i < keys; ++i)
      if (scores.mask.data[first + i] != 0) largest = std::max(largest, scores.score.data[first + i]);
    if (!std::isfinite(largest)) largest = 0;
    for (int64_t i = 0; i < keys; ++i) {
      if (scores.mask.data[first + i] == 0) continue;
      exponentials.data[first + i] = std::exp(scores.score.data[first + i] - largest);
      total += exponentials.data[first + i];
    }
    lse.data[row] = largest + std::log(total);
    normalizer.data[row] = total == 0 ? 1 : total;
  }
  const AxisList out = Minus(Union(at.to, v.axes), {at.axis});
  Tensor result = Filled(out);
  const int64_t v_stride = StridesAlong(v, {at.axis})[0];
  Walk<4>(result.shape,
          {StridesAlong(exponentials, out), StridesAlong(normalizer, out), StridesAlong(v, out),
           StridesAlong(result, out)},
          [&](const auto& to) {
            double total = 0;
            for (int64_t i = 0; i < keys; ++i) {
              const int64_t place = to[0] + i;
              if (scores.mask.data[place] == 0) continue;
              total += exponentials.data[place] * scores.weight.data[place] * v.data[to[2] + i * v_stride];
            }
            result.data[to[3]] = total / normalizer.data[to[1]];
          });
  return {std::move(result), Transposed(lse, Minus(at.to, {at.axis}))};
}

/// A gradient sums over the rows of every ragged axis of the score: those beyond the length are not there.
void Interpreter::HideBeyondLengths(Tensor& mask) {
  for (Axis axis : mask.axes) {
    const auto found = graph_.ragged.find(axis.root());
    if (found == graph_.ragged.end() || !graph_.axes().IsDynamic(axis)) continue;
    const Tensor& length = Value(found->second);
    if (!ContainsAll(mask.axes, length.axes)) continue;
    Tensor positions = Filled({axis});
    for (size_t i = 0; i < positions.data.size(); ++i) positions.data[i] = static_cast<double>(i);
    Walk<3>(
        mask.shape,
        {StridesAlong(mask, mask.axes), StridesAlong(length, mask.axes), StridesAlong(positions, mask.axes)},
        [&](const auto& at) {
          if (positions.data[at[2]] >= length.data[at[1]]) mask.data[at[0]] = 0;
        });
  }
}

/// The cotangents of an attention's operands.
class Interpreter::AttentionScores::Gradient {
 public:
  Gradient(const Interpreter& interpreter, const Node& node, AttentionScores scores)
      : interpreter_(interpreter),
        node_(node),
        at_(node.attributes),
        operands_(at_),
        scores_(std::move(scores)),
        axes_(scores_.axes),
        q_(Operand(operands_.kQuery)),
        k_(Operand(operands_.kKey)),
        v_(Operand(operands_.kValue)),
        d_(Operand(operands_.d_output())),
        features_(Minus(v_.axes, axes_)),
        feature_shape_(interpreter.Shape(features_)),
        results_(operands_.forward()) {}

  std::vector<Tensor> Results() {
    const Tensor pw = ThroughRows();
    OfValue(pw);
    OfCaptures();
    const Graph& gradient = *at_.regions->gradient;
    if (gradient.Output("dr") && at_.regions->term) {
      ThroughTerm();
    } else if (gradient.Output("dr")) {
      ThroughProducts();
    }
    return std::move(results_);
  }

 private:
  const Tensor& Operand(size_t number) const { return interpreter_.values_.at(node_.inputs[number]); }

  /// Products over the features of v.
  Tensor Dot(const Tensor& a, const Tensor& b, const AxisList& to) const {
    Tensor result = interpreter_.Filled(to);
    Walk<3>(result.shape, {StridesAlong(a, to), StridesAlong(b, to), StridesAlong(result, to)},
            [&](const auto& place) {
              double total = 0;
              Walk<2>(feature_shape_, {StridesAlong(a, features_), StridesAlong(b, features_)},
                      {place[0], place[1]},
                      [&](const auto& term) { total += a.data[term[0]] * b.data[term[1]]; });
              result.data[place[2]] = total;
            });
    return result;
  }

  /// Gives the regions the cotangents of score and weight; the probabilities times the weights.
  Tensor ThroughRows() {
    const Tensor &output = Operand(operands_.output()), &lse = Operand(operands_.log_sum_exp());
    const AxisList rows = Minus(axes_, {at_.axis});
    // D = sum(d o) - dlse, dp = d v, sums over the features of v.
    const Tensor dp = Dot(d_, v_, axes_), lse_full = interpreter_.Full(lse, axes_);
    Tensor row_sums = interpreter_.Full(Dot(d_, output, rows), axes_);
    if (node_.inputs.size() > operands_.backward()) {
      const Tensor d_lse = interpreter_.Full(Operand(operands_.d_log_sum_exp()), axes_);
      for (size_t i = 0; i < row_sums.data.size(); ++i) row_sums.data[i] -= d_lse.data[i];
    }
    Tensor ds = interpreter_.Filled(axes_), dw = interpreter_.Filled(axes_), pw = interpreter_.Filled(axes_);
    for (size_t i = 0; i < ds.data.size(); ++i) {
      if (scores_.mask.data[i] == 0) continue;
      const double p = std::exp(scores_.score.data[i] - lse_full.data[i]), w = scores_.weight.data[i];
      pw.data[i] = p * w;
      ds.data[i] = p * (w * dp.data[i] - row_sums.data[i]);
      dw.data[i] = p * dp.data[i];
    }
    scores_.values["ds"] = std::move(ds);
    scores_.values["dw"] = std::move(dw);
    return pw;
  }

  void OfValue(const Tensor& pw) {
    const AxisList wide = Followed(axes_, features_);
    Tensor dv = interpreter_.Filled(wide);
    Walk<4>(dv.shape,
            {StridesAlong(pw, wide), StridesAlong(d_, wide), StridesAlong(scores_.mask, wide),
             StridesAlong(dv, wide)},
            [&](const auto& to) {
              if (scores_.mask.data[to[2]] != 0) dv.data[to[3]] = pw.data[to[0]] * d_.data[to[1]];
            });
    results_[operands_.kValue] = interpreter_.SumTo(dv, v_.axes);
  }

  /// An output of the region of the gradient; 0 where the mask is.
  Tensor Masked(const std::string& name) const {
    Tensor result = interpreter_.Region(*at_.regions->gradient, name, scores_.values, axes_);
    for (size_t i = 0; i < result.data.size(); ++i)
      if (scores_.mask.data[i] == 0) result.data[i] = 0;
    return result;
  }

  void OfCaptures() {
    const Graph& gradient = *at_.regions->gradient;
    for (size_t i = 0; i < operands_.captures(); ++i) {
      const std::string name = "dc" + std::to_string(i);
      const Tensor& capture = Operand(operands_.capture(i));
      if (!gradient.Output(name)) continue;
      Tensor pairs = Masked(name);
      if (Contains(capture.axes, at_.axis.Difference())) pairs = interpreter_.AlongDifferences(pairs, at_);
      results_[operands_.capture(i)] = interpreter_.SumTo(pairs, CaptureCotangentAxes(at_, capture.axes));
    }
  }

  /// Of what a term of query and key uses.
  void ThroughTerm() {
    const Graph& term = *at_.regions->term_gradient;
    const AxisList both = Followed(axes_, at_.axes);
    std::map<std::string, Tensor> values = scores_.values;
    values["q"] = q_;
    values["k"] = k_;
    values["ds"] = Masked("dr");
    const auto summed = [&](const std::string& name, const AxisList& to) {
      Tensor result = interpreter_.Region(term, name, values, both);
      const int64_t terms = result.count() / scores_.mask.count();
      for (size_t i = 0; i < result.data.size(); ++i)
        if (scores_.mask.data[i / terms] == 0) result.data[i] = 0;
      return interpreter_.SumTo(result, to);
    };
    if (term.Output("dq")) results_[operands_.kQuery] = summed("dq", q_.axes);
    if (term.Output("dk")) results_[operands_.kKey] = summed("dk", k_.axes);
    for (size_t i = 0; i < operands_.captures(); ++i) {
      const std::string name = "dc" + std::to_string(i);
      if (term.Output(name))
        results_[operands_.capture(i)] =
            summed(name, CaptureCotangentAxes(at_, Operand(operands_.capture(i)).axes));
    }
  }

  /// Of query and key, whose products the region is given.
  void ThroughProducts() {
    const Tensor dr = Masked("dr");
    const AxisList both = Followed(axes_, at_.axes);
    const auto times = [&](const Tensor& other) {
      Tensor product = interpreter_.Filled(both);
      Walk<4>(product.shape,
              {StridesAlong(dr, both), StridesAlong(other, both), StridesAlong(scores_.mask, both),
               StridesAlong(product, both)},
              [&](const auto& to) {
                if (scores_.mask.data[to[2]] != 0) product.data[to[3]] = dr.data[to[0]] * other.data[to[1]];
              });
      return product;
    };
    results_[operands_.kQuery] = interpreter_.SumTo(times(k_), q_.axes);
    results_[operands_.kKey] = interpreter_.SumTo(times(q_), k_.axes);
  }

  const Interpreter& interpreter_;
  const Node& node_;
  const Attributes& at_;
  const AttentionOperands operands_;
  AttentionScores scores_;
  const AxisList& axes_;
  const Tensor &q_, &k_, &v_, &d_;
  const AxisList features_;
  const std::vector<int64_t> feature_shape_;
  std::vector<Tensor> results_;
};

std::vector<Tensor> Interpreter::EvaluateAttentionGrad(const Node& node) {
  AttentionScores scores = Scores(node);
  HideBeyondLengths(scores.mask);
  return AttentionScores::Gradient(*this, node, std::move(scores)).Results();
}

const Tensor& Interpreter::EvaluateFused(const Node& node) {
  const FusedKey key{node.op, node.inputs, node.attributes.regions.get()};
  auto found = fused_.find(key);
  if (found == fused_.end()) {
    auto results = node.op == OpKind::Attention ? EvaluateAttention(node) : EvaluateAttentionGrad(node);
    found = fused_.emplace(key, std::move(results)).first;
  }
  return found->second.at(node.attributes.index);
}

}  // namespace heed::ir
