// From a tree to a table: code, classes of characters that no set tells apart, and all sets of places in the
// code that can occur (found by walking from the end of a text over every class).
#include <algorithm>
#include <map>

#include "runtime/base/utf8.h"
#include "runtime/text/pattern.h"
#include "runtime/text/pattern_tree.h"

namespace heed {
namespace {

constexpr size_t kLongestExpression = 20'000;
constexpr size_t kMostStates = 5000;
constexpr size_t kMostClasses = 250;

}  // namespace

/// Code and tables for a tree.
class PatternCompiler {
 public:
  Status Compile(const PatternNode& tree) {
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

  void Emit(const PatternNode& node) {
    if (program().size() > kLargestProgram) return;
    switch (node.kind) {
      case PatternNode::Kind::Set:
        Add({Kind::Character, false, SetId(node.set)});
        return;
      case PatternNode::Kind::Look:
        Add({Kind::Look, node.negated, SetId(node.set)});
        return;
      case PatternNode::Kind::Sequence:
        for (const auto& child : node.children) Emit(*child);
        return;
      case PatternNode::Kind::Alternatives: {
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
      case PatternNode::Kind::Repeat:
        EmitRepeat(node);
    }
  }

  void EmitRepeat(const PatternNode& node) {
    const PatternNode& body = *node.children[0];
    const bool lazy = node.greed == PatternNode::Greed::Lazy;
    // To take as many as there are is to take some and to find no further one, unless it was the last
    // allowed.
    const auto stop = [&] {
      if (node.greed == PatternNode::Greed::Possessive) Add({Kind::Look, true, SetId(body.set)});
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
      if (node.greed == PatternNode::Greed::Possessive) {
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
  const Result<PatternNodePtr> tree = ParsePattern(expression);
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
