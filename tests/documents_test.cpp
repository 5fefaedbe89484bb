// What documents show, as far as nothing has to run: excerpts are of their files, links lead somewhere, the
// translated tutorial shows what the original shows, its program is the example, its pictures are those of
// their script. tests/models/docs_model_test.cpp runs the rest.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/document.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace heed::test {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kLargestPicture = 10 * 1024;

std::vector<std::string> Documents() {
  std::vector<std::string> documents = {"README.md", "CONTRIBUTING.md"};
  for (const char* folder : {"docs", "examples"}) {
    for (const auto& entry : fs::recursive_directory_iterator(Source(folder))) {
      if (entry.path().extension() != ".md") continue;
      documents.push_back(fs::relative(entry.path(), Source("")).string());
    }
  }
  return documents;
}

/// What a document links to, `(...)` after a text in square brackets, as it is written. Code has no links.
std::vector<std::string> Links(const std::string& document) {
  static const std::regex link(R"(\]\(([^)\s]+)\))"), code("`[^`]*`");
  std::string prose;
  bool fenced = false;
  for (const std::string& line : DocumentLines(Source(document))) {
    if (line.rfind("```", 0) == 0) {
      fenced = !fenced;
    } else if (!fenced) {
      prose += line + "\n";
    }
  }
  prose = std::regex_replace(prose, code, "");
  std::vector<std::string> links;
  for (std::sregex_iterator at(prose.begin(), prose.end(), link), end; at != end; ++at) {
    links.push_back((*at)[1]);
  }
  return links;
}

/// The anchors of a document's headings, as web pages make them: small letters, hyphens for spaces, no marks.
std::set<std::string> Anchors(const std::string& path) {
  std::set<std::string> anchors;
  for (const std::string& line : DocumentLines(path)) {
    if (line.empty() || line[0] != '#' || line.find(' ') == std::string::npos) continue;
    std::string anchor;
    for (const char c : line.substr(line.find(' ') + 1)) {
      if (c == ' ') {
        anchor += '-';
      } else if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_') {
        anchor += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      }
    }
    anchors.insert(anchor);
  }
  return anchors;
}

std::vector<std::string> Pictures(const std::string& document) {
  std::vector<std::string> pictures;
  for (const std::string& link : Links(document)) {
    if (link.ends_with(".svg")) pictures.push_back(link);
  }
  return pictures;
}

/// Lines that say something, sorted: the same for programs that differ in order, comments and empty lines.
std::vector<std::string> Statements(const std::string& program) {
  std::vector<std::string> lines;
  std::istringstream in(program);
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line[0] != '#') lines.push_back(line);
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

TEST(Documents, ExcerptsAreOfTheirFiles) {
  int excerpts = 0;
  for (const std::string& document : Documents()) {
    for (const DocumentBlock& block : DocumentBlocks(Source(document))) {
      if (block.Excerpted().empty()) continue;
      ++excerpts;
      EXPECT_NE(FileBytes(Source(block.Excerpted())).find(block.text), std::string::npos)
          << document << ":" << block.line << ": " << block.Excerpted() << " does not have\n"
          << block.text;
    }
  }
  EXPECT_GE(excerpts, 5);
}

TEST(Documents, LinksLeadSomewhere) {
  for (const std::string& document : Documents()) {
    for (const std::string& link : Links(document)) {
      if (link.find("://") != std::string::npos) continue;
      const size_t hash = std::min(link.find('#'), link.size());
      const fs::path self = Source(document);
      const fs::path target = hash == 0 ? self : self.parent_path() / link.substr(0, hash);
      ASSERT_TRUE(fs::exists(target)) << document << " links to " << link;
      if (hash < link.size()) {
        EXPECT_TRUE(Anchors(target.string()).contains(link.substr(hash + 1)))
            << document << " links to " << link;
      }
    }
  }
}

TEST(Tutorial, IsTheSameInKorean) {
  const std::string english = "docs/tutorial.md", korean = "docs/tutorial.ko.md";
  const auto blocks = DocumentBlocks(Source(english)), translated = DocumentBlocks(Source(korean));
  ASSERT_EQ(blocks.size(), translated.size());
  for (size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(blocks[i], translated[i])
        << korean << ":" << translated[i].line << " has\n"
        << translated[i].text << "and line " << blocks[i].line << " of the original\n"
        << blocks[i].text;
  }
  EXPECT_EQ(Pictures(english), Pictures(korean));
  const auto sections = [](const std::string& document) {
    const auto lines = DocumentLines(Source(document));
    return std::count_if(lines.begin(), lines.end(),
                         [](const auto& line) { return line.rfind("## ", 0) == 0; });
  };
  EXPECT_EQ(sections(english), sections(korean));
}

TEST(Tutorial, BuildsTheExample) {
  const std::string program = DocumentProgram(DocumentBlocks(Source("docs/tutorial.md")), "translator.heed");
  EXPECT_EQ(Statements(program), Statements(FileBytes(Source("examples/transformer.heed"))));
}

TEST(Tutorial, PicturesAreSmallAndForLightAndDarkPages) {
  const std::vector<std::string> pictures = Pictures("docs/tutorial.md");
  EXPECT_GE(pictures.size(), 10u);
  for (const std::string& picture : pictures) {
    const std::string path = Source("docs/" + picture);
    EXPECT_LE(fs::file_size(path), kLargestPicture) << picture;
    EXPECT_NE(FileBytes(path).find("prefers-color-scheme: dark"), std::string::npos) << picture;
  }
}

TEST(Tutorial, PicturesAreThoseOfTheirScript) {
  const TemporaryFolder folder;
  const ProcessResult drawn = RunProcess({"python3", Source("scripts/tutorial_pictures.py"), folder / "."});
  ASSERT_TRUE(drawn.ok()) << drawn.err;
  int pictures = 0;
  for (const auto& entry : fs::directory_iterator(folder / ".")) {
    ++pictures;
    const std::string name = entry.path().filename().string();
    EXPECT_EQ(FileBytes(entry.path().string()), FileBytes(Source("docs/pictures/" + name)))
        << name << ": run scripts/tutorial_pictures.py docs/pictures";
  }
  EXPECT_GE(pictures, 5);
}

}  // namespace
}  // namespace heed::test
