// The best of several rounds counts: what else runs on the machine only takes away.
#include "runtime/engine/machine_peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <vector>

#include "runtime/engine/memory.h"
#include "runtime/kernels/heed_kernels.h"

namespace heed {
namespace {

constexpr int64_t kSide = 768;                 // of the matrices: their panels stay in the caches
constexpr int64_t kRead = int64_t{192} << 20;  // bytes: more than caches hold
constexpr double kSeconds = 0.12;              // of each measurement

/// The shortest time of one round.
double Best(const std::function<void()>& round) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30, all = 0;
  for (int rounds = 0; rounds < 3 || all < kSeconds; ++rounds) {
    const auto begin = Clock::now();
    round();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::min(best, seconds);
    all += seconds;
  }
  return std::max(best, 1e-9);
}

double ProductRate(const HeedProduct& product, ThreadPool& threads, bool split) {
  const auto elements = static_cast<size_t>(kSide * kSide);
  const auto block = AllocateBlock(static_cast<int64_t>(3 * elements * sizeof(float)));
  float* const a = static_cast<float*>(block.get());
  std::fill(a, a + 3 * elements, 0.5f);
  HeedMatmul matmul{};
  matmul.a = a;
  matmul.b = a + elements;
  matmul.c = a + 2 * elements;
  matmul.finish = product.finish;
  matmul.split = split;
  matmul.ms = matmul.ns = matmul.ks = 1;
  matmul.axes[0] = {kSide, kSide, 0, kSide, 0};
  matmul.axes[1] = {kSide, 0, 1, 1, 0};
  matmul.axes[2] = {kSide, 1, kSide, 0, 0};
  struct Task {
    const HeedProduct* product;
    const HeedMatmul* matmul;
  } const task{&product, &matmul};
  const HeedTask run = [](const void* context, int64_t part, int64_t parts, void* scratch) {
    const Task& own = *static_cast<const Task*>(context);
    own.product->run(own.matmul, part, parts, scratch);
  };
  const int64_t scratch = product.scratch(&matmul);
  const double seconds = Best([&] { threads.Parallel(run, &task, threads.threads(), scratch); });
  return 2.0 * static_cast<double>(kSide * kSide * kSide) / seconds;
}

double ReadRate(ThreadPool& threads) {
  if (AvailableBytes() < 4 * kRead) return 0;
  const auto block = AllocateBlock(kRead);
  std::memset(block.get(), 1, static_cast<size_t>(kRead));  // pages that nobody wrote are one page of zeros
  const auto* const words = static_cast<const uint64_t*>(block.get());
  const int64_t parts = threads.threads(), count = kRead / 8;
  std::vector<uint64_t> sums(static_cast<size_t>(parts) * 8);  // a line of the cache each
  const double seconds = Best([&] {
    ParallelFor(threads, parts, [&](int64_t part) {
      constexpr int kSums = 8;
      uint64_t sum[kSums] = {};
      const int64_t end = count * (part + 1) / parts;
      for (int64_t i = count * part / parts; i + kSums <= end; i += kSums)
        for (int s = 0; s < kSums; ++s) sum[s] += words[i + s];
      for (const uint64_t one : sum)
        const_cast<volatile uint64_t&>(sums[static_cast<size_t>(part) * 8]) = one;
    });
  });
  return static_cast<double>(kRead) / seconds;
}

}  // namespace

MachinePeak MeasurePeak(const HeedProgram& program, ThreadPool& threads) {
  MachinePeak peak;
  if (program.product != nullptr) {
    for (const bool split : {false, true})
      peak.flops = std::max(peak.flops, ProductRate(*program.product, threads, split));
  }
  peak.bytes = ReadRate(threads);
  return peak;
}

}  // namespace heed
