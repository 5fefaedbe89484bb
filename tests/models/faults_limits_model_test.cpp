// `heed` and what it builds at the limits of the system: little stack, little memory, readers that leave,
// files that change while they are read, outputs that name inputs, what killed processes leave. Nothing may
// end by a signal, and no file may be lost.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <memory>

#include "runtime/weights/safetensors.h"
#include "tests/support/expect.h"
#include "tests/support/faults_support.h"
#include "tests/support/paths.h"

namespace heed {
namespace {

namespace fs = std::filesystem;
using test::Child;
using test::ChildSetting;
using test::ProcessResult;

constexpr const char* kProgram = R"(axis vocab = 259, model = 8, seq <= 16, many = 2000000
module Net(x: vocab[seq]) -> [seq, vocab] {
  param E[vocab, model] ~ normal(0, 0.1)
  E @model E[x]
}
module Large(x[seq]) -> [seq] {
  param W[many] = 1
  x * sum[many](W)
}
part net = Net, large = Large
entry train(x: vocab[seq]) =
  minimize sum[seq | seq + 1 < |seq|](xent[vocab](net(x), x[seq + 1])) per |seq| - 1
entry complete(p: vocab[seq]) = generate y: vocab[seq] from p by net(y)
entry most(x: vocab[seq]) = sum[seq](net(x)[x])
entry scaled(x[seq]) = large(x)
)";
constexpr const char* kSmall = R"(axis model = 8
def f(x[model]) -> [model] = exp(x) + 1
entry g(x[model]) = f(f(x))
)";

class Limits : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!fs::exists(test::Binary("heed"))) return;
    folder_ = std::make_unique<test::TemporaryFolder>();
    test::WriteBytes(Path("lm.heed"), kProgram);
    test::WriteBytes(Path("small.heed"), kSmall);
    std::string text;
    for (int i = 0; i < 200; ++i) text += "the cat sat on the mat and the dog ate it all. ";
    test::WriteBytes(Path("text"), text);
    const ProcessResult built =
        Child({test::Binary("heed"), "build", Path("lm.heed"), "-q", "-o", Path("lm")}).Wait(300);
    EXPECT_EQ(built.status, 0) << built.err;
    ready_ = built.status == 0 && Child(Train({"--steps", "2", "--out", Path("w")})).Wait().status == 0;
  }
  static void TearDownTestSuite() { folder_.reset(); }
  void SetUp() override {
    if (!fs::exists(test::Binary("heed"))) GTEST_SKIP() << "heed is not built";
    ASSERT_TRUE(ready_);
    fs::remove_all(Path("out"));
    fs::create_directory(Path("out"));
  }

  static std::string Path(const std::string& name) { return *folder_ / name; }
  static std::vector<std::string> Train(const std::vector<std::string>& more) {
    std::vector<std::string> command{Path("lm"), "train",   "--text", Path("text"), "--tokenizer",
                                     "bytes",    "--batch", "64",     "--warmup",   "10"};
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }
  static ProcessResult Heed(std::vector<std::string> arguments, ChildSetting setting = {}) {
    arguments.insert(arguments.begin(), test::Binary("heed"));
    setting.variables.push_back("TMPDIR=" + Path("out"));
    return Child(arguments, setting).Wait(120);
  }
  static ProcessResult Program(std::vector<std::string> arguments, const ChildSetting& setting = {}) {
    arguments.insert(arguments.begin(), Path("lm"));
    return Child(arguments, setting).Wait(120);
  }
  /// Runs with standard output or error going into a pipe whose reader takes some bytes and leaves.
  static ProcessResult WithLeavingReader(const std::vector<std::string>& command,
                                         const std::string& input = "") {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    fcntl(ends[0], F_SETPIPE_SZ, 4096);
    Child child(command, {.input = input, .output_path = "/proc/self/fd/" + std::to_string(ends[1])});
    close(ends[1]);
    char bytes[16];
    EXPECT_GT(read(ends[0], bytes, sizeof bytes), 0);
    close(ends[0]);
    return child.Wait(120);
  }
  static std::string StepOf(const std::string& checkpoint) {
    const Result<SafetensorsFile> file = SafetensorsFile::Open(checkpoint);
    if (!file) ADD_FAILURE() << file.error().message;
    return file ? file->metadata().at("step") : "";
  }
  /// Constructors of libraries (of LLVM, of Z3) end the process, each in its own words, where memory ends
  /// between loading them and main, within a MiB of 190: no code of Heed has run. `trace` is the folder of
  /// what the loader said in that same run.
  static bool EndedWhileLibrariesStarted(const ProcessResult& result, const std::string& trace) {
    std::string said;
    for (const auto& file : fs::directory_iterator(trace)) said += test::FileBytes(file.path());
    return result.status == 134 && result.out.empty() && said.find("calling init: ") != std::string::npos &&
           said.find("transferring control: ") == std::string::npos;
  }
  static void ExpectRefused(const ProcessResult& result, int status, const std::string& message) {
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_HAS(result.err, message);
  }

  static std::unique_ptr<test::TemporaryFolder> folder_;
  static bool ready_;
};
std::unique_ptr<test::TemporaryFolder> Limits::folder_;
bool Limits::ready_ = false;

// ---- Stack and memory

TEST_F(Limits, ASmallStackIsNoMatter) {
  for (const int64_t bytes : {128 << 10, 192 << 10, 256 << 10}) {
    const ChildSetting setting{.stack = bytes};
    ProcessResult result = Heed({"check", test::Source("examples/transformer.heed")}, setting);
    EXPECT_EQ(result.status, 0) << bytes << ": " << result.err;
    result = Heed({"build", Path("small.heed"), "-q", "-o", Path("out/small")}, setting);
    EXPECT_EQ(result.status, 0) << bytes << ": " << result.err;
    EXPECT_EQ(test::Names(Path("out")), "small ");
    result = Child(Train({"--steps", "2", "--out", Path("out/w"), "--threads", "2"}), setting).Wait();
    EXPECT_EQ(result.status, 0) << bytes << ": " << result.err;
    EXPECT_EQ(test::FileBytes(Path("out/w")), test::FileBytes(Path("w")));
    fs::remove(Path("out/w"));
    result = Program({"complete", "--weights", Path("w"), "--prompt", "the", "--threads", "2"}, setting);
    EXPECT_EQ(result.status, 0) << bytes << ": " << result.err;
  }
}

TEST_F(Limits, DeepTextsOnASmallStack) {
  std::string deep = "x";
  for (int i = 0; i < 100'000; ++i) deep = i % 2 == 0 ? "(" + deep + ")" : "-" + deep;
  test::WriteBytes(Path("deep.heed"), "axis a = 2\nentry f(x[a]) = " + deep + "\n");
  std::string chain = "x";
  for (int i = 0; i < 200'000; ++i) chain += " + x";
  test::WriteBytes(Path("chain.heed"), "axis a = 2\nentry f(x[a]) = " + chain + "\n");
  for (const int64_t bytes : {int64_t{128} << 10, int64_t{8} << 20}) {
    for (const char* name : {"deep.heed", "chain.heed"})
      ExpectRefused(Heed({"check", Path(name)}, {.stack = bytes}), 1, "[TooDeep]");
  }
}

TEST_F(Limits, OutOfMemoryIsSaid) {
  // From too little to begin to nearly enough: an error of the loader, a message, or success. Between what
  // the libraries take to begin and what the compiler needs lie some 20 MiB.
  int said = 0;
  std::vector<int64_t> sizes;
  for (int64_t size = 40; size <= 1000; size += size < 150 || size > 260 ? 60 : 8) sizes.push_back(size);
  for (int64_t size = 185; size <= 195; ++size) sizes.push_back(size);
  for (const int64_t megabytes : sizes) {
    for (const auto& command : {std::vector<std::string>{"check", test::Source("examples/transformer.heed")},
                                {"build", Path("small.heed"), "-q", "-j", "1", "-o", Path("out/small")}}) {
      const test::TemporaryFolder trace;
      const ProcessResult result =
          Heed(command, {.memory = megabytes << 20,
                         .variables = {"LD_DEBUG=files", "LD_DEBUG_OUTPUT=" + (trace / "loader")}});
      EXPECT_TRUE(result.status == 0 || result.status == 1 || result.status == 127 ||
                  EndedWhileLibrariesStarted(result, trace / ""))
          << megabytes << " MiB: " << result.status << " " << result.err;
      EXPECT_EQ(result.err.find("bug in heed"), std::string::npos) << result.err;
      if (result.status == 1) EXPECT_FALSE(result.err.empty());
      said += result.err.find("out of memory") != std::string::npos;
      fs::remove(Path("out/small"));
      EXPECT_EQ(test::Names(Path("out")), "");
    }
  }
  EXPECT_GT(said, 0);
  said = 0;
  for (int64_t megabytes = 8; megabytes <= 300; megabytes += megabytes / 4) {
    for (const char* threads : {"1", "4"}) {
      const ProcessResult result =
          Child(Train({"--steps", "1", "--out", Path("out/w"), "--threads", threads}),
                {.memory = megabytes << 20})
              .Wait();
      EXPECT_TRUE(result.status == 0 || result.status == 1 || result.status == 127)
          << megabytes << " MiB: " << result.status << " " << result.err;
      EXPECT_EQ(result.err.find("internal error"), std::string::npos) << result.err;
      said += result.err.find("out of memory") != std::string::npos;
      fs::remove(Path("out/w"));
      EXPECT_EQ(test::Names(Path("out")), "");
    }
  }
  EXPECT_GT(said, 0);
}

// ---- Readers that leave, devices that are full

TEST_F(Limits, TrainingGoesOnWhenNobodyReadsItsProgressOrLog) {
  const std::string shell = "\"$0\" \"$@\" 2>&1 | head -1 >/dev/null; exit ${PIPESTATUS[0]}";
  std::vector<std::string> command =
      Train({"--steps", "300", "--eval-every", "1", "--valid-text", Path("text"), "--out", Path("out/w")});
  command.insert(command.begin(), {"/bin/bash", "-c", shell});
  ProcessResult result = Child(command).Wait();
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(StepOf(Path("out/w")), "300");
  result = WithLeavingReader(Train({"--steps", "2000", "--out", Path("out/logged"), "--log", "/dev/stdout"}));
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(StepOf(Path("out/logged")), "2000");
  EXPECT_HAS(result.err, "nobody reads the log any more");
}

TEST_F(Limits, CommandsEndQuietlyWhenNobodyReads) {
  std::string prompts;
  for (int i = 0; i < 3000; ++i) prompts += "the cat\n";
  test::WriteBytes(Path("prompts"), prompts);
  for (const auto& command :
       {std::vector<std::string>{Path("lm"), "complete", "--weights", Path("w")},
        {Path("lm"), "most", "--weights", Path("w"), "--x", Path("prompts")},
        {Path("lm"), "score", "--weights", Path("w"), "--text", Path("text"), "--show-tokens"}}) {
    const ProcessResult result = WithLeavingReader(command, prompts);
    EXPECT_EQ(result.status, 1) << command[1];
    EXPECT_EQ(result.err.find("error"), std::string::npos) << result.err;
  }
  std::vector<std::string> build{
      test::Binary("heed"), "build", Path("small.heed"), "--emit", "llvm", "-o", "-"};
  const ProcessResult result = WithLeavingReader(build);
  EXPECT_EQ(result.status, 1) << result.err;
}

TEST_F(Limits, AFullDeviceIsAnError) {
  const ChildSetting full{.output_path = "/dev/full"};
  test::WriteBytes(Path("plain.heed"), kSmall);
  for (const auto& command : {std::vector<std::string>{"check", Path("lm.heed")},
                              {"--version"},
                              {"--help"},
                              {"build", "--help"},
                              {"fmt", "--parens", Path("plain.heed")},
                              {"check", "-q", "--print-after", "cse", Path("lm.heed")},
                              {"graph", Path("lm.heed"), "-o", "-"}}) {
    ExpectRefused(Heed(command, full), 1, "cannot write to the standard output");
  }
  for (const auto& command : {std::vector<std::string>{"info"},
                              {"info", "--json"},
                              {"--version"},
                              {"--help"},
                              {"train", "--help"},
                              {"score", "--weights", Path("w"), "--text", Path("text")},
                              {"score", "--weights", Path("w"), "--text", Path("text"), "--show-tokens"},
                              {"complete", "--weights", Path("w"), "--prompt", "the"}}) {
    ExpectRefused(Program(command, full), 1, "cannot write to standard output");
  }
}

// ---- Files that change while they are read

TEST_F(Limits, WeightsThatAreReplacedWhileTheyLoadAreAnError) {
  ASSERT_EQ(Program({"init", "--out", Path("large")}).status, 0);
  const std::string whole = test::FileBytes(Path("large"));
  for (const auto& command : {std::vector<std::string>{Path("lm"), "scaled", "--outputs", Path("out/o")},
                              {Path("lm"), "quantize", "--to", "int8", "--out", Path("out/q")},
                              {Path("lm"), "train", "--text", Path("text"), "--steps", "1", "--tokenizer",
                               "bytes", "--out", Path("out/t"), "--init"}}) {
    const float x[] = {1, 2};
    ASSERT_TRUE(WriteSafetensors(Path("i"), {{"x", "F32", {1, 2}, x}}, {}));
    std::vector<std::string> arguments = command;
    if (arguments.back() != "--init") arguments.push_back("--weights");
    arguments.push_back(Path("large"));
    if (arguments[1] == "scaled") arguments.insert(arguments.end(), {"--inputs", Path("i")});
    // It is a race: whoever wins, the end is one of two.
    int noticed = 0;
    for (int attempt = 0; attempt < 50 && noticed == 0; ++attempt) {
      test::WriteBytes(Path("large"), whole);
      Child child(arguments);
      const std::string maps = "/proc/" + std::to_string(child.pid()) + "/maps";
      ASSERT_TRUE(test::WaitFor(
          [&] { return test::FileBytes(maps).find(Path("large")) != std::string::npos || !child.Runs(); }));
      fs::resize_file(Path("large"), 4096);
      const ProcessResult result = child.Wait();
      EXPECT_TRUE(result.status == 0 || result.status == 1) << result.status << " " << result.err;
      if (result.status == 1) {
        ++noticed;
        EXPECT_HAS(result.err, Path("large"));
        EXPECT_EQ(test::Names(Path("out")), "");
      }
      for (const char* made : {"out/o", "out/q", "out/t"}) fs::remove(Path(made));
    }
    EXPECT_GT(noticed, 0) << command[1];
  }
  fs::remove(Path("large"));
}

// ---- Outputs that name inputs

TEST_F(Limits, NoOutputMayBeAnInput) {
  const std::string text = test::FileBytes(Path("text")), weights = test::FileBytes(Path("w"));
  fs::create_symlink(Path("text"), Path("out/soft"));
  fs::create_hard_link(Path("text"), Path("out/hard"));
  for (const std::string& same : {Path("text"), Path("out/soft"), Path("out/hard"), Path("out/../text"),
                                  fs::relative(Path("text")).string()}) {
    ExpectRefused(Child(Train({"--steps", "1", "--out", same})).Wait(), 2,
                  "would overwrite what --text reads");
    ExpectRefused(Child(Train({"--steps", "1", "--out", Path("out/new"), "--log", same})).Wait(), 2,
                  "would overwrite what --text reads");
    ExpectRefused(Program({"init", "--text", Path("text"), "--out", same}), 2,
                  "would overwrite what --text reads");
  }
  ExpectRefused(Child(Train({"--steps", "1", "--valid-text", Path("w"), "--out", Path("w")})).Wait(), 2,
                "would overwrite what --valid-text reads");
  ExpectRefused(Child(Train({"--steps", "1", "--init", Path("w"), "--out", Path("w")})).Wait(), 2,
                "would overwrite what --init reads");
  ExpectRefused(Child(Train({"--steps", "1", "--resume", Path("w"), "--log", Path("w")})).Wait(), 2,
                "the same file");
  ExpectRefused(Child(Train({"--steps", "1", "--out", Path("out/a"), "--log", Path("out/../out/a")})).Wait(),
                2, "--out and --log are the same file");
  ExpectRefused(Program({"quantize", "--to", "int8", "--weights", Path("w"), "--out", Path("w")}), 2,
                "would overwrite what --weights reads");
  ExpectRefused(
      Program({"call", "most", "--weights", Path("w"), "--inputs", Path("text"), "--outputs", Path("w")}), 2,
      "would overwrite what --weights reads");
  ExpectRefused(
      Program({"call", "most", "--weights", Path("w"), "--inputs", Path("text"), "--outputs", Path("text")}),
      2, "would overwrite what --inputs reads");
  const std::string program = test::FileBytes(Path("lm.heed"));
  fs::create_symlink(Path("lm.heed"), Path("out/drawing.dot"));
  for (const auto& command :
       {std::vector<std::string>{"build", Path("lm.heed"), "-o", Path("out/../lm.heed")},
        {"graph", Path("lm.heed"), "-o", Path("out/drawing.dot")}})
    ExpectRefused(Heed(command), 1, "would overwrite the program itself");
  EXPECT_EQ(test::FileBytes(Path("text")), text);
  EXPECT_EQ(test::FileBytes(Path("w")), weights);
  EXPECT_EQ(test::FileBytes(Path("lm.heed")), program);
  EXPECT_EQ(test::Names(Path("out")), "drawing.dot hard soft ");
  // A checkpoint that is resumed is its own next state.
  EXPECT_EQ(Child(Train({"--steps", "2", "--resume", Path("w"), "--out", Path("w")})).Wait().status, 0);
}

// ---- What is left

TEST_F(Limits, KilledTrainingLeavesNothingForLong) {
  const std::string out = Path("out/killed");
  for (int i = 0; i < 8; ++i) {
    Child child(Train({"--steps", "100000", "--save-every", "1", "-q", "--out", out}));
    ASSERT_TRUE(test::WaitFor([&] { return fs::exists(out) || !child.Runs(); }));
    std::this_thread::sleep_for(std::chrono::milliseconds(3 * i));
    child.Signal(SIGKILL);
    child.Wait();
  }
  EXPECT_EQ(Child(Train({"--steps", "1", "-q", "--out", out})).Wait().status, 0);
  EXPECT_EQ(test::Names(Path("out")), "killed ");
}

TEST_F(Limits, CtrlCEndsWhatDraws) {
  fs::create_directory(Path("out/bin"));
  test::WriteBytes(Path("out/bin/dot"), "#!/bin/sh\necho $$ > '" + Path("out/pid") + "'\nsleep 100 & wait\n");
  fs::permissions(Path("out/bin/dot"), fs::perms::owner_all);
  Child child({test::Binary("heed"), "graph", Path("small.heed"), "-o", Path("out/x.svg")},
              {.variables = {"PATH=" + Path("out/bin") + ":/usr/bin:/bin"}});
  ASSERT_TRUE(
      test::WaitFor([&] { return fs::exists(Path("out/pid")) && fs::file_size(Path("out/pid")) > 1; }));
  child.Signal(SIGINT);
  EXPECT_EQ(child.Wait().status, 130);
  const pid_t group = std::stoi(test::FileBytes(Path("out/pid")));
  EXPECT_TRUE(test::WaitFor([&] { return kill(-group, 0) != 0; }, 10));
  EXPECT_EQ(test::Names(Path("out")), "bin pid ");
}

TEST_F(Limits, OutputsOfHeedGoThroughLinks) {
  fs::create_symlink("target", Path("out/link"));
  for (const char* emit : {"plan", "graph", "exe"}) {
    fs::remove(Path("out/target"));
    EXPECT_EQ(Heed({"build", Path("small.heed"), "-q", "--emit", emit, "-o", Path("out/link")}).status, 0);
    EXPECT_TRUE(fs::is_symlink(Path("out/link"))) << emit;
    EXPECT_GT(fs::file_size(Path("out/target")), 10u) << emit;
  }
  EXPECT_EQ(test::Names(Path("out")), "link target ");
  EXPECT_EQ(Child({Path("out/link"), "info"}).Wait().status, 0);
}

}  // namespace
}  // namespace heed
