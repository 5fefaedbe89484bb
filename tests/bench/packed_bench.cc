// Speed of products with packed weights, as JSON lines: all products of one token of GPT-2 124M and of the
// base Transformer, for each type, CPU level and number of rows: GB/s of packed bytes and the share of what
// reading the same memory alone gives in the same run; Gop/s and the share of the peak of multiplications. In
// processor time, so that a shared machine hardly disturbs.
//   packed_bench [--target="level cascadelake"] [--filter=text] [--seconds=0.2]
#include <immintrin.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <chrono>
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
#include "tests/kernels/packed_kernels.h"

namespace heed {
namespace {

/// Best time of a call that runs `threads` parts: of the slowest thread, in processor time.
double Measure(int threads, const std::function<void(int64_t part)>& run) {
  auto once = [&] {
    std::vector<double> spent(threads);
    auto part = [&](int number) {
      const double start = ThreadSeconds();
      run(number);
      spent[number] = ThreadSeconds() - start;
    };
    std::vector<std::thread> others;
    for (int number = 1; number < threads; ++number) others.emplace_back(part, number);
    part(0);
    for (std::thread& other : others) other.join();
    return *std::max_element(spent.begin(), spent.end());
  };
  double best = once();
  const double end = Now() + options.seconds;
  for (int repeat = 0; repeat < 5 || Now() < end; ++repeat) best = std::min(best, once());
  return best;
}

/// Reads memory from its beginning to its end as fast as one thread can.
void Stream(const uint8_t* data, int64_t bytes) {
  uint64_t sums[8] = {};
  for (int64_t i = 0; i + 64 <= bytes; i += 64) {
    __builtin_prefetch(data + i + 2048);
    uint64_t words[8];
    memcpy(words, data + i, 64);
    for (int w = 0; w < 8; ++w) sums[w] ^= words[w];
  }
  volatile uint64_t sink = sums[0] ^ sums[1] ^ sums[2] ^ sums[3] ^ sums[4] ^ sums[5] ^ sums[6] ^ sums[7];
  (void)sink;
}

/// Gop/s of dot products of bytes in registers, in one instruction; a level with them says which.
#define HEED_DOT_PEAK(Name, kTarget, Vector, dot, kChains)                                              \
  __attribute__((target(kTarget))) double Name() {                                                      \
    Vector chain[kChains] = {}, weights = {}, row = {};                                                 \
    double best = 0;                                                                                    \
    for (int repeat = 0; repeat < 3; ++repeat) {                                                        \
      constexpr int64_t kSteps = 200000;                                                                \
      const double start = ThreadSeconds();                                                             \
      for (int64_t step = 0; step < kSteps; ++step) {                                                   \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < kChains; ++i) chain[i] =                 \
            dot(chain[i], weights, row);                                                                \
      }                                                                                                 \
      for (int i = 0; i < kChains; ++i) asm volatile("" : : "v"(chain[i]));                             \
      best = std::max(best, 2.0 * kSteps * kChains * sizeof(Vector) / (ThreadSeconds() - start) / 1e9); \
    }                                                                                                   \
    return best;                                                                                        \
  }
HEED_DOT_PEAK(DotPeak512, "avx512f,avx512vnni", __m512i, _mm512_dpbusd_epi32, 24)
HEED_DOT_PEAK(DotPeak256, "avx2,avxvnni", __m256i, _mm256_dpbusd_avx_epi32, 12)
#undef HEED_DOT_PEAK
double DotPeak(const PackedKernels& kernels) {
  if (kernels.target == std::string("level cascadelake")) return DotPeak512();
  if (kernels.target == std::string("level alderlake")) return DotPeak256();
  return kernels.peak();
}

/// All products of a model, each with weights of its own, one after the other.
struct PackedModel {
  struct Product {
    int64_t terms, columns;
    bool transposed;  // parameters as [column][term]
    std::vector<uint8_t*> packed;
  };
  const char* name;
  std::vector<Product> products;
};
std::vector<PackedModel> PackedModels() {
  const auto products = [](int64_t terms, int64_t columns, int64_t count, bool transposed = false) {
    return PackedModel::Product{terms, columns, transposed, std::vector<uint8_t*>(count)};
  };
  return {
      {"gpt2 layers",
       {products(768, 2304, 12), products(768, 768, 12), products(768, 3072, 12), products(3072, 768, 12)}},
      {"gpt2",
       {products(768, 2304, 12), products(768, 768, 12), products(768, 3072, 12), products(3072, 768, 12),
        products(768, 50257, 1, true)}},
      {"base decoder",
       {products(512, 512, 36), products(512, 2048, 6), products(2048, 512, 6),
        products(512, 8000, 1, true)}}};
}

void PackedBench(const PackedKernels& kernels, double float_peak, PackedModel model, int64_t type,
                 int64_t rows) {
  static const char* const kNames[] = {"f32", "bf16", "int8", "int4"};
  const std::string name =
      std::string(model.name) + " " + kNames[type] + " " + std::to_string(rows) + " rows";
  if (!options.Wants(name)) return;
  Buffers buffers;
  int64_t total = 0, most_scratch = 64, most_terms = 0, most_columns = 0;
  double flops = 0;
  for (const PackedModel::Product& product : model.products) {
    const int64_t count = static_cast<int64_t>(product.packed.size());
    total += count * kernels.bytes(type, product.terms, product.columns);
    flops += 2.0 * static_cast<double>(rows * count * product.terms * product.columns);
    most_terms = std::max(most_terms, product.terms);
    most_columns = std::max(most_columns, product.columns);
  }
  // All weights in one piece, as a runtime would have them.
  const size_t bytes = static_cast<size_t>(total + (4 << 20)) / (2 << 20) * (2 << 20);
  uint8_t* const weights = static_cast<uint8_t*>(aligned_alloc(2 << 20, bytes));
  buffers.all.push_back(weights);
  madvise(weights, bytes, MADV_HUGEPAGE);
  uint8_t* at = weights;
  for (PackedModel::Product& product : model.products) {
    Buffers parameters;
    HeedPack pack = {};
    pack.from = parameters.Floats(product.terms * product.columns);
    pack.type = type;
    pack.end_term = product.terms;
    pack.ns = pack.ks = 1;
    pack.axes[0] = {product.columns, product.transposed ? product.terms : 1};
    pack.axes[1] = {product.terms, product.transposed ? 1 : product.columns};
    void* const scratch = parameters.Floats(kernels.pack_scratch(&pack) / 4);
    for (uint8_t*& packed : product.packed) {
      packed = at;
      pack.to = at;
      kernels.pack(&pack, 0, (product.columns + kernels.panel_columns() - 1) / kernels.panel_columns(),
                   scratch);
      at += kernels.bytes(type, product.terms, product.columns);
    }
  }
  const float* const a = buffers.Floats(rows * most_terms);
  float* const c = buffers.Floats(rows * most_columns);
  std::vector<HeedPackedWeights> forms;
  std::vector<HeedPackedMatmul> matmuls;
  forms.reserve(200);
  for (const PackedModel::Product& product : model.products) {
    for (uint8_t* packed : product.packed) {
      forms.push_back({packed, type, product.terms, product.columns});
      HeedPackedMatmul& packed_matmul = matmuls.emplace_back();
      HeedMatmul& matmul = packed_matmul.matmul;
      packed_matmul = {};
      matmul.a = a;
      packed_matmul.weights = &forms.back();
      matmul.c = c;
      matmul.finish = kernels.finish;
      matmul.ms = matmul.ns = matmul.ks = 1;
      matmul.axes[0] = {rows, product.terms, 0, product.columns, 0};
      matmul.axes[1] = {product.columns, 0, 0, 1, 0};
      matmul.axes[2] = {product.terms, 1, 0, 0, 0};
      most_scratch = std::max(most_scratch, kernels.matmul_scratch(&packed_matmul));
    }
  }
  void* const scratch[2] = {buffers.Floats(most_scratch / 4), buffers.Floats(most_scratch / 4)};
  const bool floats = type == kHeedWeightsF32 || type == kHeedWeightsBF16;
  for (int threads = 1; threads <= 2; ++threads) {
    const double before = floats ? float_peak : DotPeak(kernels);
    const double time = Measure(threads, [&](int64_t part) {
      for (const HeedPackedMatmul& matmul : matmuls) kernels.matmul(&matmul, part, threads, scratch[part]);
    });
    const double stream =
        Measure(threads, [&](int64_t part) { Stream(weights + total * part / threads, total / threads); });
    const double peak = std::max(before, floats ? float_peak : DotPeak(kernels)) * threads;
    printf(
        "{\"target\": \"%s\", \"name\": \"%s\", \"threads\": %d, \"ms\": %.4f, \"mbytes\": %.1f, "
        "\"gbytes\": %.1f, \"stream_share\": %.3f, \"gops\": %.1f, \"peak_share\": %.3f}\n",
        kernels.target, name.c_str(), threads, time * 1e3, static_cast<double>(total) / 1e6,
        static_cast<double>(total) / time / 1e9, stream / time, flops / time / 1e9,
        flops / time / 1e9 / peak);
    fflush(stdout);
  }
}

int Main(int argc, char** argv) {
  if (!ReadBenchOptions(argc, argv, "\"level cascadelake\"")) return 2;
  for (const PackedKernels* kernels : AllPackedKernelsAndLevels()) {
    if (!options.WantsTarget(kernels->target)) continue;
    double float_peak = 0;
    for (const NativeKernels* native : AllNativeKernels()) {
      if (native->lanes == kernels->lanes) float_peak = native->peak(200000);
    }
    for (int64_t rows : {1, 4, 16, 512}) {
      for (const PackedModel& model : PackedModels()) {
        if ((rows == 512) != (model.name == std::string("gpt2 layers"))) continue;
        for (int64_t type = 0; type < 4; ++type) PackedBench(*kernels, float_peak, model, type, rows);
      }
    }
  }
  return 0;
}

}  // namespace
}  // namespace heed

int main(int argc, char** argv) { return heed::Main(argc, argv); }
