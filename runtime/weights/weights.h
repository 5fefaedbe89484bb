// Where a program's parameters lie in a checkpoint: found by name, checked shape by shape, read part by part.
// A consumer that keeps weights in another form (packed, quantised) reads them through this and never needs a
// copy of all of them in f32. What to say about a checkpoint that does not fit is mismatch.cpp's business.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/abi.h"
#include "runtime/weights/fit.h"
#include "runtime/weights/model_config.h"
#include "runtime/weights/quantized.h"
#include "runtime/weights/safetensors.h"

namespace heed {

/// What a user should know about weights that were found.
struct LoadReport {
  std::string prefix;               ///< common prefix of the file's names; empty if there is none
  std::vector<std::string> extra;   ///< tensors the program does not have, layers folded: "h.*.bias (12)"
  std::vector<std::string> unused;  ///< further ones, which do matter: beside parameters of the program
  std::vector<std::string>
      absent;                      ///< tensors that the index names, and its files lack; the program does too
  std::vector<std::string> notes;  ///< sentences: tied embeddings, what config.json contradicts
};

/// A parameter in a file: floats, or whole numbers and scales.
struct StoredParameter {
  const SafetensorsFile::Entry* entry = nullptr;
  const SafetensorsFile::Entry* scales = nullptr;  ///< with `form`
  std::optional<QuantizedForm> form;
};

class Weights {
 public:
  /// Every parameter of the program, under its name or under names with a common prefix. A missing
  /// `lm_head.weight` is the embedding of the same shape (tied in the file, not in the program). One error
  /// tells of all that is missing or differs, of layers the program does not have and of an output matrix
  /// that the program ties but the file does not. `config` comes from beside the file, if there is one.
  static Result<Weights> Find(SafetensorsFile file, const HeedProgram& program,
                              const ModelConfig& config = {});
  Weights(Weights&&) = default;
  Weights& operator=(Weights&&) = default;
  const LoadReport& report() const { return report_; }

  /// Elements [first, first + to.size()) of a parameter, row-major in its storage dimensions, as f32. May be
  /// called from several threads.
  void Read(int64_t param, int64_t first, std::span<float> to) const;
  /// Lets the file's pages under these elements go, once they are not needed any more.
  void LetGo(int64_t param, int64_t first, int64_t count) const;
  /// The type in which the file has matrices: f32 if it does not say.
  HeedWeightsType type() const { return type_; }
  /// As ParameterSource::scales.
  std::vector<uint16_t> Scales(int64_t param, HeedWeightsType type) const;
  const SafetensorsFile& file() const { return file_; }

 private:
  Weights() = default;
  SafetensorsFile file_;
  std::vector<StoredParameter> stored_;  // of each parameter
  HeedWeightsType type_ = kHeedWeightsF32;
  LoadReport report_;
};

/// The sizes with which the program would fit the file, and what there is to know about the file then; an
/// error, as of Find, if sizes alone do not do it.
struct FittedWeights {
  Fit fit;
  LoadReport report;  ///< notes but those of `fit`
};
Result<FittedWeights> FitWeights(const SafetensorsFile& file, const HeedProgram& program,
                                 const ModelConfig& config);

}  // namespace heed
