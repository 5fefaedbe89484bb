// --weights-type and `quantize` of built programs: scores of a trained model in every type, on the fly and
// from a saved checkpoint, which agree to the byte; generation and calls; what goes wrong.
#include <nlohmann/json.hpp>

#include "tests/support/model_support.h"

namespace heed::test {
namespace {

class WeightsTypeTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    program_ =
        new BuiltProgram(Source("examples/gpt2.heed"), {"--set", "vocab=96", "--set", "model=64", "--set",
                                                        "heads=4", "--set", "layer=2", "--set", "seq=64"});
    ASSERT_TRUE(program_->ok());
    const ProcessResult trained =
        program_->Run({"train", "--text", Source("examples/data/tale.txt"), "--tokenizer", "chars", "--steps",
                       "60", "--warmup", "10", "--lr", "0.003", "--out", W(), "-q"});
    ASSERT_TRUE(trained.ok()) << trained.err;
  }
  static void TearDownTestSuite() { delete program_; }
  static std::string W() { return program_->File("w.safetensors"); }

  static nlohmann::json Score(const std::string& weights, const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {
        "score", "--weights", weights, "--text", Source("examples/data/tale.txt"), "--json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const ProcessResult result = program_->Run(arguments);
    EXPECT_TRUE(result.ok()) << result.err;
    return nlohmann::json::parse(result.out, nullptr, false);
  }
  static BuiltProgram* program_;
};
BuiltProgram* WeightsTypeTest::program_ = nullptr;

TEST_F(WeightsTypeTest, ScoresInEveryType) {
  const nlohmann::json plain = Score(W(), {});
  EXPECT_EQ(plain["weights_type"], "f32");
  const double f32 = plain["nll"];
  const std::map<std::string, double> near = {{"f32", 0}, {"bf16", 1e-3}, {"int8", 2e-3}, {"int4", 0.03}};
  for (const auto& [type, most] : near) {
    const nlohmann::json score = Score(W(), {"--weights-type", type, "--compare", "f32"});
    EXPECT_EQ(score["weights_type"], type);
    EXPECT_EQ(score["compared"]["weights_type"], "f32");
    EXPECT_EQ(score["compared"]["nll"], f32);
    const double nll = score["nll"];
    EXPECT_LE(std::abs(nll - f32), most * f32) << type;
    if (type != "f32") EXPECT_NE(nll, f32) << type << " changes nothing";
    // Neither the batch nor threads matter.
    EXPECT_EQ(Score(W(), {"--weights-type", type, "--batch", "200", "--threads", "1"})["nll"], nll) << type;
  }
  const ProcessResult text =
      program_->Run({"score", "--weights", W(), "--text", Source("examples/data/tale.txt"), "--weights-type",
                     "int8", "--compare", "f32"});
  EXPECT_NE(text.out.find(" with f32: int8 has "), std::string::npos) << text.out;
}

TEST_F(WeightsTypeTest, ASavedCheckpointIsTheSame) {
  uintmax_t last = std::filesystem::file_size(W());
  for (const std::string type : {"bf16", "int8", "int4"}) {
    const std::string q = program_->File(type + ".safetensors");
    const ProcessResult saved = program_->Run({"quantize", "--weights", W(), "--to", type, "--out", q});
    ASSERT_TRUE(saved.ok()) << saved.err;
    EXPECT_LT(std::filesystem::file_size(q), last * 3 / 4);
    last = std::filesystem::file_size(q);
    // It says its type and carries the tokenizer.
    const nlohmann::json score = Score(q, {});
    EXPECT_EQ(score["weights_type"], type);
    EXPECT_EQ(score["nll"], Score(W(), {"--weights-type", type})["nll"]);
    // Its values serve as f32, too, and as the start of training.
    EXPECT_NEAR(Score(q, {"--weights-type", "f32"})["nll"], score["nll"], 0.01);
    const std::vector<std::string> complete = {"complete", "--prompt", "The ",     "--max-length",
                                               "30",       "--greedy", "--weights"};
    auto with = complete;
    with.push_back(q);
    auto without = complete;
    without.insert(without.end(), {W(), "--weights-type", type});
    const ProcessResult a = program_->Run(with), b = program_->Run(without);
    EXPECT_TRUE(a.ok() && b.ok()) << a.err << b.err;
    EXPECT_EQ(a.out, b.out) << type;
    const ProcessResult trained =
        program_->Run({"train", "--text", Source("examples/data/tale.txt"), "--tokenizer", q, "--init", q,
                       "--steps", "1", "--out", program_->File("again.safetensors"), "-q"});
    EXPECT_TRUE(trained.ok()) << trained.err;
    // Saved again in the same type it is what it was.
    const std::string again = program_->File("again.q.safetensors");
    ASSERT_TRUE(program_->Run({"quantize", "--weights", q, "--to", type, "--out", again}).ok());
    EXPECT_EQ(FileBytes(again), FileBytes(q)) << type;
  }
}

TEST_F(WeightsTypeTest, CallsInEveryType) {
  std::filesystem::copy_file(W(), program_->File("weights.safetensors"),
                             std::filesystem::copy_options::overwrite_existing);
  Numbers ids{{3, 20}, {}};
  for (int i = 0; i < 60; ++i) ids.data.push_back(3 + i * 7 % 40);
  const TensorMap inputs = {{"y", ids}};
  const Numbers want = program_->Call("complete", inputs, {"y"}).at("result");
  for (const auto& [type, most] :
       std::map<std::string, double>{{"f32", 0}, {"bf16", 0.02}, {"int8", 0.02}, {"int4", 0.2}}) {
    const TensorMap got = program_->Call("complete", inputs, {"y"}, {"--weights-type", type});
    ASSERT_TRUE(got.count("result"));
    EXPECT_LE(Distance(got.at("result"), want), most) << type;
  }
  const TensorMap loss = program_->Call("train", {{"x", ids}}, {"x"}, {"--weights-type", "int8"});
  EXPECT_EQ(loss.count("loss"), 1u);
}

TEST_F(WeightsTypeTest, WhatGoesWrong) {
  struct Wrong {
    std::vector<std::string> arguments;
    int status;
    const char* says;
  };
  const std::string text = Source("examples/data/tale.txt"), out = program_->File("x.safetensors");
  program_->Run({"quantize", "--weights", W(), "--to", "int8", "--out", program_->File("q8.safetensors")});
  std::string bytes = FileBytes(program_->File("q8.safetensors"));
  WriteBytes(program_->File("cut.safetensors"), bytes.substr(0, bytes.size() * 2 / 3));
  const std::vector<Wrong> all = {
      {{"score", "--weights", W(), "--text", text, "--weights-type", "int3"}, 2, "int3"},
      {{"score", "--weights", W(), "--text", text, "--compare", "f16"}, 2, "f16"},
      {{"complete", "--weights", W(), "--weights-type", ""}, 2, "--weights-type"},
      {{"quantize", "--weights", W(), "--to", "f32", "--out", out}, 2, "--to"},
      {{"quantize", "--weights", W(), "--to", "int8"}, 2, "--out"},
      {{"quantize", "--to", "int8", "--out", out}, 2, "--weights"},
      {{"quantize", "--weights", "nothing", "--to", "int8", "--out", out}, 1, "nothing"},
      {{"quantize", "--weights", W(), "--to", "int8", "--out", "/nowhere/x.safetensors"}, 1, "/nowhere"},
      {{"quantize", "--weights", W(), "--to", "int8", "--out", out, "--tokenizer", "nothing"}, 1, "nothing"},
      {{"call", "train", "--weights", W(), "--weights-type", "int8", "--grad", "--outputs", out, "--inputs",
        W()},
       2,
       "do not train"},
      {{"score", "--weights", program_->File("cut.safetensors"), "--text", text}, 1, "partial"},
      {{"train", "--text", text, "--resume", program_->File("q8.safetensors"), "--out", out}, 1, ""},
  };
  for (const Wrong& wrong : all) {
    const ProcessResult result = program_->Run(wrong.arguments);
    EXPECT_EQ(result.status, wrong.status) << wrong.arguments[0] << ": " << result.err;
    EXPECT_NE(result.err.find(wrong.says), std::string::npos) << result.err;
    EXPECT_FALSE(std::filesystem::exists(out)) << wrong.arguments[0];
  }
}

}  // namespace
}  // namespace heed::test
