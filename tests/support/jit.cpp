// In-process compilation with ORC, for tests. It stands in for the runtime: every buffer has its own memory,
// filled with NaN and followed by a guard page, and `parallel` runs the parts of a step in reverse order, one
// after the other, which a correct kernel cannot tell from threads.
#include "tests/support/jit.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <map>
#include <new>
#include <utility>

#include "backend/emit/function.h"
#include "backend/object/jobs.h"
#include "backend/object/kernels.h"
#include "backend/object/link.h"
#include "backend/object/object.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Target/TargetMachine.h"
#include "runtime/abi.h"
#include "runtime/base/random.h"

namespace heed::backend {
namespace {

/// Bytes that end where unreadable memory begins, so that whoever reads or writes behind them is caught.
/// Scratch, whose beginning must be aligned, ends up to 63 bytes before.
class Memory {
 public:
  Memory(int64_t bytes, int64_t alignment) {
    const int64_t page = sysconf(_SC_PAGESIZE);
    const int64_t used = (bytes + alignment - 1) / alignment * alignment;
    const int64_t readable = (used + page - 1) / page * page;
    size_ = static_cast<size_t>(readable + page);
    start_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start_ == MAP_FAILED) throw std::bad_alloc();
    std::memset(start_, 255, static_cast<size_t>(readable));
    mprotect(static_cast<char*>(start_) + readable, static_cast<size_t>(page), PROT_NONE);
    data_ = static_cast<char*>(start_) + readable - used;
  }
  ~Memory() { munmap(start_, size_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  char* data() const { return data_; }

 private:
  void* start_;
  size_t size_;
  char* data_;
};

/// Counts the steps: each calls `parallel` once. A buffer whose last use is over is filled with NaN again, so
/// that whoever reads it later than the plan says is caught.
struct Progress {
  const Plan* plan;
  const std::vector<void*>* pointers;
  const std::vector<int64_t>* sizes;
  int step = 0;
};

void RunParts(void* pool, HeedTask task, const void* context, int64_t parts, int64_t scratch_bytes) {
  for (int64_t part = parts; part-- > 0;) {
    const Memory scratch(scratch_bytes, 64);
    task(context, part, parts, scratch.data());
  }
  auto* progress = static_cast<Progress*>(pool);
  for (size_t i = 0; i < progress->plan->buffers.size(); ++i) {
    const Buffer& buffer = progress->plan->buffers[i];
    if (buffer.kind != BufferKind::Arena || buffer.last != progress->step) continue;
    std::memset((*progress->pointers)[i], 255, static_cast<size_t>((*progress->sizes)[i]));
  }
  ++progress->step;
}

class OrcPlan : public JitPlan {
 public:
  OrcPlan(Plan plan, std::unique_ptr<llvm::orc::LLJIT> jit, void (*run)(const HeedFrame*))
      : plan_(std::move(plan)), jit_(std::move(jit)), run_(run) {}
  const Plan& plan() const override { return plan_; }
  std::map<std::string, std::vector<char>> Run(const Call& call) override;

 private:
  /// A kernel of the plan.
  template <class Function>
  Function* Kernel(const char* name) {
    auto found = jit_->lookup(name);
    if (!found) throw ir::InternalError(llvm::toString(found.takeError()));
    return found->toPtr<Function*>();
  }
  HeedPackedWeights PackedForm(const PackedMatrix& matrix, const float* param, int64_t type,
                               std::deque<Memory>& memory);

  Plan plan_;
  std::unique_ptr<llvm::orc::LLJIT> jit_;
  void (*run_)(const HeedFrame*);
};

int64_t Value(const Size& size, const std::vector<int64_t>& extents) {
  int64_t value = size.factor;
  for (int term : size.terms) value *= extents[term];
  return value;
}

HeedPackedWeights OrcPlan::PackedForm(const PackedMatrix& matrix, const float* param, int64_t type,
                                      std::deque<Memory>& memory) {
  HeedPackedWeights weights{param + matrix.offset, type, matrix.Terms(), matrix.Columns()};
  if (type == kHeedWeightsPlain) return weights;
  const int64_t bytes =
      Kernel<int64_t(int64_t, int64_t, int64_t)>("heed_packed_bytes")(type, weights.terms, weights.columns);
  memory.emplace_back(bytes, 64);
  HeedPack pack = {};
  pack.from = param + matrix.offset;
  pack.to = memory.back().data();
  weights.data = pack.to;
  pack.type = type;
  pack.end_term = weights.terms;
  pack.ns = static_cast<int64_t>(matrix.ns.size());
  pack.ks = static_cast<int64_t>(matrix.ks.size());
  int64_t number = 0;
  for (const auto* nest : {&matrix.ns, &matrix.ks})
    for (const PackedMatrix::Axis& axis : *nest) pack.axes[number++] = {axis.extent, axis.stride};
  const Memory scratch(Kernel<int64_t(const HeedPack*)>("heed_pack_scratch")(&pack), 64);
  const int64_t width = Kernel<int64_t()>("heed_panel_columns")();
  Kernel<void(const HeedPack*, int64_t, int64_t, void*)>("heed_pack_weights")(
      &pack, 0, (weights.columns + width - 1) / width, scratch.data());
  return weights;
}

std::map<std::string, std::vector<char>> OrcPlan::Run(const Call& call) {
  std::deque<Memory> memory;
  std::deque<HeedPackedWeights> packed;
  std::vector<void*> pointers;
  std::vector<int64_t> sizes;
  for (const Buffer& buffer : plan_.buffers) {
    sizes.push_back(Value(buffer.elements, call.extents) * (buffer.dtype == ir::DType::Bool ? 1 : 4));
    memory.emplace_back(sizes.back(), 1);
    pointers.push_back(memory.back().data());
    if (buffer.kind != BufferKind::Input && buffer.kind != BufferKind::Param) continue;
    const std::string& name =
        buffer.kind == BufferKind::Input ? plan_.inputs[buffer.index].name : plan_.param_names[buffer.index];
    const auto found = call.inputs.find(name);
    if (found == call.inputs.end()) throw ir::InternalError("no value for " + name);
    std::memcpy(memory.back().data(), found->second, static_cast<size_t>(sizes.back()));
  }
  for (size_t i = 0; i < plan_.buffers.size(); ++i) {
    if (plan_.buffers[i].kind != BufferKind::Packed) continue;
    const PackedMatrix& matrix = plan_.packed[plan_.buffers[i].index];
    const auto* const param = static_cast<const float*>(call.inputs.at(matrix.param));
    packed.push_back(PackedForm(matrix, param, call.weights, memory));
    pointers[i] = &packed.back();
  }
  Progress progress{&plan_, &pointers, &sizes};
  const HeedServices services{&progress, call.parts, &RunParts};
  HeedFrame frame{};
  frame.extents = call.extents.data();
  frame.buffers = pointers.data();
  frame.services = &services;
  frame.key[0] = static_cast<uint32_t>(call.key);
  frame.key[1] = static_cast<uint32_t>(call.key >> 32);
  frame.dropout = call.dropout ? 1 : 0;
  run_(&frame);
  std::map<std::string, std::vector<char>> outputs;
  for (size_t i = 0; i < plan_.buffers.size(); ++i) {
    const Buffer& buffer = plan_.buffers[i];
    const char* bytes = static_cast<const char*>(pointers[i]);
    const auto give = [&](const TensorInfo& info) {
      outputs[info.name] = std::vector<char>(bytes, bytes + sizes[i]);
    };
    if (buffer.kind == BufferKind::Output) give(plan_.outputs[buffer.index]);
    if (buffer.kind == BufferKind::Input &&
        std::count(plan_.updated.begin(), plan_.updated.end(), buffer.index))
      give(plan_.inputs[buffer.index]);
  }
  return outputs;
}

}  // namespace

namespace {

constexpr const char* kLacksLevel = "this machine does not run ";

Result<const Target*> RunnableTarget(const std::string& cpu) {
  Result<const Target*> target = FindTarget(cpu);
  if (target && !RunsHere(**target)) return Error{kLacksLevel + (*target)->name};
  return target;
}

Result<std::unique_ptr<llvm::orc::LLJIT>> MakeJit(const std::vector<std::string>& objects) {
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit) return Error{llvm::toString(jit.takeError())};
  for (const std::string& object : objects) {
    if (auto problem = (*jit)->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(object)))
      return Error{llvm::toString(std::move(problem))};
  }
  return std::move(*jit);
}

/// Families of kernels without holes are the same for every plan: each is compiled once in a process.
std::vector<std::string> KernelObjects(const KernelTable& table, const KernelLibrary& library) {
  static std::map<std::pair<std::string, std::string>, std::string> families;  // by level and name
  std::vector<std::string> objects;
  for (const ModuleJob& job : KernelJobs(table, library)) {
    const auto compile = [&] {
      return std::move(CompileModules({job}, library.target(), ModuleForm::Object, 1)[0]);
    };
    if (job.effort != Effort::Generate) {
      objects.push_back(compile());
      continue;
    }
    std::string& family = families[{library.target().name, job.name}];
    if (family.empty()) family = compile();
    objects.push_back(family);
  }
  return objects;
}

}  // namespace

bool LacksLevel(const Error& error) { return error.message.starts_with(kLacksLevel); }

Result<std::unique_ptr<JitPlan>> JitPlan::Create(Plan plan, const std::string& cpu,
                                                 const std::string& kernels) {
  const Result<const Target*> found = RunnableTarget(cpu);
  if (!found) return found.error();
  const Target* target = *found;
  KernelTable table;
  // The orchestration is made first: it fills the table of kernels.
  const std::string symbol = "heed_run";
  const ModuleJob orchestration{"run", Effort::Little,
                                [&](llvm::LLVMContext& context, const llvm::TargetMachine& machine) {
                                  auto module = std::make_unique<llvm::Module>("run", context);
                                  module->setTargetTriple(target->triple);
                                  module->setDataLayout(machine.createDataLayout());
                                  EmitFunction(*module, symbol, plan, *target, table, 0);
                                  SetTargetAttributes(*module, *target);
                                  return module;
                                }};
  std::vector<std::string> objects = CompileModules({orchestration}, *target, ModuleForm::Object, 1);
  const Result<KernelLibrary> library =
      KernelLibrary::Open(kernels.empty() ? FindKernels() : kernels, *target, table);
  if (!library) return library.error();
  for (std::string& object : KernelObjects(table, *library)) objects.push_back(std::move(object));

  auto jit = MakeJit(objects);
  if (!jit) return jit.error();
  auto run = (*jit)->lookup(symbol);
  if (!run) return Error{llvm::toString(run.takeError())};
  auto* function = run->toPtr<void (*)(const HeedFrame*)>();
  return std::unique_ptr<JitPlan>(new OrcPlan(std::move(plan), std::move(*jit), function));
}

// ---- JitKernels

namespace {

class OrcKernels : public JitKernels {
 public:
  OrcKernels(std::unique_ptr<llvm::orc::LLJIT> jit, int lanes) : jit_(std::move(jit)), lanes_(lanes) {}
  void* Function(const std::string& name) override {
    auto found = jit_->lookup(name);
    if (!found) throw ir::InternalError(llvm::toString(found.takeError()));
    return found->toPtr<void*>();
  }
  int lanes() const override { return lanes_; }

 private:
  std::unique_ptr<llvm::orc::LLJIT> jit_;
  int lanes_;
};

}  // namespace

Result<std::unique_ptr<JitKernels>> JitKernels::Create(const std::string& cpu, const std::string& kernels) {
  const Result<const Target*> found = RunnableTarget(cpu);
  if (!found) return found.error();
  const Target* target = *found;
  KernelTable table;
  table.packed = table.matmul = true;
  const Result<KernelLibrary> library =
      KernelLibrary::Open(kernels.empty() ? FindKernels() : kernels, *target, table);
  if (!library) return library.error();
  auto jit = MakeJit(KernelObjects(table, *library));
  if (!jit) return jit.error();
  return std::unique_ptr<JitKernels>(new OrcKernels(std::move(*jit), target->lanes));
}

// ---- JitFunction

namespace {

/// Elements of `value` in the order of `axes`.
std::vector<double> Ordered(const HostValue& value, const ir::AxisList& axes) {
  if (value.axes == axes || axes.empty()) return value.data;
  std::vector<int64_t> strides(value.axes.size(), 1);
  for (size_t i = value.axes.size(); i-- > 1;) strides[i - 1] = strides[i] * value.shape[i];
  std::vector<int64_t> extents, steps;
  for (ir::Axis axis : axes) {
    for (size_t i = 0; i < value.axes.size(); ++i) {
      if (value.axes[i] != axis) continue;
      extents.push_back(value.shape[i]);
      steps.push_back(strides[i]);
    }
  }
  if (extents.size() != axes.size()) return value.data;
  std::vector<double> result;
  std::vector<int64_t> index(axes.size());
  for (size_t n = 0; n < value.data.size(); ++n) {
    int64_t offset = 0;
    for (size_t i = 0; i < index.size(); ++i) offset += index[i] * steps[i];
    result.push_back(value.data[static_cast<size_t>(offset)]);
    for (size_t i = index.size(); i-- > 0;) {
      if (++index[i] < extents[i]) break;
      index[i] = 0;
    }
  }
  return result;
}

std::vector<char> Bytes(const std::vector<double>& data, ir::DType dtype) {
  std::vector<char> bytes(data.size() * (dtype == ir::DType::Bool ? 1 : 4));
  for (size_t i = 0; i < data.size(); ++i) {
    if (dtype == ir::DType::Bool) {
      bytes[i] = data[i] != 0;
    } else if (dtype == ir::DType::Int) {
      const int32_t whole = static_cast<int32_t>(data[i]);
      std::memcpy(&bytes[4 * i], &whole, 4);
    } else {
      const float number = static_cast<float>(data[i]);
      std::memcpy(&bytes[4 * i], &number, 4);
    }
  }
  return bytes;
}

std::vector<double> Numbers(const std::vector<char>& bytes, ir::DType dtype) {
  std::vector<double> data(bytes.size() / (dtype == ir::DType::Bool ? 1 : 4));
  for (size_t i = 0; i < data.size(); ++i) {
    if (dtype == ir::DType::Bool) {
      data[i] = bytes[i] != 0;
    } else if (dtype == ir::DType::Int) {
      int32_t whole;
      std::memcpy(&whole, &bytes[4 * i], 4);
      data[i] = whole;
    } else {
      float number;
      std::memcpy(&number, &bytes[4 * i], 4);
      data[i] = static_cast<double>(number);
    }
  }
  return data;
}

class OrcFunction : public JitFunction {
 public:
  OrcFunction(std::unique_ptr<JitPlan> plan, std::map<std::string, ir::AxisList> param_axes, int threads)
      : plan_(std::move(plan)), param_axes_(std::move(param_axes)), threads_(threads) {}

  void UseThreads(int threads) override { threads_ = threads; }
  void UseWeights(int type) override { weights_ = type; }

  std::map<std::string, HostValue> Call(const std::map<std::string, HostValue>& values,
                                        const std::map<ir::Axis, int64_t>& extents, uint64_t seed,
                                        uint64_t step, bool dropout) override {
    const Plan& plan = plan_->plan();
    JitPlan::Call call;
    for (ir::Axis axis : plan.extents) {
      const auto found = extents.find(axis);
      if (found == extents.end()) throw ir::InternalError("no extent for " + axis.text());
      call.extents.push_back(found->second);
    }
    call.parts = threads_;
    call.weights = weights_;
    call.key = RandomKey(seed, step);
    call.dropout = dropout;
    std::vector<std::vector<char>> kept;
    kept.reserve(plan.inputs.size() + plan.param_names.size());
    const auto give = [&](const std::string& name, ir::DType dtype, const ir::AxisList& axes) {
      const auto found = values.find(name);
      if (found == values.end()) throw ir::InternalError("no value for " + name);
      kept.push_back(Bytes(Ordered(found->second, axes), dtype));
      call.inputs[name] = kept.back().data();
    };
    for (const TensorInfo& input : plan.inputs) give(input.name, input.dtype, input.axes);
    for (const std::string& name : plan.param_names) give(name, ir::DType::Float, param_axes_.at(name));
    const auto outputs = plan_->Run(call);
    std::map<std::string, HostValue> results;
    std::vector<TensorInfo> given = plan.outputs;
    for (const int input : plan.updated) given.push_back(plan.inputs[input]);
    for (const TensorInfo& output : given) {
      HostValue& result = results[output.name];
      result.axes = output.axes;
      for (const Size& size : output.extents) result.shape.push_back(Value(size, call.extents));
      result.data = Numbers(outputs.at(output.name), output.dtype);
    }
    return results;
  }

 private:
  std::unique_ptr<JitPlan> plan_;
  std::map<std::string, ir::AxisList> param_axes_;
  int threads_, weights_ = kHeedWeightsPlain;
};

}  // namespace

Result<std::unique_ptr<JitFunction>> JitFunction::Create(const ir::Graph& graph, const std::string& cpu,
                                                         int threads, SumOrders* sums,
                                                         const std::set<std::string>* tables) {
  std::map<std::string, ir::AxisList> params;
  for (ir::NodeId id : graph.Order())
    if (graph.op(id) == ir::OpKind::Param) params[graph[id].attributes.name] = graph[id].type.axes;
  Result<std::unique_ptr<JitPlan>> plan = JitPlan::Create(MakePlan(graph, "function", {}, sums, tables), cpu);
  if (!plan) return plan.error();
  return std::unique_ptr<JitFunction>(new OrcFunction(std::move(*plan), std::move(params), threads));
}

}  // namespace heed::backend
