// The commands train, score, translate and complete on a program written by hand: learning, logs, exact
// resuming, interruption, refusal to save what is broken, exit codes, results independent of batches and
// threads.
#include "runtime/train/train.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "runtime/commands/command.h"
#include "runtime/weights/checkpoint.h"
#include "tests/support/expect.h"
#include "tests/support/toy_program.h"

namespace heed {
namespace {

using Json = nlohmann::json;

std::string Folder() {
  static const std::string folder = [] {
    const std::string path = testing::TempDir() + "heed_train_" + std::to_string(getpid());
    std::filesystem::create_directories(path);
    return path + "/";
  }();
  return folder;
}
std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}
std::string Write(const std::string& name, const std::string& text) {
  std::ofstream(Folder() + name, std::ios::binary) << text;
  return Folder() + name;
}

struct Outcome {
  int code;
  std::string out, err;
};
/// Runs the command line with `input` as standard input.
Outcome RunCommand(const HeedProgram& program, std::vector<std::string> arguments,
                   const std::string& input = "") {
  const int saved = dup(STDIN_FILENO);
  const int file = open(Write("stdin", input).c_str(), O_RDONLY);
  dup2(file, STDIN_FILENO);
  close(file);
  arguments.insert(arguments.begin(), "toy");
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.code = Main(program, static_cast<int>(argv.size()), argv.data());
  std::fflush(stdout);
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  dup2(saved, STDIN_FILENO);
  close(saved);
  return outcome;
}
std::vector<Json> Rows(const std::string& path) {
  std::vector<Json> rows;
  std::istringstream in(ReadAll(path));
  for (std::string line; std::getline(in, line);) rows.push_back(Json::parse(line));
  return rows;
}
/// What must not depend on the clock.
std::vector<std::string> Essence(const std::string& path) {
  std::vector<std::string> rows;
  for (Json row : Rows(path)) {
    row.erase("seconds");
    rows.push_back(row.dump());
  }
  return rows;
}
void ExpectSameParameters(const std::string& a, const std::string& b) {
  Result<SafetensorsFile> x = SafetensorsFile::Open(a), y = SafetensorsFile::Open(b);
  ASSERT_TRUE(x && y);
  ASSERT_EQ(x->tensors().size(), y->tensors().size());
  EXPECT_GT(x->tensors().size(), 0u);
  for (const auto& [name, tensor] : x->tensors()) {
    const auto& other = y->tensors().at(name);
    ASSERT_EQ(tensor.bytes, other.bytes);
    EXPECT_EQ(std::memcmp(tensor.data, other.data, static_cast<size_t>(tensor.bytes)), 0) << name;
  }
}

/// Words of 3 to 9 letters to be copied.
std::string Words(int count, uint32_t seed) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    const int length = 3 + static_cast<int>(seed >> 24) % 7;
    for (int k = 0; k < length; ++k) {
      seed = seed * 1664525u + 1013904223u;
      text += static_cast<char>('a' + (seed >> 24) % 20);
    }
    text += '\n';
  }
  return text;
}
class Toy : public testing::Test {
 protected:
  std::string train = Write("train", Words(400, 1)), valid = Write("valid", Words(40, 2));
  std::vector<std::string> Options(const std::string& name, int steps, std::vector<std::string> more = {}) {
    std::vector<std::string> options = {"train",
                                        "--source",
                                        train,
                                        "--target",
                                        train,
                                        "--tokenizer",
                                        "chars",
                                        "--batch",
                                        "300",
                                        "--lr",
                                        "0.05",
                                        "--warmup",
                                        "10",
                                        "--steps",
                                        std::to_string(steps),
                                        "--seed",
                                        "5",
                                        "--out",
                                        Folder() + name + ".safetensors",
                                        "--log",
                                        Folder() + name + ".jsonl"};
    options.insert(options.end(), more.begin(), more.end());
    return options;
  }
};

TEST_F(Toy, LearnsAndWritesItsLog) {
  const Outcome outcome =
      RunCommand(test::ToyTranslator(), Options("learn", 200,
                                                {"--valid-source", valid, "--valid-target", valid,
                                                 "--valid-bleu", "--eval-every", "50", "--threads", "2"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::vector<Json> rows = Rows(Folder() + "learn.jsonl");
  ASSERT_EQ(rows.size(), 200u);
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].at("step"), i + 1);
    EXPECT_GT(rows[i].at("tokens").get<int64_t>(), 0);
    EXPECT_GE(rows[i].at("seconds").get<double>(), 0);
    EXPECT_GT(rows[i].at("gradient_norm").get<double>(), 0);
    const double s = static_cast<double>(i + 1);
    EXPECT_NEAR(rows[i].at("lr").get<double>(), 0.05 * std::min(s / 10, std::sqrt(10 / s)), 1e-9);
    EXPECT_EQ(rows[i].contains("valid_loss"), (i + 1) % 50 == 0);
    EXPECT_EQ(rows[i].contains("valid_bleu"), (i + 1) % 50 == 0);
  }
  EXPECT_NEAR(rows[0].at("loss").get<double>(), std::log(40), 0.2);
  EXPECT_LT(rows[199].at("loss").get<double>(), 0.6);
  EXPECT_LT(rows[199].at("valid_loss").get<double>(), 0.4);
  EXPECT_NEAR(rows[199].at("valid_loss").get<double>(), rows[199].at("valid_nll").get<double>(), 1e-5);
  Result<SafetensorsFile> file = SafetensorsFile::Open(Folder() + "learn.safetensors");
  ASSERT_TRUE(file);
  for (const char* name : {"W", "U", "optim.W.0", "optim.U.1"})
    EXPECT_TRUE(file->tensors().contains(name)) << name;
  for (const char* key : {"tokenizer", "step", "seed", "epoch", "next_batch"})
    EXPECT_TRUE(file->metadata().contains(key));
  EXPECT_EQ(file->metadata().at("step"), "200");
}

TEST_F(Toy, ResumingChangesNothing) {
  ASSERT_EQ(RunCommand(test::ToyTranslator(), Options("whole", 61, {"-q"})).code, 0);
  ASSERT_EQ(RunCommand(test::ToyTranslator(), Options("parts", 17, {"-q", "--threads", "1"})).code, 0);
  // The rates are those of the checkpoint, though no option repeats them.
  const std::string w = Folder() + "parts.safetensors";
  const Outcome outcome =
      RunCommand(test::ToyTranslator(), {"train", "--source", train, "--target", train, "--resume", w,
                                         "--steps", "61", "--log", Folder() + "parts.jsonl"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Essence(Folder() + "parts.jsonl"), Essence(Folder() + "whole.jsonl"));
  EXPECT_EQ(Rows(Folder() + "whole.jsonl").size(), 61u);
  EXPECT_GT(Rows(Folder() + "whole.jsonl").back().at("epoch").get<int>(), 0);  // past the end of the data
  ExpectSameParameters(w, Folder() + "whole.safetensors");
}

TEST_F(Toy, EveryOptimizerLearnsAndIsResumed) {
  for (const Optimizer& optimizer : Optimizers()) {
    const std::string name = optimizer.name;
    const std::vector<std::string> with = {"-q", "--optimizer", name};
    ASSERT_EQ(RunCommand(test::ToyTranslator(), Options(name + "-whole", 61, with)).code, 0);
    ASSERT_EQ(RunCommand(test::ToyTranslator(), Options(name + "-parts", 17, with)).code, 0);
    const std::string w = Folder() + name + "-parts.safetensors";
    const std::vector<std::string> on = {"train",    "--source", train,     "--target", train,
                                         "--resume", w,          "--steps", "61"};
    const Outcome outcome = RunCommand(test::ToyTranslator(), on);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_NE(outcome.err.find("--optimizer " + name), std::string::npos) << outcome.err;
    ExpectSameParameters(w, Folder() + name + "-whole.safetensors");
    const std::vector<Json> rows = Rows(Folder() + name + "-whole.jsonl");
    EXPECT_LT(rows.back().at("loss").get<double>(), rows.front().at("loss").get<double>()) << name;
    // Another one cannot go on from this state.
    const std::string other = name == "adam" ? "lion" : "adam";
    std::vector<std::string> wrong = on;
    wrong.insert(wrong.end(), {"--optimizer", other});
    const Outcome refused = RunCommand(test::ToyTranslator(), wrong);
    EXPECT_EQ(refused.code, 2);
    EXPECT_NE(refused.err.find("was trained with --optimizer " + name), std::string::npos) << refused.err;
  }
}

TEST_F(Toy, OptionsOfAnotherOptimizerAreRefused) {
  const Outcome outcome = RunCommand(test::ToyTranslator(),
                                     Options("foreign", 5, {"-q", "--optimizer", "sgd", "--beta2", "0.9"}));
  EXPECT_EQ(outcome.code, 2);
  EXPECT_NE(outcome.err.find("--beta2: --optimizer sgd takes --lr, --momentum"), std::string::npos)
      << outcome.err;
}

TEST_F(Toy, ResumingDropsWhatTheLogHasBeyondTheCheckpoint) {
  ASSERT_EQ(RunCommand(test::ToyTranslator(), Options("ahead", 5, {"-q"})).code, 0);
  const std::string log = Folder() + "ahead.jsonl";
  std::ofstream(log, std::ios::app) << "{\"step\": 6, \"loss\": 9}\nhalf a li";
  ASSERT_EQ(RunCommand(test::ToyTranslator(),
                       Options("ahead", 8, {"-q", "--resume", Folder() + "ahead.safetensors"}))
                .code,
            0);
  const std::vector<Json> rows = Rows(log);
  ASSERT_EQ(rows.size(), 8u);
  EXPECT_NE(rows[5].at("loss"), 9);
}

TEST_F(Toy, OtherDataStartANewPass) {
  ASSERT_EQ(RunCommand(test::ToyTranslator(), Options("other", 5, {"-q"})).code, 0);
  const std::string more = Write("more", Words(300, 9));
  const Outcome outcome =
      RunCommand(test::ToyTranslator(), {"train", "--source", more, "--target", more, "--steps", "9",
                                         "--resume", Folder() + "other.safetensors"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.err.find("starting a new pass"), std::string::npos) << outcome.err;
}

TEST_F(Toy, ControlCSavesAndCanBeResumed) {
  ASSERT_EQ(RunCommand(test::ToyTranslator(), Options("calm", 3000, {"-q"})).code, 0);
  std::vector<std::string> options = Options("stopped", 3000, {"--threads", "1"});
  options.insert(options.begin(), "toy");
  std::vector<const char*> argv;
  for (const std::string& option : options) argv.push_back(option.c_str());
  const std::string err = Folder() + "stopped.err";
  const pid_t child = fork();
  if (child == 0) {
    const int file = open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDERR_FILENO);
    _exit(Main(test::ToyTranslator(), static_cast<int>(argv.size()), argv.data()));
  }
  const std::string log = Folder() + "stopped.jsonl";
  for (int i = 0; i < 2000 && (!std::filesystem::exists(log) || std::filesystem::file_size(log) < 3000);
       ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_NE(ReadAll(err).find("--resume"), std::string::npos) << ReadAll(err);
  const size_t done = Rows(log).size();
  EXPECT_GT(done, 5u);
  ASSERT_LT(done, 3000u);
  ASSERT_EQ(RunCommand(test::ToyTranslator(),
                       Options("stopped", 3000, {"-q", "--resume", Folder() + "stopped.safetensors"}))
                .code,
            0);
  EXPECT_EQ(Essence(log), Essence(Folder() + "calm.jsonl"));
  ExpectSameParameters(Folder() + "stopped.safetensors", Folder() + "calm.safetensors");
}

TEST_F(Toy, KeepsTheLastGoodCheckpointWhenNumbersBreak) {
  ASSERT_EQ(RunCommand(test::ToyTranslator(), Options("good", 5, {"-q"})).code, 0);
  const std::string w = Folder() + "good.safetensors", before = ReadAll(w);
  const Outcome outcome =
      RunCommand(test::ToyTranslator(), {"train", "--source", train, "--target", train, "--resume", w,
                                         "--steps", "50", "--lr", "1e38", "--warmup", "0"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("finite"), std::string::npos) << outcome.err;
  EXPECT_EQ(ReadAll(w), before);
}

TEST_F(Toy, ABatchThatCountsNothingIsAnError) {
  HeedProgram program = test::ToyTranslator();
  std::vector<HeedEntry> entries(program.entries, program.entries + program.entry_count);
  HeedFunction function = *entries[0].train;
  function.run = [](const HeedFrame* frame) {
    test::toy::PairTrain(frame);
    *test::toy::Buffer<float>(frame, 8) = 0;  // per
  };
  entries[0].train = &function;
  program.entries = entries.data();
  const Outcome outcome = RunCommand(program, Options("none", 5, {"-q"}));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("entry `train` counts 0 in the batch of step 1"), std::string::npos)
      << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(Folder() + "none.safetensors"));
}

TEST_F(Toy, AGradientWhoseSquareIsNoNumberEndsTraining) {
  HeedProgram program = test::ToyTranslator();
  std::vector<HeedEntry> entries(program.entries, program.entries + program.entry_count);
  HeedFunction function = *entries[0].train;
  function.run = [](const HeedFrame* frame) {
    test::toy::PairTrain(frame);
    test::toy::Buffer<float>(frame, 9)[0] = 1e25f;  // d.W
  };
  entries[0].train = &function;
  program.entries = entries.data();
  const Outcome outcome = RunCommand(program, Options("square", 5, {"-q"}));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("the gradient (or its square, as f32) of step 1 is not a finite number"),
            std::string::npos)
      << outcome.err;
}

TEST_F(Toy, JsonAsTextIsNoticed) {
  std::string rows;
  for (const std::string& line : test::Lines(Words(400, 1))) rows += "{\"text\":\"" + line + "\"}\n";
  const std::string json = Write("train.jsonl", rows);
  const Outcome outcome =
      RunCommand(test::ToyText(), {"train", "--text", json, "--tokenizer", "chars", "--steps", "1", "-q",
                                   "--out", Folder() + "json.safetensors"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("warning: " + json + " is JSON"), std::string::npos) << outcome.err;
}

TEST_F(Toy, ExitCodes) {
  const auto code = [&](std::vector<std::string> arguments) {
    return RunCommand(test::ToyTranslator(), arguments).code;
  };
  EXPECT_EQ(code({"train", "--source", train}), 2);
  EXPECT_EQ(code({"train", "--text", train}), 2);
  EXPECT_EQ(code({"train", "--source", train, "--target", train, "--steps", "x"}), 2);
  EXPECT_EQ(code({"train", "--source", train, "--target", train, "--schedule", "odd"}), 2);
  EXPECT_EQ(code({"train", "--source", train, "--target", train, "--entry", "score"}), 2);
  EXPECT_EQ(code({"train", "--source", Folder() + "missing", "--target", train}), 1);
  EXPECT_EQ(code({"train", "--source", train, "--target", valid}), 1);
  EXPECT_EQ(code({"train", "--source", train, "--target", train, "--tokenizer", "bytes"}), 1);  // 259 > 40
  EXPECT_EQ(code({"train", "--source", train, "--target", train, "--resume", train}), 1);
  EXPECT_EQ(code({"translate"}), 2);
  EXPECT_EQ(code({"translate", "--weights", Folder() + "missing"}), 1);
  const Outcome unequal = RunCommand(test::ToyTranslator(), {"train", "--source", train, "--target", valid});
  EXPECT_NE(unequal.err.find("400"), std::string::npos);
  EXPECT_NE(unequal.err.find("40;"), std::string::npos) << unequal.err;
}

class Trained : public Toy {
 protected:
  void SetUp() override {
    w = Folder() + "trained.safetensors";
    if (!std::filesystem::exists(w)) {
      ASSERT_EQ(RunCommand(test::ToyTranslator(), Options("trained", 1500, {"-q"})).code, 0);
    }
  }
  std::string w;
};

TEST_F(Trained, TranslatesLineByLineInOrder) {
  const std::string input = "abcdef\n\nhello\r\nno\nacegik";  // a CR, and no newline at the end
  for (const std::vector<std::string>& more : {std::vector<std::string>{},
                                               {"--beam", "1"},
                                               {"--batch", "1"},
                                               {"--beam", "3", "--batch", "40"},
                                               {"--threads", "1"}}) {
    std::vector<std::string> arguments = {"translate", "--weights", w};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = RunCommand(test::ToyTranslator(), arguments, input);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, "abcdef\n\nhello\nno\nacegik\n");
  }
  EXPECT_EQ(
      RunCommand(test::ToyTranslator(), {"translate", "--weights", w, "--max-length", "2"}, "abcdef\n").out,
      "ab\n");
  EXPECT_EQ(RunCommand(test::ToyTranslator(), {"translate", "--weights", w}, "").out, "");
  const Outcome longer =
      RunCommand(test::ToyTranslator(), {"translate", "--weights", w}, "abc\nabcdefghijklmno\n");
  EXPECT_EQ(longer.code, 1);
  EXPECT_NE(longer.err.find("line 2"), std::string::npos) << longer.err;
  EXPECT_EQ(RunCommand(test::ToyTranslator(), {"translate", "--weights", w, "--skip-long"},
                       "abc\nabcdefghijklmno\n")
                .out,
            "abc\n\n");
  const Outcome invalid = RunCommand(test::ToyTranslator(), {"translate", "--weights", w}, "abc\nab\xFF\n");
  EXPECT_EQ(invalid.code, 1);
  EXPECT_NE(invalid.err.find(":2:"), std::string::npos) << invalid.err;
}

TEST_F(Trained, ScoreDoesNotDependOnTheBatch) {
  const auto score = [&](const char* batch, const char* threads) {
    const Outcome outcome =
        RunCommand(test::ToyTranslator(), {"score", "--weights", w, "--source", valid, "--target", valid,
                                           "--json", "--batch", batch, "--threads", threads});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out);
  };
  const Json all = score("100000", "2"), single = score("1", "1");
  EXPECT_EQ(all.at("nll"), single.at("nll"));
  const std::string text = ReadAll(valid);
  EXPECT_EQ(all.at("tokens").get<size_t>(), text.size());  // each letter, and the end for the newline
  EXPECT_LT(all.at("nll").get<double>(), 0.4);
  EXPECT_NEAR(all.at("perplexity").get<double>(), std::exp(all.at("nll").get<double>()), 1e-9);
  const Outcome plain =
      RunCommand(test::ToyTranslator(), {"score", "--weights", w, "--source", valid, "--target", valid});
  EXPECT_NE(plain.out.find("nats per token"), std::string::npos);
}

TEST_F(Trained, InitStartsFromWeightsWithoutTheirState) {
  const Outcome outcome = RunCommand(
      test::ToyTranslator(), {"train", "--source", train, "--target", train, "--init", w, "--steps", "2",
                              "--out", Folder() + "init.safetensors", "--log", Folder() + "init.jsonl"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_LT(Rows(Folder() + "init.jsonl")[0].at("loss").get<double>(), 0.8);
  EXPECT_EQ(Rows(Folder() + "init.jsonl")[0].at("step"), 1);
}

TEST(ToyText, TrainsScoresAndCompletes) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "abcdefgh\n";
  const std::string file = Write("text", text), w = Folder() + "text.safetensors";
  const Outcome trained =
      RunCommand(test::ToyText(), {"train", "--text", file, "--valid-text", file, "--tokenizer", "chars",
                                   "--batch", "64", "--lr", "0.1", "--warmup", "5", "--steps", "150", "--out",
                                   w, "--log", Folder() + "text.jsonl"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const std::vector<Json> rows = Rows(Folder() + "text.jsonl");
  EXPECT_EQ(rows[0].at("tokens"), 4 * 15);  // four windows of 16
  EXPECT_LT(rows.back().at("valid_loss").get<double>(), 0.1);
  const Outcome score = RunCommand(test::ToyText(), {"score", "--weights", w, "--text", file, "--json"});
  EXPECT_EQ(Json::parse(score.out).at("tokens").get<size_t>(), text.size() - 1);
  EXPECT_NE(score.err.find("label smoothing"), std::string::npos);  // it has no entry `score`

  EXPECT_EQ(RunCommand(test::ToyText(), {"complete", "--weights", w, "--prompt", "ab"}).out,
            "abcdefgh\nabcdefg\n");
  EXPECT_EQ(
      RunCommand(test::ToyText(), {"complete", "--weights", w, "--prompt", "ab", "--max-length", "3"}).out,
      "abcde\n");
  EXPECT_EQ(RunCommand(test::ToyText(),
                       {"complete", "--weights", w, "--prompt", "ab", "--max-length", "3", "--no-echo"})
                .out,
            "cde\n");
  // A line for each line; an empty one is the empty prompt.
  const std::vector<std::string> two = {"complete", "--weights", w, "--max-length", "2"};
  std::vector<std::string> empty = two;
  empty.insert(empty.end(), {"--prompt", ""});
  std::string from_nothing = RunCommand(test::ToyText(), empty).out;
  ASSERT_GT(from_nothing.size(), 1u);
  from_nothing.pop_back();
  for (size_t at = 0; (at = from_nothing.find('\n', at)) != std::string::npos;)
    from_nothing.replace(at, 1, "\\n");
  EXPECT_EQ(RunCommand(test::ToyText(), two, "ab\n\ngh\n").out, "abcd\n" + from_nothing + "\ngh\\na\n");
  const std::vector<std::string> sampled = {"complete", "--weights", w,   "--prompt", "a",   "--temperature",
                                            "4",        "--seed",    "3", "--top-p",  "0.99"};
  EXPECT_EQ(RunCommand(test::ToyText(), sampled).out, RunCommand(test::ToyText(), sampled).out);
  const Outcome over =
      RunCommand(test::ToyText(), {"complete", "--weights", w, "--prompt", "abcdefghabcdefgha"});
  EXPECT_EQ(over.code, 1);
  EXPECT_NE(over.err.find("17 tokens"), std::string::npos) << over.err;
}

}  // namespace
}  // namespace heed
