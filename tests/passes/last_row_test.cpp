// The variant `next`: the last row of the logits, bit for bit, with little more computed than that row needs.
#include "tests/support/passes_support.h"

namespace heed::test {
namespace {

TEST(LastRow, IsTheLastRowOfAllLogits) {
  int entries = 0;
  for (const Example& example : Programs()) {
    const auto program = Load(example);
    ASSERT_TRUE(program);
    const Values parameters = RandomParameters(*program, 5);
    for (const frontend::Entry& entry : program->entries) {
      if (entry.kind != frontend::EntryKind::Generate) continue;
      SCOPED_TRACE(example.name + "." + entry.name);
      ++entries;
      const Graph& graph = *entry.graph;
      const Axis axis = graph.generate->axis;
      std::mt19937_64 random(6);
      std::vector<Lengths> lengths;
      std::vector<Values> examples;
      for (int64_t n : {1, 5, 3}) {
        Lengths one;
        for (Axis root : Roots(graph)) one[root] = root == axis.root() ? n : 4;
        examples.push_back(RandomInputs(graph, one, random));
        lengths.push_back(one);
      }
      const Graph next = passes::RunPipeline(graph, Variant::Prefill, {});
      const Graph forward = passes::RunPipeline(graph, Variant::Forward, {});
      const double nan = std::numeric_limits<double>::quiet_NaN();
      const Batched packed = Pack(next, examples, lengths, nan);
      Interpreter a(next, Options(parameters, packed.values, packed.extents));
      Interpreter b(forward, Options(parameters, packed.values, packed.extents));
      const AxisList rows{Axis("batch"), Axis("vocab")};
      const Tensor last = Transposed(a.Value(next.Output("logits")), rows);
      const Tensor all =
          Transposed(b.Value(forward.Output("logits")), AxisList{Axis("batch"), axis, Axis("vocab")});
      for (int64_t e = 0; e < 3; ++e)
        for (int64_t v = 0; v < last.shape[1]; ++v)
          EXPECT_TRUE(
              SameBits(last.data[e * last.shape[1] + v],
                       all.data[(e * all.shape[1] + lengths[e].at(axis.root()) - 1) * all.shape[2] + v]));
      // Nothing has both the vocabulary and the generated axis any more, and no attention but the last is
      // doubled.
      const auto count = [](const Graph& of, OpKind op) {
        int found = 0;
        for (NodeId id : of.Order()) found += of.op(id) == op;
        return found;
      };
      for (NodeId id : next.Order())
        EXPECT_FALSE(ir::Contains(next.axes_of(id), Axis("vocab")) && ir::Contains(next.axes_of(id), axis) &&
                     next.type(id).dtype == DType::Float);
      EXPECT_EQ(count(next, OpKind::Attention), count(forward, OpKind::Attention));
      EXPECT_EQ(count(next, OpKind::Softmax), count(forward, OpKind::Softmax));
    }
  }
  EXPECT_GE(entries, 5);
}

}  // namespace
}  // namespace heed::test
