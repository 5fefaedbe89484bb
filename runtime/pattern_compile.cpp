// From an expression to a table: parsing into a tree, code for it, classes of characters that no set tells
// apart, and all sets of places that can occur (found by walking from the end of a text over every class).
#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>

#include "runtime/pattern.h"
#include "runtime/unicode.h"
#include "runtime/utf8.h"

namespace heed {
namespace {

constexpr char32_t kLastCharacter = 0x10FFFF;
constexpr size_t kLongestExpression = 20'000;
constexpr int kDeepest = 100;             // groups in groups
constexpr size_t kLargestProgram = 1000;  // instructions
constexpr size_t kMostStates = 5000;
constexpr size_t kMostClasses = 250;

/// Sorted ranges without gaps of zero between them.
class CharacterSet {
 public:
  struct Range {
    char32_t first, last;
    auto operator<=>(const Range&) const = default;
  };
  CharacterSet() = default;
  CharacterSet(char32_t first, char32_t last) : ranges_{{first, last}} {}
  static CharacterSet Categories(CategorySet wanted) {
    CharacterSet set;
    ForEachCategoryRange([&](char32_t first, char32_t last, Category category) {
      if (In(category) & wanted) set.ranges_.push_back({first, last});
    });
    set.Normalize();
    return set;
  }
  void Add(const CharacterSet& other) {
    ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
    Normalize();
  }
  void Negate() {
    std::vector<Range> rest;
    char32_t next = 0;
    for (const Range& range : ranges_) {
      if (range.first > next) rest.push_back({next, range.first - 1});
      next = range.last + 1;
    }
    if (next <= kLastCharacter) rest.push_back({next, kLastCharacter});
    ranges_ = std::move(rest);
  }
  bool Has(char32_t c) const {
    const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                                        [](char32_t x, const Range& range) { return x < range.first; });
    return after != ranges_.begin() && std::prev(after)->last >= c;
  }
  const std::vector<Range>& ranges() const { return ranges_; }
  auto operator<=>(const CharacterSet&) const = default;

 private:
  void Normalize() {
    std::sort(ranges_.begin(), ranges_.end());
    std::vector<Range> joined;
    for (const Range& range : ranges_) {
      if (!joined.empty() && range.first <= joined.back().last + 1) {
        joined.back().last = std::max(joined.back().last, range.last);
      } else {
        joined.push_back(range);
      }
    }
    ranges_ = std::move(joined);
  }
  std::vector<Range> ranges_;
};

CharacterSet WhiteSpace() {
  CharacterSet set = CharacterSet::Categories(In(Category::Zs) | In(Category::Zl) | In(Category::Zp));
  set.Add({0x09, 0x0D});
  set.Add({0x85, 0x85});
  return set;
}
CharacterSet WordCharacters() {
  return CharacterSet::Categories(*CategoriesNamed("L") | *CategoriesNamed("M") | *CategoriesNamed("N") |
                                  In(Category::Pc));
}
CharacterSet Complement(CharacterSet set) {
  set.Negate();
  return set;
}

bool IsAsciiLetter(char32_t c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80; }

/// The tree of an expression.
struct Node {
  enum class Kind { Empty, Set, Sequence, Alternatives, Repeat, Look } kind = Kind::Empty;
  enum class Greed { Greedy, Lazy, Possessive };
  CharacterSet set;  // Set, Look
  std::vector<std::unique_ptr<Node>> children;
  int least = 0, most = -1;  // Repeat; -1: any number
  Greed greed = Greed::Greedy;
  bool negated = false;  // Look

  bool MayBeEmpty() const {
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
};
using NodePtr = std::unique_ptr<Node>;

NodePtr MakeSet(CharacterSet set) {
  auto node = std::make_unique<Node>();
  node->kind = Node::Kind::Set;
  node->set = std::move(set);
  return node;
}

/// Recursive descent. The first mistake is kept and ends everything.
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
    CharacterSet set = CharacterSet::Categories(*categories);
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
        return CharacterSet::Categories(In(Category::Nd));
      case 'D':
        return Complement(CharacterSet::Categories(In(Category::Nd)));
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

/// Code and tables for a tree.
class PatternCompiler {
 public:
  Status Compile(const Node& tree) {
    Emit(tree);
    Add({Pattern::Kind::Match});
    if (program().size() > kLargestProgram) return Error{"it is too large"};
    if (!MakeClasses()) return Error{"it tells too many kinds of characters apart"};
    if (!MakeStates()) return Error{"it can be matched in too many ways at once"};
    return Done{};
  }
  Pattern Take() { return std::move(pattern_); }

 private:
  using Instruction = Pattern::Instruction;
  using Kind = Pattern::Kind;
  using Set = std::vector<uint64_t>;  // of instructions

  std::vector<Instruction>& program() { return pattern_.program_; }
  uint32_t Here() { return static_cast<uint32_t>(program().size()); }
  uint32_t Add(const Instruction& instruction) {
    // What is too large is refused in the end; until then it need not grow further.
    if (program().size() <= kLargestProgram) program().push_back(instruction);
    return static_cast<uint32_t>(program().size() - 1);
  }
  uint32_t SetId(const CharacterSet& set) {
    const auto [found, fresh] = set_ids_.emplace(set, static_cast<uint32_t>(sets_.size()));
    if (fresh) sets_.push_back(&found->first);
    return found->second;
  }

  void Emit(const Node& node) {
    if (program().size() > kLargestProgram) return;
    switch (node.kind) {
      case Node::Kind::Empty:
        return;
      case Node::Kind::Set:
        Add({Kind::Character, false, SetId(node.set)});
        return;
      case Node::Kind::Look:
        Add({Kind::Look, node.negated, SetId(node.set)});
        return;
      case Node::Kind::Sequence:
        for (const auto& child : node.children) Emit(*child);
        return;
      case Node::Kind::Alternatives: {
        std::vector<uint32_t> ends;
        for (size_t i = 0; i < node.children.size(); ++i) {
          const bool last = i + 1 == node.children.size();
          const uint32_t split = last ? 0 : Add({Kind::Split});
          if (!last) program()[split].to = Here();
          Emit(*node.children[i]);
          if (last) break;
          ends.push_back(Add({Kind::Jump}));
          program()[split].other = Here();
        }
        for (const uint32_t end : ends) program()[end].to = Here();
        return;
      }
      case Node::Kind::Repeat:
        EmitRepeat(node);
    }
  }

  void EmitRepeat(const Node& node) {
    const Node& body = *node.children[0];
    const bool lazy = node.greed == Node::Greed::Lazy;
    // To take as many as there are is to take some and to find no further one, unless it was the last
    // allowed.
    const auto stop = [&] {
      if (node.greed == Node::Greed::Possessive) Add({Kind::Look, true, SetId(body.set)});
    };
    for (int i = 0; i < node.least; ++i) Emit(body);
    const auto set_targets = [&](uint32_t split, uint32_t more, uint32_t enough) {
      program()[split].to = lazy ? enough : more;
      program()[split].other = lazy ? more : enough;
    };
    if (node.most < 0) {
      const uint32_t split = Add({Kind::Split});
      const uint32_t begin = Here();
      Emit(body);
      Add({Kind::Jump, false, 0, split});
      set_targets(split, begin, Here());
      stop();
      return;
    }
    // x? x? x? nested: each split leads to one more, or to its own exit.
    std::vector<uint32_t> exits;
    for (int i = node.least; i < node.most; ++i) {
      const uint32_t split = Add({Kind::Split});
      if (program().size() > kLargestProgram) return;
      const uint32_t more = Here();
      Emit(body);
      if (node.greed == Node::Greed::Possessive) {
        const uint32_t over = Add({Kind::Jump});
        set_targets(split, more, Here());
        stop();
        exits.push_back(Add({Kind::Jump}));
        program()[over].to = Here();
      } else {
        set_targets(split, more, 0);
        exits.push_back(split);
      }
    }
    for (const uint32_t exit : exits) {
      Instruction& instruction = program()[exit];
      (instruction.kind == Kind::Split && !lazy ? instruction.other : instruction.to) = Here();
    }
  }

  // Ranges of characters that are in the same sets get one class.
  bool MakeClasses() {
    std::vector<char32_t> bounds{0};
    for (const CharacterSet* set : sets_) {
      for (const CharacterSet::Range& range : set->ranges()) {
        bounds.push_back(range.first);
        if (range.last < kLastCharacter) bounds.push_back(range.last + 1);
      }
    }
    std::sort(bounds.begin(), bounds.end());
    bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
    std::map<std::vector<bool>, uint32_t> classes;
    for (const char32_t first : bounds) {
      std::vector<bool> in(sets_.size());
      for (size_t s = 0; s < sets_.size(); ++s) in[s] = sets_[s]->Has(first);
      const auto [found, fresh] = classes.emplace(in, static_cast<uint32_t>(classes.size()));
      if (fresh) members_.push_back(in);
      if (classes.size() > kMostClasses) return false;
      pattern_.bounds_.push_back(first);
      pattern_.classes_.push_back(found->second);
    }
    pattern_.class_count_ = static_cast<uint32_t>(classes.size());
    members_.emplace_back(sets_.size(), false);  // the end of the text is in no set
    for (char32_t c = 0; c < 0x80; ++c) {
      const auto after = std::upper_bound(pattern_.bounds_.begin(), pattern_.bounds_.end(), c);
      pattern_.ascii_.push_back(pattern_.classes_[static_cast<size_t>(after - pattern_.bounds_.begin() - 1)]);
    }
    return true;
  }

  bool HasBit(const Set& set, size_t i) const { return (set[i / 64] >> i % 64 & 1) != 0; }

  // The instructions from which there is a match if the next character has class `c` and `after` holds those
  // behind it.
  Set Before(const Set* after, size_t c) {
    Set live(pattern_.words_, 0);
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t i = program().size(); i-- > 0;) {
        const Instruction& instruction = program()[i];
        bool lives = false;
        switch (instruction.kind) {
          case Kind::Match:
            lives = true;
            break;
          case Kind::Character:
            lives = after != nullptr && members_[c][instruction.set] && HasBit(*after, i + 1);
            break;
          case Kind::Look:
            lives = members_[c][instruction.set] != instruction.negated && HasBit(live, i + 1);
            break;
          case Kind::Jump:
            lives = HasBit(live, instruction.to);
            break;
          case Kind::Split:
            lives = HasBit(live, instruction.to) || HasBit(live, instruction.other);
        }
        if (lives && !HasBit(live, i)) {
          live[i / 64] |= uint64_t{1} << i % 64;
          changed = true;
        }
      }
    }
    return live;
  }

  bool MakeStates() {
    pattern_.words_ = (program().size() + 63) / 64;
    std::map<Set, Pattern::StateId> ids;
    std::vector<const Set*> states;
    const auto id = [&](Set set) {
      const auto [found, fresh] = ids.emplace(std::move(set), static_cast<Pattern::StateId>(states.size()));
      if (fresh) states.push_back(&found->first);
      return found->second;
    };
    pattern_.end_ = id(Before(nullptr, pattern_.class_count_));
    for (size_t s = 0; s < states.size(); ++s) {
      if (states.size() > kMostStates) return false;
      for (uint32_t c = 0; c < pattern_.class_count_; ++c)
        pattern_.before_.push_back(id(Before(states[s], c)));
    }
    for (const Set* state : states) pattern_.live_.insert(pattern_.live_.end(), state->begin(), state->end());
    return true;
  }

  Pattern pattern_;
  std::map<CharacterSet, uint32_t> set_ids_;
  std::vector<const CharacterSet*> sets_;
  std::vector<std::vector<bool>> members_;  // [class][set]
};

Result<Pattern> Pattern::Compile(std::string_view expression) {
  const auto fail = [&](const std::string& why) {
    const std::string shown = RepairUtf8(expression.substr(0, 200)) + (expression.size() > 200 ? "..." : "");
    return Error{"the regular expression `" + shown + "` cannot be used: " + why};
  };
  if (expression.size() > kLongestExpression) return fail("it is too long");
  if (FindInvalidUtf8(expression)) return fail("it is not valid UTF-8");
  const Result<NodePtr> tree = Parser(expression).Parse();
  if (!tree) return fail(tree.error().message);
  PatternCompiler compiler;
  if (const Status status = compiler.Compile(**tree); !status) return fail(status.error().message);
  return compiler.Take();
}

Pattern Pattern::Literal(std::string_view text) {
  Pattern pattern;
  pattern.literal_ = text;
  return pattern;
}

}  // namespace heed
