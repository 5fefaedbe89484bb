// Plans of one loop, written by hand: their building, a plain evaluation element by element, and the fixture
// that compares generated code with it at every CPU level of this machine.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "backend/plan/plan.h"
#include "backend/target/target.h"
#include "ir/op.h"
#include "runtime/base/random.h"
#include "tests/support/jit.h"
#include "tests/support/paths.h"

namespace heed::backend {

using ir::DType;
using ir::OpKind;
using Kind = LoopValue::Kind;

inline Size N(int64_t factor) { return {factor, {}}; }
inline Size X(int term, int64_t factor = 1) { return {factor, {term}}; }

// ---- Building kernels

inline LoopValue ConstOf(double number, DType dtype = DType::Float) {
  LoopValue value;
  value.kind = Kind::Const;
  value.number = number;
  value.dtype = dtype;
  return value;
}
inline LoopValue LoadOf(int operand, DType dtype = DType::Float) {
  LoopValue value;
  value.kind = Kind::Load;
  value.operand = operand;
  value.dtype = dtype;
  return value;
}
inline LoopValue PositionOf(int axis) {
  LoopValue value;
  value.kind = Kind::Position;
  value.axis = axis;
  value.dtype = DType::Int;
  return value;
}
inline LoopValue OpOf(OpKind op, std::vector<int> args, DType dtype = DType::Float) {
  LoopValue value;
  value.kind = Kind::Op;
  value.op = op;
  value.args = std::move(args);
  value.dtype = dtype;
  return value;
}
inline LoopValue ReducedOf(int reduction, DType dtype = DType::Float) {
  LoopValue value;
  value.kind = Kind::Reduced;
  value.reduction = reduction;
  value.row = true;
  value.dtype = dtype;
  return value;
}
inline LoopValue GatherOf(int operand, std::vector<int> indices, std::vector<LoopPlace> places) {
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

inline std::vector<char> ToBytes(const std::vector<double>& data, DType dtype) {
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

inline double Element(const std::vector<char>& bytes, size_t i, DType dtype) {
  if (dtype == DType::Bool) return bytes[i];
  float number;
  int32_t whole;
  std::memcpy(&number, &bytes[4 * i], 4);
  std::memcpy(&whole, &bytes[4 * i], 4);
  return dtype == DType::Int ? whole : static_cast<double>(number);
}

using Data = std::function<double(int buffer, std::mt19937& random)>;
inline double Plain(int, std::mt19937& random) {
  return std::uniform_real_distribution<double>(-2, 2)(random);
}

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

inline std::vector<std::vector<int64_t>> Lengths(int64_t rows) {
  std::vector<std::vector<int64_t>> all;
  for (int64_t n = 0; n <= 40; ++n) all.push_back({rows, n});
  for (int64_t n : {63, 64, 65, 127, 129, 200}) all.push_back({rows, n});
  return all;
}

inline const std::vector<ir::Axis> kRowsAndLength = {ir::Axis("rows"), ir::Axis("length")};

inline std::string LevelName(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace heed::backend
