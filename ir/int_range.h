// The whole numbers that a value of type Int can be.
#pragma once

namespace heed::ir {

inline constexpr double kLeastInt = -2147483648.0, kMostInt = 2147483647.0;

/// Of a whole number.
inline bool FitsInt(double value) { return value >= kLeastInt && value <= kMostInt; }

}  // namespace heed::ir
