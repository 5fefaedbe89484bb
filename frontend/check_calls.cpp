// Calls: what is called, with how many axes and arguments.
#include <algorithm>

#include "frontend/check_body.h"

namespace heed::frontend {

void BodyChecker::AxisCount(const std::string& name, const FunctionDecl& decl, size_t given, Loc loc) {
  if (given == decl.axes.size()) return;
  std::string formals;
  for (const AxisItem& item : decl.axes)
    for (const Name& formal : item.names) formals += (formals.empty() ? "" : ", ") + formal.text;
  Diagnostic& d = diagnostics_.Report(DiagnosticKind::WrongAxisCount, loc,
                                      "`" + name + "` takes " + std::to_string(decl.axes.size()) +
                                          (decl.axes.size() == 1 ? " axis argument" : " axis arguments") +
                                          ", given " + std::to_string(given));
  d.labels.push_back(
      {decl.name.loc, decl.axes.empty() ? "it has no axis parameters" : "declared with [" + formals + "]"});
  if (given > decl.axes.size() && !decl.axes.empty())
    d.notes.push_back("several axes for one parameter are written as a group: (a, b)");
}

void BodyChecker::Arguments(const Expr& call) {
  for (size_t i = 1; i < call.children.size(); ++i) CheckExpr(*call.children[i]);
  if (call.predicate) CheckExpr(*call.predicate);
}

void BodyChecker::Call(const Expr& call) {
  const Expr& callee = *call.children[0];
  if (!prelude_ && !IsFormal(callee.name) && declarations_.NamedElement(call)) {
    const Expr& element = *call.children[1];
    if (Local* local = FindLocal(element.name))
      diagnostics_
          .Report(DiagnosticKind::DuplicateName, element.loc,
                  "`" + element.name + "` is an element of `" + callee.name + "` and a " + local->what)
          .labels.push_back({local->loc, "the " + std::string(local->what)});
    return;
  }
  Arguments(call);
  const size_t given = call.children.size() - 1;
  if (callee.kind == ExprKind::Index && callee.children[0]->kind == ExprKind::Name) {
    IndexedCall(call);
    return;
  }
  if (IsJoin(callee)) {
    JoinCall(call);
    return;
  }
  if (callee.kind != ExprKind::Name) {
    CheckExpr(callee);
    diagnostics_.Report(DiagnosticKind::UnknownFunction, callee.loc,
                        "only functions, parts and axes can be called, not an expression");
    return;
  }
  const std::string& name = callee.name;
  if (name.empty()) return;
  Local* local = FindLocal(name);
  if (local && local->part) {
    Use(name, *local);
    CallOfPart(call, name, *local->part, given);
    return;
  }
  if (const Builtin* builtin = declarations_.BuiltinCalled(name, prelude_)) {
    Axes(call.items, true);
    BuiltinCall(call, *builtin, given);
    return;
  }
  if (const Function* function = declarations_.Find(name, prelude_)) {
    FunctionCall(call, function);
    return;
  }
  if (const PartBind* part = RootPart(name)) {
    CallOfPart(call, name, *part, given);
    return;
  }
  if (IsAxis(name)) {
    if (call.predicate) NoPredicate(call, name);
    if (!call.items.empty() || given != 1)
      diagnostics_.Report(DiagnosticKind::WrongArgumentCount, call.loc,
                          "`" + name + "(i)` is the element of the axis at one position i");
    return;
  }
  Axes(call.items, false);
  NotCallable(call, name);
}

void BodyChecker::CallOfPart(const Expr& call, const std::string& name, const PartBind& bind, size_t given) {
  if (bind.stack.empty()) {
    PartCall(call, name, bind, 0, &call.items, given);
    return;
  }
  LayerIndices(call);
  PartCall(call, name, bind, call.items.size(), nullptr, given);
}

const PartBind* BodyChecker::RootPart(const std::string& name) {
  if (module_ || prelude_) return nullptr;
  const PartBind* part = declarations_.FindPart(name);
  if (part) used_top_parts_.insert(name);
  return part;
}

void BodyChecker::IndexedCall(const Expr& call) {
  const Expr& callee = *call.children[0];
  const size_t given = call.children.size() - 1;
  const std::string& name = callee.children[0]->name;
  Local* local = FindLocal(name);
  if (!local && IsFunction(name)) {
    diagnostics_
        .Report(DiagnosticKind::UnknownAxis, callee.children.back()->loc,
                "`" + name + "` takes names of axes in its brackets, not values")
        .notes.push_back("a predicate follows a bar: `softmax[a | mask](x)`");
    return;
  }
  for (size_t i = 1; i < callee.children.size(); ++i) CheckExpr(*callee.children[i]);
  if (local && local->part) {
    Use(name, *local);
    PartCall(call, name, *local->part, callee.children.size() - 1, &call.items, given);
    return;
  }
  if (const PartBind* part = local ? nullptr : RootPart(name)) {
    PartCall(call, name, *part, callee.children.size() - 1, &call.items, given);
    return;
  }
  NotCallable(call, name);
}

void BodyChecker::JoinCall(const Expr& call) {
  const Expr& arrow = *call.children[0];
  Axes(arrow.items, false);
  Axes(arrow.targets, true);
  if (call.predicate) NoPredicate(call, "join");
  const size_t given = call.children.size() - 1;
  if (arrow.targets.size() != 1)
    diagnostics_.Report(DiagnosticKind::WrongAxisCount, arrow.op_loc,
                        "`join` gives one axis after the arrow");
  else if (given != arrow.items.size() || given == 0)
    diagnostics_
        .Report(DiagnosticKind::WrongArgumentCount, call.loc,
                "`join` takes one value for each axis before the arrow, " +
                    std::to_string(arrow.items.size()) + ", given " + std::to_string(given))
        .notes.push_back("as in `join[a, b -> c](x, y)`");
}

void BodyChecker::LayerIndices(const Expr& call) {
  for (const AxisItem& item : call.items) {
    for (const Name& index : item.names) {
      Local* variable = FindLocal(index.text);
      if (variable && !variable->part) {
        Use(index.text, *variable);
      } else if (!variable && !declarations_.IsConst(index.text) && !IsAxis(index.text)) {
        diagnostics_.Report(DiagnosticKind::UnknownName, index.loc,
                            "unknown name `" + index.text + "`" + DidYouMean(index.text, ValueNames()));
      }
    }
  }
}

void BodyChecker::FunctionCall(const Expr& call, const Function* function) {
  const Expr& callee = *call.children[0];
  const std::string& name = callee.name;
  Axes(call.items, false);
  if (call.predicate) NoPredicate(call, name);
  if (function->decl->is_module) {
    Diagnostic& d = diagnostics_.Report(DiagnosticKind::ModuleNeedsPart, callee.loc,
                                        "module `" + name + "` is called without a part");
    d.notes.push_back("a module has parameters, and the part gives them their name: `part p = " + name +
                      (function->decl->axes.empty() ? "" : "[...]") + "`, then `p(...)`");
    return;
  }
  AxisCount(name, *function->decl, call.items.size(), callee.loc);
  ArgumentCount(call, name, *function->decl, call.children.size() - 1);
}

void BodyChecker::NoPredicate(const Expr& call, const std::string& name) {
  diagnostics_
      .Report(DiagnosticKind::UnexpectedPredicate, call.predicate->loc,
              "`" + name + "` takes no predicate; only reductions do")
      .notes.push_back("a mask is an ordinary bool value and can be passed as an argument");
}

void BodyChecker::NotCallable(const Expr& call, const std::string& name) {
  const Loc loc = call.children[0]->loc;
  Local* local = FindLocal(name);
  std::string message = "unknown function `" + name + "`";
  if (local) {
    Use(name, *local);
    message = "`" + name + "` is a value and cannot be called";
  } else if (name == "normal" || name == "uniform") {
    message = "`" + name + "` is a distribution: it stands after ~ in a `param` line";
  } else if (!prelude_ && declarations_.FindPart(name)) {
    diagnostics_
        .Report(DiagnosticKind::UnknownFunction, loc,
                "`" + name + "` is a part of the top level; no module can call it")
        .notes.push_back("hand its value over as an argument, or give the module a part of its own");
    return;
  } else {
    std::vector<std::string> names = declarations_.FunctionNames(prelude_);
    for (const auto& [known, other] : locals_)
      if (other.part) names.push_back(known);
    message +=
        name == "join" ? ": its axes stand before it, `join[a, b -> c](x, y)`" : DidYouMean(name, names);
    MayDeclare("def " + name + "(...) -> ...",
               diagnostics_.Report(DiagnosticKind::UnknownFunction, loc, message));
    return;
  }
  diagnostics_.Report(DiagnosticKind::UnknownFunction, loc, message);
}

void BodyChecker::PartCall(const Expr& call, const std::string& name, const PartBind& bind, size_t indices,
                           const AxisItems* axes, size_t given) {
  if (call.predicate) NoPredicate(call, name);
  size_t stack = 0;
  for (const AxisItem& item : bind.stack) stack += item.names.size();
  if (indices != stack) {
    diagnostics_
        .Report(stack > 0 && indices == 0 ? DiagnosticKind::PartAsValue : DiagnosticKind::WrongAxisCount,
                call.children[0]->loc,
                stack > 0 && indices == 0
                    ? "`" + name + "` is a stack of parts: say which one, `" + name + "[l](...)`"
                    : "`" + name + "` is stacked over " + std::to_string(stack) + " axes, indexed with " +
                          std::to_string(indices))
        .labels.push_back({bind.name.loc, "declared here"});
  }
  const Function* module = declarations_.Find(bind.module.text, prelude_);
  if (module == nullptr || !module->decl->is_module) return;
  const bool open = bind.axes.empty() && !module->decl->axes.empty();
  if (axes != nullptr) Axes(*axes, false);
  if (open && axes != nullptr && !axes->empty()) {
    AxisCount(bind.module.text, *module->decl, axes->size(), call.children[0]->loc);
  } else if (open) {
    Diagnostic& d = diagnostics_.Report(DiagnosticKind::WrongAxisCount, call.children[0]->loc,
                                        "part `" + name + "` leaves the axes of `" + bind.module.text +
                                            "` open, so this call must give them: `" + name +
                                            (stack > 0 ? "[l]" : "") + "[...](...)`");
    d.labels.push_back({bind.name.loc, "declared here"});
    d.notes.push_back("or give them once: `part " + name + " = " + bind.module.text + "[...]`");
  } else if (axes != nullptr && !axes->empty()) {
    diagnostics_
        .Report(DiagnosticKind::WrongAxisCount, call.children[0]->loc,
                "part `" + name + "` takes no brackets" + (stack > 0 ? " but those of its layer" : "") +
                    ": its axis arguments stand where it is declared")
        .labels.push_back({bind.name.loc, "declared here"});
  }
  ArgumentCount(call, name, *module->decl, given);
}

void BodyChecker::ArgumentCount(const Expr& call, const std::string& name, const FunctionDecl& decl,
                                size_t given) {
  size_t least = 0;
  for (size_t i = 0; i < decl.params.size(); ++i)
    if (!decl.params[i].default_value) least = i + 1;
  const size_t most = decl.params.size();
  if (given >= least && given <= most) return;
  std::string takes =
      least == most ? std::to_string(most) : std::to_string(least) + " to " + std::to_string(most);
  Diagnostic& d = diagnostics_.Report(
      DiagnosticKind::WrongArgumentCount, given > most ? call.children[most + 1]->loc : call.loc,
      "`" + name + "` takes " + takes + (most == 1 ? " argument" : " arguments") + ", given " +
          std::to_string(given));
  std::string missing;
  for (size_t i = given; i < least; ++i)
    missing += (missing.empty() ? "`" : ", `") + decl.params[i].name.text + "`";
  if (!missing.empty()) d.notes.push_back("missing: " + missing);
  d.labels.push_back({decl.name.loc, "declared here"});
}

void BodyChecker::BuiltinCall(const Expr& call, const Builtin& builtin, size_t given) {
  const std::string name(builtin.name);
  const Loc loc = call.children[0]->loc;
  const int axes = static_cast<int>(call.items.size());
  int least = builtin.min_arguments, most = builtin.max_arguments;
  if (name == "max") least = most = axes > 0 ? 1 : 2;
  if (axes < builtin.min_axes || axes > builtin.max_axes) {
    Diagnostic& d =
        diagnostics_.Report(DiagnosticKind::WrongAxisCount, loc,
                            builtin.max_axes == 0 ? "`" + name + "` acts on each element and takes no axes"
                            : axes == 0 ? "`" + name + "` acts along an axis: write `" + name + "[axis](...)`"
                                        : "`" + name + "` acts along exactly one axis");
    if (name == "min") d.notes.push_back("the smallest along an axis is -max[axis](-x)");
    return;
  }
  if (call.predicate && (!builtin.predicate || axes == 0)) NoPredicate(call, name);
  const int count = static_cast<int>(given);
  if (count >= least && count <= most) return;
  Diagnostic& d = diagnostics_.Report(
      DiagnosticKind::WrongArgumentCount, count > most ? call.children[most + 1]->loc : call.loc,
      "`" + name + (axes > 0 ? "[...]" : "") + "` takes " + std::to_string(least) +
          (least == most ? "" : " to " + std::to_string(most)) + (most == 1 ? " argument" : " arguments") +
          ", given " + std::to_string(given));
  if (name == "max" && count == 1) d.notes.push_back("the largest along an axis is max[axis](x)");
}

}  // namespace heed::frontend
