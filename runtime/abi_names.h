// What inputs and outputs of compiled functions are called, and tensors of checkpoints: names that the
// compiler writes into programs and the runtime looks for. Includes nothing of Heed.
#ifndef HEED_RUNTIME_ABI_NAMES_H_
#define HEED_RUNTIME_ABI_NAMES_H_

#include <string_view>

namespace heed {

// ---- Inputs, besides arguments
inline constexpr std::string_view kExampleInput = "example";  // numbers of the examples, for chance
inline constexpr std::string_view kLengthPrefix = "len.";  // len.ROOT: of each example along a dynamic axis

// ---- Outputs
inline constexpr std::string_view kValueOutput = "value";
inline constexpr std::string_view kLossOutput = "loss", kCountOutput = "per";
inline constexpr std::string_view kLogitsOutput = "logits";
inline constexpr std::string_view kGradientPrefix = "d.";  // d.PARAMETER
inline constexpr std::string_view kWeightsPrefix = "w.";   // w.SITE[KEY]: weights of an attention
// Whether something impossible was needed: for each example the largest wrong value, minus infinity where
// there is none.
inline constexpr std::string_view kCheckPrefix = "check.";

// ---- Both, of a step of decoding: what earlier steps computed, or the prefill
inline constexpr std::string_view kCachePrefix = "cache.";  // one row a position; a step adds one
inline constexpr std::string_view kFixedPrefix = "fixed.";  // does not depend on the generated text

// ---- Checkpoints, besides parameters
inline constexpr std::string_view kMetadata = "__metadata__";  // what is not a tensor
inline constexpr std::string_view kOptimizerPrefix = "optim.";
inline constexpr std::string_view kFirstMomentPrefix = "optim.m.", kSecondMomentPrefix = "optim.v.";
inline constexpr std::string_view kScalesSuffix = ".scale";  // of a quantised parameter

}  // namespace heed

#endif  // HEED_RUNTIME_ABI_NAMES_H_
