// Where attention's backward kernel collects the gradients of values that its score or weight reads: one
// buffer for each, of whole vectors, to which the hole adds at an offset that is affine in query and key
// (heed_kernels.h). Afterwards lanes are summed where the value does not vary along the keys, and the result
// goes to its place. Gradients of whole pairs are added in place.
#if defined(HEED_RUNTIME_KERNELS_ATTENTION_GRADIENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_ATTENTION_GRADIENTS_INL_H_
#undef HEED_RUNTIME_KERNELS_ATTENTION_GRADIENTS_INL_H_
#else
#define HEED_RUNTIME_KERNELS_ATTENTION_GRADIENTS_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/attention_common-inl.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

struct CaptureGradients {
  float* at[kHeedMaxGradients];  // buffers, or the place itself
  float* to[kHeedMaxGradients];  // places of the current loop element

  /// Does a gradient of pairs lack loop axis `axis`?
  static HWY_INLINE bool Shared(const HeedAttention& attention, int64_t axis) {
    bool shared = false;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < attention.gradients; ++i) {
      const HeedAttentionGradient& gradient = attention.gradient[i];
      shared |= gradient.along == kHeedAlongPair && gradient.loop[axis] == 0;
    }
    return shared;
  }

  /// Capacity of the buffer in floats: a vector may reach past the last element.
  static HWY_INLINE int64_t Size(const HeedAttention& attention, int64_t along) {
    switch (along) {
      case kHeedAlongNothing:
        return kLanes;
      case kHeedAlongQuery:
        return attention.queries * kLanes;
      case kHeedAlongKey:
        return attention.keys + kLanes;
      case kHeedAlongDifference:
        return 2 * attention.queries + kLanes;
      case kHeedAlongDot:
        return attention.dots * kLanes;
      default:
        return 0;
    }
  }

  HWY_INLINE void Place(const HeedAttention& attention, Pieces& pieces) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < attention.gradients; ++i)
      at[i] = pieces.Take<float>(Size(attention, attention.gradient[i].along));
  }

  static HWY_INLINE int64_t Offset(const HeedAttention& attention, const HeedAttentionGradient& gradient,
                                   const int64_t* position, const int64_t* order) {
    int64_t offset = 0;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < attention.loops; ++i) offset += position[i] * gradient.loop[order[i]];
    return offset;
  }

  /// Before a loop element, which is at `position` of the axes `order`.
  HWY_NOINLINE void Begin(const HeedAttention& attention, const int64_t* position, const int64_t* order) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < attention.gradients; ++i) {
      const HeedAttentionGradient& gradient = attention.gradient[i];
      to[i] = gradient.to + Offset(attention, gradient, position, order);
      if (gradient.along != kHeedAlongPair) {
        const int64_t size = Size(attention, gradient.along);
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t j = 0; j < size; ++j) at[i][j] = 0;
        continue;
      }
      at[i] = to[i];
      bool first = true;  // of the elements that are summed
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t axis = 0; axis < attention.loops; ++axis)
        first &= position[axis] == 0 || gradient.loop[order[axis]] != 0;
      if (!first) continue;
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t query = 0; query < attention.queries; ++query) {
        float* const row = at[i] + query * gradient.query;
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t key = 0; key < attention.keys; ++key) row[key] = 0;
      }
    }
  }

  /// After it.
  HWY_NOINLINE void End(const HeedAttention& attention) const {
    const FloatTag d;
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < attention.gradients; ++i) {
      const HeedAttentionGradient& gradient = attention.gradient[i];
      float* const target = to[i];
      const float* const from = at[i];
      switch (gradient.along) {
        case kHeedAlongNothing:
          *target = hn::GetLane(hn::SumOfLanes(d, hn::Load(d, from)));
          break;
        case kHeedAlongQuery:
#pragma clang loop unroll(disable) vectorize(disable)
          for (int64_t query = 0; query < attention.queries; ++query) {
            target[query * gradient.query] =
                hn::GetLane(hn::SumOfLanes(d, hn::Load(d, from + query * kLanes)));
          }
          break;
        case kHeedAlongDot:
#pragma clang loop unroll(disable) vectorize(disable)
          for (int64_t dot = 0; dot < attention.dots; ++dot) {
            target[dot * gradient.key] = hn::GetLane(hn::SumOfLanes(d, hn::Load(d, from + dot * kLanes)));
          }
          break;
        case kHeedAlongKey:
#pragma clang loop unroll(disable) vectorize(disable)
          for (int64_t key = 0; key < attention.keys; ++key) target[key * gradient.key] = from[key];
          break;
        case kHeedAlongDifference:
#pragma clang loop unroll(disable) vectorize(disable)
          for (int64_t j = 0; j < 2 * attention.queries; ++j) target[j * gradient.key] = from[j];
          break;
        default:
          break;
      }
    }
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
