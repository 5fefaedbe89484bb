// Decoding in native code: prefill and steps of an entry, compiled to agree, against recomputing the whole.
#pragma once

#include "backend/plan/packed.h"
#include "backend/plan/sum_orders.h"
#include "runtime/abi_names.h"
#include "tests/support/incremental_support.h"
#include "tests/support/jit.h"
#include "tests/support/native_support.h"

namespace heed::test {

/// The three functions of an entry, compiled to agree.
class Native {
 public:
  Native(const Graph& graph, int64_t ring_step) {
    passes::PassOptions options;
    options.ring_step = ring_step;
    std::vector<const Graph*> all;
    for (const Variant variant : {Variant::Forward, Variant::Prefill, Variant::Step}) {
      graphs_.push_back(std::make_unique<Graph>(passes::RunPipeline(graph, variant, options)));
      all.push_back(graphs_.back().get());
    }
    const std::set<std::string> tables = backend::FindTables(all);
    for (const auto& one : graphs_) {
      auto made = backend::JitFunction::Create(*one, "native", 1, &sums_, &tables);
      EXPECT_TRUE(made) << made.error().message;
      if (made) functions_[one.get()] = std::move(*made);
    }
  }
  const Graph& forward() const { return *graphs_[0]; }
  const Graph& prefill() const { return *graphs_[1]; }
  const Graph& step() const { return *graphs_[2]; }
  void UseThreads(int threads) {
    for (auto& [graph, function] : functions_) function->UseThreads(threads);
  }
  /// A HeedWeightsType.
  void UseWeights(int type) {
    for (auto& [graph, function] : functions_) function->UseWeights(type);
  }

  EvaluateGraph Evaluator(const Values& parameters, Axis grows) {
    return [this, &parameters, grows](const Graph& graph, const Values& values, const Lengths& extents) {
      // Caches have a greater capacity than positions.
      Lengths all = extents;
      const int64_t capacity = extents.at(grows) + 3;
      all[grows.Stored()] = capacity;
      HostValues host;
      const auto give = [&](const std::string& name, const Tensor& tensor) {
        host[name] = {tensor.shape, tensor.axes, tensor.data};
      };
      for (const auto& [name, tensor] : parameters) give(name, tensor);
      for (const auto& [name, tensor] : values) {
        Tensor padded = tensor;
        for (const Axis a : tensor.axes)
          if (name.starts_with(kCachePrefix) && a.root() == grows && !a.ring())
            padded = Resized(padded, a, capacity, 7);
        give(name, padded);
      }
      Values results;
      for (auto& [name, value] : functions_.at(&graph)->Call(host, all, 1, 3, false)) {
        Tensor tensor{value.axes, value.shape, value.data};
        for (const Axis a : AxisList(tensor.axes))
          if (name.starts_with(kCachePrefix) && a.root() == grows && !a.ring())
            tensor = Resized(tensor, a, extents.at(grows), 0);
        results[name] = std::move(tensor);
      }
      return results;
    };
  }

 private:
  backend::SumOrders sums_;
  std::vector<std::unique_ptr<Graph>> graphs_;
  std::map<const Graph*, std::unique_ptr<backend::JitFunction>> functions_;
};

/// Of every entry that generates.
inline void ExpectStepsToEqualTheWhole(const frontend::Program& program) {
  const Values parameters = Rounded(RandomParameters(program, 5));
  for (const frontend::Entry& entry : program.entries) {
    if (entry.kind != frontend::EntryKind::Generate) continue;
    SCOPED_TRACE(entry.name);
    const Graph& graph = *entry.infer;
    const Axis axis = graph.generate->axis, batch("batch"), vocabulary(entry.result_axes.back());
    Native native(graph, 0);
    for (const int type : {kHeedWeightsPlain, kHeedWeightsF32, kHeedWeightsInt8, kHeedWeightsInt4}) {
      SCOPED_TRACE("weights type " + std::to_string(type));
      native.UseWeights(type);
      const EvaluateGraph evaluate = native.Evaluator(parameters, axis.root());
      const int64_t bound = graph.axes().Bound(axis), classes = graph.axes().Bound(vocabulary);
      GrowingTexts texts(graph, [](Values values) { return Rounded(std::move(values)); });
      const std::vector<int64_t>& counts = texts.counts;
      const double nan = std::numeric_limits<double>::quiet_NaN();
      Session session(native.prefill(), native.step(), evaluate);
      Tensor logits = session.Start(Pack(native.prefill(), texts.examples, texts.lengths, nan), counts);
      for (int64_t round = 0;; ++round) {
        logits = Transposed(logits, AxisList{batch, vocabulary});
        for (size_t b = 0; b < counts.size(); ++b) {
          const Batched whole = Pack(native.forward(), {texts.examples[b]}, {texts.lengths[b]}, nan, 2);
          const Tensor all = Transposed(evaluate(native.forward(), whole.values, whole.extents).at("logits"),
                                        AxisList{batch, axis, vocabulary});
          for (int64_t v = 0; v < classes; ++v) {
            const double want = all.data[(counts[b] - 1) * classes + v];
            ASSERT_TRUE(std::isfinite(want));
            ASSERT_TRUE(SameBits(logits.data[static_cast<int64_t>(b) * classes + v], want))
                << "round " << round << ", example " << b << ", " << v << ": "
                << logits.data[static_cast<int64_t>(b) * classes + v] << " is not " << want;
          }
        }
        if (texts.Longest() == bound) break;
        if (round % 3 == 2) texts.Reorder(session);
        native.UseThreads(round % 2 ? 3 : 1);
        logits = texts.Grow(session, classes);
      }
    }
  }
}

}  // namespace heed::test
