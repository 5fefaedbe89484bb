// The parser: recursive descent over the tokens of one file. This is the grammar (docs/language.md repeats
// it; a test compares the two):
//
// program    = { declaration NEWLINE } ;
// declaration= "import" STRING
//            | "axis"  axisbind { "," axisbind }
//            | "const" NAME "=" expr { "," NAME "=" expr }
//            | ("def" | "module") NAME [ axes ] params "->" type body
//            | "part" partbind { "," partbind }
//            | "entry" NAME params [ "->" type ] ( "=" result | "{" { stmt NEWLINE } result "}" ) ;
// result     = expr
//            | "minimize" expr [ "per" expr ]
//            | "generate" NAME ":" type [ "from" expr ] [ "until" ends ] "by" expr [ "with" options ] ;
// ends       = expr | "{" expr { "," expr } "}" ;
// axisbind   = NAME ( "=" expr | "=" "{" NAME { "," NAME } "}" | "<=" expr ) ;
// axes       = "[" [ axisitem { "," axisitem } ] "]" ;
// axisitem   = NAME | "(" NAME { "," NAME } ")" ;
// type       = [ NAME ] [ axes ] ;
// params     = "(" [ param { "," param } ] ")" ;
// param      = NAME ( axes | [ ":" type ] ) [ "=" expr ] ;
// body       = "=" expr | "{" { stmt NEWLINE } expr "}" ;
// stmt       = "param" pbind { "," pbind } | "part" partbind { "," partbind }
//            | NAME [ axes ] "=" expr | "(" NAME { "," NAME } ")" "=" expr
//            | "for" NAME "in" NAME "{" { stmt NEWLINE } "}" ;
// pbind      = NAME axes [ ("=" | "~") expr ] [ "as" STRING ] ;
// partbind   = NAME [ axes ] "=" NAME [ axes ] [ "as" STRING ] ;
// options    = NAME "=" expr { "," NAME "=" expr } ;
//
// expr       = and { "or" and } ;
// and        = not { "and" not } ;
// not        = "not" not | compare ;
// compare    = add [ ("<" | "<=" | ">" | ">=" | "==" | "!=") add ] ;
// add        = mul { ("+" | "-") mul } ;
// mul        = contract { ("*" | "/" | "//" | "%") contract } ;
// contract   = unary [ "@" ( NAME | axes ) unary ] ;
// unary      = "-" unary | postfix [ "^" unary ] ;
// postfix    = primary { "(" [ expr { "," expr } ] ")"
//                      | "[" items [ "|" expr ] "]"
//                      | "[" items "->" items "]"
//                      | "[" expr { "," expr } "]" } ;
// primary    = NUMBER | "true" | "false" | NAME | "(" expr ")" | "|" NAME "|" ;
// items      = axisitem { "," axisitem } ;
// NAME       = letter { letter | digit } { "'" } ;
// letter     = "A" | ... | "Z" | "a" | ... | "z" | "_" ;
//
// Errors: a function that fails has reported and returns null or false; its callers return at once, and the
// parser goes on at the next statement or declaration. What a bracket means, and whether names exist, is not
// decided here.
#include "frontend/parser.h"

#include "frontend/expression_parser.h"

namespace heed::frontend {
namespace {

class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  SyntaxTree Program() {
    SyntaxTree tree;
    SkipNewlines();
    while (!At(TokenKind::End)) {
      Decl decl;
      decl.loc = Here();
      TakeComments(Peek().loc.offset, decl.comments, decl.blank_before);
      const bool ok = Declaration(decl) && EndOfLine("declaration", decl.kind != DeclKind::Function &&
                                                                        decl.kind != DeclKind::Entry);
      decl.loc = Span(decl.loc, Last());
      if (ok) {
        decl.trailing_comment = TakeTrailingComment(decl.loc.offset, &decl.comments);
        tree.decls.push_back(std::move(decl));
      } else {
        SkipToDeclaration();
      }
      SkipNewlines();
    }
    bool blank = false;
    TakeComments(Peek().loc.offset + 1, tree.final_comments, blank);
    if (blank && !tree.final_comments.empty()) tree.final_comments.insert(tree.final_comments.begin(), "");
    return tree;
  }

 private:
  // ---- Declarations
  bool Declaration(Decl& decl) {
    switch (Peek().kind) {
      case TokenKind::KeywordImport:
        decl.kind = DeclKind::Import;
        Advance();
        return Quoted(decl.import, "the name of a file in quotes");
      case TokenKind::KeywordAxis:
        decl.kind = DeclKind::Axis;
        Advance();
        return Commas([&] { return AxisBinding(decl.axes.emplace_back()); });
      case TokenKind::KeywordConst:
        decl.kind = DeclKind::Const;
        Advance();
        return Commas([&] {
          ConstBind& bind = decl.consts.emplace_back();
          return NeedName(bind.name) && Need(TokenKind::Assign) && (bind.value = Expression()) != nullptr;
        });
      case TokenKind::KeywordPart:
        decl.kind = DeclKind::Part;
        Advance();
        return Commas([&] { return PartBinding(decl.parts.emplace_back()); });
      case TokenKind::KeywordDef:
      case TokenKind::KeywordModule:
        decl.kind = DeclKind::Function;
        return Function(*(decl.function = std::make_unique<FunctionDecl>()));
      case TokenKind::KeywordEntry:
        decl.kind = DeclKind::Entry;
        return EntryPoint(*(decl.entry = std::make_unique<EntryDecl>()));
      default:
        break;
    }
    Diagnostic* message = Unexpected("a declaration (" + DeclarationKeywords() + ")");
    if (message != nullptr && At(TokenKind::KeywordParam)) {
      message->notes.push_back("parameters are declared inside a module");
    }
    return false;
  }
  bool AxisBinding(AxisBind& bind) {
    if (!NeedName(bind.name, "the name of an axis")) return false;
    if (Eat(TokenKind::LessEqual)) {
      bind.kind = AxisBindKind::Dynamic;
      return (bind.size = Expression()) != nullptr;
    }
    if (!Eat(TokenKind::Assign)) {
      Unexpected("`=` or `<=`");
      return false;
    }
    const Loc open = Here();
    if (!Eat(TokenKind::LeftBrace)) {
      bind.kind = AxisBindKind::Static;
      return (bind.size = Expression()) != nullptr;
    }
    bind.kind = AxisBindKind::Enumerated;
    SkipNewlines();
    if (!Commas([&] { return NeedName(bind.enumerators.emplace_back(), "the name of an element"); }))
      return false;
    SkipNewlines();
    return Close(TokenKind::RightBrace, open, "`,`");
  }
  bool Function(FunctionDecl& function) {
    function.is_module = Peek().kind == TokenKind::KeywordModule;
    Advance();
    if (!Header(function)) {
      // The body may still hold mistakes worth telling: go on in it, if there is one.
      while (!At(TokenKind::End) && !At(TokenKind::Newline) && !At(TokenKind::LeftBrace) &&
             !BeginsDeclaration()) {
        Advance();
      }
      if (At(TokenKind::LeftBrace))
        Block(function.body, function.open_comment, function.final_comments, true);
      return false;
    }
    if (Eat(TokenKind::Assign)) {
      function.expression_body = true;
      Stmt& result = function.body.emplace_back();
      result.kind = StmtKind::Result;
      result.loc = Here();
      result.value = Expression();
      if (result.value == nullptr) return false;
      result.loc = result.value->loc;
      return true;
    }
    if (!At(TokenKind::LeftBrace)) {
      Unexpected("`{` or `=`");
      return false;
    }
    return Block(function.body, function.open_comment, function.final_comments, true);
  }
  bool Header(FunctionDecl& function) {
    if (!NeedName(function.name) || (At(TokenKind::LeftBracket) && !Axes(function.axes)) ||
        !Params(function.params))
      return false;
    if (Eat(TokenKind::Arrow)) return Type(function.result, true);
    if (Diagnostic* message = Unexpected("`->`"))
      message->notes.push_back("a function declares the axes of its result: `" + function.name.text +
                               "(...) -> [a, b]`, or `-> []` for a number");
    return false;
  }
  bool EntryPoint(EntryDecl& entry) {
    Advance();
    if (!NeedName(entry.name) || !Params(entry.params)) return false;
    if (Eat(TokenKind::Arrow) && !Type(entry.result.emplace(), true)) return false;
    if (Eat(TokenKind::Assign)) return EntryResult(entry);
    if (!At(TokenKind::LeftBrace)) {
      Unexpected("`{` or `=`");
      return false;
    }
    entry.has_body = true;
    return Block(entry.body, entry.open_comment, entry.final_comments, true, &entry);
  }
  bool EntryResult(EntryDecl& entry) {
    if (entry.result && (At(TokenKind::KeywordMinimize) || At(TokenKind::KeywordGenerate))) {
      if (Diagnostic* message = Unexpected("an expression"))
        message->notes.push_back("only an entry that computes a value declares its type");
      return false;
    }
    if (Eat(TokenKind::KeywordMinimize)) {
      entry.kind = EntryKind::Minimize;
      if ((entry.value = Expression()) == nullptr) return false;
      return !EatClause(TokenKind::KeywordPer) || (entry.per = Expression()) != nullptr;
    }
    if (!Eat(TokenKind::KeywordGenerate)) {
      entry.kind = EntryKind::Value;
      return (entry.value = Expression()) != nullptr;
    }
    entry.kind = EntryKind::Generate;
    if (!NeedName(entry.variable) || !Need(TokenKind::Colon) || !Type(entry.type, false)) return false;
    if (EatClause(TokenKind::KeywordFrom) && (entry.from = Expression()) == nullptr) return false;
    if (EatClause(TokenKind::KeywordUntil) && !Ends(entry.until)) return false;
    if (!EatClause(TokenKind::KeywordBy)) {
      Unexpected(!entry.until.empty()    ? "`by`"
                 : entry.from != nullptr ? "`until` or `by`"
                                         : "`from`, `until` or `by`");
      return false;
    }
    if ((entry.value = Expression()) == nullptr) return false;
    if (!EatClause(TokenKind::KeywordWith)) return true;
    return Commas([&] {
      Option& option = entry.options.emplace_back();
      return NeedName(option.name, "the name of an option") && Need(TokenKind::Assign) &&
             (option.value = Expression()) != nullptr;
    });
  }
  bool Ends(std::vector<ExprPtr>& ends) {
    const auto one = [&] { return ends.emplace_back(Expression()) != nullptr; };
    const Loc open = Here();
    if (!Eat(TokenKind::LeftBrace)) return one();
    return Commas(one) && Close(TokenKind::RightBrace, open, "`,`");
  }
  bool Params(std::vector<ParamDecl>& params) {
    const Loc open = Here();
    if (!Need(TokenKind::LeftParen)) return false;
    if (Eat(TokenKind::RightParen)) return true;
    const bool ok = Commas([&] {
      ParamDecl& param = params.emplace_back();
      if (!NeedName(param.name, "the name of an argument")) return false;
      param.type.loc = param.name.loc;
      if (At(TokenKind::LeftBracket)) {
        param.type.has_axes = true;
        const Loc start = Here();
        if (!Axes(param.type.axes)) return false;
        param.type.loc = Span(start, Last());
      } else if (Eat(TokenKind::Colon) && !Type(param.type, true)) {
        return false;
      }
      return !Eat(TokenKind::Assign) || (param.default_value = Expression()) != nullptr;
    });
    return ok && Close(TokenKind::RightParen, open, "`,`");
  }
  bool Type(TypeExpr& type, bool number_allowed) {
    type.loc = Here();
    if (!At(TokenKind::Name) && !At(TokenKind::LeftBracket)) {
      Unexpected("a type, such as `[model]` or `vocab[seq]`");
      return false;
    }
    if (At(TokenKind::Name)) NeedName(type.element.emplace());
    if (At(TokenKind::LeftBracket)) {
      type.has_axes = true;
      if (!Axes(type.axes)) return false;
    } else if (!number_allowed) {
      Unexpected("`[`");
      return false;
    }
    type.loc = Span(type.loc, Last());
    return true;
  }
  bool Alias(std::optional<Name>& alias) {
    return !Eat(TokenKind::KeywordAs) || Quoted(alias.emplace(), "a name in quotes");
  }
  bool Quoted(Name& name, const std::string& expected) {
    if (!At(TokenKind::String)) {
      Unexpected(expected);
      return false;
    }
    std::string text = TextAt(Here()).substr(1);
    if (!text.empty() && text.back() == '"') text.pop_back();
    name = {text, Here()};
    Advance();
    return true;
  }
  bool PartBinding(PartBind& bind) {
    return NeedName(bind.name, "the name of a part") && (!At(TokenKind::LeftBracket) || Axes(bind.stack)) &&
           Need(TokenKind::Assign) && NeedName(bind.module, "the name of a module") &&
           (!At(TokenKind::LeftBracket) || Axes(bind.axes)) && Alias(bind.alias);
  }
  bool ParamBinding(ParamBind& bind) {
    if (!NeedName(bind.name, "the name of a parameter")) return false;
    if (!At(TokenKind::LeftBracket)) {
      if (Diagnostic* message = Unexpected("`[`")) {
        message->notes.push_back("a parameter lists its axes; `" + bind.name.text + "[]` is a single number");
      }
      return false;
    }
    if (!Axes(bind.axes)) return false;
    if (At(TokenKind::Assign) || At(TokenKind::Tilde)) {
      bind.init = At(TokenKind::Assign) ? '=' : '~';
      Advance();
      if ((bind.init_value = Expression()) == nullptr) return false;
    }
    return Alias(bind.alias);
  }

  // ---- Statements
  /// `{ statements }`; with `result`, the last one is an expression, or what `entry` gives.
  bool Block(std::vector<Stmt>& body, std::string& open_comment, std::vector<std::string>& final_comments,
             bool result, EntryDecl* entry = nullptr) {
    const Loc open = Here();
    Advance();  // {
    open_comment = TakeTrailingComment(open.offset, nullptr);
    const int errors = diagnostics_.errors();
    SkipNewlines();
    while (!At(TokenKind::RightBrace)) {
      if (At(TokenKind::End) || BeginsDeclaration()) {
        if (diagnostics_.errors() == errors) {
          diagnostics_.Report(DiagnosticKind::UnclosedBracket, open, "`{` is never closed by a `}`");
        }
        complained_at_ = at_;
        return false;
      }
      Stmt stmt;
      stmt.loc = Here();
      TakeComments(Here().offset, stmt.comments, stmt.blank_before);
      const size_t start = at_;
      if (Statement(stmt, entry) &&
          (At(TokenKind::RightBrace) ||
           EndOfLine("statement", stmt.kind == StmtKind::Param || stmt.kind == StmtKind::Part))) {
        stmt.loc = Span(
            stmt.loc, list_.tokens[at_ - 1].kind == TokenKind::Newline ? list_.tokens[at_ - 2].loc : Last());
        stmt.trailing_comment = TakeTrailingComment(stmt.loc.offset, &stmt.comments);
        body.push_back(std::move(stmt));
      } else {
        SkipToStatement(start, list_.tokens[start].column);
      }
      SkipNewlines();
    }
    bool blank = false;
    TakeComments(Here().offset, final_comments, blank);
    if (!final_comments.empty() && final_comments.back().empty()) final_comments.pop_back();
    for (size_t i = 0; i < body.size(); ++i) {
      if (body[i].kind != StmtKind::Result || (result && i + 1 == body.size())) continue;
      Diagnostic& message =
          diagnostics_.Report(DiagnosticKind::UnusedValue, body[i].loc, "the value of this line is not used");
      message.notes.push_back(
          !result ? "a loop has no result; rebind a name: `x = ...`"
          : entry ? "an entry gives one thing, in its last line; give this one a name: `x = ...`"
                  : "only the last line of a body is its result; give this one a name: `x = ...`");
    }
    if (result && diagnostics_.errors() == errors && (body.empty() || body.back().kind != StmtKind::Result)) {
      Diagnostic& message =
          diagnostics_.Report(DiagnosticKind::MissingResult, Here(), "the body ends without a result");
      message.notes.push_back("its last line is the expression that is the result");
    }
    Advance();  // }
    return true;
  }
  /// NAME [ ... ] = : the axes of a two-way broadcast are announced.
  bool AtAnnounced() const {
    if (Peek(1).kind != TokenKind::LeftBracket) return false;
    size_t i = 2;
    for (int depth = 1; depth > 0; ++i) {
      switch (Peek(i).kind) {
        case TokenKind::LeftBracket:
          ++depth;
          break;
        case TokenKind::RightBracket:
          --depth;
          break;
        case TokenKind::Newline:
        case TokenKind::End:
          return false;
        default:
          break;
      }
    }
    return Peek(i).kind == TokenKind::Assign;
  }
  bool AtTuple() const {
    if (!At(TokenKind::LeftParen)) return false;
    size_t i = 1;
    while (Peek(i).kind == TokenKind::Name && Peek(i + 1).kind == TokenKind::Comma) i += 2;
    return Peek(i).kind == TokenKind::Name && Peek(i + 1).kind == TokenKind::RightParen &&
           Peek(i + 2).kind == TokenKind::Assign;
  }
  bool Statement(Stmt& stmt, EntryDecl* entry) {
    switch (Peek().kind) {
      case TokenKind::KeywordParam:
        stmt.kind = StmtKind::Param;
        Advance();
        return Commas([&] { return ParamBinding(stmt.params.emplace_back()); });
      case TokenKind::KeywordPart:
        stmt.kind = StmtKind::Part;
        Advance();
        return Commas([&] { return PartBinding(stmt.parts.emplace_back()); });
      case TokenKind::KeywordFor:
        return Loop(stmt);
      case TokenKind::LeftParen:
        if (!AtTuple()) break;
        stmt.kind = StmtKind::Tuple;
        Advance();
        if (!Commas([&] { return NeedName(stmt.names.emplace_back()); })) return false;
        return Need(TokenKind::RightParen) && Need(TokenKind::Assign) &&
               (stmt.value = Expression()) != nullptr;
      case TokenKind::Name:
        if (Peek(1).kind != TokenKind::Assign && !AtAnnounced()) break;
        stmt.kind = StmtKind::Let;
        NeedName(stmt.names.emplace_back());
        if (At(TokenKind::LeftBracket) && !Axes(stmt.announced.emplace())) return false;
        return Need(TokenKind::Assign) && (stmt.value = Expression()) != nullptr;
      default:
        break;
    }
    stmt.kind = StmtKind::Result;
    if (entry != nullptr) return EntryResult(*entry);
    return (stmt.value = Expression()) != nullptr;
  }
  bool Loop(Stmt& stmt) {
    stmt.kind = StmtKind::For;
    const Loc start = Here();
    Advance();
    if (!NeedName(stmt.names.emplace_back(), "the name of the loop's variable") ||
        !Need(TokenKind::KeywordIn) || !NeedName(stmt.axis, "the name of an axis")) {
      return false;
    }
    if (!At(TokenKind::LeftBrace)) return Need(TokenKind::LeftBrace);
    if (TooDeep(start)) return false;
    ++nesting_;
    const bool ok = Block(stmt.body, stmt.open_comment, stmt.final_comments, false);
    --nesting_;
    return ok;
  }
};

}  // namespace

SyntaxTree Parse(const SourceFile& file, Diagnostics& diagnostics) {
  return Parser(file, diagnostics).Program();
}

}  // namespace heed::frontend
