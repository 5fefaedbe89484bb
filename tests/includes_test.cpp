// Who may include whom: the architecture, checked on the sources.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <string>
#include <vector>

#include "tests/support/paths.h"

namespace heed::test {
namespace {

namespace fs = std::filesystem;

// What a room may include of Heed besides itself: a folder ends in a slash and stands for all that is in it;
// a single header does not. A file belongs to the innermost room it lies in.
const std::map<std::string, std::vector<std::string>>& Rooms() {
  static const std::vector<std::string> kernels = {"runtime/kernels/heed_kernels.h",
                                                   "runtime/kernels/limits.h", "runtime/kernels/tiles.h"};
  static const std::vector<std::string> engine = {"runtime/abi.h", "runtime/abi_names.h", "runtime/base/",
                                                  "runtime/engine/"};
  const auto with = [](std::vector<std::string> list, const std::vector<std::string>& more) {
    list.insert(list.end(), more.begin(), more.end());
    return list;
  };
  static const std::vector<std::string> plan =
      with({"ir/", "runtime/base/", "runtime/abi.h", "runtime/abi_names.h"}, kernels);
  static const std::vector<std::string> data =
      with(engine, {"runtime/weights/", "runtime/text/", "runtime/data/"});
  static const std::map<std::string, std::vector<std::string>> rooms = {
      {"runtime/base/", {}},
      {"runtime/kernels/", {"runtime/base/random.h"}},
      {"runtime/engine/", with({"runtime/abi.h", "runtime/abi_names.h", "runtime/base/"}, kernels)},
      {"runtime/weights/", engine},
      {"runtime/text/", {"runtime/base/"}},
      {"runtime/data/", data},
      {"runtime/train/", data},
      {"runtime/decode/", data},
      {"runtime/commands/", with(data, {"runtime/train/", "runtime/decode/", "runtime/option_names.h"})},
      {"runtime/", {"runtime/commands/"}},
      {"ir/", {"runtime/base/", "runtime/abi_names.h"}},
      {"frontend/", {"ir/", "runtime/base/", "runtime/abi_names.h", "runtime/option_names.h"}},
      {"frontend/drawing/", {"ir/", "frontend/", "runtime/base/", "runtime/abi_names.h"}},
      {"frontend/commands/",
       {"ir/", "frontend/", "frontend/drawing/", "passes/", "backend/", "runtime/base/", "runtime/abi.h"}},
      {"passes/",
       {"ir/", "runtime/base/", "runtime/abi_names.h", "runtime/kernels/limits.h",
        "frontend/diagnostic_kind.h"}},
      {"backend/target/", plan},
      {"backend/plan/", plan},
      {"backend/emit/", with(plan, {"backend/target/", "backend/plan/"})},
      {"backend/object/", with(plan, {"backend/target/", "backend/plan/", "backend/emit/"})},
      {"backend/", with(plan, {"backend/target/", "backend/plan/", "backend/emit/", "backend/object/"})},
  };
  return rooms;
}

bool StartsWith(const std::string& text, const std::string& prefix) { return text.rfind(prefix, 0) == 0; }

std::string RoomOf(const std::string& file) {
  std::string innermost;
  for (const auto& [room, allowed] : Rooms())
    if (StartsWith(file, room) && room.size() > innermost.size()) innermost = room;
  return innermost;
}

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

const std::vector<std::string> kFolders = {"ir/", "frontend/", "passes/", "backend/", "runtime/"};

TEST(Includes, FollowTheArchitecture) {
  int checked = 0;
  for (const std::string& folder : kFolders) {
    for (const Include& include : IncludesOf(folder)) {
      const std::string included = RoomOf(include.path);
      if (included.empty()) continue;  // not of Heed
      ++checked;
      const std::string room = RoomOf(include.file);
      bool fine = included == room;
      for (const std::string& path : Rooms().at(room))
        fine |= path.back() == '/' ? StartsWith(include.path, path) : include.path == path;
      EXPECT_TRUE(fine) << include.file << " includes " << include.path;
    }
  }
  EXPECT_GT(checked, 700);
}

TEST(Includes, LlvmStaysInTheBackEndAndHighwayInTheKernels) {
  for (const std::string& folder : kFolders) {
    for (const Include& include : IncludesOf(folder)) {
      if (StartsWith(include.path, "llvm/"))
        EXPECT_TRUE(StartsWith(include.file, "backend/")) << include.file;
      if (StartsWith(include.path, "hwy/"))
        EXPECT_TRUE(StartsWith(include.file, "runtime/kernels/")) << include.file;
    }
  }
}

TEST(Includes, FewFilesLieOutsideTheRooms) {
  for (const std::string folder : {"runtime", "tests"}) {
    int files = 0;
    for (const auto& entry : fs::directory_iterator(Source(folder))) files += entry.is_regular_file();
    EXPECT_LE(files, 6) << folder;
  }
}

}  // namespace
}  // namespace heed::test
