// See value_lines.h. Lines are taken in order, a few at a time; results do not depend on how many.
#include "runtime/commands/value_lines.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "runtime/commands/table.h"
#include "runtime/engine/program.h"
#include "runtime/text/labels.h"

namespace heed {
namespace {

constexpr int64_t kTokensAtOnce = 4096;
constexpr size_t kLinesAtOnce = 512;

/// An element as text: numbers that are not finite are as `number` says.
template <typename Number>
std::string ElementText(const HostTensor& tensor, int64_t index, Number number) {
  const auto i = static_cast<size_t>(index);
  if (tensor.dtype() == kHeedInt32) return std::to_string(tensor.ints()[i]);
  if (tensor.dtype() == kHeedBool8)
    return static_cast<const uint8_t*>(tensor.data())[i] != 0 ? "true" : "false";
  return number(static_cast<double>(tensor.floats()[i]));
}

std::string NineDigits(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

/// A part of a result, as nested arrays.
void AppendJson(std::string& text, const HostTensor& tensor, std::span<const TableAxis> axes,
                int64_t offset) {
  if (axes.empty()) {
    text += ElementText(tensor, offset,
                        [](double value) { return std::isfinite(value) ? NineDigits(value) : "null"; });
    return;
  }
  text += '[';
  for (int64_t i = 0; i < axes[0].size; ++i) {
    if (i > 0) text += ", ";
    AppendJson(text, tensor, axes.subspan(1), offset + i * axes[0].stride);
  }
  text += ']';
}

/// Some lines of all texts, and their ids: [text][line].
struct Chunk {
  explicit Chunk(size_t texts) : lines(texts), ids(texts) {}
  std::vector<std::vector<std::string>> lines;
  std::vector<std::vector<std::vector<int32_t>>> ids;
};

class LinePrinter {
 public:
  LinePrinter(const HeedProgram& program, const HeedEntry& entry, std::span<const TextArgument> texts,
              const Tokenizer& tokenizer, const LinesOptions& options, std::FILE* out)
      : program_(program),
        entry_(entry),
        texts_(texts),
        tokenizer_(tokenizer),
        options_(options),
        out_(out) {}

  /// Line i of a chunk, which is example i of the result.
  void Print(const HostTensor& tensor, const Chunk& chunk, size_t i) {
    const std::vector<TableAxis> axes = Axes(tensor, chunk, i);
    const int64_t offset = HasBatch() ? static_cast<int64_t>(i) * (tensor.count() / tensor.shape()[0]) : 0;
    std::string text;
    if (options_.json) {
      AppendJson(text, tensor, axes, offset);
      text += "\n";
    } else if (axes.empty()) {
      text = ElementText(tensor, offset, [&](double value) {
        return options_.precision < 0 ? NineDigits(value) : CellText(value, options_.precision);
      });
      text += "\n";
    } else {
      const int precision = options_.precision < 0 ? 2 : options_.precision;
      const auto cell = [&](int64_t at) {
        return ElementText(tensor, offset + at, [&](double value) { return CellText(value, precision); });
      };
      text = Heading(axes, chunk, i) + TableText(axes, cell, options_.width) + "\n";
    }
    std::fwrite(text.data(), 1, text.size(), out_);
  }

 private:
  /// A result that depends on no argument is the same for all lines.
  bool HasBatch() const {
    const HeedTensorInfo& info = entry_.forward->outputs[0];
    return info.rank > 0 && std::string_view(info.dims[0].axis) == "batch";
  }

  /// Those of one example of the result, at its own lengths.
  std::vector<TableAxis> Axes(const HostTensor& tensor, const Chunk& chunk, size_t i) const {
    const HeedTensorInfo& info = entry_.forward->outputs[0];
    std::vector<TableAxis> axes;
    const size_t first = HasBatch() ? 1 : 0;
    for (size_t d = first; d < tensor.shape().size(); ++d) {
      TableAxis& axis = axes.emplace_back();
      axis.name = info.dims[d].axis;
      axis.size = tensor.shape()[d];
      for (size_t t = 0; t < texts_.size(); ++t) {
        if (info.dims[d].extent < 0 || RootOf(axis.name) != texts_[t].axis) continue;
        axis.size = static_cast<int64_t>(chunk.ids[t][i].size());
        axis.words = true;
        for (int32_t id : chunk.ids[t][i]) axis.labels.push_back(TokenLabel(tokenizer_, id));
      }
      const HeedAxis* declared = FindAxis(program_, RootOf(axis.name));
      if (!axis.words && declared != nullptr && declared->enumerator_count == axis.size)
        axis.labels.assign(declared->enumerators, declared->enumerators + declared->enumerator_count);
    }
    int64_t stride = 1;
    for (size_t d = tensor.shape().size(); d-- > first; stride *= tensor.shape()[d])
      axes[d - first].stride = stride;
    return axes;
  }

  /// "scores[seq 6, seq' 6]  the cat sat on the mat"
  std::string Heading(const std::vector<TableAxis>& axes, const Chunk& chunk, size_t i) const {
    std::string text = entry_.name;
    for (size_t a = 0; a < axes.size(); ++a)
      text += (a == 0 ? "[" : ", ") + axes[a].name + " " + std::to_string(axes[a].size);
    text += "] ";
    for (size_t t = 0; t < texts_.size(); ++t)
      text += (t == 0 ? " " : " | ") + Shortened(chunk.lines[t][i], options_.width);
    return text + "\n";
  }

  const HeedProgram& program_;
  const HeedEntry& entry_;
  std::span<const TextArgument> texts_;
  const Tokenizer& tokenizer_;
  const LinesOptions& options_;
  std::FILE* out_;
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
        printer_(engine.program(), entry, texts, tokenizer, options, out) {
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
    for (size_t i = 0; i < numbers_.size(); ++i) printer_.Print(tensor, chunk_, i);
    numbers_.clear();
    chunk_ = Chunk(texts_.size());
    longest_ = 0;
    return Done{};
  }

  Engine& engine_;
  const HeedFunction& function_;
  std::span<const TextArgument> texts_;
  const Tokenizer& tokenizer_;
  const Parameters& parameters_;
  LinePrinter printer_;
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
