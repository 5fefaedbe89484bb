// The batch law: a ragged batch gives each example, bit for bit, what it gives alone, whatever is in the
// padding; and the gradient of a batch is the sum of the examples' gradients.
#include "runtime/abi_names.h"
#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

struct Ragged {
  std::vector<Values> examples;
  std::vector<Lengths> lengths;
};

Ragged RandomBatch(const Graph& graph, int count, std::mt19937_64& random) {
  Ragged batch;
  for (int i = 0; i < count; ++i) {
    Lengths lengths;
    for (Axis root : Roots(graph))
      lengths[root] = 2 + static_cast<int64_t>(random() % (graph.axes().Bound(root) - 3));
    batch.examples.push_back(RandomInputs(graph, lengths, random));
    batch.lengths.push_back(std::move(lengths));
  }
  return batch;
}

/// `part` of a padded value: what belongs to example `b`, on the axes of `alone`.
Tensor Row(const Tensor& padded, int64_t b, const Tensor& alone) {
  AxisList order{Axis("batch")};
  order.insert(order.end(), alone.axes.begin(), alone.axes.end());
  const Tensor sorted = Transposed(padded, order);
  Tensor row{alone.axes, alone.shape, {}};
  for (int64_t i = 0; i < alone.count(); ++i) {
    std::vector<int64_t> at = Coordinates(i, alone.shape);
    at.insert(at.begin(), b);
    row.data.push_back(sorted.data[Offset(at, sorted.shape)]);
  }
  return row;
}

/// The per-example value under a sum over the batch.
NodeId BeforeSum(const Graph& graph, NodeId id) {
  return graph.op(id) == OpKind::Sum ? graph[id].inputs[0] : id;
}

TEST(Batch, ExamplesDoNotSeeEachOtherNorPadding) {
  for (const Example& example : Programs()) {
    const auto program = Load(example);
    ASSERT_TRUE(program);
    const Values parameters = RandomParameters(*program, 3);
    for (const frontend::Entry& entry : program->entries) {
      SCOPED_TRACE(example.name + "." + entry.name);
      std::mt19937_64 random(2);
      const Ragged ragged = RandomBatch(*entry.graph, 4, random);
      for (const std::vector<std::string>& names :
           {std::vector<std::string>{"batch"},
            {"batch", "canonicalize", "cse"},
            {"sites", "batch", "canonicalize", "fuse_attention", "canonicalize", "cse"}}) {
        const bool fused = names.size() > 3;
        const Graph batched = Passed(*entry.graph, names);
        for (double junk : {7.5, std::numeric_limits<double>::quiet_NaN()}) {
          const Batched packed = Pack(batched, ragged.examples, ragged.lengths, junk);
          Interpreter all(batched, Options(parameters, packed.values, packed.extents));
          for (const auto& [name, id] : entry.graph->outputs) {
            const bool total = name == "loss" || name == "per";
            const NodeId whole = batched.Output(name);
            const Tensor& value = all.Value(total ? BeforeSum(batched, whole) : whole);
            for (int64_t b = 0; b < 4; ++b) {
              const Graph single =
                  fused ? Passed(*entry.graph, {"sites", "canonicalize", "fuse_attention"}) : *entry.graph;
              Interpreter one(single, Options(parameters, ragged.examples[b], ragged.lengths[b]));
              const Tensor& alone = one.Value(single.Output(name));
              EXPECT_TRUE(SameBits(alone, Row(value, b, alone)))
                  << name << " of example " << b << ", padding " << junk;
            }
          }
        }
      }
    }
  }
}

TEST(Batch, GradientIsTheSumOfTheExamples) {
  for (const Example& example : Programs()) {
    const auto program = Load(example);
    ASSERT_TRUE(program);
    const Values parameters = RandomParameters(*program, 4);
    for (const frontend::Entry& entry : program->entries) {
      if (entry.kind != frontend::EntryKind::Minimize) continue;
      SCOPED_TRACE(example.name + "." + entry.name);
      std::mt19937_64 random(9);
      const Ragged ragged = RandomBatch(*entry.graph, 3, random);
      const Graph derived = passes::RunPipeline(*entry.graph, Variant::Train, {});
      const double nan = std::numeric_limits<double>::quiet_NaN();
      const Batched packed = Pack(derived, ragged.examples, ragged.lengths, nan);
      Interpreter all(derived, Options(parameters, packed.values, packed.extents));
      const Graph alone = Passed(*entry.graph, {"grad"});
      std::map<std::string, Tensor> sums;
      for (int64_t b = 0; b < 3; ++b) {
        Interpreter one(alone, Options(parameters, ragged.examples[b], ragged.lengths[b]));
        for (const auto& [name, id] : alone.outputs) {
          const Tensor& value = one.Value(id);
          Tensor& sum = sums[name];
          if (sum.data.empty()) {
            sum = value;
          } else {
            const Tensor sorted = Transposed(value, sum.axes);
            for (size_t i = 0; i < sum.data.size(); ++i) sum.data[i] += sorted.data[i];
          }
        }
      }
      ASSERT_EQ(sums.size() + derived.checks.size(), derived.outputs.size());
      for (const auto& [name, id] : derived.outputs)
        if (!name.starts_with(kCheckPrefix))
          EXPECT_LT(Difference(sums.at(name), all.Value(id)), 1e-10) << name;
    }
  }
}

}  // namespace
}  // namespace heed::test
