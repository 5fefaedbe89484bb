// The writer of random programs (random_source.h): what it knows of values and of the names in scope. Its
// members are defined by subject: numbers, whole numbers and truth values, attention, functions, programs.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/random_source.h"

namespace heed::test {

using Names = std::set<std::string>;

inline Names Union(Names a, const Names& b) {
  a.insert(b.begin(), b.end());
  return a;
}
inline Names Minus(Names a, const Names& b) {
  for (const std::string& name : b) a.erase(name);
  return a;
}
inline bool Contains(const Names& all, const Names& part) {
  return std::includes(all.begin(), all.end(), part.begin(), part.end());
}
/// "a, b", in the order of the set.
std::string Join(const std::vector<std::string>& names, const std::string& between = ", ");

/// How strongly an operator binds: an operand that binds less stands in parentheses.
enum Level { kOr, kAnd, kNot, kCompare, kAdd, kMul, kContract, kUnary, kPostfix, kPrimary };

enum class Kind { Number, Whole, Truth };

/// An expression and what is known of its value.
struct Expression {
  std::string text;
  Level level = kPrimary;
  Kind kind = Kind::Number;
  Names axes = {};
  double bound = 1;          ///< of the absolute value
  int grain = -1;            ///< a number that is exact in f32: a multiple of 2^-grain; -1: rounded
  std::string element = "";  ///< of a whole number: the axis that it indexes
  bool trained = false;      ///< depends on parameters
  bool text_seen = false;    ///< depends on the text that grows
  bool read = false;         ///< something in it was read at a computed place
  bool in_range = false;     ///< an element that lies on its axis

  bool exact() const { return grain >= 0; }
  /// As an operand that must bind at least as strongly as `least`.
  std::string As(Level least) const { return level < least ? "(" + text + ")" : text; }
};

struct SourceAxis {
  std::string name;
  int64_t size = 1;  ///< or the bound
  bool dynamic = false;
  bool formal = false;  ///< an axis parameter: the size is the largest that a call may give
};

/// A function, a module, or one of its instances.
struct Callable {
  struct Parameter {
    std::string name;
    Kind kind = Kind::Number;
    std::string element;
    std::vector<std::string> axes;
  };
  std::string name;
  bool module = false;
  bool several_layers = false;      ///< a part that is stacked over `layer`
  std::vector<SourceAxis> formals;  ///< axis parameters
  bool groups = false;              ///< groups may stand for them
  std::vector<std::string> bound;   ///< of a part: what stands for them
  std::vector<Parameter> parameters;
  std::vector<std::string> axes;  ///< of the result
  double result_bound = 1;
  Names mentions;  ///< axes that its text names
};

/// What may be written at one place.
struct Scope {
  std::vector<SourceAxis> axes;    ///< roots
  std::vector<Expression> values;  ///< names
  std::vector<Callable> callables;
  std::string growing;  ///< the axis along which only what came before may be seen
  std::string loop;     ///< the variable of the loop around, an element of `layer`
  std::vector<std::string> lines;
  int next = 0;            ///< number of the next name
  bool announces = false;  ///< this expression's axes will be written on the left
  bool trains = false;     ///< parameters may be declared, so that there is a gradient
};

class SourceWriter {
 public:
  explicit SourceWriter(const SourceOptions& options) : options_(options), random_(options.seed) {}
  std::string Program();

 private:
  using Maybe = std::optional<Expression>;

  // ---- chance
  size_t Below(size_t n) { return static_cast<size_t>(random_() % n); }
  bool Chance(int percent) { return Below(100) < static_cast<size_t>(percent); }
  template <class T>
  const T& Any(const std::vector<T>& of) {
    return of[Below(of.size())];
  }
  std::string One(std::initializer_list<const char*> of) { return *(of.begin() + Below(of.size())); }
  std::string AnyOf(const Names& of) { return *std::next(of.begin(), static_cast<long>(Below(of.size()))); }
  std::vector<std::string> Shuffled(const Names& names);

  // ---- axes
  const SourceAxis& AxisOf(const Scope& scope, const std::string& name) const;
  int64_t Elements(const Scope& scope, const Names& axes) const;
  bool Fits(const Scope& scope, const Names& axes) const;
  bool Grows(const Scope& scope, const std::string& axis) const;
  /// Those along which anything may be done.
  Names Reducible(const Scope& scope, const Names& axes) const;
  bool Nested(const Scope& scope, const Names& a, const Names& b) const;

  // ---- random_source_numbers.cpp
  Expression Number(Scope& scope, int depth);
  Maybe SomeNumber(Scope& scope, int depth);
  Expression Literal();
  Expression Named(Scope& scope, Kind kind);
  Expression Tame(Expression x, double bound = 8);
  Expression Function(const std::string& name, const Expression& x, double bound, int grain = -1);
  Expression Infix(const std::string& op, Level level, const Expression& a, const Expression& b, Kind kind);
  Expression Fit(Scope& scope, Expression x, const Names& axes);
  Expression WithAxis(Scope& scope, const Expression& x, const std::string& axis);
  Maybe Unary(Scope& scope, int depth);
  Maybe OtherFunction(const Expression& x);
  Maybe Binary(Scope& scope, int depth);
  Maybe Reduction(Scope& scope, int depth);
  Maybe Contraction(Scope& scope, int depth);
  Maybe Renamed(Scope& scope, int depth);
  Maybe Stacked(Scope& scope, int depth);
  Maybe PreludeCall(Scope& scope, int depth);
  std::string AxisArguments(const std::vector<std::string>& axes, const Expression* predicate);

  // ---- random_source_wholes.cpp
  Expression Whole(Scope& scope, int depth);
  Maybe SomeWhole(Scope& scope, int depth);
  Expression Truth(Scope& scope, int depth);
  /// An element of a static axis, in range.
  Expression Element(Scope& scope, const std::string& axis, int depth);
  Maybe Indexed(Scope& scope, int depth);
  /// A truth value that holds somewhere along every one of `axes`.
  Expression SomewhereTrue(Scope& scope, const std::vector<std::string>& axes, int depth);

  // ---- random_source_attention.cpp
  /// A sum over the other positions of a dynamic axis, weighted in one of many ways.
  Maybe Mixed(Scope& scope, int depth);
  Expression PairMask(Scope& scope, const std::string& axis);
  Maybe Score(Scope& scope, const std::string& axis, int depth);
  std::string PairTerm(Scope& scope, const std::string& axis);

  // ---- random_source_functions.cpp
  void Statement(Scope& scope);
  void Bind(Scope& scope, const Expression& value, bool announce = false);
  void Loop(Scope& scope);
  void Unpacked(Scope& scope);
  void DeclareParameter(Scope& scope);
  Maybe Call(Scope& scope, int depth);
  Maybe Argument(Scope& scope, const std::vector<std::string>& axes, const Callable::Parameter& parameter,
                 int depth);
  void WriteFunction(bool module);
  void WriteLinear();
  void WriteNetwork(const std::string& growing);
  void DeclarePart(Scope& scope, int number);
  std::string Indent(const std::vector<std::string>& lines, int by) const;

  // ---- random_source_program.cpp
  void WriteAxes();
  void WriteEntries();
  std::string EntryArguments(Scope& scope, const std::string& growing);
  void EntryStatements(Scope& scope);
  /// What follows the arguments: `= result`, or a body with the statements of the scope.
  std::string EntryBody(const Scope& scope, const std::string& result);
  void ValueEntry();
  void MinimizeEntry();
  void GenerateEntry();
  Scope GlobalScope(bool dynamic) const;

  const SourceOptions& options_;
  std::mt19937_64 random_;
  std::vector<SourceAxis> axes_;  ///< of the program
  std::map<std::string, double> constants_;
  std::vector<Callable> functions_, modules_, parts_;  ///< parts_: at top level
  std::string text_;
  std::string growing_;  ///< of the generate entry
  int names_ = 0;
  bool uses_layers_ = false;
};

}  // namespace heed::test
