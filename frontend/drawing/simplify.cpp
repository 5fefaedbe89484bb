// What drawings leave out unless they show every op.
//
// The axes of a residual sum are those of its paths, a parameter that a box calls by its name needs no box of
// its own, and the gradient of what a line of the program computes is one box, beside that.
#include <algorithm>
#include <map>

#include "frontend/drawing/model.h"

namespace heed::drawing {
namespace {

/// "a.heed:3 < b.heed:7:1" for "a.heed:3:9 < b.heed:7:1".
std::string LineOf(const std::string& place) {
  const size_t callers = std::min(place.find(" < "), place.size());
  const size_t column = place.rfind(':', callers);
  return column == place.npos ? place : place.substr(0, column) + place.substr(callers);
}

/// Removes boxes with their wires.
void Drop(Model& model, const std::vector<bool>& dropped) {
  std::vector<int> number(model.boxes.size(), -1);
  std::vector<Box> boxes;
  for (size_t i = 0; i < dropped.size(); ++i) {
    if (dropped[i]) continue;
    number[i] = static_cast<int>(boxes.size());
    boxes.push_back(std::move(model.boxes[i]));
  }
  for (Box& box : boxes)
    if (box.pair >= 0) box.pair = number[box.pair];
  model.boxes = std::move(boxes);
  std::erase_if(model.wires, [&](const Wire& wire) { return dropped[wire.from] || dropped[wire.to]; });
  for (Wire& wire : model.wires) {
    wire.from = number[wire.from];
    wire.to = number[wire.to];
  }
}

void DropNamed(Model& model) {
  std::vector<int> forward_users(model.boxes.size());
  std::vector<bool> named(model.boxes.size(), true), dropped(model.boxes.size());
  for (const Wire& wire : model.wires) {
    const Box &from = model.boxes[wire.from], &to = model.boxes[wire.to];
    if (to.gradient) continue;
    ++forward_users[wire.from];
    if (to.label.find(from.label) == std::string::npos) named[wire.from] = false;
  }
  for (size_t i = 0; i < dropped.size(); ++i) {
    const Box& box = model.boxes[i];
    if (box.module == 0) continue;
    if (box.kind == Kind::Parameter) dropped[i] = named[i] && forward_users[i] == 1;
    if (box.kind == Kind::Output) dropped[i] = box.gradient;
  }
  Drop(model, dropped);
}

/// "Wq, Wk" for "Wq @model \u00b7" and "Wk @model \u00b7".
std::string Named(const Model& model, const std::vector<int>& boxes) {
  if (boxes.size() == 1) {
    const std::string& label = model.boxes[boxes[0]].label;
    const std::string sum = "\u2295 ";  // its own gradient is what comes in
    return label.starts_with(sum) ? label.substr(sum.size()) : label;
  }
  std::string text;
  for (int box : boxes) {
    const std::string& label = model.boxes[box].label;
    text += (text.empty() ? "" : ", ") + label.substr(0, label.find(' '));
  }
  return text;
}

bool IsExpression(const Box& box) {
  return box.node && box.kind != Kind::Parameter && box.kind != Kind::Input && box.kind != Kind::Output &&
         box.kind != Kind::Cache && !box.place.empty();
}

void UniteLines(Model& model) {
  std::map<std::pair<int, std::string>, std::vector<int>> forward, gradient;
  for (size_t i = 0; i < model.boxes.size(); ++i) {
    const Box& box = model.boxes[i];
    // Where gradients meet stays apart: it joins what the line gets with what it gives.
    if (!IsExpression(box) || (box.gradient && box.kind == Kind::Sum)) continue;
    (box.gradient ? gradient : forward)[{box.module, LineOf(box.place)}].push_back(static_cast<int>(i));
  }
  std::vector<int> stands_for(model.boxes.size());
  for (size_t i = 0; i < stands_for.size(); ++i) stands_for[i] = static_cast<int>(i);
  for (const auto& [line, boxes] : gradient) {
    const auto of = forward.find(line);
    if (of == forward.end() && boxes.size() == 1) continue;
    for (int box : boxes) stands_for[box] = boxes[0];
    Box& first = model.boxes[boxes[0]];
    first.detail.clear();
    first.kind = Kind::Pointwise;
    first.pair = -1;
    first.label = "\u2202 line";
    if (of == forward.end()) continue;
    first.kind = model.boxes[of->second.back()].kind;
    first.pair = of->second.back();
    first.label = "\u2202 " + Named(model, of->second);
  }
  Unite(model, stands_for);
}

}  // namespace

void Simplify(Model& model) {
  for (Box& box : model.boxes)
    if (box.kind == Kind::Sum) box.detail.clear();  // as both paths
  DropNamed(model);
  UniteLines(model);
  Compact(model);
}

}  // namespace heed::drawing
