// Generated loops that reduce, in rows and in columns, against a plain evaluation: masks, scratch, several
// stages; and the laws: neither what lies behind the end of a row nor what a row costs changes a bit.
#include "tests/support/loop_sketch.h"

namespace heed::backend {
namespace {

/// Softmax with a mask, staged through scratch; what is masked holds NaN.
Sketch MaskedSoftmax(bool expensive) {
  Sketch s;
  s.extents = kRowsAndLength;
  s.kernel.outer = {X(0)};
  s.kernel.inner = {X(1)};
  const Size all{1, {0, 1}};
  const int x = s.Memory(false, DType::Float, all, {X(1), N(1)});
  const int length = s.Memory(false, DType::Int, X(0), {N(1), N(0)});
  const int row = s.Scratch({N(0), N(1)});
  const int y = s.Memory(true, DType::Float, all, {X(1), N(1)});
  const int lse = s.Memory(true, DType::Float, X(0), {N(1), N(0)});
  int vx = s.Add(LoadOf(x));
  if (expensive)  // enough work to roll the loop
    for (int i = 0; i < 4; ++i) vx = s.Add(OpOf(OpKind::Tanh, {vx}));
  const int there =
      s.Add(OpOf(OpKind::Lt, {s.Add(PositionOf(1)), s.Add(LoadOf(length, DType::Int))}, DType::Bool));
  const int largest = s.Add(ReducedOf(0));
  const int exponential = s.Add(OpOf(OpKind::Exp, {s.Add(OpOf(OpKind::Sub, {vx, largest}))}));
  const int total = s.Add(ReducedOf(1));
  const int quotient = s.Add(OpOf(OpKind::Div, {s.Add(LoadOf(row)), total}));
  const int result = s.Add(OpOf(OpKind::Select, {there, quotient, s.Add(ConstOf(0))}));
  const int log_total = s.Add(OpOf(OpKind::Add, {largest, s.Add(OpOf(OpKind::Log, {total}))}));
  s.kernel.stages.push_back({{{OpKind::Max, vx, there}}, {}});
  s.kernel.stages.push_back({{{OpKind::Sum, exponential, there}}, {{exponential, row}}});
  s.kernel.stages.push_back({{}, {{result, y}}});
  s.kernel.row_stores = {{log_total, lse}};
  return s;
}

TEST_P(CodegenTest, MaskedSoftmaxRows) {
  for (const bool expensive : {false, true}) {
    // Rows of length 1.., the rest is hidden (ints of buffer 1).
    Check(MaskedSoftmax(expensive), Lengths(3), [](int buffer, std::mt19937& random) {
      if (buffer == 1) return std::floor(std::uniform_real_distribution<double>(1, 30)(random));
      return std::uniform_real_distribution<double>(-3, 3)(random);
    });
  }
}

/// The same rows, stored wider, with NaN behind their ends: the same bits.
TEST_P(CodegenTest, PaddingChangesNoBit) {
  for (const bool expensive : {false, true}) {
    const Sketch s = MaskedSoftmax(expensive);
    const auto jit = JitPlan::Create(s.ToPlan(), GetParam(), test::Binary("kernels"));
    ASSERT_TRUE(jit) << jit.error().message;
    std::mt19937 random(1);
    for (int32_t length = 1; length < 150; length += 1 + length / 10) {
      std::vector<float> row(length), first;
      for (float& x : row) x = static_cast<float>(Plain(0, random));
      for (int64_t width : {int64_t{length}, int64_t{length} + 1, int64_t{length} + 70, int64_t{300}}) {
        std::vector<float> x(width, NAN);
        std::copy(row.begin(), row.end(), x.begin());
        JitPlan::Call call;
        call.extents = {1, width};
        call.inputs = {{"m0", x.data()}, {"m1", &length}};
        auto results = (*jit)->Run(call);
        std::vector<float> y(width), lse(1);
        std::memcpy(y.data(), results.at("m2").data(), 4 * width);
        std::memcpy(lse.data(), results.at("m3").data(), 4);
        for (int64_t i = length; i < width; ++i) EXPECT_EQ(y[i], 0);
        y.resize(length);
        y.push_back(lse[0]);
        if (first.empty()) first = y;
        EXPECT_EQ(0, std::memcmp(first.data(), y.data(), 4 * y.size())) << length << " in " << width;
      }
    }
  }
}

/// However expensive the elements of a row are to compute, a sum adds them in one order.
TEST_P(CodegenTest, SumsHaveOneOrder) {
  std::vector<std::vector<float>> sums(2);
  for (const bool expensive : {false, true}) {
    Sketch s;
    s.extents = kRowsAndLength;
    s.kernel.outer = {X(0)};
    s.kernel.inner = {X(1)};
    const int x = s.Memory(false, DType::Float, Size{1, {0, 1}}, {X(1), N(1)});
    const int y = s.Memory(true, DType::Float, X(0), {N(1), N(0)});
    int value = s.Add(LoadOf(x));
    if (expensive) {  // costs much, changes nothing
      int one = s.Add(ConstOf(1));
      int zero = s.Add(OpOf(OpKind::Mul, {value, s.Add(ConstOf(0))}));
      for (int i = 0; i < 5; ++i) zero = s.Add(OpOf(OpKind::Tanh, {zero}));
      value = s.Add(OpOf(OpKind::Mul, {value, s.Add(OpOf(OpKind::Add, {one, zero}))}));
    }
    s.kernel.stages.push_back({{{OpKind::Sum, value, -1}}, {}});
    s.kernel.row_stores = {{s.Add(ReducedOf(0)), y}};
    const auto jit = JitPlan::Create(s.ToPlan(), GetParam(), test::Binary("kernels"));
    ASSERT_TRUE(jit) << jit.error().message;
    for (int64_t n = 1; n < 300; n += 7) {
      std::mt19937 random(2);
      std::vector<float> data(3 * n);
      for (float& each : data) each = static_cast<float>(Plain(0, random));
      JitPlan::Call call;
      call.extents = {3, n};
      call.inputs = {{"m0", data.data()}};
      const auto results = (*jit)->Run(call);
      sums[expensive].resize(sums[expensive].size() + 3);
      std::memcpy(&sums[expensive][sums[expensive].size() - 3], results.at("m1").data(), 12);
    }
  }
  EXPECT_EQ(sums[0], sums[1]);
}

TEST_P(CodegenTest, ArgmaxRows) {
  for (const bool expensive : {false, true}) {
    Sketch s;
    s.extents = kRowsAndLength;
    s.kernel.outer = {X(0)};
    s.kernel.inner = {X(1)};
    const Size all{1, {0, 1}};
    const int x = s.Memory(false, DType::Float, all, {X(1), N(1)});
    const int mask = s.Memory(false, DType::Bool, all, {X(1), N(1)});
    const int y = s.Memory(true, DType::Int, X(0), {N(1), N(0)});
    const int z = s.Memory(true, DType::Int, X(0), {N(1), N(0)});
    int value = s.Add(OpOf(OpKind::Floor, {s.Add(LoadOf(x))}));  // many ties
    if (expensive)
      for (int i = 0; i < 3; ++i) value = s.Add(OpOf(OpKind::Sigmoid, {value}));
    const int there = s.Add(LoadOf(mask, DType::Bool));
    s.kernel.stages.push_back({{{OpKind::Argmax, value, there}, {OpKind::Argmax, value, -1}}, {}});
    s.kernel.row_stores = {{s.Add(ReducedOf(0, DType::Int)), y}, {s.Add(ReducedOf(1, DType::Int)), z}};
    Check(s, Lengths(5));
  }
}

/// Two inner axes and a mean that the second stage uses.
TEST_P(CodegenTest, RowsOfTwoAxes) {
  Sketch s;
  s.extents = kRowsAndLength;
  s.kernel.outer = {X(0)};
  s.kernel.inner = {N(3), X(1)};
  const Size all{3, {0, 1}};
  const std::vector<Size> strides = {X(1, 3), X(1), N(1)};
  const int x = s.Memory(false, DType::Float, all, strides);
  const int y = s.Memory(true, DType::Float, all, strides);
  const int vx = s.Add(LoadOf(x));
  LoopValue extent;
  extent.kind = Kind::Extent;
  extent.size = X(1, 3);
  extent.dtype = DType::Int;
  const int mean = s.Add(OpOf(OpKind::Div, {s.Add(ReducedOf(0)), s.Add(extent)}));
  s.kernel.stages.push_back({{{OpKind::Sum, vx, -1}}, {}});
  s.kernel.stages.push_back({{}, {{s.Add(OpOf(OpKind::Sub, {vx, mean})), y}}});
  Check(s, Lengths(2));
}

/// Column mode: lanes along a dynamic axis, reduction over two others, then a stage that uses it, and
/// scratch.
TEST_P(CodegenTest, Columns) {
  Sketch s;
  s.extents = kRowsAndLength;
  s.kernel.column = true;
  s.kernel.outer = {N(2)};
  s.kernel.lane = X(1);
  s.kernel.inner = {X(0), N(3)};
  const Size all{6, {0, 1}};
  const std::vector<Size> strides = {Size{3, {0, 1}}, N(1), X(1, 3), X(1)};
  const int x = s.Memory(false, DType::Float, all, strides);
  const int mask = s.Memory(false, DType::Bool, Size{1, {0}}, {N(0), N(0), N(1), N(0)});
  const int t = s.Memory(false, DType::Float, Size{2, {1}}, {N(1), N(2), N(0), N(0)});  // strided lanes
  const int row = s.Scratch({N(0), N(1), N(3), N(1)});
  const int y = s.Memory(true, DType::Float, all, strides);
  const int total = s.Memory(true, DType::Float, Size{2, {1}}, {X(1), N(1), N(0), N(0)});
  const int scattered = s.Memory(true, DType::Float, Size{2, {1}}, {N(1), N(2), N(0), N(0)});
  const int vx = s.Add(LoadOf(x));
  const int there = s.Add(LoadOf(mask, DType::Bool));
  const int vt = s.Add(LoadOf(t));
  const int scaled = s.Add(OpOf(OpKind::Mul, {vx, vt}));
  const int sum = s.Add(ReducedOf(0)), largest = s.Add(ReducedOf(1));
  const int result = s.Add(OpOf(OpKind::Sub, {s.Add(LoadOf(row)), s.Add(OpOf(OpKind::Mul, {sum, largest}))}));
  s.kernel.stages.push_back({{{OpKind::Sum, scaled, there}, {OpKind::Max, vx, -1}}, {{scaled, row}}});
  s.kernel.stages.push_back({{}, {{result, y}}});
  s.kernel.row_stores = {{sum, total}, {s.Add(OpOf(OpKind::Neg, {sum})), scattered}};
  std::vector<std::vector<int64_t>> extents = Lengths(2);
  extents.push_back({1, 65});
  extents.push_back({5, 16});
  Check(s, extents);
}

TEST_P(CodegenTest, ColumnArgmaxAndPlainColumns) {
  Sketch s;
  s.extents = kRowsAndLength;
  s.kernel.column = true;
  s.kernel.lane = X(1);
  s.kernel.inner = {X(0)};
  const int x = s.Memory(false, DType::Float, Size{1, {0, 1}}, {N(1), X(1)});
  const int y = s.Memory(true, DType::Int, X(1), {N(1), N(0)});
  s.kernel.stages.push_back({{{OpKind::Argmax, s.Add(OpOf(OpKind::Floor, {s.Add(LoadOf(x))})), -1}}, {}});
  s.kernel.row_stores = {{s.Add(ReducedOf(0, DType::Int)), y}};
  Check(s, Lengths(9));

  Sketch p;  // no stages: everything is a row value
  p.extents = kRowsAndLength;
  p.kernel.column = true;
  p.kernel.outer = {X(0)};
  p.kernel.lane = X(1);
  const int a = p.Memory(false, DType::Float, Size{1, {0, 1}}, {X(1), N(1)});
  const int b = p.Memory(true, DType::Float, Size{1, {0, 1}}, {X(1), N(1)});
  p.kernel.row_stores = {{p.Add(OpOf(OpKind::Neg, {p.Add(LoadOf(a))})), b}};
  Check(p, Lengths(3));
}

INSTANTIATE_TEST_SUITE_P(Levels, CodegenTest, testing::ValuesIn(KernelLevels()), LevelName);

}  // namespace
}  // namespace heed::backend
