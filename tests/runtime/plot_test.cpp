// Curves of training: what is read from a log, round numbers on axes, pictures that are well-formed, and the
// command `plot`.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/base/markup.h"
#include "runtime/base/running_curve.h"
#include "runtime/base/utf8.h"
#include "runtime/commands/chart.h"
#include "runtime/commands/command.h"
#include "runtime/commands/curves.h"
#include "runtime/commands/ticks.h"
#include "tests/support/expect.h"
#include "tests/support/toy_program.h"
#include "tests/support/xml_checker.h"

namespace heed {
namespace {

using Texts = std::vector<std::string>;

Texts LabelsOf(const Scale& scale) {
  Texts labels;
  for (const Tick& tick : scale.ticks) labels.push_back(tick.label);
  return labels;
}

TEST(Ticks, AreRoundAndEncloseTheNumbers) {
  EXPECT_EQ(LabelsOf(LinearScale(0.3, 7.4, 4)), (Texts{"0", "2", "4", "6", "8"}));
  EXPECT_EQ(LabelsOf(LinearScale(0, 1e-5, 5)), (Texts{"0", "2e-6", "4e-6", "6e-6", "8e-6", "1e-5"}));
  EXPECT_EQ(LabelsOf(LinearScale(2.31, 2.39, 4)), (Texts{"2.30", "2.32", "2.34", "2.36", "2.38", "2.40"}));
  EXPECT_EQ(LabelsOf(LinearScale(-12000, 900, 3)), (Texts{"-15,000", "-10,000", "-5,000", "0", "5,000"}));
  EXPECT_EQ(LabelsOf(StepScale(0, 650, 4)), (Texts{"0", "200", "400", "600"}));
  EXPECT_EQ(LabelsOf(StepScale(1, 1, 9)), (Texts{"1", "2"}));
  EXPECT_EQ(LabelsOf(LogarithmicScale(0.3, 4, 5)), (Texts{"0.2", "0.5", "1", "2", "5"}));
  EXPECT_EQ(LabelsOf(LogarithmicScale(0.001, 1e6, 3)), (Texts{"0.01", "1", "100", "10,000", "1,000,000"}));
  EXPECT_EQ(LabelsOf(LogarithmicScale(1, 1, 5)), (Texts{"1", "2"}));
  for (const double low : {-1e38, -3.0, 0.0, 1e-30, 1.0, 1e38}) {
    for (const double more : {0.0, 1e-12, 0.4, 1e5, 1e38}) {
      const Scale scale = LinearScale(low, low + more, 5);
      EXPECT_GE(scale.At(low), -1e-6) << low << " " << more;
      EXPECT_LE(scale.At(low + more), 1 + 1e-6) << low << " " << more;
      EXPECT_GE(scale.ticks.size(), 2u) << low << " " << more;
      EXPECT_LE(scale.ticks.size(), 14u) << low << " " << more;
    }
  }
}

TEST(TrainingLog, HasWhatTrainWrote) {
  const auto log =
      ParseTrainingLog("run.jsonl",
                       "{\"step\":1,\"loss\":7.5,\"tokens\":100,\"lr\":0.001,\"gradient_norm\":2,"
                       "\"seconds\":0.5,\"epoch\":0}\n"
                       "{\"step\":3,\"loss\":null,\"valid_loss\":6,\"valid_bleu\":1.5,\"more\":[]}\n"
                       "{\"step\":4,\"lo");
  ASSERT_TRUE(log) << log.error().message;
  EXPECT_EQ(log->first_step, 1);
  EXPECT_EQ(log->last_step, 3);  // the last line is being written
  EXPECT_EQ(log->loss.steps, std::vector<double>{1});
  EXPECT_EQ(log->tokens_per_second.values, std::vector<double>{200});
  EXPECT_EQ(log->gradient_norm.values, std::vector<double>{2});
  EXPECT_EQ(log->valid_loss.steps, std::vector<double>{3});
  EXPECT_EQ(log->bleu.values, std::vector<double>{1.5});
  EXPECT_EQ(ParseTrainingLog("x", "")->last_step, 0);
  EXPECT_EQ(ParseTrainingLog("x", "{\"step\":7}")->last_step, 7);  // whole, though nothing follows
}

TEST(TrainingLog, DamagedLinesAreNamed) {
  const std::string good = "{\"step\":1,\"loss\":2}\n";
  const std::pair<std::string, std::string> cases[] = {
      {"{\"step\":2,\n" + good, "run:2: not a JSON object (column "},
      {"[1]\n", "run:2: not a JSON object (another value)"},
      {"\n{\"step\":2}\n", "run:2: not a JSON object"},
      {"{\"loss\":2}\n", "run:2: there is no `step`"},
      {"{\"step\":1}\n", "run:2: step 1 comes after step 1; steps rise"},
      {"{\"step\":2.5}\n", "run:2: `step` is no whole number"},
      {"{\"step\":-1}\n", "run:2: `step` is no whole number"},
      {"{\"step\":2,\"loss\":\"x\"}\n", "run:2: `loss` is `\"x\"`"},
      {"{\"step\":2,\"lr\":{}}\n", "run:2: `lr` is no number"},
      {"{\"step\":2,\"lr\":1e300}\n", "run:2: `lr` is `1e+300`"},
      {"\xff\xfe\n", "run:2: not a JSON object"},
  };
  for (const auto& [bytes, message] : cases) {
    const auto log = ParseTrainingLog("run", good + bytes);
    ASSERT_FALSE(log) << bytes;
    EXPECT_TRUE(log.error().message.starts_with(message)) << log.error().message;
  }
}

TEST(RunningCurve, ShowsAnyNumberInAFewLines) {
  RunningCurve curve;
  EXPECT_TRUE(curve.Lines(40, 4).empty());
  for (int i = 0; i < 100'000; ++i) curve.Add(i == 7 ? NAN : 1 + i / 100'000.0);
  const Texts lines = curve.Lines(40, 4);
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[0].substr(0, 9), "   1.991 ");
  EXPECT_EQ(lines[3].substr(0, 9), "   1.008 ");
  for (const std::string& line : lines) EXPECT_EQ(CountCodePoints(line), 40);
  // It rises from the lower left to the upper right.
  EXPECT_TRUE(lines[0].ends_with("\u2809")) << lines[0];
  EXPECT_EQ(lines[3].substr(9, 3), "\u28C0") << lines[3];
  EXPECT_TRUE(curve.Lines(10, 4).empty());
}

TEST(Chart, MeansAreTakenOverNeighbours) {
  Series series;
  for (int i = 0; i < 250; ++i) {
    series.steps.push_back(i + 1);
    series.values.push_back(i % 5);
  }
  EXPECT_EQ(MeanSteps(series), 5u);
  const std::vector<double> means = RunningMean(series);
  EXPECT_EQ(means[0], 1);  // of 0, 1, 2
  EXPECT_EQ(means[100], 2);
  EXPECT_EQ(means[249], 3);
}

TrainingLog Falling(const std::string& path, int steps, double spread) {
  std::string text;
  for (int i = 1; i <= steps; ++i) {
    text += "{\"step\":" + std::to_string(i) + ",\"loss\":" + std::to_string(2 + 5.0 / i + spread * (i % 7)) +
            ",\"gradient_norm\":" + std::to_string(i % 9) + ",\"lr\":0.001" +
            (i % 10 == 0 ? ",\"valid_loss\":3" : "") + "}\n";
  }
  return *ParseTrainingLog(path, text);
}

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
  return count;
}

TEST(Curves, ArePicturesWhateverTheLogs) {
  for (const int steps : {1, 2, 9, 100, 30'000}) {
    const TrainingLog logs[] = {Falling("a<b&.jsonl", steps, 0.1),
                                Falling("\xff\x01.jsonl", steps / 2 + 1, 0)};
    const Texts names = NamesOf({logs[0], logs[1]});
    EXPECT_EQ(names[0], "a<b&");
    const std::string svg = CurvesSvg(logs, names);
    test::XmlChecker checker(svg);
    EXPECT_EQ(checker.Check(), "") << steps;
    EXPECT_EQ(CountOf(svg, "class=\"chart\""), 3u) << "loss, rate, norm; nothing was said of speed or BLEU";
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
    EXPECT_LT(svg.size(), 200'000u);  // a long run takes no more than a picture shows
    const std::string page = CurvesPage(logs, names);
    EXPECT_HAS(page, "default-src 'none'");
    EXPECT_HAS(page, "a&lt;b&amp;");
    EXPECT_EQ(page.find("http"), page.find("http-equiv"));  // and then the namespace of SVG
    EXPECT_LT(page.size(), 400'000u);
  }
  const std::string shown = CurvesSvg(std::vector{Falling("x.jsonl", 50, 0)}, Texts{"x"});
  EXPECT_HAS(shown, "prefers-color-scheme: dark");
  EXPECT_HAS(shown, "step 50, loss 2.1, held out 3");
  EXPECT_EQ(CountOf(shown, "<circle"), 5u);
}

TEST(Curves, LogsHaveShortNamesThatDiffer) {
  std::vector<TrainingLog> logs(3);
  logs[0].path = "runs/1/log.jsonl";
  logs[1].path = "runs/2/log.jsonl";
  logs[2].path = "runs/2/.big";
  EXPECT_EQ(NamesOf(logs), (Texts{"runs/1/log.jsonl", "runs/2/log.jsonl", ".big"}));
}

TEST(Page, MarksAreFilledOnce) {
  EXPECT_EQ(FillPage("a @X@ b@c @Y@@X@ @Z@", {{"X", "@Y@"}, {"Y", "2"}}), "a @Y@ b@c 2@Y@ @Z@");
  EXPECT_EQ(ScriptData(nlohmann::ordered_json{{"x", "</script>\xff"}}), "{\"x\":\"\\u003c/script>\\ufffd\"}");
}

class PlotCommand : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string File(const std::string& name, const std::string& text = "") {
    if (!text.empty()) std::ofstream(folder_ + name) << text;
    return folder_ + name;
  }
  struct Outcome {
    int code;
    std::string out, err;
  };
  static Outcome Plot(Texts arguments) {
    arguments.insert(arguments.begin(), {"toy", "plot"});
    std::vector<const char*> argv;
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = Main(test::ToyTranslator(), static_cast<int>(argv.size()), argv.data());
    std::fflush(stdout);
    return {code, testing::internal::GetCapturedStdout(), testing::internal::GetCapturedStderr()};
  }

 private:
  std::string folder_ = testing::TempDir() + "heed_plot_" + std::to_string(getpid()) + "/";
};

TEST_F(PlotCommand, DrawsAndRefuses) {
  const std::string a = File("a.jsonl", "{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2}\n{\"st");
  const std::string b = File("b.jsonl", "{\"step\":1,\"loss\":4}\n");
  const std::string empty = File("empty.jsonl", "{");
  const std::string page = File("c.html"), svg = File("c.svg");
  EXPECT_EQ(Plot({a, b, "-o", svg}).code, 0);
  EXPECT_EQ(Plot({a, b, "-o", "-"}).out.substr(0, 5), "<?xml");
  EXPECT_EQ(Plot({a, "-o", page}).code, 0);
  EXPECT_GT(std::filesystem::file_size(page), 1000u);
  EXPECT_HAS(Plot({a}).out, "a: loss to step 2\n");
  EXPECT_HAS(Plot({a, empty, "-o", svg}).err, "empty.jsonl: there is no step yet");
  const std::tuple<int, Texts, std::string> wrong[] = {
      {1, {empty, "-o", svg}, "there is no step yet"},
      {1, {File("none.jsonl")}, "none.jsonl"},
      {1, {File("bad.jsonl", "{\"step\":1}\nx\n")}, "bad.jsonl:2: "},
      {2, {a, "-o", "c.png"}, "must end in .svg or .html"},
      {2, {a, "-o", a + "/../a.jsonl"}, "must end in"},
      {2, {}, "logs"},
      {2, {a, a, a, a, a, a, a, a, a, "-o", svg}, "at most 8 logs"},
  };
  for (const auto& [code, arguments, message] : wrong) {
    const Outcome outcome = Plot(arguments);
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_HAS(outcome.err, message);
  }
}

}  // namespace
}  // namespace heed
