// Packed weights and products with them as bitcode. Those with plain weights are the matrix product's.
#include "runtime/kernels/level.h"
#include "runtime/kernels/packed_matmul-inl.h"
#include "runtime/kernels/packed_weights-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {
extern "C" {

int64_t heed_panel_columns() { return kPanel; }
int64_t heed_packed_bytes(int64_t type, int64_t terms, int64_t columns) {
  return PackedPanels(columns) * PanelBytes(type, terms);
}
int64_t heed_pack_scratch(const HeedPack* pack) { return PackScratch(*pack); }
void heed_pack_weights(const HeedPack* pack, int64_t first, int64_t end, void* scratch) {
  PackWeights(*pack, first, end, scratch);
}
int64_t heed_unpack_scratch(const HeedUnpack* unpack) { return UnpackScratch(*unpack); }
void heed_unpack(const HeedUnpack* unpack, int64_t part, int64_t parts, void* scratch) {
  Unpack(*unpack, part, parts, scratch);
}
void heed_packed_scales(const HeedPackedWeights* weights, uint16_t* scales) {
  PackedScales(*weights, scales);
}
int64_t heed_packed_matmul_scratch(const HeedPackedMatmul* matmul) {
  if (matmul->weights->type != kHeedWeightsPlain) return PackedMatmulScratch(*matmul);
  const HeedMatmul plain = PlainMatmul(*matmul);
  return heed_matmul_scratch(&plain);
}
void heed_packed_matmul(const HeedPackedMatmul* matmul, int64_t part, int64_t parts, void* scratch) {
  if (matmul->weights->type != kHeedWeightsPlain) return PackedMatmul(*matmul, part, parts, scratch);
  const HeedMatmul plain = PlainMatmul(*matmul);
  heed_matmul(&plain, part, parts, scratch);
}

}  // extern "C"
}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
