// Shared parts of the commands on text; see the header. Prints nothing but warnings and notes.
#include "runtime/commands/text_lines.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

#include "runtime/base/base64.h"
#include "runtime/base/names.h"
#include "runtime/base/utf8.h"
#include "runtime/data/tokenizer_files.h"
#include "runtime/engine/program.h"
#include "runtime/text/file_kind.h"
#include "runtime/weights/checkpoint.h"

namespace heed {

Result<TokenizerPtr> TokenizerFor(const std::string& option, const std::string& weights) {
  if (option == "bytes") return MakeByteTokenizer();
  if (option == "bpe" || option == "chars") {
    return UsageError("--tokenizer " + option +
                      " makes a tokenizer from training text; here it must be a file or bytes");
  }
  if (!option.empty()) return LoadTokenizer(option);
  Result<SafetensorsFile> file = SafetensorsFile::OpenCheckpoint(weights);
  if (!file) return file.error();
  const auto found = file->metadata().find("tokenizer");
  if (found == file->metadata().end()) {
    // A published model in its folder.
    const std::string beside = TokenizerIn(CheckpointFolder(weights));
    if (!beside.empty()) {
      PrintNote("the tokenizer is " + beside);
      return LoadTokenizer(beside);
    }
    return Error{weights + " carries no tokenizer; name one with --tokenizer FILE"};
  }
  const auto bytes = DecodeBase64(found->second);
  if (!bytes) return Error{weights + ": the tokenizer in the metadata is damaged"};
  Result<TokenizerPtr> tokenizer = DeserializeTokenizer(*bytes);
  if (!tokenizer) return Error{weights + ": " + tokenizer.error().message};
  return tokenizer;
}

namespace {
void WarnOfJson(const std::string& name) {
  PrintWarning(name +
               " is JSON, and is taken as plain text with its braces, quotes and keys; take the text out "
               "first if that is meant, as `jq -r .text` does");
}
}  // namespace

Result<TextFile> ReadText(const std::string& path, bool skip_invalid) {
  Result<TextFile> file = TextFile::Read(path, skip_invalid);
  if (file && IsJson(file->text())) WarnOfJson(path);
  return file;
}

Result<MadeTokenizer> MakeTokenizer(const std::string& option, const TokenizerSource& source) {
  MadeTokenizer made{nullptr, "from the training text"};
  if (option.empty() || option == "bpe") {
    const BpeTraining trained = TrainBpe(source.texts, {source.vocabulary, source.lines});
    made.tokenizer = trained.tokenizer;
    if (trained.left_out > 0) {
      PrintWarning("`" + source.axis + "` is too small for the " + std::to_string(trained.characters) +
                   " different characters of the text: the rarest " + std::to_string(trained.left_out) +
                   " are unknown. Consider --set " + source.axis + "=N at build, or --tokenizer bytes");
    } else if (made.tokenizer->size() < source.vocabulary) {
      made.how +=
          ", which gives no more (`" + source.axis + "` has room for " + WithCommas(source.vocabulary) + ")";
    }
  } else if (option == "chars") {
    made.tokenizer = MakeCharacterTokenizer(source.texts);
  } else if (option == "bytes") {
    made = {MakeByteTokenizer(), ""};
  } else {
    Result<TokenizerPtr> loaded = LoadTokenizer(option);
    if (!loaded) return loaded.error();
    made = {*loaded, "of " + option};
  }
  return made;
}

Status CheckTokenizer(const Tokenizer& tokenizer, std::span<const TextArgument> texts) {
  for (const TextArgument& text : texts) {
    if (tokenizer.size() > text.vocabulary) {
      return Error{"the tokenizer has " + WithCommas(tokenizer.size()) + " pieces, but `axis " +
                   text.indexes + " = " + std::to_string(text.vocabulary) + "` has room for " +
                   WithCommas(text.vocabulary) + "; build the program with --set " + text.indexes + "=" +
                   std::to_string(tokenizer.size())};
    }
  }
  return Done{};
}

TextCounts CountTexts(const HeedProgram& program, std::span<const HeedEntry* const> entries) {
  TextCounts counts;
  for (const HeedEntry* entry : entries) {
    const Result<std::vector<TextArgument>> texts = TextArguments(program, *entry);
    counts.single = counts.single || (texts && texts->size() == 1);
    counts.pair = counts.pair || (texts && texts->size() == 2);
  }
  return counts.single || counts.pair ? counts : TextCounts{true, true};
}

std::vector<int32_t> StartTokens(const HeedEntry& entry, const Tokenizer& tokenizer) {
  if (entry.from >= 0) return {static_cast<int32_t>(entry.from)};
  if (tokenizer.bos() >= 0) return {tokenizer.bos()};
  if (tokenizer.eos() >= 0) return {tokenizer.eos()};
  return {};
}

int32_t BeginOf(const HeedProgram& program, const TextArgument& target) {
  for (const HeedEntry* entry : EntriesOfKind(program, kHeedEntryGenerate))
    if (entry->axis == target.axis && entry->from >= 0) return static_cast<int32_t>(entry->from);
  return -1;
}

namespace {
bool IsGenerated(const HeedProgram& program, const std::string& axis) {
  return std::ranges::any_of(EntriesOfKind(program, kHeedEntryGenerate),
                             [&](const HeedEntry* entry) { return entry->axis == axis; });
}
}  // namespace

TextEnds EndsOf(const HeedProgram& program, const TextArgument& text) {
  for (const HeedEntry* entry : EntriesOfKind(program, kHeedEntryMinimize)) {
    const Result<std::vector<TextArgument>> texts = TextArguments(program, *entry);
    if (texts && texts->size() == 2) {
      if ((*texts)[0].axis == text.axis) return {false, true};
      if ((*texts)[1].axis == text.axis) return {true, true, BeginOf(program, text)};
    }
    const bool beside = !texts && std::any_of(entry->arguments, entry->arguments + entry->argument_count,
                                              [&](const HeedArgument& argument) {
                                                const auto other = AsText(program, argument);
                                                return other && other->axis == text.axis;
                                              });
    if (beside && IsGenerated(program, text.axis)) return {true, true, BeginOf(program, text)};
  }
  return {};
}

TextEnds RecordEnds(const HeedProgram& program, const HeedEntry& entry, const TextArgument& text) {
  if (entry.kind == kHeedEntryMinimize && entry.argument_count == 1 && IsGenerated(program, text.axis)) {
    const int32_t begin = BeginOf(program, text);
    return {begin >= 0, true, begin};
  }
  return EndsOf(program, text);
}

std::vector<int32_t> LineIds(const Tokenizer& tokenizer, std::string_view line, TextEnds ends) {
  std::vector<int32_t> ids;
  const int32_t begin = ends.begin_id >= 0 ? ends.begin_id : tokenizer.bos();
  if (ends.begin && begin >= 0) ids.push_back(begin);
  const std::vector<int32_t> pieces = tokenizer.Encode(line);
  ids.insert(ids.end(), pieces.begin(), pieces.end());
  if (ends.end && tokenizer.eos() >= 0) ids.push_back(tokenizer.eos());
  return ids;
}

namespace {

using LineResults = std::vector<std::vector<LineResult>>;

/// Those of a line before it is worked on.
std::vector<LineResult> NoResults(const LineJob& job) {
  return std::vector<LineResult>(static_cast<size_t>(std::max<int64_t>(1, job.options.best)));
}

/// Decodes requests in batches of about the same length; `size` is what a row of each counts.
Status DecodeInBatches(Decoder& decoder, const LineJob& job, std::vector<DecodeRequest>& requests,
                       const std::vector<size_t>& places, std::span<const int64_t> sizes,
                       LineResults& results) {
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return sizes[a] < sizes[b]; });
  const int64_t rows_each = job.options.sample ? job.options.best : job.options.beam;
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    std::vector<DecodeRequest> batch;
    while (end < order.size()) {
      const auto rows = static_cast<int64_t>(end - begin + 1) * std::max<int64_t>(1, rows_each);
      if (end > begin && rows * sizes[order[end]] > job.budget) break;
      batch.push_back(std::move(requests[order[end]]));
      ++end;
    }
    auto decoded = decoder.Decode(batch, job.options);
    if (!decoded) return decoded.error();
    for (size_t i = begin; i < end; ++i) {
      std::vector<LineResult>& of_line = results[places[order[i]]];
      const std::vector<int32_t>& prefix = batch[i - begin].prefix;
      const size_t hidden = job.echo ? 0 : job.tokenizer->Decode(prefix).size();
      for (size_t k = 0; k < of_line.size() && k < (*decoded)[i - begin].size(); ++k) {
        const Decoded& one = (*decoded)[i - begin][k];
        const std::string text = job.tokenizer->Decode(one.ids);
        of_line[k] = {text.substr(std::min(hidden, text.size())), one.score};
      }
    }
    begin = end;
  }
  return Done{};
}

}  // namespace

Result<std::vector<int32_t>> PromptTokens(const Decoder& decoder, const LineJob& job,
                                          std::string_view prompt) {
  std::vector<int32_t> ids = EncodeFromStart(*job.tokenizer, prompt);
  if ((job.begin_token && job.tokenizer->before().empty()) || ids.empty()) {
    const std::vector<int32_t> start = StartTokens(*job.entry, *job.tokenizer);
    if (start.empty()) return Error{"nothing to start from: give a prompt"};
    ids.insert(ids.begin(), start.begin(), start.end());
  }
  const TextArgument& text = decoder.variable();
  if (text.bound > 0 && static_cast<int64_t>(ids.size()) > text.bound) {
    return Error{"the prompt has " + std::to_string(ids.size()) + " tokens, but `" + text.axis +
                 "` takes at most " + std::to_string(text.bound) + "; shorten it"};
  }
  return ids;
}

LineAnswers TranslateLines(Decoder& decoder, const LineJob& job, std::span<const InputLine> lines,
                           int64_t first_line) {
  const TextArgument& source = decoder.sources()[0];
  std::vector<int32_t> prefix = StartTokens(*job.entry, *job.tokenizer);
  prefix.insert(prefix.end(), job.prompt.begin(), job.prompt.end());
  if (prefix.empty())
    return {{}, Error{"nothing to start from: the entry has no `from` and the tokenizer no begin token"}};
  const TextArgument& target = decoder.variable();
  if (target.bound > 0 && static_cast<int64_t>(prefix.size()) > target.bound) {
    return {{},
            Error{"the prompt has " + std::to_string(prefix.size()) + " tokens, but `" + target.axis +
                  "` takes at most " + std::to_string(target.bound) + "; shorten it"}};
  }
  std::optional<Error> problem;
  LineResults results;
  std::vector<DecodeRequest> requests;
  std::vector<size_t> places;
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < lines.size(); ++i) {
    std::vector<int32_t> ids = job.tokenizer->Encode(lines[i].value_or(""));
    if (ids.empty()) continue;
    if (job.tokenizer->eos() >= 0) ids.push_back(job.tokenizer->eos());
    const auto size = static_cast<int64_t>(ids.size());
    if (source.bound > 0 && size > source.bound) {
      if (job.long_is_empty) continue;
      problem = Error{"line " + std::to_string(first_line + static_cast<int64_t>(i)) + " has " +
                      std::to_string(size) + " tokens, but `" + source.axis + "` takes at most " +
                      std::to_string(source.bound) +
                      "; split the line, or leave such lines empty with --skip-long"};
      lines = lines.first(i);
      break;
    }
    DecodeRequest request{{std::move(ids)}, prefix, first_line - 1 + static_cast<int64_t>(i), 0};
    const int64_t by_source = 2 * size + 10;
    if (job.limit_by_source && (job.options.max_new == 0 || by_source < job.options.max_new))
      request.max_new = by_source;
    requests.push_back(std::move(request));
    places.push_back(i);
    sizes.push_back(2 * size);
  }
  results.resize(lines.size(), NoResults(job));
  if (Status ok = DecodeInBatches(decoder, job, requests, places, sizes, results); !ok)
    return {{}, ok.error()};
  // One line in, one line out, whatever a half-trained model says.
  for (std::vector<LineResult>& of_line : results)
    for (LineResult& result : of_line) std::replace(result.text.begin(), result.text.end(), '\n', ' ');
  return {std::move(results), std::move(problem)};
}

LineAnswers CompleteLines(Decoder& decoder, const LineJob& job, std::span<const InputLine> lines,
                          int64_t first_line) {
  std::optional<Error> problem;
  LineResults results;
  std::vector<DecodeRequest> requests;
  std::vector<size_t> places;
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i]) continue;
    const int64_t number = first_line - 1 + static_cast<int64_t>(i);
    Result<std::vector<int32_t>> ids = PromptTokens(decoder, job, *lines[i]);
    if (!ids) {
      problem = Error{"standard input:" + std::to_string(number + 1) + ": " + ids.error().message};
      lines = lines.first(i);
      break;
    }
    sizes.push_back(2 * static_cast<int64_t>(ids->size()));
    requests.push_back({{}, std::move(*ids), number, 0});
    places.push_back(i);
  }
  results.resize(lines.size(), NoResults(job));
  if (Status ok = DecodeInBatches(decoder, job, requests, places, sizes, results); !ok)
    return {{}, ok.error()};
  return {std::move(results), std::move(problem)};
}

void KeepToPieces(Decoder& decoder, TokenizerPtr tokenizer) {
  decoder.ChooseOnly([tokenizer = std::move(tokenizer)](int32_t id) { return tokenizer->Has(id); });
}

void LineReader::AwaitInput() const {
  sigset_t interrupt, before;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  // Only ppoll lets one through, so that none is missed between looking and waiting.
  pthread_sigmask(SIG_BLOCK, &interrupt, &before);
  for (;;) {
    if (Interrupted()) on_interrupt();
    pollfd ready{descriptor_, POLLIN, 0};
    if (ppoll(&ready, 1, nullptr, &before) >= 0 || errno != EINTR) break;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool LineReader::Fill(bool wait) {
  if (ended_) return false;
  if (!wait) {
    pollfd ready{descriptor_, POLLIN, 0};
    if (poll(&ready, 1, 0) <= 0 || (ready.revents & (POLLIN | POLLHUP)) == 0) return false;
  }
  if (wait && on_interrupt) AwaitInput();
  char block[1 << 16];
  ssize_t count;
  do count = read(descriptor_, block, sizeof block);
  while (count < 0 && errno == EINTR);
  if (count <= 0) {
    if (count < 0) failure_ = errno;
    ended_ = true;
    return false;
  }
  buffer_.append(block, static_cast<size_t>(count));
  if (!looked_) {
    looked_ = true;
    // A few NUL bytes may stand in a short line; what is binary throughout is longer.
    constexpr size_t kTelling = 256;
    if (buffer_.size() >= kTelling || buffer_.find('\0') == std::string::npos)
      other_ = OtherThanText(buffer_);
    if (warn_of_json && other_.empty() && IsJson(buffer_)) WarnOfJson(name_);
  }
  return true;
}

Result<std::vector<InputLine>> LineReader::Read(size_t at_most, bool skip_invalid) {
  std::vector<InputLine> lines;
  size_t begin = 0;
  while (lines.size() < at_most) {
    if (!other_.empty()) return Error{name_ + " is not text; it is " + other_};
    size_t end = buffer_.find('\n', std::max(begin, searched_));
    if (end == std::string::npos) {
      searched_ = buffer_.size();
      if (Fill(lines.empty()) || buffer_.size() > searched_) continue;
      if (!ended_ || begin == buffer_.size()) break;
      end = buffer_.size();  // the last line has no newline
    }
    std::string line = buffer_.substr(begin, end - begin);
    if (line.ends_with('\r') && end < buffer_.size()) line.pop_back();
    if (line_ == 0 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
    const bool valid = !FindInvalidUtf8(line);
    if (!valid && !skip_invalid) {
      if (!lines.empty()) break;
      return Error{name_ + ":" + std::to_string(line_ + 1) + ": not valid UTF-8; " + remedy};
    }
    begin = std::min(end + 1, buffer_.size());
    ++line_;
    skipped_ += valid ? 0 : 1;
    lines.push_back(valid ? InputLine(std::move(line)) : InputLine());
  }
  buffer_.erase(0, begin);
  searched_ = searched_ > begin ? searched_ - begin : 0;
  if (failure_ != 0 && lines.empty()) {
    return Error{"cannot read " + name_ + ": " +
                 (failure_ == EISDIR ? "it is a folder" : std::strerror(failure_))};
  }
  return lines;
}

}  // namespace heed
