// The options of optimizers, for commands that train: declared, checked, kept in checkpoints and restored
// from them, all from the table of optimizers.
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "runtime/train/optimizer.h"

namespace heed {

class OptimizerChoice {
 public:
  /// Options --optimizer, --lr, --warmup, --schedule and those of each optimizer.
  void Declare(CLI::App& app, const std::string& group);
  /// What was given, and initial values. `total_steps`: where cosine and linear end; 0: unknown. A usage
  /// error for options that the optimizer does not take, or a schedule that needs `total_steps`.
  Result<OptimizerOptions> Read(int64_t total_steps) const;
  /// Takes over what a checkpoint says of options that were not given. An error if that is damaged, or of
  /// another optimizer than --optimizer names; `from` is for messages.
  Status Restore(const std::string& optimizer, const nlohmann::json& saved, const std::string& from);

  /// For a checkpoint.
  static nlohmann::json Saved(const OptimizerOptions& options);
  /// " --lr 0.001 --warmup 1000 ...", complete.
  static std::string Text(const OptimizerOptions& options);

 private:
  std::string optimizer_ = Optimizers().front().name, schedule_ = "inverse-sqrt";
  int64_t warmup_ = 1000;
  std::map<std::string, double> numbers_;  // by name: given or restored
  CLI::Option *optimizer_option_ = nullptr, *schedule_option_ = nullptr, *warmup_option_ = nullptr;
};

}  // namespace heed
