// What the commands that work on text share: the tokenizer that goes with weights, whether it fits the
// program, and lines in and out of a `generate` entry.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "runtime/commands/command.h"
#include "runtime/decode/decode.h"
#include "runtime/engine/program.h"
#include "runtime/text/tokenizer.h"

namespace heed {

/// `option` ("bytes", a file or a folder) if it is not empty, else the tokenizer in the checkpoint `weights`,
/// or one that is published beside it, which a note announces.
Result<TokenizerPtr> TokenizerFor(const std::string& option, const std::string& weights);
/// TextFile::Read, and a warning if the text is JSON.
Result<TextFile> ReadText(const std::string& path, bool skip_invalid);
/// What a tokenizer is made of, and for.
struct TokenizerSource {
  std::span<const std::string_view> texts;
  std::string axis;        ///< the vocabulary
  int64_t vocabulary = 0;  ///< its size
  bool lines = false;      ///< the texts are lines: spaces are normalised. Else one stream, kept as it is
};
struct MadeTokenizer {
  TokenizerPtr tokenizer;
  std::string how;  ///< for people, after "bpe, 500 pieces "
};
/// `option` is "bpe" or empty, "chars", "bytes" or a file. Warns if the vocabulary is too small for the
/// characters of the texts.
Result<MadeTokenizer> MakeTokenizer(const std::string& option, const TokenizerSource& source);
/// An error if it has more pieces than a text's vocabulary.
Status CheckTokenizer(const Tokenizer& tokenizer, std::span<const TextArgument> texts);

/// How many texts some of the entries take: which options --help lists. Both if none takes one or two.
struct TextCounts {
  bool single = false, pair = false;
};
TextCounts CountTexts(const HeedProgram& program, std::span<const HeedEntry* const> entries);

/// Which tokens stand around the ids of a text.
struct TextEnds {
  bool begin = false, end = false;
  int32_t begin_id = -1;  ///< in place of the tokenizer's begin token, if it is one
  TextEnds With(const TextEnds& more) const { return {begin || more.begin, end || more.end, begin_id}; }
};
/// What a target along this axis begins with: what the `generate` entry along it starts from, where that is a
/// constant; else -1.
int32_t BeginOf(const HeedProgram& program, const TextArgument& target);
/// As `train` gives texts along that axis to the program: the first of two gets the end token, the second
/// both, a single one (cut from a stream) none. A text beside arguments of other kinds gets both along the
/// axis that a `generate` entry makes. None if nothing is trained on such texts.
TextEnds EndsOf(const HeedProgram& program, const TextArgument& text);
/// The same of a text in a record: along the axis that a `generate` entry makes, what is learned begins as
/// that entry begins (with nothing, where it continues a prompt) and ends; elsewhere as EndsOf says.
TextEnds RecordEnds(const HeedProgram& program, const HeedEntry& entry, const TextArgument& text);
/// Ids of a line; ends that the tokenizer does not have are left out.
std::vector<int32_t> LineIds(const Tokenizer& tokenizer, std::string_view line, TextEnds ends);

/// What makes requests of lines and texts of results.
struct LineJob {
  const HeedEntry* entry = nullptr;
  const Tokenizer* tokenizer = nullptr;
  DecodeOptions options;
  int64_t budget = 4096;         ///< rows x (source + as much again for the target) of one batch
  bool limit_by_source = false;  ///< stop at twice the source's tokens and ten more, if that is earlier
  bool long_is_empty = false;    ///< a source over its axis' bound gives an empty line, not an error
  std::vector<int32_t> prompt;   ///< tokens that every result starts with, after the begin token
  bool begin_token = false;      ///< before every prompt, not only before an empty one
  bool echo = true;              ///< results have the prompt
};
/// A generated text on one line.
struct LineResult {
  std::string text;
  double score = 0;
};
/// What became of lines: the results of each, in order, the best first, DecodeOptions::best of them (where
/// there are fewer, empty ones). They end before a line that cannot be worked on.
struct LineAnswers {
  std::vector<std::vector<LineResult>> lines;
  std::optional<Error> problem;
};
/// A line of input; nothing if it is not valid UTF-8.
using InputLine = std::optional<std::string>;
/// Results of lines that are source texts, of a decoder with one source; those of empty and invalid lines are
/// empty. `first_line` (from 1) is for messages, and its lines number the examples.
LineAnswers TranslateLines(Decoder& decoder, const LineJob& job, std::span<const InputLine> lines,
                           int64_t first_line);
/// Results of lines that are prompts, of a decoder without sources; those of invalid lines are empty.
LineAnswers CompleteLines(Decoder& decoder, const LineJob& job, std::span<const InputLine> lines,
                          int64_t first_line);
/// Keeps a decoder from choosing ids that stand for nothing.
void KeepToPieces(Decoder& decoder, TokenizerPtr tokenizer);
/// The tokens of a prompt, with the begin token where it is due. An error if there are none, or too many.
Result<std::vector<int32_t>> PromptTokens(const Decoder& decoder, const LineJob& job,
                                          std::string_view prompt);
/// What a generated text starts with: the entry's `from`, else the tokenizer's begin token, else its end
/// token. Nothing if there is none of them.
std::vector<int32_t> StartTokens(const HeedEntry& entry, const Tokenizer& tokenizer);

/// Lines of a file, as they come.
class LineReader {
 public:
  /// Of an open file; `name` is for messages.
  explicit LineReader(int descriptor, std::string name = "standard input")
      : descriptor_(descriptor), name_(std::move(name)) {}
  /// Waits for at least one line, then takes as many as can be had without waiting, `at_most` in all. Empty
  /// at the end. CR before LF is dropped, and so is a byte order mark at the start. An error names the line
  /// with invalid UTF-8, after those before it were read; with `skip_invalid` it is counted instead. What
  /// begins as another format is an error that says which.
  Result<std::vector<InputLine>> Read(size_t at_most, bool skip_invalid);
  int64_t skipped() const { return skipped_; }
  /// Warn if the text begins as JSON does, as ReadText warns.
  bool warn_of_json = false;
  /// What to do about a line that is not valid UTF-8, for messages.
  std::string remedy = "correct the text";
  /// Called for a Ctrl-C (see CatchInterrupts) that comes before the input or while it is awaited; forgets
  /// it.
  std::function<void()> on_interrupt;

 private:
  void AwaitInput() const;
  bool Fill(bool wait);  // false: nothing to be had (now, or ever)
  int descriptor_;
  std::string name_, buffer_;
  bool looked_ = false;  // at what it begins with
  std::string other_;    // the format that it has instead of text
  size_t searched_ = 0;  // bytes of buffer_ in which no line ends
  bool ended_ = false;
  int failure_ = 0;  // errno of a failed read
  int64_t line_ = 0, skipped_ = 0;
};

}  // namespace heed
