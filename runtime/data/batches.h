// How examples are grouped into batches, by their lengths alone. Everything is a function of the lengths and
// the seed; nothing here knows what examples are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace heed {

/// Lengths of examples, with random access.
class Lengths {
 public:
  virtual ~Lengths() = default;
  /// Examples.
  virtual int64_t size() const = 0;
  /// How many lengths an example has: one for each axis along which examples differ.
  virtual size_t sides() const = 0;
  virtual int64_t Length(int64_t example, size_t side) const = 0;
  /// What all examples count, if they are alike (the last may be shorter); 0: they differ.
  virtual int64_t uniform() const { return 0; }
  /// Whether examples of equal lengths stay in order within a pool, as pairs of texts do.
  virtual bool keeps_order() const { return true; }
};

/// How large a batch is.
struct BatchSize {
  BatchSize(int64_t most_tokens, int64_t most_examples = 0) : tokens(most_tokens), examples(most_examples) {}
  int64_t tokens = 0;    ///< rows x (longest of each side, added up), at most, if there is no `examples`
  int64_t examples = 0;  ///< rows; 0: `tokens` says
  /// Examples of all lengths together, for losses that compare them; needs `examples`. Not part of the size.
  bool mixed = false;
  bool operator==(const BatchSize& other) const {
    return tokens == other.tokens && examples == other.examples;
  }
};

using Batch = std::vector<int64_t>;  ///< example indices
/// Batches of one pass. Examples that differ: shuffled, sorted by their lengths (the last side first) in
/// pools of 20,000, cut as `size` says (at least one row), shuffled within the pool. Others, or `mixed`:
/// shuffled, max(1, tokens / uniform()) rows each. A function of its arguments alone.
std::vector<Batch> ShuffledBatches(const Lengths& data, BatchSize size, uint64_t seed, int64_t epoch);
/// The same grouping in order of length, or `mixed` as they come, without any shuffling, for evaluation.
std::vector<Batch> OrderedBatches(const Lengths& data, BatchSize size);

/// Deterministic Fisher-Yates.
void Shuffle(std::vector<int64_t>& values, uint64_t seed);

}  // namespace heed
