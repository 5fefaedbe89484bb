// Every function is followed into the functions it calls and the modules it has parts of, called or not.
#include "frontend/calls.h"

#include <algorithm>

namespace heed::frontend {
namespace {

/// The part of the top level that a call in a function means; null: none.
const PartBind* RootPartOf(const Declarations& declarations, const Expr& call) {
  const Expr& callee = *call.children[0];
  const bool indexed = callee.kind == ExprKind::Index;
  const Expr& base = indexed ? *callee.children[0] : callee;
  if (base.kind != ExprKind::Name) return nullptr;
  if (!indexed && (declarations.BuiltinCalled(base.name, false) || declarations.Find(base.name, false)))
    return nullptr;
  return declarations.FindPart(base.name);
}

/// Functions that a text of the user, or of the prelude, calls or has parts of.
class Callees {
 public:
  Callees(const Declarations& declarations, bool prelude) : declarations_(declarations), prelude_(prelude) {}

  void Body(const FunctionDecl& decl) {
    sees_parts_ = !decl.is_module && !prelude_;
    Expressions(decl.body);
    for (const ParamDecl& param : decl.params) Expression(param.default_value);
    Parts(decl.body);
  }
  void Entry(const EntryDecl& entry) {
    Expressions(entry.body);
    for (const ExprPtr* expr : {&entry.value, &entry.per, &entry.from}) Expression(*expr);
    for (const ExprPtr& end : entry.until) Expression(end);
    for (const Option& option : entry.options) Expression(option.value);
  }
  void Add(const std::string& name) {
    Function* callee = declarations_.Find(name, prelude_);
    if (callee && std::find(found_.begin(), found_.end(), callee) == found_.end()) found_.push_back(callee);
  }
  const std::vector<Function*>& found() const { return found_; }

 private:
  void Visit(const Expr& expr) {
    if (expr.kind != ExprKind::Call) return;
    if (expr.children[0]->kind == ExprKind::Name) Add(expr.children[0]->name);
    if (const PartBind* part = sees_parts_ ? RootPartOf(declarations_, expr) : nullptr)
      Add(part->module.text);
  }
  void Expression(const ExprPtr& expr) {
    if (expr) ForEachExpr(*expr, [this](const Expr& each) { Visit(each); });
  }
  void Expressions(const std::vector<Stmt>& body) {
    ForEachExpr(body, [this](const Expr& each) { Visit(each); });
  }
  void Parts(const std::vector<Stmt>& body) {
    for (const Stmt& stmt : body) {
      for (const PartBind& bind : stmt.parts) Add(bind.module.text);
      Parts(stmt.body);
    }
  }

  const Declarations& declarations_;
  bool prelude_;
  bool sees_parts_ = false;
  std::vector<Function*> found_;
};

std::vector<Function*> CalleesOf(const Declarations& declarations, const Function& function) {
  Callees callees(declarations, function.prelude);
  callees.Body(*function.decl);
  return callees.found();
}

}  // namespace

void MarkIdle(const Declarations& declarations) {
  Callees roots(declarations, false);
  for (const EntryDecl* entry : declarations.entries()) roots.Entry(*entry);
  for (const PartBind* part : declarations.parts()) roots.Add(part->module.text);
  std::vector<Function*> open = roots.found();
  for (const auto& function : declarations.functions()) {
    function->idle = function->imported;
    if (!function->imported) open.push_back(function.get());
  }
  std::set<Function*> seen;
  while (!open.empty()) {
    Function* function = open.back();
    open.pop_back();
    if (!seen.insert(function).second) continue;
    function->idle = false;
    for (Function* callee : CalleesOf(declarations, *function)) open.push_back(callee);
  }
}

void CheckRecursion(const Declarations& declarations, Diagnostics& diagnostics) {
  // Depth-first without recursion: a function met again on the current path closes a cycle.
  std::map<Function*, int> state;  // 1: on the path, 2: done
  std::map<Function*, std::vector<Function*>> callees;
  for (const auto& function : declarations.functions())
    callees[function.get()] = CalleesOf(declarations, *function);
  for (const auto& start : declarations.functions()) {
    if (start->idle || state[start.get()] != 0) continue;
    std::vector<std::pair<Function*, size_t>> path = {{start.get(), 0}};
    state[start.get()] = 1;
    while (!path.empty()) {
      auto& [function, next] = path.back();
      const std::vector<Function*>& all = callees[function];
      if (next == all.size()) {
        state[function] = 2;
        path.pop_back();
        continue;
      }
      Function* callee = all[next++];
      if (state[callee] == 0) {
        state[callee] = 1;
        path.emplace_back(callee, 0);
      } else if (state[callee] == 1) {
        std::string cycle;
        bool inside = false;
        for (const auto& [step, unused] : path) {
          inside = inside || step == callee;
          if (!inside) continue;
          step->recursive = true;
          cycle += step->decl->name.text + " -> ";
        }
        diagnostics
            .Report(DiagnosticKind::Recursion, callee->decl->name.loc,
                    "`" + callee->decl->name.text + "` reaches itself: " + cycle + callee->decl->name.text)
            .notes.push_back(
                "every call is expanded at compile time; repeat layers with `for l in axis { ... }`");
      }
    }
  }
}

void CollectMentions(const Declarations& declarations, Function& function) {
  std::set<std::string> formals;
  const auto add = [&](const std::string& name, const std::set<std::string>& local) {
    if (&local == &formals && local.count(BaseName(name)))
      function.twins = std::max(function.twins, Primes(name));
    if (!function.prelude && !local.count(BaseName(name)) && declarations.IsAxis(name))
      function.mentions.insert(name);
  };
  const auto items = [&](const AxisItems& list, const std::set<std::string>& local) {
    for (const AxisItem& item : list)
      for (const Name& name : item.names) add(name.text, local);
  };
  for (const AxisItem& item : function.decl->axes)
    for (const Name& name : item.names) formals.insert(name.text);
  const auto result_of = [&](const std::string& name) {
    const Function* callee = declarations.Find(name, false);
    if (!callee || callee->prelude) return;
    std::set<std::string> local;
    for (const AxisItem& item : callee->decl->axes)
      for (const Name& formal : item.names) local.insert(formal.text);
    items(callee->decl->result.axes, local);
  };
  const std::function<void(const Expr&)> visit = [&](const Expr& expr) {
    if (expr.kind == ExprKind::Name) add(expr.name, formals);
    items(expr.items, formals);
    items(expr.targets, formals);
    if (expr.kind != ExprKind::Call) return;
    if (expr.children[0]->kind == ExprKind::Name) result_of(expr.children[0]->name);
    if (function.prelude || function.decl->is_module) return;
    if (const PartBind* part = RootPartOf(declarations, expr)) {
      items(part->axes, {});
      result_of(part->module.text);
    }
  };
  const std::function<void(const std::vector<Stmt>&)> statements = [&](const std::vector<Stmt>& body) {
    for (const Stmt& stmt : body) {
      for (const ParamBind& bind : stmt.params) items(bind.axes, formals);
      for (const PartBind& bind : stmt.parts) {
        items(bind.axes, formals);
        result_of(bind.module.text);
      }
      if (stmt.announced) items(*stmt.announced, formals);
      statements(stmt.body);
    }
  };
  for (const ParamDecl& param : function.decl->params) {
    items(param.type.axes, formals);
    if (param.default_value) ForEachExpr(*param.default_value, visit);
  }
  items(function.decl->result.axes, formals);
  statements(function.decl->body);
  ForEachExpr(function.decl->body, visit);
}

void ForEachExpr(const Expr& expr, const std::function<void(const Expr&)>& visit) {
  visit(expr);
  if (expr.predicate) ForEachExpr(*expr.predicate, visit);
  for (const ExprPtr& child : expr.children)
    if (child) ForEachExpr(*child, visit);
}

void ForEachExpr(const std::vector<Stmt>& body, const std::function<void(const Expr&)>& visit) {
  for (const Stmt& stmt : body) {
    if (stmt.value) ForEachExpr(*stmt.value, visit);
    ForEachExpr(stmt.body, visit);
  }
}

}  // namespace heed::frontend
