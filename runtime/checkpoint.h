// Safetensors files: reading (mapped, checked against truncation and hostile headers), writing (temporary
// name, synced, renamed), and a program's checkpoint: parameters by name, optimizer moments, tokenizer and
// state in the metadata.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "runtime/engine.h"

namespace heed {

/// A mapped safetensors file.
class SafetensorsFile {
 public:
  static Result<SafetensorsFile> Open(const std::string& path);
  struct Entry {
    std::string dtype;  ///< "F32", "F16", "BF16", "F64", "I32", "I64", "U8", "BOOL" ...
    std::vector<int64_t> shape;
    const uint8_t* data;
    int64_t bytes;
  };
  const std::map<std::string, Entry>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  std::shared_ptr<void> mapping_;
  std::map<std::string, Entry> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// F32, F16, BF16 or F64 -> f32; false for other types. The sizes must agree.
bool ConvertToFloat(const SafetensorsFile::Entry& entry, std::span<float> to);

struct NamedTensor {
  std::string name;
  std::string dtype;  ///< "F32", "I32", "U8"
  std::vector<int64_t> shape;
  const void* data;
};
/// Atomic: on any failure the file that was there is untouched and the temporary one is gone.
Status WriteSafetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                        const std::map<std::string, std::string>& metadata);

/// Whether WriteSafetensors could write `path` now: there is a folder that takes new files, or a device. To
/// be asked before long work. Leaves nothing behind.
Status CheckCanWrite(const std::string& path);

/// For a signal handler that is about to end the process: removes the temporary file of a write under way, if
/// any.
void RemoveTemporaryFile();

struct LoadReport {
  std::string prefix;              ///< common prefix of the file's names, announced by the caller
  std::vector<std::string> extra;  ///< tensors the program does not have
};
/// Copies (F32, F16, BF16, F64 -> f32) every parameter of the program. Missing or mismatching tensors are one
/// error that lists them, closest names and the factor that differs.
Result<LoadReport> LoadParameters(const SafetensorsFile& file, const HeedProgram& program,
                                  ParameterBlock& parameters);
/// optim.m.NAME and optim.v.NAME; false if the file has none.
Result<bool> LoadMoments(const SafetensorsFile& file, const HeedProgram& program, ParameterBlock& m,
                         ParameterBlock& v);
/// Parameters, moments if given, and metadata (tokenizer, step, seed ...).
Status SaveCheckpoint(const std::string& path, const HeedProgram& program, const ParameterBlock& parameters,
                      const ParameterBlock* m, const ParameterBlock* v,
                      const std::map<std::string, std::string>& metadata);

}  // namespace heed
