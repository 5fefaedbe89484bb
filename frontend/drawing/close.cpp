// Closes modules: everything in one becomes a box that says what it is, and another for its gradient.
#include "frontend/drawing/close.h"

#include <algorithm>
#include <map>

#include "frontend/drawing/model.h"

namespace heed::drawing {
namespace {

constexpr int64_t kWorthMentioning = 10'000;  // parameters: those of norms are in the tooltip only

bool IsLayer(const Module& module) {
  const size_t dot = module.name.rfind('.');
  return module.kind == Module::Kind::Part && dot != std::string::npos && dot + 1 < module.name.size() &&
         module.name.find_first_not_of("0123456789", dot + 1) == std::string::npos;
}

/// What is in each module, at any depth.
struct Contents {
  bool layers = false, parts = false, products = false, attention = false;
};

std::vector<Contents> ContentsOf(const Model& model) {
  std::vector<Contents> contents(model.modules.size());
  for (size_t i = 0; i < model.modules.size(); ++i) {
    const Module& module = model.modules[i];
    for (int above : Path(model, static_cast<int>(i))) {
      contents[above].layers |= IsLayer(module);
      contents[above].attention |= module.attention.has_value();
      if (above != static_cast<int>(i)) contents[above].parts |= module.kind == Module::Kind::Part;
    }
  }
  for (const Box& box : model.boxes)
    if (box.kind == Kind::Product)
      for (int module : Path(model, box.module)) contents[module].products = true;
  return contents;
}

std::vector<bool> OpenAt(const Model& model, Depth depth) {
  std::vector<bool> open(model.modules.size(), depth == Depth::Ops);
  if (depth == Depth::Ops) return open;
  const std::vector<Contents> contents = ContentsOf(model);
  for (size_t i = 0; i < open.size(); ++i) open[i] = i == 0 || contents[i].layers;
  if (depth == Depth::Modules) return open;
  const std::vector<bool> outer = open;
  for (size_t i = 1; i < open.size(); ++i) {
    const Module& module = model.modules[i];
    if (module.kind == Module::Kind::Part && outer[module.parent])
      open[i] = outer[i] || contents[i].parts || contents[i].products;
  }
  // Attention is shown in its steps: also where a function of the program or the prelude holds them.
  for (size_t i = 1; i < open.size(); ++i) {
    const std::vector<int> path = Path(model, static_cast<int>(i));
    open[i] = open[i] || (model.modules[i].kind == Module::Kind::Call && contents[i].attention &&
                          std::all_of(path.begin(), path.end() - 1, [&](int above) { return open[above]; }));
  }
  return open;
}

const AttentionWords* AttentionIn(const Model& model, int module) {
  for (size_t i = 0; i < model.modules.size(); ++i) {
    const std::vector<int> path = Path(model, static_cast<int>(i));
    if (model.modules[i].attention && std::find(path.begin(), path.end(), module) != path.end())
      return &*model.modules[i].attention;
  }
  return nullptr;
}

}  // namespace

Box ClosedBox(const Model& model, int index, bool gradient) {
  const Module& module = model.modules[index];
  Box box;
  box.module = module.parent;
  box.gradient = gradient;
  box.place = module.place;
  const AttentionWords* attention = AttentionIn(model, index);
  box.kind = attention ? Kind::Attention : Kind::Module;
  box.label = (gradient ? "\u2202 " : "") + module.name;
  if (!module.class_name.empty()) box.label += "  " + module.class_name;
  if (module.count > 1) box.label += " \u00d7 " + std::to_string(module.count);
  box.tip = module.path;
  if (gradient) return box;
  const auto line = [&](const std::string& text) { box.detail += (box.detail.empty() ? "" : "\n") + text; };
  if (attention) {
    const std::string both = attention->heads.empty() || attention->width.empty() ? "" : ", ";
    if (!attention->heads.empty() || !attention->width.empty())
      line(attention->heads + both + attention->width);
    line("over " + attention->over +
         (attention->mask.empty() ? ": every position" : " where " + attention->mask));
  }
  const std::string parameters = ShortNumber(module.parameters) + " parameters";
  if (module.parameters != 0) box.tip += ", " + LongNumber(module.parameters) + " numbers in parameters";
  if (module.parameters >= kWorthMentioning) line(parameters);
  return box;
}

bool StaysOutside(const Box& box) {
  return box.kind == Kind::Cache || box.kind == Kind::Input || (box.kind == Kind::Output && !box.gradient);
}

void CloseModules(Model& model, const std::vector<bool>& open) {
  std::vector<int> stands_for(model.boxes.size());
  std::map<std::pair<int, bool>, int> closed;
  for (size_t i = 0; i < model.boxes.size(); ++i) {
    stands_for[i] = static_cast<int>(i);
    const std::vector<int> path = Path(model, model.boxes[i].module);
    const auto leaf = std::find_if(path.begin(), path.end(), [&](int module) { return !open[module]; });
    if (leaf == path.end()) continue;
    if (StaysOutside(model.boxes[i])) {
      model.boxes[i].module = model.modules[*leaf].parent;
      continue;
    }
    const auto [found, fresh] =
        closed.emplace(std::pair(*leaf, model.boxes[i].gradient), static_cast<int>(i));
    if (!fresh) stands_for[i] = found->second;
  }
  for (const auto& [key, box] : closed) {
    const Work work = model.boxes[box].work;
    model.boxes[box] = ClosedBox(model, key.first, key.second);
    model.boxes[box].work = work;
    if (const auto pair = closed.find({key.first, false}); key.second && pair != closed.end())
      model.boxes[box].pair = pair->second;
  }
  for (Box& box : model.boxes)  // what stood beside something that is closed now
    if (box.pair >= 0 && stands_for[box.pair] != box.pair) box.pair = -1;
  Unite(model, stands_for);
  Compact(model);
}

void Close(Model& model, Depth depth) {
  if (depth == Depth::Ops) return;
  const std::vector<bool> open = OpenAt(model, depth);
  // The steps of attention need no frame inside that of the part they are.
  for (Box& box : model.boxes)
    while (open[box.module] && model.modules[box.module].kind == Module::Kind::Call)
      box.module = model.modules[box.module].parent;
  CloseModules(model, open);
}

}  // namespace heed::drawing
