// The kernels that generated programs call: descriptors and C signatures, shared by the kernels, their tests
// and the back end (which builds the descriptors in LLVM IR: plain 64-bit fields, no padding, order fixed).
//
// Every kernel runs the `part`-th of `parts` shares of its outputs. No sum is ever split over parts, so
// results do not depend on `parts`. Strides count elements and may be anything, 0 included (an operand that
// lacks an axis). `scratch` has at least the bytes that the matching *_scratch function returned, 64-byte
// aligned, one a thread.
#ifndef HEED_RUNTIME_KERNELS_HEED_KERNELS_H_
#define HEED_RUNTIME_KERNELS_HEED_KERNELS_H_

#include <stdint.h>

#include "runtime/kernels/limits.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { kHeedMaxAxes = 12 };

// ---- Finishing: what products do with a tile of sums (rows m ..., columns n ...): to c, through an epilogue
// if these are the last terms of the sums. `result` belongs to the product.
typedef void (*HeedFinish)(const void* result, const float* sums, int64_t stride, int64_t m, int64_t rows,
                           int64_t n, int64_t columns, int64_t first, int64_t last);
void heed_finish(const void* result, const float* sums, int64_t stride, int64_t m, int64_t rows, int64_t n,
                 int64_t columns, int64_t first, int64_t last);
// Hole: `count` <= lanes values of row m at columns n..., `offset` = element of c of the first. Called once
// for each output, when its sum is complete. Only called with lanes adjacent in c where the plan asks for an
// epilogue.
//   V heed_hole_epilogue(V sum, int64_t m, int64_t n, int64_t count, int64_t offset, const void* context);

// ---- Matrix product: c[loop, m, n] = epilogue(sum over k of a[loop, m, k] * b[loop, k, n])
// m, n, k and loop are each a row-major nest of axes. Terms are added by fused multiply-adds in the order of
// k, in blocks of 384 at absolute multiples of it; the same for one row as for many. `split`: where there are
// matrix tiles, products of split operands in their order, as exact but not the same bits.
struct HeedMatmulAxis {
  int64_t extent;
  int64_t a, b, c, mask;  // strides; those an operand or the mask lacks are 0
};
struct HeedMatmul {
  const float* a;
  const float* b;
  float* c;
  const uint8_t* mask;  // null, or [loop, k]: 0 = the term is not there (never read)
  const void* context;  // passed to the epilogue
  HeedFinish finish;
  int64_t split;
  int64_t loops, ms, ns, ks;  // number of axes of each kind, in this order in `axes`
  struct HeedMatmulAxis axes[kHeedMaxAxes];
};
int64_t heed_matmul_scratch(const struct HeedMatmul* matmul);  // bytes a part
void heed_matmul(const struct HeedMatmul* matmul, int64_t part, int64_t parts, void* scratch);

// ---- Packed weights: a matrix W[k, n] of parameters in panels of 2 * lanes columns, in one of four types.
// Made by the kernels for the kernels: the form belongs to the CPU level.
//   f32   as they are
//   bf16  rounded to nearest
//   int8  groups of 128 terms: whole numbers in [-127, 127] times a scale of the group and column
//   int4  groups of 32 terms: in [-8, 7]
// Scales are bfloat16. A group whose scale is not finite makes the results NaN. `plain` is not packed: the
// parameters where they lie, for those that change.
enum HeedWeightsType {
  kHeedWeightsF32 = 0,
  kHeedWeightsBF16 = 1,
  kHeedWeightsInt8 = 2,
  kHeedWeightsInt4 = 3,
  kHeedWeightsPlain = 4
};
enum { kHeedInt8Group = 128, kHeedInt4Group = 32 };
struct HeedPackedWeights {
  const void* data;  // 64-byte aligned, unless plain
  int64_t type;
  int64_t terms, columns;
};
struct HeedPackAxis {
  int64_t extent, stride;
};
struct HeedPack {
  const float* from;  // element `first` of what the strides below count in
  int64_t first;
  void* to;                // of panel 0
  const uint16_t* scales;  // null: chosen; else those the weights are multiples of, [column][group], bfloat16
  int64_t type;            // not plain
  int64_t first_term, end_term;
  int64_t ns, ks;  // number of axes of each kind, in this order in `axes`; row-major nests
  struct HeedPackAxis axes[kHeedMaxAxes];
};
int64_t heed_panel_columns(void);
int64_t heed_packed_bytes(int64_t type, int64_t terms, int64_t columns);
int64_t heed_pack_scratch(const struct HeedPack* pack);  // bytes a call
// Panels [first, end) of terms [first_term, end_term): reads no others. first_term is a multiple of 128, and
// so is end_term, or it is the number of terms.
void heed_pack_weights(const struct HeedPack* pack, int64_t first, int64_t end, void* scratch);

// The opposite: columns of the matrix as they are multiplied by, out[m, k] = W[k, index[m]]. Where the index
// is outside the columns it is 0.
struct HeedUnpackAxis {
  int64_t extent;
  int64_t index, out, plain;  // strides; those the index or the matrix lacks are 0
};
struct HeedUnpack {
  const struct HeedPackedWeights* weights;
  const int32_t* index;
  float* out;
  int64_t plain_column;  // stride of a column in plain weights
  int64_t ms, ks;        // number of axes of each kind, in this order in `axes`
  struct HeedUnpackAxis axes[kHeedMaxAxes];
};
int64_t heed_unpack_scratch(const struct HeedUnpack* unpack);
void heed_unpack(const struct HeedUnpack* unpack, int64_t part, int64_t parts, void* scratch);
// The scales of int8 and int4, [column][group], bfloat16.
void heed_packed_scales(const struct HeedPackedWeights* weights, uint16_t* scales);

// ---- Product with packed weights: c[m, n] = epilogue(sum over k of a[m, k] * W[k, n])
// f32: what the matrix product computes, bit for bit, where it is not `split`. bf16: the same with the
// rounded weights. int8, int4: a row of a is rounded to whole numbers in [-127, 127] times a scale for each
// group of terms; the products of a group are added exactly, groups by fused multiply-adds in order.
struct HeedPackedMatmul {
  const struct HeedPackedWeights* weights;
  struct HeedMatmul matmul;  // no loops, no mask; b is null and its strides are those of plain weights
};
int64_t heed_packed_matmul_scratch(const struct HeedPackedMatmul* matmul);
void heed_packed_matmul(const struct HeedPackedMatmul* matmul, int64_t part, int64_t parts, void* scratch);

// ---- Grouped product: c[m, n] = sum over k of a[m, k] * factors[index[m]][k, n], 0 where the index names no
// factor. Each row gives what it gives in the product, or the product with packed weights, of that factor
// alone; no other factor is read for it.
struct HeedGroupedMatmul {
  const int32_t* index;        // [m], by the strides `mask`
  const void* const* factors;  // float, or HeedPackedWeights if `packed`
  int64_t count;               // of factors
  int64_t packed;
  struct HeedMatmul matmul;  // no loops, no mask; b is null and its strides are those of floats
};
int64_t heed_grouped_matmul_scratch(const struct HeedGroupedMatmul* matmul);
void heed_grouped_matmul(const struct HeedGroupedMatmul* matmul, int64_t part, int64_t parts, void* scratch);

// ---- Attention, one pass over the keys (Dao et al. 2022; online softmax: Milakov & Gimelshein 2018)
//   s[i, j] = sum over d of q[i, d] * k[j, d], or of term(q[i, d], k[j, d], d);
//   t = score(s, i, j), masked pairs are not there;
//   p = softmax over j of t;  o[i, e] = sum over j of p * weight(i, j) * v[j, e];  lse[i] = log sum exp t.
// A query without keys gives o = 0, lse = -infinity. `loop` numbers the elements of the loop nest, row-major.
struct HeedAttentionLoop {
  int64_t extent;
  int64_t q, k, v, o, lse;  // strides
};
// A value that score or weight read besides s, with a gradient. It is summed over what `along` lacks, but not
// over the loop nest: one result for each of its elements (Pair: summed over loop axes of stride 0, in
// order).
enum HeedGradientAlong {
  kHeedAlongNothing = 0,
  kHeedAlongQuery = 1,
  kHeedAlongKey = 2,
  kHeedAlongDifference = 3,  // element `key - query + queries`, from 0 to 2 * queries - 1; queries == keys
  kHeedAlongPair = 4,
  kHeedAlongDot = 5,  // of what terms read: element d
};
struct HeedAttentionGradient {
  float* to;
  int64_t along;
  int64_t query, key;          // strides; `key` also between differences and dots. Pair: key is 1
  int64_t loop[kHeedMaxAxes];  // strides
};
struct HeedAttention {
  const float* q;
  const float* k;
  const float* v;
  float* o;
  float* lse;          // forward: may be null when nobody wants it
  const float* d_o;    // backward only; strides of o
  const float* d_lse;  // backward only; strides of lse; null: 0
  float* dq;           // backward only; strides of q, k, v; any of the three may be null
  float* dk;
  float* dv;
  const void* context;                                                                // passed to the holes
  int64_t queries, keys, dots, values;                                                // extents
  int64_t q_query, q_dot, k_key, k_dot, v_key, v_value, o_query, o_value, lse_query;  // strides
  int64_t split;  // 1: of split operands, on levels with matrix tiles; not for sums of terms
  int64_t loops;
  struct HeedAttentionLoop loop[kHeedMaxAxes];
  int64_t gradients;  // backward only
  struct HeedAttentionGradient gradient[kHeedMaxGradients];
};
int64_t heed_attention_scratch(const struct HeedAttention* attention);
void heed_attention(const struct HeedAttention* attention, int64_t part, int64_t parts, void* scratch);
// The pairs of a query and a key that the mask leaves, in all loops, forward or backward. For profiles.
int64_t heed_attention_pairs(const struct HeedAttention* attention);
// Gradients of q, k, v and of what else is listed; overwrites them. A loop axis that an operand lacks (stride
// 0, extent > 1) is summed in its gradient, in order, within one part.
int64_t heed_attention_backward_scratch(const struct HeedAttention* attention);
void heed_attention_backward(const struct HeedAttention* attention, int64_t part, int64_t parts,
                             void* scratch);
// Holes; lanes are keys key, key + 1 ...; what a lane past the end of the keys gives is ignored, but reads
// must stay inside (count lanes are real).
//   V heed_hole_score(V s, int64_t loop, int64_t query, int64_t key, int64_t count, const void* context);
//       the score, masked or not
//   V heed_hole_mask(V score, the same): the score; -infinity where masked. Asked for where heed_hole_tile
//       said `mixed`
//   int64_t heed_hole_score_is_short(); 1 if the score may be repeated for every vector of a register tile
//   V heed_hole_weight(int64_t loop, int64_t query, int64_t key, int64_t count, const void* context);
//   V heed_hole_score_gradient(V s, V dt, V dw, V p, int64_t loop, int64_t query, int64_t key, int64_t count,
//                              int64_t mixed, float* const* gradients, const void* context);
//       cotangent of s, given those of score and weight; adds the cotangents of the values in `gradient`, 0
//       where p is, to vectors: Nothing: gradients[i]; Query: + query * lanes; Key: + key;
//       Difference: + key - query + queries; Pair: where it lies in memory; Dot: nothing, terms do.
//       Only what is `mixed` may have p = 0 or fewer lanes
//   int64_t heed_hole_is_term(); 1 if s is a sum of terms
//   V heed_hole_term(V sum, float q, V k, int64_t d, int64_t loop, const void* context);  sum and one more
//   void heed_hole_term_gradient(V ds, float q, V k, int64_t d, int64_t loop, V* dq, V* dk,
//                                float* const* gradients, const void* context);
//       cotangents of q for each key, and of k; adds those of captures, 0 where ds is, at
//       gradients[i] + d * lanes
//   int64_t heed_hole_tile(int64_t loop, int64_t query_first, int64_t query_last, int64_t key_first,
//                          int64_t key_last, const void* context);   0 none, 1 all, 2 mixed; bounds inclusive

// ---- Scatter: out[.., index, ..] += dy. `out` is set to 0 first. Sums in row-major order of the summed
// nest.
struct HeedScatterAxis {
  int64_t extent;
  int64_t out, dy, index, mask;  // strides
};
struct HeedScatter {
  float* out;
  const float* dy;
  const int32_t* index;  // outside 0 <= index < size: dropped
  const uint8_t* mask;   // null, or 0 = not there
  int64_t size;          // extent of the indexed axis
  int64_t out_stride;    // its stride in out
  int64_t kept;          // axes in out, first; split over parts, the last should be contiguous
  int64_t summed;        // then those that are not
  struct HeedScatterAxis axes[kHeedMaxAxes];
};
void heed_scatter_add(const struct HeedScatter* scatter, int64_t part, int64_t parts, void* scratch);

#ifdef __cplusplus
}
#endif
#endif  // HEED_RUNTIME_KERNELS_HEED_KERNELS_H_
