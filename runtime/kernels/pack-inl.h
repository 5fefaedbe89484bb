// Packing: tiles of rows and panels of columns of strided operands, copied or transposed in registers into
// the order in which the register tiles read them. Missing rows and columns become zeros. Shared by the
// matrix product and attention. Values are moved, never computed with.
#if defined(HEED_RUNTIME_KERNELS_PACK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef HEED_RUNTIME_KERNELS_PACK_INL_H_
#undef HEED_RUNTIME_KERNELS_PACK_INL_H_
#else
#define HEED_RUNTIME_KERNELS_PACK_INL_H_
#endif

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "runtime/kernels/lines-inl.h"
#include "runtime/kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace heed {
namespace HWY_NAMESPACE {

// Register tile: rows x vectors of columns, as many accumulators as the registers hold.
#if HWY_TARGET <= HWY_AVX3
constexpr int64_t kTileRows = 14, kMiddleTileRows = 8;
#elif HWY_TARGET <= HWY_AVX2
constexpr int64_t kTileRows = 6, kMiddleTileRows = 4;
#else
constexpr int64_t kTileRows = 4, kMiddleTileRows = 4;
#endif
constexpr int64_t kSmallTileRows = 4;  // enough independent sums to hide the latency of additions
constexpr int kPanelVectors = 2;
constexpr int64_t kPanel = kPanelVectors * kLanes;
static_assert(kTileRows <= kLanes && kSmallTileRows <= kLanes, "packing stores a whole vector per term");

/// to[term][i] = from[rows line at m + i, terms line at k + term] for i < rows, 0 for rows <= i < height. May
/// write up to kLanes floats behind the end. `m_end`: number of elements of the rows line.
HWY_NOINLINE inline void PackRows(const float* HWY_RESTRICT from, const Line& m_line, const Line& k_line,
                                  int64_t m, int64_t rows, int64_t m_end, int64_t k, int64_t depth,
                                  int64_t height, float* HWY_RESTRICT to) {
  const FloatTag d;
  if (height == 1) {
    const float* const row = from + m_line.At(m);
    if (k_line.run == kWhole) {
      int64_t term = 0;
#pragma clang loop unroll(disable) vectorize(disable)
      for (; term + kLanes <= depth; term += kLanes) hn::StoreU(hn::LoadU(d, row + k + term), d, to + term);
      if (term < depth) hn::StoreU(LoadFirst(row + k + term, depth - term), d, to + term);
    } else {
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t term = 0; term < depth; ++term) to[term] = row[k_line.At(k + term)];
    }
  } else if (m_line.Adjacent(m, rows)) {
    const float* const first = from + m_line.At(m);
    if (rows == height && m + kLanes <= m_end && m_line.Adjacent(m, kLanes)) {
      // Reads neighbours too; the next store overwrites them.
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t term = 0; term < depth; ++term) {
        hn::StoreU(hn::LoadU(d, first + k_line.At(k + term)), d, to + term * height);
      }
    } else {
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t term = 0; term < depth; ++term) {
        hn::StoreU(LoadFirst(first + k_line.At(k + term), rows), d, to + term * height);
      }
    }
  } else if (k_line.AdjacentBlocks(kLanes)) {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t term = 0; term < depth; term += kLanes) {
      const int64_t count = Min(kLanes, depth - term);
      Floats block[kLanes];
      const float* const column = from + k_line.At(k + term);
      if (rows == height && count == kLanes && height == kTileRows) {
        Unroll<kLanes>([&](auto i) HWY_ATTR {
          block[i] =
              i < kTileRows ? hn::LoadU(d, column + m_line.At(m + Min(i, kTileRows - 1))) : hn::Zero(d);
        });
        Transpose(block);
        float* const at = to + term * kTileRows;
        Unroll<kLanes>([&](auto j) HWY_ATTR { hn::StoreU(block[j], d, at + j * kTileRows); });
      } else {
        Unroll<kLanes>([&](auto i) HWY_ATTR {
          block[i] = i < rows ? LoadFirst(column + m_line.At(m + i), count) : hn::Zero(d);
        });
        Transpose(block);
        float* const at = to + term * height;
        Unroll<kLanes>([&](auto j) HWY_ATTR {
          if (j < count) hn::StoreU(block[j], d, at + j * height);
        });
      }
    }
  } else {
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t term = 0; term < depth; ++term) {
      const float* const column = from + k_line.At(k + term);
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t i = 0; i < height; ++i) to[term * height + i] = i < rows ? column[m_line.At(m + i)] : 0.0f;
    }
  }
}

/// to[term * stride + j] = from[columns line at n + j, terms line at k + term] for j < columns, 0 up to
/// `stride`, a multiple of kLanes; `to` is aligned.
HWY_NOINLINE inline void PackColumns(const float* HWY_RESTRICT from, const Line& n_line, const Line& k_line,
                                     int64_t n, int64_t columns, int64_t k, int64_t depth, int64_t stride,
                                     float* HWY_RESTRICT to) {
  const FloatTag d;
  if (columns == kPanel && stride == kPanel && n_line.Adjacent(n, kPanel)) {
    const float* const first = from + n_line.At(n);
#pragma clang loop unroll(disable) vectorize(disable)
    for (int64_t term = 0; term < depth; ++term) {
      const float* const row = first + k_line.At(k + term);
      Unroll<kPanelVectors>([&](auto v) HWY_ATTR {
        hn::Store(hn::LoadU(d, row + v * kLanes), d, to + term * kPanel + v * kLanes);
      });
    }
    return;
  }
#pragma clang loop unroll(disable) vectorize(disable)
  for (int64_t j = 0; j < stride; j += kLanes) {
    const int64_t count = Min(kLanes, columns - j);
    float* const block_to = to + j;
    if (count <= 0) {
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t term = 0; term < depth; ++term) hn::Store(hn::Zero(d), d, block_to + term * stride);
    } else if (n_line.Adjacent(n + j, count)) {
      const float* const first = from + n_line.At(n + j);
      if (count == kLanes) {
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t term = 0; term < depth; ++term) {
          hn::Store(hn::LoadU(d, first + k_line.At(k + term)), d, block_to + term * stride);
        }
      } else {
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t term = 0; term < depth; ++term) {
          hn::Store(LoadFirst(first + k_line.At(k + term), count), d, block_to + term * stride);
        }
      }
    } else if (k_line.AdjacentBlocks(kLanes)) {
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t term = 0; term < depth; term += kLanes) {
        const int64_t terms = Min(kLanes, depth - term);
        const float* const row = from + k_line.At(k + term);
        Floats block[kLanes];
        float* const at = block_to + term * stride;
        if (count == kLanes && terms == kLanes) {
          Unroll<kLanes>([&](auto i) HWY_ATTR {
            const float* const column = row + n_line.At(n + j + i);
            block[i] = hn::LoadU(d, column);
          });
          Transpose(block);
          Unroll<kLanes>([&](auto i) HWY_ATTR { hn::Store(block[i], d, at + i * stride); });
        } else {
          Unroll<kLanes>([&](auto i) HWY_ATTR {
            block[i] = i < count ? LoadFirst(row + n_line.At(n + j + i), terms) : hn::Zero(d);
          });
          Transpose(block);
          Unroll<kLanes>([&](auto i) HWY_ATTR {
            if (i < terms) hn::Store(block[i], d, at + i * stride);
          });
        }
      }
    } else {
#pragma clang loop unroll(disable) vectorize(disable)
      for (int64_t term = 0; term < depth; ++term) {
        const float* const row = from + k_line.At(k + term);
#pragma clang loop unroll(disable) vectorize(disable)
        for (int64_t i = 0; i < kLanes; ++i) {
          block_to[term * stride + i] = i < count ? row[n_line.At(n + j + i)] : 0.0f;
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace heed
HWY_AFTER_NAMESPACE();
#endif
