// `heed` in hostile and careless hands: what is no program, sizes that cannot be, places that cannot be
// written, disks that are full, signals. Each must end in bounded time with one message and the right status,
// and leave a file that was there as it was. What is wrong inside programs is errors_test.cpp's business; a
// few of these are here to see the whole way from file to message.
#include <gtest/gtest.h>

#include "tests/support/expect.h"
#include "tests/support/faults_support.h"
#include "tests/support/paths.h"

namespace heed {
namespace {

namespace fs = std::filesystem;
using test::Child;
using test::ChildSetting;
using test::ProcessResult;

class HeedFaults : public testing::Test {
 protected:
  void SetUp() override {
    heed_ = test::Binary("heed");
    if (!fs::exists(heed_)) GTEST_SKIP() << "heed is not built";
    fs::create_directory(folder_ / "out");
    fs::create_directory(folder_ / "tmp");
    program_ = Write("program.heed",
                     "axis vocab = 50, model = 8, seq <= 8\n"
                     "module Net(x: vocab[seq]) -> [seq, vocab] {\n"
                     "  param E[vocab, model] ~ normal(0, 1)\n"
                     "  E @model E[x]\n"
                     "}\n"
                     "part net = Net\n"
                     "entry score(x: vocab[seq]) = sum[seq](net(x)[x])\n");
    good_ = folder_ / "out/good";
    test::WriteBytes(good_, "what was there before");
  }
  std::string Write(const std::string& name, const std::string& text) {
    test::WriteBytes(folder_ / name, text);
    return folder_ / name;
  }
  std::vector<std::string> Command(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), heed_);
    return arguments;
  }
  // Temporary files go where they can be counted.
  ChildSetting Here(ChildSetting setting = {}) const {
    setting.variables.push_back("TMPDIR=" + folder_ / "tmp");
    return setting;
  }
  ProcessResult Run(const std::vector<std::string>& arguments, const ChildSetting& setting = {}) const {
    return Child(Command(arguments), Here(setting)).Wait();
  }
  // Builds into a good file; nothing may have changed.
  void ExpectRefused(std::vector<std::string> arguments, int status, const std::string& message,
                     const ChildSetting& setting = {}) const {
    arguments.insert(arguments.begin(), "build");
    arguments.insert(arguments.end(), {"-o", good_});
    const ProcessResult result = Run(arguments, setting);
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_HAS(result.err, message);
    EXPECT_EQ(result.err.find("internal error"), std::string::npos) << result.err;
    EXPECT_LT(result.err.size(), 4000u) << "a message, not a book";
    ExpectUntouched();
  }
  void ExpectUntouched() const {
    EXPECT_EQ(test::FileBytes(good_), "what was there before");
    EXPECT_EQ(test::Names(folder_ / "out"), "good ");
    EXPECT_EQ(test::Names(folder_ / "tmp"), "");
  }

  test::TemporaryFolder folder_;
  std::string heed_, program_, good_;
};

TEST_F(HeedFaults, FilesThatAreNoPrograms) {
  ExpectRefused({folder_ / "missing.heed"}, 1, "missing.heed: no such file");
  ExpectRefused({folder_ / "tmp"}, 1, "is a folder");
  ExpectRefused({heed_}, 1, "is not a text file");
  ExpectRefused({Write("empty", "")}, 1, "has no entry, so there is nothing to build");
  ExpectRefused({Write("long", std::string(10'000'000, 'a'))}, 1, "is larger than any program");
  ExpectRefused({Write("name", "axis " + std::string(7'000'000, 'a') + " = 2\n")}, 1, "entry");
  ExpectRefused({Write("number", "axis a = " + std::string(7'000'000, '1') + "\n")}, 1, "[InvalidNumber]");
  ExpectRefused({Write("deep", "const a = " + std::string(1'000'000, '(') + "\n")}, 1, "[TooDeep]");
  ExpectRefused({Write("latin", "axis a = 2 \xE9\n")}, 1, "latin:1:12: error: not UTF-8 text");
  std::string sum = "const a = 1";
  for (int i = 0; i < 500'000; ++i) sum += "+1";
  ExpectRefused({Write("sum", sum + "\n")}, 1, "[TooDeep]");
  if (geteuid() == 0) {
    const std::string secret = Write("secret", "axis a = 2\n");
    fs::permissions(secret, fs::perms::none);
    fs::permissions(folder_ / "", fs::perms::all);
    EXPECT_EQ(Run({"check", secret}, {.nobody = true}).status, 1);
  }
}

TEST_F(HeedFaults, MistakesAreShownWhereTheyAre) {
  const std::string sizes = "axis vocab = 5, model = 4, seq <= 8\n";
  const std::string net =
      "module Net(x: vocab[seq]) -> [seq, vocab] {\n"
      "  param E[vocab, model] ~ normal(0, 1)\n"
      "  z = E[x]\n"
      "  E @model attention[seq', model](z, KEYS, z[seq -> seq']MASK)\n"
      "}\n"
      "part net = Net\n"
      "entry complete(p: vocab[seq]) = generate y: vocab[seq] from p by net(y)\n";
  const auto with = [&](const std::string& keys, const std::string& mask) {
    std::string text = net;
    text.replace(text.find("KEYS"), 4, keys);
    text.replace(text.find("MASK"), 4, mask);
    return sizes + text;
  };
  EXPECT_EQ(Run({"check", Write("right.heed", with("z[seq -> seq']", ", seq' <= seq"))}).status, 0);
  const struct {
    const char* name;
    std::string text;
    std::vector<std::string> messages;
  } kMistakes[] = {
      {"axis.heed",
       sizes + "entry f(x[modle]) = sum[modle](x)\n",
       {"axis.heed:2:11:", "[UnknownAxis]", "model"}},
      {"rename.heed", with("z", ", seq' <= seq"), {"rename.heed:", "seq'"}},
      {"open.heed", with("z[seq -> seq']", ""), {"[NotCausal]", "add `seq' <= seq` to the mask"}},
      {"wrong.heed", with("z[seq -> seq']", ", seq' >= seq"), {"[NotCausal]", "seq"}},
      {"ahead.heed", with("z[seq -> seq']", ", seq' <= seq + 1"), {"[NotCausal]", "seq"}},
  };
  for (const auto& mistake : kMistakes) {
    const std::string file = Write(mistake.name, mistake.text);
    ExpectRefused({file}, 1, mistake.messages[0]);
    const ProcessResult result = Run({"check", file});
    EXPECT_EQ(result.status, 1) << mistake.name;
    for (const std::string& message : mistake.messages) EXPECT_HAS(result.err, message);
  }
}

TEST_F(HeedFaults, SizesThatCannotBe) {
  const struct {
    const char* set;
    int status;
    const char* message;
  } kSets[] = {
      {"nothing=3", 1, "has no axis or constant `nothing`"},
      {"modle=3", 1, "`modle`"},
      {"model=0", 1, "whole number of at least 1"},
      {"model=-4", 1, "whole number of at least 1"},
      {"model=2.5", 1, "whole number of at least 1"},
      {"model=nan", 1, "whole number of at least 1"},
      {"model=1e30", 1, "the largest size of an axis is"},
      {"seq=0", 1, "whole number of at least 1"},
      {"model=abc", 2, "--set needs NAME=NUMBER, not model=abc"},
      {"model=", 2, "--set needs NAME=NUMBER"},
      {"=3", 2, "--set needs NAME=NUMBER"},
      {"model", 2, "--set needs NAME=NUMBER"},
      {"", 2, "--set"},
  };
  for (const auto& set : kSets) ExpectRefused({program_, "--set", set.set}, set.status, set.message);
}

TEST_F(HeedFaults, WrongCommandLinesAre2AndSayWhere) {
  const struct {
    std::vector<std::string> arguments;
    const char* message;
  } kLines[] = {
      {{}, "see heed --help"},
      {{"bild"}, "no command `bild`"},
      {{"build"}, "FILE is required"},
      {{"build", program_, "--bogus"}, "--bogus"},
      {{"build", program_, "-j", "0"}, "not in range 1 to"},
      {{"build", program_, "-j", "many"}, "many"},
      {{"build", program_, "--bisect", "-1"}, "--bisect"},
      {{"build", program_, "--emit", "nothing"}, "nothing"},
      {{"build", program_, "--cpu", "nothing"}, "unknown CPU level nothing; known are native"},
      {{"build", program_, "--cpu", ""}, "--cpu"},
      {{"build", program_, "--precision", "f8"}, "f8"},
      {{"check"}, "see heed check --help"},
  };
  for (const auto& line : kLines) {
    const ProcessResult result = Run(line.arguments);
    EXPECT_EQ(result.status, 2) << result.err;
    EXPECT_HAS(result.err, line.message);
    EXPECT_LT(result.err.size(), 500u) << result.err;
  }
}

TEST_F(HeedFaults, PlacesThatCannotBeWritten) {
  for (const char* emit : {"exe", "graph", "plan", "llvm"}) {
    const auto build = [&](const std::string& output, const ChildSetting& setting = {}) {
      return Run({"build", program_, "--emit", emit, "-o", output}, setting);
    };
    ProcessResult result = build(folder_ / "out");
    EXPECT_EQ(result.status, 1) << emit;
    EXPECT_HAS(result.err, "is a folder");
    result = build("/nonexistent/out");
    EXPECT_EQ(result.status, 1) << emit;
    EXPECT_HAS(result.err, "there is no folder /nonexistent");
    result = build("/dev/full");
    EXPECT_EQ(result.status, 1) << emit;
    EXPECT_HAS(result.err, "no space left on the device");
    if (geteuid() == 0) {
      fs::permissions(folder_ / "", fs::perms::all);
      fs::permissions(folder_ / "tmp", fs::perms::all);
      result = build(good_, {.nobody = true});
      EXPECT_EQ(result.status, 1) << emit;
      EXPECT_HAS(result.err, "Permission denied");
    }
    ExpectUntouched();
  }
  const ProcessResult result = Run({"build", program_, "-o", program_});
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "would overwrite the program itself");
  ExpectRefused({program_, "--entry", "nothing"}, 1, "no entry `nothing`; it has score");
}

TEST_F(HeedFaults, StandardOutputThatCannotBeWritten) {
  for (const char* path : {"/dev/full", test::kClosed}) {
    EXPECT_EQ(Run({"build", program_, "--emit", "graph", "-o", "-"}, {.output_path = path}).status, 1)
        << path;
    // With its place taken by a file the program could end up in there.
    const ProcessResult result = Run({"check", program_}, {.output_path = path});
    EXPECT_TRUE(result.status == 0 || result.status == 1) << result.err;
  }
  EXPECT_EQ(Run({"build", program_, "-q", "-o", folder_ / "built"},
                {.input_path = test::kClosed, .output_path = test::kClosed})
                .status,
            0);
  EXPECT_EQ(Child({folder_ / "built", "info"}).Wait().status, 0);
}

TEST_F(HeedFaults, FullDisk) {
  // Files end at a limit, as on a disk without space: first at the objects, then at the linked program.
  for (const int64_t limit : {0, 100, 200'000, 1'000'000}) {
    ExpectRefused({program_, "-q"}, 1, "cannot write", {.largest_file = limit});
  }
  ExpectRefused({program_, "--emit", "graph"}, 1, "cannot write", {.largest_file = 100});
  ExpectRefused({program_, "--emit", "llvm"}, 1, "cannot write", {.largest_file = 100});
}

TEST_F(HeedFaults, SignalsLeaveNothingHalfWritten) {
  const std::vector<std::string> build{"build", program_, "-q", "-o", good_};
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGKILL}) {
    for (const bool linking : {false, true}) {
      Child child(Command(build), Here());
      if (linking) {
        EXPECT_TRUE(test::WaitFor([&] { return test::Names(folder_ / "tmp") != "" || !child.Runs(); }));
      } else {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
      child.Signal(number);
      const ProcessResult result = child.Wait();
      EXPECT_EQ(result.status, 128 + number) << result.err;
      EXPECT_EQ(test::FileBytes(good_), "what was there before");
      // Nothing can be done about SIGKILL but this: what is left does not bear the name.
      if (number != SIGKILL) ExpectUntouched();
    }
  }
}

}  // namespace
}  // namespace heed
