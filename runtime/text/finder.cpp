// See finder.h. A trie, with its edges in one map.
#include "runtime/text/finder.h"

namespace heed {

void TextFinder::Add(std::string_view text, int32_t value) {
  if (text.empty()) return;
  starts_[static_cast<unsigned char>(text[0])] = true;
  int32_t node = 0;
  for (const char byte : text) {
    const auto [found, fresh] =
        children_.emplace(std::pair{node, byte}, static_cast<int32_t>(values_.size()));
    if (fresh) values_.push_back(-1);
    node = found->second;
  }
  values_[static_cast<size_t>(node)] = value;
}

std::pair<size_t, int32_t> TextFinder::At(std::string_view text, size_t at) const {
  std::pair<size_t, int32_t> longest{0, -1};
  if (!starts_[static_cast<unsigned char>(text[at])]) return longest;
  int32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto child = children_.find({node, text[i]});
    if (child == children_.end()) break;
    node = child->second;
    if (const int32_t value = values_[static_cast<size_t>(node)]; value >= 0) longest = {i + 1 - at, value};
  }
  return longest;
}

}  // namespace heed
