// Heat in drawings: profiles are read with care, every step's time is in exactly one box at every depth, and
// colours and words say how much it is.
#include <nlohmann/json.hpp>

#include "frontend/drawing/dot.h"
#include "frontend/drawing/page.h"
#include "frontend/drawing/profile.h"
#include "frontend/drawing/svg.h"
#include "frontend/drawing/theme.h"
#include "ir/op.h"
#include "passes/pass.h"
#include "tests/support/program_support.h"

namespace heed::drawing {
namespace {

using Json = nlohmann::json;

constexpr const char* kProgram = R"(axis a = 4, seq <= 8, layer = 3
module Layer(x[a]) -> [a] {
  param W[a, a'] ~ normal(0, 1)
  softmax[a](tanh(W @a' x[a -> a']))
}
module Net(x[a]) -> [a] {
  part h[layer] = Layer
  for l in layer { x = h[l](x) }
  x
}
part net = Net
entry score(x[seq, a]) = net(x)
)";

Json Step(const std::string& op, const std::string& instance, const std::string& where, double ns) {
  const Json origin = {{"op", op}, {"instance", instance}, {"where", where}, {"gradient", false}};
  return {{"origins", {origin}},  {"result", 0},          {"ns", ns},
          {"flops", 1000.0 * ns}, {"bytes_read", 3 * ns}, {"bytes_written", ns}};
}

Json ProfileWith(const Json& steps, double ns = 1e6) {
  return {{"heed_profile", 1},
          {"set", {{"layer", 3}}},
          {"peak_flops", 1e12},
          {"peak_bytes", 1e10},
          {"functions", {{{"name", "forward/score"}, {"calls", 2}, {"ns", ns}, {"steps", steps}}}}};
}

ProfiledFunction FunctionWith(const Json& steps) {
  const Result<MeasuredProfile> profile = ReadProfile(ProfileWith(steps).dump());
  EXPECT_TRUE(profile) << profile.error().message;
  return profile ? profile->functions.at(0) : ProfiledFunction{};
}

TEST(ReadProfile, TakesWhatProgramsWrite) {
  Json json = ProfileWith(Json::array({Step("tanh", "h.1", "p.heed:4:14", 5000)}));
  json["traceEvents"] = Json::array({{{"ph", "X"}, {"args", {{"step", 0}}}}});
  const Result<MeasuredProfile> profile = ReadProfile(json.dump());
  ASSERT_TRUE(profile) << profile.error().message;
  EXPECT_EQ(profile->set, (std::vector<std::pair<std::string, double>>{{"layer", 3}}));
  const ProfiledFunction& function = profile->functions.at(0);
  EXPECT_EQ(function.variant + " " + function.entry, "forward score");
  EXPECT_EQ(function.scale.calls, 2);
  const ProfiledStep& step = function.steps.at(0);
  EXPECT_EQ(step.op + " " + step.instance + " " + step.where, "tanh h.1 p.heed:4:14");
  EXPECT_EQ(step.work.bytes, 20000) << "read and written";
}

TEST(ReadProfile, SaysWhatIsWrong) {
  const auto said = [](const std::string& text) {
    const Result<MeasuredProfile> profile = ReadProfile(text);
    return profile ? std::string("nothing") : profile.error().message;
  };
  const auto changed = [&](const std::string& pointer, const Json& value) {
    Json json = ProfileWith(Json::array({Step("tanh", "h.1", "p.heed:4:14", 5000)}));
    json[Json::json_pointer(pointer)] = value;
    return said(json.dump());
  };
  const auto expect = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), text.npos) << text << "\nlacks: " << part;
  };
  expect(said("{"), "is no JSON: line 1");
  expect(said("[1, 2]"), "is no profile");
  expect(said(std::string(100'000, '[')), "is no profile");
  expect(said("{\"traceEvents\": []}"), "is no profile");
  expect(changed("/heed_profile", 2), "another version");
  expect(changed("/set", 7), "the profile has a `set` that is not an object");
  expect(changed("/set/layer", "x"), "sets `layer`");
  expect(changed("/set", {{"\x1b[31m", 1}}), "sets what is no name");
  expect(changed("/functions/0/name", "train/\x1b[31m"), "`name` with control characters");
  expect(changed("/functions", Json::array()), "no function with calls that count");
  expect(changed("/functions/0/calls", 0), "no function with calls that count");
  expect(changed("/functions/0/calls", -1), "impossible `calls`");
  expect(changed("/functions/0/name", "train"), "VARIANT/ENTRY");
  expect(changed("/functions/0/steps/0", 3), "function 0, step 0 is no object");
  expect(changed("/functions/0/steps/0/ns", "long"), "function 0, step 0 has a `ns` that is not a number");
  expect(changed("/functions/0/steps/0/ns", 2e6), "takes less time than its steps");
  expect(changed("/functions/0/steps/0/result", 1), "no origin of its result");
  expect(changed("/functions/0/steps/0/result", 1e300), "no origin of its result");
  expect(changed("/functions/0/steps/0/origins", Json::array()), "no origin of its result");
  expect(changed("/functions/0/steps/0/origins/0", nullptr), "is no object");
  Json lacking = ProfileWith(Json::array());
  lacking.erase("set");
  expect(said(lacking.dump()), "lacks `set`");
}

class Measured : public testing::Test {
 protected:
  void SetUp() override {
    compiled_ = frontend::CompileText(kProgram, {}, "p.heed");
    ASSERT_TRUE(compiled_->program) << compiled_->text();
    const frontend::Entry& entry = frontend::EntryNamed(*compiled_->program, "score");
    graph_ = passes::RunPipeline(*entry.graph, ir::Variant::Forward, {});
  }
  /// The place of an op of an instance.
  std::string Where(const std::string& op, const std::string& instance) const {
    for (const ir::NodeId id : graph_.Order())
      if (ir::Info(graph_.op(id)).name == op && graph_[id].origin.instance == instance)
        return graph_[id].origin.where.Text();
    ADD_FAILURE() << "no " << op << " in " << instance;
    return "";
  }
  Model Drawn(const Json& steps, Depth depth, bool unroll = false) const {
    const Result<MeasuredGraph> measured = Measure(graph_, FunctionWith(steps));
    EXPECT_TRUE(measured) << measured.error().message;
    return Describe(graph_, &compiled_->program->words, "score", depth, unroll, &*measured);
  }

  std::unique_ptr<frontend::Compiled> compiled_;
  ir::Graph graph_{std::make_shared<ir::AxisTable>()};
};

TEST_F(Measured, LayersAddUp) {
  Json steps;
  for (const int layer : {0, 1, 2}) {
    const std::string path = "h." + std::to_string(layer);
    steps.push_back(Step("contract", path, Where("contract", path), 1e5 * (layer + 1)));
    // Plans take a softmax apart: its maximum has its place.
    steps.push_back(Step("max", path, Where("softmax", path), 1e4));
  }
  const Model folded = Drawn(steps, Depth::Ops);
  ASSERT_TRUE(folded.scale);
  std::map<std::string, std::string> shares;
  for (const Box& box : folded.boxes)
    if (box.work.nanoseconds > 0) shares[box.label] = ShareText(box.work, *folded.scale);
  ASSERT_EQ(shares.size(), 2u);
  for (const auto& [label, share] : shares)
    EXPECT_EQ(share, label.starts_with("softmax") ? "3.0 %" : "60.0 %") << label;
  EXPECT_NE(TitleOf(folded, 1).find("\u00d7 3"), std::string::npos) << TitleOf(folded, 1);
  EXPECT_TRUE(TitleOf(folded, 1).ends_with(", 63.0 %")) << TitleOf(folded, 1);
  const Model unrolled = Drawn(steps, Depth::Ops, true);
  for (size_t i = 0; i < unrolled.modules.size(); ++i)
    if (unrolled.modules[i].path == "h.1")
      EXPECT_EQ(ShareText(WorkIn(unrolled, static_cast<int>(i)), *unrolled.scale), "21.0 %");
}

TEST_F(Measured, WordsSayHowMuch) {
  const Json step = Step("contract", "h.1", Where("contract", "h.1"), 123'000);
  const Model model = Drawn(Json::array({step}), Depth::Ops);
  const auto box = std::find_if(model.boxes.begin(), model.boxes.end(),
                                [](const Box& each) { return each.work.nanoseconds > 0; });
  ASSERT_NE(box, model.boxes.end());
  EXPECT_EQ(WorkText(box->work, *model.scale),
            "12.3 % of the time, 0.061 ms a call; 61.5 MFLOP a call: 1.00 TFLOP/s, 100 % of peak; 246 kB a "
            "call: 4.00 GB/s, 40 % of peak");
  EXPECT_EQ(RoleOf(model, *box), "heat4");
  EXPECT_EQ(CallsText(*model.scale), "2 calls of 0.500 ms");
  const std::string dot = Dot({model});
  EXPECT_NE(dot.find(ColourOf("heat4").light), dot.npos);
  const Result<std::string> page = Page("p.heed", {{"score", {{"cse", "", model}}}}, {});
  if (!page) GTEST_SKIP() << page.error().message;
  EXPECT_NE(page->find("\"heat\":\"heat4\",\"share\":\"12.3 %\""), page->npos);
  EXPECT_NE(page->find("below 1 % of the time"), page->npos) << "the scale is in the legend";
}

TEST_F(Measured, WhatIsOfAnotherProgramIsRefused) {
  const auto said = [&](const Json& step) {
    const Result<MeasuredGraph> measured = Measure(graph_, FunctionWith(Json::array({step})));
    return measured ? std::string("nothing") : measured.error().message;
  };
  const std::string where = Where("contract", "h.1");
  EXPECT_EQ(said(Step("anything", "h.1", where, 1)), "nothing") << "the place is enough";
  const std::string other = said(Step("contract", "h.7", where, 1));
  EXPECT_NE(other.find("`contract` at p.heed:4:"), other.npos) << other;
  EXPECT_NE(other.find("in `h.7`"), other.npos) << other;
  EXPECT_NE(other.find("another program"), other.npos) << other;
  EXPECT_NE(said(Step("contract", "h.1", "q.heed:4:3", 1)), "nothing");
}

/// Every value as a step of its own: nothing may be lost or counted twice, however much is closed.
TEST(Heat, IsInOneBoxAtEveryDepth) {
  for (const char* const name : {"transformer", "gpt2"}) {
    frontend::Diagnostics diagnostics;
    const std::string path = test::Source("examples/" + std::string(name) + ".heed");
    const auto program = frontend::Compile(std::make_unique<frontend::SourceFile>(path, frontend::Read(path)),
                                           {}, diagnostics);
    ASSERT_TRUE(program) << diagnostics.Render(false);
    const frontend::Entry& entry = frontend::EntryNamed(*program, "train");
    const ir::Graph graph = passes::RunPipeline(*entry.graph, ir::Variant::Train, {});
    ProfiledFunction function{"train", "train", {.calls = 1}, {}};
    for (const ir::NodeId id : graph.Order()) {
      const ir::Node& node = graph[id];
      if (ir::Info(node.op).family == ir::Family::Leaf) continue;  // no step is made for it
      function.steps.push_back({std::string(ir::Info(node.op).name),
                                node.origin.instance,
                                node.origin.where.Text(),
                                node.adjoint,
                                {1, 2, 3}});
      ++function.scale.nanoseconds;
    }
    const Result<MeasuredGraph> measured = Measure(graph, function);
    ASSERT_TRUE(measured) << measured.error().message;
    for (const Depth depth : {Depth::Modules, Depth::One, Depth::Ops})
      for (const bool unroll : {false, true}) {
        const Model model = Describe(graph, &program->words, "", depth, unroll, &*measured);
        EXPECT_EQ(WorkIn(model, 0).nanoseconds, function.scale.nanoseconds)
            << name << " " << static_cast<int>(depth) << unroll;
        EXPECT_EQ(WorkIn(model, 0, true).bytes + WorkIn(model, 0, false).bytes,
                  3 * function.scale.nanoseconds);
      }
  }
}

}  // namespace
}  // namespace heed::drawing
