// The syntax tree: plain structs. One node for every postfix bracket; what a bracket means is decided later,
// by the kind of the thing before it. The grammar stands in parser.cpp.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "frontend/source.h"

namespace heed::frontend {

struct Expr;
struct Stmt;
using ExprPtr = std::unique_ptr<Expr>;

struct Name {
  std::string text;
  Loc loc;
};
/// `model`, or a group `(heads, key)`: one storage dimension of several axes.
struct AxisItem {
  std::vector<Name> names;
  bool group = false;
  Loc loc;
};
using AxisItems = std::vector<AxisItem>;

enum class ExprKind {
  Number,    // number, is_whole
  Bool,      // number 0 or 1
  Name,      // name: a variable, constant, axis (its positions)
  Size,      // |name|
  Unary,     // op "-" or "not"; children[0]
  Binary,    // op: or and < <= > >= == != + - * / % ^; children[0..1]
  Contract,  // children[0] @items children[1]
  Call,      // callee children[0]; items = axis arguments; predicate; children[1...] = arguments
  Rename,    // children[0] [items -> targets]
  Index,     // children[0] [children[1...]]
};
/// `f[a, b | p](x)` is one Call; `p[l](x)` too: whether `l` is an axis argument or a layer is decided by what
/// `p` is (a Call whose callee is an Index appears when the bracket can only be an index, as in `h[l +
/// 1](x)`).
struct Expr {
  ExprKind kind;
  Loc loc;     ///< the whole expression
  Loc op_loc;  ///< the operator, bracket or name that characterises it
  double number = 0;
  bool is_whole = false;
  std::string name;  ///< Name, Size
  std::string op;    ///< Unary, Binary
  AxisItems items, targets;
  ExprPtr predicate;
  std::vector<ExprPtr> children;
  bool parenthesized = false;  ///< written in parentheses: kept by the formatter
  int height = 1;              ///< longest path down, this node included: bounded by the parser (kMaxHeight)
};

/// `join[a, b -> c]`, before its values.
inline bool IsJoin(const Expr& callee) {
  return callee.kind == ExprKind::Rename && callee.children[0]->kind == ExprKind::Name &&
         callee.children[0]->name == "join";
}

/// `[name] [axes]`: no name is float. `vocab[seq]`, `int[seq]`, `bool[pos]`, `[model]`.
struct TypeExpr {
  std::optional<Name> element;
  AxisItems axes;
  bool has_axes = false;  ///< brackets were written
  Loc loc;
};
struct ParamDecl {  // of a function or entry
  Name name;
  TypeExpr type;
  ExprPtr default_value;  ///< null: required
};

struct ParamBind {  // param W[out, inp] ~ normal(0, 1) as "w"
  Name name;
  AxisItems axes;
  char init = 0;  ///< 0 none, '=' or '~'
  ExprPtr init_value;
  std::optional<Name> alias;  ///< text without the quotes
};
struct PartBind {  // part h[layer] = Block[model] as "blocks"
  Name name;
  AxisItems stack;  ///< empty: one instance
  Name module;
  AxisItems axes;
  std::optional<Name> alias;
};

enum class StmtKind { Param, Part, Let, Tuple, For, Result };
struct Stmt {
  StmtKind kind;
  Loc loc;
  std::vector<ParamBind> params;
  std::vector<PartBind> parts;
  std::vector<Name> names;             ///< Let: one; Tuple: several; For: the variable
  std::optional<AxisItems> announced;  ///< Let: axes written on the left
  Name axis;                           ///< For
  ExprPtr value;                       ///< Let, Tuple, Result
  std::vector<Stmt> body;              ///< For
  std::vector<std::string> comments;   ///< comment lines before it ("" is a blank line), for the formatter
  std::string trailing_comment;
  std::string open_comment;                 ///< For: after the {
  std::vector<std::string> final_comments;  ///< For: before the }
  bool blank_before = false;
};

enum class AxisBindKind { Static, Enumerated, Dynamic };
struct AxisBind {
  Name name;
  AxisBindKind kind;
  ExprPtr size;  ///< Static, Dynamic (the bound)
  std::vector<Name> enumerators;
};
struct ConstBind {
  Name name;
  ExprPtr value;
};
struct FunctionDecl {  // def or module
  bool is_module = false;
  Name name;
  AxisItems axes;  ///< axis parameters
  std::vector<ParamDecl> params;
  TypeExpr result;
  bool expression_body = false;  ///< `= expr`: the body is one Result statement
  std::vector<Stmt> body;
  std::string open_comment;                 ///< after the {
  std::vector<std::string> final_comments;  ///< before the }
};
struct Option {
  Name name;
  ExprPtr value;
};
enum class EntryKind { Value, Minimize, Generate };
struct EntryDecl {
  EntryKind kind;
  Name name;
  std::vector<ParamDecl> params;
  std::optional<TypeExpr> result;  ///< Value: type and axes, in the order of files
  bool has_body = false;           ///< written in braces; else `= result`
  std::vector<Stmt> body;          ///< the last one, a Result without a value, stands for what follows here
  ExprPtr value;                   ///< Value: the result; Minimize: the loss; Generate: the logits (`by`)
  ExprPtr per;                     ///< Minimize; may be null
  Name variable;                   ///< Generate
  TypeExpr type;
  ExprPtr from;
  std::vector<ExprPtr> until;  ///< a set; one is written without braces
  std::vector<Option> options;
  std::string open_comment;                 ///< after the {
  std::vector<std::string> final_comments;  ///< before the }
};

enum class DeclKind { Import, Axis, Const, Function, Part, Entry };
struct Decl {
  DeclKind kind;
  Loc loc;
  Name import;  ///< the file, without the quotes
  std::vector<AxisBind> axes;
  std::vector<ConstBind> consts;
  std::vector<PartBind> parts;
  std::unique_ptr<FunctionDecl> function;
  std::unique_ptr<EntryDecl> entry;
  std::vector<std::string> comments;
  std::string trailing_comment;
  bool blank_before = false;
};
struct SyntaxTree {
  std::vector<Decl> decls;
  std::vector<std::string> final_comments;
};

}  // namespace heed::frontend
