// Which instance of a module a call means: a part, one of a stack, or all of a stack along its axis.
//
// A stack that is indexed by a value is computed as a whole and read at that value: `experts[expert](x)` has
// the axis `expert`, and `experts[i](x)` is `experts[expert](x)[i]`. Arguments are evaluated once.
#include <algorithm>

#include "frontend/elaborate.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;
using ir::NodeId;
using ir::OpKind;

/// A call of a part while its instance is chosen.
struct Elaborator::PartCall {
  const Expr& expr;
  const PartInstance& part;
  std::vector<Value> indices;  ///< one for each axis of its stack
  std::vector<Loc> locs;       ///< of the indices
  const AxisItems& axes;       ///< those that the call gives a part that leaves them open
  Frame& frame;
  std::vector<Value> arguments = {};
};

Value Elaborator::CallIndexed(const Expr& expr, const PartInstance& part, Frame& frame) {
  const Expr& callee = *expr.children[0];
  PartCall call{.expr = expr, .part = part, .indices = {}, .locs = {}, .axes = expr.items, .frame = frame};
  for (size_t i = 1; i < callee.children.size(); ++i) {
    call.indices.push_back(Eval(*callee.children[i], frame));
    call.locs.push_back(callee.children[i]->loc);
  }
  return CallPart(std::move(call));
}

Value Elaborator::CallNamed(const Expr& expr, const PartInstance& part, Frame& frame) {
  static const AxisItems kNone;
  const bool one = part.stack.empty();
  PartCall call{.expr = expr,
                .part = part,
                .indices = {},
                .locs = {},
                .axes = one ? expr.items : kNone,
                .frame = frame};
  for (const AxisItem& item : one ? kNone : expr.items) {
    for (const Name& name : item.names) {
      call.indices.push_back(LayerNamed(name, frame));
      call.locs.push_back(name.loc);
    }
  }
  return CallPart(std::move(call));
}

Value Elaborator::LayerNamed(const Name& name, Frame& frame) {
  const auto variable = frame.variables.find(name.text);
  if (variable != frame.variables.end()) return variable->second;
  const auto constant = declarations_.consts().find(name.text);
  if (constant != declarations_.consts().end() && constant->second.whole)
    return WholeNumber(constant->second.value, name.loc);
  const AxisList axes = Resolve(frame, name.text);
  if (axes.size() == 1) {
    SetOrigin(frame, name.loc);
    return Tensor(graph_->Positions(axes[0]), axes);
  }
  if (axes.size() > 1)
    Report(frame, DiagnosticKind::GroupPositions, name.loc,
           "`" + name.text + "` is the group " + Show(frame, axes) + " here; a group has no positions");
  return {};
}

std::shared_ptr<const PartInstance> Elaborator::RootPart(const std::string& name, const Expr& expr,
                                                         const Frame& frame) {
  const auto root = root_parts_.find(name);
  if (root == root_parts_.end() || frame.prelude()) return nullptr;
  if (frame.key.empty()) return root->second.part;
  if (frame.function->decl->is_module) return nullptr;  // told where the text was checked
  const Frame* module = &frame;
  while (!module->function->decl->is_module) module = module->caller;
  Report(frame, DiagnosticKind::UnknownFunction, expr.children[0]->loc,
         "`" + frame.name + "` calls `" + name + "` of the top level, and module `" + module->name +
             "` calls `" + frame.name + "`")
      .notes.push_back(
          "parameters of a module are all below its own path: hand the value over as an argument");
  return nullptr;
}

Value Elaborator::CallPart(PartCall call) {
  const bool open = call.part.axes.empty() && !call.part.module->decl->axes.empty();
  if (call.indices.size() != call.part.stack.size() || open == call.axes.empty()) return {};
  call.arguments = ArgumentsOf(call.expr, call.frame);
  return Choose(call, 0, call.part);
}

Value Elaborator::Choose(const PartCall& call, size_t i, PartInstance instance) {
  const PartInstance& part = call.part;
  if (i == call.indices.size()) {
    const bool open = part.axes.empty() && !part.module->decl->axes.empty();
    std::vector<Loc> locs;
    for (const AxisItem& item : open ? call.axes : part.bind->axes) locs.push_back(item.loc);
    const auto actual = open ? ResolveGroups(call.frame, call.axes) : part.axes;
    return actual ? Apply(call.expr, *part.module, *actual, locs, &instance, call.arguments, call.frame)
                  : Value{};
  }
  const Value& index = call.indices[i];
  if (!index.ok() || TooLarge(call.frame, index)) return {};
  const Axis axis = part.stack[i];
  const auto number = IntConstant(index);
  if (const Axis element = ElementOf(index); element ? element != axis.root() : !number) {
    RefuseLayer(call, i,
                element ? "the index runs over `" + element.text() + "`, but `" + part.bind->name.text +
                              "` is stacked over `" + axis.text() + "`"
                        : "the index is " + ShowType(call.frame, index) +
                              "; a part is chosen by a number known "
                              "here or by an element of `" +
                              axis.root().text() + "`");
    return {};
  }
  if (!number) return ChooseAny(call, i, instance);
  if (*number < 0 || *number >= axes_->Bound(axis)) {
    RefuseLayer(call, i,
                "there is no `" + part.bind->name.text + "[" + std::to_string(*number) + "]`: `" +
                    Show(call.frame, axis) + "` has " + std::to_string(axes_->Bound(axis)) + " elements");
    return {};
  }
  instance.path = JoinPath(instance.path, std::to_string(*number));
  instance.key.back().second += "." + std::to_string(*number);
  return Choose(call, i + 1, std::move(instance));
}

Diagnostic& Elaborator::RefuseLayer(const PartCall& call, size_t i, std::string message) {
  Diagnostic& d = Report(call.frame, DiagnosticKind::LayerIndex, call.locs[i], std::move(message));
  d.labels.push_back({call.part.bind->name.loc, "stacked over " + Show(call.frame, call.part.stack[i])});
  return d;
}

Value Elaborator::ChooseAny(const PartCall& call, size_t i, const PartInstance& instance) {
  const Axis axis = call.part.stack[i];
  std::vector<NodeId> all;
  Value each;
  AxisList order;
  for (int64_t n = 0; n < axes_->Bound(axis) && Step(call.frame, call.locs[i]); ++n) {
    PartInstance chosen = instance;
    chosen.path = JoinPath(chosen.path, std::to_string(n));
    chosen.key.back().second += "." + std::to_string(n);
    each = Choose(call, i + 1, std::move(chosen));
    if (each.kind != Value::Kind::Tensor) return {};
    order = ir::ContainsAll(each.order, order) ? each.order : ir::Union(order, each.order);
    all.push_back(each.node);
  }
  if (aborted_ || all.empty()) return {};
  SetOrigin(call.frame, call.expr.loc);
  // The positions of an axis that the values lack read each instance in its own place.
  const Value& index = call.indices[i];
  if (index.node == graph_->Positions(axis) && !ir::Contains(order, axis)) {
    order.insert(order.begin(), axis);
    return Moved(each, graph_->Make(OpKind::Stack, all, {.axis = axis}), order);
  }
  const Axis along = Another(axis, ir::Union(order, index.order));
  const NodeId stacked = graph_->Make(OpKind::Stack, all, {.axis = along});
  return Moved(each, graph_->Make(OpKind::Gather, {stacked, index.node}, {.axis = along}),
               ir::Union(index.order, order));
}

}  // namespace heed::frontend
