// The functions that an entry of a program becomes. Which passes make them is passes/pass.h's business.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace heed::ir {

enum class Variant {
  Train,    ///< minimize: batched, with dropout; outputs loss, per (sums over the batch) and d.PARAMETER
  Loss,     ///< minimize: batched, without dropout; outputs loss, per
  Forward,  ///< value or generate: batched; output `value` or `logits`
  Prefill,  ///< generate: batched; outputs `logits` after the whole prompt, [batch, vocab], caches and what
            ///< is fixed
  Step,     ///< generate: batched; outputs `logits` after one more element, [batch, vocab], and the caches
  Weights,  ///< any: batched, nothing fused; outputs w.SITE[KEY], the weights of each attention
};
inline constexpr std::array kVariants = {Variant::Train,   Variant::Loss, Variant::Forward,
                                         Variant::Prefill, Variant::Step, Variant::Weights};

/// "train", "loss" ...
constexpr std::string_view Name(Variant variant) {
  switch (variant) {
    case Variant::Train:
      return "train";
    case Variant::Loss:
      return "loss";
    case Variant::Forward:
      return "forward";
    case Variant::Prefill:
      return "prefill";
    case Variant::Step:
      return "step";
    case Variant::Weights:
      return "weights";
  }
  return "";
}

/// Something of each function of an entry.
template <typename T>
class PerVariant {
 public:
  T& operator[](Variant variant) { return values_[static_cast<size_t>(variant)]; }
  const T& operator[](Variant variant) const { return values_[static_cast<size_t>(variant)]; }
  auto begin() const { return values_.begin(); }
  auto end() const { return values_.end(); }

 private:
  std::array<T, kVariants.size()> values_{};
};

}  // namespace heed::ir
