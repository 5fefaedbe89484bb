// Properties of all characters and normal forms, from the utf8proc library: one version of Unicode for all of
// Heed. What tokenizers need; the coarse classes of our own BPE are in utf8.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace heed {

// clang-format off
/// General categories of the standard; Cn: unassigned.
enum class Category : uint8_t {
  Cn, Lu, Ll, Lt, Lm, Lo, Mn, Mc, Me, Nd, Nl, No, Pc, Pd, Ps,
  Pe, Pi, Pf, Po, Sm, Sc, Sk, So, Zs, Zl, Zp, Cc, Cf, Cs, Co
};
// clang-format on
/// "15.0.0".
std::string_view UnicodeVersion();
Category CategoryOf(char32_t c);

/// One bit a category.
using CategorySet = uint32_t;
constexpr CategorySet In(Category category) { return CategorySet{1} << static_cast<int>(category); }
inline bool IsIn(char32_t c, CategorySet set) { return (In(CategoryOf(c)) & set) != 0; }
/// "L", "Lu", "N" ...; nothing for other names.
std::optional<CategorySet> CategoriesNamed(std::string_view name);
/// The ranges [first, last] of equal category, in order, over all characters.
void ForEachCategoryRange(const std::function<void(char32_t first, char32_t last, Category)>& visit);

/// The property White_Space.
bool IsWhiteSpace(char32_t c);
/// What words are made of (Unicode technical standard 18, \w): letters in the sense of Alphabetic, marks,
/// decimal digits, connectors and joiners.
bool IsWordCharacter(char32_t c);
/// Columns on a terminal: 2 for East Asian characters, 0 for combining ones.
int ColumnsOf(char32_t c);
/// What a reader takes for one character (Unicode standard annex 29): a letter with its marks, emoji that are
/// joined, the two letters of a flag.
struct Cluster {
  size_t bytes = 1;  ///< a byte that is not valid UTF-8 is a cluster of its own
  int columns = 1;
};
Cluster ClusterAt(std::string_view text, size_t at);

/// Bytes as a reader would like to see them: spaces as U+2581, what is no visible character as "<0x0A>".
std::string Visible(std::string_view bytes);

/// Normal forms of valid UTF-8, Unicode standard annex 15: composed (C) or decomposed (D), and with what is
/// the same to a reader made the same (K): ligatures, full-width letters, circled digits.
std::string NormalFormC(std::string_view text);
std::string NormalFormD(std::string_view text);
std::string NormalFormKC(std::string_view text);
/// Text as SentencePiece has it by default (its rules `nmt_nfkc`): form KC, but for the full-width tilde;
/// then characters that stand for a space are one, tabs and marks without width among them, and other
/// control characters are dropped.
std::string NmtNormalForm(std::string_view text);

}  // namespace heed
