// `init`, and value entries on lines of text as tables, on examples/attention/four_steps.heed: each value
// follows from those before, the words are the names, and what the README shows is what is printed.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "tests/support/expect.h"
#include "tests/support/model_support.h"

namespace heed::test {
namespace {

using Json = nlohmann::json;

std::vector<std::string> With(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

const BuiltProgram& Steps() {
  static const BuiltProgram* const program = [] {
    auto* built = new BuiltProgram(Source("examples/attention/four_steps.heed"));
    WriteBytes(built->File("sentence.txt"), "the cat sat on the mat\n");
    const std::string sentence = built->File("sentence.txt");
    const ProcessResult made = built->Run(
        {"init", "--text", sentence, "--text", sentence, "--out", built->File("weights.safetensors")});
    EXPECT_TRUE(made.ok()) << made.err;
    return built;
  }();
  return *program;
}
ProcessResult Step(const std::string& entry, const std::vector<std::string>& more = {}) {
  return Steps().Run(With(
      {entry, "--weights", Steps().File("weights.safetensors"), "--x", Steps().File("sentence.txt")}, more));
}
std::vector<std::vector<double>> StepNumbers(const std::string& entry) {
  const ProcessResult result = Step(entry, {"--json"});
  EXPECT_TRUE(result.ok()) << result.err;
  return Json::parse(result.out);
}

TEST(FourSteps, EachValueFollowsFromThoseBefore) {
  const auto q = StepNumbers("queries"), k = StepNumbers("keys"), v = StepNumbers("values");
  const auto scores = StepNumbers("scores"), scaled = StepNumbers("scaled"), weights = StepNumbers("weights");
  const auto output = StepNumbers("output"), embeddings = StepNumbers("embeddings");
  ASSERT_EQ(embeddings.size(), 6u);
  EXPECT_EQ(embeddings[0].size(), 512u);
  EXPECT_EQ(q[0].size(), 64u);
  // The same word has the same embedding but for its position's.
  EXPECT_NE(embeddings[0], embeddings[4]);
  EXPECT_NEAR(embeddings[0][511], embeddings[4][511], 1e-5);  // cos(4 / 10000^(255/256)) is nearly cos(0)
  for (size_t i = 0; i < 6; ++i) {
    double total = 0;
    for (size_t j = 0; j < 6; ++j) {
      double dot = 0;
      for (size_t e = 0; e < 64; ++e) dot += q[i][e] * k[j][e];
      EXPECT_NEAR(scores[i][j], dot, 1e-3);
      EXPECT_NEAR(scaled[i][j], dot / 8, 1e-4);
      total += std::exp(dot / 8);
    }
    for (size_t j = 0; j < 6; ++j) EXPECT_NEAR(weights[i][j], std::exp(scaled[i][j]) / total, 1e-4);
    for (size_t e = 0; e < 64; ++e) {
      double sum = 0;
      for (size_t j = 0; j < 6; ++j) sum += weights[i][j] * v[j][e];
      EXPECT_NEAR(output[i][e], sum, 1e-4);
    }
  }
}

/// The numbers of a table by the first word of each row, and the row as text.
std::vector<std::vector<double>> NumbersOf(const std::vector<std::string>& lines, size_t from) {
  std::vector<std::vector<double>> rows;
  for (size_t i = from; i < lines.size() && !lines[i].empty(); ++i) {
    std::istringstream in(lines[i]);
    std::string word;
    in >> word;
    auto& row = rows.emplace_back();
    while (in >> word)
      if (word != "...") row.push_back(std::stod(word));
  }
  return rows;
}

TEST(FourSteps, TablesHaveTheWordsAsNames) {
  const std::vector<std::string> lines = Lines(Step("weights").out);
  ASSERT_EQ(lines.size(), 9u);
  EXPECT_EQ(lines[0], "weights[seq 6, seq' 6]  the cat sat on the mat");
  EXPECT_TRUE(std::regex_match(lines[1], std::regex(" +the +cat +sat +on +the +mat"))) << lines[1];
  const char* const words[] = {"the", "cat", "sat", "on", "the", "mat"};
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(lines[i + 2].substr(0, lines[i + 2].find(' ')), words[i]);
  EXPECT_EQ(lines[8], "");
  const auto exact = StepNumbers("weights"), shown = NumbersOf(lines, 2);
  for (size_t i = 0; i < 6; ++i)
    for (size_t j = 0; j < 6; ++j) EXPECT_NEAR(shown[i][j], exact[i][j], 0.0051);
  // More digits; and an axis that does not fit is cut.
  const auto fine = NumbersOf(Lines(Step("weights", {"--precision", "5"}).out), 2);
  for (size_t i = 0; i < 6; ++i)
    for (size_t j = 0; j < 6; ++j) EXPECT_NEAR(fine[i][j], exact[i][j], 0.0000051);
  const std::vector<std::string> queries = Lines(Step("queries").out);
  EXPECT_TRUE(std::regex_match(queries[1], std::regex(" +0 +1 .* \\.\\.\\. +63"))) << queries[1];
  for (const std::string& line : queries) EXPECT_LE(line.size(), 80u);
}

// The tables that the README shows are those of the commands that it shows.
TEST(FourSteps, TheReadmeShowsWhatIsPrinted) {
  const std::string readme = FileBytes(Source("examples/attention/README.md"));
  int tables = 0;
  for (const char* step : {"queries", "scores", "weights", "output"}) {
    const size_t begin = readme.find(std::string("\n") + step + "[");
    ASSERT_NE(begin, std::string::npos) << step;
    const std::vector<std::string> shown =
        Lines(readme.substr(begin + 1, readme.find("\n\n", begin) - begin));
    const std::vector<std::string> printed = Lines(Step(step).out);
    EXPECT_EQ(shown[0], printed[0]);
    const auto a = NumbersOf(shown, 2), b = NumbersOf(printed, 2);
    for (size_t r = 0; r < 6; ++r) {
      ASSERT_EQ(a[r].size(), b[r].size()) << step;
      for (size_t c = 0; c < a[r].size(); ++c) EXPECT_NEAR(a[r][c], b[r][c], 0.011) << step << " row " << r;
    }
    ++tables;
  }
  EXPECT_EQ(tables, 4);
}

// ---- init

TEST(Init, IsAFunctionOfTheSeed) {
  const std::string first = Steps().File("a"), second = Steps().File("b");
  const auto init = [&](const std::string& out, const std::vector<std::string>& more) {
    const ProcessResult result = Steps().Run(With({"init", "--out", out}, more));
    EXPECT_TRUE(result.ok()) << result.err;
    return FileBytes(out);
  };
  const std::string a = init(first, {"--seed", "5"});
  EXPECT_EQ(a, init(second, {"--seed", "5"}));
  EXPECT_NE(a, init(second, {"--seed", "6"}));
  // All parameters, and nothing else.
  EXPECT_EQ(ReadTensors(first).size(), 5u);
}

TEST(Init, SaysWhatIsWrong) {
  const auto wrong = [](const std::vector<std::string>& arguments, int status, const std::string& message) {
    const ProcessResult result = Steps().Run(With({"init"}, arguments));
    EXPECT_EQ(result.status, status) << message;
    EXPECT_HAS(result.err, message);
  };
  const std::string out = Steps().File("out");
  wrong({}, 2, "--out is required");
  wrong({"--out", "/nowhere/w"}, 1, "there is no folder /nowhere");
  wrong({"--out", out, "--tokenizer", "bpe"}, 2,
        "--tokenizer bpe is made from a text; give one with --text FILE");
  wrong({"--out", out, "--tokenizer", "bytes"}, 1, "--set vocab=259");
  wrong({"--out", out, "--text", "/nowhere/t"}, 1, "cannot open /nowhere/t");
  wrong({"--out", out, "--tokenizer", out + ".model"}, 1, "out.model");
  EXPECT_FALSE(std::filesystem::exists(out));
  // Without a tokenizer the other commands say what is missing.
  ASSERT_TRUE(Steps().Run({"init", "--out", out}).ok());
  const ProcessResult result =
      Steps().Run({"weights", "--weights", out, "--x", Steps().File("sentence.txt")});
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "carries no tokenizer");
}

}  // namespace
}  // namespace heed::test
