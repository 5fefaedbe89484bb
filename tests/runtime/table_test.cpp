// Labels of tokens, widths of text, and tensors as tables.
#include "runtime/commands/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runtime/base/utf8.h"
#include "runtime/text/labels.h"

namespace heed {
namespace {

/// Shows what it is told to.
class Spelled final : public Tokenizer {
 public:
  explicit Spelled(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}
  std::vector<int32_t> Encode(std::string_view) const override { return {}; }
  std::string Decode(std::span<const int32_t>) const override { return ""; }
  std::string Show(int32_t id) const override { return pieces_[static_cast<size_t>(id)]; }
  int64_t size() const override { return static_cast<int64_t>(pieces_.size()); }
  std::string_view kind() const override { return "bpe"; }
  std::string Serialize() const override { return ""; }

 private:
  std::vector<std::string> pieces_;
};

TEST(Labels, AreReadable) {
  const std::vector<std::pair<std::string, std::string>> cases = {{"▁the", "the"},
                                                                  {"the", "the"},
                                                                  {"▁", "␣"},
                                                                  {" ", "␣"},
                                                                  {"a b", "a␣b"},
                                                                  {"▁▁x", "␣x"},
                                                                  {"\n", "\\n"},
                                                                  {"<0x0A>", "\\n"},
                                                                  {"</s>", "</s>"},
                                                                  {std::string("\x1b[2J", 4), "<0x1B>[2J"},
                                                                  {"\u202Eabc", "<0x202E>abc"},
                                                                  {"猫", "猫"},
                                                                  {"", "<12>"},
                                                                  {"\xff", "\uFFFD"}};
  std::vector<std::string> pieces;
  for (const auto& [piece, label] : cases) pieces.push_back(piece);
  const Spelled tokenizer(pieces);
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::string label = TokenLabel(tokenizer, static_cast<int32_t>(i));
    EXPECT_EQ(label, cases[i].second) << i;
    EXPECT_FALSE(FindInvalidUtf8(label));
  }
}

TEST(Labels, WidthsAndCuts) {
  EXPECT_EQ(DisplayWidth("table"), 5);
  EXPECT_EQ(DisplayWidth("猫が"), 4);
  EXPECT_EQ(DisplayWidth("e\u0301te\u0301"), 3);
  EXPECT_EQ(DisplayWidth("\xff"), 1);
  EXPECT_EQ(Shortened("table", 5), "table");
  EXPECT_EQ(Shortened("tables", 5), "tabl…");
  EXPECT_EQ(Shortened("猫が好き", 5), "猫が…");
  EXPECT_EQ(Shortened("猫が好き", 4), "猫…");
  // A family of four, a flag, a hand with a colour of skin, a heart as a picture and as text, a key.
  const std::string family = "\U0001F468\u200D\U0001F469\u200D\U0001F467\u200D\U0001F466";
  for (const std::string& emoji :
       {family, std::string("\U0001F1EB\U0001F1F7"), std::string("\U0001F44B\U0001F3FD"),
        std::string("\u2764\uFE0F"), std::string("1\uFE0F\u20E3")})
    EXPECT_EQ(DisplayWidth(emoji), 2) << emoji;
  EXPECT_EQ(DisplayWidth("\u2764\uFE0E"), 1);
  EXPECT_EQ(DisplayWidth(family + family + "a"), 5);
  EXPECT_EQ(Shortened(family + family, 3), family + "…");
  EXPECT_EQ(Shortened(family + "a", 2), "…");
  EXPECT_EQ(Shortened("e\u0301te\u0301s", 3), "e\u0301t…");
}

std::string Number(int64_t at) { return std::to_string(at); }

TEST(Table, RowsAndColumnsHaveNames) {
  EXPECT_EQ(TableText({{"seq", 2, 3, {"the", "猫"}, true}, {"key", 3, 1, {}, false}}, Number, 80),
            "     0  1  2\n"
            "the  0  1  2\n"
            "猫   3  4  5\n");
  // Strides say where an element is.
  EXPECT_EQ(TableText({{"key", 3, 1, {}, false}, {"seq", 2, 3, {"a", "b"}, true}}, Number, 80),
            "   a  b\n"
            "0  0  3\n"
            "1  1  4\n"
            "2  2  5\n");
}

TEST(Table, LongAxesAreCut) {
  const std::string wide = TableText({{"seq", 1, 0, {"w"}, true}, {"key", 64, 1, {}, false}}, Number, 30);
  EXPECT_EQ(wide,
            "   0  1  2  3  4  5  ...  63\n"
            "w  0  1  2  3  4  5  ...  63\n");
  std::vector<std::string> words(40, "w");
  // Words are all there, other rows are not.
  const std::string text = TableText({{"seq", 40, 1, words, true}}, Number, 30);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 40);
  const std::string rows = TableText({{"a", 40, 2, {}, false}, {"b", 2, 1, {}, false}}, Number, 30);
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 14);
  EXPECT_NE(rows.find("\n...\n39   78  79\n"), std::string::npos) << rows;
  // Nothing is wider than asked, unless two columns are.
  for (int64_t width = 24; width < 120; ++width) {
    const std::string table = TableText(
        {{"seq", 7, 50, {}, false}, {"key", 50, 1, {}, false}},
        [](int64_t at) { return CellText(static_cast<double>(at) - 100, 2); }, width);
    for (size_t begin = 0; begin < table.size();) {
      const size_t end = table.find('\n', begin);
      EXPECT_LE(static_cast<int64_t>(end - begin), width);
      begin = end + 1;
    }
  }
}

TEST(Table, LeadingAxesNumberTables) {
  EXPECT_EQ(
      TableText(
          {{"heads", 2, 2, {}, false}, {"phase", 1, 2, {"sin"}, false}, {"seq", 2, 1, {"a", "b"}, true}},
          Number, 80),
      "heads 0\n"
      "     a  b\n"
      "sin  0  1\n"
      "heads 1\n"
      "     a  b\n"
      "sin  2  3\n");
  const std::string many =
      TableText({{"n", 100, 1, {}, false}, {"a", 1, 1, {}, false}, {"b", 1, 1, {}, false}}, Number, 80);
  EXPECT_NE(many.find("n 10\n"), std::string::npos);
  EXPECT_EQ(many.find("n 11\n"), std::string::npos);
  EXPECT_NE(many.find("...\nn 99\n"), std::string::npos);
}

TEST(Table, NumbersThatAreNone) {
  EXPECT_EQ(CellText(0.125, 2), "0.12");
  EXPECT_EQ(CellText(-0.001, 2), "0.00");
  EXPECT_EQ(CellText(-0.001, 3), "-0.001");
  EXPECT_EQ(CellText(NAN, 2), "nan");
  EXPECT_EQ(CellText(-INFINITY, 2), "-inf");
  EXPECT_EQ(CellText(12345678, 2), "1.23e+07");
  EXPECT_EQ(CellText(3e38, 9).size(), 15u);
}

}  // namespace
}  // namespace heed
