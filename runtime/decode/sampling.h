// From logits to a choice: probabilities, the likeliest elements, random choice among them. What is chosen is
// a pure function of the logits, the options and the numbers given; rows of a batch do not matter.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/result.h"

namespace heed {

struct DecodeOptions {
  int64_t beam = 1;
  double alpha = 0;     ///< length penalty ((5 + n) / 6)^alpha of scores (Wu et al., 2016)
  bool sample = false;  ///< else greedy, or beam search if beam > 1
  double temperature = 1;
  int64_t top_k = 0;  ///< 0: all
  double top_p = 1;   ///< smallest set with that much probability (Holtzman et al., 2020)
  /// Logits of elements that the text has already are divided by it if positive, else multiplied (Keskar et
  /// al., 2019). 1: off.
  double repetition_penalty = 1;
  int64_t max_new = 0;  ///< elements after the prefix; 0: up to the axis' bound
  int64_t best = 1;     ///< results of a request: the best of the beam, or as many random ones
  bool scores = false;  ///< beam search has them anyway
  uint64_t seed = 0;
};

bool HasNan(std::span<const float> logits);
/// Whether all logits are numbers and one at least is above -infinity, which is probability 0.
bool CanChoose(std::span<const float> logits);
/// What to say if not.
Error LogitsAreNotNumbers();

/// The natural logarithm of the sum of the exponentials, in a fixed order of additions. Infinite if the
/// largest is.
double LogSumExp(std::span<const float> logits);
/// Of an element among those with that LogSumExp. An infinite logit is probability 1.
double LogProbability(float logit, double log_sum_exp);

/// Numbers of the `count` largest logits (all, if there are fewer), the largest first; of equal ones the
/// first.
void Largest(std::span<const float> logits, int64_t count, std::vector<int32_t>& numbers);

/// Applies the repetition penalty for the elements of `text`, once for each that occurs. Logits keep their
/// signs, 0 and infinite ones are as they were, and finite ones stay finite. `seen` has a 0 for each logit,
/// and again afterwards.
void PenalizeRepetition(std::span<float> logits, std::span<const int32_t> text, double penalty,
                        std::vector<char>& seen);

/// The number of the chosen element: the likeliest (the first of equals), or a random one; never one of
/// probability 0. -1 if CanChoose says no. The random bits are those of the seed, the number of the example,
/// the position and the number of the sample.
int32_t Choose(std::span<const float> logits, const DecodeOptions& options, int64_t number, int64_t position,
               int64_t sample = 0);

}  // namespace heed
