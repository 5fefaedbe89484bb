// The training loop: batches, steps, log, validation, checkpoints, resuming. A resumed run gives bit for bit
// what an uninterrupted one gives. What the options mean and where the data comes from is
// commands/train.cpp's business.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "runtime/base/progress.h"
#include "runtime/data/examples.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/program.h"
#include "runtime/train/optimizer.h"

namespace heed {

/// Where a run is: what a checkpoint's metadata holds besides the tokenizer.
struct TrainState {
  int64_t step = 0;        ///< done
  int64_t epoch = 0;       ///< pass over the data, from 0
  int64_t next_batch = 0;  ///< of that pass
  uint64_t seed = 0;
  uint64_t fingerprint = 0;  ///< of the data
  BatchSize batch = 0;
};
std::map<std::string, std::string> ToMetadata(const TrainState& state);
/// Nothing if the metadata has no state (plain weights).
Result<std::optional<TrainState>> StateFrom(const std::map<std::string, std::string>& metadata);

struct TrainPlan {
  const HeedEntry* entry = nullptr;  ///< minimize
  const HeedEntry* score = nullptr;  ///< value entry for valid_nll, or null
  const Examples* data = nullptr;
  const Examples* valid = nullptr;  ///< or null
  OptimizerOptions optimizer;
  int64_t steps = 0;                            ///< in all; 0: no limit
  double minutes = 0;                           ///< of this run, everything included; 0: no limit
  int64_t eval_every = 0, save_every = 0;       ///< steps; 0: only at the end
  std::string out, log;                         ///< files; empty: nothing is saved, no log
  std::map<std::string, std::string> metadata;  ///< more of it for the checkpoint: tokenizer, options
  std::function<Result<double>()> valid_bleu;   ///< or empty
  std::function<bool()> interrupted;            ///< asked after every step
};

enum class TrainEnd { Finished, Interrupted };

/// Runs from `state` on; parameters, the optimizer's `moments` and state are up to date afterwards, and
/// saved. An error leaves the last checkpoint as it was.
Result<TrainEnd> Train(const TrainPlan& plan, Engine& engine, ParameterBlock& parameters,
                       OptimizerState& moments, TrainState& state, Progress& progress);

/// An error if the sum of `per` over some examples is none to divide a loss by.
Status CheckCount(const HeedEntry& entry, double count, const std::string& where);

/// Sum of a minimize entry's loss over its sum of `per`, without dropout.
struct Evaluation {
  double loss = 0;   ///< A / B
  double count = 0;  ///< B
};
/// `interrupted` may be empty; if it becomes true the result is nothing.
Result<std::optional<Evaluation>> Evaluate(const HeedEntry& entry, const Examples& data, BatchSize batch,
                                           Engine& engine, const Parameters& parameters,
                                           const std::function<bool()>& interrupted);
/// The same of a value entry that gives log-probabilities: their negative sum over the predicted tokens (all
/// of the last side but its first).
Result<std::optional<Evaluation>> EvaluateScore(const HeedEntry& entry, const Examples& data, BatchSize batch,
                                                Engine& engine, const Parameters& parameters,
                                                const std::function<bool()>& interrupted);

}  // namespace heed
