// How generated programs end when the world around them does not play along: disks that are full, readers
// that go away, closed descriptors, sizes beyond reason, signals.
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <limits>

#include "runtime/engine/memory.h"
#include "runtime/weights/checkpoint.h"
#include "tests/support/program_faults.h"

namespace heed {
namespace {

// ---- Where results go

TEST_F(ProgramFaults, StandardOutputThatCannotBeWritten) {
  for (const char* path : {"/dev/full", test::kClosed}) {
    SCOPED_TRACE(path);
    const ChildSetting setting{.input = "the cat\n", .output_path = path};
    ExpectMessage(Run("mt", {"translate", "--weights", Path("mt.w")}, setting), 1, "cannot write");
    ExpectMessage(Run("mt", {"info"}, setting), 1, "cannot write");
    EXPECT_EQ(Run("mt", {"--help"}, setting).status, 1);
    ExpectMessage(Run("lm", {"complete", "--weights", Path("lm.w"), "--prompt", "a"}, setting), 1,
                  "cannot write");
    // Nothing printed may end up in a file that took the place of standard output.
    ASSERT_EQ(Child(Train({"--steps", "8", "--out", Path("closed.w")}), setting).Wait().status, 0);
    EXPECT_EQ(test::FileBytes(Path("closed.w")), test::FileBytes(Path("mt.w")));
  }
}

TEST_F(ProgramFaults, AReaderThatGoesAwayEndsTheWriter) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  fcntl(ends[0], F_SETPIPE_SZ, 4096);
  std::string input;
  for (int i = 0; i < 600; ++i) input += "the cat\n";
  Child child({Path("mt"), "translate", "--weights", Path("mt.w"), "--beam", "1"},
              {.input = input, .output_path = "/proc/self/fd/" + std::to_string(ends[1])});
  close(ends[1]);
  char byte;
  EXPECT_EQ(read(ends[0], &byte, 1), 1);
  close(ends[0]);
  const ProcessResult result = child.Wait();
  EXPECT_TRUE(result.status == 128 + SIGPIPE || result.status == 1) << result.status;
}

TEST_F(ProgramFaults, CheckpointsThatCannotBeWritten) {
  // Said before any work: the text is not even looked at.
  const auto train = [&](const std::string& out, const ChildSetting& setting = {}) {
    return Run("mt", {"train", "--source", Path("nothing"), "--target", Path("nothing"), "--out", out},
               setting);
  };
  ExpectMessage(train(Path("nowhere/w")), 1, "there is no folder " + Path("nowhere"));
  ExpectMessage(train(Path("out")), 1, "it is a folder");
  if (geteuid() == 0) {
    fs::permissions(Path(""), fs::perms::all);
    ExpectMessage(train(good_, {.nobody = true}), 1, "Permission denied");
  }
  ExpectMessage(train(good_), 1, "nothing: No such file");
  ExpectUntouched();
  ExpectMessage(Child(Train({"--steps", "2", "--out", "/dev/full"})).Wait(), 1,
                "no space left on the device");
  for (const int64_t limit : {100, 20'000, 60'000}) {
    ExpectMessage(Child(Train({"--steps", "2", "--out", good_}), {.largest_file = limit}).Wait(), 1,
                  "larger than the limit; what was there before is unchanged");
    ExpectUntouched();
  }
}

TEST_F(ProgramFaults, LogsThatCannotBeWritten) {
  ExpectMessage(Child(Train({"--steps", "2", "--out", good_, "--log", Path("nowhere/log")})).Wait(), 1,
                "cannot write the log " + Path("nowhere/log"));
  ExpectMessage(Child(Train({"--steps", "2", "--out", good_, "--log", Path("out")})).Wait(), 1,
                "cannot write the log");
  ExpectUntouched();
  // The training is not lost, but it is not said that all went well.
  ExpectMessage(Child(Train({"--steps", "8", "--out", Path("unlogged.w"), "--log", "/dev/full"})).Wait(), 1,
                "cannot write the log /dev/full");
  EXPECT_EQ(test::FileBytes(Path("unlogged.w")), test::FileBytes(Path("mt.w")));
}

// ---- Size

TEST_F(ProgramFaults, ThreadsAndBatchesOfAnySize) {
  for (const char* threads : {"1", "3", "1000"}) {
    ASSERT_EQ(Child(Train({"--steps", "8", "--out", Path("threads.w"), "--threads", threads})).Wait().status,
              0);
    EXPECT_EQ(test::FileBytes(Path("threads.w")), test::FileBytes(Path("mt.w"))) << threads;
  }
  const auto train = [](const std::vector<std::string>& more) {
    std::vector<std::string> arguments{"train", "--source", Path("en"), "--target", Path("fr"),
                                       "-q",    "--steps",  "2",        "--out",    Path("batch.w")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run("mt", arguments).status;
  };
  EXPECT_EQ(train({"--batch", "1"}), 0);
  EXPECT_EQ(train({"--batch", "9223372036854775807"}), 0);
  EXPECT_EQ(train({"--minutes", "1e300", "--warmup", "999999999999"}), 0);
}

TEST(MemoryFaults, MoreThanTheMachineHasIsRefusedAndNotGranted) {
  EXPECT_THROW(AllocateZeros(int64_t{1} << 45), std::bad_alloc);
  EXPECT_THROW(AllocateBlock(std::numeric_limits<int64_t>::max()), std::bad_alloc);
}

// ---- Signals

TEST_F(ProgramFaults, CtrlCStopsAtAStepAndResumingChangesNothing) {
  const int kSteps = 1500;
  const std::string steps = std::to_string(kSteps);
  ASSERT_EQ(
      Child(Train({"--steps", steps, "--out", Path("whole.w"), "--log", Path("whole.log")})).Wait().status,
      0);
  const auto lines = [&] {
    const std::string log = fs::exists(Path("part.log")) ? test::FileBytes(Path("part.log")) : "";
    return std::count(log.begin(), log.end(), '\n');
  };
  std::vector<std::string> command =
      Train({"--steps", steps, "--out", Path("part.w"), "--log", Path("part.log")});
  int stopped = 0;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    const auto before = lines();
    Child child(command);
    ASSERT_TRUE(test::WaitFor([&] { return lines() > before + 5 || !child.Runs(); }));
    child.Signal(number);
    const ProcessResult result = child.Wait();
    if (result.status == 0) break;  // it was faster
    EXPECT_EQ(result.status, 130) << result.err;
    ++stopped;
    EXPECT_HAS(result.err, "To go on, repeat the command with --resume");
    const Result<SafetensorsFile> file = SafetensorsFile::Open(Path("part.w"));
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->metadata().at("step"), std::to_string(lines()));
    command = Train({"--steps", steps, "--resume", Path("part.w"), "--log", Path("part.log")});
  }
  EXPECT_GT(stopped, 0);
  ASSERT_EQ(Child(command).Wait().status, 0);
  EXPECT_EQ(test::FileBytes(Path("part.w")), test::FileBytes(Path("whole.w")));
  const std::vector<std::string> whole = LossesOf(Path("whole.log")), part = LossesOf(Path("part.log"));
  EXPECT_EQ(whole.size(), static_cast<size_t>(kSteps));
  EXPECT_EQ(part, whole);
}

TEST_F(ProgramFaults, CtrlCBeforeTheFirstStepStopsAtOnce) {
  const std::string endless = Path("endless");
  ASSERT_EQ(mkfifo(endless.c_str(), 0600), 0);
  const int writer = open(endless.c_str(), O_RDWR);
  ASSERT_GE(writer, 0);
  Child child({Path("mt"), "train", "--source", endless, "--target", endless, "--out", good_});
  ASSERT_EQ(write(writer, "the cat\n", 8), 8);
  EXPECT_TRUE(test::WaitFor([&] {
    pollfd left{writer, POLLIN, 0};
    return poll(&left, 1, 0) == 0 || !child.Runs();
  }));
  child.Signal(SIGINT);
  EXPECT_EQ(child.Wait(10).status, 130);
  close(writer);
  ExpectUntouched();
}

TEST_F(ProgramFaults, ASecondCtrlCStopsAtOnce) {
  // The checkpoint goes into a pipe that nobody empties, so that writing takes for ever.
  const std::string full = Path("pipe");
  ASSERT_EQ(mkfifo(full.c_str(), 0600), 0);
  const int reader = open(full.c_str(), O_RDWR);
  ASSERT_GE(reader, 0);
  fcntl(reader, F_SETPIPE_SZ, 4096);
  Child child(Train({"--steps", "2", "--out", full}));
  ASSERT_TRUE(test::WaitFor([&] {
    pollfd filled{reader, POLLIN, 0};
    return poll(&filled, 1, 0) > 0 || !child.Runs();
  }));
  child.Signal(SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_TRUE(child.Runs());
  child.Signal(SIGINT);
  EXPECT_EQ(child.Wait(10).status, 130);
  close(reader);
}

TEST_F(ProgramFaults, KilledAtAnyTimeTheCheckpointIsWhole) {
  const std::string weights = Path("out/killed.w");
  for (int i = 0; i < 6; ++i) {
    {
      Child child(Train({"--steps", "100000", "--save-every", "1", "--out", weights}));
      ASSERT_TRUE(test::WaitFor([&] { return fs::exists(weights) || !child.Runs(); }));
      std::this_thread::sleep_for(std::chrono::milliseconds(7 * i));
      child.Signal(i % 2 == 0 ? SIGKILL : SIGINT);
      EXPECT_EQ(child.Wait().status, i % 2 == 0 ? 128 + SIGKILL : 130);
    }
    const Result<SafetensorsFile> file = SafetensorsFile::Open(weights);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_TRUE(file->tensors().contains("optim.E.1"));
    const ProcessResult result = Run("mt", {"translate", "--weights", weights}, {.input = "the cat\n"});
    EXPECT_EQ(result.status, 0) << result.err;
    fs::remove(weights);
  }
}

}  // namespace
}  // namespace heed
