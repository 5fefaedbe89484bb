// What optimizers share. Work is split into fixed chunks; a chunk's sums and updates do not depend on who
// does them.
#include "runtime/train/optimizer.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace heed {
namespace {

constexpr int64_t kChunk = 1 << 15;  // elements: 4 arrays of 128 KB

int64_t Chunks(int64_t count) { return (count + kChunk - 1) / kChunk; }

struct NormTask {
  const float* values;
  int64_t count;
  double* sums;  // one a chunk
};
// Sums of squares of the chunks, in double, in eight interleaved lanes.
void SumSquares(const void* context, int64_t part, int64_t parts, void*) {
  const NormTask& task = *static_cast<const NormTask*>(context);
  const int64_t chunks = Chunks(task.count);
  for (int64_t chunk = chunks * part / parts; chunk < chunks * (part + 1) / parts; ++chunk) {
    double lanes[8] = {};
    int64_t i = chunk * kChunk;
    const int64_t end = std::min(task.count, i + kChunk);
    for (; i + 8 <= end; i += 8) {
      for (int lane = 0; lane < 8; ++lane) {
        const double value = task.values[i + lane];
        lanes[lane] += value * value;
      }
    }
    for (int lane = 0; i < end; ++i, ++lane) lanes[lane] += double{task.values[i]} * task.values[i];
    task.sums[chunk] =
        ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  }
}

struct UpdateTask {
  const OptimizerOptions* options;
  int64_t step;
  double rate;
  UpdateRange range;
  int64_t count;
  std::atomic<bool>* overflows;
};
void UpdateChunks(const void* context, int64_t part, int64_t parts, void*) {
  const UpdateTask& task = *static_cast<const UpdateTask*>(context);
  const int64_t chunks = Chunks(task.count);
  const int64_t begin = chunks * part / parts * kChunk, end = chunks * (part + 1) / parts * kChunk;
  if (task.options->optimizer->update(*task.options, task.step, task.rate, task.range, begin,
                                      std::min(end, task.count)))
    task.overflows->store(true);
}

// Neighbours among the parameters that are trained, as ranges of the block.
std::vector<std::pair<int64_t, int64_t>> Runs(const ParameterBlock& block, const std::vector<bool>& trained) {
  const int64_t count = static_cast<int64_t>(block.all().size());
  const auto begin_of = [&](size_t i) {
    return i < trained.size() ? block.tensor(static_cast<int64_t>(i)).data() - block.all().data() : count;
  };
  if (trained.empty()) return {{0, count}};
  std::vector<std::pair<int64_t, int64_t>> runs;
  for (size_t i = 0; i < trained.size(); ++i) {
    if (!trained[i]) continue;
    if (runs.empty() || runs.back().second != begin_of(i)) runs.emplace_back(begin_of(i), begin_of(i));
    runs.back().second = begin_of(i + 1);
  }
  return runs;
}

}  // namespace

std::optional<Schedule> ScheduleNamed(std::string_view name) {
  if (name == "inverse-sqrt") return Schedule::InverseSqrt;
  if (name == "cosine") return Schedule::Cosine;
  if (name == "linear") return Schedule::Linear;
  if (name == "constant") return Schedule::Constant;
  return std::nullopt;
}

OptimizerOptions::OptimizerOptions() : OptimizerOptions(Optimizers().front()) {}

OptimizerOptions::OptimizerOptions(const Optimizer& chosen) : optimizer(&chosen) {
  for (const OptimizerNumber& number : chosen.numbers) this->*number.value = number.initial;
}

bool OptimizerNumber::Allows(double number) const {
  if (!std::isfinite(number)) return false;
  switch (bound) {
    case Bound::AboveZero:
      return number > 0;
    case Bound::FromZero:
      return number >= 0;
    case Bound::BelowOne:
      return number >= 0 && number < 1;
  }
  return false;
}

std::span<const OptimizerNumber> SharedNumbers() {
  using Options = OptimizerOptions;
  using Bound = OptimizerNumber::Bound;
  static const OptimizerNumber numbers[] = {
      {"lr", &Options::lr, 1e-3, Bound::AboveZero, "peak learning rate"},
      {"weight-decay", &Options::weight_decay, 0, Bound::FromZero, "decoupled"},
      {"clip", &Options::clip, 0, Bound::FromZero, "largest norm of the gradient; 0: any"}};
  return numbers;
}

const Optimizer* OptimizerNamed(std::string_view name) {
  for (const Optimizer& optimizer : Optimizers())
    if (name == optimizer.name) return &optimizer;
  return nullptr;
}

OptimizerState MakeState(const Optimizer& optimizer, const HeedProgram& program) {
  OptimizerState state;
  state.reserve(static_cast<size_t>(optimizer.blocks));
  for (int64_t i = 0; i < optimizer.blocks; ++i) state.emplace_back(program);
  return state;
}

double LearningRate(const OptimizerOptions& options, int64_t step) {
  const double s = static_cast<double>(std::max<int64_t>(step, 1)),
               warmup = static_cast<double>(options.warmup);
  if (options.schedule == Schedule::InverseSqrt) {
    const double w = std::max(warmup, 1.0);
    return options.lr * std::min(s / w, std::sqrt(w / s));
  }
  if (s < warmup) return options.lr * s / warmup;
  if (options.schedule == Schedule::Constant || options.total_steps <= 0) return options.lr;
  // From the end of the warm-up to the last step.
  const double length = std::max(static_cast<double>(options.total_steps) - warmup, 1.0);
  const double done = std::clamp((s - warmup) / length, 0.0, 1.0);
  if (options.schedule == Schedule::Linear) return options.lr * (1 - done);
  return options.lr * 0.5 * (1 + std::cos(std::numbers::pi * done));
}

double OptimizerStep(const OptimizerOptions& options, int64_t step, double gradient_scale,
                     ParameterBlock& parameters, const ParameterBlock& gradients, OptimizerState& state,
                     ThreadPool& threads, const std::vector<bool>& trained) {
  const int64_t count = static_cast<int64_t>(parameters.all().size());
  // Chunks are fixed; how many a part has only decides who works.
  const int64_t parts = std::clamp<int64_t>(4 * threads.threads(), 1, std::max<int64_t>(1, Chunks(count)));
  std::vector<double> sums(static_cast<size_t>(Chunks(count)));
  const NormTask squares = {gradients.all().data(), count, sums.data()};
  threads.Parallel(SumSquares, &squares, parts, 0);
  double sum = 0;
  for (const double part : sums) sum += part;
  const double norm = std::sqrt(sum) * std::abs(gradient_scale);
  if (options.clip > 0) gradient_scale *= std::min(1.0, options.clip / (norm + 1e-6));
  std::atomic<bool> overflows{false};
  for (const auto& [begin, end] : Runs(parameters, trained)) {
    UpdateTask task = {&options, step, LearningRate(options, step), {}, end - begin, &overflows};
    task.range.parameter = parameters.all().data() + begin;
    task.range.gradient = gradients.all().data() + begin;
    for (size_t i = 0; i < state.size(); ++i) task.range.state[i] = state[i].all().data() + begin;
    task.range.gradient_scale = static_cast<float>(gradient_scale);
    threads.Parallel(UpdateChunks, &task, std::min(parts, Chunks(task.count)), 0);
  }
  return overflows ? std::numeric_limits<double>::infinity() : norm;
}

}  // namespace heed
