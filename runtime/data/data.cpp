// Reading text files and encoding them. Plain loops: a corpus of 10 MB takes about a
// second.
#include "runtime/data/data.h"

#include <algorithm>

#include "runtime/base/utf8.h"
#include "runtime/base/whole_file.h"
#include "runtime/text/file_kind.h"

namespace heed {
namespace {

int64_t CountOf(std::span<const int32_t> ids, int32_t id) { return std::count(ids.begin(), ids.end(), id); }

}  // namespace

Result<TextFile> TextFile::Read(const std::string& path, bool skip_invalid) {
  const Result<std::string> raw = ReadWholeFile(path);
  if (!raw) return raw.error();
  if (const std::string other = OtherThanText(*raw); !other.empty())
    return Error{path + " is not text; it is " + other};
  TextFile file;
  file.path_ = path;
  file.text_.reserve(raw->size());
  std::string_view rest = *raw;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  for (int64_t line = 1; !rest.empty(); ++line) {
    const size_t end = rest.find('\n');
    std::string_view content = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (content.ends_with('\r') && end != std::string_view::npos) content.remove_suffix(1);
    if (const auto bad = FindInvalidUtf8(content)) {
      if (!skip_invalid) {
        return Error{
            path + ":" + std::to_string(line) + ": byte " + std::to_string(*bad + 1) +
            " of the line is not valid UTF-8; correct the file, or skip such lines with --skip-invalid"};
      }
      ++file.invalid_;
      content = {};
    }
    file.text_ += content;
    if (end != std::string_view::npos) file.text_ += '\n';
  }
  return file;
}

std::vector<std::string_view> TextFile::Lines() const {
  std::vector<std::string_view> lines;
  const std::string_view text = text_;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::string Dataset::NameOf(int64_t example) const {
  if (!windows) return "line " + std::to_string(numbers[static_cast<size_t>(example)] + 1) + " of " + from;
  const Sequences::Range& range = columns[0].ranges[static_cast<size_t>(example)];
  return "tokens " + std::to_string(range.begin + 1) + " to " + std::to_string(range.begin + range.length) +
         " of " + from;
}

uint64_t Dataset::Fingerprint() const {
  uint64_t hash = 0xCBF29CE484222325ull;  // FNV-1a over words
  const auto add = [&](uint64_t value) { hash = (hash ^ value) * 0x100000001B3ull; };
  for (const Sequences& column : columns) {
    for (int32_t id : column.ids) add(static_cast<uint32_t>(id));
    for (const Sequences::Range& range : column.ranges) add(static_cast<uint64_t>(range.length));
  }
  return hash;
}

Result<Dataset> ParallelData(const TextFile& source, const TextFile& target, const Tokenizer& tokenizer,
                             int64_t source_bound, int64_t target_bound, int32_t target_begin) {
  const std::vector<std::string_view> sources = source.Lines(), targets = target.Lines();
  if (sources.size() != targets.size()) {
    return Error{source.path() + " has " + std::to_string(sources.size()) + " lines, but " + target.path() +
                 " has " + std::to_string(targets.size()) +
                 "; line n of one must be the translation of line n of the other"};
  }
  Dataset data;
  data.columns.resize(2);
  data.from = source.path() + " and " + target.path();
  data.read = static_cast<int64_t>(sources.size());
  const auto add = [](Sequences& column, std::span<const int32_t> ids) {
    column.ranges.push_back({static_cast<int64_t>(column.ids.size()), static_cast<int64_t>(ids.size())});
    column.ids.insert(column.ids.end(), ids.begin(), ids.end());
  };
  const auto fits = [](const std::vector<int32_t>& ids, int64_t bound) {
    return bound <= 0 || static_cast<int64_t>(ids.size()) <= bound;
  };
  for (size_t i = 0; i < sources.size(); ++i) {
    std::vector<int32_t> x = tokenizer.Encode(sources[i]), y = tokenizer.Encode(targets[i]);
    if (x.empty() || y.empty()) {
      ++data.empty;
      continue;
    }
    if (tokenizer.eos() >= 0) x.push_back(tokenizer.eos());
    const int32_t begin = target_begin >= 0 ? target_begin : tokenizer.bos();
    if (begin >= 0) y.insert(y.begin(), begin);
    if (tokenizer.eos() >= 0) y.push_back(tokenizer.eos());
    if (!fits(x, source_bound) || !fits(y, target_bound)) {
      ++data.too_long;
      continue;
    }
    data.unknown += CountOf(x, tokenizer.unk()) + CountOf(y, tokenizer.unk());
    add(data.columns[0], x);
    add(data.columns[1], y);
    data.numbers.push_back(static_cast<int64_t>(i));
  }
  if (data.size() == 0) {
    return Error{"nothing to use in " + source.path() + " and " + target.path() + ": " +
                 (data.read == 0 ? "they are empty" : SkippedNotice(data, "pairs"))};
  }
  return data;
}

Result<Dataset> WindowData(const TextFile& text, const Tokenizer& tokenizer, int64_t window) {
  Dataset data;
  data.windows = true;
  data.columns.resize(1);
  data.from = text.path();
  Sequences& column = data.columns[0];
  column.ids = EncodeFromStart(tokenizer, text.text());
  const auto count = static_cast<int64_t>(column.ids.size());
  if (count < 2) {
    return Error{text.path() + " has " + std::to_string(count) +
                 " tokens; at least 2 are needed, to predict one"};
  }
  for (int64_t begin = 0; begin + 1 < count; begin += window - 1) {
    data.numbers.push_back(column.size());
    column.ranges.push_back({begin, std::min(window, count - begin)});
  }
  data.read = data.size();
  data.unknown = CountOf(column.ids, tokenizer.unk());
  return data;
}

std::string SkippedNotice(const Dataset& data, const std::string& what) {
  if (data.empty + data.too_long == 0) return "";
  std::string text = "skipped " + std::to_string(data.empty + data.too_long) + " of " +
                     std::to_string(data.read) + " " + what + ": ";
  if (data.empty > 0) text += std::to_string(data.empty) + " with an empty side";
  if (data.empty > 0 && data.too_long > 0) text += ", ";
  if (data.too_long > 0) text += std::to_string(data.too_long) + " longer than the program's axes allow";
  return text;
}

}  // namespace heed
