// See work.h. A view touches the product of the extents of the axes that it has a stride along.
#include "backend/plan/work.h"

#include <algorithm>

#include "ir/op.h"

namespace heed::backend {
namespace {

Size Times(int64_t factor, const Size& size) { return Size{factor, {}} * size; }

/// Gathers what is read and written, buffer by buffer.
class Uses {
 public:
  explicit Uses(const Plan& plan) : plan_(plan) {}
  void Read(const Base& base, const Size& elements) { Add(base, elements, &StepWork::Use::read); }
  void Write(const Base& base, const Size& elements) { Add(base, elements, &StepWork::Use::written); }
  std::vector<StepWork::Use> Take() { return std::move(uses_); }

 private:
  void Add(const Base& base, const Size& elements, std::vector<Size> StepWork::Use::* what) {
    if (base.buffer < 0) return;
    auto found = std::find_if(uses_.begin(), uses_.end(),
                              [&](const StepWork::Use& use) { return use.buffer == base.buffer; });
    if (found == uses_.end()) found = uses_.insert(found, {base.buffer, {}, {}});
    const bool bytes = plan_.buffers[base.buffer].dtype == ir::DType::Bool;
    ((*found).*what).push_back(Times(bytes ? 1 : 4, elements));
  }

  const Plan& plan_;
  std::vector<StepWork::Use> uses_;
};

/// The product of the extents of `axes` along which `stride` is not zero.
template <typename Axis>
Size Elements(const std::vector<const std::vector<Axis>*>& nests, Size Axis::* stride) {
  Size elements;
  for (const std::vector<Axis>* nest : nests)
    for (const Axis& axis : *nest)
      if (!(axis.*stride).IsZero()) elements = elements * axis.extent;
  return elements;
}

template <typename Axis>
Size Extent(const std::vector<Axis>& nest) {
  Size extent;
  for (const Axis& axis : nest) extent = extent * axis.extent;
  return extent;
}

bool IsFloatOp(const LoopValue& value) {
  return value.dtype == ir::DType::Float &&
         (value.kind == LoopValue::Kind::Op || value.kind == LoopValue::Kind::Keep ||
          value.kind == LoopValue::Kind::Gumbel);
}

StepWork WorkOf(const Plan& plan, const LoopKernel& loop) {
  StepWork work;
  std::vector<Size> axes = loop.outer;
  if (loop.column) axes.push_back(loop.lane);
  Size rows;
  for (const Size& extent : axes) rows = rows * extent;
  axes.insert(axes.end(), loop.inner.begin(), loop.inner.end());
  Size all = rows;
  for (const Size& extent : loop.inner) all = all * extent;
  int64_t of_rows = 0, of_all = 0;
  for (const LoopValue& value : loop.values) {
    if (IsFloatOp(value)) ++(value.row ? of_rows : of_all);
  }
  for (const LoopStage& stage : loop.stages) of_all += static_cast<int64_t>(stage.reductions.size());
  if (of_rows) work.flops.push_back(Times(of_rows, rows));
  if (of_all) work.flops.push_back(Times(of_all, all));

  Uses uses(plan);
  const auto elements = [&](int operand) {
    Size product;
    const std::vector<Size>& strides = loop.operands[operand].strides;
    for (size_t axis = 0; axis < axes.size() && axis < strides.size(); ++axis)
      if (!strides[axis].IsZero()) product = product * axes[axis];
    return product;
  };
  for (const LoopValue& value : loop.values) {
    if (value.kind == LoopValue::Kind::Load)
      uses.Read(loop.operands[value.operand].base, elements(value.operand));
    if (value.kind == LoopValue::Kind::Gather)  // anywhere: an element each time
      uses.Read(loop.operands[value.operand].base, value.row ? rows : all);
  }
  const auto store = [&](const LoopStore& each) {
    uses.Write(loop.operands[each.operand].base, elements(each.operand));
  };
  for (const LoopStage& stage : loop.stages) std::for_each(stage.stores.begin(), stage.stores.end(), store);
  std::for_each(loop.row_stores.begin(), loop.row_stores.end(), store);
  work.uses = uses.Take();
  return work;
}

StepWork WorkOf(const Plan& plan, const MatmulStep& step) {
  StepWork work;
  const Size loops = Extent(step.loops), rows = Extent(step.ms), columns = Extent(step.ns),
             terms = Extent(step.ks), results = loops * rows * columns;
  if (step.mask.buffer >= 0) {
    work.flops_each.push_back(Times(2, rows * columns));
  } else {
    work.flops.push_back(Times(2, results * terms));
  }
  const std::vector<const std::vector<MatmulAxis>*> nests = {&step.loops, &step.ms, &step.ns, &step.ks};
  Uses uses(plan);
  uses.Read(step.a, Elements(nests, &MatmulAxis::a));
  uses.Read(step.b, Elements(nests, &MatmulAxis::b));
  uses.Read(step.mask, Elements(nests, &MatmulAxis::mask));
  uses.Write(step.c, Elements(nests, &MatmulAxis::c));
  if (step.epilogue) {
    const int64_t each = std::count_if(step.epilogue->values.begin(), step.epilogue->values.end(), IsFloatOp);
    if (each) work.flops.push_back(Times(each, results));
    for (const MatmulEpilogue::Operand& operand : step.epilogue->operands) {
      using Access = MatmulEpilogue::Access;
      uses.Read(operand.base, operand.access == Access::Result    ? results
                              : operand.access == Access::Columns ? columns
                                                                  : Size{});
    }
  }
  work.uses = uses.Take();
  return work;
}

/// Pointwise operations on floats of a region for one pair (of a term: one element of its sum).
int64_t FloatOps(const std::shared_ptr<const ir::Graph>& region) {
  if (!region) return 0;
  int64_t count = 0;
  for (const ir::NodeId id : region->Order())
    count += ir::IsPointwise(region->op(id)) && region->type(id).dtype == ir::DType::Float;
  return count;
}

StepWork WorkOf(const Plan& plan, const AttentionStep& step) {
  StepWork work;
  const ir::AttentionRegions& regions = *step.regions;
  // The sum of query and key is a product, or of terms: then each has its operations and one addition.
  const int64_t dot = regions.term ? FloatOps(regions.term) + 1 : 2;
  const int64_t dot_gradient =
      regions.term ? FloatOps(regions.term_gradient) : 2 * ((step.dq.buffer >= 0) + (step.dk.buffer >= 0));
  if (step.backward) {  // the score and its gradient again; gradients of the weights, and of v
    work.flops_each = {Times(dot + dot_gradient, step.dots),
                       Times(2 + (step.dv.buffer >= 0 ? 2 : 0), step.values)};
  } else {
    work.flops_each = {Times(dot, step.dots), Times(2, step.values)};
  }
  // What is computed of each score besides: caps, biases, factors of weights.
  const int64_t pointwise = FloatOps(regions.score) + (step.backward ? FloatOps(regions.gradient) : 0);
  if (pointwise) work.flops_each.push_back(Times(pointwise, {}));
  const auto elements = [&](Size AttentionLoop::* stride, const std::vector<std::pair<Size, Size>>& own) {
    Size product = Elements({&step.loops}, stride);
    for (const auto& [extent, along] : own)
      if (!along.IsZero()) product = product * extent;
    return product;
  };
  const Size q = elements(&AttentionLoop::q, {{step.queries, step.q_query}, {step.dots, step.q_dot}});
  const Size k = elements(&AttentionLoop::k, {{step.keys, step.k_key}, {step.dots, step.k_dot}});
  const Size v = elements(&AttentionLoop::v, {{step.keys, step.v_key}, {step.values, step.v_value}});
  const Size o = elements(&AttentionLoop::o, {{step.queries, step.o_query}, {step.values, step.o_value}});
  const Size lse = elements(&AttentionLoop::lse, {{step.queries, step.lse_query}});
  Uses uses(plan);
  uses.Read(step.q, q);
  uses.Read(step.k, k);
  uses.Read(step.v, v);
  if (step.backward) {
    uses.Read(step.o, o);
    uses.Read(step.lse, lse);
    uses.Read(step.d_o, o);
    uses.Read(step.d_lse, lse);
    uses.Write(step.dq, q);
    uses.Write(step.dk, k);
    uses.Write(step.dv, v);
  } else {
    uses.Write(step.o, o);
    uses.Write(step.lse, lse);
  }
  for (const AttentionCapture& capture : step.captures) {
    Size product;
    for (size_t i = 0; i < step.loops.size(); ++i)
      if (!capture.loops[i].IsZero()) product = product * step.loops[i].extent;
    if (!capture.query.IsZero()) product = product * step.queries;
    if (!capture.key.IsZero()) product = product * step.keys;
    if (!capture.difference.IsZero()) product = product * Times(2, step.keys);
    if (!capture.dot.IsZero()) product = product * step.dots;
    uses.Read(capture.base, product);
  }
  for (const AttentionGradient& gradient : step.gradients)
    uses.Write(gradient.to, plan.buffers[gradient.to.buffer].elements);
  work.uses = uses.Take();
  return work;
}

StepWork WorkOf(const Plan& plan, const ScatterStep& step) {
  StepWork work;
  const std::vector<const std::vector<ScatterAxis>*> nests = {&step.kept, &step.summed};
  work.flops = {Extent(step.kept) * Extent(step.summed)};
  Uses uses(plan);
  uses.Read(step.dy, Elements(nests, &ScatterAxis::dy));
  uses.Read(step.index, Elements(nests, &ScatterAxis::index));
  uses.Read(step.mask, Elements(nests, &ScatterAxis::mask));
  uses.Write(step.out, Elements(nests, &ScatterAxis::out) * step.size);
  work.uses = uses.Take();
  return work;
}

StepWork WorkOf(const Plan& plan, const GroupedStep& step) {
  StepWork work;
  work.flops = {Times(2, Extent(step.ms) * Extent(step.ns) * Extent(step.ks))};
  const std::vector<const std::vector<MatmulAxis>*> nests = {&step.ms, &step.ns, &step.ks};
  Uses uses(plan);
  uses.Read(step.a, Elements(nests, &MatmulAxis::a));
  uses.Read(step.index, Elements(nests, &MatmulAxis::mask));
  for (const Base& factor : step.b) uses.Read(factor, Elements(nests, &MatmulAxis::b));
  uses.Write(step.c, Elements(nests, &MatmulAxis::c));
  work.uses = uses.Take();
  return work;
}

StepWork WorkOf(const Plan& plan, const LookupStep& step) {
  const std::vector<const std::vector<LookupAxis>*> nests = {&step.ms, &step.ks};
  Uses uses(plan);
  uses.Read(step.index, Elements(nests, &LookupAxis::index));
  uses.Read(step.table, Elements(nests, &LookupAxis::out));
  uses.Write(step.out, Elements(nests, &LookupAxis::out));
  return {{}, {}, uses.Take()};
}

// ---- Labels

class Labels {
 public:
  explicit Labels(const Plan& plan) : plan_(plan) {}
  std::string Of(const LoopKernel& loop) const {
    std::vector<std::string> names;
    const auto add = [&](ir::OpKind op) {
      const std::string name(ir::Info(op).name);
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    };
    for (const LoopStage& stage : loop.stages)
      for (const LoopReduction& reduction : stage.reductions) add(reduction.op);
    for (const LoopValue& value : loop.values)
      if (value.kind == LoopValue::Kind::Op && value.dtype == ir::DType::Float) add(value.op);
    constexpr size_t kNamed = 4;
    std::string text;
    for (size_t i = 0; i < names.size() && i < kNamed; ++i) text += " " + names[i];
    if (names.size() > kNamed) text += " ...";
    return names.empty() ? " copy" : text;
  }
  std::string Of(const MatmulStep& step) const {
    std::string text =
        Nest(step.ms) + " x" + Nest(step.ns) + " x" + Nest(step.ks) + (step.split ? " split" : "");
    if (!step.loops.empty()) text += ", each" + Nest(step.loops);
    return step.epilogue ? text + " + epilogue" : text;
  }
  std::string Of(const AttentionStep& step) const {
    std::string text = step.query_axis ? " " + step.query_axis.text() : " 1";
    text += " x " + step.key_axis.text() + " x " + Name(step.dots) + (step.split ? " split" : "");
    return text + (step.loops.empty() ? "" : ", each" + Nest(step.loops));
  }
  std::string Of(const GroupedStep& step) const {
    return Nest(step.ms) + " x" + Nest(step.ns) + " x" + Nest(step.ks) + " of " +
           std::to_string(step.b.size());
  }
  std::string Of(const ScatterStep& step) const { return Nest(step.summed) + " into " + Name(step.size); }
  std::string Of(const LookupStep& step) const { return Nest(step.ms) + " x" + Nest(step.ks); }

 private:
  std::string Name(const Size& size) const {
    std::string text = size.factor == 1 && !size.terms.empty() ? "" : std::to_string(size.factor);
    for (int term : size.terms) text += (text.empty() ? "" : "*") + plan_.extents[term].text();
    return text;
  }
  template <typename Axis>
  std::string Nest(const std::vector<Axis>& axes) const {
    return " " + Name(Extent(axes));
  }
  const Plan& plan_;
};

}  // namespace

StepWork WorkOf(const Plan& plan, const Step& step) {
  return std::visit([&](const auto& work) { return WorkOf(plan, work); }, step.work);
}

std::string Label(const Plan& plan, const Step& step, const std::string& symbol) {
  constexpr std::string_view kPrefix = "heed_";
  const std::string kernel = symbol.starts_with(kPrefix) ? symbol.substr(kPrefix.size()) : symbol;
  return kernel + std::visit([&](const auto& work) { return Labels(plan).Of(work); }, step.work);
}

}  // namespace heed::backend
