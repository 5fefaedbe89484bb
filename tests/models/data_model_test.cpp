// Models that learn from data of any kind, with the programs of examples/: texts with labels from records,
// pictures from tensors, and captions of pictures. Each must reach an accuracy in so many steps.
#include <array>
#include <random>

#include "tests/support/expect.h"
#include "tests/support/model_support.h"

namespace heed::test {
namespace {

/// Numbers that every library draws alike.
class Draw {
 public:
  explicit Draw(uint32_t seed) : generator_(seed) {}
  int Below(int n) { return static_cast<int>(generator_() % static_cast<uint32_t>(n)); }
  double Unit() { return static_cast<double>(generator_()) / 4294967296.0; }

 private:
  std::mt19937 generator_;
};

ProcessResult RunOk(const BuiltProgram& program, const std::vector<std::string>& arguments) {
  ProcessResult result = program.Run(arguments);
  EXPECT_TRUE(result.ok()) << arguments[0] << ": " << result.err;
  return result;
}

double Accuracy(const BuiltProgram& program, const std::vector<std::string>& data) {
  std::vector<std::string> arguments = {"correct", "--mean", "--weights", program.File("w.safetensors")};
  arguments.insert(arguments.end(), data.begin(), data.end());
  const ProcessResult result = RunOk(program, arguments);
  return result.ok() ? std::stod(result.out) : 0;
}

/// Sentences that "not" turns around, a record each.
std::string Reviews(uint32_t seed, int count) {
  constexpr std::array<const char*, 6> kThings = {"film", "book", "song", "play", "meal", "talk"},
                                       kGood = {"fine", "bright", "lovely", "clever", "warm", "brave"},
                                       kBad = {"dull", "weak", "empty", "cold", "slow", "clumsy"};
  Draw draw(seed);
  std::string records;
  for (int i = 0; i < count; ++i) {
    const bool good = draw.Below(2) == 1, turned = draw.Below(3) == 0;
    const auto& words = good ? kGood : kBad;
    std::string text = "the " + std::string(kThings[static_cast<size_t>(draw.Below(6))]) + " is ";
    text += std::string(turned ? "not " : "") + words[static_cast<size_t>(draw.Below(6))];
    if (draw.Below(2) == 1) text += ", as they say";
    records += "{\"id\": " + std::to_string(i) + ", \"text\": \"" + text + "\", \"label\": \"" +
               (good != turned ? "positive" : "negative") + "\"}\n";
  }
  return records;
}

TEST(Data, ClassifierOfTexts) {
  const BuiltProgram program(Source("examples/classifier.heed"), {"-j", "1"});
  ASSERT_TRUE(program.ok());
  WriteBytes(program.File("train.jsonl"), Reviews(1, 400));
  WriteBytes(program.File("held.jsonl"), Reviews(2, 100));
  const auto train = [&](const std::string& out, const std::string& steps,
                         const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"train",
                                          "--data",
                                          program.File("train.jsonl"),
                                          "--steps",
                                          steps,
                                          "--warmup",
                                          "20",
                                          "--batch",
                                          "512",
                                          "--lr",
                                          "0.003",
                                          "--out",
                                          program.File(out)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunOk(program, arguments);
  };
  const ProcessResult trained =
      train("w.safetensors", "150", {"--valid-data", program.File("held.jsonl"), "--eval-every", "150"});
  EXPECT_HAS(trained.err, "data: 400 examples; held out: 100");
  EXPECT_HAS(trained.err, "valid loss");
  EXPECT_GE(Accuracy(program, {"--data", program.File("held.jsonl")}), 0.95);

  // Names of classes, from records and from lines.
  WriteBytes(program.File("two.txt"), "the song is lovely\nthe talk is not warm\n");
  const std::vector<std::string> weights = {"--weights", program.File("w.safetensors")};
  EXPECT_EQ(RunOk(program, {"classify", "--weights", weights[1], "--text", program.File("two.txt")}).out,
            "positive\nnegative\n");
  WriteBytes(program.File("two.tsv"), "text\tnote\nthe song is lovely\tx\nthe talk is not warm\ty\n");
  EXPECT_EQ(RunOk(program, {"classify", "--weights", weights[1], "--data", program.File("two.tsv")}).out,
            "positive\nnegative\n");
  EXPECT_EQ(
      RunOk(program, {"classify", "--weights", weights[1], "--json", "--data", program.File("two.tsv")}).out,
      "\"positive\"\n\"negative\"\n");
  RunOk(program, {"probabilities", "--weights", weights[1], "--data", program.File("two.tsv"), "-o",
                  program.File("p.safetensors")});
  const Numbers p = ReadTensors(program.File("p.safetensors"))["probabilities"];
  ASSERT_EQ(p.shape, (std::vector<int64_t>{2, 2}));
  EXPECT_GT(p.data[1], 0.5);
  EXPECT_GT(p.data[2], 0.5);
  EXPECT_NEAR(p.data[0] + p.data[1], 1, 1e-5);

  // One text from the command line.
  EXPECT_EQ(RunOk(program, {"classify", "--weights", weights[1], "--value", "text=the song is lovely"}).out,
            "positive\n");
  const auto refused = [&](std::vector<std::string> arguments, int status, const char* message) {
    const ProcessResult result = program.Run(arguments);
    EXPECT_EQ(result.status, status) << result.err;
    EXPECT_HAS(result.err, message);
  };
  refused({"train"}, 2,
          "takes `text` (a text, or a list of ids), `label` (a name of `class` (negative, positive)");
  refused({"train", "--data", program.File("two.tsv")}, 1,
          "nothing gives `label` of entry `train` (a name of `class` (negative, positive) or its number); ");
  refused({"train", "--data", program.File("two.tsv"), "--value", "note=1"}, 2, "takes no `note`");
  refused({"classify", "--weights", weights[1], "--mean", "--data", program.File("two.tsv")}, 2,
          "gives an element of class, which is no quantity");
  WriteBytes(program.File("one.txt"), "positive\n");
  refused({"correct", "--weights", weights[1], "--text", program.File("two.txt"), "--label",
           program.File("one.txt")},
          1, "two.txt has 2 examples of `text`, but ");

  // Stopped and resumed: the same bits.
  train("whole.safetensors", "24", {});
  train("half.safetensors", "11", {});
  train("half.safetensors", "24", {"--resume", program.File("half.safetensors")});
  EXPECT_TRUE(FileBytes(program.File("whole.safetensors")) == FileBytes(program.File("half.safetensors")));
}

/// A picture [size, size, 3] of a shape (0 circle, 1 square, 2 star) in a colour, on noise.
std::vector<double> Picture(Draw& draw, int size, int shape, const std::array<double, 3>& colour) {
  std::vector<double> pixels;
  const double radius = size * (0.2 + 0.12 * draw.Unit()), margin = size * 0.34;
  const double x = margin + (size - 2 * margin) * draw.Unit(), y = margin + (size - 2 * margin) * draw.Unit();
  for (int row = 0; row < size; ++row) {
    for (int column = 0; column < size; ++column) {
      const double dx = std::abs(column + 0.5 - x) / radius, dy = std::abs(row + 0.5 - y) / radius;
      // A star of four points: what lies under the curve sqrt(dx) + sqrt(dy) = 1.
      const bool inside = shape == 0   ? dx * dx + dy * dy < 1
                          : shape == 1 ? std::max(dx, dy) < 0.9
                                       : std::sqrt(dx) + std::sqrt(dy) < 1.2;
      for (const double part : colour) pixels.push_back((inside ? part : 0) + 0.1 * draw.Unit());
    }
  }
  return pixels;
}

TEST(Data, ClassifierOfPictures) {
  const BuiltProgram program(Source("examples/vit.heed"), {"-j", "1"});
  ASSERT_TRUE(program.ok());
  const auto write = [&](const std::string& name, uint32_t seed, int64_t count) {
    Draw draw(seed);
    Numbers x = {{count, 32, 32, 3}, {}}, y = {{count}, {}};
    for (int64_t i = 0; i < count; ++i) {
      const int shape = draw.Below(3);
      const std::array<double, 3> colour = {0.3 + 0.7 * draw.Unit(), 0.3 + 0.7 * draw.Unit(),
                                            0.3 + 0.7 * draw.Unit()};
      const std::vector<double> pixels = Picture(draw, 32, shape, colour);
      x.data.insert(x.data.end(), pixels.begin(), pixels.end());
      y.data.push_back(shape);
    }
    WriteTensors(program.File(name), {{"x", x}, {"y", y}}, {"y"});
  };
  write("train-1.safetensors", 1, 450);
  write("train-2.safetensors", 2, 450);
  write("held.safetensors", 3, 90);
  const ProcessResult trained = RunOk(
      program, {"train", "--data", program.File("train-*.safetensors"), "--steps", "350", "--warmup", "30",
                "--lr", "0.002", "--batch-examples", "24", "--out", program.File("w.safetensors")});
  EXPECT_HAS(trained.err, "data: 900 examples");
  EXPECT_HAS(trained.err, "--batch-examples 24");
  const ProcessResult positions =
      program.Run({"train", "--data", program.File("held.safetensors"), "--batch", "100"});
  EXPECT_EQ(positions.status, 2);
  EXPECT_HAS(positions.err, "are all equally long: use --batch-examples N");
  const std::string held = program.File("held.safetensors");
  EXPECT_GE(Accuracy(program, {"--data", held}), 0.8);
  // One class for all: `--value` goes before the file.
  double sum = 0;
  for (const char* name : {"circle", "square", "star"})
    sum += Accuracy(program, {"--data", held, "--value", std::string("y=") + name});
  EXPECT_NEAR(sum, 1, 1e-6);
}

std::string Npy(const std::vector<int64_t>& shape, const std::vector<double>& data) {
  std::string extents;
  for (const int64_t extent : shape) extents += std::to_string(extent) + ", ";
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + extents + "), }";
  header.resize(118, ' ');
  header.back() = '\n';
  std::string bytes = std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' + header;
  for (const double value : data) {
    const auto element = static_cast<float>(value);
    bytes.append(reinterpret_cast<const char*>(&element), sizeof element);
  }
  return bytes;
}

TEST(Data, CaptionsOfPictures) {
  const BuiltProgram program(Source("examples/captions.heed"), {"-j", "1"});
  ASSERT_TRUE(program.ok());
  constexpr std::array<const char*, 3> kColours = {"red", "green", "blue"},
                                       kShapes = {"circle", "square", "star"};
  const auto write = [&](const std::string& name, uint32_t seed, int64_t count) {
    Draw draw(seed);
    std::vector<double> pixels;
    std::string captions;
    for (int64_t i = 0; i < count; ++i) {
      const int shape = draw.Below(3), colour = draw.Below(3);
      std::array<double, 3> light = {0.1, 0.1, 0.1};
      light[static_cast<size_t>(colour)] = 1;
      const std::vector<double> picture = Picture(draw, 16, shape, light);
      pixels.insert(pixels.end(), picture.begin(), picture.end());
      captions += std::string("a ") + kColours[static_cast<size_t>(colour)] + " " +
                  kShapes[static_cast<size_t>(shape)] + "\n";
    }
    WriteBytes(program.File(name + ".npy"), Npy({count, 16, 16, 3}, pixels));
    WriteBytes(program.File(name + ".txt"), captions);
    return captions;
  };
  write("train", 1, 900);
  const std::string wanted = write("held", 2, 60);
  RunOk(program, {"train", "--x", program.File("train.npy"), "--y", program.File("train.txt"), "--steps",
                  "1000", "--warmup", "30", "--lr", "0.003", "--batch-examples", "24", "--out",
                  program.File("w.safetensors")});
  const std::vector<std::string> caption = {"caption", "--weights", program.File("w.safetensors"), "--x",
                                            program.File("held.npy")};
  const ProcessResult made = RunOk(program, caption);
  const std::vector<std::string> captions = Lines(made.out), right = Lines(wanted);
  ASSERT_EQ(captions.size(), right.size());
  int correct = 0;
  for (size_t i = 0; i < right.size(); ++i) correct += captions[i] == right[i] ? 1 : 0;
  EXPECT_GE(correct, 42) << made.out;
  // Results do not depend on batches, whatever is chosen by chance.
  const auto sampled = [&](const std::string& batch) {
    std::vector<std::string> arguments = caption;
    arguments.insert(arguments.end(), {"--temperature", "2", "--seed", "3", "--batch", batch});
    return RunOk(program, arguments).out;
  };
  EXPECT_EQ(sampled("1"), sampled("4096"));
  const ProcessResult none = program.Run({"caption", "--weights", program.File("w.safetensors")});
  EXPECT_EQ(none.status, 2);
  EXPECT_HAS(none.err, "takes `x` (numbers [high=16, wide=16, channel=3]); give them with --data F");
}

std::vector<std::string> Lines(const std::string& path) {
  std::vector<std::string> lines;
  std::istringstream text(FileBytes(path));
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

/// A loss that sees its batch: of 120 held-out translations, three in four sentences find their own.
TEST(Data, SentencesFindTheirTranslations) {
  const BuiltProgram program(Source("examples/retrieval.heed"), {"-j", "1"});
  ASSERT_TRUE(program.ok());
  const std::string data = Source("examples/data/");
  const std::vector<std::string> texts = {"--source", data + "tiny.en", "--target", data + "tiny.fr"};
  const auto train = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"train", "-q"});
    more.insert(more.end(), texts.begin(), texts.end());
    return program.Run(more);
  };
  const ProcessResult refused = train({"--batch", "100", "--steps", "1", "--out", program.File("no")});
  EXPECT_EQ(refused.status, 2);
  EXPECT_HAS(refused.err, "the loss of entry `train` compares the examples of a batch");
  ASSERT_TRUE(train({"--steps", "300", "--warmup", "50", "--lr", "0.003", "--out", program.File("w")}).ok());
  const std::vector<std::string> x = Lines(data + "valid.en"), y = Lines(data + "valid.fr");
  std::string sources, targets;
  for (const std::string& source : x)
    for (const std::string& target : y) {
      sources += source + "\n";
      targets += target + "\n";
    }
  WriteBytes(program.File("x"), sources);
  WriteBytes(program.File("y"), targets);
  const ProcessResult alike =
      RunOk(program, {"similarity", "--weights", program.File("w"), "--x", program.File("x"), "--y",
                      program.File("y"), "-o", program.File("alike.safetensors")});
  ASSERT_TRUE(alike.ok());
  const Numbers all = ReadTensors(program.File("alike.safetensors")).at("similarity");
  ASSERT_EQ(all.data.size(), x.size() * y.size());
  size_t found = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const auto row = all.data.begin() + static_cast<int64_t>(i * y.size());
    found += std::max_element(row, row + static_cast<int64_t>(y.size())) - row == static_cast<int64_t>(i);
  }
  EXPECT_GE(found, x.size() * 3 / 4);
}

/// A mixture of experts: of 40 words that it has not seen, nine in ten are written backwards.
TEST(Data, ExpertsWriteWordsBackwards) {
  const BuiltProgram program(Source("examples/experts.heed"), {"-j", "1"});
  ASSERT_TRUE(program.ok());
  Draw draw(3);
  const auto word = [&] {
    std::string letters(6, ' ');
    for (char& letter : letters) letter = static_cast<char>('a' + draw.Below(10));
    return letters;
  };
  std::string records, prompts, answers;
  for (int i = 0; i < 2000; ++i) {
    const std::string forwards = word(), backwards(forwards.rbegin(), forwards.rend());
    records += "{\"x\": \"" + forwards + "|" + backwards + "\"}\n";
  }
  for (int i = 0; i < 40; ++i) prompts += word() + "|\n";
  WriteBytes(program.File("words.jsonl"), records);
  RunOk(program, {"train", "-q", "--tokenizer", "bytes", "--data", program.File("words.jsonl"), "--steps",
                  "400", "--warmup", "40", "--lr", "0.003", "--batch", "1024", "--out", program.File("w")});
  const ProcessResult result =
      program.Run({"complete", "--weights", program.File("w"), "--tokenizer", "bytes", "--greedy"}, prompts);
  ASSERT_TRUE(result.ok()) << result.err;
  std::istringstream lines(result.out);
  int right = 0;
  for (std::string line; std::getline(lines, line);)
    right += line.size() == 13 && std::equal(line.begin(), line.begin() + 6, line.rbegin());
  EXPECT_GE(right, 36) << result.out;
}

}  // namespace
}  // namespace heed::test
