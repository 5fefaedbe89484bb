// Scatter with addition as bitcode. No holes.
#include "runtime/kernels/level.h"
#include "runtime/kernels/scatter-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

extern "C" void heed_scatter_add(const HeedScatter* scatter, int64_t part, int64_t parts, void*) {
  ScatterAdd(*scatter, part, parts);
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
