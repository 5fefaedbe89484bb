// See levels.h.
#include "frontend/drawing/levels.h"

#include <set>
#include <tuple>

namespace heed::drawing {
namespace {

class Cutter {
 public:
  explicit Cutter(const Model& model) : model_(model), levels_(model.modules.size()), known_(levels_.size()) {
    for (size_t i = 0; i < model.boxes.size(); ++i)
      levels_[model.boxes[i].module].boxes.push_back(static_cast<int>(i));
    for (size_t i = 1; i < model.modules.size(); ++i)
      levels_[model.modules[i].parent].children.push_back(static_cast<int>(i));
    for (size_t i = 0; i < model.wires.size(); ++i) Cut(static_cast<int>(i));
  }

  std::vector<Level> Take() { return std::move(levels_); }

 private:
  void Cut(int number) {
    const Wire& wire = model_.wires[number];
    const std::vector<int> up = Path(model_, model_.boxes[wire.from].module);
    const std::vector<int> down = Path(model_, model_.boxes[wire.to].module);
    size_t shared = 0;
    while (shared < up.size() && shared < down.size() && up[shared] == down[shared]) ++shared;
    const bool gradient = model_.boxes[wire.from].gradient;
    const Port leaving{wire.from, true}, entering{wire.from, false};
    End at{End::Kind::Box, wire.from};
    for (size_t i = up.size(); i-- > shared;) {
      levels_[up[i]].ports[leaving] = gradient;
      Add(up[i], at, {End::Kind::Border, 0, leaving}, number);
      at = {End::Kind::Child, up[i], leaving};
    }
    End target{End::Kind::Box, wire.to};
    for (size_t i = down.size(); i-- > shared;) {
      levels_[down[i]].ports[entering] = gradient;
      Add(down[i], {End::Kind::Border, 0, entering}, target, number);
      target = {End::Kind::Child, down[i], entering};
    }
    Add(up[shared - 1], at, target, number);
  }

  void Add(int level, const End& from, const End& to, int wire) {
    if (known_[level].emplace(from, to, model_.wires[wire].kind).second)
      levels_[level].stretches.push_back({from, to, wire});
  }

  const Model& model_;
  std::vector<Level> levels_;
  std::vector<std::set<std::tuple<End, End, Wire::Kind>>> known_;
};

}  // namespace

std::vector<Level> LevelsOf(const Model& model) { return Cutter(model).Take(); }

}  // namespace heed::drawing
