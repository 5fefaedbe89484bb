// Parameters and inputs that are used far away are drawn there once more, as references: no wire runs the
// height of the page.
#include <algorithm>
#include <map>

#include "frontend/drawing/model.h"

namespace heed::drawing {
namespace {

constexpr int kFar = 4;  // ranks

/// How many boxes lie on the longest way to each, as far as ways have no cycles.
std::vector<int> Ranks(const Model& model) {
  std::vector<std::vector<int>> users(model.boxes.size());
  std::vector<int> waiting(model.boxes.size()), ranks(model.boxes.size());
  for (const Wire& wire : model.wires) {
    if (wire.kind == Wire::Kind::Carried) continue;
    users[wire.from].push_back(wire.to);
    ++waiting[wire.to];
  }
  std::vector<int> ready;
  for (size_t i = 0; i < waiting.size(); ++i)
    if (waiting[i] == 0) ready.push_back(static_cast<int>(i));
  while (!ready.empty()) {
    const int box = ready.back();
    ready.pop_back();
    for (int user : users[box]) {
      ranks[user] = std::max(ranks[user], ranks[box] + 1);
      if (--waiting[user] == 0) ready.push_back(user);
    }
  }
  return ranks;
}

}  // namespace

void Refer(Model& model) {
  const std::vector<int> ranks = Ranks(model);
  std::map<int, std::vector<size_t>> uses;
  for (size_t i = 0; i < model.wires.size(); ++i) {
    const Kind kind = model.boxes[model.wires[i].from].kind;
    if (kind == Kind::Parameter || kind == Kind::Input) uses[model.wires[i].from].push_back(i);
  }
  for (const auto& [source, wires] : uses) {
    if (wires.size() < 2) continue;
    int nearest = -1;
    for (size_t i : wires) {
      const int user = model.wires[i].to;
      if (!model.boxes[user].gradient && (nearest < 0 || ranks[user] < nearest)) nearest = ranks[user];
    }
    for (size_t i : wires) {
      const Box& user = model.boxes[model.wires[i].to];
      const bool beside = user.module == model.boxes[source].module && user.module != 0;
      const bool far = ranks[model.wires[i].to] > nearest + kFar;
      if (nearest < 0 || (user.gradient ? beside : !far)) continue;
      Box reference = model.boxes[source];
      reference.module = user.module;
      reference.gradient = user.gradient;
      reference.reference = true;
      reference.detail.clear();
      reference.work = {};
      model.wires[i].from = static_cast<int>(model.boxes.size());
      if (user.gradient) model.wires[i].kind = Wire::Kind::Gradient;  // ranked with its user
      model.boxes.push_back(std::move(reference));
    }
  }
}

}  // namespace heed::drawing
