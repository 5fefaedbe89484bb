// The example programs at small sizes, compiled by `heed` and trained on the example texts: learning, exact
// resuming, results that depend neither on threads nor on batches, generation. Slow: half a minute.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/paths.h"

namespace heed {
namespace {

using Json = nlohmann::json;

std::string Folder() {
  static const std::string folder = [] {
    const std::string path = testing::TempDir() + "heed_text_" + std::to_string(getpid());
    std::filesystem::create_directories(path);
    return path + "/";
  }();
  return folder;
}
std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}
int Shell(const std::string& command) {
  const int status = std::system(("cd " + Folder() + " && " + command + " 2> err").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
std::vector<Json> Rows(const std::string& name) {
  std::vector<Json> rows;
  std::istringstream in(ReadAll(Folder() + name));
  for (std::string line; std::getline(in, line);) {
    rows.push_back(Json::parse(line));
    rows.back().erase("seconds");
  }
  return rows;
}
std::string Example(const std::string& name) { return test::Source("examples/" + name); }

class Compiled : public testing::Test {
 protected:
  void Build(const std::string& example, const std::string& name, const std::string& options) {
    const std::string heed = test::Binary("heed");
    if (!std::filesystem::exists(heed)) GTEST_SKIP() << "heed is not built";
    if (std::filesystem::exists(Folder() + name)) return;
    ASSERT_EQ(Shell(heed + " build " + Example(example) + " -o " + name + " -q " + options), 0)
        << ReadAll(Folder() + "err");
  }
};

class Translator : public Compiled {
 protected:
  const std::string texts = " --source " + Example("data/tiny.en") + " --target " + Example("data/tiny.fr");
  const std::string valid = " --source " + Example("data/valid.en") + " --target " + Example("data/valid.fr");
  void SetUp() override {
    Build("transformer.heed", "mt",
          "--set vocab=500 --set model=48 --set hidden=96 --set heads=3 --set layer=1");
    if (IsSkipped() || std::filesystem::exists(Folder() + "a.safetensors")) return;
    const std::string held_out =
        " --valid-source " + Example("data/valid.en") + " --valid-target " + Example("data/valid.fr");
    ASSERT_EQ(Shell("./mt train" + texts + held_out +
                    " --valid-bleu --eval-every 300 --steps 600 --warmup 150 --lr 0.004" +
                    " --batch 1000 --seed 2 --out a.safetensors --log a.jsonl -q"),
              0)
        << ReadAll(Folder() + "err");
  }
};

TEST_F(Translator, LearnsTheExampleSentences) {
  const std::vector<Json> rows = Rows("a.jsonl");
  ASSERT_EQ(rows.size(), 600u);
  EXPECT_LT(rows.back().at("valid_nll").get<double>(), 0.9);
  EXPECT_LT(rows.back().at("valid_loss"), rows[299].at("valid_loss"));
  EXPECT_GT(rows.back().at("valid_bleu").get<double>(), 30);
}

TEST_F(Translator, ResumesExactlyWithAnyNumberOfThreads) {
  const std::string options = texts + " --warmup 20 --batch 900 --seed 7 -q --threads ";
  ASSERT_EQ(Shell("./mt train" + options + "1 --steps 40 --out whole.safetensors --log whole.jsonl"), 0);
  ASSERT_EQ(Shell("./mt train" + options + "2 --steps 13 --out parts.safetensors --log parts.jsonl"), 0);
  ASSERT_EQ(
      Shell("./mt train -q" + texts + " --resume parts.safetensors --steps 40 --log parts.jsonl --threads 2"),
      0);
  const std::vector<Json> whole = Rows("whole.jsonl"), parts = Rows("parts.jsonl");
  ASSERT_EQ(whole.size(), parts.size());
  for (size_t i = 0; i < whole.size(); ++i) ASSERT_EQ(whole[i].dump(), parts[i].dump());
  EXPECT_TRUE(ReadAll(Folder() + "whole.safetensors") == ReadAll(Folder() + "parts.safetensors"));
}

TEST_F(Translator, ScoreAndTranslationsDoNotDependOnBatches) {
  for (const char* batch : {"1", "700", "100000"}) {
    const std::string more = std::string(" --weights a.safetensors --threads ") +
                             (batch[0] == '1' ? "1" : "2") + " --batch " + batch;
    ASSERT_EQ(Shell("./mt score --json" + valid + more + " > score." + batch), 0)
        << ReadAll(Folder() + "err");
    const std::string in = " < " + Example("data/valid.en");
    ASSERT_EQ(Shell("./mt translate --greedy --max-length 30" + more + in + " > greedy." + batch), 0);
    ASSERT_EQ(Shell("head -30 " + Example("data/valid.en") + " | ./mt translate --max-length 30" + more +
                    " > beam." + batch),
              0);
  }
  for (const char* what : {"score", "greedy", "beam"}) {
    const std::string first = ReadAll(Folder() + what + ".1");
    EXPECT_FALSE(first.empty());
    EXPECT_EQ(first, ReadAll(Folder() + what + ".700")) << what;
    EXPECT_EQ(first, ReadAll(Folder() + what + ".100000")) << what;
  }
  const std::string greedy = ReadAll(Folder() + "greedy.1");
  EXPECT_EQ(std::count(greedy.begin(), greedy.end(), '\n'), 120);
}

class Teller : public Compiled {
 protected:
  void SetUp() override {
    Build("gpt2.heed", "lm", "--set vocab=300 --set model=48 --set heads=3 --set layer=1 --set seq=48");
  }
};

TEST_F(Teller, LearnsTheTale) {
  const std::string tale = Example("data/tale.txt");
  ASSERT_EQ(Shell("./lm train --text " + tale + " --valid-text " + tale +
                  " --tokenizer chars --steps 250 --warmup 50 --lr 0.004 --batch 800 --out l.safetensors "
                  "--log l.jsonl -q"),
            0)
      << ReadAll(Folder() + "err");
  const std::vector<Json> rows = Rows("l.jsonl");
  EXPECT_LT(rows.back().at("valid_loss").get<double>(), 2.4);  // letters one by one: about 2.9
  ASSERT_EQ(Shell("./lm score --weights l.safetensors --json --text " + tale + " > s"), 0);
  const Json score = Json::parse(ReadAll(Folder() + "s"));
  EXPECT_NEAR(score.at("nll").get<double>(), rows.back().at("valid_loss").get<double>(), 1e-5);
  EXPECT_EQ(score.at("tokens").get<size_t>(), ReadAll(tale).size() - 1);

  ASSERT_EQ(Shell("./lm complete --weights l.safetensors --prompt 'The clock' --seed 4 > c1"), 0);
  ASSERT_EQ(Shell("./lm complete --weights l.safetensors --prompt 'The clock' --seed 4 --threads 1 > c2"), 0);
  ASSERT_EQ(Shell("./lm complete --weights l.safetensors --prompt 'The clock' --seed 5 > c3"), 0);
  const std::string text = ReadAll(Folder() + "c1");
  EXPECT_EQ(text.size(), 48u + 1);  // up to the bound, one character each
  EXPECT_TRUE(text.starts_with("The clock"));
  EXPECT_EQ(text, ReadAll(Folder() + "c2"));
  EXPECT_NE(text, ReadAll(Folder() + "c3"));
}

}  // namespace
}  // namespace heed
