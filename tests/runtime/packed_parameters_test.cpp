// Parameters packed when they are loaded, and saved as whole numbers: only what functions read is kept, parts
// and threads do not matter, what is saved comes back bit for bit, and files that do not fit are explained.
#include "runtime/engine/packed_parameters.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <deque>
#include <random>

#include "runtime/weights/quantized.h"
#include "runtime/weights/weights.h"
#include "tests/kernels/native_packed.h"
#include "tests/support/expect.h"
#include "tests/support/process.h"

namespace heed {
namespace {

using test::TemporaryFolder;

/// The tables of a program with parameters of some shapes, of which functions read matrices.
class TestProgram {
 public:
  TestProgram() {
    // A table with rows as columns, a matrix with terms outside, one with terms in the middle (of the storage
    // dimensions 3 and 2, 130, 4), a part of a parameter, and a vector.
    Param("table", {300, 40});
    Param("outside", {260, 70});
    Param("middle", {3, 2, 130, 4});
    Param("part", {2, 24, 20});
    Param("bias", {70});
    Param("odd", {33, 7});
    Matrix(0, 0, {{300, 40}}, {{40, 1}});
    Matrix(1, 0, {{70, 1}}, {{260, 70}});
    Matrix(2, 0, {{6, 520}, {4, 1}}, {{130, 4}});
    Matrix(3, 480, {{24, 20}}, {{20, 1}});
    Matrix(5, 0, {{7, 1}}, {{33, 7}});
    Function("all", {{kHeedBufferPacked, 0},
                     {kHeedBufferPacked, 1},
                     {kHeedBufferPacked, 2},
                     {kHeedBufferPacked, 3},
                     {kHeedBufferPacked, 4},
                     {kHeedBufferParam, 4},
                     {kHeedBufferUnused, 0}});
    Function("few", {{kHeedBufferPacked, 1}, {kHeedBufferParam, 4}, {kHeedBufferParam, 3}});
    const PackedKernels& kernels = *AllPackedKernels().front();
    packing_ = {static_cast<int64_t>(matrices_.size()),
                matrices_.data(),
                kernels.panel_columns,
                kernels.bytes,
                kernels.pack_scratch,
                kernels.pack,
                kernels.unpack_scratch,
                kernels.unpack,
                kernels.scales};
    program_.source_name = "test.heed";
    program_.param_count = static_cast<int64_t>(params_.size());
    program_.params = params_.data();
    program_.packing = &packing_;
    std::mt19937 random(4);
    std::normal_distribution<float> normal;
    for (const HeedParam& param : params_) {
      values_.emplace_back(static_cast<size_t>(param.count));
      for (float& value : values_.back()) value = normal(random);
    }
  }
  const HeedProgram& operator*() const { return program_; }
  const HeedFunction* function(int i) const { return &functions_[static_cast<size_t>(i)]; }
  const std::vector<float>& values(int64_t param) const { return values_[static_cast<size_t>(param)]; }
  ParameterSource source() const {
    return {[this](int64_t param, int64_t first, std::span<float> to) {
              std::copy_n(values(param).begin() + first, to.size(), to.begin());
            },
            {},
            {}};
  }
  /// Value of a matrix' term and column.
  float At(int64_t matrix, int64_t term, int64_t column) const {
    const HeedPackedMatrix& m = matrices_[static_cast<size_t>(matrix)];
    int64_t offset = m.offset;
    for (int64_t i = m.column_axes; i-- > 0; column /= m.extents[i])
      offset += column % m.extents[i] * m.strides[i];
    for (int64_t i = m.column_axes + m.term_axes; i-- > m.column_axes; term /= m.extents[i])
      offset += term % m.extents[i] * m.strides[i];
    return values(m.param)[static_cast<size_t>(offset)];
  }

 private:
  void Param(const char* name, std::vector<int64_t> shape) {
    int64_t count = 1;
    for (int64_t size : shape) count *= size;
    const auto& kept = numbers_.emplace_back(std::move(shape));
    std::vector<const char*>& axes = names_.emplace_back(kept.size(), "axis");
    HeedParam param = {};
    param.name = name;
    param.rank = param.axis_count = static_cast<int64_t>(kept.size());
    param.shape = param.axis_sizes = kept.data();
    param.dim_axes = param.axes = axes.data();
    param.count = count;
    params_.push_back(param);
  }
  void Matrix(int64_t param, int64_t offset, std::vector<std::pair<int64_t, int64_t>> columns,
              std::vector<std::pair<int64_t, int64_t>> terms) {
    std::vector<int64_t>& extents = numbers_.emplace_back();
    std::vector<int64_t>& strides = numbers_.emplace_back();
    for (const auto* nest : {&columns, &terms}) {
      for (const auto& [extent, stride] : *nest) {
        extents.push_back(extent);
        strides.push_back(stride);
      }
    }
    matrices_.push_back({param, offset, static_cast<int64_t>(columns.size()),
                         static_cast<int64_t>(terms.size()), extents.data(), strides.data(), 0});
  }
  void Function(const char* name, std::vector<std::pair<int64_t, int64_t>> reads) {
    std::vector<HeedBuffer>& buffers = buffers_.emplace_back();
    for (const auto& [kind, index] : reads) buffers.push_back({kind, index, {0, 0, nullptr}, 0, 0});
    HeedFunction function = {};
    function.name = name;
    function.buffer_count = static_cast<int64_t>(buffers.size());
    function.buffers = buffers.data();
    functions_.push_back(function);
  }

  std::deque<std::vector<int64_t>> numbers_;
  std::deque<std::vector<const char*>> names_;
  std::deque<std::vector<HeedBuffer>> buffers_;
  std::vector<HeedParam> params_;
  std::vector<HeedPackedMatrix> matrices_;
  std::vector<HeedFunction> functions_;
  std::vector<std::vector<float>> values_;
  HeedPacking packing_ = {};
  HeedProgram program_ = {};
};

/// [column][term], as it is multiplied by.
std::vector<float> Unpacked(const HeedPacking& packing, const HeedPackedWeights& weights) {
  std::vector<int32_t> index(static_cast<size_t>(weights.columns));
  for (size_t i = 0; i < index.size(); ++i) index[i] = static_cast<int32_t>(i);
  std::vector<float> out(static_cast<size_t>(weights.columns * weights.terms));
  HeedUnpack unpack = {};
  unpack.weights = &weights;
  unpack.index = index.data();
  unpack.out = out.data();
  unpack.ms = unpack.ks = 1;
  unpack.axes[0] = {weights.columns, 1, weights.terms, 0};
  unpack.axes[1] = {weights.terms, 0, 1, 0};
  alignas(64) static char scratch[1 << 16];
  EXPECT_LE(packing.unpack_scratch(&unpack), static_cast<int64_t>(sizeof scratch));
  packing.unpack(&unpack, 0, 1, scratch);
  return out;
}

bool SameBytes(const HeedPacking& packing, const HeedPackedWeights& a, const HeedPackedWeights& b) {
  return a.type == b.type && a.terms == b.terms && a.columns == b.columns &&
         std::memcmp(a.data, b.data, static_cast<size_t>(packing.bytes(a.type, a.terms, a.columns))) == 0;
}

constexpr HeedWeightsType kTypes[] = {kHeedWeightsF32, kHeedWeightsBF16, kHeedWeightsInt8, kHeedWeightsInt4};

TEST(PackedParameters, MatricesAreWhatTheProgramSays) {
  const TestProgram program;
  ThreadPool threads(1);
  const HeedFunction* const functions[] = {program.function(0)};
  for (const HeedWeightsType type : kTypes) {
    const PackedParameters parameters(*program, functions, type, program.source(), threads);
    EXPECT_EQ(parameters.type(), type);
    for (int64_t m = 0; m < (*program).packing->matrix_count; ++m) {
      const HeedPackedWeights& weights = *parameters.Packed(m);
      const std::vector<float> unpacked = Unpacked(*(*program).packing, weights);
      double error = 0, square = 0;
      for (int64_t n = 0; n < weights.columns; ++n) {
        for (int64_t k = 0; k < weights.terms; ++k) {
          const double want = program.At(m, k, n), got = unpacked[static_cast<size_t>(n * weights.terms + k)];
          error += (want - got) * (want - got);
          square += want * want;
        }
      }
      const double most[] = {0, 0.003, 0.01, 0.1};
      EXPECT_LE(std::sqrt(error / square), most[type]) << NameOf(type) << " matrix " << m;
    }
  }
}

TEST(PackedParameters, OnlyWhatIsReadIsKept) {
  const TestProgram program;
  ThreadPool threads(1);
  std::vector<int64_t> read((*program).param_count, 0);
  ParameterSource source = program.source();
  const auto plain = source.read;
  source.read = [&](int64_t param, int64_t first, std::span<float> to) {
    read[static_cast<size_t>(param)] += static_cast<int64_t>(to.size());
    plain(param, first, to);
  };
  const HeedFunction* const functions[] = {program.function(1)};
  const PackedParameters parameters(*program, functions, kHeedWeightsInt8, source, threads);
  EXPECT_EQ(read, (std::vector<int64_t>{0, 260 * 70, 0, 960, 70, 0}));
  EXPECT_EQ(parameters.Plain(0), nullptr);
  ASSERT_NE(parameters.Plain(3), nullptr);
  EXPECT_EQ(std::memcmp(parameters.Plain(4), program.values(4).data(), 70 * 4), 0);
  EXPECT_EQ(parameters.Packed(0)->data, nullptr);
  EXPECT_NE(parameters.Packed(1)->data, nullptr);
  const int64_t packed = (*program).packing->bytes(kHeedWeightsInt8, 260, 70);
  EXPECT_GE(parameters.bytes(), packed + 4 * (960 + 70));
  EXPECT_LE(parameters.bytes(), packed + 4 * (960 + 70) + 3 * 64);
}

TEST(PackedParameters, PartsAndThreadsChangeNothing) {
  // Large enough to be packed in parts, by columns and by terms.
  TestProgram program;
  const PackedKernels& kernels = *AllPackedKernels().front();
  const int64_t rows = 3000, width = 700;
  std::vector<float> values(static_cast<size_t>(rows * width));
  std::mt19937 random(5);
  for (float& value : values) value = static_cast<float>(random() % 2001) * 1e-3f - 1;
  const int64_t shape[] = {rows, width};
  const char* const axes[] = {"a", "b"};
  HeedParam param = {"w", 2, shape, axes, 2, axes, shape, rows * width, 0, 0, 0};
  for (bool terms_inside : {true, false}) {
    const int64_t extents[] = {terms_inside ? rows : width, terms_inside ? width : rows};
    const int64_t strides[] = {terms_inside ? width : 1, terms_inside ? 1 : width};
    const HeedPackedMatrix matrix = {0, 0, 1, 1, extents, strides, 0};
    const HeedPacking packing = {1,
                                 &matrix,
                                 kernels.panel_columns,
                                 kernels.bytes,
                                 kernels.pack_scratch,
                                 kernels.pack,
                                 kernels.unpack_scratch,
                                 kernels.unpack,
                                 kernels.scales};
    HeedProgram large = {};
    large.param_count = 1;
    large.params = &param;
    large.packing = &packing;
    const HeedBuffer buffer = {kHeedBufferPacked, 0, {0, 0, nullptr}, 0, 0};
    HeedFunction function = {};
    function.buffer_count = 1;
    function.buffers = &buffer;
    const HeedFunction* const functions[] = {&function};
    std::atomic<int64_t> most{0}, let_go{0};
    ParameterSource source;
    source.read = [&](int64_t, int64_t first, std::span<float> to) {
      for (int64_t seen = most; seen < static_cast<int64_t>(to.size());)
        most.compare_exchange_weak(seen, static_cast<int64_t>(to.size()));
      std::copy_n(values.begin() + first, to.size(), to.begin());
    };
    source.let_go = [&](int64_t, int64_t, int64_t count) { let_go += count; };
    for (const HeedWeightsType type : kTypes) {
      let_go = 0;
      ThreadPool one(1), three(3);
      const PackedParameters a(large, functions, type, source, one);
      EXPECT_GE(let_go, rows * width);
      const PackedParameters b(large, functions, type, source, three);
      EXPECT_TRUE(SameBytes(packing, *a.Packed(0), *b.Packed(0))) << NameOf(type);
      // As one piece.
      HeedPack pack = {};
      std::vector<char> memory(static_cast<size_t>(packing.bytes(type, extents[1], extents[0])) + 64);
      char* const aligned = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64);
      pack.from = values.data();
      pack.to = aligned;
      pack.type = type;
      pack.end_term = extents[1];
      pack.ns = pack.ks = 1;
      pack.axes[0] = {extents[0], strides[0]};
      pack.axes[1] = {extents[1], strides[1]};
      alignas(64) static char scratch[1 << 16];
      ASSERT_LE(packing.scratch(&pack), static_cast<int64_t>(sizeof scratch));
      packing.pack(&pack, 0, (extents[0] + packing.panel_columns() - 1) / packing.panel_columns(), scratch);
      const HeedPackedWeights whole = {aligned, type, extents[1], extents[0]};
      EXPECT_TRUE(SameBytes(packing, *a.Packed(0), whole)) << NameOf(type);
    }
    EXPECT_LT(most, rows * width / 4) << "it was read in one piece";
  }
}

TEST(Quantized, FormsOfParameters) {
  const TestProgram program;
  const auto table = QuantizedFormOf(*program, 0, kHeedWeightsInt8);
  ASSERT_TRUE(table);
  EXPECT_EQ(std::tuple(table->outer, table->terms, table->inner), std::tuple(300, 40, 1));
  EXPECT_EQ(table->number_shape, (std::vector<int64_t>{300, 40}));
  EXPECT_EQ(table->scale_shape, (std::vector<int64_t>{300, 1}));
  const auto outside = QuantizedFormOf(*program, 1, kHeedWeightsInt4);
  ASSERT_TRUE(outside);
  EXPECT_EQ(outside->number_shape, (std::vector<int64_t>{260, 35}));
  EXPECT_EQ(outside->scale_shape, (std::vector<int64_t>{9, 70}));
  const auto middle = QuantizedFormOf(*program, 2, kHeedWeightsInt8);
  ASSERT_TRUE(middle);
  EXPECT_EQ(std::tuple(middle->outer, middle->terms, middle->inner), std::tuple(6, 130, 4));
  EXPECT_EQ(middle->scale_shape, (std::vector<int64_t>{3, 2, 2, 4}));
  EXPECT_FALSE(QuantizedFormOf(*program, 3, kHeedWeightsInt8)) << "only a part is a matrix";
  EXPECT_FALSE(QuantizedFormOf(*program, 4, kHeedWeightsInt8)) << "no matrix";
  EXPECT_FALSE(QuantizedFormOf(*program, 0, kHeedWeightsBF16));
  const auto odd = QuantizedFormOf(*program, 5, kHeedWeightsInt4);
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->number_shape, (std::vector<int64_t>{116}));
}

/// A checkpoint of the program's parameters in a type, with changes.
class SavedWeights {
 public:
  SavedWeights(const TestProgram& program, HeedWeightsType type) {
    ThreadPool threads(2);
    const HeedFunction* const functions[] = {program.function(0)};
    const PackedParameters packed(*program, functions, type, program.source(), threads);
    for (int64_t i = 0; i < (*program).param_count; ++i) {
      const HeedParam& param = (*program).params[i];
      if (const auto form = QuantizedFormOf(*program, i, type)) {
        QuantizedData data = Quantized(*form, *(*program).packing, *packed.Packed(form->matrix));
        Add(param.name, form->NumberType(), form->number_shape, data.numbers);
        Add(param.name + std::string(".scale"), "BF16", form->scale_shape, data.scales);
      } else {
        Add(param.name, "F32", {param.shape, param.shape + param.rank}, program.values(i));
      }
    }
    metadata = {{"heed", "test"}, {"weights_type", NameOf(type)}};
  }
  template <class T>
  void Add(const std::string& name, const std::string& dtype, const std::vector<int64_t>& shape,
           const std::vector<T>& data) {
    std::vector<char>& bytes = kept_.emplace_back(data.size() * sizeof(T));
    std::memcpy(bytes.data(), data.data(), bytes.size());
    tensors[name] = {name, dtype, shape, bytes.data()};
  }
  Result<Weights> Find(const HeedProgram& program) {
    std::vector<NamedTensor> list;
    for (const auto& [name, tensor] : tensors) list.push_back(tensor);
    const std::string path = folder_ / "w.safetensors";
    const Status written = WriteSafetensors(path, list, metadata);
    EXPECT_TRUE(written);
    Result<SafetensorsFile> file = SafetensorsFile::Open(path);
    EXPECT_TRUE(file);
    return Weights::Find(std::move(*file), program);
  }

  std::map<std::string, NamedTensor> tensors;
  std::map<std::string, std::string> metadata;

 private:
  TemporaryFolder folder_;
  std::deque<std::vector<char>> kept_;
};

ParameterSource SourceOf(const Weights& weights) {
  return {[&](int64_t param, int64_t first, std::span<float> to) { weights.Read(param, first, to); },
          [&](int64_t param, int64_t first, int64_t count) { weights.LetGo(param, first, count); },
          [&](int64_t param, HeedWeightsType type) { return weights.Scales(param, type); }};
}

TEST(Quantized, WhatIsSavedComesBackBitForBit) {
  const TestProgram program;
  const HeedFunction* const functions[] = {program.function(0)};
  ThreadPool threads(2);
  for (const HeedWeightsType type : {kHeedWeightsInt8, kHeedWeightsInt4}) {
    SavedWeights saved(program, type);
    const Result<Weights> weights = saved.Find(*program);
    ASSERT_TRUE(weights) << weights.error().message;
    EXPECT_EQ(weights->type(), type);
    EXPECT_TRUE(weights->report().extra.empty());
    const PackedParameters before(*program, functions, type, program.source(), threads);
    const PackedParameters after(*program, functions, type, SourceOf(*weights), threads);
    for (int64_t m = 0; m < (*program).packing->matrix_count; ++m) {
      EXPECT_TRUE(SameBytes(*(*program).packing, *before.Packed(m), *after.Packed(m)))
          << NameOf(type) << " matrix " << m;
    }
    // As f32 the values are what the packed form multiplies by; any part of a parameter can be read.
    for (int64_t param : {0, 1, 2, 5}) {
      const auto form = QuantizedFormOf(*program, param, type);
      const std::vector<float> packed = Unpacked(*(*program).packing, *before.Packed(form->matrix));
      std::vector<float> values(program.values(param).size());
      for (size_t first = 0; first < values.size();) {
        const size_t count = std::min<size_t>(values.size() - first, 37 + first % 100);
        weights->Read(param, static_cast<int64_t>(first), std::span(values).subspan(first, count));
        first += count;
      }
      for (int64_t o = 0; o < form->outer; ++o) {
        for (int64_t t = 0; t < form->terms; ++t) {
          for (int64_t i = 0; i < form->inner; ++i) {
            const float want = packed[static_cast<size_t>((o * form->inner + i) * form->terms + t)];
            ASSERT_EQ(values[static_cast<size_t>((o * form->terms + t) * form->inner + i)], want);
          }
        }
      }
    }
  }
}

TEST(Quantized, WhatDoesNotFitIsExplained) {
  const TestProgram program;
  const auto message = [&](HeedWeightsType type, const std::function<void(SavedWeights&)>& change) {
    SavedWeights saved(program, type);
    change(saved);
    const Result<Weights> weights = saved.Find(*program);
    EXPECT_FALSE(weights);
    return weights ? std::string() : weights.error().message;
  };
  EXPECT_HAS(message(kHeedWeightsInt8, [](SavedWeights& s) { s.tensors.erase("table.scale"); }),
             "table: the file has I8 without table.scale");
  EXPECT_HAS(message(kHeedWeightsInt8,
                     [](SavedWeights& s) {
                       s.tensors["bias"].dtype = "I8", s.tensors["bias.scale"] = s.tensors["table.scale"],
                       s.tensors["bias.scale"].name = "bias.scale";
                     }),
             "bias: the file has I8; the program does not multiply by it as one matrix");
  EXPECT_HAS(message(kHeedWeightsInt8, [](SavedWeights& s) { s.tensors["table.scale"].shape = {150, 2}; }),
             "I8 [300, 40] with BF16 [150, 2] of scales; as int8 it must be I8 [300, 40] with BF16 [300, 1]");
  EXPECT_HAS(message(kHeedWeightsInt8, [](SavedWeights& s) { s.tensors["table.scale"].dtype = "F16"; }),
             "with F16 [300, 1] of scales");
  EXPECT_HAS(message(kHeedWeightsInt4, [](SavedWeights& s) { s.tensors["outside"].shape = {130, 70}; }),
             "as int4 it must be U8 [260, 35] with BF16 [9, 70]");
  EXPECT_HAS(message(kHeedWeightsInt4, [](SavedWeights& s) { s.tensors["outside"].dtype = "I8"; }),
             "outside");
}

TEST(Quantized, StrangeScalesDoNoHarm) {
  const TestProgram program;
  SavedWeights saved(program, kHeedWeightsInt8);
  std::vector<uint16_t> scales(300, 0x7fc0);  // NaN
  scales[1] = 0x7f80;                         // infinity
  scales[2] = 0;
  scales[3] = 0x8001;  // the least below 0
  saved.Add("table.scale", "BF16", {300, 1}, scales);
  saved.metadata["weights_type"] = "something";
  const Result<Weights> weights = saved.Find(*program);
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_EQ(weights->type(), kHeedWeightsF32);
  ThreadPool threads(1);
  const HeedFunction* const functions[] = {program.function(0)};
  for (const HeedWeightsType type : kTypes)
    const PackedParameters parameters(*program, functions, type, SourceOf(*weights), threads);
}

TEST(PackedParameters, NamesOfTypes) {
  for (const HeedWeightsType type : kTypes) EXPECT_EQ(WeightsTypeOf(NameOf(type)), type);
  EXPECT_FALSE(WeightsTypeOf("f64"));
  EXPECT_FALSE(WeightsTypeOf(""));
}

}  // namespace
}  // namespace heed
