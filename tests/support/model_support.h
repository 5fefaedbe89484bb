// For tests of whole models: build a program with the real `heed`, call its entries on tensors through files,
// and compare numbers. Knows nothing of any model.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "runtime/weights/checkpoint.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"

namespace heed::test {

/// A tensor as numbers, whatever its type in the file.
struct Numbers {
  std::vector<int64_t> shape;
  std::vector<double> data;

  int64_t count() const { return static_cast<int64_t>(data.size()); }
  double Largest() const {
    double largest = 0;
    for (const double value : data) largest = std::max(largest, std::abs(value));
    return largest;
  }
  /// Example b of a batch.
  Numbers Example(int64_t b) const {
    const int64_t each = count() / shape[0];
    return {{shape.begin() + 1, shape.end()}, {data.begin() + b * each, data.begin() + (b + 1) * each}};
  }
  /// The batch of this one example.
  Numbers Batch() const {
    Numbers batch = *this;
    batch.shape.insert(batch.shape.begin(), 1);
    return batch;
  }
  /// The part [from, to) along dimension d.
  Numbers Slice(size_t d, int64_t from, int64_t to) const {
    Numbers part{shape, {}};
    part.shape[d] = to - from;
    int64_t inner = 1, outer = 1;
    for (size_t i = d + 1; i < shape.size(); ++i) inner *= shape[i];
    for (size_t i = 0; i < d; ++i) outer *= shape[i];
    for (int64_t o = 0; o < outer; ++o) {
      part.data.insert(part.data.end(), data.begin() + (o * shape[d] + from) * inner,
                       data.begin() + (o * shape[d] + to) * inner);
    }
    return part;
  }
};
inline Numbers Zeros(std::vector<int64_t> shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return {std::move(shape), std::vector<double>(static_cast<size_t>(count), 0)};
}
inline Numbers Vector(std::vector<double> data) {
  return {{static_cast<int64_t>(data.size())}, std::move(data)};
}

using TensorMap = std::map<std::string, Numbers>;

/// All tensors of a safetensors file; failures are the test's.
inline TensorMap ReadTensors(const std::string& path) {
  TensorMap tensors;
  const Result<SafetensorsFile> file = SafetensorsFile::Open(path);
  if (!file) {
    ADD_FAILURE() << file.error().message;
    return tensors;
  }
  for (const auto& [name, entry] : file->tensors()) {
    Numbers numbers{entry.shape, {}};
    const auto read = [&]<typename T>(T value) {
      for (int64_t at = 0; at < entry.bytes; at += static_cast<int64_t>(sizeof value)) {
        std::memcpy(&value, entry.data + at, sizeof value);
        numbers.data.push_back(static_cast<double>(value));
      }
    };
    if (entry.dtype == "F64") read(double());
    if (entry.dtype == "F32") read(float());
    if (entry.dtype == "I64") read(int64_t());
    if (entry.dtype == "I32") read(int32_t());
    if (entry.dtype == "BOOL" || entry.dtype == "U8") read(uint8_t());
    tensors[name] = std::move(numbers);
  }
  return tensors;
}

/// Tensors whose names are in `ids` are written as I32, the others as F32.
inline void WriteTensors(const std::string& path, const TensorMap& tensors,
                         const std::vector<std::string>& ids = {},
                         const std::map<std::string, std::string>& metadata = {}) {
  std::map<std::string, std::vector<float>> floats;
  std::map<std::string, std::vector<int32_t>> ints;
  std::vector<NamedTensor> named;
  for (const auto& [name, numbers] : tensors) {
    if (std::find(ids.begin(), ids.end(), name) != ids.end()) {
      auto& data = ints[name];
      for (const double value : numbers.data) data.push_back(static_cast<int32_t>(value));
      named.push_back({name, "I32", numbers.shape, data.data()});
    } else {
      auto& data = floats[name];
      for (const double value : numbers.data) data.push_back(static_cast<float>(value));
      named.push_back({name, "F32", numbers.shape, data.data()});
    }
  }
  const Status status = WriteSafetensors(path, named, metadata);
  if (!status) ADD_FAILURE() << status.error().message;
}

/// A program built by `heed` in a folder of its own.
class BuiltProgram {
 public:
  /// `options` go to `heed build` (--set NAME=N ...). ok() is false, and the test has failed, if that did not
  /// work.
  explicit BuiltProgram(const std::string& source, const std::vector<std::string>& options = {}) {
    std::vector<std::string> command{Binary("heed"), "build", source, "-o", program(), "-q"};
    command.insert(command.end(), options.begin(), options.end());
    const ProcessResult result = RunProcess(command);
    ok_ = result.ok();
    if (!ok_) ADD_FAILURE() << "heed build " << source << " gives " << result.status << ": " << result.err;
  }
  bool ok() const { return ok_; }
  std::string program() const { return folder_ / "program"; }
  std::string File(const std::string& name) const { return folder_ / name; }

  ProcessResult Run(std::vector<std::string> arguments, const std::string& input = "") const {
    arguments.insert(arguments.begin(), program());
    return RunProcess(arguments, input, variables);
  }

  /// `call ENTRY` on these inputs with the weights in File("weights.safetensors"), with one thread and with
  /// two, which must agree to the byte. Empty, and the test has failed, if a call did not work.
  TensorMap Call(const std::string& entry, const TensorMap& inputs, const std::vector<std::string>& ids,
                 const std::vector<std::string>& options = {}) const {
    std::vector<std::string> all_ids = ids;
    for (const std::string& name : ids) all_ids.push_back(name + ".length");
    for (const auto& [name, numbers] : inputs)
      if (name.ends_with(".length")) all_ids.push_back(name);
    WriteTensors(File("inputs.safetensors"), inputs, all_ids);
    std::string bytes;
    for (const char* threads : {"1", "2"}) {
      std::filesystem::remove(File("outputs.safetensors"));
      std::vector<std::string> arguments{"call",      entry,
                                         "--weights", File("weights.safetensors"),
                                         "--inputs",  File("inputs.safetensors"),
                                         "--outputs", File("outputs.safetensors"),
                                         "--threads", threads};
      arguments.insert(arguments.end(), options.begin(), options.end());
      const ProcessResult result = Run(arguments);
      if (!result.ok()) {
        ADD_FAILURE() << "call " << entry << " gives " << result.status << ": " << result.err;
        return {};
      }
      const std::string now = FileBytes(File("outputs.safetensors"));
      if (bytes.empty()) bytes = now;
      EXPECT_TRUE(now == bytes) << "call " << entry << " differs with two threads";
    }
    return ReadTensors(File("outputs.safetensors"));
  }

  /// Set for every run: HEED_TARGET=LEVEL.
  std::vector<std::string> variables;

 private:
  TemporaryFolder folder_;
  bool ok_ = false;
};

/// The largest difference, relative to the largest wanted element (or to `scale` if that is larger); infinite
/// for another shape or a NaN.
inline double Distance(const Numbers& got, const Numbers& want, double scale = 0) {
  if (got.data.size() != want.data.size()) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < got.data.size(); ++i) {
    const double difference = std::abs(got.data[i] - want.data[i]);
    if (!(difference <= worst)) worst = std::isnan(difference) ? INFINITY : difference;
  }
  const double largest = std::max(want.Largest(), scale);
  return worst == 0 ? 0 : worst / largest;
}

/// Collects distances under a limit and prints the worst, so that a log shows how far from the limit they
/// are.
class Worst {
 public:
  Worst(std::string what, double limit) : what_(std::move(what)), limit_(limit) {}
  ~Worst() {
    std::printf("             %s: %.2g at worst (%s), %d compared\n", what_.c_str(), worst_, where_.c_str(),
                count_);
  }
  void Add(const std::string& where, const Numbers& got, const Numbers& want, double scale = 0) {
    const double distance = Distance(got, want, scale);
    EXPECT_LT(distance, limit_) << what_ << ": " << where;
    ++count_;
    if (distance >= worst_) worst_ = distance, where_ = where;
  }

 private:
  std::string what_, where_ = "nothing";
  double limit_, worst_ = 0;
  int count_ = 0;
};

}  // namespace heed::test
