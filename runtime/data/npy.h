// NumPy's files: one array (.npy), or arrays by name in a folder or in a zip archive (.npz).
#pragma once

#include <cstdint>
#include <string>

#include "runtime/base/result.h"
#include "runtime/data/tensor_file.h"

namespace heed {

/// The array of a .npy file of `size` bytes, whose elements stay where they are. The error says what is
/// wrong, not where.
Result<SafetensorsFile::Entry> ParseNpy(const uint8_t* bytes, int64_t size);
/// A .npy, its array being called `name`.
Result<std::shared_ptr<const TensorFile>> OpenNpy(const std::string& path, const std::string& name);
/// Every .npy of a folder, called as the file is.
Result<std::shared_ptr<const TensorFile>> OpenNpyFolder(const std::string& path);

/// The arrays of a .npz, plain or compressed (deflate).
Result<std::shared_ptr<const TensorFile>> OpenNpz(const std::string& path);

}  // namespace heed
