// The generated program's command line: exit codes, messages, `info` and `call`, on a program written by hand
// (runtime_toy.h), run in this process.
#include "runtime/commands/command.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "backend/target/target.h"
#include "runtime/engine/cpu.h"
#include "runtime/kernels/tiles.h"
#include "runtime/option_names.h"
#include "runtime/weights/checkpoint.h"
#include "tests/support/expect.h"
#include "tests/support/runtime_toy.h"

namespace heed {
namespace {

namespace fs = std::filesystem;
using test::kToy;

struct Outcome {
  int code;
  std::string out, err;
};

Outcome RunProgram(const HeedProgram& program, std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "toy");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int code = Main(program, static_cast<int>(arguments.size()), arguments.data());
  Outcome outcome{code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
  return outcome;
}

class CommandTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("heed-command-" + std::to_string(getpid()));
    fs::create_directories(folder_);
    ParameterBlock parameters(kToy);
    for (int i = 0; i < 5; ++i) parameters.tensor(0)[static_cast<size_t>(i)] = static_cast<float>(i);
    weights_ = Path("w");
    ASSERT_TRUE(SaveCheckpoint(weights_, kToy, parameters, {}, {}));
    inputs_ = Path("i");
    outputs_ = Path("o");
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  void Inputs(const std::vector<NamedTensor>& tensors) {
    ASSERT_TRUE(WriteSafetensors(inputs_, tensors, {}));
  }
  Outcome Call(const char* entry, std::vector<const char*> more = {}) {
    std::vector<const char*> arguments = {"call",     entry,           "--weights", weights_.c_str(),
                                          "--inputs", inputs_.c_str(), "--outputs", outputs_.c_str()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunProgram(kToy, arguments);
  }
  std::vector<float> Output(const std::string& name, std::vector<int64_t> shape) {
    const auto file = SafetensorsFile::Open(outputs_);
    if (!file || !file->tensors().contains(name)) {
      ADD_FAILURE() << "no output " << name;
      return {};
    }
    const auto& entry = file->tensors().at(name);
    EXPECT_EQ(entry.dtype, "F32");
    EXPECT_EQ(entry.shape, shape);
    std::vector<float> values(static_cast<size_t>(entry.bytes / 4));
    std::memcpy(values.data(), entry.data, static_cast<size_t>(entry.bytes));
    return values;
  }
  fs::path folder_;
  std::string weights_, inputs_, outputs_;
};

TEST_F(CommandTest, HelpAndVersion) {
  Outcome outcome = RunProgram(kToy, {"--help"});
  EXPECT_EQ(outcome.code, 0);
  for (const char* name : {"info", "train", "call", "values", "twice", "--threads"})
    EXPECT_HAS(outcome.out, name);
  EXPECT_EQ(outcome.err, "");
  outcome = RunProgram(kToy, {"--version"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_HAS(outcome.out, "0.1.0");
  for (const char* name : {"info", "train", "score", "call", "values", "twice"}) {
    outcome = RunProgram(kToy, {name, "--help"});
    EXPECT_EQ(outcome.code, 0) << name;
    EXPECT_HAS(outcome.out, "--threads");
  }
}

TEST_F(CommandTest, WrongCommandLinesAre2) {
  EXPECT_EQ(RunProgram(kToy, {}).code, 2);
  Outcome outcome = RunProgram(kToy, {"inof"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_HAS(outcome.err, "did you mean `info`?");
  EXPECT_EQ(RunProgram(kToy, {"info", "--nonsense"}).code, 2);
  EXPECT_EQ(RunProgram(kToy, {"info", "--threads", "0"}).code, 2);
  EXPECT_EQ(RunProgram(kToy, {"info", "--threads", "many"}).code, 2);
  EXPECT_EQ(RunProgram(kToy, {"call"}).code, 2);
  EXPECT_EQ(RunProgram(kToy, {"call", "train", "--outputs", "o"}).code, 2);  // no --inputs
  EXPECT_EQ(RunProgram(kToy, {"call", "train", "--inputs", "i"}).code, 2);   // no --outputs
  outcome = RunProgram(kToy, {"call", "nothing", "--inputs", "i", "--outputs", "o"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_HAS(outcome.err, "no entry `nothing`; it has: train, values, twice");
  const int32_t x[] = {0};
  Inputs({{"x", "I32", {1, 1}, x}});
  outcome = RunProgram(kToy, {"call", "train", "--inputs", inputs_.c_str(), "--outputs", outputs_.c_str()});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_HAS(outcome.err, "--weights");
  EXPECT_EQ(Call("values", {"--grad"}).code, 2);
  EXPECT_EQ(Call("train", {"--steps", "-1"}).code, 2);
  EXPECT_EQ(Call("train", {"--schedule", "square"}).code, 2);
}

TEST_F(CommandTest, BadFilesAre1) {
  const int32_t x[] = {0, 1, 9};
  Inputs({{"x", "I32", {1, 3}, x}});
  Outcome outcome = Call("train");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_HAS(outcome.err, "x[0, 2] is 9, vocab has 5 elements");
  EXPECT_FALSE(fs::exists(outputs_));
  fs::remove(inputs_);
  EXPECT_EQ(Call("train").code, 1);
  fs::remove(weights_);
  outcome = Call("train");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.err.find("error: cannot read " + weights_), 0u) << outcome.err;
}

TEST_F(CommandTest, OutputThatCannotBeWrittenIs1) {
  const int32_t x[] = {0};
  Inputs({{"x", "I32", {1, 1}, x}});
  outputs_ = "/dev/full";
  const Outcome outcome = Call("train");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_HAS(outcome.err, "no space left");
}

TEST_F(CommandTest, CallValueClearsPaddingAndMayNeedLengthsOnlyForThat) {
  const int32_t x[] = {1, 2, 3, 4, 4, 4}, scale[] = {2, 3}, length[] = {3, 1};
  Inputs({{"x", "I32", {2, 3}, x}, {"scale", "I32", {2}, scale}, {"x.length", "I32", {2}, length}});
  Outcome outcome = Call("values");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Output("result", {2, 3}), (std::vector<float>{2, 4, 6, 12, 0, 0}));
  Inputs({{"x", "I32", {2, 3}, x}, {"scale", "I32", {2}, scale}});
  ASSERT_EQ(Call("values").code, 0);
  EXPECT_EQ(Output("result", {2, 3}), (std::vector<float>{2, 4, 6, 12, 12, 12}));
  // By its own name, without `call`.
  outcome = RunProgram(kToy, {"values", "--weights", weights_.c_str(), "--inputs", inputs_.c_str(),
                              "--outputs", outputs_.c_str(), "--threads", "2"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Output("result", {2, 3}), (std::vector<float>{2, 4, 6, 12, 12, 12}));
}

TEST_F(CommandTest, CallConvertsInputs) {
  const int64_t x[] = {1, 2};
  const uint8_t scale[] = {2};
  Inputs({{"x", "I64", {1, 2}, x}, {"scale", "U8", {1}, scale}});
  ASSERT_EQ(Call("values").code, 0);
  EXPECT_EQ(Output("result", {1, 2}), (std::vector<float>{2, 4}));
  const int64_t wide[] = {1, int64_t{1} << 40};
  Inputs({{"x", "I64", {1, 2}, wide}, {"scale", "U8", {1}, scale}});
  Outcome outcome = Call("values");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_HAS(outcome.err, "x has 1099511627776, which is no 32-bit number");
  const float f[] = {1, 2};
  Inputs({{"x", "F32", {1, 2}, f}, {"scale", "U8", {1}, scale}});
  EXPECT_HAS(Call("values").err, "x is F32; it must be I32");
}

TEST_F(CommandTest, CallTakesTensorsWithNaNInThePadding) {
  const float nan = test::NotANumber();
  const float m[] = {1, 2, 3, nan, nan, nan, 4, 5, 6, 7, 8, 9};
  const int32_t length[] = {1, 2};
  const uint8_t keep[] = {1, 1};
  Inputs({{"m", "F32", {2, 2, 3}, m}, {"m.length", "I32", {2}, length}, {"keep", "U8", {2}, keep}});
  const Outcome outcome = Call("twice");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Output("result", {2, 2, 3}), (std::vector<float>{2, 4, 6, 0, 0, 0, 8, 10, 12, 14, 16, 18}));
}

TEST_F(CommandTest, CallChecksTheInputs) {
  const int32_t x[] = {1, 2, 3, 4}, length[] = {1, 3};
  Inputs({{"x", "I32", {2, 2}, x}, {"y", "I32", {2}, x}});
  EXPECT_HAS(Call("train").err, "takes no `y`; it takes: x, x.length");
  Inputs({});
  EXPECT_HAS(Call("train").err, "argument `x` [batch, seq] is missing");
  Inputs({{"x", "I32", {4}, x}});
  EXPECT_HAS(Call("train").err, "x has shape [4]; it must be [batch, seq]");
  Inputs({{"x", "I32", {2, 2}, x}, {"x.length", "I32", {2}, length}});
  EXPECT_HAS(Call("train").err, "x.length[1] is 3; x has 2 elements along seq");
  Inputs({{"x", "I32", {2, 2}, x}, {"x.length", "I32", {1}, length}});
  EXPECT_HAS(Call("train").err, "x.length has shape [1]; it must be [batch=2]");
  Inputs({{"x", "I32", {2, 2}, x}, {"scale", "I32", {1}, x}});
  EXPECT_HAS(Call("values").err, "scale has 1 examples, x has 2");
  const int32_t seven[7] = {};
  Inputs({{"x", "I32", {1, 7}, seven}});
  EXPECT_HAS(Call("train").err, "x has 7 elements along seq, which is bounded by 6");
}

TEST_F(CommandTest, CallMinimizeGivesMeanLossAndItsGradient) {
  const int32_t x[] = {0, 3, 3, 4, 4, 4}, length[] = {3, 1};
  Inputs({{"x", "I32", {2, 3}, x}, {"x.length", "I32", {2}, length}});
  ASSERT_EQ(Call("train").code, 0);
  EXPECT_EQ(Output("loss", {})[0], (1 + 4 + 4 + 9) / 4.0f);
  EXPECT_EQ(Output("count", {})[0], 4);
  EXPECT_EQ(SafetensorsFile::Open(outputs_)->tensors().size(), 2u);
  ASSERT_EQ(Call("train", {"--grad"}).code, 0);
  EXPECT_EQ(Output("loss", {})[0], 18 / 4.0f);
  EXPECT_EQ(Output("grad.w", {5}), (std::vector<float>{-0.5f, 0, 0, 2, 1.5f}));
  EXPECT_EQ(Output("grad.net.weight", {3, 8}), std::vector<float>(24, 0));
  EXPECT_EQ(Output("grad.net.unused", {3}), std::vector<float>(3, 0));
}

TEST_F(CommandTest, CallWithoutAnythingToCountIsAnError) {
  const int32_t x[] = {2, 3}, length[] = {0};
  Inputs({{"x", "I32", {1, 2}, x}, {"x.length", "I32", {1}, length}});
  for (const std::vector<const char*>& more :
       {std::vector<const char*>{}, {"--grad"}, {"--grad", "--steps", "2"}}) {
    const Outcome outcome = Call("train", more);
    EXPECT_EQ(outcome.code, 1);
    EXPECT_HAS(outcome.err, "entry `train` counts 0 in these examples");
    EXPECT_FALSE(fs::exists(outputs_));
  }
}

TEST_F(CommandTest, CallStepsThatBreakNumbersAreAnError) {
  const int32_t x[] = {0, 3, 3, 4};
  Inputs({{"x", "I32", {1, 4}, x}});
  const auto expect_error = [&](float weight, const char* rate, const char* message) {
    ParameterBlock parameters(kToy);
    parameters.tensor(0)[3] = weight;
    ASSERT_TRUE(SaveCheckpoint(weights_, kToy, parameters, {}, {}));
    const Outcome outcome = Call("train", {"--steps", "3", "--warmup", "0", "--lr", rate});
    EXPECT_EQ(outcome.code, 1) << message;
    EXPECT_HAS(outcome.err, message);
    EXPECT_FALSE(fs::exists(outputs_));
  };
  expect_error(std::numeric_limits<float>::quiet_NaN(), "0.1", "the loss of step 1 is not a finite number");
  expect_error(1e30f, "0.1", "the loss of step 1 is not a finite number");
  expect_error(1, "1e38", "is not a finite number");
}

TEST_F(CommandTest, CallStepsLeaveUnusedParametersAlone) {
  ParameterBlock parameters(kToy);
  for (float& value : parameters.all()) value = 3;
  ASSERT_TRUE(SaveCheckpoint(weights_, kToy, parameters, {}, {}));
  const int32_t x[] = {0, 1, 2, 3, 4};
  Inputs({{"x", "I32", {1, 5}, x}});
  ASSERT_EQ(Call("train", {"--steps", "5", "--lr", "0.1", "--weight-decay", "0.5", "--warmup", "0"}).code, 0);
  EXPECT_EQ(Output("after.net.unused", {3}), std::vector<float>(3, 3));
  EXPECT_EQ(Output("after.net.weight", {3, 8}), std::vector<float>(24, 3));
  EXPECT_NE(Output("after.w", {5}), std::vector<float>(5, 3));
}

TEST_F(CommandTest, CallStepsRunsTheOptimizer) {
  const int32_t x[] = {0, 3, 3, 4};
  Inputs({{"x", "I32", {1, 4}, x}});
  const Outcome outcome = Call("train", {"--steps", "3", "--lr", "0.1", "--schedule", "constant", "--warmup",
                                         "0", "--beta2", "0.999", "--eps", "1e-8"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  // The same in double, by hand.
  std::vector<double> w = {0, 1, 2, 3, 4}, m(5), v(5);
  const std::vector<float> losses = Output("losses", {3}), after = Output("after.w", {5});
  for (int step = 1; step <= 3; ++step) {
    double loss = 0;
    std::vector<double> d(5);
    for (const int32_t id : x) {
      const double term = w[static_cast<size_t>(id)] - 1;
      loss += term * term / 4;
      d[static_cast<size_t>(id)] += 2 * term / 4;
    }
    EXPECT_NEAR(losses[static_cast<size_t>(step - 1)], loss, 1e-5);
    for (size_t i = 0; i < 5; ++i) {
      m[i] = 0.9 * m[i] + 0.1 * d[i];
      v[i] = 0.999 * v[i] + 0.001 * d[i] * d[i];
      w[i] -= 0.1 / (1 - std::pow(0.9, step)) * m[i] / (std::sqrt(v[i] / (1 - std::pow(0.999, step))) + 1e-8);
    }
  }
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(after[i], w[i], 1e-5);
  EXPECT_EQ(Output("after.net.unused", {3}), std::vector<float>(3, 0));
}

TEST_F(CommandTest, PrefixesAndExtrasAreAnnounced) {
  const std::vector<float> data(24, 1);
  ASSERT_TRUE(WriteSafetensors(weights_,
                               {{"model.w", "F32", {5}, data.data()},
                                {"model.net.weight", "F32", {3, 8}, data.data()},
                                {"model.net.unused", "F32", {3}, data.data()},
                                {"model.buffer", "F32", {3}, data.data()}},
                               {}));
  const int32_t x[] = {0};
  Inputs({{"x", "I32", {1, 1}, x}});
  const Outcome outcome = Call("train");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_HAS(outcome.err, "prefix `model.`");
  EXPECT_HAS(outcome.err, "model.buffer");
}

TEST_F(CommandTest, NoParametersNoWeights) {
  HeedProgram program = kToy;
  program.param_count = 0;
  const float m[] = {1, 2, 3};
  const uint8_t keep[] = {1};
  Inputs({{"m", "F32", {1, 1, 3}, m}, {"keep", "BOOL", {1}, keep}});
  const Outcome outcome =
      RunProgram(program, {"call", "twice", "--inputs", inputs_.c_str(), "--outputs", outputs_.c_str()});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Output("result", {1, 1, 3}), (std::vector<float>{2, 4, 6}));
}

TEST_F(CommandTest, Info) {
  Outcome outcome = RunProgram(kToy, {"info", "--json"});
  ASSERT_EQ(outcome.code, 0);
  const auto info = nlohmann::json::parse(outcome.out, nullptr, false);
  ASSERT_FALSE(info.is_discarded()) << outcome.out;
  EXPECT_EQ(info["parameter_count"], 32);
  EXPECT_EQ(info["parameters"][1]["name"], "net.weight");
  EXPECT_EQ(info["parameters"][1]["shape"], (std::vector<int>{3, 8}));
  EXPECT_EQ(info["parameters"][1]["axes"][2]["name"], "key");
  EXPECT_EQ(info["parameters"][1]["axes"][2]["size"], 4);
  EXPECT_EQ(info["entries"][0]["kind"], "minimize");
  EXPECT_EQ(info["entries"][0]["arguments"][0]["indexes"], "vocab");
  EXPECT_EQ(info["entries"][0]["memory"]["train"], 64);
  outcome = RunProgram(kToy, {"info"});
  ASSERT_EQ(outcome.code, 0);
  EXPECT_HAS(outcome.out, "net.weight");
  EXPECT_HAS(outcome.out, "(heads, key)=8");
  EXPECT_HAS(outcome.out, "32 numbers");
}

// Value entries on lines of text, through the byte tokenizer (bos 1, eos 2, bytes from 3).
void RunIds(const HeedFrame* frame) {
  const auto* x = static_cast<const int32_t*>(frame->buffers[0]);
  auto* value = static_cast<float*>(frame->buffers[1]);
  for (int64_t i = 0; i < frame->extents[0] * frame->extents[1]; ++i) value[i] = static_cast<float>(x[i]) / 2;
}
TEST_F(CommandTest, ValueEntriesTakeLinesOfText) {
  const HeedBuffer buffers[] = {{kHeedBufferInput, 0, {0, 0, nullptr}, 0, 0},
                                {kHeedBufferOutput, 0, {0, 0, nullptr}, 0, 0}};
  HeedFunction function = test::kToyValues;
  function.input_count = 1;
  function.buffers = buffers;
  function.buffer_count = 2;
  function.run = RunIds;
  HeedEntry entry = kToy.entries[1];
  entry.argument_count = 1;
  entry.forward = &function;
  std::vector<HeedAxis> axes(kToy.axes, kToy.axes + kToy.axis_count);
  axes[0].size = 259;
  HeedProgram program = kToy;
  program.axes = axes.data();
  program.entries = &entry;
  program.entry_count = 1;
  program.param_count = 0;
  const std::string text = Path("text");
  const auto values = [&](const std::string& lines, std::vector<const char*> more) {
    std::ofstream(text) << lines;
    more.insert(more.begin(), {"values", "--x", text.c_str(), "--tokenizer", "bytes"});
    return RunProgram(program, more);
  };
  Outcome outcome = values("ab\nA\n", {"--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "[50, 50.5]\n[34]\n");
  EXPECT_EQ(values("ab\n\nA\n", {"--json", "--bos", "--eos"}).out,
            "[0.5, 50, 50.5, 1]\n[0.5, 1]\n[0.5, 34, 1]\n");
  EXPECT_EQ(values("ab\nA\n", {}).out,
            "values[seq 2]  ab\n"
            "a  50.00\n"
            "b  50.50\n"
            "\n"
            "values[seq 1]  A\n"
            "A  34.00\n"
            "\n");
  EXPECT_HAS(values("ab\n", {"--precision", "4"}).out, "b  50.5000\n");
  outcome = values("ab\nabcdefg\n", {"--bos", "--eos"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_HAS(outcome.err, text + ":2: 9 tokens, seq is bounded by 6");
  outcome = values("ab\n\n", {});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_HAS(outcome.err, text + ":2: an empty line gives nothing to compute with");
  EXPECT_EQ(values("ab\n", {"--precision", "10"}).code, 2);
  EXPECT_EQ(RunProgram(program, {"values", "--x", text.c_str()}).code, 2);
}

/// The values entry on its text alone, under a name.
HeedEntry TextEntry(const char* name) {
  HeedEntry entry = kToy.entries[1];
  entry.name = name;
  entry.argument_count = 1;
  return entry;
}

// What the compiler keeps arguments from being called is what there is.
TEST_F(CommandTest, OptionsOfEntriesOnTextsAreThoseOfTheTable) {
  const HeedEntry entry = TextEntry("values");
  HeedProgram program = kToy;
  program.entries = &entry;
  program.entry_count = 1;
  std::set<std::string> found;
  std::istringstream words(RunProgram(program, {"values", "--help"}).out);
  for (std::string word; words >> word;) {
    for (size_t at = 0, end; at < word.size(); at = end + 1) {
      end = std::min(word.find(',', at), word.size());
      const std::string name = word.substr(at, end - at);
      if (name.size() > 1 && name[0] == '-' && std::isalpha(static_cast<unsigned char>(name.back())) != 0)
        found.insert(name.substr(name.find_first_not_of('-')));
    }
  }
  std::set<std::string> expected(std::begin(kTextEntryOptions), std::end(kTextEntryOptions));
  expected.insert("x");
  EXPECT_EQ(found, expected);
}

TEST_F(CommandTest, EntriesGoBeforeCommandsThatDoNotServeThem) {
  const auto help = [](const char* command, const HeedEntry& entry) {
    HeedEntry entries[] = {kToy.entries[0], entry};
    entries[0].name = "fit";
    HeedProgram program = kToy;
    program.entries = entries;
    program.entry_count = 2;
    return RunProgram(program, {command, "--help"}).out;
  };
  for (const char* name : {"train", "quantize", "attention", "init"})
    EXPECT_HAS(help(name, TextEntry(name)), "compute this entry on lines of text") << name;
  HeedEntry tensors = kToy.entries[2];
  tensors.name = "score";
  EXPECT_HAS(help("score", tensors), "compute this entry on data");
  EXPECT_HAS(help("score", TextEntry("score")), "perplexity of a text");
  EXPECT_HAS(help("score", TextEntry("values")), "perplexity of a text");
}

TEST(Cpu, MissingFeaturesAreNamed) {
  EXPECT_TRUE(CheckCpu("x86-64", ""));
  EXPECT_TRUE(CheckCpu("something-new", ""));
  EXPECT_FALSE(CheckCpu("x86-64,x86-64-v2", "x86-64-v9"));
  EXPECT_TRUE(CheckCpu("x86-64,x86-64-v4", "x86-64"));
  // Several levels: one that runs is enough.
  EXPECT_TRUE(CheckCpu("x86-64-v4,x86-64", ""));
  if (__builtin_cpu_supports("avx512vnni")) {
    const Status status = CheckCpu("sapphirerapids", "");
    ASSERT_EQ(static_cast<bool>(status), AskForTiles());
    if (!status) EXPECT_HAS(status.error().message, "sapphirerapids needs amx-bf16");
  }
  if (!__builtin_cpu_supports("avx512f")) {
    const Status status = CheckCpu("x86-64-v4", "");
    ASSERT_FALSE(status);
    EXPECT_HAS(status.error().message, "avx512f");
  }
}

TEST_F(CommandTest, ProgramsOfAnotherVersionAreRefused) {
  HeedProgram program = kToy;
  program.abi_version = 99;
  const Outcome outcome = RunProgram(program, {"info"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_HAS(outcome.err, "different versions");
}

// Ctrl-C while a command computes ends the process with 130 at once; a polite command ends by itself.
void Spin(const HeedFrame*) {
  for (;;) usleep(1000);
}
TEST_F(CommandTest, CtrlC) {
  HeedFunction function = test::kToyTwice;
  function.run = Spin;
  HeedEntry entry = kToy.entries[2];
  entry.forward = &function;
  HeedProgram program = kToy;
  program.entries = &entry;
  program.entry_count = 1;
  const float m[] = {1, 2, 3};
  const uint8_t keep[] = {1};
  Inputs({{"m", "F32", {1, 1, 3}, m}, {"keep", "U8", {1}, keep}});
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    signal(SIGINT, SIG_DFL);
    const char* arguments[] = {"toy",           "call",           "twice",    "--threads",     "1",
                               "--weights",     weights_.c_str(), "--inputs", inputs_.c_str(), "--outputs",
                               outputs_.c_str()};
    _exit(Main(program, 11, arguments));
  }
  usleep(300000);
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_FALSE(fs::exists(outputs_));
}

}  // namespace
}  // namespace heed
