// Layers of a stack that are mostly equal become their first one.
//
// A box of one layer is that of another if it stands at the same path within it, comes from the same place
// and says the same but for numbers. Where four fifths of the boxes of both have a partner, the layers become
// one: it has the boxes of all, and what only some have says which. Wires from layer to layer are what "× 6"
// says already and go.
#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <tuple>

#include "frontend/drawing/model.h"

namespace heed::drawing {
namespace {

constexpr double kMostly = 0.8;

/// "h.0" as ("h", 0); -1 for what is not numbered.
std::pair<std::string, int> Numbered(const std::string& step) {
  const size_t dot = step.rfind('.');
  const std::string number = dot == step.npos ? "" : step.substr(dot + 1);
  if (number.empty() || number.size() > 9 || number.find_first_not_of("0123456789") != number.npos)
    return {step, -1};
  return {step.substr(0, dot), std::stoi(number)};
}

std::string WithoutNumbers(const std::string& text) {
  std::string kept;
  for (char c : text)
    if (!std::isdigit(static_cast<unsigned char>(c)) && c != '.') kept += c;
  return kept;
}

/// "0", "1 … 5", "0, 3".
std::string Ranges(const std::set<int>& numbers) {
  std::string text;
  for (auto at = numbers.begin(); at != numbers.end();) {
    const int first = *at;
    int last = first;
    while (++at != numbers.end() && *at == last + 1) ++last;
    text += (text.empty() ? "" : ", ") + std::to_string(first);
    if (last > first) text += (last > first + 1 ? " \u2026 " : ", ") + std::to_string(last);
  }
  return text;
}

class Folder {
 public:
  explicit Folder(Model& model) : model_(model) {}

  void Run() {
    FoldChildren(0);
    Compact(model_);
  }

 private:
  using Key = std::tuple<std::string, std::string, std::string, Kind, bool>;

  std::vector<int> Children(int parent) const {
    std::vector<int> children;
    for (size_t i = 0; i < model_.modules.size(); ++i)
      if (model_.modules[i].parent == parent) children.push_back(static_cast<int>(i));
    return children;
  }

  std::vector<int> BoxesIn(int module) const {
    std::vector<int> boxes;
    for (size_t i = 0; i < model_.boxes.size(); ++i) {
      const std::vector<int> path = Path(model_, model_.boxes[i].module);
      if (std::find(path.begin(), path.end(), module) != path.end()) boxes.push_back(static_cast<int>(i));
    }
    return boxes;
  }

  static std::string KeyOf(const Module& module) { return module.name + " " + module.place; }

  Key KeyOf(const Box& box, int layer) const {
    std::string below;
    const std::vector<int> path = Path(model_, box.module);
    for (auto at = std::find(path.begin(), path.end(), layer) + 1; at != path.end(); ++at)
      below += "/" + KeyOf(model_.modules[*at]);
    return {below, WithoutNumbers(box.label + "\n" + box.detail), box.place, box.kind, box.gradient};
  }

  void FoldChildren(int parent) {
    std::map<std::pair<std::string, std::string>, std::map<int, int>> stacks;
    for (int child : Children(parent)) {
      const Module& module = model_.modules[child];
      if (const auto [base, number] = Numbered(module.name); number >= 0)
        stacks[{base, module.class_name}][number] = child;
    }
    for (const auto& [base, layers] : stacks) FoldStack(base.first, layers);
    for (int child : Children(parent)) FoldChildren(child);
  }

  void FoldStack(const std::string& base, const std::map<int, int>& layers) {
    for (auto first = layers.begin(); first != layers.end();) {
      std::vector<std::pair<int, int>> run = {*first};
      partners_.clear();
      have_.clear();
      Begin(first->second, first->first);
      auto next = std::next(first);
      while (next != layers.end() && next->first == run.back().first + 1 && Join(*first, *next))
        run.push_back(*next++);
      if (run.size() > 1) End(base, run, run.size() == layers.size());
      first = next;
    }
  }

  void Begin(int layer, int number) {
    layer_size_ = 0;
    for (int box : BoxesIn(layer)) {
      partners_[KeyOf(model_.boxes[box], layer)].push_back(box);
      have_[box] = {number};
      ++layer_size_;
    }
  }

  /// Finds a partner for each box of another layer; false, and nothing is changed, if too few have one.
  bool Join(std::pair<const int, int> first, std::pair<const int, int> layer) {
    std::map<Key, size_t> used;
    std::vector<std::pair<int, int>> matched;
    std::vector<std::pair<int, Key>> alone;
    const std::vector<int> boxes = BoxesIn(layer.second);
    for (int box : boxes) {
      const Key key = KeyOf(model_.boxes[box], layer.second);
      const auto found = partners_.find(key);
      if (found != partners_.end() && used[key] < found->second.size()) {
        matched.emplace_back(box, found->second[used[key]++]);
      } else {
        alone.emplace_back(box, key);
      }
    }
    if (static_cast<double>(matched.size()) <
        kMostly * static_cast<double>(std::max(boxes.size(), layer_size_)))
      return false;
    for (const auto& [box, partner] : matched) {
      stands_for_[box] = partner;
      have_[partner].insert(layer.first);
      const std::string& label = model_.boxes[box].label;
      if (model_.boxes[partner].label != label) others_[partner].insert(label);
    }
    for (const auto& [box, key] : alone) {
      partners_[key].push_back(box);
      have_[box] = {layer.first};
    }
    return true;
  }

  /// The module within the first layer that corresponds to one within another.
  int Counterpart(int module, int layer, int first) {
    if (module == layer) return first;
    const int parent = Counterpart(model_.modules[module].parent, layer, first);
    for (int child : Children(parent))
      if (KeyOf(model_.modules[child]) == KeyOf(model_.modules[module])) return child;
    model_.modules[module].parent = parent;
    return module;
  }

  void End(const std::string& base, const std::vector<std::pair<int, int>>& run, bool all) {
    const int first = run[0].second;
    std::vector<int> layer_of(model_.boxes.size(), -1);
    for (const auto& [number, layer] : run)
      for (int box : BoxesIn(layer)) layer_of[box] = layer;
    // Wires between layers; of decoding's state there are none.
    std::erase_if(model_.wires, [&](const Wire& wire) {
      return layer_of[wire.from] >= 0 && layer_of[wire.to] >= 0 && layer_of[wire.from] != layer_of[wire.to];
    });
    std::vector<int> stands_for(model_.boxes.size());
    for (size_t i = 0; i < stands_for.size(); ++i) {
      const int box = static_cast<int>(i);
      const auto partner = stands_for_.find(box);
      const bool gone = partner != stands_for_.end() && layer_of[box] >= 0;
      stands_for[i] = gone ? partner->second : box;
      if (layer_of[box] < 0 || gone) continue;
      if (layer_of[box] != first)
        model_.boxes[i].module = Counterpart(model_.boxes[i].module, layer_of[box], first);
      if (const std::set<int>& having = have_[box]; having.size() < run.size())
        model_.boxes[i].only = base + "." + Ranges(having) + " only";
      // Numbers that differ, if they are few; names with numbers in them are those of the first layer.
      if (const auto other = others_.find(box);
          other != others_.end() && other->second.size() == 1 && model_.boxes[i].kind != Kind::Parameter)
        model_.boxes[i].label += " | " + *other->second.begin();
    }
    Module& module = model_.modules[first];
    module.count = static_cast<int>(run.size());
    module.layers = std::to_string(run.front().first) + " \u2026 " + std::to_string(run.back().first);
    module.name = all ? base : base + "." + module.layers;
    stands_for_.clear();
    others_.clear();
    Unite(model_, stands_for);
  }

  Model& model_;
  std::map<Key, std::vector<int>> partners_;     ///< boxes of the run so far
  std::map<int, std::set<int>> have_;            ///< the layers that have a box
  std::map<int, std::set<std::string>> others_;  ///< what layers after the first say instead
  std::map<int, int> stands_for_;
  size_t layer_size_ = 0;  ///< boxes of the first
};

}  // namespace

void Fold(Model& model) { Folder(model).Run(); }

}  // namespace heed::drawing
