// See tensor_file.h.
#include "runtime/data/tensor_file.h"

#include <filesystem>

#include "runtime/data/npy.h"

namespace heed {

Result<std::shared_ptr<const TensorFile>> OpenTensorFile(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return OpenNpyFolder(path);
  if (path.ends_with(".npz")) return OpenNpz(path);
  Result<SafetensorsFile> opened = SafetensorsFile::Open(path);
  if (!opened) return opened.error();
  const auto held = std::make_shared<SafetensorsFile>(std::move(*opened));
  const auto file = std::make_shared<TensorFile>();
  file->path = path;
  file->tensors = held->tensors();
  file->unchanged = [held] { return held->CheckUnchanged(); };
  file->keeps = held;
  return std::shared_ptr<const TensorFile>(file);
}

}  // namespace heed
