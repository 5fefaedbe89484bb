// Files, links, children and what is left when a process ends, without any command around them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "runtime/base/child.h"
#include "runtime/base/file_writer.h"
#include "runtime/base/mapped_file.h"
#include "runtime/base/places.h"
#include "runtime/base/temporary_folder.h"
#include "runtime/base/unfinished.h"
#include "tests/support/expect.h"
#include "tests/support/faults_support.h"

namespace heed {
namespace {

namespace fs = std::filesystem;
using test::FileBytes;
using test::Names;
using test::WriteBytes;

class System : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_ / name; }
  test::TemporaryFolder folder_;
};

/// The number of a process that is gone.
pid_t GoneProcess() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

// ---- Writing

TEST_F(System, WritesThroughLinksAlsoToWhatIsNotThereYet) {
  fs::create_symlink("middle", Path("link"));
  fs::create_symlink(Path("end"), Path("middle"));
  ASSERT_TRUE(WriteWholeFile(Path("link"), "first"));
  EXPECT_TRUE(fs::is_symlink(Path("link")));
  EXPECT_TRUE(fs::is_symlink(Path("middle")));
  EXPECT_EQ(FileBytes(Path("end")), "first");
  ASSERT_TRUE(WriteWholeFile(Path("link"), "second"));
  EXPECT_EQ(FileBytes(Path("end")), "second");
  EXPECT_EQ(Names(Path("")), "end link middle ");
  fs::create_symlink(Path("circle"), Path("circle"));
  const Status status = WriteWholeFile(Path("circle"), "");
  ASSERT_FALSE(status);
  EXPECT_HAS(status.error().message, "cannot write " + Path("circle"));
}

TEST_F(System, APlantedTemporaryNameIsNotFollowed) {
  WriteBytes(Path("victim"), "precious");
  const std::string planted = Path(".out." + std::to_string(getpid()) + "-0.heed-tmp");
  fs::create_symlink(Path("victim"), planted);
  ASSERT_TRUE(WriteWholeFile(Path("out"), "bytes"));
  EXPECT_EQ(FileBytes(Path("out")), "bytes");
  EXPECT_EQ(FileBytes(Path("victim")), "precious");
  EXPECT_TRUE(fs::is_symlink(planted));
}

TEST_F(System, WhatKilledWritersLeftOfTheSameFileIsRemoved) {
  const std::string gone = std::to_string(GoneProcess());
  const std::string stale = Path(".out." + gone + "-0.heed-tmp");
  WriteBytes(stale, "half");
  // Others are not touched: of another file, of a process that runs, of no pattern, or locked by its writer.
  const std::vector<std::string> others = {
      ".other." + gone + "-0.heed-tmp", ".out." + std::to_string(getppid()) + "-0.heed-tmp",
      ".out." + gone + "-x.heed-tmp", ".out.heed-tmp", ".out.more." + gone + "-0.heed-tmp"};
  for (const std::string& name : others) WriteBytes(Path(name), "theirs");
  const std::string locked = Path(".out." + gone + "-1.heed-tmp");
  WriteBytes(locked, "in use elsewhere");
  const int file = open(locked.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(flock(file, LOCK_EX), 0);
  ASSERT_TRUE(WriteWholeFile(Path("out"), "whole"));
  EXPECT_FALSE(fs::exists(stale));
  for (const std::string& name : others) EXPECT_TRUE(fs::exists(Path(name))) << name;
  EXPECT_TRUE(fs::exists(locked));
  close(file);
  ASSERT_TRUE(CheckCanWrite(Path("out")));
  EXPECT_FALSE(fs::exists(locked));
}

TEST_F(System, ADescriptorIsWrittenToWhereItStands) {
  WriteBytes(Path("out"), "there ");
  const int file = open(Path("out").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  for (const std::string folder : {"/dev/fd/", "/proc/self/fd/"})
    EXPECT_TRUE(WriteWholeFile(folder + std::to_string(file), "more "));
  close(file);
  EXPECT_EQ(FileBytes(Path("out")), "there more more ");
}

TEST_F(System, AFileClosedToWritingIsNotReplaced) {
  if (geteuid() == 0) GTEST_SKIP() << "nothing is closed to root";
  WriteBytes(Path("out"), "kept");
  fs::permissions(Path("out"), fs::perms::owner_read);
  EXPECT_FALSE(WriteWholeFile(Path("out"), "other"));
  EXPECT_EQ(FileBytes(Path("out")), "kept");
}

TEST_F(System, LongNamesAndModes) {
  const std::string name(255, 'n');
  ASSERT_TRUE(WriteWholeFile(Path(name), "long"));
  EXPECT_EQ(FileBytes(Path(name)), "long");
  ASSERT_TRUE(WriteWholeFile(Path("run"), "", {.mode = 0777, .keeps_mode = false}));
  EXPECT_EQ(access(Path("run").c_str(), X_OK), 0);
  fs::permissions(Path("run"), fs::perms::owner_read | fs::perms::owner_write);
  ASSERT_TRUE(WriteWholeFile(Path("run"), ""));
  EXPECT_EQ(fs::status(Path("run")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

// ---- Names of files

TEST_F(System, SameFileByAnyName) {
  WriteBytes(Path("text"), "text");
  fs::create_symlink("text", Path("soft"));
  fs::create_hard_link(Path("text"), Path("hard"));
  fs::create_directory(Path("folder"));
  fs::create_symlink(Path("folder/new"), Path("dangling"));
  EXPECT_TRUE(SameFile(Path("text"), Path("text")));
  EXPECT_TRUE(SameFile(Path("text"), Path("soft")));
  EXPECT_TRUE(SameFile(Path("hard"), Path("soft")));
  EXPECT_TRUE(SameFile(Path("text"), Path("folder/../text")));
  EXPECT_TRUE(SameFile(Path("text"), fs::relative(Path("text"))));
  // Of files that are not there yet.
  EXPECT_TRUE(SameFile(Path("new"), Path("folder/../new")));
  EXPECT_TRUE(SameFile(Path("dangling"), Path("folder/new")));
  EXPECT_FALSE(SameFile(Path("new"), Path("folder/new")));
  EXPECT_FALSE(SameFile(Path("text"), Path("new")));
  WriteBytes(Path("other"), "text");
  EXPECT_FALSE(SameFile(Path("text"), Path("other")));
  EXPECT_FALSE(SameFile("/dev/null", "/dev/null"));
  EXPECT_FALSE(SameFile(Path("folder"), Path("folder")));
  const int file = open(Path("text").c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_TRUE(SameFile("/dev/fd/" + std::to_string(file), Path("hard")));
  close(file);
}

// ---- Reading what changes

TEST_F(System, AFileThatIsCutWhileItIsReadEndsTheProcessWithAMessage) {
  const std::string path = Path("weights");
  WriteBytes(path, std::string(1 << 16, 'x'));
  WriteBytes(Path("half"), "half written");
  const auto read = [&] {
    const Result<MappedFile> file = MappedFile::Open(path);
    const Unfinished note = Unfinished::File(Path("half"));
    fs::resize_file(path, 100);
    int sum = 0;
    for (int64_t i = 0; i < file->size(); i += 512) sum += file->data()[i];
    _exit(sum == 0 ? 2 : 3);
  };
  EXPECT_EXIT(read(), testing::ExitedWithCode(1), "error: cannot read .*weights: it was cut or overwritten");
  EXPECT_FALSE(fs::exists(Path("half")));
}

TEST_F(System, AFileThatWasOverwrittenWhileItWasReadIsAnError) {
  const std::string path = Path("weights");
  WriteBytes(path, "first");
  Result<MappedFile> file = MappedFile::Open(path);
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->CheckUnchanged());
  const timespec times[] = {{0, UTIME_OMIT}, {12345, 0}};
  {
    const int other = open(path.c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_EQ(write(other, "other", 5), 5);
    close(other);
  }
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);  // clocks of file systems are coarse
  const Status status = file->CheckUnchanged();
  ASSERT_FALSE(status);
  EXPECT_HAS(status.error().message, path + ": it was changed while it was being read");
  // Replaced under its name, or removed: who has mapped it keeps it.
  file = MappedFile::Open(path);
  WriteBytes(Path("fresh"), "fresh bytes");
  fs::rename(Path("fresh"), path);
  EXPECT_TRUE(file->CheckUnchanged());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file->data()), 5), "other");
  fs::remove(path);
  EXPECT_TRUE(file->CheckUnchanged());
}

// ---- Children, and what is left

TEST_F(System, ChildrenReadAndWriteAtTheSameTime) {
  const std::string much(3'000'000, 'x');
  Result<ChildEnd> end = RunChild({"cat"}, much, false);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->status, 0);
  EXPECT_TRUE(end->output == much);
  end = RunChild({"sh", "-c", "echo out; echo err >&2; exit 3"}, much, true);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->status, 3);
  EXPECT_EQ(end->output, "out\nerr\n");
  end = RunChild({"sh", "-c", "kill -9 $$"}, "", true);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->status, 128 + SIGKILL);
  end = RunChild({"no-such-program-here"}, "", true);
  ASSERT_FALSE(end);
  EXPECT_HAS(end.error().message, "cannot run no-such-program-here");
}

TEST_F(System, NothingUnfinishedStays) {
  ASSERT_EQ(setenv("TMPDIR", Path("").c_str(), 1), 0);
  const pid_t child = fork();
  if (child == 0) {
    // As a handler of Ctrl-C does it, while a child runs that would write into the folder.
    const TemporaryFolder folder;
    WriteBytes(folder.path() + "/0.o", "object");
    FileWriter writer(Path("out"));
    if (!writer.Open()) _exit(9);
    const auto handler = [](int) {
      EndUnfinished();
      _exit(7);
    };
    signal(SIGALRM, handler);
    ualarm(100'000, 0);
    const Result<ChildEnd> end =
        RunChild({"sh", "-c", "echo $$ > '" + Path("pid") + "'; sleep 60 & wait"}, "", true);
    _exit(end ? 8 : 10);
  }
  int status = 0;
  waitpid(child, &status, 0);
  unsetenv("TMPDIR");
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_EQ(Names(Path("")), "pid ");
  const pid_t group = std::stoi(FileBytes(Path("pid")));
  // The shell and what it started.
  EXPECT_TRUE(test::WaitFor([&] { return kill(-group, 0) != 0; }, 10));
}

}  // namespace
}  // namespace heed
