// Weights from elsewhere: checkpoints in several files, good and hostile; types of storage; names, tied and
// further tensors; the sizes that a file and its config.json tell; pages that are let go.
#include "runtime/weights/weights.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "runtime/engine/float_mode.h"
#include "runtime/weights/checkpoint.h"
#include "runtime/weights/mismatch.h"
#include "tests/support/expect.h"
#include "tests/support/weights_support.h"

namespace heed {
namespace {

using test::Gpt2;
using test::Gpt2Shapes;
using test::Llama;
using test::Shapes;
using test::TestProgram;
using test::WeightsTest;
using test::WriteBytes;

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
  EXPECT_HAS(error(R"({"weight_map": {"b": "b.safetensors", "c": "c.safetensors"}})"),
             "names 2 files, of which 2 are not there: b.safetensors, c.safetensors");
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
  // What stands beside parameters of the program takes part too; what stands elsewhere is another matter.
  shapes.erase("transformer.h.0.attn.c_attn.bias");
  for (const char* layer : {"0", "1"})
    shapes[std::string("transformer.h.") + layer + ".attn.q_norm.weight"] = {4};
  shapes["score.weight"] = {2, 8};
  shapes["mtp.fc.weight"] = {8, 8};
  Write("model.safetensors", shapes);
  weights = Find(**program);
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_EQ(weights->report().unused, std::vector<std::string>{"transformer.h.*.attn.q_norm.weight (2)"});
  EXPECT_EQ(weights->report().extra[0], "mtp.fc.weight");
  EXPECT_EQ(weights->report().extra[1], "score.weight");
}

TEST_F(WeightsTest, WhatAnIndexNamesInVain) {
  const auto program = Gpt2(8, 2, 4, 1);
  std::map<std::string, std::string> map;
  Shapes first = Gpt2Shapes(8, 1), second{{"h.0.attn.c_proj.bias", {8}}};
  first.erase("h.0.attn.c_proj.bias");
  Write("1.safetensors", first);
  Write("2.safetensors", second);
  for (const auto& [name, shape] : first) map[name] = "1.safetensors";
  map["h.0.attn.c_proj.bias"] = "2.safetensors";
  const auto find = [&]() -> Result<Weights> {
    WriteIndex(map);
    Result<SafetensorsFile> file = SafetensorsFile::OpenCheckpoint(folder_ / "");
    if (!file) return file.error();
    return Weights::Find(std::move(*file), **program, {});
  };
  const std::map<std::string, std::string> good = map;
  for (const char* file : {"2.safetensors", "3.safetensors", "../2.safetensors", "2.bin"}) {
    map = good;
    map["mtp.0.fc.weight"] = map["mtp.1.fc.weight"] = file;
    const Result<Weights> weights = find();
    ASSERT_TRUE(weights) << weights.error().message;
    EXPECT_EQ(weights->report().absent, std::vector<std::string>{"mtp.*.fc.weight (2)"});
    map["h.0.attn.c_proj.bias"] = "3.safetensors";
    EXPECT_HAS(find().error().message,
               "the index puts `h.0.attn.c_proj.bias` into 3.safetensors, which is not there");
  }
  Write("2.safetensors", {{"other", {8}}});
  map = good;
  const std::string error = find().error().message;
  EXPECT_HAS(error, "the index puts `h.0.attn.c_proj.bias` into 2.safetensors, which does not have it");
  EXPECT_EQ(error.find("--set"), std::string::npos) << error;
  std::filesystem::resize_file(folder_ / "2.safetensors", 12);
  EXPECT_HAS(find().error().message, "into 2.safetensors, which cannot be read: ");
}

TEST_F(WeightsTest, OnlyPrefixesWithADotCount) {
  const TestProgram program({{"n", 2}}, {{"e", {"n"}}});
  Write("model.safetensors", {{"cache", {2}}});
  EXPECT_HAS(FindError(*program), "there is no e");
  Write("model.safetensors", {{"some.e", {2}}});
  EXPECT_EQ(FindError(*program), "");
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

// Under every prefix that wraps models: refused if it differs, fine if it is equal, and taken if the program
// has one.
TEST_F(WeightsTest, OutputMatricesUnderPrefixes) {
  const auto tied = Llama(2, 2, 4, false), own = Llama(2, 2, 4, true);
  std::vector<float> table(128, 0.5f), other(128, 0.25f), query(256, 1);
  const auto write = [&](const std::string& prefix, const std::string& head,
                         const std::vector<float>& values) {
    ASSERT_TRUE(
        WriteSafetensors(folder_ / "model.safetensors",
                         {{prefix + "model.embed_tokens.weight", "F32", {8, 16}, table.data()},
                          {prefix + "model.layers.0.self_attn.q_proj.weight", "F32", {16, 16}, query.data()},
                          {prefix + "model.layers.0.self_attn.k_proj.weight", "F32", {8, 16}, query.data()},
                          {head + "lm_head.weight", "F32", {8, 16}, values.data()}},
                         {}));
  };
  for (const auto& [prefix, head] : {std::pair{"", ""},
                                     {"_orig_mod.", "_orig_mod."},
                                     {"module._orig_mod.", "module."},
                                     {"_orig_mod.transformer.", "_orig_mod."},
                                     {"module.model.", "module.model."},
                                     {"base.", ""},
                                     {"a.b.", "a."},
                                     {"", "module."}}) {
    SCOPED_TRACE(std::string(prefix) + " " + head);
    write(prefix, head, other);
    EXPECT_HAS(FindError(**tied),
               std::string("the file has ") + head + "lm_head.weight, which is not equal to");
    write(prefix, head, table);
    const auto weights = Find(**tied);
    ASSERT_TRUE(weights) << weights.error().message;
    EXPECT_TRUE(weights->report().extra.empty() && weights->report().unused.empty());
  }
  for (const auto& [prefix, head] :
       {std::pair{"_orig_mod.", "_orig_mod."}, {"module._orig_mod.", "module."}}) {
    write(prefix, head, other);
    const auto weights = Find(**own);
    ASSERT_TRUE(weights) << weights.error().message;
    EXPECT_TRUE(weights->report().notes.empty());
    ParameterBlock parameters(**own);
    CopyParameters(*weights, **own, parameters);
    EXPECT_EQ(parameters.tensor(3)[0], 0.25f);
  }
  write("", "mtp.0.", other);  // of another head
  EXPECT_EQ(FindError(**tied), "");
}

TEST_F(WeightsTest, ConfigAndFileMayDisagreeOnTying) {
  const auto tied = Llama(2, 2, 4, false), own = Llama(2, 2, 4, true);
  std::vector<float> table(128, 0.5f), other(128, 0.25f), query(256, 1);
  std::vector<NamedTensor> tensors{{"model.embed_tokens.weight", "F32", {8, 16}, table.data()},
                                   {"model.layers.0.self_attn.q_proj.weight", "F32", {16, 16}, query.data()},
                                   {"model.layers.0.self_attn.k_proj.weight", "F32", {8, 16}, query.data()}};
  const auto notes = [&](const TestProgram& program, const char* config) {
    EXPECT_TRUE(WriteSafetensors(folder_ / "model.safetensors", tensors, {}));
    const auto weights = Find(*program, Config(config));
    EXPECT_TRUE(weights) << weights.error().message;
    std::string text;
    for (const std::string& note : weights->report().notes) text += note + "\n";
    return text;
  };
  const char* const untied = R"({"model_type": "gemma", "tie_word_embeddings": false})";
  const char* const says_tied = R"({"model_type": "gemma", "tie_word_embeddings": true})";
  EXPECT_HAS(notes(*tied, untied),
             "has tie_word_embeddings: false, but there is no lm_head.weight in the file");
  EXPECT_EQ(notes(*tied, says_tied).find("tie_word"), std::string::npos);
  EXPECT_HAS(notes(*tied, R"({"model_type": "llama"})"),
             "has no tie_word_embeddings, which means false, but");
  EXPECT_EQ(notes(*tied, R"({"model_type": "gpt2"})").find("tie_word"), std::string::npos);
  EXPECT_HAS(notes(*own, untied), "so it is tied to model.embed_tokens.weight and gets its values, although");
  EXPECT_EQ(notes(*own, says_tied).find("although"), std::string::npos);
  tensors.push_back({"lm_head.weight", "F32", {8, 16}, table.data()});
  EXPECT_EQ(notes(*tied, untied).find("tie_word"), std::string::npos);
  EXPECT_EQ(notes(*own, says_tied).find("tie_word"), std::string::npos);
  tensors.back().data = other.data();
  EXPECT_HAS(notes(*own, says_tied),
             "has tie_word_embeddings: true, but the file has lm_head.weight, which is not equal to");
  EXPECT_EQ(notes(*own, untied).find("tie_word"), std::string::npos);
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
