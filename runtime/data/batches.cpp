// See batches.h.
#include "runtime/data/batches.h"

#include <algorithm>
#include <numeric>
#include <span>

namespace heed {
namespace {

constexpr size_t kPool = 20000;

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Generator {
  uint64_t state;
  uint64_t Next() {
    uint64_t z = state += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
  }
  /// Uniform in 0 ... n - 1 up to 2^-64 n.
  uint64_t Below(uint64_t n) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>(static_cast<Wide>(Next()) * n >> 64);
  }
};
uint64_t Mix(uint64_t a, uint64_t b) { return Generator{a ^ Generator{b}.Next()}.Next(); }

/// Cuts examples that lie in order of length.
void Cut(const Lengths& data, std::span<const int64_t> order, BatchSize size, std::vector<Batch>& out) {
  Batch batch;
  std::vector<int64_t> longest(data.sides(), 0);
  for (int64_t example : order) {
    std::vector<int64_t> with = longest;
    int64_t total = 0;
    for (size_t c = 0; c < with.size(); ++c) {
      with[c] = std::max(with[c], data.Length(example, c));
      total += with[c];
    }
    const auto rows = static_cast<int64_t>(batch.size() + 1);
    const bool full = size.examples > 0 ? rows > size.examples : total * rows > size.tokens;
    if (!batch.empty() && full) {
      out.push_back(std::move(batch));
      batch.clear();
      for (size_t c = 0; c < with.size(); ++c) with[c] = data.Length(example, c);
    }
    batch.push_back(example);
    longest = with;
  }
  if (!batch.empty()) out.push_back(std::move(batch));
}

/// -1, 0 or 1: by the last side, then those before it.
int Compare(const Lengths& data, int64_t a, int64_t b) {
  for (size_t c = data.sides(); c-- > 0;) {
    const int64_t left = data.Length(a, c), right = data.Length(b, c);
    if (left != right) return left < right ? -1 : 1;
  }
  return 0;
}

void SortByLength(const Lengths& data, std::span<int64_t> examples) {
  std::stable_sort(examples.begin(), examples.end(), [&](int64_t a, int64_t b) {
    const int order = Compare(data, a, b);
    return order < 0 || (order == 0 && data.keeps_order() && a < b);
  });
}

void CutAlike(const Lengths& data, std::span<const int64_t> order, BatchSize size, std::vector<Batch>& out) {
  const auto rows = static_cast<size_t>(
      size.examples > 0 ? size.examples : std::max<int64_t>(1, size.tokens / data.uniform()));
  for (size_t at = 0; at < order.size(); at += rows) {
    const size_t end = std::min(order.size(), at + rows);
    out.emplace_back(order.begin() + static_cast<int64_t>(at), order.begin() + static_cast<int64_t>(end));
  }
}

std::vector<int64_t> InOrder(int64_t size) {
  std::vector<int64_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

}  // namespace

void Shuffle(std::vector<int64_t>& values, uint64_t seed) {
  Generator generator{seed};
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[generator.Below(i)]);
}

std::vector<Batch> ShuffledBatches(const Lengths& data, BatchSize size, uint64_t seed, int64_t epoch) {
  const uint64_t pass = Mix(seed, static_cast<uint64_t>(epoch));
  std::vector<int64_t> order = InOrder(data.size());
  Shuffle(order, pass);
  std::vector<Batch> batches;
  if (data.uniform() > 0 || size.mixed) {
    CutAlike(data, order, size, batches);
    return batches;
  }
  for (size_t begin = 0; begin < order.size(); begin += kPool) {
    const size_t end = std::min(order.size(), begin + kPool);
    const std::span<int64_t> pool(order.data() + begin, end - begin);
    SortByLength(data, pool);
    std::vector<Batch> cut;
    Cut(data, pool, size, cut);
    std::vector<int64_t> places = InOrder(static_cast<int64_t>(cut.size()));
    Shuffle(places, Mix(pass, begin + 1));
    for (int64_t place : places) batches.push_back(std::move(cut[static_cast<size_t>(place)]));
  }
  return batches;
}

std::vector<Batch> OrderedBatches(const Lengths& data, BatchSize size) {
  std::vector<int64_t> order = InOrder(data.size());
  std::vector<Batch> batches;
  if (data.uniform() > 0 || size.mixed) {
    CutAlike(data, order, size, batches);
    return batches;
  }
  SortByLength(data, order);
  Cut(data, order, size, batches);
  return batches;
}

}  // namespace heed
