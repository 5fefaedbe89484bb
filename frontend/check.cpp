// Names and scopes of every body.
#include "frontend/check.h"

#include <algorithm>

#include "frontend/calls.h"

namespace heed::frontend {
namespace {

constexpr size_t kLongestAlias = 255;

const std::set<std::string> kElementTypes = {"f32", "bf16", "int", "bool"};

struct Local {
  Loc loc;
  const PartBind* part = nullptr;  // null: a value
  const char* what = "variable";
  bool used = false;
  bool may_stay_unused = false;
};

/// One body: a function or an entry.
class BodyChecker {
 public:
  BodyChecker(const Declarations& declarations, Diagnostics& diagnostics, bool prelude, bool imported = false)
      : declarations_(declarations), diagnostics_(diagnostics), prelude_(prelude), imported_(imported) {}

  void CheckFunction(const Function& function) {
    const FunctionDecl& decl = *function.decl;
    module_ = decl.is_module;
    for (const AxisItem& item : decl.axes) {
      for (const Name& name : item.names) {
        if (item.group || Primes(name.text) > 0) {
          diagnostics_.Report(DiagnosticKind::BadAxisParameter, name.loc,
                              item.group
                                  ? "an axis parameter is a single name; a call may pass a group for it"
                                  : "axis parameter `" + name.text + "` may not end in '");
        }
        if (!formals_.insert(name.text).second)
          diagnostics_.Report(DiagnosticKind::DuplicateName, name.loc,
                              "axis parameter `" + name.text + "` is declared twice");
      }
    }
    Parameters(decl.params, "argument");
    if (decl.result.has_axes || decl.result.element) Type(decl.result);
    Body(decl.body, false);
    ReportUnused();
  }

  void CheckEntry(const EntryDecl& entry) {
    for (const PartBind* part : declarations_.parts()) {
      locals_[part->name.text] = {part->name.loc, part, "part", true, true};
      top_parts_.insert(part->name.text);
    }
    for (const ParamDecl& param : entry.params)
      if (param.default_value)
        diagnostics_.Report(DiagnosticKind::EntryDefault, param.name.loc,
                            "argument `" + param.name.text + "` of entry `" + entry.name.text +
                                "` has a default; whoever runs the entry gives all arguments");
    Parameters(entry.params, "argument");
    if (entry.result) Type(*entry.result);
    if (entry.from) CheckExpr(*entry.from);
    for (const ExprPtr& end : entry.until)
      if (end) CheckExpr(*end);
    if (entry.kind == EntryKind::Generate && !entry.variable.text.empty()) {
      Type(entry.type);
      Bind(entry.variable, "variable", nullptr, true);
    }
    if (entry.value) CheckExpr(*entry.value);
    if (entry.per) CheckExpr(*entry.per);
    for (const Option& option : entry.options)
      if (option.value) CheckExpr(*option.value);
    ReportUnused();
  }

  void CheckPart(const PartBind& bind) { Part(bind); }

  const std::set<std::string>& used_top_parts() const { return used_top_parts_; }

 private:
  bool IsFormal(const std::string& name) const { return formals_.count(BaseName(name)) != 0; }
  bool IsAxis(const std::string& name) const {
    return IsFormal(name) || (!prelude_ && declarations_.IsAxis(name));
  }
  bool IsFunction(const std::string& name) const {
    return FindBuiltin(name) != nullptr || declarations_.Find(name, prelude_) != nullptr;
  }
  std::vector<std::string> AxisNames() const {
    std::vector<std::string> names(formals_.begin(), formals_.end());
    if (!prelude_)
      for (const std::string& name : declarations_.AxisNames()) names.push_back(name);
    return names;
  }
  std::vector<std::string> ValueNames() const {
    std::vector<std::string> names = AxisNames();
    for (const auto& [name, local] : locals_) names.push_back(name);
    if (!prelude_)
      for (const auto& [name, value] : declarations_.consts()) names.push_back(name);
    return names;
  }

  /// Of a name that nothing declares: a library may leave it to those who import it.
  void MayDeclare(const std::string& declaration, Diagnostic& diagnostic) const {
    if (imported_)
      diagnostic.notes.push_back("the program that imports this may declare it: `" + declaration + "`");
  }
  void Axis(const Name& name) {
    if (name.text.empty() || IsAxis(name.text)) return;
    if (!prelude_ && declarations_.IsConst(name.text)) {
      diagnostics_
          .Report(DiagnosticKind::UnknownAxis, name.loc, "`" + name.text + "` is a constant, not an axis")
          .notes.push_back("an axis has a name of its own: `axis " + name.text + "s = " + name.text + "`");
      return;
    }
    std::string hint = DidYouMean(name.text, AxisNames());
    Diagnostic& d =
        diagnostics_.Report(DiagnosticKind::UnknownAxis, name.loc, "unknown axis `" + name.text + "`" + hint);
    MayDeclare("axis " + BaseName(name.text) + " = ...", d);
  }
  /// `distinct`: no axis twice.
  void Axes(const AxisItems& items, bool distinct) {
    std::map<std::string, Loc> seen;
    for (const AxisItem& item : items) {
      for (const Name& name : item.names) {
        Axis(name);
        if (!distinct || name.text.empty()) continue;
        const auto [first, fresh] = seen.try_emplace(name.text, name.loc);
        if (fresh) continue;
        Diagnostic& d =
            diagnostics_.Report(DiagnosticKind::DuplicateAxis, name.loc, "axis `" + name.text + "` twice");
        d.labels.push_back({first->second, "first here"});
        d.notes.push_back("the twin `" + name.text + "'` has the same size and another name");
      }
    }
  }
  void Type(const TypeExpr& type) {
    Axes(type.axes, true);
    if (!type.element || type.element->text.empty()) return;
    const std::string& name = type.element->text;
    if (kElementTypes.count(name) || IsAxis(name)) return;
    std::vector<std::string> names = AxisNames();
    names.insert(names.end(), kElementTypes.begin(), kElementTypes.end());
    diagnostics_.Report(
        DiagnosticKind::UnknownAxis, type.element->loc,
        "unknown type `" + name + "`: neither an axis nor f32, bf16, int or bool" + DidYouMean(name, names));
  }

  void Bind(const Name& name, const char* what, const PartBind* part, bool may_stay_unused) {
    if (name.text.empty()) return;
    if (IsAxis(name.text)) {
      const bool formal = IsFormal(name.text);
      Diagnostic& d = diagnostics_.Report(
          DiagnosticKind::ShadowsAxis, name.loc,
          std::string(what) + " `" + name.text + "` has the name of an axis" + (formal ? " parameter" : ""));
      if (!formal) d.labels.push_back({declarations_.axis_bind(BaseName(name.text)).name.loc, "the axis"});
      d.notes.push_back("an axis name stands for its positions everywhere; choose another name for the " +
                        std::string(what));
    }
    auto [known, fresh] = locals_.try_emplace(name.text, Local{name.loc, part, what, false, may_stay_unused});
    if (fresh) return;
    const bool rebinds = std::string_view(what) == "variable" && known->second.part == nullptr;
    if (!rebinds) {
      diagnostics_
          .Report(DiagnosticKind::DuplicateName, name.loc,
                  std::string(what) + " `" + name.text + "` has the name of the " + known->second.what +
                      (top_parts_.count(name.text) ? " at top level" : " above"))
          .labels.push_back({known->second.loc, "first declared here"});
    }
  }

  void Parameters(const std::vector<ParamDecl>& params, const char* what) {
    for (const ParamDecl& param : params) {
      Type(param.type);
      if (param.default_value) CheckExpr(*param.default_value);
      Bind(param.name, what, nullptr, false);
    }
  }

  void Part(const PartBind& bind) {
    Alias(bind.alias);
    Axes(bind.stack, true);
    Axes(bind.axes, false);
    if (bind.module.text.empty()) return;
    const Function* module = declarations_.Find(bind.module.text, prelude_);
    if (module == nullptr || !module->decl->is_module) {
      std::vector<std::string> names;
      for (const auto& function : declarations_.functions())
        if (function->decl->is_module) names.push_back(function->decl->name.text);
      std::string message = "unknown module `" + bind.module.text + "`";
      if (module != nullptr || FindBuiltin(bind.module.text))
        message =
            "`" + bind.module.text + "` is a function; only modules have parts, a function is simply called";
      diagnostics_.Report(DiagnosticKind::NotAModule, bind.module.loc,
                          message + (module ? "" : DidYouMean(bind.module.text, names)));
      return;
    }
    if (!bind.axes.empty()) AxisCount(bind.module.text, *module->decl, bind.axes.size(), bind.module.loc);
  }

  void AxisCount(const std::string& name, const FunctionDecl& decl, size_t given, Loc loc) {
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

  void Body(const std::vector<Stmt>& body, bool loop) {
    for (const Stmt& stmt : body) {
      switch (stmt.kind) {
        case StmtKind::Param:
          if (!module_ || loop) Misplaced(stmt, loop, "parameters");
          for (const ParamBind& bind : stmt.params) {
            Axes(bind.axes, true);
            if (bind.init_value && bind.init == '=') CheckExpr(*bind.init_value);
            if (bind.init_value && bind.init == '~') {
              // The distribution's own name is checked where it is evaluated.
              for (size_t i = bind.init_value->kind == ExprKind::Call ? 1 : 0;
                   i < bind.init_value->children.size(); ++i)
                CheckExpr(*bind.init_value->children[i]);
            }
            Alias(bind.alias);
            Bind(bind.name, "parameter", nullptr, false);
          }
          break;
        case StmtKind::Part:
          if (!module_ || loop) Misplaced(stmt, loop, "parts");
          for (const PartBind& bind : stmt.parts) {
            Part(bind);
            Bind(bind.name, "part", &bind, false);
          }
          break;
        case StmtKind::Let:
          if (stmt.value) CheckExpr(*stmt.value);
          if (stmt.announced) Axes(*stmt.announced, true);
          Bind(stmt.names[0], "variable", nullptr, false);
          break;
        case StmtKind::Tuple:
          if (stmt.value) CheckExpr(*stmt.value);
          for (size_t i = 0; i < stmt.names.size(); ++i) {
            for (size_t j = 0; j < i; ++j)
              if (stmt.names[i].text == stmt.names[j].text)
                diagnostics_.Report(DiagnosticKind::DuplicateName, stmt.names[i].loc,
                                    "`" + stmt.names[i].text + "` twice on the left");
            Bind(stmt.names[i], "variable", nullptr, true);
          }
          break;
        case StmtKind::For:
          Axis(stmt.axis);
          if (!stmt.names.empty()) Bind(stmt.names[0], "variable", nullptr, true);
          Body(stmt.body, true);
          break;
        case StmtKind::Result:
          if (stmt.value) CheckExpr(*stmt.value);
          break;
      }
    }
  }

  /// Parts of a path stand between dots.
  void Alias(const std::optional<Name>& alias) {
    if (!alias) return;
    const std::string& text = alias->text;
    const bool control =
        std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; });
    const bool gap =
        text.empty() || text.front() == '.' || text.back() == '.' || text.find("..") != text.npos;
    if (!control && !gap && text.size() <= kLongestAlias) return;
    diagnostics_
        .Report(DiagnosticKind::BadAlias, alias->loc,
                text.empty() ? "a name in a file cannot be empty"
                : gap        ? "a name in a file has something before, between and after its dots"
                : control    ? "a name in a file cannot have control characters"
                             : "a name in a file has at most " + std::to_string(kLongestAlias) + " bytes")
        .notes.push_back("as in `as \"wte.weight\"`; without `as` the name in the program is taken");
  }

  void Misplaced(const Stmt& stmt, bool loop, const char* what) {
    if (loop && module_) {
      diagnostics_
          .Report(DiagnosticKind::DeclarationInLoop, stmt.loc,
                  std::string(what) + " cannot be declared in a loop")
          .notes.push_back("declare a stack before it, `part h[layer] = ...`, and use `h[l](x)` in the loop");
      return;
    }
    diagnostics_.Report(DiagnosticKind::ParamOutsideModule, stmt.loc, "a def has no " + std::string(what))
        .notes.push_back("write `module` instead of `def` and make an instance with `part`");
  }

  Local* FindLocal(const std::string& name) {
    const auto found = locals_.find(name);
    return found == locals_.end() ? nullptr : &found->second;
  }
  void Use(const std::string& name, Local& local) {
    local.used = true;
    if (top_parts_.count(name)) used_top_parts_.insert(name);
  }

  void CheckExpr(const Expr& expr) {
    switch (expr.kind) {
      case ExprKind::Number:
      case ExprKind::Bool:
        return;
      case ExprKind::Size:
        Axis({expr.name, expr.loc});
        return;
      case ExprKind::Name:
        Value(expr);
        return;
      case ExprKind::Unary:
      case ExprKind::Binary:
        break;
      case ExprKind::Contract:
        Axes(expr.items, true);
        break;
      case ExprKind::Rename:
        Axes(expr.items, true);
        Axes(expr.targets, true);
        break;
      case ExprKind::Index:
        if (const Expr& base = *expr.children[0]; base.kind == ExprKind::Name) {
          Local* local = FindLocal(base.name);
          if (local && local->part) {
            Use(base.name, *local);
            diagnostics_.Report(DiagnosticKind::PartAsValue, expr.loc,
                                "`" + base.name + "` is a part: it is called, `" + base.name + "[...](...)`");
            for (size_t i = 1; i < expr.children.size(); ++i) CheckExpr(*expr.children[i]);
            return;
          }
          if (local == nullptr && IsFunction(base.name)) {
            diagnostics_
                .Report(
                    DiagnosticKind::AxesWithoutCall, expr.op_loc,
                    "`" + base.name + "` is a function: its arguments stand in round brackets after the axes")
                .notes.push_back("as in `softmax[pos | mask](x)`");
            return;
          }
        }
        break;
      case ExprKind::Call:
        Call(expr);
        return;
    }
    for (const ExprPtr& child : expr.children) CheckExpr(*child);
  }

  void Value(const Expr& expr) {
    const std::string& name = expr.name;
    if (name.empty()) return;
    if (Local* local = FindLocal(name)) {
      Use(name, *local);
      if (local->part)
        diagnostics_.Report(DiagnosticKind::PartAsValue, expr.loc,
                            "`" + name + "` is a part, not a value: call it, `" + name + "(...)`");
      return;
    }
    if (IsAxis(name) || (!prelude_ && declarations_.IsConst(name))) return;
    const char* kind = nullptr;
    if (const Function* function = declarations_.Find(name, prelude_))
      kind = function->decl->is_module ? "module" : "function";
    if (FindBuiltin(name)) kind = "function";
    if (!prelude_ && declarations_.FindPart(name)) {
      diagnostics_.Report(DiagnosticKind::PartAsValue, expr.loc,
                          "`" + name + "` is a top-level part; only entries can use it");
      return;
    }
    Diagnostic& d = diagnostics_.Report(
        DiagnosticKind::UnknownName, expr.loc,
        kind ? "`" + name + "` is a " + kind + ", not a value: call it, `" + name + "(...)`"
             : "unknown name `" + name + "`" + DidYouMean(name, ValueNames()));
    if (kind == nullptr) MayDeclare("const " + name + " = ...", d);
  }

  void Arguments(const Expr& call) {
    for (size_t i = 1; i < call.children.size(); ++i) CheckExpr(*call.children[i]);
    if (call.predicate) CheckExpr(*call.predicate);
  }

  void Call(const Expr& call) {
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
      NotCallable(call, name);
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
      if (local->part->stack.empty()) {
        PartCall(call, name, *local->part, 0, &call.items, given);
        return;
      }
      for (const AxisItem& item : call.items) {
        for (const Name& index : item.names) {
          Local* variable = FindLocal(index.text);
          if (variable && !variable->part) {
            Use(index.text, *variable);
          } else if (!variable && !declarations_.IsConst(index.text)) {
            diagnostics_.Report(
                IsAxis(index.text) ? DiagnosticKind::LayerIndex : DiagnosticKind::UnknownName, index.loc,
                IsAxis(index.text)
                    ? "`" + index.text + "` is the axis; one layer is meant: `for l in " + index.text +
                          " { ... " + name + "[l](...) }`"
                    : "unknown name `" + index.text + "`" + DidYouMean(index.text, ValueNames()));
          }
        }
      }
      PartCall(call, name, *local->part, call.items.size(), nullptr, given);
      return;
    }
    if (const Builtin* builtin = FindBuiltin(name)) {
      Axes(call.items, true);
      BuiltinCall(call, *builtin, given);
      return;
    }
    if (const Function* function = declarations_.Find(name, prelude_)) {
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
      ArgumentCount(call, name, *function->decl, given);
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

  void NoPredicate(const Expr& call, const std::string& name) {
    diagnostics_
        .Report(DiagnosticKind::UnexpectedPredicate, call.predicate->loc,
                "`" + name + "` takes no predicate; only reductions do")
        .notes.push_back("a mask is an ordinary bool value and can be passed as an argument");
  }

  void NotCallable(const Expr& call, const std::string& name) {
    const Loc loc = call.children[0]->loc;
    Local* local = FindLocal(name);
    std::string message = "unknown function `" + name + "`";
    if (local) {
      Use(name, *local);
      message = "`" + name + "` is a value and cannot be called";
    } else if (name == "normal" || name == "uniform") {
      message = "`" + name + "` is a distribution: it stands after ~ in a `param` line";
    } else if (!prelude_ && declarations_.FindPart(name)) {
      message = "`" + name + "` is a top-level part; only entries can call it";
    } else {
      std::vector<std::string> names = declarations_.FunctionNames(prelude_);
      for (const auto& [known, other] : locals_)
        if (other.part) names.push_back(known);
      message += DidYouMean(name, names);
      MayDeclare("def " + name + "(...) -> ...",
                 diagnostics_.Report(DiagnosticKind::UnknownFunction, loc, message));
      return;
    }
    diagnostics_.Report(DiagnosticKind::UnknownFunction, loc, message);
  }

  /// `axes`: in brackets of their own, for a part that leaves its axes open; null: none can be there.
  void PartCall(const Expr& call, const std::string& name, const PartBind& bind, size_t indices,
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

  void ArgumentCount(const Expr& call, const std::string& name, const FunctionDecl& decl, size_t given) {
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

  void BuiltinCall(const Expr& call, const Builtin& builtin, size_t given) {
    const std::string name(builtin.name);
    const Loc loc = call.children[0]->loc;
    const int axes = static_cast<int>(call.items.size());
    int least = builtin.min_arguments, most = builtin.max_arguments;
    if (name == "max") least = most = axes > 0 ? 1 : 2;
    if (axes < builtin.min_axes || axes > builtin.max_axes) {
      Diagnostic& d = diagnostics_.Report(
          DiagnosticKind::WrongAxisCount, loc,
          builtin.max_axes == 0 ? "`" + name + "` acts on each element and takes no axes"
          : axes == 0           ? "`" + name + "` acts along an axis: write `" + name + "[axis](...)`"
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
            (least == 1 ? " argument" : " arguments") + ", given " + std::to_string(given));
    if (name == "max" && count == 1) d.notes.push_back("the largest along an axis is max[axis](x)");
  }

  void ReportUnused() {
    if (prelude_) return;
    for (const auto& [name, local] : locals_) {
      if (local.used || local.may_stay_unused || IsAxis(name)) continue;
      diagnostics_.Report(DiagnosticKind::UnusedName, local.loc,
                          std::string(local.what) + " `" + name + "` is never used");
    }
  }

  const Declarations& declarations_;
  Diagnostics& diagnostics_;
  bool prelude_;
  bool imported_;
  bool module_ = false;
  std::set<std::string> formals_;
  std::map<std::string, Local> locals_;
  std::set<std::string> top_parts_, used_top_parts_;
};

}  // namespace

void CheckNames(const Declarations& declarations, Diagnostics& diagnostics) {
  MarkIdle(declarations);
  for (const auto& function : declarations.functions()) {
    if (function->idle) continue;
    BodyChecker(declarations, diagnostics, function->prelude, function->imported).CheckFunction(*function);
    CollectMentions(declarations, *function);
  }
  CheckRecursion(declarations, diagnostics);
  std::set<std::string> used;
  for (const EntryDecl* entry : declarations.entries()) {
    BodyChecker checker(declarations, diagnostics, false);
    checker.CheckEntry(*entry);
    used.insert(checker.used_top_parts().begin(), checker.used_top_parts().end());
  }
  for (const PartBind* part : declarations.parts()) {
    BodyChecker(declarations, diagnostics, false).CheckPart(*part);
    if (!used.count(part->name.text) && !declarations.entries().empty())
      diagnostics.Report(DiagnosticKind::UnusedName, part->name.loc,
                         "part `" + part->name.text + "` is never used");
  }
}

}  // namespace heed::frontend
