// The table of optimizers and their rules. A rule makes of one element of a parameter, its gradient and its
// state the next; what it needs of options and step is computed once. Options are checked where they are
// read.
#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/train/optimizer.h"

namespace heed {
namespace {

float DecayOf(const OptimizerOptions& options, double rate) {
  return static_cast<float>(1 - rate * options.weight_decay);
}

/// As PyTorch's torch.optim.AdamW: decay applied to the parameter first, both moments, both bias corrections,
/// eps added outside the root (Kingma & Ba 2015; Loshchilov & Hutter 2019). A moment of 0 moves nothing, also
/// when eps is 0.
struct Adam {
  static constexpr int kBlocks = 2;
  float decay, beta1, beta2, one_minus_beta1, one_minus_beta2, root_scale, eps, rate;

  Adam(const OptimizerOptions& options, int64_t step, double learning_rate)
      : decay(DecayOf(options, learning_rate)),
        beta1(static_cast<float>(options.beta1)),
        beta2(static_cast<float>(options.beta2)),
        one_minus_beta1(static_cast<float>(1 - options.beta1)),
        one_minus_beta2(static_cast<float>(1 - options.beta2)),
        root_scale(static_cast<float>(1 / std::sqrt(1 - std::pow(options.beta2, static_cast<double>(step))))),
        eps(static_cast<float>(options.eps)),
        rate(static_cast<float>(learning_rate / (1 - std::pow(options.beta1, static_cast<double>(step))))) {}
  __attribute__((always_inline)) float Apply(float parameter, float gradient, float& m, float& v) const {
    m = beta1 * m + one_minus_beta1 * gradient;
    v = beta2 * v + one_minus_beta2 * (gradient * gradient);
    const float step = m / (std::sqrt(v) * root_scale + eps);
    return parameter * decay - rate * (m == 0 ? 0 : step);
  }
};

/// The sign of a mean of the gradient (Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms",
/// algorithm 2).
struct Lion {
  static constexpr int kBlocks = 1;
  float decay, beta1, beta2, one_minus_beta1, one_minus_beta2, rate;

  Lion(const OptimizerOptions& options, int64_t, double learning_rate)
      : decay(DecayOf(options, learning_rate)),
        beta1(static_cast<float>(options.beta1)),
        beta2(static_cast<float>(options.beta2)),
        one_minus_beta1(static_cast<float>(1 - options.beta1)),
        one_minus_beta2(static_cast<float>(1 - options.beta2)),
        rate(static_cast<float>(learning_rate)) {}
  __attribute__((always_inline)) float Apply(float parameter, float gradient, float& m, float&) const {
    const float mean = beta1 * m + one_minus_beta1 * gradient;
    m = beta2 * m + one_minus_beta2 * gradient;
    return parameter * decay - (mean > 0 ? rate : mean < 0 ? -rate : 0);
  }
};

/// Stochastic gradient descent with momentum as PyTorch's torch.optim.SGD has it (without dampening), but
/// with decoupled decay.
struct Sgd {
  static constexpr int kBlocks = 1;
  float decay, momentum, rate;

  Sgd(const OptimizerOptions& options, int64_t, double learning_rate)
      : decay(DecayOf(options, learning_rate)),
        momentum(static_cast<float>(options.momentum)),
        rate(static_cast<float>(learning_rate)) {}
  __attribute__((always_inline)) float Apply(float parameter, float gradient, float& velocity, float&) const {
    velocity = momentum * velocity + gradient;
    return parameter * decay - rate * velocity;
  }
};

// The same text for each instruction set: with contraction off, every operation is exact to the last bit
// whatever the width.
template <typename Rule>
__attribute__((always_inline)) inline bool ApplyRule(const Rule rule, const UpdateRange& range, int64_t begin,
                                                     int64_t end) {
  float* __restrict parameter = range.parameter;
  const float* __restrict gradient = range.gradient;
  float* __restrict first = range.state[0];
  float* __restrict second = range.state[1];
  const float scale = range.gradient_scale;
  // Of the bits of the last state without its sign: in the order of their values, NaN last.
  uint32_t largest = 0;
  for (int64_t i = begin; i < end; ++i) {
    float a = first[i], b = 0;
    if constexpr (Rule::kBlocks > 1) b = second[i];
    const float next = rule.Apply(parameter[i], gradient[i] * scale, a, b);
    first[i] = a;
    if constexpr (Rule::kBlocks > 1) second[i] = b;
    parameter[i] = next;
    largest = std::max(largest, std::bit_cast<uint32_t>(Rule::kBlocks > 1 ? b : a) & 0x7fffffffu);
  }
  return largest >= 0x7f800000u;
}
#if defined(__x86_64__)
template <typename Rule>
__attribute__((target("avx2"))) bool ApplyAvx2(const Rule& rule, const UpdateRange& range, int64_t begin,
                                               int64_t end) {
  return ApplyRule(rule, range, begin, end);
}
#endif
template <typename Rule>
bool Update(const OptimizerOptions& options, int64_t step, double rate, const UpdateRange& range,
            int64_t begin, int64_t end) {
  const Rule rule(options, step, rate);
#if defined(__x86_64__)
  static const bool wide = __builtin_cpu_supports("avx2");
  if (wide) return ApplyAvx2(rule, range, begin, end);
#endif
  return ApplyRule(rule, range, begin, end);
}

using Options = OptimizerOptions;
using Bound = OptimizerNumber::Bound;
const Optimizer kOptimizers[] = {
    {"adam",
     "Adam with decoupled decay (Kingma & Ba 2015)",
     Adam::kBlocks,
     {{"beta1", &Options::beta1, 0.9, Bound::BelowOne, "of the mean"},
      {"beta2", &Options::beta2, 0.98, Bound::BelowOne, "of the mean square"},
      {"eps", &Options::eps, 1e-9, Bound::FromZero, "added to the root"}},
     Update<Adam>},
    {"lion",
     "the sign of a mean (Chen et al. 2023)",
     Lion::kBlocks,
     {{"beta1", &Options::beta1, 0.9, Bound::BelowOne, "of the mean whose sign counts"},
      {"beta2", &Options::beta2, 0.99, Bound::BelowOne, "of the mean that is kept"}},
     Update<Lion>},
    {"sgd",
     "gradient descent with momentum",
     Sgd::kBlocks,
     {{"momentum", &Options::momentum, 0.9, Bound::BelowOne, "what is kept of the last step"}},
     Update<Sgd>},
};

}  // namespace

std::span<const Optimizer> Optimizers() { return kOptimizers; }

}  // namespace heed
