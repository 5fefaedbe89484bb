// Adam as PyTorch's torch.optim.AdamW computes it: decay applied to the parameter first, moments, both bias
// corrections, eps added outside the root. Work is split into fixed chunks; a chunk's sums and updates do not
// depend on who does them. Options are checked where they are read.
#include "runtime/train/optimizer.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace heed {
namespace {

constexpr int64_t kChunk = 1 << 15;  // elements: 4 arrays of 128 KB

struct Update {
  float* parameter;
  const float* gradient;
  float* m;
  float* v;
  int64_t count;
  std::atomic<bool>* overflows;
  float scale, decay, beta1, beta2, one_minus_beta1, one_minus_beta2, root_scale, eps, rate;
};

// The same text for each instruction set: with contraction off, every operation is exact to the last bit
// whatever the width. A moment of 0 moves nothing, also when eps is 0. True if a second moment is not finite:
// it would hold its parameter still for good.
__attribute__((always_inline)) inline bool UpdateRange(const Update& u, int64_t begin, int64_t end) {
  float* __restrict parameter = u.parameter;
  const float* __restrict gradient = u.gradient;
  float* __restrict first = u.m;
  float* __restrict second = u.v;
  // Of the bits of the moments, which are not negative: in the order of their values, NaN last.
  uint32_t largest = 0;
  for (int64_t i = begin; i < end; ++i) {
    const float g = gradient[i] * u.scale;
    const float m = u.beta1 * first[i] + u.one_minus_beta1 * g;
    const float v = u.beta2 * second[i] + u.one_minus_beta2 * (g * g);
    first[i] = m;
    second[i] = v;
    const float step = m / (std::sqrt(v) * u.root_scale + u.eps);
    parameter[i] = parameter[i] * u.decay - u.rate * (m == 0 ? 0 : step);
    largest = std::max(largest, std::bit_cast<uint32_t>(v) & 0x7fffffffu);
  }
  return largest >= 0x7f800000u;
}
bool UpdateBaseline(const Update& u, int64_t begin, int64_t end) { return UpdateRange(u, begin, end); }
#if defined(__x86_64__)
__attribute__((target("avx2"))) bool UpdateAvx2(const Update& u, int64_t begin, int64_t end) {
  return UpdateRange(u, begin, end);
}
#endif
auto ChooseUpdate() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return UpdateAvx2;
#endif
  return UpdateBaseline;
}

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

void UpdateChunks(const void* context, int64_t part, int64_t parts, void*) {
  const Update& update = *static_cast<const Update*>(context);
  static const auto run = ChooseUpdate();
  const int64_t chunks = Chunks(update.count);
  const int64_t begin = chunks * part / parts * kChunk, end = chunks * (part + 1) / parts * kChunk;
  if (run(update, begin, std::min(end, update.count))) update.overflows->store(true);
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

double LearningRate(const AdamOptions& options, int64_t step) {
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

double AdamStep(const AdamOptions& options, int64_t step, double gradient_scale, ParameterBlock& parameters,
                const ParameterBlock& gradients, ParameterBlock& m, ParameterBlock& v, ThreadPool& threads,
                const std::vector<bool>& trained) {
  const int64_t count = static_cast<int64_t>(parameters.all().size());
  // Chunks are fixed; how many a part has only decides who works.
  const int64_t parts = std::clamp<int64_t>(4 * threads.threads(), 1, std::max<int64_t>(1, Chunks(count)));
  double norm = 0;
  if (options.clip > 0) {
    std::vector<double> sums(static_cast<size_t>(Chunks(count)));
    const NormTask task = {gradients.all().data(), count, sums.data()};
    threads.Parallel(SumSquares, &task, parts, 0);
    double sum = 0;
    for (const double part : sums) sum += part;
    norm = std::sqrt(sum) * std::abs(gradient_scale);
    gradient_scale *= std::min(1.0, options.clip / (norm + 1e-6));
  }
  const double rate = LearningRate(options, step), s = static_cast<double>(step);
  std::atomic<bool> overflows{false};
  const Update all = {parameters.all().data(),
                      gradients.all().data(),
                      m.all().data(),
                      v.all().data(),
                      count,
                      &overflows,
                      static_cast<float>(gradient_scale),
                      static_cast<float>(1 - rate * options.weight_decay),
                      static_cast<float>(options.beta1),
                      static_cast<float>(options.beta2),
                      static_cast<float>(1 - options.beta1),
                      static_cast<float>(1 - options.beta2),
                      static_cast<float>(1 / std::sqrt(1 - std::pow(options.beta2, s))),
                      static_cast<float>(options.eps),
                      static_cast<float>(rate / (1 - std::pow(options.beta1, s)))};
  for (const auto& [begin, end] : Runs(parameters, trained)) {
    Update update = all;
    update.parameter += begin;
    update.gradient += begin;
    update.m += begin;
    update.v += begin;
    update.count = end - begin;
    threads.Parallel(UpdateChunks, &update, std::min(parts, Chunks(update.count)), 0);
  }
  return overflows ? std::numeric_limits<double>::infinity() : norm;
}

}  // namespace heed
