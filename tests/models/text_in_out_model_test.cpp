// Text into built programs and out of them: ids without a piece, added tokens, lines as they come, odd bytes.
// One program serves: its logits are the numbers of a parameter, so that a test says what is chosen.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tests/support/model_support.h"

namespace heed::test {
namespace {

constexpr const char* kProgram =
    "axis vocab = 300, t <= 16, one = 1\n"
    "const eos = 2\n"
    "module Fixed(y: vocab[t]) -> [t, vocab] {\n"
    "  param b[vocab] = 0, e[vocab, one] = 0\n"
    "  b + 0 * t + sum[one](e[y])\n"
    "}\n"
    "part net = Fixed\n"
    "entry score(x: vocab[t]) = -sum[t | t + 1 < |t|](xent[vocab](net(x), x[t + 1]))\n"
    "entry sum_of(x: vocab[t]) = sum[t](x)\n"
    "entry complete(p: vocab[t]) = generate y: vocab[t] from p until eos by net(y)\n";

class TextInOut : public testing::Test {
 protected:
  static const BuiltProgram& Program() {
    static const BuiltProgram program = [] {
      const TemporaryFolder folder;
      WriteBytes(folder / "fixed.heed", kProgram);
      return BuiltProgram(folder / "fixed.heed", {"-j", "1"});
    }();
    return program;
  }
  /// Logits by id, all others `rest`.
  static void Fix(const std::map<int, double>& logits, double rest = -50) {
    Numbers b = Zeros({300});
    std::fill(b.data.begin(), b.data.end(), rest);
    for (const auto& [id, logit] : logits) b.data[static_cast<size_t>(id)] = logit;
    WriteTensors(Program().File("weights.safetensors"), {{"b", b}, {"e", Zeros({300, 1})}});
  }
  static int Byte(char c) { return static_cast<unsigned char>(c) + 3; }
  static std::vector<std::string> With(std::vector<std::string> more) {
    std::vector<std::string> arguments{
        "complete",  "--weights", Program().File("weights.safetensors"), "--tokenizer", "bytes",
        "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  static std::string Complete(std::vector<std::string> more, const std::string& input = "") {
    const ProcessResult result = Program().Run(With(std::move(more)), input);
    EXPECT_TRUE(result.ok()) << result.err;
    return result.out;
  }
};

TEST_F(TextInOut, IdsWithoutAPieceAreNotChosen) {
  ASSERT_TRUE(Program().ok());
  Fix({{290, 9}, {299, 8}, {Byte('b'), 4}, {Byte('c'), 3}});
  EXPECT_EQ(Complete({"--prompt", "a", "--greedy", "--max-length", "2"}), "abb\n");
  EXPECT_EQ(Complete({"--prompt", "a", "--beam", "3", "--n-best", "2", "--max-length", "1"}), "ab\nac\n");
  for (const char* seed : {"1", "2", "3", "4"}) {
    const std::string made =
        Complete({"--prompt", "a", "--temperature", "1", "--seed", seed, "--max-length", "8"});
    EXPECT_EQ(made.find_first_not_of("abc\n"), std::string::npos) << made;
  }
  // The score is the logarithm of the share of all rows.
  const double all = std::exp(9) + std::exp(8) + std::exp(4) + std::exp(3);
  const std::string scored = Complete({"--prompt", "a", "--greedy", "--max-length", "1", "--scores"});
  EXPECT_NEAR(std::stod(scored), 4 - std::log(all), 1e-5) << scored;
}

TEST_F(TextInOut, LargePenaltiesAndTemperatures) {
  Fix({{Byte('a'), 0}, {Byte('b'), -1}}, -1e9);
  for (const char* penalty : {"1e-40", "2", "1e40", "1e300"})
    EXPECT_EQ(Complete({"--prompt", "a", "--greedy", "--max-length", "1", "--repetition-penalty", penalty}),
              "aa\n");
  EXPECT_EQ(Complete({"--prompt", "a", "--top-p", "0", "--max-length", "3"}), "aaaa\n");
  EXPECT_EQ(Complete({"--prompt", "a", "--temperature", "1e-300", "--max-length", "3"}), "aaaa\n");
  EXPECT_EQ(Complete({"--prompt", "a", "--top-k", "100000", "--temperature", "0.01", "--max-length", "3"}),
            "aaaa\n");
}

TEST_F(TextInOut, ALineForEachLine) {
  Fix({{Byte('a'), 5}});
  const std::string from_nothing = Complete({"--prompt", "", "--greedy", "--max-length", "3"});
  EXPECT_EQ(from_nothing, "aaa\n");
  EXPECT_EQ(Complete({"--greedy", "--max-length", "3"}, "a\n\nb\n"), "aaaa\naaa\nbaaa\n");
  EXPECT_EQ(Complete({"--greedy", "--max-length", "3"}, "\n"), "aaa\n");
  EXPECT_EQ(Complete({"--greedy", "--max-length", "3"}, ""), "");
  EXPECT_EQ(Complete({"--greedy", "--max-length", "1"}, "\xEF\xBB\xBFx\r\ny\r"), "xa\ny\ra\n");
  // Bytes as they are: NUL, a byte order mark inside, a line of its own for what is not UTF-8.
  const std::string odd = std::string("a\0b\xEF\xBB\xBF\x01", 7);
  EXPECT_EQ(Complete({"--greedy", "--max-length", "1"}, odd + "\n"), odd + "a\n");
  EXPECT_EQ(Complete({"--greedy", "--max-length", "1", "--skip-invalid"}, "a\n\xFF\nb\n"), "aa\n\nba\n");
  // What comes before a line that cannot be worked on is answered.
  for (const std::string& bad : {std::string("\xFF"), std::string(17, 'x')}) {
    const ProcessResult result =
        Program().Run(With({"--greedy", "--max-length", "1"}), "a\nb\n" + bad + "\nc\n");
    EXPECT_EQ(result.status, 1);
    EXPECT_EQ(result.out, "aa\nba\n");
    EXPECT_NE(result.err.find("standard input:3: "), std::string::npos) << result.err;
  }
}

/// A program with a pipe at both ends.
class Piped {
 public:
  explicit Piped(const std::vector<std::string>& command) {
    int in[2], out[2];
    if (pipe(in) != 0 || pipe(out) != 0) return;
    child_ = fork();
    if (child_ == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      for (const int end : {in[0], in[1], out[0], out[1]}) close(end);
      std::vector<char*> arguments;
      for (const std::string& one : command) arguments.push_back(const_cast<char*>(one.c_str()));
      arguments.push_back(nullptr);
      execv(arguments[0], arguments.data());
      _exit(127);
    }
    close(in[0]);
    close(out[1]);
    in_ = in[1];
    out_ = out[0];
  }
  ~Piped() {
    close(out_);
    if (child_ > 0) kill(child_, SIGKILL);
    if (child_ > 0) waitpid(child_, nullptr, 0);
  }
  void Write(const std::string& text) {
    ASSERT_EQ(write(in_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void End() { close(in_); }
  /// What comes until a newline, the end, or a minute has passed.
  std::string Line() {
    std::string line;
    pollfd ready{out_, POLLIN, 0};
    for (char c = 0; c != '\n' && poll(&ready, 1, 60'000) == 1 && read(out_, &c, 1) == 1;) line += c;
    return line;
  }

 private:
  pid_t child_ = -1;
  int in_ = -1, out_ = -1;
};

TEST_F(TextInOut, AnswersComeBeforeTheNextLine) {
  Fix({{Byte('a'), 5}});
  std::vector<std::string> complete = With({"--greedy", "--max-length", "3"});
  complete.insert(complete.begin(), Program().program());
  const std::vector<std::string> compute{
      Program().program(), "sum_of", "--x",       "-", "--weights", Program().File("weights.safetensors"),
      "--tokenizer",       "bytes",  "--threads", "1"};
  const std::string sum_of_a = std::to_string(Byte('a')) + "\n", sum_of_b = std::to_string(Byte('b')) + "\n";
  for (const auto& [command, first, second] :
       {std::tuple{complete, std::string("aaaa\n"), std::string("baaa\n")},
        std::tuple{compute, sum_of_a, sum_of_b}}) {
    SCOPED_TRACE(command[1]);
    Piped piped(command);
    piped.Write("a\n");
    EXPECT_EQ(piped.Line(), first);
    piped.Write("b\n");
    EXPECT_EQ(piped.Line(), second);
    piped.End();
    EXPECT_EQ(piped.Line(), "");
  }
}

TEST_F(TextInOut, AddedTokensComeBackAsTheyWere) {
  // Bytes as characters, in the order of their numbers: ids 0 to 255.
  nlohmann::json vocabulary;
  for (int byte = 0, next = 0x100; byte < 256; ++byte) {
    const bool seen = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    const int c = seen ? byte : next++;
    const std::string text =
        c < 0x80 ? std::string(1, static_cast<char>(c))
                 : std::string{static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 63))};
    vocabulary[text] = byte;
  }
  nlohmann::json json = {
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", nlohmann::json::array()}}},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
      {"decoder", {{"type", "ByteLevel"}}}};
  int id = 256;
  for (const char* text : {"Bác", "ilÖveyou", "č", "Ġx"})
    json["added_tokens"].push_back(
        {{"id", id++}, {"content", text}, {"special", false}, {"normalized", false}});
  const TemporaryFolder folder;
  WriteBytes(folder / "tokenizer.json", json.dump());
  Fix({{258, 5}});  // č
  const std::vector<std::string> arguments{"complete",
                                           "--weights",
                                           Program().File("weights.safetensors"),
                                           "--tokenizer",
                                           folder / "tokenizer.json",
                                           "--greedy",
                                           "--max-length",
                                           "2",
                                           "--threads",
                                           "1"};
  const std::string text = "Bác Ġxč ü", want = text + "čč\n";
  std::vector<std::string> prompted = arguments;
  prompted.insert(prompted.end(), {"--prompt", text});
  EXPECT_EQ(Program().Run(prompted).out, want);
  EXPECT_EQ(Program().Run(arguments, text + "\n").out, want);
  WriteBytes(folder / "text", "Bácč\n");
  const ProcessResult shown =
      Program().Run({"score", "--weights", Program().File("weights.safetensors"), "--tokenizer",
                     folder / "tokenizer.json", "--text", folder / "text", "--show-tokens"});
  EXPECT_TRUE(shown.out.starts_with("256\tBác\n258\tč\t")) << shown.out << shown.err;
}

}  // namespace
}  // namespace heed::test
