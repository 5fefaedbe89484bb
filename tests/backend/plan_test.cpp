// What a plan holds in memory at a time.
#include "backend/plan/plan.h"

#include <gtest/gtest.h>

#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

/// The most elements of the arena that are in use in any step, for one example of 64 tokens, capacity 80.
int64_t MostInUse(const backend::Plan& plan, const ir::Graph& graph) {
  int64_t most = 0;
  for (size_t step = 0; step < plan.steps.size(); ++step) {
    int64_t in_use = 0;
    for (const backend::Buffer& buffer : plan.buffers) {
      const auto at = static_cast<int>(step);
      if (buffer.kind != backend::BufferKind::Arena || !buffer.used || at < buffer.first || at > buffer.last)
        continue;
      int64_t elements = buffer.elements.factor;
      for (const int term : buffer.elements.terms) {
        const ir::Axis extent = plan.extents[static_cast<size_t>(term)];
        elements *= graph.axes().IsLifted(extent) ? 1 : ir::Text({extent}).ends_with("^") ? 80 : 64;
      }
      in_use += elements;
    }
    most = std::max(most, in_use);
  }
  return most;
}

// What a layer keeps for later steps is stored at once: memory does not grow with the number of layers.
TEST(Plan, APrefillHoldsALayerAtATime) {
  const auto in_use = [](double layers) -> int64_t {
    const auto program = Load({"gpt2",
                               "examples/gpt2.heed",
                               {{"vocab", 60}, {"model", 8}, {"heads", 2}, {"seq", 80}, {"layer", layers}}});
    if (program == nullptr) return -1;
    for (const frontend::Entry& entry : program->entries) {
      if (entry.kind != frontend::EntryKind::Generate) continue;
      const Graph graph = passes::RunPipeline(*entry.infer, Variant::Prefill, {});
      return MostInUse(backend::MakePlan(graph, "prefill", {}), graph);
    }
    return -1;
  };
  EXPECT_GT(in_use(2), 0);
  EXPECT_EQ(in_use(6), in_use(2));
}

}  // namespace
}  // namespace heed::test
