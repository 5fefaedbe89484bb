// Weights from elsewhere: checkpoints in several files, good and hostile; types of storage; names, tied and
// further tensors; the sizes that a file and its config.json tell; pages that are let go.
#include "runtime/weights.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <deque>
#include <nlohmann/json.hpp>

#include "runtime/checkpoint.h"
#include "runtime/float_mode.h"
#include "runtime/weights_mismatch.h"
#include "tests/expect.h"
#include "tests/process.h"

namespace heed {
namespace {

using test::TemporaryFolder;
using test::WriteBytes;

/// The tables of a program with these axes, constants and parameters, as the compiler would write them.
class TestProgram {
 public:
  struct Axis {
    const char* name;
    int64_t size;
    bool dynamic = false;
    int64_t enumerators = 0;
  };
  /// Storage dimensions: an axis, or several with commas for a group.
  struct Param {
    std::string name;
    std::vector<std::string> dims;
  };
  TestProgram(const std::vector<Axis>& axes, const std::vector<Param>& params,
              const std::vector<HeedConst>& consts = {})
      : consts_(consts) {
    for (const Axis& axis : axes)
      axes_.push_back({axis.name, axis.dynamic, axis.size, axis.enumerators, nullptr});
    for (const Param& param : params) Add(param);
    program_ = {kHeedAbiVersion,
                "test",
                "test.heed",
                "any",
                static_cast<int64_t>(axes_.size()),
                axes_.data(),
                static_cast<int64_t>(params_.size()),
                params_.data(),
                0,
                nullptr,
                static_cast<int64_t>(consts_.size()),
                consts_.data(),
                nullptr};
  }
  TestProgram(const TestProgram&) = delete;
  TestProgram& operator=(const TestProgram&) = delete;
  const HeedProgram& operator*() const { return program_; }

 private:
  const char* Keep(const std::string& text) { return texts_.emplace_back(text).c_str(); }
  int64_t SizeOf(const std::string& name) const {
    for (const HeedAxis& axis : axes_)
      if (name.starts_with(axis.name) && name.size() <= std::strlen(axis.name) + 1) return axis.size;
    ADD_FAILURE() << "no axis " << name;
    return 0;
  }
  void Add(const Param& param) {
    std::vector<int64_t>& shape = numbers_.emplace_back();
    std::vector<int64_t>& sizes = numbers_.emplace_back();
    std::vector<const char*>& dims = names_.emplace_back();
    std::vector<const char*>& axes = names_.emplace_back();
    int64_t count = 1;
    for (const std::string& dim : param.dims) {
      const bool group = dim.find(',') != std::string::npos;
      dims.push_back(Keep(group ? "(" + dim + ")" : dim));
      int64_t size = 1;
      for (size_t begin = 0; begin < dim.size();) {
        const size_t end = std::min(dim.find(", ", begin), dim.size());
        axes.push_back(Keep(dim.substr(begin, end - begin)));
        sizes.push_back(SizeOf(axes.back()));
        size *= sizes.back();
        begin = end + 2;
      }
      shape.push_back(size);
      count *= size;
    }
    params_.push_back({Keep(param.name), static_cast<int64_t>(shape.size()), shape.data(), dims.data(),
                       static_cast<int64_t>(axes.size()), axes.data(), sizes.data(), count, kHeedInitConstant,
                       0, 0});
  }

  std::deque<std::string> texts_;
  std::deque<std::vector<int64_t>> numbers_;
  std::deque<std::vector<const char*>> names_;
  std::vector<HeedAxis> axes_;
  std::vector<HeedParam> params_;
  std::vector<HeedConst> consts_;
  HeedProgram program_;
};

/// Like the example GPT-2, without most of it.
std::unique_ptr<TestProgram> Gpt2(int64_t model, int64_t heads, int64_t key, int64_t layers) {
  std::vector<TestProgram::Param> params{{"wte.weight", {"vocab", "model"}},
                                         {"wpe.weight", {"seq^", "model"}}};
  for (int64_t l = 0; l < layers; ++l) {
    const std::string h = "h." + std::to_string(l) + ".";
    params.push_back({h + "attn.c_attn.weight", {"model", "qkv, heads, key"}});
    params.push_back({h + "attn.c_proj.weight", {"heads, key", "model"}});
    params.push_back({h + "attn.c_proj.bias", {"model"}});
  }
  return std::make_unique<TestProgram>(std::vector<TestProgram::Axis>{{"half", 2},
                                                                      {"heads", heads},
                                                                      {"key", key},
                                                                      {"layer", layers},
                                                                      {"model", model},
                                                                      {"qkv", 3, false, 3},
                                                                      {"seq", 32, true},
                                                                      {"vocab", 50}},
                                       params, std::vector<HeedConst>{{"eos", 49}});
}

/// Like the example Llama.
std::unique_ptr<TestProgram> Llama(int64_t kv, int64_t rep, int64_t key, bool output) {
  std::vector<TestProgram::Param> params{
      {"model.embed_tokens.weight", {"vocab", "model"}},
      {"model.layers.0.self_attn.q_proj.weight", {"kv, rep, key", "model"}},
      {"model.layers.0.self_attn.k_proj.weight", {"kv, key", "model"}}};
  if (output) params.push_back({"lm_head.weight", {"vocab", "model"}});
  return std::make_unique<TestProgram>(std::vector<TestProgram::Axis>{{"key", key},
                                                                      {"kv", kv},
                                                                      {"layer", 1},
                                                                      {"model", 16},
                                                                      {"rep", rep},
                                                                      {"seq", 64, true},
                                                                      {"vocab", 8}},
                                       params, std::vector<HeedConst>{{"eps", 1e-5}, {"theta", 500000}});
}

using Shapes = std::map<std::string, std::vector<int64_t>>;

/// Shapes of a published GPT-2 of that width.
Shapes Gpt2Shapes(int64_t model, int64_t layers, const std::string& prefix = "") {
  Shapes shapes{{prefix + "wte.weight", {50, model}}, {prefix + "wpe.weight", {32, model}}};
  for (int64_t l = 0; l < layers; ++l) {
    const std::string h = prefix + "h." + std::to_string(l) + ".";
    shapes[h + "attn.c_attn.weight"] = {model, 3 * model};
    shapes[h + "attn.c_proj.weight"] = {model, model};
    shapes[h + "attn.c_proj.bias"] = {model};
  }
  return shapes;
}

class WeightsTest : public testing::Test {
 protected:
  /// Tensors that count up from a number of their own, so that no two are equal.
  void Write(const std::string& name, const Shapes& shapes) {
    std::vector<std::vector<float>> data;
    std::vector<NamedTensor> tensors;
    for (const auto& [tensor, shape] : shapes) {
      int64_t count = 1;
      for (const int64_t extent : shape) count *= extent;
      std::vector<float>& values = data.emplace_back(static_cast<size_t>(count));
      for (size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>(std::hash<std::string>()(tensor) % 1000) + static_cast<float>(i) / 4;
    }
    size_t at = 0;
    for (const auto& [tensor, shape] : shapes) tensors.push_back({tensor, "F32", shape, data[at++].data()});
    ASSERT_TRUE(WriteSafetensors(folder_ / name, tensors, {}));
  }
  void WriteIndex(const std::map<std::string, std::string>& map,
                  const std::string& name = "model.safetensors.index.json") {
    WriteBytes(folder_ / name, nlohmann::json{{"metadata", {{"total_size", 1}}}, {"weight_map", map}}.dump());
  }
  std::string OpenError(const std::string& path) {
    const auto file = SafetensorsFile::OpenCheckpoint(path);
    return file ? "" : file.error().message;
  }
  Result<Weights> Find(const HeedProgram& program, const ModelConfig& config = {}) {
    Result<SafetensorsFile> file = SafetensorsFile::OpenCheckpoint(folder_ / "model.safetensors");
    if (!file) return file.error();
    return Weights::Find(std::move(*file), program, config);
  }
  std::string FindError(const HeedProgram& program, const ModelConfig& config = {}) {
    const auto weights = Find(program, config);
    return weights ? "" : weights.error().message;
  }
  ModelConfig Config(const std::string& text) {
    WriteBytes(folder_ / "config.json", text);
    return ReadModelConfig(CheckpointFolder(folder_ / "model.safetensors"));
  }
  TemporaryFolder folder_;
};

TEST_F(WeightsTest, SeveralFilesReadAsOne) {
  Write("model-1.safetensors", {{"a", {2, 3}}, {"b", {4}}});
  Write("model-2.safetensors", {{"c", {5}}, {"b", {1}}});  // this b is not the index' one
  WriteIndex({{"a", "model-1.safetensors"}, {"b", "model-1.safetensors"}, {"c", "model-2.safetensors"}});
  for (const std::string& path : {folder_ / "", folder_ / "model.safetensors.index.json"}) {
    const auto file = SafetensorsFile::OpenCheckpoint(path);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_EQ(file->tensors().size(), 3u);
    EXPECT_EQ(file->tensors().at("b").shape, std::vector<int64_t>{4});
    std::vector<float> values(5);
    ASSERT_TRUE(ConvertToFloat(file->tensors().at("c"), 0, values));
    EXPECT_EQ(values[4], values[0] + 1);
  }
  // One file beside an index is what counts.
  Write("model.safetensors", {{"d", {1}}});
  const auto file = SafetensorsFile::OpenCheckpoint(folder_ / "");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->tensors().size(), 1u);
}

TEST_F(WeightsTest, HostileIndices) {
  Write("a.safetensors", {{"a", {2}}});
  const std::string index = folder_ / "model.safetensors.index.json";
  const auto error = [&](const std::string& text) {
    WriteBytes(index, text);
    return OpenError(index);
  };
  EXPECT_HAS(error(""), "not JSON");
  EXPECT_HAS(error(R"({"weight_map": {"a": "a.safete)"), "not JSON");
  EXPECT_HAS(error("[]"), "no object weight_map");
  EXPECT_HAS(error(R"({"weight_map": ["a.safetensors"]})"), "no object weight_map");
  EXPECT_HAS(error(R"({"weight_map": {}})"), "empty");
  EXPECT_HAS(error(R"({"weight_map": {"a": 7}})"), "not a string");
  EXPECT_HAS(error(R"({"weight_map": {"a": "../a.safetensors"}})"), "must lie beside");
  EXPECT_HAS(error(R"({"weight_map": {"a": "/etc/a.safetensors"}})"), "must lie beside");
  EXPECT_HAS(error(R"({"weight_map": {"a": "a.safetensors\u0000.safetensors"}})"), "must lie beside");
  EXPECT_HAS(error(R"({"weight_map": {"a": ".."}})"), "no safetensors file");
  EXPECT_HAS(error(R"({"weight_map": {"a": "model.safetensors.index.json"}})"), "no safetensors file");
  EXPECT_HAS(error(R"({"weight_map": {"a": "a.safetensors", "a": "a.safetensors"}})"), "`a` twice");
  EXPECT_HAS(error(R"({"weight_map": {"b": "a.safetensors"}})"), "does not have it");
  EXPECT_HAS(error(R"({"weight_map": {"a": "a.safetensors", "b": "b.safetensors", "c": "c.safetensors"}})"),
             "names 3 files, of which 2 are not there: b.safetensors, c.safetensors");
  EXPECT_HAS(error("{\"weight_map\": " + std::string(100000, '[')), "not JSON");
  EXPECT_EQ(error(R"({"weight_map": {"a": "a.safetensors"}})"), "");
  std::filesystem::resize_file(folder_ / "a.safetensors", 40);
  EXPECT_HAS(OpenError(index), "partial download");
  std::filesystem::remove(folder_ / "a.safetensors");
  std::filesystem::create_directory(folder_ / "a.safetensors");
  EXPECT_HAS(OpenError(index), "it is a folder");
}

TEST_F(WeightsTest, FoldersWithoutAModel) {
  EXPECT_HAS(OpenError(folder_ / ""), "neither model.safetensors nor model.safetensors.index.json");
  WriteBytes(folder_ / "pytorch_model.bin", "PK");
  Write("other.safetensors", {{"a", {2}}});
  EXPECT_HAS(OpenError(folder_ / ""), "other.safetensors, pytorch_model.bin (PyTorch's format");
  EXPECT_HAS(OpenError(folder_ / "missing.json"), "No such file");
}

// Every value of 16 bits, as the definition of the formats has it; also where arithmetic takes denormals for
// zeros.
TEST(Elements, HalvesAreConvertedExactly) {
  std::vector<uint16_t> bits(65536);
  std::vector<float> half(bits.size()), bfloat(bits.size());
  for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
  const auto* data = reinterpret_cast<const uint8_t*>(bits.data());
  const int64_t bytes = 2 * 65536;
  {
    const FlushDenormals flushed;
    ASSERT_TRUE(ConvertToFloat({"F16", {65536}, data, bytes}, 0, half));
    ASSERT_TRUE(ConvertToFloat({"BF16", {65536}, data, bytes}, 0, bfloat));
  }
  for (size_t i = 0; i < bits.size(); ++i) {
    const int exponent = static_cast<int>(i >> 10 & 31), fraction = static_cast<int>(i & 1023);
    double want = exponent == 0   ? std::ldexp(fraction, -24)
                  : exponent < 31 ? std::ldexp(1024 + fraction, exponent - 25)
                  : fraction == 0 ? static_cast<double>(INFINITY)
                                  : std::nan("");
    if (i >> 15) want = -want;
    if (std::isnan(want)) {
      ASSERT_TRUE(std::isnan(half[i])) << i;
      ASSERT_EQ(std::bit_cast<uint32_t>(half[i]) >> 13 & 0x3ff, i & 1023) << "payload of " << i;
    } else {
      ASSERT_EQ(std::bit_cast<uint32_t>(half[i]), std::bit_cast<uint32_t>(static_cast<float>(want))) << i;
    }
    ASSERT_EQ(std::bit_cast<uint32_t>(bfloat[i]), i << 16) << i;
  }
  std::vector<float> part(3);
  ASSERT_TRUE(ConvertToFloat({"F16", {65536}, data, bytes}, 0x3c00, part));
  EXPECT_EQ(part, (std::vector<float>{1, 1 + 0x1p-10f, 1 + 0x1p-9f}));
  EXPECT_FALSE(ConvertToFloat({"I16", {65536}, data, bytes}, 0, part));
}

TEST_F(WeightsTest, PagesAreLetGo) {
  const TestProgram program({{"rows", 1 << 12}, {"columns", 1 << 11}}, {{"a", {"rows", "columns"}}});
  Write("model.safetensors", {{"a", {1 << 12, 1 << 11}}});
  // Pages of files in this process' memory.
  const auto mapped = [] {
    const std::string status = test::FileBytes("/proc/self/status");
    const size_t at = status.find("RssFile:");
    return at == std::string::npos ? -1 : std::atoll(status.c_str() + at + 8) * 1024;
  };
  if (mapped() < 0) GTEST_SKIP() << "no /proc";
  ParameterBlock parameters(*program);
  const int64_t before = mapped();
  const Result<Weights> weights = Find(*program);
  ASSERT_TRUE(weights) << weights.error().message;
  CopyParameters(*weights, *program, parameters);
  EXPECT_EQ(parameters.tensor(0).back(), parameters.tensor(0)[0] + ((1 << 23) - 1) / 4.0f);
  EXPECT_LT(mapped() - before, 8 << 20);  // of 32 MiB
}

TEST(Folding, NumbersOfLayersBecomeStars) {
  EXPECT_EQ(FoldNumbers("h.12.attn.bias"), "h.*.attn.bias");
  EXPECT_EQ(FoldNumbers("12"), "*");
  EXPECT_EQ(FoldNumbers("a..1x.7."), "a..1x.*.");
  EXPECT_EQ(FoldAll({"h.0.b", "a", "h.1.b", "h.1.c"}), (std::vector<std::string>{"h.*.b (2)", "a", "h.1.c"}));
}

TEST_F(WeightsTest, BuffersAreListedAndBiasesStandOut) {
  const auto program = Gpt2(8, 2, 4, 2);
  Shapes shapes = Gpt2Shapes(8, 2, "transformer.");
  for (const char* layer : {"0", "1"}) {
    shapes[std::string("transformer.h.") + layer + ".attn.bias"] = {1, 1, 32, 32};
    shapes[std::string("transformer.h.") + layer + ".attn.masked_bias"] = {};
  }
  Write("model.safetensors", shapes);
  auto weights = Find(**program);
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_EQ(weights->report().prefix, "transformer.");
  EXPECT_EQ(weights->report().extra, (std::vector<std::string>{"transformer.h.*.attn.bias (2)",
                                                               "transformer.h.*.attn.masked_bias (2)"}));
  EXPECT_TRUE(weights->report().unused.empty());
  shapes["transformer.h.0.attn.c_attn.bias"] = {24};
  Write("model.safetensors", shapes);
  weights = Find(**program);
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_EQ(weights->report().unused, std::vector<std::string>{"transformer.h.0.attn.c_attn.bias"});
}

TEST_F(WeightsTest, AMissingOutputMatrixIsTheEmbedding) {
  const auto program = Llama(2, 2, 4, true);
  Shapes shapes{{"model.embed_tokens.weight", {8, 16}},
                {"model.layers.0.self_attn.q_proj.weight", {16, 16}},
                {"model.layers.0.self_attn.k_proj.weight", {8, 16}}};
  Write("model.safetensors", shapes);
  const auto weights = Find(**program);
  ASSERT_TRUE(weights) << weights.error().message;
  ASSERT_EQ(weights->report().notes.size(), 1u);
  EXPECT_HAS(weights->report().notes[0], "no lm_head.weight, so it is tied to model.embed_tokens.weight");
  ParameterBlock parameters(**program);
  CopyParameters(*weights, **program, parameters);
  EXPECT_TRUE(std::ranges::equal(parameters.tensor(0), parameters.tensor(3)));
  // Another missing one is just missing.
  shapes.erase("model.layers.0.self_attn.k_proj.weight");
  Write("model.safetensors", shapes);
  EXPECT_HAS(FindError(**program), "there is no model.layers.0.self_attn.k_proj.weight");
  // The rest may have a prefix that the output matrix does not have.
  Shapes prefixed{{"lm_head.weight", {8, 16}}};
  for (const char* name : {"model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"})
    prefixed[std::string("base.") + name] = shapes[name];
  prefixed["base.model.layers.0.self_attn.k_proj.weight"] = {8, 16};
  Write("model.safetensors", prefixed);
  const auto again = Find(**program);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->report().prefix, "base.");
  EXPECT_TRUE(again->report().extra.empty() && again->report().notes.empty());
}

TEST_F(WeightsTest, AnOutputMatrixOfItsOwnMustEqualTheTiedOne) {
  const auto program = Llama(2, 2, 4, false);
  Shapes shapes{{"model.embed_tokens.weight", {8, 16}},
                {"model.layers.0.self_attn.q_proj.weight", {16, 16}},
                {"model.layers.0.self_attn.k_proj.weight", {8, 16}},
                {"lm_head.weight", {8, 16}}};
  Write("model.safetensors", shapes);
  EXPECT_HAS(FindError(**program),
             "the file has lm_head.weight, which is not equal to model.embed_tokens.weight; the program has "
             "one parameter for both");
  std::vector<float> table(128, 0.5f), query(256, 1);
  ASSERT_TRUE(WriteSafetensors(folder_ / "model.safetensors",
                               {{"model.embed_tokens.weight", "F32", {8, 16}, table.data()},
                                {"model.layers.0.self_attn.q_proj.weight", "F32", {16, 16}, query.data()},
                                {"model.layers.0.self_attn.k_proj.weight", "F32", {8, 16}, query.data()},
                                {"lm_head.weight", "F32", {8, 16}, table.data()}},
                               {}));
  const auto weights = Find(**program);
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_TRUE(weights->report().extra.empty());
}

TEST_F(WeightsTest, MismatchesAreToldOnceForAllLayersAndWithWhatHelps) {
  const auto program = Gpt2(8, 2, 4, 2);
  Write("model.safetensors", Gpt2Shapes(16, 2));
  const std::string error = FindError(**program);
  EXPECT_HAS(error,
             "h.*.attn.c_attn.weight (2 of them): file has [16, 48], program stores [model=8, (qkv, heads, "
             "key)=3*2*4=24]; model is 8 here and 16 in the file; (qkv, heads, key) is 24 here and 48 in the "
             "file (as if heads=4 or key=8)");
  EXPECT_HAS(error, "wpe.weight: file has [32, 16], program stores [seq=32, model=8]");
  // heads and key only occur together: 4 x 4 and 2 x 8 are as good.
  EXPECT_HAS(error, "they fit the program built with --set");
  EXPECT_HAS(error, "--set model=16 (or other sizes of the same products");
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 6) << error;
  const std::string told =
      FindError(**program, Config(R"({"model_type": "gpt2", "n_head": 4, "n_embd": 16})"));
  EXPECT_HAS(told, "they fit the program built with --set heads=4 --set model=16");
  EXPECT_EQ(told.find("other sizes"), std::string::npos);
}

TEST_F(WeightsTest, LayersMoreOrFewer) {
  const auto program = Gpt2(8, 2, 4, 2);
  Write("model.safetensors", Gpt2Shapes(8, 5));
  std::string error = FindError(**program);
  EXPECT_HAS(error, "the file has 5 layers h.*, the program 2");
  EXPECT_HAS(error, "they fit the program built with --set layer=5");
  Write("model.safetensors", Gpt2Shapes(8, 1));
  error = FindError(**program);
  EXPECT_HAS(error, "there is no h.1.attn.c_attn.weight");
  EXPECT_HAS(error, "they fit the program built with --set layer=1");
  // A part of a layer is no layer: the rest of it is missing, whatever the sizes.
  Shapes shapes = Gpt2Shapes(8, 2);
  shapes.erase("h.1.attn.c_proj.bias");
  shapes.erase("wpe.weight");
  Write("model.safetensors", shapes);
  EXPECT_EQ(FindError(**program).find("--set"), std::string::npos);
}

TEST_F(WeightsTest, NoAdviceWhereSizesDoNotExplainIt) {
  const auto program = Gpt2(8, 2, 4, 2);
  Shapes shapes = Gpt2Shapes(8, 2);
  shapes["h.0.attn.c_attn.weight"] = {24, 8};
  Write("model.safetensors", shapes);
  std::string error = FindError(**program);
  EXPECT_HAS(error,
             "the dimensions are in the other order: declare the parameter with [(qkv, heads, key), model]");
  EXPECT_EQ(error.find("--set"), std::string::npos);
  shapes = Gpt2Shapes(8, 2);
  shapes["h.1.attn.c_proj.bias"] = {9};  // model cannot be 8 and 9
  Write("model.safetensors", shapes);
  error = FindError(**program);
  EXPECT_HAS(error, "h.1.attn.c_proj.bias: file has [9], program stores [model=8]");
  EXPECT_EQ(error.find("--set"), std::string::npos);
}

TEST_F(WeightsTest, ConfigSettlesHowHeadsShareAWidth) {
  // TinyLlama's proportions: 8 queries for each of 4 heads of 64.
  const auto program = Llama(8, 4, 128, false);
  Write("model.safetensors", {{"model.embed_tokens.weight", {8, 16}},
                              {"model.layers.0.self_attn.q_proj.weight", {2048, 16}},
                              {"model.layers.0.self_attn.k_proj.weight", {256, 16}}});
  const std::string config = R"({"model_type": "llama", "hidden_size": 16, "num_attention_heads": 32,
      "num_key_value_heads": 4, "head_dim": 64, "rope_theta": 10000.0, "rms_norm_eps": 1e-05,
      "max_position_embeddings": 48, "eos_token_id": [2, 3], "rope_scaling": null})";
  const auto file = SafetensorsFile::OpenCheckpoint(folder_ / "model.safetensors");
  Result<Fit> fit = FitWeights(*file, **program, Config(config));
  ASSERT_TRUE(fit) << fit.error().message;
  EXPECT_EQ(fit->set, (std::vector<std::string>{"key=64", "kv=4", "rep=8", "theta=10000"}));
  EXPECT_EQ(fit->shorten, std::vector<std::string>{"seq=48"});
  EXPECT_TRUE(fit->unique);
  fit = FitWeights(*file, **program, {});
  ASSERT_TRUE(fit);
  EXPECT_FALSE(fit->unique);
}

TEST_F(WeightsTest, WhatFitsButConfigContradictsIsNoted) {
  const auto program = Llama(2, 2, 4, false);
  Write("model.safetensors", {{"model.embed_tokens.weight", {8, 16}},
                              {"model.layers.0.self_attn.q_proj.weight", {16, 16}},
                              {"model.layers.0.self_attn.k_proj.weight", {8, 16}}});
  // The same products, shared otherwise; and rotary positions of another base.
  const auto weights = Find(**program, Config(R"({"model_type": "llama", "num_attention_heads": 8,
      "num_key_value_heads": 4, "hidden_size": 16, "rope_parameters": {"rope_type": "llama3",
      "rope_theta": 10000}})"));
  ASSERT_TRUE(weights) << weights.error().message;
  ASSERT_EQ(weights->report().notes.size(), 2u);
  EXPECT_HAS(weights->report().notes[0],
             "config.json tells key=2, kv=4, theta=10000; the program was built otherwise");
  EXPECT_HAS(weights->report().notes[1],
             "scales the frequencies of rotary positions (llama3), and the program does not");
  // What is no description of a model tells nothing.
  for (const char* text : {"", "[]", "{\"rope_theta\": 1}", "{\"model_type\": \"llama\"", "\xFF"}) {
    EXPECT_EQ(Config(text).path, "") << text;
  }
  EXPECT_EQ(
      Config(R"({"model_type": "x", "rope_theta": "7", "num_attention_heads": "8", "n_head": []})").values,
      (std::map<std::string, double>{{"rope_factor", 1}}));
  const ModelConfig scaled =
      Config(R"({"model_type": "llama", "rope_scaling": {"rope_type": "llama3", "factor": 32.0,
      "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})");
  EXPECT_EQ(scaled.scaling, "llama3");
  EXPECT_EQ(scaled.values,
            (std::map<std::string, double>{
                {"rope_factor", 32}, {"rope_high", 4}, {"rope_low", 1}, {"rope_trained", 8192}}));
}

TEST_F(WeightsTest, EnormousFilesDoNotTakeForEver) {
  const auto program = Llama(8, 4, 128, false);
  // Products with many divisors, and one whose divisors are not looked for.
  for (const int64_t size : {int64_t{735134400}, int64_t{1} << 45}) {
    std::vector<StoredShape> shapes{{1, {size, 16}}, {2, {size / 4, 16}}};
    const auto fit = FitProgram(**program, shapes, {}, {});
    EXPECT_EQ(fit.has_value(), size < int64_t{1} << 40);
  }
}

}  // namespace
}  // namespace heed
