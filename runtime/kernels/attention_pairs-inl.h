// The pairs of a query and a key that the mask of an attention leaves, counted: tiles of which everything or
// nothing is there at once, others lane by lane. For profiles, never on the way of a result.
#if defined(HEED_RUNTIME_KERNELS_ATTENTION_PAIRS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_ATTENTION_PAIRS_INL_H_
#undef HEED_RUNTIME_KERNELS_ATTENTION_PAIRS_INL_H_
#else
#define HEED_RUNTIME_KERNELS_ATTENTION_PAIRS_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/attention_common-inl.h"
#include "runtime/kernels/heed_kernels.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

/// Of one query and `count` keys from `key` on.
template <class Holes>
HWY_NOINLINE int64_t PairsOfRow(const HeedAttention& attention, int64_t loop, int64_t query, int64_t key,
                                int64_t count) {
  const FloatTag d;
  int64_t pairs = 0;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t j = 0; j < count; j += kLanes) {
    const int64_t lanes = Min(kLanes, count - j);
    HWY_ALIGN float scores[kLanes];
    hn::Store(Wrap(Holes::Mask(hn::Zero(d).raw, loop, query, key + j, lanes, attention.context)), d, scores);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t lane = 0; lane < lanes; ++lane) pairs += scores[lane] == 0;
  }
  return pairs;
}

template <class Holes>
HWY_INLINE int64_t AttentionPairs(const HeedAttention& attention) {
  const int64_t loops = NestSize(attention.loop, attention.loops);
  int64_t pairs = 0;
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t loop = 0; loop < loops; ++loop) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t query = 0; query < attention.queries; query += kTileRows) {
      const int64_t rows = Min(kTileRows, attention.queries - query);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t key = 0; key < attention.keys; key += kHeedKeyTile) {
        const int64_t count = Min(kHeedKeyTile, attention.keys - key);
        const int64_t there =
            Holes::Tile(loop, query, query + rows - 1, key, key + count - 1, attention.context);
        if (there == kAll) pairs += rows * count;
        if (there != kMixed) continue;
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t row = 0; row < rows; ++row)
          pairs += PairsOfRow<Holes>(attention, loop, query + row, key, count);
      }
    }
  }
  return pairs;
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
