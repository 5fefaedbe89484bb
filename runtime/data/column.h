// The values of one argument in all examples, wherever they lie: in memory, or in a mapped file of tensors.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/data/arguments.h"
#include "runtime/engine/engine.h"

namespace heed {

/// Numbers that tell data apart (FNV-1a over words).
class DataHash {
 public:
  void Add(uint64_t value) { hash_ = (hash_ ^ value) * 0x100000001B3ull; }
  void Add(const std::string& text);
  /// Of more than 64 MB evenly spread parts.
  void Add(const uint8_t* bytes, int64_t count);
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xCBF29CE484222325ull;
};

class Column {
 public:
  virtual ~Column() = default;
  /// Rows: one for each example.
  virtual int64_t size() const = 0;
  /// One row, which stands for every example.
  virtual bool constant() const { return false; }
  /// Elements along each dimension of a row as it is stored.
  virtual std::vector<int64_t> Widths(int64_t row) const = 0;
  /// How many of them are the example's, along a ragged dimension; -1: as many as other arguments say.
  virtual int64_t LengthAlong(int64_t row, size_t dim) const = 0;
  /// Elements [first, first + count) of a row, row-major, in the argument's type.
  virtual void Read(int64_t row, int64_t first, int64_t count, void* to) const = 0;
  /// Why an element cannot be one of the argument's, or "". Nothing is wrong in memory.
  virtual std::string Problem([[maybe_unused]] int64_t row, [[maybe_unused]] int64_t element) const {
    return "";
  }
  /// Whether Problem must be asked.
  virtual bool doubtful() const { return false; }
  /// "line 3 of FILE".
  virtual std::string NameOf(int64_t row) const = 0;
  /// The file, for messages about all rows.
  virtual std::string From() const = 0;
  virtual void AddTo(DataHash& hash) const = 0;
  virtual Status CheckUnchanged() const { return Done{}; }
};

/// Rows that were read from records, with widths of their own.
class MemoryColumn final : public Column {
 public:
  MemoryColumn(DataArgument argument, std::string from, bool constant = false)
      : argument_(std::move(argument)), from_(std::move(from)), constant_(constant) {}
  const DataArgument& argument() const { return argument_; }

  /// A row of these widths from line `line` (from 1). `ints` holds elements of all types but f32.
  void Add(int64_t line, const std::vector<int64_t>& widths, const std::vector<float>& floats,
           const std::vector<int32_t>& ints);

  int64_t size() const override { return static_cast<int64_t>(lines_.size()); }
  bool constant() const override { return constant_; }
  std::vector<int64_t> Widths(int64_t row) const override;
  int64_t LengthAlong(int64_t row, size_t dim) const override;
  void Read(int64_t row, int64_t first, int64_t count, void* to) const override;
  std::string NameOf(int64_t row) const override;
  std::string From() const override { return from_; }
  void AddTo(DataHash& hash) const override;

 private:
  DataArgument argument_;
  std::string from_;
  bool constant_;
  std::vector<uint8_t> bytes_;
  std::vector<int64_t> begin_;   // of each row, in bytes
  std::vector<int32_t> widths_;  // rank of them a row
  std::vector<int64_t> lines_;
};

}  // namespace heed
