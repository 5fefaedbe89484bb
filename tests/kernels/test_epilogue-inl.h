// The epilogue that native kernels run for tests (TestEpilogue of native.h says what it computes).
#if defined(HEED_RUNTIME_KERNELS_TEST_EPILOGUE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_TEST_EPILOGUE_INL_H_
#undef HEED_RUNTIME_KERNELS_TEST_EPILOGUE_INL_H_
#else
#define HEED_RUNTIME_KERNELS_TEST_EPILOGUE_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/finish-inl.h"
#include "runtime/kernels/simd-inl.h"
#include "tests/kernels/native.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

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

/// The epilogue that leaves sums as they are.
struct NoEpilogue {
  static HWY_INLINE RawFloats Apply(RawFloats sum, int64_t, int64_t, int64_t, int64_t, const void*) {
    return sum;
  }
};

/// `finish` of a descriptor.
template <class Epilogue>
void RunFinish(const void* result, const float* sums, int64_t stride, int64_t m, int64_t rows, int64_t n,
               int64_t columns, int64_t first, int64_t last) {
  FinishTile<Epilogue>(*static_cast<const FinishedSums*>(result), sums, stride, m, rows, n, columns,
                       first != 0, last != 0);
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
