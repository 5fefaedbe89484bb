// Arguments of entries stay arguments, whether anything uses them or not, in every kind of entry and every
// way of calling it; `call` takes any entry with arguments of any type; what lies in padding is nobody's.
#include <limits>

#include "tests/support/expect.h"
#include "tests/support/faults_support.h"
#include "tests/support/model_support.h"

namespace heed::test {
namespace {

// `favourite` has nothing to do with the texts: the likeliest id is the number of the position plus `a`.
constexpr const char* kProgram = R"(
axis vocab = 259, model = 4, side = 2, src <= 16, t <= 16
const bos = 1, eos = 2
module Scale(x) -> [] {
  param scale[] = 1
  scale * x
}
part scaled = Scale
def favourite(y: vocab[t]) -> [t, vocab] = where(vocab == (t + 100) % 256, 5, 0)

entry length(x: vocab[src]) = scaled(|src|)
entry constant(x: vocab[src]) = scaled(3)
entry second(x: vocab[src], y: vocab[t]) = scaled(sum[t](where(y == 100, 1, 0)))
entry table(x: vocab[src], v[side]) = scaled(side)
entry mixed(x: vocab[src], v[src, side], n: int[src], m: bool[src], i: side[src], k: int) =
  scaled(sum[src | m](sum[side](v) + n + where(i == 1, 0.5, 0) + x)) + k

entry train(x: vocab[src], y: vocab[t]) = minimize (scaled(|src|) - 2) ^ 2 per |t| - 1
entry train_first(x: vocab[src], y: vocab[t]) = minimize scaled(sum[src](where(x == 100, 1, 0)))
entry train_nothing(x: vocab[src], y: vocab[t]) = minimize (scaled(1) - 2) ^ 2
entry train_below(x: vocab[src], y: vocab[t]) = minimize (scaled(1) - 2) ^ 2 per |t| - 5
entry train_none(x: vocab[src], y: vocab[t]) = minimize (scaled(1) - 2) ^ 2 per sqrt(|t| - 5)
entry score(x: vocab[src], y: vocab[t]) = scaled(0) - |t|

entry complete(p: vocab[t]) = generate y: vocab[t] from p until eos by favourite(y)
entry translate(x: vocab[src]) = generate y: vocab[t] from bos until eos by favourite(y)
entry by_length(x: vocab[src]) = generate y: vocab[t] from bos until eos by favourite(y) + where(vocab == eos and t >= |src|, 9, 0)
entry ending(p: vocab[t], x: vocab[src]) = generate y: vocab[t] from p until eos by favourite(y)
entry any(v[src, side], n: int, m: bool[src], i: side, x: vocab[src], p: vocab[t]) =
  generate y: vocab[t] from p until eos by where(vocab == n + i + sum[src | m](sum[side](v)) + sum[src](where(x == 7, 1, 0)), 5, 0 * t)
entry unused(v[src, side], n: int, m: bool[src], i: side) = generate y: vocab[t] from bos by favourite(y)
entry alone() = generate y: vocab[t] from bos until eos by favourite(y)
)";

class Arguments : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    source_ = new TemporaryFolder;
    WriteBytes(*source_ / "arguments.heed", kProgram);
    program_ = new BuiltProgram(*source_ / "arguments.heed");
    if (!program_->ok()) return;
    WriteBytes(*source_ / "x.txt", "abc\nde\n");
    WriteBytes(*source_ / "y.txt", "aaa\nxa\n");
    EXPECT_TRUE(
        program_->Run({"init", "--text", Path("x.txt"), "--tokenizer", "bytes", "--out", Weights()}).ok());
  }
  static void TearDownTestSuite() {
    delete program_;
    delete source_;
  }
  void SetUp() override {
    if (!program_->ok()) GTEST_SKIP() << "the program is not built";
  }

  static std::string Path(const std::string& name) { return *source_ / name; }
  static std::string Weights() { return program_->File("weights.safetensors"); }
  static std::string Out(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.end(), {"--weights", Weights()});
    const ProcessResult result = program_->Run(arguments, input);
    EXPECT_EQ(result.status, 0) << arguments[0] << ": " << result.err;
    return result.out;
  }
  static TensorMap Call(const std::string& entry, const TensorMap& inputs,
                        const std::vector<std::string>& ids, const std::vector<std::string>& options = {}) {
    return program_->Call(entry, inputs, ids, options);
  }

  static TemporaryFolder* source_;
  static BuiltProgram* program_;
};
TemporaryFolder* Arguments::source_ = nullptr;
BuiltProgram* Arguments::program_ = nullptr;

TEST_F(Arguments, ValuesOfLines) {
  // The first of two texts that are trained on gets an end token, the second begin and end.
  EXPECT_EQ(Out({"length", "--x", Path("x.txt")}), "4\n3\n");
  EXPECT_EQ(Out({"constant", "--x", Path("x.txt")}), "3\n3\n");
  EXPECT_EQ(Out({"second", "--x", Path("x.txt"), "--y", Path("y.txt")}), "3\n1\n");
}

TEST_F(Arguments, ValuesOfTensors) {
  const TensorMap x = {{"x", {{2, 3}, {5, 6, 7, 8, 9, 10}}}, {"x.length", Vector({3, 1})}};
  EXPECT_EQ(Call("length", x, {"x"}).at("result").data, (std::vector<double>{3, 1}));
  EXPECT_EQ(Call("constant", x, {"x"}).at("result").data, (std::vector<double>{3, 3}));
  TensorMap both = x;
  both["v"] = Zeros({2, 2});
  const Numbers table = Call("table", both, {"x"}).at("result");
  EXPECT_EQ(table.shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(table.data, (std::vector<double>{0, 1, 0, 1}));
}

TEST_F(Arguments, Losses) {
  const TensorMap texts = {
      {"x", {{2, 3}, {100, 6, 7, 8, 9, 100}}}, {"x.length", Vector({3, 1})}, {"y", {{2, 2}, {1, 2, 1, 2}}}};
  TensorMap out = Call("train", texts, {"x", "y"}, {"--grad"});
  EXPECT_EQ(out.at("loss").data[0], 1);  // (1 + 1) / 2
  EXPECT_EQ(out.at("count").data[0], 2);
  EXPECT_EQ(out.at("grad.scale").data[0], 2);  // (2 * 1 * 3 + 2 * -1 * 1) / 2
  EXPECT_EQ(Call("train_first", texts, {"x", "y"}).at("loss").data[0], 0.5);
  EXPECT_EQ(Call("train_nothing", texts, {"x", "y"}).at("count").data[0], 2);
  for (const char* entry : {"train", "train_first", "train_nothing"}) {
    const ProcessResult run =
        program_->Run({"train", "--entry", entry, "--source", Path("x.txt"), "--target", Path("y.txt"),
                       "--tokenizer", "bytes", "--steps", "2", "--out", Path("trained.safetensors"), "-q"});
    EXPECT_EQ(run.status, 0) << entry << ": " << run.err;
  }
  const std::string score = Out({"score", "--source", Path("x.txt"), "--target", Path("y.txt")});
  EXPECT_NE(score.find("nats per token"), std::string::npos) << score;
}

TEST_F(Arguments, AnExampleCountsZeroOrMore) {
  // With begin and end the second line of y has 4 tokens, those of `long` have 6.
  WriteBytes(Path("long"), "aaaa\nabcd\n");
  const std::string weights = Path("counted.safetensors");
  for (const auto& [entry, count] : {std::pair("train_below", "counts -1 by this `per`"),
                                     {"train_none", "counts no number by this `per`"}}) {
    const auto train = [&](const std::string& target, const std::string& valid) {
      return program_->Run({"train", "--entry", entry, "--source", Path("x.txt"), "--target", target,
                            "--valid-source", Path("x.txt"), "--valid-target", valid, "--tokenizer", "bytes",
                            "--steps", "1", "--out", weights, "-q"});
    };
    for (const auto& [target, valid] :
         {std::pair(Path("y.txt"), Path("long")), std::pair(Path("long"), Path("y.txt"))}) {
      const ProcessResult refused = train(target, valid);
      EXPECT_EQ(refused.status, 1) << refused.err;
      EXPECT_HAS(refused.err, count);
      EXPECT_HAS(refused.err, "(line 2 of " + Path("x.txt") + " and " + Path("y.txt") + ")");
      EXPECT_FALSE(std::filesystem::exists(weights));
    }
    EXPECT_EQ(train(Path("long"), Path("long")).status, 0);
    std::filesystem::remove(weights);
  }
  // One that counts nothing is none.
  const TensorMap y = {{"x", Zeros({2, 1})}, {"y", Zeros({2, 6})}, {"y.length", Vector({5, 6})}};
  EXPECT_EQ(Call("train_below", y, {"x", "y"}).at("count").data[0], 1);
}

TEST_F(Arguments, Help) {
  const std::string score = program_->Run({"score", "--help"}).out;
  EXPECT_HAS(score, "--source");
  EXPECT_EQ(score.find("--text"), std::string::npos) << score;
  // Nothing attends here.
  const std::string commands = program_->Run({"--help"}).out;
  EXPECT_HAS(commands, "translate");
  EXPECT_EQ(commands.find("\n  attention"), std::string::npos) << commands;
  const ProcessResult attention = program_->Run({"attention"});
  EXPECT_EQ(attention.status, 1);
  EXPECT_HAS(attention.err, "no attention to look at");
}

TEST_F(Arguments, ComparingSaysOnceWhatWasFound) {
  const std::string weights = Path("extra.safetensors");
  WriteTensors(weights, {{"scale", {{}, {1}}}, {"extra", Zeros({2})}}, {});
  const ProcessResult result =
      program_->Run({"score", "--weights", weights, "--tokenizer", "bytes", "--compare", "bf16", "--source",
                     Path("x.txt"), "--target", Path("y.txt")});
  EXPECT_EQ(result.status, 0) << result.err;
  const size_t first = result.err.find("extra");
  ASSERT_NE(first, std::string::npos) << result.err;
  EXPECT_EQ(result.err.find("has tensors that the program does not", result.err.find('\n', first)),
            std::string::npos)
      << result.err;
}

TEST_F(Arguments, LinesOfOtherFormats) {
  WriteBytes(Path("lines.jsonl"), "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
  WriteBytes(Path("lines.gz"), std::string("\x1f\x8b\x08", 3) + "abc\n");
  ProcessResult result = program_->Run({"length", "--x", Path("lines.jsonl"), "--weights", Weights()});
  EXPECT_EQ(result.out, "14\n14\n");
  EXPECT_HAS(result.err, "lines.jsonl is JSON");
  for (const std::string& from : {Path("lines.gz"), std::string("-")}) {
    result = program_->Run({"length", "--x", from, "--weights", Weights()}, FileBytes(Path("lines.gz")));
    EXPECT_EQ(result.status, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_HAS(result.err,
               (from == "-" ? "standard input" : from) + " is not text; it is compressed by gzip");
  }
  result = program_->Run({"translate", "--weights", Weights()}, FileBytes(Path("lines.gz")));
  EXPECT_EQ(result.status, 1);
  EXPECT_HAS(result.err, "standard input is not text; it is compressed by gzip");
}

TEST_F(Arguments, Texts) {
  // Ids of bytes are 3 higher: position 1 gives 'b', and so on.
  EXPECT_EQ(Out({"complete", "--prompt", "xy", "--greedy", "--max-length", "3"}), "xybcd\n");
  EXPECT_EQ(Out({"complete", "--max-length", "2"}, "x\nxyz\n"), "xab\nxyzcd\n");
  EXPECT_EQ(Out({"complete", "--prompt", "xy", "--beam", "3", "--n-best", "1", "--max-length", "2"}),
            "xybc\n");
  const std::string best =
      Out({"complete", "--prompt", "xy", "--beam", "3", "--n-best", "3", "--scores", "--max-length", "2"});
  EXPECT_EQ(std::count(best.begin(), best.end(), '\n'), 3) << best;
  EXPECT_NE(best.find("xybc\n"), std::string::npos) << best;
  const std::string random = Out({"complete", "--prompt", "xy", "--temperature", "1", "--n-best", "2",
                                  "--max-length", "2", "--seed", "3"});
  EXPECT_EQ(std::count(random.begin(), random.end(), '\n'), 2) << random;
  EXPECT_EQ(Out({"translate", "--greedy", "--max-length", "3"}, "long line\nx\n"), "abc\nabc\n");
  EXPECT_EQ(Out({"by_length", "--greedy"}, "xx\n\nx\n"), "abc\n\nab\n");
  EXPECT_EQ(Out({"ending", "--prompt", "xy", "--greedy", "--max-length", "2"}, "some text\n"), "xycd\n");
  EXPECT_EQ(Out({"alone", "--greedy", "--max-length", "2"}), "ab\n");
}

TEST_F(Arguments, GeneratesFromTensors) {
  const TensorMap p = {{"p", {{2, 2}, {50, 51, 52, 0}}}, {"p.length", Vector({2, 1})}};
  TensorMap out = Call("complete", p, {"p"});
  EXPECT_EQ(out.at("result").shape, (std::vector<int64_t>{2, 16}));
  EXPECT_EQ(out.at("result").data[2], 101);
  EXPECT_EQ(out.at("result").data[17], 100);
  EXPECT_EQ(out.at("result.length").data, (std::vector<double>{16, 16}));
  // Logits of a text that is given, without the prompt.
  out = Call("complete", {{"y", {{1, 2}, {50, 51}}}}, {"y"});
  EXPECT_EQ(out.at("result").shape, (std::vector<int64_t>{1, 2, 259}));
  EXPECT_EQ(out.at("result").data[259 + 101], 5);
}

using Ids = std::vector<int32_t>;
using Floats = std::vector<float>;
using Bytes = std::vector<uint8_t>;

/// The message of `call ENTRY` on these tensors; "" and `results` if it works.
class RawCalls : public Arguments {
 protected:
  static std::string Call(const std::string& entry, const Parts& inputs, TensorMap* results = nullptr,
                          const std::vector<std::string>& options = {}) {
    WriteBytes(Path("in.safetensors"), inputs.Bytes());
    std::vector<std::string> arguments{"call",      entry,
                                       "--weights", Weights(),
                                       "--inputs",  Path("in.safetensors"),
                                       "--outputs", Path("out.safetensors")};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const ProcessResult result = program_->Run(arguments);
    EXPECT_TRUE(result.status == 0 || result.status == 1) << entry << ": " << result.status << result.err;
    if (result.status == 0 && results != nullptr) *results = ReadTensors(Path("out.safetensors"));
    return result.status == 0 ? "" : result.err;
  }
  static void ExpectError(const std::string& entry, const Parts& inputs, const std::string& message) {
    const std::string error = Call(entry, inputs);
    EXPECT_NE(error.find(message), std::string::npos) << entry << ": " << error << " is not " << message;
  }
};

TEST_F(RawCalls, AnyEntryTakesArgumentsOfAnyType) {
  const auto inputs = [](int32_t id, float number, int32_t whole, uint8_t truth, int64_t width) {
    Ids x{7, 7, 3, 7}, n{1, 2, 3, 4}, i{1, 0, 1, 1};
    Floats v{1, 2, 3, 4, 100, 100, 9, 9};
    Bytes m{1, 1, 0, 1};
    // Examples of 3 elements and of 1.
    Ids all_x, all_n, all_i;
    Floats all_v;
    Bytes all_m;
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t e = 0; e < width; ++e) {
        const bool there = e < (b == 0 ? 3 : 1);
        const auto at = static_cast<size_t>(b == 0 ? e : 3);
        all_x.push_back(there ? x[at] : id);
        all_n.push_back(there ? n[at] : whole);
        all_i.push_back(there ? i[at] : id);
        all_m.push_back(there ? m[at] : truth);
        for (size_t side = 0; side < 2; ++side) all_v.push_back(there ? v[2 * at + side] : number);
      }
    }
    return Parts{}
        .Add("x", "I32", {2, width}, all_x)
        .Add("x.length", "I32", {2}, Ids{3, 1})
        .Add("v", "F32", {2, width, 2}, all_v)
        .Add("n", "I32", {2, width}, all_n)
        .Add("m", "U8", {2, width}, all_m)
        .Add("i", "I32", {2, width}, all_i)
        .Add("k", "I32", {2}, Ids{1000, 0});
  };
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max(), kLeast = std::numeric_limits<int32_t>::min();
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  TensorMap out;
  // (1 + 2 + 1 + .5 + 7) + (3 + 4 + 2 + 7) + 1000; (9 + 9 + 4 + .5 + 7)
  for (const Parts& each :
       {inputs(0, 0, 0, 0, 3), inputs(-100, nan, kMost, 2, 5), inputs(999, infinity, kLeast, 255, 4),
        inputs(kMost, -infinity, -1, 7, 16), inputs(kLeast, nan, 0, 1, 7)}) {
    EXPECT_EQ(Call("mixed", each, &out), "");
    EXPECT_EQ(out["result"].data, (std::vector<double>{1027.5, 29.5}));
  }

  // `any` writes n + i + the sum of v under m + the number of sevens, over and over.
  const auto any = [&](int32_t id, float number, uint8_t truth, int64_t width) {
    Parts parts;
    Ids x, p{50, 51, 52, id};
    Floats v;
    Bytes m;
    for (int64_t b = 0; b < 2; ++b) {
      for (int64_t e = 0; e < width; ++e) {
        const bool there = e < 2 - b;
        x.push_back(there ? 7 : id);
        m.push_back(there ? 1 : truth);
        for (int side = 0; side < 2; ++side) v.push_back(there ? static_cast<float>(2 * e + side) : number);
      }
    }
    return parts.Add("v", "F32", {2, width, 2}, v)
        .Add("n", "I32", {2}, Ids{20, 30})
        .Add("m", "U8", {2, width}, m)
        .Add("i", "I32", {2}, Ids{1, 0})
        .Add("x", "I32", {2, width}, x)
        .Add("x.length", "I32", {2}, Ids{2, 1})
        .Add("p", "I32", {2, 2}, p)
        .Add("p.length", "I32", {2}, Ids{2, 1});
  };
  for (const Parts& each : {any(0, 0, 0, 2), any(-100, nan, 9, 3), any(kMost, infinity, 1, 16)}) {
    EXPECT_EQ(Call("any", each, &out), "");
    EXPECT_EQ(out["result"].shape, (std::vector<int64_t>{2, 16}));
    const std::vector<double>& ids = out["result"].data;
    EXPECT_EQ(std::vector<double>(ids.begin(), ids.begin() + 4), (std::vector<double>{50, 51, 29, 29}));
    EXPECT_EQ(std::vector<double>(ids.begin() + 16, ids.begin() + 19), (std::vector<double>{52, 32, 32}));
    EXPECT_EQ(out["result.length"].data, (std::vector<double>{16, 16}));
  }
  // With the text the logits, in its padding 0.
  Parts given = any(0, 0, 0, 2).Without([](const std::string& name) { return name.starts_with("p"); });
  given.Add("y", "I32", {2, 3}, Ids{1, 2, 3, 4, -5, 999}).Add("y.length", "I32", {2}, Ids{3, 1});
  EXPECT_EQ(Call("any", given, &out), "");
  EXPECT_EQ(out["result"].shape, (std::vector<int64_t>{2, 3, 259}));
  for (int64_t t = 0; t < 3; ++t) EXPECT_EQ(out["result"].data[t * 259 + 29], 5);
  EXPECT_EQ(out["result"].data[3 * 259 + 32], 5);
  EXPECT_EQ(out["result"].data[4 * 259 + 32], 0);
}

TEST_F(RawCalls, WhatIsNoPaddingIsChecked) {
  const auto x = [](Ids ids, Ids lengths) {
    return Parts{}.Add("x", "I32", {1, 3}, ids).Add("x.length", "I32", {1}, lengths);
  };
  EXPECT_EQ(Call("length", x({5, 999, -1}, {1})), "");
  EXPECT_EQ(Call("length", x({999, 999, -1}, {0})), "");
  ExpectError("length", x({5, 999, -1}, {2}), "x[0, 1] is 999, vocab has 259 elements");
  ExpectError("length", x({-1, 0, 0}, {1}), "x[0, 0] is -1, vocab has 259 elements");
  ExpectError("length", x({5, 6, 7}, {4}), "x.length[0] is 4; x has 3 elements along src");
  ExpectError("length", x({5, 6, 7}, {-1}), "x.length[0] is -1");
  ExpectError("length", x({5, 6, 7}, {1, 1}), "x.length");
  ExpectError("length", Parts{}.Add("x", "I32", {1, 3}, Ids{1, 2, 3}).Add("x.length", "F32", {1}, Floats{1}),
              "x.length is F32; it must be I32");
  ExpectError("length", Parts{}.Add("x", "F32", {1, 3}, Floats{1, 2, 3}), "x is F32; it must be I32");
  ExpectError("length", Parts{}.Add("x", "I32", {1, 17}, Ids(17, 1)), "bounded by 16");
  ExpectError("length", Parts{}.Add("x", "I32", {0, 3}, Ids{}), "batch is empty");
  ExpectError("complete", Parts{}.Add("p", "I32", {1, 17}, Ids(17, 1)), "bounded by 16");
  ExpectError("complete", Parts{}.Add("p", "I32", {1, 16}, Ids(16, 999)),
              "p[0, 0] is 999, vocab has 259 elements");
  ExpectError("complete", Parts{}.Add("p", "I32", {1, 2}, Ids{1, 2}).Add("p.length", "I32", {1}, Ids{0}),
              "nothing to start from");
  EXPECT_EQ(Call("unused", Parts{}
                               .Add("v", "F32", {1, 2, 2}, Floats{1, 2, 3, 4})
                               .Add("n", "I32", {1}, Ids{1})
                               .Add("m", "U8", {1, 2}, Bytes{1, 0})
                               .Add("i", "I32", {1}, Ids{1})),
            "");
  ExpectError("unused",
              Parts{}
                  .Add("v", "F32", {1, 2, 2}, Floats{1, 2, 3, 4})
                  .Add("n", "I32", {1}, Ids{1})
                  .Add("m", "U8", {1, 2}, Bytes{1, 2})
                  .Add("i", "I32", {1}, Ids{1}),
              "m has 2; a bool is 0 or 1");
}

}  // namespace
}  // namespace heed::test
