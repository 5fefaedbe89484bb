// Training and evaluation text: files of lines, parallel or a single stream, as sequences of ids. Nothing
// here knows programs or tensors.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/batches.h"
#include "runtime/text/tokenizer.h"

namespace heed {

/// A UTF-8 text file in memory, without the CR of CR LF.
class TextFile {
 public:
  /// What is of another format is an error that says which. An error names the first line with invalid bytes,
  /// or with `skip_invalid` such lines become empty and are
  /// counted. A byte order mark at the start is dropped.
  static Result<TextFile> Read(const std::string& path, bool skip_invalid);
  const std::string& path() const { return path_; }
  const std::string& text() const { return text_; }
  /// Without their newlines. A last line without one counts.
  std::vector<std::string_view> Lines() const;
  int64_t invalid_lines() const { return invalid_; }

 private:
  std::string path_, text_;
  int64_t invalid_ = 0;
};

/// Sequences that may overlap, in one array of ids.
struct Sequences {
  std::vector<int32_t> ids;
  struct Range {
    int64_t begin;
    int64_t length;
  };
  std::vector<Range> ranges;
  int64_t size() const { return static_cast<int64_t>(ranges.size()); }
  std::span<const int32_t> operator[](int64_t i) const {
    const Range& r = ranges[static_cast<size_t>(i)];
    return {ids.data() + r.begin, static_cast<size_t>(r.length)};
  }
};

/// Examples of one or two columns: (source, target), or one text.
struct Dataset : Lengths {
  std::vector<Sequences> columns;
  std::vector<int64_t> numbers;     ///< of each example: its line, or its window, from 0
  std::string from;                 ///< its file or files, for messages
  int64_t read = 0;                 ///< lines or windows, before skipping
  int64_t empty = 0, too_long = 0;  ///< skipped
  int64_t unknown = 0;              ///< unknown tokens in what is kept
  bool windows = false;             ///< cut from a stream
  int64_t size() const override { return columns.empty() ? 0 : columns[0].size(); }
  size_t sides() const override { return columns.size(); }
  int64_t Length(int64_t example, size_t side) const override {
    return columns[side].ranges[static_cast<size_t>(example)].length;
  }
  int64_t uniform() const override { return windows && size() > 0 ? Length(0, 0) : 0; }
  /// What messages call an example: "line 3 of FILE", "tokens 257 to 512 of FILE".
  std::string NameOf(int64_t example) const;
  /// Changes when any id does.
  uint64_t Fingerprint() const;
};

/// Line by line: the source gets the end token, the target `target_begin` (-1: the tokenizer's begin token)
/// and the end token, where there are such tokens. Skips pairs with an empty side and those over the bounds
/// (begin and end included; 0: no bound). Unequal line counts are an error, and so is nothing left.
Result<Dataset> ParallelData(const TextFile& source, const TextFile& target, const Tokenizer& tokenizer,
                             int64_t source_bound, int64_t target_bound, int32_t target_begin = -1);
/// One stream, from what the tokenizer puts before a text on, cut into windows of `window` tokens, each
/// starting on the last token of the one before. An error if there are fewer than two tokens.
Result<Dataset> WindowData(const TextFile& text, const Tokenizer& tokenizer, int64_t window);
/// "skipped 3 of 100 lines: 2 empty, 1 longer than ...", or empty.
std::string SkippedNotice(const Dataset& data, const std::string& what);

}  // namespace heed
