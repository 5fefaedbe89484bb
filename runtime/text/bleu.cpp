// BLEU. The tokeniser does the four substitutions of mteval-v13a one after the other, as they are defined,
// because their order and their non-overlapping matches are part of the result.
#include "runtime/text/bleu.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <map>

#include "runtime/base/utf8.h"

namespace heed {
namespace {

void ReplaceAll(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
/// { to ~, [ to `, space to &, ( to +, : to @, /
bool IsSymbol(char c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') ||
         (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
}
/// Length of the character at `at`, so that a match of "any character" takes a whole one.
size_t Whole(const std::string& text, size_t at) {
  const int length = DecodeUtf8(text, at).length;
  return length == 0 ? 1 : static_cast<size_t>(length);
}

std::map<std::vector<std::string>, int64_t> Ngrams(const std::vector<std::string>& tokens, size_t n) {
  std::map<std::vector<std::string>, int64_t> counts;
  for (size_t i = 0; i + n <= tokens.size(); ++i) {
    ++counts[std::vector<std::string>(tokens.begin() + static_cast<int64_t>(i),
                                      tokens.begin() + static_cast<int64_t>(i + n))];
  }
  return counts;
}

}  // namespace

std::vector<std::string> BleuTokens(std::string_view input) {
  std::string text(input);
  ReplaceAll(text, "<skipped>", "");
  ReplaceAll(text, "-\n", "");
  ReplaceAll(text, "\n", " ");
  ReplaceAll(text, "&quot;", "\"");
  ReplaceAll(text, "&amp;", "&");
  ReplaceAll(text, "&lt;", "<");
  ReplaceAll(text, "&gt;", ">");
  text = " " + text + " ";
  std::string out;
  for (char c : text) {
    if (IsSymbol(c)) {
      out += ' ';
      out += c;
      out += ' ';
    } else {
      out += c;
    }
  }
  // ([^0-9])([.,]) -> \1 \2
  text.swap(out);
  out.clear();
  for (size_t at = 0; at < text.size();) {
    const size_t one = Whole(text, at);
    out.append(text, at, one);
    if (!IsDigit(text[at]) && at + one < text.size() && (text[at + one] == '.' || text[at + one] == ',')) {
      out += ' ';
      out += text[at + one];
      out += ' ';
      at += one + 1;
    } else {
      at += one;
    }
  }
  // ([.,])([^0-9]) -> \1 \2
  text.swap(out);
  out.clear();
  for (size_t at = 0; at < text.size();) {
    if ((text[at] == '.' || text[at] == ',') && at + 1 < text.size() && !IsDigit(text[at + 1])) {
      out += ' ';
      out += text[at];
      out += ' ';
      const size_t one = Whole(text, at + 1);
      out.append(text, at + 1, one);
      at += 1 + one;
    } else {
      out += text[at++];
    }
  }
  // ([0-9])(-) -> \1 \2
  text.swap(out);
  out.clear();
  for (size_t at = 0; at < text.size(); ++at) {
    out += text[at];
    if (IsDigit(text[at]) && at + 1 < text.size() && text[at + 1] == '-') {
      out += " - ";
      ++at;
    }
  }
  std::vector<std::string> tokens;
  std::string token;
  for (size_t at = 0; at < out.size();) {
    const CodePoint c = DecodeUtf8(out, at);
    const size_t one = c.length == 0 ? 1 : static_cast<size_t>(c.length);
    if (IsUnicodeSpace(c.value)) {
      if (!token.empty()) tokens.push_back(std::move(token));
      token.clear();
    } else {
      token.append(out, at, one);
    }
    at += one;
  }
  if (!token.empty()) tokens.push_back(std::move(token));
  return tokens;
}

double CorpusBleu(std::span<const std::string> hypotheses, std::span<const std::string> references) {
  std::array<int64_t, 4> matches{}, totals{};
  int64_t hypothesis_length = 0, reference_length = 0;
  for (size_t i = 0; i < std::min(hypotheses.size(), references.size()); ++i) {
    const std::vector<std::string> hypothesis = BleuTokens(hypotheses[i]),
                                   reference = BleuTokens(references[i]);
    hypothesis_length += static_cast<int64_t>(hypothesis.size());
    reference_length += static_cast<int64_t>(reference.size());
    for (size_t n = 1; n <= 4; ++n) {
      const auto there = Ngrams(reference, n);
      for (const auto& [ngram, count] : Ngrams(hypothesis, n)) {
        totals[n - 1] += count;
        const auto found = there.find(ngram);
        if (found != there.end()) matches[n - 1] += std::min(count, found->second);
      }
    }
  }
  if (hypothesis_length == 0 || matches[0] == 0) return 0;
  double smoothing = 1, sum = 0;
  for (size_t n = 0; n < 4; ++n) {
    if (totals[n] == 0) return 0;
    if (matches[n] == 0) {
      smoothing *= 2;
      sum += std::log(100 / (smoothing * static_cast<double>(totals[n])));
    } else {
      sum += std::log(100 * static_cast<double>(matches[n]) / static_cast<double>(totals[n]));
    }
  }
  const double brevity =
      hypothesis_length > reference_length
          ? 1
          : std::exp(1 - static_cast<double>(reference_length) / static_cast<double>(hypothesis_length));
  return brevity * std::exp(sum / 4);
}

}  // namespace heed
