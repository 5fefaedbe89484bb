// Reading regular expressions: recursive descent over the syntax that pattern.h lists. The first mistake is
// kept and ends everything.
#include <optional>

#include "runtime/base/utf8.h"
#include "runtime/text/pattern_tree.h"
#include "runtime/text/unicode.h"

namespace heed {
namespace {

constexpr int kDeepest = 100;  // groups in groups
using Node = PatternNode;
using NodePtr = PatternNodePtr;

CharacterSet Categories(CategorySet wanted) {
  std::vector<CharacterSet::Range> ranges;
  ForEachCategoryRange([&](char32_t first, char32_t last, Category category) {
    if ((In(category) & wanted) == 0) return;
    if (!ranges.empty() && ranges.back().last + 1 == first) {
      ranges.back().last = last;
    } else {
      ranges.push_back({first, last});
    }
  });
  return CharacterSet(std::move(ranges));
}
CharacterSet WhiteSpace() {
  CharacterSet set = Categories(In(Category::Zs) | In(Category::Zl) | In(Category::Zp));
  set.Add({0x09, 0x0D});
  set.Add({0x85, 0x85});
  return set;
}
CharacterSet WordCharacters() {
  return Categories(*CategoriesNamed("L") | *CategoriesNamed("M") | *CategoriesNamed("N") | In(Category::Pc));
}
CharacterSet Complement(CharacterSet set) {
  set.Negate();
  return set;
}

bool IsAsciiLetter(char32_t c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80; }

NodePtr MakeSet(CharacterSet set) {
  auto node = std::make_unique<Node>();
  node->kind = Node::Kind::Set;
  node->set = std::move(set);
  return node;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}
  Result<NodePtr> Parse() {
    NodePtr node = ParseAlternatives(false, 0);
    if (error_.empty() && at_ < text_.size()) Fail("there is a `)` without a `(`");
    if (error_.empty() && node->MayBeEmpty()) Fail("it may match nothing");
    if (!error_.empty()) return Error{error_};
    return node;
  }

 private:
  bool Done() const { return at_ >= text_.size() || !error_.empty(); }
  bool Starts(std::string_view with) const { return text_.substr(at_).starts_with(with); }
  bool Take(std::string_view what) {
    if (!error_.empty() || !Starts(what)) return false;
    at_ += what.size();
    return true;
  }
  char32_t Next() {
    if (Done()) {
      Fail("it ends too early");
      return 0;
    }
    const CodePoint c = DecodeUtf8(text_, at_);
    at_ += static_cast<size_t>(std::max(c.length, 1));
    return c.value;
  }
  void Fail(const std::string& why) {
    if (error_.empty()) error_ = why;
  }

  NodePtr ParseAlternatives(bool ignore_case, int depth) {
    auto node = std::make_unique<Node>();
    node->kind = Node::Kind::Alternatives;
    if (depth > kDeepest) {
      Fail("its groups are nested too deep");
      return node;
    }
    do {
      node->children.push_back(ParseSequence(ignore_case, depth));
    } while (Take("|"));
    return node;
  }

  NodePtr ParseSequence(bool ignore_case, int depth) {
    auto node = std::make_unique<Node>();
    node->kind = Node::Kind::Sequence;
    while (!Done() && !Starts("|") && !Starts(")")) {
      if (Take("(?i)")) {  // holds to the end of the group, further alternatives included
        node->children.push_back(ParseAlternatives(true, depth + 1));
      } else {
        node->children.push_back(ParseRepeated(ignore_case, depth));
      }
    }
    return node;
  }

  NodePtr ParseRepeated(bool ignore_case, int depth) {
    NodePtr node = ParseOne(ignore_case, depth);
    for (bool first = true; !Done(); first = false) {
      int least = 0, most = -1;
      bool interval = false;
      if (Take("?")) {
        most = 1;
      } else if (Take("+")) {
        least = 1;
      } else if (Take("{")) {
        interval = true;
        ParseInterval(least, most);
      } else if (!Take("*")) {
        break;
      }
      if (!first) {
        Fail("it repeats a repetition; write a group around it");
        break;
      }
      auto repeat = std::make_unique<Node>();
      repeat->kind = Node::Kind::Repeat;
      repeat->least = least;
      repeat->most = most;
      if (interval && (Starts("+") || (Starts("?") && least == most))) {
        Fail("`}` is followed by `" + std::string(1, text_[at_]) + "`, which matchers do not agree on");
      } else if (Take("?")) {
        repeat->greed = Node::Greed::Lazy;
      } else if (Take("+")) {
        repeat->greed = Node::Greed::Possessive;
        if (node->kind != Node::Kind::Set) Fail("it repeats a group possessively");
      }
      if (error_.empty() && node->MayBeEmpty()) Fail("it repeats what may match nothing");
      repeat->children.push_back(std::move(node));
      node = std::move(repeat);
    }
    return node;
  }

  void ParseInterval(int& least, int& most) {
    const auto number = [&]() -> std::optional<int> {
      if (Done() || text_[at_] < '0' || text_[at_] > '9') return std::nullopt;
      int value = 0;
      while (!Done() && text_[at_] >= '0' && text_[at_] <= '9' && value < 10000)
        value = value * 10 + (text_[at_++] - '0');
      return value;
    };
    const std::optional<int> from = number();
    least = from.value_or(0);
    most = least;
    bool fine = from.has_value();
    if (Take(",")) {
      const std::optional<int> to = number();
      most = to.value_or(-1);
      fine = fine || to;
    }
    if (!Take("}") || !fine) Fail("`{` does not begin a number of repetitions");
    if (most >= 0 && most < least) Fail("a number of repetitions ends below its start");
    if (std::max(least, most) > static_cast<int>(kLargestProgram)) Fail("it repeats too often");
  }

  NodePtr ParseOne(bool ignore_case, int depth) {
    if (Take("(?:")) return ParseGroup(ignore_case, depth);
    if (Take("(?i:")) return ParseGroup(true, depth);
    if (Take("(?-i:")) return ParseGroup(false, depth);
    for (const bool negated : {false, true}) {
      if (!Take(negated ? "(?!" : "(?=")) continue;
      NodePtr group = ParseGroup(ignore_case, depth);
      const Node* inner = group.get();
      while ((inner->kind == Node::Kind::Alternatives || inner->kind == Node::Kind::Sequence) &&
             inner->children.size() == 1) {
        inner = inner->children[0].get();
      }
      if (inner->kind != Node::Kind::Set) Fail("it looks ahead for more than one character");
      auto look = std::make_unique<Node>();
      look->kind = Node::Kind::Look;
      look->set = inner->set;
      look->negated = negated;
      return look;
    }
    if (Starts("(?")) {
      Fail("`" + std::string(text_.substr(at_, 4)) + "` is not supported");
      return std::make_unique<Node>();
    }
    if (Take("(")) return ParseGroup(ignore_case, depth);
    if (Take("[")) return MakeSet(ParseClass(ignore_case, depth));
    if (Take("\\")) return MakeSet(ParseEscape(ignore_case));
    if (Take(".")) return MakeSet(Complement({'\n', '\n'}));
    for (const char* special : {"^", "$", "?", "*", "+", "{"}) {
      if (Starts(special)) Fail(std::string("`") + special + "` is not supported there");
    }
    return MakeSet(One(Next(), ignore_case));
  }

  NodePtr ParseGroup(bool ignore_case, int depth) {
    NodePtr node = ParseAlternatives(ignore_case, depth + 1);
    if (!Take(")")) Fail("a `(` has no `)`");
    return node;
  }

  CharacterSet One(char32_t c, bool ignore_case) {
    CharacterSet set(c, c);
    if (!ignore_case) return set;
    if (c >= 0x80 && IsIn(c, In(Category::Lu) | In(Category::Ll) | In(Category::Lt)))
      Fail("it ignores the case of a letter that is not ASCII");
    if (!IsAsciiLetter(c)) return set;
    set.Add({c ^ 0x20, c ^ 0x20});
    // The two other characters that differ from an ASCII letter by case alone.
    if ((c | 0x20) == 's') set.Add({0x17F, 0x17F});
    if ((c | 0x20) == 'k') set.Add({0x212A, 0x212A});
    return set;
  }

  char32_t ParseHex(size_t least, size_t most) {
    char32_t value = 0;
    size_t digits = 0;
    for (; digits < most && !Done(); ++digits, ++at_) {
      const char c = text_[at_];
      const int digit = c >= '0' && c <= '9'                 ? c - '0'
                        : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                             : -1;
      if (digit < 0) break;
      value = value * 16 + static_cast<char32_t>(digit);
    }
    if (digits < least || value > kLastCharacter) Fail("an escape has bad digits");
    return value;
  }

  // A category behind \p or \P.
  CharacterSet ParseCategory(bool negated) {
    std::string name;
    if (!Take("{")) {
      Fail("\\p has no `{`");
      return {};
    }
    if (Take("^")) negated = !negated;
    while (!Done() && !Starts("}")) name.push_back(text_[at_++]);
    if (!Take("}")) Fail("a \\p{ has no `}`");
    const std::optional<CategorySet> categories = CategoriesNamed(name);
    if (!categories) {
      Fail("the property \\p{" + name.substr(0, 40) + "} is not known here");
      return {};
    }
    CharacterSet set = Categories(*categories);
    if (negated) set.Negate();
    return set;
  }

  // Behind a backslash. A single character has a set of one.
  CharacterSet ParseEscape(bool ignore_case) {
    const char32_t c = Next();
    const auto one = [&](char32_t value) { return One(value, ignore_case); };
    switch (c) {
      case 's':
        return WhiteSpace();
      case 'S':
        return Complement(WhiteSpace());
      case 'd':
        return Categories(In(Category::Nd));
      case 'D':
        return Complement(Categories(In(Category::Nd)));
      case 'w':
        return WordCharacters();
      case 'W':
        return Complement(WordCharacters());
      case 'p':
      case 'P':
        if (ignore_case) Fail("it ignores the case of a category");
        return ParseCategory(c == 'P');
      case 'r':
        return one('\r');
      case 'n':
        return one('\n');
      case 't':
        return one('\t');
      case 'f':
        return one('\f');
      case 'v':
        return one('\v');
      case 'x': {
        if (!Take("{")) return one(ParseHex(1, 2));
        const char32_t value = ParseHex(1, 8);
        if (!Take("}")) Fail("a \\x{ has no `}`");
        return one(value);
      }
      case 'u':
        return one(ParseHex(4, 4));
      default:
        if (IsAsciiLetter(c) || (c >= '0' && c <= '9'))
          Fail(std::string("the escape \\") + static_cast<char>(c) + " is not supported");
        return one(c);
    }
  }

  CharacterSet ParseClass(bool ignore_case, int depth) {
    CharacterSet set;
    if (depth > kDeepest) {
      Fail("its classes are nested too deep");
      return set;
    }
    const bool negated = Take("^");
    if (Starts("]")) Fail("a class is empty");
    while (!Done() && !Starts("]")) {
      if (Starts("[:") || Starts("&&")) {
        Fail("`" + std::string(text_.substr(at_, 2)) + "` in a class is not supported");
      } else if (Take("[")) {
        set.Add(ParseClass(ignore_case, depth + 1));
      } else {
        AddToClass(set, ignore_case);
      }
    }
    if (!Take("]")) Fail("a `[` has no `]`");
    if (negated) set.Negate();
    return set;
  }

  // A character, a range or an escape.
  void AddToClass(CharacterSet& set, bool ignore_case) {
    const auto end = [&] { return Take("\\") ? ParseEscape(false) : One(Next(), false); };
    const auto single = [](const CharacterSet& one) {
      return one.ranges().size() == 1 && one.ranges()[0].first == one.ranges()[0].last;
    };
    if (ignore_case && (Starts("\\p") || Starts("\\P"))) Fail("it ignores the case of a category");
    const CharacterSet from = end();
    if (!error_.empty()) return;
    const bool range = Starts("-") && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
    if (!range || !single(from)) {
      set.Add(from);
      if (ignore_case && single(from)) set.Add(One(from.ranges()[0].first, true));
      return;
    }
    Take("-");
    const CharacterSet to = end();
    if (!error_.empty()) return;
    if (!single(to) || to.ranges()[0].first < from.ranges()[0].first) {
      Fail("a range of a class ends before it starts");
      return;
    }
    const char32_t first = from.ranges()[0].first, last = to.ranges()[0].first;
    set.Add({first, last});
    if (!ignore_case) return;
    if (last >= 0x80) Fail("it ignores the case of letters that are not ASCII");
    for (char32_t c = first; c <= last && c < 0x80; ++c) set.Add(One(c, true));
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string error_;
};

}  // namespace

void CharacterSet::Add(const CharacterSet& other) {
  std::vector<Range> all = ranges_;
  all.insert(all.end(), other.ranges_.begin(), other.ranges_.end());
  std::sort(all.begin(), all.end());
  ranges_.clear();
  for (const Range& range : all) {
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
}

void CharacterSet::Negate() {
  std::vector<Range> rest;
  char32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) rest.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastCharacter) rest.push_back({next, kLastCharacter});
  ranges_ = std::move(rest);
}

bool CharacterSet::Has(char32_t c) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                                      [](char32_t x, const Range& range) { return x < range.first; });
  return after != ranges_.begin() && std::prev(after)->last >= c;
}

bool PatternNode::MayBeEmpty() const {
  const auto empty = [](const auto& child) { return child->MayBeEmpty(); };
  switch (kind) {
    case Kind::Set:
      return false;
    case Kind::Sequence:
      return std::all_of(children.begin(), children.end(), empty);
    case Kind::Alternatives:
      return std::any_of(children.begin(), children.end(), empty);
    case Kind::Repeat:
      return least == 0 || children[0]->MayBeEmpty();
    default:
      return true;
  }
}

Result<PatternNodePtr> ParsePattern(std::string_view expression) { return Parser(expression).Parse(); }

}  // namespace heed
