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
  std::map<std::string, int> kernels;
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Step& step = plan.steps[i];
    out << "  " << i << ": ";
    switch (step.kind) {
      case Step::Kind::Loop: {
        auto [found, fresh] = kernels.emplace(Key(step.loop), static_cast<int>(kernels.size()));
        out << "loop " << found->second << " (";
        for (size_t k = 0; k < step.loop.operands.size(); ++k) {
          out << (k ? ", " : "") << sizes(step.loop.operands[k].base);
        }
        out << ")  # " << step.origin << "\n";
        if (fresh) out << KernelText(step.loop, sizes, "      ");
        break;
      }
      case Step::Kind::Matmul: {
        const MatmulStep& m = step.matmul;
        out << (plan.buffers[m.b.buffer].kind == BufferKind::Packed ? "packed_matmul " : "matmul ")
            << sizes(m.c) << " = " << sizes(m.a) << " @ " << sizes(m.b);
        if (m.mask.buffer >= 0) out << " | " << sizes(m.mask);
        if (m.split) out << " split";
        auto nest = [&](const char* what, const std::vector<MatmulAxis>& axes) {
          out << "  " << what;
          for (const MatmulAxis& axis : axes) {
            out << " " << sizes(axis.extent) << "(" << sizes(axis.a) << " " << sizes(axis.b) << " "
                << sizes(axis.c) << ")";
          }
        };
        nest("loops", m.loops);
        nest("m", m.ms);
        nest("n", m.ns);
        nest("k", m.ks);
        if (m.epilogue) {
          out << "  epilogue (";
          for (size_t k = 0; k < m.epilogue->operands.size(); ++k) {
            out << (k ? ", " : "") << sizes(m.epilogue->operands[k].base);
          }
          out << ") {" << Key(*m.epilogue) << "}";
        }
        out << "  # " << step.origin << "\n";
        break;
      }
      case Step::Kind::Attention: {
        const AttentionStep& a = step.attention;
        out << (a.backward ? "attention_backward " : "attention ") << a.query_axis.text() << " x "
            << a.key_axis.text() << " queries " << sizes(a.queries) << " keys " << sizes(a.keys) << " dots "
            << sizes(a.dots) << " values " << sizes(a.values) << " loops";
        for (const AttentionLoop& loop : a.loops) out << " " << loop.axis.text();
        if (a.split) out << " split";
        out << " captures " << a.captures.size();
        if (!a.gradients.empty()) out << " gradients";
        for (const AttentionGradient& gradient : a.gradients) {
          static constexpr const char* kAlong[] = {
              "", " along queries", " along keys", " along differences", " of pairs", " along terms"};
          out << " c" << gradient.capture << kAlong[gradient.along];
        }
        out << "  # " << step.origin << "\n";
        break;
      }
      case Step::Kind::Lookup: {
        const LookupStep& l = step.lookup;
        out << "lookup " << sizes(l.out) << " = " << sizes(l.table) << " at " << sizes(l.index) << "  # "
            << step.origin << "\n";
        break;
      }
      case Step::Kind::Scatter: {
        const ScatterStep& s = step.scatter;
        out << "scatter " << sizes(s.out) << " += " << sizes(s.dy) << " at " << sizes(s.index) << "  # "
            << step.origin << "\n";
        break;
      }
    }
  }
  return out.str();
}

}  // namespace heed::backend
