// Which attention is chosen by name and number, what the maps hold, and that the picture is well-formed
// whatever the words are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/commands/attention_page.h"
#include "runtime/commands/attention_svg.h"
#include "tests/support/xml_checker.h"

namespace heed {
namespace {

using test::XmlChecker;

// enc.0.att and enc.1.att: [batch, kv=2, rep=3, src, src']; dec.0.cross: [batch, tgt, src]; pool: [batch,
// src];
// @12:7: [batch, side=2, src, tgt, src']
const HeedDim kEncoder[] = {{"batch", 0, 0}, {"kv", -1, 2}, {"rep", -1, 3}, {"src", 1, 9}, {"src'", 1, 9}};
const HeedDim kCross[] = {{"batch", 0, 0}, {"tgt", 2, 9}, {"src", 1, 9}};
const HeedDim kPool[] = {{"batch", 0, 0}, {"src", 1, 9}};
const HeedDim kThree[] = {{"batch", 0, 0}, {"side", -1, 2}, {"src", 1, 9}, {"tgt", 2, 9}, {"src'", 1, 9}};
const HeedTensorInfo kOutputs[] = {{"w.enc.0.att[src']", kHeedFloat32, 5, kEncoder},
                                   {"w.enc.1.att[src']", kHeedFloat32, 5, kEncoder},
                                   {"w.dec.0.cross[src]", kHeedFloat32, 3, kCross},
                                   {"w.pool[src]", kHeedFloat32, 2, kPool},
                                   {"w.@12:7[src']", kHeedFloat32, 5, kThree}};
HeedFunction Weights() {
  HeedFunction function{};
  function.output_count = 5;
  function.outputs = kOutputs;
  return function;
}
const char* const kSides[] = {"left", "right"};
const HeedAxis kAxes[] = {{"kv", 0, 2, 0, nullptr},
                          {"rep", 0, 3, 0, nullptr},
                          {"side", 0, 2, 2, kSides},
                          {"src", 1, 9, 0, nullptr},
                          {"tgt", 1, 9, 0, nullptr}};
HeedProgram Program() {
  HeedProgram program{};
  program.axis_count = 5;
  program.axes = kAxes;
  return program;
}

NumberList List(const std::string& text) {
  const auto list = NumberList::Parse(text);
  EXPECT_TRUE(list) << text;
  return list.value_or(NumberList());
}

std::vector<std::string> Chosen(const AttentionChoice& choice) {
  const HeedFunction function = Weights();
  const auto sites = ChooseSites(AttentionSites(function), choice);
  std::vector<std::string> names;
  if (sites)
    for (const AttentionSite& site : *sites) names.push_back(site.name);
  else
    names.push_back(sites.error().message);
  return names;
}
using Names = std::vector<std::string>;

TEST(NumberList, ReadsNumbersAndRanges) {
  const NumberList list = List("0,2-4,7");
  for (const int64_t in : {0, 2, 3, 4, 7}) EXPECT_TRUE(list.Has(in)) << in;
  for (const int64_t out : {1, 5, 6, 8}) EXPECT_FALSE(list.Has(out)) << out;
  EXPECT_FALSE(list.Beyond(8));
  EXPECT_EQ(list.Beyond(7), 7);
  EXPECT_EQ(list.Beyond(3), 3);
  EXPECT_TRUE(NumberList().Has(17));
  EXPECT_FALSE(NumberList().Beyond(0));
  for (const char* bad :
       {"", ",", "1,", "-1", "1-", "3-1", "1 ", "x", "1-2-3", "1.5", "99999999999999999999"})
    EXPECT_FALSE(NumberList::Parse(bad)) << bad;
}

TEST(AttentionSites, AreReadOffTheOutputs) {
  const HeedFunction function = Weights();
  const std::vector<AttentionSite> sites = AttentionSites(function);
  ASSERT_EQ(sites.size(), 5u);
  EXPECT_EQ(sites[1].name, "enc.1.att");
  EXPECT_EQ(sites[1].layer, 1);
  EXPECT_EQ(sites[1].head_count, 6);
  EXPECT_EQ(sites[1].query, "src");
  EXPECT_EQ(sites[1].key, "src'");
  EXPECT_EQ(sites[2].head_count, 1);
  EXPECT_EQ(sites[3].query, "");
  EXPECT_EQ(sites[3].layer, -1);
  EXPECT_EQ(sites[4].layer, -1);  // 12 is a line, not a layer
  EXPECT_EQ(sites[4].query, "tgt");
  EXPECT_EQ(sites[4].heads.size(), 2u);
}

TEST(AttentionSites, AreChosenByNameLayerAndHead) {
  EXPECT_EQ(Chosen({}).size(), 5u);
  EXPECT_EQ(Chosen({.sites = "enc.*.att"}), (Names{"enc.0.att", "enc.1.att"}));
  EXPECT_EQ(Chosen({.sites = "*", .layers = List("0")}), (Names{"enc.0.att", "dec.0.cross"}));
  EXPECT_EQ(Chosen({.heads = List("5")}), (Names{"enc.0.att", "enc.1.att"}));
  EXPECT_EQ(Chosen({.sites = "[", .layers = {}}),
            Names{"no attention is called `[`; there are enc.0.att, enc.1.att, dec.0.cross, pool, @12:7"});
  EXPECT_EQ(Chosen({.sites = "enc.0.at"}),
            Names{"no attention is called `enc.0.at`; did you mean `enc.0.att`?"});
  EXPECT_EQ(Chosen({.layers = List("0,3-5")}), Names{"there is no layer 3; there are 0, 1"});
  EXPECT_EQ(Chosen({.sites = "pool", .layers = List("0")}),
            Names{"--layers: the attention of this program is in no numbered layer"});
  EXPECT_EQ(Chosen({.heads = List("6")}), Names{"there is no head 6; they are 0 to 5"});
  EXPECT_EQ(Chosen({.sites = "pool", .heads = List("1")}), Names{"there is no head 1; there is one, 0"});
}

/// A tensor whose elements are their numbers.
HostTensor Counted(const std::vector<int64_t>& shape) {
  HostTensor tensor(kHeedFloat32, shape);
  float number = 0;
  for (float& value : tensor.floats()) value = number++;
  return tensor;
}

TEST(AttentionMaps, HoldEveryHead) {
  const HeedFunction function = Weights();
  const HeedProgram program = Program();
  const std::vector<AttentionSite> sites = AttentionSites(function);
  const std::map<std::string, HostTensor> results = {{"w.enc.0.att[src']", Counted({1, 2, 3, 2, 2})},
                                                     {"w.enc.1.att[src']", Counted({1, 2, 3, 2, 2})},
                                                     {"w.dec.0.cross[src]", Counted({1, 3, 2})},
                                                     {"w.pool[src]", Counted({1, 2})},
                                                     {"w.@12:7[src']", Counted({1, 2, 2, 3, 2})}};
  const AxisLabels labels = {{"src", {"the", "cat"}}, {"tgt", {"<s>", "le", "chat"}}};
  const auto maps = AttentionMaps(program, sites, {}, results, labels);
  ASSERT_EQ(maps.size(), 6u + 6 + 1 + 1 + 4);
  EXPECT_EQ(maps[4].title, "enc.0.att head 4 (kv 1, rep 1)");
  EXPECT_EQ(maps[4].head, 4);
  EXPECT_EQ(maps[4].rows, (Names{"the", "cat"}));
  EXPECT_EQ(maps[4].weights, (std::vector<float>{16, 17, 18, 19}));
  EXPECT_EQ(maps[12].title, "dec.0.cross");
  EXPECT_EQ(maps[12].rows, (Names{"<s>", "le", "chat"}));
  EXPECT_EQ(maps[12].columns, (Names{"the", "cat"}));
  EXPECT_EQ(maps[12].weights, (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(maps[13].rows, Names{""});
  EXPECT_EQ(maps[15].title, "@12:7 head 0 (side left, src cat)");
  EXPECT_EQ(maps[16].head, 1);
  EXPECT_EQ(maps[16].weights, (std::vector<float>{12, 13, 14, 15, 16, 17}));
  EXPECT_EQ(AttentionMaps(program, sites, List("5"), results, labels).size(), 2u);

  AttentionMap part = maps[12];
  KeepOnly(part, List("1-2"), List("0"));
  EXPECT_EQ(part.rows, (Names{"le", "chat"}));
  EXPECT_EQ(part.columns, Names{"the"});
  EXPECT_EQ(part.weights, (std::vector<float>{2, 4}));
  part = maps[12];
  HideOthers(part, List("2"), {});
  EXPECT_EQ(part.rows.size(), 3u);
  EXPECT_EQ(part.weights, (std::vector<float>{0, 0, 0, 0, 4, 5}));
}

TEST(AttentionSvg, TheCheckerFindsWhatIsWrong) {
  EXPECT_EQ(XmlChecker("<?xml version=\"1.0\"?>\n<a x=\"1\"><b/>t &lt;</a>\n").Check(), "");
  for (const char* bad : {"<a>", "<a></b>", "<a x=1></a>", "<a x=\"1\" x=\"2\"/>", "<a>&</a>", "<a>& b;</a>",
                          "<a x=\"<\"/>", "<a>\x01</a>", "<a>\xff</a>", "text", "<a/>text"})
    EXPECT_NE(XmlChecker(bad).Check(), "") << bad;
}

AttentionMap Map(const std::string& site, size_t rows, size_t columns, const Names& names) {
  AttentionMap map;
  map.site = map.title = site;
  map.query = "tgt";
  map.key = "src";
  for (size_t r = 0; r < rows; ++r) map.rows.push_back(names[r % names.size()]);
  for (size_t c = 0; c < columns; ++c) map.columns.push_back(names[(c + 1) % names.size()]);
  for (size_t i = 0; i < rows * columns; ++i)
    map.weights.push_back(i % 3 == 0 ? 0.0f : static_cast<float>(i % 11) / 10);
  return map;
}

TEST(AttentionSvg, IsWellFormedWhateverTheWords) {
  const Names hostile = {
      "<b>",      "a&b",    "\"'",  "]]>", "</text>", "&#0;", std::string("\x01\x1f\x7f", 3),
      "\xff\xfe", "\uFFFE", "<!--", "-->", "猫",      "",     std::string(500, 'w'),
      "\u202E",   "<?x ?>"};
  for (const AttentionStyle style : {AttentionStyle::Heat, AttentionStyle::Lines}) {
    for (const size_t size : {1, 6, 17, 60, 200}) {
      std::vector<AttentionMap> maps = {Map("<s> & \"t\"", size, size + 3, hostile),
                                        Map("x", 1, size, hostile), Map("x", size, 1, hostile)};
      XmlChecker checker(AttentionSvg(maps, style));
      EXPECT_EQ(checker.Check(), "") << size;
      EXPECT_GT(checker.elements(), static_cast<int>(2 * size));
    }
  }
}

size_t CountOf(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) ++count;
  return count;
}

TEST(AttentionSvg, DrawsWhatIsThereAndNothingElse) {
  AttentionMap map = Map("att", 2, 3, {"a", "b"});
  map.weights = {0, 1, 0.5, 0, 0.0001f, NAN};
  const std::string heat = AttentionSvg(std::span(&map, 1), AttentionStyle::Heat);
  // Three cells, of the strengths of 1, 0.5 and next to nothing; what is masked, or not a number, has none.
  EXPECT_EQ(CountOf(heat, "class=\"cell\""), 3u);
  EXPECT_EQ(CountOf(heat, "class=\"cell-value\""), 3u);
  EXPECT_EQ(CountOf(heat, "h-20z"), 6u);
  EXPECT_NE(heat.find("<title>a \xE2\x86\x92 a: 1</title>"), std::string::npos) << heat;
  EXPECT_NE(heat.find("fill-opacity=\"1.00\""), std::string::npos);
  EXPECT_NE(heat.find("fill-opacity=\"0.50\""), std::string::npos);
  EXPECT_NE(heat.find("fill-opacity=\"0.02\""), std::string::npos);
  const std::string lines = AttentionSvg(std::span(&map, 1), AttentionStyle::Lines);
  EXPECT_EQ(CountOf(lines, "class=\"line\""), 2u);
  EXPECT_EQ(CountOf(lines, "class=\"line-value\""), 2u);
  EXPECT_NE(lines.find("att<tspan"), std::string::npos);
  EXPECT_NE(lines.find("prefers-color-scheme: dark"), std::string::npos);
}

/// The corners of panels, from their translations.
std::vector<std::pair<double, double>> Corners(const std::string& svg) {
  std::vector<std::pair<double, double>> corners;
  for (size_t at = 0; (at = svg.find("translate(", at)) != std::string::npos; ++at) {
    double x = 0, y = 0;
    EXPECT_EQ(std::sscanf(svg.c_str() + at, "translate(%lf,%lf)", &x, &y), 2);
    corners.emplace_back(x, y);
  }
  return corners;
}

TEST(AttentionSvg, PutsHeadsOfASiteSideBySide) {
  std::vector<AttentionMap> maps;
  for (const char* site : {"one", "one", "two", "two"}) maps.push_back(Map(site, 6, 6, {"the", "cat"}));
  auto corners = Corners(AttentionSvg(maps, AttentionStyle::Heat));
  ASSERT_EQ(corners.size(), 4u);
  EXPECT_EQ(corners[0].second, corners[1].second);
  EXPECT_LT(corners[0].first, corners[1].first);
  EXPECT_LT(corners[1].second, corners[2].second);
  EXPECT_EQ(corners[2].first, corners[0].first);
  // Also where their names differ in length: columns of weights stand in line.
  const auto frames = [](const std::string& svg) {
    std::vector<double> lefts;
    for (size_t at = 0; (at = svg.find("class=\"frame\" x=", at)) != std::string::npos; ++at)
      lefts.push_back(std::atof(svg.c_str() + at + 17));
    return lefts;
  };
  maps.push_back(Map("three", 6, 9, {"a", "very-long-name"}));
  maps.push_back(Map("three", 6, 9, {"a", "very-long-name"}));
  const std::string mixed = AttentionSvg(maps, AttentionStyle::Heat);
  corners = Corners(mixed);
  ASSERT_EQ(corners.size(), 6u);
  for (const size_t i : {2, 3, 4, 5}) EXPECT_EQ(corners[i].first, corners[i - 2].first) << i;
  const std::vector<double> lefts = frames(mixed);
  ASSERT_EQ(lefts.size(), 6u);
  for (const double left : lefts) EXPECT_EQ(left, lefts[0]);
  // Many do not make the page any wider, and are not pointed at.
  maps.assign(40, Map("one", 60, 60, {"the", "cat"}));
  const std::string many = AttentionSvg(maps, AttentionStyle::Heat);
  for (const auto& [x, y] : Corners(many)) EXPECT_LT(x, 1500);
  EXPECT_EQ(CountOf(many, "cell-value\""), 0u);
}

TEST(AttentionPage, HoldsEveryMapOnce) {
  const std::string hostile = "</script><b>&\xff";
  AttentionMap map = Map("enc.0.att", 2, 3, {"a", hostile});
  map.weights = {0, 1, 0.5, 0.0000001f, NAN, 2};
  AttentionMap other = map;
  other.title = "enc.0.att head 1";
  const std::string page = AttentionPage(std::vector{map, other, map});
  const std::string begin = "type=\"application/json\">";
  const size_t from = page.find(begin) + begin.size();
  const auto json = nlohmann::json::parse(page.substr(from, page.find("</script>", from) - from));
  ASSERT_EQ(json["maps"].size(), 3u);
  EXPECT_EQ(json["names"], (nlohmann::json{{"a", "</script><b>&\uFFFD"},
                                           {"</script><b>&\uFFFD", "a", "</script><b>&\uFFFD"}}));
  EXPECT_EQ(json["maps"][1]["columns"], 1);
  EXPECT_EQ(json["maps"][1]["text"], 0);
  EXPECT_EQ(json["maps"][2]["text"], 1);  // its title comes again
  // 0, 65535, 32768, 1, 0, 65535 as 16 bits each.
  EXPECT_EQ(json["maps"][0]["weights"], "AAD//wCAAQAAAP//");
  EXPECT_NE(page.find("default-src 'none'"), std::string::npos);
}

}  // namespace
}  // namespace heed
