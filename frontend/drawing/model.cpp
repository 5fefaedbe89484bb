// Changes of a model as a whole, and numbers as people write them.
#include "frontend/drawing/model.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <tuple>

namespace heed::drawing {

Model Describe(const ir::Graph& graph, const frontend::ProgramWords* words, const std::string& title,
               Depth depth, bool unroll, const MeasuredGraph* measured) {
  Model model = ModelOf(graph, words, title, depth != Depth::Ops, measured);
  Close(model, depth);
  if (depth != Depth::Ops) Simplify(model);
  if (!unroll) Fold(model);
  Refer(model);
  return model;
}

std::vector<int> Path(const Model& model, int module) {
  std::vector<int> path;
  for (int at = module; at >= 0; at = model.modules[at].parent) path.push_back(at);
  std::reverse(path.begin(), path.end());
  return path;
}

void Unite(Model& model, const std::vector<int>& stands_for) {
  const auto final = [&](int box) {
    while (stands_for[box] != box) box = stands_for[box];
    return box;
  };
  std::map<std::tuple<int, int, Wire::Kind>, size_t> known;
  std::vector<Wire> wires;
  for (Wire wire : model.wires) {
    wire.from = final(wire.from);
    wire.to = final(wire.to);
    if (wire.from == wire.to) continue;
    const auto [place, fresh] = known.emplace(std::tuple(wire.from, wire.to, wire.kind), wires.size());
    if (fresh) {
      wires.push_back(wire);
    } else {
      wires[place->second].count += wire.count;
    }
  }
  model.wires = std::move(wires);
  for (Box& box : model.boxes)
    if (box.pair >= 0) box.pair = final(box.pair);
  for (size_t i = 0; i < model.boxes.size(); ++i)
    if (const int box = final(static_cast<int>(i)); box != static_cast<int>(i))
      model.boxes[box].work.Add(model.boxes[i].work);
  std::vector<int> number(model.boxes.size(), -1);
  std::vector<Box> boxes;
  for (size_t i = 0; i < model.boxes.size(); ++i) {
    if (stands_for[i] != static_cast<int>(i)) continue;
    number[i] = static_cast<int>(boxes.size());
    boxes.push_back(std::move(model.boxes[i]));
  }
  for (Box& box : boxes)
    if (box.pair >= 0) box.pair = number[box.pair];
  model.boxes = std::move(boxes);
  for (Wire& wire : model.wires) {
    wire.from = number[wire.from];
    wire.to = number[wire.to];
  }
}

void Compact(Model& model) {
  std::vector<bool> used(model.modules.size());
  used[0] = true;
  for (const Box& box : model.boxes)
    for (int module : Path(model, box.module)) used[module] = true;
  std::vector<int> number(model.modules.size(), -1);
  std::vector<Module> modules;
  for (size_t i = 0; i < model.modules.size(); ++i) {
    if (!used[i]) continue;
    number[i] = static_cast<int>(modules.size());
    modules.push_back(std::move(model.modules[i]));
  }
  for (Module& module : modules)
    if (module.parent >= 0) module.parent = number[module.parent];
  model.modules = std::move(modules);
  for (Box& box : model.boxes) box.module = number[box.module];
}

std::string LongNumber(int64_t number) {
  std::string digits = std::to_string(number);
  for (size_t at = digits.size(); at > 3 + (number < 0 ? 1u : 0u);) {
    at -= 3;
    digits.insert(at, ",");
  }
  return digits;
}

std::string ShortNumber(int64_t number) {
  char text[32];
  const double value = static_cast<double>(number);
  if (number >= 1'000'000'000) {
    std::snprintf(text, sizeof text, "%.1f G", value / 1e9);
  } else if (number >= 1'000'000) {
    std::snprintf(text, sizeof text, "%.1f M", value / 1e6);
  } else if (number >= 10'000) {
    std::snprintf(text, sizeof text, "%.0f k", value / 1e3);
  } else {
    return LongNumber(number);
  }
  return text;
}

}  // namespace heed::drawing
