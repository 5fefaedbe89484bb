// Compiles the kernels of packed weights for every enabled Highway target (native_packed.h).
#include "tests/kernels/native_packed.h"

#include <time.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/native_packed.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "runtime/kernels/matmul-inl.h"
#include "runtime/kernels/packed_matmul-inl.h"
#include "runtime/kernels/packed_weights-inl.h"
#include "tests/kernels/test_epilogue-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {
namespace {

int64_t RunPanelColumns() { return kPanel; }
int64_t RunBytes(int64_t type, int64_t terms, int64_t columns) {
  return PackedPanels(columns) * PanelBytes(type, terms);
}
int64_t RunPackScratch(const HeedPack* pack) { return PackScratch(*pack); }
void RunPack(const HeedPack* pack, int64_t first, int64_t end, void* scratch) {
  PackWeights(*pack, first, end, scratch);
}
int64_t RunUnpackScratch(const HeedUnpack* unpack) { return UnpackScratch(*unpack); }
void RunUnpack(const HeedUnpack* unpack, int64_t part, int64_t parts, void* scratch) {
  Unpack(*unpack, part, parts, scratch);
}
void RunScales(const HeedPackedWeights* weights, uint16_t* scales) { PackedScales(*weights, scales); }
int64_t RunMatmulScratch(const HeedPackedMatmul* matmul) {
  if (matmul->weights->type != kHeedWeightsPlain) return PackedMatmulScratch(*matmul);
  return MatmulScratch(PlainMatmul(*matmul));
}
void RunMatmul(const HeedPackedMatmul* matmul, int64_t part, int64_t parts, void* scratch) {
  if (matmul->weights->type != kHeedWeightsPlain) return PackedMatmul(*matmul, part, parts, scratch);
  Matmul(PlainMatmul(*matmul), part, parts, scratch);
}

double RunPeak() {
  const IntTag d;
  constexpr int kChains = HWY_TARGET <= HWY_AVX3 ? 24 : 10;
  constexpr int64_t kSteps = 200000;
  double best = 0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    Ints chain[kChains];
    volatile int32_t seed = 0x01020304;
    const Ints weights = hn::Set(d, seed);
    Ints row = hn::Set(d, seed);
    Unroll<kChains>([&](auto i) HWY_ATTR { chain[i] = hn::Set(d, i); });
    timespec start, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    for (int64_t step = 0; step < kSteps; ++step) {
      asm volatile("" : "+x"(row.raw));  // computed with anew
      Unroll<kChains>([&](auto i) HWY_ATTR { chain[i] = ByteDots::Add(chain[i], weights, row); });
    }
    Ints sum = hn::Zero(d);
    Unroll<kChains>([&](auto i) HWY_ATTR { sum = hn::Add(sum, chain[i]); });
    seed = hn::GetLane(sum);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    const double seconds = static_cast<double>(end.tv_sec - start.tv_sec) +
                           static_cast<double>(end.tv_nsec - start.tv_nsec) * 1e-9;
    const double rate = 2.0 * kSteps * kChains * 4 * kLanes / seconds / 1e9;
    if (rate > best) best = rate;
  }
  return best;
}

constexpr PackedKernels MakeTable() {
  PackedKernels table = {};
  table.lanes = kLanes;
#if HWY_TARGET <= HWY_AVX2
  table.fused = true;
#endif
  table.panel_columns = RunPanelColumns;
  table.bytes = RunBytes;
  table.pack_scratch = RunPackScratch;
  table.pack = RunPack;
  table.unpack_scratch = RunUnpackScratch;
  table.unpack = RunUnpack;
  table.scales = RunScales;
  table.matmul_scratch = RunMatmulScratch;
  table.matmul = RunMatmul;
  table.finish = RunFinish<NoEpilogue>;
  table.finish_epilogue = RunFinish<EpilogueForTests>;
  table.peak = RunPeak;
  return table;
}

}  // namespace

const PackedKernels* PackedTable() {
  static constinit PackedKernels table = MakeTable();
  table.target = hwy::TargetName(HWY_TARGET);
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "tests/kernels/each_target.h"

namespace heed {
HWY_EXPORT(PackedTable);

std::vector<const PackedKernels*> AllPackedKernels() {
  std::vector<const PackedKernels*> all;
  ForEachTarget([&] { all.push_back(HWY_DYNAMIC_DISPATCH(PackedTable)()); });
  return all;
}

}  // namespace heed
#endif
