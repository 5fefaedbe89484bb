// Tables of abi.h as LLVM constants. Every field is 8 bytes wide and stands in the order of its struct there.
#include "backend/object/bundle.h"

#include <algorithm>
#include <map>

#include "backend/plan/work.h"
#include "ir/batch_axis.h"
#include "llvm/IR/Constants.h"
#include "llvm/IR/GlobalVariable.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"
#include "runtime/abi.h"

namespace heed::backend {
namespace {

using llvm::Constant;
using Fields = std::vector<Constant*>;

class BundleEmitter {
 public:
  BundleEmitter(llvm::Module& module, const ProgramSpec& program, const Target& target, KernelTable& table)
      : module_(module), program_(program), target_(target), table_(table), builder_(module.getContext()) {}
  void Emit(const std::vector<CompiledEntry>& entries);

 private:
  Constant* Number(int64_t value) { return builder_.getInt64(static_cast<uint64_t>(value)); }
  Constant* Real(double value) { return llvm::ConstantFP::get(builder_.getDoubleTy(), value); }
  Constant* Null() { return llvm::ConstantPointerNull::get(builder_.getPtrTy()); }
  Constant* Text(const std::string& text);
  Constant* TextOrNull(const std::string& text) { return text.empty() ? Null() : Text(text); }
  Constant* Struct(const Fields& fields) {
    return llvm::ConstantStruct::getAnon(module_.getContext(), fields);
  }
  /// A pointer to the elements, null if there are none.
  Constant* Array(const Fields& elements);
  Constant* Texts(const std::vector<std::string>& texts);
  Constant* Numbers(const std::vector<int64_t>& numbers);
  Constant* Global(Constant* value, const char* name);

  Constant* Function(const std::optional<CompiledFunction>& function);
  Constant* Tensors(const std::vector<TensorInfo>& tensors, const ir::AxisTable& axes);
  Constant* Buffers(const Plan& plan);
  Constant* Checks(const Plan& plan);
  Fields Kept(const Plan& prefill, const Plan& step);
  int64_t ParamNumber(const std::string& name) const;
  int64_t PackedNumber(const PackedMatrix& matrix);
  Constant* Packing();
  /// Of what the kernels export: a hidden function of any type.
  Constant* Kernel(const std::string& name);
  Constant* Sized(const Size& size, int64_t factor);
  Constant* Sizes(const std::vector<Size>& sizes);
  Constant* Origins(const Step& step);
  Constant* Steps(const Plan& plan);
  Constant* Product();
  Constant* Axes();
  Constant* Params();
  Constant* Arguments(const std::vector<ArgumentSpec>& arguments);

  llvm::Module& module_;
  const ProgramSpec& program_;
  const Target& target_;
  KernelTable& table_;
  llvm::IRBuilder<> builder_;
  std::map<const Constant*, Constant*> globals_;  // equal tables once: constants are unique in LLVM
  std::map<std::string, Constant*> texts_;
  std::vector<PackedMatrix> packed_;  // of all functions
  std::vector<bool> looked_up_;
};

Constant* BundleEmitter::Global(Constant* value, const char* name) {
  Constant*& global = globals_[value];
  if (!global)
    global = new llvm::GlobalVariable(module_, value->getType(), true, llvm::GlobalValue::InternalLinkage,
                                      value, name);
  return global;
}

Constant* BundleEmitter::Text(const std::string& text) {
  Constant*& global = texts_[text];
  if (!global) global = Global(llvm::ConstantDataArray::getString(module_.getContext(), text), "text");
  return global;
}

Constant* BundleEmitter::Array(const Fields& elements) {
  if (elements.empty()) return Null();
  auto* type = llvm::ArrayType::get(elements[0]->getType(), elements.size());
  return Global(llvm::ConstantArray::get(type, elements), "table");
}

Constant* BundleEmitter::Texts(const std::vector<std::string>& texts) {
  Fields elements;
  for (const std::string& text : texts) elements.push_back(Text(text));
  return Array(elements);
}

Constant* BundleEmitter::Numbers(const std::vector<int64_t>& numbers) {
  Fields elements;
  for (int64_t number : numbers) elements.push_back(Number(number));
  return Array(elements);
}

int64_t AbiType(ir::DType dtype) {
  switch (dtype) {
    case ir::DType::Float:
      return kHeedFloat32;
    case ir::DType::Int:
      return kHeedInt32;
    case ir::DType::Bool:
      return kHeedBool8;
  }
  return kHeedFloat32;
}

Constant* BundleEmitter::Tensors(const std::vector<TensorInfo>& tensors, const ir::AxisTable& axes) {
  Fields elements;
  for (const TensorInfo& tensor : tensors) {
    Fields dims;
    for (size_t i = 0; i < tensor.axes.size(); ++i) {
      const Size& extent = tensor.extents[i];
      const ir::Axis axis = tensor.axes[i];
      int64_t number = -1, size = extent.factor;
      if (!extent.IsStatic()) {
        if (extent.terms.size() != 1 || extent.factor != 1)
          throw ir::InternalError("axis " + axis.text() + " of " + tensor.name + " has a composite extent");
        number = extent.terms[0];
        size = axes.IsLifted(axis) ? 0 : axes.Bound(axis);
      }
      dims.push_back(Struct({Text(axis.text()), Number(number), Number(size)}));
    }
    elements.push_back(Struct({Text(tensor.name), Number(AbiType(tensor.dtype)),
                               Number(static_cast<int64_t>(dims.size())), Array(dims)}));
  }
  return Array(elements);
}

Constant* BundleEmitter::Buffers(const Plan& plan) {
  Fields elements;
  for (const Buffer& buffer : plan.buffers) {
    int64_t kind = kHeedBufferArena, index = buffer.index;
    switch (buffer.kind) {
      case BufferKind::Arena:
        break;
      case BufferKind::Input:
        kind = kHeedBufferInput;
        break;
      case BufferKind::Output:
        kind = kHeedBufferOutput;
        break;
      case BufferKind::Param:
        kind = buffer.used ? kHeedBufferParam : kHeedBufferUnused;
        index = ParamNumber(plan.param_names[buffer.index]);
        break;
      case BufferKind::Packed:
        kind = kHeedBufferPacked;
        index = PackedNumber(plan.packed[buffer.index]);
        break;
    }
    const int64_t bytes = buffer.dtype == ir::DType::Bool ? 1 : 4;
    elements.push_back(Struct({Number(kind), Number(index), Sized(buffer.elements, bytes),
                               Number(buffer.first), Number(buffer.last)}));
  }
  for (const Step& step : plan.steps) {
    if (const auto* lookup = std::get_if<LookupStep>(&step.work))
      looked_up_[PackedNumber(plan.packed[plan.buffers[lookup->table.buffer].index])] = true;
  }
  return Array(elements);
}

Constant* BundleEmitter::Checks(const Plan& plan) {
  Fields elements;
  for (const ir::Check& check : plan.checks) {
    const auto output = std::find_if(plan.outputs.begin(), plan.outputs.end(),
                                     [&](const TensorInfo& each) { return each.name == check.output; });
    if (output == plan.outputs.end()) throw ir::InternalError("no output " + check.output);
    elements.push_back(
        Struct({Number(output - plan.outputs.begin()), Text(check.where.Text()), Text(check.what)}));
  }
  return Array(elements);
}

int64_t BundleEmitter::ParamNumber(const std::string& name) const {
  const auto found = std::find_if(program_.params.begin(), program_.params.end(),
                                  [&](const ParamSpec& param) { return param.name == name; });
  if (found == program_.params.end()) throw ir::InternalError("no parameter is called " + name);
  return found - program_.params.begin();
}

int64_t BundleEmitter::PackedNumber(const PackedMatrix& matrix) {
  const auto found = std::find(packed_.begin(), packed_.end(), matrix);
  if (found != packed_.end()) return found - packed_.begin();
  packed_.push_back(matrix);
  looked_up_.push_back(false);
  return static_cast<int64_t>(packed_.size()) - 1;
}

/// After all functions.
Constant* BundleEmitter::Packing() {
  if (packed_.empty()) return Null();
  Fields matrices;
  for (size_t i = 0; i < packed_.size(); ++i) {
    const PackedMatrix& matrix = packed_[i];
    std::vector<int64_t> extents, strides;
    for (const auto* nest : {&matrix.ns, &matrix.ks}) {
      for (const PackedMatrix::Axis& axis : *nest) {
        extents.push_back(axis.extent);
        strides.push_back(axis.stride);
      }
    }
    matrices.push_back(Struct({Number(ParamNumber(matrix.param)), Number(matrix.offset),
                               Number(static_cast<int64_t>(matrix.ns.size())),
                               Number(static_cast<int64_t>(matrix.ks.size())), Numbers(extents),
                               Numbers(strides), Number(looked_up_[i])}));
  }
  return Global(
      Struct({Number(static_cast<int64_t>(matrices.size())), Array(matrices), Kernel("heed_panel_columns"),
              Kernel("heed_packed_bytes"), Kernel("heed_pack_scratch"), Kernel("heed_pack_weights"),
              Kernel("heed_unpack_scratch"), Kernel("heed_unpack"), Kernel("heed_packed_scales")}),
      "packing");
}

Constant* BundleEmitter::Kernel(const std::string& name) {
  // The module only takes its address: its type does not matter, and may be known already.
  auto* type = llvm::FunctionType::get(builder_.getVoidTy(), {}, false);
  auto* function = llvm::cast<llvm::Function>(module_.getOrInsertFunction(name, type).getCallee());
  function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  return function;
}

Constant* BundleEmitter::Sized(const Size& size, int64_t factor) {
  return Struct({Number(size.factor * factor), Number(static_cast<int64_t>(size.terms.size())),
                 Numbers({size.terms.begin(), size.terms.end()})});
}

Constant* BundleEmitter::Sizes(const std::vector<Size>& sizes) {
  Fields elements;
  for (const Size& size : sizes) elements.push_back(Sized(size, 1));
  return Struct({Number(static_cast<int64_t>(elements.size())), Array(elements)});
}

Constant* BundleEmitter::Origins(const Step& step) {
  Fields elements;
  for (const StepOrigin& origin : step.origins)
    elements.push_back(
        Struct({Text(origin.op), Text(origin.instance), Text(origin.where.Text()), Number(origin.gradient)}));
  return Array(elements);
}

Constant* BundleEmitter::Steps(const Plan& plan) {
  const auto kind_of = [&](const Step& step) -> int64_t {
    if (const auto* matmul = std::get_if<MatmulStep>(&step.work))
      return plan.buffers[matmul->b.buffer].kind == BufferKind::Packed ? kHeedStepPackedMatmul
                                                                       : kHeedStepMatmul;
    if (const auto* attention = std::get_if<AttentionStep>(&step.work))
      return attention->backward ? kHeedStepAttentionBackward : kHeedStepAttention;
    return std::holds_alternative<ScatterStep>(step.work)   ? kHeedStepScatter
           : std::holds_alternative<LookupStep>(step.work)  ? kHeedStepLookup
           : std::holds_alternative<GroupedStep>(step.work) ? kHeedStepGroupedMatmul
                                                            : kHeedStepLoop;
  };
  Fields elements;
  for (const Step& step : plan.steps) {
    const std::string symbol = table_.SymbolOf(plan, step);
    const StepWork work = WorkOf(plan, step);
    Fields uses;
    for (const StepWork::Use& use : work.uses)
      uses.push_back(Struct({Number(use.buffer), Sizes(use.read), Sizes(use.written)}));
    elements.push_back(
        Struct({Number(kind_of(step)), Text(Label(plan, step, symbol)),
                Number(static_cast<int64_t>(step.origins.size())), Origins(step),
                Number(static_cast<int64_t>(step.result)), Sizes(work.flops), Sizes(work.flops_each),
                Number(static_cast<int64_t>(uses.size())), Array(uses),
                std::holds_alternative<AttentionStep>(step.work) ? Kernel(symbol + "_pairs") : Null()}));
  }
  return Array(elements);
}

/// After all functions.
Constant* BundleEmitter::Product() {
  if (!table_.matmul) return Null();
  return Global(Struct({Kernel("heed_matmul_scratch"), Kernel("heed_matmul"),
                        Kernel(table_.FinishSymbol(std::nullopt))}),
                "product");
}

Constant* BundleEmitter::Function(const std::optional<CompiledFunction>& function) {
  if (!function) return Null();
  const Plan& plan = function->plan;
  std::vector<std::string> extents;
  for (ir::Axis axis : plan.extents) extents.push_back(axis.text());
  auto run = module_.getOrInsertFunction(
      function->symbol, llvm::FunctionType::get(builder_.getVoidTy(), {builder_.getPtrTy()}, false));
  return Global(
      Struct({Text(plan.name), Number(static_cast<int64_t>(extents.size())), Texts(extents),
              Number(static_cast<int64_t>(plan.inputs.size())), Tensors(plan.inputs, *plan.axes),
              Number(static_cast<int64_t>(plan.outputs.size())), Tensors(plan.outputs, *plan.axes),
              Number(static_cast<int64_t>(plan.buffers.size())), Buffers(plan),
              llvm::cast<Constant>(run.getCallee()), Number(static_cast<int64_t>(plan.checks.size())),
              Checks(plan), Number(static_cast<int64_t>(plan.steps.size())), Steps(plan)}),
      "function");
}

/// Inputs of the step that are outputs of the prefill, in the order of those.
Fields BundleEmitter::Kept(const Plan& prefill, const Plan& step) {
  Fields elements;
  for (size_t output = 0; output < prefill.outputs.size(); ++output) {
    const TensorInfo& made = prefill.outputs[output];
    const auto input = std::find_if(step.inputs.begin(), step.inputs.end(),
                                    [&](const TensorInfo& each) { return each.name == made.name; });
    if (input == step.inputs.end()) continue;
    const int64_t number = input - step.inputs.begin();
    if (input->axes != made.axes)
      throw ir::InternalError(made.name + " lies differently in prefill and step");
    int64_t growing = -1, slots = 0, ring_step = 0;
    if (std::count(step.updated.begin(), step.updated.end(), number)) {
      for (size_t i = 0; i < input->axes.size(); ++i) {
        const ir::Axis axis = input->axes[i];
        if (!axis.ring() && (input->extents[i].IsStatic() ||
                             step.extents[input->extents[i].terms[0]] != axis.root().Stored()))
          continue;
        growing = static_cast<int64_t>(i);
        slots = axis.ring();
        ring_step = axis.ring_step();
      }
    }
    elements.push_back(Struct({Number(static_cast<int64_t>(output)), Number(number), Number(growing),
                               Number(slots), Number(ring_step)}));
  }
  return elements;
}

/// Not of those that the compiler adds.
bool IsProgramAxis(ir::Axis axis, const ir::Extent& extent) {
  return extent.kind != ir::Extent::Kind::Lifted && axis != ir::BatchAxis();
}

Constant* BundleEmitter::Axes() {
  Fields elements;
  for (const auto& [axis, extent] : program_.axes->all()) {
    if (!IsProgramAxis(axis, extent)) continue;
    elements.push_back(
        Struct({Text(axis.text()), Number(extent.kind == ir::Extent::Kind::Dynamic), Number(extent.size),
                Number(static_cast<int64_t>(extent.enumerators.size())), Texts(extent.enumerators)}));
  }
  return Array(elements);
}

Constant* BundleEmitter::Params() {
  Fields elements;
  for (const ParamSpec& param : program_.params) {
    std::vector<std::string> dims, axes;
    std::vector<int64_t> sizes;
    for (const std::vector<int>& group : param.groups) {
      ir::AxisList list;
      for (int i : group) list.push_back(param.axes[i]);
      dims.push_back(list.size() == 1 ? list[0].text() : "(" + ir::Text(list) + ")");
    }
    int64_t count = 1;
    for (ir::Axis axis : param.axes) {
      axes.push_back(axis.text());
      sizes.push_back(program_.axes->Bound(axis));
      count *= sizes.back();
    }
    elements.push_back(
        Struct({Text(param.name), Number(static_cast<int64_t>(param.shape.size())), Numbers(param.shape),
                Texts(dims), Number(static_cast<int64_t>(axes.size())), Texts(axes), Numbers(sizes),
                Number(count), Number(param.init), Real(param.a), Real(param.b)}));
  }
  return Array(elements);
}

Constant* BundleEmitter::Arguments(const std::vector<ArgumentSpec>& arguments) {
  Fields elements;
  for (const ArgumentSpec& argument : arguments) {
    Fields dims;
    std::vector<int64_t> dynamic;
    for (ir::Axis axis : argument.type.axes) {
      dims.push_back(Struct({Text(axis.text()), Number(-1), Number(program_.axes->Bound(axis))}));
      dynamic.push_back(program_.axes->IsDynamic(axis));
    }
    elements.push_back(Struct({Text(argument.name), Number(AbiType(argument.type.dtype)),
                               TextOrNull(argument.type.indexes.text()),
                               Number(static_cast<int64_t>(dims.size())), Array(dims), Numbers(dynamic)}));
  }
  return Array(elements);
}

void BundleEmitter::Emit(const std::vector<CompiledEntry>& entries) {
  Fields entry_fields;
  for (size_t i = 0; i < entries.size(); ++i) {
    const EntrySpec& entry = program_.entries[i];
    const CompiledEntry& compiled = entries[i];
    Fields options;
    for (const auto& [name, value] : entry.options) options.push_back(Struct({Text(name), Real(value)}));
    const auto& step = compiled[ir::Variant::Step];
    const Fields kept = step ? Kept(compiled[ir::Variant::Prefill]->plan, step->plan) : Fields{};
    entry_fields.push_back(Struct({Text(entry.name),
                                   Number(entry.kind),
                                   Number(static_cast<int64_t>(entry.arguments.size())),
                                   Arguments(entry.arguments),
                                   Function(compiled[ir::Variant::Train]),
                                   Function(compiled[ir::Variant::Loss]),
                                   Function(compiled[ir::Variant::Forward]),
                                   Function(compiled[ir::Variant::Prefill]),
                                   Function(compiled[ir::Variant::Step]),
                                   TextOrNull(entry.variable),
                                   TextOrNull(entry.axis),
                                   Number(entry.bound),
                                   TextOrNull(entry.indexes),
                                   TextOrNull(entry.prompt),
                                   Number(entry.from),
                                   Number(static_cast<int64_t>(entry.until.size())),
                                   Numbers(entry.until),
                                   Number(static_cast<int64_t>(options.size())),
                                   Array(options),
                                   Number(static_cast<int64_t>(kept.size())),
                                   Array(kept),
                                   Function(compiled[ir::Variant::Weights]),
                                   Number(entry.sees_batch)}));
  }
  Fields consts;
  for (const auto& [name, value] : program_.consts) consts.push_back(Struct({Text(name), Real(value)}));
  Fields stacks;
  for (const auto& [prefix, axis] : program_.stacks) stacks.push_back(Struct({Text(prefix), Text(axis)}));
  const int64_t axes = std::count_if(program_.axes->all().begin(), program_.axes->all().end(),
                                     [](const auto& each) { return IsProgramAxis(each.first, each.second); });
  Constant* table = Struct({Number(kHeedAbiVersion),
                            Text(HEED_VERSION),
                            Text(program_.source_name),
                            Text(target_.name),
                            Number(axes),
                            Axes(),
                            Number(static_cast<int64_t>(program_.params.size())),
                            Params(),
                            Number(static_cast<int64_t>(entry_fields.size())),
                            Array(entry_fields),
                            Number(static_cast<int64_t>(consts.size())),
                            Array(consts),
                            Packing(),
                            Number(static_cast<int64_t>(stacks.size())),
                            Array(stacks),
                            Number(static_cast<int64_t>(program_.set.size())),
                            Texts(program_.set),
                            Number(static_cast<int64_t>(program_.imports.size())),
                            Texts(program_.imports),
                            Product()});
  auto* program = new llvm::GlobalVariable(module_, table->getType(), true,
                                           llvm::GlobalValue::ExternalLinkage, table, "heed_program");
  program->setAlignment(llvm::Align(8));
}

}  // namespace

void EmitBundle(llvm::Module& module, const ProgramSpec& program, const std::vector<CompiledEntry>& entries,
                const Target& target, KernelTable& table) {
  BundleEmitter(module, program, target, table).Emit(entries);
}

}  // namespace heed::backend
