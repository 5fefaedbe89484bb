// Text files, parallel and windowed data, batches (bounds, determinism, every example once), BLEU against
// values of the reference script and by hand.
#include "runtime/data/data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>

#include "runtime/text/bleu.h"
#include "runtime/text/file_kind.h"
#include "tests/support/paths.h"

namespace heed {
namespace {

std::string Write(const std::string& name, const std::string& text) {
  const std::string path = testing::TempDir() + "/heed_data_" + name;
  std::ofstream(path, std::ios::binary) << text;
  return path;
}
TextFile File(const std::string& name, const std::string& text) {
  Result<TextFile> file = TextFile::Read(Write(name, text), false);
  EXPECT_TRUE(file);
  return *file;
}
std::vector<int32_t> Ids(std::span<const int32_t> ids) { return {ids.begin(), ids.end()}; }

TEST(TextFile, DropsCarriageReturnsAndMark) {
  const TextFile file = File("cr", "\xEF\xBB\xBFone\r\ntwo\r three\r\n\r\nlast");
  EXPECT_EQ(file.text(), "one\ntwo\r three\n\nlast");
  EXPECT_EQ(file.Lines(), (std::vector<std::string_view>{"one", "two\r three", "", "last"}));
  EXPECT_TRUE(File("none", "").Lines().empty());
  EXPECT_EQ(File("one", "\n").Lines().size(), 1u);
}

TEST(TextFile, NamesTheLineOfInvalidBytes) {
  const std::string path = Write("bad", "fine\nal\xFFso\nfine\n");
  Result<TextFile> strict = TextFile::Read(path, false);
  ASSERT_FALSE(strict);
  EXPECT_NE(strict.error().message.find(path + ":2: byte 3"), std::string::npos) << strict.error().message;
  Result<TextFile> lenient = TextFile::Read(path, true);
  ASSERT_TRUE(lenient);
  EXPECT_EQ(lenient->text(), "fine\n\nfine\n");
  EXPECT_EQ(lenient->invalid_lines(), 1);
  Result<TextFile> missing = TextFile::Read("/nonexistent/text", false);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("cannot open /nonexistent/text"), std::string::npos);
}

TEST(TextFile, OtherFormatsAreNamed) {
  const auto error = [](const std::string& bytes) {
    const Result<TextFile> file = TextFile::Read(Write("format", bytes), true);
    return file ? "" : file.error().message;
  };
  const std::string utf16("a\0b\0c\0 \0d\0", 10), zeros(200, '\0');
  std::string wide;
  for (int i = 0; i < 50; ++i) wide += utf16;
  for (const auto& [bytes, said] : std::vector<std::pair<std::string, std::string>>{
           {"\x1f\x8b\x08rest", "compressed by gzip"},
           {std::string("PK\3\4", 4) + "rest", "a zip archive"},
           {"%PDF-1.7\n", "a PDF"},
           {"\xff\xfe" + utf16, "UTF-16"},
           {wide, "UTF-16"},
           {"text " + zeros, "binary data"},
           {std::string("\x10\0\0\0\0\0\0\0", 8) + "{\"a\":           }", "a safetensors file"},
           {"BZh91AY&SY", "compressed by bzip2"}}) {
    EXPECT_NE(error(bytes).find("is not text; it is " + said), std::string::npos)
        << said << ": " << error(bytes);
  }
  // Text may begin like this, and have a stray zero.
  for (const std::string& text :
       {std::string("BZh"), std::string("PK is a team"), std::string(100, 'x') + '\0', std::string("PAR1")})
    EXPECT_EQ(error(text), "") << text;
}

TEST(TextFile, JsonIsNoticed) {
  EXPECT_TRUE(IsJson("{\"text\": \"a\"}\n{\"text\": \"b\"}\n"));
  EXPECT_TRUE(IsJson("\n  {\"text\": \"a\"}"));
  EXPECT_TRUE(IsJson("[\n {\"a\": 1},\n {\"a\": 2}\n]\n"));
  EXPECT_TRUE(IsJson("{\n \"a\": [1, 2]\n}"));
  std::string cut;
  for (int i = 0; i < 30; ++i) cut += "{\"text\": \"the cat\"}\n";
  EXPECT_TRUE(IsJson(cut + "{\"text\": \"the"));
  for (const char* text : {"", "text\n{\"a\": 1}\n", "{ braces } in text\n", "[1] a footnote\n[2] another\n",
                           "{\"a\": 1}\nsome text\nmore text\n"})
    EXPECT_FALSE(IsJson(text)) << text;
}

TEST(ParallelData, AddsEndsAndSkips) {
  const TokenizerPtr bytes = MakeByteTokenizer();
  Result<Dataset> data =
      ParallelData(File("s", "ab\n\nlonger\nc\n"), File("t", "x\ny\nz\nlong\n"), *bytes, 5, 5);
  ASSERT_TRUE(data);
  EXPECT_EQ(data->read, 4);
  EXPECT_EQ(data->empty, 1);
  EXPECT_EQ(data->too_long, 2);  // `longer` and end are 7 of 5, begin, `long` and end 6 of 5
  ASSERT_EQ(data->size(), 1);
  EXPECT_EQ(Ids(data->columns[0][0]), (std::vector<int32_t>{'a' + 3, 'b' + 3, 2}));
  EXPECT_EQ(Ids(data->columns[1][0]), (std::vector<int32_t>{1, 'x' + 3, 2}));
  EXPECT_EQ(SkippedNotice(*data, "pairs"),
            "skipped 3 of 4 pairs: 1 with an empty side, 2 longer than the program's axes allow");
  // A decoder may start from another token than the tokenizer's.
  data = ParallelData(File("s", "ab\n"), File("t", "x\n"), *bytes, 5, 5, 7);
  ASSERT_TRUE(data);
  EXPECT_EQ(Ids(data->columns[1][0]), (std::vector<int32_t>{7, 'x' + 3, 2}));
}

TEST(ParallelData, ErrorsNameWhatIsWrong) {
  const TokenizerPtr bytes = MakeByteTokenizer();
  Result<Dataset> unequal = ParallelData(File("s", "a\nb\nc\n"), File("t", "a\nb\n"), *bytes, 0, 0);
  ASSERT_FALSE(unequal);
  EXPECT_NE(unequal.error().message.find("has 3 lines"), std::string::npos);
  EXPECT_NE(unequal.error().message.find("has 2;"), std::string::npos);
  EXPECT_FALSE(ParallelData(File("s", ""), File("t", ""), *bytes, 0, 0));
  EXPECT_FALSE(ParallelData(File("s", "too long\n"), File("t", "a\n"), *bytes, 3, 3));
}

TEST(WindowData, EachWindowStartsOnTheLastTokenOfTheOneBefore) {
  const TokenizerPtr bytes = MakeByteTokenizer();
  Result<Dataset> data = WindowData(File("w", "abcdefgh"), *bytes, 4);
  ASSERT_TRUE(data);
  ASSERT_EQ(data->size(), 3);
  EXPECT_EQ(bytes->Decode(data->columns[0][0]), "abcd");
  EXPECT_EQ(bytes->Decode(data->columns[0][1]), "defg");
  EXPECT_EQ(bytes->Decode(data->columns[0][2]), "gh");
  int64_t predicted = 0;
  for (int64_t i = 0; i < data->size(); ++i)
    predicted += static_cast<int64_t>(data->columns[0][i].size()) - 1;
  EXPECT_EQ(predicted, 7);
  // A window that would only hold the last token of the one before predicts nothing.
  EXPECT_EQ(WindowData(File("w", "abcdefg"), *bytes, 4)->size(), 2);
  EXPECT_FALSE(WindowData(File("w", "a"), *bytes, 4));
}

TEST(WindowData, BatchesAreRowsOfWindows) {
  const TokenizerPtr bytes = MakeByteTokenizer();
  Result<Dataset> data = WindowData(File("w", std::string(1000, 'a')), *bytes, 10);
  ASSERT_TRUE(data);
  ASSERT_EQ(data->size(), 111);
  for (const Batch& batch : ShuffledBatches(*data, 45, 7, 0)) EXPECT_LE(batch.size(), 4u);
  EXPECT_EQ(ShuffledBatches(*data, 45, 7, 0).size(), 28u);
  EXPECT_EQ(ShuffledBatches(*data, 3, 7, 0).size(), 111u);  // at least one row
}

Dataset Random(int64_t pairs) {
  Dataset data;
  data.columns.resize(2);
  uint64_t state = 5;
  for (int64_t i = 0; i < pairs; ++i) {
    for (Sequences& column : data.columns) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      const auto length = static_cast<int64_t>(state >> 60) + 2;
      column.ranges.push_back({static_cast<int64_t>(column.ids.size()), length});
      column.ids.resize(column.ids.size() + static_cast<size_t>(length), 3);
    }
    data.numbers.push_back(i);
  }
  return data;
}

TEST(Batches, HoldEveryExampleOnceWithinTheBudget) {
  const Dataset data = Random(45000);
  for (const std::vector<Batch>& batches : {ShuffledBatches(data, 600, 3, 2), OrderedBatches(data, 600)}) {
    std::set<int64_t> seen;
    int64_t cells = 0, filled = 0;
    for (const Batch& batch : batches) {
      int64_t source = 0, target = 0;
      for (int64_t i : batch) {
        EXPECT_TRUE(seen.insert(i).second);
        const auto x = static_cast<int64_t>(data.columns[0][i].size()),
                   y = static_cast<int64_t>(data.columns[1][i].size());
        source = std::max(source, x);
        target = std::max(target, y);
        filled += x + y;
      }
      const int64_t size = (source + target) * static_cast<int64_t>(batch.size());
      EXPECT_LE(size, 600);
      cells += size;
    }
    EXPECT_EQ(seen.size(), 45000u);
    EXPECT_GT(static_cast<double>(filled), 0.9 * static_cast<double>(cells));  // little padding
  }
}

TEST(Batches, MixedOnesHoldAnyLengthsTogether) {
  const Dataset data = Random(1000);
  BatchSize size(0, 64);
  size.mixed = true;
  const std::vector<Batch> ordered = OrderedBatches(data, size), shuffled = ShuffledBatches(data, size, 3, 2);
  int64_t next = 0;
  for (const Batch& batch : ordered)
    for (int64_t i : batch) EXPECT_EQ(i, next++);
  std::set<int64_t> seen;
  int unsorted = 0;
  for (const Batch& batch : shuffled) {
    EXPECT_TRUE(batch.size() == 64 || &batch == &shuffled.back());
    seen.insert(batch.begin(), batch.end());
    unsorted += !std::ranges::is_sorted(
        batch, {}, [&](int64_t i) { return data.columns[1][static_cast<size_t>(i)].size(); });
  }
  EXPECT_EQ(seen.size(), 1000u);
  EXPECT_EQ(unsorted, 16);
}

TEST(Batches, DependOnSeedAndEpochAlone) {
  const Dataset data = Random(3000);
  EXPECT_EQ(ShuffledBatches(data, 600, 3, 2), ShuffledBatches(data, 600, 3, 2));
  EXPECT_NE(ShuffledBatches(data, 600, 3, 2), ShuffledBatches(data, 600, 3, 3));
  EXPECT_NE(ShuffledBatches(data, 600, 3, 2), ShuffledBatches(data, 600, 4, 2));
  EXPECT_EQ(data.Fingerprint(), Random(3000).Fingerprint());
  EXPECT_NE(data.Fingerprint(), Random(3001).Fingerprint());
}

TEST(Bleu, TokensOf13a) {
  using Tokens = std::vector<std::string>;
  EXPECT_EQ(BleuTokens("Hello, world."), (Tokens{"Hello", ",", "world", "."}));
  EXPECT_EQ(BleuTokens("1,000.50 3.14-ish x.y"), (Tokens{"1,000.50", "3.14", "-", "ish", "x", ".", "y"}));
  EXPECT_EQ(BleuTokens("l'été; (a/b) &quot;c&quot; ..."),
            (Tokens{"l'été", ";", "(", "a", "/", "b", ")", "\"", "c", "\"", ".", ".", "."}));
  EXPECT_EQ(BleuTokens("a\xC2\xA0?\xE2\x80\xAF!  b-c"), (Tokens{"a", "?", "!", "b-c"}));
  EXPECT_EQ(BleuTokens("<skipped>«é,è»"), (Tokens{"«é", ",", "è»"}));
}

TEST(Bleu, ValuesByHand) {
  const auto bleu = [](std::vector<std::string> h, std::vector<std::string> r) { return CorpusBleu(h, r); };
  EXPECT_NEAR(bleu({"the cat sat on the mat"}, {"the cat sat on the mat"}), 100, 1e-9);
  EXPECT_EQ(bleu({"a b"}, {"c d"}), 0);
  EXPECT_EQ(bleu({""}, {"c d"}), 0);
  // 5 of 6, 3 of 5, 2 of 4, 1 of 3; no brevity penalty at equal length: (5/6 3/5 2/4 1/3)^(1/4).
  EXPECT_NEAR(bleu({"the cat sat on a mat"}, {"the cat sat on the mat"}),
              100 * std::pow(5. / 6 * .6 * .5 / 3, .25), 1e-9);
  // 5 tokens of 6: all right, but exp(1 - 6/5).
  EXPECT_NEAR(bleu({"the cat sat on the"}, {"the cat sat on the mat"}), 100 * std::exp(-0.2), 1e-9);
  // No 3-gram and no 4-gram in common: counted as 1/2 and 1/4.
  EXPECT_NEAR(bleu({"a b x c d"}, {"a b y c d"}),
              100 * std::pow(4. / 5 * 2 / 4 * (1. / 2 / 3) * (1. / 4 / 2), .25), 1e-9);
  // Sums over the corpus, not means over sentences; `the` is clipped to 1.
  EXPECT_NEAR(bleu({"the the the the", "a b c d e"}, {"the x y z", "a b c d e"}),
              100 * std::pow(6. / 9 * 4 / 7 * 3 / 5 * 2 / 3, .25), 1e-9);
}

}  // namespace
}  // namespace heed
