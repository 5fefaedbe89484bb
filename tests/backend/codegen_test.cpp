// Generated loops against a plain evaluation of the same kernel, element by element: every op and every kind
// of operand (adjacent, constant, strided, gathered, at an offset), chance, remainders of every length,
// dynamic extents; the number of parts changes no bit. Reductions are codegen_reductions_test.cpp's affair.
#include "tests/support/loop_sketch.h"

namespace heed::backend {
namespace {

/// y = x * w + b[row] with operands of stride 1, 0 and others, dynamic rows and columns.
TEST_P(CodegenTest, PointwiseRows) {
  Sketch s;
  s.extents = kRowsAndLength;
  s.kernel.outer = {X(0)};
  s.kernel.inner = {X(1)};
  const Size all{1, {0, 1}};
  const int x = s.Memory(false, DType::Float, all, {X(1), N(1)});
  const int w = s.Memory(false, DType::Float, X(1), {N(0), N(1)});
  const int b = s.Memory(false, DType::Float, X(0), {N(1), N(0)});
  const int t = s.Memory(false, DType::Float, all, {N(1), X(0)});               // transposed
  const int three = s.Memory(false, DType::Float, Size{3, {1}}, {N(0), N(3)});  // every third
  const int y = s.Memory(true, DType::Float, all, {X(1), N(1)});
  const int z = s.Memory(true, DType::Float, all, {N(1), X(0)});
  const int flag = s.Memory(true, DType::Bool, all, {X(1), N(1)});
  const int position = s.Memory(true, DType::Int, all, {X(1), N(1)});
  const int vx = s.Add(LoadOf(x)), vw = s.Add(LoadOf(w)), vb = s.Add(LoadOf(b)), vt = s.Add(LoadOf(t)),
            v3 = s.Add(LoadOf(three));
  const int product = s.Add(OpOf(OpKind::Mul, {vx, vw}));
  const int sum = s.Add(OpOf(OpKind::Add, {product, vb}));
  const int other = s.Add(OpOf(OpKind::Sub, {vt, v3}));
  const int greater = s.Add(OpOf(OpKind::Gt, {sum, other}, DType::Bool));
  const int place = s.Add(OpOf(OpKind::Add, {s.Add(PositionOf(0)), s.Add(PositionOf(1))}, DType::Int));
  s.kernel.stages.push_back({{}, {{sum, y}, {other, z}, {greater, flag}, {place, position}}});
  Check(s, Lengths(3), Plain, 0);
  Check(s, {{1, 5000}, {0, 5}}, Plain, 0);
}

TEST_P(CodegenTest, PointwiseStaticLengths) {
  for (int64_t n : {1, 7, 8, 16, 24, 31, 32, 33, 48, 100, 4097}) {
    Sketch s;
    s.kernel.outer = {N(2), N(3)};
    s.kernel.inner = {N(n)};
    const int x = s.Memory(false, DType::Float, N(6 * n), {N(3 * n), N(n), N(1)});
    const int y = s.Memory(true, DType::Float, N(6 * n), {N(n), N(2 * n), N(1)});
    s.kernel.stages.push_back({{}, {{s.Add(OpOf(OpKind::Relu, {s.Add(LoadOf(x))})), y}}});
    Check(s, {{}}, Plain, 0);
  }
}

/// Every pointwise op on floats and ints, against its meaning in ir/.
TEST_P(CodegenTest, EveryPointwiseOp) {
  for (const ir::OpInfo& info : ir::AllOps()) {
    if (info.family != ir::Family::Pointwise) continue;
    for (const bool whole : {false, true}) {
      for (const bool uniform : {false, true}) {
        const OpKind op = info.kind;
        const bool logic = info.elements == ir::Elements::Logical;
        if (whole && logic) continue;
        Sketch s;
        s.kernel.inner = {N(150)};
        const DType from = logic ? DType::Bool : whole ? DType::Int : DType::Float;
        const bool compares = info.elements == ir::Elements::Compared;
        const bool to_float = info.elements == ir::Elements::Floats;
        const bool to_whole = info.elements == ir::Elements::Wholes || (whole && !to_float);
        const DType to = logic || compares ? DType::Bool : to_whole ? DType::Int : DType::Float;
        std::vector<int> args;
        for (int i = 0; i < info.inputs; ++i) {
          const DType dtype = op == OpKind::Select && i == 0 ? DType::Bool : from;
          const int m = s.Memory(false, dtype, N(150), {uniform && i == 0 ? N(0) : N(1)});
          args.push_back(s.Add(LoadOf(m, dtype)));
        }
        const int y = s.Memory(true, to, N(150), {N(1)});
        s.kernel.stages.push_back({{}, {{s.Add(OpOf(op, args, to)), y}}});
        SCOPED_TRACE(std::string(info.name) + (whole ? " of ints" : ""));
        Check(
            s, {{}},
            [&](int, std::mt19937& random) {
              if (whole) return std::floor(std::uniform_real_distribution<double>(-4, 5)(random));
              return std::uniform_real_distribution<double>(info.sample.low, info.sample.high)(random);
            },
            1e-6);
      }
    }
  }
}

TEST_P(CodegenTest, PowersOfConstants) {
  for (double exponent : {2.0, 3.0, -1.0, 0.5, -0.5, 1.0, 2.5}) {
    Sketch s;
    s.kernel.inner = {N(70)};
    const int x = s.Memory(false, DType::Float, N(70), {N(1)});
    const int y = s.Memory(true, DType::Float, N(70), {N(1)});
    s.kernel.stages.push_back(
        {{}, {{s.Add(OpOf(OpKind::Pow, {s.Add(LoadOf(x)), s.Add(ConstOf(exponent))})), y}}});
    Check(s, {{}},
          [](int, std::mt19937& random) { return std::uniform_real_distribution<double>(0.3, 2)(random); });
  }
}

/// Rows of a table (the index does not vary along the row) and single elements (it does), in and out of
/// range.
TEST_P(CodegenTest, Gathers) {
  Sketch s;
  s.extents = {ir::Axis("rows"), ir::Axis("length"), ir::Axis("words")};
  s.kernel.outer = {X(0)};
  s.kernel.inner = {X(1)};
  const Size all{1, {0, 1}};
  const int ids = s.Memory(false, DType::Int, X(0), {N(1), N(0)});
  const int places = s.Memory(false, DType::Int, all, {X(1), N(1)});
  const int table = s.Memory(false, DType::Float, Size{1, {1, 2}}, {N(0), N(1)});
  const int list = s.Memory(false, DType::Float, N(5), {N(0), N(0)});
  const int grid = s.Memory(false, DType::Float, Size{5, {2}}, {N(0), N(0)});
  const int small = s.Memory(false, DType::Float, N(20), {N(0), N(0)});
  const int y = s.Memory(true, DType::Float, all, {X(1), N(1)});
  const int z = s.Memory(true, DType::Float, all, {X(1), N(1)});
  const int w = s.Memory(true, DType::Float, all, {X(1), N(1)});
  const int u = s.Memory(true, DType::Float, all, {X(1), N(1)});
  const int v = s.Memory(true, DType::Float, all, {X(1), N(1)});
  const int id = s.Add(LoadOf(ids, DType::Int)), place = s.Add(LoadOf(places, DType::Int));
  s.kernel.stages.push_back({{},
                             {{s.Add(GatherOf(table, {id}, {{X(2), X(1)}})), y},
                              {s.Add(GatherOf(list, {place}, {{N(5), N(1)}})), z},
                              {s.Add(GatherOf(table, {place}, {{X(2), X(1)}})), w},
                              {s.Add(GatherOf(grid, {id, place}, {{X(2), N(5)}, {N(5), N(1)}})), u},
                              {s.Add(GatherOf(small, {place, id}, {{N(4), N(5)}, {N(5), N(1)}})), v}}});
  std::vector<std::vector<int64_t>> extents;
  for (const std::vector<int64_t>& each : Lengths(6)) extents.push_back({each[0], each[1], 4});
  extents.push_back({6, 17, 0});
  Check(
      s, extents,
      [](int buffer, std::mt19937& random) {
        return std::uniform_real_distribution<double>(buffer < 2 ? -2 : -1, buffer < 2 ? 7 : 1)(random);
      },
      0);
}

TEST_P(CodegenTest, Chance) {
  for (const auto& [kind, on] : {std::pair{Kind::Keep, true}, std::pair{Kind::Keep, false},
                                 std::pair{Kind::Gumbel, true}, std::pair{Kind::Gumbel, false}}) {
    Sketch s;
    s.extents = kRowsAndLength;
    s.kernel.outer = {X(0)};
    s.kernel.inner = {X(1)};
    const Size all{1, {0, 1}};
    const int x = s.Memory(false, DType::Float, all, {X(1), N(1)});
    const int y = s.Memory(true, DType::Float, all, {X(1), N(1)});
    LoopValue chance;
    chance.kind = kind;
    chance.site = "h.0.drop";
    chance.number = kind == Kind::Keep ? 0.3 : 0;
    const int element = s.Add(PositionOf(1));
    chance.args = {s.Add(PositionOf(0)), element};
    s.kernel.stages.push_back({{}, {{s.Add(OpOf(OpKind::Mul, {s.Add(LoadOf(x)), s.Add(chance)})), y}}});
    Check(s, Lengths(4), Plain, 1e-7, on);
  }
}

/// A buffer and an offset of dynamic size.
TEST_P(CodegenTest, Offsets) {
  Plan plan;
  plan.extents = kRowsAndLength;
  Buffer in, out;
  in.kind = BufferKind::Input;
  in.elements = Size{2, {0, 1}};
  out.kind = BufferKind::Output;
  out.elements = Size{1, {1}};
  plan.buffers = {in, out};
  TensorInfo x, y;
  x.name = "x";
  y.name = "y";
  plan.inputs = {x};
  plan.outputs = {y};
  Step step;
  LoopKernel loop;
  LoopOperand from, to;
  from.base.buffer = 0;
  from.base.offset = {Size{1, {0, 1}}, X(1), N(0)};
  from.strides = {N(1)};
  to.base.buffer = 1;
  to.strides = {N(1)};
  loop.inner = {X(1)};
  loop.operands = {from, to};
  loop.values = {LoadOf(0)};
  loop.stages.push_back({{}, {{0, 1}}});
  step.work = loop;
  plan.steps = {step};
  const auto jit = JitPlan::Create(plan, GetParam(), test::Binary("kernels"));
  ASSERT_TRUE(jit) << jit.error().message;
  std::vector<float> data(2 * 3 * 10);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<float>(i);
  JitPlan::Call call;
  call.extents = {3, 10};
  call.inputs = {{"x", data.data()}};
  const auto result = (*jit)->Run(call).at("y");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Element(result, i, DType::Float), 30 + 10 + i);
}

INSTANTIATE_TEST_SUITE_P(Levels, CodegenTest, testing::ValuesIn(KernelLevels()), LevelName);

}  // namespace
}  // namespace heed::backend
