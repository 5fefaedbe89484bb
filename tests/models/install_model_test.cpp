// The installed compiler: it finds what belongs to it wherever it is moved to, and what it needs is all
// there.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>

#include "tests/support/expect.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace heed::test {
namespace {

namespace fs = std::filesystem;

TEST(Install, BuildsAndRunsAfterItWasMoved) {
  const TemporaryFolder folder;
  const ProcessResult installed =
      RunProcess({"cmake", "--install", Binary(""), "--prefix", folder / "first/prefix"});
  ASSERT_EQ(installed.status, 0) << installed.err;
  fs::rename(folder / "first/prefix", folder / "elsewhere");
  const std::string heed = folder / "elsewhere/bin/heed", gpt = folder / "gpt";
  const ProcessResult built =
      RunProcess({heed, "build", Source("examples/gpt2.heed"), "-o", gpt, "--set", "vocab=96", "--set",
                  "model=32", "--set", "heads=2", "--set", "layer=1", "--set", "seq=16"});
  ASSERT_EQ(built.status, 0) << built.err;
  const ProcessResult info = RunProcess({gpt, "info"});
  EXPECT_EQ(info.status, 0) << info.err;
  EXPECT_HAS(info.out, "gpt2.heed");
  // Growth of programs should not go unseen.
  std::printf("a program of gpt2.heed has %ju bytes\n", static_cast<uintmax_t>(fs::file_size(gpt)));

  for (const char* file :
       {"share/man/man1/heed.1", "share/bash-completion/completions/heed",
        "share/zsh/vendor-completions/_heed", "share/fish/vendor_completions.d/heed.fish",
        "include/heed/abi.h", "lib/heed/libheed_runtime.a",
        "share/heed/editors/vscode/syntaxes/heed.tmLanguage.json", "share/vim/vimfiles/syntax/heed.vim",
        "share/doc/heed/docs/pictures/attention.svg"}) {
    EXPECT_GT(fs::file_size(folder / (std::string("elsewhere/") + file)), 500u) << file;
  }
  EXPECT_HAS(FileBytes(folder / "elsewhere/share/man/man1/heed.1"), "\\-\\-attention");
  EXPECT_HAS(FileBytes(folder / "elsewhere/share/bash-completion/completions/heed"), "--attention");
}

TEST(Install, ProgramsSayWhatIsLinkedIn) {
  const ProcessResult heed = RunProcess({Binary("heed"), "--licences"});
  EXPECT_EQ(heed.status, 0) << heed.err;
  for (const char* notice : {"==== libllvm19", "==== libhwy-dev", "Apache"}) EXPECT_HAS(heed.out, notice);
  const ProcessResult version = RunProcess({Binary("heed"), "--version"});
  for (const char* part : {"heed ", "LLVM 19.", "x86-64-v3"}) EXPECT_HAS(version.out, part);
  EXPECT_EQ(RunProcess({Binary("heed")}).status, 2);
}

}  // namespace
}  // namespace heed::test
