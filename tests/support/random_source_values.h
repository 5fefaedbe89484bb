// Arguments and parameters for random programs (random_source.h).
#pragma once

#include "tests/support/passes_support.h"
#include "tests/support/random_source.h"

namespace heed::test {

/// Small multiples of 1/8, whole numbers in range.
inline Values SourceInputs(const Graph& graph, const Lengths& lengths, std::mt19937_64& random) {
  Values values;
  for (const NodeId id : graph.Order()) {
    const ir::Node& node = graph[id];
    if (node.op != OpKind::Input) continue;
    const Axis of = node.type.indexes;
    values[node.attributes.name] = MakeTensor(graph, node.type.axes, lengths, [&](int64_t) -> double {
      if (node.type.dtype == DType::Float) return SourceValue(random());
      if (node.type.dtype == DType::Bool) return random() % 3 != 0;
      const int64_t bound = of ? ExtentOf(graph, of, lengths) : 4;
      return static_cast<double>(random() % static_cast<uint64_t>(bound));
    });
  }
  return values;
}

inline Values SourceParameters(const frontend::Program& program, uint64_t seed) {
  Values values = RandomParameters(program, seed);
  std::mt19937_64 random(seed);
  for (auto& [name, tensor] : values)
    for (double& x : tensor.data) x = SourceValue(random());
  return values;
}

}  // namespace heed::test
