// Examples made of a column for each argument. Lengths belong to axes: what columns say of one must agree.
// What lies after an example's length is nobody's: it is not looked at.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/data/column.h"
#include "runtime/data/examples.h"

namespace heed {

class ArgumentExamples final : public Examples {
 public:
  struct Given {
    DataArgument argument;
    std::shared_ptr<const Column> column;
  };
  struct Options {
    /// Examples with a text that is empty or over its axis' bound are left out and counted; else an error.
    bool leaves_out = false;
    int64_t examples = 1;  ///< if there are only constants, or nothing
  };
  /// Errors: numbers of examples or lengths that disagree, lengths over a bound, ids outside their axis.
  static Result<ArgumentExamples> Make(std::vector<Given> given, const Options& options);

  int64_t size() const override { return static_cast<int64_t>(rows_.size()); }
  size_t sides() const override { return roots_.size(); }
  int64_t Length(int64_t example, size_t side) const override {
    return lengths_[side][static_cast<size_t>(example)];
  }
  /// Without ragged axes each example counts one.
  int64_t uniform() const override { return roots_.empty() ? 1 : 0; }
  bool keeps_order() const override { return false; }
  int64_t NumberOf(int64_t example) const override { return rows_[static_cast<size_t>(example)]; }
  std::string NameOf(int64_t example) const override;
  uint64_t Fingerprint() const override;
  Result<std::map<std::string, HostTensor>> InputsOf(const HeedFunction& function,
                                                     const Batch& batch) const override;
  /// The same of all arguments and lengths, whoever reads them.
  Result<std::map<std::string, HostTensor>> AllInputs(const Batch& batch) const;

  const std::vector<Given>& given() const { return given_; }
  /// Ragged axes; the sides of an example are its lengths along them.
  const std::vector<std::string>& roots() const { return roots_; }
  /// The length of an example along a root; -1: it is not among roots().
  int64_t LengthAlong(int64_t example, const std::string& root) const;
  /// The ids of an example's text.
  std::vector<int32_t> IdsOf(int64_t example, const Given& text) const;
  /// "left out 3 of 100 examples: 2 with an empty text, 1 ...", or empty.
  std::string LeftOutNotice(const std::string& what) const;

 private:
  explicit ArgumentExamples(std::vector<Given> given) : given_(std::move(given)) {}
  Result<int64_t> CountRows(int64_t otherwise) const;
  /// A row's lengths along roots(), and whether it has a text that is of no use.
  struct RowLengths {
    std::vector<int64_t> lengths;
    bool empty = false, too_long = false;
  };
  Result<RowLengths> LengthsOf(int64_t row) const;
  Status CheckElements(int64_t example, const Given& given) const;
  /// Its own lengths along the dimensions of an argument.
  std::vector<int64_t> LengthsIn(int64_t example, const DataArgument& argument) const;
  HostTensor TensorOf(const Given& given, const Batch& batch) const;
  template <typename Wanted>
  Result<std::map<std::string, HostTensor>> Collect(const Batch& batch, Wanted wanted) const;
  size_t SideOf(const std::string& root) const;

  std::vector<Given> given_;
  std::vector<std::string> roots_;
  std::vector<int64_t> rows_;                  // of each example
  std::vector<std::vector<int32_t>> lengths_;  // [side][example]
  int64_t read_ = 0, empty_ = 0, too_long_ = 0;
};

}  // namespace heed
