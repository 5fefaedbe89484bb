// The temporary memory of a compiled function: which buffer lies where from which step to which, and what
// makes up the peak. As text, and as a picture: steps to the right, addresses upwards.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/abi.h"
#include "runtime/base/result.h"

namespace heed {

struct MemoryPiece {
  int64_t offset = 0, bytes = 0;
  int64_t first = 0, last = 0;  ///< steps of use, inclusive
  std::string made_by;          ///< the step that writes it first: "contract h.0.attn lm.heed:19"
};
struct MemoryMap {
  std::string name;  ///< of the function and its extents: "train/train, batch 1, seq 64"
  int64_t steps = 0;
  int64_t bytes = 0;      ///< of the arena
  int64_t peak_step = 0;  ///< the first at which most bytes are in use
  std::string peak_name;
  int64_t in_use = 0;               ///< then
  std::vector<MemoryPiece> pieces;  ///< the largest first
};

/// An error if a machine cannot address as much.
Result<MemoryMap> MapMemory(const HeedFunction& function, std::span<const int64_t> extents);
/// The peak explained: a line for each of the `most` largest pieces in use then, after a small picture.
std::string MemoryText(const MemoryMap& map, int64_t most, int64_t width);
/// The maps one below the other, as an SVG that any browser shows, on light and dark pages.
std::string MemorySvg(std::span<const MemoryMap> maps);

}  // namespace heed
