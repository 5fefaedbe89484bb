// See value_lines.h. Lines are taken in order, a few at a time; results do not depend on how many.
#include "runtime/commands/value_lines.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/engine/program.h"
#include "runtime/text/labels.h"

namespace heed {
namespace {

constexpr int64_t kTokensAtOnce = 4096;
constexpr size_t kLinesAtOnce = 512;

/// Some lines of all texts, and their ids: [text][line].
struct Chunk {
  explicit Chunk(size_t texts) : lines(texts), ids(texts) {}
  std::vector<std::vector<std::string>> lines;
  std::vector<std::vector<std::vector<int32_t>>> ids;
};

/// The files of all texts, read side by side.
class LineFiles {
 public:
  explicit LineFiles(std::span<const std::string> paths) : paths_(paths.begin(), paths.end()) {}
  ~LineFiles() {
    for (const int file : opened_) close(file);
  }
  LineFiles(const LineFiles&) = delete;
  LineFiles& operator=(const LineFiles&) = delete;

  Status Open() {
    for (const std::string& path : paths_) {
      int file = STDIN_FILENO;
      if (path != "-") {
        file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (file < 0) return Error{"cannot open " + path + ": " + std::strerror(errno)};
        opened_.push_back(file);
      }
      readers_.emplace_back(file, NameOf(readers_.size()));
      readers_.back().warn_of_json = true;
    }
    return Done{};
  }
  /// What a message calls a text.
  std::string NameOf(size_t text) const { return paths_[text] == "-" ? "standard input" : paths_[text]; }

  /// As many lines of each as the first has without waiting; none at the end. An error if one has fewer.
  Result<std::vector<std::vector<std::string>>> Read() {
    std::vector<std::vector<std::string>> lines(readers_.size());
    for (size_t t = 0; t < readers_.size(); ++t) {
      const size_t wanted = t == 0 ? kLinesAtOnce : std::max<size_t>(lines[0].size(), 1);
      do {
        if (Status ok = ReadMore(t, wanted, lines[t]); !ok) return ok.error();
      } while (t > 0 && !ended_ && lines[t].size() < wanted);
      ended_ = false;
      if (lines[t].size() != lines[0].size()) return Unequal(t);
    }
    return lines;
  }

 private:
  /// Adds lines of text t, up to `wanted`; at its end says so.
  Status ReadMore(size_t t, size_t wanted, std::vector<std::string>& lines) {
    const Result<std::vector<InputLine>> more =
        readers_[t].Read(wanted - lines.size(), /*skip_invalid=*/false);
    if (!more) return more.error();
    for (const InputLine& line : *more) lines.push_back(*line);
    counts_[t] += more->size();
    ended_ = more->empty();
    return Done{};
  }
  Error Unequal(size_t t) {
    for (const size_t one : {size_t{0}, t}) {
      std::vector<std::string> rest;
      do {
        rest.clear();
        if (Status ok = ReadMore(one, kLinesAtOnce, rest); !ok) return ok.error();
      } while (!ended_);
    }
    return Error{NameOf(0) + " has " + std::to_string(counts_[0]) + " lines, " + NameOf(t) + " has " +
                 std::to_string(counts_[t])};
  }

  std::vector<std::string> paths_;
  std::vector<int> opened_;
  std::vector<LineReader> readers_;
  std::vector<size_t> counts_ = std::vector<size_t>(paths_.size());  // lines read
  bool ended_ = false;                                               // the last one read
};

/// Computes on lines and prints, a few lines at a time.
class LineComputer {
 public:
  LineComputer(Engine& engine, const HeedEntry& entry, std::span<const TextArgument> texts,
               const Tokenizer& tokenizer, const Parameters& parameters, const LinesOptions& options,
               std::FILE* out)
      : engine_(engine),
        function_(*entry.forward),
        texts_(texts),
        tokenizer_(tokenizer),
        parameters_(parameters),
        width_(options.width),
        printer_(engine.program(), entry, options, out) {
    for (const TextArgument& text : texts) ends_.push_back(EndsOf(engine.program(), text).With(options.ends));
  }

  /// The next lines, by text. Those before one that cannot be worked on are printed.
  Status Add(const LineFiles& files, std::vector<std::vector<std::string>> lines) {
    for (size_t i = 0; i < lines[0].size(); ++i, ++number_) {
      std::vector<std::vector<int32_t>> row;
      int64_t tokens = 0;
      for (size_t t = 0; t < texts_.size(); ++t) {
        row.push_back(LineIds(tokenizer_, lines[t][i], ends_[t]));
        const auto count = static_cast<int64_t>(row[t].size());
        tokens += count;
        std::string problem;
        if (count == 0) problem = "an empty line gives nothing to compute with";
        if (texts_[t].bound > 0 && count > texts_[t].bound) {
          problem = std::to_string(count) + " tokens, " + texts_[t].axis + " is bounded by " +
                    std::to_string(texts_[t].bound);
        }
        if (problem.empty()) continue;
        if (Status ok = Compute(files); !ok) return ok;
        return Error{files.NameOf(t) + ":" + std::to_string(number_ + 1) + ": " + problem};
      }
      const int64_t longest = std::max(longest_, tokens);
      if (longest * static_cast<int64_t>(numbers_.size() + 1) > kTokensAtOnce) {
        if (Status ok = Compute(files); !ok) return ok;
      }
      longest_ = std::max(longest_, tokens);
      numbers_.push_back(number_);
      for (size_t t = 0; t < texts_.size(); ++t) {
        chunk_.ids[t].push_back(std::move(row[t]));
        chunk_.lines[t].push_back(std::move(lines[t][i]));
      }
    }
    return Compute(files);
  }

 private:
  Status Compute(const LineFiles& files) {
    if (numbers_.empty()) return Done{};
    std::vector<Rows> rows;
    for (const auto& column : chunk_.ids) rows.emplace_back(column.begin(), column.end());
    const auto name = [&](int64_t row) {
      return "line " + std::to_string(numbers_[static_cast<size_t>(row)] + 1) + " of " + files.NameOf(0);
    };
    auto results = engine_.Call(function_, TextInputs(function_, texts_, rows, numbers_), parameters_,
                                nullptr, {.name_of = name});
    if (!results) return results.error();
    const HostTensor& tensor = results->find(function_.outputs[0].name)->second;
    for (size_t i = 0; i < numbers_.size(); ++i) printer_.Print(tensor, static_cast<int64_t>(i), Shown(i));
    numbers_.clear();
    chunk_ = Chunk(texts_.size());
    longest_ = 0;
    return Done{};
  }

  /// Line i of the chunk.
  ShownExample Shown(size_t i) const {
    ShownExample shown;
    for (size_t t = 0; t < texts_.size(); ++t) {
      shown.lengths[texts_[t].axis] = static_cast<int64_t>(chunk_.ids[t][i].size());
      std::vector<std::string>& words = shown.words[texts_[t].axis];
      for (int32_t id : chunk_.ids[t][i]) words.push_back(TokenLabel(tokenizer_, id));
      shown.text += (t == 0 ? "" : " | ") + Shortened(chunk_.lines[t][i], width_);
    }
    return shown;
  }

  Engine& engine_;
  const HeedFunction& function_;
  std::span<const TextArgument> texts_;
  const Tokenizer& tokenizer_;
  const Parameters& parameters_;
  int64_t width_;  // of headings
  ResultPrinter printer_;
  std::vector<TextEnds> ends_;
  int64_t number_ = 0;  // of the next line
  // What is computed on next.
  Chunk chunk_{texts_.size()};
  std::vector<int64_t> numbers_;
  int64_t longest_ = 0;  // tokens of a line
};

}  // namespace

Status ComputeOnLines(Engine& engine, const HeedEntry& entry, std::span<const TextArgument> texts,
                      std::span<const std::string> paths, const Tokenizer& tokenizer,
                      const Parameters& parameters, const LinesOptions& options, std::FILE* out) {
  if (entry.forward == nullptr || entry.forward->output_count == 0) {
    return Error{std::string("entry `") + entry.name + "` has no result"};
  }
  LineFiles files(paths);
  if (Status ok = files.Open(); !ok) return ok;
  LineComputer computer(engine, entry, texts, tokenizer, parameters, options, out);
  for (;;) {
    Result<std::vector<std::vector<std::string>>> lines = files.Read();
    if (!lines) return lines.error();
    if ((*lines)[0].empty()) return Done{};
    if (Status ok = computer.Add(files, std::move(*lines)); !ok) return ok;
    if (std::fflush(out) != 0 || std::ferror(out)) return FlushOutput();
  }
}

}  // namespace heed
