// Where the temporary buffers of one call lie: sizes from the extents, offsets by first fit over lifetimes.
// Pure arithmetic; allocates nothing of the arena itself.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/abi.h"

namespace heed {

struct ArenaPlan {
  std::vector<int64_t> offsets;  ///< of each buffer of the function; -1 if it does not lie in the arena
  int64_t bytes = 0;
};

/// Bytes of a buffer; -1 if they do not fit 46 bits.
int64_t BufferBytes(const HeedSize& size, std::span<const int64_t> extents);

/// Buffers that are in use at the same step never overlap. Offsets are multiples of 64; buffers of a page and
/// more start at differing offsets within a page (equal ones would compete for the same sets of the
/// first-level cache). A plan of -1 bytes does not fit.
ArenaPlan PlaceArena(const HeedFunction& function, std::span<const int64_t> extents);

}  // namespace heed
