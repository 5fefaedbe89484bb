// The matrix product as bitcode, with the epilogue as a hole for the compiler to fill.
#include "runtime/kernels/level.h"
#include "runtime/kernels/matmul-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {
extern "C" RawFloats heed_hole_epilogue(RawFloats sum, int64_t m, int64_t n, int64_t count, int64_t offset,
                                        const void* context);

struct EpilogueHole {
  static HWY_INLINE RawFloats Apply(RawFloats sum, int64_t m, int64_t n, int64_t count, int64_t offset,
                                    const void* context) {
    return heed_hole_epilogue(sum, m, n, count, offset, context);
  }
};

extern "C" int64_t heed_matmul_scratch(const HeedMatmul* matmul) { return MatmulScratch(*matmul); }

extern "C" void heed_matmul(const HeedMatmul* matmul, int64_t part, int64_t parts, void* scratch) {
  Matmul<EpilogueHole>(*matmul, part, parts, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
