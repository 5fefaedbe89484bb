// What every part of the parser stands on: a place in the list of tokens, complaints about what stands there,
// comments for the formatter, and the way forward after an error.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "frontend/ast.h"
#include "frontend/diagnostics.h"
#include "frontend/lexer.h"

namespace heed::frontend {

inline constexpr int kMaxNesting = 200;  ///< brackets and loops within one another
inline constexpr int kMaxHeight = 1500;  ///< of an expression's tree: later stages recurse over it

class TokenCursor {
 public:
  TokenCursor(const SourceFile& file, Diagnostics& diagnostics)
      : file_(file), diagnostics_(diagnostics), list_(Lex(file, diagnostics)) {
    for (const Diagnostic& error : diagnostics.all()) {
      if (error.loc.file == &file) lexical_errors_.push_back(error.loc.offset);
    }
  }

 protected:
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
    for (const uint32_t offset : lexical_errors_) {  // what was skipped there is the cause, and is reported
      if (offset < Here().offset && at_ > 0 && offset >= Last().offset) return nullptr;
    }
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
      if (BeginsItem())
        message->notes.push_back(std::string("a comma ") + (also.empty() ? "or an operator " : "") +
                                 "seems to be missing before " + Found());
    }
    return false;
  }
  /// A name or number, where a list may go on.
  bool BeginsItem() const { return At(TokenKind::Name) || At(TokenKind::Number); }
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
    const LineStart begins = Begins(Peek().kind);
    if (begins == LineStart::Declaration) return Peek().first_on_line;
    return begins == LineStart::Either && part && Peek().first_on_line && Peek().column == 0;
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
  /// `list`: several of a kind may stand on the line.
  bool EndOfLine(const char* after, bool list) {
    if (Eat(TokenKind::Newline) || At(TokenKind::End)) return true;
    Diagnostic* message = Unexpected("the end of the " + std::string(after));
    if (message == nullptr) return false;
    const std::string last = TextAt(Last());
    if (At(TokenKind::Assign)) {
      message->notes.push_back("equality is written `==`");
    } else if (last == "if") {
      message->notes.push_back("there is no `if`; `where(condition, a, b)` chooses for each element");
    } else if (last == "return") {
      message->notes.push_back("the last line of a body is its result, without a keyword");
    } else if (last == "let" || last == "var") {
      message->notes.push_back("a name is given without a keyword: `y = ...`");
    } else if (BeginsItem()) {
      message->notes.push_back(std::string(list ? "a comma" : "an operator") +
                               " seems to be missing before " + Found());
    }
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

  const SourceFile& file_;
  Diagnostics& diagnostics_;
  TokenList list_;
  std::vector<uint32_t> lexical_errors_;
  size_t at_ = 0;
  size_t complained_at_ = static_cast<size_t>(-1);
  size_t comment_ = 0;     // first comment not yet taken
  uint32_t taken_to_ = 0;  // end of what the last comment or statement covered
  int nesting_ = 0;
};

}  // namespace heed::frontend
