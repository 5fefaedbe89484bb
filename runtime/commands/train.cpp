// `train`: options and starting point of a run; its data is training_data.cpp's, the run itself train.cpp's
// of the room train.
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
#include "runtime/commands/training_data.h"
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
  std::string Summary() const override { return "train on texts or other data; writes a checkpoint"; }

  void Declare(CLI::App& app) override {
    app.add_option("--entry", entry_name_, "which `minimize` entry, if there are several");
    data_.Declare(app, program_);
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
    } else {
      DeclareFiles(app);
    }
    data_.DeclareArguments(app, program_);
  }

  Result<int> Run() override {
    if (Status ok = ChooseEntry(); !ok) return ok.error();
    if (Status ok = data_.Choose(program_, *entry_); !ok) return ok.error();
    if (Status ok = CheckOptions(); !ok) return ok.error();
    Progress progress(quiet_);
    if (Status ok = ReadCheckpoint(); !ok) return ok.error();
    const Result<OptimizerOptions> optimizer = optimizer_.Read(steps_);
    if (!optimizer) return optimizer.error();
    if (Status ok = CheckFiles(); !ok) return ok.error();
    if (Status ok = out_.empty() ? Status(Done{}) : CheckCanWrite(out_); !ok) return ok.error();
    TrainingData::Start start{!resume_.empty() ? resume_ : init_, !resume_.empty()};
    if (resumed_) start.batch = resumed_->batch;
    if (Status ok = data_.Read(start, quiet_, progress); !ok) return ok.error();

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
    return Done{};
  }

  Status CheckOptions() {
    if (!resume_.empty() && !init_.empty()) return UsageError("--resume and --init exclude each other");
    if (valid_bleu_ && !data_.has_valid_pairs())
      return UsageError("--valid-bleu needs --valid-source and --valid-target");
    if (steps_ == 0 && minutes_ == 0) steps_ = line_.profiler() ? 20 : 10000;
    return Done{};
  }

  /// No output may be an input, but for a checkpoint that is resumed.
  Status CheckFiles() const {
    FileRoles roles;
    data_.AddRoles(roles);
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
    const auto found = file->metadata().find("options");
    const Json saved = found == file->metadata().end() ? Json() : Json::parse(found->second, nullptr, false);
    return optimizer_.Restore(OptimizerOf(*file), saved, resume_);
  }

  Status StartingPoint(ParameterBlock& parameters, OptimizerState& moments, Progress& progress) {
    state_.seed = seed_;
    state_.batch = data_.batch();
    state_.fingerprint = data_.examples().Fingerprint();
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
    if (resumed_->fingerprint != state_.fingerprint || !(resumed_->batch == state_.batch) ||
        resumed_->seed != seed_) {
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
    plan.data = &data_.examples();
    plan.valid = data_.valid();
    for (const HeedEntry* entry : EntriesOfKind(program_, kHeedEntryValue)) {
      if (std::string_view(entry->name) != "score") continue;
      const Result<std::vector<TextArgument>> texts = TextArguments(program_, *entry);
      const auto same = [](const TextArgument& a, const TextArgument& b) {
        return a.name == b.name && a.axis == b.axis;
      };
      const std::vector<TextArgument>& trained = data_.texts();
      if (texts && std::equal(texts->begin(), texts->end(), trained.begin(), trained.end(), same))
        plan.score = entry;
    }
    plan.steps = steps_;
    plan.minutes = minutes_;
    plan.eval_every = eval_every_;
    plan.save_every = save_every_;
    plan.out = out_;
    plan.log = log_;
    plan.metadata = ProgramMetadata(program_);
    if (data_.tokenizer()) plan.metadata["tokenizer"] = EncodeBase64(data_.tokenizer()->Serialize());
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
    job.tokenizer = data_.tokenizer().get();
    job.limit_by_source = true;
    job.long_is_empty = true;
    KeepToPieces(*decoder, data_.tokenizer());
    plan.valid_bleu = [this, job, &decoder]() -> Result<double> {
      const LineAnswers hypotheses = TranslateLines(*decoder, job, data_.valid_sources(), 1);
      if (hypotheses.problem) return *hypotheses.problem;
      std::vector<std::string> texts;
      for (const std::vector<LineResult>& results : hypotheses.lines) texts.push_back(results[0].text);
      return CorpusBleu(texts, data_.valid_targets());
    };
    return Done{};
  }

  void Announce(const TrainPlan& plan, Progress& progress) const {
    int64_t count = 0;
    for (int64_t i = 0; i < program_.param_count; ++i) count += program_.params[i].count;
    progress.Print(std::string(program_.source_name) + ": " + WithCommas(count) + " parameters, " +
                   program_.cpu_level + ", " + std::to_string(line_.threads()) + " threads");
    progress.Print("data: " + data_.Text());
    std::string line = "training: " + data_.BatchText() + " --seed " + std::to_string(seed_) +
                       OptimizerChoice::Text(plan.optimizer);
    if (plan.steps > 0) line += " --steps " + std::to_string(plan.steps);
    if (plan.minutes > 0) line += " --minutes " + Number(plan.minutes);
    progress.Print(out_.empty() ? line : line + " --out " + out_);
  }

  const CommandLine& line_;
  const HeedProgram& program_;
  std::string entry_name_;
  std::string out_, resume_, init_, log_;
  OptimizerChoice optimizer_;
  bool valid_bleu_ = false, quiet_ = false;
  int64_t steps_ = 0, save_every_ = 1000, eval_every_ = 1000;
  double minutes_ = 0;
  uint64_t seed_ = 1;
  CLI::Option *seed_option_ = nullptr, *out_option_ = nullptr;

  const HeedEntry* entry_ = nullptr;
  TrainingData data_;
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
