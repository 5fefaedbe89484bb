// Packed weights and products with them as ordinary functions, once for each Highway target this machine
// runs: for tests and benchmarks. Generated programs don't use this. Targets have no dot product of bytes in
// one instruction; CPU levels may (tests/support/jit.h).
#ifndef HEED_RUNTIME_KERNELS_NATIVE_PACKED_H_
#define HEED_RUNTIME_KERNELS_NATIVE_PACKED_H_

#include <cstdint>
#include <vector>

#include "tests/kernels/native.h"

namespace heed {

/// The functions of heed_kernels.h, and what products may have for `finish`.
struct PackedKernels {
  const char* target;
  int64_t lanes;
  bool fused;  // has fused multiply-add
  int64_t (*panel_columns)();
  int64_t (*bytes)(int64_t type, int64_t terms, int64_t columns);
  int64_t (*pack_scratch)(const HeedPack*);
  void (*pack)(const HeedPack*, int64_t first, int64_t end, void* scratch);
  int64_t (*unpack_scratch)(const HeedUnpack*);
  void (*unpack)(const HeedUnpack*, int64_t part, int64_t parts, void* scratch);
  void (*scales)(const HeedPackedWeights*, uint16_t*);
  int64_t (*matmul_scratch)(const HeedPackedMatmul*);
  void (*matmul)(const HeedPackedMatmul*, int64_t part, int64_t parts, void* scratch);
  HeedFinish finish, finish_epilogue;  // the latter with TestEpilogue as context
  /// Multiplications and additions of bytes a second, in Gop/s, in registers: the peak of int8 and int4.
  double (*peak)();
};

/// One table for each target, best first.
std::vector<const PackedKernels*> AllPackedKernels();

}  // namespace heed

#endif  // HEED_RUNTIME_KERNELS_NATIVE_PACKED_H_
