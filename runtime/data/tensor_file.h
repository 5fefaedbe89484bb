// A file of tensors by name, whatever its format, as the tensors of a safetensors file.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "runtime/base/result.h"
#include "runtime/weights/safetensors.h"

namespace heed {

struct TensorFile {
  std::string path;
  std::map<std::string, SafetensorsFile::Entry> tensors;
  std::shared_ptr<void> keeps;             ///< the memory that they lie in
  std::function<Status()> unchanged = {};  ///< or empty
  Status CheckUnchanged() const { return unchanged ? unchanged() : Status(Done{}); }
};

/// Opens a file by its ending.
Result<std::shared_ptr<const TensorFile>> OpenTensorFile(const std::string& path);

}  // namespace heed
