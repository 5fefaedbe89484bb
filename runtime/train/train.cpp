// The training loop. Everything that decides a step (batch, dropout, rate) follows from the state and the
// plan, so that stopping and resuming changes nothing.
#include "runtime/train/train.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/base/file_writer.h"
#include "runtime/base/names.h"
#include "runtime/base/places.h"
#include "runtime/base/running_curve.h"
#include "runtime/engine/profiler.h"
#include "runtime/engine/program.h"
#include "runtime/weights/checkpoint.h"

namespace heed {
namespace {

using Clock = std::chrono::steady_clock;
double Since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string Fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}
std::string Short(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

/// The JSON log; what an interrupted run wrote after its last checkpoint is dropped when it is resumed.
class Log {
 public:
  Log() = default;
  ~Log() {
    if (file_ >= 0) close(file_);
  }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  Status Open(const std::string& path, int64_t keep_until) {
    if (path.empty()) return Done{};
    path_ = path;
    std::error_code ignored;
    const Result<Place> place = PlaceOf(path);
    const std::string target = place && place->descriptor < 0 ? place->path : "";
    // A pipe or device has no lines to keep or to drop.
    if (!target.empty() &&
        (!std::filesystem::exists(target, ignored) || std::filesystem::is_regular_file(target, ignored))) {
      const Status written = WriteWholeFile(path, keep_until > 0 ? LinesUntil(target, keep_until) : "");
      if (!written) return Failure(written.error());
    }
    const Result<int> file = OpenToAppend(path);
    if (!file) return Failure(file.error());
    file_ = *file;
    return Done{};
  }
  void Write(const nlohmann::ordered_json& row) {
    const std::string line = row.dump() + "\n";
    for (size_t at = 0; file_ >= 0 && at < line.size();) {
      const ssize_t count = write(file_, line.data() + at, line.size() - at);
      if (count < 0 && errno == EINTR) continue;
      if (count > 0) {
        at += static_cast<size_t>(count);
        continue;
      }
      failure_ = count < 0 ? errno : ENOSPC;
      close(file_);
      file_ = -1;
    }
  }
  /// Whoever read the log has gone; nobody misses the rest of it.
  bool ReaderIsGone() const { return failure_ == EPIPE; }
  Status Check() const {
    if (failure_ == 0 || ReaderIsGone()) return Done{};
    return Error{"cannot write the log " + path_ + ": " + std::strerror(failure_)};
  }

 private:
  static std::string LinesUntil(const std::string& path, int64_t step) {
    std::string kept;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) {
      const nlohmann::json row = nlohmann::json::parse(line, nullptr, false);
      if (!row.is_object() || !row.contains("step") || !row["step"].is_number_integer()) continue;
      if (row["step"].get<int64_t>() <= step) kept += line + "\n";
    }
    return kept;
  }
  Error Failure(const Error& error) const {
    constexpr std::string_view kBegin = "cannot write";
    return Error{"cannot write the log" + error.message.substr(kBegin.size())};
  }

  std::string path_;
  int file_ = -1, failure_ = 0;
};

template <typename T>
bool ParseNumber(const std::string& text, T& value) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc() && end == text.data() + text.size();
}

/// What messages call the examples of a batch, which must stay.
std::function<std::string(int64_t)> NamesOf(const Examples& data, const Batch& batch) {
  return [&](int64_t row) { return data.NameOf(batch[static_cast<size_t>(row)]); };
}

/// One run of Train.
class Run {
 public:
  Run(const TrainPlan& plan, Engine& engine, ParameterBlock& parameters, OptimizerState& moments,
      TrainState& state, Progress& progress)
      : plan_(plan),
        engine_(engine),
        parameters_(parameters),
        moments_(moments),
        state_(state),
        progress_(progress),
        gradients_(engine.program()),
        trained_(Trained(engine.program(), *plan.entry->train)) {}

  Result<TrainEnd> All() {
    if (Status opened = log_.Open(plan_.log, state_.step); !opened) return opened.error();
    NextBatches();
    bool stopped = false;
    for (bool last = AtEnd(); !last;) {
      if (Status stepped = Step(); !stepped) return stepped.error();
      stopped = plan_.interrupted && plan_.interrupted();
      last = stopped || AtEnd();
      const auto due = [&](int64_t every) { return every > 0 && state_.step % every == 0; };
      if (!stopped && plan_.valid && (last || due(plan_.eval_every))) {
        Status validated = Validate();
        if (!validated) return validated.error();
        stopped = plan_.interrupted && plan_.interrupted();
        last = last || stopped;
      }
      log_.Write(row_);
      if (log_.ReaderIsGone() && !log_given_up_) {
        progress_.Print("nobody reads the log any more; training goes on without it");
        log_given_up_ = true;
      }
      if (!last && progress_.Due()) progress_.Update(CurveLines() + Line());
      if (!last && due(plan_.save_every)) {
        if (Status saved = Save(); !saved) return saved.error();
      }
    }
    if (steps_ > 0) progress_.Print(CurveLines() + Line());
    if (Status saved = Save(); !saved) return saved.error();
    // A log cut short is no reason to lose the training; it is one not to say that all went well.
    if (Status logged = log_.Check(); !logged) return logged.error();
    return stopped ? TrainEnd::Interrupted : TrainEnd::Finished;
  }

 private:
  bool AtEnd() const {
    return (plan_.steps > 0 && state_.step >= plan_.steps) ||
           (plan_.minutes > 0 && Since(start_) >= 60 * plan_.minutes);
  }

  void NextBatches() {
    batches_ = ShuffledBatches(*plan_.data, state_.batch, state_.seed, state_.epoch);
    if (state_.next_batch >= static_cast<int64_t>(batches_.size())) {
      state_.next_batch = 0;
      ++state_.epoch;
      batches_ = ShuffledBatches(*plan_.data, state_.batch, state_.seed, state_.epoch);
    }
  }

  Status Step() {
    const Clock::time_point begin = Clock::now();
    if (state_.next_batch == static_cast<int64_t>(batches_.size())) NextBatches();
    const Batch& batch = batches_[static_cast<size_t>(state_.next_batch)];
    const int64_t step = state_.step + 1;
    const HeedFunction& function = *plan_.entry->train;
    const auto inputs = [&] {
      const ProfileSpan span(engine_.profiler(), "batches");
      return plan_.data->InputsOf(function, batch);
    }();
    if (!inputs) return inputs.error();
    auto results =
        engine_.Call(function, *inputs, parameters_, &gradients_,
                     {state_.seed, static_cast<uint64_t>(step), true, NamesOf(*plan_.data, batch)});
    if (!results) return results.error();
    const Result<double> total = ScalarOf(*results, "loss"), count = ScalarOf(*results, "per");
    if (!total) return total.error();
    if (!count) return count.error();
    if (Status counted = CheckCount(*plan_.entry, *count, "the batch of step " + std::to_string(step));
        !counted)
      return Error{counted.error().message + Unsaved()};
    const double loss = *total / *count;
    const double rate = LearningRate(plan_.optimizer, step);
    if (!std::isfinite(*total)) return NotFinite("the loss", step);
    const double norm = [&] {
      const ProfileSpan span(engine_.profiler(), "optimizer");
      return OptimizerStep(plan_.optimizer, step, 1 / *count, parameters_, gradients_, moments_,
                           engine_.threads(), trained_);
    }();
    if (!std::isfinite(norm)) return NotFinite("the gradient (or its square, as f32)", step);
    row_ = {{"step", step}, {"loss", loss}};
    smoothed_ =
        steps_ == 0 ? loss : smoothed_ + (loss - smoothed_) * std::max(0.02, 1.0 / double(steps_ + 1));
    curve_.Add(smoothed_);
    const double seconds = Since(begin);
    if (*count == std::floor(*count)) {
      row_["tokens"] = static_cast<int64_t>(*count);
    } else {
      row_["tokens"] = *count;
    }
    row_["lr"] = rate;
    row_["gradient_norm"] = norm;
    row_["seconds"] = seconds;
    row_["epoch"] = state_.epoch;
    ++steps_;
    recent_tokens_ = recent_tokens_ * 0.95 + *count;
    recent_seconds_ = recent_seconds_ * 0.95 + seconds;
    state_.step = step;
    ++state_.next_batch;
    return Done{};
  }

  std::string Unsaved() const {
    return plan_.out.empty() ? "" : "; " + plan_.out + " was not written since the last checkpoint";
  }
  Error NotFinite(const std::string& what, int64_t step) const {
    return Error{what + " of step " + std::to_string(step) + " is not a finite number" + Unsaved() +
                 ". Try a lower --lr, a longer --warmup, or --clip 1"};
  }

  Status Validate() {
    auto loss = Evaluate(*plan_.entry, *plan_.valid, state_.batch, engine_, parameters_, plan_.interrupted);
    if (!loss) return loss.error();
    if (!*loss) return Done{};
    row_["valid_loss"] = (*loss)->loss;
    std::string line = "step " + std::to_string(state_.step) + "  valid loss " + Fixed((*loss)->loss, 4);
    if (plan_.score) {
      auto nll =
          EvaluateScore(*plan_.score, *plan_.valid, state_.batch, engine_, parameters_, plan_.interrupted);
      if (!nll) return nll.error();
      if (!*nll) return Done{};
      row_["valid_nll"] = (*nll)->loss;
      line += ", " + Fixed((*nll)->loss, 4) + " nats a token, perplexity " + Short(std::exp((*nll)->loss));
    }
    if (plan_.valid_bleu) {
      const Result<double> bleu = plan_.valid_bleu();
      if (!bleu) return bleu.error();
      row_["valid_bleu"] = *bleu;
      line += ", BLEU " + Fixed(*bleu, 2);
    }
    progress_.Print(line);
    return Done{};
  }

  Status Save() {
    if (plan_.out.empty()) return Done{};
    if (!parameters_.AllFinite()) {
      return Error{"parameters are no longer finite numbers after step " + std::to_string(state_.step) +
                   "; " + plan_.out +
                   " keeps its last checkpoint. Try a lower --lr, a longer --warmup, or --clip 1"};
    }
    std::map<std::string, std::string> metadata = plan_.metadata;
    for (const auto& [key, value] : ToMetadata(state_)) metadata[key] = value;
    return SaveCheckpoint(plan_.out, engine_.program(), parameters_, moments_, metadata);
  }

  /// The loss of this run as a small curve, where it can be shown, before the line that says where it is.
  std::string CurveLines() const {
    constexpr int64_t kRows = 4;
    std::string text;
    for (const std::string& line : curve_.Lines(progress_.CurveColumns(), kRows)) text += line + "\n";
    return text;
  }

  std::string Line() const {
    std::string line = "step " + std::to_string(state_.step);
    if (plan_.steps > 0) line += "/" + std::to_string(plan_.steps);
    line += "  loss " + Fixed(smoothed_, 4) + "  " +
            WithCommas(std::lround(recent_seconds_ > 0 ? recent_tokens_ / recent_seconds_ : 0)) +
            " tokens/s  lr " + Short(LearningRate(plan_.optimizer, state_.step)) + "  pass " +
            std::to_string(state_.epoch + 1);
    const double elapsed = Since(start_);
    double left = -1;
    if (plan_.steps > 0 && steps_ > 0) {
      left = elapsed / static_cast<double>(steps_) * static_cast<double>(plan_.steps - state_.step);
    }
    if (plan_.minutes > 0) {
      const double by_clock = std::max(0.0, 60 * plan_.minutes - elapsed);
      left = left < 0 ? by_clock : std::min(left, by_clock);
    }
    if (left > 0) line += "  " + DurationText(left) + " left";
    return line;
  }

  const TrainPlan& plan_;
  Engine& engine_;
  ParameterBlock& parameters_;
  OptimizerState& moments_;
  TrainState& state_;
  Progress& progress_;
  ParameterBlock gradients_;
  const std::vector<bool> trained_;
  Log log_;
  bool log_given_up_ = false;
  std::vector<Batch> batches_;
  nlohmann::ordered_json row_;
  const Clock::time_point start_ = Clock::now();
  int64_t steps_ = 0;  // of this run
  double smoothed_ = 0, recent_tokens_ = 0, recent_seconds_ = 0;
  RunningCurve curve_;
};

}  // namespace

std::map<std::string, std::string> ToMetadata(const TrainState& state) {
  std::map<std::string, std::string> metadata = {{"step", std::to_string(state.step)},
                                                 {"epoch", std::to_string(state.epoch)},
                                                 {"next_batch", std::to_string(state.next_batch)},
                                                 {"seed", std::to_string(state.seed)},
                                                 {"data", std::to_string(state.fingerprint)},
                                                 {"batch", std::to_string(state.batch.tokens)}};
  if (state.batch.examples > 0) metadata["batch_examples"] = std::to_string(state.batch.examples);
  return metadata;
}

Result<std::optional<TrainState>> StateFrom(const std::map<std::string, std::string>& metadata) {
  if (!metadata.contains("step")) return std::optional<TrainState>();
  TrainState state;
  const auto get = [&](const char* key, auto& value) {
    const auto found = metadata.find(key);
    return found != metadata.end() && ParseNumber(found->second, value);
  };
  if (!get("step", state.step) || !get("epoch", state.epoch) || !get("next_batch", state.next_batch) ||
      !get("seed", state.seed) || !get("data", state.fingerprint) || !get("batch", state.batch.tokens) ||
      (metadata.contains("batch_examples") && !get("batch_examples", state.batch.examples)) ||
      state.step < 0 || state.epoch < 0 || state.next_batch < 0 || state.batch.tokens < 1 ||
      state.batch.examples < 0) {
    return Error{
        "the checkpoint's metadata is damaged: step, epoch, next_batch, seed, data, batch and "
        "batch_examples must be numbers"};
  }
  return std::optional<TrainState>(state);
}

Status CheckCount(const HeedEntry& entry, double count, const std::string& where) {
  if (count > 0 && std::isfinite(count)) return Done{};
  return Error{"entry `" + std::string(entry.name) + "` counts " + Short(count) + " in " + where +
               ", by its `per`; a loss takes the sum of `per` to be above 0"};
}

Result<TrainEnd> Train(const TrainPlan& plan, Engine& engine, ParameterBlock& parameters,
                       OptimizerState& moments, TrainState& state, Progress& progress) {
  return Run(plan, engine, parameters, moments, state, progress).All();
}

Result<std::optional<Evaluation>> Evaluate(const HeedEntry& entry, const Examples& data, BatchSize size,
                                           Engine& engine, const Parameters& parameters,
                                           const std::function<bool()>& interrupted) {
  Evaluation sum;
  for (const Batch& batch : OrderedBatches(data, size)) {
    if (interrupted && interrupted()) return std::optional<Evaluation>();
    const auto inputs = data.InputsOf(*entry.loss, batch);
    if (!inputs) return inputs.error();
    auto results = engine.Call(*entry.loss, *inputs, parameters, nullptr, {.name_of = NamesOf(data, batch)});
    if (!results) return results.error();
    const Result<double> loss = ScalarOf(*results, "loss"), count = ScalarOf(*results, "per");
    if (!loss) return loss.error();
    if (!count) return count.error();
    sum.loss += *loss;
    sum.count += *count;
  }
  if (Status counted = CheckCount(entry, sum.count, "this data"); !counted) return counted.error();
  sum.loss /= sum.count;
  return std::optional<Evaluation>(sum);
}

Result<std::optional<Evaluation>> EvaluateScore(const HeedEntry& entry, const Examples& data, BatchSize size,
                                                Engine& engine, const Parameters& parameters,
                                                const std::function<bool()>& interrupted) {
  Evaluation sum;
  const HeedFunction& function = *entry.forward;
  for (const Batch& batch : OrderedBatches(data, size)) {
    if (interrupted && interrupted()) return std::optional<Evaluation>();
    const auto inputs = data.InputsOf(function, batch);
    if (!inputs) return inputs.error();
    auto results = engine.Call(function, *inputs, parameters, nullptr, {.name_of = NamesOf(data, batch)});
    if (!results) return results.error();
    const auto value = results->find("value");
    if (value == results->end() || value->second.dtype() != kHeedFloat32 ||
        value->second.count() != static_cast<int64_t>(batch.size())) {
      return Error{"entry `" + std::string(entry.name) + "` does not give one number for each example"};
    }
    for (float log_probability : value->second.floats()) sum.loss -= static_cast<double>(log_probability);
    for (int64_t i : batch) sum.count += static_cast<double>(data.Length(i, data.sides() - 1) - 1);
  }
  if (sum.count <= 0)
    return Error{"nothing is predicted, from " + data.NameOf(0) +
                 " on: every example has one token, and its first is given"};
  sum.loss /= sum.count;
  return std::optional<Evaluation>(sum);
}

}  // namespace heed
