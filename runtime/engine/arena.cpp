// First fit, largest first: simple, and within a few percent of the lower bound on the graphs of
// Transformers, whose big buffers dominate (Pisarchyk and Lee, "Efficient memory management for deep neural
// net inference", 2020, greedy by size).
#include "runtime/engine/arena.h"

#include <algorithm>

namespace heed {
namespace {

constexpr int64_t kLargest = int64_t{1} << 46;
constexpr int64_t kPage = 4096;

// The first offset >= at for the n-th big buffer, at its own place within a page.
int64_t Align(int64_t at, int64_t bytes, int64_t number) {
  at = (at + 63) / 64 * 64;
  if (bytes < kPage) return at;
  const int64_t place = number * 5 % 64 * 64;  // 5 is odd: 64 big buffers have 64 places
  return at + (place - at % kPage + kPage) % kPage;
}

}  // namespace

int64_t BufferBytes(const HeedSize& size, std::span<const int64_t> extents) {
  int64_t bytes = size.factor;
  for (int64_t i = 0; i < size.term_count; ++i) {
    if (__builtin_mul_overflow(bytes, extents[static_cast<size_t>(size.terms[i])], &bytes)) return -1;
  }
  return bytes < 0 || bytes > kLargest ? -1 : bytes;
}

ArenaPlan PlaceArena(const HeedFunction& function, std::span<const int64_t> extents) {
  ArenaPlan plan;
  const size_t count = static_cast<size_t>(function.buffer_count);
  plan.offsets.assign(count, -1);
  std::vector<int64_t> sizes(count, 0);
  std::vector<size_t> order;
  for (size_t i = 0; i < count; ++i) {
    const HeedBuffer& buffer = function.buffers[i];
    if (buffer.kind != kHeedBufferArena) continue;
    sizes[i] = BufferBytes(buffer.size, extents);
    if (sizes[i] < 0) {
      plan.bytes = -1;
      return plan;
    }
    order.push_back(i);
  }
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return sizes[a] != sizes[b] ? sizes[a] > sizes[b] : a < b; });

  struct Placed {
    int64_t begin, end, first, last;
  };
  std::vector<Placed> placed;  // by begin
  int64_t number = 0;
  for (const size_t i : order) {
    const HeedBuffer& buffer = function.buffers[i];
    const int64_t bytes = std::max<int64_t>(sizes[i], 1);
    int64_t offset = Align(0, bytes, number);
    for (const Placed& other : placed) {
      if (other.last < buffer.first || buffer.last < other.first) continue;
      if (offset + bytes <= other.begin) break;
      offset = std::max(offset, Align(other.end, bytes, number));
    }
    if (bytes >= kPage) ++number;
    const Placed mine{offset, offset + bytes, buffer.first, buffer.last};
    placed.insert(std::upper_bound(placed.begin(), placed.end(), mine,
                                   [](const Placed& a, const Placed& b) { return a.begin < b.begin; }),
                  mine);
    plan.offsets[i] = offset;
    plan.bytes = std::max(plan.bytes, mine.end);
    if (plan.bytes > kLargest) {
      plan.bytes = -1;
      return plan;
    }
  }
  plan.bytes = (plan.bytes + 63) / 64 * 64;
  return plan;
}

}  // namespace heed
