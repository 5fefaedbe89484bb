// The BPE trainer. Works on the different words of the text with their counts; the counts of pairs are kept
// up to date while merging, and a queue with stale entries finds the best pair. No threads, no randomness.
#include <algorithm>
#include <map>
#include <queue>
#include <unordered_map>

#include "runtime/base/utf8.h"
#include "runtime/text/tokenizer_piece.h"
#include "runtime/text/unicode.h"

namespace heed {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";
constexpr int kLongestPiece = 16;  // code points
constexpr int kLongestUnit = 256;  // code points; longer runs of letters are cut

bool IsLetter(CharacterClass c) { return c >= CharacterClass::Latin; }

/// Calls unit(text) for every stretch inside which pieces may grow.
template <typename Unit>
void ForEachUnit(std::string_view line, bool normalize, std::string& buffer, const Unit& unit) {
  buffer.assign(kMark);
  int length = 1;
  bool only_mark = true;
  CharacterClass before = CharacterClass::Space;
  const auto flush = [&] {
    if (length > 0) unit(buffer);
    buffer.clear();
    length = 0;
    only_mark = false;
  };
  for (size_t at = 0; at < line.size();) {
    const CodePoint c = DecodeUtf8(line, at);
    const std::string_view bytes = line.substr(at, static_cast<size_t>(c.length));
    at += static_cast<size_t>(c.length);
    if (c.value == ' ') {
      if (!(only_mark && normalize)) flush();
      buffer.assign(kMark);
      length = 1;
      only_mark = true;
      before = CharacterClass::Space;
      continue;
    }
    CharacterClass now = ClassOf(c.value);
    const bool apostrophe = c.value == '\'' || c.value == 0x2019;
    const bool stays = apostrophe && IsLetter(before);
    if (!only_mark && !stays && (now != before || length >= kLongestUnit)) flush();
    buffer.append(bytes);
    ++length;
    only_mark = false;
    before = now;
    if (stays) {
      flush();
      before = CharacterClass::Space;
    }
  }
  if (!(only_mark && normalize)) flush();
}

class Trainer {
 public:
  explicit Trainer(const BpeOptions& options) : options_(options) {}

  BpeTraining Train(std::span<const std::string_view> texts) {
    Count(texts);
    BpeTraining result;
    MakeAlphabet(result);
    MakeWords();
    while (static_cast<int64_t>(merged_.size()) + 3 + alphabet_size_ < options_.size && MergeBest()) {
    }
    result.tokenizer = std::make_shared<PieceTokenizer>(MakeModel());
    return result;
  }

 private:
  struct Word {
    std::vector<int32_t> symbols;
    int64_t count;
  };
  struct Pair {
    int32_t left, right;
    int64_t count = 0;
    std::vector<int32_t> words;  // may name a word twice, or one that has lost the pair
    std::string text;
    int length;  // code points
  };
  struct Candidate {
    int64_t count;
    const Pair* pair;
    bool operator<(const Candidate& other) const {
      if (count != other.count) return count < other.count;
      if (pair->length != other.pair->length) return pair->length > other.pair->length;
      if (pair->text != other.pair->text) return pair->text > other.pair->text;
      return pair->left > other.pair->left;
    }
  };

  void Count(std::span<const std::string_view> texts) {
    std::unordered_map<std::string, int64_t> counts;
    std::string buffer;
    for (std::string_view text : texts) {
      for (size_t begin = 0; begin < text.size();) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        if (end < text.size()) ++newlines_;
        if (end > begin) {
          const std::string_view line = text.substr(begin, end - begin);
          const std::string normal = options_.normalize ? NmtNormalForm(line) : "";
          ForEachUnit(options_.normalize ? normal : line, options_.normalize, buffer,
                      [&](const std::string& unit) { ++counts[unit]; });
        }
        begin = end + 1;
      }
    }
    units_.assign(counts.begin(), counts.end());
    std::sort(units_.begin(), units_.end());
  }

  void MakeAlphabet(BpeTraining& result) {
    std::map<std::string, int64_t> counts;
    for (const auto& [unit, count] : units_) {
      for (size_t at = 0; at < unit.size();) {
        const auto length = static_cast<size_t>(DecodeUtf8(unit, at).length);
        counts[unit.substr(at, length)] += count;
        at += length;
      }
    }
    std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
    if (newlines_ > 0) sorted.emplace_back("\n", newlines_);
    std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second > b.second : a.first < b.first;
    });
    result.characters = static_cast<int64_t>(sorted.size());
    const int64_t capacity = std::max<int64_t>(options_.size - 3, 0);
    if (result.characters > capacity) {
      result.left_out = result.characters - capacity;
      sorted.resize(static_cast<size_t>(capacity));
    }
    for (const auto& [text, count] : sorted) {
      ids_.emplace(text, static_cast<int32_t>(texts_.size()));
      texts_.push_back(text);
      lengths_.push_back(1);
    }
    alphabet_size_ = static_cast<int64_t>(texts_.size());
  }

  void MakeWords() {
    words_.reserve(units_.size());
    for (const auto& [unit, count] : units_) {
      Word word{{}, count};
      for (size_t at = 0; at < unit.size();) {
        const auto length = static_cast<size_t>(DecodeUtf8(unit, at).length);
        const auto found = ids_.find(unit.substr(at, length));
        word.symbols.push_back(found == ids_.end() ? -1 : found->second);
        at += length;
      }
      words_.push_back(std::move(word));
      Adjust(static_cast<int32_t>(words_.size() - 1), +1);
    }
    Requeue();
  }

  /// Adds (sign 1) or takes away (sign -1) the pairs of a word.
  void Adjust(int32_t index, int sign) {
    const Word& word = words_[static_cast<size_t>(index)];
    for (size_t i = 0; i + 1 < word.symbols.size(); ++i) {
      const int32_t left = word.symbols[i], right = word.symbols[i + 1];
      if (left < 0 || right < 0) continue;
      const int length = lengths_[static_cast<size_t>(left)] + lengths_[static_cast<size_t>(right)];
      if (length > kLongestPiece) continue;
      const uint64_t key =
          static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
      Pair& pair = pairs_[key];
      if (pair.text.empty()) {
        pair.left = left;
        pair.right = right;
        pair.text = texts_[static_cast<size_t>(left)] + texts_[static_cast<size_t>(right)];
        pair.length = length;
      }
      pair.count += sign * word.count;
      if (sign > 0) {
        if (pair.words.empty() || pair.words.back() != index) pair.words.push_back(index);
        touched_.push_back(&pair);
      }
    }
  }

  /// Queues what grew since the last call. A pair that only shrank is found stale later.
  void Requeue() {
    std::sort(touched_.begin(), touched_.end());
    touched_.erase(std::unique(touched_.begin(), touched_.end()), touched_.end());
    for (Pair* pair : touched_) {
      if (pair->count >= 2) queue_.push({pair->count, pair});
    }
    touched_.clear();
  }

  bool MergeBest() {
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      if (best.count != best.pair->count) {
        if (best.pair->count >= 2 && best.pair->count < best.count)
          queue_.push({best.pair->count, best.pair});
        continue;
      }
      Merge(*best.pair);
      return true;
    }
    return false;
  }

  void Merge(const Pair& pair) {
    // Another pair may have given the same text before: the piece is there already.
    auto [found, is_new] = ids_.emplace(pair.text, static_cast<int32_t>(texts_.size()));
    const int32_t joined = found->second;
    if (is_new) {
      texts_.push_back(pair.text);
      lengths_.push_back(pair.length);
      merged_.push_back(joined);
    }
    const int32_t left = pair.left, right = pair.right;
    const std::vector<int32_t> words = pair.words;
    for (int32_t index : words) {
      Word& word = words_[static_cast<size_t>(index)];
      std::vector<int32_t>& symbols = word.symbols;
      bool here = false;
      for (size_t i = 0; i + 1 < symbols.size() && !here; ++i)
        here = symbols[i] == left && symbols[i + 1] == right;
      if (!here) continue;
      Adjust(index, -1);
      size_t to = 0;
      for (size_t i = 0; i < symbols.size(); ++i, ++to) {
        if (i + 1 < symbols.size() && symbols[i] == left && symbols[i + 1] == right) {
          symbols[to] = joined;
          ++i;
        } else {
          symbols[to] = symbols[i];
        }
      }
      symbols.resize(to);
      Adjust(index, +1);
    }
    Requeue();
  }

  PieceModel MakeModel() const {
    PieceModel model;
    model.lines = true;
    model.collapse_spaces = options_.normalize;
    if (options_.normalize) model.rules = kNmtRules;
    model.pieces = {
        {"<unk>", 0, PieceKind::Unknown}, {"<s>", 0, PieceKind::Control}, {"</s>", 0, PieceKind::Control}};
    const auto add = [&](int32_t symbol) {
      model.pieces.push_back(
          {texts_[static_cast<size_t>(symbol)], -static_cast<float>(model.pieces.size() - 3)});
    };
    for (int32_t symbol : merged_) add(symbol);
    for (int32_t symbol = 0; symbol < alphabet_size_; ++symbol) add(symbol);
    return model;
  }

  BpeOptions options_;
  std::vector<std::pair<std::string, int64_t>> units_;
  int64_t newlines_ = 0;
  int64_t alphabet_size_ = 0;
  std::unordered_map<std::string, int32_t> ids_;
  std::vector<std::string> texts_;  // of symbols
  std::vector<int> lengths_;
  std::vector<int32_t> merged_;  // symbols in the order of merging
  std::vector<Word> words_;
  std::unordered_map<uint64_t, Pair> pairs_;  // addresses are stable
  std::vector<Pair*> touched_;
  std::priority_queue<Candidate> queue_;
};

}  // namespace

BpeTraining TrainBpe(std::span<const std::string_view> texts, const BpeOptions& options) {
  return Trainer(options).Train(texts);
}

}  // namespace heed
