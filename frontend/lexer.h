// Text -> tokens. Decides which newlines end a statement: all but those inside ( or [ and those after an
// operator, `=`, `,` or `->`. Comments are kept apart for the formatter. The words and signs there are stand
// in tokens.def.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontend/diagnostics.h"
#include "frontend/source.h"

namespace heed::frontend {

enum class TokenKind {
#define HEED_KEYWORD(Name, text, begins, continues) Keyword##Name,
#define HEED_PUNCTUATION(Name, text, continues) Name,
#include "frontend/tokens.def"
#undef HEED_KEYWORD
#undef HEED_PUNCTUATION
  Name,
  Number,
  String,   ///< its loc includes the quotes
  Newline,  ///< never two in a row, never first
  End,
};

struct Token {
  TokenKind kind = TokenKind::End;
  Loc loc;
  bool first_on_line = false;
  int column = 0;         ///< bytes from the start of the line
  double number = 0;      ///< Number
  bool is_whole = false;  ///< Number: written without a point and an exponent
};
struct Comment {
  std::string text;  ///< from the # on, without blanks at the end
  uint32_t offset = 0;
  bool own_line = false;  ///< nothing but blanks before it
};
struct TokenList {
  std::vector<Token> tokens;  ///< ends in one End
  std::vector<Comment> comments;
};

/// Never fails: what is no token is reported and skipped.
TokenList Lex(const SourceFile& file, Diagnostics& diagnostics);

/// "`axis`", "a name", "end of line": for messages.
std::string Describe(TokenKind kind);
bool IsKeyword(TokenKind kind);
std::string_view Spelling(TokenKind kind);  ///< of a keyword or punctuation

/// What a line is that starts with a keyword.
enum class LineStart { Neither, Declaration, Statement, Either };
LineStart Begins(TokenKind kind);
/// "`axis`, `const` or `entry`": what declarations begin with, for messages.
std::string DeclarationKeywords();

}  // namespace heed::frontend
