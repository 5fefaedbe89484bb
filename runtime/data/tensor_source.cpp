// Values from tensors by name, the first dimension being the example: mapped files of safetensors, or shards
// of one data set. Nothing is copied before a batch needs it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "runtime/base/names.h"
#include "runtime/data/data_source.h"
#include "runtime/data/npy.h"
#include "runtime/data/tensor_file.h"

namespace heed {
namespace {

template <typename T>
T Load(const uint8_t* data, int64_t i) {
  T value;
  std::memcpy(&value, data + i * static_cast<int64_t>(sizeof value), sizeof value);
  return value;
}

bool IsWhole(const std::string& dtype) {
  return ElementBytes(dtype) > 0 && !IsFloat(dtype) &&
         (dtype[0] == 'I' || dtype[0] == 'U' || dtype == "BOOL");
}

/// Element i of a tensor of whole numbers; what int64_t cannot hold is its largest.
int64_t WholeAt(const SafetensorsFile::Entry& entry, int64_t i) {
  const std::string& dtype = entry.dtype;
  if (dtype == "I64") return Load<int64_t>(entry.data, i);
  if (dtype == "U64")
    return static_cast<int64_t>(
        std::min<uint64_t>(Load<uint64_t>(entry.data, i), std::numeric_limits<int64_t>::max()));
  if (dtype == "I32") return Load<int32_t>(entry.data, i);
  if (dtype == "U32") return Load<uint32_t>(entry.data, i);
  if (dtype == "I16") return Load<int16_t>(entry.data, i);
  if (dtype == "U16") return Load<uint16_t>(entry.data, i);
  if (dtype == "I8") return Load<int8_t>(entry.data, i);
  return Load<uint8_t>(entry.data, i);
}

/// One argument's tensors, of one shard after the other.
class TensorColumn final : public Column {
 public:
  TensorColumn(DataArgument argument, std::vector<std::shared_ptr<const TensorFile>> files)
      : argument_(std::move(argument)), files_(std::move(files)) {}

  Status Open() {
    for (const auto& file : files_) {
      Part part{file.get(), &file->tensors.at(argument_.name), count_, {}};
      if (Status ok = CheckTensor(part); !ok) return ok;
      part.lengths.resize(argument_.dims.size(), nullptr);
      for (size_t d = 0; d < argument_.dims.size(); ++d) {
        if (!argument_.dims[d].ragged) continue;
        if (Status ok = FindLengths(part, d); !ok) return ok;
      }
      if (Status ok = CheckNames(*file); !ok) return ok;
      count_ += part.tensor->shape[0];
      parts_.push_back(std::move(part));
    }
    return Done{};
  }

  int64_t size() const override { return count_; }
  bool doubtful() const override { return argument_.dtype != kHeedFloat32; }
  std::vector<int64_t> Widths(int64_t row) const override {
    const Part& part = PartOf(row);
    return {part.tensor->shape.begin() + 1, part.tensor->shape.end()};
  }
  int64_t LengthAlong(int64_t row, size_t dim) const override {
    const Part& part = PartOf(row);
    return part.lengths[dim] != nullptr ? WholeAt(*part.lengths[dim], row - part.first) : -1;
  }
  void Read(int64_t row, int64_t first, int64_t count, void* to) const override {
    const Part& part = PartOf(row);
    const int64_t at = (row - part.first) * part.each + first;
    if (argument_.dtype == kHeedFloat32) {
      ConvertToFloat(*part.tensor, at, {static_cast<float*>(to), static_cast<size_t>(count)});
      return;
    }
    for (int64_t i = 0; i < count; ++i) {
      const int64_t value = WholeAt(*part.tensor, at + i);
      if (argument_.dtype == kHeedInt32) {
        static_cast<int32_t*>(to)[i] = static_cast<int32_t>(value);
      } else {
        static_cast<uint8_t*>(to)[i] = value != 0 ? 1 : 0;
      }
    }
  }
  std::string Problem(int64_t row, int64_t element) const override {
    const Part& part = PartOf(row);
    return ProblemOf(argument_, WholeAt(*part.tensor, (row - part.first) * part.each + element));
  }
  std::string NameOf(int64_t row) const override {
    const Part& part = PartOf(row);
    return "example " + std::to_string(row - part.first) + " of " + part.file->path;
  }
  std::string From() const override { return files_[0]->path; }
  void AddTo(DataHash& hash) const override {
    for (const Part& part : parts_) {
      for (const int64_t extent : part.tensor->shape) hash.Add(static_cast<uint64_t>(extent));
      hash.Add(part.tensor->dtype);
      hash.Add(part.tensor->data, part.tensor->bytes);
    }
  }
  Status CheckUnchanged() const override {
    for (const auto& file : files_)
      if (Status ok = file->CheckUnchanged(); !ok) return ok;
    return Done{};
  }

 private:
  struct Part {
    const TensorFile* file;
    const SafetensorsFile::Entry* tensor;
    int64_t first;                                       // row
    std::vector<const SafetensorsFile::Entry*> lengths;  // by dimension; null: as others say
    int64_t each = 1;                                    // elements of a row
  };

  const Part& PartOf(int64_t row) const {
    const auto after = std::upper_bound(parts_.begin(), parts_.end(), row,
                                        [](int64_t at, const Part& part) { return at < part.first; });
    return *(after - 1);
  }

  std::string Wanted() const {
    std::string text = "[examples";
    for (const DataArgument::Dim& dim : argument_.dims)
      text += ", " + dim.axis + (dim.ragged ? "" : "=" + std::to_string(dim.size));
    return text + "]";
  }

  Status CheckTensor(Part& part) const {
    const SafetensorsFile::Entry& tensor = *part.tensor;
    const std::string what = part.file->path + ": `" + argument_.name + "` ";
    const bool typed = argument_.dtype == kHeedFloat32 ? IsFloat(tensor.dtype) : IsWhole(tensor.dtype);
    if (!typed) return Error{what + "is " + tensor.dtype + "; expected " + TensorTypesOf(argument_)};
    const std::vector<int64_t>& shape = tensor.shape;
    bool fits = shape.size() == argument_.dims.size() + 1;
    for (size_t d = 0; fits && d < argument_.dims.size(); ++d)
      fits = argument_.dims[d].ragged || argument_.dims[d].size == shape[d + 1];
    if (!fits) return Error{what + "has shape " + ShapeText(shape) + "; expected " + Wanted()};
    for (size_t d = 1; d < shape.size(); ++d) part.each *= shape[d];
    return Done{};
  }

  /// Lengths under a name that is none would leave padding among the elements.
  Status CheckNames(const TensorFile& file) const {
    std::vector<std::string> names = {argument_.name + ".length"};
    for (const DataArgument::Dim& dim : argument_.dims)
      if (dim.ragged) names.push_back(argument_.name + "." + dim.root + ".length");
    for (auto next = file.tensors.lower_bound(argument_.name + ".");
         next != file.tensors.end() && next->first.starts_with(argument_.name + "."); ++next) {
      if (std::ranges::find(names, next->first) != names.end()) continue;
      return Error{file.path + ": `" + next->first + "` says nothing of `" + argument_.name +
                   "`; its lengths are called " + ListNames(names)};
    }
    return Done{};
  }

  /// `NAME.AXIS.length`, or `NAME.length` where one axis is ragged.
  Status FindLengths(Part& part, size_t dim) const {
    const DataArgument::Dim& axis = argument_.dims[dim];
    const auto& tensors = part.file->tensors;
    const bool one =
        std::all_of(argument_.dims.begin(), argument_.dims.end(),
                    [&](const DataArgument::Dim& other) { return !other.ragged || other.root == axis.root; });
    auto found = tensors.find(argument_.name + "." + axis.root + ".length");
    if (found == tensors.end() && one) found = tensors.find(argument_.name + ".length");
    if (found == tensors.end()) return Done{};
    const SafetensorsFile::Entry& lengths = found->second;
    const std::string what = part.file->path + ": `" + found->first + "` ";
    const int64_t rows = part.tensor->shape[0], width = part.tensor->shape[dim + 1];
    if (!IsWhole(lengths.dtype)) return Error{what + "is " + lengths.dtype + "; expected I32 or I64"};
    if (lengths.shape != std::vector<int64_t>{rows}) {
      return Error{what + "has shape " + ShapeText(lengths.shape) +
                   "; expected [examples=" + std::to_string(rows) + "]"};
    }
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t length = WholeAt(lengths, row);
      if (length >= 0 && length <= width) continue;
      return Error{part.file->path + ": `" + found->first + "`[" + std::to_string(row) + "] is " +
                   std::to_string(length) + "; `" + argument_.name + "` has " + std::to_string(width) +
                   " elements along " + axis.axis};
    }
    part.lengths[dim] = &lengths;
    return Done{};
  }

  DataArgument argument_;
  std::vector<std::shared_ptr<const TensorFile>> files_;
  std::vector<Part> parts_;
  int64_t count_ = 0;
};

class Tensors final : public DataSource {
 public:
  explicit Tensors(std::vector<std::shared_ptr<const TensorFile>> files)
      : files_(std::move(files)), name_(files_[0]->path + (files_.size() > 1 ? " and others" : "")) {}
  const std::string& name() const override { return name_; }
  bool Has(const std::string& argument) const override { return files_[0]->tensors.contains(argument); }
  std::vector<std::string> Names() const override {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : files_[0]->tensors) names.push_back(name);
    return names;
  }
  Status AddTexts(const DataArgument&, std::vector<std::string>&) const override { return Done{}; }
  Result<std::shared_ptr<const Column>> Read(const DataArgument& argument, const EncodeText&) const override {
    for (const auto& file : files_) {
      if (!file->tensors.contains(argument.name))
        return Error{file->path + " has no `" + argument.name + "`, which " + files_[0]->path + " has"};
    }
    auto column = std::make_shared<TensorColumn>(argument, files_);
    if (Status opened = column->Open(); !opened) return opened.error();
    return std::shared_ptr<const Column>(std::move(column));
  }

 private:
  std::vector<std::shared_ptr<const TensorFile>> files_;
  std::string name_;
};

}  // namespace

Result<DataSourcePtr> OpenTensors(const std::vector<std::string>& paths) {
  std::vector<std::shared_ptr<const TensorFile>> files;
  for (const std::string& path : paths) {
    Result<std::shared_ptr<const TensorFile>> file = OpenTensorFile(path);
    if (!file) return file.error();
    files.push_back(std::move(*file));
  }
  return DataSourcePtr(std::make_unique<Tensors>(std::move(files)));
}

Result<DataSourcePtr> OpenArray(const std::string& argument, const std::string& path) {
  Result<std::shared_ptr<const TensorFile>> file = OpenNpy(path, argument);
  if (!file) return file.error();
  return DataSourcePtr(std::make_unique<Tensors>(std::vector{std::move(*file)}));
}

}  // namespace heed
