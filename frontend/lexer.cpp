// The lexer. Inside brackets newlines mean nothing, so a bracket that is never closed would swallow the rest
// of the file: a keyword that begins a declaration or statement ends such brackets, and the parser then
// complains there.
#include "frontend/lexer.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <map>

namespace heed::frontend {
namespace {

struct Spelled {
  TokenKind kind;
  std::string_view text;
  bool keyword;
  LineStart begins;
  bool continues;
};
constexpr Spelled kWords[] = {
#define HEED_KEYWORD(Name, text, begins, continues) \
  {TokenKind::Keyword##Name, text, true, LineStart::begins, continues},
#define HEED_PUNCTUATION(Name, text, continues) {TokenKind::Name, text, false, LineStart::Neither, continues},
#include "frontend/tokens.def"
#undef HEED_KEYWORD
#undef HEED_PUNCTUATION
};

const Spelled* WordOf(TokenKind kind) {
  for (const Spelled& word : kWords)
    if (word.kind == kind) return &word;
  return nullptr;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

/// Bytes of the UTF-8 character at `at`; 0 if the bytes are none.
int Utf8Length(std::string_view text, size_t at) {
  const uint8_t lead = static_cast<uint8_t>(text[at]);
  const int count = lead < 0x80   ? 1
                    : lead < 0xC2 ? 0
                    : lead < 0xE0 ? 2
                    : lead < 0xF0 ? 3
                    : lead < 0xF5 ? 4
                                  : 0;
  if (at + count > text.size()) return 0;
  for (int i = 1; i < count; ++i) {
    if ((static_cast<uint8_t>(text[at + i]) & 0xC0) != 0x80) return 0;
  }
  if (count > 2) {  // overlong forms, surrogates, beyond U+10FFFF
    const uint8_t second = static_cast<uint8_t>(text[at + 1]);
    if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
        (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) {
      return 0;
    }
  }
  return count;
}

class Lexer {
 public:
  Lexer(const SourceFile& file, Diagnostics& diagnostics)
      : file_(file), text_(file.text()), diagnostics_(diagnostics) {
    for (const Spelled& word : kWords) {
      if (word.keyword) keywords_[word.text] = word.kind;
    }
  }

  TokenList Run() {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == ' ' || c == '\t' || (c == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n'))) {
        ++at_;
      } else if (c == '\n') {
        Newline();
      } else if (c == '#') {
        CommentToEnd();
      } else if (IsDigit(c)) {
        Number();
      } else if (IsLetter(c)) {
        Word();
      } else if (c == '"') {
        String();
      } else if (!Punctuation()) {
        Unknown();
      }
    }
    brackets_.clear();
    EndStatement();
    Push(TokenKind::End, text_.size(), 0);
    return std::move(list_);
  }

 private:
  Loc At(size_t offset, size_t length) const {
    return {&file_, static_cast<uint32_t>(offset), static_cast<uint32_t>(length)};
  }
  void Push(TokenKind kind, size_t offset, size_t length) {
    Token token;
    token.kind = kind;
    token.loc = At(offset, length);
    token.first_on_line = line_is_empty_;
    token.column = static_cast<int>(offset - line_start_);
    list_.tokens.push_back(token);
    line_is_empty_ = false;
    at_ = offset + length;
  }
  void EndStatement() {
    if (list_.tokens.empty() || list_.tokens.back().kind == TokenKind::Newline) return;
    const bool empty = line_is_empty_;
    Push(TokenKind::Newline, at_, at_ < text_.size() && text_[at_] == '\n' ? 1 : 0);
    list_.tokens.back().first_on_line = false;
    line_is_empty_ = empty;
  }
  bool Continues() const {
    if (!brackets_.empty() && brackets_.back() != '{') return true;
    if (list_.tokens.empty()) return true;
    const auto* last = WordOf(list_.tokens.back().kind);
    return last != nullptr && last->continues;
  }
  void Newline() {
    const size_t offset = at_;
    if (!Continues()) EndStatement();
    at_ = offset + 1;
    line_start_ = at_;
    line_is_empty_ = true;
  }
  void CommentToEnd() {
    const size_t start = at_;
    while (at_ < text_.size() && text_[at_] != '\n') {
      if (text_[at_] == '\0' || Utf8Length(text_, at_) == 0) {
        Unknown();
      } else {
        ++at_;
        while (at_ < text_.size() && (static_cast<uint8_t>(text_[at_]) & 0xC0) == 0x80) ++at_;
      }
    }
    std::string comment(text_.substr(start, at_ - start));
    while (comment.back() == ' ' || comment.back() == '\t' || comment.back() == '\r') comment.pop_back();
    list_.comments.push_back({std::move(comment), static_cast<uint32_t>(start), line_is_empty_});
  }
  void Number() {
    size_t end = at_;
    const auto digits = [&] {
      while (end < text_.size() && IsDigit(text_[end])) ++end;
    };
    digits();
    bool whole = true;
    if (end < text_.size() && text_[end] == '.') {
      whole = false;
      ++end;
      digits();
    }
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      size_t exponent = end + 1;
      if (exponent < text_.size() && (text_[exponent] == '-' || text_[exponent] == '+')) ++exponent;
      if (exponent < text_.size() && IsDigit(text_[exponent])) {
        whole = false;
        end = exponent;
        digits();
      }
    }
    size_t garbage = end;
    while (garbage < text_.size() &&
           (IsLetter(text_[garbage]) || IsDigit(text_[garbage]) || text_[garbage] == '.')) {
      ++garbage;
    }
    const Loc loc = At(at_, garbage - at_);
    double value = 0;
    const auto result = std::from_chars(text_.data() + at_, text_.data() + end, value);
    const bool zero = text_.substr(at_, end - at_).find_first_of("123456789") == std::string_view::npos;
    if (garbage != end) {
      diagnostics_.Report(DiagnosticKind::InvalidNumber, loc, "malformed number")
          .notes.push_back("numbers look like 12, 0.5 or 1e-5; a name cannot begin with a digit");
    } else if (whole && !(value <= 9007199254740992.0)) {
      diagnostics_.Report(DiagnosticKind::InvalidNumber, loc, "whole number is larger than 2^53");
    } else if (result.ec == std::errc::result_out_of_range || value > std::numeric_limits<float>::max() ||
               (static_cast<float>(value) == 0 && !zero)) {
      diagnostics_.Report(DiagnosticKind::InvalidNumber, loc, "number is outside the range of f32")
          .notes.push_back("values are f32: from 1.2e-38 to 3.4e38");
      value = 1;
    }
    Push(TokenKind::Number, at_, garbage - at_);
    list_.tokens.back().number = std::isfinite(value) ? value : 1;
    list_.tokens.back().is_whole = whole;
  }
  void Word() {
    size_t end = at_;
    while (end < text_.size() && (IsLetter(text_[end]) || IsDigit(text_[end]))) ++end;
    while (end < text_.size() && text_[end] == '\'') ++end;
    const auto keyword = keywords_.find(text_.substr(at_, end - at_));
    const TokenKind kind = keyword == keywords_.end() ? TokenKind::Name : keyword->second;
    if (line_is_empty_ && Begins(kind) != LineStart::Neither) {  // see the head of this file
      bool open = false;
      while (!brackets_.empty() && brackets_.back() != '{') {
        brackets_.pop_back();
        open = true;
      }
      if (open) EndStatement();
    }
    Push(kind, at_, end - at_);
  }
  void String() {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\n') {
      if (text_[end] == '\0' || Utf8Length(text_, end) == 0) {
        const size_t start = at_;
        at_ = end;
        Unknown();
        end = at_;
        at_ = start;
      } else {
        ++end;
        while (end < text_.size() && (static_cast<uint8_t>(text_[end]) & 0xC0) == 0x80) ++end;
      }
    }
    if (end < text_.size() && text_[end] == '"') {
      Push(TokenKind::String, at_, end + 1 - at_);
      return;
    }
    diagnostics_.Report(DiagnosticKind::UnterminatedString, At(at_, end - at_),
                        "string without closing quote");
    Push(TokenKind::String, at_, end - at_);
  }
  bool Punctuation() {
    for (const Spelled& word : kWords) {
      if (word.keyword || text_.substr(at_, word.text.size()) != word.text) continue;
      const char c = word.text[0];
      if (c == '(' || c == '[' || c == '{') brackets_.push_back(c);
      if (c == ')' || c == ']') {
        if (!brackets_.empty() && brackets_.back() != '{') brackets_.pop_back();
      }
      if (c == '}') {
        while (!brackets_.empty() && brackets_.back() != '{') brackets_.pop_back();
        if (!brackets_.empty()) brackets_.pop_back();
      }
      Push(word.kind, at_, word.text.size());
      return true;
    }
    return false;
  }
  /// Reports and skips a run of characters that belong to no token: one message for neighbours.
  void Unknown() {
    const size_t start = at_;
    const bool invalid = Utf8Length(text_, at_) == 0;
    const bool nul = text_[at_] == '\0';
    if (invalid || nul) {
      while (at_ < text_.size() && (text_[at_] == '\0' || Utf8Length(text_, at_) == 0)) ++at_;
      if (invalid) {
        diagnostics_.Report(DiagnosticKind::InvalidUtf8, At(start, at_ - start), "not UTF-8 text");
      } else {
        diagnostics_.Report(DiagnosticKind::UnexpectedCharacter, At(start, at_ - start),
                            "NUL byte: is this a text file?");
      }
      return;
    }
    at_ += Utf8Length(text_, at_);
    if (static_cast<uint8_t>(text_[start]) >= 0x80) {
      while (at_ < text_.size() && static_cast<uint8_t>(text_[at_]) >= 0x80 && Utf8Length(text_, at_) > 0) {
        at_ += Utf8Length(text_, at_);
      }
    }
    const std::string_view found = text_.substr(start, at_ - start);
    const bool printable = static_cast<uint8_t>(found[0]) >= 0x80 || (found[0] >= ' ' && found[0] != 0x7F);
    Diagnostic& message = diagnostics_.Report(DiagnosticKind::UnexpectedCharacter, At(start, at_ - start),
                                              printable && found.size() <= 24
                                                  ? "unexpected character `" + std::string(found) + "`"
                                                  : "unexpected character");
    const std::string_view hint = found == ";"   ? "a newline ends a statement"
                                  : found == "!" ? "negation is written `not`"
                                  : found == "&" ? "conjunction is written `and`"
                                  : found == "'"
                                      ? "strings are written \"...\"; a twin axis is `seq'`, the ' last"
                                  : found == "." ? "write a digit before the point: 0.5"
                                  : found[0] < 0 ? "names are made of letters a-z, A-Z, digits and _"
                                                 : "";
    if (!hint.empty()) message.notes.emplace_back(hint);
  }

  const SourceFile& file_;
  const std::string_view text_;
  Diagnostics& diagnostics_;
  std::map<std::string_view, TokenKind> keywords_;
  TokenList list_;
  std::vector<char> brackets_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  bool line_is_empty_ = true;
};

}  // namespace

TokenList Lex(const SourceFile& file, Diagnostics& diagnostics) { return Lexer(file, diagnostics).Run(); }

std::string Describe(TokenKind kind) {
  if (WordOf(kind) != nullptr) return "`" + std::string(Spelling(kind)) + "`";
  switch (kind) {
    case TokenKind::Name:
      return "a name";
    case TokenKind::Number:
      return "a number";
    case TokenKind::String:
      return "a string";
    case TokenKind::Newline:
      return "the end of the line";
    default:
      return "the end of the file";
  }
}

bool IsKeyword(TokenKind kind) {
  const Spelled* word = WordOf(kind);
  return word != nullptr && word->keyword;
}

std::string_view Spelling(TokenKind kind) {
  const Spelled* word = WordOf(kind);
  return word == nullptr ? std::string_view() : word->text;
}

LineStart Begins(TokenKind kind) {
  const Spelled* word = WordOf(kind);
  return word == nullptr ? LineStart::Neither : word->begins;
}

std::string DeclarationKeywords() {
  std::vector<std::string_view> words;
  for (const Spelled& word : kWords)
    if (word.begins == LineStart::Declaration || word.begins == LineStart::Either) words.push_back(word.text);
  std::string text;
  for (size_t i = 0; i < words.size(); ++i) {
    text += i == 0 ? "" : i + 1 == words.size() ? " or " : ", ";
    text += "`" + std::string(words[i]) + "`";
  }
  return text;
}

}  // namespace heed::frontend
