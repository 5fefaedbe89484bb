// Corpus BLEU with a single reference (Papineni et al., 2002), tokenised as mteval's 13a does: comparable
// with sacreBLEU's default (case kept, exponential smoothing).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace heed {

/// 13a tokens.
std::vector<std::string> BleuTokens(std::string_view text);
/// 0 ... 100. Equal numbers of hypotheses and references.
double CorpusBleu(std::span<const std::string> hypotheses, std::span<const std::string> references);

}  // namespace heed
