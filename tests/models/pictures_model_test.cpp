// The pictures of the documentation are what `heed graph` draws today: the same words in the same order
// (places and sizes may differ between versions of Graphviz); and pages of every example.
#include <gtest/gtest.h>

#include "runtime/base/child.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace heed::test {
namespace {

std::vector<std::string> WordsOf(const std::string& svg) {
  std::vector<std::string> words;
  for (size_t at = 0; (at = svg.find("<text", at)) != svg.npos;) {
    at = svg.find('>', at) + 1;
    words.push_back(svg.substr(at, svg.find('<', at) - at));
  }
  return words;
}

TEST(Pictures, OfTheDocumentationAreDrawnToday) {
  if (OnPath("dot").empty()) GTEST_SKIP() << "no Graphviz";
  const TemporaryFolder folder;
  const ProcessResult drawn = RunProcess({Source("scripts/draw_examples.sh"), folder / "", Binary("heed")});
  ASSERT_TRUE(drawn.ok()) << drawn.err;
  int pictures = 0;
  for (const auto& entry : std::filesystem::directory_iterator(Source("docs/graphs"))) {
    const std::string name = entry.path().filename();
    EXPECT_EQ(WordsOf(FileBytes(folder / name)), WordsOf(FileBytes(entry.path())))
        << name << ": run scripts/draw_examples.sh and look at the difference";
    ++pictures;
  }
  EXPECT_GE(pictures, 3);
}

TEST(Pictures, PagesOfAllExamplesAreSmallEnoughToSend) {
  const TemporaryFolder folder;
  for (const auto& entry : std::filesystem::directory_iterator(Source("examples"))) {
    if (entry.path().extension() != ".heed") continue;
    const std::string page = folder / (entry.path().stem().string() + ".html");
    const ProcessResult drawn = RunProcess({Binary("heed"), "graph", entry.path().string(), "-o", page});
    if (drawn.err.find("pages need the library dagre") != std::string::npos) GTEST_SKIP() << drawn.err;
    ASSERT_TRUE(drawn.ok()) << drawn.err;
    EXPECT_LT(std::filesystem::file_size(page), 10'000'000u) << page;
  }
}

}  // namespace
}  // namespace heed::test
