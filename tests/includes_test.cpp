// Who may include whom: the architecture, checked on the sources.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "tests/paths.h"

namespace heed::test {
namespace {

namespace fs = std::filesystem;

struct Include {
  std::string file, path;
};

std::vector<Include> IncludesOf(const std::string& folder) {
  std::vector<Include> found;
  const std::regex line_pattern("^\\s*#\\s*include\\s*[<\"]([^>\"]+)[>\"]");
  for (const auto& entry : fs::recursive_directory_iterator(Source(folder))) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".h" && extension != ".cpp" && extension != ".cc") continue;
    std::ifstream in(entry.path());
    std::string line;
    std::smatch match;
    while (std::getline(in, line)) {
      if (std::regex_search(line, match, line_pattern)) {
        found.push_back({fs::relative(entry.path(), Source("")).string(), match[1]});
      }
    }
  }
  return found;
}

bool StartsWith(const std::string& text, const std::string& prefix) { return text.rfind(prefix, 0) == 0; }

TEST(Includes, FollowTheArchitecture) {
  // What a folder may include of Heed besides itself: folders end in a slash, single headers do not.
  const std::map<std::string, std::vector<std::string>> allowed = {
      {"ir/", {"runtime/random.h"}},
      {"runtime/base/", {"runtime/result.h"}},
      {"frontend/", {"ir/", "runtime/base/"}},
      {"passes/", {"ir/"}},
      {"backend/",
       {"ir/", "runtime/base/", "runtime/abi.h", "runtime/random.h", "runtime/kernels/heed_kernels.h",
        "runtime/kernels/tiles.h"}},
      {"runtime/", {"runtime/base/"}},
      {"runtime/kernels/", {"runtime/random.h"}},
  };
  const std::vector<std::string> folders = {"ir/", "frontend/", "passes/", "backend/", "runtime/"};
  int checked = 0;
  for (const auto& [folder, list] : allowed) {
    for (const Include& include : IncludesOf(folder)) {
      if (include.file == "frontend/main.cpp") continue;  // the one file that sees everything
      if (folder == "runtime/" &&
          (StartsWith(include.file, "runtime/kernels/") || StartsWith(include.file, "runtime/base/")))
        continue;  // folders of their own
      bool of_heed = false;
      for (const std::string& known : folders) of_heed |= StartsWith(include.path, known);
      if (!of_heed) continue;
      ++checked;
      bool fine = StartsWith(include.path, folder);
      for (const std::string& path : list)
        fine |= path.back() == '/' ? StartsWith(include.path, path) : include.path == path;
      EXPECT_TRUE(fine) << include.file << " includes " << include.path;
    }
  }
  EXPECT_GT(checked, 100);
}

TEST(Includes, LlvmStaysInTheBackEndAndHighwayInTheKernels) {
  for (const std::string folder : {"ir/", "frontend/", "passes/", "backend/", "runtime/"}) {
    for (const Include& include : IncludesOf(folder)) {
      if (StartsWith(include.path, "llvm/"))
        EXPECT_TRUE(StartsWith(include.file, "backend/")) << include.file;
      if (StartsWith(include.path, "hwy/"))
        EXPECT_TRUE(StartsWith(include.file, "runtime/kernels/")) << include.file;
    }
  }
}

}  // namespace
}  // namespace heed::test
