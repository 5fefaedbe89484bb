// Looks for any of a set of texts: tokens that are found in a text before anything else.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

namespace heed {

/// Which of a set of texts starts where: the longest, as the leftmost is looked for.
class TextFinder {
 public:
  /// Texts that are empty are never found.
  void Add(std::string_view text, int32_t value);
  bool empty() const { return children_.empty(); }
  /// The longest of the texts at `at`: its length, or 0, and its value.
  std::pair<size_t, int32_t> At(std::string_view text, size_t at) const;

 private:
  std::map<std::pair<int32_t, char>, int32_t> children_;  // (node, byte) -> node; the root is 0
  std::vector<int32_t> values_{-1};                       // of each node; -1: no text ends there
  std::vector<bool> starts_ = std::vector<bool>(256);     // bytes that some text starts with
};

}  // namespace heed
