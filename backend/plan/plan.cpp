// Sizes, and the plan as text. How a plan is made: make_plan.cpp.
#include "backend/plan/plan.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "ir/op.h"

namespace heed::backend {

Size operator*(const Size& a, const Size& b) {
  Size product;
  product.factor = a.factor * b.factor;
  if (product.factor == 0) return product;
  product.terms = a.terms;
  product.terms.insert(product.terms.end(), b.terms.begin(), b.terms.end());
  std::sort(product.terms.begin(), product.terms.end());
  return product;
}

namespace {

/// Sizes as text: with names where a plan is known, else with numbers of terms.
struct SizeText {
  const Plan* plan = nullptr;
  std::string operator()(const Size& size) const {
    std::string text = std::to_string(size.factor);
    for (int term : size.terms) {
      text += "*" + (plan ? plan->extents[term].text() : "x" + std::to_string(term));
    }
    return text;
  }
  std::string operator()(const std::vector<Size>& sizes) const {
    std::string text;
    for (const Size& size : sizes) text += (text.empty() ? "" : ",") + (*this)(size);
    return "[" + text + "]";
  }
  std::string operator()(const Base& base) const {
    if (base.buffer < 0) return "-";
    std::string text = "b" + std::to_string(base.buffer);
    for (const Size& size : base.offset) text += "+" + (*this)(size);
    return text;
  }
};

std::string NumberText(double number) {
  std::ostringstream out;
  out.precision(17);
  out << number;
  return out.str();
}

std::string ValueText(const LoopValue& value, const SizeText& sizes) {
  using Kind = LoopValue::Kind;
  std::string text;
  switch (value.kind) {
    case Kind::Const:
      text = NumberText(value.number);
      break;
    case Kind::Position:
      text = "position(" + std::to_string(value.axis) + ")";
      break;
    case Kind::Extent:
      text = "extent(" + sizes(value.size) + ")";
      break;
    case Kind::Load:
      text = "load m" + std::to_string(value.operand);
      break;
    case Kind::Gather:
      text = "gather m" + std::to_string(value.operand);
      for (const LoopPlace& place : value.places)
        text += " stride " + sizes(place.stride) + " of " + sizes(place.size);
      break;
    case Kind::Op:
      text = std::string(ir::Info(value.op).name);
      break;
    case Kind::Keep:
      text = "keep " + value.site + " p=" + NumberText(value.number);
      break;
    case Kind::Gumbel:
      text = "gumbel " + value.site;
      break;
    case Kind::Reduced:
      text = "reduced " + std::to_string(value.reduction);
      break;
  }
  for (int argument : value.args) text += " v" + std::to_string(argument);
  return text + " : " + ir::Text(value.dtype) + (value.row ? " row" : "");
}

std::string KernelText(const LoopKernel& kernel, const SizeText& sizes, const std::string& indent) {
  std::ostringstream out;
  out << indent << (kernel.column ? "column" : "row") << " outer " << sizes(kernel.outer);
  if (kernel.column) out << " lane " << sizes(kernel.lane);
  out << " inner " << sizes(kernel.inner);
  if (kernel.scratch_rows) out << " scratch " << kernel.scratch_rows;
  out << "\n";
  for (size_t i = 0; i < kernel.operands.size(); ++i) {
    const LoopOperand& operand = kernel.operands[i];
    out << indent << "  m" << i << " " << ir::Text(operand.dtype) << " strides " << sizes(operand.strides)
        << (operand.base.buffer < 0 ? " scratch" : "") << "\n";
  }
  for (size_t i = 0; i < kernel.values.size(); ++i) {
    out << indent << "  v" << i << " = " << ValueText(kernel.values[i], sizes) << "\n";
  }
  auto stores = [&](const std::vector<LoopStore>& list) {
    for (const LoopStore& store : list) {
      out << " m" << store.operand << "<-v" << store.value;
      if (store.index >= 0)
        out << " at v" << store.index << " stride " << sizes(store.stride) << " of " << sizes(store.size);
    }
  };
  int number = 0;
  for (const LoopStage& stage : kernel.stages) {
    out << indent << "  stage";
    for (const LoopReduction& reduction : stage.reductions) {
      out << " " << number++ << ":" << ir::Info(reduction.op).name << "(v" << reduction.value;
      if (reduction.mask >= 0) out << " | v" << reduction.mask;
      out << ")";
    }
    stores(stage.stores);
    out << "\n";
  }
  if (!kernel.row_stores.empty()) {
    out << indent << "  rows";
    stores(kernel.row_stores);
    out << "\n";
  }
  return out.str();
}

}  // namespace

std::string Text(const StepOrigin& origin) {
  std::string text = origin.op;
  if (!origin.instance.empty()) text += " " + origin.instance;
  return origin.where ? text + " " + origin.where.WithoutCallers().Text() : text;
}

std::string Key(const MatmulEpilogue& epilogue) {
  std::string text;
  for (const MatmulEpilogue::Operand& operand : epilogue.operands) {
    text += operand.access == MatmulEpilogue::Access::Result    ? "result "
            : operand.access == MatmulEpilogue::Access::Columns ? "columns "
                                                                : "scalar ";
  }
  for (const LoopValue& value : epilogue.values) text += "; " + ValueText(value, SizeText{});
  return text + " -> v" + std::to_string(epilogue.result);
}

std::string Key(const LoopKernel& kernel) { return KernelText(kernel, SizeText{}, ""); }

namespace {

/// A step as a line; of equal kernels of loops the first is written out below its step.
class StepPrinter {
 public:
  StepPrinter(const Plan& plan, const SizeText& sizes, std::ostringstream& out)
      : plan_(plan), sizes_(sizes), out_(out) {}
  void Print(const Step& step) {
    std::visit([&](const auto& work) { Head(work); }, step.work);
    for (size_t i = 0; i < step.origins.size(); ++i)
      out_ << (i == 0 ? "  # " : "; ") << Text(step.origins[i]);
    out_ << "\n";
    if (fresh_) out_ << KernelText(*fresh_, sizes_, "      ");
    fresh_ = nullptr;
  }

 private:
  void Head(const LoopKernel& loop) {
    const auto [found, fresh] = kernels_.emplace(Key(loop), static_cast<int>(kernels_.size()));
    out_ << "loop " << found->second << " (";
    for (size_t i = 0; i < loop.operands.size(); ++i)
      out_ << (i ? ", " : "") << sizes_(loop.operands[i].base);
    out_ << ")";
    if (fresh) fresh_ = &loop;
  }
  void Head(const MatmulStep& product) {
    out_ << (plan_.buffers[product.b.buffer].kind == BufferKind::Packed ? "packed_matmul " : "matmul ")
         << sizes_(product.c) << " = " << sizes_(product.a) << " @ " << sizes_(product.b);
    if (product.mask.buffer >= 0) out_ << " | " << sizes_(product.mask);
    if (product.split) out_ << " split";
    Nest("loops", product.loops);
    Nest("m", product.ms);
    Nest("n", product.ns);
    Nest("k", product.ks);
    if (!product.epilogue) return;
    out_ << "  epilogue (";
    for (size_t i = 0; i < product.epilogue->operands.size(); ++i)
      out_ << (i ? ", " : "") << sizes_(product.epilogue->operands[i].base);
    out_ << ") {" << Key(*product.epilogue) << "}";
  }
  void Nest(const char* what, const std::vector<MatmulAxis>& axes) {
    out_ << "  " << what;
    for (const MatmulAxis& axis : axes)
      out_ << " " << sizes_(axis.extent) << "(" << sizes_(axis.a) << " " << sizes_(axis.b) << " "
           << sizes_(axis.c) << ")";
  }
  void Head(const AttentionStep& attention) {
    out_ << (attention.backward ? "attention_backward " : "attention ") << attention.query_axis.text()
         << " x " << attention.key_axis.text() << " queries " << sizes_(attention.queries) << " keys "
         << sizes_(attention.keys) << " dots " << sizes_(attention.dots) << " values "
         << sizes_(attention.values) << " loops";
    for (const AttentionLoop& loop : attention.loops) out_ << " " << loop.axis.text();
    if (attention.split) out_ << " split";
    if (attention.d_lse.buffer >= 0) out_ << " with d log-sum-exp";
    out_ << " captures " << attention.captures.size();
    if (!attention.gradients.empty()) out_ << " gradients";
    for (const AttentionGradient& gradient : attention.gradients) {
      static constexpr const char* kAlong[] = {
          "", " along queries", " along keys", " along differences", " of pairs", " along terms"};
      out_ << " c" << gradient.capture << kAlong[gradient.along];
    }
  }
  void Head(const LookupStep& lookup) {
    out_ << "lookup " << sizes_(lookup.out) << " = " << sizes_(lookup.table) << " at "
         << sizes_(lookup.index);
  }
  void Head(const GroupedStep& product) {
    out_ << "grouped_matmul " << sizes_(product.c) << " = " << sizes_(product.a) << " @ " << product.b.size()
         << (plan_.buffers[product.b[0].buffer].kind == BufferKind::Packed ? " packed" : "") << " at "
         << sizes_(product.index);
    Nest("m", product.ms);
    Nest("n", product.ns);
    Nest("k", product.ks);
  }
  void Head(const ScatterStep& scatter) {
    out_ << "scatter " << sizes_(scatter.out) << " += " << sizes_(scatter.dy) << " at "
         << sizes_(scatter.index);
  }

  const Plan& plan_;
  const SizeText& sizes_;
  std::ostringstream& out_;
  std::map<std::string, int> kernels_;
  const LoopKernel* fresh_ = nullptr;
};

}  // namespace

std::string Print(const Plan& plan) {
  const SizeText sizes{&plan};
  std::ostringstream out;
  out << "plan " << plan.name << "\n";
  for (const std::string& remark : plan.remarks) out << "  # " << remark << "\n";
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    const Buffer& buffer = plan.buffers[i];
    out << "  b" << i << " " << ir::Text(buffer.dtype) << " " << sizes(buffer.elements) << " ";
    switch (buffer.kind) {
      case BufferKind::Arena:
        out << "steps " << buffer.first << ".." << buffer.last;
        break;
      case BufferKind::Input:
        out << "input " << plan.inputs[buffer.index].name;
        break;
      case BufferKind::Output:
        out << "output " << plan.outputs[buffer.index].name;
        break;
      case BufferKind::Param:
        out << "param " << plan.param_names[buffer.index] << (buffer.used ? "" : " unused");
        break;
      case BufferKind::Packed: {
        const PackedMatrix& matrix = plan.packed[buffer.index];
        out << "packed " << matrix.param;
        if (matrix.offset) out << "+" << matrix.offset;
        const auto nest = [&](const char* what, const std::vector<PackedMatrix::Axis>& axes) {
          out << "  " << what;
          for (const PackedMatrix::Axis& axis : axes) out << " " << axis.extent << "(" << axis.stride << ")";
        };
        nest("n", matrix.ns);
        nest("k", matrix.ks);
        break;
      }
    }
    out << "\n";
  }
  StepPrinter printer(plan, sizes, out);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    out << "  " << i << ": ";
    printer.Print(plan.steps[i]);
  }
  return out.str();
}

}  // namespace heed::backend
