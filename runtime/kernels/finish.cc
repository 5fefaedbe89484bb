// Finishing sums as bitcode, with the epilogue as a hole for the compiler to fill.
#include "runtime/kernels/finish-inl.h"
#include "runtime/kernels/level.h"

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

extern "C" void heed_finish(const void* result, const float* sums, int64_t stride, int64_t m, int64_t rows,
                            int64_t n, int64_t columns, int64_t first, int64_t last) {
  FinishTile<EpilogueHole>(*static_cast<const FinishedSums*>(result), sums, stride, m, rows, n, columns,
                           first != 0, last != 0);
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
