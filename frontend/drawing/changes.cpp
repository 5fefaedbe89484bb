// See changes.h.
#include "frontend/drawing/changes.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace heed::drawing {
namespace {

/// What a box says, and where it stands.
struct Identity {
  std::tuple<bool, std::string, std::string, std::string> words;
  std::string module;
};

Identity IdentityOf(const Model& model, const Box& box) {
  std::string path;
  for (const int module : Path(model, box.module)) path += model.modules[module].name + "/";
  return {{box.gradient, box.label, box.detail, box.place}, path};
}

}  // namespace

Changes ChangesOf(const Model& before, const Model& after) {
  // Of boxes before that say the same, those that nobody has claimed, by module.
  std::map<decltype(Identity::words), std::multimap<std::string, int>> known;
  for (size_t i = 0; i < before.boxes.size(); ++i) {
    const Identity identity = IdentityOf(before, before.boxes[i]);
    known[identity.words].emplace(identity.module, static_cast<int>(i));
  }
  Changes changes;
  changes.boxes.resize(after.boxes.size(), Change::New);
  // Those that stayed first: what moved takes what is left.
  for (const bool moved : {false, true}) {
    for (size_t i = 0; i < after.boxes.size(); ++i) {
      if (changes.boxes[i] != Change::New) continue;
      const Identity identity = IdentityOf(after, after.boxes[i]);
      const auto same = known.find(identity.words);
      if (same == known.end()) continue;
      const auto claimed = moved ? same->second.begin() : same->second.find(identity.module);
      if (claimed == same->second.end()) continue;
      same->second.erase(claimed);
      changes.boxes[i] = moved ? Change::Moved : Change::None;
    }
  }
  std::map<std::string, int> went;  // by module
  for (const auto& [words, boxes] : known)
    for (const auto& [module, box] : boxes) {
      ++went[module];
      changes.gone.push_back(box);
    }
  std::sort(changes.gone.begin(), changes.gone.end());
  for (size_t i = 0; i < after.boxes.size(); ++i) {
    const Box& box = after.boxes[i];
    if (changes.boxes[i] == Change::New && box.kind == Kind::Attention &&
        went[IdentityOf(after, box).module] > 1)
      changes.boxes[i] = Change::Fused;
  }
  return changes;
}

}  // namespace heed::drawing
