// The checker of one body, a function's or an entry's: its scope, and what is wrong with the names in it.
// Private to check.cpp (declarations, statements, values) and check_calls.cpp (calls).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "frontend/builtins.h"
#include "frontend/calls.h"
#include "frontend/names.h"

namespace heed::frontend {

struct Local {
  Loc loc;
  const PartBind* part = nullptr;  // null: a value
  const char* what = "variable";
  bool used = false;
  bool may_stay_unused = false;
  std::string begins = {};  // of a prompt: the generated text that begins with it
};

/// One body: a function or an entry.
class BodyChecker {
 public:
  BodyChecker(const Declarations& declarations, Diagnostics& diagnostics, bool prelude, bool imported = false)
      : declarations_(declarations), diagnostics_(diagnostics), prelude_(prelude), imported_(imported) {}

  void CheckFunction(const Function& function);

  void CheckEntry(const EntryDecl& entry);

  void CheckPart(const PartBind& bind) { Part(bind); }

  const std::set<std::string>& used_top_parts() const { return used_top_parts_; }

 private:
  bool IsFormal(const std::string& name) const { return formals_.count(BaseName(name)) != 0; }
  bool IsAxis(const std::string& name) const;
  /// The hidden axis of examples, or a twin of it.
  bool IsBatch(const std::string& name) const;
  bool IsFunction(const std::string& name) const;
  std::vector<std::string> AxisNames() const;
  std::vector<std::string> ValueNames() const;

  /// Of a name that nothing declares: a library may leave it to those who import it.
  void MayDeclare(const std::string& declaration, Diagnostic& diagnostic) const;
  void Axis(const Name& name);
  /// `distinct`: no axis twice.
  void Axes(const AxisItems& items, bool distinct);
  void Type(const TypeExpr& type);

  void Bind(const Name& name, const char* what, const PartBind* part, bool may_stay_unused);

  void Parameters(const std::vector<ParamDecl>& params, const char* what);

  void Part(const PartBind& bind);

  void AxisCount(const std::string& name, const FunctionDecl& decl, size_t given, Loc loc);

  void Body(const std::vector<Stmt>& body, bool loop);

  /// Parts of a path stand between dots.
  void Alias(const std::optional<Name>& alias);

  void Misplaced(const Stmt& stmt, bool loop, const char* what);

  Local* FindLocal(const std::string& name);
  void Use(const std::string& name, Local& local);

  void CheckExpr(const Expr& expr);

  void Value(const Expr& expr);

  void Arguments(const Expr& call);

  void Call(const Expr& call);

  void CallOfPart(const Expr& call, const std::string& name, const PartBind& bind, size_t given);
  /// What a function finds at the top level if nothing else has the name; modules have parts of their own.
  const PartBind* RootPart(const std::string& name);
  /// Of something in brackets: a part of a stack, `layer[l](x)`.
  void IndexedCall(const Expr& call);
  void JoinCall(const Expr& call);
  /// Variables that choose a layer, `net[l](x)`, or the axis of all.
  void LayerIndices(const Expr& call);
  void FunctionCall(const Expr& call, const Function* function);

  void NoPredicate(const Expr& call, const std::string& name);

  void NotCallable(const Expr& call, const std::string& name);

  /// `axes`: in brackets of their own, for a part that leaves its axes open; null: none can be there.
  void PartCall(const Expr& call, const std::string& name, const PartBind& bind, size_t indices,
                const AxisItems* axes, size_t given);

  void ArgumentCount(const Expr& call, const std::string& name, const FunctionDecl& decl, size_t given);

  void BuiltinCall(const Expr& call, const Builtin& builtin, size_t given);

  void ReportUnused();

  const Declarations& declarations_;
  Diagnostics& diagnostics_;
  bool prelude_;
  bool imported_;
  bool module_ = false;
  bool entry_ = false;
  std::set<std::string> formals_;
  std::map<std::string, Local> locals_;
  std::set<std::string> top_parts_, used_top_parts_;
};

}  // namespace heed::frontend
