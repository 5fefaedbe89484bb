// `//` and `int(x)`: what they mean, what they take, and which reads they prove possible.
#include <gtest/gtest.h>

#include "tests/support/expect.h"
#include "tests/support/program_support.h"

namespace heed::frontend {
namespace {

constexpr const char* kAxes =
    "axis a = 5, half = (|a| + 1) // 2, odd = |a| // 2, k = int(floor(4.5)), seq <= 8\n";

std::vector<double> Values(const std::string& entry, const Data& data, const Extents& extents = {}) {
  return Numbers(kAxes + entry, data, extents);
}

TEST(WholeNumbers, QuotientsAreRoundedDown) {
  const std::string by = "entry f(i: int[a], j: int) -> int[a] = i // j\n";
  EXPECT_EQ(Values(by, {{"i", {7, -7, 6, 0, -1}}, {"j", {3}}}), (std::vector<double>{2, -3, 2, 0, -1}));
  EXPECT_EQ(Values(by, {{"i", {7, -7, 6, 0, -1}}, {"j", {-3}}}), (std::vector<double>{-3, 2, -2, 0, 0}));
  const std::string whole = "entry f(i: int[a], j: int) -> int[a] = i // j * j + i % j - i\n";
  for (const double j : {1, -1, 2, 3, -5, 100})
    EXPECT_EQ(Values(whole, {{"i", {7, -7, 6, 0, -1}}, {"j", {j}}}), std::vector<double>(5)) << j;
}

TEST(WholeNumbers, SizesTakeThem) {
  EXPECT_EQ(Values("const c = 7 // 2\nentry f(x[half]) = |half| * 1000 + |odd| * 100 + |k| * 10 + c\n",
                   {{"x", {0, 0, 0}}}),
            std::vector<double>{3243});
}

TEST(WholeNumbers, IntsOfElementsTruthsAndFloats) {
  EXPECT_EQ(Values("entry f(x[a]) -> int[a] = int(a) * 2 + int(x > 2)\n", {{"x", {1, 2, 3, 4, 5}}}),
            (std::vector<double>{0, 2, 5, 7, 9}));
  EXPECT_EQ(Values("entry f(x[a]) -> [a] = x[a(int(floor(x)) % 5)]\n", {{"x", {1.5, 2, -1, 4, 0.5}}}),
            (std::vector<double>{2, -1, 0.5, 0.5, 1.5}));
  // An int of an element is an index of nothing.
  EXPECT_HAS(CompileText(std::string(kAxes) + "entry f(x[a]) = x[int(a)]\n")->text(), "[IndexType]");
  EXPECT_HAS(CompileText(std::string(kAxes) + "entry f(x[a]) = x[a // 2]\n")->text(), "[IndexType]");
}

TEST(WholeNumbers, AFunctionOfTheProgramGoesFirst) {
  EXPECT_EQ(Values("def int(x) -> [] = x + 0.5\nentry f(x) = int(x)\n", {{"x", {1}}}),
            std::vector<double>{1.5});
}

TEST(WholeNumbers, Refused) {
  const std::pair<const char*, const char*> refused[] = {
      {"entry f(x[a]) = x // 2\n", "`//` takes whole numbers; this is float[a] [WrongType]"},
      {"entry f(i: int) = i // 2.0\n", "`//` takes whole numbers; this is float [WrongType]"},
      {"entry f(x) = x + int(2.5)\n", "2.5 is no whole number [InvalidNumber]"},
      {"entry f(x) = x + int(1 / 3)\n", "is no whole number [InvalidNumber]"},
      {"axis z = 9 // 2.5\nentry f(x[z]) = x\n", "these are 9 and 2.5 [InvalidNumber]"},
      {"axis z = 9 // (2 - 2)\nentry f(x[z]) = x\n", "`//` by 0 [InvalidNumber]"},
      {"axis z = int(4.5)\nentry f(x[z]) = x\n", "4.5 is no whole number [InvalidNumber]"},
  };
  for (const auto& [text, message] : refused)
    EXPECT_HAS(CompileText(std::string(kAxes) + text)->text(), message) << text;
}

}  // namespace
}  // namespace heed::frontend
