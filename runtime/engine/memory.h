// Large blocks of memory: aligned, on transparent huge pages where they are long enough, and kept when given
// back, so that a step of training does not fault its pages in again. Nothing here knows tensors.
#pragma once

#include <cstdint>
#include <memory>

namespace heed {

/// Nothing can be had any more: asks the program's handler (std::set_new_handler), which may end it with a
/// message from any thread, and throws std::bad_alloc where there is none.
[[noreturn]] void OutOfMemory();

/// At least `bytes`, 64-byte aligned and safe to read up to the next multiple of 64. The contents are
/// arbitrary. Ends in OutOfMemory where there is not so much.
std::shared_ptr<void> AllocateBlock(int64_t bytes);
/// The same, filled with zeros.
std::shared_ptr<void> AllocateZeros(int64_t bytes);

/// Gives the memory of blocks that nobody holds back to the system.
void ReleaseIdleBlocks();

/// What the machine could still give, without ending other programs. Linux grants more than that and ends the
/// process when it is used: whoever needs much asks before.
int64_t AvailableBytes();

}  // namespace heed
