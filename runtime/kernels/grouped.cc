// The grouped product as bitcode. No holes.
#include "runtime/kernels/grouped-inl.h"
#include "runtime/kernels/level.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

extern "C" int64_t heed_grouped_matmul_scratch(const HeedGroupedMatmul* matmul) {
  return GroupedMatmulScratch(*matmul);
}

extern "C" void heed_grouped_matmul(const HeedGroupedMatmul* matmul, int64_t part, int64_t parts,
                                    void* scratch) {
  GroupedMatmul(*matmul, part, parts, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
