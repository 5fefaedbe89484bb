// Bounds of random masks over small tiles, by numbers and by code: never wrong, whatever the data (NaN,
// infinities, whole numbers at the ends of 32 bits), and the same by both.
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "ir/int_range.h"
#include "ir/text.h"
#include "tests/support/tile_class.h"

namespace heed::test {
namespace {

using ir::Axis;
using ir::DType;
using ir::Graph;
using ir::NodeId;
using ir::OpKind;
using NumberValue = ir::NumberAlgebra::Value;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int kTile = 3;

/// Whose rules need every kind of operand; the others are unknown.
bool HasRule(OpKind op) {
  switch (op) {
    case OpKind::Cos:
    case OpKind::Erf:
    case OpKind::Exp:
    case OpKind::Log:
    case OpKind::Pow:
    case OpKind::Sigmoid:
    case OpKind::Sin:
    case OpKind::Sqrt:
    case OpKind::Tanh:
      return false;
    default:
      return ir::IsPointwise(op);
  }
}

/// The elements of a tile, of each leaf; and numbers that tell whether one of them wraps in 32 bits.
struct Data {
  struct Leaf {
    NodeId id;
    DType dtype;
    bool along_key = false, along_query = false;
    double elements[kTile][kTile] = {};
    bool unknown = false;
  };
  std::vector<Leaf> leaves;

  const Leaf& Of(NodeId id) const {
    return *std::find_if(leaves.begin(), leaves.end(), [&](const Leaf& leaf) { return leaf.id == id; });
  }
  std::optional<NumberBounds> Bounds(NodeId id) const {
    const Leaf& leaf = Of(id);
    if (leaf.unknown) return std::nullopt;
    ir::NumberAlgebra numbers;
    NumberValue low{leaf.elements[0][0], leaf.dtype}, high = low;
    for (const auto& row : leaf.elements)
      for (double element : row) {
        low = numbers.Least(low, {element, leaf.dtype});
        high = numbers.Most(high, {element, leaf.dtype});
      }
    return NumberBounds{low, high, !leaf.along_key && !leaf.along_query};
  }
};

struct ElementAlgebra : ir::NumberAlgebra {
  bool wraps = false;
  NumberValue Apply(OpKind op, const std::vector<NumberValue>& x, DType dtype) {
    const NumberValue result = NumberAlgebra::Apply(op, x, dtype);
    wraps = wraps || (dtype == DType::Int && !ir::FitsInt(result.number));
    return result;
  }
};

class Sample {
 public:
  Sample(uint64_t seed, bool extreme) : random_(seed), extreme_(extreme), graph_(Table()) {
    for (const auto& [axes, dtype, name] : std::vector<std::tuple<ir::AxisList, DType, const char*>>{
             {{Axis("k")}, DType::Int, "i"},
             {{Axis("q")}, DType::Int, "j"},
             {{}, DType::Int, "n"},
             {{Axis("k")}, DType::Float, "x"},
             {{Axis("q")}, DType::Float, "y"},
             {{}, DType::Float, "z"},
             {{Axis("k")}, DType::Bool, "b"},
             {{Axis("k"), Axis("q")}, DType::Float, "u"}})
      AddLeaf(graph_.Make(OpKind::Input, {}, {.axes = axes, .dtype = dtype, .name = name}));
    for (const char* axis : {"k", "q"}) AddLeaf(graph_.Positions(Axis(axis)));
    mask_ = AnyTruth(4);
    graph_.SetOutput("mask", mask_);
  }

  const Graph& graph() const { return graph_; }
  NodeId mask() const { return mask_; }
  const Data& data() const { return data_; }
  std::string Text() const {
    std::string text = ir::Print(graph_);
    for (const Data::Leaf& leaf : data_.leaves) {
      text += graph_[leaf.id].attributes.name + graph_[leaf.id].attributes.axis.text() + ":";
      for (const auto& row : leaf.elements)
        for (double element : row) text += " " + std::to_string(element);
      text += "\n";
    }
    return text;
  }
  /// Whether the mask holds for a pair; none if a whole number leaves 32 bits on the way, which no program
  /// may need.
  std::optional<bool> Holds(int query, int key) const {
    ElementAlgebra elements;
    elements.leaf = [&](NodeId id) {
      const Data::Leaf& leaf = data_.Of(id);
      const NumberValue element{leaf.elements[query][key], leaf.dtype};
      return NumberBounds{element, element, true};
    };
    const auto bounds = ir::IntervalAnalysis<ElementAlgebra>(graph_, elements).Of(mask_);
    if (elements.wraps) return std::nullopt;
    return bounds->low.number != 0;
  }

 private:
  static std::shared_ptr<ir::AxisTable> Table() {
    auto table = std::make_shared<ir::AxisTable>();
    for (const char* axis : {"k", "q"}) table->Set(Axis(axis), {ir::Extent::Kind::Dynamic, 1000, {}});
    return table;
  }
  int Below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }

  double Element(DType dtype) {
    const int chance = Below(extreme_ ? 12 : 100);
    if (dtype == DType::Bool) return Below(2);
    if (dtype == DType::Int)
      return !extreme_ || chance > 1 ? Below(7) - 3 : chance == 0 ? ir::kMostInt : ir::kLeastInt;
    const double special[] = {kNan, kInfinity, -kInfinity, -0.0};
    return chance < 4 ? special[chance] : (Below(13) - 6) * 0.5;
  }
  void AddLeaf(NodeId id) {
    const ir::Node& node = graph_[id];
    Data::Leaf leaf{id, node.type.dtype};
    leaf.along_key = ir::Contains(node.type.axes, Axis("k"));
    leaf.along_query = ir::Contains(node.type.axes, Axis("q"));
    leaf.unknown = leaf.along_key && leaf.along_query;
    const int first = Below(20);
    double line[kTile];
    for (int i = 0; i < kTile; ++i) line[i] = node.op == OpKind::Positions ? first + i : Element(leaf.dtype);
    for (int query = 0; query < kTile; ++query)
      for (int key = 0; key < kTile; ++key)
        leaf.elements[query][key] = leaf.unknown       ? Element(leaf.dtype)
                                    : leaf.along_key   ? line[key]
                                    : leaf.along_query ? line[query]
                                                       : line[0];
    data_.leaves.push_back(leaf);
  }

  NodeId AnyNumber(int depth) {
    if (depth == 0 || Below(6) == 0) {
      if (Below(4) == 0) return graph_.ConstInt(Below(9) - 3);
      if (Below(8) == 0) return graph_.Const(Below(9) * 0.5 - 1);
      NodeId id;
      do id = data_.leaves[static_cast<size_t>(Below(static_cast<int>(data_.leaves.size())))].id;
      while (graph_.type(id).dtype == DType::Bool);
      return id;
    }
    static const std::vector<OpKind> kOps = [] {
      std::vector<OpKind> ops;
      for (const ir::OpInfo& info : ir::AllOps())
        if (HasRule(info.kind) && !IsTruth(info.kind)) ops.push_back(info.kind);
      return ops;
    }();
    const OpKind op = kOps[static_cast<size_t>(Below(static_cast<int>(kOps.size())))];
    if (op == OpKind::Select)
      return graph_.Select(AnyTruth(depth - 1), AnyNumber(depth - 1), AnyNumber(depth - 1));
    std::vector<NodeId> inputs;
    for (int i = 0; i < ir::Info(op).inputs; ++i) inputs.push_back(AnyNumber(depth - 1));
    return graph_.Pointwise(op, inputs);
  }
  NodeId AnyTruth(int depth) {
    if (depth == 0) return data_.leaves[6].id;
    static const std::vector<OpKind> kOps = [] {
      std::vector<OpKind> ops;
      for (const ir::OpInfo& info : ir::AllOps())
        if (IsTruth(info.kind)) ops.push_back(info.kind);
      return ops;
    }();
    const OpKind op = kOps[static_cast<size_t>(Below(static_cast<int>(kOps.size())))];
    const bool of_truths = op == OpKind::And || op == OpKind::Or || op == OpKind::Not;
    if (Below(12) == 0) return graph_.Select(AnyTruth(depth - 1), AnyTruth(depth - 1), AnyTruth(depth - 1));
    std::vector<NodeId> inputs;
    for (int i = 0; i < ir::Info(op).inputs; ++i)
      inputs.push_back(of_truths ? AnyTruth(depth - 1) : AnyNumber(depth - 1));
    return graph_.Pointwise(op, inputs);
  }
  static bool IsTruth(OpKind op) {
    switch (op) {
      case OpKind::Eq:
      case OpKind::Ge:
      case OpKind::Gt:
      case OpKind::Le:
      case OpKind::Lt:
      case OpKind::Ne:
      case OpKind::And:
      case OpKind::Or:
      case OpKind::Not:
        return true;
      default:
        return false;
    }
  }

  std::mt19937_64 random_;
  const bool extreme_;
  Graph graph_;
  Data data_;
  NodeId mask_;
};

void Check(const Sample& sample, std::optional<TileClass> found) {
  if (!found || found == TileClass::Mixed) return;
  for (int query = 0; query < kTile; ++query)
    for (int key = 0; key < kTile; ++key) {
      const std::optional<bool> holds = sample.Holds(query, key);
      if (holds) {
        ASSERT_EQ(*holds, found == TileClass::All) << "query " << query << ", key " << key;
      }
    }
}

TEST(Bounds, OfRandomMasksAreNeverWrong) {
  int decided = 0;
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    const bool extreme = seed % 2 == 1;
    SCOPED_TRACE("seed " + std::to_string(seed));
    const Sample sample(seed, extreme);
    const NumberLeaf leaf = [&](NodeId id) { return sample.data().Bounds(id); };
    const TileClass by_numbers = ClassByNumbers(sample.graph(), sample.mask(), leaf);
    const auto by_code = ClassByCode(sample.graph(), sample.mask(), leaf);
    ASSERT_TRUE(by_code);
    Check(sample, by_numbers);
    Check(sample, by_code);
    if (!extreme) {
      EXPECT_EQ(*by_code, by_numbers);
    }
    if (HasFailure()) FAIL() << sample.Text();
    decided += by_numbers != TileClass::Mixed;
  }
  EXPECT_GT(decided, 4000);
}

/// What the rules are good for: blocks, strides and periods are decided wherever they can be.
TEST(Bounds, BlocksAndPeriodsAreDecided) {
  auto table = std::make_shared<ir::AxisTable>();
  for (const char* axis : {"k", "q"}) table->Set(Axis(axis), {ir::Extent::Kind::Dynamic, 4096, {}});
  Graph graph(table);
  const NodeId k = graph.Positions(Axis("k")), q = graph.Positions(Axis("q"));
  const auto block = [&](NodeId x) {
    return graph.Pointwise(OpKind::Floor, {graph.Pointwise(OpKind::Div, {x, graph.ConstInt(64)})});
  };
  const NodeId same_block = graph.Pointwise(OpKind::Eq, {block(k), block(q)});
  const NodeId first_of_each = graph.Pointwise(
      OpKind::Lt, {graph.Pointwise(OpKind::Mod, {k, graph.ConstInt(1024)}), graph.ConstInt(64)});
  const auto classes = [&](NodeId mask, double query, double key) {
    const NumberLeaf leaf = [&](NodeId id) -> std::optional<NumberBounds> {
      const double first = id == k ? key : query;
      return NumberBounds{{first, DType::Int}, {first + 15, DType::Int}};
    };
    EXPECT_EQ(ClassByCode(graph, mask, leaf), ClassByNumbers(graph, mask, leaf));
    return ClassByNumbers(graph, mask, leaf);
  };
  EXPECT_EQ(classes(same_block, 64, 112), TileClass::All);
  EXPECT_EQ(classes(same_block, 64, 128), TileClass::None);
  EXPECT_EQ(classes(same_block, 64, 120), TileClass::Mixed);
  EXPECT_EQ(classes(first_of_each, 0, 2048), TileClass::All);
  EXPECT_EQ(classes(first_of_each, 0, 2128), TileClass::None);
  EXPECT_EQ(classes(first_of_each, 0, 2040), TileClass::Mixed);
}

}  // namespace
}  // namespace heed::test
