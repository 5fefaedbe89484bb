// Compiles the kernels for every enabled Highway target and collects tables of function pointers (native.h).
// Holes are filled with functors driven by a context. Not part of what Heed generates.
#include "tests/kernels/native.h"

#include <time.h>

#ifndef HEED_RUNTIME_KERNELS_NATIVE_ONCE
#define HEED_RUNTIME_KERNELS_NATIVE_ONCE
namespace heed {

bool TestPresent(const TestScore& score, int64_t loop, int64_t query, int64_t key) {
  const int64_t distance = query + score.key_offset - key;
  const bool past = score.window && distance >= score.window && !(score.resume && distance >= score.resume);
  return !(score.causal && distance < 0) && !past && !(score.key_lengths && key >= score.key_lengths[loop]) &&
         !(score.query_lengths && query >= score.query_lengths[loop]);
}

float TestWeight(const TestScore& score, int64_t loop, int64_t query, int64_t key) {
  if (score.drop == 0) return 1;
  uint64_t hash =
      static_cast<uint64_t>(loop * 73856093 ^ (query + score.key_offset) * 19349663 ^ key * 83492791);
  hash = (hash ^ hash >> 31) * 0x9E3779B97F4A7C15u;
  return static_cast<float>(hash >> 40) * 0x1p-24f >= score.drop ? 1 / (1 - score.drop) : 0;
}

}  // namespace heed
#endif  // HEED_RUNTIME_KERNELS_NATIVE_ONCE

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/kernels/native.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "runtime/kernels/attention-inl.h"
#include "runtime/kernels/attention_backward-inl.h"
#include "runtime/kernels/attention_split-inl.h"
#include "runtime/kernels/attention_split_backward-inl.h"
#include "runtime/kernels/math-inl.h"
#include "runtime/kernels/matmul-inl.h"
#include "runtime/kernels/matmul_split-inl.h"
#include "runtime/kernels/scatter-inl.h"
#include "tests/kernels/test_epilogue-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {
namespace {

/// Everything TestScore can say; kPlain: only its scale, causality and window; kTerm: of sums of tanh(q + k)
/// * factor.
template <bool kPlain, bool kTerm = false>
struct HolesForTests {
  static HWY_INLINE bool IsTerm() { return kTerm; }
  static HWY_INLINE RawFloats Term(RawFloats sum, float q, RawFloats k, int64_t dot, int64_t,
                                   const void* context) {
    const FloatTag d;
    const TestScore& test = *static_cast<const TestScore*>(context);
    return hn::MulAdd(hn::Set(d, test.factors[dot]), Tanh(hn::Add(hn::Set(d, q), Wrap(k))), Wrap(sum)).raw;
  }
  static HWY_INLINE void TermGradient(RawFloats raw, float q, RawFloats k, int64_t dot, int64_t,
                                      RawFloats* dq, RawFloats* dk, float* const* gradients,
                                      const void* context) {
    const FloatTag d;
    const TestScore& test = *static_cast<const TestScore*>(context);
    const Floats ds = Wrap(raw), y = Tanh(hn::Add(hn::Set(d, q), Wrap(k)));
    *dq = *dk =
        hn::Mul(hn::Mul(ds, hn::Set(d, test.factors[dot])), hn::NegMulAdd(y, y, hn::Set(d, 1.0f))).raw;
    float* const to = gradients[0] + dot * kLanes;
    const Floats term = hn::IfThenZeroElse(hn::Eq(ds, hn::Zero(d)), hn::Mul(ds, y));
    hn::Store(hn::Add(hn::Load(d, to), term), d, to);
  }
  static HWY_INLINE RawFloats Score(RawFloats raw, int64_t loop, int64_t query, int64_t key, int64_t count,
                                    const void* context) {
    const FloatTag d;
    const TestScore& test = *static_cast<const TestScore*>(context);
    Floats score = hn::Mul(Wrap(raw), hn::Set(d, test.scale));
    if constexpr (!kPlain) {
      if (test.cap != 0) {
        score = hn::Mul(hn::Set(d, test.cap), Tanh(hn::Div(score, hn::Set(d, test.cap))));
      }
      const Floats distance = hn::Iota(d, static_cast<float>(key - query - test.key_offset));
      score = hn::MulAdd(hn::Set(d, test.slope), distance, score);
      if (test.query_bias) score = hn::Add(score, hn::Set(d, test.query_bias[query]));
      if (test.key_bias) score = hn::Add(score, LoadFirst(test.key_bias + key, count));
      if (test.difference_bias)
        score = hn::Add(score, LoadFirst(test.difference_bias + key - query + test.queries, count));
      if (test.pair_bias) score = hn::Add(score, LoadFirst(test.pair_bias + query * test.keys + key, count));
    }
    return score.raw;
  }
  static HWY_INLINE RawFloats Mask(RawFloats raw, int64_t loop, int64_t query, int64_t key, int64_t count,
                                   const void* context) {
    const FloatTag d;
    const TestScore& test = *static_cast<const TestScore*>(context);
    const Floats score = Wrap(raw);
    const Floats nothing = hn::Neg(hn::Inf(d));
    if constexpr (kPlain) {
      const Floats distance = hn::Sub(hn::Set(d, static_cast<float>(query + test.key_offset)),
                                      hn::Iota(d, static_cast<float>(key)));
      const float window = test.window ? static_cast<float>(test.window) : __builtin_inff();
      auto there = hn::Lt(distance, hn::Set(d, window));
      if (test.causal) there = hn::And(there, hn::Ge(distance, hn::Zero(d)));
      return hn::IfThenElse(there, score, nothing).raw;
    } else {
      HWY_ALIGN float there[kLanes] = {};
      for (int64_t lane = 0; lane < count; ++lane) there[lane] = TestPresent(test, loop, query, key + lane);
      return hn::IfThenElse(hn::Eq(hn::Load(d, there), hn::Set(d, 1.0f)), score, nothing).raw;
    }
  }
  static HWY_INLINE bool ScoreIsShort() { return kPlain; }
  static HWY_INLINE RawFloats Weight(int64_t loop, int64_t query, int64_t key, int64_t count,
                                     const void* context) {
    const FloatTag d;
    if constexpr (kPlain) {
      return hn::Set(d, 1.0f).raw;
    } else {
      const TestScore& test = *static_cast<const TestScore*>(context);
      HWY_ALIGN float weights[kLanes];
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        // NaN where nothing is there: the kernels must not look.
        const bool there = lane < count && TestPresent(test, loop, query, key + lane);
        weights[lane] = there ? TestWeight(test, loop, query, key + lane) : __builtin_nanf("");
      }
      return hn::Load(d, weights).raw;
    }
  }
  static HWY_INLINE RawFloats ScoreGradient(RawFloats raw, RawFloats raw_dt, RawFloats, RawFloats raw_p,
                                            int64_t, int64_t query, int64_t key, int64_t count, int64_t mixed,
                                            float* const* gradients, const void* context) {
    const FloatTag d;
    const TestScore& test = *static_cast<const TestScore*>(context);
    const Floats scale = hn::Set(d, test.scale);
    Floats gradient = hn::Mul(Wrap(raw_dt), scale);
    if constexpr (!kPlain) {
      if (test.cap != 0) {
        const Floats y = Tanh(hn::Div(hn::Mul(Wrap(raw), scale), hn::Set(d, test.cap)));
        gradient = hn::Mul(gradient, hn::NegMulAdd(y, y, hn::Set(d, 1.0f)));
      }
      if (test.queries == 0) return gradient.raw;
      const auto add = [&](float* to, Floats value) HWY_ATTR {
        if (mixed) value = hn::IfThenZeroElse(hn::Eq(Wrap(raw_p), hn::Zero(d)), value);
        StoreFirst(hn::Add(LoadFirst(to, count), value), to, count);
      };
      const Floats dt = Wrap(raw_dt);
      add(gradients[0],
          hn::Mul(dt, hn::Iota(d, static_cast<float>(key - query - test.key_offset))));  // of the slope
      add(gradients[1] + query * kLanes, dt);
      add(gradients[2] + key, dt);
      add(gradients[3] + key - query + test.queries, dt);
      add(gradients[4] + query * test.keys + key, dt);
    }
    return gradient.raw;
  }
  static HWY_INLINE int64_t Tile(int64_t loop, int64_t query_first, int64_t query_last, int64_t key_first,
                                 int64_t key_last, const void* context) {
    const TestScore& test = *static_cast<const TestScore*>(context);
    if (!test.classes) return kMixed;
    const int64_t first = query_first + test.key_offset, last = query_last + test.key_offset;
    bool none = test.causal && key_first > last;
    bool all = !test.causal || key_last <= first;
    if (test.window) {
      none |= first - key_last >= test.window && !(test.resume && last - key_first >= test.resume);
      all &= last - key_first < test.window || (test.resume && first - key_last >= test.resume);
    }
    if constexpr (!kPlain) {
      if (test.key_lengths) {
        none |= key_first >= test.key_lengths[loop];
        all &= key_last < test.key_lengths[loop];
      }
      if (test.query_lengths) {
        none |= query_first >= test.query_lengths[loop];
        all &= query_last < test.query_lengths[loop];
      }
    }
    return none ? kNone : all ? kAll : kMixed;
  }
};

/// The kernels as plain functions: kKernel or kScratch is the one that runs.
template <auto kScratch, class Descriptor>
int64_t RunScratch(const Descriptor* descriptor) {
  return kScratch(*descriptor);
}
template <auto kKernel>
void RunAttention(const HeedAttention* attention, int64_t part, int64_t parts, void* scratch) {
  kKernel(*attention, part, parts, scratch);
}
template <auto kKernel, class Epilogue>
void RunMatmul(const HeedMatmul* matmul, int64_t part, int64_t parts, void* scratch) {
  HeedMatmul finished = *matmul;
  finished.finish = RunFinish<Epilogue>;
  kKernel(finished, part, parts, scratch);
}
#if HWY_TARGET == HWY_AVX3
// Sums of terms stay on vectors, with the same scratch memory.
int64_t EitherScratch(const HeedAttention& attention) {
  return Max(AttentionSplitScratch(attention), AttentionScratch(attention));
}
int64_t EitherBackwardScratch(const HeedAttention& attention) {
  return Max(AttentionBackwardSplitScratch(attention), AttentionBackwardScratch(attention));
}
#endif
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

/// y of each vector from the low and high halves of its elements' numbers.
template <class Draw>
void DrawEach(uint64_t first_element, float* y, int64_t count, const Draw& draw) {
  const FloatTag d;
  const IntTag di;
  for (int64_t i = 0; i < count; i += kLanes) {
    HWY_ALIGN int32_t low[kLanes], high[kLanes];
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const uint64_t element = first_element + static_cast<uint64_t>(i + lane);
      low[lane] = static_cast<int32_t>(element);
      high[lane] = static_cast<int32_t>(element >> 32);
    }
    hn::StoreU(draw(hn::Load(di, low), hn::Load(di, high)), d, y + i);
  }
}

void RunKeep(uint64_t key, uint32_t example, uint32_t site, uint64_t first_element, float p, float* y,
             int64_t count) {
  const Ints number = hn::Set(IntTag(), static_cast<int32_t>(example));
  DrawEach(first_element, y, count, [&](Ints low, Ints high) HWY_ATTR {
    return Keep(static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32), number, low, high, site, p);
  });
}

void RunGumbel(uint64_t key, uint32_t example, uint32_t site, uint64_t first_element, float* y,
               int64_t count) {
  const Ints number = hn::Set(IntTag(), static_cast<int32_t>(example));
  DrawEach(first_element, y, count, [&](Ints low, Ints high) HWY_ATTR {
    return Gumbel(static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32), number, low, high, site);
  });
}

double RunPeak(int64_t steps) {
  const FloatTag d;
  constexpr int kChains = HWY_TARGET <= HWY_AVX3 ? 24 : 12;
  Floats chain[kChains];
  volatile float seed = 0.999f;
  const Floats x = hn::Set(d, seed), y = hn::Set(d, 0.001f);
  Unroll<kChains>([&](auto i) HWY_ATTR { chain[i] = hn::Set(d, static_cast<float>(i)); });
  timespec start, end;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  for (int64_t step = 0; step < steps; ++step) {
    Unroll<kChains>([&](auto i) HWY_ATTR { chain[i] = hn::MulAdd(chain[i], x, y); });
  }
  Floats sum = hn::Zero(d);
  Unroll<kChains>([&](auto i) HWY_ATTR { sum = hn::Add(sum, chain[i]); });
  seed = hn::GetLane(sum);
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
  const double seconds = static_cast<double>(end.tv_sec - start.tv_sec) +
                         static_cast<double>(end.tv_nsec - start.tv_nsec) * 1e-9;
  return 2.0 * static_cast<double>(steps) * kChains * kLanes / seconds / 1e9;
}

constexpr NativeKernels MakeTable() {
  NativeKernels table = {};
  table.lanes = kLanes;
  table.exact = true;
#if HWY_TARGET <= HWY_AVX2
  table.fused = true;
#endif
  table.matmul_scratch = RunScratch<MatmulScratch>;
  table.matmul = RunMatmul<Matmul, NoEpilogue>;
  table.matmul_epilogue = RunMatmul<Matmul, EpilogueForTests>;
  table.attention_scratch = RunScratch<AttentionScratch>;
  table.attention = RunAttention<Attention<HolesForTests<false>>>;
  table.attention_plain = RunAttention<Attention<HolesForTests<true>>>;
  table.attention_term = RunAttention<Attention<HolesForTests<false, true>>>;
  table.attention_backward_term = RunAttention<AttentionBackward<HolesForTests<false, true>>>;
  table.attention_backward_scratch = RunScratch<AttentionBackwardScratch>;
  table.attention_backward = RunAttention<AttentionBackward<HolesForTests<false>>>;
  table.attention_backward_plain = RunAttention<AttentionBackward<HolesForTests<true>>>;
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
  table.gumbel = RunGumbel;
  table.peak = RunPeak;
  return table;
}

}  // namespace

const NativeKernels* Table() {
  static constinit NativeKernels table = MakeTable();
  table.target = hwy::TargetName(HWY_TARGET);
  return &table;
}

/// The same with matrix tiles, null if the target never has them.
const NativeKernels* TilesTable() {
#if HWY_TARGET == HWY_AVX3
  static constinit NativeKernels table = MakeTable();
  table.target = "AMX";
  table.exact = false;
  table.matmul_scratch = RunScratch<MatmulSplitScratch>;
  table.matmul = RunMatmul<MatmulSplit, NoEpilogue>;
  table.matmul_epilogue = RunMatmul<MatmulSplit, EpilogueForTests>;
  table.attention_scratch = RunScratch<EitherScratch>;
  table.attention = RunAttention<AttentionSplit<HolesForTests<false>>>;
  table.attention_plain = RunAttention<AttentionSplit<HolesForTests<true>>>;
  table.attention_backward_scratch = RunScratch<EitherBackwardScratch>;
  table.attention_backward = RunAttention<AttentionBackwardSplit<HolesForTests<false>>>;
  table.attention_backward_plain = RunAttention<AttentionBackwardSplit<HolesForTests<true>>>;
  return &table;
#else
  return nullptr;
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "runtime/kernels/tiles.h"
#include "tests/kernels/each_target.h"

namespace heed {
HWY_EXPORT(Table);
HWY_EXPORT(TilesTable);

std::vector<const NativeKernels*> AllNativeKernels() {
  std::vector<const NativeKernels*> all;
  ForEachTarget([&] {
    const NativeKernels* const tiles = HWY_DYNAMIC_DISPATCH(TilesTable)();
    if (tiles && AskForTiles()) all.push_back(tiles);
    all.push_back(HWY_DYNAMIC_DISPATCH(Table)());
  });
  return all;
}

}  // namespace heed
#endif
