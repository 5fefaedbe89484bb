// Where split tiles of an operand are kept: a tile is split when a block first needs it and kept while blocks
// in turn do. Under a mask that moves along, a window say, the same few slots serve all and stay in the
// cache; a tile that is needed again later is split again.
#if defined(HEED_RUNTIME_KERNELS_SLOTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_SLOTS_INL_H_
#undef HEED_RUNTIME_KERNELS_SLOTS_INL_H_
#else
#define HEED_RUNTIME_KERNELS_SLOTS_INL_H_
#endif

#include "hwy/highway.h"
#include "runtime/kernels/attention_common-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

struct Slots {
  int64_t tiles, free_count;
  int32_t* slots;  // [tiles]: where a tile is, or -1
  int32_t* free;   // [tiles]: the slots nobody has; the last one given back is the next one taken

  HWY_INLINE void Place(int64_t count, Pieces& pieces) {
    tiles = count;
    slots = pieces.Take<int32_t>(count);
    free = pieces.Take<int32_t>(count);
  }

  /// Nothing is kept.
  HWY_INLINE void Clear() {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t i = 0; i < tiles; ++i) {
      slots[i] = -1;
      free[i] = static_cast<int32_t>(tiles - 1 - i);
    }
    free_count = tiles;
  }

  /// Keeps only the tiles for which needed(tile).
  template <class Needed>
  HWY_INLINE void Keep(const Needed& needed) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t tile = 0; tile < tiles; ++tile) {
      if (slots[tile] < 0 || needed(tile)) continue;
      free[free_count++] = slots[tile];
      slots[tile] = -1;
    }
  }

  /// Where a tile is; fill(slot) if it is not there yet.
  template <class Fill>
  HWY_INLINE int64_t Find(int64_t tile, const Fill& fill) {
    if (slots[tile] < 0) {
      slots[tile] = free[--free_count];
      fill(static_cast<int64_t>(slots[tile]));
    }
    return slots[tile];
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
