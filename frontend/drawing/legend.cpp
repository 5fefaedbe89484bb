// See legend.h.
#include "frontend/drawing/legend.h"

#include <algorithm>

#include "frontend/drawing/theme.h"

namespace heed::drawing {
namespace {

constexpr Kind kKinds[] = {Kind::Module, Kind::Attention, Kind::Parameter, Kind::Input,  Kind::Output,
                           Kind::Cache,  Kind::Product,   Kind::Pointwise, Kind::Reduce, Kind::Index,
                           Kind::Axes,   Kind::Random,    Kind::Sum};

std::string AxesText(const Model& model) {
  std::string text = "axes:";
  for (const AxisWords& axis : model.axes)
    text += (text.back() == ':' ? " " : ", ") + axis.name + (axis.size.empty() ? "" : " " + axis.size);
  return text;
}

LegendEntry Fact(std::string text) {
  LegendEntry entry{std::move(text)};
  entry.fact = true;
  return entry;
}

/// Kinds whose boxes look different without their colours.
bool HasShape(Kind kind) {
  return kind == Kind::Parameter || kind == Kind::Cache || kind == Kind::Input || kind == Kind::Output;
}

void AddHeat(std::vector<LegendEntry>& legend) {
  for (const HeatStep& step : HeatSteps())
    legend.push_back({std::string(step.words), Kind::Pointwise, step.role});
  legend.push_back({"no time of its own: computed with a box that has", Kind::Pointwise, "cold"});
}

}  // namespace

std::vector<LegendEntry> LegendOf(const Model& model) {
  std::vector<LegendEntry> legend;
  const auto any_box = [&](auto is) { return std::any_of(model.boxes.begin(), model.boxes.end(), is); };
  const auto any_wire = [&](Wire::Kind kind) {
    return std::any_of(model.wires.begin(), model.wires.end(), [&](const Wire& w) { return w.kind == kind; });
  };
  const auto any_module = [&](auto is) {
    return std::any_of(model.modules.begin(), model.modules.end(), is);
  };
  if (model.scale) AddHeat(legend);
  for (Kind kind : kKinds)
    if (any_box([&](const Box& box) { return box.kind == kind && !box.reference; }))
      if (!model.scale || HasShape(kind))
        legend.push_back({std::string(Words(kind)), kind, model.scale ? "cold" : RoleOf(kind)});
  if (any_box([](const Box& box) { return box.reference; }))
    legend.push_back({"the same once more", Kind::Parameter, model.scale ? "cold" : "parameter", true});
  if (any_wire(Wire::Kind::Gradient))
    legend.push_back({"gradient, \u2202", {}, {}, false, Wire::Kind::Gradient});
  if (any_wire(Wire::Kind::Saved))
    legend.push_back({"kept for the gradient", {}, {}, false, Wire::Kind::Saved});
  if (any_wire(Wire::Kind::Carried))
    legend.push_back({"written for the next step", {}, {}, false, Wire::Kind::Carried});
  if (any_module([](const Module& module) { return module.count > 1; }))
    legend.push_back({"\u00d7: equal layers, each on top of the one before"});
  if (model.twins) legend.push_back({"' : another index along the same axis"});
  if (!model.lifted.empty()) legend.push_back(Fact("every value is for each element of " + model.lifted));
  if (model.padding) legend.push_back({"positions past the end of an example are left out"});
  if (model.parameters != 0) legend.push_back(Fact(LongNumber(model.parameters) + " numbers in parameters"));
  if (!model.axes.empty()) legend.push_back(Fact(AxesText(model)));
  return legend;
}

SharedLegend ShareLegends(const std::vector<std::vector<LegendEntry>>& legends) {
  SharedLegend result{{}, std::vector<std::vector<LegendEntry>>(legends.size())};
  if (legends.size() == 1) return {{}, legends};
  const auto has = [](const std::vector<LegendEntry>& legend, const LegendEntry& entry) {
    return std::any_of(legend.begin(), legend.end(),
                       [&](const LegendEntry& other) { return other.text == entry.text; });
  };
  for (size_t i = 0; i < legends.size(); ++i)
    for (const LegendEntry& entry : legends[i]) {
      const bool own = entry.fact && !std::all_of(legends.begin(), legends.end(),
                                                  [&](const auto& legend) { return has(legend, entry); });
      std::vector<LegendEntry>& to = own ? result.own[i] : result.shared;
      if (!has(to, entry)) to.push_back(entry);
    }
  // Samples first, facts last, as in the legend of one.
  std::stable_sort(result.shared.begin(), result.shared.end(),
                   [](const LegendEntry& a, const LegendEntry& b) {
                     const auto rank = [](const LegendEntry& entry) {
                       return entry.box ? 0 : entry.wire ? 1 : entry.fact ? 3 : 2;
                     };
                     return rank(a) < rank(b);
                   });
  return result;
}

}  // namespace heed::drawing
