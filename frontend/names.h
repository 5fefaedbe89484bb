// The names a program declares: its axes with their sizes, constants, functions, parts and entries, and the
// evaluation of size expressions.
//
// The prelude contributes, the user's file, and the files that imports. Code of the prelude sees the
// prelude's functions and nothing of the user's; the user's functions hide the prelude's of the same name.
// Axes, constants, functions and top-level parts share one name space, whichever file declares them; entries
// have their own. A file's axes and constants stand for those of the files it imports; otherwise a name is
// declared once, or in several files by the same text. Parts and entries of imported files stay behind. What
// this file leaves alone: which files there are (imports.h), names inside bodies (check.h) and everything
// that needs a graph (elaborate.h).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/ast.h"
#include "frontend/diagnostics.h"
#include "frontend/imports.h"
#include "frontend/program.h"

namespace heed::frontend {

/// `seq` of `seq''`.
std::string BaseName(const std::string& name);
/// How many primes `name` ends in.
int Primes(const std::string& name);
/// The candidate that differs least from `name`, or "" if all differ too much to be meant.
std::string Nearest(const std::string& name, const std::vector<std::string>& candidates);
/// " (did you mean `x`?)" or "".
std::string DidYouMean(const std::string& name, const std::vector<std::string>& candidates);
/// `3`, `0.5`: without trailing zeros.
std::string NumberText(double value);

/// A compile-time number; whole ones stay whole under + - * %.
struct Number {
  double value = 0;
  bool whole = false;
};

struct Function {
  const FunctionDecl* decl = nullptr;
  bool prelude = false;
  bool imported = false;
  bool idle = false;               ///< imported, and nothing uses it: not checked (filled by check)
  bool recursive = false;          ///< reaches itself: never entered
  std::set<std::string> mentions;  ///< global axes that can occur in its body (filled by check)
  int twins = 0;                   ///< most primes that the body puts on an axis parameter
};

/// What a size expression may refer to: each returns nothing after reporting why not.
struct NumberScope {
  std::function<std::optional<Number>(const std::string& name, Loc loc)> size;
  std::function<std::optional<Number>(const std::string& name, Loc loc)> value;
};
/// Evaluates numbers, sizes, names, arithmetic and the simple functions (sqrt, exp, log, floor, abs, min,
/// max).
std::optional<Number> EvaluateNumber(const Expr& expr, const NumberScope& scope, Diagnostics& diagnostics);

struct Builtin;

class Declarations {
 public:
  /// Collects and evaluates; reports duplicates, bad sizes, unknown overrides. `files`: the program's own,
  /// then the imported ones, each after all that import it.
  Declarations(const SyntaxTree& prelude, const std::vector<ProgramFile>& files, const Overrides& overrides,
               Diagnostics& diagnostics);

  bool sizes_known() const { return sizes_known_; }
  int64_t most_steps() const { return overrides_.most_steps; }
  const std::shared_ptr<ir::AxisTable>& axes() const { return axes_; }
  bool IsAxis(const std::string& name) const { return axis_binds_.count(BaseName(name)) != 0; }
  const AxisBind& axis_bind(const std::string& base) const { return *axis_binds_.at(base); }
  /// Which element `label(yes)` is, if `label` is an enumerated axis and `yes` one of its own names.
  std::optional<int64_t> NamedElement(const Expr& call) const;
  const std::map<std::string, Number>& consts() const { return consts_; }
  bool IsConst(const std::string& name) const { return const_binds_.count(name) != 0; }
  /// As seen from the user's file or, if `from_prelude`, from the prelude; null if there is none.
  Function* Find(const std::string& name, bool from_prelude) const;
  const std::vector<std::unique_ptr<Function>>& functions() const { return functions_; }
  const std::vector<const PartBind*>& parts() const { return parts_; }
  const PartBind* FindPart(const std::string& name) const;
  /// The built-in function that a call of this name means; null: none, or something of the program goes
  /// first.
  const Builtin* BuiltinCalled(const std::string& name, bool prelude) const;
  const std::vector<const EntryDecl*>& entries() const { return entries_; }
  std::vector<std::string> AxisNames() const;
  std::vector<std::string> FunctionNames(bool from_prelude) const;

 private:
  void CollectPrelude(const SyntaxTree& prelude);
  void Collect(const ProgramFile& file, bool imported);
  void Collect(const AxisBind& bind);
  void Collect(const FunctionDecl& decl, bool prelude, bool imported);
  void Collect(const EntryDecl& entry);
  /// False if the name is taken: what it names is not the program's. `value`: of an axis or a constant, what
  /// must be equal in two files.
  bool Declare(const Name& name, std::string_view what, const AxisBind* axis = nullptr,
               const ConstBind* constant = nullptr);
  void Clash(const Name& name, std::string_view what);
  void CheckOverrides();
  std::optional<Number> SizeOf(const std::string& name, Loc loc);
  std::optional<Number> ValueOf(const std::string& name, Loc loc);
  std::optional<Number> Evaluate(const std::string& name, Loc loc);

  enum class State { None, Running, Done, Failed };
  const Overrides& overrides_;
  Diagnostics& diagnostics_;
  bool sizes_known_ = true;
  int depth_ = 0;
  std::shared_ptr<ir::AxisTable> axes_ = std::make_shared<ir::AxisTable>();
  std::map<std::string, const AxisBind*> axis_binds_;
  std::map<std::string, const ConstBind*> const_binds_;
  std::map<std::string, State> states_;
  std::map<std::string, Number> values_;
  std::map<std::string, Number> consts_;
  std::vector<std::unique_ptr<Function>> functions_;
  std::map<std::string, Function*> prelude_functions_, user_functions_;
  std::vector<const PartBind*> parts_;
  std::vector<const EntryDecl*> entries_;
  struct Declared {
    Loc loc;
    std::string what;
    const ProgramFile* file;
  };
  std::map<std::string, Declared> declared_;
  const ProgramFile* file_ = nullptr;  // whose declarations are being collected
};

}  // namespace heed::frontend
