// Names and scopes of every body: declarations, statements and values.
#include "frontend/check.h"

#include <algorithm>

#include "frontend/check_body.h"
#include "ir/batch_axis.h"

namespace heed::frontend {
namespace {

constexpr size_t kLongestAlias = 255;

const std::set<std::string> kElementTypes = {"f32", "bf16", "int", "bool"};

}  // namespace

void BodyChecker::CheckFunction(const Function& function) {
  const FunctionDecl& decl = *function.decl;
  module_ = decl.is_module;
  for (const AxisItem& item : decl.axes) {
    for (const Name& name : item.names) {
      if (item.group || Primes(name.text) > 0) {
        diagnostics_.Report(DiagnosticKind::BadAxisParameter, name.loc,
                            item.group ? "an axis parameter is a single name; a call may pass a group for it"
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

void BodyChecker::CheckEntry(const EntryDecl& entry) {
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
  if (entry.from && entry.from->kind == ExprKind::Name)
    if (Local* prompt = FindLocal(entry.from->name)) prompt->begins = entry.variable.text;
  for (const ExprPtr& end : entry.until)
    if (end) CheckExpr(*end);
  entry_ = true;
  Body(entry.body, false);
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

bool BodyChecker::IsAxis(const std::string& name) const {
  return IsFormal(name) || (!prelude_ && declarations_.IsAxis(name));
}

bool BodyChecker::IsBatch(const std::string& name) const {
  return !prelude_ && BaseName(name) == ir::BatchAxis().text();
}

bool BodyChecker::IsFunction(const std::string& name) const {
  return FindBuiltin(name) != nullptr || declarations_.Find(name, prelude_) != nullptr;
}

std::vector<std::string> BodyChecker::AxisNames() const {
  std::vector<std::string> names(formals_.begin(), formals_.end());
  if (!prelude_)
    for (const std::string& name : declarations_.AxisNames()) names.push_back(name);
  return names;
}

std::vector<std::string> BodyChecker::ValueNames() const {
  std::vector<std::string> names = AxisNames();
  for (const auto& [name, local] : locals_) names.push_back(name);
  if (!prelude_)
    for (const auto& [name, value] : declarations_.consts()) names.push_back(name);
  return names;
}

void BodyChecker::MayDeclare(const std::string& declaration, Diagnostic& diagnostic) const {
  if (imported_)
    diagnostic.notes.push_back("the program that imports this may declare it: `" + declaration + "`");
}

void BodyChecker::Axis(const Name& name) {
  if (name.text.empty() || IsAxis(name.text) || IsBatch(name.text)) return;
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

void BodyChecker::Axes(const AxisItems& items, bool distinct) {
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

void BodyChecker::Type(const TypeExpr& type) {
  Axes(type.axes, true);
  for (const AxisItem& item : type.axes)
    for (const Name& name : item.names)
      if (IsBatch(name.text) && !IsAxis(name.text))
        diagnostics_
            .Report(DiagnosticKind::ReservedName, name.loc, "nothing is declared over `" + name.text + "`")
            .notes.push_back("functions take such axes from their arguments, or as axis arguments");
  if (!type.element || type.element->text.empty()) return;
  const std::string& name = type.element->text;
  if (kElementTypes.count(name) || IsAxis(name)) return;
  std::vector<std::string> names = AxisNames();
  names.insert(names.end(), kElementTypes.begin(), kElementTypes.end());
  diagnostics_.Report(
      DiagnosticKind::UnknownAxis, type.element->loc,
      "unknown type `" + name + "`: neither an axis nor f32, bf16, int or bool" + DidYouMean(name, names));
}

void BodyChecker::Bind(const Name& name, const char* what, const PartBind* part, bool may_stay_unused) {
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

void BodyChecker::Parameters(const std::vector<ParamDecl>& params, const char* what) {
  for (const ParamDecl& param : params) {
    Type(param.type);
    if (param.default_value) CheckExpr(*param.default_value);
    Bind(param.name, what, nullptr, false);
  }
}

void BodyChecker::Part(const PartBind& bind) {
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

void BodyChecker::Body(const std::vector<Stmt>& body, bool loop) {
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

void BodyChecker::Alias(const std::optional<Name>& alias) {
  if (!alias) return;
  const std::string& text = alias->text;
  const bool control =
      std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 0x7F; });
  const bool gap = text.empty() || text.front() == '.' || text.back() == '.' || text.find("..") != text.npos;
  if (!control && !gap && text.size() <= kLongestAlias) return;
  diagnostics_
      .Report(DiagnosticKind::BadAlias, alias->loc,
              text.empty() ? "a name in a file cannot be empty"
              : gap        ? "a name in a file has something before, between and after its dots"
              : control    ? "a name in a file cannot have control characters"
                           : "a name in a file has at most " + std::to_string(kLongestAlias) + " bytes")
      .notes.push_back("as in `as \"wte.weight\"`; without `as` the name in the program is taken");
}

void BodyChecker::Misplaced(const Stmt& stmt, bool loop, const char* what) {
  if (loop && module_) {
    diagnostics_
        .Report(DiagnosticKind::DeclarationInLoop, stmt.loc,
                std::string(what) + " cannot be declared in a loop")
        .notes.push_back("declare a stack before it, `part h[layer] = ...`, and use `h[l](x)` in the loop");
    return;
  }
  diagnostics_
      .Report(DiagnosticKind::ParamOutsideModule, stmt.loc,
              (entry_ ? "an entry has no " : "a def has no ") + std::string(what) + " of its own")
      .notes.push_back(entry_ ? "declare them in a module, and its instance before the entry: `part p = ...`"
                              : "write `module` instead of `def` and make an instance with `part`");
}

Local* BodyChecker::FindLocal(const std::string& name) {
  const auto found = locals_.find(name);
  return found == locals_.end() ? nullptr : &found->second;
}

void BodyChecker::Use(const std::string& name, Local& local) {
  local.used = true;
  if (top_parts_.count(name)) used_top_parts_.insert(name);
}

void BodyChecker::CheckExpr(const Expr& expr) {
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

void BodyChecker::Value(const Expr& expr) {
  const std::string& name = expr.name;
  if (name.empty()) return;
  if (Local* local = FindLocal(name)) {
    Use(name, *local);
    if (!local->begins.empty())
      diagnostics_
          .Report(DiagnosticKind::PromptAsValue, expr.loc,
                  "`" + name + "` is the prompt, which is no value of its own while a text grows")
          .notes.push_back("`" + local->begins + "` begins with it: use `" + local->begins + "`");
    if (local->part)
      diagnostics_.Report(DiagnosticKind::PartAsValue, expr.loc,
                          "`" + name + "` is a part, not a value: call it, `" + name + "(...)`");
    return;
  }
  if (IsAxis(name) || IsBatch(name) || (!prelude_ && declarations_.IsConst(name))) return;
  const char* kind = nullptr;
  if (const Function* function = declarations_.Find(name, prelude_))
    kind = function->decl->is_module ? "module" : "function";
  if (FindBuiltin(name)) kind = "function";
  if (!prelude_ && declarations_.FindPart(name)) {
    diagnostics_.Report(DiagnosticKind::PartAsValue, expr.loc,
                        "`" + name + "` is a part, not a value: call it, `" + name + "(...)`");
    return;
  }
  Diagnostic& d =
      diagnostics_.Report(DiagnosticKind::UnknownName, expr.loc,
                          kind ? "`" + name + "` is a " + kind + ", not a value: call it, `" + name + "(...)`"
                               : "unknown name `" + name + "`" + DidYouMean(name, ValueNames()));
  if (kind == nullptr) MayDeclare("const " + name + " = ...", d);
}

void BodyChecker::ReportUnused() {
  if (prelude_) return;
  for (const auto& [name, local] : locals_) {
    if (local.used || local.may_stay_unused || IsAxis(name)) continue;
    diagnostics_.Report(DiagnosticKind::UnusedName, local.loc,
                        std::string(local.what) + " `" + name + "` is never used");
  }
}

void CheckNames(const Declarations& declarations, Diagnostics& diagnostics) {
  MarkIdle(declarations);
  std::set<std::string> used;  // parts of the top level
  for (const auto& function : declarations.functions()) {
    if (function->idle) continue;
    BodyChecker checker(declarations, diagnostics, function->prelude, function->imported);
    checker.CheckFunction(*function);
    used.insert(checker.used_top_parts().begin(), checker.used_top_parts().end());
    CollectMentions(declarations, *function);
  }
  CheckRecursion(declarations, diagnostics);
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
