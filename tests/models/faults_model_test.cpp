// Generated programs in hostile and careless hands: command lines, damaged checkpoints, tensors out of
// bounds, texts that are none. How they end and where results go is faults_endings_model_test.cpp's affair.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "backend/target/target.h"
#include "runtime/weights/checkpoint.h"
#include "tests/support/program_faults.h"

namespace heed {
namespace {

// ---- Command lines

TEST_F(ProgramFaults, WrongCommandLinesAre2AndSayWhatIsWanted) {
  const std::string huge = "100000000000000000000";
  const struct {
    std::vector<std::string> arguments;
    const char* message;
  } kLines[] = {
      {{}, "a command is missing"},
      {{"trian"}, "did you mean `train`?"},
      {{""}, "there are: info, train"},
      {{"--bogus"}, "a command is missing"},
      {{"--threads", "2"}, "a command is missing"},
      {{"--threads", "0"}, "not `0`"},
      {{"info", "more"}, "more"},
      {{"info", "--threads", "0"}, "must be a whole number of at least 1 and at most 1024, not `0`"},
      {{"info", "--threads", "-1"}, "not `-1`"},
      {{"info", "--threads", "100000"}, "not `100000`"},
      {{"info", "--threads", "two"}, "not `two`"},
      {{"train"}, "give the training text with --source F --target F"},
      {{"train", "--source", "a"}, "--target"},
      {{"train", "--source"}, "--source"},
      {{"train", "--text", "a"}, "use --source and --target"},
      {{"train", "--bogus", "1"}, "--bogus"},
      {{"train", "--steps", "0"}, "must be a whole number of at least 1, not `0`"},
      {{"train", "--steps", "-1"}, "not `-1`"},
      {{"train", "--steps", "1.5"}, "not `1.5`"},
      {{"train", "--steps", "1e3"}, "not `1e3`"},
      {{"train", "--steps", huge}, "not `1000"},
      {{"train", "--steps", "5", "--steps", "6"}, "--steps"},
      {{"train", "--batch", "0"}, "must be a whole number of at least 1, not `0`"},
      {{"train", "--seed", "-1"}, "must be a whole number of at least 0, not `-1`"},
      {{"train", "--warmup", "-1"}, "must be a whole number of at least 0"},
      {{"train", "--minutes", "0"}, "must be a number above 0, not `0`"},
      {{"train", "--minutes", "nan"}, "not `nan`"},
      {{"train", "--lr", "0"}, "must be a number above 0, not `0`"},
      {{"train", "--lr", "nan"}, "not `nan`"},
      {{"train", "--lr", "inf"}, "not `inf`"},
      {{"train", "--lr", "1e999"}, "not `1e999`"},
      {{"train", "--lr", "1x"}, "not `1x`"},
      {{"train", "--beta1", "1"}, "must be a number from 0 and below 1, not `1`"},
      {{"train", "--clip", "-1"}, "must be a number of at least 0, not `-1`"},
      {{"train", "--schedule", "square"}, "square"},
      {{"train", "--entry", "nothing", "--source", "a", "--target", "b"},
       "no entry `nothing`; it has: train"},
      {{"train", "--entry", "score", "--source", "a", "--target", "b"}, "`score` does not minimize"},
      {{"train", "--source", "a", "--target", "b", "--valid-source", "c"}, "go together"},
      {{"train", "--source", "a", "--target", "b", "--resume", "c", "--init", "d"}, "exclude each other"},
      {{"score", "--text", "a"}, "--source F --target F"},
      {{"score", "--source", "a", "--target", "b"}, "--weights"},
      {{"translate"}, "--weights"},
      {{"translate", "--beam", "0"}, "must be a whole number of at least 1 and at most 4096, not `0`"},
      {{"translate", "--beam", "1000000000"}, "at most 4096"},
      {{"translate", "--max-length", "0"}, "not `0`"},
      {{"translate", "--alpha", "nan"}, "not `nan`"},
      {{"translate", "--temperature", "nan"}, "not `nan`"},
      {{"translate", "--top-p", "-0.5"}, "not `-0.5`"},
      {{"translate", "--top-k", "-1"}, "not `-1`"},
      {{"translate", "--weights", "w", "--beam", "2", "--top-k", "3"}, "exclude each other"},
      {{"call"}, "entry is required"},
      {{"call", "nothing", "--inputs", "i", "--outputs", "o"}, "no entry `nothing`"},
      {{"call", "score", "--inputs", "i"}, "--outputs"},
      {{"call", "score", "--outputs", "o"}, "--inputs"},
      {{"call", "score", "--inputs", "i", "--outputs", "o", "--grad"}, "need a `minimize` entry"},
      {{"call", "train", "--steps", "-1"}, "not `-1`"},
  };
  for (const auto& line : kLines) {
    SCOPED_TRACE(testing::PrintToString(line.arguments));
    const ProcessResult result = Run("mt", line.arguments);
    ExpectMessage(result, 2, line.message);
    EXPECT_HAS(result.err, "--help`");
  }
  EXPECT_EQ(Run("lm", {"complete", "--weights", Path("lm.w"), "--prompt", "a\xFF"}).status, 2);
  EXPECT_EQ(Run("lm", {"train", "--source", "a", "--target", "b"}).status, 2);
}

TEST_F(ProgramFaults, CpuLevels) {
  const ProcessResult result = Run("mt", {"info"}, {.variables = {"HEED_TARGET=nothing"}});
  ExpectMessage(result, 1, "HEED_TARGET=nothing is not in this program; it was compiled for ");
  EXPECT_EQ(Run("mt", {"info"}, {.variables = {"HEED_TARGET="}}).status, 0);
}

// ---- Checkpoints

TEST_F(ProgramFaults, DamagedCheckpoints) {
  const std::string whole = test::FileBytes(Path("mt.w"));
  const Parts parts = Parts::Of(whole);
  const auto length = [&](uint64_t n) {
    return std::string(reinterpret_cast<const char*>(&n), 8) + whole.substr(8);
  };
  const auto with = [&](const std::function<void(nlohmann::ordered_json&)>& change) {
    Parts changed = parts;
    change(changed.header);
    return changed.Bytes();
  };
  const auto of_e = [&](const char* key, const nlohmann::ordered_json& value) {
    return with([&](auto& header) { header["E"][key] = value; });
  };
  const auto without = [&](const std::string& name) {
    return parts.Without([&](const std::string& other) { return other == name; });
  };
  const size_t end = parts.data.size();
  const struct {
    const char* what;
    std::string bytes;
    const char* message;
  } kFiles[] = {
      {"empty", "", "the file is empty"},
      {"four bytes", whole.substr(0, 4), "has only 4 bytes"},
      {"header cut", whole.substr(0, 100), "a partial download?"},
      {"data cut", whole.substr(0, whole.size() - 1000), "a partial download?"},
      {"last byte cut", whole.substr(0, whole.size() - 1), "a partial download?"},
      {"one byte more", whole + "x", "1 bytes follow after the last tensor"},
      {"huge header", length(uint64_t{1} << 62), "its header claims to have"},
      {"negative header", length(~uint64_t{0}), "its header claims to have"},
      {"no header", length(0), "does not begin with '{'"},
      {"zeros", std::string(5000, '\0'), "does not begin with '{'"},
      {"not JSON", std::string("\x08\0\0\0\0\0\0\0{hello}!", 16), "not a JSON object"},
      {"deep JSON", std::string("\x40\x42\x0F\0\0\0\0\0{\"a\":", 13) + std::string(1'000'000, '['),
       "not a JSON object"},
      {"text", std::string(2000, 'a'), "is it of another format?"},
      {"metadata", with([](auto& header) { header["__metadata__"] = 5; }), "__metadata__ is not an object"},
      {"offsets outside", of_e("data_offsets", {end - 10, end + 4086}), "ends at byte"},
      {"offsets below", of_e("data_offsets", {-5, 4091}), "bad data_offsets"},
      {"offsets turned", of_e("data_offsets", {4096, 0}), "bad data_offsets"},
      {"offsets huge", of_e("data_offsets", {0, 9223372036854775807}), "bad data_offsets"},
      {"overlap", with([](auto& header) { header["twice"] = header["E"]; }), "tensors overlap"},
      {"dtype", of_e("dtype", "I32"), "E: the file has I32; it must be F32, F16, BF16 or F64"},
      {"unknown dtype", of_e("dtype", "F31"), "E: the file has F31"},
      {"shorter dtype", of_e("dtype", "F16"), "has 4096 bytes"},
      {"shape turned", of_e("shape", {16, 64}), "in the other order"},
      {"shape", of_e("shape", {32, 32}), "vocab is 64 here and 32 in the file"},
      {"rank", of_e("shape", {1024}), "grouped otherwise"},
      {"shape overflows", of_e("shape", {1ll << 40, 1ll << 40}), "overflows"},
      {"negative shape", of_e("shape", {-1, -1024}), "not of whole numbers"},
      {"shape of text", of_e("shape", {"a"}), "not of whole numbers"},
      {"missing tensor", without("E").Bytes(), "there is no E"},
      {"another program", test::FileBytes(Path("lm.w")), "none of its"},
      {"no tokenizer", with([](auto& header) { header["__metadata__"].erase("tokenizer"); }),
       "carries no tokenizer"},
      {"tokenizer", with([](auto& header) { header["__metadata__"]["tokenizer"] = "@@"; }), "damaged"},
      {"tokenizer cut", with([](auto& header) { header["__metadata__"]["tokenizer"] = "AAAA"; }),
       "tokenizer"},
  };
  const std::string file = Path("damaged");
  const auto translate = [&] { return Run("mt", {"translate", "--weights", file}, {.input = "the cat\n"}); };
  for (const auto& damaged : kFiles) {
    SCOPED_TRACE(damaged.what);
    test::WriteBytes(file, damaged.bytes);
    ProcessResult result = translate();
    ExpectMessage(result, 1, damaged.message);
    EXPECT_HAS(result.err, file);
    EXPECT_EQ(result.out, "");
    result = Child(Train({"--resume", file, "--steps", "9", "--out", good_})).Wait();
    EXPECT_EQ(result.status, 1) << result.err;
    ExpectUntouched();
  }
  // What is no reason to stop is said.
  Parts extra = parts;
  test::WriteBytes(file, extra.Add<float>("more", "F32", {1}, {1}).Bytes());
  ExpectMessage(translate(), 0, "tensors that the program does not: more");
  Parts prefixed = parts.Without([](const std::string& name) { return name.starts_with("optim."); });
  nlohmann::ordered_json renamed;
  for (const auto& [name, value] : prefixed.header.items())
    renamed[name[0] == '_' ? name : "model." + name] = value;
  prefixed.header = renamed;
  test::WriteBytes(file, prefixed.Bytes());
  ExpectMessage(translate(), 0, "names match with the prefix `model.`");

  ExpectMessage(Run("mt", {"translate", "--weights", Path("nothing")}), 1, "No such file");
  ExpectMessage(Run("mt", {"translate", "--weights", Path("out")}), 1, "has neither model.safetensors nor");
  ExpectMessage(Run("mt", {"translate", "--weights", "/dev/zero"}), 1, "not a regular file");
}

TEST_F(ProgramFaults, CheckpointsThatCannotBeResumed) {
  const Parts parts = Parts::Of(test::FileBytes(Path("mt.w")));
  const auto with = [&](const char* key, const char* value) {
    Parts changed = parts;
    changed.header["__metadata__"][key] = value;
    return changed.Bytes();
  };
  const auto unnamed = [](const std::string& name) { return name.starts_with("optim."); };
  Parts bare = parts;
  bare.header.erase("__metadata__");
  const struct {
    std::string bytes;
    const char* message;
  } kFiles[] = {
      {with("step", "-4"), "metadata is damaged"},
      {with("step", "four"), "metadata is damaged"},
      {with("step", "99999999999999999999"), "metadata is damaged"},
      {with("batch", "0"), "metadata is damaged"},
      {with("next_batch", "-1"), "metadata is damaged"},
      {with("options", "{\"schedule\":\"square\"}"), "unknown schedule `square`"},
      {with("options", "{\"lr\":-3}"), "options in the metadata are damaged"},
      {with("options", "{\"beta1\":7}"), "options in the metadata are damaged"},
      {parts.Without(unnamed).Bytes(), "lacks the optimizer's state; start from its weights with --init"},
      {parts.Without([](const std::string& name) { return name == "optim.E.0"; }).Bytes(), "optim.E.0"},
      {bare.Bytes(), "start from them with --init"},
  };
  for (const auto& file : kFiles) {
    test::WriteBytes(Path("damaged"), file.bytes);
    ExpectMessage(Child(Train({"--resume", Path("damaged"), "--steps", "9", "--out", good_})).Wait(), 1,
                  file.message);
    ExpectUntouched();
  }
  // A position beyond the data starts the next pass; it does not crash.
  test::WriteBytes(Path("damaged"), with("next_batch", "9223372036854775807"));
  EXPECT_EQ(Child(Train({"--resume", Path("damaged"), "--steps", "9"})).Wait().status, 0);
  // Weights that are not numbers.
  Parts nan = parts.Without([](const std::string& name) { return name == "E"; });
  nan.Add("E", "F32", {64, 16}, std::vector<float>(1024, std::numeric_limits<float>::quiet_NaN()));
  test::WriteBytes(Path("damaged"), nan.Bytes());
  ExpectMessage(Run("mt", {"translate", "--weights", Path("damaged")}, {.input = "the cat\n"}), 1,
                "not numbers");
  ExpectMessage(Child(Train({"--resume", Path("damaged"), "--steps", "9", "--out", good_})).Wait(), 1,
                "is not a finite number");
  ExpectUntouched();
}

// ---- Tensors

TEST_F(ProgramFaults, InputsOfCall) {
  using Ids = std::vector<int32_t>;
  const Ids x{3, 4, 5, 6, 7, 8}, y{1, 3, 4, 2, 1, 5, 6, 2};
  const auto right = [&] { return Parts{}.Add("x", "I32", {2, 3}, x).Add("y", "I32", {2, 4}, y); };
  const auto length = [&](const char* name, const Ids& of) {
    return right().Add(name, "I32", {static_cast<int64_t>(of.size())}, of);
  };
  const auto x_of = [&](const char* dtype, std::vector<int64_t> shape, const auto& values) {
    return Parts{}.Add("x", dtype, std::move(shape), values).Add("y", "I32", {2, 4}, y);
  };
  const struct {
    Parts parts;
    const char* message;
  } kInputs[] = {
      {x_of("I32", {2, 3}, Ids{3, 4, 64, 6, 7, 8}), "x[0, 2] is 64, vocab has 64 elements"},
      {x_of("I32", {2, 3}, Ids{3, 4, 5, 6, 7, -1}), "x[1, 2] is -1, vocab has 64 elements"},
      {x_of("I32", {2, 3}, Ids{3, 4, 5, 6, std::numeric_limits<int32_t>::min(), 8}),
       "x[1, 1] is -2147483648"},
      {x_of("I64", {2, 3}, std::vector<int64_t>{3, 4, 5, 6, 7, int64_t{1} << 40}), "no 32-bit number"},
      {x_of("F32", {2, 3}, std::vector<float>{3, 4, 5, 6, 7, 8}), "x is F32; it must be I32"},
      {x_of("I32", {6}, x), "x has shape [6]; it must be [batch, src]"},
      {x_of("I32", {1, 2, 3}, x), "it must be [batch, src]"},
      {x_of("I32", {3, 2}, x), "y has 2 examples, x has 3"},
      {x_of("I32", {2, 0}, Ids{}), "src is empty"},
      {x_of("I32", {2, 17}, Ids(34, 3)), "x has 17 elements along src, which is bounded by 16"},
      {Parts{}.Add("x", "I32", {0, 3}, Ids{}).Add("y", "I32", {0, 4}, Ids{}), "batch is empty"},
      {Parts{}.Add("x", "I32", {2, 3}, x), "argument `y` [batch, tgt] is missing"},
      {right().Add("z", "I32", {2, 3}, x), "takes no `z`; it takes: x, x.length, y, y.length"},
      {length("x.lenght", {3, 2}), "takes no `x.lenght`"},
      {length("x.length", {3, 4}), "x.length[1] is 4; x has 3 elements along src"},
      {length("x.length", {3, -1}), "x.length[1] is -1"},
      {length("x.length", {3, 2, 1}), "x.length has shape [3]; it must be [batch=2]"},
      {right().Add("x.length", "F32", {2}, std::vector<float>{3, 2}), "x.length is F32; it must be I32"},
  };
  const auto call = [&](const std::string& entry, const std::string& outputs,
                        std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"call",     entry,          "--weights", Path("mt.w"),
                                       "--inputs", Path("inputs"), "--outputs", outputs};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run("mt", arguments);
  };
  for (const auto& inputs : kInputs) {
    test::WriteBytes(Path("inputs"), inputs.parts.Bytes());
    ExpectMessage(call("score", good_), 1, inputs.message);
    EXPECT_EQ(call("train", good_, {"--grad", "--steps", "2"}).status, 1) << inputs.message;
    ExpectUntouched();
  }
  test::WriteBytes(Path("inputs"), Parts{}.Add("x", "I32", {1, 17}, Ids(17, 3)).Bytes());
  ExpectMessage(call("translate", good_), 1, "bounded by 16");
  ExpectUntouched();

  test::WriteBytes(Path("inputs"), length("x.length", {3, 2}).Bytes());
  ASSERT_EQ(call("score", Path("padded")).status, 0);
  // Padding may hold any id; the results are the same bytes.
  Ids other = x;
  other[5] = 63;
  test::WriteBytes(Path("inputs"), x_of("I32", {2, 3}, other).Add("x.length", "I32", {2}, Ids{3, 2}).Bytes());
  ASSERT_EQ(call("score", Path("other")).status, 0);
  EXPECT_EQ(test::FileBytes(Path("padded")), test::FileBytes(Path("other")));
  ExpectMessage(call("score", Path("out")), 1, "it is a folder");
  ExpectMessage(call("score", Path("nothing/o")), 1, "there is no folder");
  ExpectMessage(call("score", "/dev/full"), 1, "no space left on the device");
  test::WriteBytes(Path("inputs"), "not tensors");
  ExpectMessage(call("score", good_), 1, Path("inputs") + " is not a usable safetensors file");
  ExpectUntouched();
}

TEST_F(ProgramFaults, LengthsThatDisagreeAndPaddingThatIsNoNumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  const auto call = [&](const Parts& inputs) {
    test::WriteBytes(Path("inputs"), inputs.Bytes());
    return Run("lm", {"call", "average", "--weights", Path("lm.w"), "--inputs", Path("inputs"), "--outputs",
                      Path("averages")});
  };
  const std::vector<float> v{1, 3, nan, infinity, 6, nan, nan, nan};
  ASSERT_EQ(
      call(Parts{}.Add("v", "F32", {2, 4}, v).Add("v.length", "I32", {2}, std::vector<int32_t>{2, 1})).status,
      0);
  const Parts averages = Parts::Of(test::FileBytes(Path("averages")));
  ASSERT_EQ(averages.header["result"]["shape"], nlohmann::ordered_json({2}));
  EXPECT_EQ(averages.data.substr(0, 8), Parts{}.Add("r", "F32", {2}, std::vector<float>{2, 6}).data);
  ExpectMessage(
      call(Parts{}.Add("v", "F32", {2, 4}, v).Add("v.length", "I32", {2}, std::vector<int32_t>{2, 5})), 1,
      "v.length[1] is 5");
}

// ---- Texts

TEST_F(ProgramFaults, TextsThatCannotBeTrainedOn) {
  const std::string en = Path("en"), fr = Path("fr"), text = test::FileBytes(en);
  const std::string bad = Write("bad", text.substr(0, text.find('\n') + 1) + "the \xFF cat\n" +
                                           text.substr(text.find('\n', text.find('\n') + 1) + 1));
  const std::string empty = Write("empty", ""), ten = Write("ten", "a\nb\nc\n"),
                    blank = Write("blank", std::string(120, '\n'));
  const auto train = [&](const std::string& source, const std::string& target,
                         std::vector<std::string> more = {}) {
    more.insert(more.begin(),
                {"train", "--source", source, "--target", target, "--steps", "2", "-q", "--out", good_});
    return Run("mt", more);
  };
  ExpectMessage(train(Path("nothing"), fr), 1, "nothing: No such file");
  ExpectMessage(train(Path("out"), fr), 1, "it is a folder");
  ExpectMessage(train(en, ten), 1, "en has 120 lines, but " + ten + " has 3");
  ExpectMessage(train(empty, fr), 1, "has 0 lines");
  ExpectMessage(train(empty, empty), 1, "they are empty");
  ExpectMessage(train(blank, blank), 1, "nothing to use");
  ExpectMessage(train(bad, fr), 1, bad + ":2: byte 5 of the line is not valid UTF-8");
  ExpectMessage(train(en, fr, {"--valid-source", empty, "--valid-target", empty}), 1, "they are empty");
  ExpectMessage(train(en, fr, {"--valid-source", en, "--valid-target", ten}), 1, "but " + ten + " has 3");
  ExpectMessage(train(en, fr, {"--tokenizer", Path("nothing")}), 1,
                "--tokenizer takes bpe, chars, bytes or a file");
  ExpectMessage(train(en, fr, {"--tokenizer", Path("out")}), 1, "has no tokenizer.json");
  ExpectMessage(train(en, fr, {"--tokenizer", en}), 1, "is not a SentencePiece model");
  ExpectMessage(train(en, fr, {"--tokenizer", "bytes"}), 1, "build the program with --set vocab=259");
  ExpectMessage(train(en, fr, {"--lr", "1e30", "--warmup", "0", "--schedule", "constant"}), 1,
                "is not a finite number");
  ExpectUntouched();
  ExpectMessage(train(bad, fr, {"--skip-invalid"}), 0, "left out 1 lines");
  const auto train_text = [&](const std::string& path) {
    return Run("lm",
               {"train", "--text", path, "--tokenizer", "bytes", "--steps", "1", "-q", "--out", Path("t.w")});
  };
  ExpectMessage(train_text(empty), 1, "has 0 tokens; at least 2 are needed");
  ExpectMessage(train_text(Write("one", "a")), 1, "has 1 tokens");
  ExpectMessage(train_text(bad), 1, ":2: byte 5");
  EXPECT_FALSE(fs::exists(Path("t.w")));
  EXPECT_EQ(train_text(Write("line", std::string(10'000'000, 'a'))).status, 0);
  ExpectMessage(Run("lm", {"score", "--weights", Path("lm.w"), "--text", empty}), 1, "has 0 tokens");
  ExpectMessage(Run("mt", {"score", "--weights", Path("mt.w"), "--source", en, "--target", ten}), 1, "lines");
}

TEST_F(ProgramFaults, LinesThatCannotBeTranslatedOrCompleted) {
  const auto translate = [&](const ChildSetting& setting, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"translate", "--weights", Path("mt.w")});
    return Run("mt", more, setting);
  };
  std::string words;
  for (int i = 0; i < 40; ++i) words += "cat ";
  const std::string lines = "the cat\n" + words + "\nthe dog\n";
  ExpectMessage(translate({.input = lines}), 1, "line 2 has ");
  ProcessResult result = translate({.input = lines}, {"--skip-long"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 3);
  ExpectMessage(translate({.input = "the\nca\xFFt\n"}), 1, "standard input:2: not valid UTF-8");
  ExpectMessage(translate({.input = "the\nca\xFFt\n"}, {"--skip-invalid"}), 0,
                "1 lines were not valid UTF-8");
  ExpectMessage(translate({.input = std::string(5'000'000, 'a')}), 1, "line 1 has ");
  ExpectMessage(translate({.input_path = test::kClosed}), 1, "cannot read standard input");
  ExpectMessage(translate({.input_path = Path("out")}), 1, "cannot read standard input: it is a folder");
  EXPECT_EQ(translate({.input = ""}).out, "");
  result = translate({.input = std::string("\n\r\n\0\nno newline", 16)}, {"--max-length", "2"});
  EXPECT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 4);
  // Wider than the vocabulary, longer than the axis, a batch of one token: all the same to the results.
  const std::string plain = translate({.input = "the cat\na dog\n"}).out;
  EXPECT_EQ(
      translate({.input = "the cat\na dog\n"}, {"--batch", "1", "--max-length", "1000000", "--threads", "64"})
          .out,
      plain);
  EXPECT_EQ(translate({.input = "the cat\n"}, {"--beam", "200"}).status, 0);

  const auto complete = [&](const ChildSetting& setting, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"complete", "--weights", Path("lm.w")});
    return Run("lm", more, setting);
  };
  ExpectMessage(complete({}, {"--prompt", std::string(17, 'a')}), 1,
                "the prompt has 17 tokens, but `seq` takes at most 16");
  ExpectMessage(complete({.input = "a\nb\n" + std::string(17, 'a') + "\n"}), 1,
                "standard input:3: the prompt has 17");
  EXPECT_EQ(complete({}, {"--prompt", std::string(16, 'a')}).out, std::string(16, 'a') + "\n");
  EXPECT_EQ(complete({}, {"--prompt", ""}).status, 0);
  ExpectMessage(complete({.input_path = test::kClosed}), 1, "cannot read standard input");
}

}  // namespace
}  // namespace heed
