// Adam with decoupled weight decay (Kingma & Ba 2015; Loshchilov & Hutter 2019), schedules, clipping by
// global norm.
#pragma once

#include <optional>
#include <string_view>

#include "runtime/engine/engine.h"

namespace heed {

enum class Schedule { InverseSqrt, Cosine, Linear, Constant };
std::optional<Schedule> ScheduleNamed(std::string_view name);

struct AdamOptions {
  double lr = 1e-3;    ///< peak
  int64_t warmup = 0;  ///< steps
  Schedule schedule = Schedule::InverseSqrt;
  int64_t total_steps = 0;  ///< Cosine, Linear: where the rate reaches 0
  double beta1 = 0.9, beta2 = 0.98, eps = 1e-9, weight_decay = 0;
  double clip = 0;  ///< 0: none
};
/// Rate at step s >= 1. Inverse-sqrt: lr * min(s / warmup, sqrt(warmup / s)).
double LearningRate(const AdamOptions& options, int64_t step);

/// One bias-corrected step with gradients scaled by `gradient_scale` first; deterministic for any number of
/// threads. Parameters that are not `trained` (empty: all are) stay as they are, with their moments. Returns
/// the global norm of the scaled gradient (before clipping) if clipping is on, else 0; infinity if a gradient
/// or its square is no finite f32, after which the moments are of no use.
double AdamStep(const AdamOptions& options, int64_t step, double gradient_scale, ParameterBlock& parameters,
                const ParameterBlock& gradients, ParameterBlock& m, ParameterBlock& v, ThreadPool& threads,
                const std::vector<bool>& trained = {});

}  // namespace heed
