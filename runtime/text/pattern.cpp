// Matching; see pattern.h for how. Reading expressions is pattern_compile.cpp's business.
#include "runtime/text/pattern.h"

#include <algorithm>

#include "runtime/base/utf8.h"

namespace heed {
namespace {

constexpr size_t kBlock = 4096;  // bytes between states that are kept

// The start of the character that ends before `end`.
size_t CharacterBefore(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && end - at < 4 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}
size_t LengthAt(std::string_view text, size_t at) {
  return static_cast<size_t>(std::max(DecodeUtf8(text, at).length, 1));
}

void ForEachLiteral(std::string_view literal, std::string_view text,
                    const std::function<void(std::string_view, bool)>& visit) {
  for (size_t at = 0; at < text.size();) {
    const size_t found = std::min(text.find(literal, at), text.size());
    if (found > at) visit(text.substr(at, found - at), false);
    if (found == text.size()) return;
    visit(text.substr(found, literal.size()), true);
    at = found + literal.size();
  }
}

}  // namespace

uint32_t Pattern::ClassOf(char32_t c) const {
  if (c < 0x80) return ascii_[c];
  const auto after = std::upper_bound(bounds_.begin(), bounds_.end(), c);
  return classes_[static_cast<size_t>(after - bounds_.begin() - 1)];
}

void Pattern::ForEachPart(std::string_view text,
                          const std::function<void(std::string_view part, bool match)>& visit) const {
  if (!literal_.empty()) return ForEachLiteral(literal_, text, visit);
  // Block b has the characters that start in [b, b + 1) * kBlock. kept[b] is the state at its first.
  const size_t blocks = text.size() / kBlock + 1;
  std::vector<StateId> kept(blocks + 1, end_);
  const auto step = [&](StateId state, size_t at) {
    return before_[state * class_count_ + ClassOf(DecodeUtf8(text, at).value)];
  };
  StateId state = end_;
  for (size_t end = text.size(); end > 0;) {
    const size_t at = CharacterBefore(text, end);
    state = step(state, at);
    kept[at / kBlock] = state;
    end = at;
  }
  // The states of the block that is being read, by byte.
  std::vector<StateId> states(kBlock);
  size_t loaded = SIZE_MAX;
  const auto load = [&](size_t block) {
    size_t end = std::min((block + 1) * kBlock, text.size());
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    StateId next = end == text.size() ? end_ : kept[block + 1];
    while (end > block * kBlock) {
      const size_t at = CharacterBefore(text, end);
      if (at < block * kBlock) break;
      next = step(next, at);
      states[at - block * kBlock] = next;
      end = at;
    }
    loaded = block;
  };
  const auto state_at = [&](size_t at) {
    if (at == text.size()) return end_;
    if (at / kBlock != loaded) load(at / kBlock);
    return states[at % kBlock];
  };
  size_t begin = 0;  // of what lies before the next match
  for (size_t at = 0; at < text.size();) {
    StateId here = state_at(at);
    if (!Lives(here, 0)) {
      at += LengthAt(text, at);
      continue;
    }
    size_t end = at;
    for (uint32_t i = 0; program_[i].kind != Kind::Match;) {
      const Instruction& instruction = program_[i];
      switch (instruction.kind) {
        case Kind::Character:
          end += LengthAt(text, end);
          here = state_at(end);
          ++i;
          break;
        case Kind::Split:
          i = Lives(here, instruction.to) ? instruction.to : instruction.other;
          break;
        case Kind::Jump:
          i = instruction.to;
          break;
        default:  // Look: what lives has seen what it wants
          ++i;
      }
    }
    if (at > begin) visit(text.substr(begin, at - begin), false);
    visit(text.substr(at, end - at), true);
    at = begin = end;
  }
  if (begin < text.size()) visit(text.substr(begin), false);
}

void SplitBy(const Pattern& pattern, SplitBehavior behavior, bool invert, std::string_view text,
             const std::function<void(std::string_view part)>& visit) {
  std::string_view held;  // to be joined with what follows
  bool held_match = false;
  const auto hold = [&](std::string_view part, bool match) {
    if (!held.empty()) visit(held);
    held = part;
    held_match = match;
  };
  const auto join = [&](std::string_view part, bool match) {
    held = {held.data(), held.size() + part.size()};
    held_match = match;
  };
  pattern.ForEachPart(text, [&](std::string_view part, bool is_match) {
    const bool match = is_match != invert;
    switch (behavior) {
      case SplitBehavior::Removed:
        if (!match) visit(part);
        break;
      case SplitBehavior::Isolated:
        visit(part);
        break;
      case SplitBehavior::Contiguous:
        !held.empty() && match == held_match ? join(part, match) : hold(part, match);
        break;
      case SplitBehavior::MergedWithPrevious:
        !held.empty() && match && !held_match ? join(part, match) : hold(part, match);
        break;
      case SplitBehavior::MergedWithNext:
        !held.empty() && !match && held_match ? join(part, match) : hold(part, match);
    }
  });
  if (!held.empty()) visit(held);
}

}  // namespace heed
