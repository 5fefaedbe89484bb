// The parser: recursive descent over the tokens of one file. This is the grammar (docs/language.md repeats
// it; a test compares the two):
//
// program    = { declaration NEWLINE } ;
// declaration= "axis"  axisbind { "," axisbind }
//            | "const" NAME "=" expr { "," NAME "=" expr }
//            | ("def" | "module") NAME [ axes ] params "->" type body
//            | "part" partbind { "," partbind }
//            | "entry" NAME params "=" ( "minimize" expr [ "per" expr ]
//                                      | "generate" NAME ":" type [ "from" expr ] [ "until" expr ] "by" expr
//                                        [ "with" options ]
//                                      | expr ) ;
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
// mul        = contract { ("*" | "/" | "%") contract } ;
// contract   = unary [ "@" ( NAME | axes ) unary ] ;
// unary      = "-" unary | postfix [ "^" unary ] ;
// postfix    = primary { "(" [ expr { "," expr } ] ")"
//                      | "[" items [ "|" expr ] "]"
//                      | "[" items "->" items "]"
//                      | "[" expr "]" } ;
// primary    = NUMBER | "true" | "false" | NAME | "(" expr ")" | "|" NAME "|" ;
// items      = axisitem { "," axisitem } ;
// NAME       = letter { letter | digit | "_" } { "'" } ;
//
// Errors: a function that fails has reported and returns null or false; its callers return at once, and the
// parser goes on at the next statement or declaration. What a bracket means, and whether names exist, is not
// decided here.
#include "frontend/parser.h"

#include <algorithm>
#include <initializer_list>

#include "frontend/lexer.h"

namespace heed::frontend {
namespace {

constexpr int kMaxNesting = 200;  // brackets and loops within one another
constexpr int kMaxHeight = 1500;  // of an expression's tree: later stages recurse over it

class Parser {
 public:
  Parser(const SourceFile& file, Diagnostics& diagnostics)
      : file_(file), diagnostics_(diagnostics), list_(Lex(file, diagnostics)) {}

  SyntaxTree Program() {
    SyntaxTree tree;
    SkipNewlines();
    while (!At(TokenKind::End)) {
      Decl decl;
      decl.loc = Here();
      TakeComments(Peek().loc.offset, decl.comments, decl.blank_before);
      const bool ok = Declaration(decl) && EndOfLine("declaration");
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
  // ---- Tokens
  const Token& Peek(size_t ahead = 0) const {
    return list_.tokens[std::min(at_ + ahead, list_.tokens.size() - 1)];
  }
  bool At(TokenKind kind) const { return Peek().kind == kind; }
  Loc Here() const { return Peek().loc; }
  Loc Last() const { return at_ == 0 ? Here() : list_.tokens[at_ - 1].loc; }
  bool Eat(TokenKind kind) {
    if (!At(kind)) return false;
    Advance();
    return true;
  }
  void Advance() {
    if (at_ + 1 < list_.tokens.size()) ++at_;
  }
  void SkipNewlines() {
    while (At(TokenKind::Newline)) Advance();
  }
  std::string TextAt(Loc loc) const { return file_.text().substr(loc.offset, loc.length); }
  std::string Found() const {
    const Token& token = Peek();
    std::string text = TextAt(token.loc);
    switch (token.kind) {
      case TokenKind::Newline:
      case TokenKind::End:
        return Describe(token.kind);
      case TokenKind::String:
        return "a string";
      default:
        if (text.size() > 40) text = text.substr(0, 37) + "...";
        return (IsKeyword(token.kind) ? "the keyword `" : "`") + text + "`";
    }
  }
  /// Reports that something else was expected; a second complaint about one token would only repeat the
  /// first.
  Diagnostic* Unexpected(const std::string& expected) {
    if (complained_at_ == at_) return nullptr;
    complained_at_ = at_;
    Loc loc = Here();
    if (loc.length == 0 && loc.offset > 0) {  // the end of the file: show the last token instead
      loc = {&file_, std::max(Last().offset + Last().length, 1u) - 1, 1};
    }
    return &diagnostics_.Report(DiagnosticKind::UnexpectedToken, loc,
                                "expected " + expected + ", found " + Found());
  }
  bool Need(TokenKind kind, const std::string& also = "") {
    if (Eat(kind)) return true;
    Unexpected((also.empty() ? "" : also + " or ") + Describe(kind));
    return false;
  }
  bool Close(TokenKind kind, Loc open, const std::string& also = "") {
    if (Eat(kind)) return true;
    if (At(TokenKind::End) || At(TokenKind::Newline)) {
      if (complained_at_ == at_) return false;
      complained_at_ = at_;
      diagnostics_.Report(DiagnosticKind::UnclosedBracket, open,
                          "`" + TextAt(open) + "` is never closed by a " + Describe(kind));
      return false;
    }
    if (Diagnostic* message = Unexpected((also.empty() ? "" : also + " or ") + Describe(kind))) {
      message->labels.push_back({open, "to close this"});
    }
    return false;
  }
  bool NeedName(Name& name, const std::string& what = "a name") {
    if (At(TokenKind::Name)) {
      name = {TextAt(Here()), Here()};
      Advance();
      return true;
    }
    if (IsKeyword(Peek().kind) && !At(TokenKind::KeywordTrue) && !At(TokenKind::KeywordFalse)) {
      if (complained_at_ == at_) return false;
      complained_at_ = at_;
      diagnostics_.Report(DiagnosticKind::KeywordAsName, Here(),
                          "expected " + what + ", found the keyword `" + TextAt(Here()) + "`");
      return false;
    }
    Unexpected(what);
    return false;
  }
  template <typename Item>
  bool Commas(Item item) {
    do {
      if (!item()) return false;
    } while (Eat(TokenKind::Comma));
    return true;
  }

  // ---- Comments and recovery
  bool BlankBetween(uint32_t first, uint32_t last, int newlines_allowed = 1) const {
    const std::string& text = file_.text();
    int newlines = 0;
    for (uint32_t i = first; i < last && i < text.size(); ++i) newlines += text[i] == '\n';
    return newlines > newlines_allowed;
  }
  /// Comments before `offset` not yet taken, a blank line between two as "".
  void TakeComments(uint32_t offset, std::vector<std::string>& comments, bool& blank_before) {
    uint32_t end = taken_to_;
    bool first = true;
    while (comment_ < list_.comments.size() && list_.comments[comment_].offset < offset) {
      const Comment& comment = list_.comments[comment_++];
      const bool blank = BlankBetween(end, comment.offset);
      if (first) {
        blank_before = blank;
      } else if (blank) {
        comments.emplace_back();
      }
      first = false;
      comments.push_back(comment.text);
      end = comment.offset + static_cast<uint32_t>(comment.text.size());
    }
    const bool blank = BlankBetween(end, offset);
    if (first) {
      blank_before = blank;
    } else if (blank && offset < file_.text().size()) {
      comments.emplace_back();
    }
    taken_to_ = offset;
  }
  /// The comment behind the statement that was just read, on its last line; comments inside it go to
  /// `inside`.
  std::string TakeTrailingComment(uint32_t start, std::vector<std::string>* inside) {
    const bool at_newline = at_ > 0 && list_.tokens[at_ - 1].kind == TokenKind::Newline;
    const Loc last = list_.tokens[at_ - (at_newline && at_ > 1 ? 2 : 1)].loc;
    const uint32_t end = last.offset + last.length;
    while (inside != nullptr && comment_ < list_.comments.size() && list_.comments[comment_].offset < end) {
      const Comment& comment = list_.comments[comment_++];
      if (comment.offset >= start) inside->push_back(comment.text);
    }
    taken_to_ = end;
    if (comment_ >= list_.comments.size() || !(at_newline || At(TokenKind::Newline) || At(TokenKind::End)))
      return "";
    const Comment& comment = list_.comments[comment_];
    if (comment.own_line || BlankBetween(end, comment.offset, 0)) return "";
    ++comment_;
    taken_to_ = comment.offset + static_cast<uint32_t>(comment.text.size());
    return comment.text;
  }
  bool BeginsDeclaration(bool part = false) const {
    switch (Peek().kind) {
      case TokenKind::KeywordAxis:
      case TokenKind::KeywordConst:
      case TokenKind::KeywordDef:
      case TokenKind::KeywordModule:
      case TokenKind::KeywordEntry:
        return Peek().first_on_line;
      case TokenKind::KeywordPart:
        return part && Peek().first_on_line && Peek().column == 0;
      default:
        return false;
    }
  }
  void SkipToDeclaration() {
    while (!At(TokenKind::End) && !BeginsDeclaration(true)) Advance();
    SkippedTo();
  }
  /// After an error in a statement that begins in `column`: to the next line that is not a continuation of
  /// it.
  void SkipToStatement(size_t start, int column) {
    if (at_ == start) Advance();
    int depth = 0;
    while (!At(TokenKind::End) && !BeginsDeclaration()) {
      if (depth == 0 && (At(TokenKind::Newline) || At(TokenKind::RightBrace))) break;
      if (Peek().first_on_line && Peek().column <= column && depth == 0) break;
      if (At(TokenKind::LeftBrace)) ++depth;
      if (At(TokenKind::RightBrace)) --depth;
      Advance();
    }
    SkippedTo();
  }
  void SkippedTo() {
    while (comment_ < list_.comments.size() && list_.comments[comment_].offset < Here().offset) ++comment_;
    taken_to_ = Here().offset;
  }
  /// A keyword that continues an entry, also at the start of the next line.
  bool EatClause(TokenKind keyword) {
    if (At(TokenKind::Newline) && Peek(1).kind == keyword) Advance();
    return Eat(keyword);
  }
  bool EndOfLine(const char* after) {
    if (Eat(TokenKind::Newline) || At(TokenKind::End)) return true;
    Unexpected("the end of the " + std::string(after));
    return false;
  }
  /// True (and reported) if nesting got too deep.
  bool TooDeep(Loc loc) {
    if (nesting_ < kMaxNesting) return false;
    if (complained_at_ != at_) {
      complained_at_ = at_;
      diagnostics_.Report(DiagnosticKind::TooDeep, loc,
                          "nested more than " + std::to_string(kMaxNesting) + " levels deep");
    }
    return true;
  }

  // ---- Declarations
  bool Declaration(Decl& decl) {
    switch (Peek().kind) {
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
    Diagnostic* message = Unexpected("a declaration (`axis`, `const`, `def`, `module`, `part` or `entry`)");
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
    return NeedName(function.name) && (!At(TokenKind::LeftBracket) || Axes(function.axes)) &&
           Params(function.params) && Need(TokenKind::Arrow) && Type(function.result, true);
  }
  bool EntryPoint(EntryDecl& entry) {
    Advance();
    if (!NeedName(entry.name) || !Params(entry.params)) return false;
    if (At(TokenKind::Arrow)) {
      if (Diagnostic* message = Unexpected("`=`")) {
        message->notes.push_back("an entry declares no result type: it is that of its expression");
      }
      return false;
    }
    if (!Need(TokenKind::Assign)) return false;
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
    if (EatClause(TokenKind::KeywordUntil) && (entry.until = Expression()) == nullptr) return false;
    if (!EatClause(TokenKind::KeywordBy)) {
      Unexpected(entry.until != nullptr  ? "`by`"
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
  bool Item(AxisItem& item) {
    item.loc = Here();
    if (!At(TokenKind::LeftParen)) {
      if (!NeedName(item.names.emplace_back(), "the name of an axis")) return false;
      return true;
    }
    Advance();
    item.group = true;
    const Loc open = item.loc;
    if (!Commas([&] { return NeedName(item.names.emplace_back(), "the name of an axis"); })) return false;
    if (!Close(TokenKind::RightParen, open, "`,`")) return false;
    item.loc = Span(open, Last());
    return true;
  }
  bool Items(AxisItems& items) {
    return Commas([&] { return Item(items.emplace_back()); });
  }
  bool Axes(AxisItems& axes) {
    const Loc open = Here();
    if (!Need(TokenKind::LeftBracket)) return false;
    if (Eat(TokenKind::RightBracket)) return true;
    return Items(axes) && Close(TokenKind::RightBracket, open, "`,`");
  }
  bool Alias(std::optional<Name>& alias) {
    if (!Eat(TokenKind::KeywordAs)) return true;
    if (!At(TokenKind::String)) {
      Unexpected("a name in quotes");
      return false;
    }
    std::string text = TextAt(Here()).substr(1);
    if (!text.empty() && text.back() == '"') text.pop_back();
    alias = Name{text, Here()};
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
  /// `{ statements }`; with `result`, the last one is an expression.
  bool Block(std::vector<Stmt>& body, std::string& open_comment, std::vector<std::string>& final_comments,
             bool result) {
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
      if (Statement(stmt) && (At(TokenKind::RightBrace) || EndOfLine("statement"))) {
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
          result ? "only the last line of a body is its result; give this one a name: `x = ...`"
                 : "a loop has no result; rebind a name: `x = ...`");
    }
    if (result && diagnostics_.errors() == errors && (body.empty() || body.back().kind != StmtKind::Result)) {
      Diagnostic& message =
          diagnostics_.Report(DiagnosticKind::MissingResult, Here(), "the body ends without a result");
      message.notes.push_back("its last line is the expression that is the result");
    }
    Advance();  // }
    return true;
  }
  bool ItemsThen(TokenKind first, TokenKind second, TokenKind third) const {
    // From the token after an open bracket: axis items, then one of the three kinds? Nothing is consumed.
    size_t i = 0;
    while (true) {
      if (Peek(i).kind == TokenKind::LeftParen) {
        do {
          if (Peek(++i).kind != TokenKind::Name) return false;
        } while (Peek(++i).kind == TokenKind::Comma);
        if (Peek(i++).kind != TokenKind::RightParen) return false;
      } else if (Peek(i++).kind != TokenKind::Name) {
        return false;
      }
      const TokenKind next = Peek(i).kind;
      if (next == TokenKind::Comma) {
        ++i;
        continue;
      }
      return next == first || next == second || next == third;
    }
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
  bool Statement(Stmt& stmt) {
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

  // ---- Expressions
  ExprPtr New(ExprKind kind, Loc loc, Loc op_loc) {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->loc = loc;
    expr->op_loc = op_loc;
    return expr;
  }
  /// Adds a child; the tree's height is bounded because everything later recurses over it.
  bool Adopt(Expr& parent, ExprPtr child) {
    if (child == nullptr) return false;
    parent.height = std::max(parent.height, child->height + 1);
    const Loc loc = child->loc;
    parent.children.push_back(std::move(child));
    return Bounded(parent, loc);
  }
  bool Bounded(const Expr& expr, Loc loc) {
    if (expr.height <= kMaxHeight) return true;
    if (complained_at_ != at_) {
      complained_at_ = at_;
      Diagnostic& message = diagnostics_.Report(
          DiagnosticKind::TooDeep, {loc.file, loc.offset, 1},
          "expression of more than " + std::to_string(kMaxHeight) + " levels of operations");
      message.notes.push_back("give its parts names");
    }
    return false;
  }
  ExprPtr Binary(ExprPtr left, ExprPtr (Parser::*right)()) {
    const Loc op = Here();
    Advance();
    ExprPtr expr = New(ExprKind::Binary, left->loc, op);
    expr->op = TextAt(op);
    if (!Adopt(*expr, std::move(left)) || !Adopt(*expr, (this->*right)())) return nullptr;
    expr->loc = Span(expr->loc, Last());
    return expr;
  }
  ExprPtr LeftAssociative(std::initializer_list<TokenKind> operators, ExprPtr (Parser::*operand)()) {
    ExprPtr left = (this->*operand)();
    while (left != nullptr && std::find(operators.begin(), operators.end(), Peek().kind) != operators.end()) {
      left = Binary(std::move(left), operand);
    }
    return left;
  }
  ExprPtr Expression() {
    if (TooDeep(Here())) return nullptr;
    ++nesting_;
    ExprPtr expr = LeftAssociative({TokenKind::KeywordOr}, &Parser::And);
    --nesting_;
    return expr;
  }
  ExprPtr And() { return LeftAssociative({TokenKind::KeywordAnd}, &Parser::Not); }
  ExprPtr Prefix(ExprPtr (Parser::*operand)()) {
    const Loc op = Here();
    if (TooDeep(op)) return nullptr;
    Advance();
    ++nesting_;
    ExprPtr expr = New(ExprKind::Unary, op, op);
    expr->op = TextAt(op);
    const bool ok = Adopt(*expr, (this->*operand)());
    --nesting_;
    if (!ok) return nullptr;
    expr->loc = Span(op, Last());
    return expr;
  }
  ExprPtr Not() { return At(TokenKind::KeywordNot) ? Prefix(&Parser::Not) : Compare(); }
  bool AtComparison() const {
    switch (Peek().kind) {
      case TokenKind::Less:
      case TokenKind::LessEqual:
      case TokenKind::Greater:
      case TokenKind::GreaterEqual:
      case TokenKind::Equal:
      case TokenKind::NotEqual:
        return true;
      default:
        return false;
    }
  }
  ExprPtr Compare() {
    ExprPtr left = Sum();
    if (left == nullptr || !AtComparison()) return left;
    const Loc first = Here();
    left = Binary(std::move(left), &Parser::Sum);
    if (left != nullptr && AtComparison() && complained_at_ != at_) {
      Diagnostic& message =
          diagnostics_.Report(DiagnosticKind::ChainedComparison, Here(), "comparisons are not chained");
      message.labels.push_back({first, "the first comparison"});
      message.notes.push_back("write `a < b and b < c`");
      complained_at_ = at_;
      return nullptr;
    }
    return left;
  }
  ExprPtr Sum() { return LeftAssociative({TokenKind::Plus, TokenKind::Minus}, &Parser::Product); }
  ExprPtr Product() {
    return LeftAssociative({TokenKind::Star, TokenKind::Slash, TokenKind::Percent}, &Parser::Contraction);
  }
  ExprPtr Contraction() {
    ExprPtr left = UnaryOperand();
    if (left == nullptr || !At(TokenKind::At)) return left;
    const Loc op = Here();
    Advance();
    ExprPtr expr = New(ExprKind::Contract, left->loc, op);
    if (At(TokenKind::LeftBracket)) {
      if (!Axes(expr->items)) return nullptr;
      if (expr->items.empty()) {
        diagnostics_.Report(DiagnosticKind::UnexpectedToken, Last(),
                            "expected the axes to contract, found none");
        return nullptr;
      }
    } else {
      AxisItem& item = expr->items.emplace_back();
      if (!NeedName(item.names.emplace_back(), "the axis to contract")) return nullptr;
      item.loc = Last();
    }
    expr->op_loc = Span(op, Last());
    if (!Adopt(*expr, std::move(left)) || !Adopt(*expr, UnaryOperand())) return nullptr;
    expr->loc = Span(expr->loc, Last());
    if (!At(TokenKind::At)) return expr;
    if (complained_at_ != at_) {
      Diagnostic& message =
          diagnostics_.Report(DiagnosticKind::ChainedContraction, Here(), "chained @ needs parentheses");
      message.labels.push_back({op, "the first contraction"});
      message.notes.push_back("contraction is not associative: write `(a @i b) @j c` or `a @i (b @j c)`");
      complained_at_ = at_;
    }
    return nullptr;
  }
  ExprPtr UnaryOperand() {
    if (At(TokenKind::Minus)) return Prefix(&Parser::UnaryOperand);
    ExprPtr base = Postfix();
    if (base == nullptr || !At(TokenKind::Caret)) return base;
    if (TooDeep(Here())) return nullptr;
    ++nesting_;
    ExprPtr power = Binary(std::move(base), &Parser::UnaryOperand);
    --nesting_;
    return power;
  }
  ExprPtr Postfix() {
    ExprPtr expr = Primary();
    while (expr != nullptr && (At(TokenKind::LeftParen) || At(TokenKind::LeftBracket))) {
      // A bracket that begins a line belongs to a new statement; inside brackets newlines are not seen here.
      expr = At(TokenKind::LeftParen) ? Arguments(std::move(expr), nullptr) : Bracket(std::move(expr));
    }
    return expr;
  }
  /// ( arguments ) after `callee`; `call` already holds axis arguments if there were any.
  ExprPtr Arguments(ExprPtr callee, ExprPtr call) {
    const Loc open = Here();
    const Loc start = callee->loc;
    if (call == nullptr) call = New(ExprKind::Call, start, callee->op_loc);
    if (!Adopt(*call, std::move(callee))) return nullptr;
    Advance();
    if (!Eat(TokenKind::RightParen)) {
      if (!Commas([&] { return Adopt(*call, Expression()); })) return nullptr;
      if (!Close(TokenKind::RightParen, open, "`,`")) return nullptr;
    }
    call->loc = Span(start, Last());
    return call;
  }
  ExprPtr Bracket(ExprPtr before) {
    const Loc open = Here();
    const Loc start = before->loc;
    Advance();
    if (ItemsThen(TokenKind::Arrow, TokenKind::Arrow, TokenKind::Arrow)) {
      ExprPtr rename = New(ExprKind::Rename, start, open);
      if (!Items(rename->items) || !Need(TokenKind::Arrow) || !Items(rename->targets) ||
          !Close(TokenKind::RightBracket, open, "`,`") || !Adopt(*rename, std::move(before))) {
        return nullptr;
      }
      rename->loc = Span(start, Last());
      rename->op_loc = Span(open, Last());
      return rename;
    }
    if (ItemsThen(TokenKind::Bar, TokenKind::RightBracket, TokenKind::Bar) && !SingleIndex(*before)) {
      ExprPtr call = New(ExprKind::Call, start, before->op_loc);
      if (!Items(call->items)) return nullptr;
      if (Eat(TokenKind::Bar)) {
        call->predicate = Expression();
        if (call->predicate == nullptr) return nullptr;
        call->height = call->predicate->height + 1;
        if (!Bounded(*call, open)) return nullptr;
      }
      if (!Close(TokenKind::RightBracket, open)) return nullptr;
      if (At(TokenKind::LeftParen)) return Arguments(std::move(before), std::move(call));
      if (complained_at_ != at_) {
        Diagnostic& message = diagnostics_.Report(
            DiagnosticKind::AxesWithoutCall, Span(open, Last()),
            call->predicate != nullptr ? "a predicate needs a call" : "several axes need a call");
        message.labels.push_back({Last(), "expected `(` and arguments after this"});
        message.notes.push_back(
            "axis arguments precede the values: `softmax[pos | mask](x)`; `x[a -> b]` renames");
        complained_at_ = at_;
      }
      return nullptr;
    }
    ExprPtr index = New(ExprKind::Index, start, open);
    if (!Adopt(*index, std::move(before)) || !Adopt(*index, Expression())) return nullptr;
    if (!Close(TokenKind::RightBracket, open)) return nullptr;
    index->loc = Span(start, Last());
    index->op_loc = Span(open, Last());
    return index;
  }
  /// Just inside a bracket: is it `[name]` or `[(name)]` without a call of a named thing, i.e. an index?
  bool SingleIndex(const Expr& before) const {
    const bool group = At(TokenKind::LeftParen);
    const size_t end = group ? 3 : 1;
    if (group && Peek(2).kind != TokenKind::RightParen) return false;
    if (Peek(end).kind != TokenKind::RightBracket) return false;
    return Peek(end + 1).kind != TokenKind::LeftParen || before.kind != ExprKind::Name ||
           before.parenthesized;
  }
  ExprPtr Primary() {
    const Token& token = Peek();
    switch (token.kind) {
      case TokenKind::Number: {
        ExprPtr number = New(ExprKind::Number, token.loc, token.loc);
        number->number = token.number;
        number->is_whole = token.is_whole;
        Advance();
        return number;
      }
      case TokenKind::KeywordTrue:
      case TokenKind::KeywordFalse: {
        ExprPtr value = New(ExprKind::Bool, token.loc, token.loc);
        value->number = token.kind == TokenKind::KeywordTrue ? 1 : 0;
        Advance();
        return value;
      }
      case TokenKind::Name: {
        ExprPtr name = New(ExprKind::Name, token.loc, token.loc);
        name->name = TextAt(token.loc);
        Advance();
        return name;
      }
      case TokenKind::Bar: {
        const Loc open = token.loc;
        Advance();
        ExprPtr size = New(ExprKind::Size, open, open);
        frontend::Name name;
        if (!NeedName(name, "the name of an axis") || !Close(TokenKind::Bar, open)) return nullptr;
        size->name = name.text;
        size->op_loc = name.loc;
        size->loc = Span(open, Last());
        return size;
      }
      case TokenKind::LeftParen: {
        const Loc open = token.loc;
        Advance();
        ExprPtr inner = Expression();
        if (inner == nullptr || !Close(TokenKind::RightParen, open)) return nullptr;
        inner->parenthesized = true;
        inner->loc = Span(open, Last());
        return inner;
      }
      default:
        break;
    }
    Diagnostic* message = Unexpected("an expression");
    if (message == nullptr) return nullptr;
    if (token.kind == TokenKind::Star) message->notes.push_back("power is written `^`");
    if (token.kind == TokenKind::Assign) message->notes.push_back("equality is written `==`");
    if (token.kind == TokenKind::KeywordNot) message->notes.push_back("put `not ...` in parentheses here");
    return nullptr;
  }

  const SourceFile& file_;
  Diagnostics& diagnostics_;
  TokenList list_;
  size_t at_ = 0;
  size_t complained_at_ = static_cast<size_t>(-1);
  size_t comment_ = 0;     // first comment not yet taken
  uint32_t taken_to_ = 0;  // end of what the last comment or statement covered
  int nesting_ = 0;
};

}  // namespace

SyntaxTree Parse(const SourceFile& file, Diagnostics& diagnostics) {
  return Parser(file, diagnostics).Program();
}

}  // namespace heed::frontend
