// The ops of single families, numbered as all are (ir::OpKind): a switch over them without default knows
// every op of its family, or does not compile.
#pragma once

#include "ir/op.h"

namespace heed::ir {

#define HEED_OP(Name, text, Family, inputs)
#define HEED_LEAF(Name, text, inputs) Name = static_cast<uint8_t>(OpKind::Name),
enum class LeafKind : uint8_t {
#include "ir/ops.def"
};

#define HEED_OP(Name, text, Family, inputs)
#define HEED_REDUCE(Name, text, inputs) Name = static_cast<uint8_t>(OpKind::Name),
enum class ReduceKind : uint8_t {
#include "ir/ops.def"
};

#define HEED_OP(Name, text, Family, inputs)
#define HEED_AXES(Name, text, inputs) Name = static_cast<uint8_t>(OpKind::Name),
enum class AxesKind : uint8_t {
#include "ir/ops.def"
};

#define HEED_OP(Name, text, Family, inputs)
#define HEED_INDEX(Name, text, inputs) Name = static_cast<uint8_t>(OpKind::Name),
enum class IndexKind : uint8_t {
#include "ir/ops.def"
};

#define HEED_OP(Name, text, Family, inputs)
#define HEED_RANDOM(Name, text, inputs) Name = static_cast<uint8_t>(OpKind::Name),
enum class RandomKind : uint8_t {
#include "ir/ops.def"
};

/// An op as one of its family, of which it must be.
template <class KindOfFamily>
constexpr KindOfFamily As(OpKind kind) {
  return static_cast<KindOfFamily>(kind);
}

}  // namespace heed::ir
