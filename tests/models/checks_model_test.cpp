// Checks in built programs: what is impossible where it is needed ends a command with status 1 and a message
// that says where, in training, scoring, generation and `call`; what is not needed does not.
#include "tests/support/model_support.h"

namespace heed::test {
namespace {

class Checks : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    program_ = new BuiltProgram(Source("tests/models/reads.heed"));
    ASSERT_TRUE(program_->ok());
    const auto init = program_->Run({"init", "--out", program_->File("weights.safetensors")});
    ASSERT_TRUE(init.ok()) << init.err;
  }
  static void TearDownTestSuite() {
    delete program_;
    program_ = nullptr;
  }

  /// `call` on these inputs; the message of a call that must fail.
  static std::string Message(const std::string& entry, const TensorMap& inputs,
                             const std::vector<std::string>& ids) {
    std::vector<std::string> all = ids;
    for (const std::string& name : ids) all.push_back(name + ".length");
    WriteTensors(program_->File("in.safetensors"), inputs, all);
    const ProcessResult result =
        program_->Run({"call", entry, "--weights", program_->File("weights.safetensors"), "--inputs",
                       program_->File("in.safetensors"), "--outputs", program_->File("out.safetensors")});
    EXPECT_EQ(result.status, 1) << entry << ": " << result.err;
    return result.err;
  }
  static std::vector<double> Result(const std::string& entry, const TensorMap& inputs,
                                    const std::vector<std::string>& ids) {
    return program_->Call(entry, inputs, ids)["result"].data;
  }

  static BuiltProgram* program_;
};

BuiltProgram* Checks::program_ = nullptr;

Numbers Row(std::vector<double> data) { return {{1, static_cast<int64_t>(data.size())}, std::move(data)}; }

TEST_F(Checks, ReadsAtData) {
  const Numbers table = Row({10, 11, 12, 13});
  EXPECT_EQ(Result("pick", {{"t", table}, {"i", Row({0, 3})}}, {"i"}), (std::vector<double>{10, 13}));
  for (const double i : {4.0, -1.0, 100.0, 2147483647.0}) {
    const std::string message = Message("pick", {{"t", table}, {"i", Row({0, i})}}, {"i"});
    EXPECT_NE(message.find("reads.heed:"), std::string::npos) << message;
    EXPECT_NE(message.find("along `v` at"), std::string::npos) << message;
    EXPECT_NE(message.find("`v` has 4 elements"), std::string::npos) << message;
    EXPECT_EQ(Result("guarded", {{"t", table}, {"i", Row({0, i})}}, {"i"}), (std::vector<double>{10, -1}));
  }
  // Padding is not needed.
  EXPECT_EQ(Result("pick", {{"t", table}, {"i", Row({1, 2, 99, -5})}, {"i.length", Vector({2})}}, {"i"}),
            (std::vector<double>{11, 12, 0, 0}));
  // The example at fault is named.
  const Numbers two{{2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}};
  EXPECT_NE(Message("pick", {{"t", two}, {"i", {{2, 2}, {0, 1, 2, 7}}}}, {"i"}).find("example 1"),
            std::string::npos);
}

TEST_F(Checks, WholeNumbers) {
  EXPECT_EQ(Result("product", {{"i", Row({3, -46341})}, {"j", Row({5, 46340})}}, {"i", "j"}),
            (std::vector<double>{15, -2147441940}));
  for (const auto& [i, j] : std::vector<std::pair<double, double>>{
           {65536, 65536}, {46341, 46341}, {-2147483648.0, -1}, {2147483647, 2147483647}, {65536, 32768}})
    EXPECT_NE(Message("product", {{"i", Row({1, i})}, {"j", Row({1, j})}}, {"i", "j"}).find("32 bits"),
              std::string::npos)
        << i << " * " << j;
  EXPECT_EQ(Result("remainder", {{"i", Row({7, -7})}, {"j", Row({4, -4})}}, {"i", "j"}),
            (std::vector<double>{3, -3}));
  EXPECT_NE(Message("remainder", {{"i", Row({7})}, {"j", Row({0})}}, {"i", "j"}).find("remainder by 0"),
            std::string::npos);
  EXPECT_EQ(Result("remainder", {{"i", Row({-2147483648.0})}, {"j", Row({-1})}}, {"i", "j"}),
            (std::vector<double>{0}));
  EXPECT_EQ(Result("quotient", {{"i", Row({7, -7, -2147483648.0})}, {"j", Row({4, 4, 1})}}, {"i", "j"}),
            (std::vector<double>{1, -2, -2147483648.0}));
  for (const auto& [i, j] : std::vector<std::pair<double, double>>{{7, 0}, {-2147483648.0, -1}})
    EXPECT_NE(
        Message("quotient", {{"i", Row({1, i})}, {"j", Row({1, j})}}, {"i", "j"})
            .find("a quotient by " + std::to_string(static_cast<int>(j)) + ", which is no whole number"),
        std::string::npos);
}

TEST_F(Checks, IntsOfFloats) {
  EXPECT_EQ(Result("whole", {{"z", Row({7, -0.0, -2147483648.0, 2147483520})}}, {}),
            (std::vector<double>{7, 0, -2147483648.0, 2147483520}));
  for (const auto& [v, shown] : std::vector<std::pair<double, const char*>>{{2.5, "an int of 2.5,"},
                                                                            {2147483648.0, "an int of "},
                                                                            {NAN, "an int of no number"},
                                                                            {INFINITY, "inf"}})
    EXPECT_NE(Message("whole", {{"z", Row({1, v})}}, {}).find(shown), std::string::npos) << v;
}

TEST_F(Checks, ATableShorterThanATextIsFineUntilItsEnd) {
  const auto ids = [](int count) { return Row(std::vector<double>(count, 5)); };
  // The last position predicts nothing, so that its place is not needed.
  EXPECT_EQ(program_->Call("train", {{"x", ids(9)}}, {"x"}).count("loss"), 1u);
  EXPECT_NE(Message("train", {{"x", ids(10)}}, {"x"}).find("`place` has 8 elements"), std::string::npos);
  const auto complete = [&](const std::string& most) {
    return program_->Run({"complete", "--weights", program_->File("weights.safetensors"), "--tokenizer",
                          "bytes", "--prompt", "abc", "--max-length", most, "--greedy"});
  };
  EXPECT_TRUE(complete("5").ok());
  const ProcessResult beyond = complete("12");
  EXPECT_EQ(beyond.status, 1);
  EXPECT_NE(beyond.err.find("`place` has 8 elements"), std::string::npos) << beyond.err;
}

TEST_F(Checks, TheFirstElementOfNothing) {
  EXPECT_EQ(Result("first", {{"t", Row({7, 8})}}, {}), (std::vector<double>{7}));
  EXPECT_NE(Message("first", {{"t", Row({7, 8})}, {"t.length", Vector({0})}}, {"t.length"})
                .find("`seq` ends at |seq| - 1"),
            std::string::npos);
}

}  // namespace
}  // namespace heed::test
