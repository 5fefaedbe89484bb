// Generation by compiled programs, from the command line: cached decoding gives what the whole gives, token
// by token, over growing caches and moving rings; batches, threads and seeds; scores and several results;
// prompts typed at a terminal; tokens that come one by one.
#include <poll.h>
#include <pty.h>
#include <signal.h>

#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "tests/support/expect.h"
#include "tests/support/model_support.h"

namespace heed::test {
namespace {

/// Attention to everything and to a window, whose ring has 512 slots, and a sum over a window of 5.
constexpr const char* kLanguageModel = R"(
axis vocab = 300, model = 24, heads = 3, key = |model| / |heads|, seq <= 700
module Self(x[seq, model], mask: bool[seq, seq']) -> [seq, model] {
  param Wq[heads, key, model], Wk[heads, key, model], Wv[heads, key, model], Wo[model, heads, key]
  Wo @[heads, key] attention[seq', key](Wq @model x, (Wk @model x)[seq -> seq'], (Wv @model x)[seq -> seq'], mask)
}
module Net(x: vocab[seq]) -> [seq, vocab] {
  param E[vocab, model] ~ normal(0, 1), P[seq, model] ~ normal(0, 1)
  part near = Self, all = Self
  z = E[x] + P
  z = z + near(z, seq' <= seq and seq - seq' < 20)
  z = z + all(z, seq' <= seq) + sum[seq' | seq' <= seq and seq - seq' < 5](z[seq -> seq'] / 3)
  E @model standardize[model](z)
}
part net = Net
entry complete(p: vocab[seq]) =
  generate y: vocab[seq] from p by net(y) with repetition_penalty = 1.3
entry sampled(p: vocab[seq]) =
  generate y: vocab[seq] from p by net(y) with temperature = 0.8, top_p = 0.95
)";

class Generation : public testing::Test {
 protected:
  /// Weights from a normal distribution, by name and shape as `info` tells them.
  static void WriteWeights(const BuiltProgram& program, double deviation) {
    const auto info = nlohmann::json::parse(program.Run({"info", "--json"}).out);
    std::mt19937_64 random(5);
    std::normal_distribution<double> normal(0, deviation);
    TensorMap weights;
    for (const auto& parameter : info.at("parameters")) {
      Numbers tensor = Zeros(parameter.at("shape").get<std::vector<int64_t>>());
      for (double& value : tensor.data) value = normal(random);
      weights[parameter.at("name")] = std::move(tensor);
    }
    WriteTensors(program.File("weights.safetensors"), weights);
  }
  static const BuiltProgram& Model() {
    static const TemporaryFolder folder;
    static const std::unique_ptr<BuiltProgram> program = [] {
      WriteBytes(folder / "lm.heed", kLanguageModel);
      auto built = std::make_unique<BuiltProgram>(folder / "lm.heed");
      if (built->ok()) WriteWeights(*built, 0.5);
      return built;
    }();
    return *program;
  }
  static const BuiltProgram& Translator() {
    static const std::unique_ptr<BuiltProgram> program = [] {
      auto built = std::make_unique<BuiltProgram>(
          Source("examples/transformer.heed"),
          std::vector<std::string>{"--set", "vocab=300", "--set", "model=24", "--set", "hidden=40", "--set",
                                   "heads=3", "--set", "layer=2", "--set", "src=24", "--set", "tgt=40"});
      if (built->ok()) WriteWeights(*built, 0.5);
      return built;
    }();
    return *program;
  }
  static ProcessResult Run(const BuiltProgram& program, std::vector<std::string> arguments,
                           const std::string& input = "") {
    arguments.insert(arguments.begin() + 1,
                     {"--weights", program.File("weights.safetensors"), "--tokenizer", "bytes"});
    return program.Run(std::move(arguments), input);
  }
  static ProcessResult Complete(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), "complete");
    return Run(Model(), std::move(arguments), input);
  }
};

TEST_F(Generation, EqualsTheWholeTokenByToken) {
  const BuiltProgram& program = Model();
  ASSERT_TRUE(program.ok());
  // Ragged prompts, up to the bound: caches grow past the capacity they start with, the ring moves on.
  const std::vector<int64_t> lengths = {3, 40, 300};
  std::mt19937_64 random(2);
  Numbers prompts = Zeros({3, 300}), counts = Zeros({3});
  for (int64_t b = 0; b < 3; ++b) {
    counts.data[static_cast<size_t>(b)] = static_cast<double>(lengths[static_cast<size_t>(b)]);
    for (int64_t i = 0; i < lengths[static_cast<size_t>(b)]; ++i)
      prompts.data[static_cast<size_t>(b * 300 + i)] = static_cast<double>(3 + random() % 256);
  }
  const TensorMap made = program.Call("complete", {{"p", prompts}, {"p.length", counts}}, {"p"});
  const Numbers& text = made.at("result");
  ASSERT_EQ(text.shape, (std::vector<int64_t>{3, 700}));
  const Numbers logits = program.Call("complete", {{"y", text}}, {"y"}).at("result");
  ASSERT_EQ(logits.shape, (std::vector<int64_t>{3, 700, 300}));
  int64_t distinct = 0;
  for (int64_t b = 0; b < 3; ++b) {
    std::vector<char> seen(300, 0);
    for (int64_t t = 0; t < 700; ++t) {
      const auto id = [&](int64_t at) {
        return static_cast<size_t>(text.data[static_cast<size_t>(b * 700 + at)]);
      };
      distinct += !seen[id(t)];
      seen[id(t)] = 1;
      if (t + 1 == 700 || t + 1 < lengths[static_cast<size_t>(b)]) continue;
      // The likeliest under the penalised logits of the whole text, in single precision as the program has
      // it.
      size_t best = 0;
      float best_logit = 0;
      for (size_t v = 0; v < 300; ++v) {
        auto logit = static_cast<float>(logits.data[static_cast<size_t>((b * 700 + t) * 300) + v]);
        if (seen[v]) logit = logit > 0 ? logit / 1.3f : logit * 1.3f;
        if (v == 0 || logit > best_logit) best = v, best_logit = logit;
      }
      ASSERT_EQ(id(t + 1), best) << "example " << b << " at " << t + 1;
    }
  }
  EXPECT_GT(distinct, 100);  // no single token over and over
}

TEST_F(Generation, RoomAndPoisonChangeNothing) {
  ASSERT_TRUE(Model().ok());
  const std::string grown = Complete({"--prompt", "abc"}).out;
  EXPECT_GT(grown.size(), 600u);
  EXPECT_EQ(Complete({"--prompt", "abc", "--max-length", "697"}).out, grown);
  EXPECT_EQ(Complete({"--prompt", "abc", "--threads", "1"}).out, grown);
  EXPECT_EQ(RunProcess({Model().program(), "complete", "--weights", Model().File("weights.safetensors"),
                        "--tokenizer", "bytes", "--prompt", "abc"},
                       "", {"HEED_POISON=1"})
                .out,
            grown);
}

TEST_F(Generation, PromptsInBatches) {
  ASSERT_TRUE(Model().ok());
  std::string input;
  std::vector<std::string> prompts;
  for (int i = 0; i < 23; ++i) {
    prompts.push_back(i == 7 ? ""
                             : std::string(static_cast<size_t>(1 + i * 7 % 19), static_cast<char>('a' + i)));
    input += prompts.back() + "\n";
  }
  for (const std::vector<std::string>& how : {std::vector<std::string>{"--max-length", "30"},
                                              {"--max-length", "30", "--temperature", "0.7", "--seed", "9"},
                                              {"--max-length", "12", "--beam", "3"}}) {
    std::string all;
    for (const char* batch : {"1", "100", "100000"}) {
      std::vector<std::string> arguments = how;
      arguments.insert(arguments.end(), {"--batch", batch});
      const ProcessResult result = Complete(arguments, input);
      ASSERT_TRUE(result.ok()) << result.err;
      if (all.empty()) all = result.out;
      EXPECT_EQ(result.out, all) << batch;
    }
    const std::vector<std::string> lines = Lines(all);
    ASSERT_EQ(lines.size(), prompts.size());
    for (size_t i = 0; i < lines.size(); ++i) EXPECT_TRUE(lines[i].starts_with(prompts[i]));
    const auto as_prompt = [&](const std::string& prompt) {
      std::vector<std::string> arguments = how;
      arguments.insert(arguments.end(), {"--prompt", prompt});
      std::string alone = Complete(arguments).out;
      alone.pop_back();
      for (size_t at = 0; (at = alone.find('\n', at)) != std::string::npos;) alone.replace(at, 1, "\\n");
      return alone;
    };
    // The first line's example has number 0, as a single prompt has. An empty line is the empty prompt.
    EXPECT_EQ(as_prompt(prompts[0]), lines[0]);
    const bool random = std::find(how.begin(), how.end(), "--seed") != how.end();
    if (!random) EXPECT_EQ(as_prompt(""), lines[7]);
  }
  const std::vector<std::string> quiet = Lines(Complete({"--max-length", "5", "--no-echo"}, input).out);
  const std::vector<std::string> loud = Lines(Complete({"--max-length", "5"}, input).out);
  ASSERT_EQ(quiet.size(), loud.size());
  for (size_t i = 0; i < quiet.size(); ++i) EXPECT_EQ(prompts[i] + quiet[i], loud[i]);
}

TEST_F(Generation, SeedsAndProgramOptions) {
  const BuiltProgram& program = Model();
  ASSERT_TRUE(program.ok());
  const auto sampled = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"sampled", "--prompt", "abc", "--max-length", "40"});
    return Run(program, more).out;
  };
  EXPECT_EQ(sampled({"--seed", "3"}), sampled({"--seed", "3", "--threads", "1"}));
  EXPECT_NE(sampled({"--seed", "3"}), sampled({"--seed", "4"}));
  EXPECT_EQ(sampled({"--greedy"}),
            Complete({"--prompt", "abc", "--max-length", "40", "--repetition-penalty", "1"}).out);
  EXPECT_NE(Complete({"--prompt", "abc", "--max-length", "40"}).out, sampled({"--greedy"}));
  EXPECT_EQ(sampled({"--top-k", "1", "--top-p", "1"}), sampled({"--greedy"}));
}

TEST_F(Generation, SeveralResultsWithScores) {
  ASSERT_TRUE(Model().ok() && Translator().ok());
  const std::string input = "the cat\n\na dog\n";
  const auto translate = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"translate", "--max-length", "12"});
    return Run(Translator(), more, input);
  };
  const std::vector<std::string> best = Lines(translate({"--beam", "4"}).out);
  const std::vector<std::string> three = Lines(translate({"--beam", "4", "--n-best", "3", "--scores"}).out);
  ASSERT_EQ(best.size(), 3u);
  ASSERT_EQ(three.size(), 9u);
  for (size_t line = 0; line < 3; ++line) {
    double last = INFINITY;
    for (size_t k = 0; k < 3; ++k) {
      const std::string& text = three[3 * line + k];
      const size_t tab = text.find('\t');
      ASSERT_NE(tab, std::string::npos) << text;
      const double score = std::stod(text.substr(0, tab));
      EXPECT_LE(score, last);
      if (line != 1) last = score;
      if (k == 0) EXPECT_EQ(text.substr(tab + 1), best[line]);
      if (line == 1) EXPECT_EQ(text, "0.000000\t");  // an empty line
    }
  }
  // As many random ones, all different here, the likeliest first where scores are asked for.
  const std::vector<std::string> samples = Lines(
      Complete({"--prompt", "abc", "--max-length", "9", "--temperature", "1", "--n-best", "5", "--scores"})
          .out);
  ASSERT_EQ(samples.size(), 5u);
  for (size_t i = 1; i < samples.size(); ++i) {
    EXPECT_GE(std::stod(samples[i - 1]), std::stod(samples[i]));
    EXPECT_NE(samples[i - 1], samples[i]);
  }
  const ProcessResult refused = Complete({"--prompt", "abc", "--n-best", "2"});
  EXPECT_EQ(refused.status, 2);
  EXPECT_NE(refused.err.find("--n-best 2 needs --beam 2 or more, or random choice"), std::string::npos)
      << refused.err;
  EXPECT_EQ(Complete({"--prompt", "abc", "--n-best", "0"}).status, 2);
  EXPECT_EQ(Complete({"--prompt", "abc", "--repetition-penalty", "0"}).status, 2);
}

TEST_F(Generation, ScoresOfBeamsAreThoseOfTheWhole) {
  const BuiltProgram& program = Translator();
  ASSERT_TRUE(program.ok());
  // The hypotheses went through rows that were copied and moved; the entry `score` sees each text at once.
  const std::vector<std::string> lines = {"the cat", "a dog is here", "no"};
  Numbers source = Zeros({3, 24}), counts = Zeros({3});
  std::string input;
  for (size_t b = 0; b < 3; ++b) {
    for (size_t i = 0; i < lines[b].size(); ++i)
      source.data[b * 24 + i] = static_cast<unsigned char>(lines[b][i]) + 3;
    source.data[b * 24 + lines[b].size()] = 2;
    counts.data[b] = static_cast<double>(lines[b].size() + 1);
    input += lines[b] + "\n";
  }
  const std::vector<std::string> best = Lines(Run(program, {"translate", "--scores"}, input).out);
  ASSERT_EQ(best.size(), 3u);
  const TensorMap made = program.Call("translate", {{"x", source}, {"x.length", counts}}, {"x"});
  const Numbers &text = made.at("result"), &length = made.at("result.length");
  const auto width = static_cast<size_t>(text.shape[1]);
  Numbers target = Zeros({3, 40}), target_counts = length;
  for (size_t b = 0; b < 3; ++b) {
    const auto count = static_cast<size_t>(length.data[b]);
    for (size_t i = 0; i < count; ++i) target.data[b * 40 + i] = text.data[b * width + i];
    if (count == 40) continue;
    target.data[b * 40 + count] = 2;
    ++target_counts.data[b];
  }
  const Numbers scores =
      program
          .Call("score", {{"x", source}, {"x.length", counts}, {"y", target}, {"y.length", target_counts}},
                {"x", "y"})
          .at("result");
  for (size_t b = 0; b < 3; ++b) {
    const double penalty = std::pow((5 + target_counts.data[b] - 1) / 6, 0.6);
    EXPECT_NEAR(std::stod(best[b]), scores.data[b] / penalty, 1e-4 * std::abs(scores.data[b])) << best[b];
  }
}

TEST_F(Generation, PromptsOverTheBound) {
  ASSERT_TRUE(Model().ok() && Translator().ok());
  const ProcessResult one = Complete({"--prompt", std::string(701, 'a')});
  EXPECT_EQ(one.status, 1);
  EXPECT_NE(one.err.find("the prompt has 701 tokens, but `seq` takes at most 700"), std::string::npos)
      << one.err;
  const ProcessResult line = Complete({}, "ab\n" + std::string(701, 'a') + "\n");
  EXPECT_EQ(line.status, 1);
  EXPECT_NE(line.err.find("standard input:2: the prompt has 701"), std::string::npos) << line.err;
  EXPECT_EQ(Complete({"--prompt", std::string(700, 'a')}).out, std::string(700, 'a') + "\n");
  const ProcessResult beam = Complete({"--prompt", std::string(700, 'a'), "--beam", "3", "--n-best", "3"});
  EXPECT_TRUE(beam.ok()) << beam.err;
}

TEST_F(Generation, MoreThanTheMachineHasIsRefused) {
  ASSERT_TRUE(Model().ok());
  // Prompts and results are small; what 4096 texts of thousands of positions would keep is not.
  const TemporaryFolder folder;
  std::string text = kLanguageModel;
  text.replace(text.find("seq <= 700"), 10, "seq <= 2000000000")
      .replace(text.find("model = 24"), 10, "model = 600")
      .replace(text.find(", P[seq, model] ~ normal(0, 1)"), 30, "");
  text.replace(text.find("E[x] + P"), 8, "E[x]");
  WriteBytes(folder / "long.heed", text);
  const BuiltProgram program(folder / "long.heed", {"--entry", "complete"});
  ASSERT_TRUE(program.ok());
  WriteWeights(program, 0.5);
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{"--beam", "4096"}, {"--temperature", "1", "--n-best", "4096"}}) {
    std::vector<std::string> arguments = {"complete", "--prompt", "abc", "--max-length", "1900000000"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const ProcessResult result = Run(program, arguments);
    EXPECT_EQ(result.status, 1);
    EXPECT_NE(result.err.find("decode fewer at once"), std::string::npos) << result.err;
  }
  EXPECT_TRUE(Run(program, {"complete", "--prompt", "abc", "--max-length", "5"}).ok());
}

TEST_F(Generation, InfoTellsWhatIsKept) {
  ASSERT_TRUE(Model().ok());
  const auto info = nlohmann::json::parse(Model().Run({"info", "--json"}).out);
  // Two caches of 3 x 8 floats at 700 positions, two rings of 512 slots, one of the sum with 24 at 700.
  EXPECT_EQ(info.at("entries").at(0).at("kept").get<int64_t>(), 4 * 24 * (2 * 700 + 2 * 512 + 700));
  EXPECT_NE(Model().Run({"info"}).out.find("for each text of full length"), std::string::npos);
}

/// A program at a terminal of its own.
class Terminal {
 public:
  explicit Terminal(const std::vector<std::string>& command) {
    std::vector<char*> arguments;
    for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    child_ = forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (child_ == 0) {
      execv(arguments[0], arguments.data());
      _exit(127);
    }
  }
  ~Terminal() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(terminal_);
  }
  void Type(const std::string& keys) const {
    EXPECT_EQ(write(terminal_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  /// What is shown up to `end`, within a minute; everything if that is empty and the program ends.
  std::string Until(const std::string& end) {
    const size_t from = taken_;
    for (int waits = 0; waits < 600; ++waits) {
      const size_t at = shown_.find(end, from);
      if (!end.empty() && at != std::string::npos) {
        taken_ = at + end.size();
        return shown_.substr(from, taken_ - from);
      }
      pollfd ready{terminal_, POLLIN, 0};
      if (poll(&ready, 1, 100) <= 0) continue;
      char bytes[4096];
      const ssize_t count = read(terminal_, bytes, sizeof bytes);
      if (count <= 0) break;
      shown_.append(bytes, static_cast<size_t>(count));
    }
    taken_ = shown_.size();
    if (!end.empty()) ADD_FAILURE() << "no `" << end << "` in: " << shown_.substr(from);
    return shown_.substr(from);
  }
  int Status() {
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  int terminal_ = -1;
  pid_t child_ = -1;
  std::string shown_;
  size_t taken_ = 0;
};

TEST_F(Generation, TalksAtATerminal) {
  ASSERT_TRUE(Model().ok());
  const std::string wanted = Lines(Complete({"--prompt", "abc", "--max-length", "6"}).out).at(0);
  Terminal terminal({Model().program(), "complete", "--weights", Model().File("weights.safetensors"),
                     "--tokenizer", "bytes", "--max-length", "6", "--greedy"});
  EXPECT_EQ(terminal.Until("> "), "> ");
  terminal.Type("abc\n");
  const std::string answer = terminal.Until("\n> ");
  EXPECT_NE(answer.find("abc\r\n" + wanted.substr(0, 3)), std::string::npos) << answer;
  // A prompt that is too long is said and forgotten; an empty line asks again.
  terminal.Type(std::string(800, 'x') + "\n");
  EXPECT_NE(terminal.Until("> ").find("the prompt has 800 tokens"), std::string::npos);
  terminal.Type("\n");
  terminal.Until("> ");
  // Ctrl-C where nothing runs, then at the end Ctrl-D.
  terminal.Type("ab\x03");
  terminal.Until("> ");
  terminal.Type("\x04");
  terminal.Until("");
  EXPECT_EQ(terminal.Status(), 0);
}

TEST_F(Generation, InterruptsStopAnAnswerOnly) {
  // Large enough to be caught at work: two million parameters and a bound far away.
  static const TemporaryFolder folder;
  std::string text = kLanguageModel;
  text.replace(text.find("model = 24"), 10, "model = 384")
      .replace(text.find("seq <= 700"), 10, "seq <= 60000");
  WriteBytes(folder / "slow.heed", text);
  const BuiltProgram program(folder / "slow.heed", {"--entry", "complete"});
  ASSERT_TRUE(program.ok());
  WriteWeights(program, 0.05);
  Terminal terminal({program.program(), "complete", "--weights", program.File("weights.safetensors"),
                     "--tokenizer", "bytes"});
  terminal.Until("> ");
  terminal.Type("abc\n");
  terminal.Until("abc\r\nabc");  // the answer begins, with its prompt
  terminal.Type("\x03");
  terminal.Until("\n> ");
  terminal.Type("abcd\n");
  terminal.Until("abcd\r\nabcd");
  terminal.Type("\x03");
  terminal.Until("\n> ");
  terminal.Type("\x04");
  terminal.Until("");
  EXPECT_EQ(terminal.Status(), 0);

  // To a pipe, tokens come as they are made.
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    execl(program.program().c_str(), "program", "complete", "--weights",
          program.File("weights.safetensors").c_str(), "--tokenizer", "bytes", "--prompt", "abc", nullptr);
    _exit(127);
  }
  close(ends[1]);
  size_t taken = 0;
  char bytes[64];
  while (taken < 20) {
    const ssize_t count = read(ends[0], bytes, sizeof bytes);
    ASSERT_GT(count, 0);
    taken += static_cast<size_t>(count);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, WNOHANG), 0);  // at work still
  kill(child, SIGINT);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), 130);
  close(ends[0]);
}

}  // namespace
}  // namespace heed::test
