// Regular expressions of tokenizers: what they match, what is refused, and time that does not depend on how
// hostile they are.
#include "runtime/text/pattern.h"

#include <gtest/gtest.h>

#include "runtime/base/utf8.h"
#include "tests/support/expect.h"

namespace heed {
namespace {

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

using Parts = std::vector<std::string>;

/// Matches as they are, what lies between them in brackets.
Parts PartsOf(const Pattern& pattern, std::string_view text) {
  Parts parts;
  std::string all;
  pattern.ForEachPart(text, [&](std::string_view part, bool match) {
    EXPECT_FALSE(part.empty());
    all += part;
    parts.push_back(match ? std::string(part) : "[" + std::string(part) + "]");
  });
  EXPECT_EQ(all, text);
  return parts;
}
Parts PartsOf(const std::string& expression, std::string_view text) {
  const Result<Pattern> pattern = Pattern::Compile(expression);
  if (!pattern) {
    ADD_FAILURE() << pattern.error().message;
    return {};
  }
  return PartsOf(*pattern, text);
}

TEST(Pattern, CutsAsPublishedTokenizersDo) {
  EXPECT_EQ(PartsOf(kGpt2, "They'll see 42 cats!!   x\n\n y's  "),
            (Parts{"They", "'ll", " see", " 42", " cats", "!!", "  ", " x", "\n\n", " y", "'s", "  "}));
  EXPECT_EQ(PartsOf(kGpt2, " \t\u3000naïve字🙂"), (Parts{" \t", "\u3000", "naïve字", "🙂"}));
  EXPECT_EQ(PartsOf(kLlama3, "They'LL pay 12345 (now)!\r\n\n  Привет"),
            (Parts{"They", "'LL", " pay", " ", "123", "45", " (", "now", ")!\r\n\n", " ", " Привет"}));
  EXPECT_EQ(PartsOf(kLlama3, "a \n \n b"), (Parts{"a", " \n \n", " b"}));
  EXPECT_EQ(PartsOf(kLlama3, "'ſ'K"), (Parts{"'ſ", "'K"}));  // the long s is an s without its case
}

TEST(Pattern, FirstAlternativeWins) {
  EXPECT_EQ(PartsOf("a|ab", "abab"), (Parts{"a", "[b]", "a", "[b]"}));
  EXPECT_EQ(PartsOf("ab|a", "aba"), (Parts{"ab", "a"}));
  EXPECT_EQ(PartsOf("(a|ab)(c|bcd)", "abcd"), (Parts{"abcd"}));  // goes back if it must
  EXPECT_EQ(PartsOf("x*y|x", "xxxz"), (Parts{"x", "x", "x", "[z]"}));
}

TEST(Pattern, Repetition) {
  EXPECT_EQ(PartsOf("a{2}", "aaaaa"), (Parts{"aa", "aa", "[a]"}));
  EXPECT_EQ(PartsOf("a{2,3}", "aaaaa"), (Parts{"aaa", "aa"}));
  EXPECT_EQ(PartsOf("a{2,}", "aaaaab"), (Parts{"aaaaa", "[b]"}));
  EXPECT_EQ(PartsOf("a{2,4}?b?", "aaaaab"), (Parts{"aa", "aa", "[ab]"}));
  EXPECT_EQ(PartsOf("a{,2}b", "aaab"), (Parts{"[a]", "aab"}));
  EXPECT_EQ(PartsOf("a+?", "aaa"), (Parts{"a", "a", "a"}));
  EXPECT_EQ(PartsOf("a+?b", "aab"), (Parts{"aab"}));
  EXPECT_EQ(PartsOf("a++ab|a", "aab"), (Parts{"a", "a", "[b]"}));  // gives nothing back
  EXPECT_EQ(PartsOf("a?+ab|x", "ab"), (Parts{"[ab]"}));
  EXPECT_EQ(PartsOf("a?+ab|x", "aab"), (Parts{"aab"}));
  EXPECT_EQ(PartsOf("(?:ab?)*c", "aababc"), (Parts{"aababc"}));
}

TEST(Pattern, SetsAndEscapes) {
  EXPECT_EQ(PartsOf(R"([^\s\d]+)", "ab 12 cd"), (Parts{"ab", "[ 12 ]", "cd"}));
  EXPECT_EQ(PartsOf(R"([a-c\-.\]]+)", "a-b].d"), (Parts{"a-b].", "[d]"}));
  EXPECT_EQ(PartsOf(R"([x\p{Lu}]+)", "aÉxB"), (Parts{"[a]", "ÉxB"}));
  EXPECT_EQ(PartsOf(R"(\P{L}+|\p{^Lu})", "a1B"), (Parts{"a", "1", "[B]"}));
  EXPECT_EQ(PartsOf(R"([^(\s|[.,!?…])]+)", "one, two…"), (Parts{"one", "[, ]", "two", "[…]"}));
  EXPECT_EQ(PartsOf(R"(\x41\x{1F642}\u00E9)", "A🙂é"), (Parts{"A🙂é"}));
  EXPECT_EQ(PartsOf(R"(\W\S\D\w)", " a-b"), (Parts{" a-b"}));
  EXPECT_EQ(PartsOf(R"(.+)", "ab\ncd"), (Parts{"ab", "[\n]", "cd"}));
  EXPECT_EQ(PartsOf(R"(\.\[\$)", ".[$"), (Parts{".[$"}));
  EXPECT_EQ(PartsOf("[一-龥]+", "a字漢b"), (Parts{"[a]", "字漢", "[b]"}));
}

TEST(Pattern, Case) {
  EXPECT_EQ(PartsOf("(?i:ab)c", "ABcAbC"), (Parts{"ABc", "[AbC]"}));
  EXPECT_EQ(PartsOf("(?i)k[x-z]|q", "Ky\u212AZQ"), (Parts{"Ky", "\u212AZ", "Q"}));
  EXPECT_EQ(PartsOf("x(?:(?i)a|b)c", "xBcxbC"), (Parts{"xBc", "[xbC]"}));
  EXPECT_EQ(PartsOf("(?i:a(?-i:b))", "AbaB"), (Parts{"Ab", "[aB]"}));
}

TEST(Pattern, LooksAheadOfOneCharacter) {
  EXPECT_EQ(PartsOf(R"(a(?=b)|b)", "aab"), (Parts{"[a]", "a", "b"}));
  EXPECT_EQ(PartsOf(R"(a(?![bc]))", "abaca"), (Parts{"[abac]", "a"}));
  EXPECT_EQ(PartsOf(R"(a(?!\S))", "a a"), (Parts{"a", "[ ]", "a"}));  // nothing follows at the end
}

TEST(Pattern, Literals) {
  EXPECT_EQ(PartsOf(Pattern::Literal("ab"), "xababy"), (Parts{"[x]", "ab", "ab", "[y]"}));
  EXPECT_EQ(PartsOf(Pattern::Literal("aa"), "aaa"), (Parts{"aa", "[a]"}));
  EXPECT_EQ(PartsOf(Pattern::Literal("."), ""), Parts{});
}

TEST(Pattern, RefusesByName) {
  const auto error = [](const std::string& expression) {
    const Result<Pattern> pattern = Pattern::Compile(expression);
    return pattern ? std::string() : pattern.error().message;
  };
  EXPECT_HAS(error("a*"), "`a*` cannot be used: it may match nothing");
  EXPECT_HAS(error(""), "may match nothing");
  EXPECT_HAS(error("(?=a)"), "may match nothing");
  EXPECT_HAS(error("(a*)*b"), "repeats what may match nothing");
  EXPECT_HAS(error("a(?=bc)"), "more than one character");
  EXPECT_HAS(error("(?<=a)b"), "`(?<=` is not supported");
  EXPECT_HAS(error("(?x:a)"), "`(?x:` is not supported");
  EXPECT_HAS(error("^a"), "`^` is not supported");
  EXPECT_HAS(error("a$"), "`$` is not supported");
  EXPECT_HAS(error("*a"), "`*` is not supported there");
  EXPECT_HAS(error(R"(\bx)"), "\\b is not supported");
  EXPECT_HAS(error(R"((a)\1)"), "\\1 is not supported");
  EXPECT_HAS(error(R"(\p{Han})"), "\\p{Han}");
  EXPECT_HAS(error(R"(\p{L)"), "no `}`");
  EXPECT_HAS(error("[[:alpha:]]"), "`[:` in a class");
  EXPECT_HAS(error("[a&&b]"), "`&&` in a class");
  EXPECT_HAS(error("[]"), "a class is empty");
  EXPECT_HAS(error("[a"), "no `]`");
  EXPECT_HAS(error("[b-a]"), "ends before it starts");
  EXPECT_HAS(error("(a"), "no `)`");
  EXPECT_HAS(error("a)"), "without a `(`");
  EXPECT_HAS(error("a{3,2}"), "ends below its start");
  EXPECT_HAS(error("a{x}"), "does not begin a number");
  EXPECT_HAS(error("a{2}+"), "`}` is followed by `+`");
  EXPECT_HAS(error("a**"), "repeats a repetition");
  EXPECT_HAS(error("(ab)++"), "a group possessively");
  EXPECT_HAS(error("(?i:é)"), "not ASCII");
  EXPECT_HAS(error(R"((?i:\p{Lu}))"), "case of a category");
  EXPECT_HAS(error("a\\"), "ends too early");
  EXPECT_HAS(error("\xFF"), "not valid UTF-8");
  EXPECT_HAS(error(R"(\x{110000})"), "bad digits");
}

TEST(Pattern, HostileExpressionsEnd) {
  const auto refused = [](const std::string& expression) { return !Pattern::Compile(expression); };
  EXPECT_TRUE(refused(std::string(100000, '(')));
  EXPECT_TRUE(refused(std::string(100000, '[')));
  EXPECT_TRUE(refused(std::string(5000, '(') + "a" + std::string(5000, ')')));
  EXPECT_TRUE(refused("((((a{100}){100}){100}){100})"));
  EXPECT_TRUE(refused("a{4294967297}"));
  EXPECT_TRUE(refused("(a|b)*a" + std::string(30, '.') + "x"));  // 2^30 sets of places from the end
  std::string many;
  for (char32_t c = 0x4E00; c < 0x4F00; ++c) AppendUtf8(many, c);
  EXPECT_TRUE(refused(many));  // too many kinds of characters
  // Cut anywhere, an expression is fine or refused.
  const std::string whole = kLlama3;
  for (size_t length = 0; length < whole.size(); ++length) (void)Pattern::Compile(whole.substr(0, length));
}

TEST(Pattern, TimeIsLinear) {
  // What tries again from every place would take a day for each.
  const std::string text(1'000'000, 'a');
  for (const char* expression : {"(?:a|aa)+b|a", "a*b|a", "(?:a?){40}a{40}|a", "a+a+a+a+b|a"}) {
    const Result<Pattern> pattern = Pattern::Compile(expression);
    if (!pattern) continue;  // some are refused instead
    size_t parts = 0;
    pattern->ForEachPart(text, [&](std::string_view, bool) { ++parts; });
    EXPECT_GT(parts, 0u) << expression;
  }
}

TEST(Pattern, DoesNotDependOnWhereTextLies) {
  // States are kept for blocks of bytes; matches cross their borders.
  const Result<Pattern> pattern = Pattern::Compile(kLlama3);
  ASSERT_TRUE(pattern);
  std::string text = "x";
  for (int i = 0; i < 300; ++i) text += i % 7 == 0 ? "\n \n" : i % 5 == 0 ? " 字字é🙂" : " word's  123456!";
  text += std::string(9000, 'b') + std::string(9000, ' ') + "y" + std::string(4096, '!');
  const Parts want = PartsOf(*pattern, text);
  for (size_t shift = 4080; shift < 4100; ++shift) {
    Parts got = PartsOf(*pattern, std::string(shift, '!') + "\n" + text);
    ASSERT_EQ(got.front(), std::string(shift, '!') + "\n");
    got.erase(got.begin());
    ASSERT_EQ(got, want) << shift;
  }
}

TEST(Pattern, Splitting) {
  const auto split = [](SplitBehavior behavior, bool invert, std::string_view text) {
    Parts parts;
    SplitBy(*Pattern::Compile("-"), behavior, invert, text,
            [&](std::string_view part) { parts.emplace_back(part); });
    return parts;
  };
  EXPECT_EQ(split(SplitBehavior::Removed, false, "-a--b-"), (Parts{"a", "b"}));
  EXPECT_EQ(split(SplitBehavior::Isolated, false, "-a--b-"), (Parts{"-", "a", "-", "-", "b", "-"}));
  EXPECT_EQ(split(SplitBehavior::Contiguous, false, "-a--b-"), (Parts{"-", "a", "--", "b", "-"}));
  EXPECT_EQ(split(SplitBehavior::MergedWithPrevious, false, "-a--b-"), (Parts{"-", "a-", "-", "b-"}));
  EXPECT_EQ(split(SplitBehavior::MergedWithNext, false, "-a--b-"), (Parts{"-a", "-", "-b", "-"}));
  EXPECT_EQ(split(SplitBehavior::Removed, true, "-a--b-"), (Parts{"-", "-", "-", "-"}));
  EXPECT_EQ(split(SplitBehavior::MergedWithPrevious, true, "-a--b-"), (Parts{"-a", "-", "-b", "-"}));
  EXPECT_EQ(split(SplitBehavior::Removed, false, ""), Parts{});
}

}  // namespace
}  // namespace heed
