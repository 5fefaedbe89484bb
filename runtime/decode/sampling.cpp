// Exponentials are computed in f32, in a loop that compilers vectorize, and added in f64, in runs of fixed
// length: a vocabulary of 50,000 costs a fraction of a millisecond at most.
#include "runtime/decode/sampling.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "runtime/base/random.h"

namespace heed {
namespace {

/// e^x for x <= 0, to about one unit in the last place; 0 below -87.
inline float ExpOf(float x) {
  constexpr float kLog2E = 1.44269504088896341f, kRound = 12582912.0f;  // 1.5 * 2^23: rounds to whole numbers
  constexpr float kLn2High = 0.693359375f, kLn2Low = -2.12194440e-4f;
  const float clamped = x < -87.0f ? -87.0f : x;
  const float shifted = clamped * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * kLn2High) - n * kLn2Low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = (p * r) * r + r + 1.0f;
  const uint32_t power = std::bit_cast<uint32_t>(shifted) << 23;
  const float value = std::bit_cast<float>(std::bit_cast<uint32_t>(p) + power);
  return x < -87.0f ? 0.0f : value;
}

// Passes over the logits keep as many results apart as fit a few vectors: element i belongs to lane i %
// kLanes.
constexpr size_t kLanes = 16;
constexpr size_t kRun = 256;

/// The sum of e^((logit - largest) * scale).
double SumOfExponentials(std::span<const float> logits, float largest, float scale) {
  double lanes[kLanes] = {};
  for (size_t begin = 0; begin < logits.size(); begin += kRun) {
    float exponentials[kRun] = {};
    const size_t count = std::min(kRun, logits.size() - begin);
    for (size_t i = 0; i < count; ++i) exponentials[i] = ExpOf((logits[begin + i] - largest) * scale);
    for (size_t i = 0; i < kRun; i += kLanes)
      for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(exponentials[i + lane]);
  }
  double total = 0;
  for (const double lane : lanes) total += lane;
  return total;
}

/// The largest (or smallest) of them all.
template <typename Better>
float Best(std::span<const float> logits, Better better) {
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, logits[0]);
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = better(logits[i + lane], lanes[lane]) ? logits[i + lane] : lanes[lane];
  for (; i < logits.size(); ++i) lanes[0] = better(logits[i], lanes[0]) ? logits[i] : lanes[0];
  float best = lanes[0];
  for (const float lane : lanes) best = better(lane, best) ? lane : best;
  return best;
}
float LargestOf(std::span<const float> logits) {
  return Best(logits, [](float a, float b) { return a > b; });
}
float SmallestOf(std::span<const float> logits) {
  return Best(logits, [](float a, float b) { return a < b; });
}

int32_t FirstOf(std::span<const float> logits, float value) {
  return static_cast<int32_t>(std::find(logits.begin(), logits.end(), value) - logits.begin());
}

/// The choice among the smallest set of likeliest elements that have the share `top_p` of all weight, in the
/// order of their numbers. Elements are sorted into buckets by weight first, so that only those of one bucket
/// have to be put in order.
int32_t ChooseLikely(std::span<const float> logits, float largest, float scale, double top_p,
                     double uniform) {
  constexpr int kBuckets = 256;
  // What weighs less than the largest by more than a factor of e^32 shares the last bucket.
  const float range = std::min(32.0f, (largest - SmallestOf(logits)) * scale);
  const float per_unit = range > 0 ? (kBuckets - 1) / range : 0;
  thread_local std::vector<float> weights;
  thread_local std::vector<uint8_t> buckets;
  weights.resize(logits.size());
  buckets.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const float x = (logits[i] - largest) * scale;
    weights[i] = ExpOf(x);
    const float bucket = x * -per_unit;
    buckets[i] = static_cast<uint8_t>(bucket < kBuckets - 1 ? static_cast<int>(bucket) : kBuckets - 1);
  }
  double sums[kBuckets] = {}, total = 0;
  for (size_t i = 0; i < logits.size(); ++i) sums[buckets[i]] += static_cast<double>(weights[i]);
  for (const double sum : sums) total += sum;
  const double wanted = top_p * total;
  double kept = 0;
  int last = 0;  // the bucket in which the set ends
  while (last < kBuckets - 1 && kept + sums[last] < wanted) kept += sums[last++];
  std::vector<int32_t> doubtful;
  for (size_t i = 0; i < logits.size(); ++i)
    if (buckets[i] == last) doubtful.push_back(static_cast<int32_t>(i));
  const auto before = [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  std::sort(doubtful.begin(), doubtful.end(), before);
  size_t taken = 0;
  while (taken < doubtful.size() && (taken == 0 || kept < wanted))
    kept += static_cast<double>(weights[static_cast<size_t>(doubtful[taken++])]);
  const int32_t end = doubtful[taken - 1];
  double left = uniform * kept;
  int32_t chosen = 0;
  for (int32_t id = 0; id < static_cast<int32_t>(logits.size()); ++id) {
    const int bucket = buckets[static_cast<size_t>(id)];
    if (bucket > last || (bucket == last && before(end, id))) continue;
    chosen = id;
    if ((left -= static_cast<double>(weights[static_cast<size_t>(id)])) < 0) break;
  }
  return chosen;
}

/// One logit under a repetition penalty. What f32 cannot hold is as large, or as small, as its numbers go:
/// 0 would be equal to logits that are 0.
float Penalized(float logit, double penalty) {
  using Limits = std::numeric_limits<float>;
  if (logit == 0 || !std::isfinite(logit)) return logit;
  if (penalty <= static_cast<double>(Limits::max())) {
    const auto factor = static_cast<float>(penalty);
    const float value = logit > 0 ? logit / factor : logit * factor;
    if (std::isnormal(value)) return value;
  }
  const double wide = static_cast<double>(logit), exact = logit > 0 ? wide / penalty : wide * penalty;
  const double size =
      std::clamp(std::abs(exact), static_cast<double>(Limits::min()), static_cast<double>(Limits::max()));
  return static_cast<float>(std::copysign(size, exact));
}

}  // namespace

bool HasNan(std::span<const float> logits) {
  uint32_t lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] |= logits[i + lane] == logits[i + lane] ? 0 : 1;
  for (; i < logits.size(); ++i) lanes[0] |= logits[i] == logits[i] ? 0 : 1;
  return std::any_of(lanes, lanes + kLanes, [](uint32_t lane) { return lane != 0; });
}

bool CanChoose(std::span<const float> logits) {
  return !logits.empty() && !HasNan(logits) && LargestOf(logits) > -std::numeric_limits<float>::infinity();
}

Error LogitsAreNotNumbers() {
  return Error{
      "the model gives logits that are not numbers, or none that can be chosen; are these the right "
      "--weights?"};
}

double LogSumExp(std::span<const float> logits) {
  const float largest = LargestOf(logits);
  if (!std::isfinite(largest)) return static_cast<double>(largest);
  return static_cast<double>(largest) + std::log(SumOfExponentials(logits, largest, 1));
}

double LogProbability(float logit, double log_sum_exp) {
  const auto wide = static_cast<double>(logit);
  return wide == log_sum_exp ? 0 : wide - log_sum_exp;
}

void Largest(std::span<const float> logits, int64_t count, std::vector<int32_t>& numbers) {
  numbers.clear();
  const auto before = [&](int32_t a, int32_t b) {
    const float x = logits[static_cast<size_t>(a)], y = logits[static_cast<size_t>(b)];
    return x != y ? x > y : a < b;
  };
  const auto size = static_cast<int32_t>(logits.size());
  if (count >= size) {
    numbers.resize(logits.size());
    std::iota(numbers.begin(), numbers.end(), 0);
    std::sort(numbers.begin(), numbers.end(), before);
    return;
  }
  if (count <= 0) return;
  // A heap of the best so far, the worst of them on top. Later elements must be larger to get in: of equals
  // the first stays.
  int32_t next = 0;
  for (; next < count; ++next) numbers.push_back(next);
  std::make_heap(numbers.begin(), numbers.end(), before);
  float worst = logits[static_cast<size_t>(numbers.front())];
  for (; next < size; ++next) {
    if (!(logits[static_cast<size_t>(next)] > worst)) continue;
    std::pop_heap(numbers.begin(), numbers.end(), before);
    numbers.back() = next;
    std::push_heap(numbers.begin(), numbers.end(), before);
    worst = logits[static_cast<size_t>(numbers.front())];
  }
  std::sort_heap(numbers.begin(), numbers.end(), before);
}

void PenalizeRepetition(std::span<float> logits, std::span<const int32_t> text, double penalty,
                        std::vector<char>& seen) {
  if (penalty == 1) return;
  for (const int32_t id : text) {
    char& mark = seen[static_cast<size_t>(id)];
    if (mark) continue;
    mark = 1;
    float& logit = logits[static_cast<size_t>(id)];
    logit = Penalized(logit, penalty);
  }
  for (const int32_t id : text) seen[static_cast<size_t>(id)] = 0;
}

int32_t Choose(std::span<const float> logits, const DecodeOptions& options, int64_t number, int64_t position,
               int64_t sample) {
  if (!CanChoose(logits)) return -1;
  using Limits = std::numeric_limits<float>;
  const float largest = LargestOf(logits);
  // Both ends of what f32 can hold: where differences become infinite, and where they vanish.
  const double sharpness = 1 / options.temperature;
  const bool certain = !std::isfinite(largest) || !(sharpness <= static_cast<double>(Limits::max()));
  if (!options.sample || certain || options.top_k == 1) return FirstOf(logits, largest);
  const float scale = std::max(static_cast<float>(sharpness), Limits::min());
  const auto weight = [&](int32_t id) {
    return static_cast<double>(ExpOf((logits[static_cast<size_t>(id)] - largest) * scale));
  };
  constexpr char kSite[] = "sample";
  const uint32_t bits =
      RandomBits(RandomKey(options.seed, static_cast<uint64_t>(position)), static_cast<uint32_t>(number),
                 SiteHash(kSite, sizeof kSite - 1), static_cast<uint64_t>(sample));
  const double uniform = (static_cast<double>(bits) + 0.5) / 4294967296.0;
  const auto size = static_cast<int64_t>(logits.size());

  const bool limited = options.top_k > 0 && options.top_k < size;
  if (!limited && options.top_p >= 1) {
    double left = uniform * SumOfExponentials(logits, largest, scale);
    int32_t last = 0;
    for (int32_t id = 0; id < size; ++id) {
      const double w = weight(id);
      if (w > 0) last = id;
      if ((left -= w) < 0) return id;
    }
    return last;
  }
  if (!limited) return ChooseLikely(logits, largest, scale, options.top_p, uniform);
  std::vector<int32_t> order;
  Largest(logits, options.top_k, order);
  double total = 0, kept = 0;
  for (const int32_t id : order) total += weight(id);
  size_t taken = 0;
  while (taken < order.size() && (taken == 0 || options.top_p >= 1 || kept < options.top_p * total))
    kept += weight(order[taken++]);
  double left = uniform * kept;
  for (size_t i = 0; i < taken; ++i)
    if ((left -= weight(order[i])) < 0) return order[i];
  return order[taken - 1];
}

}  // namespace heed
