// Runs what README.md, docs/ and the READMEs of examples show (tests/support/document.h says which blocks are
// what): each file's commands and programs in order, in one empty folder that has `examples`, with `heed` in
// PATH, and what is printed against what is shown. A translated document has the blocks of the original
// (tests/documents_test.cpp), so it is not run again.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/document.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace heed::test {
namespace {

namespace fs = std::filesystem;

size_t CommandBlocks(const std::string& document) {
  const std::vector<DocumentBlock> blocks = DocumentBlocks(Source(document));
  return static_cast<size_t>(
      std::count_if(blocks.begin(), blocks.end(), [](const auto& block) { return block.kind == "sh"; }));
}

std::string WithoutTrailingSpaces(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out.erase(out.find_last_not_of(' ') + 1);
    out += c;
  }
  return out;
}

/// The folder in which the blocks of one document run.
class Reader {
 public:
  Reader() { fs::create_directory_symlink(Source("examples"), folder_ / "examples"); }

  /// Follows one block of a document, as a reader would.
  void Follow(const DocumentBlock& block, const std::string& where) {
    if (block.kind == "sh") {
      Run(block.text, where);
    } else if (block.kind == "output") {
      EXPECT_NE(printed_.find(block.text), std::string::npos) << where << ": shown is\n"
                                                              << block.text << "and printed was\n"
                                                              << printed_;
    } else if (const std::string program = block.Program(); !program.empty()) {
      const bool begun = fs::exists(folder_ / program);
      std::ofstream(folder_ / program, std::ios::app) << (begun ? "\n" : "") << block.text;
    }
  }

 private:
  void Run(const std::string& commands, const std::string& where) {
    const std::string script = folder_ / "block.sh", log = folder_ / "log";
    std::ofstream(script) << "set -euo pipefail\ncd '" << (folder_ / ".") << "'\nexport PATH='" << Binary("")
                          << "':$PATH\n"
                          << commands;
    const int status = std::system(("bash " + script + " >" + log + " 2>&1 </dev/null").c_str());
    printed_ = WithoutTrailingSpaces(FileBytes(log));
    EXPECT_EQ(status, 0) << where << ":\n" << commands << "\n" << printed_;
  }

  TemporaryFolder folder_;
  std::string printed_;  ///< by the last commands
};

void RunBlocksOf(const std::string& document) {
  Reader reader;
  for (const DocumentBlock& block : DocumentBlocks(Source(document))) {
    reader.Follow(block, document + ":" + std::to_string(block.line));
  }
}

TEST(Documents, ReadmeRuns) {
  ASSERT_GE(CommandBlocks("README.md"), 5u);
  RunBlocksOf("README.md");
}

TEST(Documents, TutorialRuns) {
  ASSERT_GE(CommandBlocks("docs/tutorial.md"), 10u);
  RunBlocksOf("docs/tutorial.md");
}

TEST(Documents, OtherDocsRun) {
  for (const auto& entry : fs::directory_iterator(Source("docs"))) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".md" || name.rfind("tutorial.", 0) == 0) continue;
    RunBlocksOf("docs/" + name);
  }
}

TEST(Documents, ExamplesRun) {
  ASSERT_GE(CommandBlocks("examples/attention/README.md"), 2u);
  for (const auto& entry : fs::recursive_directory_iterator(Source("examples"))) {
    if (entry.path().filename() == "README.md") RunBlocksOf(fs::relative(entry.path(), Source("")).string());
  }
}

}  // namespace
}  // namespace heed::test
