// The matrix product as bitcode.
#include "runtime/kernels/level.h"
#include "runtime/kernels/matmul-inl.h"
#include "runtime/kernels/matmul_split-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

extern "C" int64_t heed_matmul_scratch(const HeedMatmul* matmul) {
  HEED_IF_SPLIT(matmul, MatmulSplitScratch(*matmul));
  return MatmulScratch(*matmul);
}

extern "C" void heed_matmul(const HeedMatmul* matmul, int64_t part, int64_t parts, void* scratch) {
  HEED_IF_SPLIT(matmul, MatmulSplit(*matmul, part, parts, scratch));
  Matmul(*matmul, part, parts, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
