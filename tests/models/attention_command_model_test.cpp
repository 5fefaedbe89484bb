// `attention`, `init` and the tables of value entries, as commands of programs that `heed` built: what they
// print for a text, and what they say of wrong ones.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "tests/support/expect.h"
#include "tests/support/model_support.h"

namespace heed::test {
namespace {

using Json = nlohmann::json;

/// With initial weights and a tokenizer of the example texts in File("weights.safetensors").
const BuiltProgram& Translator() {
  static const BuiltProgram* const program = [] {
    auto* built = new BuiltProgram(Source("examples/transformer.heed"),
                                   {"--set", "vocab=300", "--set", "model=32", "--set", "hidden=48", "--set",
                                    "heads=2", "--set", "layer=2", "--set", "src=24", "--set", "tgt=24"});
    const ProcessResult made =
        built->Run({"init", "--out", built->File("weights.safetensors"), "--seed", "3", "--text",
                    Source("examples/data/tiny.en"), "--text", Source("examples/data/tiny.fr")});
    EXPECT_TRUE(made.ok()) << made.err;
    return built;
  }();
  return *program;
}
ProcessResult Attention(std::vector<std::string> arguments, const std::string& input = "") {
  arguments.insert(arguments.begin(), {"attention", "--weights", Translator().File("weights.safetensors")});
  return Translator().Run(arguments, input);
}
const std::vector<std::string> kPair = {"--source", "The cat is here.", "--target", "Le chat est ici."};
std::vector<std::string> With(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(AttentionCommand, CanBeProfiled) {
  const std::string file = Translator().File("profile.json");
  const std::string weights = Translator().File("weights.safetensors");
  const ProcessResult plain = Attention(kPair);
  const std::vector<std::string> profiled = {"profile", "-o", file, "attention", "--weights", weights};
  const ProcessResult result = Translator().Run(With(profiled, kPair));
  ASSERT_TRUE(result.ok()) << result.err;
  EXPECT_TRUE(result.out.starts_with(plain.out)) << "the maps come first";
  const Json profile = Json::parse(FileBytes(file));
  ASSERT_EQ(profile["functions"].size(), 1u);
  EXPECT_EQ(profile["functions"][0]["name"], "weights/score");
  EXPECT_GT(profile["functions"][0]["steps"].size(), 10u);
  const ProcessResult drawn = RunProcess({Binary("heed"), "graph", Source("examples/transformer.heed"),
                                          "--profile", file, "-o", Translator().File("heat.dot")});
  EXPECT_TRUE(drawn.ok()) << drawn.err;
  EXPECT_HAS(FileBytes(Translator().File("heat.dot")), "entry score, weights, 1 call of ");
  // The other -o is that of the maps.
  const ProcessResult wrong =
      Translator().Run(With({"profile", "attention", "--weights", weights, "-o", file}, kPair));
  EXPECT_EQ(wrong.status, 2);
  EXPECT_HAS(wrong.err, "the -o of a profile stands before `attention`");
}

TEST(AttentionCommand, NumbersAreDistributions) {
  const ProcessResult result = Attention(With(kPair, {"--json"}));
  ASSERT_TRUE(result.ok()) << result.err;
  const Json all = Json::parse(result.out);
  EXPECT_EQ(all["entry"], "score");
  const size_t source = all["texts"]["x"].size(), target = all["texts"]["y"].size();
  EXPECT_GE(source, 5u);
  EXPECT_EQ(all["texts"]["x"].back(), "</s>");
  EXPECT_EQ(all["texts"]["y"].front(), "<s>");
  std::vector<std::string> sites;
  for (const Json& map : all["maps"]) {
    const std::string site = map["site"];
    if (sites.empty() || sites.back() != site) sites.push_back(site);
    const bool causal = site.starts_with("dec.") && site.ends_with(".att");
    EXPECT_EQ(map["rows"].size(), site.starts_with("enc") ? source : target);
    EXPECT_EQ(map["columns"].size(), causal ? target : source);
    EXPECT_EQ(map["layer"], site[4] - '0');
    ASSERT_EQ(map["weights"].size(), map["rows"].size());
    for (size_t r = 0; r < map["weights"].size(); ++r) {
      double sum = 0;
      ASSERT_EQ(map["weights"][r].size(), map["columns"].size());
      for (size_t c = 0; c < map["weights"][r].size(); ++c) {
        const double weight = map["weights"][r][c];
        sum += weight;
        if (causal && c > r) {
          EXPECT_EQ(weight, 0) << site << " sees " << c << " from " << r;
        } else {
          EXPECT_GT(weight, 0) << site;
        }
      }
      EXPECT_NEAR(sum, 1, 1e-6) << site << " row " << r;
    }
  }
  EXPECT_EQ(sites, (std::vector<std::string>{"enc.0.att", "enc.1.att", "dec.0.att", "dec.0.cross",
                                             "dec.1.att", "dec.1.cross"}));
  EXPECT_EQ(all["maps"].size(), 12u);
  // `info` lists the same sites.
  const Json info = Json::parse(Translator().Run({"info", "--json"}).out);
  for (const Json& entry : info["entries"]) {
    EXPECT_EQ(entry.contains("attention"), entry["name"] == "score");
    if (entry["name"] != "score") continue;
    ASSERT_EQ(entry["attention"].size(), sites.size());
    for (size_t i = 0; i < sites.size(); ++i) EXPECT_EQ(entry["attention"][i]["site"], sites[i]);
    EXPECT_EQ(entry["attention"][3]["axes"], (Json{"heads=2", "tgt", "src"}));
  }
  EXPECT_HAS(Translator().Run({"info"}).out, "dec.0.cross[heads=2, tgt, src]");
}

TEST(AttentionCommand, ResultsDoNotDependOnThreads) {
  EXPECT_EQ(Attention(With(kPair, {"--json", "--threads", "1"})).out,
            Attention(With(kPair, {"--json", "--threads", "3"})).out);
}

TEST(AttentionCommand, DrawsWhatIsChosen) {
  const std::string map = Translator().File("map.svg");
  for (const char* style : {"heat", "lines"}) {
    const ProcessResult result = Attention(
        With(kPair, {"--site", "dec.*.cross", "--layers", "1", "--heads", "0", "--style", style, "-o", map}));
    ASSERT_TRUE(result.ok()) << result.err;
    const std::string svg = FileBytes(map);
    EXPECT_TRUE(svg.starts_with("<?xml")) << svg.substr(0, 100);
    EXPECT_HAS(svg, "dec.1.cross head 0<tspan");
    EXPECT_EQ(svg.find("dec.0.cross"), std::string::npos);
    EXPECT_EQ(svg.find("head 1"), std::string::npos);
    EXPECT_EQ(Attention(With(kPair, {"--site", "dec.*.cross", "--layers", "1", "--heads", "0", "--style",
                                     style, "-o", "-"}))
                  .out,
              svg);
  }
  const std::string page = Translator().File("map.html");
  ASSERT_TRUE(Attention(With(kPair, {"-o", page})).ok());
  for (const char* title : {"enc.0.att head 1", "dec.1.cross head 0"}) EXPECT_HAS(FileBytes(page), title);
  EXPECT_EQ(Attention(With(kPair, {"--style", "lines", "-o", page})).status, 2);
  // A part of the rows and columns; without a picture, a table.
  const ProcessResult table = Attention(
      With(kPair, {"--site", "dec.0.att", "--heads", "1", "--from", "1", "--to", "0-2", "--precision", "3"}));
  ASSERT_TRUE(table.ok()) << table.err;
  const std::vector<std::string> lines = Lines(table.out);
  ASSERT_EQ(lines.size(), 3u) << table.out;
  EXPECT_EQ(lines[0], "dec.0.att head 1  tgt -> tgt'");
  EXPECT_TRUE(std::regex_match(lines[2], std::regex("\\S+ +0\\.\\d\\d\\d +0\\.\\d\\d\\d +\\."))) << lines[2];
}

TEST(AttentionCommand, MakesTheTargetIfThereIsNone) {
  const ProcessResult result = Attention({"--source", "The cat is here.", "--json"});
  ASSERT_TRUE(result.ok()) << result.err;
  EXPECT_HAS(result.err, "note: target, by `translate`: ");
  const ProcessResult translated = Translator().Run(
      {"translate", "--greedy", "--max-length", "16", "--weights", Translator().File("weights.safetensors")},
      "The cat is here.\n");
  ASSERT_TRUE(translated.ok()) << translated.err;
  const std::string target = translated.out.substr(0, translated.out.size() - 1);
  EXPECT_HAS(result.err, target.substr(0, 10));
}

TEST(AttentionCommand, TakesLines) {
  const ProcessResult result =
      Attention({"--json", "--site", "enc.0.att"}, "The cat.\tLe chat.\n\nHere is a dog.\n");
  ASSERT_TRUE(result.ok()) << result.err;
  const std::vector<std::string> lines = Lines(result.out);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(result.out.substr(0, lines[0].size() + 1),
            Attention({"--json", "--site", "enc.0.att", "--source", "The cat.", "--target", "Le chat."}).out);
}

TEST(AttentionCommand, SaysWhatIsWrong) {
  const auto wrong = [](const std::vector<std::string>& arguments, int status, const std::string& message,
                        const std::string& input = "") {
    const ProcessResult result = Attention(arguments, input);
    EXPECT_EQ(result.status, status) << message;
    EXPECT_HAS(result.err, message);
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), status == 2 ? 2 : 1) << result.err;
  };
  wrong(With(kPair, {"--site", "enc.7.att"}), 2, "did you mean `enc.0.att`?");
  wrong(With(kPair, {"--site", "zzz"}), 2,
        "no attention is called `zzz`; there are enc.0.att, enc.1.att, dec.0.att");
  wrong(With(kPair, {"--layers", "2"}), 2, "there is no layer 2; there are 0, 1");
  wrong(With(kPair, {"--heads", "0,2"}), 2, "there is no head 2; they are 0 to 1");
  wrong(With(kPair, {"--heads", "0-"}), 2, "must be numbers from 0 such as 0,2-3, not `0-`");
  wrong(With(kPair, {"--from", "99"}), 2, "--from: there is no position 99; the text has");
  wrong(With(kPair, {"-o", "map.png"}), 2, "the name must end in .svg or .html");
  wrong(With(kPair, {"-o", "/nowhere/map.svg"}), 1,
        "cannot write /nowhere/map.svg: there is no folder /nowhere");
  wrong(With(kPair, {"--json", "-o", "map.svg"}), 2, "--json and -o exclude each other");
  wrong(With(kPair, {"--entry", "train"}), 2, "`heed build --attention train`");
  wrong(With(kPair, {"--entry", "trian"}), 2, "has no entry `trian`");
  wrong(With(kPair, {"--bos"}), 2, "--bos and --eos are for a single text");
  wrong({"--text", "The cat"}, 2, "entry `score` takes two texts: use --source TEXT, and --target TEXT");
  wrong({"--target", "Le chat"}, 2, "entry `score` takes two texts");
  wrong({"--source", ""}, 1, "`x` is empty: there is nothing to look at");
  wrong({"--source", "a", "--target", ""}, 1, "`y` is empty: there is nothing to look at");
  std::string words;
  for (int i = 0; i < 40; ++i) words += "cat ";
  wrong({"--source", words}, 1, "but `src` takes at most 24; shorten it");
  wrong({"--json"}, 1, "standard input:3: `x` has ", "a\tb\n\n" + words + "\n");
  wrong({"--source", "\xff"}, 2, "the text is not valid UTF-8");
  wrong({"--json"}, 1, "standard input:1: not valid UTF-8", "\xff\n");
  wrong({"-o", "-"}, 1, "there is no sentence to draw", "");
  const ProcessResult none = Translator().Run({"attention", "--source", "a", "--target", "b"});
  EXPECT_EQ(none.status, 2);
  EXPECT_HAS(none.err, "name the checkpoint with --weights");
}

TEST(AttentionCommand, HostileWordsStayWords) {
  const ProcessResult result = Attention({"--source", "<b> & \"x\" ]]> \x01 \x1b[2J", "--target", "</svg>",
                                          "--site", "enc.0.att", "-o", "-", "--tokenizer", "bytes"});
  ASSERT_TRUE(result.ok()) << result.err;
  EXPECT_HAS(result.out, ">&lt;</text>");
  EXPECT_HAS(result.out, ">&amp;</text>");
  EXPECT_HAS(result.out, "&lt;0x01&gt;");
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos);
}

// Entries are chosen when the program is built: by default one that takes texts, or those that are named.
TEST(AttentionCommand, EntriesAreChosenWhenBuilt) {
  const TemporaryFolder folder;
  const std::string source = folder / "two.heed";
  WriteBytes(source,
             "axis vocab = 300, model = 8, seq <= 16\n"
             "module Pool(x: vocab[seq]) -> [model] {\n"
             "  param E[vocab, model] ~ normal(0, 1), u[model] ~ normal(0, 1)\n"
             "  softmax[seq](u @model E[x]) @seq E[x]\n"
             "}\n"
             "part pool = Pool\n"
             "entry pooled(x: vocab[seq]) = pool(x)\n"
             "entry train(x: vocab[seq]) = minimize sum[model](pool(x) ^ 2)\n"
             "entry shifted(x: vocab[seq], n: int) = pool(x) + sum[seq](softmax[seq](n * seq) * seq)\n"
             "entry plain(x: vocab[seq]) = sum[seq | x == 3](seq)\n");
  const BuiltProgram both(source, {"--attention", "train,pooled"});
  ASSERT_TRUE(both.ok());
  const std::string weights = both.File("w.safetensors");
  ASSERT_TRUE(both.Run({"init", "--out", weights, "--tokenizer", "bytes"}).ok());
  for (const char* entry : {"train", "pooled"}) {
    const ProcessResult result =
        both.Run({"attention", "--weights", weights, "--entry", entry, "--text", "abc"});
    ASSERT_TRUE(result.ok()) << result.err;
    const std::vector<std::string> lines = Lines(result.out);
    ASSERT_EQ(lines.size(), 3u) << result.out;  // one query: a row without a name
    EXPECT_EQ(lines[0], "@4:3  seq");
    EXPECT_HAS(lines[1], "a     b     c");
  }
  const BuiltProgram none(source, {"--attention", "none"});
  ASSERT_TRUE(none.ok());
  const ProcessResult refused = none.Run({"attention", "--text", "abc"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_HAS(refused.err, "two.heed: no attention to look at");
  const auto build = [&](const std::string& entries) {
    return RunProcess({Binary("heed"), "build", source, "-o", folder / "out", "--attention", entries});
  };
  for (const char* entry : {"shifted", "plain", "plane"}) {
    const ProcessResult result = build(entry);
    EXPECT_EQ(result.status, 1);
    EXPECT_HAS(result.err, "--attention " + std::string(entry) + ": ");
  }
  // Plans and graphs are of what the program computes, unless the weights are asked for.
  const auto plan = [&](const std::vector<std::string>& more) {
    std::vector<std::string> command{Binary("heed"), "build", source, "-o", "-", "--emit", "plan"};
    command.insert(command.end(), more.begin(), more.end());
    return RunProcess(command).out;
  };
  EXPECT_EQ(plan({}).find("plan weights/"), std::string::npos);
  EXPECT_HAS(plan({"--attention", "pooled"}), "plan weights/pooled");
}

// The value that a program computes by itself and the weights that the command recomputes are the same.
TEST(AttentionCommand, ShowsWhatTheProgramComputes) {
  const BuiltProgram steps(Source("examples/attention/four_steps.heed"));
  const std::string sentence = steps.File("sentence.txt"), weights = steps.File("weights.safetensors");
  WriteBytes(sentence, "the cat sat on the mat\n");
  ASSERT_TRUE(steps.Run({"init", "--text", sentence, "--out", weights}).ok());
  const ProcessResult result =
      steps.Run({"attention", "--weights", weights, "--text", "the cat sat on the mat", "--json"});
  ASSERT_TRUE(result.ok()) << result.err;
  const Json all = Json::parse(result.out);
  ASSERT_EQ(all["maps"].size(), 1u);
  const std::vector<std::vector<double>> shown = all["maps"][0]["weights"];
  const std::vector<std::vector<double>> computed =
      Json::parse(steps.Run({"weights", "--weights", weights, "--x", sentence, "--json"}).out);
  ASSERT_GE(computed.size(), 6u);
  ASSERT_EQ(shown.size(), computed.size());
  for (size_t i = 0; i < shown.size(); ++i)
    for (size_t j = 0; j < shown.size(); ++j) EXPECT_NEAR(shown[i][j], computed[i][j], 1e-6);
}

}  // namespace
}  // namespace heed::test
