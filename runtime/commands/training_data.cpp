// See training_data.h.
#include "runtime/commands/training_data.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "runtime/base/names.h"
#include "runtime/commands/option_checks.h"
#include "runtime/data/tokenizer_files.h"
#include "runtime/engine/program.h"
#include "runtime/weights/checkpoint.h"

namespace heed {
namespace {
constexpr int64_t kExamplesOfABatch = 32;  // if nothing says how long they are
constexpr int64_t kComparedExamples = 64;  // if a loss compares them
}  // namespace

void TrainingData::Declare(CLI::App& app, const HeedProgram& program) {
  const auto minimized = EntriesOfKind(program, kHeedEntryMinimize);
  const bool texts = std::ranges::any_of(
      minimized, [&](const HeedEntry* entry) { return static_cast<bool>(TextArguments(program, *entry)); });
  const TextCounts counts = texts ? CountTexts(program, minimized) : TextCounts{};
  const auto named = [&](const char* name) {
    return std::ranges::any_of(minimized, [&](const HeedEntry* entry) {
      return std::ranges::any_of(DataArguments(program, *entry),
                                 [&](const DataArgument& one) { return one.name == name; });
    });
  };
  // An argument of the same name has the option too. Given all the same, Choose says what to give.
  const auto data = [&](const char* name, std::string& training, std::string& held_out, const char* help,
                        bool as_it_is) {
    const bool listed = as_it_is || named(name);
    const std::string what = as_it_is ? help : std::string("`") + name + "`, a line each";
    for (const bool valid : {false, true}) {
      app.add_option(std::string(valid ? "--valid-" : "--") + name, valid ? held_out : training,
                     (valid ? "held-out: " : "") + what)
          ->type_name("FILE")
          ->group(listed ? "Data" : "");
    }
  };
  data("source", source_, valid_source_, "source text, one line an example", counts.pair);
  data("target", target_, valid_target_, "its translations, line by line", counts.pair);
  data("text", text_, valid_text_, "one text, cut into windows", counts.single);
  app.add_option("--tokenizer", tokenizer_name_,
                 "bpe (the default), chars, bytes, or a file: tokenizer.json, vocab.json, .model")
      ->type_name("NAME|FILE")
      ->group("Data");
  app.add_flag("--skip-invalid", skip_invalid_, "leave out lines that are not valid UTF-8")->group("Data");
  batch_option_ = app.add_option("--batch", batch_, "rows x longest (source + target) tokens of a batch")
                      ->capture_default_str()
                      ->check(WholeNumber(1))
                      ->group("Data");
  batch_examples_option_ = app.add_option("--batch-examples", batch_examples_,
                                          "examples of a batch, however long (32 where all are equally long, "
                                          "64 where a loss compares them)")
                               ->check(WholeNumber(1))
                               ->type_name("N")
                               ->group("Data");
}

void TrainingData::DeclareArguments(CLI::App& app, const HeedProgram& program) {
  const auto minimized = EntriesOfKind(program, kHeedEntryMinimize);
  files_.Declare(app, program, minimized, "Arguments");
  valid_files_.Declare(app, program, minimized, "Arguments");
}

Status TrainingData::Choose(const HeedProgram& program, const HeedEntry& entry) {
  program_ = &program;
  entry_ = &entry;
  if (entry_->sees_batch && batch_option_->count() > 0) {
    return UsageError(std::string("--batch counts positions, and the loss of entry `") + entry_->name +
                      "` compares the examples of a batch: use --batch-examples N");
  }
  Result<std::vector<TextArgument>> texts = TextArguments(program, entry);
  const bool as_they_are = texts && texts->size() <= 2;
  if (!as_they_are) {
    // An argument called `text` has this option of the texts that are taken as they are.
    const std::pair<const char*, std::pair<std::string*, std::string*>> shared[] = {
        {"text", {&text_, &valid_text_}},
        {"source", {&source_, &valid_source_}},
        {"target", {&target_, &valid_target_}}};
    const std::vector<DataArgument> arguments = DataArguments(program, entry);
    for (const auto& [name, paths] : shared) {
      if (std::ranges::none_of(arguments, [&](const DataArgument& one) { return one.name == name; }))
        continue;
      if (!paths.first->empty()) files_.Name(name, std::exchange(*paths.first, ""));
      if (!paths.second->empty()) valid_files_.Name(name, std::exchange(*paths.second, ""));
    }
  }
  const bool any_text = !source_.empty() || !target_.empty() || !text_.empty() || !valid_source_.empty() ||
                        !valid_target_.empty() || !valid_text_.empty();
  if (!files_.Given() && as_they_are) {
    texts_ = std::move(*texts);
    if (valid_files_.Given())
      return UsageError(
          "--valid-data goes with --data: held-out examples are given as those of training are");
    return CheckTexts();
  }
  const std::string name = std::string("entry `") + entry.name + "`";
  if (any_text && !as_they_are) {
    return UsageError(name +
                      " takes other arguments than texts alone; give them with --data F, or each with " +
                      "an option of its name (see --help)");
  }
  if (any_text) return UsageError("give either texts (--text, --source, --target) or arguments (--data ...)");
  if (entry.argument_count > 0 && !files_.Given()) {
    std::vector<std::string> forms;
    for (const DataArgument& argument : DataArguments(program, entry))
      forms.push_back("`" + argument.name + "` (" + FormOf(argument) + ")");
    return UsageError(name + " takes " + ListNames(forms) +
                      "; give them with --data F, or each with an option " + "of its name (see --help)");
  }
  return Done{};
}

Status TrainingData::CheckTexts() const {
  const std::string name = std::string("entry `") + entry_->name + "`";
  if (texts_.size() == 2) {
    if (!text_.empty() || !valid_text_.empty()) {
      return UsageError(name + " takes two texts, `" + texts_[0].name + "` and `" + texts_[1].name +
                        "`: use --source and --target (--valid-source, --valid-target)");
    }
    if (source_.empty() || target_.empty())
      return UsageError("give the training text with --source F --target F");
    if (valid_source_.empty() != valid_target_.empty())
      return UsageError("--valid-source and --valid-target go together");
    return Done{};
  }
  if (!source_.empty() || !target_.empty() || !valid_source_.empty() || !valid_target_.empty()) {
    return UsageError(name + " takes one text, `" + texts_[0].name + "`: use --text (--valid-text)");
  }
  if (text_.empty()) return UsageError("give the training text with --text F");
  return Done{};
}

void TrainingData::AddRoles(FileRoles& roles) const {
  roles.Reads("--source", source_);
  roles.Reads("--target", target_);
  roles.Reads("--text", text_);
  roles.Reads("--valid-source", valid_source_);
  roles.Reads("--valid-target", valid_target_);
  roles.Reads("--valid-text", valid_text_);
  roles.ReadsTokenizer("--tokenizer", tokenizer_name_);
  files_.AddRoles(roles);
  valid_files_.AddRoles(roles);
}

Status TrainingData::Read(const Start& start, bool quiet, Progress& progress) {
  if (Status ok = texts_.empty() ? ReadArguments(start, progress) : ReadTexts(start, quiet, progress); !ok)
    return ok;
  return ChooseBatch(start);
}

Status TrainingData::ChooseBatch(const Start& start) {
  const bool asked = batch_option_->count() + batch_examples_option_->count() > 0;
  const bool alike = texts_.empty() && examples_->sides() == 0;
  if (alike && batch_option_->count() > 0) {
    return UsageError(std::string("--batch counts positions, and the examples of entry `") + entry_->name +
                      "` are all equally long: use --batch-examples N");
  }
  if (batch_option_->count() > 0 && batch_examples_option_->count() > 0)
    return UsageError("--batch and --batch-examples exclude each other");
  if (asked || !start.resumed) {
    size_ = BatchSize(batch_, batch_examples_);
    if (batch_examples_ == 0 && entry_->sees_batch)
      size_.examples = kComparedExamples;
    else if (batch_examples_ == 0 && alike)
      size_.examples = kExamplesOfABatch;
  } else {
    size_ = start.batch;
  }
  size_.mixed = entry_->sees_batch;
  return Done{};
}

Status TrainingData::ReadTexts(const Start& start, bool quiet, Progress& progress) {
  const bool parallel = texts_.size() == 2;
  std::vector<TextFile> files;
  for (const std::string& path : parallel ? std::vector{source_, target_} : std::vector{text_}) {
    Result<TextFile> file = ReadText(path, skip_invalid_);
    if (!file) return file.error();
    if (file->invalid_lines() > 0) {
      PrintWarning(path + ": left out " + std::to_string(file->invalid_lines()) +
                   " lines that are not valid UTF-8");
    }
    files.push_back(std::move(*file));
  }
  // Before the tokenizer is trained: a mistake here should show at once.
  if (parallel && files[0].Lines().size() != files[1].Lines().size()) {
    return ParallelData(files[0], files[1], *MakeByteTokenizer(), 0, 0).error();
  }
  std::vector<std::string_view> views;
  for (const TextFile& file : files) views.emplace_back(file.text());
  if (Status ok = ChooseTokenizer(start, views, parallel, progress); !ok) return ok;
  if (parallel) {
    if (Status ok = CheckEnds(texts_[1].axis); !ok) return ok;
  }
  Result<std::unique_ptr<TextExamples>> loaded = LoadTexts(files, quiet, "training");
  if (!loaded) return loaded.error();
  int64_t tokens = 0;
  for (const Sequences& column : (*loaded)->data().columns) tokens += static_cast<int64_t>(column.ids.size());
  counted_ = (parallel ? " pairs, " : " windows, ") + WithCommas(tokens) + " tokens";
  examples_ = std::move(*loaded);
  files.clear();
  for (const std::string& path :
       parallel ? std::vector{valid_source_, valid_target_} : std::vector{valid_text_}) {
    if (path.empty()) return Done{};
    Result<TextFile> file = ReadText(path, skip_invalid_);
    if (!file) return file.error();
    files.push_back(std::move(*file));
  }
  loaded = LoadTexts(files, quiet, "held-out");
  if (!loaded) return loaded.error();
  valid_ = std::move(*loaded);
  if (!parallel) return Done{};
  for (std::string_view line : files[0].Lines()) valid_source_lines_.emplace_back(std::string(line));
  for (std::string_view line : files[1].Lines()) valid_target_lines_.emplace_back(line);
  return Done{};
}

Result<std::unique_ptr<TextExamples>> TrainingData::LoadTexts(const std::vector<TextFile>& files, bool quiet,
                                                              const char* what) const {
  const bool parallel = texts_.size() == 2;
  Result<Dataset> loaded = parallel ? ParallelData(files[0], files[1], *tokenizer_, texts_[0].bound,
                                                   texts_[1].bound, BeginOf(*program_, texts_[1]))
                                    : WindowData(files[0], *tokenizer_, Window());
  if (!loaded) return loaded.error();
  const std::string skipped = SkippedNotice(*loaded, std::string(what) + (parallel ? " pairs" : " windows"));
  if (!skipped.empty()) PrintWarning(skipped);
  if (loaded->unknown > 0 && !quiet)
    PrintNote(std::string(what) + " text: " + WithCommas(loaded->unknown) + " unknown tokens");
  return std::make_unique<TextExamples>(std::move(*loaded), texts_);
}

Status TrainingData::ReadArguments(const Start& start, Progress& progress) {
  if (Status ok = files_.Open(*entry_, DataArguments(*program_, *entry_), skip_invalid_); !ok) return ok;
  const bool held_out = valid_files_.Given();
  if (held_out) {
    valid_files_.ShareValues(files_);
    if (Status ok = valid_files_.Open(*entry_, DataArguments(*program_, *entry_), skip_invalid_); !ok)
      return ok;
  }
  const Result<std::vector<std::string>> texts = files_.Texts();
  if (!texts) return texts.error();
  const std::vector<std::string_view> views(texts->begin(), texts->end());
  if (Status ok = ChooseTokenizer(start, views, /*lines=*/true, progress); !ok) return ok;
  for (const TextArgument& text : TextsOfEntry()) {
    if (!tokenizer_ || !RecordEnds(*program_, *entry_, text).end) continue;
    if (Status ok = CheckEnds(text.axis); !ok) return ok;
  }
  const auto tokenizer = [this]() -> Result<TokenizerPtr> {
    if (tokenizer_) return tokenizer_;
    return Error{"there is no tokenizer for this; name one with --tokenizer FILE"};
  };
  const auto read = [&](const ArgumentFiles& files, const char* what) -> Result<std::unique_ptr<Examples>> {
    Result<ArgumentExamples> examples =
        files.Read(EncoderFor(*program_, *entry_, tokenizer), {.leaves_out = true});
    if (!examples) return examples.error();
    const std::string notice = examples->LeftOutNotice(std::string(what) + " examples");
    if (!notice.empty()) PrintWarning(notice);
    return std::unique_ptr<Examples>(std::make_unique<ArgumentExamples>(std::move(*examples)));
  };
  Result<std::unique_ptr<Examples>> examples = read(files_, "training");
  if (!examples) return examples.error();
  examples_ = std::move(*examples);
  counted_ = " examples";
  if (!held_out) return Done{};
  examples = read(valid_files_, "held-out");
  if (!examples) return examples.error();
  valid_ = std::move(*examples);
  return Done{};
}

std::vector<TextArgument> TrainingData::TextsOfEntry() const {
  if (!texts_.empty()) return texts_;
  std::vector<TextArgument> texts;
  for (const DataArgument& argument : DataArguments(*program_, *entry_)) {
    if (!argument.tokens) continue;
    const bool along = !argument.dims.empty();
    texts.push_back({argument.name, along ? argument.dims[0].axis : "", along ? argument.dims[0].size : 0,
                     argument.indexes->name, argument.indexes->size});
  }
  return texts;
}

Status TrainingData::ChooseTokenizer(const Start& start, const std::vector<std::string_view>& texts,
                                     bool lines, Progress& progress) {
  const std::vector<TextArgument> arguments = TextsOfEntry();
  if (arguments.empty()) return Done{};
  int64_t vocabulary = arguments[0].vocabulary;
  for (const TextArgument& text : arguments) vocabulary = std::min(vocabulary, text.vocabulary);
  std::string made;
  if (tokenizer_name_.empty() && !start.weights.empty()) {
    Result<SafetensorsFile> file = SafetensorsFile::OpenCheckpoint(start.weights);
    if (!file) return file.error();
    if (file->metadata().contains("tokenizer") || !TokenizerIn(CheckpointFolder(start.weights)).empty()) {
      Result<TokenizerPtr> loaded = TokenizerFor("", start.weights);
      if (!loaded) return loaded.error();
      tokenizer_ = *loaded;
      made = "of " + start.weights;
    } else if (start.resumed && !texts.empty()) {
      return TokenizerFor("", start.weights).error();
    }
  }
  // Ids need none.
  if (!tokenizer_ && texts.empty() && tokenizer_name_.empty()) return Done{};
  if (!tokenizer_) {
    Result<MadeTokenizer> result =
        MakeTokenizer(tokenizer_name_, TokenizerSource{texts, arguments[0].indexes, vocabulary, lines});
    if (!result) return result.error();
    tokenizer_ = result->tokenizer;
    made = result->how;
  }
  if (Status ok = CheckTokenizer(*tokenizer_, arguments); !ok) return ok;
  progress.Print("tokenizer: " + std::string(tokenizer_->kind()) + ", " + WithCommas(tokenizer_->size()) +
                 " pieces " + made);
  return Done{};
}

/// Targets end with the tokenizer's end token; generating must look for it. (They begin with what generating
/// starts from.)
Status TrainingData::CheckEnds(const std::string& axis) const {
  const int64_t end = tokenizer_->eos();
  for (const HeedEntry* entry : EntriesOfKind(*program_, kHeedEntryGenerate)) {
    const std::span ends(entry->until, static_cast<size_t>(entry->until_count));
    if (entry->axis != axis || end < 0 || ends.empty()) continue;
    if (std::ranges::find(ends, end) != ends.end()) continue;
    std::vector<std::string> names;  // constants that may be what it ends at
    for (int64_t i = 0; i < program_->const_count; ++i) {
      const HeedConst& constant = program_->consts[i];
      if (constant.value == static_cast<double>(ends[0])) names.push_back(constant.name);
    }
    const std::string number = std::to_string(end);
    return Error{"entry `" + std::string(entry->name) + "` generates `until` " + std::to_string(ends[0]) +
                 ", but the tokenizer's end token is " + number + "; " +
                 (names.size() == 1 ? "build the program with --set " + names[0] + "=" + number
                                    : "make the constant in the program " + number)};
  }
  return Done{};
}

std::string TrainingData::Text() const {
  return WithCommas(examples_->size()) + counted_ +
         (valid_ ? "; held out: " + WithCommas(valid_->size()) : "");
}

std::string TrainingData::BatchText() const {
  return size_.examples > 0 ? "--batch-examples " + std::to_string(size_.examples)
                            : "--batch " + std::to_string(size_.tokens);
}

}  // namespace heed
