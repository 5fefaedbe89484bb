// The normal layout of a program (`heed fmt`): lines of at most 120 columns, blocks indented by two,
// continuation lines by four more. Comments stay where they are; of blank lines between things one is kept.
// Where a long line is broken depends on its tokens alone, never on how the author broke it, so formatting
// twice changes nothing. Reads the tree as the parser made it (numbers and strings are written as the author
// wrote them).
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/lexer.h"
#include "frontend/parser.h"

namespace heed::frontend {
namespace {

constexpr int kWidth = 120;

// How willing a place is to become the end of a line, within one level of brackets: less is more willing.
enum Rank { kList = 0, kOr, kAnd, kComparison, kSum, kProduct, kContraction, kPower, kDefinition, kRanks };

int Columns(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// The tokens of one line, with the places where it may be broken.
class Line {
 public:
  Line& operator<<(std::string_view text) {
    if (pieces_.empty()) pieces_.push_back({});
    pieces_.back().text += text;
    return *this;
  }
  /// A space, or the end of a line.
  void Space(Rank rank) { pieces_.push_back({"", depth_ * kRanks + rank}); }
  void Open(std::string_view bracket) {
    *this << bracket;
    ++depth_;
  }
  void Close(std::string_view bracket) {
    --depth_;
    *this << bracket;
  }
  /// The text from column `indent` on, without a last newline.
  std::string Layout(int indent) const {
    std::string out;
    int column = indent;
    size_t at = 0;
    while (true) {
      if (column + Width(at, pieces_.size()) <= kWidth) return out + Text(at, pieces_.size());
      size_t best = 0;
      for (size_t next = at + 1; next < pieces_.size(); ++next) {
        if (best != 0 && column + Width(at, next) > kWidth) break;
        if (best == 0 || pieces_[next].rank <= pieces_[best].rank) best = next;
        if (column + Width(at, next) > kWidth) break;
      }
      if (best == 0) return out + Text(at, pieces_.size());
      out += Text(at, best) + "\n" + std::string(indent + 4, ' ');
      column = indent + 4;
      at = best;
    }
  }
  bool Fits(int indent) const { return indent + Width(0, pieces_.size()) <= kWidth; }

 private:
  struct Piece {
    std::string text;
    int rank = 0;  ///< of the space before it
  };
  std::string Text(size_t first, size_t last) const {
    std::string out;
    for (size_t i = first; i < last; ++i) out += (i > first ? " " : "") + pieces_[i].text;
    return out;
  }
  int Width(size_t first, size_t last) const {
    int width = 0;
    for (size_t i = first; i < last; ++i) width += Columns(pieces_[i].text) + (i > first ? 1 : 0);
    return width;
  }
  std::vector<Piece> pieces_;
  int depth_ = 0;
};

Rank RankOf(const std::string& op) {
  if (op == Spelling(TokenKind::KeywordOr)) return kOr;
  if (op == Spelling(TokenKind::KeywordAnd)) return kAnd;
  if (op == "+" || op == "-") return kSum;
  if (op == "*" || op == "/" || op == "//" || op == "%") return kProduct;
  return op == "^" ? kPower : kComparison;
}

/// With the space after it.
std::string Keyword(TokenKind kind) { return std::string(Spelling(kind)) + " "; }

class Printer {
 public:
  explicit Printer(bool parens) : parens_(parens) {}

  std::string Program(const SyntaxTree& tree) {
    for (const Decl& decl : tree.decls) {
      if (decl.blank_before && !out_.empty()) out_ += "\n";
      Comments(decl.comments, 0);
      Declaration(decl);
    }
    Comments(tree.final_comments, 0);
    return std::move(out_);
  }

 private:
  // ---- Lines
  void Comments(const std::vector<std::string>& comments, int indent) {
    for (const std::string& comment : comments) {
      if (!comment.empty()) out_ += std::string(indent, ' ') + comment;
      out_ += "\n";
    }
  }
  void Write(const Line& line, int indent, const std::string& trailing) {
    out_ += std::string(indent, ' ') + line.Layout(indent);
    EndLine(trailing);
  }
  void EndLine(const std::string& trailing) { out_ += (trailing.empty() ? "" : "  " + trailing) + "\n"; }

  template <typename List, typename Print>
  static void Commas(Line& line, const List& list, Print print) {
    bool first = true;
    for (const auto& item : list) {
      if (!first) {
        line << ",";
        line.Space(kList);
      }
      first = false;
      print(item);
    }
  }

  // ---- Declarations
  void Declaration(const Decl& decl) {
    Line line;
    switch (decl.kind) {
      case DeclKind::Import:
        line << Keyword(TokenKind::KeywordImport) << "\"" << decl.import.text << "\"";
        return Write(line, 0, decl.trailing_comment);
      case DeclKind::Axis:
        line << Keyword(TokenKind::KeywordAxis);
        Commas(line, decl.axes, [&](const AxisBind& bind) {
          line << bind.name.text << (bind.kind == AxisBindKind::Dynamic ? " <= " : " = ");
          if (bind.kind != AxisBindKind::Enumerated) return Whole(line, *bind.size);
          line.Open("{");
          Commas(line, bind.enumerators, [&](const Name& name) { line << name.text; });
          line.Close("}");
        });
        return Write(line, 0, decl.trailing_comment);
      case DeclKind::Const:
        line << Keyword(TokenKind::KeywordConst);
        Commas(line, decl.consts, [&](const ConstBind& bind) {
          line << bind.name.text << " = ";
          Whole(line, *bind.value);
        });
        return Write(line, 0, decl.trailing_comment);
      case DeclKind::Part:
        Parts(line, decl.parts);
        return Write(line, 0, decl.trailing_comment);
      case DeclKind::Function:
        return Function(*decl.function, decl.trailing_comment);
      case DeclKind::Entry:
        return EntryPoint(*decl.entry, decl.trailing_comment);
    }
  }
  void Function(const FunctionDecl& function, const std::string& trailing) {
    Line head;
    head << Keyword(function.is_module ? TokenKind::KeywordModule : TokenKind::KeywordDef)
         << function.name.text;
    if (!function.axes.empty()) Axes(head, function.axes);
    Params(head, function.params);
    head << " ->";
    head.Space(kDefinition);
    Type(head, function.result);
    if (!function.expression_body) {
      head << " {";
      Write(head, 0, function.open_comment);
      Body(function.body, 2);
      Comments(function.final_comments, 2);
      out_ += "}";
      return EndLine(trailing);
    }
    head << " =";
    Line both = head;
    both << " ";
    Whole(both, *function.body.front().value);
    if (both.Fits(0)) return Write(both, 0, trailing);
    Write(head, 0, "");
    Line value;
    Whole(value, *function.body.front().value);
    Write(value, 2, trailing);
  }
  void EntryPoint(const EntryDecl& entry, const std::string& trailing) {
    Line head;
    head << Keyword(TokenKind::KeywordEntry) << entry.name.text;
    Params(head, entry.params);
    if (entry.result) {
      head << " ->";
      head.Space(kDefinition);
      Type(head, *entry.result);
    }
    if (!entry.has_body) {
      head << " =";
      Write(head, 0, "");
      return EntryResult(entry, trailing);
    }
    head << " {";
    Write(head, 0, entry.open_comment);
    Body(entry.body, 2, &entry);
    Comments(entry.final_comments, 2);
    out_ += "}";
    EndLine(trailing);
  }
  void EntryResult(const EntryDecl& entry, const std::string& trailing) {
    Line line;
    const auto clause = [&](TokenKind keyword, const ExprPtr& value) {
      if (value == nullptr) return;
      line.Space(kList);
      line << Keyword(keyword);
      Whole(line, *value);
    };
    switch (entry.kind) {
      case EntryKind::Value:
        Whole(line, *entry.value);
        break;
      case EntryKind::Minimize:
        line << Keyword(TokenKind::KeywordMinimize);
        Whole(line, *entry.value);
        clause(TokenKind::KeywordPer, entry.per);
        break;
      case EntryKind::Generate:
        line << Keyword(TokenKind::KeywordGenerate) << entry.variable.text << ": ";
        Type(line, entry.type);
        clause(TokenKind::KeywordFrom, entry.from);
        Until(line, entry.until);
        clause(TokenKind::KeywordBy, entry.value);
        if (entry.options.empty()) break;
        line.Space(kList);
        line << Keyword(TokenKind::KeywordWith);
        Commas(line, entry.options, [&](const Option& option) {
          line << option.name.text << " = ";
          Whole(line, *option.value);
        });
        break;
    }
    Write(line, 2, trailing);
  }
  void Until(Line& line, const std::vector<ExprPtr>& ends) {
    if (ends.empty()) return;
    line.Space(kList);
    line << Keyword(TokenKind::KeywordUntil);
    if (ends.size() > 1) line.Open("{");
    Commas(line, ends, [&](const ExprPtr& end) { Whole(line, *end); });
    if (ends.size() > 1) line.Close("}");
  }
  void Params(Line& line, const std::vector<ParamDecl>& params) {
    line.Open("(");
    Commas(line, params, [&](const ParamDecl& param) {
      line << param.name.text;
      if (param.type.element.has_value()) line << ": ";
      if (param.type.element.has_value() || param.type.has_axes) Type(line, param.type);
      if (param.default_value == nullptr) return;
      line << " = ";
      Whole(line, *param.default_value);
    });
    line.Close(")");
  }
  static void Type(Line& line, const TypeExpr& type) {
    if (type.element.has_value()) line << type.element->text;
    if (type.has_axes) Axes(line, type.axes);
  }
  static void Items(Line& line, const AxisItems& items) {
    Commas(line, items, [&](const AxisItem& item) {
      if (item.group) line.Open("(");
      Commas(line, item.names, [&](const Name& name) { line << name.text; });
      if (item.group) line.Close(")");
    });
  }
  static void Axes(Line& line, const AxisItems& items) {
    line.Open("[");
    Items(line, items);
    line.Close("]");
  }
  static void Alias(Line& line, const std::optional<Name>& alias) {
    if (alias.has_value()) line << " " << Keyword(TokenKind::KeywordAs) << "\"" << alias->text << "\"";
  }
  static void Parts(Line& line, const std::vector<PartBind>& parts) {
    line << Keyword(TokenKind::KeywordPart);
    Commas(line, parts, [&](const PartBind& part) {
      line << part.name.text;
      if (!part.stack.empty()) Axes(line, part.stack);
      line << " = " << part.module.text;
      if (!part.axes.empty()) Axes(line, part.axes);
      Alias(line, part.alias);
    });
  }

  // ---- Statements
  /// `entry`: whose result the last statement stands for.
  void Body(const std::vector<Stmt>& body, int indent, const EntryDecl* entry = nullptr) {
    for (size_t i = 0; i < body.size(); ++i) {
      if (body[i].blank_before && i > 0) out_ += "\n";
      Comments(body[i].comments, indent);
      if (entry != nullptr && body[i].kind == StmtKind::Result)
        EntryResult(*entry, body[i].trailing_comment);
      else
        Statement(body[i], indent);
    }
  }
  void Statement(const Stmt& stmt, int indent) {
    Line line;
    if (stmt.kind != StmtKind::For) {
      Simple(line, stmt);
      return Write(line, indent, stmt.trailing_comment);
    }
    const std::string head = Keyword(TokenKind::KeywordFor) + stmt.names[0].text + " " +
                             Keyword(TokenKind::KeywordIn) + stmt.axis.text + " {";
    if (stmt.body.size() == 1 && stmt.open_comment.empty() && stmt.final_comments.empty() &&
        stmt.body[0].kind != StmtKind::For && stmt.body[0].comments.empty() &&
        stmt.body[0].trailing_comment.empty()) {
      line << head << " ";
      Simple(line, stmt.body[0]);
      line << " }";
      if (line.Fits(indent)) return Write(line, indent, stmt.trailing_comment);
    }
    out_ += std::string(indent, ' ') + head;
    EndLine(stmt.open_comment);
    Body(stmt.body, indent + 2);
    Comments(stmt.final_comments, indent + 2);
    out_ += std::string(indent, ' ') + "}";
    EndLine(stmt.trailing_comment);
  }
  void Simple(Line& line, const Stmt& stmt) {
    switch (stmt.kind) {
      case StmtKind::Param:
        line << Keyword(TokenKind::KeywordParam);
        Commas(line, stmt.params, [&](const ParamBind& param) {
          line << param.name.text;
          Axes(line, param.axes);
          if (param.init != 0) {
            line << " " << std::string(1, param.init) << " ";
            Whole(line, *param.init_value);
          }
          Alias(line, param.alias);
        });
        return;
      case StmtKind::Part:
        return Parts(line, stmt.parts);
      case StmtKind::Let:
        line << stmt.names[0].text;
        if (stmt.announced.has_value()) Axes(line, *stmt.announced);
        break;
      case StmtKind::Tuple:
        line.Open("(");
        Commas(line, stmt.names, [&](const Name& name) { line << name.text; });
        line.Close(")");
        break;
      case StmtKind::Result:
        return Whole(line, *stmt.value);
      case StmtKind::For:
        return;
    }
    line << " =";
    line.Space(kDefinition);
    Whole(line, *stmt.value);
  }

  // ---- Expressions
  /// Not an operand: needs no parentheses even if all are wanted.
  void Whole(Line& line, const Expr& expr) { Expression(line, expr, expr.parenthesized); }
  /// What stands between the brackets after children[0].
  void Values(Line& line, const Expr& expr) {
    for (size_t i = 1; i < expr.children.size(); ++i) {
      if (i > 1) {
        line << ",";
        line.Space(kList);
      }
      Whole(line, *expr.children[i]);
    }
  }
  void Operand(Line& line, const Expr& expr) {
    const bool compound =
        expr.kind == ExprKind::Unary || expr.kind == ExprKind::Binary || expr.kind == ExprKind::Contract;
    Expression(line, expr, expr.parenthesized || (parens_ && compound));
  }
  void Expression(Line& line, const Expr& expr, bool parens) {
    if (parens) line.Open("(");
    switch (expr.kind) {
      case ExprKind::Number:
        line << expr.op_loc.file->text().substr(expr.op_loc.offset, expr.op_loc.length);
        break;
      case ExprKind::Bool:
        line << Spelling(expr.number != 0 ? TokenKind::KeywordTrue : TokenKind::KeywordFalse);
        break;
      case ExprKind::Name:
        line << expr.name;
        break;
      case ExprKind::Size:
        line << "|" << expr.name << "|";
        break;
      case ExprKind::Unary:
        line << expr.op << (expr.op == Spelling(TokenKind::KeywordNot) ? " " : "");
        Operand(line, *expr.children[0]);
        break;
      case ExprKind::Binary:
        Operand(line, *expr.children[0]);
        line << " " << expr.op;
        line.Space(RankOf(expr.op));
        Operand(line, *expr.children[1]);
        break;
      case ExprKind::Contract:
        Operand(line, *expr.children[0]);
        line << " @";
        if (expr.items.size() == 1 && !expr.items[0].group) {
          line << expr.items[0].names[0].text;
        } else {
          Axes(line, expr.items);
        }
        line << " ";
        Operand(line, *expr.children[1]);
        break;
      case ExprKind::Call:
        Operand(line, *expr.children[0]);
        if (!expr.items.empty()) {
          line.Open("[");
          Items(line, expr.items);
          if (expr.predicate != nullptr) {
            line << " | ";
            Whole(line, *expr.predicate);
          }
          line.Close("]");
        }
        line.Open("(");
        Values(line, expr);
        line.Close(")");
        break;
      case ExprKind::Rename:
        Operand(line, *expr.children[0]);
        line.Open("[");
        Items(line, expr.items);
        line << " -> ";
        Items(line, expr.targets);
        line.Close("]");
        break;
      case ExprKind::Index:
        Operand(line, *expr.children[0]);
        line.Open("[");
        Values(line, expr);
        line.Close("]");
        break;
    }
    if (parens) line.Close(")");
  }

  bool parens_;
  std::string out_;
};

}  // namespace

std::string Format(const SyntaxTree& tree, bool parens) { return Printer(parens).Program(tree); }

}  // namespace heed::frontend
