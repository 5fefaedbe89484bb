// `train`: options, tokenizer, data and starting point of a run; the run itself is train.cpp's.
#include "runtime/train/train.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/base/base64.h"
#include "runtime/base/file_writer.h"
#include "runtime/base/names.h"
#include "runtime/commands/command.h"
#include "runtime/commands/end_tokens.h"
#include "runtime/commands/file_roles.h"
#include "runtime/commands/optimizer_options.h"
#include "runtime/commands/option_checks.h"
#include "runtime/commands/text_lines.h"
#include "runtime/data/tokenizer_files.h"
#include "runtime/engine/program.h"
#include "runtime/text/bleu.h"
#include "runtime/weights/checkpoint.h"

namespace heed {
namespace {

using Json = nlohmann::ordered_json;

std::string Number(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

class TrainCommand final : public Command {
 public:
  explicit TrainCommand(const CommandLine& line) : line_(line), program_(line.program()) {
    out_ = program_.source_name;
    out_ = out_.substr(out_.find_last_of('/') + 1);
    if (out_.ends_with(".heed")) out_.resize(out_.size() - 5);
    out_ += ".safetensors";
  }
  std::string Name() const override { return "train"; }
  std::string Summary() const override { return "train on text; writes a checkpoint"; }

  void Declare(CLI::App& app) override {
    app.add_option("--entry", entry_name_, "which `minimize` entry, if there are several");
    const auto data = [&](const char* name, std::string& value, const char* help, bool listed) {
      // Given all the same, CheckOptions says what to give.
      app.add_option(name, value, help)->type_name("FILE")->group(listed ? "Data" : "");
    };
    const auto minimized = EntriesOfKind(line_.program(), kHeedEntryMinimize);
    const TextCounts counts = CountTexts(line_.program(), minimized);
    data("--source", source_, "source text, one line an example", counts.pair);
    data("--target", target_, "its translations, line by line", counts.pair);
    data("--text", text_, "one text, cut into windows", counts.single);
    data("--valid-source", valid_source_, "held-out source", counts.pair);
    data("--valid-target", valid_target_, "held-out target", counts.pair);
    data("--valid-text", valid_text_, "held-out text", counts.single);
    app.add_option("--tokenizer", tokenizer_name_,
                   "bpe (the default), chars, bytes, or a file: tokenizer.json, vocab.json, .model")
        ->type_name("NAME|FILE")
        ->group("Data");
    app.add_flag("--skip-invalid", skip_invalid_, "leave out lines that are not valid UTF-8")->group("Data");
    batch_option_ = app.add_option("--batch", batch_, "rows x longest (source + target) tokens of a batch")
                        ->capture_default_str()
                        ->check(WholeNumber(1))
                        ->group("Data");
    app.add_option("--steps", steps_,
                   "in all, with those before --resume (10000 without --steps and --minutes)")
        ->check(WholeNumber(1))
        ->group("Length");
    app.add_option("--minutes", minutes_, "stop after so many minutes")
        ->check(NumberAboveZero())
        ->group("Length");
    seed_option_ = app.add_option("--seed", seed_, "of parameters, order and dropout")
                       ->check(WholeNumber(0))
                       ->capture_default_str();
    optimizer_.Declare(app, "Optimizer");
    app.add_flag("-q,--quiet", quiet_, "no progress");
    if (line_.profiler()) {
      // A profile leaves nothing behind: the run is short, and what it learns is thrown away.
      out_.clear();
      app.add_option("--weights,--init", init_, "start from these weights: a file, an index, or a folder")
          ->type_name("W")
          ->group("Files");
      return;
    }
    DeclareFiles(app);
  }

  Result<int> Run() override {
    if (Status ok = ChooseEntry(); !ok) return ok.error();
    if (Status ok = CheckOptions(); !ok) return ok.error();
    Progress progress(quiet_);
    if (Status ok = ReadCheckpoint(); !ok) return ok.error();
    const Result<OptimizerOptions> optimizer = optimizer_.Read(steps_);
    if (!optimizer) return optimizer.error();
    if (Status ok = CheckFiles(); !ok) return ok.error();
    if (Status ok = out_.empty() ? Status(Done{}) : CheckCanWrite(out_); !ok) return ok.error();
    if (Status ok = ReadData(progress); !ok) return ok.error();

    ThreadPool pool(line_.threads());
    Engine engine(program_, pool, line_.profiler());
    ParameterBlock parameters(program_);
    OptimizerState moments = MakeState(*optimizer->optimizer, program_);
    if (Status ok = StartingPoint(parameters, moments, progress); !ok) return ok.error();
    TrainPlan plan;
    plan.optimizer = *optimizer;
    if (Status ok = MakePlan(plan); !ok) return ok.error();
    std::optional<Decoder> decoder;
    if (valid_bleu_) {
      if (Status ok = PrepareBleu(plan, engine, parameters, decoder); !ok) return ok.error();
    }
    Announce(plan, progress);
    StopGently();
    const Result<TrainEnd> end = Train(plan, engine, parameters, moments, state_, progress);
    progress.Finish();
    if (!end) return end.error();
    if (out_.empty()) return *end == TrainEnd::Interrupted ? kExitInterrupted : kExitDone;
    if (*end == TrainEnd::Interrupted) {
      PrintNote("stopped after step " + std::to_string(state_.step) + "; saved in " + out_ +
                ". To go on, repeat the command with --resume " + out_);
      return kExitInterrupted;
    }
    progress.Print("saved " + out_ + " after step " + std::to_string(state_.step));
    return kExitDone;
  }

 private:
  void DeclareFiles(CLI::App& app) {
    out_option_ = app.add_option("--out", out_, "checkpoint to write")
                      ->type_name("W.safetensors")
                      ->capture_default_str()
                      ->group("Files");
    app.add_option("--save-every", save_every_, "steps between checkpoints")
        ->capture_default_str()
        ->check(WholeNumber(0))
        ->group("Files");
    app.add_option("--eval-every", eval_every_, "steps between validations")
        ->capture_default_str()
        ->check(WholeNumber(0))
        ->group("Files");
    app.add_flag("--valid-bleu", valid_bleu_, "translate the held-out source too (greedily), for BLEU")
        ->group("Files");
    app.add_option("--resume", resume_, "go on from this checkpoint")
        ->type_name("W.safetensors")
        ->group("Files");
    app.add_option("--init", init_, "start from these weights: a file, an index of files, or a folder")
        ->type_name("W")
        ->group("Files");
    app.add_option("--log", log_, "one JSON object a step")->type_name("F.jsonl")->group("Files");
  }

  Status ChooseEntry() {
    const std::vector<const HeedEntry*> entries = EntriesOfKind(program_, kHeedEntryMinimize);
    if (!entry_name_.empty()) {
      Result<const HeedEntry*> found = FindEntry(program_, entry_name_);
      if (!found) return UsageError(found.error().message);
      entry_ = *found;
      if (entry_->kind != kHeedEntryMinimize)
        return UsageError("entry `" + entry_name_ + "` does not minimize anything");
    } else if (entries.size() > 1) {
      std::vector<std::string> names;
      for (const HeedEntry* entry : entries) names.push_back(entry->name);
      return UsageError("this program can minimize " + ListNames(names) + "; choose with --entry");
    } else {
      entry_ = entries.front();
    }
    Result<std::vector<TextArgument>> texts = TextArguments(program_, *entry_);
    if (!texts) return texts.error();
    if (texts->size() > 2) {
      return Error{"entry `" + std::string(entry_->name) + "` takes " + std::to_string(texts->size()) +
                   " texts; train handles one (--text) or two (--source, --target)"};
    }
    texts_ = std::move(*texts);
    return Done{};
  }

  Status CheckOptions() {
    const bool parallel = texts_.size() == 2;
    const std::string name = std::string("entry `") + entry_->name + "`";
    if (parallel) {
      if (!text_.empty() || !valid_text_.empty()) {
        return UsageError(name + " takes two texts, `" + texts_[0].name + "` and `" + texts_[1].name +
                          "`: use --source and --target (--valid-source, --valid-target)");
      }
      if (source_.empty() || target_.empty())
        return UsageError("give the training text with --source F --target F");
      if (valid_source_.empty() != valid_target_.empty()) {
        return UsageError("--valid-source and --valid-target go together");
      }
    } else {
      if (!source_.empty() || !target_.empty() || !valid_source_.empty() || !valid_target_.empty()) {
        return UsageError(name + " takes one text, `" + texts_[0].name + "`: use --text (--valid-text)");
      }
      if (text_.empty()) return UsageError("give the training text with --text F");
    }
    if (!resume_.empty() && !init_.empty()) return UsageError("--resume and --init exclude each other");
    if (valid_bleu_ && valid_source_.empty())
      return UsageError("--valid-bleu needs --valid-source and --valid-target");
    if (steps_ == 0 && minutes_ == 0) steps_ = line_.profiler() ? 20 : 10000;
    return Done{};
  }

  /// No output may be an input, but for a checkpoint that is resumed.
  Status CheckFiles() const {
    FileRoles roles;
    roles.Reads("--source", source_);
    roles.Reads("--target", target_);
    roles.Reads("--text", text_);
    roles.Reads("--valid-source", valid_source_);
    roles.Reads("--valid-target", valid_target_);
    roles.Reads("--valid-text", valid_text_);
    roles.ReadsTokenizer("--tokenizer", tokenizer_name_);
    roles.ReadsWeights("--init", init_);
    roles.ReadsWeights("--resume", resume_);
    roles.Writes("--out", out_, resume_);
    roles.Writes("--log", log_);
    return roles.Check();
  }

  /// State, options and tokenizer of --resume; explicit options win.
  Status ReadCheckpoint() {
    if (resume_.empty()) return Done{};
    Result<SafetensorsFile> file = SafetensorsFile::Open(resume_);
    if (!file) return file.error();
    if (out_option_->count() == 0) out_ = resume_;
    Result<std::optional<TrainState>> state = StateFrom(file->metadata());
    if (!state) return Error{resume_ + ": " + state.error().message};
    if (!*state) {
      return Error{resume_ + " holds weights but not where training stopped; start from them with --init " +
                   resume_};
    }
    resumed_ = **state;
    if (seed_option_->count() == 0) seed_ = resumed_->seed;
    if (batch_option_->count() == 0) batch_ = resumed_->batch;
    const auto found = file->metadata().find("options");
    const Json saved = found == file->metadata().end() ? Json() : Json::parse(found->second, nullptr, false);
    return optimizer_.Restore(OptimizerOf(*file), saved, resume_);
  }

  Status ReadData(Progress& progress) {
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
    if (Status ok = ChooseTokenizer(files, progress); !ok) return ok.error();
    const auto load = [&](const std::vector<TextFile>& from, Dataset& data, const char* what) -> Status {
      Result<Dataset> loaded = parallel ? ParallelData(from[0], from[1], *tokenizer_, texts_[0].bound,
                                                       texts_[1].bound, BeginOf(program_, texts_[1]))
                                        : WindowData(from[0], *tokenizer_, Window());
      if (!loaded) return loaded.error();
      data = std::move(*loaded);
      const std::string skipped = SkippedNotice(data, std::string(what) + (parallel ? " pairs" : " windows"));
      if (!skipped.empty()) PrintWarning(skipped);
      if (data.unknown > 0 && !quiet_) {
        PrintNote(std::string(what) + " text: " + WithCommas(data.unknown) + " unknown tokens");
      }
      return Done{};
    };
    if (Status ok = load(files, data_, "training"); !ok) return ok.error();
    files.clear();
    for (const std::string& path :
         parallel ? std::vector{valid_source_, valid_target_} : std::vector{valid_text_}) {
      if (path.empty()) return Done{};
      Result<TextFile> file = ReadText(path, skip_invalid_);
      if (!file) return file.error();
      files.push_back(std::move(*file));
    }
    valid_.emplace();
    if (Status ok = load(files, *valid_, "held-out"); !ok) return ok.error();
    if (valid_bleu_) {
      for (std::string_view line : files[0].Lines()) valid_source_lines_.emplace_back(std::string(line));
      for (std::string_view line : files[1].Lines()) valid_target_lines_.emplace_back(line);
    }
    return Done{};
  }

  int64_t Window() const { return texts_[0].bound > 1 ? texts_[0].bound : 256; }

  Status ChooseTokenizer(const std::vector<TextFile>& files, Progress& progress) {
    int64_t vocabulary = texts_[0].vocabulary;
    for (const TextArgument& text : texts_) vocabulary = std::min(vocabulary, text.vocabulary);
    std::vector<std::string_view> views;
    for (const TextFile& file : files) views.emplace_back(file.text());
    std::string made;
    const std::string from = !resume_.empty() ? resume_ : init_;
    if (tokenizer_name_.empty() && !from.empty()) {
      Result<SafetensorsFile> file = SafetensorsFile::OpenCheckpoint(from);
      if (!file) return file.error();
      if (file->metadata().contains("tokenizer") || !TokenizerIn(CheckpointFolder(from)).empty()) {
        Result<TokenizerPtr> loaded = TokenizerFor("", from);
        if (!loaded) return loaded.error();
        tokenizer_ = *loaded;
        made = "of " + from;
      } else if (!resume_.empty()) {
        return TokenizerFor("", from).error();
      }
    }
    if (!tokenizer_) {
      const TokenizerSource source{views, texts_[0].indexes, vocabulary, texts_.size() == 2};
      Result<MadeTokenizer> result = MakeTokenizer(tokenizer_name_, source);
      if (!result) return result.error();
      tokenizer_ = result->tokenizer;
      made = result->how;
    }
    if (Status ok = CheckTokenizer(*tokenizer_, texts_); !ok) return ok.error();
    if (texts_.size() == 2) {
      if (Status ok = CheckEnds(); !ok) return ok.error();
    }
    progress.Print("tokenizer: " + std::string(tokenizer_->kind()) + ", " + WithCommas(tokenizer_->size()) +
                   " pieces " + made);
    return Done{};
  }

  /// Targets end with the tokenizer's end token; generating must look for it. (They begin with what
  /// generating starts from.)
  Status CheckEnds() const {
    const int64_t end = tokenizer_->eos();
    for (const HeedEntry* entry : EntriesOfKind(program_, kHeedEntryGenerate)) {
      const std::span ends(entry->until, static_cast<size_t>(entry->until_count));
      if (entry->axis != texts_[1].axis || end < 0 || ends.empty()) continue;
      if (std::ranges::find(ends, end) != ends.end()) continue;
      std::vector<std::string> names;  // constants that may be what it ends at
      for (int64_t i = 0; i < program_.const_count; ++i) {
        const HeedConst& constant = program_.consts[i];
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

  Status StartingPoint(ParameterBlock& parameters, OptimizerState& moments, Progress& progress) {
    state_.seed = seed_;
    state_.batch = batch_;
    state_.fingerprint = data_.Fingerprint();
    const std::string from = !resume_.empty() ? resume_ : init_;
    if (from.empty()) return Initialize(parameters, program_, seed_);
    if (Status ok = LoadWeights(from, program_, parameters); !ok) return ok;
    if (!resumed_) return Done{};
    Result<SafetensorsFile> file = SafetensorsFile::Open(from);
    if (!file) return file.error();
    const Result<bool> loaded = LoadState(*file, program_, moments);
    if (!loaded) return Error{from + ": " + loaded.error().message};
    if (Status unchanged = file->CheckUnchanged(); !unchanged) return unchanged;
    if (!*loaded)
      return Error{from + " lacks the optimizer's state; start from its weights with --init " + from};
    state_.step = resumed_->step;
    state_.epoch = resumed_->epoch;
    state_.next_batch = resumed_->next_batch;
    if (resumed_->fingerprint != state_.fingerprint || resumed_->batch != batch_ || resumed_->seed != seed_) {
      PrintWarning("the data, --batch or --seed differ from those of " + from +
                   ": starting a new pass over the data");
      ++state_.epoch;
      state_.next_batch = 0;
    }
    progress.Print("resuming after step " + std::to_string(state_.step));
    if (steps_ > 0 && state_.step >= steps_)
      PrintNote("already at step " + std::to_string(state_.step) + "; nothing to do");
    return Done{};
  }

  Status MakePlan(TrainPlan& plan) {
    plan.entry = entry_;
    plan.texts = texts_;
    plan.data = &data_;
    plan.valid = valid_ ? &*valid_ : nullptr;
    for (const HeedEntry* entry : EntriesOfKind(program_, kHeedEntryValue)) {
      if (std::string_view(entry->name) != "score") continue;
      const Result<std::vector<TextArgument>> texts = TextArguments(program_, *entry);
      const auto same = [](const TextArgument& a, const TextArgument& b) {
        return a.name == b.name && a.axis == b.axis;
      };
      if (texts && std::equal(texts->begin(), texts->end(), texts_.begin(), texts_.end(), same))
        plan.score = entry;
    }
    plan.steps = steps_;
    plan.minutes = minutes_;
    plan.eval_every = eval_every_;
    plan.save_every = save_every_;
    plan.out = out_;
    plan.log = log_;
    plan.metadata = ProgramMetadata(program_);
    plan.metadata["tokenizer"] = EncodeBase64(tokenizer_->Serialize());
    if (const std::string from = !resume_.empty() ? resume_ : init_; !from.empty()) {
      if (Status ok = CarryEnds(from, plan.metadata); !ok) return ok.error();
    }
    plan.metadata["optimizer"] = plan.optimizer.optimizer->name;
    plan.metadata["options"] = OptimizerChoice::Saved(plan.optimizer).dump();
    plan.interrupted = Interrupted;
    return Done{};
  }

  Status PrepareBleu(TrainPlan& plan, Engine& engine, const ParameterBlock& parameters,
                     std::optional<Decoder>& decoder) {
    std::vector<const HeedEntry*> fitting;
    std::string why = "the program has no `generate` entry";
    for (const HeedEntry* entry : EntriesOfKind(program_, kHeedEntryGenerate)) {
      Result<Decoder> made = Decoder::Make(*entry, engine, parameters);
      if (!made) {
        why = made.error().message;
      } else if (made->sources().size() == 1) {
        decoder = std::move(*made);
        fitting.push_back(entry);
      } else {
        why = "entry `" + std::string(entry->name) + "` does not generate one text from another";
      }
    }
    if (fitting.size() > 1) why = "several entries generate one text from another";
    if (fitting.size() != 1) return Error{"--valid-bleu: " + why};
    decoder->interrupted = Interrupted;
    const Result<std::vector<int32_t>> ends =
        EndsBeside(!resume_.empty() ? resume_ : init_, program_, *fitting[0]);
    if (!ends) return ends.error();
    decoder->EndAlsoAt(*ends);
    LineJob job;
    job.entry = fitting[0];
    job.tokenizer = tokenizer_.get();
    job.limit_by_source = true;
    job.long_is_empty = true;
    KeepToPieces(*decoder, tokenizer_);
    plan.valid_bleu = [this, job, &decoder]() -> Result<double> {
      const LineAnswers hypotheses = TranslateLines(*decoder, job, valid_source_lines_, 1);
      if (hypotheses.problem) return *hypotheses.problem;
      std::vector<std::string> texts;
      for (const std::vector<LineResult>& results : hypotheses.lines) texts.push_back(results[0].text);
      return CorpusBleu(texts, valid_target_lines_);
    };
    return Done{};
  }

  void Announce(const TrainPlan& plan, Progress& progress) const {
    int64_t count = 0, tokens = 0;
    for (int64_t i = 0; i < program_.param_count; ++i) count += program_.params[i].count;
    for (const Sequences& column : data_.columns) tokens += static_cast<int64_t>(column.ids.size());
    progress.Print(std::string(program_.source_name) + ": " + WithCommas(count) + " parameters, " +
                   program_.cpu_level + ", " + std::to_string(line_.threads()) + " threads");
    progress.Print("data: " + WithCommas(data_.size()) + (data_.windows ? " windows, " : " pairs, ") +
                   WithCommas(tokens) + " tokens" +
                   (valid_ ? "; held out: " + WithCommas(valid_->size()) : ""));
    std::string line = "training: --batch " + std::to_string(batch_) + " --seed " + std::to_string(seed_) +
                       OptimizerChoice::Text(plan.optimizer);
    if (plan.steps > 0) line += " --steps " + std::to_string(plan.steps);
    if (plan.minutes > 0) line += " --minutes " + Number(plan.minutes);
    progress.Print(out_.empty() ? line : line + " --out " + out_);
  }

  const CommandLine& line_;
  const HeedProgram& program_;
  std::string entry_name_, source_, target_, text_, valid_source_, valid_target_, valid_text_,
      tokenizer_name_;
  std::string out_, resume_, init_, log_;
  OptimizerChoice optimizer_;
  bool skip_invalid_ = false, valid_bleu_ = false, quiet_ = false;
  int64_t batch_ = 4096, steps_ = 0, save_every_ = 1000, eval_every_ = 1000;
  double minutes_ = 0;
  uint64_t seed_ = 1;
  CLI::Option *batch_option_ = nullptr, *seed_option_ = nullptr, *out_option_ = nullptr;

  const HeedEntry* entry_ = nullptr;
  std::vector<TextArgument> texts_;
  TokenizerPtr tokenizer_;
  Dataset data_;
  std::optional<Dataset> valid_;
  std::vector<InputLine> valid_source_lines_;
  std::vector<std::string> valid_target_lines_;
  std::optional<TrainState> resumed_;
  TrainState state_;
};

}  // namespace

void RegisterTrain(CommandLine& line) {
  if (EntriesOfKind(line.program(), kHeedEntryMinimize).empty()) return;
  const auto own = FindEntry(line.program(), "train");
  if (own && (*own)->kind != kHeedEntryMinimize) return;
  line.Add(std::make_unique<TrainCommand>(line));
}

}  // namespace heed
