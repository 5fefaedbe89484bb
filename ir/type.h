// Types of values: a set of axes, an element type, and for whole numbers the root they index.
#pragma once

#include <string>

#include "ir/axis.h"

namespace heed::ir {

enum class DType : uint8_t { Float, Int, Bool };

/// `float[batch, seq]`, `int<vocab>[seq]` (token ids), `int<seq>[seq']` (positions), `int[]`, `bool[seq',
/// seq]`. The axes are a set; their order here is that of first appearance and means nothing for storage.
struct Type {
  AxisList axes;
  DType dtype = DType::Float;
  Axis indexes;  ///< the root an Int is an element of; none for plain numbers
  friend bool operator==(const Type&, const Type&) = default;
};

std::string Text(const Type& type);  ///< as in the examples above
std::string Text(DType dtype);       ///< "float", "int", "bool"

}  // namespace heed::ir
