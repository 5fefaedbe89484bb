// Which sizes of axes would make a program fit a checkpoint. Each storage dimension of a parameter says that
// a product of axis sizes is a number of the file; this solves for the sizes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/abi.h"
#include "runtime/weights/model_config.h"

namespace heed {

/// The extents a file has for a parameter.
struct StoredShape {
  int64_t param;
  std::vector<int64_t> shape;  ///< as many as the parameter's storage dimensions
};
/// Layers of the file for parameters named PREFIX0.REST, PREFIX1.REST ...; as many as of the program or not.
struct StoredLayers {
  std::string prefix;
  int64_t in_program, in_file;
};

/// A value for an axis or a constant.
struct Setting {
  std::string text;      ///< "model=1024"
  std::string field;     ///< of a config.json, if it was that which told; else empty
  bool absent = false;   ///< the field is not there, which tells
  bool changes = false;  ///< the program has another value
};

struct Fit {
  std::vector<Setting> settings;     ///< all that a build takes, whatever this one was given
  std::vector<std::string> shorten;  ///< "seq=2048": bounds over what `config` tells
  std::vector<std::string> notes;    ///< sentences: what `config` tells and no size or constant expresses
  bool unique = true;                ///< false: other sizes of the same axes would fit as well
  /// The texts of settings that change something.
  std::vector<std::string> Changes() const;
};
/// Nothing if no sizes fit. Where shapes leave a choice, sizes that `config` tells win, then those that
/// change least.
std::optional<Fit> FitProgram(const HeedProgram& program, const std::vector<StoredShape>& shapes,
                              const std::vector<StoredLayers>& layers, const ModelConfig& config);

}  // namespace heed
