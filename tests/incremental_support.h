// A session of decoding on tensors of the interpreter: what a runtime does with prefill and step, in the
// plainest way. Rows of caches are kept for each example of the batch; rings move on when they must.
#pragma once

#include <filesystem>
#include <regex>

#include "tests/passes_support.h"

namespace heed::test {

/// `tensor` with `count` elements along `axis`, new ones `junk`.
inline Tensor Resized(const Tensor& tensor, Axis axis, int64_t count, double junk) {
  Tensor result{tensor.axes, tensor.shape, {}};
  size_t at = 0;
  while (tensor.axes[at] != axis) ++at;
  result.shape[at] = count;
  result.data.assign(static_cast<size_t>(result.count()), junk);
  for (int64_t i = 0; i < tensor.count(); ++i) {
    const std::vector<int64_t> place = Coordinates(i, tensor.shape);
    if (place[at] < count) result.data[Offset(place, result.shape)] = tensor.data[i];
  }
  return result;
}

/// Positions before slot 0 of a ring, by its definition.
inline int64_t RingStart(Axis ring, int64_t position) {
  int64_t first = 0;
  while (first + ring.ring() <= position) first += ring.ring_step();
  return first;
}

/// Evaluates one graph on values; all its outputs.
using EvaluateGraph = std::function<Values(const Graph& graph, const Values& values, const Lengths& extents)>;

class Session {
 public:
  /// `prefill` and `step` are batched; `values` are the prompt's (Pack of the prefill's inputs).
  Session(const Graph& prefill, const Graph& step, EvaluateGraph evaluate)
      : prefill_(prefill), step_(step), evaluate_(std::move(evaluate)), axis_(prefill.generate->axis) {
    for (NodeId id : step.Order())
      if (step.op(id) == OpKind::Input) inputs_[step[id].attributes.name] = id;
  }

  /// Logits after the prompts.
  Tensor Start(const Batched& prompts, std::vector<int64_t> lengths) {
    given_ = prompts;
    lengths_ = std::move(lengths);
    Values results = evaluate_(prefill_, prompts.values, prompts.extents);
    for (auto& [name, tensor] : results)
      if (name.starts_with(ir::kCachePrefix) || name.starts_with(ir::kFixedPrefix))
        kept_[name] = std::move(tensor);
    return results.at("logits");
  }

  /// Adds one element to every example; the logits after it.
  Tensor Add(const std::vector<double>& ids) {
    Batched call = given_;
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (int64_t& length : lengths_) ++length;
    const int64_t longest = *std::max_element(lengths_.begin(), lengths_.end());
    const int64_t rows = static_cast<int64_t>(lengths_.size());
    call.extents[axis_] = longest;
    call.extents[Axis("batch")] = rows;
    Tensor length{{Axis("batch")}, {rows}, {}};
    for (const int64_t each : lengths_) length.data.push_back(static_cast<double>(each));
    call.values["len." + axis_.text()] = length;
    call.values[prefill_.generate->variable] = {{Axis("batch")}, {rows}, ids};
    for (auto& [name, tensor] : kept_) {
      if (name.starts_with(ir::kCachePrefix)) {
        const double junk = step_.type(inputs_.at(name)).dtype == DType::Float ? nan : 0;
        for (const AxisList axes = tensor.axes; const Axis a : axes) {
          if (a.ring())
            tensor = MovedOn(tensor, a, junk);
          else if (a.root() == axis_)
            tensor = Resized(tensor, a, longest, junk);
        }
      }
      call.values[name] = tensor;
    }
    Values results = evaluate_(step_, call.values, call.extents);
    for (auto& [name, tensor] : results)
      if (name.starts_with(ir::kCachePrefix)) kept_[name] = std::move(tensor);
    return results.at("logits");
  }

  /// Row b goes on from where row `parents[b]` was.
  void Reorder(const std::vector<int64_t>& parents) {
    const auto reorder = [&](Tensor& tensor) {
      if (!ir::Contains(tensor.axes, Axis("batch"))) return;
      const AxisList axes = tensor.axes;
      AxisList first{Axis("batch")};
      for (Axis a : axes)
        if (a != Axis("batch")) first.push_back(a);
      Tensor rows = Transposed(tensor, first), result{first, rows.shape, {}};
      const int64_t each = rows.count() / rows.shape[0];
      result.shape[0] = static_cast<int64_t>(parents.size());
      for (const int64_t parent : parents)
        result.data.insert(result.data.end(), rows.data.begin() + parent * each,
                           rows.data.begin() + (parent + 1) * each);
      tensor = Transposed(result, axes);
    };
    for (auto& [name, tensor] : kept_) reorder(tensor);
    for (auto& [name, tensor] : given_.values) reorder(tensor);
    std::vector<int64_t> lengths;
    for (const int64_t parent : parents) lengths.push_back(lengths_[parent]);
    lengths_ = std::move(lengths);
  }

  const Values& kept() const { return kept_; }

 private:
  Tensor MovedOn(const Tensor& tensor, Axis ring, double junk) const {
    Tensor result = tensor;
    size_t at = 0, batch = 0;
    while (tensor.axes[at] != ring) ++at;
    while (tensor.axes[batch] != Axis("batch")) ++batch;
    for (int64_t i = 0; i < tensor.count(); ++i) {
      std::vector<int64_t> place = Coordinates(i, tensor.shape);
      const int64_t now = lengths_[place[batch]] - 1;  // the position that is about to be added
      place[at] += RingStart(ring, now) - RingStart(ring, now - 1);
      result.data[i] = place[at] < ring.ring() ? tensor.data[Offset(place, tensor.shape)] : junk;
    }
    return result;
  }

  const Graph& prefill_;
  const Graph& step_;
  EvaluateGraph evaluate_;
  const Axis axis_;
  std::map<std::string, NodeId> inputs_;
  Batched given_;
  std::vector<int64_t> lengths_;
  Values kept_;
};

/// Names of the programs in examples/attention that generate, at sizes as small as `sizes` says.
inline std::vector<Example> GeneratingForms() {
  static const std::map<std::string, double> kSizes = {
      {"vocab", 7}, {"label", 5},  {"model", 12}, {"heads", 3}, {"kv", 3},   {"rep", 2},
      {"key", 5},   {"val", 3},    {"align", 5},  {"seq", 13},  {"src", 11}, {"tgt", 9},
      {"half", 2},  {"stride", 3}, {"window", 4}, {"cap", 2},   {"near", 3}, {"far", 9}};
  std::vector<Example> examples;
  for (const auto& file : std::filesystem::directory_iterator(Source("examples/attention"))) {
    if (file.path().extension() != ".heed") continue;
    const std::string name = file.path().stem().string();
    const std::string path = "examples/attention/" + name + ".heed", text = ReadFile(Source(path));
    if (text.find("generate ") == std::string::npos) continue;
    Example example{name, path, {}};
    for (const auto& [axis, size] : kSizes)
      if (std::regex_search(text, std::regex("\\b" + axis + " <?= [0-9]"))) example.sizes[axis] = size;
    examples.push_back(std::move(example));
  }
  std::sort(examples.begin(), examples.end(),
            [](const Example& a, const Example& b) { return a.name < b.name; });
  return examples;
}

}  // namespace heed::test
