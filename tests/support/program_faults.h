// Two small programs, a translator `mt` and a language model `lm`, compiled and trained once for all tests of
// a file, and what must hold of them in hostile and careless hands: each run ends in bounded time with a
// message and the right status, and leaves files that were there as they were.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/expect.h"
#include "tests/support/faults_support.h"
#include "tests/support/paths.h"

namespace heed {

namespace fs = std::filesystem;
using test::Child;
using test::ChildSetting;
using test::Parts;
using test::ProcessResult;

class ProgramFaults : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const std::string heed = test::Binary("heed");
    if (!fs::exists(heed)) return;
    folder_ = std::make_unique<test::TemporaryFolder>();
    const auto build = [&](const std::string& source, const std::string& name,
                           std::vector<std::string> options) {
      std::vector<std::string> command{heed, "build", source, "-q", "-o", Path(name)};
      for (const std::string& option : options) command.insert(command.end(), {"--set", option});
      const ProcessResult result = Child(command).Wait(300);
      if (result.status != 0) ADD_FAILURE() << result.err;
      return result.status == 0;
    };
    test::WriteBytes(Path("text.heed"), test::FileBytes(test::Source("examples/gpt2.heed")) +
                                            "\nentry average(v[seq]) = mean[seq](v)\n");
    Write("en", Sentences({"the", "cat", "dog", "sees", "a", "red", "house", "tree"}));
    Write("fr", Sentences({"le", "chat", "chien", "voit", "un", "rouge", "maison", "arbre"}));
    ready_ =
        build(test::Source("examples/transformer.heed"), "mt",
              {"vocab=64", "model=16", "heads=2", "hidden=16", "layer=1", "src=16", "tgt=16"}) &&
        build(Path("text.heed"), "lm", {"vocab=259", "model=16", "heads=2", "layer=1", "seq=16", "eos=2"});
    if (!ready_) return;
    const auto train = [](const std::vector<std::string>& command) {
      const ProcessResult result = Child(command).Wait();
      EXPECT_EQ(result.status, 0) << result.err;
      return result.status == 0;
    };
    ready_ = train(Train({"--steps", "8", "--out", Path("mt.w")})) &&
             train({Path("lm"), "train", "--text", Path("en"), "--tokenizer", "bytes", "--steps", "2",
                    "--out", Path("lm.w"), "-q"});
  }
  static void TearDownTestSuite() { folder_.reset(); }

  void SetUp() override {
    if (!fs::exists(test::Binary("heed"))) GTEST_SKIP() << "heed is not built";
    ASSERT_TRUE(ready_);
    fs::remove_all(Path("out"));
    fs::create_directory(Path("out"));
    good_ = Path("out/good");
    test::WriteBytes(good_, "what was there before");
  }

  static std::string Path(const std::string& name) { return *folder_ / name; }
  static std::string Write(const std::string& name, const std::string& bytes) {
    test::WriteBytes(Path(name), bytes);
    return Path(name);
  }
  static std::string Sentences(const std::vector<std::string>& words) {
    std::string text;
    uint32_t state = 1;
    for (int line = 0; line < 120; ++line) {
      const int count = 1 + line % 5;
      for (int i = 0; i < count; ++i) {
        state = state * 1664525 + 1013904223;
        text += words[(state >> 16) % words.size()] + (i + 1 < count ? " " : "\n");
      }
    }
    return text;
  }
  static std::vector<std::string> Train(const std::vector<std::string>& more) {
    std::vector<std::string> command{Path("mt"), "train", "--source", Path("en"), "--target", Path("fr"),
                                     "--batch",  "200",   "-q",       "--warmup", "10"};
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }
  static ProcessResult Run(const std::string& program, std::vector<std::string> arguments,
                           const ChildSetting& setting = {}) {
    arguments.insert(arguments.begin(), Path(program));
    return Child(arguments, setting).Wait();
  }
  static void ExpectMessage(const ProcessResult& result, int status, const std::string& message) {
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_HAS(result.err, message);
    EXPECT_EQ(result.err.find("internal error"), std::string::npos) << result.err;
    EXPECT_LT(result.err.size(), 1500u) << "a message, not a book: " << result.err;
  }
  void ExpectUntouched() const {
    EXPECT_EQ(test::FileBytes(good_), "what was there before");
    EXPECT_EQ(test::Names(Path("out")), "good ");
  }
  static std::vector<std::string> LossesOf(const std::string& log) {
    std::vector<std::string> losses;
    std::istringstream lines(test::FileBytes(log));
    for (std::string line; std::getline(lines, line);) {
      nlohmann::json row = nlohmann::json::parse(line);
      row.erase("seconds");
      losses.push_back(row.dump());
    }
    return losses;
  }

  static inline std::unique_ptr<test::TemporaryFolder> folder_;
  static inline bool ready_ = false;
  std::string good_;
};

}  // namespace heed
