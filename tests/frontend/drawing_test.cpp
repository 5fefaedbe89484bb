// Drawings: what they show, where it lies, and that letters can be read on paper.
#include "frontend/drawing/dot.h"
#include "frontend/drawing/paper.h"
#include "frontend/drawing/svg.h"
#include "ir/axis_words.h"
#include "passes/pass.h"
#include "runtime/base/child.h"
#include "tests/support/paths.h"
#include "tests/support/process.h"
#include "tests/support/program_support.h"
#include "tests/support/random_graph.h"

namespace heed::drawing {
namespace {

using ir::Axis;
using ir::Graph;
using ir::NodeId;
using ir::OpKind;
using ir::Variant;

/// A stack of `layers` equal layers of y + tanh(y @ h.i.w / 4) on seq and two ops more, masked with a sum of
/// its own; layer `odd` has `more` further ops.
Graph Stack(int layers, int odd = -1, int more = 1) {
  Graph graph(testing::TestAxes());
  const Axis a("a"), seq("seq");
  NodeId y = graph.Make(OpKind::Input, {}, {.axes = {seq, a}, .name = "x"});
  for (int i = 0; i < layers; ++i) {
    const std::string path = "h." + std::to_string(i);
    graph.origin = {path + ".lin", ir::Place::Parse("here")};
    const NodeId w = graph.Make(OpKind::Param, {}, {.axes = {a, Axis("a'")}, .name = path + ".lin.w"});
    const NodeId product = graph.Rename(graph.Contract(y, w, {a}), {{Axis("a'"), a}});
    graph.origin = {path, ir::Place::Parse("here")};
    y = graph.Add(y, graph.Pointwise(OpKind::Tanh, {graph.Div(product, graph.Const(4))}));
    for (int k = 0; k < 2; ++k) y = graph.Reduce(OpKind::LogSoftmax, y, {a});
    for (int k = 0; i == odd && k < more; ++k) y = graph.Reduce(OpKind::Softmax, y, {a});
  }
  graph.origin = {};
  const NodeId mask =
      graph.Pointwise(OpKind::Lt, {graph.Add(graph.Positions(seq), graph.ConstInt(1)), graph.Length(seq)});
  graph.SetOutput("value", graph.Reduce(OpKind::Sum, y, {seq, a}, mask));
  return graph;
}

Model Everything(const Graph& graph, bool unroll) {
  return Describe(graph, nullptr, "a \"title\"", Depth::Ops, unroll);
}

size_t CountOf(const Model& model, Kind kind) {
  return static_cast<size_t>(std::count_if(model.boxes.begin(), model.boxes.end(),
                                           [&](const Box& box) { return box.kind == kind; }));
}

bool HasLabel(const Model& model, const std::string& label) {
  return std::any_of(model.boxes.begin(), model.boxes.end(),
                     [&](const Box& box) { return box.label == label; });
}

TEST(Drawing, FoldsEqualLayers) {
  const Model model = Everything(Stack(6), false);
  ASSERT_EQ(model.modules.size(), 3u) << "the whole, the layer and its part";
  EXPECT_EQ(model.modules[1].name, "h");
  EXPECT_EQ(model.modules[1].count, 6);
  EXPECT_EQ(CountOf(model, Kind::Parameter), 1u) << "one parameter is left";
  EXPECT_TRUE(HasLabel(model, "\u00b7 + tanh(\u00b7 / 4)")) << "one expression, one box";
  EXPECT_TRUE(HasLabel(model, "sum [seq, a | seq + 1 < |seq|]")) << "masks are text";
  const Model unrolled = Everything(Stack(6), true);
  EXPECT_EQ(CountOf(unrolled, Kind::Parameter), 6u);
  EXPECT_EQ(unrolled.modules.size(), 13u);
  const std::string dot = Dot({model});
  EXPECT_EQ(dot, Dot({Everything(Stack(6), false)})) << "deterministic";
  EXPECT_NE(dot.find("a \\\"title\\\""), std::string::npos);
}

TEST(Drawing, LayersThatAreMostlyEqualSayWhatOnlySomeHave) {
  const Model model = Everything(Stack(6, 2), false);
  ASSERT_EQ(model.modules.size(), 3u);
  EXPECT_EQ(model.modules[1].count, 6);
  std::vector<std::string> only;
  for (const Box& box : model.boxes)
    if (!box.only.empty()) only.push_back(box.label + ": " + box.only);
  EXPECT_EQ(only, std::vector<std::string>{"softmax [a]: h.2 only"});
}

TEST(Drawing, UnequalLayersStayApart) {
  const Model model = Everything(Stack(6, 2, 9), false);
  std::vector<std::string> stacks;
  for (const Module& module : model.modules)
    if (module.name.starts_with("h")) stacks.push_back(module.name);
  EXPECT_EQ(stacks, (std::vector<std::string>{"h.0 \u2026 1", "h.2", "h.3 \u2026 5"}));
}

TEST(Drawing, RandomGraphsAreDrawnWhole) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    const auto graph = testing::MakeRandomGraph({.seed = seed, .random = true});
    for (bool unroll : {false, true}) {
      const Model model = Everything(*graph, unroll);
      EXPECT_EQ(CountOf(model, Kind::Output), graph->outputs.size()) << "seed " << seed;
      const int boxes = static_cast<int>(model.boxes.size());
      for (const Wire& wire : model.wires) {
        ASSERT_TRUE(wire.from >= 0 && wire.from < boxes && wire.to >= 0 && wire.to < boxes)
            << "seed " << seed;
        ASSERT_NE(wire.from, wire.to);
      }
    }
  }
}

TEST(Drawing, AxesAreNamedAsInThePrograms) {
  EXPECT_EQ(ir::Spoken(Axis("key~1")), "key");
  EXPECT_EQ(ir::Spoken(Axis("seq'^")), "seq'");
  EXPECT_EQ(ir::Spoken(Axis("seq-")), "seq' - seq");
  EXPECT_EQ(ir::Spoken(Axis("seq'%512+256")), "seq' in a ring of 512");
}

// ---- Whole programs, with Graphviz

struct Subject {
  std::string file, entry;
  Variant variant;
  bool passes;  ///< all of them; false: as elaborated
};

std::string NameOf(const Subject& subject) {
  return subject.file + " " + subject.entry + ", " + std::string(ir::Name(subject.variant)) +
         (subject.passes ? " after all passes" : "");
}

const std::vector<Subject> kSubjects = {
    {"transformer", "train", Variant::Train, false},   {"transformer", "train", Variant::Train, true},
    {"transformer", "translate", Variant::Step, true}, {"gpt2", "train", Variant::Train, false},
    {"gpt2", "train", Variant::Train, true},           {"gpt2", "complete", Variant::Step, true},
    {"llama", "train", Variant::Train, false},         {"llama", "train", Variant::Train, true},
    {"llama", "complete", Variant::Step, true},
};

std::unique_ptr<frontend::Program> ProgramIn(const std::string& file) {
  frontend::Diagnostics diagnostics;
  const std::string path = test::Source("examples/" + file + ".heed");
  auto program =
      frontend::Compile(std::make_unique<frontend::SourceFile>(path, frontend::Read(path)), {}, diagnostics);
  EXPECT_TRUE(program) << diagnostics.Render(false);
  return program;
}

Drawing Drawn(const frontend::Program& program, const Subject& subject, Depth depth) {
  const frontend::Entry& entry = frontend::EntryNamed(program, subject.entry);
  const Graph& source = subject.variant == Variant::Train ? *entry.graph : *entry.infer;
  Drawing drawing;
  if (subject.passes) {
    const Graph graph = passes::RunPipeline(source, subject.variant, {});
    drawing.model = Describe(graph, &program.words, NameOf(subject), depth, false);
  } else {
    drawing.model = Describe(source, &program.words, NameOf(subject), depth, false);
  }
  Result<Layout> layout = LayOut(drawing.model);
  EXPECT_TRUE(layout) << layout.error().message;
  if (layout) drawing.layout = std::move(*layout);
  EXPECT_TRUE(drawing.layout.remarks.empty()) << NameOf(subject);
  return drawing;
}

/// The smallest letters of an SVG, in points, when it is printed on A4 with margins of a centimetre.
double LettersOnPaper(const std::string& svg) {
  const size_t box = svg.find("viewBox=\"0 0 ");
  double width = 0, height = 0, least = 1e9;
  if (std::sscanf(svg.c_str() + box, "viewBox=\"0 0 %lf %lf", &width, &height) != 2) return 0;
  const std::string size = "font-size=\"";
  for (size_t at = 0; (at = svg.find(size, at)) != svg.npos; ++at)
    least = std::min(least, std::strtod(svg.c_str() + at + size.size(), nullptr));
  const double upright = std::min({1.0, 539 / width, 785 / height});
  const double across = std::min({1.0, 785 / width, 539 / height});
  return least * std::max(upright, across);
}

bool Overlap(const Rectangle& a, const Rectangle& b) {
  return a.x + 0.5 < b.x + b.width && b.x + 0.5 < a.x + a.width && a.y + 0.5 < b.y + b.height &&
         b.y + 0.5 < a.y + a.height;
}

bool Inside(const Rectangle& a, const Rectangle& b) {
  return a.x > b.x - 0.5 && a.y > b.y - 0.5 && a.x + a.width < b.x + b.width + 0.5 &&
         a.y + a.height < b.y + b.height + 0.5;
}

void CheckGeometry(const Drawing& drawing) {
  const auto& [model, layout] = drawing;
  for (size_t i = 0; i < model.boxes.size(); ++i) {
    EXPECT_TRUE(Inside(layout.boxes[i], layout.modules[model.boxes[i].module])) << model.boxes[i].label;
    for (size_t k = 0; k < i; ++k)
      EXPECT_FALSE(Overlap(layout.boxes[i], layout.boxes[k]))
          << model.boxes[i].label << ", " << model.boxes[k].label;
  }
  for (size_t i = 1; i < model.modules.size(); ++i)
    EXPECT_TRUE(Inside(layout.modules[i], layout.modules[model.modules[i].parent])) << model.modules[i].path;
  for (const Line& line : layout.lines)
    for (const auto& [box, end] : {std::pair(line.from, line.points.front()), {line.to, line.points.back()}})
      if (box >= 0) {
        const Rectangle& at = layout.boxes[box];
        EXPECT_TRUE(Inside({end.x, end.y, 0, 0}, {at.x - 2, at.y - 2, at.width + 4, at.height + 4}))
            << model.boxes[box].label;
      }
}

TEST(Drawing, ModulesCanBeReadOnPaper) {
  if (OnPath("dot").empty()) GTEST_SKIP() << "no Graphviz";
  std::map<std::string, std::unique_ptr<frontend::Program>> programs;
  for (const Subject& subject : kSubjects) {
    SCOPED_TRACE(NameOf(subject));
    auto& program = programs[subject.file];
    if (!program) program = ProgramIn(subject.file);
    const Drawing drawing = Drawn(*program, subject, Depth::Modules);
    CheckGeometry(drawing);
    EXPECT_GE(LettersOnPaper(Svg({drawing}, Theme::Auto)), 6.0);
    const Drawing one = Drawn(*program, subject, Depth::One);
    CheckGeometry(one);
    // Steps of attention are too many for a page where both stacks have a gradient.
    const bool many = subject.file == "transformer" && subject.variant == Variant::Train && subject.passes;
    EXPECT_GE(LettersOnPaper(Svg({one}, Theme::Auto)), many ? 4.2 : 5.95);  // rounds to 6
  }
}

TEST(Drawing, EntriesShareAPage) {
  if (OnPath("dot").empty()) GTEST_SKIP() << "no Graphviz";
  // Programs with so many entries that their letters are smaller.
  const std::map<std::string, double> many = {{"four_steps", 3.5}, {"hard_sampled", 4}, {"cross", 5}};
  for (const auto& file : std::filesystem::directory_iterator(test::Source("examples/attention"))) {
    if (file.path().extension() != ".heed") continue;
    const std::string name = file.path().stem();
    const auto program = ProgramIn("attention/" + name);
    ASSERT_TRUE(program);
    std::vector<Drawing> drawings;
    for (const frontend::Entry& entry : program->entries) {
      const Variant variant = entry.kind == frontend::EntryKind::Minimize   ? Variant::Train
                              : entry.kind == frontend::EntryKind::Generate ? Variant::Step
                                                                            : Variant::Forward;
      drawings.push_back(Drawn(*program, {"attention/" + name, entry.name, variant, true}, Depth::Modules));
    }
    const auto least = many.find(name);
    EXPECT_GE(LettersOnPaper(Svg(drawings, Theme::Auto)), least != many.end() ? least->second : 6.0) << name;
  }
}

TEST(Drawing, RowsAreThoseThatFillThePaper) {
  const auto rows = [](std::vector<Point> sizes) { return RowsOnPaper(sizes, 10); };
  EXPECT_EQ(rows({}), std::vector<size_t>{});
  EXPECT_EQ(rows({{5000, 10}}), std::vector<size_t>{1});
  EXPECT_EQ(rows({{300, 400}, {300, 400}}), std::vector<size_t>{2}) << "they fit side by side";
  EXPECT_EQ(rows({{500, 500}, {500, 500}, {500, 500}, {500, 500}}), (std::vector<size_t>{2, 2}));
  EXPECT_EQ(rows({{1000, 200}, {450, 200}, {450, 200}}), (std::vector<size_t>{1, 2}));
  EXPECT_DOUBLE_EQ(ScaleOnPaper({100, 100}), 1);
  EXPECT_DOUBLE_EQ(ScaleOnPaper({1570, 100}), 0.5) << "turned";
}

TEST(Drawing, AttentionIsSaidInTheWordsOfTheProgram) {
  const auto program = ProgramIn("transformer");
  const Model model =
      Describe(*frontend::EntryNamed(*program, "train").graph, &program->words, "", Depth::Modules, false);
  std::vector<std::string> said;
  for (const Box& box : model.boxes)
    if (box.kind == Kind::Attention) said.push_back(box.label + ", " + box.detail);
  std::sort(said.begin(), said.end());
  EXPECT_EQ(said, (std::vector<std::string>{
                      "att  Attention, heads 8, key 64\nover src': every position\n1.0 M parameters",
                      "att  Attention, heads 8, key 64\nover tgt' where tgt' \u2264 tgt\n1.0 M parameters",
                      "cross  Attention, heads 8, key 64\nover src: every position\n1.0 M parameters"}));
}

TEST(Drawing, ALayoutThatTakesTooLongIsGivenUp) {
  const test::TemporaryFolder folder;
  test::WriteBytes(folder / "dot", "#!/bin/sh\nexec sleep 60\n");
  std::filesystem::permissions(folder / "dot", std::filesystem::perms::owner_all);
  const std::string path = std::getenv("PATH");
  setenv("PATH", ((folder / "") + ":" + path).c_str(), 1);
  Model model = Everything(Stack(2), false);
  const auto start = std::chrono::steady_clock::now();
  const Result<Layout> layout = LayOut(model, 2);
  setenv("PATH", path.c_str(), 1);
  ASSERT_FALSE(layout);
  EXPECT_NE(layout.error().message.find("too large to be laid out in 2 seconds"), std::string::npos)
      << layout.error().message;
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

// ---- Colours

double Luminance(std::string_view colour) {
  const auto part = [&](size_t at) {
    const double value = std::stoi(std::string(colour.substr(at, 2)), nullptr, 16) / 255.0;
    return value <= 0.04045 ? value / 12.92 : std::pow((value + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5);
}

/// As WCAG 2 defines it.
double Contrast(std::string_view a, std::string_view b) {
  const double one = Luminance(a), two = Luminance(b);
  return (std::max(one, two) + 0.05) / (std::min(one, two) + 0.05);
}

TEST(Drawing, LettersAndLinesStandOutInBothThemes) {
  const Colour &ink = ColourOf("ink"), &soft = ColourOf("soft");
  for (const Colour& ground : Colours()) {
    const bool line = ground.role == "line" || ground.role == "gradient" || ground.role == "saved";
    if (line || ground.role == "ink" || ground.role == "soft") continue;
    EXPECT_GE(Contrast(ink.light, ground.light), 4.5) << ground.role;
    EXPECT_GE(Contrast(ink.dark, ground.dark), 4.5) << ground.role;
    if (ground.role.starts_with("heat") || ground.role == "cold") continue;  // has no pale letters
    EXPECT_GE(Contrast(soft.light, ground.light), 4.5) << ground.role;
    EXPECT_GE(Contrast(soft.dark, ground.dark), 4.5) << ground.role;
  }
  for (std::string_view role : {"line", "gradient", "saved"})
    for (std::string_view ground : {"page", "open"}) {
      EXPECT_GE(Contrast(ColourOf(role).light, ColourOf(ground).light), 3) << role;
      EXPECT_GE(Contrast(ColourOf(role).dark, ColourOf(ground).dark), 3) << role;
    }
}

TEST(Drawing, HotterIsFurtherFromThePageWhoeverLooks) {
  const Colour* before = &ColourOf("cold");
  for (const HeatStep& step : HeatSteps()) {
    const Colour& colour = ColourOf(step.role);
    EXPECT_LT(Luminance(colour.light), Luminance(before->light)) << step.role;
    EXPECT_GT(Luminance(colour.dark), Luminance(before->dark)) << step.role;
    EXPECT_GE(Contrast(colour.light, before->light), 1.1) << step.role;
    EXPECT_GE(Contrast(colour.dark, before->dark), 1.1) << step.role;
    before = &colour;
  }
}

}  // namespace
}  // namespace heed::drawing
