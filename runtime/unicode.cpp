// See unicode.h. Tables are searched by bisection; ASCII is answered without. Decomposition, ordering of
// marks and composition follow the standard's section 3.11; Hangul syllables are arithmetic.
#include "runtime/unicode.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>
#include <vector>

#include "runtime/utf8.h"

namespace heed {
namespace {

#include "runtime/unicode_tables.inc"

constexpr std::string_view kCategoryNames = "CnCcCfCoCsLlLmLoLtLuMcMeMnNdNlNoPcPdPePfPiPoPsScSkSmSoZlZpZs";
constexpr char32_t kLastCharacter = 0x10FFFF;

// The value of the run that `c` lies in.
template <size_t kSize>
uint32_t RunValue(const uint32_t (&runs)[kSize], char32_t c, int value_bits) {
  const auto after = std::upper_bound(std::begin(runs), std::end(runs), static_cast<uint32_t>(c),
                                      [&](uint32_t x, uint32_t run) { return x < run >> value_bits; });
  return *std::prev(after) & ((1u << value_bits) - 1);
}

int CombiningClass(char32_t c) { return c < 0x300 ? 0 : static_cast<int>(RunValue(kClassRuns, c, 8)); }

// Hangul syllables: 19 leading consonants x 21 vowels x 28 trailing consonants (the first of them none).
constexpr char32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTrails = 0x11A7;
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTrailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTrailCount;

// Appends the full decomposition of `c`.
void Decompose(char32_t c, std::u32string& out) {
  if (c >= kSyllables && c < kSyllables + kSyllableCount) {
    const char32_t index = c - kSyllables;
    out.push_back(kLeads + index / (kVowelCount * kTrailCount));
    out.push_back(kVowels + index / kTrailCount % kVowelCount);
    if (index % kTrailCount != 0) out.push_back(kTrails + index % kTrailCount);
    return;
  }
  constexpr size_t kCount = std::size(kDecompositions) / 3;
  size_t low = 0, high = kCount;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    if (kDecompositions[3 * middle] >> 1 < c) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == kCount || kDecompositions[3 * low] >> 1 != c) {
    out.push_back(c);
    return;
  }
  Decompose(kDecompositions[3 * low + 1], out);
  if (kDecompositions[3 * low + 2] != 0) Decompose(kDecompositions[3 * low + 2], out);
}

// Decomposed, with marks in the order of their classes.
std::u32string Decomposed(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = DecodeUtf8(text, at);
    Decompose(c.value, out);
    at += static_cast<size_t>(std::max(c.length, 1));
  }
  for (size_t begin = 0; begin < out.size();) {
    if (CombiningClass(out[begin]) == 0) {
      ++begin;
      continue;
    }
    size_t end = begin;
    while (end < out.size() && CombiningClass(out[end]) != 0) ++end;
    std::stable_sort(out.begin() + static_cast<std::ptrdiff_t>(begin),
                     out.begin() + static_cast<std::ptrdiff_t>(end),
                     [](char32_t a, char32_t b) { return CombiningClass(a) < CombiningClass(b); });
    begin = end;
  }
  return out;
}

// The character that two compose to, or 0.
char32_t Composition(char32_t first, char32_t second) {
  static const auto kPairs = [] {
    std::unordered_map<uint64_t, char32_t> pairs;
    for (size_t i = 0; i < std::size(kDecompositions); i += 3) {
      if ((kDecompositions[i] & 1) == 0) continue;
      pairs.emplace(uint64_t{kDecompositions[i + 1]} << 32 | kDecompositions[i + 2], kDecompositions[i] >> 1);
    }
    return pairs;
  }();
  if (first >= kLeads && first < kLeads + kLeadCount && second >= kVowels && second < kVowels + kVowelCount)
    return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTrailCount;
  if (first >= kSyllables && first < kSyllables + kSyllableCount && (first - kSyllables) % kTrailCount == 0 &&
      second > kTrails && second < kTrails + kTrailCount)
    return first + (second - kTrails);
  const auto found = kPairs.find(uint64_t{first} << 32 | second);
  return found == kPairs.end() ? 0 : found->second;
}

std::string ToUtf8(std::u32string_view characters) {
  std::string out;
  for (const char32_t c : characters) AppendUtf8(out, c);
  return out;
}

}  // namespace

std::string_view UnicodeVersion() { return kUnicodeVersion; }

Category CategoryOf(char32_t c) {
  if (c > kLastCharacter) return Category::Cn;
  return static_cast<Category>(RunValue(kCategoryRuns, c, 5));
}

std::optional<CategorySet> CategoriesNamed(std::string_view name) {
  if (name.empty() || name.size() > 2) return std::nullopt;
  CategorySet set = 0;
  for (size_t i = 0; i < kCategoryNames.size(); i += 2) {
    if (kCategoryNames.substr(i, name.size()) == name) set |= CategorySet{1} << i / 2;
  }
  if (set == 0) return std::nullopt;
  return set;
}

void ForEachCategoryRange(const std::function<void(char32_t first, char32_t last, Category)>& visit) {
  for (size_t i = 0; i < std::size(kCategoryRuns); ++i) {
    const char32_t last = i + 1 < std::size(kCategoryRuns) ? (kCategoryRuns[i + 1] >> 5) - 1 : kLastCharacter;
    visit(kCategoryRuns[i] >> 5, last, static_cast<Category>(kCategoryRuns[i] & 31));
  }
}

bool IsWhiteSpace(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D);
  return c == 0x85 || IsIn(c, In(Category::Zs) | In(Category::Zl) | In(Category::Zp));
}

bool IsWordCharacter(char32_t c) {
  static const CategorySet kWord =
      *CategoriesNamed("L") | *CategoriesNamed("M") | In(Category::Nd) | In(Category::Nl) | In(Category::Pc);
  // Symbols that are alphabetic (circled, squared and the like), and the joiners.
  return IsIn(c, kWord) || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
         (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189) || c == 0x200C || c == 0x200D;
}

std::string NormalFormD(std::string_view text) { return ToUtf8(Decomposed(text)); }

std::string NormalFormC(std::string_view text) {
  // Below U+0300 nothing composes or decomposes differently; its bytes are below 0xCC.
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0xCC; }))
    return std::string(text);
  std::u32string characters = Decomposed(text), out;
  out.reserve(characters.size());
  size_t starter = SIZE_MAX;  // of what is written, the last that marks may join
  int before = 0;             // class of the last mark after it that stayed
  for (const char32_t c : characters) {
    const int its = CombiningClass(c);
    if (starter != SIZE_MAX) {
      const bool adjacent = out.size() == starter + 1;
      if (adjacent || (before != 0 && before < its)) {
        if (const char32_t composed = Composition(out[starter], c)) {
          out[starter] = composed;
          continue;
        }
      }
    }
    if (its == 0) starter = out.size();
    before = its;
    out.push_back(c);
  }
  return ToUtf8(out);
}

}  // namespace heed
