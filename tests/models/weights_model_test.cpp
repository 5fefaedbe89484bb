// Published weights through compiled programs, as a user has them: a folder with weights in one of several
// forms, their config.json and their tokenizer. The models are small and their weights arbitrary, but names,
// shapes and files are those of GPT-2 and Llama.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/expect.h"
#include "tests/support/model_support.h"

namespace heed::test {
namespace {

using Json = nlohmann::ordered_json;

std::string Tokenizer(const std::string& family) { return Source("tests/tokenizers/" + family + ".json"); }

std::vector<std::string> Set(const std::vector<std::string>& settings) {
  std::vector<std::string> options;
  for (const std::string& setting : settings) options.insert(options.end(), {"--set", setting});
  return options;
}

/// Weights for a program: multiples of 1/128 with few digits, which every type of storage holds exactly.
TensorMap WeightsFor(const BuiltProgram& program) {
  TensorMap weights;
  uint32_t state = 1;
  const Json info = Json::parse(program.Run({"info", "--json"}).out);
  for (const Json& param : info["parameters"]) {
    Numbers numbers = Zeros(param["shape"]);
    for (double& value : numbers.data) {
      state = state * 1664525 + 1013904223;
      value = (static_cast<double>(state >> 24) - 128) / 128 / 4;
      if (param["name"].get<std::string>().find("norm") != std::string::npos) value += 1;
    }
    weights[param["name"]] = numbers;
  }
  return weights;
}

/// Writes tensors in a type of storage.
void WriteAs(const std::string& dtype, const std::string& path, const TensorMap& tensors) {
  std::vector<std::vector<uint8_t>> data;
  std::vector<NamedTensor> named;
  for (const auto& [name, numbers] : tensors) {
    std::vector<uint8_t>& bytes = data.emplace_back();
    for (const double number : numbers.data) {
      const auto value = static_cast<float>(number);
      const auto bits = std::bit_cast<uint32_t>(value);
      const auto put = [&](auto word) {
        bytes.insert(bytes.end(), reinterpret_cast<uint8_t*>(&word),
                     reinterpret_cast<uint8_t*>(&word) + sizeof word);
      };
      if (dtype == "F32") put(value);
      if (dtype == "BF16") put(static_cast<uint16_t>(bits >> 16));
      // Normal numbers of few digits: the exponent's bias changes.
      if (dtype == "F16")
        put(static_cast<uint16_t>(
            value == 0 ? 0 : (bits >> 16 & 0x8000) | ((bits >> 13) - (112 << 10) & 0x7fff)));
    }
  }
  size_t at = 0;
  for (const auto& [name, numbers] : tensors)
    named.push_back({name, dtype, numbers.shape, data[at++].data()});
  const Status status = WriteSafetensors(path, named, {});
  ASSERT_TRUE(status) << status.error().message;
}

void WriteSharded(const std::string& dtype, const std::string& folder, const TensorMap& tensors) {
  std::vector<TensorMap> shards(3);
  Json map;
  for (const auto& [name, numbers] : tensors) {
    const size_t shard = std::hash<std::string>()(name) % shards.size();
    shards[shard][name] = numbers;
    map[name] = "model-" + std::to_string(shard) + ".safetensors";
  }
  for (size_t i = 0; i < shards.size(); ++i)
    WriteAs(dtype, folder + "/model-" + std::to_string(i) + ".safetensors", shards[i]);
  WriteBytes(folder + "/model.safetensors.index.json", Json{{"weight_map", map}}.dump());
}

TensorMap Prefixed(const std::string& prefix, const TensorMap& tensors) {
  TensorMap renamed;
  for (const auto& [name, numbers] : tensors) renamed[prefix + name] = numbers;
  return renamed;
}

class PublishedWeights : public ::testing::Test {
 protected:
  static const BuiltProgram& Gpt2() {
    static const BuiltProgram program(Source("examples/gpt2.heed"), Set({"vocab=420", "model=16", "heads=2",
                                                                         "layer=2", "seq=32", "eos=416"}));
    return program;
  }
  static const BuiltProgram& Llama() {
    static const BuiltProgram program(Source("examples/llama.heed"),
                                      Set({"vocab=480", "model=16", "hidden=24", "kv=2", "rep=2", "key=8",
                                           "layer=2", "seq=32", "theta=10000"}));
    return program;
  }
  void SetUp() override {
    ASSERT_TRUE(Gpt2().ok() && Llama().ok());
    WriteBytes(text_, "The whale's tail was 12 feet.\nthe sea\n\n");
  }
  std::string Folder(const std::string& name) {
    std::filesystem::create_directories(folder_ / name);
    return folder_ / name;
  }
  ProcessResult Score(const BuiltProgram& program, const std::string& weights,
                      std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"score", "--weights", weights, "--text", text_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return program.Run(arguments);
  }
  TemporaryFolder folder_;
  std::string text_ = folder_ / "text";
};

TEST_F(PublishedWeights, EveryFormGivesTheSameResult) {
  TensorMap weights = WeightsFor(Gpt2());
  const std::string tokenizer = Tokenizer("gpt2"), plain = Folder("plain");
  WriteAs("F32", plain + "/model.safetensors", weights);
  const ProcessResult want =
      Score(Gpt2(), plain + "/model.safetensors", {"--tokenizer", tokenizer, "--json"});
  ASSERT_TRUE(want.ok()) << want.err;
  ASSERT_TRUE(std::isfinite(Json::parse(want.out)["nll"].get<double>())) << want.out;
  EXPECT_EQ(want.err, "");
  for (const char* layer : {"0", "1"}) {
    weights[std::string("h.") + layer + ".attn.bias"] = Zeros({1, 1, 32, 32});
    weights[std::string("h.") + layer + ".attn.masked_bias"] = Zeros({});
  }
  int number = 0;
  for (const char* dtype : {"F32", "F16", "BF16"}) {
    for (const char* prefix : {"", "transformer."}) {
      const std::string one = Folder("one" + std::to_string(number)),
                        sharded = Folder("sharded" + std::to_string(number++));
      WriteAs(dtype, one + "/model.safetensors", Prefixed(prefix, weights));
      WriteSharded(dtype, sharded, Prefixed(prefix, weights));
      for (const std::string& path : {one, sharded, sharded + "/model.safetensors.index.json"}) {
        SCOPED_TRACE(std::string(dtype) + " " + path);
        const ProcessResult result = Score(Gpt2(), path, {"--tokenizer", tokenizer, "--json"});
        EXPECT_TRUE(result.ok()) << result.err;
        EXPECT_EQ(result.out, want.out);
        EXPECT_HAS(result.err,
                   std::string(prefix) + "h.*.attn.bias (2), " + prefix + "h.*.attn.masked_bias (2)");
        if (*prefix) EXPECT_HAS(result.err, "names match with the prefix `transformer.`");
      }
    }
  }
}

TEST_F(PublishedWeights, AFolderHasItsTokenizer) {
  const std::string folder = Folder("model");
  TensorMap weights = WeightsFor(Llama());
  WriteSharded("BF16", folder, weights);
  WriteBytes(folder + "/tokenizer.json", FileBytes(Tokenizer("llama2")));
  const ProcessResult want = Score(Llama(), folder, {"--tokenizer", Tokenizer("llama2"), "--json"});
  ASSERT_TRUE(want.ok()) << want.err;
  const ProcessResult found = Score(Llama(), folder, {"--json"});
  ASSERT_TRUE(found.ok()) << found.err;
  EXPECT_EQ(found.out, want.out);
  EXPECT_HAS(found.err, "the tokenizer is " + folder + "/tokenizer.json");
  // The begin token that the file puts before texts is there once, whether asked for or not.
  const std::vector<std::string> complete{"complete",     "--weights", folder,    "--greedy",
                                          "--max-length", "8",         "--prompt"};
  std::vector<std::string> outputs;
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"The whale"}, {"The whale", "--bos"}, {"<s>The whale"}}) {
    std::vector<std::string> arguments = complete;
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult result = Llama().Run(arguments);
    ASSERT_TRUE(result.ok()) << result.err;
    EXPECT_TRUE(result.out.starts_with("The whale")) << result.out;
    outputs.push_back(result.out);
  }
  EXPECT_EQ(outputs[1], outputs[0]);
  EXPECT_EQ(outputs[2], outputs[0]);
}

TEST_F(PublishedWeights, ShownTokensAddUp) {
  const std::string folder = Folder("model");
  WriteAs("F32", folder + "/model.safetensors", WeightsFor(Llama()));
  WriteBytes(folder + "/tokenizer.json", FileBytes(Tokenizer("llama2")));
  WriteBytes(text_, FileBytes(Source("examples/data/tale.txt")).substr(0, 400));  // several windows
  const ProcessResult text = Score(Llama(), folder, {"--show-tokens"});
  const ProcessResult json = Score(Llama(), folder, {"--show-tokens", "--json"});
  ASSERT_TRUE(text.ok() && json.ok()) << text.err << json.err;
  std::istringstream lines(json.out), plain(text.out);
  double sum = 0;
  int64_t tokens = 0;
  for (std::string line, shown; std::getline(lines, line);) {
    std::getline(plain, shown);
    const Json row = Json::parse(line);
    if (row.contains("perplexity")) {
      EXPECT_EQ(row["tokens"], tokens - 1);  // the first is not predicted
      EXPECT_NEAR(sum, row["nll"].get<double>() * static_cast<double>(tokens - 1), 1e-4 * sum);
      EXPECT_HAS(shown, "nats per token");
      continue;
    }
    const std::string piece = row["piece"];
    EXPECT_TRUE(shown.starts_with(std::to_string(row["id"].get<int>()) + "\t" + piece)) << shown;
    if (tokens++ == 0) {
      EXPECT_EQ(piece, "<s>");
      EXPECT_FALSE(row.contains("nll"));
    } else {
      sum += row["nll"].get<double>();
    }
  }
  EXPECT_GT(tokens, 64);
  EXPECT_EQ(json.err.find("computes something else"), std::string::npos);
}

TEST_F(PublishedWeights, InfoTellsHowToBuild) {
  const std::string folder = Folder("model");
  TensorMap weights = WeightsFor(Llama());
  weights.erase("lm_head.weight");
  WriteAs("F16", folder + "/model.safetensors", weights);
  WriteBytes(folder + "/tokenizer.json", FileBytes(Tokenizer("llama2")));
  WriteBytes(folder + "/config.json",
             R"({"model_type": "llama", "hidden_size": 16, "num_attention_heads": 4, "num_key_value_heads": 2,
                 "head_dim": 8, "max_position_embeddings": 32, "rope_theta": 10000, "rms_norm_eps": 1e-06,
                 "bos_token_id": 1, "eos_token_id": 2})");
  const BuiltProgram other(Source("examples/llama.heed"),
                           Set({"vocab=64", "model=32", "hidden=8", "layer=1", "seq=64"}));
  ASSERT_TRUE(other.ok());
  const ProcessResult loaded = Score(other, folder, {"--json"});
  EXPECT_EQ(loaded.status, 1);
  const std::string settings =
      "--set hidden=24 --set key=8 --set kv=2 --set layer=2 --set model=16 --set rep=2 --set vocab=480 "
      "--set eps=1e-06 --set theta=10000";
  EXPECT_HAS(loaded.err, "they fit the program built with " + settings);
  EXPECT_LT(loaded.err.size(), 2500u) << "a message, not a book";
  const ProcessResult fit = other.Run({"info", "--fit", folder});
  ASSERT_TRUE(fit.ok()) << fit.err;
  const std::string sizes = "--set hidden=24 --set key=8 --set kv=2 --set layer=2 --set model=16 --set rep=2",
                    rest = " --set vocab=480 --set bos=1 --set eos=2 --set eps=1e-06 --set theta=10000";
  EXPECT_EQ(fit.out, "heed build llama.heed -o llama " + sizes + rest + " --set seq=32\n");
  // The line does what it says.
  std::vector<std::string> options;
  std::istringstream words(settings + " --set seq=32");
  for (std::string word; words >> word;) options.push_back(word);
  const BuiltProgram built(Source("examples/llama.heed"), options);
  ASSERT_TRUE(built.ok());
  const ProcessResult works = Score(built, folder, {"--json"});
  EXPECT_TRUE(works.ok()) << works.err;
  EXPECT_HAS(works.err, "no lm_head.weight, so it is tied to model.embed_tokens.weight");
  EXPECT_EQ(works.err.find("config.json tells"), std::string::npos);
  EXPECT_EQ(built.Run({"info", "--fit", folder}).out,
            "heed build llama.heed -o llama " + sizes + " --set seq=32" + rest + "\n");
  EXPECT_EQ(built.Run({"info", "--fit", folder + "/none"}).status, 1);
  EXPECT_HAS(built.Run({"info"}).out, "constants\n  bos=1 eos=2 eps=1e-06 theta=10000");
  // What other constants make of it is not silent.
  const ProcessResult differs = Score(Llama(), folder, {"--json"});
  EXPECT_TRUE(differs.ok());
  EXPECT_HAS(differs.err, "config.json tells eps=1e-06; the program was built otherwise");
}

// Notes of `score`, of whatever else reads weights, and of `info --fit` are the same.
TEST_F(PublishedWeights, WhatConfigAsksForIsSaidByAllCommands) {
  const std::string folder = Folder("model");
  TensorMap weights = WeightsFor(Llama());
  for (const char* layer : {"0", "1"})
    weights[std::string("model.layers.") + layer + ".self_attn.q_proj.bias"] = Zeros({32});
  WriteAs("F32", folder + "/model.safetensors", weights);
  WriteBytes(folder + "/tokenizer.json", FileBytes(Tokenizer("llama2")));
  WriteBytes(
      folder + "/config.json",
      R"({"model_type": "granite", "hidden_act": "gelu", "embedding_multiplier": 12.0, "sliding_window": 8,
                 "rope_theta": 10000, "rms_norm_eps": 1e-05, "logits_scaling": 1, "new_field": [1, 2]})");
  const std::vector<std::vector<std::string>> commands{
      {"score", "--weights", folder, "--text", text_},
      {"info", "--fit", folder},
      {"complete", "--weights", folder, "--prompt", "The", "--max-length", "2"},
      {"attention", "--weights", folder, "--text", "The whale"},
      {"quantize", "--weights", folder, "--to", "bf16", "--out", folder_ / "q.safetensors"},
      {"train", "--init", folder, "--text", text_, "--steps", "1", "-q", "--out", folder_ / "t.safetensors"}};
  for (const std::vector<std::string>& command : commands) {
    SCOPED_TRACE(command[0]);
    const ProcessResult result = Llama().Run(command);
    EXPECT_TRUE(result.ok()) << result.err;
    for (const char* said :
         {"what llama.heed is not known to compute", "model_type: \"granite\"", "hidden_act: \"gelu\"",
          "embedding_multiplier: 12.0", "sliding_window: 8", "new_field: [1,2]",
          "model.layers.*.self_attn.q_proj.bias (2), which the program does not use"}) {
      EXPECT_HAS(result.err, said);
    }
    EXPECT_EQ(result.err.find("logits_scaling"), std::string::npos) << result.err;
  }
}

// Names with spaces and quotes, as a shell takes them.
TEST_F(PublishedWeights, TheLineOfAFitIsOneThatAShellTakes) {
  const std::string source = folder_ / "it's my gpt.heed";
  WriteBytes(source, FileBytes(Source("examples/gpt2.heed")));
  const BuiltProgram program(source,
                             Set({"vocab=420", "model=16", "heads=2", "layer=2", "seq=32", "eos=416"}));
  ASSERT_TRUE(program.ok());
  const std::string folder = Folder("model");
  WriteAs("F32", folder + "/model.safetensors", WeightsFor(program));
  const ProcessResult fit = program.Run({"info", "--fit", folder});
  ASSERT_TRUE(fit.ok()) << fit.err;
  EXPECT_EQ(
      fit.out,
      R"(heed build 'it'\''s my gpt.heed' -o 'it'\''s my gpt' --set heads=2 --set hidden=64 --set key=8)"
      " --set layer=2 --set model=16 --set seq=32 --set vocab=420 --set eos=416\n");
}

// The number that the program's own texts end at is 2; a folder names others, a checkpoint made of it carries
// them.
TEST_F(PublishedWeights, FoldersSayWhereTextsEnd) {
  const std::string program_text = R"(axis vocab = 259, model = 16, seq <= 16
module Next(y: vocab[seq]) -> [seq, vocab] {
  param E[vocab, model] ~ normal(0, 1), U[vocab, model] ~ normal(0, 1)
  U @model E[y]
}
part net = Next
entry score(x: vocab[seq]) = -sum[seq | seq + 1 < |seq|](xent[vocab](net(x), x[seq + 1]))
entry train(x: vocab[seq]) = minimize sum[seq | seq + 1 < |seq|](xent[vocab](net(x), x[seq + 1])) per |seq| - 1
entry complete(p: vocab[seq]) = generate y: vocab[seq] from p until {2, 110} by net(y)
)";
  WriteBytes(folder_ / "next.heed", program_text);
  const BuiltProgram program(folder_ / "next.heed", {});
  ASSERT_TRUE(program.ok());
  const Json info = Json::parse(program.Run({"info", "--json"}).out);
  EXPECT_EQ(info["entries"][2]["until"], (Json{2, 110}));
  // a b c d ...: bytes have the ids 3 to 258, so `d` is 103.
  Numbers inputs = Zeros({259, 16}), outputs = Zeros({259, 16});
  for (size_t i = 0; i < 16; ++i) inputs.data[(100 + i) * 16 + i] = 1, outputs.data[(101 + i) * 16 + i] = 9;
  const std::string folder = Folder("model");
  WriteAs("F32", folder + "/model.safetensors", {{"E", inputs}, {"U", outputs}});
  const auto complete = [&](const std::string& weights, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"complete", "--weights", weights,        "--tokenizer", "bytes",
                                       "--prompt", "a",         "--max-length", "14"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return program.Run(arguments);
  };
  EXPECT_EQ(complete(folder).out, "abcdefghij\n");  // 110 is `k`
  WriteBytes(folder + "/config.json",
             R"({"model_type": "llama", "eos_token_id": [2, 103], "tie_word_embeddings": true})");
  const ProcessResult ended = complete(folder);
  EXPECT_EQ(ended.out, "abc\n");
  EXPECT_HAS(ended.err, "`complete` also ends texts at 103 (config.json: eos_token_id: [2,103])");
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--beam", "3"},
                                              {"--beam", "3", "--n-best", "2"},
                                              {"--scores"},
                                              {"--temperature", "0.01", "--n-best", "2"}}) {
    const ProcessResult result = complete(folder, how);
    ASSERT_TRUE(result.ok()) << result.err;
    const std::string first = result.out.substr(0, result.out.find('\n'));
    EXPECT_TRUE(first.ends_with("abc")) << result.out;
  }
  WriteBytes(folder + "/generation_config.json",
             R"({"eos_token_id": [105, 9999], "temperature": 0.6, "top_k": 50})");
  const ProcessResult first = complete(folder);
  EXPECT_EQ(first.out, "abcde\n");
  EXPECT_HAS(first.err, "also ends texts at 105 (generation_config.json: eos_token_id: [105,9999])");
  EXPECT_HAS(first.err, "says how to choose tokens (temperature: 0.6)");
  // call, and checkpoints that are made of the folder.
  Numbers prompt = Zeros({1, 1});
  prompt.data[0] = 100;
  WriteTensors(folder_ / "in.safetensors", {{"p", prompt}}, {"p"});
  const ProcessResult called =
      program.Run({"call", "complete", "--weights", folder, "--inputs", folder_ / "in.safetensors",
                   "--outputs", folder_ / "out.safetensors"});
  ASSERT_TRUE(called.ok()) << called.err;
  EXPECT_EQ(ReadTensors(folder_ / "out.safetensors")["result"].data,
            (std::vector<double>{100, 101, 102, 103, 104}));
  const std::string small = folder_ / "q.safetensors", trained = folder_ / "t.safetensors";
  ASSERT_TRUE(
      program.Run({"quantize", "--weights", folder, "--to", "bf16", "--out", small, "--tokenizer", "bytes"})
          .ok());
  EXPECT_EQ(complete(small).out, "abcde\n");
  ASSERT_TRUE(program
                  .Run({"train", "--init", folder, "--tokenizer", "bytes", "--text", text_, "--steps", "1",
                        "-q", "--lr", "1e-9", "--out", trained})
                  .ok());
  const ProcessResult carried = complete(trained);
  EXPECT_EQ(carried.out, "abcde\n");
  EXPECT_HAS(carried.err, "also ends texts at 105 (carried from the weights it was made of)");
}

TEST_F(PublishedWeights, TrainingGoesOnFromThemAndCarriesTheTokenizer) {
  const std::string folder = Folder("model");
  WriteAs("BF16", folder + "/model.safetensors", WeightsFor(Gpt2()));
  WriteBytes(folder + "/tokenizer.json", FileBytes(Tokenizer("gpt2")));
  const ProcessResult trained = Gpt2().Run({"train", "--init", folder, "--text", text_, "--steps", "2", "-q",
                                            "--warmup", "1", "--out", folder_ / "w.safetensors"});
  ASSERT_TRUE(trained.ok()) << trained.err;
  std::filesystem::remove_all(folder);
  const ProcessResult shown = Score(Gpt2(), folder_ / "w.safetensors", {"--show-tokens"});
  ASSERT_TRUE(shown.ok()) << shown.err;
  EXPECT_HAS(shown.out.substr(0, 12), "\tThe\n");
  const ProcessResult resumed =
      Gpt2().Run({"train", "--resume", folder_ / "w.safetensors", "--text", text_, "--steps", "3", "-q"});
  EXPECT_TRUE(resumed.ok()) << resumed.err;
}

TEST_F(PublishedWeights, WhatIsMissingIsSaid) {
  const std::string folder = Folder("model");
  WriteSharded("F32", folder, WeightsFor(Gpt2()));
  const auto fails = [&](const std::vector<std::string>& more, const std::string& message) {
    const ProcessResult result = Score(Gpt2(), folder, more);
    EXPECT_EQ(result.status, 1) << result.err;
    EXPECT_HAS(result.err, message);
    EXPECT_LT(result.err.size(), 1500u) << result.err;
  };
  fails({}, "carries no tokenizer; name one with --tokenizer FILE");
  fails({"--tokenizer", folder}, "has no tokenizer.json, vocab.json with merges.txt, or tokenizer.model");
  fails({"--tokenizer", Tokenizer("llama2")}, "the tokenizer has 473 pieces, but `axis vocab = 420`");
  WriteBytes(folder + "/tokenizer.json", FileBytes(Tokenizer("gpt2")).substr(0, 3000));
  fails({}, "tokenizer.json is not JSON (cut short?)");
  std::filesystem::remove(folder + "/model-1.safetensors");
  fails({"--tokenizer", Tokenizer("gpt2")}, "into model-1.safetensors, which is not there");
}

// Llama 3's frequencies as its config.json describes them, against the definition by wave lengths.
TEST(StretchedFrequencies, AgreeWithTheDefinition) {
  constexpr int kFreq = 32;
  const TemporaryFolder folder;
  // A program can be imported for what it declares; its entries stay behind.
  WriteBytes(folder / "probe.heed", "import \"" + Source("examples/llama3_2.heed") +
                                        "\"\npart net = Llama\nentry score(x: vocab[seq]) = net(x)\n"
                                        "entry probe(x[freq]) = x * frequency()\n");
  const BuiltProgram program(folder / "probe.heed",
                             Set({"vocab=8", "model=4", "hidden=4", "layer=1", "kv=1", "rep=1", "eos=2"}));
  ASSERT_TRUE(program.ok());
  WriteTensors(program.File("weights.safetensors"), WeightsFor(program));
  const Numbers got =
      program.Call("probe", {{"x", {{1, kFreq}, std::vector<double>(kFreq, 1)}}}, {})["result"];
  ASSERT_EQ(got.count(), kFreq);
  int stretched = 0, between = 0;
  for (int i = 0; i < kFreq; ++i) {
    const double plain = std::pow(500000.0, -i / static_cast<double>(kFreq)), wave = 2 * M_PI / plain;
    double want = plain;
    if (wave > 8192.0 / 1) {
      want = plain / 32;
      ++stretched;
    } else if (wave > 8192.0 / 4) {
      const double smooth = (8192 / wave - 1) / (4 - 1);
      want = (1 - smooth) * plain / 32 + smooth * plain;
      ++between;
    }
    EXPECT_NEAR(got.data[static_cast<size_t>(i)], want, 2e-6 * want) << i;
  }
  EXPECT_GT(stretched, 5);
  EXPECT_GT(between, 1);
}

}  // namespace
}  // namespace heed::test
