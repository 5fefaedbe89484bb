// What the config.json and generation_config.json of a published folder say: sizes and constants that a
// program must have, arithmetic that it is not known to do, tokens that end texts; damaged and hostile ones.
#include "runtime/weights/model_config.h"

#include <gtest/gtest.h>

#include <set>

#include "runtime/weights/config_notes.h"
#include "runtime/weights/config_table.h"
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
using Json = nlohmann::json;

/// A Llama that says nothing which Llama(2, 2, 4, true) does not do.
Json PlainLlama() {
  return {{"model_type", "llama"},
          {"hidden_size", 16},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 4},
          {"num_hidden_layers", 1},
          {"rope_theta", 500000.0},
          {"rms_norm_eps", 1e-5},
          {"vocab_size", 8},
          {"max_position_embeddings", 64},
          {"hidden_act", "silu"},
          {"tie_word_embeddings", false},
          {"torch_dtype", "bfloat16"},
          {"attention_dropout", 0.1},
          {"use_cache", true},
          {"pad_token_id", nullptr}};
}
Json PlainGpt2() {
  return {{"model_type", "gpt2"},
          {"n_embd", 8},
          {"n_head", 2},
          {"n_layer", 2},
          {"n_positions", 32},
          {"n_ctx", 32},
          {"vocab_size", 50},
          {"activation_function", "gelu_new"},
          {"layer_norm_epsilon", 1e-5},
          {"resid_pdrop", 0.1},
          {"summary_type", "cls_index"},
          {"task_specific_params", {{"text-generation", {{"max_length", 50}}}}},
          {"n_inner", nullptr},
          {"scale_attn_weights", true},
          {"architectures", Json::array({"GPT2LMHeadModel"})}};
}

class ModelConfigTest : public WeightsTest {
 protected:
  void SetUp() override {
    llama_shapes_ = {{"model.embed_tokens.weight", {8, 16}},
                     {"model.layers.0.self_attn.q_proj.weight", {16, 16}},
                     {"model.layers.0.self_attn.k_proj.weight", {8, 16}},
                     {"lm_head.weight", {8, 16}}};
  }
  /// All notes of loading weights of these shapes into a program, in one text.
  std::string Notes(const TestProgram& program, const Shapes& shapes, const std::string& config) {
    Write("model.safetensors", shapes);
    const Result<Weights> weights = Find(*program, Config(config));
    EXPECT_TRUE(weights) << weights.error().message;
    std::string text;
    if (weights)
      for (const std::string& note : weights->report().notes) text += note + "\n";
    return text;
  }
  std::string LlamaNotes(const Json& config) { return Notes(*llama_, llama_shapes_, config.dump()); }
  std::string Gpt2Notes(const Json& config) { return Notes(*gpt2_, Gpt2Shapes(8, 2), config.dump()); }
  static Json With(Json config, const Json& changes) {
    config.update(changes);
    return config;
  }

  std::unique_ptr<TestProgram> llama_ = Llama(2, 2, 4, true), gpt2_ = Gpt2(8, 2, 4, 2);
  Shapes llama_shapes_;
};

TEST(ConfigTable, HasEveryFieldOnce) {
  std::set<std::string> names;
  for (const ConfigField& row : ConfigFields()) EXPECT_TRUE(names.insert(row.name).second) << row.name;
  for (const char* name : {"vocab_size",
                           "n_positions",
                           "n_embd",
                           "n_layer",
                           "n_head",
                           "n_inner",
                           "activation_function",
                           "resid_pdrop",
                           "embd_pdrop",
                           "attn_pdrop",
                           "layer_norm_epsilon",
                           "initializer_range",
                           "summary_type",
                           "summary_use_proj",
                           "summary_activation",
                           "summary_proj_to_labels",
                           "summary_first_dropout",
                           "scale_attn_weights",
                           "use_cache",
                           "bos_token_id",
                           "eos_token_id",
                           "scale_attn_by_inverse_layer_idx",
                           "reorder_and_upcast_attn",
                           "hidden_size",
                           "intermediate_size",
                           "num_hidden_layers",
                           "num_attention_heads",
                           "num_key_value_heads",
                           "hidden_act",
                           "max_position_embeddings",
                           "rms_norm_eps",
                           "pad_token_id",
                           "pretraining_tp",
                           "tie_word_embeddings",
                           "rope_theta",
                           "rope_scaling",
                           "rope_parameters",
                           "attention_bias",
                           "attention_dropout",
                           "mlp_bias",
                           "head_dim"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
  for (const ConfigDefault& row : ConfigDefaults()) {
    EXPECT_NE(FindConfigField(row.field), nullptr) << row.field;
    EXPECT_FALSE(Json::parse(row.value, nullptr, false).is_discarded()) << row.value;
  }
}

TEST_F(ModelConfigTest, PlainModelsAreLoadedInSilence) {
  EXPECT_EQ(LlamaNotes(PlainLlama()), "");
  EXPECT_EQ(Gpt2Notes(PlainGpt2()), "");
  const std::vector<std::pair<const char*, Json>> changes{
      {"model_type", "mistral"},
      {"model_type", "qwen2"},
      {"hidden_act", "swish"},
      {"rope_scaling", nullptr},
      {"sliding_window", nullptr},
      {"attention_bias", false},
      {"mlp_bias", false},
      {"partial_rotary_factor", 1.0},
      {"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 500000}}},
      {"attention_multiplier", 0.5},
      {"query_pre_attn_scalar", 4},
      {"attn_logit_softcapping", nullptr},
      {"logits_scaling", 1},
      {"layer_types", Json::array({"full_attention"})},
      {"something_new", nullptr}};
  for (const auto& [field, value] : changes)
    EXPECT_EQ(LlamaNotes(With(PlainLlama(), {{field, value}})), "") << field << " " << value;
}

// Each changes what a model computes, and none of it is known of the programs.
TEST_F(ModelConfigTest, WhatChangesTheArithmeticIsSaid) {
  const std::vector<std::pair<std::string, Json>> of_llama{
      {"model_type", "granite"},
      {"hidden_act", "gelu"},
      {"hidden_activation", "gelu_pytorch_tanh"},
      {"sliding_window", 8},
      {"attention_chunk_size", 8},
      {"embedding_multiplier", 12.0},
      {"attention_multiplier", 0.0078125},
      {"residual_multiplier", 0.22},
      {"logits_scaling", 16.0},
      {"scale_emb", 12},
      {"scale_depth", 1.4},
      {"dim_model_base", 256},
      {"logit_scale", 0.0625},
      {"query_pre_attn_scalar", 224},
      {"attn_logit_softcapping", 50.0},
      {"final_logit_softcapping", 30.0},
      {"partial_rotary_factor", 0.25},
      {"rotary_pct", 0.25},
      {"attention_bias", true},
      {"mlp_bias", true},
      {"use_qk_norm", true},
      {"clip_qkv", 8.0},
      {"use_parallel_residual", true},
      {"alibi", true},
      {"is_encoder_decoder", true},
      {"pruned_heads", Json{{"0", Json::array({1})}}},
      {"quantization_config", Json{{"bits", 4}}},
      {"auto_map", Json{{"AutoModelForCausalLM", "m.M"}}},
      {"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}},
      {"rope_scaling", {{"type", "linear"}, {"factor", 2.0}}},
      {"rope_scaling", {{"type", "dynamic"}, {"factor", 2.0}}},
      {"rope_scaling", Json{{"factor", 2.0}}},
      {"rope_scaling", "linear"},
      {"layer_types", Json::array({"linear_attention"})},
      {"something_new", 3},
      {"something_new", false}};
  for (const auto& [field, value] : of_llama) {
    const std::string notes = LlamaNotes(With(PlainLlama(), {{field, value}}));
    EXPECT_HAS(notes, field + ": " + value.dump().substr(0, 10));
    EXPECT_HAS(notes, "test.heed");
  }
  const std::vector<std::pair<std::string, Json>> of_gpt2{{"model_type", "imagegpt"},
                                                          {"activation_function", "relu"},
                                                          {"activation_function", "gelu"},
                                                          {"scale_attn_weights", false},
                                                          {"scale_attn_by_inverse_layer_idx", true},
                                                          {"layer_norm_epsilon", 1e-3},
                                                          {"add_cross_attention", true},
                                                          {"something_new", "x"}};
  for (const auto& [field, value] : of_gpt2)
    EXPECT_HAS(Gpt2Notes(With(PlainGpt2(), {{field, value}})), field + ": " + value.dump());
}

TEST_F(ModelConfigTest, AProgramsConstantsAndParametersSpeakForIt) {
  const TestProgram granite({{"model", 16}, {"vocab", 8}},
                            {{"model.embed_tokens.weight", {"vocab", "model"}}, {"q_proj.bias", {"model"}}},
                            {{"eps", 1e-6}, {"embedding_multiplier", 12}, {"window", 4}});
  const Shapes shapes{{"model.embed_tokens.weight", {8, 16}}, {"q_proj.bias", {16}}};
  const Json config{{"model_type", "llama"},      {"rms_norm_eps", 1e-6},  {"embedding_multiplier", 12.0},
                    {"sliding_window", 4},        {"rope_theta", nullptr}, {"attention_bias", true},
                    {"tie_word_embeddings", true}};
  const std::string notes = Notes(granite, shapes, config.dump());
  EXPECT_EQ(notes.find("embedding_multiplier"), std::string::npos) << notes;
  EXPECT_EQ(notes.find("sliding_window"), std::string::npos) << notes;
  EXPECT_EQ(notes.find("attention_bias"), std::string::npos) << notes;
  EXPECT_EQ(notes.find("rms_norm_eps"), std::string::npos) << notes;
  EXPECT_HAS(
      Notes(granite, shapes, With(config, {{"embedding_multiplier", 6}, {"sliding_window", 9}}).dump()),
      "config.json tells embedding_multiplier=6, window=9; the program was built otherwise");
}

TEST_F(ModelConfigTest, FieldsThatAreNotThereMeanSomethingToo) {
  Json config = PlainLlama();
  config.erase("rope_theta");
  EXPECT_HAS(LlamaNotes(config),
             "config.json has no rope_theta (which means theta=10000); the program was built otherwise");
  config = PlainLlama();
  config.erase("rms_norm_eps");
  EXPECT_HAS(LlamaNotes(config), "no rms_norm_eps (which means eps=1e-06)");
  // Mistral's window is there unless it is taken away; texts that fit into it are not affected.
  EXPECT_EQ(LlamaNotes(With(PlainLlama(), {{"model_type", "mistral"}})), "");
  const auto longer = std::make_unique<TestProgram>(
      std::vector<TestProgram::Axis>{{"vocab", 8}, {"model", 16}, {"seq", 5000, true}},
      std::vector<TestProgram::Param>{{"model.embed_tokens.weight", {"vocab", "model"}}},
      std::vector<HeedConst>{{"eps", 1e-5}, {"theta", 500000}});
  const Shapes shapes{{"model.embed_tokens.weight", {8, 16}}};
  EXPECT_HAS(Notes(*longer, shapes, With(PlainLlama(), {{"model_type", "mistral"}}).dump()),
             "no sliding_window, which means 4096");
  EXPECT_EQ(Notes(*longer, shapes,
                  With(PlainLlama(), {{"model_type", "mistral"}, {"sliding_window", nullptr}}).dump())
                .find("sliding_window"),
            std::string::npos);
}

TEST_F(ModelConfigTest, WindowsThatSeeEverythingAreSilent) {
  const auto notes = [&](const Json& changes) { return LlamaNotes(With(PlainLlama(), changes)); };
  EXPECT_EQ(notes({{"sliding_window", 64}}), "");  // seq <= 64
  EXPECT_HAS(notes({{"sliding_window", 63}}), "sliding_window: 63");
  EXPECT_EQ(notes({{"sliding_window", 8}, {"use_sliding_window", false}}), "");
  EXPECT_EQ(notes({{"sliding_window", 8}, {"layer_types", Json::array({"full_attention"})}}), "");
  EXPECT_HAS(notes({{"sliding_window", 8}, {"layer_types", Json::array({"sliding_attention"})}}),
             "sliding_window: 8");
  EXPECT_EQ(notes({{"sliding_window", 8}, {"use_sliding_window", true}, {"max_window_layers", 1}}), "");
  EXPECT_HAS(notes({{"sliding_window", 8}, {"use_sliding_window", true}, {"max_window_layers", 0}}),
             "sliding_window: 8");
  EXPECT_HAS(notes({{"sliding_window", 0}}), "sliding_window: 0");
  EXPECT_HAS(notes({{"sliding_window", Json::array({8, 9})}}), "sliding_window: [8,9]");
}

TEST_F(ModelConfigTest, RotaryFrequencies) {
  Json config = PlainLlama();
  config.erase("rope_theta");
  const auto notes = [&](const Json& rope) { return LlamaNotes(With(config, {{"rope_parameters", rope}})); };
  const Json plain{{"rope_type", "default"}, {"rope_theta", 500000.0}};
  const Json other{{"rope_type", "default"}, {"rope_theta", 77.0}};
  EXPECT_EQ(notes(plain), "");
  EXPECT_HAS(notes(other), "tells theta=77");
  EXPECT_EQ(notes({{"full_attention", plain}, {"sliding_attention", plain}}), "");
  const std::string by_layer = notes({{"full_attention", plain}, {"sliding_attention", other}});
  EXPECT_HAS(by_layer, "rope_parameters: {\"full_attention\"");
  EXPECT_EQ(by_layer.find("which means"), std::string::npos) << by_layer;
  config["layer_types"] = Json::array({"full_attention"});
  EXPECT_EQ(notes({{"full_attention", plain}, {"sliding_attention", other}}), "");
  EXPECT_HAS(notes({{"rope_type", "default"}, {"rope_theta", 500000}, {"partial_rotary_factor", 0.5}}),
             "rope_parameters.partial_rotary_factor: 0.5");
  // Llama 3's stretching has constants in llama3_2.heed.
  const TestProgram stretched({{"vocab", 8}, {"model", 16}},
                              {{"model.embed_tokens.weight", {"vocab", "model"}}},
                              {{"eps", 1e-5},
                               {"rope_factor", 32},
                               {"rope_high", 4},
                               {"rope_low", 1},
                               {"rope_trained", 8192},
                               {"theta", 500000}});
  const Shapes shapes{{"model.embed_tokens.weight", {8, 16}}};
  const Json base = With(PlainLlama(), {{"tie_word_embeddings", true}});
  const Json llama3{{"rope_type", "llama3"},
                    {"factor", 32.0},
                    {"low_freq_factor", 1.0},
                    {"high_freq_factor", 4.0},
                    {"original_max_position_embeddings", 8192}};
  EXPECT_EQ(Notes(stretched, shapes, With(base, {{"rope_scaling", llama3}}).dump()), "");
  EXPECT_HAS(Notes(stretched, shapes, With(base, {{"rope_scaling", With(llama3, {{"factor", 8}})}}).dump()),
             "tells rope_factor=8");
  EXPECT_HAS(Notes(stretched, shapes, base.dump()), "no rope_scaling (which means rope_factor=1)");
  EXPECT_HAS(Notes(stretched, shapes, With(base, {{"rope_scaling", {{"type", "yarn"}}}}).dump()),
             "rope_scaling: {");
  EXPECT_HAS(LlamaNotes(With(PlainLlama(), {{"rope_scaling", llama3}})), "rope_scaling: {");
}

TEST_F(ModelConfigTest, ModelsOfTextsWithinOthers) {
  const Json whole{
      {"model_type", "llava"}, {"text_config", PlainLlama()}, {"vision_config", {{"hidden_size", 9}}}};
  std::string notes = LlamaNotes(whole);
  EXPECT_HAS(notes, "model_type: \"llava\" (more than a model of texts; its text_config was read)");
  EXPECT_EQ(notes.find("vision"), std::string::npos) << notes;
  notes = LlamaNotes(With(whole, {{"text_config", With(PlainLlama(), {{"hidden_act", "gelu"}})}}));
  EXPECT_HAS(notes, "hidden_act: \"gelu\"");
}

TEST_F(ModelConfigTest, SizesThatTheWeightsContradict) {
  for (const auto& [field, name] : {std::pair{"hidden_size", "model"},
                                    {"num_hidden_layers", "layer"},
                                    {"vocab_size", "vocab"},
                                    {"head_dim", "key"},
                                    {"num_key_value_heads", "kv"}}) {
    EXPECT_HAS(LlamaNotes(With(PlainLlama(), {{field, 7}})),
               std::string("config.json contradicts the weights: it has ") + field + " 7");
  }
  EXPECT_HAS(LlamaNotes(With(PlainLlama(), {{"num_attention_heads", 8}})),
             "num_attention_heads so that rep is 4; the tensors have rep 2");
  EXPECT_HAS(Gpt2Notes(With(PlainGpt2(), {{"n_positions", 64}})), "n_positions 64; the tensors have seq 32");
}

TEST_F(ModelConfigTest, ConfigSettlesHowHeadsShareAWidth) {
  // TinyLlama's proportions: 8 queries for each of 4 heads of 64.
  const auto program = Llama(8, 4, 128, false);
  Write("model.safetensors", {{"model.embed_tokens.weight", {8, 16}},
                              {"model.layers.0.self_attn.q_proj.weight", {2048, 16}},
                              {"model.layers.0.self_attn.k_proj.weight", {256, 16}}});
  const std::string config = R"({"model_type": "llama", "hidden_size": 16, "num_attention_heads": 32,
      "num_key_value_heads": 4, "head_dim": 64, "rope_theta": 10000.0, "rms_norm_eps": 1e-05,
      "max_position_embeddings": 48, "eos_token_id": [2, 3], "rope_scaling": null})";
  const auto file = SafetensorsFile::OpenCheckpoint(folder_ / "model.safetensors");
  Result<FittedWeights> fitted = FitWeights(*file, **program, Config(config));
  ASSERT_TRUE(fitted) << fitted.error().message;
  EXPECT_EQ(fitted->fit.Changes(), (std::vector<std::string>{"key=64", "kv=4", "rep=8", "theta=10000"}));
  EXPECT_EQ(fitted->fit.shorten, std::vector<std::string>{"seq=48"});
  EXPECT_TRUE(fitted->fit.unique);
  // All that a build takes: what shapes and config.json tell, and what this build was given.
  program->WasBuiltWith({"seq", "eps"});
  fitted = FitWeights(*file, **program, Config(config));
  const auto all = [&] {
    std::string text;
    for (const Setting& setting : fitted->fit.settings) text += setting.text + " ";
    return text;
  };
  EXPECT_EQ(all(), "key=64 kv=4 layer=1 model=16 rep=8 vocab=8 eps=1e-05 theta=10000 ");
  fitted = FitWeights(*file, **program, {});
  ASSERT_TRUE(fitted);
  EXPECT_FALSE(fitted->fit.unique);
  EXPECT_HAS(all(), "model=16 rep=");
  EXPECT_HAS(all(), "seq=64 vocab=8 eps=1e-05 ");
}

TEST_F(ModelConfigTest, WhatFitsButConfigContradictsIsNoted) {
  const auto program = Llama(2, 2, 4, false);
  // The same products, shared otherwise; and rotary positions of another base.
  const std::string notes =
      Notes(*program,
            {{"model.embed_tokens.weight", {8, 16}},
             {"model.layers.0.self_attn.q_proj.weight", {16, 16}},
             {"model.layers.0.self_attn.k_proj.weight", {8, 16}}},
            R"({"model_type": "llama", "num_attention_heads": 8, "num_key_value_heads": 4,
      "hidden_size": 16, "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
      "rope_parameters": {"rope_type": "llama3", "rope_theta": 10000}})");
  EXPECT_HAS(notes, "config.json tells key=2, kv=4, theta=10000; the program was built otherwise");
  EXPECT_HAS(notes, "rope_parameters: {\"rope_theta\":10000,\"rope_type\":\"llama3\"}");
}

TEST_F(ModelConfigTest, DamagedFilesAreSaidToBeDamaged) {
  EXPECT_EQ(LlamaNotes(PlainLlama()), "");
  for (const char* text : {"", "[]", "{\"model_type\": \"llama\"", "\xFF", "7"}) {
    EXPECT_HAS(Notes(*llama_, llama_shapes_, text), "so what it says of the model is not known");
    EXPECT_EQ(Config(text).path, "");
  }
  EXPECT_HAS(Notes(*llama_, llama_shapes_, std::string(5'000'000, ' ')), "has more than 4000000 bytes");
  EXPECT_HAS(Notes(*llama_, llama_shapes_, std::string(100'000, '[')), "is nested more than 100 levels deep");
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  EXPECT_HAS(Notes(*llama_, llama_shapes_, "{\"x\": " + deep + "}"), "nested more than");
  EXPECT_HAS(LlamaNotes({{"rope_theta", 1}}), "no model_type");
  EXPECT_HAS(LlamaNotes(With(PlainLlama(), {{"hidden_size", "16"}})), "hidden_size: \"16\" (not a number)");
  EXPECT_HAS(LlamaNotes(With(PlainLlama(), {{"eos_token_id", "2"}})),
             "eos_token_id: \"2\" (not the numbers of tokens)");
  EXPECT_HAS(LlamaNotes(With(PlainLlama(), {{"unknown", std::string(1000, 'x')}})), "xxx...");
  std::filesystem::remove(folder_ / "config.json");
  EXPECT_TRUE(ReadModelConfig(folder_ / "").damage.empty());
  WriteBytes(folder_ / "generation_config.json", "{");
  EXPECT_HAS(ReadModelConfig(folder_ / "").damage.at(0), "generation_config.json is not JSON");
}

TEST_F(ModelConfigTest, TokensThatEndTexts) {
  const auto read = [&](const Json& config, const Json& generation) {
    if (!generation.is_null()) WriteBytes(folder_ / "generation_config.json", generation.dump());
    return Config(config.dump());
  };
  EXPECT_EQ(read({{"model_type", "x"}, {"eos_token_id", 7}}, nullptr).ends, std::vector<int64_t>{7});
  EXPECT_EQ(read({{"model_type", "x"}, {"eos_token_id", Json::array({7, 9, 7})}}, nullptr).ends,
            (std::vector<int64_t>{7, 9}));
  EXPECT_TRUE(read({{"model_type", "llama"}, {"eos_token_id", nullptr}}, nullptr).ends.empty());
  const ModelConfig absent = read({{"model_type", "llama"}}, nullptr);
  EXPECT_EQ(absent.ends, std::vector<int64_t>{2});
  EXPECT_EQ(absent.ends_text, "config.json: no eos_token_id, which means 2");
  // generation_config.json goes first, field by field.
  const ModelConfig both = read({{"model_type", "x"}, {"eos_token_id", 7}},
                                {{"eos_token_id", Json::array({2, 3})}, {"temperature", 0.6}, {"top_k", 50}});
  EXPECT_EQ(both.ends, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(both.ends_text, "generation_config.json: eos_token_id: [2,3]");
  EXPECT_EQ(both.choices, std::vector<std::string>{"temperature: 0.6"});
  EXPECT_EQ(read({{"model_type", "x"}, {"eos_token_id", 7}}, {{"eos_token_id", nullptr}}).ends,
            std::vector<int64_t>{7});
}

TEST_F(ModelConfigTest, TokensThatTextsStartFromAndEndAt) {
  const Shapes shapes{{"e", {8, 16}}};
  const auto notes = [&](const std::vector<HeedConst>& consts, int64_t from, const Json& config) {
    TestProgram program({{"model", 16}, {"seq", 9, true}, {"vocab", 8}}, {{"e", {"vocab", "model"}}}, consts);
    program.Generates(from, {2});
    return Notes(program, shapes,
                 With({{"model_type", "gpt2"}, {"tie_word_embeddings", true}}, config).dump());
  };
  // A decoder starts from what decoder_start_token_id says, whatever the begin token is.
  const Json bart{{"bos_token_id", 0}, {"decoder_start_token_id", 2}, {"eos_token_id", 2}};
  EXPECT_EQ(notes({{"bos", 2}, {"eos", 2}}, 2, bart), "");
  EXPECT_EQ(notes({{"bos", 0}, {"eos", 2}, {"start", 2}}, 2, bart), "");
  EXPECT_HAS(notes({{"bos", 1}, {"eos", 2}}, 1, bart), "tells bos=2; the program was built otherwise");
  EXPECT_HAS(notes({{"eos", 2}, {"sot", 1}}, 1, bart), "tells sot=2");
  EXPECT_HAS(notes({{"eos", 2}}, 1, bart),
             "entry `complete` starts from 1, the model from 2 (decoder_start_token_id)");
  // One of several end tokens is as good as another.
  EXPECT_EQ(notes({{"eos", 3}}, -1, {{"eos_token_id", Json::array({2, 3})}}), "");
  EXPECT_HAS(notes({{"eos", 4}}, -1, {{"eos_token_id", Json::array({5, 3})}}), "tells eos=5");
  EXPECT_EQ(notes({{"eos", 4}}, -1, {{"eos_token_id", 50256}}), "");  // no element of vocab
}

}  // namespace
}  // namespace heed
