// `profile` of built programs: its parts add up to the whole, its counts are those made by hand, and it
// changes nothing of what the command gives.
#include <nlohmann/json.hpp>

#include "tests/support/model_support.h"

namespace heed::test {
namespace {

using Json = nlohmann::json;

constexpr int64_t kVocab = 60, kModel = 32, kHeads = 4, kKey = kModel / kHeads, kLayers = 2, kSeq = 48;

class ProfileModel : public testing::Test {
 protected:
  static const BuiltProgram& Program() {
    static const BuiltProgram program(
        Source("examples/gpt2.heed"),
        {"-j", "1", "--attention", "none", "--set", "vocab=60", "--set", "model=32", "--set", "heads=4",
         "--set", "layer=2", "--set", "seq=48"});
    static const bool initialized = [] {
      const ProcessResult made = program.Run({"init", "--out", program.File("w.safetensors"), "--text",
                                              Source("examples/data/tale.txt"), "--tokenizer", "chars"});
      EXPECT_TRUE(made.ok()) << made.err;
      return made.ok();
    }();
    EXPECT_TRUE(initialized);
    return program;
  }
  /// The JSON of a profile; null, and the test has failed, where that did not work.
  static Json ProfileOf(std::vector<std::string> command) {
    const std::string file = Program().File("profile.json");
    command.insert(command.begin(), "profile");
    command.insert(command.end(), {"-o", file, "--threads", "2"});
    const ProcessResult result = Program().Run(command);
    EXPECT_TRUE(result.ok()) << result.err;
    for (const char* table : {"kernel\n", "module\n", "line\n"})
      EXPECT_NE(result.out.find(table), std::string::npos) << result.out;
    const Json json = Json::parse(FileBytes(file), nullptr, false);
    EXPECT_TRUE(json.is_object());
    return json;
  }
  static Json Train() {
    return ProfileOf({"train", "-q", "--weights", Program().File("w.safetensors"), "--text",
                      Source("examples/data/tale.txt"), "--steps", "12", "--batch", "384"});
  }
  static Json Complete() {
    return ProfileOf({"complete", "--weights", Program().File("w.safetensors"), "--prompt", "The clock of",
                      "--max-length", "20", "--greedy"});
  }
  static Json FunctionNamed(const Json& profile, const std::string& name) {
    for (const Json& function : profile["functions"])
      if (function["name"] == name) return function;
    ADD_FAILURE() << "no function " << name << " in " << profile["functions"].size();
    return Json::object();
  }
  static double Sum(const Json& function, const char* field) {
    double sum = 0;
    for (const Json& step : function["steps"]) sum += step[field].get<double>();
    return sum;
  }
};

TEST_F(ProfileModel, StepsAddUpToTheCalls) {
  ASSERT_TRUE(Program().ok());
  for (const Json& profile : {Train(), Complete()}) {
    ASSERT_FALSE(profile["functions"].empty());
    double all = 0;
    for (const Json& function : profile["functions"]) {
      const double calls = function["ns"], steps = Sum(function, "ns");
      EXPECT_LE(steps, calls) << function["name"];
      // On a quiet machine 0.97 and more; a busy one may stop us between two steps of a short call.
      EXPECT_GE(steps, 0.4 * calls) << function["name"];
      EXPECT_LE(Sum(function, "busy_ns"), 2 * steps) << function["name"];
      all += calls;
    }
    EXPECT_LE(all, profile["wall_ns"].get<double>());
    EXPECT_GT(profile["peak_flops"], 0);
  }
}

TEST_F(ProfileModel, FlopsAreThoseCountedByHand) {
  ASSERT_TRUE(Program().ok());
  const std::vector<int64_t> lengths = {kSeq, 20, 7};
  const auto batch = static_cast<int64_t>(lengths.size());
  Numbers x = Zeros({batch, kSeq}), length = Zeros({batch});
  for (size_t i = 0; i < x.data.size(); ++i) x.data[i] = static_cast<double>(i % kVocab);
  for (size_t i = 0; i < lengths.size(); ++i) length.data[i] = static_cast<double>(lengths[i]);
  const std::string inputs = Program().File("x.safetensors");
  WriteTensors(inputs, {{"x", x}, {"x.length", length}}, {"x", "x.length"});
  const Json profile = ProfileOf({"call", "train", "--grad", "--weights", Program().File("w.safetensors"),
                                  "--inputs", inputs, "--outputs", Program().File("y.safetensors")});
  const Json function = FunctionNamed(profile, "train/train");
  EXPECT_EQ(function["calls"], 1);
  EXPECT_EQ(function["extents"]["batch"], batch);
  double forward = 0, backward = 0, logits = 0, table = 0;
  for (const Json& step : function["steps"]) {
    const double flops = step["flops"];
    const std::string kernel = step["kernel"];
    if (step["kind"] == "attention") forward += flops;
    if (step["kind"] == "attention_backward") backward += flops;
    if (kernel == "matmul batch*seq x 60 x 32") logits += flops;
    if (kernel == "matmul 60 x 32 x batch*seq") table += flops;
  }
  // Position i of an example sees the i + 1 up to itself; padding neither sees nor is seen. A pair costs two
  // multiply-adds for each element of a head forward, and five in the gradient.
  int64_t pairs = 0, tokens = 0;
  for (const int64_t n : lengths) {
    pairs += n * (n + 1) / 2;
    tokens += n;
  }
  EXPECT_EQ(forward, static_cast<double>(kLayers * kHeads * pairs * 4 * kKey));
  EXPECT_EQ(backward, static_cast<double>(kLayers * kHeads * pairs * 10 * kKey));
  EXPECT_EQ(logits, 2.0 * static_cast<double>(batch * kSeq * kVocab * kModel));
  // The gradient of the table sums over what is no padding.
  EXPECT_EQ(table, 2.0 * static_cast<double>(tokens * kVocab * kModel));
}

TEST_F(ProfileModel, AStepOfDecodingReadsItsWeightsAndItsPast) {
  ASSERT_TRUE(Program().ok());
  const Json step = FunctionNamed(Complete(), "step/complete");
  const double calls = step["calls"];
  double weights = 0, pairs = 0;
  for (const Json& one : step["steps"]) {
    if (one["kind"] == "packed_matmul") weights += one["bytes_read"].get<double>() / calls;
    if (one["kind"] == "attention") pairs += one["flops"].get<double>() / (4 * kKey);
  }
  // Four matrices a layer, and the table of the vocabulary; inputs and biases beside them.
  const double matrices = 4.0 * (kLayers * 12 * kModel * kModel + kVocab * kModel);
  EXPECT_GT(weights, matrices);
  EXPECT_LT(weights, 1.2 * matrices);
  // The first step, which sees 13 positions, does not count: the others see 14, 15 ...
  double seen = 0;
  for (int i = 0; i < static_cast<int>(calls); ++i) seen += 14 + i;
  EXPECT_EQ(pairs, seen * kHeads * kLayers);
}

TEST_F(ProfileModel, ChangesNothing) {
  ASSERT_TRUE(Program().ok());
  const std::vector<std::string> complete = {"complete", "--weights", Program().File("w.safetensors"),
                                             "--prompt", "The clock", "--seed",
                                             "3",        "--no-echo", "--max-length",
                                             "12"};
  const ProcessResult plain = Program().Run(complete);
  std::vector<std::string> profiled = complete;
  profiled.insert(profiled.begin(), {"profile", "--by", "kernel"});
  const ProcessResult result = Program().Run(profiled);
  ASSERT_TRUE(plain.ok() && result.ok()) << plain.err << result.err;
  EXPECT_TRUE(result.out.starts_with(plain.out)) << result.out;
  // Training leaves no file.
  const std::string text = Source("examples/data/tale.txt");
  const TemporaryFolder folder;
  const ProcessResult trained =
      RunProcess({"/bin/sh", "-c",
                  "cd '" + (folder / "") + "' && '" + Program().program() + "' profile train -q --text '" +
                      text + "' --tokenizer chars --steps 2 --batch 96"});
  EXPECT_TRUE(trained.ok()) << trained.err;
  EXPECT_TRUE(std::filesystem::is_empty(folder / ""));
}

TEST_F(ProfileModel, IsDrawnAsHeat) {
  ASSERT_TRUE(Program().ok());
  const std::string file = Program().File("profile.json"), page = Program().File("heat.html");
  const auto draw = [&](const std::string& program, const std::string& output,
                        std::vector<std::string> more = {}) {
    std::vector<std::string> command = {Binary("heed"), "graph", Source("examples/" + program), "-o", output,
                                        "--profile",    file};
    command.insert(command.end(), more.begin(), more.end());
    return RunProcess(command);
  };
  for (const auto run : {&Train, &Complete}) {
    const Json profile = run();
    const ProcessResult drawn = draw("gpt2.heed", page);  // sizes are those of the profile
    if (drawn.err.find("pages need the library dagre") != std::string::npos) GTEST_SKIP() << drawn.err;
    ASSERT_TRUE(drawn.ok()) << drawn.err;
    const std::string html = FileBytes(page), mark = "<script id=\"graph\" type=\"application/json\">";
    const size_t begin = html.find(mark) + mark.size();
    const Json all = Json::parse(html.substr(begin, html.find("</script", begin) - begin));
    size_t graph = 0;
    for (const Json& function : profile["functions"]) {
      if (function["calls"] == 0) continue;
      ASSERT_LT(graph, all["graphs"].size());
      const Json& model = all["graphs"][graph++]["tabs"].back()["model"];
      EXPECT_TRUE(model.contains("measured"));
      double shares = 0, boxes = 0;
      for (const Json& box : model["boxes"]) {
        if (!box.contains("share")) continue;
        const std::string share = box["share"];
        shares += std::strtod(share.c_str() + (share[0] == '<' ? 2 : 0), nullptr);
        ++boxes;
      }
      EXPECT_GT(boxes, 10);
      EXPECT_NEAR(shares, 100 * Sum(function, "ns") / function["ns"].get<double>(), 0.1 * boxes)
          << function["name"] << ": each is rounded";
    }
    EXPECT_EQ(graph, all["graphs"].size());
  }
  const auto fails = [](const ProcessResult& result, int status, const std::string& expected) {
    EXPECT_EQ(result.status, status) << result.out;
    EXPECT_NE(result.err.find(expected), std::string::npos) << result.err;
  };
  fails(draw("transformer.heed", page), 1, "the profile is of a program that was built with these --set");
  fails(draw("gpt2.heed", page, {"--set", "layer=3"}), 2, "leave out --set");
  fails(draw("gpt2.heed", page, {"--after", "cse"}), 2, "leave out --after");
  fails(draw("gpt2.heed", page, {"--entry", "train"}), 1, "it has prefill/complete");
}

TEST_F(ProfileModel, WrongCommandLines) {
  ASSERT_TRUE(Program().ok());
  const std::string weights = Program().File("w.safetensors");
  const auto fails = [&](const std::vector<std::string>& arguments, const std::string& expected) {
    const ProcessResult result = Program().Run(arguments);
    EXPECT_EQ(result.status, 2) << result.out;
    EXPECT_NE(result.err.find(expected), std::string::npos) << result.err;
  };
  fails({"profile"}, "profile --help");
  fails({"profile", "complete", "--weights", weights, "--prompt", "The", "-o", weights}, "would overwrite");
  fails({"profile", "complete", "--weights", weights, "--prompt", "The", "--by", "layer"}, "--by");
  fails({"info", "-o", "x.svg"}, "--memory");
}

TEST_F(ProfileModel, MemoryIsExplained) {
  ASSERT_TRUE(Program().ok());
  const ProcessResult text = Program().Run({"info", "--memory", "--batch", "4"});
  EXPECT_TRUE(text.ok()) << text.err;
  EXPECT_NE(text.out.find("train/train, batch 4, seq 48"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("most is in use at step"), std::string::npos) << text.out;
  const std::string picture = Program().File("memory.svg");
  EXPECT_TRUE(Program().Run({"info", "--memory", "-o", picture}).ok());
  const std::string svg = FileBytes(picture);
  EXPECT_TRUE(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
}

}  // namespace
}  // namespace heed::test
