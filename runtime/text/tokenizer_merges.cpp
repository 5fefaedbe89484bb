// See tokenizer_merges.h. Candidates wait in a queue by rank, then place; those whose sides have changed
// meanwhile are dropped when they come up.
#include "runtime/text/tokenizer_merges.h"

#include <algorithm>
#include <cstdio>
#include <queue>

#include "runtime/base/utf8.h"

namespace heed {
namespace {

uint64_t PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

Result<MergeModel> MergeModel::Make(std::vector<std::string> pieces,
                                    const std::vector<std::pair<std::string_view, std::string_view>>& merges,
                                    MergeRules rules) {
  MergeModel model;
  model.rules_ = std::move(rules);
  model.pieces_ = std::move(pieces);
  model.ids_.reserve(model.pieces_.size());
  for (size_t i = 0; i < model.pieces_.size(); ++i) {
    if (!model.pieces_[i].empty()) model.ids_.emplace(model.pieces_[i], static_cast<int32_t>(i));
  }
  const std::string& prefix = model.rules_.continuing_prefix;
  model.merges_.reserve(merges.size());
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    joined = left;
    joined += right.starts_with(prefix) ? right.substr(prefix.size()) : right;
    const int32_t left_id = model.IdOf(left), right_id = model.IdOf(right), joined_id = model.IdOf(joined);
    if (left_id < 0 || right_id < 0 || joined_id < 0) {
      const std::string_view missing = left_id < 0 ? left : right_id < 0 ? right : joined;
      return Error{"merge " + std::to_string(rank + 1) + " of `" + std::string(left) + "` and `" +
                   std::string(right) + "` needs `" + std::string(missing) +
                   "`, which is not in the vocabulary"};
    }
    model.merges_[PairKey(left_id, right_id)] = {static_cast<int32_t>(rank), joined_id};
  }
  return model;
}

int32_t MergeModel::IdOf(std::string_view piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? -1 : found->second;
}

void MergeModel::Encode(std::string_view word, std::vector<int32_t>& out) const {
  if (rules_.whole_words) {
    if (const int32_t id = IdOf(word); id >= 0) return out.push_back(id);
  }
  std::vector<int32_t> symbols;
  Split(word, symbols);
  MergeAll(symbols);
  out.insert(out.end(), symbols.begin(), symbols.end());
}

// The word's characters as pieces.
void MergeModel::Split(std::string_view word, std::vector<int32_t>& out) const {
  // An unknown character is written when it is known not to be joined with the next; pieces of bytes
  // meanwhile go before it, as in the library that files of this kind are for.
  bool unknown = false;
  const auto flush = [&] {
    if (unknown) out.push_back(rules_.unknown);
    unknown = false;
  };
  std::string decorated;
  for (size_t at = 0; at < word.size();) {
    const size_t length = static_cast<size_t>(std::max(DecodeUtf8(word, at).length, 1));
    std::string_view character = word.substr(at, length);
    const bool first = at == 0, last = at + length == word.size();
    at += length;
    if ((!first && !rules_.continuing_prefix.empty()) || (last && !rules_.word_suffix.empty())) {
      decorated = first ? "" : rules_.continuing_prefix;
      decorated += character;
      if (last) decorated += rules_.word_suffix;
      character = decorated;
    }
    if (const int32_t id = IdOf(character); id >= 0) {
      flush();
      out.push_back(id);
    } else if (!(rules_.byte_fallback && SplitBytes(character, out)) && rules_.unknown >= 0) {
      if (!rules_.fuse_unknown) flush();
      unknown = true;
    }
  }
  flush();
}

bool MergeModel::SplitBytes(std::string_view character, std::vector<int32_t>& out) const {
  const size_t before = out.size();
  for (const char c : character) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(static_cast<unsigned char>(c)));
    const int32_t id = IdOf(name);
    if (id < 0) {
      out.resize(before);
      return false;
    }
    out.push_back(id);
  }
  return true;
}

void MergeModel::MergeAll(std::vector<int32_t>& symbols) const {
  struct Candidate {
    int32_t rank, place, joined;
    bool operator<(const Candidate& other) const {  // the queue's top is its largest
      return rank != other.rank ? rank > other.rank : place > other.place;
    }
  };
  const auto count = static_cast<int32_t>(symbols.size());
  constexpr int32_t kGone = -1;
  std::vector<int32_t> previous(symbols.size()), next(symbols.size());
  std::priority_queue<Candidate> queue;
  const auto symbol = [&](int32_t i) -> int32_t& { return symbols[static_cast<size_t>(i)]; };
  const auto merge_at = [&](int32_t left) {
    const int32_t right = next[static_cast<size_t>(left)];
    return right >= count ? merges_.end() : merges_.find(PairKey(symbol(left), symbol(right)));
  };
  const auto consider = [&](int32_t left) {
    if (left < 0) return;
    if (const auto found = merge_at(left); found != merges_.end())
      queue.push({found->second.rank, left, found->second.joined});
  };
  for (int32_t i = 0; i < count; ++i) {
    previous[static_cast<size_t>(i)] = i - 1;
    next[static_cast<size_t>(i)] = i + 1;
  }
  for (int32_t i = 0; i < count; ++i) consider(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    if (symbol(best.place) == kGone) continue;
    const auto found = merge_at(best.place);
    if (found == merges_.end() || found->second.joined != best.joined) continue;
    const int32_t right = next[static_cast<size_t>(best.place)], after = next[static_cast<size_t>(right)];
    symbol(best.place) = best.joined;
    symbol(right) = kGone;
    next[static_cast<size_t>(best.place)] = after;
    if (after < count) previous[static_cast<size_t>(after)] = best.place;
    consider(previous[static_cast<size_t>(best.place)]);
    consider(best.place);
  }
  std::erase(symbols, kGone);
}

}  // namespace heed
