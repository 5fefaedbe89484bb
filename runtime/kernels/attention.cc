// Attention, forward and backward, as bitcode; score, weight, score gradient and the classes of tiles are
// holes for the compiler to fill.
#include "runtime/kernels/attention-inl.h"
#include "runtime/kernels/attention_backward-inl.h"
#include "runtime/kernels/attention_pairs-inl.h"
#include "runtime/kernels/attention_split-inl.h"
#include "runtime/kernels/attention_split_backward-inl.h"
#include "runtime/kernels/level.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {
extern "C" {
RawFloats heed_hole_score(RawFloats s, int64_t loop, int64_t query, int64_t key, int64_t count,
                          const void* context);
RawFloats heed_hole_mask(RawFloats score, int64_t loop, int64_t query, int64_t key, int64_t count,
                         const void* context);
int64_t heed_hole_score_is_short();
RawFloats heed_hole_weight(int64_t loop, int64_t query, int64_t key, int64_t count, const void* context);
RawFloats heed_hole_score_gradient(RawFloats s, RawFloats dt, RawFloats dw, RawFloats p, int64_t loop,
                                   int64_t query, int64_t key, int64_t count, int64_t mixed,
                                   float* const* gradients, const void* context);
int64_t heed_hole_is_term();
RawFloats heed_hole_term(RawFloats sum, float q, RawFloats k, int64_t dot, int64_t loop, const void* context);
void heed_hole_term_gradient(RawFloats ds, float q, RawFloats k, int64_t dot, int64_t loop, RawFloats* dq,
                             RawFloats* dk, float* const* gradients, const void* context);
int64_t heed_hole_tile(int64_t loop, int64_t query_first, int64_t query_last, int64_t key_first,
                       int64_t key_last, const void* context);
}

struct AttentionHoles {
  static HWY_INLINE RawFloats Score(RawFloats s, int64_t loop, int64_t query, int64_t key, int64_t count,
                                    const void* context) {
    return heed_hole_score(s, loop, query, key, count, context);
  }
  static HWY_INLINE RawFloats Mask(RawFloats score, int64_t loop, int64_t query, int64_t key, int64_t count,
                                   const void* context) {
    return heed_hole_mask(score, loop, query, key, count, context);
  }
  static HWY_INLINE bool ScoreIsShort() { return heed_hole_score_is_short() != 0; }
  static HWY_INLINE RawFloats Weight(int64_t loop, int64_t query, int64_t key, int64_t count,
                                     const void* context) {
    return heed_hole_weight(loop, query, key, count, context);
  }
  static HWY_INLINE RawFloats ScoreGradient(RawFloats s, RawFloats dt, RawFloats dw, RawFloats p,
                                            int64_t loop, int64_t query, int64_t key, int64_t count,
                                            int64_t mixed, float* const* gradients, const void* context) {
    return heed_hole_score_gradient(s, dt, dw, p, loop, query, key, count, mixed, gradients, context);
  }
  static HWY_INLINE bool IsTerm() { return heed_hole_is_term() != 0; }
  static HWY_INLINE RawFloats Term(RawFloats sum, float q, RawFloats k, int64_t dot, int64_t loop,
                                   const void* context) {
    return heed_hole_term(sum, q, k, dot, loop, context);
  }
  static HWY_INLINE void TermGradient(RawFloats ds, float q, RawFloats k, int64_t dot, int64_t loop,
                                      RawFloats* dq, RawFloats* dk, float* const* gradients,
                                      const void* context) {
    heed_hole_term_gradient(ds, q, k, dot, loop, dq, dk, gradients, context);
  }
  static HWY_INLINE int64_t Tile(int64_t loop, int64_t query_first, int64_t query_last, int64_t key_first,
                                 int64_t key_last, const void* context) {
    return heed_hole_tile(loop, query_first, query_last, key_first, key_last, context);
  }
};

extern "C" int64_t heed_attention_scratch(const HeedAttention* attention) {
  HEED_IF_SPLIT(attention, AttentionSplitScratch(*attention));
  return AttentionScratch(*attention);
}

extern "C" void heed_attention(const HeedAttention* attention, int64_t part, int64_t parts, void* scratch) {
  HEED_IF_SPLIT(attention, AttentionSplit<AttentionHoles>(*attention, part, parts, scratch));
  Attention<AttentionHoles>(*attention, part, parts, scratch);
}

extern "C" int64_t heed_attention_pairs(const HeedAttention* attention) {
  return AttentionPairs<AttentionHoles>(*attention);
}

extern "C" int64_t heed_attention_backward_scratch(const HeedAttention* attention) {
  HEED_IF_SPLIT(attention, AttentionBackwardSplitScratch(*attention));
  return AttentionBackwardScratch(*attention);
}

extern "C" void heed_attention_backward(const HeedAttention* attention, int64_t part, int64_t parts,
                                        void* scratch) {
  HEED_IF_SPLIT(attention, AttentionBackwardSplit<AttentionHoles>(*attention, part, parts, scratch));
  AttentionBackward<AttentionHoles>(*attention, part, parts, scratch);
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
