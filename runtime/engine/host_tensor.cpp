// Tensors of the host and blocks of parameters; see engine.h. Sizes here are trusted: what comes from a file
// is checked where it is read.
#include <algorithm>
#include <cmath>

#include "runtime/engine/engine.h"
#include "runtime/engine/memory.h"

namespace heed {
namespace {

constexpr int64_t kAlign = 16;  // floats: 64 bytes

int64_t Product(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(count, size, &count)) OutOfMemory();
  }
  return count;
}

std::vector<int64_t> Offsets(const HeedProgram& program, int64_t* total) {
  std::vector<int64_t> offsets;
  *total = 0;
  for (int64_t i = 0; i < program.param_count; ++i) {
    offsets.push_back(*total);
    *total += (program.params[i].count + kAlign - 1) / kAlign * kAlign;
  }
  return offsets;
}

}  // namespace

int64_t DTypeBytes(int64_t dtype) { return dtype == kHeedBool8 ? 1 : 4; }

HostTensor::HostTensor(HeedDType dtype, std::vector<int64_t> shape)
    : dtype_(dtype), shape_(std::move(shape)) {
  data_ = AllocateZeros(Product(shape_) * DTypeBytes(dtype_));
}

HostTensor HostTensor::Unset(HeedDType dtype, std::vector<int64_t> shape) {
  HostTensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = std::move(shape);
  tensor.data_ = AllocateBlock(Product(tensor.shape_) * DTypeBytes(dtype));
  return tensor;
}

int64_t HostTensor::count() const { return data_ ? Product(shape_) : 0; }
int64_t HostTensor::bytes() const { return count() * DTypeBytes(dtype_); }
std::span<float> HostTensor::floats() { return {static_cast<float*>(data()), static_cast<size_t>(count())}; }
std::span<const float> HostTensor::floats() const {
  return {static_cast<const float*>(data()), static_cast<size_t>(count())};
}
std::span<int32_t> HostTensor::ints() {
  return {static_cast<int32_t*>(data()), static_cast<size_t>(count())};
}
std::span<const int32_t> HostTensor::ints() const {
  return {static_cast<const int32_t*>(data()), static_cast<size_t>(count())};
}

MatrixSize SizeOf(const HeedPackedMatrix& matrix) {
  MatrixSize size;
  for (int64_t i = 0; i < matrix.column_axes + matrix.term_axes; ++i)
    (i < matrix.column_axes ? size.columns : size.terms) *= matrix.extents[i];
  return size;
}

ParameterBlock::ParameterBlock(const HeedProgram& program) : program_(&program) {
  int64_t total = 0;
  offsets_ = Offsets(program, &total);
  block_ = HostTensor(kHeedFloat32, {total});
  for (int64_t i = 0; program.packing != nullptr && i < program.packing->matrix_count; ++i) {
    const HeedPackedMatrix& matrix = program.packing->matrices[i];
    const MatrixSize size = SizeOf(matrix);
    packed_.push_back(
        {tensor(matrix.param).data() + matrix.offset, kHeedWeightsPlain, size.terms, size.columns});
  }
}
std::span<float> ParameterBlock::tensor(int64_t param) {
  return all().subspan(static_cast<size_t>(offsets_[static_cast<size_t>(param)]),
                       static_cast<size_t>(program_->params[param].count));
}
std::span<const float> ParameterBlock::tensor(int64_t param) const {
  return all().subspan(static_cast<size_t>(offsets_[static_cast<size_t>(param)]),
                       static_cast<size_t>(program_->params[param].count));
}
std::span<float> ParameterBlock::all() { return block_.floats(); }
std::span<const float> ParameterBlock::all() const { return block_.floats(); }
bool ParameterBlock::AllFinite() const {
  return std::all_of(all().begin(), all().end(), [](float value) { return std::isfinite(value); });
}

Result<double> ScalarOf(const std::map<std::string, HostTensor>& results, const std::string& name) {
  const auto found = results.find(name);
  if (found == results.end() || found->second.count() != 1) {
    return Error{"this program gives no `" + name + "`; it was built by a different version of heed"};
  }
  if (found->second.dtype() == kHeedFloat32) return static_cast<double>(found->second.floats()[0]);
  return static_cast<double>(found->second.ints()[0]);
}

}  // namespace heed
