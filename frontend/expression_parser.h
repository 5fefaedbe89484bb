// The expressions of the grammar in parser.cpp, and lists of axes, which occur in declarations too.
// A function that fails has reported and returns null or false.
#pragma once

#include <initializer_list>
#include <memory>
#include <utility>

#include "frontend/token_cursor.h"

namespace heed::frontend {

class ExpressionParser : public TokenCursor {
 public:
  using TokenCursor::TokenCursor;

 protected:
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
  ExprPtr Binary(ExprPtr left, ExprPtr (ExpressionParser::*right)()) {
    const Loc op = Here();
    Advance();
    ExprPtr expr = New(ExprKind::Binary, left->loc, op);
    expr->op = TextAt(op);
    if (!Adopt(*expr, std::move(left)) || !Adopt(*expr, (this->*right)())) return nullptr;
    expr->loc = Span(expr->loc, Last());
    return expr;
  }
  ExprPtr LeftAssociative(std::initializer_list<TokenKind> operators,
                          ExprPtr (ExpressionParser::*operand)()) {
    ExprPtr left = (this->*operand)();
    while (left != nullptr && std::find(operators.begin(), operators.end(), Peek().kind) != operators.end()) {
      left = Binary(std::move(left), operand);
    }
    return left;
  }
  ExprPtr Expression() {
    if (TooDeep(Here())) return nullptr;
    ++nesting_;
    ExprPtr expr = LeftAssociative({TokenKind::KeywordOr}, &ExpressionParser::And);
    --nesting_;
    return expr;
  }
  ExprPtr And() { return LeftAssociative({TokenKind::KeywordAnd}, &ExpressionParser::Not); }
  ExprPtr Prefix(ExprPtr (ExpressionParser::*operand)()) {
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
  ExprPtr Not() { return At(TokenKind::KeywordNot) ? Prefix(&ExpressionParser::Not) : Compare(); }
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
    left = Binary(std::move(left), &ExpressionParser::Sum);
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
  ExprPtr Sum() { return LeftAssociative({TokenKind::Plus, TokenKind::Minus}, &ExpressionParser::Product); }
  ExprPtr Product() {
    return LeftAssociative({TokenKind::Star, TokenKind::Slash, TokenKind::SlashSlash, TokenKind::Percent},
                           &ExpressionParser::Contraction);
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
    if (At(TokenKind::Newline) || At(TokenKind::End) || At(TokenKind::RightParen) || At(TokenKind::Comma)) {
      if (Diagnostic* message = Unexpected("the right side of `" + TextAt(expr->op_loc) + "`"))
        message->notes.push_back("`@` is followed by the axis to sum over: `a @axis b`");
      return nullptr;
    }
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
    if (At(TokenKind::Minus)) return Prefix(&ExpressionParser::UnaryOperand);
    ExprPtr base = Postfix();
    if (base == nullptr || !At(TokenKind::Caret)) return base;
    if (TooDeep(Here())) return nullptr;
    ++nesting_;
    ExprPtr power = Binary(std::move(base), &ExpressionParser::UnaryOperand);
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
    if (ItemsThen(TokenKind::Bar, TokenKind::RightBracket, TokenKind::Bar) && !Indices(*before)) {
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
        message.notes.push_back(
            "axis arguments precede the values: `softmax[pos | mask](x)`; `x[a -> b]` renames");
        complained_at_ = at_;
      }
      return nullptr;
    }
    ExprPtr index = New(ExprKind::Index, start, open);
    if (!Adopt(*index, std::move(before)) || !Commas([&] { return Adopt(*index, Expression()); }))
      return nullptr;
    if (!Close(TokenKind::RightBracket, open, "`,`")) return nullptr;
    index->loc = Span(start, Last());
    index->op_loc = Span(open, Last());
    return index;
  }
  /// Just inside a bracket of axis items without a predicate: are they indices, i.e. is this no call of a
  /// named thing? A group of several is no index, and neither are several items before a value.
  bool Indices(const Expr& before) const {
    size_t end = 0;
    bool several = false;
    for (; Peek(end).kind != TokenKind::RightBracket; ++end) {
      if (Peek(end).kind == TokenKind::Bar) return false;
      if (Peek(end).kind == TokenKind::LeftParen && Peek(end + 2).kind != TokenKind::RightParen) return false;
      several = several || Peek(end).kind == TokenKind::Comma;
    }
    const TokenKind next = Peek(end + 1).kind;
    if (several && (next == TokenKind::Name || next == TokenKind::Number)) return false;
    const bool layer = before.kind == ExprKind::Index && before.children[0]->kind == ExprKind::Name;
    return next != TokenKind::LeftParen || before.parenthesized || !(before.kind == ExprKind::Name || layer);
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
};

}  // namespace heed::frontend
