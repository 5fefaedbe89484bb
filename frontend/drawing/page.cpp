// See page.h.
#include "frontend/drawing/page.h"

#include <nlohmann/json.hpp>

#include "frontend/drawing/changes.h"
#include "frontend/drawing/close.h"
#include "frontend/drawing/layout.h"
#include "frontend/drawing/legend.h"
#include "frontend/drawing/theme.h"
#include "runtime/base/markup.h"

namespace heed::drawing {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPage =
#include "page.html.inc"
    ;
constexpr std::string_view kStyle =
#include "page.css.inc"
    ;
constexpr std::string_view kScripts[] = {
#include "page_graph.js.inc"
    ,
#include "page_layout.js.inc"
    ,
#include "page_drawing.js.inc"
    ,
#include "page_program.js.inc"
    ,
#include "page_legend.js.inc"
    ,
#include "page.js.inc"
};
constexpr std::string_view kDagre =
#include "dagre.min.js.inc"
    ;
constexpr std::string_view kNotices =
#include "page_notices.inc"
    ;

const char* WordFor(Wire::Kind kind) {
  switch (kind) {
    case Wire::Kind::Data:
      return "data";
    case Wire::Kind::Gradient:
      return "gradient";
    case Wire::Kind::Saved:
      return "saved";
    case Wire::Kind::Carried:
      return "carried";
  }
  return "data";
}

const char* WordFor(Change change) {
  switch (change) {
    case Change::None:
      return "";
    case Change::New:
      return "new";
    case Change::Fused:
      return "fused";
    case Change::Moved:
      return "moved";
  }
  return "";
}

/// What boxes and closed modules have in common.
Json JsonOf(const Model& model, const Box& box) {
  Json json = {{"kind", RoleOf(box.kind)}, {"gradient", box.gradient}, {"label", box.label}};
  if (model.scale) {
    json["heat"] = HeatRole(box.work, *model.scale);
    if (std::string share = ShareText(box.work, *model.scale); !share.empty()) {
      json["share"] = std::move(share);
      json["work"] = WorkText(box.work, *model.scale);
    }
  }
  if (!box.detail.empty()) json["detail"] = box.detail;
  if (!box.only.empty()) json["only"] = box.only;
  if (!box.tip.empty()) json["tip"] = box.tip;
  if (!box.place.empty()) json["place"] = box.place;
  return json;
}

Json ModulesOf(const Model& model) {
  Json modules = Json::array();
  for (size_t i = 0; i < model.modules.size(); ++i) {
    const Module& module = model.modules[i];
    Json& json = modules.emplace_back(Json{
        {"name", module.name}, {"parent", module.parent}, {"count", module.count}, {"place", module.place}});
    if (i == 0) continue;  // is always open and has no title
    const int number = static_cast<int>(i);
    json["title"] = TitleOf(model, number);
    if (model.scale) json["work"] = WorkText(WorkIn(model, number), *model.scale);
    for (const bool gradient : {false, true}) {
      Box closed = ClosedBox(model, number, gradient);
      closed.work = WorkIn(model, number, gradient);
      json[gradient ? "closedGradient" : "closed"] = JsonOf(model, closed);
    }
  }
  return modules;
}

Json BoxesOf(const Model& model, const Changes& changes) {
  Json boxes = Json::array();
  for (size_t i = 0; i < model.boxes.size(); ++i) {
    const Box& box = model.boxes[i];
    Json& json = boxes.emplace_back(JsonOf(model, box));
    json["module"] = box.module;
    if (box.pair >= 0) json["pair"] = box.pair;
    if (box.reference) json["reference"] = true;
    if (StaysOutside(box)) json["outside"] = true;
    if (!changes.boxes.empty() && changes.boxes[i] != Change::None)
      json["change"] = WordFor(changes.boxes[i]);
  }
  return boxes;
}

Json LegendJson(const Model& model) {
  Json legend = Json::array();
  for (const LegendEntry& entry : LegendOf(model)) {
    Json& json = legend.emplace_back(Json{{"text", entry.text}});
    if (entry.box) json.update({{"box", RoleOf(*entry.box)}, {"role", entry.role}});
    if (entry.wire) json["wire"] = WordFor(*entry.wire);
    if (entry.reference) json["reference"] = true;
  }
  return legend;
}

/// A model, and what changed in it since the one `before`, if there is one.
Json JsonOf(const Model& model, const Model* before) {
  const Changes changes = before != nullptr ? ChangesOf(*before, model) : Changes{};
  Json wires = Json::array();
  for (const Wire& wire : model.wires)
    wires.push_back({{"from", wire.from}, {"to", wire.to}, {"kind", WordFor(wire.kind)}});
  Json json = {{"modules", ModulesOf(model)},
               {"boxes", BoxesOf(model, changes)},
               {"wires", std::move(wires)},
               {"gone", changes.gone},
               {"legend", LegendJson(model)}};
  if (model.scale) json["measured"] = true;
  return json;
}

/// The colours of all drawings as variables of the page, and one for what is found or changed.
std::string Variables() {
  std::string light, dark;
  for (const Colour& colour : Colours()) {
    light += "--" + std::string(colour.role) + ": " + std::string(colour.light) + "; ";
    dark += "--" + std::string(colour.role) + ": " + std::string(colour.dark) + "; ";
  }
  return ":root { " + light + "--hit: #0b57d0 }\n@media (prefers-color-scheme: dark) { :root { " + dark +
         "--hit: #7cb3ff } }\n";
}

}  // namespace

Result<std::string> Page(const std::string& title, const std::vector<PageGraph>& graphs,
                         const std::vector<PageSource>& sources) {
  if (kDagre.empty()) {
    return Error{
        "pages need the library dagre, which was not there when Heed was built: install "
        "node-dagre-layout and build again, or draw an .svg"};
  }
  Json all = {{"graphs", Json::array()}, {"sources", Json::array()}};
  for (const PageGraph& graph : graphs) {
    Json tabs = Json::array();
    for (size_t i = 0; i < graph.tabs.size(); ++i) {
      const PageTab& tab = graph.tabs[i];
      tabs.push_back({{"name", tab.name},
                      {"says", tab.says},
                      {"model", JsonOf(tab.model, i > 0 ? &graph.tabs[i - 1].model : nullptr)}});
    }
    all["graphs"].push_back({{"title", graph.title}, {"tabs", std::move(tabs)}});
  }
  for (const PageSource& source : sources)
    all["sources"].push_back({{"name", source.name}, {"text", source.text}});
  std::string script;
  for (const std::string_view part : kScripts) script += part;
  return FillPage(kPage, {{"TITLE", EscapeMarkup(title)},
                          {"STYLE", Variables() + std::string(kStyle)},
                          {"DAGRE", std::string(kDagre)},
                          {"NOTICES", std::string(kNotices)},
                          {"GRAPH", ScriptData(all)},
                          {"SCRIPT", script}});
}

}  // namespace heed::drawing
