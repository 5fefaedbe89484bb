// Properties and normal forms of characters against values of the standard.
#include "runtime/text/unicode.h"

#include <gtest/gtest.h>

#include <map>

#include "runtime/base/utf8.h"

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
  EXPECT_EQ(UnicodeVersion(), "15.0.0");
  // Of that version.
  EXPECT_EQ(counts[Category::Lu], 1831);
  EXPECT_EQ(counts[Category::Nd], 680);
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

TEST(Unicode, LettersOfItsVersion) {
  // New in Unicode 15: a letter of Kawi, a Cyrillic modifier letter, an ideograph, a digit and an emoji.
  EXPECT_EQ(CategoryOf(0x11F12), Category::Lo);
  EXPECT_EQ(CategoryOf(0x1E030), Category::Lm);
  EXPECT_EQ(CategoryOf(0x31350), Category::Lo);
  EXPECT_EQ(CategoryOf(0x1E4F0), Category::Nd);
  EXPECT_EQ(CategoryOf(0x1FAE8), Category::So);
  EXPECT_EQ(Visible(Utf8(U"\U00011F12 \u0378\n")), Utf8(U"\U00011F12▁") + "<0xCD><0xB8><0x0A>");
}

TEST(Unicode, CompatibleForms) {
  const std::pair<std::u32string, std::u32string> cases[] = {
      {U"", U""},
      {U"plain", U"plain"},
      {U"me\u0301decin", U"médecin"},
      {U"\uFF28\uFF45\uFF4C\uFF4C\uFF4F", U"Hello"},
      {U"\uFB01sh \uFB03", U"fish ffi"},
      {U"\u2460 \u00BD x\u00B2 \u2026", U"1 1\u20442 x2 ..."},
      {U"\u00A0\u3000\u2009", U"   "},
      {U"\u1E9B\u0323", U"\u1E69"},
      {U"\uFF76\uFF9E", U"\u30AC"},  // half-width kana and their mark
      {U"\u3300", U"\u30A2\u30D1\u30FC\u30C8"},
      {U"\u1100\u1161\u11A8", U"\uAC01"},
      {U"s\u0307\u0323", U"\u1E69"},
  };
  for (const auto& [text, form] : cases) EXPECT_EQ(NormalFormKC(Utf8(text)), Utf8(form)) << Utf8(text);
}

TEST(Unicode, NmtNormalForm) {
  const std::pair<std::u32string, std::u32string> cases[] = {
      {U"", U""},
      {U"me\u0301decin \uFB01sh \uFF21", U"médecin fish A"},
      {U"a\tb\u00A0c\u200Bd\uFEFFe\u2028f\u1680g\u200Eh\u2581i\uFFFDj\u200Ck", U"a b c d e f g h i j k"},
      {U"a\u0001b\u001Fc\u007Fd\u008Fe\u000Bf", U"abcdef"},
      {U"a\u200Db\u0085c\u00ADd", U"a\u200Db\u0085c\u00ADd"},
      {U"\uFF5E \uFF5Ee\u0301\uFF5E ~", U"\uFF5E \uFF5Eé\uFF5E ~"},
      {U"a\u0001\u0301", U"a\u0301"},  // what is dropped stood between
      {std::u32string(1, 0), std::u32string(1, 0)},
  };
  for (const auto& [text, form] : cases) EXPECT_EQ(NmtNormalForm(Utf8(text)), Utf8(form)) << Utf8(text);
}

TEST(Unicode, ManyMarksTakeNoLonger) {
  std::u32string marks = U"a";
  for (int i = 0; i < 500'000; ++i) marks += i % 2 == 0 ? U'\u0301' : U'\u0323';
  const std::string sorted = NormalFormC(Utf8(marks));
  EXPECT_TRUE(sorted.starts_with(Utf8(U"\u1EA1\u0323")));
  EXPECT_EQ(NormalFormC(sorted), sorted);
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
