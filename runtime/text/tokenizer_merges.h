// Byte-pair encoding by a list of merges in order of rank, as published vocabularies have it (Sennrich et
// al., 2016). Words come from stages.h; PieceTokenizer's merging, by scores of pieces, is another.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runtime/base/result.h"

namespace heed {

struct MergeRules {
  bool whole_words = false;    ///< a word that is a piece is not looked at further
  bool byte_fallback = false;  ///< a character that is no piece becomes pieces "<0x..>" of its bytes
  bool fuse_unknown = false;   ///< neighbouring unknown characters are one
  std::string continuing_prefix, word_suffix;  ///< written in pieces inside words, and at their end
  int32_t unknown = -1;                        ///< -1: characters without a piece are left out
};

class MergeModel {
 public:
  /// `pieces` by id (empty: no such id); `merges` in order. An error names a merge that does not give a
  /// piece.
  static Result<MergeModel> Make(std::vector<std::string> pieces,
                                 const std::vector<std::pair<std::string_view, std::string_view>>& merges,
                                 MergeRules rules);
  /// Appends the ids of one word. Time is n log n.
  void Encode(std::string_view word, std::vector<int32_t>& out) const;
  /// -1: no such piece.
  int32_t IdOf(std::string_view piece) const;
  const std::vector<std::string>& pieces() const { return pieces_; }
  const MergeRules& rules() const { return rules_; }

 private:
  struct Merge {
    int32_t rank, joined;
  };
  void Split(std::string_view word, std::vector<int32_t>& out) const;
  bool SplitBytes(std::string_view character, std::vector<int32_t>& out) const;
  void MergeAll(std::vector<int32_t>& symbols) const;

  std::vector<std::string> pieces_;
  std::unordered_map<std::string_view, int32_t> ids_;  // views into pieces_
  std::unordered_map<uint64_t, Merge> merges_;         // (left, right)
  MergeRules rules_;
};

}  // namespace heed
