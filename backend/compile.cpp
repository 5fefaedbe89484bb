// Compile: plans of all functions, orchestration and tables in one module, kernels in others, then the file
// asked for.
#include "backend/compile.h"

#include <chrono>
#include <cstdlib>
#include <new>
#include <sstream>

#include "backend/emit/function.h"
#include "backend/object/bundle.h"
#include "backend/object/jobs.h"
#include "backend/object/kernels.h"
#include "backend/object/link.h"
#include "backend/object/object.h"
#include "backend/plan/packed.h"
#include "backend/plan/plan.h"
#include "backend/plan/sum_orders.h"
#include "backend/target/target.h"
#include "ir/batch_axis.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/ErrorHandling.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "runtime/abi_names.h"
#include "runtime/base/file_writer.h"

namespace heed::backend {
namespace {

/// Appends the seconds since the last phase.
class Phases {
 public:
  explicit Phases(std::vector<std::pair<std::string, double>>* times) : times_(times) {}
  void Done(const std::string& phase) {
    const auto now = std::chrono::steady_clock::now();
    if (times_) times_->emplace_back(phase, std::chrono::duration<double>(now - last_).count());
    last_ = now;
  }

 private:
  std::vector<std::pair<std::string, double>>* times_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// Batch first (and whatever else was lifted), then `declared`, as far as the output has these axes.
ir::AxisList OrderOf(const ir::Graph& graph, const std::string& output, const ir::AxisList& declared) {
  const ir::NodeId node = graph.Output(output);
  if (!node) return {};
  const ir::AxisList& have = graph.axes_of(node);
  ir::AxisList order = ir::Minus(have, declared);
  for (ir::Axis axis : declared)
    if (ir::Contains(have, axis)) order.push_back(axis);
  return order;
}

/// The graph with its result over the batch, and logits over the vocabulary (and positions), where they are
/// the same everywhere.
ir::Graph WithWholeResult(const ir::Graph& graph, const EntrySpec& entry, ir::Variant variant) {
  ir::Graph whole = graph;
  for (const auto& [name, value] : graph.outputs) {
    ir::AxisList axes = {ir::BatchAxis()};
    if (name == kLogitsOutput) axes.push_back(ir::Axis(entry.indexes));
    if (name == kLogitsOutput && variant == ir::Variant::Forward) axes.push_back(ir::Axis(entry.axis));
    if (name == kLogitsOutput || name == kValueOutput) whole.SetOutput(name, whole.Broadcast(value, axes));
  }
  return whole;
}

/// Adds to a plan's inputs the arguments of its entry that the function does not use; their lengths may be
/// used. Of weights only those: they are asked for the texts that they depend on.
void DeclareArguments(Plan& plan, const EntrySpec& entry, ir::Variant variant) {
  const ir::AxisTable& axes = *plan.axes;
  std::vector<ArgumentSpec> declared;
  for (const ArgumentSpec& argument : entry.arguments)
    if (entry.prompt.empty() || argument.name != entry.prompt) declared.push_back(argument);
  if (!entry.variable.empty() && variant != ir::Variant::Step) {
    declared.push_back({entry.variable, {{ir::Axis(entry.axis)}, ir::DType::Int, ir::Axis(entry.indexes)}});
  }
  const auto is_input = [&](const std::string& name) {
    return std::any_of(plan.inputs.begin(), plan.inputs.end(),
                       [&](const TensorInfo& input) { return input.name == name; });
  };
  const auto extent_of = [&](ir::Axis axis) {
    if (!axes.IsDynamic(axis) && !axes.IsLifted(axis)) return Size{.factor = axes.Bound(axis)};
    auto found = std::find(plan.extents.begin(), plan.extents.end(), axis.root());
    if (found == plan.extents.end()) found = plan.extents.insert(found, axis.root());
    return Size{.factor = 1, .terms = {static_cast<int>(found - plan.extents.begin())}};
  };
  const std::vector<TensorInfo> used = plan.inputs;
  const auto gives_extents = [&](ir::Axis axis) {
    return std::any_of(used.begin(), used.end(), [&](const TensorInfo& input) {
      return std::any_of(input.axes.begin(), input.axes.end(),
                         [&](ir::Axis each) { return each.root() == axis.root(); });
    });
  };
  for (const ArgumentSpec& argument : declared) {
    if (is_input(argument.name)) continue;
    const bool gives_length =
        std::any_of(argument.type.axes.begin(), argument.type.axes.end(), [&](ir::Axis axis) {
          return std::count(plan.extents.begin(), plan.extents.end(), axis.root()) && !gives_extents(axis);
        });
    if (variant == ir::Variant::Weights && !gives_length) continue;
    TensorInfo input{argument.name, argument.type.dtype, {ir::BatchAxis()}, {}};
    input.axes.insert(input.axes.end(), argument.type.axes.begin(), argument.type.axes.end());
    for (ir::Axis axis : input.axes) input.extents.push_back(extent_of(axis));
    plan.inputs.push_back(std::move(input));
  }
}

/// Plans of the program's functions.
class FunctionMaker {
 public:
  explicit FunctionMaker(const ProgramSpec& program) : program_(program) {
    std::vector<const ir::Graph*> graphs;
    for (const EntrySpec& entry : program.entries) {
      for (const ir::Variant variant : ir::kVariants)
        if (variant != ir::Variant::Train && entry.graphs[variant])
          graphs.push_back(entry.graphs[variant].get());
    }
    tables_ = FindTables(graphs);
  }

  /// Nothing where the entry has no such function.
  std::optional<CompiledFunction> Make(const EntrySpec& entry, ir::Variant variant, SumOrders* sums = nullptr,
                                       OutputOrders orders = {}) {
    if (!entry.graphs[variant]) return std::nullopt;
    const ir::Graph whole = WithWholeResult(*entry.graphs[variant], entry, variant);
    orders.insert(orders.end(), entry.weight_axes.begin(), entry.weight_axes.end());
    for (const auto& [name, node] : whole.outputs) {
      if (name == kValueOutput || name == kLogitsOutput)
        orders.emplace_back(name, OrderOf(whole, name, entry.result_axes));
      if (!name.starts_with(kGradientPrefix)) continue;
      for (const ParamSpec& param : program_.params)
        if (name.substr(kGradientPrefix.size()) == param.name) orders.emplace_back(name, param.axes);
    }
    CompiledFunction function;
    function.plan = MakePlan(whole, std::string(ir::Name(variant)) + "/" + entry.name, orders, sums,
                             variant == ir::Variant::Train ? nullptr : &tables_);
    DeclareArguments(function.plan, entry, variant);
    if (const auto said = program_.remarks.find(function.plan.name); said != program_.remarks.end())
      function.plan.remarks = said->second;
    function.symbol = "heed_run_" + std::to_string(number_++);
    return function;
  }

 private:
  const ProgramSpec& program_;
  std::set<std::string> tables_;
  size_t number_ = 0;
};

std::string Concatenated(const std::vector<ModuleJob>& jobs, const std::vector<std::string>& texts,
                         const std::string& comment) {
  std::string all;
  for (size_t i = 0; i < texts.size(); ++i)
    all += comment + " module " + jobs[i].name + "\n" + texts[i] + "\n";
  return all;
}

std::vector<CompiledEntry> PlanFunctions(const ProgramSpec& program) {
  std::vector<CompiledEntry> entries;
  FunctionMaker maker(program);
  for (const EntrySpec& entry : program.entries) {
    using ir::Variant;
    CompiledEntry& compiled = entries.emplace_back();
    for (const Variant variant : {Variant::Train, Variant::Loss})
      compiled[variant] = maker.Make(entry, variant);
    // What decodes adds in the order in which the whole does, and keeps its state as the step reads it.
    SumOrders sums;
    for (const Variant variant : {Variant::Forward, Variant::Step})
      compiled[variant] = maker.Make(entry, variant, &sums);
    if (compiled[Variant::Step]) {
      OutputOrders kept;
      for (const TensorInfo& input : compiled[Variant::Step]->plan.inputs)
        kept.emplace_back(input.name, input.axes);
      compiled[Variant::Prefill] = maker.Make(entry, Variant::Prefill, &sums, kept);
    }
    compiled[Variant::Weights] = maker.Make(entry, Variant::Weights);
  }
  return entries;
}

std::vector<const CompiledFunction*> FunctionsOf(const std::vector<CompiledEntry>& entries) {
  std::vector<const CompiledFunction*> functions;
  for (const CompiledEntry& entry : entries)
    for (const std::optional<CompiledFunction>& function : entry)
      if (function) functions.push_back(&*function);
  return functions;
}

/// The module with the functions' orchestration and the program's tables; it fills `table`. All that is
/// given must outlive the job.
ModuleJob OrchestrationJob(const ProgramSpec& program, const std::vector<CompiledEntry>& entries,
                           const Target& target, KernelTable& table) {
  return {"program", Effort::Little, [&](llvm::LLVMContext& context, const llvm::TargetMachine& machine) {
            auto module = std::make_unique<llvm::Module>("program", context);
            module->setTargetTriple(target.triple);
            module->setDataLayout(machine.createDataLayout());
            for (const CompiledFunction* function : FunctionsOf(entries))
              EmitFunction(*module, function->symbol, function->plan, target, table);
            EmitBundle(*module, program, entries, target, table);
            SetTargetAttributes(*module, target);
            std::string complaint;
            llvm::raw_string_ostream out(complaint);
            if (llvm::verifyModule(*module, &out))
              throw ir::InternalError("malformed orchestration: " + complaint);
            return module;
          }};
}

/// The file asked for, from the modules' jobs and what they became.
Status WriteCompiled(Emit emit, const std::vector<ModuleJob>& jobs, const std::vector<std::string>& results,
                     const std::string& runtime, const std::string& output) {
  switch (emit) {
    case Emit::Llvm:
      return WriteFile(output, Concatenated(jobs, results, ";"));
    case Emit::Assembly:
      return WriteFile(output, Concatenated(jobs, results, "#"));
    case Emit::Shared:
      return Link(results, LinkKind::Shared, "", output);
    case Emit::Object:
      return Link(results, LinkKind::Object, "", output);
    default:
      return Link(results, LinkKind::Executable, runtime, output);
  }
}

Status CompileFor(const ProgramSpec& program, const CompileOptions& options, const Target& target,
                  const std::string& output) {
  Phases phases(options.times);
  const std::vector<CompiledEntry> entries = PlanFunctions(program);
  phases.Done("plan");
  if (options.emit == Emit::Plan) {
    std::string text;
    for (const CompiledFunction* function : FunctionsOf(entries)) text += Print(function->plan) + "\n";
    return WriteFile(output, text);
  }

  const std::string folder = options.kernels.empty() ? FindKernels() : options.kernels;
  if (folder.empty())
    return Error{"the kernels that belong to heed are missing; is the installation complete?"};
  const std::string runtime = options.runtime.empty() ? FindRuntime() : options.runtime;
  if (options.emit == Emit::Executable && runtime.empty())
    return Error{"libheed_runtime.a, which belongs to heed, is missing; is the installation complete?"};

  const ModuleForm form = options.emit == Emit::Llvm       ? ModuleForm::Llvm
                          : options.emit == Emit::Assembly ? ModuleForm::Assembly
                                                           : ModuleForm::Object;
  // The orchestration goes first: it says which kernels there are.
  KernelTable table;
  std::vector<ModuleJob> first = {OrchestrationJob(program, entries, target, table)};
  std::vector<std::string> results = CompileModules(first, target, form, 1);
  phases.Done("orchestration");
  const Result<KernelLibrary> library = KernelLibrary::Open(folder, target, table);
  if (!library) return library.error();
  std::vector<ModuleJob> jobs = KernelJobs(table, *library);
  for (std::string& result : CompileModules(jobs, target, form, std::max(1, options.jobs)))
    results.push_back(std::move(result));
  jobs.insert(jobs.begin(), first[0]);
  phases.Done("kernels");

  Status written = WriteCompiled(options.emit, jobs, results, runtime, output);
  phases.Done("link");
  return written;
}

}  // namespace

void OnLostCompile(void (*handler)(const char* message)) {
  static void (*lost)(const char*) = nullptr;
  lost = handler;
  // A linker that is lost as well, being of LLVM, would leave files of its crash report behind.
  setenv("LLVM_DISABLE_SYMBOLIZATION", "1", 0);
  std::set_new_handler([] { lost(nullptr); });
  llvm::install_bad_alloc_error_handler([](void*, const char*, bool) { lost(nullptr); });
  llvm::install_fatal_error_handler([](void*, const char* reason, bool) { lost(reason); });
}

Status Compile(const ProgramSpec& program, const CompileOptions& options, const std::string& output) {
  const Result<const Target*> target = FindTarget(options.cpu);
  if (!target) return target.error();
  if (Status writable = CheckCanWrite(output); !writable) return writable;
  return CompileFor(program, options, **target, output);
}

}  // namespace heed::backend
