// Runs the commands that README.md, docs/ and the READMEs of examples show: fenced blocks marked `sh`; those
// marked `sh long` are left to the reader. Each file's blocks run in order, in one empty folder that has
// `examples`, with `heed` in PATH.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/paths.h"

namespace heed::test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> ShellBlocks(const std::string& path) {
  std::vector<std::string> blocks;
  std::ifstream in(path);
  std::string line;
  bool inside = false;
  while (std::getline(in, line)) {
    if (line == "```sh") {
      inside = true;
      blocks.emplace_back();
    } else if (line.rfind("```", 0) == 0) {
      inside = false;
    } else if (inside) {
      blocks.back() += line + "\n";
    }
  }
  return blocks;
}

void RunBlocksOf(const std::string& document) {
  const std::vector<std::string> blocks = ShellBlocks(Source(document));
  const fs::path folder = fs::temp_directory_path() / ("heed_docs_" + std::to_string(::getpid()));
  fs::remove_all(folder);
  fs::create_directories(folder);
  fs::create_directory_symlink(Source("examples"), folder / "examples");
  for (const std::string& block : blocks) {
    const std::string script = (folder / "block.sh").string();
    std::ofstream(script) << "set -euo pipefail\ncd '" << folder.string() << "'\nexport PATH='" << Binary("")
                          << "':$PATH\n"
                          << block;
    const std::string log = (folder / "log").string();
    const int status = std::system(("bash " + script + " >" + log + " 2>&1 </dev/null").c_str());
    std::ifstream in(log);
    const std::string output((std::istreambuf_iterator<char>(in)), {});
    EXPECT_EQ(status, 0) << document << ":\n" << block << "\n" << output;
  }
  fs::remove_all(folder);
}

TEST(Documents, ReadmeRuns) {
  ASSERT_GE(ShellBlocks(Source("README.md")).size(), 5u);
  RunBlocksOf("README.md");
}

TEST(Documents, DocsRun) {
  for (const auto& entry : fs::directory_iterator(Source("docs"))) {
    if (entry.path().extension() == ".md") RunBlocksOf("docs/" + entry.path().filename().string());
  }
}

TEST(Documents, ExamplesRun) {
  ASSERT_GE(ShellBlocks(Source("examples/attention/README.md")).size(), 2u);
  for (const auto& entry : fs::recursive_directory_iterator(Source("examples"))) {
    if (entry.path().filename() == "README.md") RunBlocksOf(fs::relative(entry.path(), Source("")).string());
  }
}

}  // namespace
}  // namespace heed::test
