// Properties of all characters and canonical normalisation, from the tables of one version of Unicode. What
// tokenizers of published models need; the coarse classes of our own BPE are in utf8.h.
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
  Cn, Cc, Cf, Co, Cs, Ll, Lm, Lo, Lt, Lu, Mc, Me, Mn, Nd, Nl,
  No, Pc, Pd, Pe, Pf, Pi, Po, Ps, Sc, Sk, Sm, So, Zl, Zp, Zs
};
// clang-format on
/// "14.0.0".
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

/// Normal form C (composed) of valid UTF-8, Unicode standard annex 15.
std::string NormalFormC(std::string_view text);
/// Normal form D (decomposed).
std::string NormalFormD(std::string_view text);

}  // namespace heed
