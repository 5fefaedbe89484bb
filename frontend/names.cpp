// Collects declarations and evaluates sizes. Sizes are evaluated on demand, each once, so an override of one
// axis changes everything derived from it; a cycle is found because a name is met again while it is being
// evaluated.
#include "frontend/names.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "frontend/builtins.h"

namespace heed::frontend {
namespace {

constexpr double kMaxSize = 2147483647;  // positions must fit 32 bits in generated code
constexpr std::string_view kAxis = "an axis", kConstant = "a constant";
constexpr int kMaxChain = 400;  // declarations that refer to one another

const std::vector<std::string> kReservedAxes = {"batch", "beam"};
const std::vector<std::string> kReservedEntries = {"call", "info", "help", "version"};

/// Whether two sizes are written in the same way, blanks and needless parentheses aside.
bool SameText(const Expr& a, const Expr& b) {
  if (a.kind != b.kind || a.number != b.number || a.is_whole != b.is_whole || a.name != b.name ||
      a.op != b.op || a.children.size() != b.children.size())
    return false;
  for (size_t i = 0; i < a.children.size(); ++i)
    if (!SameText(*a.children[i], *b.children[i])) return false;
  return true;
}

bool SameText(const AxisBind& a, const AxisBind& b) {
  const auto same = [](const Name& x, const Name& y) { return x.text == y.text; };
  if (a.kind != b.kind) return false;
  if (a.kind == AxisBindKind::Enumerated) return std::ranges::equal(a.enumerators, b.enumerators, same);
  return a.size && b.size && SameText(*a.size, *b.size);
}

bool Fits(double value) { return std::isfinite(value) && std::floor(value) == value; }

}  // namespace

std::string BaseName(const std::string& name) { return name.substr(0, name.find('\'')); }

int Primes(const std::string& name) { return static_cast<int>(name.size() - BaseName(name).size()); }

std::string Nearest(const std::string& name, const std::vector<std::string>& candidates) {
  size_t best = std::max<size_t>(1, name.size() / 3) + 1;
  std::string result;
  for (const std::string& candidate : candidates) {
    if (candidate == name || candidate.size() > name.size() + best || name.size() > candidate.size() + best)
      continue;
    // Optimal string alignment: insertions, deletions, substitutions, swaps of neighbours.
    const size_t n = name.size(), m = candidate.size();
    std::vector<std::vector<size_t>> d(n + 1, std::vector<size_t>(m + 1));
    for (size_t i = 0; i <= n; ++i) d[i][0] = i;
    for (size_t j = 0; j <= m; ++j) d[0][j] = j;
    for (size_t i = 1; i <= n; ++i) {
      for (size_t j = 1; j <= m; ++j) {
        const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
        const bool same = lower(name[i - 1]) == lower(candidate[j - 1]);
        d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (same ? 0 : 1)});
        if (i > 1 && j > 1 && name[i - 1] == candidate[j - 2] && name[i - 2] == candidate[j - 1])
          d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
    if (d[n][m] < best) {
      best = d[n][m];
      result = candidate;
    }
  }
  return result;
}

std::string DidYouMean(const std::string& name, const std::vector<std::string>& candidates) {
  const std::string nearest = Nearest(name, candidates);
  return nearest.empty() ? "" : "; did you mean `" + nearest + "`?";
}

std::string NumberText(double value) {
  char buffer[40];
  std::snprintf(buffer, sizeof buffer, "%.12g", value);
  return buffer;
}

namespace {

std::optional<Number> NotConstant(const Expr& expr, const std::string& what, Diagnostics& diagnostics) {
  diagnostics.Report(DiagnosticKind::NotConstant, expr.loc, what + " is not a number known at compile time")
      .notes.push_back("numbers, constants, sizes such as |model| and arithmetic on them are");
  return std::nullopt;
}

std::optional<Number> EvaluateBinary(const Expr& expr, const NumberScope& scope, Diagnostics& diagnostics) {
  const auto a = EvaluateNumber(*expr.children[0], scope, diagnostics);
  const auto b = EvaluateNumber(*expr.children[1], scope, diagnostics);
  const bool quotient = expr.op == "//";
  if (!quotient && (expr.op.size() != 1 || std::string("+-*/%^").find(expr.op) == std::string::npos))
    return NotConstant(expr, "`" + expr.op + "`", diagnostics);
  if (!a || !b) return std::nullopt;
  const bool whole = a->whole && b->whole;
  const double x = a->value, y = b->value;
  if (quotient && (!whole || y == 0)) {
    Diagnostic& d = diagnostics.Report(
        DiagnosticKind::InvalidNumber, expr.loc,
        whole ? "`//` by 0"
              : "`//` takes whole numbers; these are " + NumberText(x) + " and " + NumberText(y));
    if (!whole) d.notes.push_back("`floor(a / b)` divides floats and rounds down");
    return std::nullopt;
  }
  if (quotient) return Number{std::floor(x / y), true};
  switch (expr.op[0]) {
    case '+':
      return Number{x + y, whole};
    case '-':
      return Number{x - y, whole};
    case '*':
      return Number{x * y, whole};
    case '/':
      return Number{x / y, false};
    case '%':
      return Number{x - y * std::floor(x / y), whole};
    default:
      return Number{std::pow(x, y), false};
  }
}

std::optional<Number> EvaluateCall(const Expr& expr, const NumberScope& scope, Diagnostics& diagnostics) {
  const Expr& callee = *expr.children[0];
  if (callee.kind != ExprKind::Name || !expr.items.empty()) return NotConstant(expr, "a call", diagnostics);
  std::vector<Number> arguments;
  const std::string& f = callee.name;
  static const std::map<std::string, double (*)(double)> kUnary = {
      {"sqrt", [](double x) { return std::sqrt(x); }},
      {"exp", [](double x) { return std::exp(x); }},
      {"log", [](double x) { return std::log(x); }},
      {"floor", [](double x) { return std::floor(x); }},
      {"int", [](double x) { return x; }},
      {"abs", [](double x) { return std::fabs(x); }}};
  const auto unary = kUnary.find(f);
  if (unary == kUnary.end() && f != "min" && f != "max")
    return NotConstant(expr, "`" + f + "(...)`", diagnostics);
  const size_t count = unary == kUnary.end() ? 2 : 1;
  if (expr.children.size() != count + 1) {
    diagnostics.Report(
        DiagnosticKind::WrongArgumentCount, expr.loc,
        "`" + f + "` takes " + std::to_string(count) + (count == 1 ? " argument" : " arguments"));
    return std::nullopt;
  }
  for (size_t i = 1; i < expr.children.size(); ++i) {
    const auto x = EvaluateNumber(*expr.children[i], scope, diagnostics);
    if (!x) return std::nullopt;
    arguments.push_back(*x);
  }
  const Number& x = arguments[0];
  if (f == "int" && x.value != std::floor(x.value)) {
    diagnostics
        .Report(DiagnosticKind::InvalidNumber, expr.children[1]->loc,
                NumberText(x.value) + " is no whole number")
        .notes.push_back("`int` converts and never rounds; `int(floor(x))` rounds down");
    return std::nullopt;
  }
  if (count == 1) return Number{unary->second(x.value), f == "int" || (f == "abs" && x.whole)};
  const bool first = (f == "min") == (x.value < arguments[1].value);
  return first ? x : arguments[1];
}

}  // namespace

std::optional<Number> EvaluateNumber(const Expr& expr, const NumberScope& scope, Diagnostics& diagnostics) {
  switch (expr.kind) {
    case ExprKind::Number:
      return Number{expr.number, expr.is_whole};
    case ExprKind::Size:
      return scope.size(expr.name, expr.loc);
    case ExprKind::Name:
      return scope.value(expr.name, expr.loc);
    case ExprKind::Unary: {
      if (expr.op != "-") return NotConstant(expr, "`not`", diagnostics);
      auto x = EvaluateNumber(*expr.children[0], scope, diagnostics);
      if (x) x->value = -x->value;
      return x;
    }
    case ExprKind::Binary:
      return EvaluateBinary(expr, scope, diagnostics);
    case ExprKind::Call:
      return EvaluateCall(expr, scope, diagnostics);
    case ExprKind::Bool:
      return NotConstant(expr, "a truth value", diagnostics);
    case ExprKind::Contract:
      return NotConstant(expr, "a contraction", diagnostics);
    case ExprKind::Rename:
    case ExprKind::Index:
      return NotConstant(expr, "an expression with brackets", diagnostics);
  }
  return std::nullopt;
}

Declarations::Declarations(const SyntaxTree& prelude, const std::vector<ProgramFile>& files,
                           const Overrides& overrides, Diagnostics& diagnostics)
    : overrides_(overrides), diagnostics_(diagnostics) {
  CollectPrelude(prelude);
  for (const ProgramFile& file : files) Collect(file, &file != &files.front());
  CheckOverrides();
  for (const auto& [name, bind] : axis_binds_) {
    const auto size = Evaluate(name, bind->name.loc);
    ir::Extent extent;
    extent.kind = bind->kind == AxisBindKind::Dynamic ? ir::Extent::Kind::Dynamic : ir::Extent::Kind::Static;
    extent.size = size ? static_cast<int64_t>(size->value) : 1;
    for (const Name& element : bind->enumerators) extent.enumerators.push_back(element.text);
    axes_->Set(ir::Axis(name), std::move(extent));
    sizes_known_ = sizes_known_ && size;
  }
  for (const auto& [name, bind] : const_binds_) {
    const auto value = Evaluate(name, bind->name.loc);
    consts_[name] = value ? *value : Number{1, true};
    sizes_known_ = sizes_known_ && value;
  }
}

void Declarations::Clash(const Name& name, std::string_view what) {
  const Declared& known = declared_.at(name.text);
  // Of two files the program's own is where something can be done.
  const bool own = known.file != file_ && known.file->imports.count(name.loc.file) != 0;
  if (own) {
    Diagnostic& d =
        diagnostics_.Report(DiagnosticKind::DuplicateName, known.loc,
                            "`" + name.text + "` is declared twice: here as " + known.what + ", and as " +
                                std::string(what) + " in the imported `" + name.loc.file->short_name() + "`");
    d.labels.push_back({name.loc, "also declared here"});
    return;
  }
  Diagnostic& d = diagnostics_.Report(
      DiagnosticKind::DuplicateName, name.loc,
      "`" + name.text + "` is declared twice: here as " + std::string(what) + ", before as " + known.what);
  d.labels.push_back({known.loc, "first declared here"});
  if (known.file != file_ && known.what == what && (what == kAxis || what == kConstant))
    d.notes.push_back("a line of the program itself stands for those of the files it imports");
}

bool Declarations::Declare(const Name& name, std::string_view what, const AxisBind* axis,
                           const ConstBind* constant) {
  if (const Builtin* builtin = FindBuiltin(name.text); builtin && !builtin->yields) {
    diagnostics_.Report(DiagnosticKind::ReservedName, name.loc,
                        "`" + name.text + "` is built in; choose another name");
    return false;
  }
  const auto [found, fresh] = declared_.try_emplace(name.text, Declared{name.loc, std::string(what), file_});
  if (fresh) return true;
  const Declared& known = found->second;
  if (known.file != file_ && known.what == what && (axis || constant)) {
    if (known.file->imports.count(file_->source)) return false;  // that one stands for this one
    if (axis ? SameText(*axis, *axis_binds_.at(name.text))
             : SameText(*constant->value, *const_binds_.at(name.text)->value))
      return false;
  }
  Clash(name, what);
  return false;
}

void Declarations::CollectPrelude(const SyntaxTree& prelude) {
  for (const Decl& decl : prelude.decls)
    if (decl.kind == DeclKind::Function) Collect(*decl.function, true, false);
}

void Declarations::Collect(const ProgramFile& file, bool imported) {
  file_ = &file;
  for (const Decl& decl : file.tree.decls) {
    switch (decl.kind) {
      case DeclKind::Import:
        break;
      case DeclKind::Axis:
        for (const AxisBind& bind : decl.axes) Collect(bind);
        break;
      case DeclKind::Const:
        for (const ConstBind& bind : decl.consts)
          if (!bind.name.text.empty() && Declare(bind.name, kConstant, nullptr, &bind))
            const_binds_[bind.name.text] = &bind;
        break;
      case DeclKind::Function:
        if (decl.function) Collect(*decl.function, false, imported);
        break;
      case DeclKind::Part:
        for (const PartBind& bind : decl.parts)
          if (!imported && !bind.name.text.empty() && Declare(bind.name, "a part")) parts_.push_back(&bind);
        break;
      case DeclKind::Entry:
        if (!imported && decl.entry) Collect(*decl.entry);
        break;
    }
  }
}

void Declarations::Collect(const AxisBind& bind) {
  if (bind.name.text.empty()) return;
  if (Primes(bind.name.text) > 0) {
    diagnostics_.Report(DiagnosticKind::ReservedName, bind.name.loc,
                        "`" + bind.name.text + "` is the twin of axis `" + BaseName(bind.name.text) +
                            "` and needs no declaration");
    return;
  }
  if (std::find(kReservedAxes.begin(), kReservedAxes.end(), bind.name.text) != kReservedAxes.end()) {
    diagnostics_
        .Report(DiagnosticKind::ReservedName, bind.name.loc,
                "`" + bind.name.text + "` cannot be the name of an axis: the compiler adds that axis itself")
        .notes.push_back("programs are written for one example; batching is done by the compiler");
    return;
  }
  if (Declare(bind.name, kAxis, &bind)) axis_binds_[bind.name.text] = &bind;
  for (size_t i = 0; i < bind.enumerators.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (bind.enumerators[i].text == bind.enumerators[j].text)
        diagnostics_
            .Report(DiagnosticKind::DuplicateName, bind.enumerators[i].loc,
                    "`" + bind.enumerators[i].text + "` is an element of `" + bind.name.text + "` already")
            .labels.push_back({bind.enumerators[j].loc, "first here"});
}

void Declarations::Collect(const FunctionDecl& decl, bool prelude, bool imported) {
  if (decl.name.text.empty()) return;
  auto function = std::make_unique<Function>();
  function->decl = &decl;
  function->prelude = prelude;
  function->imported = imported;
  if (prelude || Declare(decl.name, decl.is_module ? "a module" : "a function"))
    (prelude ? prelude_functions_ : user_functions_)[decl.name.text] = function.get();
  functions_.push_back(std::move(function));
}

void Declarations::Collect(const EntryDecl& entry) {
  const Name& name = entry.name;
  if (name.text.empty()) return;
  if (std::find(kReservedEntries.begin(), kReservedEntries.end(), name.text) != kReservedEntries.end()) {
    diagnostics_.Report(
        DiagnosticKind::ReservedName, name.loc,
        "an entry cannot be called `" + name.text + "`: every generated program has that command");
  }
  for (const EntryDecl* other : entries_)
    if (other->name.text == name.text)
      diagnostics_
          .Report(DiagnosticKind::DuplicateName, name.loc, "entry `" + name.text + "` is declared twice")
          .labels.push_back({other->name.loc, "first declared here"});
  entries_.push_back(&entry);
}

void Declarations::CheckOverrides() {
  std::vector<std::string> known = AxisNames();
  for (const auto& [name, bind] : const_binds_) known.push_back(name);
  for (const auto& [name, value] : overrides_.values) {
    const std::string set = "--set " + name + "=" + NumberText(value);
    const auto axis = axis_binds_.find(name);
    if (axis == axis_binds_.end() && !const_binds_.count(name)) {
      diagnostics_.Report(
          DiagnosticKind::UnknownOverride, Loc{},
          set + ": the program has no axis or constant `" + name + "`" + DidYouMean(name, known));
      sizes_known_ = false;
    } else if (axis != axis_binds_.end() && axis->second->kind == AxisBindKind::Enumerated &&
               value != static_cast<double>(axis->second->enumerators.size())) {
      diagnostics_.Report(DiagnosticKind::BadSize, axis->second->name.loc,
                          set + ": `" + name + "` has the " +
                              std::to_string(axis->second->enumerators.size()) + " elements listed here");
      sizes_known_ = false;
    }
  }
}

std::optional<Number> Declarations::SizeOf(const std::string& name, Loc loc) {
  const std::string base = BaseName(name);
  if (axis_binds_.count(base)) return Evaluate(base, loc);
  std::string message = "unknown axis `" + name + "`";
  if (const_binds_.count(name)) message = "`" + name + "` is a constant, not an axis: write it without | |";
  diagnostics_.Report(DiagnosticKind::UnknownAxis, loc, message + DidYouMean(name, AxisNames()));
  return std::nullopt;
}

std::optional<Number> Declarations::ValueOf(const std::string& name, Loc loc) {
  if (const_binds_.count(name)) return Evaluate(name, loc);
  if (IsAxis(name)) {
    diagnostics_.Report(DiagnosticKind::AxisAsNumber, loc,
                        "axis `" + name + "` is used as a number; did you mean `|" + name + "|`?");
    return std::nullopt;
  }
  std::vector<std::string> names;
  for (const auto& [known, bind] : const_binds_) names.push_back(known);
  std::string hint = DidYouMean(name, names);
  if (const std::string axis = Nearest(name, AxisNames()); hint.empty() && !axis.empty())
    hint = "; did you mean `|" + axis + "|`?";
  diagnostics_.Report(DiagnosticKind::UnknownName, loc, "unknown name `" + name + "`" + hint);
  return std::nullopt;
}

std::optional<Number> Declarations::Evaluate(const std::string& name, Loc loc) {
  State& state = states_[name];
  if (state == State::Failed) return std::nullopt;
  if (state == State::Done) return values_[name];
  const auto axis = axis_binds_.find(name);
  const bool is_axis = axis != axis_binds_.end();
  if (state == State::Running || depth_ > kMaxChain) {
    diagnostics_.Report(DiagnosticKind::SizeCycle, loc,
                        state == State::Running
                            ? "`" + name + "` is defined in terms of itself"
                            : "`" + name + "` depends on more declarations than any program needs");
    state = State::Failed;
    return std::nullopt;
  }
  state = State::Running;
  std::optional<Number> value;
  Loc value_loc = loc;
  std::string said;
  const auto set = overrides_.values.find(name);
  if (set != overrides_.values.end()) {
    value = Number{set->second, Fits(set->second)};
    said = "--set " + name + "=" + NumberText(set->second);
    value_loc = is_axis ? axis->second->name.loc : const_binds_.at(name)->name.loc;
  } else if (is_axis && axis->second->kind == AxisBindKind::Enumerated) {
    value = Number{static_cast<double>(axis->second->enumerators.size()), true};
  } else {
    const ExprPtr& expr = is_axis ? axis->second->size : const_binds_.at(name)->value;
    if (expr) {
      ++depth_;
      value = EvaluateNumber(*expr,
                             {[this](const std::string& n, Loc l) { return SizeOf(n, l); },
                              [this](const std::string& n, Loc l) { return ValueOf(n, l); }},
                             diagnostics_);
      --depth_;
      value_loc = expr->loc;
      if (value) said = "`" + name + "` is " + NumberText(value->value);
    }
  }
  if (value && is_axis) {
    const double v = value->value;
    if (!Fits(v) || v < 1) {
      Diagnostic& d = diagnostics_.Report(DiagnosticKind::BadSize, value_loc,
                                          said + ", but the size of an axis is a whole number of at least 1");
      if (std::isfinite(v) && !Fits(v)) {
        d.notes.push_back("for |a| / |b| the first size must be a multiple of the second");
      }
      value = std::nullopt;
    } else if (v > kMaxSize) {
      diagnostics_.Report(DiagnosticKind::SizeTooLarge, value_loc,
                          said + "; the largest size of an axis is " + NumberText(kMaxSize));
      value = std::nullopt;
    } else {
      value->whole = true;
    }
  } else if (value && !std::isfinite(value->value)) {
    diagnostics_.Report(DiagnosticKind::BadSize, value_loc, said + ", which is not a finite number");
    value = std::nullopt;
  }
  State& now = states_[name];
  if (value && now != State::Failed) {
    now = State::Done;
    values_[name] = *value;
  } else {
    now = State::Failed;
    value = std::nullopt;
  }
  return value;
}

Function* Declarations::Find(const std::string& name, bool from_prelude) const {
  if (!from_prelude)
    if (const auto found = user_functions_.find(name); found != user_functions_.end()) return found->second;
  const auto found = prelude_functions_.find(name);
  return found == prelude_functions_.end() ? nullptr : found->second;
}

std::optional<int64_t> Declarations::NamedElement(const Expr& call) const {
  if (call.children.size() != 2 || !call.items.empty() || call.children[0]->kind != ExprKind::Name ||
      call.children[1]->kind != ExprKind::Name)
    return std::nullopt;
  const auto axis = axis_binds_.find(BaseName(call.children[0]->name));
  if (axis == axis_binds_.end()) return std::nullopt;
  const std::vector<Name>& names = axis->second->enumerators;
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i].text == call.children[1]->name) return static_cast<int64_t>(i);
  return std::nullopt;
}

const Builtin* Declarations::BuiltinCalled(const std::string& name, bool prelude) const {
  const Builtin* builtin = FindBuiltin(name);
  const bool own = builtin && builtin->yields && !prelude && (Find(name, false) || FindPart(name));
  return own ? nullptr : builtin;
}

const PartBind* Declarations::FindPart(const std::string& name) const {
  for (const PartBind* part : parts_)
    if (part->name.text == name) return part;
  return nullptr;
}

std::vector<std::string> Declarations::AxisNames() const {
  std::vector<std::string> names;
  for (const auto& [name, bind] : axis_binds_) names.push_back(name);
  return names;
}

std::vector<std::string> Declarations::FunctionNames(bool from_prelude) const {
  std::vector<std::string> names;
  if (!from_prelude)
    for (const auto& [name, function] : user_functions_) names.push_back(name);
  for (const auto& [name, function] : prelude_functions_) names.push_back(name);
  for (const Builtin& builtin : Builtins()) names.emplace_back(builtin.name);
  return names;
}

}  // namespace heed::frontend
