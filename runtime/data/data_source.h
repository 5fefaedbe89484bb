// Where values of arguments come from: records (JSON lines, TSV), lines of a file, tensors, or the command
// line. Each kind of source is a file of its own; what examples are made of their columns is
// argument_examples.h's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/column.h"

namespace heed {

/// Ids of a text or, of an argument that is no text, of what should be one token.
using EncodeText = std::function<Result<std::vector<int32_t>>(const DataArgument&, std::string_view)>;

class DataSource {
 public:
  virtual ~DataSource() = default;
  /// For messages: the file, or the option.
  virtual const std::string& name() const = 0;
  /// Whether it has values of an argument.
  virtual bool Has(const std::string& argument) const = 0;
  /// What it has, for messages.
  virtual std::vector<std::string> Names() const = 0;
  /// Adds the texts that go through a tokenizer, to make one of them.
  virtual Status AddTexts(const DataArgument& argument, std::vector<std::string>& texts) const = 0;
  /// All values of an argument that it has. An error names file, line or index, and argument.
  virtual Result<std::shared_ptr<const Column>> Read(const DataArgument& argument,
                                                     const EncodeText& encode) const = 0;
};
using DataSourcePtr = std::unique_ptr<DataSource>;

/// A file of many arguments, by its ending: .jsonl, .tsv, .safetensors, .npz, or a folder of .npy. A pattern
/// with * ? [ stands for its files one after the other, in order of their names. `skip_invalid`: lines that
/// are not UTF-8 are left out.
Result<DataSourcePtr> OpenData(const std::string& path, bool skip_invalid);
/// A file of one argument: a value a line, or one .npy.
Result<DataSourcePtr> OpenArgument(const std::string& argument, const std::string& path, bool skip_invalid);
/// One value for all examples; `option` is for messages.
DataSourcePtr MakeConstant(const std::string& argument, const std::string& value, const std::string& option);

// ---- The kinds
Result<DataSourcePtr> OpenRecords(const std::vector<std::string>& paths, bool skip_invalid);
Result<DataSourcePtr> OpenLines(const std::string& argument, const std::string& path, bool skip_invalid);
Result<DataSourcePtr> OpenTensors(const std::vector<std::string>& paths);
Result<DataSourcePtr> OpenArray(const std::string& argument, const std::string& path);

}  // namespace heed
