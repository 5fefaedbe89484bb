// Safetensors files: reading (mapped, checked against truncation and hostile headers) and writing. Several
// files of one checkpoint read as one. What the tensors are for is the caller's business.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/mapped_file.h"
#include "runtime/base/result.h"

namespace heed {

/// Tensors by name, in one mapped file or in several.
class SafetensorsFile {
 public:
  /// One file.
  static Result<SafetensorsFile> Open(const std::string& path);
  /// One file; an index (`model.safetensors.index.json`) with the files it names, which must lie beside it;
  /// or a folder that has a model.safetensors or such an index. Files of an index may lack tensors, be
  /// damaged or missing, as long as there is one tensor: see absent().
  static Result<SafetensorsFile> OpenCheckpoint(const std::string& path);

  struct Entry {
    std::string dtype;  ///< "F32", "F16", "BF16", "F64", "I32", "I64", "U8", "BOOL" ...
    std::vector<int64_t> shape;
    const uint8_t* data;
    int64_t bytes;
  };
  const std::map<std::string, Entry>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Of the files, as they were opened (without the index).
  std::vector<std::string> Paths() const;
  /// An error if a file was changed since it was opened. To be asked when all tensors have been read.
  Status CheckUnchanged() const;

  /// Where an index puts a tensor that cannot be had there.
  struct Absent {
    std::string file;
    std::string why;  ///< "is not there", "does not have it" ...
  };
  /// Tensors that the index names and its files lack. Whether they are needed is the reader's business.
  const std::map<std::string, Absent>& absent() const { return absent_; }

 private:
  std::vector<std::shared_ptr<MappedFile>> mappings_;
  std::map<std::string, Entry> tensors_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Absent> absent_;

  static Result<SafetensorsFile> OpenIndex(const std::string& path);
};

/// The folder that a checkpoint's path is or lies in, ending in a slash, or empty for the working folder.
std::string CheckpointFolder(const std::string& path);

/// Bytes of an element, or 0 for a type that is not known here.
int64_t ElementBytes(const std::string& dtype);
/// F32, F16, BF16 or F64.
bool IsFloat(const std::string& dtype);
/// Elements from `first` on as f32: exact but for F64, which is rounded. False for other types.
bool ConvertToFloat(const SafetensorsFile::Entry& entry, int64_t first, std::span<float> to);
/// Lets the mapped pages of elements [first, first + count) go, so that they do not count as memory of this
/// process. They are read again if they are needed again.
void LetGo(const SafetensorsFile::Entry& entry, int64_t first, int64_t count);

struct NamedTensor {
  std::string name;
  std::string dtype;  ///< "F32", "I32", "U8"
  std::vector<int64_t> shape;
  const void* data;
};
/// With the care of FileWriter: on any failure the file that was there is untouched.
Status WriteSafetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                        const std::map<std::string, std::string>& metadata);

}  // namespace heed
