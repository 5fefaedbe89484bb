// Pages: what is in them is what was drawn, they need nothing from elsewhere, and what passes did is told
// right.
#include "frontend/drawing/page.h"

#include <nlohmann/json.hpp>
#include <regex>

#include "frontend/drawing/changes.h"
#include "passes/pass.h"
#include "tests/support/paths.h"
#include "tests/support/program_support.h"

namespace heed::drawing {
namespace {

using Json = nlohmann::json;

Box Saying(const std::string& label, int module, Kind kind = Kind::Pointwise) {
  return {.module = module, .kind = kind, .label = label, .place = "here:1:1"};
}

/// The whole, and two modules in it.
Model WithBoxes(std::vector<Box> boxes) {
  Model model;
  model.modules = {{}, {.parent = 0, .name = "one"}, {.parent = 0, .name = "two"}};
  model.boxes = std::move(boxes);
  return model;
}

TEST(Changes, AreNewMovedAndGone) {
  const Model before =
      WithBoxes({Saying("stays", 1), Saying("goes", 1), Saying("moves", 1), Saying("twice", 1)});
  const Model after = WithBoxes(
      {Saying("moves", 2), Saying("comes", 1), Saying("stays", 1), Saying("twice", 2), Saying("twice", 1)});
  const Changes changes = ChangesOf(before, after);
  EXPECT_EQ(changes.boxes,
            (std::vector<Change>{Change::Moved, Change::New, Change::None, Change::New, Change::None}));
  EXPECT_EQ(changes.gone, std::vector<int>{1});
}

TEST(Changes, AnAttentionIsFusedOfWhatWent) {
  const Model before = WithBoxes({Saying("scores", 1), Saying("softmax", 1), Saying("rest", 2)});
  const Model fused = WithBoxes({Saying("attention", 1, Kind::Attention), Saying("rest", 2)});
  EXPECT_EQ(ChangesOf(before, fused).boxes, (std::vector<Change>{Change::Fused, Change::None}));
  const Model elsewhere =
      WithBoxes({Saying("scores", 1), Saying("softmax", 1), Saying("attention", 2, Kind::Attention)});
  EXPECT_EQ(ChangesOf(before, elsewhere).boxes.back(), Change::New) << "nothing went from there";
}

/// What stands in the script with an id.
std::string Script(const std::string& page, const std::string& id) {
  const size_t at = page.find("<script id=\"" + id + "\""), begin = page.find('>', at) + 1;
  return page.substr(begin, page.find("</script", begin) - begin);
}

/// A page of a model with one box; skips where Heed was built without dagre.
Result<std::string> Small(const std::string& title, const std::string& label, const std::string& source) {
  return Page(title, {{"entry", {{"program", "", WithBoxes({Saying(label, 1)})}}}}, {{"here", source}});
}

TEST(Page, TextsCannotLeaveTheirPlaces) {
  const std::string evil = "</script><script>alert(1)</script><!-- @GRAPH@ \"quoted\" \xff";
  const Result<std::string> page = Small(evil, evil, evil);
  if (!page) GTEST_SKIP() << page.error().message;
  EXPECT_EQ(page->find("<script>alert"), page->npos);
  const Json all = Json::parse(Script(*page, "graph"));
  EXPECT_EQ(all["sources"][0]["text"], evil.substr(0, evil.size() - 1) + "\ufffd");
  EXPECT_EQ(all["graphs"][0]["tabs"][0]["model"]["boxes"][0]["label"], all["sources"][0]["text"]);
}

TEST(Page, NeedsNothingFromElsewhere) {
  const Result<std::string> page = Small("small.heed", "x", "entry");
  if (!page) GTEST_SKIP() << page.error().message;
  EXPECT_NE(page->find("default-src 'none'"), page->npos);
  for (const char* loads : {"<link", "<img", "<iframe", " src=", " href=", "@import", "url(http", "fetch("})
    EXPECT_EQ(page->find(loads), page->npos) << loads;
  const std::string notices = Script(*page, "notices");
  for (const char* package : {"node-dagre-layout", "node-graphlibrary", "node-lodash"})
    EXPECT_NE(notices.find(package), notices.npos) << package;
  // Colours that scripts and styles name.
  const std::regex variable("var\\(--([a-z]+)\\)");
  for (std::sregex_iterator at(page->begin(), page->end(), variable), end; at != end; ++at)
    EXPECT_NE(page->find("--" + (*at)[1].str() + ": "), page->npos) << (*at)[1];
}

TEST(Page, HoldsWhatWasDrawn) {
  frontend::Diagnostics diagnostics;
  const std::string path = test::Source("examples/gpt2.heed");
  const auto program =
      frontend::Compile(std::make_unique<frontend::SourceFile>(path, frontend::Read(path)), {}, diagnostics);
  ASSERT_TRUE(program) << diagnostics.Render(false);
  const frontend::Entry& entry = frontend::EntryNamed(*program, "train");
  const ir::Graph after = passes::RunPipeline(*entry.graph, ir::Variant::Train, {});
  PageGraph drawn{"train", {}};
  for (const ir::Graph* graph : {entry.graph.get(), &after})
    drawn.tabs.push_back({"tab", "", Describe(*graph, &program->words, "train", Depth::Ops, false)});
  const Result<std::string> page = Page("gpt2.heed", {drawn}, {});
  if (!page) GTEST_SKIP() << page.error().message;
  const Json all = Json::parse(Script(*page, "graph"));
  for (size_t i = 0; i < 2; ++i) {
    const Json& json = all["graphs"][0]["tabs"][i]["model"];
    const Model& model = drawn.tabs[i].model;
    ASSERT_EQ(json["boxes"].size(), model.boxes.size());
    ASSERT_EQ(json["modules"].size(), model.modules.size());
    ASSERT_EQ(json["wires"].size(), model.wires.size());
    for (size_t box = 0; box < model.boxes.size(); ++box) {
      EXPECT_EQ(json["boxes"][box]["label"], model.boxes[box].label);
      EXPECT_EQ(json["boxes"][box]["module"], model.boxes[box].module);
    }
  }
  const Json& changed = all["graphs"][0]["tabs"][1]["model"];
  EXPECT_GT(changed["gone"].size(), 0u);
  EXPECT_TRUE(std::any_of(changed["boxes"].begin(), changed["boxes"].end(),
                          [](const Json& box) { return box.contains("change"); }));
}

}  // namespace
}  // namespace heed::drawing
