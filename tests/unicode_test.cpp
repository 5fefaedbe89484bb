// Properties and normal forms of characters against values of the standard.
#include "runtime/unicode.h"

#include <gtest/gtest.h>

#include <map>

#include "runtime/utf8.h"

namespace heed {
namespace {

std::string Utf8(std::u32string_view characters) {
  std::string out;
  for (const char32_t c : characters) AppendUtf8(out, c);
  return out;
}

TEST(Unicode, Categories) {
  const std::map<char32_t, Category> known = {
      {'A', Category::Lu},    {'a', Category::Ll},   {U'ǅ', Category::Lt},     {U'ʰ', Category::Lm},
      {U'字', Category::Lo},  {0x301, Category::Mn}, {0x903, Category::Mc},    {0x20DD, Category::Me},
      {'7', Category::Nd},    {U'Ⅷ', Category::Nl},  {U'½', Category::No},     {'_', Category::Pc},
      {'-', Category::Pd},    {')', Category::Pe},   {U'»', Category::Pf},     {U'«', Category::Pi},
      {'!', Category::Po},    {'(', Category::Ps},   {'$', Category::Sc},      {'^', Category::Sk},
      {'+', Category::Sm},    {U'🙂', Category::So}, {0x2028, Category::Zl},   {0x2029, Category::Zp},
      {' ', Category::Zs},    {0, Category::Cc},     {0xAD, Category::Cf},     {0xE000, Category::Co},
      {0xD800, Category::Cs}, {0x378, Category::Cn}, {0x10FFFF, Category::Cn}, {0x110000, Category::Cn}};
  for (const auto& [c, category] : known) EXPECT_EQ(CategoryOf(c), category) << std::hex << uint32_t{c};
  EXPECT_EQ(CategoriesNamed("Lu"), In(Category::Lu));
  EXPECT_EQ(*CategoriesNamed("Z"), In(Category::Zl) | In(Category::Zp) | In(Category::Zs));
  for (const char* name : {"", "X", "Lx", "Letter", "l"}) EXPECT_FALSE(CategoriesNamed(name)) << name;
}

TEST(Unicode, RangesCoverEveryCharacterOnce) {
  char32_t next = 0;
  std::map<Category, int64_t> counts;
  ForEachCategoryRange([&](char32_t first, char32_t last, Category category) {
    EXPECT_EQ(first, next);
    EXPECT_EQ(CategoryOf(first), category);
    EXPECT_EQ(CategoryOf(last), category);
    counts[category] += int64_t{last} - int64_t{first} + 1;
    next = last + 1;
  });
  EXPECT_EQ(next, char32_t{0x110000});
  EXPECT_EQ(UnicodeVersion(), "14.0.0");
  // Of that version.
  EXPECT_EQ(counts[Category::Lu], 1831);
  EXPECT_EQ(counts[Category::Nd], 660);
  EXPECT_EQ(counts[Category::Zs], 17);
}

TEST(Unicode, WhiteSpaceAndWords) {
  for (const char32_t c : {U'\t', U'\r', U' ', U'\x85', U'\xA0', U'\u2003', U'\u2028', U'\u3000'})
    EXPECT_TRUE(IsWhiteSpace(c)) << uint32_t{c};
  for (const char32_t c : {U'\x1C', U'\u200B', U'\u2060', U'\uFEFF', U'x'}) EXPECT_FALSE(IsWhiteSpace(c));
  for (const char32_t c : {U'a', U'ß', U'字', U'_', U'3', U'Ⅷ', U'\u0301', U'Ⓐ', U'\u200D'})
    EXPECT_TRUE(IsWordCharacter(c)) << uint32_t{c};
  for (const char32_t c : {U' ', U'-', U'½', U'🙂', U'²'}) EXPECT_FALSE(IsWordCharacter(c)) << uint32_t{c};
}

TEST(Unicode, NormalForms) {
  struct Case {
    std::u32string text, composed, decomposed;
  };
  const Case cases[] = {
      {U"", U"", U""},
      {U"plain é", U"plain é", U"plain e\u0301"},
      {U"e\u0301", U"é", U"e\u0301"},
      {U"\u212B \u2126", U"Å Ω", U"A\u030A Ω"},         // singletons do not come back
      {U"\u0958", U"\u0915\u093C", U"\u0915\u093C"},    // excluded from composition
      {U"\u1E69", U"\u1E69", U"s\u0323\u0307"},         // twice
      {U"s\u0307\u0323", U"\u1E69", U"s\u0323\u0307"},  // marks are put in order
      {U"a\u0315\u0300", U"\u00E0\u0315", U"a\u0300\u0315"},
      {U"a\u05AE\u0300", U"\u00E0\u05AE", U"a\u05AE\u0300"},  // a mark of a lower class between
      {U"a\u0301\u0300", U"\u00E1\u0300", U"a\u0301\u0300"},  // blocked by one of the same class
      {U"\u0301e", U"\u0301e", U"\u0301e"},                   // nothing to join
      {U"\u1112\u1161\u11AB", U"\uD55C", U"\u1112\u1161\u11AB"},
      {U"\uAC00\u11A8", U"\uAC01", U"\u1100\u1161\u11A8"},
      {U"\uAC01\u11A8", U"\uAC01\u11A8", U"\u1100\u1161\u11A8\u11A8"},
      {U"\u1100\u1161\u11A7", U"\uAC00\u11A7", U"\u1100\u1161\u11A7"},  // not a trailing consonant
      {U"\u0B47\u0B3E", U"\u0B4B", U"\u0B47\u0B3E"},                    // two starters compose
      {U"\U0001D15E", U"\U0001D157\U0001D165", U"\U0001D157\U0001D165"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(NormalFormC(Utf8(one.text)), Utf8(one.composed)) << Utf8(one.text);
    EXPECT_EQ(NormalFormD(Utf8(one.text)), Utf8(one.decomposed)) << Utf8(one.text);
    EXPECT_EQ(NormalFormC(Utf8(one.decomposed)), Utf8(one.composed));
  }
}

// Forms are idempotent and agree, for every character by itself and between marks.
TEST(Unicode, NormalFormsOfAllCharacters) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    const std::string text = Utf8(std::u32string{c, 0x323, 0x301});
    const std::string composed = NormalFormC(text), decomposed = NormalFormD(text);
    ASSERT_EQ(NormalFormC(decomposed), composed) << std::hex << uint32_t{c};
    ASSERT_EQ(NormalFormD(composed), decomposed) << std::hex << uint32_t{c};
  }
}

TEST(Unicode, LossyUtf8ReplacesLongestBeginnings) {
  const std::string replacement = "\xEF\xBF\xBD";
  EXPECT_EQ(LossyUtf8("aé€😀"), "aé€😀");
  EXPECT_EQ(LossyUtf8("\xF0\x9F\x99"), replacement);  // one of a cut character
  EXPECT_EQ(LossyUtf8("\xF0\x9Fx"), replacement + "x");
  EXPECT_EQ(LossyUtf8("\xE2\x82\xE2\x82\xAC"), replacement + "€");
  EXPECT_EQ(LossyUtf8("\xC0\x80"), replacement + replacement);  // no character begins so
  EXPECT_EQ(LossyUtf8("\xED\xA0\x80"), replacement + replacement + replacement);
  EXPECT_EQ(LossyUtf8("\xF4\x90\x80"), replacement + replacement + replacement);
  EXPECT_EQ(LossyUtf8("\xE0\x80"), replacement + replacement);
  EXPECT_EQ(LossyUtf8("\xFF\xFE"), replacement + replacement);
  EXPECT_EQ(LossyUtf8("\xE2"), replacement);
}

}  // namespace
}  // namespace heed
