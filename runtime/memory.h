// Large blocks of memory: aligned, on transparent huge pages where they are long enough, and kept when given
// back, so that a step of training does not fault its pages in again. Nothing here knows tensors.
#pragma once

#include <cstdint>
#include <memory>

namespace heed {

/// At least `bytes`, 64-byte aligned and safe to read up to the next multiple of 64. The contents are
/// arbitrary; throws std::bad_alloc.
std::shared_ptr<void> AllocateBlock(int64_t bytes);
/// The same, filled with zeros.
std::shared_ptr<void> AllocateZeros(int64_t bytes);

/// Gives the memory of blocks that nobody holds back to the system.
void ReleaseIdleBlocks();

/// What the machine could still give, without ending other programs. Linux grants more than that and ends the
/// process when it is used: whoever needs much asks before.
int64_t AvailableBytes();

}  // namespace heed
