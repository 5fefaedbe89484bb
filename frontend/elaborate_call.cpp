// Calls of functions, and of modules by their parts: axis parameters, lifting, hygiene.
//
// An axis parameter keeps its actual axis in the body unless another axis of that name could get there:
// lifted over in an argument, written in the body, or bound to two parameters. Then it is a fresh copy
// (key~1, the smallest number free at this call, so that equal calls give equal graphs), and the result is
// renamed back.
#include <algorithm>

#include "frontend/builtins.h"
#include "frontend/elaborate.h"

namespace heed::frontend {

using ir::Axis;
using ir::AxisList;
using ir::DType;

namespace {

constexpr int kCallDepth = 12;  // what a call counts among nested evaluations, by its use of the stack

Axis Primed(Axis axis, int primes) {
  for (int i = 0; i < primes; ++i) axis = axis.Twin();
  return axis;
}

}  // namespace

/// A call of a function while it is expanded.
struct Elaborator::Application {
  const Expr& expr;
  const Function& function;
  const std::vector<AxisList>& actual;  ///< what stands for each axis parameter
  const std::vector<Loc>& actual_locs;
  const Frame& caller;
  std::vector<Value> arguments;  ///< those given; poison if they do not fit
  Frame frame;                   ///< of the body
  std::vector<AxisList> needs;   ///< of each argument: what the signature asks for
  AxisList bound_global;         ///< axes of the signature that are not axis parameters
  AxisList present;              ///< axes of all arguments
  std::map<Axis, Axis> back;     ///< fresh copy -> what it stands for
  AxisList taken;                ///< actual axes and their copies, of the axis parameters so far
  bool failed = false;

  const FunctionDecl& decl() const { return *function.decl; }
  const std::string& name() const { return decl().name.text; }
  const Expr& argument(size_t i) const { return *expr.children[i + 1]; }

  /// Another axis of this name could get into the body.
  bool Clashes(Axis axis) const {
    bool clashes = false;
    for (int p = 0; p <= function.twins; ++p) {
      const Axis variant = Primed(axis, p);
      clashes = clashes || ir::Contains(frame.lifted, variant) || ir::Contains(taken, variant) ||
                function.mentions.count(variant.text()) != 0;
    }
    return clashes;
  }

  /// The first fresh copy that nothing in this call is named like.
  Axis FreshCopy(Axis axis) const {
    for (int k = 1;; ++k) {
      const Axis chosen = axis.Fresh(k);
      bool used = false;
      for (int p = 0; p <= function.twins; ++p) {
        const Axis variant = Primed(chosen, p);
        used = used || ir::Contains(present, variant) || back.count(variant) != 0 ||
               ir::Contains(taken, variant);
      }
      if (!used) return chosen;
    }
  }
};

Value Elaborator::Call(const Expr& expr, Frame& frame) {
  const Expr& callee = *expr.children[0];
  if (callee.kind == ExprKind::Index && callee.children[0]->kind == ExprKind::Name) {
    const std::string& name = callee.children[0]->name;
    const auto part = frame.variables.find(name);
    const std::shared_ptr<const PartInstance> instance =
        part == frame.variables.end() ? RootPart(name, expr, frame) : part->second.part;
    return instance ? CallIndexed(expr, *instance, frame) : Value{};
  }
  if (IsJoin(callee)) return Join(expr, frame);
  if (callee.kind != ExprKind::Name) return {};
  const auto part = frame.variables.find(callee.name);
  if (part != frame.variables.end() && part->second.kind == Value::Kind::Part) {
    const std::shared_ptr<const PartInstance> instance = part->second.part;
    return CallNamed(expr, *instance, frame);
  }
  if (declarations_.BuiltinCalled(callee.name, frame.prelude())) return CallBuiltin(expr, callee.name, frame);
  if (const Function* function = declarations_.Find(callee.name, frame.prelude())) {
    if (function->decl->is_module) return {};
    const auto actual = ResolveGroups(frame, expr.items);
    if (!actual) return {};
    std::vector<Loc> locs;
    for (const AxisItem& item : expr.items) locs.push_back(item.loc);
    return Apply(expr, *function, *actual, locs, nullptr, ArgumentsOf(expr, frame), frame);
  }
  if (root_parts_.count(callee.name)) {
    const auto instance = RootPart(callee.name, expr, frame);
    return instance ? CallNamed(expr, *instance, frame) : Value{};
  }
  if (!Resolve(frame, callee.name).empty()) return AxisElement(expr, callee.name, frame);
  return {};
}

bool Elaborator::CheckArgument(const Value& value, const ParamDecl& param, const Frame& callee,
                               const std::string& name, const Expr& argument, const Frame& caller) {
  const std::string who = "argument `" + param.name.text + "` of `" + name + "`";
  const std::string element = param.type.element ? param.type.element->text : "f32";
  if (element == "bool") return Check(caller, value, Need::Bool, argument.loc, who);
  if (!Check(caller, value, Need::Number, argument.loc, who)) return false;
  if (element == "f32" || element == "bf16") return true;
  if (TooLarge(caller, value)) return false;
  const auto refuse = [&](const std::string& needs) -> Diagnostic& {
    Diagnostic& d = Report(caller, DiagnosticKind::WrongType, argument.loc, who + " needs " + needs);
    d.labels.push_back({argument.loc, "is " + ShowType(caller, value)});
    return d;
  };
  if (element == "int") {
    if (DTypeOf(value) == DType::Int) return true;
    refuse("whole numbers")
        .notes.push_back(
            "floor(x) is a number with a point, too; whole numbers come from positions, "
            "int arguments and arithmetic on them");
    return false;
  }
  const AxisList axis = Resolve(callee, element);
  if (axis.empty()) return false;
  if (axis.size() > 1) {
    Report(caller, DiagnosticKind::GroupPositions, argument.loc,
           who + " is an element of `" + element + "`, which is the group " + Show(caller, axis) +
               " in this call");
    return false;
  }
  const Axis root = axis[0].root();
  if (DTypeOf(value) == DType::Int && ElementOf(value) == root) return true;
  Diagnostic& d = refuse("elements of `" + root.text() + "`");
  if (DTypeOf(value) == DType::Int) {
    const std::string text = argument.loc.file
                                 ? argument.loc.file->text().substr(argument.loc.offset, argument.loc.length)
                                 : "...";
    d.notes.push_back("write `" + root.text() + "(" + text + ")` if the number is meant as one");
  }
  return false;
}

std::optional<AxisList> Elaborator::CheckResult(const Frame& frame, const TypeExpr& type, const Value& result,
                                                Loc loc) {
  const auto want = Resolve(frame, type.axes);
  if (!want || !Distinct(frame, *want, type.axes, type.loc)) return std::nullopt;
  const AxisList missing = ir::Minus(*want, result.order);
  const AxisList surplus = ir::Minus(ir::Minus(result.order, *want), frame.lifted);
  if (!missing.empty() || !surplus.empty()) {
    const AxisList own = ir::Minus(result.order, ir::Minus(frame.lifted, *want));
    std::string why;
    if (!surplus.empty()) why = "`" + Show(frame, surplus[0]) + "` was never contracted or reduced";
    if (!missing.empty()) why = "`" + Show(frame, missing[0]) + "` is missing";
    Diagnostic& d = Report(frame, DiagnosticKind::ResultAxes, loc,
                           "`" + frame.name + "` declares " + Show(frame, *want) + "; its body gives " +
                               Show(frame, own) + ": " + why);
    d.labels.push_back({type.loc, "declared here"});
    if (missing.empty()) WhyNotSummed(frame, result, surplus[0], d);
    return std::nullopt;
  }
  const std::string element = type.element ? type.element->text : "f32";
  const bool floats = element == "f32" || element == "bf16";
  const DType dtype = DTypeOf(result);
  const AxisList root =
      floats || element == "int" || element == "bool" ? AxisList{} : Resolve(frame, element);
  if (!floats && TooLarge(frame, result)) return std::nullopt;
  const bool fits = element == "bool"  ? dtype == DType::Bool
                    : element == "int" ? dtype == DType::Int
                    : root.empty()     ? dtype != DType::Bool
                                       : dtype == DType::Int && ElementOf(result) == root[0].root();
  if (fits) return want;
  Diagnostic& d = Report(
      frame, DiagnosticKind::WrongType, loc,
      "`" + frame.name + "` declares the type " + element + "; its body gives " + ShowType(frame, result));
  d.labels.push_back({type.loc, "declared here"});
  if (!floats) WhyFloat(result, d);
  if (dtype == DType::Int && !root.empty())
    d.notes.push_back("write `" + root[0].root().text() +
                      "(...)` if the number is meant as one of its elements");
  return std::nullopt;
}

std::vector<Value> Elaborator::ArgumentsOf(const Expr& call, Frame& frame) {
  std::vector<Value> arguments;
  for (size_t i = 1; i < call.children.size(); ++i) arguments.push_back(Eval(*call.children[i], frame));
  return arguments;
}

Value Elaborator::Apply(const Expr& expr, const Function& function, const std::vector<AxisList>& actual,
                        const std::vector<Loc>& actual_locs, const PartInstance* instance,
                        std::vector<Value> arguments, Frame& caller) {
  const FunctionDecl& decl = *function.decl;
  const size_t given = arguments.size();
  if (function.recursive || actual.size() != decl.axes.size() || given > decl.params.size()) return {};
  for (size_t i = given; i < decl.params.size(); ++i)
    if (!decl.params[i].default_value) return {};
  for (size_t i = 0; i < actual.size(); ++i)
    if (!Distinct(caller, actual[i], {}, i < actual_locs.size() ? actual_locs[i] : expr.loc)) return {};

  Application call{.expr = expr,
                   .function = function,
                   .actual = actual,
                   .actual_locs = actual_locs,
                   .caller = caller,
                   .arguments = std::move(arguments)};
  OpenFrame(call, instance);
  BindSignature(call);
  CheckArguments(call);
  Lift(call);
  KeepApart(call);
  BindParameters(call);

  depth_ += kCallDepth;
  Value result = Body(decl.body, call.frame);
  depth_ -= kCallDepth;
  if (!result.ok() || call.failed) return {};
  return Outside(call, std::move(result));
}

void Elaborator::OpenFrame(Application& call, const PartInstance* instance) {
  Frame& frame = call.frame;
  const Frame& caller = call.caller;
  frame.function = &call.function;
  frame.name = call.name();
  frame.path = instance ? instance->path : caller.path;
  frame.key = instance ? instance->key : caller.key;
  if (instance) frame.open = instance->open;
  frame.caller = &caller;
  frame.call_loc = call.expr.loc;
  frame.call = &call.expr;
  frame.where = call.expr.loc.Place(caller.where);
  words_.calls[frame.where] = {frame.name, instance != nullptr};
  if (instance) words_.modules[frame.path] = frame.name;
}

void Elaborator::BindSignature(Application& call) {
  const FunctionDecl& decl = call.decl();
  Frame& frame = call.frame;
  for (size_t i = 0; i < call.actual.size(); ++i)
    for (const Name& formal : decl.axes[i].names) frame.axes[formal.text] = call.actual[i];
  call.needs.resize(call.arguments.size());
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    AxisList& need = call.needs[i];
    bool known = true;
    for (const AxisItem& item : decl.params[i].type.axes) {
      for (const Name& axis : item.names) {
        const AxisList resolved = Resolve(frame, axis.text);
        if (resolved.empty()) known = false;
        need.insert(need.end(), resolved.begin(), resolved.end());
        if (!frame.axes.count(BaseName(axis.text)))
          call.bound_global.insert(call.bound_global.end(), resolved.begin(), resolved.end());
      }
    }
    if (!known || !Distinct(call.caller, need, decl.params[i].type.axes, call.argument(i).loc))
      call.arguments[i] = {};
  }
}

void Elaborator::CheckArguments(Application& call) {
  std::string picture;
  for (size_t j = 0; j < call.arguments.size(); ++j)
    if (call.arguments[j].kind == Value::Kind::Tensor)
      picture += (picture.empty() ? "" : "   ") + call.decl().params[j].name.text + " " +
                 Show(call.caller, call.arguments[j].order);
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    Value& value = call.arguments[i];
    if (Fits(call, i, picture)) {
      call.present = ir::Union(call.present, value.order);
    } else {
      value = {};
      call.failed = true;
    }
  }
}

bool Elaborator::Fits(const Application& call, size_t i, const std::string& picture) {
  const Value& value = call.arguments[i];
  const ParamDecl& param = call.decl().params[i];
  if (value.kind != Value::Kind::Tensor) {
    if (value.ok())
      Check(call.caller, value, Need::Any, call.argument(i).loc,
            "argument `" + param.name.text + "` of `" + call.name() + "`");
    return false;
  }
  if (!CheckArgument(value, param, call.frame, call.name(), call.argument(i), call.caller)) return false;
  const bool scalar_mask = param.type.element && param.type.element->text == "bool" && value.order.empty();
  for (Axis axis : call.needs[i]) {
    if (scalar_mask || ir::Contains(value.order, axis)) continue;
    MissingAxis(call, i, axis, picture);
    return false;
  }
  return true;
}

void Elaborator::MissingAxis(const Application& call, size_t i, Axis axis, const std::string& picture) {
  const std::vector<AxisList>& actual = call.actual;
  const Frame& caller = call.caller;
  const Value& value = call.arguments[i];
  const ParamDecl& param = call.decl().params[i];
  const Expr& argument = call.argument(i);
  const Loc loc = argument.loc;
  const std::string needed = Show(caller, axis);
  Diagnostic& d =
      Report(caller, DiagnosticKind::MissingAxis, loc,
             "argument `" + param.name.text + "` of `" + call.name() + "` needs axis `" + needed + "`");
  d.labels.push_back({loc, "has " + Show(caller, value.order)});
  for (size_t f = 0; f < actual.size() && f < call.actual_locs.size(); ++f)
    if (ir::Contains(actual[f], axis))
      d.labels.push_back({call.actual_locs[f],
                          "`" + call.decl().axes[f].names[0].text + "` is " +
                              (actual[f].size() == 1 ? needed : Show(caller, actual[f])) + " in this call"});
  d.notes.push_back(picture);
  AxisList relatives;
  for (Axis other : value.order)
    if (other.root() == axis.root() && !ir::Contains(call.needs[i], other)) relatives.push_back(other);
  std::string text = loc.file ? loc.file->text().substr(loc.offset, loc.length) : "...";
  if (argument.kind == ExprKind::Binary || argument.kind == ExprKind::Unary ||
      argument.kind == ExprKind::Contract)
    text = "(" + text + ")";
  if (relatives.size() == 1) {
    const std::string has = Show(caller, relatives[0]);
    d.notes.push_back("`" + param.name.text + "` is still on `" + has + "`; write `" + text + "[" + has +
                      " -> " + needed + "]`" +
                      (has.size() < needed.size() ? " to give it an axis of its own" : ""));
  } else if (relatives.empty()) {
    d.labels.push_back({param.name.loc, "declared here"});
  }
}

void Elaborator::Lift(Application& call) {
  const FunctionDecl& decl = call.decl();
  const Frame& caller = call.caller;
  for (size_t i = 0; i < call.arguments.size(); ++i) {
    Value& value = call.arguments[i];
    if (!value.ok()) continue;
    for (Axis axis : ir::Minus(value.order, call.needs[i])) {
      call.frame.lifted = ir::Union(call.frame.lifted, {axis});
      const bool in_signature = ir::Contains(call.bound_global, axis);
      if (!in_signature && !call.function.mentions.count(axis.text())) continue;
      Diagnostic& d = Report(
          caller, DiagnosticKind::LiftedClash, call.argument(i).loc,
          "calling `" + call.name() + "`: `" + Show(caller, axis) + "` is lifted over in `" +
              decl.params[i].name.text + "` but " +
              (in_signature ? "bound by the signature in another argument" : "used by the body itself"));
      d.labels.push_back({decl.name.loc, "declared here"});
      d.notes.push_back(in_signature ? "rename it first, for example `[" + Show(caller, axis) + " -> " +
                                           Show(caller, axis) + "']`"
                                     : "write it in the signature, `" + decl.params[i].name.text + "[" +
                                           Show(caller, axis) + ", ...]`, or rename it first");
      call.failed = true;
      value = {};
      break;
    }
  }
}

void Elaborator::KeepApart(Application& call) const {
  for (size_t f = 0; f < call.actual.size(); ++f) {
    AxisList inside;
    for (Axis axis : call.actual[f]) {
      const Axis chosen = call.Clashes(axis) ? call.FreshCopy(axis) : axis;
      for (int p = 0; p <= call.function.twins; ++p) {
        if (chosen != axis) call.back[Primed(chosen, p)] = Primed(axis, p);
        call.taken.push_back(Primed(axis, p));
        if (chosen != axis) call.taken.push_back(Primed(chosen, p));
      }
      inside.push_back(chosen);
    }
    for (const Name& formal : call.decl().axes[f].names) call.frame.axes[formal.text] = inside;
  }
}

void Elaborator::BindParameters(Application& call) {
  const std::vector<ParamDecl>& params = call.decl().params;
  for (size_t i = 0; i < params.size(); ++i) {
    if (i >= call.arguments.size()) {
      call.frame.variables[params[i].name.text] = Eval(*params[i].default_value, call.frame);
    } else {
      call.frame.variables[params[i].name.text] = Inside(call, i);
    }
  }
}

Value Elaborator::Inside(const Application& call, size_t i) {
  const ParamDecl& param = call.decl().params[i];
  Value value = call.arguments[i];
  if (value.ok() && !call.back.empty()) {
    const auto inside = Resolve(call.frame, param.type.axes);
    std::vector<std::pair<Axis, Axis>> renames;
    AxisList order = value.order;
    for (Axis axis : *inside) {
      const auto copy = call.back.find(axis);
      if (copy == call.back.end()) continue;
      renames.emplace_back(copy->second, axis);
      std::replace(order.begin(), order.end(), copy->second, axis);
    }
    SetOrigin(call.caller, call.expr.loc);
    value = Moved(value, graph_->Rename(value.node, renames), order);
    for (const auto& [copy, actual] : call.back)
      std::replace(value.reads.begin(), value.reads.end(), actual, copy);
  }
  // An element of an axis other than a root reads that one.
  if (value.ok() && param.type.element && ElementOf(value))
    if (const AxisList of = Resolve(call.frame, param.type.element->text);
        of.size() == 1 && of[0] != of[0].root())
      value.reads = of;
  return value;
}

Value Elaborator::Outside(const Application& call, Value result) {
  const FunctionDecl& decl = call.decl();
  const Frame& frame = call.frame;
  const Frame& caller = call.caller;
  const Loc result_loc =
      !decl.body.empty() && decl.body.back().value ? decl.body.back().value->loc : decl.name.loc;
  if (result.kind != Value::Kind::Tensor) {
    Check(frame, result, Need::Any, result_loc, "the result of `" + call.name() + "`");
    return {};
  }
  const auto want = CheckResult(frame, decl.result, result, result_loc);
  if (!want) return {};
  // Lifted axes first, as the arguments have them, then the declared ones in their order; copies get their
  // names back.
  AxisList order = ir::Union(ir::Minus(ir::Intersection(frame.lifted, result.order), *want), *want);
  AxisList outside;
  std::vector<std::pair<Axis, Axis>> renames;
  for (Axis axis : order) {
    const auto copy = call.back.find(axis);
    const Axis to = copy == call.back.end() ? axis : copy->second;
    if (to != axis) renames.emplace_back(axis, to);
    if (ir::Contains(outside, to)) {
      Diagnostic& d = Report(caller, DiagnosticKind::AxisClash, call.expr.loc,
                             "the result of `" + call.name() + "` would have `" + Show(caller, to) +
                                 "` twice: as its own axis and lifted over");
      d.notes.push_back("rename the lifted one first, for example `[" + Show(caller, to) + " -> " +
                        Show(caller, to) + "']`");
      return {};
    }
    outside.push_back(to);
  }
  SetOrigin(frame, result_loc);
  result = Moved(result, graph_->Rename(result.node, renames), outside);
  for (const auto& [copy, actual] : call.back)
    std::replace(result.reads.begin(), result.reads.end(), copy, actual);
  return result;
}

}  // namespace heed::frontend
