// Scores that are sums of terms of query and key rather than products, as in additive attention: sums for the
// forward and backward kernels, and the gradients of q, k and what the terms read. The term is a hole
// (heed_kernels.h). Nothing here is a matrix product, so there are no register tiles: a term costs many times
// what a multiply-add does.
#if defined(HEED_RUNTIME_KERNELS_ATTENTION_TERMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_ATTENTION_TERMS_INL_H_
#undef HEED_RUNTIME_KERNELS_ATTENTION_TERMS_INL_H_
#else
#define HEED_RUNTIME_KERNELS_ATTENTION_TERMS_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/attention_common-inl.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

/// to[i][j] = sum over d < dots of term(q[i, d], k[d * k_stride + j]) for rows x (vectors * kLanes) pairs.
template <class Holes>
HWY_NOINLINE void SumTerms(const HeedAttention& attention, int64_t loop, RowsOf q, int64_t rows,
                           const float* HWY_RESTRICT k, int64_t k_stride, int64_t vectors,
                           float* HWY_RESTRICT to, int64_t to_stride) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t j = 0; j < vectors * kLanes; j += kLanes) {
      Floats sum = hn::Zero(d);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t dot = 0; dot < attention.dots; ++dot) {
        sum = Wrap(Holes::Term(sum.raw, q.at[i * q.stride + dot], hn::LoadU(d, k + dot * k_stride + j).raw,
                               dot, loop, attention.context));
      }
      hn::StoreU(sum, d, to + i * to_stride + j);
    }
  }
}

/// Adds the gradients of q (dense rows of dq_stride floats; null: not wanted), of k ([dots][dk_stride]) and
/// of captures that the pairs' ds give: rows x count pairs in rows of ds_stride floats; k is packed in
/// panels.
template <class Holes>
HWY_NOINLINE void TermGradients(const HeedAttention& attention, int64_t loop, RowsOf q, int64_t rows,
                                const float* HWY_RESTRICT packed_k, const uint8_t* HWY_RESTRICT classes,
                                int64_t count, const float* HWY_RESTRICT ds, int64_t ds_stride,
                                float* HWY_RESTRICT dq, int64_t dq_stride, float* HWY_RESTRICT dk,
                                int64_t dk_stride, float* const* gradients) {
  const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t i = 0; i < rows; ++i) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t dot = 0; dot < attention.dots; ++dot) {
      const float query = q.at[i * q.stride + dot];
      Floats sum = hn::Zero(d);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t j = 0; j < count; j += kLanes) {
        if (classes[j / kLanes] == kNone) continue;
        const Floats pairs = hn::Load(d, ds + i * ds_stride + j);
        const float* const key = packed_k + j / kPanel * kPanel * attention.dots + dot * kPanel + j % kPanel;
        RawFloats query_gradient, key_gradient;
        Holes::TermGradient(pairs.raw, query, hn::Load(d, key).raw, dot, loop, &query_gradient, &key_gradient,
                            gradients, attention.context);
        // What is not there may hold anything.
        const auto absent = hn::Eq(pairs, hn::Zero(d));
        sum = hn::Add(sum, hn::IfThenZeroElse(absent, Wrap(query_gradient)));
        float* const to = dk + dot * dk_stride + j;
        hn::Store(hn::Add(hn::Load(d, to), hn::IfThenZeroElse(absent, Wrap(key_gradient))), d, to);
      }
      if (dq) dq[i * dq_stride + dot] += hn::GetLane(hn::SumOfLanes(d, sum));
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
