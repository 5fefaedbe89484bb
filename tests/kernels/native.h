// The kernels as ordinary functions, once for each Highway target this machine runs: for tests and
// benchmarks. Holes are filled with the few concrete functors below, driven by their context. Generated
// programs don't use this.
#ifndef HEED_RUNTIME_KERNELS_NATIVE_H_
#define HEED_RUNTIME_KERNELS_NATIVE_H_

#include <cstdint>
#include <vector>

#include "runtime/kernels/heed_kernels.h"

namespace heed {

/// Context of NativeKernels::matmul_epilogue: c = relu(scale * sum + bias[n] + residual[offset]) + m_weight *
/// m.
struct TestEpilogue {
  float scale = 1;
  float m_weight = 0;
  const float* bias = nullptr;      // [n]
  const float* residual = nullptr;  // like c
};

/// Context of the attention kernels' holes: score = cap(scale * s) + slope * (key - query) + biases, masked
/// by causality, a window and lengths; weights are 1 or those of a hash. Gradients, if `queries` is set: of
/// the slope, then of the four biases.
struct TestScore {
  float scale = 1;
  float cap = 0;                           // cap * tanh(score / cap) when not 0
  float slope = 0;                         // ALiBi
  bool causal = false;                     // key <= query + key_offset
  int64_t key_offset = 0;                  // position of query 0 among the keys
  int64_t window = 0;                      // query + key_offset - key < window, when not 0
  int64_t resume = 0;                      // or >= resume, when not 0
  const int64_t* key_lengths = nullptr;    // [loop]: how many keys there are
  const int64_t* query_lengths = nullptr;  // [loop]: queries past it have no keys
  float drop = 0;                          // probability of a weight 0, by a hash of loop, query and key
  int64_t queries = 0, keys = 0;           // extents, where gradients or biases of pairs are wanted
  const float* query_bias = nullptr;       // [query]
  const float* key_bias = nullptr;         // [key]
  const float* difference_bias = nullptr;  // [key - query + queries]
  const float* pair_bias = nullptr;        // [query, key]
  const float* factors = nullptr;          // [dot]: of terms
  bool classes = true;                     // false: the tile hole always answers `mixed`
};
/// The same for references: is the pair there; its weight.
bool TestPresent(const TestScore& score, int64_t loop, int64_t query, int64_t key);
float TestWeight(const TestScore& score, int64_t loop, int64_t query, int64_t key);

struct NativeKernels {
  const char* target;
  int64_t lanes;
  bool fused;  // has fused multiply-add
  bool exact;  // products are sums of the promised order, to the bit
  int64_t (*matmul_scratch)(const HeedMatmul*);
  void (*matmul)(const HeedMatmul*, int64_t part, int64_t parts, void* scratch);
  void (*matmul_epilogue)(const HeedMatmul*, int64_t part, int64_t parts, void* scratch);
  int64_t (*attention_scratch)(const HeedAttention*);
  void (*attention)(const HeedAttention*, int64_t part, int64_t parts, void* scratch);
  void (*attention_plain)(const HeedAttention*, int64_t part, int64_t parts, void* scratch);  // scale, mask
  void (*attention_term)(const HeedAttention*, int64_t part, int64_t parts, void* scratch);
  void (*attention_backward_term)(const HeedAttention*, int64_t part, int64_t parts, void* scratch);
  int64_t (*attention_backward_scratch)(const HeedAttention*);
  void (*attention_backward)(const HeedAttention*, int64_t part, int64_t parts, void* scratch);
  void (*attention_backward_plain)(const HeedAttention*, int64_t part, int64_t parts, void* scratch);
  void (*scatter_add)(const HeedScatter*, int64_t part, int64_t parts, void* scratch);
  /// y[i] = f(x[i]) for a count that is a multiple of 16; pow takes the exponent from z.
  void (*exp)(const float* x, float* y, int64_t count);
  void (*exp2)(const float* x, float* y, int64_t count);
  void (*log)(const float* x, float* y, int64_t count);
  void (*tanh)(const float* x, float* y, int64_t count);
  void (*erf)(const float* x, float* y, int64_t count);
  void (*sin)(const float* x, float* y, int64_t count);
  void (*cos)(const float* x, float* y, int64_t count);
  void (*sigmoid)(const float* x, float* y, int64_t count);
  void (*pow)(const float* x, const float* z, float* y, int64_t count);
  void (*keep)(uint64_t key, uint32_t example, uint32_t site, uint64_t first_element, float p, float* y,
               int64_t count);
  void (*gumbel)(uint64_t key, uint32_t example, uint32_t site, uint64_t first_element, float* y,
                 int64_t count);
  /// Fused multiply-adds a second, in GFLOP/s, of `steps` rounds of independent chains in registers: the peak
  /// to compare with, on the calling thread.
  double (*peak)(int64_t steps);
};

/// One table for each Highway target that was compiled in and that this machine runs, best first; "AMX" is
/// AVX3 with products and attention on matrix tiles.
std::vector<const NativeKernels*> AllNativeKernels();

}  // namespace heed

#endif  // HEED_RUNTIME_KERNELS_NATIVE_H_
