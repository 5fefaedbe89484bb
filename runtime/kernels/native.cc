// Compiles the kernels for every enabled Highway target and collects tables of function pointers (native.h).
// Holes are filled with functors driven by a context. Not part of what Heed generates.
#include "runtime/kernels/native.h"

#include <chrono>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "runtime/kernels/native.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "runtime/kernels/math-inl.h"
#include "runtime/kernels/matmul-inl.h"
#include "runtime/kernels/scatter-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {
namespace {

struct EpilogueForTests {
  static HWY_INLINE RawFloats Apply(RawFloats raw, int64_t m, int64_t n, int64_t count, int64_t offset,
                                    const void* context) {
    const FloatTag d;
    const TestEpilogue& epilogue = *static_cast<const TestEpilogue*>(context);
    Floats sum = hn::Mul(Wrap(raw), hn::Set(d, epilogue.scale));
    if (epilogue.bias) sum = hn::Add(sum, LoadFirst(epilogue.bias + n, count));
    if (epilogue.residual) sum = hn::Add(sum, LoadFirst(epilogue.residual + offset, count));
    sum = hn::Max(sum, hn::Zero(d));
    return hn::MulAdd(hn::Set(d, epilogue.m_weight), hn::Set(d, static_cast<float>(m)), sum).raw;
  }
};

int64_t RunMatmulScratch(const HeedMatmul* matmul) { return MatmulScratch(*matmul); }
void RunMatmul(const HeedMatmul* matmul, int64_t part, int64_t parts, void* scratch) {
  Matmul<NoEpilogue>(*matmul, part, parts, scratch);
}
void RunMatmulEpilogue(const HeedMatmul* matmul, int64_t part, int64_t parts, void* scratch) {
  Matmul<EpilogueForTests>(*matmul, part, parts, scratch);
}
void RunScatterAdd(const HeedScatter* scatter, int64_t part, int64_t parts, void*) {
  ScatterAdd(*scatter, part, parts);
}

#define HEED_UNARY(Name)                                    \
  void Run##Name(const float* x, float* y, int64_t count) { \
    const FloatTag d;                                       \
    for (int64_t i = 0; i < count; i += kLanes) {           \
      hn::StoreU(Name(hn::LoadU(d, x + i)), d, y + i);      \
    }                                                       \
  }
HEED_UNARY(Exp)
HEED_UNARY(Exp2)
HEED_UNARY(Log)
HEED_UNARY(Tanh)
HEED_UNARY(Erf)
HEED_UNARY(Sin)
HEED_UNARY(Cos)
HEED_UNARY(Sigmoid)
#undef HEED_UNARY

void RunPow(const float* x, const float* z, float* y, int64_t count) {
  const FloatTag d;
  for (int64_t i = 0; i < count; i += kLanes) {
    hn::StoreU(Pow(hn::LoadU(d, x + i), hn::LoadU(d, z + i)), d, y + i);
  }
}

void RunKeep(uint64_t key, uint32_t example, uint32_t site, uint64_t first_element, float p, float* y,
             int64_t count) {
  const FloatTag d;
  const IntTag di;
  for (int64_t i = 0; i < count; i += kLanes) {
    HWY_ALIGN int32_t low[kLanes], high[kLanes];
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const uint64_t element = first_element + static_cast<uint64_t>(i + lane);
      low[lane] = static_cast<int32_t>(element);
      high[lane] = static_cast<int32_t>(element >> 32);
    }
    const Floats factor =
        Keep(static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32),
             hn::Set(di, static_cast<int32_t>(example)), hn::Load(di, low), hn::Load(di, high), site, p);
    hn::StoreU(factor, d, y + i);
  }
}

double RunPeak() {
  const FloatTag d;
  constexpr int kChains = HWY_TARGET <= HWY_AVX3 ? 24 : 12;
  constexpr int64_t kSteps = 200000;
  double best = 0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    Floats chain[kChains];
    volatile float seed = 0.999f;
    const Floats x = hn::Set(d, seed), y = hn::Set(d, 0.001f);
    Unroll<kChains>([&](auto i) HWY_ATTR { chain[i] = hn::Set(d, static_cast<float>(i)); });
    const auto start = std::chrono::steady_clock::now();
    for (int64_t step = 0; step < kSteps; ++step) {
      Unroll<kChains>([&](auto i) HWY_ATTR { chain[i] = hn::MulAdd(chain[i], x, y); });
    }
    Floats sum = hn::Zero(d);
    Unroll<kChains>([&](auto i) HWY_ATTR { sum = hn::Add(sum, chain[i]); });
    seed = hn::GetLane(sum);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const double rate = 2.0 * kSteps * kChains * kLanes / seconds / 1e9;
    if (rate > best) best = rate;
  }
  return best;
}

constexpr NativeKernels MakeTable() {
  NativeKernels table = {};
  table.lanes = kLanes;
#if HWY_TARGET <= HWY_AVX2
  table.fused = true;
#endif
  table.matmul_scratch = RunMatmulScratch;
  table.matmul = RunMatmul;
  table.matmul_epilogue = RunMatmulEpilogue;
  table.scatter_add = RunScatterAdd;
  table.exp = RunExp;
  table.exp2 = RunExp2;
  table.log = RunLog;
  table.tanh = RunTanh;
  table.erf = RunErf;
  table.sin = RunSin;
  table.cos = RunCos;
  table.sigmoid = RunSigmoid;
  table.pow = RunPow;
  table.keep = RunKeep;
  table.peak = RunPeak;
  return table;
}

}  // namespace

const NativeKernels* Table() {
  static constinit NativeKernels table = MakeTable();
  table.target = hwy::TargetName(HWY_TARGET);
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace heed {
HWY_EXPORT(Table);

std::vector<const NativeKernels*> AllNativeKernels() {
  std::vector<const NativeKernels*> all;
  const int64_t supported = hwy::SupportedTargets() & HWY_TARGETS;
  for (int64_t bit = 1; bit <= supported && bit > 0; bit <<= 1) {  // lower bits are better
    if ((supported & bit) == 0) continue;
    hwy::SetSupportedTargetsForTest(bit);
    hwy::GetChosenTarget().Update(bit);
    all.push_back(HWY_DYNAMIC_DISPATCH(Table)());
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(supported);
  return all;
}

}  // namespace heed
#endif
