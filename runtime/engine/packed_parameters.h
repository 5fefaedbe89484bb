// Parameters that do not change, as functions that do not train read them: matrices packed in a type that is
// chosen when they are loaded, everything else as f32. Only what the given functions read is kept, so that
// memory is that of the packed form. How a packed matrix looks inside is the kernels' business.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/threads.h"

namespace heed {

/// "f32", "bf16", "int8", "int4" of kHeedWeightsF32 and so on; nothing for other names.
std::optional<HeedWeightsType> WeightsTypeOf(const std::string& name);
const char* NameOf(HeedWeightsType type);

/// Where parameters come from, part by part: both may be called from several threads.
struct ParameterSource {
  /// Elements [first, first + to.size()) of a parameter in storage order.
  std::function<void(int64_t param, int64_t first, std::span<float> to)> read;
  /// They are not needed any more. May be empty.
  std::function<void(int64_t param, int64_t first, int64_t count)> let_go;
  /// Scales of which a parameter's values are multiples, [column][group] of its matrix, if it is known to
  /// have some of this type; else nothing. May be empty.
  std::function<std::vector<uint16_t>(int64_t param, HeedWeightsType type)> scales;
};

class PackedParameters : public Parameters {
 public:
  /// What `functions` read. `type` is that of matrices.
  PackedParameters(const HeedProgram& program, std::span<const HeedFunction* const> functions,
                   HeedWeightsType type, const ParameterSource& source, ThreadPool& threads);
  PackedParameters(PackedParameters&&) = default;
  PackedParameters& operator=(PackedParameters&&) = default;
  const float* Plain(int64_t param) const override { return plain_[static_cast<size_t>(param)]; }
  const HeedPackedWeights* Packed(int64_t matrix) const override {
    return &packed_[static_cast<size_t>(matrix)];
  }
  /// Of everything that is kept.
  int64_t bytes() const { return bytes_; }
  HeedWeightsType type() const { return type_; }

 private:
  std::vector<const float*> plain_;  // null: not read
  std::vector<HeedPackedWeights> packed_;
  std::shared_ptr<void> plain_memory_, packed_memory_;
  int64_t bytes_ = 0;
  HeedWeightsType type_;
};

}  // namespace heed
