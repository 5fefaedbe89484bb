// Generated loops against a plain evaluation of the same kernel, element by element: both modes, every kind
// of operand (adjacent, constant, strided, gathered), masks, scratch, remainders of every length, dynamic
// extents; and the laws: the number of parts changes no bit, neither does what lies behind the end of a row.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>

#include "backend/plan/plan.h"
#include "backend/target/target.h"
#include "ir/op.h"
#include "runtime/base/random.h"
#include "tests/support/jit.h"
#include "tests/support/paths.h"

namespace heed::backend {
namespace {

using ir::DType;
using ir::OpKind;
using Kind = LoopValue::Kind;

Size N(int64_t factor) { return {factor, {}}; }
Size X(int term, int64_t factor = 1) { return {factor, {term}}; }

// ---- Building kernels

LoopValue ConstOf(double number, DType dtype = DType::Float) {
  LoopValue value;
  value.kind = Kind::Const;
  value.number = number;
  value.dtype = dtype;
  return value;
}
LoopValue LoadOf(int operand, DType dtype = DType::Float) {
  LoopValue value;
  value.kind = Kind::Load;
  value.operand = operand;
  value.dtype = dtype;
  return value;
}
LoopValue PositionOf(int axis) {
  LoopValue value;
  value.kind = Kind::Position;
  value.axis = axis;
  value.dtype = DType::Int;
  return value;
}
LoopValue OpOf(OpKind op, std::vector<int> args, DType dtype = DType::Float) {
  LoopValue value;
  value.kind = Kind::Op;
  value.op = op;
  value.args = std::move(args);
  value.dtype = dtype;
  return value;
}
LoopValue ReducedOf(int reduction, DType dtype = DType::Float) {
  LoopValue value;
  value.kind = Kind::Reduced;
  value.reduction = reduction;
  value.row = true;
  value.dtype = dtype;
  return value;
}
LoopValue GatherOf(int operand, std::vector<int> indices, std::vector<LoopPlace> places) {
  LoopValue value;
  value.kind = Kind::Gather;
  value.operand = operand;
  value.args = std::move(indices);
  value.places = std::move(places);
  return value;
}

/// A plan of one loop: operand i is input or output i of its own buffer.
struct Sketch {
  LoopKernel kernel;
  std::vector<ir::Axis> extents;
  std::vector<std::pair<bool, Size>> buffers;  ///< of operands in memory: is it an output, elements

  int Memory(bool output, DType dtype, Size elements, std::vector<Size> strides) {
    LoopOperand operand;
    operand.base.buffer = static_cast<int>(buffers.size());
    operand.dtype = dtype;
    operand.strides = std::move(strides);
    kernel.operands.push_back(operand);
    buffers.emplace_back(output, std::move(elements));
    return static_cast<int>(kernel.operands.size()) - 1;
  }
  int Scratch(std::vector<Size> strides) {
    LoopOperand operand;
    operand.strides = std::move(strides);
    kernel.operands.push_back(operand);
    ++kernel.scratch_rows;
    return static_cast<int>(kernel.operands.size()) - 1;
  }
  int Add(LoopValue value) {
    kernel.values.push_back(std::move(value));
    return static_cast<int>(kernel.values.size()) - 1;
  }
  static std::string Name(int buffer) { return "m" + std::to_string(buffer); }
  Plan ToPlan() const {
    Plan plan;
    plan.name = "test";
    plan.extents = extents;
    for (const LoopOperand& operand : kernel.operands) {
      if (operand.base.buffer < 0) continue;
      const auto& [output, elements] = buffers[operand.base.buffer];
      Buffer buffer;
      buffer.kind = output ? BufferKind::Output : BufferKind::Input;
      auto& list = output ? plan.outputs : plan.inputs;
      buffer.index = static_cast<int>(list.size());
      buffer.dtype = operand.dtype;
      buffer.elements = elements;
      TensorInfo info;
      info.name = Name(operand.base.buffer);
      info.dtype = operand.dtype;
      list.push_back(info);
      plan.buffers.push_back(buffer);
    }
    Step step;
    step.work = kernel;
    plan.steps.push_back(step);
    return plan;
  }
};

// ---- The plain evaluation

/// Values as doubles, rounded to float after every float op.
class Evaluator {
 public:
  Evaluator(const LoopKernel& kernel, std::vector<int64_t> extents,
            std::map<int, std::vector<double>>& memory, uint64_t key, bool dropout)
      : kernel_(kernel), extents_(std::move(extents)), memory_(memory), key_(key), dropout_(dropout) {}

  void Run() {
    std::vector<Size> rows = kernel_.outer;
    if (kernel_.column) rows.push_back(kernel_.lane);
    Walk(rows, 0, {}, [&](const std::vector<int64_t>& row) {
      reduced_.clear();
      scratch_.clear();
      for (const LoopStage& stage : kernel_.stages) {
        struct State {
          double total = 0, largest = -std::numeric_limits<double>::infinity(), place = 0;
        };
        std::vector<State> states(stage.reductions.size());
        Walk(kernel_.inner, 0, row, [&](const std::vector<int64_t>& index) {
          for (size_t r = 0; r < stage.reductions.size(); ++r) {
            const LoopReduction& reduction = stage.reductions[r];
            if (reduction.mask >= 0 && Value(reduction.mask, index) == 0) continue;
            const double x = Value(reduction.value, index);
            states[r].total += x;
            const bool wins = x > states[r].largest;
            if (wins) states[r].place = static_cast<double>(index.back());
            if (wins || std::isnan(x)) states[r].largest = x;
          }
          for (const LoopStore& store : stage.stores) Store(store, index);
        });
        for (size_t r = 0; r < stage.reductions.size(); ++r) {
          const OpKind op = stage.reductions[r].op;
          reduced_.push_back(op == OpKind::Sum   ? states[r].total
                             : op == OpKind::Max ? states[r].largest
                                                 : states[r].place);
        }
      }
      std::vector<int64_t> index = row;
      index.resize(row.size() + kernel_.inner.size());
      for (const LoopStore& store : kernel_.row_stores) Store(store, index);
    });
  }

 private:
  int64_t Of(const Size& size) const {
    int64_t value = size.factor;
    for (int term : size.terms) value *= extents_[term];
    return value;
  }
  void Walk(const std::vector<Size>& sizes, size_t axis, std::vector<int64_t> index,
            const std::function<void(const std::vector<int64_t>&)>& body) {
    if (axis == sizes.size()) return body(index);
    index.push_back(0);
    for (int64_t i = 0; i < Of(sizes[axis]); ++i) {
      index.back() = i;
      Walk(sizes, axis + 1, index, body);
    }
  }
  int64_t Offset(const LoopOperand& operand, const std::vector<int64_t>& index) const {
    int64_t offset = 0;
    for (size_t a = 0; a < index.size(); ++a) offset += index[a] * Of(operand.strides[a]);
    return offset;
  }
  double Value(int number, const std::vector<int64_t>& index) {
    const LoopValue& value = kernel_.values[number];
    switch (value.kind) {
      case Kind::Const:
        return value.dtype == DType::Float ? static_cast<float>(value.number) : value.number;
      case Kind::Position:
        return static_cast<double>(index[value.axis]);
      case Kind::Extent:
        return static_cast<double>(Of(value.size));
      case Kind::Load: {
        const LoopOperand& operand = kernel_.operands[value.operand];
        const int64_t offset = Offset(operand, index);
        if (operand.base.buffer < 0) return scratch_.at({value.operand, offset});
        return memory_.at(operand.base.buffer).at(offset);
      }
      case Kind::Gather: {
        const LoopOperand& operand = kernel_.operands[value.operand];
        int64_t offset = Offset(operand, index);
        for (size_t i = 0; i < value.places.size(); ++i) {
          const double place = Value(value.args[i], index);
          if (place < 0 || place >= static_cast<double>(Of(value.places[i].size))) return 0;
          offset += static_cast<int64_t>(place) * Of(value.places[i].stride);
        }
        return memory_.at(operand.base.buffer).at(offset);
      }
      case Kind::Op: {
        std::vector<double> arguments;
        for (int argument : value.args) arguments.push_back(Value(argument, index));
        const double result = ir::Info(value.op).eval(arguments);
        if (value.dtype == DType::Int && std::isnan(result)) return 0;
        return value.dtype == DType::Float ? static_cast<float>(result) : result;
      }
      case Kind::Keep: {
        if (!dropout_) return 1;
        const auto bits = RandomBits(key_, static_cast<uint32_t>(Value(value.args[0], index)),
                                     SiteHash(value.site.data(), value.site.size()),
                                     static_cast<uint64_t>(Value(value.args[1], index)));
        return KeepFactor(bits, static_cast<float>(value.number));
      }
      case Kind::Gumbel: {
        if (!dropout_) return 0;
        return GumbelNoise(RandomBits(key_, static_cast<uint32_t>(Value(value.args[0], index)),
                                      SiteHash(value.site.data(), value.site.size()),
                                      static_cast<uint64_t>(Value(value.args[1], index))));
      }
      case Kind::Reduced:
        return reduced_.at(value.reduction);
    }
    return 0;
  }
  void Store(const LoopStore& store, const std::vector<int64_t>& index) {
    const LoopOperand& operand = kernel_.operands[store.operand];
    const int64_t offset = Offset(operand, index);
    const double value = Value(store.value, index);
    if (operand.base.buffer < 0)
      scratch_[{store.operand, offset}] = value;
    else
      memory_.at(operand.base.buffer).at(offset) = value;
  }

  const LoopKernel& kernel_;
  std::vector<int64_t> extents_;
  std::map<int, std::vector<double>>& memory_;
  uint64_t key_;
  bool dropout_;
  std::vector<double> reduced_;
  std::map<std::pair<int, int64_t>, double> scratch_;
};

// ---- Comparing

std::vector<char> ToBytes(const std::vector<double>& data, DType dtype) {
  std::vector<char> bytes(data.size() * (dtype == DType::Bool ? 1 : 4));
  for (size_t i = 0; i < data.size(); ++i) {
    const float number = static_cast<float>(data[i]);
    const int32_t whole = dtype == DType::Int ? static_cast<int32_t>(data[i]) : 0;
    if (dtype == DType::Bool)
      bytes[i] = data[i] != 0;
    else
      std::memcpy(&bytes[4 * i], dtype == DType::Int ? static_cast<const void*>(&whole) : &number, 4);
  }
  return bytes;
}

double Element(const std::vector<char>& bytes, size_t i, DType dtype) {
  if (dtype == DType::Bool) return bytes[i];
  float number;
  int32_t whole;
  std::memcpy(&number, &bytes[4 * i], 4);
  std::memcpy(&whole, &bytes[4 * i], 4);
  return dtype == DType::Int ? whole : static_cast<double>(number);
}

using Data = std::function<double(int buffer, std::mt19937& random)>;
double Plain(int, std::mt19937& random) { return std::uniform_real_distribution<double>(-2, 2)(random); }

class CodegenTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const auto jit = JitPlan::Create(Plan{}, GetParam(), test::Binary("kernels"));
    if (!jit && LacksLevel(jit.error())) GTEST_SKIP() << jit.error().message;
  }

  /// Runs natively with 1, 2 and 7 parts (equal bits), and plainly.
  void Check(const Sketch& sketch, const std::vector<std::vector<int64_t>>& all_extents,
             const Data& data = Plain, double tolerance = 2e-6, bool dropout = true) {
    const auto jit = JitPlan::Create(sketch.ToPlan(), GetParam(), test::Binary("kernels"));
    ASSERT_TRUE(jit) << jit.error().message;
    for (const std::vector<int64_t>& extents : all_extents) {
      std::mt19937 random(7);
      std::map<int, std::vector<double>> memory;
      std::map<int, std::vector<char>> bytes;
      JitPlan::Call call;
      call.extents = extents;
      call.key = RandomKey(3, 4);
      call.dropout = dropout;
      std::string where = "extents";
      for (int64_t extent : extents) where += " " + std::to_string(extent);
      for (const LoopOperand& operand : sketch.kernel.operands) {
        if (operand.base.buffer < 0) continue;
        const auto& [output, elements] = sketch.buffers[operand.base.buffer];
        int64_t count = elements.factor;
        for (int term : elements.terms) count *= extents[term];
        std::vector<double>& values = memory[operand.base.buffer];
        for (int64_t i = 0; i < count; ++i) {
          const double value = output ? NAN : data(operand.base.buffer, random);
          values.push_back(operand.dtype == DType::Float ? static_cast<float>(value)
                           : output                      ? 0
                                                         : std::floor(value));
          if (operand.dtype == DType::Bool && !output) values.back() = value > 0;
        }
        bytes[operand.base.buffer] = ToBytes(values, operand.dtype);
        call.inputs[Sketch::Name(operand.base.buffer)] = bytes[operand.base.buffer].data();
      }
      Evaluator(sketch.kernel, extents, memory, call.key, dropout).Run();
      const auto results = (*jit)->Run(call);
      for (int64_t parts : {2, 7}) {
        call.parts = parts;
        EXPECT_EQ(results, (*jit)->Run(call)) << parts << " parts, " << where;
      }
      for (const LoopOperand& operand : sketch.kernel.operands) {
        const int buffer = operand.base.buffer;
        if (buffer < 0 || !sketch.buffers[buffer].first) continue;
        const std::vector<double>& expected = memory.at(buffer);
        const std::vector<char>& actual = results.at(Sketch::Name(buffer));
        for (size_t i = 0; i < expected.size(); ++i) {
          const double got = Element(actual, i, operand.dtype), want = expected[i];
          if (std::isnan(want) && std::isnan(got)) continue;
          if (want == got) continue;
          ASSERT_LE(std::abs(got - want), tolerance * std::max(1.0, std::abs(want)))
              << "output " << buffer << " element " << i << ", " << where;
        }
      }
    }
  }
};

std::vector<std::vector<int64_t>> Lengths(int64_t rows) {
  std::vector<std::vector<int64_t>> all;
  for (int64_t n = 0; n <= 40; ++n) all.push_back({rows, n});
  for (int64_t n : {63, 64, 65, 127, 129, 200}) all.push_back({rows, n});
  return all;
}

const std::vector<ir::Axis> kRowsAndLength = {ir::Axis("rows"), ir::Axis("length")};

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
        const DType to = logic || compares ? DType::Bool : whole && !to_float ? DType::Int : DType::Float;
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

/// Softmax with a mask, staged through scratch; what is masked holds NaN.
Sketch MaskedSoftmax(bool dear) {
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
  if (dear)  // enough work to roll the loop
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
  for (const bool dear : {false, true}) {
    // Rows of length 1.., the rest is hidden (ints of buffer 1).
    Check(MaskedSoftmax(dear), Lengths(3), [](int buffer, std::mt19937& random) {
      if (buffer == 1) return std::floor(std::uniform_real_distribution<double>(1, 30)(random));
      return std::uniform_real_distribution<double>(-3, 3)(random);
    });
  }
}

/// The same rows, stored wider, with NaN behind their ends: the same bits.
TEST_P(CodegenTest, PaddingChangesNoBit) {
  for (const bool dear : {false, true}) {
    const Sketch s = MaskedSoftmax(dear);
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

/// However dear the elements of a row are to compute, a sum adds them in one order.
TEST_P(CodegenTest, SumsHaveOneOrder) {
  std::vector<std::vector<float>> sums(2);
  for (const bool dear : {false, true}) {
    Sketch s;
    s.extents = kRowsAndLength;
    s.kernel.outer = {X(0)};
    s.kernel.inner = {X(1)};
    const int x = s.Memory(false, DType::Float, Size{1, {0, 1}}, {X(1), N(1)});
    const int y = s.Memory(true, DType::Float, X(0), {N(1), N(0)});
    int value = s.Add(LoadOf(x));
    if (dear) {  // costs much, changes nothing
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
      sums[dear].resize(sums[dear].size() + 3);
      std::memcpy(&sums[dear][sums[dear].size() - 3], results.at("m1").data(), 12);
    }
  }
  EXPECT_EQ(sums[0], sums[1]);
}

TEST_P(CodegenTest, ArgmaxRows) {
  for (const bool dear : {false, true}) {
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
    if (dear)
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

INSTANTIATE_TEST_SUITE_P(Levels, CodegenTest, testing::ValuesIn(KernelLevels()), [](const auto& info) {
  std::string name = info.param;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

}  // namespace
}  // namespace heed::backend
