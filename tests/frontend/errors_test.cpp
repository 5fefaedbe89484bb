// Every kind of message has a program in tests/errors/ that provokes it, and nothing but what it expects: the
// first lines of <Kind>.heed are `# EXPECT: <line>:<col> <Kind>`, one for each message of `heed check` (the
// real command);
// `# SET: NAME=N` adds --set. Also: exit status, no warnings about good programs, the programs of the
// documentation.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "frontend/diagnostics.h"
#include "passes/pass.h"
#include "tests/support/paths.h"

namespace heed {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

struct Outcome {
  int status = -1;
  std::string text;  ///< both streams
};
std::string Quoted(const std::string& text) { return "'" + text + "'"; }  // no quotes in our paths
Outcome Heed(const std::string& arguments) {
  Outcome outcome;
  FILE* pipe = popen((Quoted(test::Binary("heed")) + " " + arguments + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  char buffer[4096];
  for (size_t count; (count = fread(buffer, 1, sizeof buffer, pipe)) > 0;) outcome.text.append(buffer, count);
  const int status = pclose(pipe);
  outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
  return outcome;
}
std::string Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// "3:14 Kind" of every message.
Strings Messages(const std::string& output, const std::string& file) {
  Strings found;
  std::istringstream lines(output);
  const std::regex kind(R"(\[([A-Za-z0-9]+)\]$)");
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (line.rfind("error: ", 0) == 0 && std::regex_search(line, match, kind)) {  // no place in the file
      found.push_back("0:0 " + match[1].str());
    }
    if (line.rfind(file + ":", 0) != 0) continue;
    const size_t end = line.find(": ", file.size());
    if (end == std::string::npos || !std::regex_search(line, match, kind)) continue;
    found.push_back(line.substr(file.size() + 1, end - file.size() - 1) + " " + match[1].str());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string KindIn(const std::string& message) { return message.substr(message.find(' ') + 1); }

class ErrorProgram : public testing::TestWithParam<std::string> {};

TEST_P(ErrorProgram, GivesItsMessage) {
  const std::string path = test::Source("tests/errors/" + GetParam() + ".heed");
  ASSERT_TRUE(fs::exists(path)) << "no program provokes " << GetParam();
  Strings expected;
  std::string arguments = "check ";
  std::istringstream lines(Read(path));
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# EXPECT: ", 0) == 0) {
      expected.push_back(line.substr(10));
    } else if (line.rfind("# SET: ", 0) == 0) {
      arguments += "--set " + line.substr(7) + " ";
    } else {
      break;
    }
  }
  ASSERT_FALSE(expected.empty());
  std::sort(expected.begin(), expected.end());
  std::set<std::string> kinds;
  for (const std::string& message : expected) kinds.insert(KindIn(message));
  EXPECT_TRUE(kinds.count(GetParam()));
  const Outcome outcome = Heed(arguments + Quoted(path));
  const Strings messages = Messages(outcome.text, path);
  for (const std::string& message : expected) {
    EXPECT_NE(std::find(messages.begin(), messages.end(), message), messages.end()) << message << "\n"
                                                                                    << outcome.text;
  }
  bool errors = false;
  for (const frontend::DiagnosticKind kind : frontend::AllKinds()) {
    if (frontend::SeverityOf(kind) == frontend::Severity::Warning) continue;
    errors |= kinds.count(std::string(frontend::KindName(kind))) != 0;
    if (kinds.count(std::string(frontend::KindName(kind)))) continue;
    for (const std::string& message : messages) {
      EXPECT_NE(KindIn(message), frontend::KindName(kind)) << "an error that nobody made\n" << outcome.text;
    }
  }
  EXPECT_EQ(outcome.status, errors ? 1 : 0) << outcome.text;
}

Strings AllKindNames() {
  Strings names;
  for (const frontend::DiagnosticKind kind : frontend::AllKinds())
    names.emplace_back(frontend::KindName(kind));
  return names;
}
INSTANTIATE_TEST_SUITE_P(AllKinds, ErrorProgram, testing::ValuesIn(AllKindNames()),
                         [](const auto& info) { return info.param; });

TEST(ErrorPrograms, AreAllOfAKind) {
  const Strings names = AllKindNames();
  for (const auto& file : fs::directory_iterator(test::Source("tests/errors"))) {
    if (file.path().extension() != ".heed") continue;
    EXPECT_NE(std::find(names.begin(), names.end(), file.path().stem().string()), names.end())
        << file.path() << " is not named after a kind of diagnostics.def";
  }
}

TEST(Passes, HaveATextTest) {
  for (const std::string_view name : passes::PassNames()) {
    const std::string path = test::Source("tests/lit/passes/" + std::string(name) + ".hir");
    EXPECT_NE(Read(path).find("--passes "), std::string::npos)
        << path << " should run the pass and check its result";
  }
}

TEST(Kinds, AreDocumentedInOneLine) {
  for (const frontend::DiagnosticKind kind : frontend::AllKinds()) {
    const std::string_view doc = frontend::KindDoc(kind);
    EXPECT_GT(doc.size(), 10u) << frontend::KindName(kind);
    EXPECT_EQ(doc.find('\n'), doc.npos);
  }
}

TEST(Check, GoodProgramsGiveNoMessages) {
  for (const auto& file : fs::directory_iterator(test::Source("examples"))) {
    if (file.path().extension() != ".heed") continue;
    const Outcome outcome = Heed("check -q " + Quoted(file.path().string()));
    EXPECT_EQ(outcome.status, 0);
    EXPECT_EQ(outcome.text, "");
  }
}

TEST(Check, ProgramOfTheDocumentation) {
  std::istringstream lines(Read(test::Source("docs/language.md")));
  std::string program;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("```", 0) == 0) {
      if (inside) break;
      inside = true;
    } else if (inside) {
      program += line + "\n";
    }
  }
  ASSERT_NE(program.find("entry train"), std::string::npos);
  const fs::path path =
      fs::temp_directory_path() / ("heed_documentation_" + std::to_string(getpid()) + ".heed");
  std::ofstream(path) << program;
  Outcome outcome = Heed("check -q " + Quoted(path.string()));
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.text, "");
  outcome = Heed("fmt --check " + Quoted(path.string()));
  EXPECT_EQ(outcome.status, 0) << outcome.text;
  fs::remove(path);
}

}  // namespace
}  // namespace heed
