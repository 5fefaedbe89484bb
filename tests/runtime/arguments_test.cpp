// Arguments from files: records, lines and tensors as examples, what is refused and how it is said, and
// batches of them as inputs.
#include <gtest/gtest.h>
#include <zlib.h>

#include <set>

#include "runtime/data/argument_examples.h"
#include "runtime/data/data_source.h"
#include "tests/support/expect.h"
#include "tests/support/model_support.h"
#include "tests/support/process.h"

namespace heed::test {
namespace {

constexpr const char* kNames[] = {"no", "yes"};
constexpr HeedAxis kLabel = {"label", 0, 2, 2, kNames}, kVocab = {"vocab", 0, 300, 0, nullptr};

DataArgument Text() { return {"x", kHeedInt32, &kVocab, {{"seq", "seq", 4, true}}, true}; }
DataArgument Label() { return {"y", kHeedInt32, &kLabel, {}, false}; }
DataArgument Frames() {
  return {"f", kHeedFloat32, nullptr, {{"frame", "frame", 5, true}, {"mel", "mel", 2, false}}, false};
}
DataArgument Flag() { return {"b", kHeedBool8, nullptr, {}, false}; }
DataArgument Count() { return {"n", kHeedInt32, nullptr, {}, false}; }

/// One id a byte.
Result<std::vector<int32_t>> Bytes(const DataArgument&, std::string_view text) {
  std::vector<int32_t> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

class ArgumentFilesTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) {
    WriteBytes(folder_ / name, bytes);
    return folder_ / name;
  }
  /// The examples that a file gives, or the error.
  Result<ArgumentExamples> Read(const std::string& path, const std::vector<DataArgument>& arguments,
                                bool leaves_out = false) {
    Result<DataSourcePtr> source = OpenData(path, false);
    if (!source) return source.error();
    std::vector<ArgumentExamples::Given> given;
    for (const DataArgument& argument : arguments) {
      if (!(*source)->Has(argument.name)) return Error{"no " + argument.name};
      auto column = (*source)->Read(argument, Bytes);
      if (!column) return column.error();
      given.push_back({argument, *column});
    }
    return ArgumentExamples::Make(std::move(given), {.leaves_out = leaves_out});
  }
  std::string ErrorOf(const std::string& name, const std::string& bytes,
                      const std::vector<DataArgument>& arguments) {
    const auto read = Read(Write(name, bytes), arguments);
    return read ? "no error" : read.error().message;
  }
  std::map<std::string, HostTensor> Inputs(const ArgumentExamples& examples, const Batch& batch) {
    auto inputs = examples.AllInputs(batch);
    EXPECT_TRUE(inputs);
    return inputs ? *inputs : std::map<std::string, HostTensor>();
  }
  TemporaryFolder folder_;
};

template <typename T>
std::vector<T> Elements(const HostTensor& tensor) {
  const auto* data = static_cast<const T*>(tensor.data());
  return {data, data + tensor.count()};
}

TEST_F(ArgumentFilesTest, RecordsHoldEveryTypeInOneForm) {
  const std::string json =
      Write("d.jsonl",
            "{\"x\": \"ab\", \"y\": \"yes\", \"f\": [[1, 2], [3, 4.5]], \"b\": true, \"n\": -7}\n"
            "\n"
            "{\"n\": 9, \"b\": 0, \"f\": [[null, 1e3]], \"y\": 0, \"x\": [5, 6, 7], \"id\": {}}\n");
  const std::string table = Write("d.tsv",
                                  "x\ty\tf\tb\tn\n"
                                  "ab\tyes\t[[1, 2], [3, 4.5]]\ttrue\t-7\n"
                                  "\x05\x06\x07\t0\t[[null, 1e3]]\t0\t9\n");
  for (const std::string& path : {json, table}) {
    const auto examples = Read(path, {Text(), Label(), Frames(), Flag(), Count()});
    ASSERT_TRUE(examples) << examples.error().message;
    ASSERT_EQ(examples->size(), 2);
    EXPECT_EQ(examples->roots(), (std::vector<std::string>{"seq", "frame"}));
    auto inputs = Inputs(*examples, {0, 1});
    EXPECT_EQ(Elements<int32_t>(inputs["x"]), (std::vector<int32_t>{'a', 'b', 0, 5, 6, 7}));
    EXPECT_EQ(Elements<int32_t>(inputs["len.seq"]), (std::vector<int32_t>{2, 3}));
    EXPECT_EQ(Elements<int32_t>(inputs["len.frame"]), (std::vector<int32_t>{2, 1}));
    EXPECT_EQ(Elements<int32_t>(inputs["y"]), (std::vector<int32_t>{1, 0}));
    EXPECT_EQ(Elements<int32_t>(inputs["n"]), (std::vector<int32_t>{-7, 9}));
    EXPECT_EQ(Elements<uint8_t>(inputs["b"]), (std::vector<uint8_t>{1, 0}));
    EXPECT_EQ(inputs["f"].shape(), (std::vector<int64_t>{2, 2, 2}));
    const std::vector<float> f = Elements<float>(inputs["f"]);
    EXPECT_EQ((std::vector<float>(f.begin(), f.begin() + 4)), (std::vector<float>{1, 2, 3, 4.5}));
    EXPECT_TRUE(std::isnan(f[4]));
    EXPECT_EQ((std::vector<float>(f.begin() + 5, f.end())), (std::vector<float>{1000, 0, 0}));
  }
  EXPECT_EQ(Read(json, {Text()})->NameOf(1), "line 3 of " + json);
}

TEST_F(ArgumentFilesTest, WhatIsWrongWithARecordIsSaidWithItsPlace) {
  const std::string f = folder_ / "d.jsonl";
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"y\": 1}\n{\"y\": \"maybe\"}\n", {Label()}),
             f + ":2: `y`: found \"maybe\", expected a name of `label` (no, yes) or its number");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"y\": 2}\n", {Label()}), "found 2, which is 2; label has 2 elements");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"y\": 1.5}\n", {Label()}), "found 1.5, expected");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"y\": 1}\n{\"z\": 1}\n", {Label()}),
             f + ":2: the record has no `y`; it has: z");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"y\": 1}\n[1]\n", {Label()}), f + ":2 is no JSON object");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"y\": 1}\n{\"y\": \n", {Label()}), f + ":2 is not JSON");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"y\": 1, \"y\": 0}\n", {Label()}), "the record has `y` twice");
  EXPECT_HAS(ErrorOf("d.jsonl", "\n", {Label()}), "has no records");
  EXPECT_HAS(ErrorOf("d.jsonl", std::string(100, '[') + "\n", {Label()}), "nested more than 64 deep");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"n\": 3000000000}\n", {Count()}), "which is no 32-bit number");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"n\": 18446744073709551615}\n", {Count()}), "no 32-bit number");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"f\": [[1, 2], [3]]}\n", {Frames()}),
             "found a list of 1 along mel, expected 2");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"f\": [[1, 2], [1, 2], [1, 2], [1, 2], [1, 2], [1, 2]]}\n", {Frames()}),
             "line 1 of " + f + ": `f` has 6 elements along frame, which is bounded by 5");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"x\": \"abcde\"}\n", {Text()}), "`x` has 5 tokens; seq is bounded by 4");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"x\": \"\"}\n", {Text()}), "`x` is an empty text");
  EXPECT_HAS(ErrorOf("d.jsonl", "{\"x\": [1, 300]}\n", {Text()}), "vocab has 300 elements");
  EXPECT_HAS(ErrorOf("d.tsv", "y\tn\n1\t2\n1\n", {Label()}),
             "d.tsv:3 has 1 cells between tabs, the heading has 2");
  EXPECT_HAS(ErrorOf("d.tsv", "y\ty\n", {Label()}), "two columns are called `y`");
  EXPECT_HAS(ErrorOf("d.csv", "y\n", {Label()}), "data must be a file of records");
}

TEST_F(ArgumentFilesTest, TextsOfNoUseAreLeftOutWithTheirExamples) {
  const auto examples = Read(Write("d.jsonl",
                                   "{\"x\": \"ab\", \"n\": 1}\n{\"x\": \"\", \"n\": 2}\n"
                                   "{\"x\": \"abcdefg\", \"n\": 3}\n{\"x\": \"c\", \"n\": 4}\n"),
                             {Text(), Count()}, /*leaves_out=*/true);
  ASSERT_TRUE(examples) << examples.error().message;
  EXPECT_EQ(Elements<int32_t>(Inputs(*examples, {0, 1})["n"]), (std::vector<int32_t>{1, 4}));
  EXPECT_EQ(examples->NumberOf(1), 3);
  EXPECT_EQ(examples->LeftOutNotice("examples"),
            "left out 2 of 4 examples: 1 with an empty text, 1 with a text longer than its axis allows");
}

TEST_F(ArgumentFilesTest, TensorsAreReadWithinTheirLengths) {
  const double nan = std::nan("");
  // Padding holds anything: an id that is none, and NaN.
  WriteTensors(folder_ / "d.safetensors",
               {{"x", {{2, 3}, {7, 8, 9, 5, -1, 999}}},
                {"x.length", Vector({3, 1})},
                {"f", {{2, 2, 2}, {1, 2, nan, 4, 5, 6, nan, nan}}},
                {"f.frame.length", Vector({2, 1})},
                {"y", Vector({1, 0})}},
               {"x", "x.length", "f.frame.length", "y"});
  const auto examples = Read(folder_ / "d.safetensors", {Text(), Frames(), Label()});
  ASSERT_TRUE(examples) << examples.error().message;
  auto inputs = Inputs(*examples, {1});
  EXPECT_EQ(Elements<int32_t>(inputs["x"]), std::vector<int32_t>{5});
  EXPECT_EQ(Elements<float>(inputs["f"]), (std::vector<float>{5, 6}));
  inputs = Inputs(*examples, {1, 0});
  EXPECT_EQ(Elements<int32_t>(inputs["x"]), (std::vector<int32_t>{5, 0, 0, 7, 8, 9}));
  EXPECT_EQ(Elements<float>(inputs["f"])[1], 6.0f);
  EXPECT_EQ(Elements<float>(inputs["f"])[3], 0.0f);
  EXPECT_TRUE(std::isnan(Elements<float>(inputs["f"])[6]));
  EXPECT_EQ(examples->NameOf(1), "example 1 of " + (folder_ / "d.safetensors"));
}

TEST_F(ArgumentFilesTest, WrongTensorsAreNamed) {
  const auto error = [&](const TensorMap& tensors, const std::vector<std::string>& ids,
                         const std::vector<DataArgument>& arguments) {
    WriteTensors(folder_ / "d.safetensors", tensors, ids);
    const auto read = Read(folder_ / "d.safetensors", arguments);
    return read ? "no error" : read.error().message;
  };
  EXPECT_HAS(error({{"y", Vector({1, 0})}}, {}, {Label()}), "`y` is F32; expected I32 or I64");
  EXPECT_HAS(error({{"f", Vector({1, 0})}}, {}, {Frames()}),
             "`f` has shape [2]; expected [examples, frame, mel=2]");
  EXPECT_HAS(error({{"y", Vector({1, 5})}}, {"y"}, {Label()}), "example 1 of ");
  EXPECT_HAS(error({{"y", Vector({1, 5})}}, {"y"}, {Label()}), "`y` is 5; label has 2 elements");
  EXPECT_HAS(error({{"x", {{1, 3}, {1, 2, 300}}}}, {"x"}, {Text()}), "`x`[2] is 300; vocab has 300 elements");
  EXPECT_HAS(error({{"x", {{1, 2}, {1, 2}}}, {"x.length", Vector({3})}}, {"x", "x.length"}, {Text()}),
             "`x.length`[0] is 3; `x` has 2 elements along seq");
  EXPECT_HAS(error({{"y", Vector({1, 0})}, {"n", Vector({1, 2, 3})}}, {"y", "n"}, {Label(), Count()}),
             "2 examples of `y`, but ");
  EXPECT_HAS(error({{"x", {{1, 6}, {1, 2, 3, 4, 5, 6}}}}, {"x"}, {Text()}), "which is bounded by 4");
  EXPECT_HAS(error({{"x", {{1, 2}, {1, 2}}}, {"x.lengths", Vector({2})}}, {"x", "x.lengths"}, {Text()}),
             "`x.lengths` says nothing of `x`; its lengths are called x.length, x.seq.length");
  // One argument's lengths are enough; others have room for them.
  DataArgument also = Text();
  also.name = "z";
  EXPECT_HAS(error({{"x", {{1, 3}, {1, 2, 3}}}, {"x.length", Vector({3})}, {"z", {{1, 2}, {1, 2}}}},
                   {"x", "x.length", "z"}, {Text(), also}),
             "`z` has 2 elements along seq, but `x` has 3; lengths along an axis must agree");
  WriteBytes(folder_ / "d.safetensors", "short");
  EXPECT_FALSE(Read(folder_ / "d.safetensors", {Label()}));
}

TEST_F(ArgumentFilesTest, ShardsFollowOneAnother) {
  WriteTensors(folder_ / "s-1.safetensors", {{"y", Vector({1, 0})}, {"f", {{2, 1, 2}, {1, 2, 3, 4}}}}, {"y"});
  WriteTensors(folder_ / "s-2.safetensors", {{"y", Vector({0})}, {"f", {{1, 2, 2}, {5, 6, 7, 8}}}}, {"y"});
  const auto examples = Read(folder_ / "s-*.safetensors", {Label(), Frames()});
  ASSERT_TRUE(examples) << examples.error().message;
  ASSERT_EQ(examples->size(), 3);
  EXPECT_EQ(Elements<float>(Inputs(*examples, {2, 1})["f"]), (std::vector<float>{5, 6, 7, 8, 3, 4, 0, 0}));
  EXPECT_EQ(examples->NameOf(2), "example 0 of " + (folder_ / "s-2.safetensors"));
  Write("t-1.jsonl", "{\"y\": 1}\n");
  Write("t-2.jsonl", "{\"y\": 0}\n{\"y\": 0}\n");
  EXPECT_EQ(Read(folder_ / "t-?.jsonl", {Label()})->size(), 3);
  EXPECT_HAS(Read(folder_ / "u-*.jsonl", {Label()}).error().message, "no file is called");
}

std::string Npy(const std::string& descr, const std::string& shape, const std::string& data,
                const std::string& order = "False") {
  std::string header = "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  header.resize(118, ' ');
  header.back() = '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header + data;
}

TEST_F(ArgumentFilesTest, ArraysOfNumPy) {
  std::filesystem::create_directory(folder_ / "arrays");
  const float frames[] = {1, 2, 3, 4};
  const int64_t labels[] = {1, 0};
  const std::string f(reinterpret_cast<const char*>(frames), sizeof frames),
      y(reinterpret_cast<const char*>(labels), sizeof labels);
  Write("arrays/f.npy", Npy("<f4", "(2, 1, 2)", f));
  Write("arrays/y.npy", Npy("<i8", "(2,)", y));
  const auto examples = Read(folder_ / "arrays", {Label(), Frames()});
  ASSERT_TRUE(examples) << examples.error().message;
  EXPECT_EQ(Elements<int32_t>(Inputs(*examples, {0, 1})["y"]), (std::vector<int32_t>{1, 0}));
  EXPECT_EQ(Elements<float>(Inputs(*examples, {0, 1})["f"]), (std::vector<float>{1, 2, 3, 4}));
  const auto error = [&](const std::string& bytes) {
    Write("arrays/y.npy", bytes);
    const auto read = Read(folder_ / "arrays", {Label()});
    return read ? "no error" : read.error().message;
  };
  EXPECT_HAS(error(Npy("<i8", "(2,)", y, "True")), "Fortran's order");
  EXPECT_HAS(error(Npy("<i8", "(3,)", y)), "has 16 bytes of elements; its header says 24");
  EXPECT_HAS(error(Npy("<i8", "(99999999999, 99999999999, 99999999999)", y)), "cut short");
  EXPECT_HAS(error(Npy(">i8", "(2,)", y)), "NumPy's type '>i8'");
  EXPECT_HAS(error(Npy("<i8", "(-2,)", y)), "header that is not NumPy's");
  EXPECT_HAS(error("\x93NUMPY"), "is no .npy file");
  EXPECT_HAS(error(Npy("<i8", "(2,)", y).substr(0, 60)), "is no .npy file, or it is cut short");
}

std::string Little(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string Deflated(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// An archive as NumPy writes it.
std::string Npz(const std::map<std::string, std::string>& members, bool compressed) {
  std::string bytes, directory;
  for (const auto& [name, content] : members) {
    const std::string stored = compressed ? Deflated(content) : content;
    const std::string common = Little(compressed ? 8 : 0, 2) + Little(0, 8) + Little(stored.size(), 4) +
                               Little(content.size(), 4) + Little(name.size(), 2);
    directory += Little(0x02014b50, 4) + Little(20, 2) + Little(20, 2) + Little(0, 2) + common +
                 std::string(12, '\0') + Little(bytes.size(), 4) + name;
    bytes +=
        Little(0x04034b50, 4) + Little(20, 2) + Little(0, 2) + common + Little(4, 2) + name + "more" + stored;
  }
  const size_t at = bytes.size();
  return bytes + directory + Little(0x06054b50, 4) + Little(0, 4) + Little(members.size(), 2) +
         Little(members.size(), 2) + Little(directory.size(), 4) + Little(at, 4) + Little(0, 2);
}

TEST_F(ArgumentFilesTest, ArchivesOfNumPy) {
  const float frames[] = {1, 2, 3, 4};
  const std::string data(reinterpret_cast<const char*>(frames), sizeof frames);
  const std::map<std::string, std::string> members = {{"f.npy", Npy("<f4", "(2, 1, 2)", data)},
                                                      {"y.npy", Npy("|u1", "(2,)", std::string("\1\0", 2))}};
  for (const bool compressed : {false, true}) {
    const std::string bytes = Npz(members, compressed);
    const auto examples = Read(Write("d.npz", bytes), {Label(), Frames()});
    ASSERT_TRUE(examples) << examples.error().message;
    EXPECT_EQ(Elements<float>(Inputs(*examples, {1, 0})["f"]), (std::vector<float>{3, 4, 1, 2}));
    EXPECT_EQ(Elements<int32_t>(Inputs(*examples, {0, 1})["y"]), (std::vector<int32_t>{1, 0}));
    // Cut anywhere, or with any byte changed, it is refused or read, and nothing worse.
    for (size_t size = 0; size < bytes.size(); size += 7)
      EXPECT_FALSE(Read(Write("d.npz", bytes.substr(0, size)), {Label()}));
    for (size_t at = 0; at < bytes.size(); at += 3) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ 0x5a);
      const auto read = Read(Write("d.npz", changed), {Label(), Frames()});
      if (read) EXPECT_EQ(read->size(), 2);
    }
  }
}

TEST_F(ArgumentFilesTest, BatchesOfThemHoldEveryExampleOnce) {
  std::string records;
  for (int i = 0; i < 100; ++i)
    records += "{\"x\": \"" + std::string(static_cast<size_t>(1 + i % 3), 'a') + "\"}\n";
  const auto examples = Read(Write("d.jsonl", records), {Text()});
  ASSERT_TRUE(examples) << examples.error().message;
  for (const BatchSize size : {BatchSize(12), BatchSize(4096, 5)}) {
    std::set<int64_t> seen;
    for (const Batch& batch : ShuffledBatches(*examples, size, 1, 0)) {
      int64_t longest = 0;
      for (const int64_t i : batch) {
        EXPECT_TRUE(seen.insert(i).second);
        longest = std::max(longest, examples->Length(i, 0));
      }
      if (size.examples > 0) EXPECT_LE(batch.size(), 5u);
      if (size.examples == 0) EXPECT_LE(longest * static_cast<int64_t>(batch.size()), 12);
    }
    EXPECT_EQ(seen.size(), 100u);
  }
  // Examples of one length are not always together.
  EXPECT_NE(ShuffledBatches(*examples, 12, 1, 0), ShuffledBatches(*examples, 12, 1, 1));
  const auto again = Read(folder_ / "d.jsonl", {Text()});
  EXPECT_EQ(again->Fingerprint(), examples->Fingerprint());
  Write("d.jsonl", records + "{\"x\": \"b\"}\n");
  EXPECT_NE(Read(folder_ / "d.jsonl", {Text()})->Fingerprint(), examples->Fingerprint());
}

}  // namespace
}  // namespace heed::test
