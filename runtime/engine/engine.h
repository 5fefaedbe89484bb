// Runs compiled functions: binds inputs, parameters and outputs, places the arena for the extents of the
// call, hands out threads. Nothing here knows what a model is for.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/abi.h"
#include "runtime/base/result.h"
#include "runtime/engine/arena.h"
#include "runtime/engine/threads.h"
#include "runtime/kernels/heed_kernels.h"

namespace heed {

/// Bytes of an element.
int64_t DTypeBytes(int64_t dtype);

/// A dense row-major tensor on the heap, 64-byte aligned. A copy shares the data.
class HostTensor {
 public:
  HostTensor() = default;
  HostTensor(HeedDType dtype, std::vector<int64_t> shape);  ///< zeros
  /// Arbitrary contents, for what is written in full at once.
  static HostTensor Unset(HeedDType dtype, std::vector<int64_t> shape);
  HeedDType dtype() const { return dtype_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t count() const;
  int64_t bytes() const;
  void* data() { return data_.get(); }
  const void* data() const { return data_.get(); }
  std::span<float> floats();
  std::span<const float> floats() const;
  std::span<int32_t> ints();
  std::span<const int32_t> ints() const;

 private:
  HeedDType dtype_ = kHeedFloat32;
  std::vector<int64_t> shape_;
  std::shared_ptr<void> data_;
};

struct MatrixSize {
  int64_t columns = 1, terms = 1;
};
MatrixSize SizeOf(const HeedPackedMatrix& matrix);

/// Parameters as compiled functions read them: tensors of f32, and matrices in the form in which products
/// take them.
class Parameters {
 public:
  virtual ~Parameters() = default;
  /// The first element; null if it is not kept as f32.
  virtual const float* Plain(int64_t param) const = 0;
  /// Of the matrices of HeedProgram::packing; lives as long as the parameters.
  virtual const HeedPackedWeights* Packed(int64_t matrix) const = 0;
};

/// All parameters of a program, or of something shaped like them (gradients, moments): one flat aligned
/// block, each tensor at an aligned offset, so that the optimizer is a loop over an array. Products read
/// matrices where they lie, so that they may change.
class ParameterBlock : public Parameters {
 public:
  explicit ParameterBlock(const HeedProgram& program);  ///< zeros
  const float* Plain(int64_t param) const override { return tensor(param).data(); }
  const HeedPackedWeights* Packed(int64_t matrix) const override {
    return &packed_[static_cast<size_t>(matrix)];
  }
  std::span<float> tensor(int64_t param);
  std::span<const float> tensor(int64_t param) const;
  std::span<float> all();  ///< alignment gaps are 0 and stay 0
  std::span<const float> all() const;
  bool AllFinite() const;

 private:
  const HeedProgram* program_;
  std::vector<int64_t> offsets_;
  HostTensor block_;
  std::vector<HeedPackedWeights> packed_;
};
/// Fills with the initialisers written in the program: a pure function of (seed, parameter's name, element).
/// An error names the parameters that have none.
Status Initialize(ParameterBlock& parameters, const HeedProgram& program, uint64_t seed);

/// Of each parameter, whether a function of a minimize entry gives its gradient.
std::vector<bool> Trained(const HeedProgram& program, const HeedFunction& function);

struct CallOptions {
  uint64_t seed = 0, step = 0;
  bool dropout = false;
  /// What messages call an example of the batch; none: by its number.
  std::function<std::string(int64_t)> name_of;
};

/// The inputs of a call in the function's order, and its extents.
struct CheckedInputs {
  std::vector<HostTensor> tensors;
  std::vector<int64_t> extents;
};
/// Inputs by name, checked as Engine::Call says; `extents` are given for roots that no input has.
Result<CheckedInputs> CheckInputs(const HeedProgram& program, const HeedFunction& function,
                                  const std::map<std::string, HostTensor>& inputs,
                                  const std::map<std::string, int64_t>& extents = {});

/// HEED_POISON=1 fills temporary and output memory with NaN before each call, so that whoever reads what
/// nobody wrote shows.
bool Poison();

class Profiler;

/// Reusable: the arena is kept between calls and grows when needed. Not thread-safe; make one for each
/// caller.
class Engine {
 public:
  /// `profiler`: runs of functions go through it; null: they are not profiled.
  Engine(const HeedProgram& program, ThreadPool& threads, Profiler* profiler = nullptr)
      : program_(program), threads_(threads), profiler_(profiler) {}

  /// Inputs by name; shapes must agree with the function's dims (checked; the message names argument and
  /// axis). The extents are read off the inputs; `len.ROOT` inputs that are absent mean that every example is
  /// full; `example` absent means 0, 1, 2 .... Outputs are returned by name; d.PARAM outputs are written into
  /// `gradients` (which must be given if the function has them) and are not returned. Ids outside their axis
  /// and lengths over the padded length are errors (checked here, so that compiled code need not), and so is
  /// what the function's own checks find.
  Result<std::map<std::string, HostTensor>> Call(const HeedFunction& function,
                                                 const std::map<std::string, HostTensor>& inputs,
                                                 const Parameters& parameters, ParameterBlock* gradients,
                                                 const CallOptions& options);
  /// Bytes the arena takes for these extents.
  int64_t ArenaBytes(const HeedFunction& function, std::span<const int64_t> extents) const;
  /// Where the temporary buffers of a call lie. Kept for the next call of these extents; the reference holds
  /// until another plan is asked for.
  const ArenaPlan& Plan(const HeedFunction& function, const std::vector<int64_t>& extents);
  /// Temporary memory of at least so many bytes; it moves when it grows.
  void* Arena(int64_t bytes);
  ThreadPool& threads() { return threads_; }
  const HeedProgram& program() const { return program_; }
  Profiler* profiler() const { return profiler_; }

 private:
  const HeedProgram& program_;
  ThreadPool& threads_;
  std::shared_ptr<void> arena_;
  int64_t arena_bytes_ = 0;
  std::map<std::pair<const HeedFunction*, std::vector<int64_t>>, ArenaPlan> plans_;
  Profiler* const profiler_;
};

/// A result that is one number, as double. An error if there is none of that name.
Result<double> ScalarOf(const std::map<std::string, HostTensor>& results, const std::string& name);

}  // namespace heed
