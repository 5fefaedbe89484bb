// Speed of the kernels, as JSON lines: GFLOP/s and the share of the fused multiply-add peak, for one and two
// threads (in processor time, so that a shared machine hardly disturbs); Gelem/s for vector functions; GB/s
// for scatter. Clocks of shared machines move, so each run stands between two measurements of the peak on the
// same threads: the median of these pairs is the share. Target AMX is AVX3 with products and attention
// on matrix tiles; its peak is that of vectors too.
//   kernels_bench [--target=AVX3] [--filter=text] [--seconds=0.2]
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/bench_support.h"
#include "tests/kernels/native.h"

namespace heed {
namespace {

/// One call of `threads` parts, in processor time of its slowest thread, and the peak of all threads around
/// it.
struct Sample {
  double seconds = 0, peak = 0;
};

constexpr int64_t kPeakSteps = 30000;  // a millisecond

Sample Once(int threads, const std::function<double(int64_t steps)>& peak,
            const std::function<void(int64_t part)>& run) {
  std::vector<double> spent(threads), peaks(threads);
  auto part = [&](int number) {
    const double before = peak ? peak(kPeakSteps) : 0;
    const double start = ThreadSeconds();
    run(number);
    spent[number] = ThreadSeconds() - start;
    peaks[number] = peak ? (before + peak(kPeakSteps)) / 2 : 0;
  };
  std::vector<std::thread> others;
  for (int number = 1; number < threads; ++number) others.emplace_back(part, number);
  part(0);
  for (std::thread& other : others) other.join();
  Sample sample{*std::max_element(spent.begin(), spent.end()), 0};
  for (double each : peaks) sample.peak += each;
  return sample;
}

/// Samples of at least `options.seconds`.
std::vector<Sample> Measure(int threads, const std::function<double(int64_t steps)>& peak,
                            const std::function<void(int64_t part)>& run) {
  Once(threads, peak, run);
  std::vector<Sample> samples;
  const double end = Now() + options.seconds;
  while (samples.size() < 5 || Now() < end) samples.push_back(Once(threads, peak, run));
  return samples;
}

double BestSeconds(int threads, const std::function<void(int64_t part)>& run) {
  double best = 1e30;
  for (const Sample& sample : Measure(threads, {}, run)) best = std::min(best, sample.seconds);
  return best;
}

void Report(const NativeKernels& kernels, const std::string& name, double flops,
            const std::function<void(int64_t part, int64_t parts)>& run) {
  if (!options.Wants(name)) return;
  for (int threads = 1; threads <= 2; ++threads) {
    std::vector<double> seconds, shares;
    for (const Sample& sample : Measure(threads, kernels.peak, [&](int64_t part) { run(part, threads); })) {
      seconds.push_back(sample.seconds);
      shares.push_back(flops / sample.seconds / 1e9 / sample.peak);
    }
    const double time = Median(seconds);
    printf(
        "{\"target\": \"%s\", \"name\": \"%s\", \"threads\": %d, \"ms\": %.4f, \"gflops\": %.1f, \"share\": "
        "%.3f}\n",
        kernels.target, name.c_str(), threads, time * 1e3, flops / time / 1e9, Median(shares));
    fflush(stdout);
  }
}

void MatmulBench(const NativeKernels& kernels, int64_t loops, int64_t m, int64_t n, int64_t k,
                 bool a_transposed, bool b_transposed) {
  const std::string name = "matmul " + (loops > 1 ? std::to_string(loops) + "*" : "") + std::to_string(m) +
                           "x" + std::to_string(n) + "x" + std::to_string(k) + (a_transposed ? " At.B" : "") +
                           (b_transposed ? " A.Bt" : "");
  if (!options.Wants(name)) return;
  Buffers buffers;
  HeedMatmul matmul = {};
  matmul.a = buffers.Floats(loops * m * k);
  matmul.b = buffers.Floats(loops * n * k);
  matmul.c = buffers.Floats(loops * m * n);
  matmul.loops = matmul.ms = matmul.ns = matmul.ks = 1;
  matmul.axes[0] = {loops, m * k, n * k, m * n, 0};
  matmul.axes[1] = {m, a_transposed ? 1 : k, 0, n, 0};
  matmul.axes[2] = {n, 0, b_transposed ? k : 1, 1, 0};
  matmul.axes[3] = {k, a_transposed ? m : 1, b_transposed ? 1 : n, 0, 0};
  const int64_t bytes = kernels.matmul_scratch(&matmul);
  void* scratch[2] = {buffers.Floats(bytes / 4), buffers.Floats(bytes / 4)};
  Report(kernels, name, 2.0 * loops * m * n * k,
         [&](int64_t part, int64_t parts) { kernels.matmul(&matmul, part, parts, scratch[part]); });
}

void AttentionBench(const NativeKernels& kernels, int64_t heads, int64_t queries, int64_t keys, int64_t dim,
                    bool causal, int64_t window = 0) {
  Buffers buffers;
  HeedAttention attention = {};
  const int64_t row = heads * dim;
  attention.q = buffers.Floats(queries * row);
  attention.k = buffers.Floats(keys * row);
  attention.v = buffers.Floats(keys * row);
  attention.o = buffers.Floats(queries * row);
  attention.d_o = buffers.Floats(queries * row);
  attention.lse = buffers.Floats(queries * heads);
  attention.dq = buffers.Floats(queries * row);
  attention.dk = buffers.Floats(keys * row);
  attention.dv = buffers.Floats(keys * row);
  attention.queries = queries;
  attention.keys = keys;
  attention.dots = attention.values = dim;
  attention.q_query = attention.k_key = attention.v_key = attention.o_query = row;
  attention.q_dot = attention.k_dot = attention.v_value = attention.o_value = attention.lse_query = 1;
  attention.loops = 1;
  attention.loop[0] = {heads, dim, dim, dim, dim, queries};
  TestScore score;
  score.scale = 1 / std::sqrt(static_cast<float>(dim));
  score.causal = causal;
  score.window = window;
  score.key_offset = keys - queries;
  attention.context = &score;
  double pairs = static_cast<double>(queries) * keys;
  if (causal) pairs -= queries * (queries - 1) / 2.0;
  if (window) pairs = static_cast<double>(window) * queries - window * (window - 1) / 2.0;
  const double flops = 4.0 * heads * pairs * dim;
  const std::string name = "attention " + std::to_string(heads) + "*" + std::to_string(queries) + "x" +
                           std::to_string(keys) + "x" + std::to_string(dim) + (causal ? " causal" : "") +
                           (window ? " window of " + std::to_string(window) : "");
  const int64_t bytes =
      std::max(kernels.attention_scratch(&attention), kernels.attention_backward_scratch(&attention));
  void* scratch[2] = {buffers.Floats(bytes / 4), buffers.Floats(bytes / 4)};
  Report(kernels, name + " forward", flops, [&](int64_t part, int64_t parts) {
    kernels.attention_plain(&attention, part, parts, scratch[part]);
  });
  kernels.attention_plain(&attention, 0, 1, scratch[0]);
  if (queries == 1) return;
  Report(kernels, name + " backward", 2.5 * flops, [&](int64_t part, int64_t parts) {
    kernels.attention_backward_plain(&attention, part, parts, scratch[part]);
  });
}

void FunctionBench(const NativeKernels& kernels, const char* name, void (*f)(const float*, float*, int64_t)) {
  if (!options.Wants(std::string("function ") + name)) return;
  Buffers buffers;
  constexpr int64_t kCount = 4096;
  float *x = buffers.Floats(kCount), *y = buffers.Floats(kCount);
  const double time = BestSeconds(1, [&](int64_t) {
    for (int repeat = 0; repeat < 100; ++repeat) f(x, y, kCount);
  });
  printf("{\"target\": \"%s\", \"name\": \"function %s\", \"gelem\": %.2f}\n", kernels.target, name,
         100 * kCount / time / 1e9);
}

void ScatterBench(const NativeKernels& kernels, int64_t vocabulary, int64_t rows, int64_t dim) {
  if (!options.Wants("scatter")) return;
  Buffers buffers;
  HeedScatter scatter = {};
  scatter.out = buffers.Floats(vocabulary * dim);
  scatter.dy = buffers.Floats(rows * dim);
  std::vector<int32_t> index(rows);
  for (int64_t i = 0; i < rows; ++i) index[i] = static_cast<int32_t>(i * 7919 % vocabulary);
  scatter.index = index.data();
  scatter.size = vocabulary;
  scatter.out_stride = dim;
  scatter.kept = scatter.summed = 1;
  scatter.axes[0] = {dim, 1, 1, 0, 0};
  scatter.axes[1] = {rows, 0, dim, 1, 1};
  for (int threads = 1; threads <= 2; ++threads) {
    const double time =
        BestSeconds(threads, [&](int64_t part) { kernels.scatter_add(&scatter, part, threads, nullptr); });
    printf(
        "{\"target\": \"%s\", \"name\": \"scatter %ldx%ldx%ld\", \"threads\": %d, \"ms\": %.4f, \"gbytes\": "
        "%.1f}\n",
        kernels.target, static_cast<long>(vocabulary), static_cast<long>(rows), static_cast<long>(dim),
        threads, time * 1e3, 4.0 * dim * (vocabulary + 3 * rows) / time / 1e9);
  }
}

int Main(int argc, char** argv) {
  if (!ReadBenchOptions(argc, argv, "AVX3")) return 2;
  for (const NativeKernels* kernels : AllNativeKernels()) {
    if (!options.WantsTarget(kernels->target)) continue;
    printf("{\"target\": \"%s\", \"name\": \"peak\", \"gflops\": %.1f}\n", kernels->target,
           kernels->peak(200000));
    for (auto [m, n, k] : {std::tuple<int64_t, int64_t, int64_t>(1024, 1024, 1024),
                           {256, 3072, 768},
                           {256, 768, 768},
                           {256, 768, 3072},
                           {1, 50304, 768},
                           {4, 3072, 768},
                           {20, 512, 512},
                           {8, 3072, 768}}) {
      MatmulBench(*kernels, 1, m, n, k, false, false);
      MatmulBench(*kernels, 1, m, n, k, false, true);
      if (m > 1) MatmulBench(*kernels, 1, m, n, k, true, false);
    }
    MatmulBench(*kernels, 256, 20, 20, 64, false, false);
    MatmulBench(*kernels, 256, 20, 20, 64, false, true);
    MatmulBench(*kernels, 256, 20, 64, 20, false, false);
    AttentionBench(*kernels, 12, 1024, 1024, 64, true);
    AttentionBench(*kernels, 12, 1024, 1024, 64, false);
    AttentionBench(*kernels, 12, 4096, 4096, 64, true);
    AttentionBench(*kernels, 12, 4096, 4096, 64, true, 256);
    AttentionBench(*kernels, 128, 20, 20, 64, true);
    AttentionBench(*kernels, 12, 1, 1024, 64, true);
    FunctionBench(*kernels, "exp", kernels->exp);
    FunctionBench(*kernels, "exp2", kernels->exp2);
    FunctionBench(*kernels, "log", kernels->log);
    FunctionBench(*kernels, "tanh", kernels->tanh);
    FunctionBench(*kernels, "erf", kernels->erf);
    FunctionBench(*kernels, "sin", kernels->sin);
    FunctionBench(*kernels, "sigmoid", kernels->sigmoid);
    ScatterBench(*kernels, 50304, 1024, 768);
  }
  return 0;
}

}  // namespace
}  // namespace heed

int main(int argc, char** argv) { return heed::Main(argc, argv); }
