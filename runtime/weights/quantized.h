// Parameters saved as whole numbers and scales: how they lie in a file, and back to f32. Only parameters that
// a program multiplies by as one matrix are saved so, because scales belong to groups of its terms.
//
//   NAME        I8, the parameter's shape; for int4 U8 with two numbers a byte in storage order, the first in
//               the low half, 8 added to each: [..., last / 2], or [(count + 1) / 2] if `last` is odd
//   NAME.scale  BF16, the parameter's shape with a dimension of groups in place of the summed ones: 128 of
//               their elements (int8) or 32 (int4) have one scale
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/engine/packed_parameters.h"
#include "runtime/weights/safetensors.h"

namespace heed {

/// A parameter as [outer][terms][inner] in storage order.
struct QuantizedForm {
  HeedWeightsType type;  ///< int8 or int4
  int64_t outer = 1, terms = 1, inner = 1;
  int64_t matrix = -1;  ///< of HeedProgram::packing: columns are [outer][inner]
  std::vector<int64_t> number_shape, scale_shape;

  int64_t Group() const { return type == kHeedWeightsInt8 ? kHeedInt8Group : kHeedInt4Group; }
  int64_t Groups() const { return (terms + Group() - 1) / Group(); }
  int64_t Count() const { return outer * terms * inner; }
  /// "I8" or "U8".
  const char* NumberType() const { return type == kHeedWeightsInt8 ? "I8" : "U8"; }
};
/// How a parameter is saved when matrices are of the type `wanted`; nothing if it is saved as it is.
std::optional<QuantizedForm> QuantizedFormOf(const HeedProgram& program, int64_t param,
                                             HeedWeightsType wanted);

/// Elements [first, first + to.size()) in storage order as f32, exactly.
void Dequantize(const QuantizedForm& form, const uint8_t* numbers, const uint8_t* scales, int64_t first,
                std::span<float> to);
/// The scales of a file as packing takes them: [column][group].
std::vector<uint16_t> ScalesByColumn(const QuantizedForm& form, const uint8_t* scales);

/// To nearest, ties to even, as packing does.
std::vector<uint16_t> RoundedToBfloat(std::span<const float> values);

/// A parameter's numbers and scales as they are saved.
struct QuantizedData {
  std::vector<uint8_t> numbers;
  std::vector<uint16_t> scales;
};
/// From the packed form of the matrix.
QuantizedData Quantized(const QuantizedForm& form, const HeedPacking& packing,
                        const HeedPackedWeights& weights);

}  // namespace heed
