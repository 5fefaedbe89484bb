// Members of a zip archive: stored as they are, or compressed by deflate, which is all that NumPy writes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace heed {

struct ZipMember {
  std::string name;
  bool compressed = false;
  const uint8_t* data = nullptr;  ///< in the archive
  int64_t stored = 0;             ///< bytes there
  int64_t size = 0;               ///< bytes of the member
};
/// The members of an archive in memory. The error says what is wrong, not where.
Result<std::vector<ZipMember>> ZipMembers(const uint8_t* bytes, int64_t size);
/// A compressed member as it was.
Result<std::vector<uint8_t>> Inflated(const ZipMember& member);

}  // namespace heed
