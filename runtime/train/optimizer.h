// Optimizers as values: a table of rules, the options that each takes, and the step that applies one.
// Learning rates, clipping by the norm of the whole gradient, and what stays as it is are common to all.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/engine/engine.h"

namespace heed {

enum class Schedule { InverseSqrt, Cosine, Linear, Constant };
std::optional<Schedule> ScheduleNamed(std::string_view name);

struct Optimizer;
struct OptimizerOptions {
  OptimizerOptions();  ///< of the first optimizer of the table
  /// With the initial values of the table.
  explicit OptimizerOptions(const Optimizer& optimizer);

  const Optimizer* optimizer;
  double lr = 1e-3;    ///< peak
  int64_t warmup = 0;  ///< steps
  Schedule schedule = Schedule::InverseSqrt;
  int64_t total_steps = 0;  ///< Cosine, Linear: where the rate reaches 0
  double weight_decay = 0;  ///< decoupled (Loshchilov & Hutter 2019)
  double clip = 0;          ///< largest norm of the gradient; 0: any
  // Of some optimizers, as the table says:
  double beta1 = 0, beta2 = 0, eps = 0, momentum = 0;
};

/// An option that is a number.
struct OptimizerNumber {
  enum class Bound { AboveZero, FromZero, BelowOne };
  const char* name;  ///< "weight-decay"
  double OptimizerOptions::* value;
  double initial;
  Bound bound;
  const char* help;
  bool Allows(double number) const;
};
/// Those that every optimizer takes, but for the warm-up and the schedule.
std::span<const OptimizerNumber> SharedNumbers();

/// Elements of a parameter with its gradient and what the optimizer keeps of it. True if that is no finite
/// number any more: it would hold its parameter still for good.
struct UpdateRange {
  float* parameter;
  const float* gradient;
  float* state[2];  ///< null beyond Optimizer::blocks
  float gradient_scale;
};
using UpdateFunction = bool (*)(const OptimizerOptions& options, int64_t step, double rate,
                                const UpdateRange& range, int64_t begin, int64_t end);

struct Optimizer {
  const char* name;     ///< as on the command line and in a checkpoint's metadata
  const char* summary;  ///< with its source
  int64_t blocks;       ///< of state, each as large as the parameters: 1 or 2
  std::vector<OptimizerNumber> numbers;
  UpdateFunction update;
};
/// The table, in optimizer_rules.cpp; a new optimizer is a row there.
std::span<const Optimizer> Optimizers();
/// Null if there is none.
const Optimizer* OptimizerNamed(std::string_view name);

using OptimizerState = std::vector<ParameterBlock>;
/// Zeros.
OptimizerState MakeState(const Optimizer& optimizer, const HeedProgram& program);

/// Rate at step s >= 1. Inverse-sqrt: lr * min(s / warmup, sqrt(warmup / s)).
double LearningRate(const OptimizerOptions& options, int64_t step);

/// One step with gradients scaled by `gradient_scale` first; deterministic for any number of threads.
/// Parameters that are not `trained` (empty: all are) stay as they are, with their state. Returns the global
/// norm of the scaled gradient (before clipping); infinity if a gradient or its square is no finite f32,
/// after which the state is of no use.
double OptimizerStep(const OptimizerOptions& options, int64_t step, double gradient_scale,
                     ParameterBlock& parameters, const ParameterBlock& gradients, OptimizerState& state,
                     ThreadPool& threads, const std::vector<bool>& trained = {});

}  // namespace heed
