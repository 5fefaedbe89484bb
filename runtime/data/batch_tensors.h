// Tensors made of rows of ids: what texts look like to a compiled function.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "runtime/data/data.h"
#include "runtime/data/examples.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/program.h"

namespace heed {

/// Whether a function reads an input of that name.
bool HasInput(const HeedFunction& function, std::string_view name);
/// Rows of ids of one argument.
using Rows = std::vector<std::span<const int32_t>>;
/// Inputs of a function: each text padded with 0 to its longest row, `len.AXIS` and `example` where the
/// function has them. `rows` and `texts` are parallel.
std::map<std::string, HostTensor> TextInputs(const HeedFunction& function,
                                             std::span<const TextArgument> texts, std::span<const Rows> rows,
                                             std::span<const int64_t> numbers);
/// The same for a batch of a data set; its columns and `texts` are parallel.
std::map<std::string, HostTensor> BatchInputs(const HeedFunction& function,
                                              std::span<const TextArgument> texts, const Dataset& data,
                                              const Batch& batch);

/// A data set of texts as a stream of examples.
class TextExamples final : public Examples {
 public:
  /// The columns of `data` are `texts`.
  TextExamples(Dataset data, std::vector<TextArgument> texts)
      : data_(std::move(data)), texts_(std::move(texts)) {}
  const Dataset& data() const { return data_; }
  int64_t size() const override { return data_.size(); }
  size_t sides() const override { return data_.sides(); }
  int64_t Length(int64_t example, size_t side) const override { return data_.Length(example, side); }
  int64_t uniform() const override { return data_.uniform(); }
  int64_t NumberOf(int64_t example) const override { return data_.numbers[static_cast<size_t>(example)]; }
  std::string NameOf(int64_t example) const override { return data_.NameOf(example); }
  uint64_t Fingerprint() const override { return data_.Fingerprint(); }
  Result<std::map<std::string, HostTensor>> InputsOf(const HeedFunction& function,
                                                     const Batch& batch) const override {
    return BatchInputs(function, texts_, data_, batch);
  }

 private:
  Dataset data_;
  std::vector<TextArgument> texts_;
};

}  // namespace heed
