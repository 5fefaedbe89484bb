// Checkpoints and programs of an earlier time give today what they gave then, bit for bit:
// tests/models/compat has programs, checkpoints and a transcript of commands with what they printed.
//
// In the transcript a line `$ command` stands before its output. Programs are built at one CPU level, so the
// numbers are those of every machine. Beside them there are commands of this test's own: `numbers FILE` lists
// the tensors of a file as hexadecimal floats, `losses LOG` those of a training log. To write a transcript
// anew, which is right only where a change of results is meant: HEED_COMPAT_RECORD=FILE, with
// HEED_COMPAT_HEED=HEED for the compiler that is to be the measure.
#include <gtest/gtest.h>

#include <bit>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/expect.h"
#include "tests/support/model_support.h"

namespace heed::test {
namespace {

std::vector<std::string> Words(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false, any = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
      any = true;
    } else if (c == ' ' && !quoted) {
      if (any) words.push_back(word);
      word.clear();
      any = false;
    } else {
      word += c;
      any = true;
    }
  }
  if (any) words.push_back(word);
  return words;
}

std::string Hexadecimal(double x) {
  char text[64];
  std::snprintf(text, sizeof text, "%a", x);
  return text;
}

/// The mean and the mean square of Adam are called optim.NAME.0 and .1 today, and were optim.m.NAME and
/// optim.v.NAME.
std::string EarlierName(const std::string& name) {
  const std::string prefix = "optim.";
  if (!name.starts_with(prefix)) return name;
  const std::string parameter = name.substr(prefix.size(), name.size() - prefix.size() - 2);
  return prefix + (name.ends_with(".0") ? "m." : "v.") + parameter;
}

/// Name and shape of every tensor; its elements, or of many the first and a sum of their bits.
std::string ListNumbers(const std::string& path) {
  std::string text;
  std::map<std::string, Numbers> tensors;
  for (const auto& [name, numbers] : ReadTensors(path)) tensors.emplace(EarlierName(name), numbers);
  for (const auto& [name, numbers] : tensors) {
    text += name + " [";
    for (size_t i = 0; i < numbers.shape.size(); ++i)
      text += (i ? ", " : "") + std::to_string(numbers.shape[i]);
    text += "]";
    uint64_t sum = 1469598103934665603u;  // FNV-1a
    for (const double x : numbers.data) sum = (sum ^ std::bit_cast<uint64_t>(x)) * 1099511628211u;
    for (size_t i = 0; i < std::min<size_t>(numbers.data.size(), 4); ++i)
      text += " " + Hexadecimal(numbers.data[i]);
    if (numbers.data.size() > 4) text += " ... " + std::to_string(sum);
    text += "\n";
  }
  return text;
}

std::string ListLosses(const std::string& path) {
  std::string text;
  for (const std::string& line : Lines(FileBytes(path))) {
    const auto object = nlohmann::json::parse(line);
    text += std::to_string(object["step"].get<int64_t>()) + " " + Hexadecimal(object["loss"].get<double>()) +
            "\n";
  }
  return text;
}

class Transcript {
 public:
  explicit Transcript(const std::string& source) {
    for (const auto& file : std::filesystem::directory_iterator(source))
      std::filesystem::copy(file.path(), folder_ / file.path().filename().string());
  }

  std::string Run(const std::string& line) {
    std::vector<std::string> words = Words(line);
    if (words[0] == "numbers") return ListNumbers(folder_ / words[1]);
    if (words[0] == "losses") return ListLosses(folder_ / words[1]);
    const char* const other = std::getenv("HEED_COMPAT_HEED");
    words[0] = words[0] == "heed" ? (other ? std::string(other) : Binary("heed")) : "./" + words[0];
    // Programs name files of their own folder.
    std::string input;
    if (const auto from = std::find(words.begin(), words.end(), "<"); from != words.end()) {
      input = FileBytes(folder_ / *(from + 1));
      words.erase(from, from + 2);
    }
    words.insert(words.begin(), {"/usr/bin/env", "-C", folder_ / "."});
    const ProcessResult result = RunProcess(words, input);
    if (!result.ok()) ADD_FAILURE() << line << " gives " << result.status << ": " << result.err;
    return result.out;
  }

 private:
  TemporaryFolder folder_;
};

TEST(Compatibility, EarlierCheckpointsGiveWhatTheyGave) {
  const std::vector<std::string> lines = Lines(FileBytes(Source("tests/models/compat/transcript.txt")));
  Transcript transcript(Source("tests/models/compat"));
  std::string now;
  for (size_t i = 0; i < lines.size();) {
    if (!lines[i].starts_with("$ ")) {
      now += lines[i++] + "\n";
      continue;
    }
    const std::string command = lines[i++].substr(2);
    std::string want;
    while (i < lines.size() && !lines[i].starts_with("$ ") && !lines[i].starts_with("#"))
      want += lines[i++] + "\n";
    const std::string got = transcript.Run(command);
    now += "$ " + command + "\n" + got;
    if (!std::getenv("HEED_COMPAT_RECORD")) EXPECT_EQ(got, want) << command;
  }
  if (const char* const path = std::getenv("HEED_COMPAT_RECORD")) WriteBytes(path, now);
}

}  // namespace
}  // namespace heed::test
