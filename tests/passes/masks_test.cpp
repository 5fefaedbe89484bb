// The mask analysis against brute force: a tile is never called all or none wrongly, by numbers or by the
// code of kernels, and a bound is never too small.
#include "passes/mask.h"
#include "tests/support/passes_support.h"
#include "tests/support/tile_class.h"

namespace heed::test {
namespace {

constexpr int64_t kExtent = 64, kTile = 8;

struct MaskCase {
  std::string name;
  std::string mask;                    ///< over seq' and seq; "": padding alone, over src
  int64_t loose = 0;                   ///< tiles at most that are called mixed needlessly
  double after = 0;                    ///< largest key - query; infinite: unbounded
  double before = passes::kUnbounded;  ///< largest query - key
};

const std::vector<MaskCase>& Cases() {
  static const std::vector<MaskCase> cases{
      {"causal", "seq' <= seq"},
      {"window", "seq' <= seq and seq - seq' < 9", 0, 0, 8},
      {"prefix", "seq' <= seq or seq' < n", 0, passes::kUnbounded},
      {"documents", "doc == doc[seq -> seq'] and seq' <= seq", 12},
      {"band", "abs(seq - seq') <= 5", 2, 5, 5},
      {"causal or the first four", "seq' <= seq and (seq - seq' < 6 or seq' < 4)", 2},
      {"not the future", "not (seq < seq')"},
      {"strided", "seq' <= seq and (seq - seq') % 4 == 0", 8},
      {"shifted", "seq' + 1 <= seq", 0, -1},
      {"exactly before", "seq' == seq - 1", 2, -1, 1},
      {"twice", "2 * seq' <= 2 * seq + 1", 0, 0},
      {"padding", "", 0, passes::kUnbounded},
  };
  return cases;
}

/// A softmax under the mask, in an entry of its own.
std::unique_ptr<frontend::Program> Program(const MaskCase& test) {
  const bool padding = test.mask.empty();
  const std::string key = padding ? "src" : "seq'", value = padding ? "m" : "x[seq -> seq']";
  const std::string where = padding ? "true" : test.mask;
  return CompileText("mask.heed",
                     "axis seq <= 64, src <= 64, c = 4\n"
                     "def f(x[seq, c], doc: int[seq], n: int[], m[src, c]) -> [seq, c] = softmax[" +
                         key + " | " + where + "](x @c " + value + ") @" + key + " " + value +
                         "\n"
                         "entry e(x[seq, c], doc: int[seq], n: int[], m[src, c]) = f(x, doc, n, m)\n");
}

TEST(Masks, TilesAndBoundsAgainstBruteForce) {
  for (const MaskCase& test : Cases()) {
    SCOPED_TRACE(test.name);
    const auto program = Program(test);
    ASSERT_TRUE(program);
    const Graph graph = Passed(*program->entries[0].graph, {"batch"});
    NodeId mask, softmax;
    for (NodeId id : graph.Order())
      if (graph.op(id) == OpKind::Softmax) softmax = id;
    mask = ir::MaskOf(graph[softmax]);
    ASSERT_TRUE(mask);
    const Axis key = graph[softmax].attributes.axes[0], query("seq");

    std::mt19937_64 random(5);
    std::vector<Lengths> lengths{{{Axis("seq"), 50}, {Axis("src"), 40}},
                                 {{Axis("seq"), 33}, {Axis("src"), 17}}};
    std::vector<Values> examples;
    for (const Lengths& one : lengths) {
      Values inputs = RandomInputs(*program->entries[0].graph, one, random);
      if (inputs.count("n")) inputs["n"].data = {13};
      examples.push_back(std::move(inputs));
    }
    for (Lengths& one : lengths) {  // whatever the graph does not use stays out
      for (Axis root : {Axis("seq"), Axis("src")})
        if (!graph.ragged.count(root)) one.erase(root);
    }
    Batched batch = Pack(graph, examples, lengths, 0, kExtent);
    Interpreter run(graph, Options(batch.values, {}, batch.extents));
    const Tensor truth = Transposed(
        [&] {
          Graph wide = graph;  // the mask on all its axes
          wide.SetOutput("m", wide.Broadcast(mask, {Axis("batch"), query, key}));
          return Interpreter(wide, Options(batch.values, {}, batch.extents)).Value(wide.Output("m"));
        }(),
        {Axis("batch"), query, key});
    ASSERT_EQ(truth.shape, (std::vector<int64_t>{2, kExtent, kExtent}));

    int64_t loose = 0;
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t i = 0; i < kExtent; i += kTile)
        for (int64_t j = 0; j < kExtent; j += kTile) {
          // Data leaves are bounded by what they hold in the tile.
          const auto leaf = [&](NodeId id) -> std::optional<NumberBounds> {
            const ir::Node& node = graph[id];
            const AxisList& axes = graph.axes_of(id);
            const bool point = !ir::Contains(axes, query) && !ir::Contains(axes, key);
            const auto bounds = [&](double low, double high) -> NumberBounds {
              return {{low, node.type.dtype}, {high, node.type.dtype}, point};
            };
            const auto range = [&](Axis axis) -> std::pair<int64_t, int64_t> {
              if (axis == Axis("batch")) return {b, b};
              const int64_t first = axis == query ? i : j;
              return {first, first + kTile - 1};
            };
            if (node.op == OpKind::Positions) {
              const auto [first, last] = range(node.attributes.axis);
              return bounds(static_cast<double>(first), static_cast<double>(last));
            }
            const Tensor& value = run.Value(id);
            double low = passes::kUnbounded, high = -passes::kUnbounded;
            for (int64_t e = 0; e < value.count(); ++e) {
              const std::vector<int64_t> at = Coordinates(e, value.shape);
              bool inside = true;
              for (size_t a = 0; a < at.size(); ++a) {
                const auto [first, last] = range(value.axes[a]);
                inside = inside && at[a] >= first && at[a] <= last;
              }
              if (!inside) continue;
              low = std::min(low, value.data[e]);
              high = std::max(high, value.data[e]);
            }
            return bounds(low, high);
          };
          const TileClass found = ClassByNumbers(graph, mask, leaf);
          ASSERT_EQ(ClassByCode(graph, mask, leaf), found);
          bool any = false, all = true;
          for (int64_t y = i; y < i + kTile; ++y)
            for (int64_t x = j; x < j + kTile; ++x) {
              const bool holds = truth.data[(b * kExtent + y) * kExtent + x] != 0;
              any = any || holds;
              all = all && holds;
            }
          const auto real = all ? TileClass::All : any ? TileClass::Mixed : TileClass::None;
          if (found == real) continue;
          ASSERT_EQ(found, TileClass::Mixed) << "tile " << i << ", " << j << " of example " << b;
          ++loose;
        }
    EXPECT_LE(loose, test.loose);

    const NodeId p = passes::FindPositions(graph, key), q = passes::FindPositions(graph, query);
    if (p && q) {
      EXPECT_EQ(passes::Sup(graph, mask, p, q), test.after);
      EXPECT_EQ(passes::Sup(graph, mask, q, p), test.before);
    }
    const NodeId length = graph.ragged.at(key.root());
    EXPECT_EQ(passes::Sup(graph, mask, p, length), -1);
    double after = -passes::kUnbounded, before = after;  // of the elements that hold
    for (int64_t e = 0; e < truth.count(); ++e) {
      if (truth.data[e] == 0) continue;
      const std::vector<int64_t> at = Coordinates(e, truth.shape);
      after = std::max(after, static_cast<double>(at[2] - at[1]));
      before = std::max(before, static_cast<double>(at[1] - at[2]));
    }
    if (p && q) {
      EXPECT_LE(after, passes::Sup(graph, mask, p, q));
      EXPECT_LE(before, passes::Sup(graph, mask, q, p));
    }
  }
}

TEST(Masks, LinearForms) {
  auto table = std::make_shared<ir::AxisTable>();
  table->Set(Axis("t"), {ir::Extent::Kind::Dynamic, 9, {}});
  Graph graph(table);
  const NodeId t = graph.Positions(Axis("t")), n = graph.Length(Axis("t"));
  const NodeId form = graph.Sub(graph.Mul(graph.ConstInt(3), graph.Add(t, graph.ConstInt(2))), graph.Neg(n));
  const auto linear = passes::Linear(graph, form);
  ASSERT_TRUE(linear);
  EXPECT_EQ(linear->constant, 6);
  EXPECT_EQ(linear->terms.at(t), 3);
  EXPECT_EQ(linear->terms.at(n), 1);
  const auto nothing = passes::Linear(graph, graph.Sub(t, t));
  ASSERT_TRUE(nothing);
  EXPECT_TRUE(nothing->terms.empty());
  const NodeId never = graph.And(graph.Pointwise(OpKind::Lt, {t, n}), graph.ConstBool(false));
  EXPECT_EQ(passes::Sup(graph, never, t, n), -passes::kUnbounded);
  const NodeId product = graph.Mul(t, n);  // not linear: a leaf of its own
  EXPECT_EQ(passes::Linear(graph, product)->terms.at(product), 1);
}

}  // namespace
}  // namespace heed::test
