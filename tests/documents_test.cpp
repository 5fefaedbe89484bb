// What documents show, as far as nothing has to run: excerpts are of their files, links lead somewhere.
// tests/models/docs_model_test.cpp runs the rest.
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <string>
#include <vector>

#include "tests/support/document.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace heed::test {
namespace {

namespace fs = std::filesystem;

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
    if (line.rfind("```", 0) == 0)
      fenced = !fenced;
    else if (!fenced)
      prose += line + "\n";
  }
  prose = std::regex_replace(prose, code, "");
  std::vector<std::string> links;
  for (std::sregex_iterator at(prose.begin(), prose.end(), link), end; at != end; ++at)
    links.push_back((*at)[1]);
  return links;
}

TEST(Documents, ExcerptsAreOfTheirFiles) {
  for (const std::string& document : Documents()) {
    for (const DocumentBlock& block : DocumentBlocks(Source(document))) {
      if (block.Excerpted().empty()) continue;
      EXPECT_NE(FileBytes(Source(block.Excerpted())).find(block.text), std::string::npos)
          << document << ":" << block.line << ": " << block.Excerpted() << " does not have\n"
          << block.text;
    }
  }
}

TEST(Documents, LinksLeadSomewhere) {
  for (const std::string& document : Documents()) {
    for (const std::string& link : Links(document)) {
      if (link.find("://") != std::string::npos || link[0] == '#') continue;
      const fs::path target = fs::path(Source(document)).parent_path() / link.substr(0, link.find('#'));
      EXPECT_TRUE(fs::exists(target)) << document << " links to " << link;
    }
  }
}

}  // namespace
}  // namespace heed::test
